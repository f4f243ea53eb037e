"""Where the file of an entry lies, as SQL over ``entry e``: what became of the file that an embedded one lies in.

An embedded file is come to through the file of the walk that it lies in. Where that is deleted, so is all in it; and a
living archive or database may still hold the bytes of a file that it does not list any more (model.REMOVED_CODES).
"""

from __future__ import annotations

from caid_triage.case.schema import PART_BITS
from caid_triage.model import REMOVED_CODES, State

_CODES = ", ".join(f"'{code}'" for code in sorted(REMOVED_CODES))

# The outermost container has the same number and is part 0. It is stored last: NULL while a scan has not come so far.
CONTAINER_STATE = f"""CASE WHEN e.state = '{State.EMBEDDED}' THEN
    (SELECT o.state FROM entry o WHERE o.id = e.id & ~{(1 << PART_BITS) - 1}) END"""  # noqa: S608 - constants only
REMOVED = f"""(e.state = '{State.EMBEDDED}' AND EXISTS
    (SELECT 1 FROM entry_problem q WHERE q.entry_id = e.id AND q.code IN ({_CODES})))"""  # noqa: S608 - constants only

# "live", "inside" (a live file, which lists it), "deleted" and "other" (orphan, carved, slack, and what lies in these).
PLACE = f"""CASE coalesce({CONTAINER_STATE}, e.state)
    WHEN 'allocated' THEN CASE WHEN e.state = 'allocated' THEN 'live' WHEN {REMOVED} THEN 'deleted' ELSE 'inside' END
    WHEN 'deleted' THEN 'deleted' ELSE 'other' END"""
