"""Adding cases to the unit's memory, looking one up, purging: the same in a file and on a server."""

from __future__ import annotations

import hashlib
import io
import shutil
import signal
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any, cast

import pytest
from support.unit_cases import GRADE_A, GRADE_B, WHEN, known_good, make_case, record, sha256, write_scheme
from unit.case import samples
from unit.case.full import make_full_case

from caid_triage.case.contents import case_key
from caid_triage.case.links import LINKS, LinkRow, UnitLook
from caid_triage.case.rows import SourceRow
from caid_triage.case.store import open_case_for_writing
from caid_triage.case.view import open_case
from caid_triage.cli.interrupts import interruptible
from caid_triage.errors import CaseError, HashSetError, UnitError, UsageError
from caid_triage.hashset.store import open_hashset
from caid_triage.model import Category, Decision, DecodeState, Kind, PerceptualHash
from caid_triage.report.html import write_html
from caid_triage.report.links import link_facts, linked_attention
from caid_triage.report.verify import verify_case
from caid_triage.unit.add import Added, add_case, find_member, purge_case
from caid_triage.unit.graded import build_graded_set
from caid_triage.unit.look import look, look_or_note
from caid_triage.unit.place import UnitPlace, unit_place
from caid_triage.unit.sqlite import SqliteStore
from caid_triage.unit.store import Mode, open_unit
from caid_triage.unit.twins import exhibit_of, twin


