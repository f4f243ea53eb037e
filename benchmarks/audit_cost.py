"""What digests of rows and of the closed case cost: their share of the CPU time of a scan and of report; and verify.

    python benchmarks/audit_cost.py --photos FOLDER --records 50000

Beside each figure of ours stands the same work without it, in the same run: the CPU time of the whole command less what
was spent in digests (measured around them, in the one thread that writes). ``small`` is a folder of many tiny files,
where digests weigh most: nothing of a file is decoded there.
"""

from __future__ import annotations

import argparse
import json
import resource
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from functools import wraps
from pathlib import Path
from typing import Any

PROJECT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(PROJECT), str(PROJECT / "tests")]

from unit.case import samples  # noqa: E402

from caid_triage.case import session  # noqa: E402
from caid_triage.case.digests import DigestTable  # noqa: E402
from caid_triage.case.rows import CaseHeader  # noqa: E402
from caid_triage.case.session import CaseSession  # noqa: E402
from caid_triage.case.store import create_case, open_case_for_writing  # noqa: E402
from caid_triage.config import ScanOptions  # noqa: E402
from caid_triage.report.on_record import REPORTS, write_reports_on_record  # noqa: E402
from caid_triage.report.verify import check_whole_case  # noqa: E402
from caid_triage.scan.run import SourceRequest, run_scan  # noqa: E402

SPENT: Counter[str] = Counter()


def measured(name: str, function: Callable[..., Any]) -> Callable[..., Any]:
    """The function, with its CPU time (this thread) added to SPENT."""

    @wraps(function)
    def run(*arguments: Any, **options: Any) -> Any:
        began = time.thread_time()
        try:
            return function(*arguments, **options)
        finally:
            SPENT[name] += time.thread_time() - began

    return run


def watch() -> None:
    """Measure what this script is about."""
    for name in ("add_batch", "settle", "matches_replaced"):
        setattr(DigestTable, name, measured("rows", getattr(DigestTable, name)))
    session.file_facts = measured("file", session.file_facts)  # type: ignore[attr-defined]
    session.changed_since = measured("file", session.changed_since)  # type: ignore[attr-defined]
    session.content_digest = measured("content", session.content_digest)  # type: ignore[attr-defined]
    CaseSession.audit = measured("lines", CaseSession.audit)  # type: ignore[method-assign]


def cpu() -> float:
    """CPU seconds of this process and of the workers that have ended."""
    return sum(
        used.ru_utime + used.ru_stime
        for used in map(resource.getrusage, (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    )


def figures(began: float, files: int) -> dict[str, object]:
    """What a piece of work took, and what of it was ours."""
    total, ours = cpu() - began, sum(SPENT.values())
    parts = {name: round(value, 4) for name, value in sorted(SPENT.items())}
    SPENT.clear()
    return {
        "files": files,
        "cpu_s": round(total, 3),
        "without_s": round(total - ours, 3),
        "share_percent": round(100 * ours / total, 3),
        "microseconds_a_file": round(ours / files * 1e6, 1),
        "parts_s": parts,
    }


def scan(source: Path, case: Path) -> dict[str, object]:
    """Scan a folder into a case and write its reports."""
    began = cpu()
    outcome = run_scan([SourceRequest(source, "E", "s")], case, [], ScanOptions(workers=2))
    with open_case_for_writing(case) as writer:
        write_reports_on_record(writer, case / REPORTS)
    return figures(began, outcome.stored)


def large(folder: Path, records: int) -> dict[str, object]:
    """A case of many records as a scan stores them, without examining anything; its reports; its verification."""
    found: dict[str, object] = {}
    metadata = tuple((f"name-{n}", f"value {n}") for n in range(12))
    began = cpu()
    with create_case(folder, CaseHeader("R")) as case:
        case.record_hashset(samples.NOTABLE)
        source_id = case.add_source(samples.source(), {})
        for first in range(0, records, 256):
            batch = [samples.record(first + n, metadata=metadata) for n in range(min(256, records - first))]
            case.write_batch(source_id, batch, [(samples.match(),)] * len(batch), [], first + len(batch))
        case.finish_source(source_id, records, records)
    found["store"] = figures(began, records)
    began = cpu()
    with open_case_for_writing(folder) as case:
        write_reports_on_record(case, folder / REPORTS)
    found["report"] = figures(began, records)
    began = time.thread_time()
    check = check_whole_case(folder)
    took = time.thread_time() - began
    found["verify"] = {
        "rows": check.rows,
        "cpu_s": round(took, 3),
        "microseconds_a_row": round(took / check.rows * 1e6, 2),
    }
    size = (folder / "case.db").stat().st_size
    began = time.thread_time()
    session.file_facts(folder / "case.db")  # type: ignore[attr-defined]
    found["case_db"] = {"bytes": size, "mb_per_cpu_s": round(size / 1e6 / (time.thread_time() - began))}
    assert check.faults == []
    return found


def main() -> None:
    """Run it and print JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--photos", type=Path, help="a folder of photographs to be scanned")
    parser.add_argument("--records", type=int, default=50_000)
    parser.add_argument("--small", type=int, default=5_000, help="how many tiny files to scan")
    options = parser.parse_args()
    watch()
    with tempfile.TemporaryDirectory() as scratch:
        results: dict[str, object] = {}
        if options.photos:
            results["photos"] = scan(options.photos, Path(scratch) / "photos")
        tiny = Path(scratch) / "tiny"
        tiny.mkdir()
        for number in range(options.small):
            (tiny / f"{number}.txt").write_bytes(b"%d" % number)
        results["small"] = scan(tiny, Path(scratch) / "small")
        results["large"] = large(Path(scratch) / "large", options.records)
    print(json.dumps(results, indent=1))


if __name__ == "__main__":
    main()
