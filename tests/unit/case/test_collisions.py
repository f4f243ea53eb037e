"""A match on MD5 alone counts only where one content of the case has that MD5: the marks are those of a plain count."""

from __future__ import annotations

import hashlib
import tempfile
from collections import defaultdict
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.collisions import twins
from unit.case import samples

from caid_triage.case.collisions import COLLIDED
from caid_triage.case.rows import CaseHeader
from caid_triage.case.store import create_case
from caid_triage.case.view import open_case
from caid_triage.model import Category, Digests, Match, Role, ScanRecord

# Which of four MD5 a file has, which of three contents with it, and what it meets.
MEETINGS = {
    "nothing": (),
    "md5": (samples.match(algorithm="md5"),),
    "md5 and sha1": (samples.match(algorithm="md5"), samples.match(algorithm="sha1", record_row=5)),
    "contradicted": (samples.match(algorithm="md5", contradicted=True),),
    "known good": (
        samples.match(Category("", "", ""), algorithm="md5", hashset="good-set", role=Role.KNOWN_GOOD),
        samples.match(algorithm="md5"),
    ),
}
FILES = st.lists(
    st.tuples(st.integers(0, 3), st.integers(0, 2), st.sampled_from(sorted(MEETINGS)), st.integers(1, 3)), max_size=14
)


def colliding(md5: int, content: int) -> Digests:
    return Digests(bytes([md5]) * 16, bytes([md5, content]) * 10, bytes([md5, content]) * 16)


def alone(match: Match) -> bool:
    return match.algorithm == "md5" and not match.contradicted


@settings(max_examples=60, deadline=None)
@given(FILES, st.integers(1, 4), st.integers(0, 14))
def test_what_is_marked_is_what_a_count_of_the_whole_case_says(
    files: list[tuple[int, int, str, int]], size: int, reopened: int
) -> None:
    records = [
        samples.record(number, digests=colliding(md5, content)) for number, (md5, content, _, _) in enumerate(files)
    ]
    met = [MEETINGS[word] for _, _, word, _ in files]
    contents: dict[int, set[int]] = defaultdict(set)
    for (md5, content, _, _), matches in zip(files, met, strict=True):
        if any(map(alone, matches)):
            contents[md5].add(content)
    collided = {md5 for md5, found in contents.items() if len(found) > 1}
    expected = sorted(
        (number, match.record_row)
        for number, ((md5, *_), matches) in enumerate(zip(files, met, strict=True))
        for match in matches
        if alone(match) and md5 in collided
    )
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder) / "case"
        with create_case(place, CaseHeader("R")) as case:
            case.record_hashset(samples.NOTABLE)
            case.record_hashset(samples.KNOWN_GOOD)
            source_id = case.add_source(samples.source(), {})
            for begin in range(0, len(records), size):
                if begin == reopened:  # what an earlier run stored is weighed too
                    case._connection.execute("DROP TABLE IF EXISTS temp.md5_alone")
                case.write_batch(source_id, records[begin : begin + size], met[begin : begin + size], [], begin + size)
            marked = case._connection.execute(
                "SELECT e.id & 255, m.record_row, e.path FROM file_match m JOIN entry e ON e.id = m.entry_id "
                f"WHERE m.contradicted = {COLLIDED}"
            ).fetchall()
        with open_case(place) as view:
            counted = sum(row.files for row in view.counts())
            by_md5 = view.md5_alone()[0]
    found = sorted((int(path.removeprefix("/pictures/").removesuffix(".jpg")), row) for _, row, path in marked)
    assert found == expected
    strong = sum(word == "md5 and sha1" for _, _, word, _ in files)
    weak = sum(word in ("md5", "known good") and md5 not in collided for md5, _, word, _ in files)
    assert (counted, by_md5) == (strong + weak, weak)


def record_of(number: int, content: bytes) -> ScanRecord:
    return samples.record(number, content=content)


def test_a_twin_that_comes_later_takes_the_proof_from_both_and_the_case_says_so(tmp_path: Path) -> None:
    first, second = twins(b"drawing")
    assert hashlib.md5(first).digest() == hashlib.md5(second).digest()
    assert len({first, second}) == 2
    weak = (samples.match(algorithm="md5"),)
    with create_case(tmp_path / "case", CaseHeader("R")) as case:
        case.record_hashset(samples.NOTABLE)
        one = case.add_source(samples.source(), {})
        case.write_batch(one, [record_of(0, first)], [weak], [], 1)
        with open_case(case.folder) as view:
            assert [row.algorithm for row in view.matches()] == ["md5"]
            assert view.md5_alone() == (1, 1)
            assert list(view.contradictions()) == []
        other = case.add_source(samples.source(exhibit="ABC/2", source="second.E01"), {})
        case.write_batch(other, [record_of(0, second)], [weak], [], 1)
    with open_case(tmp_path / "case") as view:
        assert list(view.matches()) == []
        assert view.counts() == []
        assert view.md5_alone() == (0, 0)
        assert len(list(view.contradicted_matches())) == 2
        found = [(row.kind, row.exhibit) for row in view.contradictions()]
        assert found == [("md5-collision", "ABC/1"), ("md5-collision", "ABC/2")]
        assert all("a match on MD5 alone is not counted" in row.detail for row in view.contradictions())


def test_a_batch_that_is_rolled_back_leaves_no_mark(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first, second = twins()
    weak = (samples.match(algorithm="md5"),)

    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    with create_case(tmp_path / "case", CaseHeader("R")) as case:
        case.record_hashset(samples.NOTABLE)
        source_id = case.add_source(samples.source(), {})
        case.write_batch(source_id, [record_of(0, first)], [weak], [], 1)
        with monkeypatch.context() as patched:
            patched.setattr(case, "_add_wide_problems", interrupted)
            with pytest.raises(KeyboardInterrupt):
                case.write_batch(source_id, [record_of(1, second)], [weak], [], 2)
        case.write_batch(source_id, [record_of(2, first)], [weak], [], 3)
        with open_case(case.folder) as view:
            assert view.md5_alone() == (2, 1)


def test_matching_again_weighs_collisions_and_the_delta_says_contradicted(tmp_path: Path) -> None:
    contents = twins()
    with create_case(tmp_path / "case", CaseHeader("R")) as case:
        case.record_hashset(samples.NOTABLE)
        source_id = case.add_source(samples.source(), {})
        case.write_batch(source_id, [record_of(n, c) for n, c in enumerate(contents)], [(), ()], [], 2)
        weak = (samples.match(algorithm="md5", generation="g2"),)
        batches = ((source, records, [weak for _ in records]) for source, records in case.records(1))
        case.replace_matches([{**samples.NOTABLE, "generation": "g2"}], batches)
    with open_case(tmp_path / "case") as view:
        assert [(row.change, row.after, row.proposed_after) for row in view.delta()] == [
            ("new", "exact, contradicted: Category A [uk]", "")
        ] * 2
