"""The catalogue, and what becomes of a test that fails, cannot be made, checks nothing, or breaks off."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest

from caid_triage.errors import CaseError, UsageError
from caid_triage.validate.catalogue import REQUIREMENTS, chosen
from caid_triage.validate.check_keeping import recounted
from caid_triage.validate.check_matching import BANDS
from caid_triage.validate.exhibits import Exhibits, Plan, plan_of
from caid_triage.validate.laboratory import Laboratory
from caid_triage.validate.record import percent
from caid_triage.validate.reports import Reports, parsed
from caid_triage.validate.requirement import FAULTS_KEPT, Check, Findings, NotRun, Requirement, Status
from caid_triage.validate.run import result_of


def outcome(check: Check, folder: Path):
    requirement = Requirement("REQ-99", "Group", "text", "acceptance", "method", "limitation", check)
    return result_of(Laboratory(folder, Exhibits(folder, Plan())), requirement)


def test_identifiers_are_one_each_and_complete() -> None:
    names = sorted(one.identifier for one in REQUIREMENTS)
    assert names == [f"REQ-{number:02d}" for number in range(1, len(names) + 1)]
    assert REQUIREMENTS[-1].identifier == "REQ-03", "that evidence was only read is asked when all else is done"
    checks = [one.check for one in REQUIREMENTS]
    assert len(set(checks)) == len(checks)


@pytest.mark.parametrize("one", REQUIREMENTS, ids=lambda one: one.identifier)
def test_a_requirement_says_all_that_a_reader_needs(one: Requirement) -> None:
    for text in (one.group, one.text, one.acceptance, one.method, one.limitation):
        assert text[0].isupper() or text[0] in "`p0123456789", text
        assert len(text) > 5
    for text in (one.text, one.acceptance, one.method, one.limitation):
        assert text.endswith("."), text


def test_requirements_are_chosen_in_the_order_of_the_catalogue() -> None:
    assert chosen(()) == REQUIREMENTS
    assert [one.identifier for one in chosen(("req-18,REQ-04", "REQ-03"))] == ["REQ-04", "REQ-18", "REQ-03"]
    with pytest.raises(UsageError, match="REQ-77"):
        chosen(("REQ-04,REQ-77",))


def test_a_check_that_fails_is_counted_and_told(tmp_path: Path) -> None:
    def check(_lab: Laboratory, found: Findings) -> None:
        found.expect(True, "never said")
        for number in range(30):
            found.expect(False, f"fault {number}")

    result = outcome(check, tmp_path)
    assert (result.status, result.checks, result.failed) == (Status.FAILED, 31, 30)
    assert result.faults == tuple(f"fault {number}" for number in range(FAULTS_KEPT))


def test_a_test_that_checks_nothing_fails(tmp_path: Path) -> None:
    result = outcome(lambda _lab, _found: None, tmp_path)
    assert result.status is Status.FAILED
    assert "nothing" in result.faults[0]


def test_a_test_that_cannot_be_made_is_no_pass(tmp_path: Path) -> None:
    def check(_lab: Laboratory, found: Findings) -> None:
        found.expect(True, "")
        raise NotRun("no such thing here")

    result = outcome(check, tmp_path)
    assert (result.status, result.reason) == (Status.NOT_RUN, "no such thing here")


@pytest.mark.parametrize("error", [CaseError("the case is broken"), KeyError("path"), ValueError("x"), OSError("gone")])
def test_a_test_that_breaks_off_fails_in_the_words_of_the_fault(tmp_path: Path, error: Exception) -> None:
    def check(_lab: Laboratory, _found: Findings) -> None:
        raise error

    result = outcome(check, tmp_path)
    assert result.status is Status.FAILED
    assert type(error).__name__ in result.faults[0]


def test_countings_are_compared_by_every_key() -> None:
    found = Findings()
    found.same("things", {"a": 1, "b": 2}, {"b": 3, "c": 1})
    assert (found.checks, found.failed) == (3, 3)
    assert found.faults[0] == "things: a: 0, not 1"


def test_tables_are_compared_without_quoting_a_row() -> None:
    found = Findings()
    found.same_rows("a.csv", Counter(["secret", "kept"]), Counter(["kept", "more", "more"]))
    assert (found.failed, found.faults) == (1, ["a.csv: 1 rows are missing or other, 2 are not wanted"])
    found.same_rows("a.csv", Counter(["x", "x"]), Counter(["x", "x"]))
    assert found.failed == 1


def test_the_bands_of_distance_leave_nothing_out() -> None:
    assert [low for low, _ in BANDS] == [0, *(high + 1 for _, high in BANDS[:-1])]
    assert BANDS[-1][1] == 256


def test_a_quick_plan_has_less_of_everything() -> None:
    usual, quick = plan_of("s", 2, "pool"), plan_of("s", 2, "pool", quick=True, strangers=33)
    assert quick.strangers == 33
    assert (quick.listed, quick.others, quick.more) < (usual.listed, usual.others, usual.more)


@pytest.mark.parametrize(
    ("value", "words"),
    [(0.0, "0 %"), (1.0, "100 %"), (0.0123, "1.2 %"), (0.5, "50 %"), (0.000012, "0.0012 %"), (3e-9, "3.00e-07 %")],
)
def test_a_share_is_never_a_false_nought(value: float, words: str) -> None:
    assert percent(value) == words.replace(" ", "\N{NO-BREAK SPACE}")


def test_a_table_that_is_none_is_refused(tmp_path: Path) -> None:
    (tmp_path / "files.csv").write_text("a,b\n1,2\n3\n", "utf-8")
    result = outcome(lambda _lab, found: found.expect(bool(Reports(tmp_path, 0).files), ""), tmp_path)
    assert result.status is Status.FAILED
    assert "fewer cells" in result.faults[0]


def test_a_page_is_read_as_a_browser_reads_it() -> None:
    page = parsed('<table id="t"><tr><th>A &amp; B</th><td onclick="x">1<b>2</b></td></tr></table><script>no</script>')
    assert page.tables["t"] == [["A & B", "12"]]
    assert "script" in page.tags
    assert "onclick" in page.attributes
    assert (page.scripts, page.policies) == (("no",), ())
    policed = parsed(
        '<meta http-equiv="Content-Security-Policy" content="default-src \'none\'">'
        '<script type="application/json">{}</script><script>a()</script><script src="x"></script>'
    )
    assert (policed.scripts, policed.policies) == (("a()", ""), ("default-src 'none'",))


def test_files_are_counted_once_under_their_first_exact_row() -> None:
    place = {"exhibit": "E", "source": "s", "volume": "p1", "path": "/a", "state": "allocated"}
    rows = [
        {**place, "match_kind": "near", "category_label": "A"},
        {**place, "match_kind": "exact", "category_label": "B"},
        {**place, "match_kind": "exact", "category_label": "C"},
        {**place, "path": "/b", "match_kind": "exact", "category_label": "C"},
    ]
    assert recounted(rows) == {"B": 1, "C": 1}
