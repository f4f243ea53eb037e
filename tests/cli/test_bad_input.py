"""Bad input: one clear sentence that names what is wrong, the documented exit code, nothing lost."""

from __future__ import annotations

import os
import shutil
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest
from support.cli import write_vics


def refused(done: subprocess.CompletedProcess[str], code: int, *words: str) -> None:
    """The command ended with ``code`` and one sentence that holds ``words``; no traceback."""
    assert done.returncode == code, (done.returncode, done.stdout, done.stderr)
    assert "Traceback" not in done.stderr
    assert "a bug of ours" not in done.stderr
    for word in words:
        assert word in done.stderr, done.stderr


def test_no_such_file(run, tmp_path) -> None:
    refused(run("scan", tmp_path / "none.dd", "--case", tmp_path / "case"), 4, "none.dd")
    assert not (tmp_path / "case").exists(), "a case was made for nothing"


def test_an_empty_file(run, tmp_path) -> None:
    (tmp_path / "empty.dd").touch()
    refused(run("scan", tmp_path / "empty.dd", "--case", tmp_path / "case"), 4, "empty.dd", "empty")


def test_a_text_file_as_an_image(run, tmp_path) -> None:
    (tmp_path / "letter.txt").write_text("Dear Sir,\n" * 500)
    refused(run("scan", tmp_path / "letter.txt", "--case", tmp_path / "case"), 4, "letter.txt")


