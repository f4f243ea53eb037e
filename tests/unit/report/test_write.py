"""Writing reports: byte-identical again, whole or not at all, and covered by the manifest."""

from __future__ import annotations

import errno
import hashlib
import html
import json
import os
import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO, NoReturn

import pytest
from unit.case import samples
from unit.report import exhibits

from caid_triage.case.rows import CaseHeader
from caid_triage.case.store import create_case
from caid_triage.case.view import CaseView, open_case
from caid_triage.errors import CaseError, UsageError, VerificationError
from caid_triage.report import write as write_module
from caid_triage.report.manifest import verify_manifest
from caid_triage.report.write import ALL, FORMATS, Format, write_reports

NAMES = ["report.html", "summary.json", "vics.json", "MANIFEST.sha256"]
NAMES += ["matches.csv", "files.csv", "problems.csv", "ledger.csv", "metadata.csv"]


@pytest.fixture
def reports(tmp_path: Path) -> Iterator[Path]:
    folder = exhibits.make_case(tmp_path / "case", exhibits.busy_items())
    with open_case(folder) as view:
        write_reports(view, folder / "reports")
    return folder / "reports"


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def test_all_reports_are_written_and_nothing_else(reports: Path) -> None:
    assert sorted(contents(reports)) == sorted(NAMES)


def test_the_same_material_gives_the_same_bytes_in_another_place_and_other_batches(
    reports: Path, tmp_path: Path
) -> None:
    built_later = {**samples.NOTABLE, "built": "2027-01-01T00:00:00Z"}
    folder = exhibits.make_case(
        tmp_path / "elsewhere" / "other name", exhibits.busy_items(), batch=3, hashsets=(built_later,)
    )
    with open_case(folder) as view:
        write_reports(view, tmp_path / "out")
    assert contents(tmp_path / "out") == contents(reports)


def test_another_run_time_changes_one_line_of_the_page_and_two_keys_of_the_summary(
    reports: Path, tmp_path: Path
) -> None:
    later = exhibits.STARTED.replace(day=23)
    folder = exhibits.make_case(tmp_path / "later", exhibits.busy_items(), started=later)
    with open_case(folder) as view:
        write_reports(view, tmp_path / "out")
    before, after = contents(reports), contents(tmp_path / "out")
    changed = {name for name in before if before[name] != after[name]}
    assert changed == {"report.html", "summary.json", "MANIFEST.sha256"}
    lines = zip(before["report.html"].splitlines(), after["report.html"].splitlines(), strict=True)
    different = [old for old, new in lines if old != new]
    assert len(different) == 1
    assert b'id="run-times"' in different[0]
    old, new = json.loads(before["summary.json"]), json.loads(after["summary.json"])
    assert {key for key in old if old[key] != new[key]} == {"started", "finished"}


def test_no_report_names_the_case_folder(reports: Path, tmp_path: Path) -> None:
    for name, content in contents(reports).items():
        assert str(tmp_path).encode() not in content, name


def test_the_manifest_covers_every_report_and_notices_a_change(reports: Path) -> None:
    listed = dict(reversed(line.split("  ")) for line in (reports / "MANIFEST.sha256").read_text().splitlines())
    assert list(listed) == sorted(set(NAMES) - {"MANIFEST.sha256"})
    assert listed == {name: hashlib.sha256((reports / name).read_bytes()).hexdigest() for name in listed}
    assert verify_manifest(reports) == []
    (reports / "files.csv").write_text("less")
    (reports / "vics.json").unlink()
    (reports / "extra.txt").write_text("more")
    assert verify_manifest(reports) == [
        "files.csv is not as it was written",
        "vics.json is missing",
        "extra.txt is not in MANIFEST.sha256",
    ]


def test_a_folder_without_a_manifest_cannot_be_verified(tmp_path: Path) -> None:
    with pytest.raises(VerificationError, match="no MANIFEST"):
        verify_manifest(tmp_path)


def test_a_damaged_manifest_is_noticed(reports: Path) -> None:
    (reports / "MANIFEST.sha256").write_text("../../etc\n")
    assert verify_manifest(reports)[0] == "line 1 of MANIFEST.sha256 is not a digest and a name"


def test_one_format_again_keeps_the_others_in_the_manifest(reports: Path) -> None:
    with open_case(reports.parent) as view:
        paths = write_reports(view, reports, ["vics", "vics"])
    assert [path.name for path in paths] == ["vics.json", "MANIFEST.sha256"]
    assert verify_manifest(reports) == []


