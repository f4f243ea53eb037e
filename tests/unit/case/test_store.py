"""What is written to a case comes back as it was, whole batches only, and only from the right source."""

from __future__ import annotations

import dataclasses
import sqlite3
from collections.abc import Iterator
from pathlib import Path

import pytest
from unit.case import samples

from caid_triage.case.encode import NUMBER_BITS
from caid_triage.case.rows import CaseHeader, MatchChange
from caid_triage.case.schema import APPLICATION_ID, SCHEMA_VERSION, holds_case
from caid_triage.case.store import CaseWriter, create_case, open_case_for_writing
from caid_triage.case.view import open_case
from caid_triage.errors import CaseError
from caid_triage.model import FileTimes, MatchKind, PerceptualHash, Severity, State, VideoAgreement

HEADER = CaseHeader("OP/1", "Larch", "", {"b": 1, "a": [1, 2]})


@pytest.fixture
def writer(tmp_path: Path) -> Iterator[CaseWriter]:
    with create_case(tmp_path / "case", HEADER) as case:
        yield case


def add(case: CaseWriter) -> int:
    return case.add_source(samples.source(), {"size": 10_000})


def test_the_header_comes_back_with_the_versions_of_the_tool(writer: CaseWriter) -> None:
    with open_case(writer.folder) as view:
        assert dataclasses.replace(view.header, tool={}) == HEADER
        assert view.header.tool["name"] == "caid-triage"
        assert set(view.header.tool) == {"name", "version", "python", "dependencies"}


def test_a_record_comes_back_equal_in_every_field(writer: CaseWriter) -> None:
    record = samples.record(
        3,
        path="/a/é\u202e/\udcff name:stream",
        volume="p2",
        state=State.ORPHAN,
        size=None,
        times=FileTimes(
            samples.WHEN, None, samples.WHEN.replace(microsecond=7), samples.WHEN.replace(year=1601), "local"
        ),
        stream="stream",
        inode=2**64 - 1,
        physical_offset=2**63,
        readable=False,
        problems=(
            samples.problem(
                "walked", exhibit="ABC/1", source="disk.E01", volume="p2", path="/a/é\u202e/\\udcff name:stream"
            ),
        ),
        found=(
            samples.problem(
                "noted",
                severity=Severity.NOTE,
                exhibit="ABC/1",
                source="disk.E01",
                volume="p2",
                path="/a/é\u202e/\\udcff name:stream",
            ),
        ),
        hashes=(PerceptualHash("pdq", b"1" * 32, 49, 2.5), PerceptualHash("phash", b"2" * 8)),
        metadata=(("camera-make", "Some Maker"), ("camera-serial", "é\x00 12")),
        duration_s=12.25,
    )
    source_id = add(writer)
    writer.write_batch(source_id, [record], [()], [], 1)
    ((stored_id, (stored,)),) = writer.records()
    assert stored_id == source_id
    # The one change: what UTF-8 cannot hold is kept as an escape in the display path; the raw path has the bytes.
    entry = dataclasses.replace(record.entry, path="/a/é\u202e/\\udcff name:stream")
    assert stored == dataclasses.replace(record, entry=entry)


def test_a_match_of_another_look_and_of_a_video_comes_back_with_how_it_agreed(writer: CaseWriter) -> None:
    strips = ((0.0, 100), (2.5, None)), ((None, 33),)
    agreement = VideoAgreement(12, 9, 40, 10, 1.5, 60.0, None, 61.25, *strips)
    met = (
        samples.near(look="without its borders", orientation="turned 90", quality=77),
        samples.near(match_kind=MatchKind.VIDEO, algorithm="vpdq", agreement=agreement),
    )
    writer.record_hashset(samples.NOTABLE)
    writer.write_batch(add(writer), [samples.record()], [met], [], 1)
    with open_case(writer.folder) as view:
        near, video = sorted(view.matches(), key=lambda row: row.match_kind)
        (shown,) = view.video_matches()
    assert (shown.strip, shown.listed_strip, shown.frames_met, shown.listed_last_s) == (*strips, 9, 61.25)
    assert (near.look, near.orientation, near.quality, near.frames) == ("without its borders", "turned 90", 77, None)
    assert (video.look, video.frames, video.frames_met, video.listed_frames, video.listed_frames_met) == (
        "",
        12,
        9,
        40,
        10,
    )
    assert (video.first_s, video.last_s, video.listed_first_s, video.listed_last_s) == (1.5, 60.0, None, 61.25)


