"""What a case hands out: rows in one order, counts by one rule, contradictions shown."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import closing
from pathlib import Path

import pytest
from unit.case import samples

from caid_triage.case.rows import CaseHeader
from caid_triage.case.store import CaseWriter, create_case
from caid_triage.case.view import CaseView, open_case
from caid_triage.errors import CaseError
from caid_triage.model import Category, DecodeState, Kind, Match, MatchKind, PerceptualHash, Role, ScanRecord, State

Item = tuple[ScanRecord, tuple[Match, ...]]


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


def good(**changes: object) -> Match:
    return samples.match(Category("", "", ""), hashset="good-set", role=Role.KNOWN_GOOD, **changes)


def test_a_file_row_has_the_first_still_hash_and_each_problem_code_once(writer: CaseWriter) -> None:
    codes = [samples.problem(code) for code in ("b", "a", "b")]
    with view_of(writer, [(samples.record(0, problems=(codes[0],), found=tuple(codes[1:])), ())]) as view:
        (row,) = view.files()
    assert row.problems == ("b", "a")
    assert (row.pdq, row.pdq_quality, row.phash) == (bytes(range(32)), 100, bytes(range(8)))
    assert (row.created, row.accessed, row.parent_path) == (samples.WHEN, None, "/pictures")
    assert row.state is State.ALLOCATED


def test_matches_are_notable_ones_exact_first_and_gravest_first(writer: CaseWriter) -> None:
    met = (
        samples.near(distance=9),
        samples.match(samples.UNKNOWN),
        samples.match(samples.CATEGORY_C),
        good(),
        samples.match(samples.CATEGORY_A),
        samples.match(samples.CATEGORY_A, contradicted=True, algorithm="md5"),
        samples.near(distance=3),
    )
    with view_of(writer, [(samples.record(0), met)]) as view:
        rows = [(row.match_kind.value, row.category_code, row.distance) for row in view.matches()]
        assert [row.algorithm for row in view.contradicted_matches()] == ["md5"]
        assert view.known_good() == 1
    assert rows == [("exact", "1", 0), ("exact", "3", 0), ("exact", "77", 0), ("near", "1", 3), ("near", "1", 9)]


@pytest.mark.parametrize(
    ("met", "expected"),
    [
        ((samples.match(samples.CATEGORY_C), samples.match(samples.CATEGORY_A)), ("1", MatchKind.EXACT)),
        ((samples.match(samples.UNKNOWN), samples.match(samples.CATEGORY_C)), ("3", MatchKind.EXACT)),
        ((samples.near(samples.CATEGORY_A), samples.match(samples.CATEGORY_C)), ("3", MatchKind.EXACT)),
        ((samples.near(samples.CATEGORY_C), samples.near(samples.CATEGORY_A, distance=30)), ("1", MatchKind.NEAR)),
        ((samples.match(samples.UNKNOWN),), ("77", MatchKind.EXACT)),
        ((samples.match(contradicted=True), samples.near(samples.CATEGORY_C)), ("3", MatchKind.NEAR)),
        ((samples.match(contradicted=True),), None),
        ((good(),), None),
        ((), None),
    ],
)
def test_a_file_counts_once_under_its_strongest_match(
    writer: CaseWriter, met: tuple[Match, ...], expected: tuple[str, MatchKind] | None
) -> None:
    with view_of(writer, [(samples.record(0), met)]) as view:
        counted = [(row.category_code, row.match_kind) for row in view.counts()]
        assert sum(row.files for row in view.tallies() if row.place == "all") == len(counted)
    assert counted == ([] if expected is None else [expected])


def test_counts_tell_files_from_contents_and_states_and_kinds_apart(writer: CaseWriter) -> None:
    same = {"content": b"same"}
    items = [
        (samples.record(0, **same), (samples.match(),)),
        (samples.record(1, **same), (samples.match(),)),
        (samples.record(2, **same, state=State.DELETED), (samples.match(),)),
        (samples.record(3, state=State.CARVED), (samples.match(),)),
        (samples.record(4, state=State.SLACK), (samples.match(),)),
        (samples.record(5, kind=Kind.VIDEO), (samples.match(),)),
        (samples.record(6, digests=None), (samples.near(),)),
        (samples.record(7, digests=None), (samples.near(),)),
    ]
    with view_of(writer, items) as view:
        counts = [(r.kind.value, r.state.value, r.match_kind.value, r.files, r.unique) for r in view.counts()]
        tallies = {(r.kind.value, r.match_kind.value, r.place): (r.files, r.unique) for r in view.tallies()}
        by_exhibit = [(r.exhibit, r.match_kind.value, r.files, r.unique) for r in view.exhibits()]
    assert counts == [
        ("image", "allocated", "exact", 2, 1),
        ("image", "carved", "exact", 1, 1),
        ("image", "deleted", "exact", 1, 1),
        ("image", "slack", "exact", 1, 1),
        ("video", "allocated", "exact", 1, 1),
        ("image", "allocated", "near", 2, 2),
    ]
    assert tallies == {
        ("image", "exact", "live"): (2, 1),
        ("image", "exact", "deleted"): (1, 1),
        ("image", "exact", "other"): (2, 2),
        ("image", "exact", "all"): (5, 3),
        ("video", "exact", "live"): (1, 1),
        ("video", "exact", "all"): (1, 1),
        ("image", "near", "live"): (2, 2),
        ("image", "near", "all"): (2, 2),
    }
    assert by_exhibit == [("ABC/1", "exact", 6, 4), ("ABC/1", "near", 2, 2)]


def test_conservation_is_counted_from_the_rows_not_remembered(writer: CaseWriter) -> None:
    with view_of(writer, [(samples.record(n), ()) for n in range(3)]) as view:
        assert view.conservation().holds
    writer._connection.execute("DELETE FROM perceptual_hash")
    writer._connection.execute("DELETE FROM entry WHERE path = '/pictures/1.jpg'")
    with open_case(writer.folder) as view:
        assert (view.conservation().walked, view.conservation().stored) == (3, 2)
        assert not view.conservation().holds


def test_looks_are_counted_as_often_as_they_are_looked_up(writer: CaseWriter) -> None:
    frame = PerceptualHash("pdq", bytes(range(32)), 90, 1.0)
    film = samples.record(0, kind=Kind.VIDEO, hashes=(frame, frame, PerceptualHash("pdq", bytes(32), 10, 2.0)))
    turned = PerceptualHash("pdq-trimmed-turned", bytes(range(224)), 90)
    picture = samples.record(
        1, hashes=(PerceptualHash("pdq", bytes(32), 90), turned, PerceptualHash("phash", bytes(8)))
    )
    with view_of(writer, [(film, ()), (picture, ())]) as view:
        assert view.perceptual_hashes(50) == {"pdq": 2 * 8 + 1 + 7, "phash": 1}


def test_an_unfinished_source_is_not_complete(writer: CaseWriter) -> None:
    source_id = writer.add_source(samples.source(), {})
    writer.write_batch(source_id, [samples.record(0)], [()], [], 1)
    with open_case(writer.folder) as view:
        assert not view.conservation().complete
        assert not view.conservation().holds


def test_each_kind_of_contradiction_is_listed(writer: CaseWriter) -> None:
    same_md5 = samples.digests(b"y")
    forged = type(same_md5)(same_md5.md5, b"1" * 20, b"2" * 32)
    items = [
        (samples.record(0), (samples.match(contradicted=True, algorithm="md5"),)),
        (samples.record(1), (samples.match(samples.CATEGORY_A), samples.match(samples.CATEGORY_C))),
        (samples.record(2), (samples.match(), good())),
        (samples.record(3, digests=same_md5), ()),
        (samples.record(4, digests=forged), ()),
        (samples.record(5), (samples.match(), samples.match(record_row=9))),
        (samples.record(6), (samples.match(), samples.near(samples.CATEGORY_C))),
    ]
    with view_of(writer, items) as view:
        found = [(row.kind, row.path[-5]) for row in view.contradictions()]
        (named,) = [row.detail for row in view.contradictions() if row.kind == "category"]
    assert found == [
        ("digest", "0"),
        ("category", "1"),
        ("known-good", "2"),
        ("md5-collision", "3"),
        ("md5-collision", "4"),
    ]
    assert named == "listed in several categories: Category A (uk, unit-set); Category C (uk, unit-set)"


def test_the_batch_that_came_first_changes_no_row(tmp_path: Path) -> None:
    """Law 7: which worker was quicker is nobody's business; the numbers of the categories tell it."""
    other = {**samples.NOTABLE, "name": "other-set"}
    strange = samples.match(samples.UNKNOWN, hashset="other-set")
    items = [
        (samples.record(0), (samples.match(samples.CATEGORY_C), samples.near(samples.CATEGORY_A, 3), strange)),
        (samples.record(1), (samples.match(samples.CATEGORY_A), samples.match(samples.CATEGORY_C), strange)),
        (samples.record(2, kind=Kind.VIDEO), (strange, samples.near(samples.CATEGORY_C, 5))),
        (samples.record(3), (samples.match(samples.CATEGORY_C, hashset="other-set"), samples.match())),
        (samples.record(4, problems=(samples.problem(),)), (samples.match(contradicted=True), good())),
    ]
    seen = []
    for name, order in {"forward": (0, 1, 2, 3, 4), "backward": (4, 3, 2, 1, 0), "mixed": (2, 0, 4, 3, 1)}.items():
        with create_case(tmp_path / name, CaseHeader("R")) as case:
            for hashset in (samples.NOTABLE, other, samples.KNOWN_GOOD):
                case.record_hashset(hashset)
            source_id = case.add_source(samples.source(), {})
            for walked, number in enumerate(order, 1):
                case.write_batch(source_id, [items[number][0]], [items[number][1]], [], walked)
            case.finish_source(source_id, len(items), len(items))
        with open_case(tmp_path / name) as view:
            rows = (
                view.files(),
                view.matches(),
                view.counts(),
                view.exchange_contents("listed_content"),
                view.contradictions(),
            )
            seen.append([*map(list, rows), *map(list, (view.problems(), view.contradicted_matches()))])
    assert seen[0] == seen[1] == seen[2]
    details = [row.detail for row in seen[0][4] if row.kind in ("category", "sets")]
    assert len(details) == 3
    assert all(detail.index("Category") < detail.index("code 77") for detail in details[:2])
    assert details[2].index("Category A") < details[2].index("Category C")


