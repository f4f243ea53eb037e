"""vics.json and vics-new.json: VICS 2.0 cases that the strictest known readers would take, and that say what is so."""

from __future__ import annotations

import base64
import sqlite3
import uuid
from collections import Counter
from contextlib import closing
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest
from support.exchange_case import HARD_NAMES, UK, US, decide, make_exchange_case, state_items
from support.vics_rules import read_checked, read_rows
from unit.case import samples
from unit.report import exhibits

from caid_triage.case.store import open_case_for_writing
from caid_triage.case.view import open_case
from caid_triage.exact_names import exact_text
from caid_triage.hashset.rows import STATED_WORDS, RecordFlag
from caid_triage.model import Category, Decision, Kind, PerceptualHash, Role, State
from caid_triage.report.c4_xml import write_c4p
from caid_triage.report.write import write_reports

NEAR = "near match, not confirmed"
A = Category("1", "Category A", "uk", 30)
US_1 = Category("1", "Child abuse material", "projectvic-us", 50)


def cases(folder: Path, name: str = "vics") -> list[dict[str, Any]]:
    with open_case(folder) as view:
        write_reports(view, folder.parent / "out", [name])
    return read_checked(folder.parent / "out" / f"{name}.json")


def busy(tmp_path: Path, **choices: Any) -> list[dict[str, Any]]:
    return cases(exhibits.make_case(tmp_path / "case", exhibits.busy_items(), **choices))


