"""``caid-triage scan`` as other programs use it: reports, exit codes, resuming, progress."""

from __future__ import annotations

import csv
import hashlib
import json
import re
import shutil
import signal
import sqlite3
import subprocess
import sys
import time
from pathlib import Path

import pytest
from support.cli import FILES_COLUMNS, MATCH_COLUMNS, comparable_reports, many_pictures, vics_record, write_vics

from caid_triage.case.store import open_case_for_writing
from caid_triage.model import SourceInfo

EXPECTED = {
    ("/DCIM/coast.jpg", "allocated", "1"),
    ("/DCIM/marble.txt", "allocated", "3"),
}


def rows(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def test_the_main_job(run, small, tmp_path) -> None:
    case = tmp_path / "case"
    before = hashlib.sha256(small.image.read_bytes()).hexdigest(), small.image.stat()
    done = run("scan", small.image, "--case", case, "--hashset", small.hashset, "--exhibit", "ABC/1", "--workers", 2)
    assert done.returncode == 0, done.stderr
    assert "Known material found: YES" in done.stdout
    reports = case / "reports"
    assert str(reports / "report.html") in done.stdout
    found = rows(reports / "matches.csv")
    assert list(found[0])[: len(MATCH_COLUMNS)] == MATCH_COLUMNS
    exact = {(row["path"], row["state"], row["category_code"]) for row in found if row["match_kind"] == "exact"}
    assert exact >= EXPECTED
    assert {(path.lower()[-6:], state, code) for path, state, code in exact if state != "allocated"} == {
        ("wn.jpg", "deleted", "2")
    }
    assert {row["exhibit"] for row in found} == {"ABC/1"}
    assert {row["algorithm"] for row in found if row["match_kind"] == "exact"} == {"sha1"}
    files = rows(reports / "files.csv")
    assert list(files[0])[: len(FILES_COLUMNS)] == FILES_COLUMNS
    assert next(row for row in files if row["path"] == "/DCIM/marble.txt")["media_type"] == "image/jpeg"
    summary = json.loads((reports / "summary.json").read_text())
    assert summary["walked"] == summary["examined"] == summary["stored"] == len(files)
    after = hashlib.sha256(small.image.read_bytes()).hexdigest(), small.image.stat()
    assert after[0] == before[0]
    assert (after[1].st_mtime_ns, after[1].st_size) == (before[1].st_mtime_ns, before[1].st_size)
    assert run("verify", case).returncode == 0


def test_the_same_reports_from_any_executor(run, small, tmp_path) -> None:
    written = []
    for name, options in {
        "one": ["--workers", "1"],
        "three": ["--workers", "3"],
        "serial": ["--executor", "serial"],
    }.items():
        case = tmp_path / name
        done = run("scan", small.image, "--case", case, "--hashset", small.hashset, *options, "--quiet")
        assert done.returncode == 0, done.stderr
        written.append(comparable_reports(case / "reports"))
    assert written[0] == written[1] == written[2]
    assert set(written[0]) >= {"files.csv", "matches.csv", "problems.csv", "summary.json", "vics.json", "report.html"}


def wait_for_some_records(case: Path, process: subprocess.Popen[str]) -> None:
    for _ in range(400):
        if process.poll() is not None:
            return
        try:
            with sqlite3.connect(f"file:{case / 'case.db'}?mode=ro", uri=True) as database:
                if database.execute("SELECT count(*) FROM entry").fetchone()[0]:
                    return
        except sqlite3.OperationalError:
            pass
        time.sleep(0.02)


@pytest.mark.slow
@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="kills with a POSIX signal")
def test_a_killed_scan_resumes_to_the_same_reports(run, small, tmp_path) -> None:
    folder = tmp_path / "exhibit"
    folder.mkdir()
    many_pictures(folder, 400)
    arguments = ["scan", str(folder), "--hashset", str(small.hashset), "--workers", "2", "--quiet", "--case"]
    calm = tmp_path / "calm"
    assert run(*arguments, calm).returncode == 0
    case = tmp_path / "killed"
    kills = 0
    for _ in range(3):
        process = subprocess.Popen(
            [sys.executable, "-m", "caid_triage", *arguments, str(case)],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
        )
        wait_for_some_records(case, process)
        if process.poll() is None:
            process.send_signal(signal.SIGKILL)
            kills += 1
        process.communicate()
    assert kills, "the scan was never killed: the test shows nothing"
    done = run(*arguments, case)
    assert done.returncode == 0, done.stderr
    assert comparable_reports(case / "reports") == comparable_reports(calm / "reports")


