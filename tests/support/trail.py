"""The audit chain of a case alone: the tests of it need neither rows nor reports."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path

from caid_triage.case.audit import AUDIT_FILE, chain_faults, end_faults, read_lines
from caid_triage.case.fault import Fault
from caid_triage.case.schema import check_schema, connect_for_reading, storage_faults


def verify_audit(folder: Path) -> list[Fault]:
    """Every fault of the case's audit chain; an empty list means that it is whole and ends as a closed case does."""
    with storage_faults(folder), closing(connect_for_reading(folder)) as connection:
        version = check_schema(connection, folder)
        lines, torn = read_lines(folder / AUDIT_FILE)
        return [*chain_faults(lines, torn), *end_faults(lines, connection, version)]
