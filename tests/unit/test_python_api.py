"""The documented Python interface: every block of its page runs, and the names it promises are there."""

from __future__ import annotations

import hashlib
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

import caid_triage as ct
from caid_triage.config import ScanOptions
from caid_triage.scan.run import SourceRequest, run_scan

PROJECT = Path(__file__).resolve().parents[2]
PAGE = PROJECT / "docs" / "guide" / "python-api.md"


def test_every_block_of_the_page_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys) -> None:
    monkeypatch.chdir(tmp_path)
    one = hashlib.md5(b"one").hexdigest()
    Path("samples.csv").write_text(f"md5,category,media_id,size\n{one},2,77,3\nnot-a-hash,1,78,4\n")
    Path("exhibit").mkdir()
    Path("exhibit", "one.txt").write_text("one")
    ct.build_hashset(["samples.csv"], "samples.chs")
    options = ScanOptions(executor="serial")
    run_scan([SourceRequest(Path("exhibit"), "E", "exhibit")], Path("case"), [Path("samples.chs")], options)
    blocks = re.findall(r"```python\n(.*?)```", PAGE.read_text(), re.DOTALL)
    assert len(blocks) >= 5
    namespace: dict[str, object] = {}
    for block in blocks:
        exec(compile(block, str(PAGE), "exec"), namespace)
    said = capsys.readouterr().out
    assert "1 records, 1 refused" in said
    assert "['2'] ['77'] [3]" in said
    assert "/one.txt exact md5 code 2 (scheme unknown)" in said


def test_every_public_name_is_there() -> None:
    for name in ct.__all__:
        assert getattr(ct, name) is not None
        assert name in dir(ct)
    with pytest.raises(AttributeError, match="no_such_name"):
        ct.no_such_name  # noqa: B018


@pytest.mark.parametrize("heavy", ["cv2", "sqlite3", "pytsk3", "ijson", "scipy"])
def test_importing_the_package_loads_nothing_heavy(heavy: str) -> None:
    code = f"import sys, caid_triage; sys.exit({heavy!r} in sys.modules)"
    assert subprocess.run([sys.executable, "-P", "-c", code], check=False, env=os.environ).returncode == 0