@pytest.fixture(params=["sqlite", "postgresql"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> UnitPlace:
    """An empty memory of each kind."""
    if request.param == "sqlite":
        return UnitPlace(tmp_path / "memory" / "unit.db")
    return unit_place(request.getfixturevalue("postgres_url"))


def looked(folder: Path, place: UnitPlace, **options: Any) -> UnitLook:
    with open_case_for_writing(folder) as case:
        return look(case, place, **options)


def links(folder: Path, link: str = "same-content") -> list[LinkRow]:
    with open_case(folder) as view:
        return list(view.links(link))


def everything(place: UnitPlace) -> list[object]:
    """All rows of the memory but the times at which cases were added."""
    store = open_unit(place, Mode.READ)
    with store.reading():
        members = store.members()
        keys = {one.id: one.key for one in members}
        exhibits = {one.id: (keys[one.member_id], one.exhibit, one.source) for one in store.exhibits()}
        contents = [hashlib.sha256(f"content {n}".encode()).digest() for n in range(20)]
        contents += [sha256(f"{n}".encode()) for n in range(20)]
        found: list[object] = [(one.key, one.reference, one.contents, one.known_good, one.small) for one in members]
        found += [(exhibits[one.id], one.contents, one.files, one.pictures) for one in store.exhibits()]
        found += [(one.sha256, exhibits[one.exhibit_id], one.files) for one in store.sightings(contents, 0)]
        found += [(keys[one.member_id], one.sha256, one.examiner, one.code, one.pdq) for one in store.grades(None, 0)]
        found += [(exhibits[one.exhibit_id], one.contents.tobytes(), one.pdqs.tobytes()) for one in store.pictures(0)]
    store.close()
    return found


def contents(*names: int) -> list[Any]:
    return [record(place, f"{name}".encode()) for place, name in enumerate(names)]


def test_the_same_content_is_found_on_the_exhibits_of_other_cases_with_facts_alone(
    tmp_path: Path, place: UnitPlace
) -> None:
    one = make_case(tmp_path / "one", contents(1, 2, 2, 3), reference="OP/1", exhibit="AB/1", source="one.E01")
    two = make_case(tmp_path / "two", contents(2, 9), reference="OP/2", exhibit="CD/1", source="two.E01")
    for folder in (one, two):
        add_case(folder, place, by="A. Officer")
    found = looked(two, place)
    assert (found.cases, found.exhibits, found.asked) == (1, 1, 2)
    (row,) = links(two)
    assert (row.link, row.exhibit, row.source, row.path) == ("same-content", "CD/1", "two.E01", "/pictures/0.jpg")
    assert (row.other_case, row.other_exhibit, row.other_source, row.other_files) == ("OP/1", "AB/1", "one.E01", 2)
    assert row.sha256 == sha256(b"2")
    assert verify_case(two) == []
    looked(one, place)
    assert {row.other_case for row in links(one)} == {"OP/2"}
    assert len(links(one)) == 2  # two files here have the content


def test_a_case_never_links_to_itself_nor_to_a_copy_of_itself_that_was_added(tmp_path: Path, place: UnitPlace) -> None:
    one = make_case(tmp_path / "one", contents(1, 2))
    add_case(one, place)
    assert looked(one, place).same == []


def test_adding_twice_replaces_and_a_case_that_grew_is_updated(tmp_path: Path, place: UnitPlace) -> None:
    one = make_case(tmp_path / "one", contents(1, 2), decisions=[(sha256(b"1"), "A", GRADE_A)])
    first = add_case(one, place)
    before = everything(place)
    again = add_case(one, place)
    assert (first.before, again.before) == (None, 2)
    assert everything(place) == before
    with open_case_for_writing(one) as case:
        case.write_batch(1, [record(7, b"3")], [()], [], 3)
        case.finish_source(1, 3, 3)
        case.decide(sha256(b"1"), Decision("A", WHEN, GRADE_B))
    grown = add_case(one, place)
    assert (grown.contents, grown.before) == (3, 2)
    store = open_unit(place, Mode.READ)
    assert [one.code for one in store.grades(None, 0)] == ["2"]
    store.close()


def test_what_known_good_sets_list_is_left_out_but_never_on_md5_alone(tmp_path: Path, place: UnitPlace) -> None:
    matches = [known_good("sha1"), known_good("md5"), (*known_good("sha256"), samples.match()), ()]
    one = make_case(tmp_path / "one", contents(1, 2, 3, 4), matches, reference="OP/1")
    two = make_case(tmp_path / "two", contents(1, 2, 3, 4), reference="OP/2")
    added = add_case(one, place)
    assert (added.contents, added.known_good) == (3, 1)
    looked(two, place)
    assert [row.sha256 for row in links(two)] == [sha256(b"2"), sha256(b"3"), sha256(b"4")]


def test_what_is_known_good_here_is_not_asked_about(tmp_path: Path, place: UnitPlace) -> None:
    add_case(make_case(tmp_path / "one", contents(1, 2), reference="OP/1"), place)
    two = make_case(tmp_path / "two", contents(1, 2), [known_good("sha256"), ()], reference="OP/2")
    found = looked(two, place)
    assert (found.asked, found.known_good) == (1, 1)
    assert [row.sha256 for row in links(two)] == [sha256(b"2")]


def test_tiny_contents_are_left_out_unless_listed_or_graded(tmp_path: Path, place: UnitPlace) -> None:
    tiny = [samples.record(n, f"content {n}".encode(), hashes=()) for n in range(3)]
    digests = [one.examination.digests for one in tiny]
    graded = digests[1].sha256 if digests[1] else b""
    one = make_case(tmp_path / "one", tiny, [(samples.match(),), (), ()], decisions=[(graded, "A", GRADE_A)])
    added = add_case(one, place)
    assert (added.contents, added.small) == (2, 1)
    assert add_case(one, place, smallest=0).contents == 3
    two = make_case(tmp_path / "two", tiny, reference="OP/2")
    assert looked(two, place).asked == 0
    assert [row.graded_by for row in links(two, "graded-before")] == ["A"]  # graded there: told, whatever its size
    assert len(looked(two, place, smallest=0).same) == 3


def test_a_content_on_many_exhibits_is_counted_and_not_named(tmp_path: Path, place: UnitPlace) -> None:
    for number in range(4):
        mine = [] if number == 3 else [9]
        folder = make_case(tmp_path / f"{number}", contents(1, *mine), reference=f"OP/{number}")
        add_case(folder, place)
    last = make_case(tmp_path / "last", contents(1, 9), reference="OP/last")
    looked(last, place, common=3)
    rows = links(last)
    assert [(row.link, row.other_exhibits, row.other_cases) for row in rows] == [
        ("same-content-common", 4, 4),
        *[("same-content", 3, 3)] * 3,
    ]
    assert rows[0].other_case == rows[0].other_exhibit == ""
    assert rows[0].other_files is None
    with open_case(last) as view:
        assert view.link_figures().common == 1
        assert [one.unlisted for one in view.linked_exhibits()] == [1, 1, 1, 0]


def test_who_graded_it_before_is_told_and_no_grade_is_taken_over(tmp_path: Path, place: UnitPlace) -> None:
    one = make_case(
        tmp_path / "one",
        contents(1, 2),
        decisions=[(sha256(b"1"), "A. One", GRADE_A), (sha256(b"1"), "B. Two", GRADE_B)],
    )
    two = make_case(tmp_path / "two", contents(1, 2), reference="OP/2")
    add_case(one, place)
    looked(two, place)
    rows = links(two, "graded-before")
    assert [(row.graded_by, row.grade_code, row.grade_scheme, row.graded, row.other_case) for row in rows] == [
        ("A. One", "1", "uk", WHEN, "OP/1"),
        ("B. Two", "2", "uk", WHEN, "OP/1"),
    ]
    with open_case(two) as view:
        assert view.graded() == []
        assert list(view.counts()) == []
        told = list(linked_attention(link_facts(view)))
        assert [(one.headline, one.link) for one in told if one.headline.startswith("Graded")] == [
            ("Graded by an examiner in another case: 1 different content", "links"),
        ]
        out = io.StringIO()
        write_html(view, out)
    page = out.getvalue()
    first = page[: page.index('id="counts"')]  # whatever the hash sets say: no file is listed here
    assert "Graded by an examiner in another case" in first
    assert 'href="#links"' in first


def test_a_grade_that_was_taken_back_is_in_no_memory(tmp_path: Path, place: UnitPlace) -> None:
    add_case(make_full_case(tmp_path / "full"), place)
    store = open_unit(place, Mode.READ)
    assert [one.examiner for one in store.grades(None, 0)] == ["A. Examiner"]
    assert [one.code for one in store.grades(None, 0)] == ["3"]  # the later one was withdrawn
    store.close()


CAMERA = (("camera-make", "Maker"), ("camera-model", "Model 5"))


def with_camera(number: int, serial: str, *more: tuple[str, str]) -> Any:
    return record(number, f"c{number} {serial}".encode(), metadata=(*(more or CAMERA), ("camera-serial", serial)))


def test_the_same_camera_is_told_by_maker_model_and_serial_and_weak_serials_by_nothing(
    tmp_path: Path, place: UnitPlace
) -> None:
    other = (("camera-make", "Maker"), ("camera-model", "Model 6"))
    one = [with_camera(0, "0012345678X"), with_camera(1, "0"), with_camera(2, "None"), with_camera(3, "777888", *other)]
    two = [with_camera(4, "12345678x"), with_camera(5, "0012345678X"), with_camera(6, "0"), with_camera(7, "None"),
           with_camera(8, "777888")]  # fmt: skip
    two[1] = record(9, b"another", metadata=(*CAMERA, ("camera-serial", "0012345678X")))
    add_case(make_case(tmp_path / "one", one, reference="OP/1"), place)
    case = make_case(tmp_path / "two", two, reference="OP/2")
    looked(case, place)
    rows = links(case, "same-camera")
    assert [(row.camera_make, row.camera_model, row.camera_serial) for row in rows] == [
        ("Maker", "Model 5", "0012345678X")
    ]
    assert [(row.files, row.other_files, row.other_case, row.path) for row in rows] == [(1, 1, "OP/1", "")]


def test_a_serial_number_that_many_models_share_over_the_cases_links_nothing(tmp_path: Path, place: UnitPlace) -> None:
    for number in range(3):
        models = (("camera-make", "Maker"), ("camera-model", f"Model {number}"))
        folder = make_case(tmp_path / f"{number}", [with_camera(number, "55566677", *models)], reference=f"OP/{number}")
        if number < 2:
            add_case(folder, place)
    two = make_case(
        tmp_path / "two", [with_camera(0, "55566677", *models[:1], ("camera-model", "Model 0"))], reference="T"
    )
    assert len(looked(two, place).cameras) == 1
    add_case(tmp_path / "2", place)
    assert looked(two, place).cameras == []


def picture(number: int, content: bytes, pdq: bytes, quality: int = 90, **changes: Any) -> Any:
    return record(number, content, hashes=(PerceptualHash("pdq", pdq, quality),), **changes)


def test_pictures_that_look_alike_are_leads_apart_and_good_ones_only(tmp_path: Path, place: UnitPlace) -> None:
    base = bytes(range(7, 39))
    near = bytes([base[0] ^ 0xFF, base[1] ^ 0x0F, *base[2:]])  # 12 bits
    far = bytes(byte ^ 0xFF for byte in base)
    one = [picture(0, b"a", near), picture(1, b"b", base, 49), picture(2, b"c", far), picture(3, b"same", base)]
    film = record(4, b"film", kind=Kind.VIDEO, hashes=(PerceptualHash("pdq", base, 99, 1.0),))
    add_case(make_case(tmp_path / "one", [*one, film], reference="OP/1"), place)
    two = make_case(tmp_path / "two", [picture(0, b"same", base), picture(1, b"poor", base, 40)], reference="OP/2")
    found = looked(two, place)
    assert found.pictures == 1
    (row,) = links(two, "look-alike")
    assert (row.distance, row.threshold, row.other_sha256) == (12, 31, sha256(b"a"))
    assert row.sha256 == sha256(b"same")
    assert [row.sha256 for row in links(two)] == [sha256(b"same")]
    left_out = looked(two, place, look_alikes=False)
    assert (left_out.pictures, left_out.near, links(two, "look-alike")) == (0, [], [])
    assert [row.sha256 for row in links(two)] == [sha256(b"same")]
    with open_case(two) as view:
        told = view.unit_look()
    assert told is not None
    assert (told.look_alikes, found.look_alikes) == (False, True)
    assert verify_case(two) == []


DISK = {"md5": "0123456789abcdef" * 2}


def test_an_exhibit_that_another_case_has_too_is_no_link_to_itself(tmp_path: Path, place: UnitPlace) -> None:
    pdqs = [bytes(range(7, 39)), bytes([0, *range(8, 39)])]
    files = [picture(n, f"{n}".encode(), pdqs[n], metadata=(*CAMERA, ("camera-serial", "7712345"))) for n in range(2)]
    one = make_case(tmp_path / "one", files, reference="OP/1", exhibit="JB/1", acquisition=DISK)
    other = make_case(tmp_path / "other", files[:1], reference="OP/3", exhibit="KL/4", size=5)
    mine = make_case(tmp_path / "mine", files, reference="OP/2", exhibit="MN/9", source="again.E01", acquisition=DISK)
    add_case(one, place)
    assert [(twin.source_id, twin.how) for twin in looked(mine, place).twins] == [(1, "hash")]
    with open_case(mine) as view:
        figures, facts = view.link_figures(), link_facts(view)
        assert (figures.unlisted, figures.alike, figures.cameras, figures.same_exhibit) == (0, 0, 0, 2)
        assert facts is not None
        assert (facts.exhibits, facts.same, facts.alike, facts.cameras) == ([], [], [], [])
        assert [(one.reference, one.same_exhibit, one.unlisted) for one in facts.twins] == [("OP/1", "hash", 2)]
        assert [one.headline for one in linked_attention(facts)] == [
            "An exhibit of this case is in another case too: 1"
        ]
        out = io.StringIO()
        write_html(view, out)
    assert "The same exhibit, in another case" in out.getvalue()
    assert {
        row.same_exhibit for link in ("same-content", "look-alike", "same-camera") for row in links(mine, link)
    } == {"hash"}
    add_case(other, place)  # a link to another exhibit stays one, beside
    looked(mine, place)
    with open_case(mine) as view:
        figures, facts = view.link_figures(), link_facts(view)
    assert (figures.unlisted, figures.alike, figures.cameras, figures.same_exhibit) == (1, 1, 1, 1)
    assert facts is not None
    assert [one.reference for one in facts.exhibits] == ["OP/3"]
    assert [content.row.other_case for content in facts.same] == ["OP/3"]
    assert verify_case(mine) == []


@pytest.mark.parametrize(
    ("mine", "theirs", "how"),
    [
        ({"md5": "a1" * 16}, {"md5": "A1" * 16, "sha1": "b2" * 20}, "hash"),
        ({"md5": "a1" * 16, "sha1": "b3" * 20}, {"md5": "a1" * 16, "sha1": "b2" * 20}, ""),
        ({"md5": "a1" * 16}, {"md5": "a2" * 16}, ""),
        ({"md5": "00" * 16}, {"md5": "00" * 16}, ""),  # none was taken
        ({"md5": "no hash"}, {"md5": "no hash"}, ""),
        ({"serial_number": "WD-WX11"}, {"serial_number": " wdwx11 "}, "serial"),
        ({"serial_number": "WD-WX11", "md5": "a1" * 16}, {"serial_number": "WD-WX11", "md5": "a2" * 16}, "serial"),
        ({"serial_number": "WD-WX11", "size": 5}, {"serial_number": "WD-WX11"}, ""),
        ({"serial_number": "123456789"}, {"serial_number": "123456789"}, ""),
        ({"exhibit": "jb / 1"}, {"exhibit": "JB  / 1"}, "reference"),
        ({"exhibit": "JB/1", "size": 5}, {"exhibit": "JB/1"}, ""),
        ({"exhibit": "JB/1", "md5": "a1" * 16}, {"exhibit": "JB/1", "md5": "a2" * 16}, ""),
        ({"exhibit": "JB/1", "size": None}, {"exhibit": "JB/1", "size": None}, "reference"),
        ({}, {}, ""),
    ],
)
def test_what_makes_two_sources_one_exhibit(mine: dict[str, Any], theirs: dict[str, Any], how: str) -> None:
    def kept(number: int, given: dict[str, Any]) -> Any:
        said = {"exhibit": f"E/{number}", "size": 10, **given}
        stored = {name: said[name] for name in ("md5", "sha1", "serial_number") if name in said}
        return exhibit_of(
            SourceRow(1, said["exhibit"], "disk.E01", "ewf", said["size"], (), stored, {}, 1, 1, 1, complete=True)
        )

    assert twin(kept(1, mine), kept(2, theirs)) == how


def test_of_a_restricted_case_others_learn_whom_to_ask_and_nothing_else(tmp_path: Path, place: UnitPlace) -> None:
    camera = (*CAMERA, ("camera-serial", "7712345"))
    files = [picture(n, f"{n}".encode(), bytes([n, *range(8, 39)]), metadata=camera) for n in range(2)]
    grades = [(sha256(b"0"), "DC Covert", GRADE_A), (sha256(b"0"), "DC Hidden", GRADE_A), (sha256(b"1"), "X", GRADE_B)]
    covert = {"reference": "OP COVERT", "exhibit": "COVERT/1", "source": "covert-name.E01", "acquisition": DISK}
    one = make_case(tmp_path / "one", files, decisions=grades, **covert)
    two = make_case(tmp_path / "two", files, reference="OP/2", exhibit="COVERT/1", acquisition=DISK)
    key = case_key(one)
    added = add_case(one, place, by="Adder COVERT", restricted="DI Elm, x 4711")
    assert (added.reference, added.contact) == ("OP COVERT", "DI Elm, x 4711")
    assert add_case(one, place, by="Adder COVERT").contact == "DI Elm, x 4711"  # it is not opened by adding it again
    found = looked(two, place)
    assert found.twins == []  # not even that
    told = [row for link in LINKS for row in links(two, link)]
    assert {row.link for row in told} == {*LINKS}
    assert {row.other_contact for row in told} == {"DI Elm, x 4711"}
    assert {(row.other_case, row.other_exhibit, row.other_source, row.graded_by) for row in told} == {("", "", "", "")}
    with open_case(two) as view:
        out = io.StringIO()
        write_html(view, out)
    assert "a restricted case: ask <bdi>DI Elm, x 4711</bdi>" in out.getvalue()
    words = ("OVERT", "covert-name", "DC Hidden", key[:16])
    assert [word for word in words if word in out.getvalue().replace("COVERT/1", "")] == []
    assert [word for word in words[:3] if word in memory_text(place)] == []
    with pytest.raises(UsageError):
        purge_case(place, "OP COVERT")
    assert verify_case(two) == []
    scheme = str(write_scheme(tmp_path / "uk.toml"))
    made = build_graded_set(place, tmp_path / "two.chs", scheme, two=True)
    assert (made.built.counts["records"], made.left_out) == (1, {"one examiner only": 1})
    purge_case(place, key)
    assert looked(two, place).same == []


def memory_text(place: UnitPlace) -> str:
    """All texts that the memory holds, as any reader may read them."""
    if place.path is not None:
        return place.path.read_bytes().decode("latin-1")
    import psycopg

    words, given = [], cast("Any", dict(place.server))
    with psycopg.connect(**given) as connection:
        for table in ("unit", "member", "exhibit", "camera", "grade", "purged"):
            words += [str(row) for row in connection.execute(f"SELECT * FROM caid_unit.{table}")]
    return "\n".join(words)


def test_examiners_of_restricted_cases_are_not_taken_for_a_second_one(tmp_path: Path) -> None:
    """He who graded it there may be the one who graded it here."""
    place = UnitPlace(tmp_path / "memory" / "unit.db")
    for number, restricted in enumerate(("", "DI Elm", "DI Elm")):
        folder = make_case(
            tmp_path / f"{number}", contents(1), reference=f"OP/{number}", decisions=[(sha256(b"1"), "A", GRADE_A)]
        )
        add_case(folder, place, restricted=restricted)
    scheme = str(write_scheme(tmp_path / "uk.toml"))
    with pytest.raises(HashSetError, match="one examiner only"):
        build_graded_set(place, tmp_path / "two.chs", scheme, two=True)
    assert build_graded_set(place, tmp_path / "one.chs", scheme).built.counts["records"] == 1


def test_a_case_purged_meanwhile_takes_no_other_with_it(
    tmp_path: Path, place: UnitPlace, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its number may have been given to the case that somebody added in between."""
    add_case(make_case(tmp_path / "one", contents(1)), place)
    two = make_case(tmp_path / "two", contents(2), reference="OP/2")
    find, between = find_member, [True]

    def found(store: Any, wanted: str) -> Any:
        member = find(store, wanted)
        if between and between.pop():
            purge_case(place, "OP/1")
            add_case(two, place)
        return member

    monkeypatch.setattr("caid_triage.unit.add.find_member", found)
    with pytest.raises(UsageError, match="no case of that reference or key"):
        purge_case(place, "OP/1")
    store = open_unit(place, Mode.READ)
    assert [(one.reference, one.contents) for one in store.members()] == [("OP/2", 1)]
    assert len(list(store.sightings([sha256(b"2")], 0))) == 1
    store.close()


def test_a_purge_whose_room_cannot_be_given_back_is_done_and_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On a full disk, or while another adds."""
    place = UnitPlace(tmp_path / "memory" / "unit.db")
    add_case(make_case(tmp_path / "one", contents(1)), place)

    def full(_: object) -> str:
        raise UnitError("no space is left for it")

    monkeypatch.setattr("caid_triage.unit.sqlite.SqliteStore.compact", full)
    purged = purge_case(place, "OP/1")
    assert (purged.rows, ["no space is left" in remark for remark in purged.remarks]) == (3, [True])
    assert everything(place) == []


def test_a_purge_that_is_interrupted_once_the_rows_are_out_gives_back_the_room_before_it_ends(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Run again it would not find the case, and nothing would ever make the file anew."""
    place = UnitPlace(tmp_path / "memory" / "unit.db")
    add_case(make_case(tmp_path / "one", contents(*range(300))), place)
    compact = SqliteStore.compact

    def interrupted(self: SqliteStore) -> str:
        signal.raise_signal(signal.SIGINT)
        return compact(self)

    with monkeypatch.context() as patched, interruptible():
        patched.setattr(SqliteStore, "compact", interrupted)
        with pytest.raises(KeyboardInterrupt):
            purge_case(place, "OP/1")
    assert everything(place) == []
    with closing(sqlite3.connect(tmp_path / "memory" / "unit.db")) as database:
        assert database.execute("PRAGMA freelist_count").fetchone() == (0,)


def test_an_older_copy_of_a_case_does_not_take_the_place_of_what_was_added_since(
    tmp_path: Path, place: UnitPlace
) -> None:
    """A backup, or a chain that somebody wrote anew behind the first line."""
    one = make_case(tmp_path / "one", contents(1, 2))
    shutil.copytree(one, tmp_path / "backup")
    with open_case_for_writing(one) as case:
        case.decide(sha256(b"1"), Decision("A", WHEN, GRADE_A))
    add_case(one, place)
    before = everything(place)
    with pytest.raises(CaseError, match="a later or another state of it"):
        add_case(tmp_path / "backup", place)
    assert everything(place) == before
    assert add_case(one, place).before == 2
    purge_case(place, case_key(one))
    assert add_case(tmp_path / "backup", place).before is None


def test_nothing_but_digests_cameras_and_grades_goes_into_the_memory(tmp_path: Path) -> None:
    place = UnitPlace(tmp_path / "memory" / "unit.db")
    names = [record(n, f"{n}".encode(), path=f"/home/JANE-SUSPECT/{n}.jpg", metadata=(("artist", "JANE-SUSPECT"),))
             for n in range(3)]  # fmt: skip
    add_case(make_case(tmp_path / "one", names, decisions=[(sha256(b"1"), "A", GRADE_A)]), place)
    stored = (tmp_path / "memory" / "unit.db").read_bytes()
    assert sha256(b"1") in stored
    for word in (b"JANE-SUSPECT", b".jpg", b"a NAME in it", b"latitude"):
        assert word not in stored


# -- refusals ---------------------------------------------------------------------------------------------------------


def test_a_case_that_was_changed_is_refused_and_the_memory_stays_as_it_was(tmp_path: Path, place: UnitPlace) -> None:
    one = make_case(tmp_path / "one", contents(1, 2))
    add_case(one, place)
    before = everything(place)
    with closing(sqlite3.connect(one / "case.db")) as database:
        database.execute("UPDATE entry SET size = 5 WHERE id = (SELECT min(id) FROM entry)")
        database.commit()
    with pytest.raises(CaseError, match=r"was not added: case\.db"):
        add_case(one, place)
    assert everything(place) == before


def break_chain(folder: Path) -> None:
    """Change a line in the middle: the end of the chain is as the case noted it."""
    with open_case_for_writing(folder) as case:
        case.begin()
    path = folder / "audit.jsonl"
    lines = path.read_bytes().splitlines(keepends=True)
    assert b'"sequence":2,' in lines[1]
    lines[1] = lines[1].replace(b'"sequence":2,', b'"sequence":2 ,')
    path.write_bytes(b"".join(lines))


@pytest.mark.parametrize("how", ["chain", "database"])
def test_a_case_whose_audit_trail_does_not_hold_is_neither_added_nor_looked_up(tmp_path: Path, how: str) -> None:
    place = UnitPlace(tmp_path / "memory" / "unit.db")
    add_case(make_case(tmp_path / "one", contents(1)), place)
    two = make_case(tmp_path / "two", contents(1), reference="OP/2")
    if how == "chain":
        break_chain(two)
    else:
        with closing(sqlite3.connect(two / "case.db")) as database:
            database.execute("UPDATE entry SET size = 5 WHERE id = (SELECT min(id) FROM entry)")
            database.commit()
    with pytest.raises(CaseError, match="was not added: "):
        add_case(two, place)
    with open_case_for_writing(two) as case, pytest.raises(CaseError, match=r"was not looked up: audit\.jsonl line"):
        look(case, place)
    with open_case_for_writing(two) as case:
        assert look_or_note(case, place).startswith("audit.jsonl line")
    with open_case(two) as view:
        assert view.unit_look() is None
        assert [row.code for row in view.problem_counts()] == ["unit-not-reached"]
    assert len(looked(two, place, changed=True).same) == 1
    with open_case(two) as view:
        assert list(view.problem_counts()) == []


def test_a_case_that_is_written_to_and_one_whose_scan_is_not_finished_are_refused(
    tmp_path: Path, place: UnitPlace
) -> None:
    one = make_case(tmp_path / "one", contents(1, 2))
    with open_case_for_writing(one), pytest.raises(CaseError, match="in use"):
        add_case(one, place)
    with open_case_for_writing(one) as case:
        case.add_source(samples.source(exhibit="ABC/2"), {})
    with pytest.raises(CaseError, match="not finished"):
        add_case(one, place)


def test_an_exception_in_the_middle_of_adding_leaves_the_memory_as_it_was(
    tmp_path: Path, place: UnitPlace, monkeypatch: pytest.MonkeyPatch
) -> None:
    one = make_case(tmp_path / "one", contents(1, 2))
    two = make_case(tmp_path / "two", contents(3, 4), reference="OP/2")
    add_case(one, place)
    before = everything(place)

    def broken(*_: object) -> None:
        raise KeyboardInterrupt

    for folder in (one, two):
        with monkeypatch.context() as patched:
            patched.setattr("caid_triage.unit.add._cameras", broken)
            with pytest.raises(KeyboardInterrupt):
                add_case(folder, place)
        assert everything(place) == before
        assert verify_case(folder) == []


# -- purging ----------------------------------------------------------------------------------------------------------


def test_what_came_from_a_purged_case_is_gone_and_the_others_are_as_before(tmp_path: Path, place: UnitPlace) -> None:
    one = make_case(
        tmp_path / "one", [*contents(1, 2), with_camera(5, "0012345678X")], reference="OP/1",
        decisions=[(sha256(b"1"), "A", GRADE_A)],
    )  # fmt: skip
    two = make_case(tmp_path / "two", contents(2, 3), reference="OP/2")
    add_case(two, place)
    before = everything(place)
    add_case(one, place)
    purged = purge_case(place, "OP/1", "P. Officer")
    assert (purged.key, purged.remarks) == (case_key(one), ())
    assert everything(place) == before
    assert [row.sha256 for row in looked(one, place).same] == [sha256(b"2")]
    with pytest.raises(UsageError, match="no case"):
        purge_case(place, "OP/1")


def test_not_a_byte_of_a_purged_case_is_left_in_the_file(tmp_path: Path) -> None:
    place = UnitPlace(tmp_path / "memory" / "unit.db")
    add_case(make_case(tmp_path / "two", contents(*range(100, 160)), reference="OP/2"), place)
    one = make_case(tmp_path / "one", contents(*range(60)), reference="Quartz", exhibit="QZ/77")
    add_case(one, place)
    needles = [sha256(f"{n}".encode()) for n in range(60)] + [b"Quartz", b"QZ/77"]
    assert all(needle in place.path.read_bytes() for needle in needles)  # type: ignore[union-attr]
    purge_case(place, "Quartz")
    left = (tmp_path / "memory" / "unit.db").read_bytes()
    assert [needle for needle in needles if needle in left] == []
    assert sha256(b"100") in left
    assert [path.name for path in (tmp_path / "memory").iterdir()] == ["unit.db"]


def test_two_cases_of_one_reference_are_told_apart_by_their_keys(tmp_path: Path, place: UnitPlace) -> None:
    folders = [make_case(tmp_path / name, contents(number)) for number, name in enumerate(("one", "two"))]
    for folder in folders:
        add_case(folder, place)
    with pytest.raises(UsageError, match="2 cases have that reference"):
        purge_case(place, "OP/1")
    assert purge_case(place, case_key(folders[0])[:12]).key == case_key(folders[0])
    store = open_unit(place, Mode.READ)
    assert find_member(store, "OP/1").key == case_key(folders[1])
    store.close()


# -- hash sets of own grades ------------------------------------------------------------------------------------------


def graded_cases(tmp_path: Path, place: UnitPlace) -> None:
    """Two cases, graded alike, differently, by one and by two, in another scheme."""
    other = Category("1", "One", "another", 30)
    pdq = bytes(range(32))
    files = [*contents(0, 1, 2, 3, 4), picture(5, b"5", pdq)]
    one = make_case(tmp_path / "one", files, reference="OP/1", decisions=[
        (sha256(b"1"), "A", GRADE_A), (sha256(b"2"), "A", GRADE_A), (sha256(b"3"), "A", GRADE_A),
        (sha256(b"4"), "A", other), (sha256(b"5"), "A", GRADE_B),
    ])  # fmt: skip
    two = make_case(tmp_path / "two", files, reference="OP/2", decisions=[
        (sha256(b"1"), "B", GRADE_A), (sha256(b"2"), "B", GRADE_B), (sha256(b"3"), "A", GRADE_A),
        (sha256(b"5"), "B", GRADE_B),
    ])  # fmt: skip
    for folder in (one, two):
        add_case(folder, place)


def test_own_grades_become_a_hash_set_without_conflicting_ones(tmp_path: Path, place: UnitPlace) -> None:
    graded_cases(tmp_path, place)
    scheme_file = write_scheme(tmp_path / "uk.toml")
    made = build_graded_set(place, tmp_path / "own.chs", str(scheme_file))
    assert made.left_out == {"conflicting grades": 1, "graded in another scheme only": 1}
    opened = open_hashset(tmp_path / "own.chs")
    assert {name: opened.counts[name] for name in ("records", "sha256", "sha1", "md5", "pdq")} == {
        "records": 3, "sha256": 3, "sha1": 3, "md5": 3, "pdq": 1,
    }  # fmt: skip
    assert codes_of(tmp_path / "own.chs") == {b"1": "1", b"3": "1", b"5": "2"}
    two = build_graded_set(place, tmp_path / "two.chs", str(scheme_file), two=True)
    assert two.left_out == {"conflicting grades": 1, "graded in another scheme only": 1, "one examiner only": 1}
    assert codes_of(tmp_path / "two.chs") == {b"1": "1", b"5": "2"}


def codes_of(path: Path) -> dict[bytes, str]:
    """What a set says of each of the contents that were graded, by every kind of digest alike."""
    from caid_triage.hashset.lookup import lookup

    opened, found = open_hashset(path), {}
    for content in (b"0", b"1", b"2", b"3", b"4", b"5"):
        digests = samples.digests(content + b"." * 300)
        answers = [lookup(opened, digest.hex()).records for digest in (digests.md5, digests.sha1, digests.sha256)]
        said = {tuple(record.category.code for record in records) for records in answers}
        assert len(said) == 1
        if codes := said.pop():
            (found[content],) = codes
    return found


# -- at the end of a scan ---------------------------------------------------------------------------------------------


def test_a_memory_that_cannot_be_reached_is_a_problem_that_goes_with_the_next_look_up(
    tmp_path: Path, place: UnitPlace
) -> None:
    one = make_case(tmp_path / "one", contents(1, 2))
    with open_case_for_writing(one) as case:
        assert "no unit's memory" in look_or_note(case, place)
        assert look_or_note(case, UnitPlace(tmp_path / "nowhere" / "unit.db"))
    with open_case(one) as view:
        assert [row.code for row in view.wide_problems()] == ["unit-not-reached"]
    assert verify_case(one) == []
    add_case(make_case(tmp_path / "two", contents(2), reference="OP/2"), place)
    with open_case_for_writing(one) as case:
        assert look_or_note(case, place) == ""
    with open_case(one) as view:
        assert view.wide_problems() == []
    assert len(links(one)) == 1
    with open_case_for_writing(one) as case:
        assert look_or_note(case, UnitPlace(tmp_path / "nowhere" / "unit.db"))
    assert len(links(one)) == 1  # what was found before stays
    assert verify_case(one) == []


def test_names_that_no_database_likes_come_through(tmp_path: Path, place: UnitPlace) -> None:
    name = "x'; DROP TABLE member; --\0\ud800 \U0001f4f7 \\x00 %s {} $1"
    stored = "x'; DROP TABLE member; --\\x00\\ud800 \U0001f4f7 \\x00 %s {} $1"
    odd = with_camera(4, "se'ri\0al", ("camera-make", "Mä"), ("camera-model", "\U0001f4f7"))
    files = [*contents(1), odd]
    one = make_case(
        tmp_path / "one", files,
        reference=name, exhibit=name, source=name, decisions=[(sha256(b"1"), name, GRADE_A)],
    )  # fmt: skip
    add_case(one, place, by=name)
    add_case(one, place, by=name)
    two = make_case(
        tmp_path / "two", files,
        reference="OP/2",
    )  # fmt: skip
    looked(two, place)
    (row,) = [row for row in links(two) if row.sha256 == sha256(b"1")]
    assert (row.other_case, row.other_exhibit, row.other_source) == (stored, stored, stored)
    (grade,) = links(two, "graded-before")
    assert grade.graded_by == stored
    assert purge_case(place, name).rows > 3


def test_what_cannot_be_read_has_no_digest_and_is_not_looked_up(tmp_path: Path, place: UnitPlace) -> None:
    unread = samples.record(3, hashes=(), digests=None, decode_state=DecodeState.NOT_ATTEMPTED)
    empty = samples.record(4, b"", hashes=())
    one = make_case(tmp_path / "one", [*contents(1), unread, empty])
    added: Added = add_case(one, place, smallest=0)
    assert (added.contents, added.files) == (1, 1)