@pytest.mark.skipif(sys.platform == "win32", reason="sends SIGINT to one process")
def test_an_interrupted_scan_ends_with_130_and_resumes(run, small, tmp_path) -> None:
    folder = tmp_path / "exhibit"
    folder.mkdir()
    many_pictures(folder, 400)
    case = tmp_path / "case"
    command = [sys.executable, "-m", "caid_triage", "scan", str(folder), "--case", str(case), "--workers", "1"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    wait_for_some_records(case, process)
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 130, errors
    assert "interrupted" in errors
    assert run(*command[3:]).returncode == 0
    audit = [json.loads(line)["action"] for line in (case / "audit.jsonl").read_text().splitlines()]
    assert "scan-interrupted" in audit
    assert audit[-6:] == ["scan-finished", "closed", "opened", "reports-began", "reports-written", "closed"]


def test_a_changed_source_is_not_resumed_into_the_same_case(run, small, tmp_path) -> None:
    folder = tmp_path / "exhibit"
    folder.mkdir()
    (folder / "b.txt").write_text("one")
    case = tmp_path / "case"
    assert run("scan", folder, "--case", case).returncode == 0
    (folder / "a.txt").write_text("a new file, so the numbers move")
    done = run("scan", folder, "--case", case)
    assert done.returncode == 6
    assert "changed" in done.stderr


def test_json_progress_is_json_lines_only(run, small, tmp_path) -> None:
    done = run("scan", small.image, "--case", tmp_path / "case", "--hashset", small.hashset, "--json-progress")
    assert done.returncode == 0, done.stderr
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    assert lines[-1]["event"] == "finished"
    assert lines[-1]["exit_code"] == 0
    progress = [line for line in lines if line["event"] == "progress"]
    assert progress
    assert progress[-1]["files"] == lines[-1]["stored"]
    assert sum(progress[-1]["hits"].values()) == 3


def test_plain_progress_when_piped_names_no_path_and_no_hash(run, small, tmp_path) -> None:
    done = run("scan", small.image, "--case", tmp_path / "case", "--hashset", small.hashset)
    assert "files" in done.stderr
    assert "time left" in done.stderr
    assert "DCIM" not in done.stderr + done.stdout
    audit = (tmp_path / "case" / "audit.jsonl").read_text()
    assert "DCIM" not in audit
    for text in (done.stderr, done.stdout):
        assert not re.search(r"\b[0-9a-fA-F]{32,}\b", text)
    listed = {record["MD5"] for record in json.loads(small.vics.read_text())["value"]}
    assert not any(md5.lower() in audit.lower() for md5 in listed)


def test_several_sources_of_one_name_stay_apart(run, small, tmp_path) -> None:
    copy = tmp_path / "again" / small.image.name
    copy.parent.mkdir()
    shutil.copy(small.image, copy)
    case = tmp_path / "case"
    done = run(
        "scan", small.image, copy, "--case", case, "--exhibit", "A", "--exhibit", "B", "--hashset", small.hashset
    )
    assert done.returncode == 0, done.stderr
    found = rows(case / "reports" / "files.csv")
    assert {(row["exhibit"], row["source"]) for row in found} == {("A", "small.dd"), ("B", "small.dd (2)")}


def test_an_exhibit_that_was_stopped_keeps_a_case_from_being_called_complete(run, small, tmp_path) -> None:
    case = tmp_path / "case"
    assert run("scan", small.image, "--case", case, "--exhibit", "A/1", "--quiet").returncode == 0
    with open_case_for_writing(case) as opened:  # as a scan leaves it that is interrupted before its source's end
        opened.add_source(SourceInfo("B/2", "other.dd", "raw", 1024), {})
    done = run("scan", small.image, "--case", case, "--exhibit", "A/1", "--quiet")
    assert done.returncode == 3
    assert "NOT COMPLETE: the scan of other.dd, exhibit B/2, was stopped" in done.stdout
    assert "The scan is not complete" in (case / "reports" / "report.html").read_text()


def test_one_image_under_two_references_is_told(run, small, tmp_path) -> None:
    case = tmp_path / "case"
    first = run("scan", small.image, "--case", case, "--exhibit", "A/1", "--quiet").stdout
    done = run("scan", small.image, "--case", case, "--exhibit", "A/l", "--quiet")
    assert done.returncode == 0
    assert "counted more than once" not in first
    assert "as exhibit A/1 and as exhibit A/l: if that is one disk, its files are counted more than once" in done.stdout
    stored = int(re.search(r"stored ([\d,]+)$", first, re.MULTILINE)[1].replace(",", ""))
    assert f"stored {stored} by this run, {2 * stored} in the whole case" in done.stdout


def test_one_bad_source_does_not_stop_the_others(run, small, tmp_path) -> None:
    case = tmp_path / "case"
    done = run("scan", tmp_path / "nothing.dd", small.image, "--case", case, "--hashset", small.hashset)
    assert done.returncode == 4
    assert "nothing.dd" in done.stderr
    assert rows(case / "reports" / "matches.csv")
    assert "source-not-opened" in {row["code"] for row in rows(case / "reports" / "problems.csv")}


def test_a_new_release_of_a_set_is_matched_without_the_exhibit(run, small, tmp_path) -> None:
    image = tmp_path / "gone.dd"
    shutil.copy(small.image, image)
    case = tmp_path / "case"
    assert run("scan", image, "--case", case, "--hashset", small.hashset).returncode == 0
    image.unlink()
    newer = write_vics(tmp_path / "newer.json", [vics_record(9, b"milk, bread\n", 1)])
    assert run("hashset", "build", newer, "--out", tmp_path / "newer.chs").returncode == 0
    done = run("match", "--case", case, "--hashset", tmp_path / "newer.chs")
    assert done.returncode == 0, done.stderr
    assert "new matches: 1" in done.stdout
    found = rows(case / "reports" / "matches.csv")
    assert ("/notes.txt", "newer") in {(row["path"], row["hashset"]) for row in found}
    assert {row["hashset"] for row in found} == {"set", "newer"}


def test_resuming_without_the_hash_set_is_refused(run, small, tmp_path) -> None:
    case = tmp_path / "case"
    assert run("scan", small.image, "--case", case, "--hashset", small.hashset).returncode == 0
    done = run("scan", small.image, "--case", case)
    assert done.returncode == 6
    assert "set" in done.stderr


def test_a_console_that_is_not_utf8(run, tmp_path) -> None:
    folder = tmp_path / "b\u00fccher-\u65e5\u672c"
    folder.mkdir()
    (folder / "\u65e5.txt").write_text("x")
    environment = {"PYTHONIOENCODING": "ascii", "LC_ALL": "C", "PYTHONUTF8": "0"}
    done = run("scan", folder, "--case", tmp_path / "\u65e5\u672c", env=environment)
    assert done.returncode == 0, done.stderr
    assert "report: " in done.stdout
    assert done.stdout.isascii()


def test_a_case_inside_the_exhibit_is_refused(run, tmp_path) -> None:
    (tmp_path / "a.txt").write_text("x")
    done = run("scan", tmp_path, "--case", tmp_path / "case")
    assert done.returncode == 2
    assert "inside" in done.stderr
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.txt"]


def test_secrets_open_an_encrypted_volume_and_stay_nowhere(run, small, tmp_path) -> None:
    if shutil.which("cryptsetup") is None or shutil.which("qemu-img") is None:
        pytest.skip("cryptsetup and qemu-img, which make and fill LUKS volumes, are not both installed")
    secret = "ein sehr geheimes Wort"
    disk = tmp_path / "locked.raw"
    disk.write_bytes(bytes(small.image.stat().st_size + (2 << 20)))
    fill = ["qemu-img", "convert", "-n", "--object", f"secret,id=s,data={secret}", "--image-opts"]
    fill += [f"driver=raw,file.filename={small.image}", "--target-image-opts"]
    fill += [f"driver=luks,key-secret=s,file.filename={disk}"]
    lock = ["cryptsetup", "-q", "luksFormat", "--type", "luks1", "--pbkdf-force-iterations", "1000", str(disk), "-"]
    for command in (lock, fill):
        made = subprocess.run(command, input=secret.encode(), capture_output=True, check=False, timeout=120)
        if made.returncode:
            pytest.skip(f"no LUKS volume can be made in a file here: {made.stderr.decode()}")
    words = tmp_path / "secrets.txt"
    words.write_text(f"another password\n{secret}\n")
    given = ["--hashset", small.hashset, "--exhibit", "ABC/1", "--workers", 1]
    case = tmp_path / "case"
    done = run("scan", disk, "--case", case, "--password-file", words, *given)
    assert done.returncode == 0, done.stderr
    assert "Known material found: YES" in done.stdout
    assert "unlocking p0: 0 of 2 secrets tried" in done.stderr
    files = rows(case / "reports" / "files.csv")
    assert {row["volume"].split("/")[:2][1] for row in files} == {"luks"}
    found = {(row["path"], row["state"], row["category_code"]) for row in rows(case / "reports" / "matches.csv")}
    assert found >= EXPECTED
    kept = [path.read_bytes() for path in case.rglob("*") if path.is_file()]
    assert len(kept) > 5
    assert not any(secret.encode() in content or b"another password" in content for content in kept)
    assert secret not in done.stdout + done.stderr
    audit = (case / "audit.jsonl").read_text()
    assert '"secrets":2' in audit.replace(" ", "")
    assert '"unlocked":["p0"]' in audit.replace(" ", "")
    assert run("verify", case).returncode == 0
    # with other secrets it would be another source: refused, and the case is as it was
    again = run("scan", disk, "--case", case, *given)
    assert again.returncode == 6
    assert "--password-file" in again.stderr
    words.write_text("another password\n")
    for name, more in (("no secret", []), ("a wrong one", ["--password-file", words, "--json-progress"])):
        locked = run("scan", disk, "--case", tmp_path / name, *given, *more)
        assert locked.returncode == 3
        assert [row["code"] for row in rows(tmp_path / name / "reports" / "problems.csv")] == ["volume-encrypted"]
    events = [json.loads(line) for line in locked.stdout.splitlines()]
    assert ("unlocking p0", 1, 0) in [(e.get("stage"), e.get("secrets"), e.get("secrets_tried")) for e in events]
    kept = [path.read_bytes() for path in (tmp_path / "a wrong one").rglob("*") if path.is_file()]
    assert not any(b"another password" in content for content in kept)


def test_a_password_file_that_cannot_be_used_is_a_usage_error(run, small, tmp_path) -> None:
    words = tmp_path / "secrets.txt"
    words.write_bytes(b"\n")
    done = run("scan", small.image, "--case", tmp_path / "case", "--hashset", small.hashset, "--password-file", words)
    assert done.returncode == 2
    assert "holds no secret" in done.stderr
    assert not (tmp_path / "case").exists()
