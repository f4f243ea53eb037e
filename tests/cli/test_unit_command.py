"""``caid-triage unit`` as a user runs it, and what the reports of a case say of its links."""

from __future__ import annotations

import csv
import json
import re
import stat
from pathlib import Path

import pytest
from support.cli import Small, many_pictures, picture, run_command
from support.postgres import Server
from support.unit_cases import GRADE_A, make_case, record, sha256, write_scheme
from unit.report.exhibits import HOSTILE_NAMES

from caid_triage.case.store import open_case_for_writing
from caid_triage.case.view import open_case
from caid_triage.cli import unit as command
from caid_triage.report.on_record import REPORTS, write_reports_on_record
from caid_triage.report.verify import verify_case
from caid_triage.unit.add import SMALLEST, add_case
from caid_triage.unit.look import COMMON, look
from caid_triage.unit.place import VARIABLE, UnitPlace

SECRET = "hunter2-s3cret"


def rows(case: Path, name: str = "links.csv") -> list[dict[str, str]]:
    with (case / "reports" / name).open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


@pytest.fixture(scope="module")
def earlier(small: Small, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A scanned case of the small exhibit, added to a memory: the case, the memory."""
    folder = tmp_path_factory.mktemp("earlier")
    case, memory = folder / "case", folder / "memory" / "unit.db"
    done = run_command("scan", small.image, "--case", case, "--hashset", small.hashset, "--exhibit", "AB/1", "--quiet")
    assert done.returncode == 0, done.stderr
    added = run_command("unit", "add", case, "--unit", memory, "--reference", "Op Larch", "--examiner", "DC Fir")
    assert added.returncode == 0, added.stderr
    assert re.search(r"case Op Larch added \(key [0-9a-f]{16}\)", added.stdout)
    return case, memory


def test_the_next_scan_finds_what_an_earlier_case_had(
    earlier: tuple[Path, Path], tmp_path: Path, postgres_server: Server
) -> None:
    before, memory = earlier
    exhibit = tmp_path / "SUSPECT-NAME"
    exhibit.mkdir()
    many_pictures(exhibit, 3)
    (exhibit / "copy.jpg").write_bytes(picture("coast.jpg"))
    (exhibit / "other.jpg").write_bytes(picture("marble.jpg"))
    case = tmp_path / "case"
    done = run_command("scan", exhibit, "--case", case, "--exhibit", "CD/7", "--quiet", env={VARIABLE: str(memory)})
    assert done.returncode == 0, done.stderr
    found = {row["path"]: row for row in rows(case) if row["link"] == "same-content"}
    assert {*found} == {"/copy.jpg", "/other.jpg"}
    assert {row["other_case"] for row in found.values()} == {"Op Larch"}
    assert {row["other_exhibit"] for row in found.values()} == {"AB/1"}
    assert {row["other_source"] for row in found.values()} == {"small.dd"}
    assert found["/copy.jpg"]["other_added"].startswith("20")
    alike = {row["path"] for row in rows(case) if row["link"] == "look-alike"}
    assert alike >= {"/0000.jpg", "/0001.jpg", "/0002.jpg"}  # the same picture with other bytes behind it
    page = (case / "reports" / "report.html").read_text(encoding="utf-8")
    assert "Links to other cases of the unit" in page
    assert "Op Larch" in page
    summary = json.loads((case / "reports" / "summary.json").read_text(encoding="utf-8"))
    assert summary["counts"] == []
    assert (summary["links"]["cases"], summary["links"]["found"]["unlisted"]) == (1, 2)
    assert verify_case(case) == []
    assert verify_case(before) == []
    # Looked up in a server that has the same case, it is told the same.
    url = postgres_server.url()
    postgres_server.run("DROP SCHEMA IF EXISTS caid_unit CASCADE")
    assert run_command("unit", "add", before, "--unit", url, "--reference", "Op Larch").returncode == 0
    told = rows(case)
    again = run_command("unit", "look", case, "--unit", url)
    assert again.returncode == 0, again.stderr
    when = {"other_added": ""}
    assert [row | when for row in rows(case)] == [row | when for row in told]
    audit = (case / "audit.jsonl").read_text(encoding="utf-8")
    assert '"action":"unit-looked"' in audit
    for word in (
        "SUSPECT-NAME/",
        "/copy.jpg",
        found["/copy.jpg"]["sha256"],
        str(memory.parent),
        str(postgres_server.socket),
    ):
        assert word not in audit


def test_a_look_up_is_said_to_be_older_than_the_scan_that_went_on(earlier: tuple[Path, Path], tmp_path: Path) -> None:
    """A quick case with a look-up goes on as a standard one without: what free space gave was not compared."""
    _, memory = earlier
    exhibit, case = tmp_path / "exhibit", tmp_path / "case"
    exhibit.mkdir()
    (exhibit / "one.jpg").write_bytes(picture("marble.jpg"))
    for profile, looked, older in (("quick", ("--unit", memory), False), ("standard", (), True)):
        done = run_command("scan", exhibit, "--case", case, "--profile", profile, "--quiet", *looked)
        assert done.returncode == 0, done.stderr
        page = (case / "reports" / "report.html").read_text(encoding="utf-8")
        summary = json.loads((case / "reports" / "summary.json").read_text(encoding="utf-8"))
        assert ("after that look-up" in page, summary["links"]["older"]) == (older, older)
    again = run_command("unit", "look", case, "--unit", memory, "--no-look-alikes")
    assert again.returncode == 0, again.stderr
    assert "look-alikes: left out" in again.stdout
    page = (case / "reports" / "report.html").read_text(encoding="utf-8")
    assert "after that look-up" not in page
    assert "no picture by look, as was asked for" in page
    summary = json.loads((case / "reports" / "summary.json").read_text(encoding="utf-8"))
    assert summary["links"]["look_alikes"] is False
    for words, compared in ((), True), (("--no-look-alikes",), False):
        scanned = run_command("scan", exhibit, "--case", case, "--quiet", "--unit", memory, *words)
        assert scanned.returncode == 0, scanned.stderr
        summary = json.loads((case / "reports" / "summary.json").read_text(encoding="utf-8"))
        assert summary["links"]["look_alikes"] is compared


def test_a_memory_that_is_not_there_costs_a_problem_and_no_file(small: Small, tmp_path: Path) -> None:
    case = tmp_path / "case"
    done = run_command("scan", small.image, "--case", case, "--quiet", "--unit", tmp_path / "nowhere.db")
    assert done.returncode == 3
    assert "there is no unit's memory in nowhere.db" in done.stderr
    assert [row["code"] for row in rows(case, "problems.csv") if row["code"].startswith("unit")] == ["unit-not-reached"]
    assert not (case / "reports" / "links.csv").exists()
    assert "was not looked up" in (case / "reports" / "report.html").read_text(encoding="utf-8")
    assert run_command("unit", "make", "--unit", tmp_path / "nowhere.db").returncode == 0
    looked = run_command("unit", "look", case, "--unit", tmp_path / "nowhere.db")
    assert looked.returncode == 0, looked.stderr
    assert rows(case) == []
    assert [row for row in rows(case, "problems.csv") if row["code"].startswith("unit")] == []
    assert stat.S_IMODE((tmp_path / "nowhere.db").stat().st_mode) == 0o600


def test_info_names_cases_and_no_digest_and_purge_takes_one_out(earlier: tuple[Path, Path], tmp_path: Path) -> None:
    case, _ = earlier
    memory = tmp_path / "memory" / "unit.db"
    assert run_command("unit", "add", case, "--unit", memory, env={"CAID_TRIAGE_EXAMINER": "DC Fir"}).returncode == 0
    told = run_command("unit", "info", "--unit", memory).stdout
    assert "case AB/1, key " in told
    assert "added" in told
    assert "by DC Fir" in told
    assert not re.search(r"\b[0-9a-f]{32,}\b", told)
    listed = json.loads(run_command("unit", "info", "--unit", memory, "--json").stdout)
    assert [(one["reference"], one["exhibits"][0]["source"]) for one in listed["cases"]] == [("AB/1", "small.dd")]
    refused = run_command("unit", "purge", "--unit", memory, "--case", "nobody's", "--yes")
    assert refused.returncode == 2
    purged = run_command("unit", "purge", "--unit", memory, "--case", "AB/1", "--yes")
    assert purged.returncode == 0, purged.stderr
    assert "none is left" in purged.stdout
    assert json.loads(run_command("unit", "info", "--unit", memory, "--json").stdout)["cases"] == []


def test_own_grades_are_a_hash_set_with_one_command(tmp_path: Path) -> None:
    case = make_case(tmp_path / "case", [record(0, b"a")], decisions=[(sha256(b"a"), "A", GRADE_A)])
    memory = tmp_path / "memory" / "unit.db"
    assert run_command("unit", "add", case, "--unit", memory).returncode == 0
    scheme = tmp_path / "uk.toml"
    write_scheme(scheme)
    made = run_command("unit", "hashset", "--unit", memory, "--out", tmp_path / "own.chs", "--scheme", scheme)
    assert made.returncode == 0, made.stderr
    met = run_command("hashset", "lookup", tmp_path / "own.chs", sha256(b"a").hex())
    assert met.stdout.split("\t")[1:3] == ["known", "1"]
    none = run_command("unit", "hashset", "--unit", memory, "--out", tmp_path / "no.chs", "--scheme", scheme,
                       "--two-examiners")  # fmt: skip
    assert none.returncode == 5
    assert "one examiner only" in none.stderr
    assert not (tmp_path / "no.chs").exists()


@pytest.mark.parametrize("how", ["option", "environment"])
def test_a_password_in_a_url_is_refused_before_anything_and_said_nowhere(
    earlier: tuple[Path, Path], tmp_path: Path, how: str
) -> None:
    case, _ = earlier
    before = (case / "audit.jsonl").read_bytes()
    url = f"postgresql://adder:{SECRET}@127.0.0.1:1/unit"
    for words in (("look", case), ("add", case), ("info",), ("purge", "--case", "x", "--yes")):
        given = ("--unit", url) if how == "option" else ()
        done = run_command("unit", *words, *given, env={VARIABLE: url} if how == "environment" else None)
        assert done.returncode == 2
        assert "PGPASSFILE" in done.stderr
        assert SECRET not in done.stdout + done.stderr
    scanned = run_command("scan", tmp_path, "--case", tmp_path / "case", "--unit", url)
    assert scanned.returncode == 2
    assert not (tmp_path / "case").exists()
    assert (case / "audit.jsonl").read_bytes() == before


def test_which_memory_must_be_said() -> None:
    done = run_command("unit", "info", env={VARIABLE: ""})
    assert done.returncode == 2
    assert VARIABLE in done.stderr


def test_the_limits_of_the_help_are_those_of_the_room() -> None:
    assert (command.SMALLEST, command.COMMON) == (SMALLEST, COMMON)


def test_hostile_names_of_other_cases_are_text_on_the_page_and_no_formula_in_the_list(tmp_path: Path) -> None:
    place = UnitPlace(tmp_path / "memory" / "unit.db")
    camera = (("camera-make", "M"), ("camera-model", "<b>5D"), ("camera-serial", "=7712345"))
    files = [record(0, b"a", metadata=camera, path="/<img src=x onerror=alert(1)>.jpg")]
    for number, name in enumerate(HOSTILE_NAMES[:6]):
        folder = make_case(
            tmp_path / f"{number}", files, reference=name, exhibit=name, source=name,
            decisions=[(sha256(b"a"), name, GRADE_A)],
        )  # fmt: skip
        add_case(folder, place)
    case = make_case(tmp_path / "case", files, reference="mine")
    with open_case_for_writing(case) as writer:
        look(writer, place)
        write_reports_on_record(writer, case / REPORTS)
    page = (case / "reports" / "report.html").read_text(encoding="utf-8")
    for piece in ("<script>window.hacked", "<img src=x", 'href="javascript', "<b>5D"):
        assert piece not in page
    assert "&lt;script&gt;window.hacked" in page
    assert all(row["camera_serial"].startswith("'=") for row in rows(case) if row["link"] == "same-camera")
    with open_case(case) as view:
        assert len(list(view.links("graded-before"))) == 6
    assert verify_case(case) == []
