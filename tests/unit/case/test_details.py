"""What people say of a case: what may be said, and that it is kept, digested and on record with what was there."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from caid_triage.case.check import check_case
from caid_triage.case.details import (
    EXAMINER,
    MOST_LETTERS,
    OPERATION,
    REFERENCE,
    Contact,
    checked_moment,
    checked_words,
    contact_of,
    read_contact,
    seized_of,
)
from caid_triage.case.rows import CaseHeader
from caid_triage.case.store import create_case, open_case_for_writing
from caid_triage.case.view import open_case
from caid_triage.errors import CaseError, UsageError
from caid_triage.scan.case_of_scan import to_state

PHONE, SEIZED = ("", "contact-phone"), ("A/1", "seized")


@pytest.mark.parametrize(
    ("given", "kept"),
    [
        ("2026-03-02", "2026-03-02"), (" 20260302 ", "2026-03-02"), ("2026-03-02T14:30", "2026-03-02T14:30:00"),
        ("2026-03-02 14:30Z", "2026-03-02T14:30:00Z"), ("2026-03-02T14:30+01:00", "2026-03-02T14:30:00+01:00"),
    ],
)  # fmt: skip
def test_when_something_was_seized(given: str, kept: str) -> None:
    assert checked_moment(given) == kept


@pytest.mark.parametrize("given", ["", "2/3/26", "02.03.2026", "yesterday", "2026-02-30", "2026-03-02T25:00", "\0"])
def test_what_is_no_date(given: str) -> None:
    with pytest.raises(UsageError, match="2026-03-02 or 2026-03-02T14:30Z"):
        checked_moment(given)


def test_what_is_printed_is_printable_and_not_long() -> None:
    assert checked_words("it", " Op Lärche ") == "Op Lärche"
    assert checked_words("it", "x" * MOST_LETTERS)
    for text in ("", " ", "a\nb", "a\u202eb", "\x1b[2J", "\ud800", "x" * (MOST_LETTERS + 1)):
        with pytest.raises(UsageError, match="it is 1 to 200 printable characters"):
            checked_words("it", text)


def test_a_contact_file_states_all_of_its_keys(tmp_path: Path) -> None:
    path = tmp_path / "unit.toml"
    path.write_bytes(b'\xef\xbb\xbforganisation = "Example Police"\nphone = "+44 1" # at night too\n')
    found = read_contact(path)
    assert found == {
        ("", "contact-organisation"): "Example Police", ("", "contact-name"): "", ("", "contact-title"): "",
        PHONE: "+44 1", ("", "contact-email"): "",
    }  # fmt: skip
    assert contact_of(found) == Contact("Example Police", phone="+44 1")
    assert contact_of(found).told() == "Example Police, +44 1"


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("fone = '1'", "'fone' is no key of it; it has organisation, name, title, phone, email"),
        ("phone = 1", "'phone' is no text in quotes"), ("[phone]", "'phone' is no text in quotes"),
        ("phone = ''", "phone in the contact file"),
        ("phone = 'a\\u0007'\nname = \"\\u0007\"", "name in the contact file"),
        ("phone", "is not TOML"), ("a = " + "[" * 5000, "is not TOML"), ("# " + "x" * 70_000, "larger than 64 KiB"),
    ],
)  # fmt: skip
def test_a_contact_file_that_cannot_be_used(tmp_path: Path, content: str, said: str) -> None:
    path = tmp_path / "unit.toml"
    path.write_text(content)
    with pytest.raises(UsageError) as refused:
        read_contact(path)
    assert said in str(refused.value)


def test_a_contact_file_that_is_none(tmp_path: Path) -> None:
    for path in (tmp_path, tmp_path / "none.toml"):
        with pytest.raises(UsageError, match="contact file"):
            read_contact(path)
    if hasattr(os, "mkfifo"):
        os.mkfifo(tmp_path / "pipe")
        with pytest.raises(UsageError, match="is no file"):
            read_contact(tmp_path / "pipe")


def stated_lines(folder: Path) -> list[tuple[dict[str, str], dict[str, str]]]:
    lines = map(json.loads, (folder / "audit.jsonl").read_text().splitlines())
    return [(line["before"], line["after"]) for line in lines if line["action"] == "case-stated"]


def test_what_is_stated_is_kept_digested_and_on_record(tmp_path: Path) -> None:
    folder = tmp_path / "case"
    with create_case(folder, CaseHeader("A/1")) as case:
        case.state({OPERATION: "Larch", PHONE: "1", SEIZED: "2026-03-02", EXAMINER: ""})
        assert case.header.operation == "Larch"
        case.state({OPERATION: "Larch", PHONE: "1"})  # as it is: nothing to put on record
        case.state({})
    assert stated_lines(folder) == [
        (
            {"operation": "", "contact-phone": "", "seized A/1": ""},
            {"operation": "Larch", "contact-phone": "1", "seized A/1": "2026-03-02"},
        )
    ]
    with open_case_for_writing(folder) as case:
        case.state({OPERATION: "Birch", PHONE: ""})
    assert stated_lines(folder)[1] == (
        {"operation": "Larch", "contact-phone": "1"}, {"operation": "Birch", "contact-phone": ""},
    )  # fmt: skip
    with open_case(folder) as view:
        assert view.details() == {REFERENCE: "A/1", OPERATION: "Birch", SEIZED: "2026-03-02"}
        assert seized_of(view.details()) == {"A/1": "2026-03-02"}
        assert contact_of(view.details()) == Contact()
    assert check_case(folder).faults == []


def test_the_line_comes_before_the_change(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "case"

    def killed(*_: object) -> None:
        raise KeyboardInterrupt

    with create_case(folder, CaseHeader("A/1")) as case:
        monkeypatch.setattr("caid_triage.case.store.keep_details", killed)
        with pytest.raises(KeyboardInterrupt):
            case.state({OPERATION: "Larch"})
        monkeypatch.undo()
        case.state({OPERATION: "Larch"})
    assert stated_lines(folder) == [({"operation": ""}, {"operation": "Larch"})] * 2
    assert check_case(folder).faults == []


def test_a_scan_states_what_is_not_stated_and_contradicts_nothing(tmp_path: Path) -> None:
    folder = tmp_path / "case"
    create_case(folder, CaseHeader("A/1")).close()
    said = {REFERENCE: "OP/7", OPERATION: "Larch", EXAMINER: "A", PHONE: "1"}
    assert to_state(folder, said, ["A/1"]) == said
    with pytest.raises(CaseError, match=r"has the reference A/1, not OP/7: .* `caid-triage details`"):
        to_state(folder, said, ["B/2"])  # nothing says that this is the case's own exhibit
    with open_case_for_writing(folder) as case:
        case.state(said)
    again = {REFERENCE: "OP/7", EXAMINER: "B", PHONE: "2"}
    assert to_state(folder, again, ["A/1"]) == {REFERENCE: "OP/7", PHONE: "2"}  # the examiner began it, and goes on
    assert to_state(folder, {}, ["A/1"]) == {}
    for detail in (REFERENCE, OPERATION):
        with pytest.raises(CaseError, match="on record"):
            to_state(folder, said | {detail: "other"}, ["A/1"])
