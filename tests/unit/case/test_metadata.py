"""What files say of their origin, in a case: kept, gathered by camera, and linked only where a number can link."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from unit.case import samples

from caid_triage.case.cameras import camera_key, camera_name, reasons
from caid_triage.case.metadata import place_of_video
from caid_triage.case.rows import CaseHeader
from caid_triage.case.store import CaseWriter, create_case
from caid_triage.case.view import CaseView, open_case
from caid_triage.model import Category, Match, Role, ScanRecord, State

Item = tuple[ScanRecord, tuple[Match, ...]]
CANON = {"camera-make": "Canon", "camera-model": "Canon EOS 5D", "camera-serial": "0420123456"}


@pytest.fixture
def writer(tmp_path: Path) -> Iterator[CaseWriter]:
    with create_case(tmp_path / "case", CaseHeader("R")) as case:
        case.record_hashset(samples.NOTABLE)
        case.record_hashset(samples.KNOWN_GOOD)
        yield case


def view_of(writer: CaseWriter, items: Sequence[Item]) -> CaseView:
    source_id = writer.add_source(samples.source(), {})
    writer.write_batch(source_id, [item[0] for item in items], [item[1] for item in items], [], len(items))
    writer.finish_source(source_id, len(items), len(items))
    return open_case(writer.folder)


def said(number: int, *met: Match, taken: str = "", **changes: object) -> Item:
    pairs = dict(changes.pop("pairs", CANON))  # type: ignore[call-overload]
    if taken:
        pairs["taken"] = taken
    return samples.record(number, metadata=tuple(pairs.items()), **changes), met


def test_what_files_say_comes_back_in_report_order(writer: CaseWriter) -> None:
    items = [
        said(0, pairs={"software": "a\x00b", "description": "=1+1"}),
        (samples.record(1), ()),
        (samples.record(2, metadata=(("history", "one"), ("history", "two"))), ()),
    ]
    with view_of(writer, items) as view:
        rows = list(view.metadata())
        records = [record for _, batch in view.records() for record in batch]
        assert (view.metadata_figures().files, view.metadata_figures().with_place) == (2, 0)
    assert [(row.path, row.pairs) for row in rows] == [
        ("/pictures/0.jpg", (("software", "a\x00b"), ("description", "=1+1"))),
        ("/pictures/2.jpg", (("history", "one"), ("history", "two"))),
    ]
    assert [record.examination.metadata for record in records] == [item[0].examination.metadata for item in items]


def test_a_listed_picture_s_camera_makes_leads_of_its_other_files(writer: CaseWriter) -> None:
    spelt_otherwise = {"camera-make": "CANON INC.", "camera-model": "EOS 5D", "camera-serial": " 420-123456"}
    items = [
        said(0, samples.match(), taken="2014-07-12T16:17:10.5+02:00"),
        said(1, taken="2013-01-01T00:00:00 zone unknown"),
        said(2, pairs=spelt_otherwise, taken="9999:99:99 99:99:99 (not a valid time)", state=State.DELETED),
        said(3, samples.near(), taken="2015-01-01 zone unknown"),
        said(4, pairs=CANON | {"camera-serial": "0420123457"}),
        said(5, pairs=CANON | {"camera-model": "Canon EOS 6D"}),
        said(6, samples.match(), content=b"content 0"),
        said(7, pairs={name: CANON[name] for name in ("camera-make", "camera-model")}),
        said(8, pairs={"software": "x"}),
    ]
    with view_of(writer, items) as view:
        cameras = view.cameras()
        leads = {row.path: row.camera_lead for row in view.metadata()}
        assert [row.path for row in view.camera_leads()] == [f"/pictures/{number}.jpg" for number in (1, 2, 3)]
    first = cameras[0]
    assert (first.make, first.model, first.serial, first.leads, first.unlinked) == (*CANON.values(), True, "")
    assert (first.files, first.unique, first.listed, first.listed_unique) == (5, 4, 2, 1)
    assert (first.first_taken, first.last_taken) == ("2013-01-01T00:00:00", "2015-01-01")
    others = [(row.model, row.serial, row.unlinked, row.leads) for row in cameras[1:]]
    assert sorted(others) == [
        ("Canon EOS 5D", "", "no serial number", False),
        ("Canon EOS 5D", "0420123457", "", False),
        ("Canon EOS 6D", "0420123456", "", False),
    ]
    assert list(leads.values()) == ["listed", "lead", "lead", "lead", "", "", "listed", "", ""]


@pytest.mark.parametrize(
    "met",
    [
        (),
        (samples.near(),),
        (samples.match(contradicted=True),),
        (samples.match(Category("9", "Ignorable", "uk", 0)),),
        (samples.match(Category("", "", ""), hashset="good-set", role=Role.KNOWN_GOOD),),
    ],
)
def test_only_an_exact_pertinent_notable_match_makes_leads(writer: CaseWriter, met: tuple[Match, ...]) -> None:
    with view_of(writer, [said(0, *met), said(1)]) as view:
        assert not any(row.leads for row in view.cameras())
        assert list(view.camera_leads()) == []
        assert {row.camera_lead for row in view.metadata()} == {""}


@pytest.mark.parametrize(
    ("serial", "why"),
    [
        ("0000000", "too short"),
        ("1111111", "a placeholder"),
        ("N/A", "too short"),
        ("None", "a placeholder"),
        ("Not available", "a placeholder"),
        ("123456789", "a placeholder"),
        ("EOS 5D", "the name of the model"),
        ("Canon EOS 5D", "the name of the model"),
        ("-", "no serial number"),
        ("12", "too short"),
        ("2188172", ""),
        ("0123456789", "a placeholder"),
        ("00000729", ""),
    ],
)
def test_a_number_that_tells_nothing_links_nothing(writer: CaseWriter, serial: str, why: str) -> None:
    pairs = CANON | {"camera-serial": serial}
    with view_of(writer, [said(0, samples.match(), pairs=pairs), said(1, pairs=pairs)]) as view:
        (camera,) = view.cameras()
    assert (camera.unlinked, camera.leads) == (why, not why)


def test_a_number_without_a_model_or_of_three_models_links_nothing(writer: CaseWriter) -> None:
    alone = {"camera-make": "Canon", "camera-serial": "777888999"}
    items = [said(0, samples.match(), pairs=alone), said(1, pairs=alone)]
    for number, model in enumerate(("A", "B", "C"), start=2):
        items.append(said(number, samples.match(), pairs=CANON | {"camera-model": model, "camera-serial": "5566778"}))
    with view_of(writer, items) as view:
        assert {row.unlinked for row in view.cameras()} == {"no model with it", "shared by 3 models"}
        assert list(view.camera_leads()) == []


@pytest.mark.parametrize(
    ("make", "model", "name"),
    [
        ("Canon", "Canon EOS 5D", "Canon EOS 5D"),
        ("NIKON CORPORATION", "NIKON D90", "NIKON D90"),
        ("LGE", "Nexus 4", "LGE Nexus 4"),
        ("", "X", "X"),
        ("FLIR", "", "FLIR"),
    ],
)
def test_a_maker_is_named_once(make: str, model: str, name: str) -> None:
    assert camera_name(make, model) == name


def test_an_internal_number_is_never_taken_for_the_body_s() -> None:
    internal = {"camera-make": "Panasonic", "camera-model": "LX3", "camera-internal-serial": "F341001200316"}
    body = {"camera-make": "Panasonic", "camera-model": "LX3", "camera-serial": "F341001200316"}
    assert camera_key(internal) != camera_key(body)
    assert camera_key({}) is None
    assert camera_key({"software": "x"}) is None


@given(st.dictionaries(st.sampled_from([*CANON, "camera-internal-serial"]), st.text(max_size=30)))
def test_any_text_makes_a_camera_or_none(pairs: dict[str, str]) -> None:
    key = camera_key(pairs)
    if key is not None:
        assert key in reasons([key])


@pytest.mark.parametrize(
    ("text", "place"),
    [
        ("+51.5074-000.1278/", (51.5074, -0.1278)),
        ("-33.8688+151.2093+012.345/", (-33.8688, 151.2093)),
        ("+5130.5-00007.5/", (51.508333, -0.125)),
        ("+513027-0000740/", (51.5075, -0.127778)),
        ("+91.0+000.0/", None),
        ("+51.5-181.0/", None),
        ("London", None),
        ("", None),
        ("٥١", None),
    ],
)
def test_the_place_of_a_video(text: str, place: tuple[float, float] | None) -> None:
    found = place_of_video(text)
    assert found == (None if place is None else pytest.approx(place, abs=1e-6))


def test_files_with_a_place_are_those_that_name_one(writer: CaseWriter) -> None:
    items = [
        said(0, pairs={"latitude": "51.507350", "longitude": "-0.127811"}),
        said(1, pairs={"latitude": "51.507350"}),
        said(2, pairs={"location": "+51.5074-000.1278/"}),
        said(3, pairs={"location": "here"}),
        said(4, pairs={"latitude": "nan", "longitude": "1.0"}),
        said(5, pairs={"latitude": "95.000000", "longitude": "1.000000"}),
    ]
    with view_of(writer, items) as view:
        assert [(row.path, row.place()) for row in view.places()] == [
            ("/pictures/0.jpg", (51.50735, -0.127811)),
            ("/pictures/2.jpg", (51.5074, -0.1278)),
        ]
        assert view.metadata_figures().with_place == 2