def test_problems_come_widest_first(writer: CaseWriter) -> None:
    source_id = writer.add_source(samples.source(), {})
    writer.write_batch(
        source_id, [samples.record(0, found=(samples.problem("file"),))], [()], [samples.problem("walk")], 1
    )
    writer.set_volumes(source_id, [], [samples.problem("source", volume="p2")], {})
    writer.add_problems([samples.problem("case")])
    with open_case(writer.folder) as view:
        rows = [(row.code, row.exhibit, row.volume, row.path) for row in view.problems()]
    assert rows == [
        ("case", "", "", ""),
        ("source", "ABC/1", "p2", ""),
        ("walk", "ABC/1", "", ""),
        ("file", "ABC/1", "p1", "/pictures/0.jpg"),
    ]


def test_decode_states_and_kinds_are_counted(writer: CaseWriter) -> None:
    items = [
        (samples.record(n, decode_state=s), ()) for n, s in enumerate([DecodeState.REFUSED, *[DecodeState.DECODED] * 2])
    ]
    with view_of(writer, items) as view:
        assert view.decode_states() == {"decoded": 2, "refused": 1}
        assert (view.kinds(), view.states()) == ({"image": 3}, {"allocated": 3})


def test_matched_contents_are_gathered_by_exhibit_with_all_their_occurrences(writer: CaseWriter) -> None:
    first, second = (writer.add_source(samples.source(exhibit=e), {}) for e in ("Z/9", "A/1"))
    for source_id, exhibit in ((second, "A/1"), (first, "Z/9")):
        records = [samples.record(n, content=b"xyx"[n : n + 1], exhibit=exhibit) for n in range(3)]
        writer.write_batch(source_id, records, [(samples.match(),)] * 3, [], 3)
    with open_case(writer.folder) as view:
        rows = [(row.exhibit, row.content, row.path[-5]) for row in view.exchange_contents("listed_content")]
    # Numbered by the place of the first occurrence among all files of the case, which lie by their sources.
    each = [(1, "0"), (1, "2"), (2, "1")]
    assert rows == [("Z/9", *pair) for pair in each] + [("A/1", number + 3, name) for number, name in each]


