"""Run the benchmarks beside their peers and keep the raw figures, dated, in benchmarks/runs/.

    python benchmarks/run_all.py [--photos ../shared/photos]         about half an hour
    python benchmarks/run_all.py --full --folder /var/tmp            the issues' sizes: hours, 20 GB of disk
    python benchmarks/run_all.py --only match_exact --only match_near

Figures are only comparable inside one run: machines are shared and noisy. Read ratios and medians; benchmarks/README.md
says what each figure is. A benchmark that fails is said to have failed, and the others run all the same.
"""

from __future__ import annotations

import argparse
import json
import platform
import subprocess
import sys
import time
from collections.abc import Sequence
from datetime import UTC, datetime
from importlib.util import find_spec
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
Job = tuple[str, str, list[str]]


def jobs(options: argparse.Namespace) -> list[Job]:
    """(name of the figures, script, arguments) of every benchmark, at the sizes asked for."""
    photos, full = ["--photos", options.photos], options.full
    keep = ["--keep", options.keep] if options.keep else []
    place = ["--folder", options.folder] if options.folder else []
    # faiss is a benchmark's dependency only (extra "bench"): without it ours runs beside brute force alone.
    flat = ["--peers", "flat" if find_spec("faiss") else "", *place]
    both = ["--peers", "flat,multihash" if find_spec("faiss") else "", *place]

    def size(small: int, large: int) -> str:
        return str(large if full else small)

    near: list[Job] = [
        (
            f"match_near_pdq_{data}",
            "match_near.py",
            ["--data", data, "--entries", size(200_000, 1_000_000), *photos, *both],
        )
        for data in ("uniform", "clustered", "adversarial")
    ]
    if full:
        near.append(("match_near_pdq_10m", "match_near.py", ["--entries", "10000000", *flat]))
    scale = ["--entries", size(5_000_000, 100_000_000), "--small", size(500_000, 10_000_000), *place]
    return [
        ("walk_ntfs", "walk_ntfs.py", []),
        ("slack", "slack.py", []),
        ("examine_speed", "examine_speed.py", [options.photos]),
        *([("video_speed", "video_speed.py", [options.videos])] if Path(options.videos).is_dir() else []),
        ("scan_photos", "scan_photos.py", [*photos, *keep]),
        ("known_good", "known_good.py", [*photos, "--count", size(80, 240), "--small", size(500, 1_500), *place]),
        ("rates", "rates.py", [*photos, "--scale", "1" if full else "0.3"]),
        ("layers_cost", "layers_cost.py", [*photos, "--count", size(100, 300), "--rounds", size(3, 5)]),
        ("audit_cost", "audit_cost.py", [*photos, "--records", size(20_000, 200_000)]),
        *([("report_page", "report_page.py", ["--hits", size(20_000, 100_000)])] if find_spec("playwright") else []),
        ("startup", "startup.py", ["--rounds", size(7, 15)]),
        (
            "scan_photos_camera_size",
            "scan_photos.py",
            [*photos, "--megapixels", "9", "--count", size(80, 400), "--one-worker"],
        ),
        (
            "robustness",
            "robustness.py",
            ["--source", "photographs", "as stated with them", options.photos, "--limit", size(8, 400)],
        ),
        ("match_exact", "match_exact.py", ["--entries", size(2_000_000, 10_000_000), *place]),
        ("share_pages", "share_pages.py", ["--entries", size(2_000_000, 10_000_000), *place]),
        *near,
        (
            "match_near_phash",
            "match_near.py",
            ["--kind", "phash", "--radius", "8", "--entries", size(1_000_000, 10_000_000), *flat],
        ),
        ("match_near_photodna", "match_near.py", ["--kind", "photodna", "--entries", size(100_000, 1_000_000), *flat]),
        ("build_scale", "build_scale.py", scale),
        ("oracle_agreement", "oracle_agreement.py", ["--operations", size(100_000, 2_000_000)]),
        ("import_sets", "import_sets.py", ["--vics", size(100_000, 1_000_000), "--nsrl", size(200_000, 1_000_000)]),
        ("at_rest", "at_rest.py", ["--entries", size(500_000, 2_000_000)]),
        ("report_scale", "report_scale.py", ["--files", size(50_000, 200_000), *place]),
        ("quick_first_hit", "quick_first_hit.py", ["--files", size(5_000, 200_000), *place]),
        ("batch_queue", "batch_queue.py", ["--rounds", size(1, 3)]),
        ("sampling", "sampling.py", ["--seeds", size(5, 100), "--virtual", size(200, 10_000), *photos, *place]),
        ("block_search", "block_search.py", ["--mib", size(128, 512), "--rounds", size(1, 3)]),
        *(
            [("dask_overhead", "dask_overhead.py", [*photos, "--copies", "--count", size(120, 480), "--rounds", "3"])]
            if find_spec("distributed")
            else []
        ),
        *(
            [("unit_memory", "unit_memory.py", ["--digests", size(200_000, 10_000_000), *place])]
            if find_spec("psycopg")
            else []
        ),
    ]