def test_a_truncated_e01(run, shared, tmp_path) -> None:
    whole = (shared / "images" / "nps-2010-emails.E01").read_bytes()
    cut = tmp_path / "cut.E01"
    cut.write_bytes(whole[: len(whole) // 2])
    done = run("scan", cut, "--case", tmp_path / "case")
    assert done.returncode in (3, 4), done.stderr
    if done.returncode == 4:
        refused(done, 4, "cut.E01")
    else:
        problems = (tmp_path / "case" / "reports" / "problems.csv").read_text()
        assert problems.count("\n") > 1, "a cut image gave no problem"


def test_a_missing_second_segment(run, shared, tmp_path) -> None:
    shutil.copy(shared / "images" / "image-split.E01", tmp_path / "image-split.E01")
    refused(run("scan", tmp_path / "image-split.E01", "--case", tmp_path / "case"), 4, "image-split.E02")


def test_a_hash_set_that_is_not_json(run, tmp_path) -> None:
    good = write_vics(tmp_path / "broken.json", [{"MD5": "0" * 31 + "1", "Category": 1}]).read_text()
    (tmp_path / "broken.json").write_text(good[:-4] + '"oops')
    done = run("hashset", "build", tmp_path / "broken.json", "--out", tmp_path / "out.chs")
    refused(done, 5, "broken.json", "byte ")
    assert not (tmp_path / "out.chs").exists()


def test_no_hash_set_there(run, small, tmp_path) -> None:
    done = run("scan", small.image, "--case", tmp_path / "case", "--hashset", tmp_path / "none.chs")
    refused(done, 5, "none.chs")
    assert not (tmp_path / "case").exists()


def test_a_json_file_given_as_a_built_set(run, small, tmp_path) -> None:
    done = run("scan", small.image, "--case", tmp_path / "case", "--hashset", small.vics)
    refused(done, 5, small.vics.name, "hashset build")


def test_a_case_of_a_newer_version(run, small, tmp_path) -> None:
    case = tmp_path / "case"
    assert run("scan", small.image, "--case", case).returncode == 0
    database = sqlite3.connect(case / "case.db")
    database.execute("PRAGMA user_version = 999")
    database.close()
    for command in (["scan", small.image], ["report"], ["match", "--hashset", small.hashset]):
        refused(run(*command, "--case", case), 6, "newer")


def test_a_folder_that_holds_something_else(run, small, tmp_path) -> None:
    (tmp_path / "holiday.txt").write_text("x")
    refused(run("scan", small.image, "--case", tmp_path), 6, "not empty")


def test_a_case_in_use(run, small, tmp_path) -> None:
    case = tmp_path / "case"
    assert run("scan", small.image, "--case", case).returncode == 0
    code = (
        "import sys, pathlib\nfrom caid_triage.case.store import open_case_for_writing\n"
        "with open_case_for_writing(pathlib.Path(sys.argv[1])):\n    print('open', flush=True)\n    sys.stdin.read()\n"
    )
    holder = subprocess.Popen(
        [sys.executable, "-c", code, str(case)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert holder.stdout is not None
    assert holder.stdout.readline() == "open\n"
    refused(run("scan", small.image, "--case", case), 6, "in use")
    holder.communicate("")
    assert run("scan", small.image, "--case", case).returncode == 0


@pytest.mark.skipif(
    sys.platform != "linux" or os.geteuid() != 0, reason="mounts a small tmpfs, which needs root on Linux"
)
def test_no_space_left(run, small, tmp_path) -> None:
    disk = tmp_path / "disk"
    disk.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=200k", "none", str(disk)], check=False).returncode:
        pytest.skip("this machine does not let root mount a tmpfs")
    ran_out = 0
    try:
        # Where it runs out differs with the size: while the case is made, in a batch, in a report.
        for size in (16, 64, 128, 160, 200, 260):
            subprocess.run(["mount", "-o", f"remount,size={size}k", str(disk)], check=True)
            done = run("scan", small.image, "--case", disk / "case", "--hashset", small.hashset)
            if done.returncode:
                refused(done, 6, "space")
                ran_out += 1
        assert ran_out >= 2, "the disk was never full: the test shows nothing"
        subprocess.run(["mount", "-o", "remount,size=20m", str(disk)], check=True)
        done = run("scan", small.image, "--case", disk / "case", "--hashset", small.hashset)
        assert done.returncode == 0, done.stderr
        assert len((disk / "case" / "reports" / "matches.csv").read_text().splitlines()) == 4
    finally:
        subprocess.run(["umount", str(disk)], check=True)


@pytest.mark.parametrize(
    "arguments",
    [
        ["scan"],
        ["scan", "x.dd"],
        ["scan", "x.dd", "--case", "c", "--workers", "0"],
        ["scan", "x.dd", "--case", "c", "--executor", "magic"],
        ["scan", "x.dd", "y.dd", "z.dd", "--case", "c", "--exhibit", "1", "--exhibit", "2"],
        ["scan", "x.dd", "--case", "c", "--exhibit", ""],
        ["scan", "x.dd", "--case", "c", "--exhibit", "ABC\n1"],
        ["scan", "x.dd", "--case", "c", "--exhibit", "A" * 201],
        ["hashset", "build", "--out", "x.chs"],
        ["nonsense"],
    ],
)
def test_usage(run, tmp_path, arguments) -> None:
    done = run(*arguments, cwd=tmp_path)
    assert done.returncode == 2
    assert done.stderr
    assert not list(tmp_path.iterdir())


def test_an_unwritable_report_folder(run, small, tmp_path) -> None:
    case = tmp_path / "case"
    assert run("scan", small.image, "--case", case).returncode == 0
    (tmp_path / "out").write_text("a file where a folder should be")
    refused(run("report", "--case", case, "--out", tmp_path / "out"), 6, "out")


def test_a_tampered_case_does_not_verify(run, small, tmp_path) -> None:
    case = tmp_path / "case"
    assert run("scan", small.image, "--case", case, "--hashset", small.hashset).returncode == 0
    report = case / "reports" / "matches.csv"
    report.write_text(report.read_text().replace("coast", "roast"))
    refused(run("verify", case), 7, "matches.csv")
    assert run("report", "--case", case).returncode == 0
    assert run("verify", case).returncode == 0
    audit = case / "audit.jsonl"
    audit.write_text(audit.read_text().replace('"workers"', '"wonkers"'))
    refused(run("verify", case), 7, "audit")


def test_a_damaged_picture_makes_exit_3_and_a_row(run, small, tmp_path) -> None:
    from support.cli import picture

    folder = tmp_path / "exhibit"
    folder.mkdir()
    (folder / "cut.jpg").write_bytes(picture("town.jpg")[:9000])
    done = run("scan", folder, "--case", tmp_path / "case")
    assert done.returncode == 3, done.stdout
    assert "/cut.jpg" in (tmp_path / "case" / "reports" / "problems.csv").read_text()


def test_a_source_given_twice(run, small, tmp_path) -> None:
    again = small.image.parent / ".." / small.image.parent.name / small.image.name
    refused(run("scan", small.image, again, "--case", tmp_path / "case"), 2, "twice")
    assert not (tmp_path / "case").exists()


def names_of(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_a_refused_build_leaves_the_old_set(run, small, tmp_path) -> None:
    out = tmp_path / "set.chs"
    assert run("hashset", "build", small.vics, "--out", out).returncode == 0
    before = names_of(out)
    (tmp_path / "bad.json").write_text("not json at all")
    refused(run("hashset", "build", tmp_path / "bad.json", "--out", out), 5, "bad.json")
    assert names_of(out) == before
    assert names_of(tmp_path) == ["bad.json", "set.chs"]
    assert run("hashset", "verify", out).returncode == 0