def test_records_come_in_batches_in_walk_order_whatever_order_they_were_stored_in(writer: CaseWriter) -> None:
    first, second = add(writer), writer.add_source(samples.source(exhibit="ABC/2"), {})
    writer.write_batch(second, [samples.record(0, exhibit="ABC/2")], [()], [], 1)
    for numbers in ([5, 4], [0, 3], [2, 1]):
        writer.write_batch(first, [samples.record(n) for n in numbers], [(), ()], [], 6)
    batches = [(source, [r.entry.number for r in records]) for source, records in writer.records(batch=4)]
    assert batches == [(first, [0, 1, 2, 3]), (first, [4, 5]), (second, [0])]


def test_a_source_that_could_be_opened_in_a_later_run_only_stands_where_it_would_have_stood(writer: CaseWriter) -> None:
    third = writer.add_source(samples.source(exhibit="C"), {}, 3)
    first = writer.add_source(samples.source(exhibit="A"), {}, 1)
    assert (first, third) == (1, 3)
    assert writer.add_source(samples.source(exhibit="A"), {}, 9) == first  # it has its place
    assert writer.add_source(samples.source(exhibit="D"), {}, 3) == 4  # somebody else's place is left to them
    assert writer.last_source_beside({("C", "disk.E01"), ("D", "disk.E01")}) == 1
    assert writer.last_source_beside({(name, "disk.E01") for name in "ACD"}) == 0


def test_a_record_without_digests_keeps_its_absence(writer: CaseWriter) -> None:
    writer.write_batch(add(writer), [samples.record(0, digests=None, hashes=())], [()], [], 1)
    with open_case(writer.folder) as view:
        (row,) = view.files()
    assert (row.md5, row.sha1, row.sha256, row.pdq, row.phash) == (None,) * 5


def test_a_batch_that_fails_leaves_nothing_behind(writer: CaseWriter) -> None:
    source_id = add(writer)
    writer.record_hashset(samples.NOTABLE)
    writer.write_batch(source_id, [samples.record(0)], [()], [], 1)
    with pytest.raises(CaseError, match="twice"):
        writer.write_batch(
            source_id, [samples.record(1), samples.record(0)], [(samples.match(),), ()], [samples.problem()], 3
        )
    with open_case(writer.folder) as view:
        assert [row.path for row in view.files()] == ["/pictures/0.jpg"]
        assert (list(view.matches()), list(view.problems()), view.conservation().walked) == ([], [], 1)
    # The category learnt in the lost batch is not remembered as stored.
    writer.write_batch(source_id, [samples.record(1)], [(samples.match(),)], [], 2)


def test_matches_and_records_must_be_of_one_length(writer: CaseWriter) -> None:
    with pytest.raises(CaseError, match="matches of 1"):
        writer.write_batch(add(writer), [], [()], [], 1)


def test_a_match_with_a_set_the_case_was_not_told_of_is_refused(writer: CaseWriter) -> None:
    source_id = add(writer)
    with pytest.raises(CaseError, match="unit-set"):
        writer.write_batch(source_id, [samples.record(0)], [(samples.match(),)], [], 1)
    writer.record_hashset(samples.NOTABLE)
    with pytest.raises(CaseError, match="g2"):
        writer.write_batch(source_id, [samples.record(0)], [(samples.match(generation="g2"),)], [], 1)


def test_the_same_source_again_is_recognised_and_another_one_refused(writer: CaseWriter) -> None:
    assert add(writer) == add(writer)
    with pytest.raises(CaseError, match=r"another source named disk\.E01"):
        writer.add_source(samples.source(), {"size": 10_001})
    assert writer.add_source(samples.source(exhibit="ABC/2"), {"size": 10_001}) != add(writer)


def test_a_source_of_which_other_volumes_are_unlocked_is_refused_and_the_secrets_are_named_as_the_reason(
    writer: CaseWriter,
) -> None:
    writer.add_source(samples.source(), {"size": 10})
    with pytest.raises(CaseError, match=r"then: none; now: p2, p3.*same --password-file as before, or .* a new case"):
        writer.add_source(samples.source(), {"size": 10, "unlocked": ["p2", "p3"]})
    with pytest.raises(CaseError, match="another source named"):
        writer.add_source(samples.source(), {"size": 11, "unlocked": ["p2", "p3"]})