def run(script: str, arguments: Sequence[str], limit: float) -> dict[str, Any]:
    """The JSON that a benchmark prints, or why there is none; and how long it took."""
    began = time.monotonic()
    try:
        done = subprocess.run(
            [sys.executable, str(HERE / script), *arguments], capture_output=True, text=True, timeout=limit, check=False
        )
    except subprocess.TimeoutExpired:
        return {"failed": f"stopped after {limit:.0f} s", "arguments": list(arguments)}
    figures: dict[str, Any] = {"seconds": round(time.monotonic() - began, 1), "arguments": list(arguments)}
    try:
        figures["figures"] = json.loads(done.stdout)
    except ValueError:
        figures["failed"] = (done.stderr.strip().splitlines() or ["it printed nothing"])[-1]
    if done.returncode and "failed" not in figures:
        figures["failed"] = f"exit code {done.returncode}"
    return figures


def main() -> int:
    """Run them one after the other, write one file for the day and hour; 1 if one failed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--videos",
        default=str(HERE.parent.parent / "shared" / "video"),
        help="folder of video clips, if there",
    )
    parser.add_argument(
        "--photos", default=str(HERE.parent.parent / "shared" / "photos"), help="folder of real photographs"
    )
    parser.add_argument("--keep", help="folder for the made photographs, used again")
    parser.add_argument("--folder", help="where hash sets are made (default: the temporary folder)")
    parser.add_argument("--full", action="store_true", help="the sizes of the issues; hours")
    parser.add_argument("--only", action="append", metavar="NAME", help="those whose name begins so; may be repeated")
    parser.add_argument("--limit", type=float, help="seconds for each (default: 600, or with --full 7,200)")
    options = parser.parse_args()
    limit = options.limit or (7_200 if options.full else 600)
    chosen = [job for job in jobs(options) if not options.only or job[0].startswith(tuple(options.only))]
    if not chosen:
        parser.error("no benchmark of that name: " + ", ".join(name for name, *_ in jobs(options)))
    figures: dict[str, Any] = {
        "when": datetime.now(UTC).strftime("%Y-%m-%dT%H:%MZ"),
        "python": platform.python_version(),
        "full": options.full,
    }
    for name, script, arguments in chosen:
        print(f"{name} ...", file=sys.stderr, flush=True)
        figures[name] = run(script, arguments, limit)
        print(
            f"{name}: {figures[name].get('failed') or str(figures[name]['seconds']) + ' s'}",
            file=sys.stderr,
            flush=True,
        )
    target = HERE / "runs" / f"{datetime.now(UTC):%Y-%m-%dT%H%MZ}-all.json"
    target.parent.mkdir(exist_ok=True)
    target.write_text(json.dumps(figures, indent=1) + "\n")
    print(target)
    return 1 if any("failed" in figures[name] for name, *_ in chosen) else 0


if __name__ == "__main__":
    sys.exit(main())
