"""What the documents, the workbook and the lists of a large case take: CPU time, memory, bytes.

    python benchmarks/report_scale.py --files 200000 [--small 20000] [--exchange]

Two cases are drawn, one a tenth of the other; every fourth file is an exact match, every tenth a lead. Each format is
written in a process of its own. ``peak_mb_over_small`` is what the larger case takes of memory more than the smaller
one: of a format that lists rows it must be nearly nothing. ``files.csv`` stands beside as the plain list.
``--exchange`` measures the formats for other programs in place of the documents: half of the files are listed then, a
quarter as exact matches whose items state something, and every picture has a camera, a place and three hashes.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

PROJECT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(PROJECT), str(PROJECT / "tests")]

from unit.case import samples  # noqa: E402
from unit.report import exhibits  # noqa: E402

from caid_triage.case.store import create_case  # noqa: E402
from caid_triage.model import Match, PerceptualHash, State  # noqa: E402

DOCUMENTS = ("files", "sfr-docx", "sfr-pdf", "schedule-docx", "schedule-pdf", "xlsx")
EXCHANGE = ("files", "vics", "vics-new", "c4p", "c4m", "case-uco", "dfxml", "jsonl")
ORIGIN = (
    ("camera-make", "Maker"), ("camera-model", "Model 7"), ("camera-serial", "SN7654321"), ("latitude", "51.507350"),
    ("longitude", "-0.127811"), ("taken", "2014-07-12T16:17:10 zone unknown"), ("software", "1.02"),
)  # fmt: skip
BATCH = 1000
CHILD = """
import json, resource, sys, time
from pathlib import Path
from caid_triage.case.view import open_case
from caid_triage.report.write import FORMATS, write_reports
with open_case(sys.argv[1]) as view:
    write_reports(view, Path(sys.argv[2]), [sys.argv[3]])
print(json.dumps({"cpu_s": round(time.process_time(), 1),
                  "peak_mb": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024, 1),
                  "bytes": (Path(sys.argv[2]) / FORMATS[sys.argv[3]].file).stat().st_size}))
"""


def make_case(folder: Path, files: int, *, exchange: bool = False) -> None:
    """A case of so many files, in folders of a hundred, of which a quarter match exactly, each content twice."""
    with create_case(folder, exhibits.HEADER) as case:
        run = case.begin_run("scan", datetime(2026, 11, 29, tzinfo=UTC))
        source = case.add_source(samples.source(), {})
        case.record_hashset(exhibits.CONFIRMED)
        for begin in range(0, files, BATCH):
            numbers = range(begin, min(begin + BATCH, files))
            records = [
                samples.record(
                    n,
                    content=f"content {n // 2}".encode(),
                    path=f"/users/u{n % 7}/folder {n // 100}/name of file {n}.jpg",
                    state=State.DELETED if n // 2 % 5 == 0 else State.ALLOCATED,
                    **(_of_exchange(n // 2) if exchange else {}),
                )
                for n in numbers
            ]
            matches = [_matches(n // 2, exchange=exchange) for n in numbers]
            case.write_batch(source, records, matches, [], numbers[-1] + 1)
        case.finish_source(source, files, files)
        case.end_run(run, datetime(2026, 11, 29, 1, tzinfo=UTC), "finished")


def _of_exchange(content: int) -> dict[str, Any]:
    hashes = (*samples.examination().hashes, PerceptualHash("photodna", content.to_bytes(4) * 36))
    return {"metadata": ORIGIN, "hashes": hashes}


def _matches(content: int, *, exchange: bool) -> tuple[Match, ...]:
    if content % 4 == 0:
        stated = {"stated": ("victim-identified", "self-generated"), "series": f"series {content % 50}"}
        return (samples.match(**(stated if exchange else {})),)
    return (samples.near(distance=9),) if (content % 4 if exchange else content % 10) == 1 else ()


def written(case: Path, out: Path, name: str) -> dict[str, Any]:
    """What writing one format took, in a process of its own."""
    done = subprocess.run(
        [sys.executable, "-c", CHILD, str(case), str(out), name], capture_output=True, text=True, check=True
    )
    figures: dict[str, Any] = json.loads(done.stdout)
    return figures


def main() -> None:
    """Draw both cases, write every format of both, print the figures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--files", type=int, default=200_000)
    parser.add_argument("--small", type=int, default=None, help="files of the smaller case  [default: a tenth]")
    parser.add_argument("--exchange", action="store_true", help="the formats for other programs")
    parser.add_argument("--folder", type=Path, default=None)
    options = parser.parse_args()
    counts = {"large": options.files, "small": options.small or options.files // 10}
    figures: dict[str, Any] = {"files_of_case": counts}
    with tempfile.TemporaryDirectory(dir=options.folder) as place:
        cases = {name: Path(place) / name for name in ("small", "large")}
        for name, case in cases.items():
            make_case(case, counts[name], exchange=options.exchange)
        for form in EXCHANGE if options.exchange else DOCUMENTS:
            small, large = (written(case, Path(place) / "out", form) for case in cases.values())
            more = round(large["peak_mb"] - small["peak_mb"], 1)
            figures[form] = {**large, "small": small, "peak_mb_over_small": more}
    print(json.dumps(figures, indent=2))


if __name__ == "__main__":
    main()