def test_a_view_is_one_moment_while_a_scan_goes_on(writer: CaseWriter) -> None:
    with view_of(writer, [(samples.record(0), ())]) as view:
        source_id = writer.add_source(samples.source(exhibit="ABC/2"), {})
        writer.write_batch(source_id, [samples.record(0, exhibit="ABC/2")], [()], [], 1)
        assert len(list(view.files())) == 1
        assert view.conservation().stored == 1


def test_a_view_changes_nothing(writer: CaseWriter) -> None:
    view_of(writer, [(samples.record(0), (samples.match(),))]).close()
    writer.close()
    before = {path.name: path.read_bytes() for path in writer.folder.iterdir()}
    with open_case(writer.folder) as view:
        assert [*view.files(), *view.counts(), *view.exchange_contents("listed_content"), *view.contradictions()]
    assert {path.name: path.read_bytes() for path in writer.folder.iterdir()} == before


@pytest.mark.skipif(not hasattr(os, "geteuid"), reason="needs POSIX permissions")
def test_a_case_in_a_folder_that_cannot_be_written_to_opens_for_reading(writer: CaseWriter) -> None:
    view_of(writer, [(samples.record(0), ())]).close()
    writer.close()
    writer.folder.chmod(0o500)
    try:
        with open_case(writer.folder) as view:
            assert len(list(view.files())) == 1
    finally:
        writer.folder.chmod(0o700)


