"""A source that has changed since its scan began: it is refused, and what a batch keeps of that names no file."""

from __future__ import annotations

from pathlib import Path

import pytest

from caid_triage.config import ScanOptions
from caid_triage.errors import CaseError
from caid_triage.scan.run import SourceRequest, run_scan


def test_the_line_that_a_batch_keeps_names_no_file(tmp_path: Path) -> None:
    source = tmp_path / "source"
    source.mkdir()
    (source / "holiday.txt").write_text("1")
    requests, options = [SourceRequest(source, "A/1", "source")], ScanOptions(executor="serial")
    run_scan(requests, tmp_path / "case", [], options)
    (source / "holiday.txt").write_text("12")
    with pytest.raises(CaseError) as caught:
        run_scan(requests, tmp_path / "case", [], options)
    first, second = caught.value.lines
    assert "source source of exhibit A/1 has changed since the scan began" in first
    assert "holiday" not in first
    assert second == "  it was /holiday.txt, now it is /holiday.txt"