def test_a_format_on_request_is_written_when_asked_for_and_kept_up_to_date(
    reports: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    said = [b"\x00first\xff", b"\x00second\xff"]

    def sheet(view: CaseView, out: BinaryIO) -> None:
        out.write(said[0])

    monkeypatch.setattr(write_module, "FORMATS", {**FORMATS, "sheet": Format("sheet.bin", sheet, True, usual=False)})
    with open_case(reports.parent) as view:
        assert "sheet.bin" not in [path.name for path in write_reports(view, reports)]
        assert "sheet.bin" in [path.name for path in write_reports(view, reports, [ALL])]
        assert (reports / "sheet.bin").read_bytes() == said.pop(0)
        write_reports(view, reports)
        assert (reports / "sheet.bin").read_bytes() == said.pop(0)
        written = write_reports(view, reports.with_name("other"), ["html"])
        assert [path.name for path in written] == ["report.html", "MANIFEST.sha256"]
    assert "  sheet.bin\n" in (reports / "MANIFEST.sha256").read_text()
    assert verify_manifest(reports) == []


def test_an_unknown_format_is_refused_before_anything_is_written(reports: Path, tmp_path: Path) -> None:
    with open_case(reports.parent) as view, pytest.raises(UsageError, match="html, summary, matches"):
        write_reports(view, tmp_path / "new", ["pdf"])
    assert not (tmp_path / "new").exists()


def test_a_writer_that_runs_out_of_space_leaves_the_earlier_reports_whole(
    reports: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> NoReturn:
        raise OSError(28, "No space left on device")

    before = contents(reports)
    monkeypatch.setattr(write_module, "FORMATS", {**FORMATS, "vics": Format("vics.json", full)})
    with (
        open_case(reports.parent) as view,
        pytest.raises(CaseError, match="No space left on device; earlier reports") as caught,
    ):
        write_reports(view, reports)
    assert caught.value.exit_code == 6
    assert contents(reports) == before


@pytest.mark.parametrize(
    ("number", "remedy"), [(errno.ENOSPC, "Free some space"), (errno.EROFS, "Give write permission")]
)
def test_what_is_to_be_done_fits_what_is_wrong_with_the_folder(
    reports: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int, remedy: str
) -> None:
    def refused(*_: object) -> NoReturn:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(write_module, "FORMATS", {**FORMATS, "vics": Format("vics.json", refused)})
    with open_case(reports.parent) as view, pytest.raises(CaseError, match=f"{remedy} or choose another .* --out"):
        write_reports(view, tmp_path / "out")


def test_a_file_in_place_of_the_folder_is_a_case_error(reports: Path) -> None:
    with open_case(reports.parent) as view, pytest.raises(CaseError, match="could not be written"):
        write_reports(view, reports / "files.csv")


def test_reports_of_a_copied_case_are_the_same(reports: Path, tmp_path: Path) -> None:
    before = contents(reports)
    shutil.move(reports.parent, tmp_path / "moved")
    with open_case(tmp_path / "moved") as view:
        write_reports(view, tmp_path / "moved" / "reports")
    assert contents(tmp_path / "moved" / "reports") == before


def test_the_page_loads_nothing_and_runs_nothing_but_its_own_script(reports: Path) -> None:
    page = (reports / "report.html").read_text(encoding="utf-8")
    assert "default-src 'none'" in html.unescape(page)
    assert not re.search(r"<(img|iframe|link|object|embed|form)\b", page)
    assert not re.search(r"\b(src|srcset|style|onerror|onclick)=\"", page)
    data = [f'<script type="application/json" id="{name}-data">' for name in ("hits", "look-alikes")]
    assert re.findall(r"<script[^>]*>", page) == [*data, "<script>"]
    assert set(re.findall(r'href="([^"#]*)', page)) == {""}


def test_names_that_utf_8_cannot_hold_do_not_stop_a_report(tmp_path: Path) -> None:
    header = CaseHeader("R\udcff", "O\udcff", "E\udcff", {"source": "\udcff"})
    odd = {"source": "\udcff.E01", "exhibit": "\udcff", "segments": ("\udcff.E01",), "acquisition": {"note": "\udcff"}}
    with create_case(tmp_path / "case", header) as case:
        case.record_hashset({**samples.NOTABLE, "name": "\udcff"})
        source_id = case.add_source(samples.source(**odd), {"name": "\udcff"})
        assert case.add_source(samples.source(**odd), {"name": "\udcff"}) == source_id
        record = samples.record(0, path="/\udcff", volume="\udcff", stream="\udcff")
        case.write_batch(
            source_id, [record], [(samples.match(hashset="\udcff"),)], [samples.problem(detail="\udcff")], 1
        )
        case.set_volumes(source_id, [samples.volume("\udcff", description="\udcff")], [], {})
        case.finish_source(source_id, 1, 1)
    with open_case(tmp_path / "case") as view:
        write_reports(view, tmp_path / "out")
    for name in ("summary.json", "vics.json"):
        json.loads((tmp_path / "out" / name).read_text(encoding="utf-8"))
