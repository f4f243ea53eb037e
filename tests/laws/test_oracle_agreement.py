"""Law 3 at length: thousands of random queries, put to random sets on disk and to the naive oracle."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def test_the_store_agrees_with_the_oracle() -> None:
    script = ROOT / "benchmarks" / "oracle_agreement.py"
    done = subprocess.run(
        [sys.executable, str(script), "--operations", "20000"], capture_output=True, text=True, check=False, cwd=ROOT
    )
    assert done.returncode == 0, done.stderr or done.stdout
    figures = json.loads(done.stdout)
    assert figures["differences"] == 0
    assert figures["operations"] >= 20_000