def test_done_tells_what_may_be_skipped_in_little_memory(writer: CaseWriter) -> None:
    source_id = add(writer)
    other = writer.add_source(samples.source(exhibit="ABC/2"), {})
    numbers = [0, 7, 8, 1023]
    writer.write_batch(source_id, [samples.record(n) for n in numbers], [()] * 4, [], 9)
    done = writer.done(source_id)
    assert [n for n in range(2000) if n in done] == numbers
    assert len(done) == 4
    assert len(done._bits) == 128
    assert done.holds(samples.entry(7))
    assert not done.holds(samples.entry(6))
    assert len(writer.done(other)) == 0


@pytest.mark.parametrize("change", [{"path": "/other.jpg"}, {"size": 1}, {"stream": "s"}, {"state": State.DELETED}])
def test_a_source_that_changed_since_is_noticed(writer: CaseWriter, change: dict[str, object]) -> None:
    source_id = add(writer)
    writer.write_batch(source_id, [samples.record(0)], [()], [], 1)
    with pytest.raises(CaseError, match="changed since"):
        writer.done(source_id).holds(samples.entry(0, **change))


def test_a_walk_number_that_would_run_into_the_next_source_is_refused(writer: CaseWriter) -> None:
    with pytest.raises(CaseError, match="cannot be stored"):
        writer.write_batch(add(writer), [samples.record(1 << NUMBER_BITS)], [()], [], 1)


def test_problems_of_a_resumed_walk_are_kept_once_and_in_order(writer: CaseWriter) -> None:
    source_id = add(writer)
    met = [samples.problem(path=f"/{n}") for n in (2, 0, 1)]
    writer.write_batch(source_id, [], [], met[:2], 0)
    writer.write_batch(source_id, [], [], met, 0)
    with open_case(writer.folder) as view:
        assert [row.path for row in view.problems()] == ["/2", "/0", "/1"]


def test_a_source_that_opens_at_last_is_no_longer_called_unopened(writer: CaseWriter) -> None:
    writer.add_problems([samples.problem("source-not-opened", exhibit="ABC/1", source="disk.E01")])
    with open_case(writer.folder) as view:
        assert [row.code for row in view.wide_problems()] == ["source-not-opened"]
    add(writer)
    with open_case(writer.folder) as view:
        assert not list(view.problems())


def test_volumes_and_source_problems_are_replaced_not_added(writer: CaseWriter) -> None:
    source_id = add(writer)
    for _ in range(2):
        writer.set_volumes(source_id, [samples.volume(), samples.volume("p2")], [samples.problem()], {"file_system": 5})
    with open_case(writer.folder) as view:
        assert [volume.name for volume in view.volumes()] == ["p1", "p2"]
        assert len(list(view.problems())) == 1
        assert view.coverage() == {"file_system": 5}


def test_a_new_hash_set_is_refused_once_files_are_stored(writer: CaseWriter) -> None:
    writer.record_hashset(samples.NOTABLE)
    writer.write_batch(add(writer), [samples.record(0)], [()], [], 1)
    writer.record_hashset(samples.NOTABLE)
    assert writer.hashset_generations() == {"unit-set": "g1"}
    for other in ({**samples.NOTABLE, "generation": "g2"}, samples.KNOWN_GOOD):
        with pytest.raises(CaseError, match="caid-triage match"):
            writer.record_hashset(other)


def test_a_hash_set_needs_its_name_generation_and_role(writer: CaseWriter) -> None:
    with pytest.raises(CaseError, match="role"):
        writer.record_hashset({"name": "x", "generation": "g"})


def test_matching_again_replaces_and_counts_what_is_new_and_gone(writer: CaseWriter) -> None:
    writer.record_hashset(samples.NOTABLE)
    writer.record_hashset({**samples.NOTABLE, "name": "other"})
    source_id = add(writer)
    records = [samples.record(n) for n in range(4)]
    other = samples.match(hashset="other")
    matches = [(samples.match(), other), (samples.match(),), (), (samples.match(),)]
    writer.write_batch(source_id, records, matches, [], 4)
    again = {
        0: samples.match(generation="g2", record_row=99),  # the same outcome at another row: no change
        1: samples.match(samples.CATEGORY_C, generation="g2"),  # graded anew: one gone, one new
        2: samples.near(generation="g2"),  # new
    }
    change = writer.replace_matches(
        [{**samples.NOTABLE, "generation": "g2"}],
        (
            (i, rs, [(again[r.entry.number],) if r.entry.number in again else () for r in rs])
            for i, rs in writer.records(2)
        ),
    )
    assert change == MatchChange(1, 1, changed=1, files_new=1, files_gone=1, files_changed=1, regrade=1)
    with open_case(writer.folder) as view:
        found = [(row.path[-5], row.hashset, row.category_code, row.match_kind.value) for row in view.matches()]
    assert found == [
        ("0", "other", "1", "exact"),
        ("0", "unit-set", "1", "exact"),
        ("1", "unit-set", "3", "exact"),
        ("2", "unit-set", "1", "near"),
    ]
    assert writer.hashset_generations() == {"unit-set": "g2", "other": "g1"}


