"""Run the benchmarks beside their peers and keep the raw figures, dated, in benchmarks/runs/.

    python benchmarks/run_all.py [--photos ../shared/photos]

Figures are only comparable inside one run: machines are shared and noisy. Read ratios and medians.
"""

from __future__ import annotations

import argparse
import json
import platform
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

HERE = Path(__file__).resolve().parent


def run(name: str, *arguments: str) -> object:
    """The JSON that a benchmark prints."""
    print(f"{name} ...", file=sys.stderr)
    done = subprocess.run([sys.executable, str(HERE / name), *arguments], check=True, stdout=subprocess.PIPE, text=True)
    return json.loads(done.stdout)


def main() -> None:
    """Run them one after the other, write one file for the day and hour."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--photos", default="../shared/photos", help="folder of real photographs")
    parser.add_argument("--keep", help="folder for the made photographs, used again")
    options = parser.parse_args()
    keep = ["--keep", options.keep] if options.keep else []
    figures = {
        "when": datetime.now(UTC).strftime("%Y-%m-%dT%H:%MZ"),
        "python": platform.python_version(),
        "walk_ntfs": run("walk_ntfs.py"),
        "examine_speed": run("examine_speed.py", options.photos),
        "scan_photos": run("scan_photos.py", "--photos", options.photos, *keep),
    }
    target = HERE / "runs" / f"{datetime.now(UTC):%Y-%m-%dT%H%MZ}.json"
    target.parent.mkdir(exist_ok=True)
    target.write_text(json.dumps(figures, indent=2) + "\n")
    print(target)


if __name__ == "__main__":
    main()
