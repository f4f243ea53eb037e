"""``export-media`` writes what the case says and nothing else, once somebody confirmed it, and puts it on record."""

from __future__ import annotations

import hashlib
import io
import json
import os
import stat
import zipfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NoReturn, TextIO
from unittest.mock import DEFAULT, Mock

import pytest
from click import Abort
from click.testing import CliRunner
from PIL import Image
from support.cli import vics_record, write_vics
from support.vics_rules import read_checked, read_rows

from caid_triage.case.store import open_case_for_writing
from caid_triage.case.view import CaseView, open_case
from caid_triage.cli import export_media as command
from caid_triage.cli.main import program
from caid_triage.config import ScanOptions
from caid_triage.errors import CaseError
from caid_triage.hashset.build import build_hashset
from caid_triage.report.verify import verify_case
from caid_triage.report.vics_json import write_exported_vics
from caid_triage.report.write import write_reports
from caid_triage.review import export
from caid_triage.review.export import export_path
from caid_triage.scan.run import run_scan
from caid_triage.scan.sources import SourceRequest


def drawing(shade: int) -> bytes:
    file = io.BytesIO()
    Image.radial_gradient("L").resize((200, 100)).point(lambda value: value * shade // 255).save(file, "PNG")
    return file.getvalue()


@pytest.fixture
def evidence(tmp_path: Path) -> Path:
    """Two pictures, one of them twice, a text, a damaged picture, and an archive with two more."""
    folder = tmp_path / "evidence"
    folder.mkdir()
    (folder / "one.png").write_bytes(drawing(255))
    (folder / "again.png").write_bytes(drawing(255))
    (folder / "two.png").write_bytes(drawing(200))
    (folder / "cut.png").write_bytes(drawing(150)[:-300])
    (folder / "text.txt").write_text("nothing to see")
    with zipfile.ZipFile(folder / "a.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("three.png", drawing(100))
        archive.writestr("../../etc/four.png", drawing(90))
    return folder


@pytest.fixture
def case_folder(evidence: Path, tmp_path: Path) -> Path:
    run_scan([SourceRequest(evidence, "EX/1", "evidence")], tmp_path / "case", [], ScanOptions(workers=1))
    return tmp_path / "case"


def run(case_folder: Path, out: Path, *options: str, typed: str = "") -> tuple[int, str]:
    words = ["export-media", "--case", str(case_folder), "--out", str(out), *options]
    result = CliRunner().invoke(program, words, input=typed)
    return result.exit_code, result.output


def written(out: Path) -> dict[str, bytes]:
    return {path.relative_to(out).as_posix(): path.read_bytes() for path in out.rglob("*") if path.is_file()}


def actions(case_folder: Path) -> list[dict[str, object]]:
    lines = map(json.loads, (case_folder / "audit.jsonl").read_bytes().splitlines())
    return [line for line in lines if str(line["action"]).startswith("media-export")]


def test_every_content_is_written_once_under_its_digest(case_folder: Path, evidence: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    code, said = run(case_folder, out, "--yes-i-am-authorised")
    assert code == 0, said
    found = written(out)
    manifest = found.pop("MANIFEST.sha256").decode()
    listed = hashlib.sha256(vics := found.pop("vics.json")).hexdigest()
    contents = [drawing(shade) for shade in (255, 200, 100, 90)] + [drawing(150)[:-300]]
    assert sorted(found) == sorted(export_path(hashlib.sha256(content).digest()) for content in contents)
    assert sorted(found.values()) == sorted(contents)
    assert manifest.splitlines() == [*(f"{name[3:]}  {name}" for name in sorted(found)), f"{listed}  vics.json"]
    began, ended = actions(case_folder)
    assert began["queues"] == ["known", "near", "new", "damaged"]
    assert (ended["files"], ended["bytes"], ended["not_written"]) == (5, sum(map(len, contents)), 0)
    assert ended["vics"] == listed
    assert vics.startswith(b'{"@odata.context":')
    assert not any(name[3:] in (case_folder / "audit.jsonl").read_text() for name in found)
    assert verify_case(case_folder) == []


def test_the_vics_case_beside_names_each_file_as_the_reports_do(case_folder: Path, tmp_path: Path) -> None:
    """Its Media are those of vics-new.json, numbered alike, and say where their file lies besides."""
    out = tmp_path / "out"
    assert run(case_folder, out, "--yes-i-am-authorised")[0] == 0
    (case,) = read_checked(out / "vics.json", exported=True)
    with open_case(case_folder) as view:
        write_reports(view, tmp_path / "reports", ["vics-new"])
    (expected,) = read_checked(tmp_path / "reports" / "vics-new.json")
    media = case.pop("Media")
    of_report = expected.pop("Media")
    assert case == expected
    assert [{**item, "RelativeFilePath": None} for item in media] == [
        {**item, "RelativeFilePath": None} for item in of_report
    ]
    assert all(item["RelativeFilePath"] == export_path(sha256(item)).replace("/", "\\") for item in media)
    rows = read_rows(out / "vics.json")
    assert {(row.md5, row.size) for row in rows} == {(bytes.fromhex(one["MD5"]), one["MediaSize"]) for one in media}


def sha256(item: dict[str, Any]) -> bytes:
    return bytes.fromhex(next(one["HashValue"] for one in item["AlternativeHashes"] if one["HashName"] == "SHA256"))


def test_the_same_export_twice_is_the_same_bytes(case_folder: Path, tmp_path: Path) -> None:
    for name in ("first", "second"):
        assert run(case_folder, tmp_path / name, "--yes-i-am-authorised")[0] == 0
    assert written(tmp_path / "first") == written(tmp_path / "second")


def test_a_known_content_of_two_exhibits_is_named_in_the_cases_of_those_that_were_asked_for(
    evidence: Path, tmp_path: Path
) -> None:
    other = tmp_path / "other"
    other.mkdir()
    (other / "copy.png").write_bytes(drawing(255))
    (other / "own.png").write_bytes(drawing(60))
    listed = write_vics(tmp_path / "set.json", [{**vics_record(7, drawing(255), 1), "SelfGenerated": True}])
    build_hashset([listed], tmp_path / "set.chs")
    exhibits = [SourceRequest(evidence, "EX/1", "evidence"), SourceRequest(other, "EX/2", "other")]
    folder = tmp_path / "case"
    run_scan(exhibits, folder, [tmp_path / "set.chs"], ScanOptions(workers=1))
    for name, options, expected in (
        ("one", ("--exhibit", "EX/2"), {"EX/2": 2}),
        ("all", (), {"EX/1": 5, "EX/2": 2}),
        ("known", ("--queue", "known"), {"EX/1": 1, "EX/2": 1}),
    ):
        assert run(folder, tmp_path / name, "--yes-i-am-authorised", *options)[0] == 0
        found = read_checked(tmp_path / name / "vics.json", exported=True)
        assert {case["CaseNumber"]: len(case["Media"]) for case in found} == expected
        assert {case["TotalPrecategorized"] for case in found} == {1}
    graded = [item for case in found for item in case["Media"]]
    assert [(item["Category"], item["SelfGenerated"]) for item in graded] == [(1, "true"), (1, "true")]
    assert len({item["RelativeFilePath"] for item in graded}) == 1
    assert [sorted(file["FileName"] for file in item["MediaFiles"]) for item in graded] == [
        ["again.png", "one.png"],
        ["copy.png"],
    ]


def test_endings_are_those_of_the_contents_and_given_only_on_request(
    case_folder: Path, evidence: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    assert run(case_folder, out, "--yes-i-am-authorised", "--endings")[0] == 0
    (case,) = read_checked(out / "vics.json", exported=True)
    assert {Path(item["RelativeFilePath"]).suffix for item in case["Media"]} == {".png"}
    assert actions(case_folder)[0]["endings"] is True


@pytest.mark.parametrize("fault", [KeyboardInterrupt(), OSError(28, "No space left on device")])
@pytest.mark.parametrize("moment", ["while contents are written", "while they are listed", "before the manifest"])
def test_an_export_that_is_stopped_leaves_no_list_of_files_that_are_not_there(
    case_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fault: BaseException, moment: str
) -> None:
    def stopped(*_: object, **__: object) -> NoReturn:
        raise fault

    def list_some(view: CaseView, out: TextIO, files: Mapping[bytes, str], exhibits: Sequence[str]) -> NoReturn:
        write_exported_vics(view, out, files, exhibits)
        raise fault

    if moment == "while contents are written":
        monkeypatch.setattr(export, "_put", Mock(wraps=export._put, side_effect=[DEFAULT, DEFAULT, fault]))
    elif moment == "while they are listed":
        monkeypatch.setattr(export, "write_exported_vics", list_some)
    else:
        monkeypatch.setattr(export, "manifest_text", stopped)
    out = tmp_path / "out"
    with open_case_for_writing(case_folder) as case:
        with pytest.raises(CaseError if isinstance(fault, OSError) else KeyboardInterrupt):
            export.export_media(case, out)
        assert not list(out.rglob("*.part"))
        assert not (out / "MANIFEST.sha256").exists()
        assert (out / "vics.json").exists() == (moment == "before the manifest")
    if moment == "before the manifest":
        read_checked(out / "vics.json", exported=True)
    ended = actions(case_folder)[-1]
    word = "failed" if isinstance(fault, OSError) else "interrupted"
    written_before = 2 if moment == "while contents are written" else 5
    assert (ended["action"], ended["files"]) == (f"media-export-{word}", written_before)
    monkeypatch.undo()
    code, said = run(case_folder, out, "--yes-i-am-authorised")
    assert (code, "not an empty folder" in said) == (2, True)
    assert run(case_folder, tmp_path / "again", "--yes-i-am-authorised")[0] == 0
    assert len(read_checked(tmp_path / "again" / "vics.json", exported=True)[0]["Media"]) == 5


def test_who_interrupts_is_told_that_the_folder_is_no_whole_export(
    case_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(export, "manifest_text", Mock(side_effect=KeyboardInterrupt))
    words = ["--case", str(case_folder), "--out", str(tmp_path / "out"), "--yes-i-am-authorised"]
    with pytest.raises(Abort):  # the whole program would end here
        command.export_media.main(words, standalone_mode=False)
    assert "is no whole export: delete it" in capsys.readouterr().err
    assert verify_case(case_folder) == []


def test_only_the_queues_and_exhibits_that_are_asked_for(case_folder: Path, tmp_path: Path) -> None:
    code, _ = run(case_folder, tmp_path / "out", "--yes-i-am-authorised", "--queue", "damaged", "--exhibit", "EX/1")
    assert code == 0
    assert len(written(tmp_path / "out")) == 3
    code, said = run(case_folder, tmp_path / "no", "--yes-i-am-authorised", "--exhibit", "EX/2")
    assert (code, "no exhibit EX/2" in said) == (2, True)


def test_a_content_that_changed_is_a_problem_and_not_written(case_folder: Path, evidence: Path, tmp_path: Path) -> None:
    (evidence / "two.png").write_bytes(drawing(201))
    (evidence / "one.png").write_bytes(drawing(202))  # the same content is in another file still
    with zipfile.ZipFile(evidence / "a.zip", "a") as archive:
        archive.writestr("five.png", b"more")
    out = tmp_path / "out"
    code, said = run(case_folder, out, "--yes-i-am-authorised")
    assert (code, "not written: 1" in said) == (3, True)
    names = written(out)
    assert export_path(hashlib.sha256(drawing(255)).digest()) in names
    assert not any(hashlib.sha256(drawing(shade)).hexdigest() in " ".join(names) for shade in (200, 201, 202))
    assert not any(name.endswith(".part") for name in names)
    (listed,) = read_checked(out / "vics.json", exported=True)
    assert len(listed["Media"]) == listed["TotalMediaFiles"] == len(names) - 2
    with open_case(case_folder) as view:
        (row,) = [row for row in view.problems() if row.step == "export"]
    assert (row.path, row.exhibit) == ("/two.png", "EX/1")
    assert row.code in {"export-differs", "export-unreadable"}
    assert actions(case_folder)[-1]["not_written"] == 1


def test_evidence_that_is_gone_is_a_problem_for_each_content(case_folder: Path, evidence: Path, tmp_path: Path) -> None:
    evidence.rename(tmp_path / "elsewhere")
    code, said = run(case_folder, tmp_path / "out", "--yes-i-am-authorised")
    assert (code, "not written: 5" in said) == (3, True)
    assert sorted(written(tmp_path / "out")) == ["MANIFEST.sha256", "vics.json"]
    assert [case["Media"] for case in read_checked(tmp_path / "out" / "vics.json", exported=True)] == [[]]


@pytest.mark.parametrize(("typed", "code"), [("EX/1\n", 0), ("EX/2\n", 2), ("yes\n", 2)])
def test_the_reference_has_to_be_typed(
    case_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, typed: str, code: int
) -> None:
    monkeypatch.setattr(command, "somebody_is_there", lambda: True)
    found, said = run(case_folder, tmp_path / "out", typed=typed)
    assert found == code, said
    assert (tmp_path / "out").exists() == (code == 0)
    assert bool(actions(case_folder)) == (code == 0)


def test_nothing_is_written_where_nobody_confirms_or_the_folder_is_not_free(
    case_folder: Path, evidence: Path, tmp_path: Path
) -> None:
    code, said = run(case_folder, tmp_path / "out")
    assert (code, "--yes-i-am-authorised" in said) == (2, True)
    for folder, why in (
        (case_folder / "out", "inside"),
        (evidence / "out", "inside"),
        (evidence, "not an empty folder"),
    ):
        code, said = run(case_folder, folder, "--yes-i-am-authorised")
        assert (code, why in said) == (2, True)
    assert not actions(case_folder)


def test_nobody_else_may_read_what_is_written_and_a_folder_filled_meanwhile_is_not_used(
    case_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = os.umask(0)
    try:
        assert run(case_folder, tmp_path / "out", "--yes-i-am-authorised")[0] == 0
    finally:
        os.umask(before)
    found = [tmp_path / "out", *(tmp_path / "out").rglob("*")]
    assert len(found) > 10
    assert not [path for path in found if stat.S_IMODE(path.stat().st_mode) & 0o077]

    def typed(_: str) -> str:
        (tmp_path / "filled").mkdir()
        (tmp_path / "filled" / "ab").symlink_to(tmp_path)
        return "EX/1"

    monkeypatch.setattr(command, "somebody_is_there", lambda: True)
    monkeypatch.setattr(command, "ask", typed)
    code, said = run(case_folder, tmp_path / "filled")
    assert (code, "not an empty folder" in said) == (2, True)
    assert len(actions(case_folder)) == 2