def test_matching_again_that_fails_changes_nothing(writer: CaseWriter) -> None:
    writer.record_hashset(samples.NOTABLE)
    writer.write_batch(add(writer), [samples.record(0)], [(samples.match(),)], [], 1)

    def broken() -> Iterator[tuple[int, list[object], list[object]]]:
        yield from ()
        raise CaseError("stopped")

    with pytest.raises(CaseError, match="stopped"):
        writer.replace_matches([{**samples.NOTABLE, "generation": "g2"}], broken())  # type: ignore[arg-type]
    with open_case(writer.folder) as view:
        assert len(list(view.matches())) == 1
    assert writer.hashset_generations() == {"unit-set": "g1"}


def test_a_case_at_rest_is_one_database_file(writer: CaseWriter) -> None:
    writer.write_batch(add(writer), [samples.record(0)], [()], [], 1)
    writer.close()
    assert {path.name for path in writer.folder.iterdir()} == {"audit.jsonl", "case.db", "case.lock"}


def test_a_case_is_written_with_full_synchronisation(writer: CaseWriter) -> None:
    assert writer._connection.execute("PRAGMA journal_mode").fetchone() == ("wal",)
    assert writer._connection.execute("PRAGMA synchronous").fetchone() == (2,)


def test_a_folder_with_other_files_is_not_used_for_a_case(tmp_path: Path) -> None:
    (tmp_path / "holiday.txt").write_text("mine")
    with pytest.raises(CaseError, match="not empty"):
        create_case(tmp_path, HEADER)
    assert [path.name for path in tmp_path.iterdir()] == ["holiday.txt"]


def test_a_file_in_place_of_the_folder_is_refused(tmp_path: Path) -> None:
    (tmp_path / "case").write_text("x")
    with pytest.raises(CaseError, match="is a file"):
        create_case(tmp_path / "case", HEADER)


def test_a_second_case_in_the_same_folder_is_refused(writer: CaseWriter) -> None:
    writer.close()
    with pytest.raises(CaseError, match="already holds a case"):
        create_case(writer.folder, HEADER)


def test_a_creation_that_died_half_way_is_begun_again(tmp_path: Path) -> None:
    (tmp_path / "case.db").write_bytes(b"")
    (tmp_path / "case.lock").write_bytes(b"")
    assert not holds_case(tmp_path)
    create_case(tmp_path, HEADER).close()
    assert holds_case(tmp_path)


def test_no_case_is_said_so(tmp_path: Path) -> None:
    for opening in (open_case, open_case_for_writing):
        with pytest.raises(CaseError, match="no case in"):
            opening(tmp_path)


@pytest.mark.parametrize("opening", [open_case, open_case_for_writing])
def test_a_database_that_is_not_ours_is_refused(tmp_path: Path, opening: object) -> None:
    (tmp_path / "case.db").write_bytes(b"this is no database, only a text of some length, " * 40)
    with pytest.raises(CaseError, match="not any more, a case database"):
        opening(tmp_path)  # type: ignore[operator]
    (tmp_path / "case.db").unlink()
    connection = sqlite3.connect(tmp_path / "case.db")
    connection.execute("CREATE TABLE other (x)")
    connection.close()
    with pytest.raises(CaseError, match="not a caid-triage case"):
        opening(tmp_path)  # type: ignore[operator]


@pytest.mark.parametrize("opening", [open_case, open_case_for_writing])
def test_a_case_of_a_newer_schema_is_refused_by_its_number(writer: CaseWriter, opening: object) -> None:
    writer.close()
    connection = sqlite3.connect(writer.folder / "case.db")
    assert connection.execute("PRAGMA application_id").fetchone() == (APPLICATION_ID,)
    connection.execute(f"PRAGMA user_version = {SCHEMA_VERSION + 1}")
    connection.close()
    with pytest.raises(CaseError, match=f"schema {SCHEMA_VERSION + 1}"):
        opening(writer.folder)  # type: ignore[operator]
