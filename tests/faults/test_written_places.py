"""Nothing is ever written where a name on an exhibit says: only to the case and among temporary files."""

from __future__ import annotations

import base64
import csv
import io
import json
import os
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest
from support.cli import picture, run_command

MARK = "ESCAPED"
NAMES = (
    f"../../../{MARK}-up.jpg", f"/{MARK}-root.jpg", f"C:\\{MARK}-drive.jpg", f"C:{MARK}-relative.jpg",
    f"\\\\server\\share\\{MARK}-unc.jpg", f"//server/{MARK}-unc.jpg", f"..\\..\\{MARK}-back.jpg",
    f"a/../../{MARK}-in.jpg", f"CON/{MARK}.jpg", "NUL", "CON.jpg", "..", ".", f"{MARK}\0hidden.jpg",
    f"~/{MARK}-home.jpg", f"$HOME/{MARK}-var.jpg",
    f"file:///tmp/{MARK}-url.jpg", f"{MARK}" + "x" * 5000 + ".jpg", f"{MARK}\n.jpg", f"-{MARK}", f"{MARK}|id", " ",
)  # fmt: skip
# Every call that makes, moves or removes something, as Python's own audit events tell it (PEP 578).
WATCH = """
import json, os, sys
log = open(sys.argv.pop(1), "w")
CALLS = {"os.mkdir", "os.rename", "os.link", "os.symlink", "os.remove", "os.rmdir", "os.truncate", "os.chmod",
         "os.utime", "shutil.copyfile", "shutil.move", "tempfile.mkstemp", "tempfile.mkdtemp"}
def watch(event, args):
    if event == "open" and isinstance(args[0], (str, bytes)):
        flags = args[2] or 0
        writing = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND
        if flags & writing or set(args[1] or "") & set("wax+"):
            log.write(json.dumps([event, os.fsdecode(args[0])]) + "\\n")
    elif event in CALLS:
        log.write(json.dumps([event, *[os.fsdecode(a) for a in args if isinstance(a, (str, bytes))]]) + "\\n")
sys.addaudithook(watch)
from caid_triage.cli.main import main
main()
"""


@pytest.fixture
def exhibit(tmp_path: Path) -> Path:
    """Archives whose names lead out of any folder they would be unpacked to, of every kind that keeps such names."""
    folder = tmp_path / "place" / "of" / "exhibit"
    folder.mkdir(parents=True)
    content = picture("coast.jpg")
    with zipfile.ZipFile(folder / "names.zip", "w") as archive:
        for name in NAMES:
            entry = zipfile.ZipInfo("x")
            entry.filename = name
            archive.writestr(entry, content)
    with tarfile.open(folder / "names.tar", "w") as archive:
        for name in NAMES:
            member = tarfile.TarInfo(name)
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
        for kind, target in ((tarfile.SYMTYPE, "/etc/passwd"), (tarfile.LNKTYPE, f"../../{MARK}-target")):
            member = tarfile.TarInfo(f"{MARK}-link")
            member.type, member.linkname = kind, target
            archive.addfile(member)
        through = tarfile.TarInfo(f"{MARK}-link/through.jpg")
        through.size = len(content)
        archive.addfile(through, io.BytesIO(content))
    message = (
        "From: a@b.example\r\nTo: c@d.example\r\nSubject: names\r\nMIME-Version: 1.0\r\n"
        f'Content-Type: multipart/mixed; boundary="b"\r\n\r\n--b\r\nContent-Type: image/jpeg; name="../{MARK}.jpg"\r\n'
        f'Content-Disposition: attachment; filename="../../{MARK}-mail.jpg"\r\n'
        "Content-Transfer-Encoding: base64\r\n\r\n"
    )
    (folder / "mail.eml").write_bytes(message.encode() + base64.encodebytes(content) + b"\r\n--b--\r\n")
    return folder


def everything(folder: Path) -> dict[str, int]:
    """Every path below the folder and when it was last written to."""
    return {str(path): path.lstat().st_mtime_ns for path in folder.rglob("*")}


def test_no_call_names_a_place_that_an_exhibit_names(exhibit: Path, tmp_path: Path) -> None:
    for name in ("case", "temporary"):
        (tmp_path / name).mkdir()
    before = everything(tmp_path / "place")
    log = tmp_path / "calls"
    words = [sys.executable, "-c", WATCH, str(log), "scan", str(exhibit), "--case", str(tmp_path / "case")]
    environment = {**os.environ, "TMPDIR": str(tmp_path / "temporary"), "HOME": str(tmp_path / "home")}
    done = subprocess.run(
        [*words, "--executor", "serial", "--quiet"], capture_output=True, text=True, env=environment, check=False,
        timeout=300, cwd=tmp_path / "temporary",
    )  # fmt: skip
    assert done.returncode in (0, 3), done.stderr
    calls = [json.loads(line) for line in log.read_text().splitlines()]
    assert len(calls) > 20, "the calls were not seen: the test shows nothing"
    ours = (str(tmp_path / "case"), str(tmp_path / "temporary"), "/dev/")
    assert [
        call for call in calls if not all(path.startswith(ours) or not Path(path).is_absolute() for path in call[1:])
    ] == []
    assert [call for call in calls if any(MARK in path or ".." in path.split("/") for path in call[1:])] == []
    assert everything(tmp_path / "place") == before
    left = [path for path in everything(tmp_path) if MARK in path]
    assert left == []
    assert list((tmp_path / "temporary").iterdir()) == []
    with (tmp_path / "case" / "reports" / "files.csv").open(encoding="utf-8", newline="") as file:
        paths = [row["path"] for row in csv.DictReader(file) if row["state"] == "embedded"]
    for ending in ("-up.jpg", "-root.jpg", "-drive.jpg", "-unc.jpg", "-back.jpg", "-mail.jpg", "-home.jpg", "-url.jpg"):
        assert any(MARK + ending in path for path in paths), ending  # the names are there, as names
    assert all(path.startswith("/") and path.isprintable() for path in paths)


def test_workers_write_nothing_either_and_reports_have_names_of_their_own(exhibit: Path, tmp_path: Path) -> None:
    before = everything(tmp_path)
    case = tmp_path / "case"
    assert run_command("scan", exhibit, "--case", case, "--workers", 2, "--quiet").returncode in (0, 3)
    assert run_command("report", "--case", case).returncode == 0
    new = {path for path in everything(tmp_path) if path not in before}
    assert all(Path(path).is_relative_to(case) for path in new)
    assert not [path for path in new if MARK in path]
    assert {
        path: moment for path, moment in everything(tmp_path).items() if path in before and path != str(tmp_path)
    } == {path: moment for path, moment in before.items() if path != str(tmp_path)}