@pytest.mark.parametrize(
    ("statement", "asked"),
    [
        ("UPDATE entry SET state = 'nowhere'", "files"),
        ("UPDATE entry SET path = CAST(x'ff' AS TEXT)", "files"),
        ("UPDATE entry SET decode_state = 'x'", "records"),
        ("UPDATE hashset SET info = 'no JSON'", "hashsets"),
        ("UPDATE source SET coverage = '[1]'", "coverage"),
        ("UPDATE entry_problem SET severity = 'x'", "records"),
        ("UPDATE perceptual_hash SET algorithm = CAST(x'ff' AS TEXT)", "records"),
    ],
)
def test_rows_that_no_writer_of_ours_stores_are_damage_of_the_case(
    writer: CaseWriter, statement: str, asked: str
) -> None:
    view_of(writer, [(samples.record(0, found=(samples.problem(),)), (samples.match(),))]).close()
    writer.close()
    with closing(sqlite3.connect(writer.folder / "case.db")) as connection:
        connection.execute("PRAGMA ignore_check_constraints = ON")
        connection.execute(statement)
        connection.commit()
    with open_case(writer.folder) as view, pytest.raises(CaseError, match=r"case.*damaged, or another program changed"):
        list(getattr(view, asked)())


def test_a_header_that_is_no_json_is_damage_of_the_case(writer: CaseWriter) -> None:
    writer.close()
    with closing(sqlite3.connect(writer.folder / "case.db")) as connection:
        connection.execute("UPDATE header SET tool = '{'")
        connection.commit()
    with pytest.raises(CaseError, match=r"case.*damaged, or another program changed"):
        open_case(writer.folder)