def by_name(case: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """Each MediaFile by its name, with its Media's own fields."""
    return {file["FileName"]: {**media, **file} for media in case["Media"] for file in media["MediaFiles"]}


@pytest.mark.parametrize(
    ("changes", "region"),
    [
        ({"scheme": "projectvic-us"}, "US"),
        ({"scheme": "uk"}, "UK"),
        ({"scheme": "none"}, "UK"),
        ({"scheme": "bus-1"}, "UK"),
        ({"scheme": "our-own", "scheme_file": {"regions": [], "jurisdiction": "United States"}}, "US"),
        ({"scheme": "our-own", "scheme_file": {"regions": ["/2.0.xml/Default/"]}}, "Default"),
    ],
)
def test_the_region_follows_the_scheme(tmp_path: Path, changes: dict[str, Any], region: str) -> None:
    folder = exhibits.make_case(tmp_path / "case", exhibits.busy_items(), hashsets=({**samples.NOTABLE, **changes},))
    cases(folder)
    assert f"/2.0.xml/{region}/".encode() in (tmp_path / "out" / "vics.json").read_bytes()


def test_each_exhibit_is_a_case_of_its_own_also_without_a_match(tmp_path: Path) -> None:
    first, second = busy(tmp_path)
    assert [first["CaseNumber"], second["CaseNumber"]] == ["ABC/1", "ABC/2"]
    assert (second["Media"], second["TotalMediaFiles"], second["TotalPrecategorized"]) == ([], 0, 0)
    assert uuid.UUID(first["CaseID"]) != uuid.UUID(second["CaseID"])
    assert (first["SourceApplicationName"], first["SourceApplicationVersion"]) == ("caid-triage", "9.9")


def test_media_are_the_matched_contents_with_all_their_files(tmp_path: Path) -> None:
    case = busy(tmp_path)[0]
    media = case["Media"]
    assert len(media) == 6 + len(exhibits.HOSTILE_NAMES)
    assert case["TotalPrecategorized"] == len(media) - 2
    first, digests = media[0], samples.digests(b"same")
    assert (first["MD5"], first["SHA1"]) == (digests.md5.hex().upper(), digests.sha1.hex().upper())
    assert (first["MediaSize"], first["MimeType"], first["Category"]) == (100, "image/jpeg", 1)
    assert first["AlternativeHashes"] == [
        {"MD5": first["MD5"], "HashName": "SHA256", "HashValue": digests.sha256.hex().upper()},
        {"MD5": first["MD5"], "HashName": "PDQ", "HashValue": bytes(range(32)).hex()},
    ]
    live, deleted = first["MediaFiles"]
    assert (live["FilePath"], live["FileName"], live["SourceID"]) == ("p1/pictures/", "0.jpg", "disk.E01")
    assert (deleted["FilePath"], deleted["FileName"]) == ("p1/", "gone.jpg")
    moment = "2020-01-02T03:04:05Z"
    assert (live["Created"], live["Written"], live["PhysicalLocation"]) == (moment, moment, 0)
    assert "Accessed" not in live


def test_deleted_and_unallocated_say_what_became_of_each_file(tmp_path: Path) -> None:
    found = by_name(cases(make_exchange_case(tmp_path / "case", state_items()))[0])
    said = {name: (file.get("Deleted"), file.get("Unallocated")) for name, file in found.items()}
    assert said == {
        "0.jpg": (None, None),
        "gone.jpg": ("true", None),
        "two.jpg": ("true", None),
        "three.jpg": (None, None),  # no name leads to it, and its file system has it in use
        "four.jpg": ("true", "true"),
        "five.jpg": ("true", "true"),
        "deep.jpg": (None, None),
        "c.jpg": ("true", None),  # its archive does not list it any more
        "d.jpg": ("true", None),  # its archive is deleted
        "8.jpg": (None, None),
    }


def test_what_lies_in_an_orphan_in_use_is_alive_with_it(tmp_path: Path) -> None:
    items = state_items()
    inside, archive = items[10], items[11]
    orphan = samples.record(
        7, b"e", path="/gone.zip", state=State.ORPHAN, problems=items[3][0].entry.problems, hashes=()
    )
    assert archive[0].entry.state is State.DELETED
    (file,) = by_name(cases(make_exchange_case(tmp_path / "case", [inside, (orphan, ())]))[0]).values()
    assert (file["FileName"], "Deleted" in file) == ("d.jpg", False)


def test_an_embedded_file_names_the_container_that_it_lies_in(tmp_path: Path) -> None:
    found = by_name(cases(make_exchange_case(tmp_path / "case", state_items()))[0])
    words = ("ParentMD5", "ParentFileName", "ParentFilePath", "ParentPhysicalLocation", "FilePath")
    deep, c = ({word: found[name].get(word) for word in words} for name in ("deep.jpg", "c.jpg"))
    assert deep == {
        "ParentMD5": samples.digests(b"b").md5.hex().upper(),
        "ParentFileName": "b.zip",
        "ParentFilePath": "p1/a.zip//",
        "ParentPhysicalLocation": None,
        "FilePath": "p1/a.zip//b.zip//",
    }
    assert c == {
        "ParentMD5": samples.digests(b"a").md5.hex().upper(),
        "ParentFileName": "a.zip",
        "ParentFilePath": "p1/",
        "ParentPhysicalLocation": 6 * 4096,
        "FilePath": "p1/a.zip//sub/",
    }
    assert not {"ParentMD5", "ParentFileName"} & set(found["0.jpg"])


def test_of_two_containers_of_one_name_each_file_names_its_own(tmp_path: Path) -> None:
    inner = {"state": State.EMBEDDED, "physical_offset": None}
    met = (samples.match(),)
    items = [
        (samples.record(0, b"x1", part=1, path="/a.zip//b.zip//x.jpg", **inner), met),
        (samples.record(0, b"first", part=2, path="/a.zip//b.zip", **inner), ()),
        (samples.record(0, b"x2", part=3, path="/a.zip//b.zip//x.jpg", **inner), met),
        (samples.record(0, b"second", part=4, path="/a.zip//b.zip", **inner), ()),
        (samples.record(0, b"a", path="/a.zip"), ()),
    ]
    media = cases(make_exchange_case(tmp_path / "case", items, batch=2))[0]["Media"]
    parents = {item["MD5"]: item["MediaFiles"][0]["ParentMD5"] for item in media}
    of = {name: samples.digests(name.encode()).md5.hex().upper() for name in ("x1", "x2", "first", "second")}
    assert parents == {of["x1"]: of["first"], of["x2"]: of["second"]}


def test_names_are_written_exactly_as_their_bytes_spell_them(tmp_path: Path) -> None:
    found = by_name(cases(make_exchange_case(tmp_path / "case"))[0])
    for raw in HARD_NAMES:
        assert exact_text(raw[1:]) in found
    assert {"caf\u00e9.jpg", "line\nbreak\ttab\x01\x1b[31m.jpg", "\\xff\\xfe-not-utf8.jpg", "back\nslash.jpg"} <= set(
        found
    )
    assert {"\\x5cxff\\x5cxfe-not-utf8.jpg", "back\\x5cx0aslash.jpg"} <= set(found)


def test_what_a_picture_says_of_its_origin_is_among_its_exifs(tmp_path: Path) -> None:
    media = cases(make_exchange_case(tmp_path / "case", state_items()))[0]["Media"]
    said = {one["PropertyName"]: one["PropertyValue"] for one in media[0]["Exifs"]}
    assert said == {"Make": "Nikon", "DateTimeOriginal": "2014-07-12T16:17:10 zone unknown"}
    assert "Exifs" not in media[1]


def test_what_is_known_of_a_picture_or_film_and_is_no_exif_tag_is_its_media_metadata(tmp_path: Path) -> None:
    of_film: dict[str, Any] = {"kind": Kind.VIDEO, "media_type": "video/mp4", "hashes": (), "duration_s": 12.5}
    codec = (("camera-make", "Nikon"), ("video-codec", "h264"))
    items = [
        *state_items(),
        (samples.record(30, b"listed film", metadata=codec, **of_film), (samples.match(),)),
        (samples.record(31, b"a note", kind=Kind.OTHER, width=None, height=None, hashes=()), (samples.match(),)),
    ]
    folder = make_exchange_case(tmp_path / "case", items)
    found = by_name(cases(folder)[0])
    said = {name: [(one["PropertyName"], one["PropertyValue"]) for one in item.get("MediaMetadata", [])]
            for name, item in found.items()}  # fmt: skip
    assert said["0.jpg"] == [("Width", "640"), ("Height", "480"), ("history", "saved")]
    assert said["30.jpg"] == [("Width", "640"), ("Height", "480"), ("Duration", "12.5"), ("video-codec", "h264")]
    assert "MediaMetadata" not in found["31.jpg"]
    assert by_name(cases(folder, "vics-new")[0])["10.jpg"]["MediaMetadata"][0]["PropertyValue"] == "640"


def test_an_exact_match_names_its_set_its_digest_and_its_scheme(tmp_path: Path) -> None:
    found = by_name(cases(make_exchange_case(tmp_path / "case", state_items()))[0])["0.jpg"]
    assert found["PrecategorizationSource"] == "exact hash match: unit-set (sha256)"
    assert (found["Category"], found["IsPrecategorized"], found["Comments"]) == (1, "true", "Category A [uk]")


def test_where_entries_disagree_the_gravest_is_given_and_the_others_are_said(tmp_path: Path) -> None:
    """Also in c4p.xml: a grading tool would take the category for what all sets say."""
    items = [(samples.record(0), (samples.match(), samples.match(samples.CATEGORY_C)))]
    folder = make_exchange_case(tmp_path / "case", items)
    (found,) = cases(folder)[0]["Media"]
    assert found["Category"] == 1
    assert found["Comments"] == "Category A [uk]; unit-set lists it as Category C [uk]"
    assert found["PrecategorizationSource"] == "exact hash match: unit-set (sha256)"
    with open_case(folder) as view:
        write_c4p(view, out := BytesIO())
    assert "Category A [uk]; unit-set lists it as Category C [uk]" in out.getvalue().decode("utf-16")


def test_a_scheme_that_nobody_confirmed_is_said_beside_every_grade(tmp_path: Path) -> None:
    found = cases(make_exchange_case(tmp_path / "case", state_items(), info=samples.NOTABLE))[0]["Media"]
    assert all("[uk, SCHEME NOT CONFIRMED]" in item["Comments"] for item in found)


def test_a_near_match_carries_no_category_and_says_so(tmp_path: Path) -> None:
    found = by_name(busy(tmp_path)[0])
    near = found["4.jpg"]
    assert "Category" not in near
    assert (near["IsSuspected"], near["IsPrecategorized"], near["Tags"]) == ("true", "false", NEAR)
    # An exact match in C with a look-alike in A stays what the exact match says.
    assert found["5.jpg"]["Category"] == 3


def test_a_code_that_is_no_number_stays_a_comment(tmp_path: Path) -> None:
    items = [(samples.record(0), (samples.match(Category("A", "Category A", "uk", 50)),))]
    (media,) = cases(exhibits.make_case(tmp_path / "case", items))[0]["Media"]
    assert "Category" not in media
    assert media["Comments"].startswith("Category A [uk")


def test_a_code_of_another_regions_scheme_stays_a_comment(tmp_path: Path) -> None:
    items = [
        (samples.record(0), (samples.match(),)),
        (samples.record(1), (samples.match(US_1, hashset="us-set"),)),
    ]
    folder = exhibits.make_case(tmp_path / "case", items, hashsets=(UK, US))
    uk, us = cases(folder)[0]["Media"]
    assert (uk["Category"], "Category" in us) == (1, False)
    assert us["Comments"] == "Child abuse material [projectvic-us]"


def test_an_examiners_decision_is_the_category_and_says_who_decided(tmp_path: Path) -> None:
    folder = make_exchange_case(tmp_path / "case", state_items())
    decide(folder, b"near", A)
    decide(folder, b"new picture", Category("9", "Ignorable", "uk", 0), "a landscape")
    decide(folder, b"seen twice", Category("3", "Category C", "uk", 10))
    found = by_name(cases(folder)[0])
    near, new, listed = (found[name] for name in ("8.jpg", "10.jpg", "0.jpg"))
    assert [(item["Category"], item["IsPrecategorized"]) for item in (near, new, listed)] == [
        (1, "false"),
        (9, "false"),
        (3, "false"),
    ]
    assert "IsSuspected" not in near
    assert near["Comments"] == "graded Category A [uk] by DC 9, 2026-11-29T02:30:00Z"
    assert new["Comments"].endswith("; a landscape")


def test_a_media_id_stays_what_it_is_after_a_decision_and_another_match(tmp_path: Path) -> None:
    folder = make_exchange_case(tmp_path / "case", state_items())
    before = {item["MD5"]: item["MediaID"] for item in cases(folder)[0]["Media"]}
    ungraded = {item["MD5"]: item["MediaID"] for item in cases(folder, "vics-new")[0]["Media"]}
    both = before.keys() & ungraded.keys()
    assert both == {samples.digests(b"near").md5.hex().upper()}
    assert all(before[md5] == ungraded[md5] for md5 in both)
    assert len({*before.values(), *ungraded.values()}) == len({*before, *ungraded})
    decide(folder, b"new picture", A)
    with open_case_for_writing(folder) as case:
        source_id = next(iter(case.records()))[0]
        records = [record for record, _ in state_items()]
        # Now only the third file is listed.
        met = [(samples.match(),) if record.entry.number == 2 else () for record in records]
        case.replace_matches([{**UK, "generation": "g1"}], [(source_id, records, met)])
    after = {item["MD5"]: item["MediaID"] for item in cases(folder)[0]["Media"]}
    assert len(after) == 2
    assert after.items() <= {**before, **ungraded}.items()


def test_our_own_reader_reads_the_same_digests_sizes_and_categories_back(tmp_path: Path) -> None:
    folder = make_exchange_case(tmp_path / "case")
    decide(folder, b"near", Category("3", "Category C", "uk", 10))
    cases(folder)
    rows = read_rows(tmp_path / "out" / "vics.json")
    with open_case(folder) as view:
        listed = {row.sha256: row for row in view.matches()}
    assert {row.sha256: (row.md5, row.sha1, row.size) for row in rows} == {
        digest: (row.md5, row.sha1, row.size) for digest, row in listed.items()
    }
    assert Counter(row.category for row in rows) == {"1": len(listed) - 1, "3": 1}


def test_counts_are_those_of_a_naive_recount_of_the_database(tmp_path: Path) -> None:
    folder = make_exchange_case(tmp_path / "case")
    media = cases(folder)[0]["Media"]
    with closing(sqlite3.connect(folder / "case.db")) as base:
        exact, files = base.execute(
            """SELECT count(DISTINCT e.sha256), count(DISTINCT e.id) FROM entry e JOIN file_match m ON m.entry_id = e.id
            JOIN hashset h ON h.id = m.hashset_id WHERE m.match_kind = 'exact' AND h.role = 'notable'"""
        ).fetchone()
    graded = [item for item in media if "Category" in item]
    assert (len(graded), sum(len(item["MediaFiles"]) for item in graded)) == (exact, files)


def test_the_new_ones_are_the_pictures_and_films_that_nothing_knows(tmp_path: Path) -> None:
    items = state_items()
    good = samples.match(hashset="good-set", role=Role.KNOWN_GOOD)
    collided = samples.match(algorithm="md5", contradicted=True)
    items += [(samples.record(12, b"known good"), (good,)), (samples.record(13, b"collided"), (collided,))]
    folder = make_exchange_case(tmp_path / "case", items)
    found = by_name(cases(folder, "vics-new")[0])
    assert set(found) == {"8.jpg", "9.jpg", "10.jpg", "13.jpg"}
    assert not any({"Category", "PrecategorizationSource"} & set(item) for item in found.values())
    assert {name for name, item in found.items() if item.get("IsSuspected")} == {"8.jpg"}
    assert found["10.jpg"]["AlternativeHashes"][1]["HashName"] == "PDQ"
    decide(folder, b"new picture", A)
    assert set(by_name(cases(folder, "vics-new")[0])) == {"8.jpg", "9.jpg", "13.jpg"}


def test_the_last_decision_counts(tmp_path: Path) -> None:
    folder = make_exchange_case(tmp_path / "case", state_items())
    decide(folder, b"near", A)
    with open_case_for_writing(folder) as case:
        category = Category("3", "Category C", "uk", 10)
        case.decide(samples.digests(b"near").sha256, Decision("DS 2", exhibits.STARTED, category))
    assert by_name(cases(folder)[0])["8.jpg"]["Category"] == 3


def test_what_a_set_states_of_its_item_is_handed_on_and_nothing_else_is(tmp_path: Path) -> None:
    items = state_items()
    one: dict[str, Any] = {"stated": ("victim-identified", "precategorised", "self-generated"), "series": "Series 7"}
    items[0] = (items[0][0], (samples.match(**one), samples.match(stated=("distributed",), series="Elm")))
    items[1] = (items[1][0], items[0][1])
    items[12] = (items[12][0], (samples.near(distance=8, **one), samples.match(contradicted=True, **one)))
    found = by_name(cases(make_exchange_case(tmp_path / "case", items))[0])
    words = ("VictimIdentified", "OffenderIdentified", "IsDistributed", "SelfGenerated", "Series")
    assert {word: found["gone.jpg"].get(word) for word in words} == {
        "VictimIdentified": "true",
        "OffenderIdentified": None,
        "IsDistributed": "true",
        "SelfGenerated": "true",
        "Series": "Elm, Series 7",
    }
    assert not any(set(words) & set(item) for name, item in found.items() if name not in ("0.jpg", "gone.jpg"))
    assert "IsSuspected" not in found["gone.jpg"]


def test_an_item_that_its_set_flags_for_review_is_suspected_until_an_examiner_grades_it(tmp_path: Path) -> None:
    items = state_items()
    items[2] = (items[2][0], (samples.match(stated=("suspected",)),))
    folder = make_exchange_case(tmp_path / "case", items)
    (flagged,) = [item for item in cases(folder)[0]["Media"] if item.get("IsSuspected") and "Tags" not in item]
    assert (flagged["MediaFiles"][0]["FileName"], flagged["Category"], flagged["IsSuspected"]) == ("two.jpg", 1, "true")
    decide(folder, b"content 2", A)
    assert "IsSuspected" not in by_name(cases(folder)[0])["two.jpg"]


def test_photodna_of_a_plug_in_stands_in_the_field_of_its_own_in_base64(tmp_path: Path) -> None:
    vector = bytes(range(144))
    hashes = (*samples.examination().hashes, PerceptualHash("photodna", vector), PerceptualHash("other", b"1234"))
    items = [
        (samples.record(0, hashes=hashes), (samples.match(),)),
        (samples.record(1, b"unknown", hashes=hashes), ()),
        (samples.record(2), (samples.match(),)),
    ]
    folder = make_exchange_case(tmp_path / "case", items)
    listed, without = cases(folder)[0]["Media"]
    (new,) = cases(folder, "vics-new")[0]["Media"]
    assert listed["PhotoDNA"] == new["PhotoDNA"] == base64.b64encode(vector).decode()
    assert "PhotoDNA" not in without
    assert {row.photodna for row in read_rows(tmp_path / "out" / "vics-new.json")} == {vector}


@pytest.mark.parametrize(("flag", "word"), STATED_WORDS.items())
def test_what_a_set_states_comes_back_through_our_own_reader(tmp_path: Path, flag: RecordFlag, word: str) -> None:
    """But for "precategorised": that is whether an exact match of this case is behind the category."""
    items = [
        (samples.record(0), (samples.match(stated=(word,), series="Elm"),)),
        (samples.record(1), (samples.match(),)),
    ]
    cases(make_exchange_case(tmp_path / "case", items))
    stated, silent = (RecordFlag(row.flags) for row in read_rows(tmp_path / "out" / "vics.json"))
    assert stated & ~silent == flag & ~RecordFlag.PRECATEGORISED
    assert silent & sum(STATED_WORDS) == RecordFlag.PRECATEGORISED
    assert [row.series for row in read_rows(tmp_path / "out" / "vics.json")] == ["Elm", ""]


def test_a_lone_surrogate_of_the_system_is_escaped_and_the_file_is_still_json(tmp_path: Path) -> None:
    items = [(samples.record(0, path="/\udcff.jpg"), (samples.match(),))]
    assert "\\xff.jpg" in by_name(cases(exhibits.make_case(tmp_path / "case", items))[0])
