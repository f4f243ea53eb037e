"""Groups of look-alikes are exactly those of the naive way; they are kept beside the case and order what is new."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from unit.case import samples
from unit.review.test_desk import ME, A, good_match, ids, make_case

from caid_triage.case.store import open_case_for_writing
from caid_triage.hashset import hamming
from caid_triage.model import PerceptualHash
from caid_triage.report.verify import verify_case
from caid_triage.review import clusters
from caid_triage.review.clusters import CLUSTERS_FILE, clusters_of
from caid_triage.review.desk import ReviewDesk
from caid_triage.review.items import ItemFilter


def naive_clusters(hashes: list[int]) -> list[int]:
    """For each hash the first of its group: union-find over all pairs."""
    parents = list(range(len(hashes)))

    def root(one: int) -> int:
        while parents[one] != one:
            one = parents[one]
        return one

    empty = (0, (1 << 256) - 1)
    for one, this in enumerate(hashes):
        for other in range(one):
            near = (this ^ hashes[other]).bit_count() <= 31 and this not in empty and hashes[other] not in empty
            if this == hashes[other] or near:
                low, high = sorted((root(one), root(other)))
                parents[high] = low
    return [root(one) for one in range(len(hashes))]


def as_array(hashes: list[int]) -> np.ndarray:
    return np.frombuffer(b"".join(one.to_bytes(32, "big") for one in hashes), np.uint8).reshape(-1, 32)


@st.composite
def crowds(draw: st.DrawFn) -> list[int]:
    """Chains that step 25 to 37 bits from one hash to the next, hashes twice, and empty ones."""
    found: list[int] = []
    for _ in range(draw(st.integers(0, 4))):
        chain = draw(st.sampled_from([0, (1 << 256) - 1, draw(st.integers(0, (1 << 256) - 1))]))
        for _ in range(draw(st.integers(1, 8))):
            found.append(chain)
            for bit in draw(st.sets(st.integers(0, 255), min_size=0, max_size=37)):
                chain ^= 1 << bit
    return draw(st.permutations(found))


@settings(max_examples=40, deadline=None)
@given(crowds(), st.sampled_from([1, 3, 2000]), st.booleans())
def test_groups_are_those_of_the_naive_way(hashes: list[int], queries: int, indexed: bool) -> None:
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(clusters, "QUERIES", queries)
        if indexed:
            patched.setattr(clusters, "LEAST_ENTRIES", 0)
            patched.setattr(hamming, "_PAIR_NS", 1e12)  # comparing all with all is not worth it
        assert clusters_of(as_array(hashes)).tolist() == naive_clusters(hashes)


def look(number: int, hash_: int, quality: int = 100) -> object:
    hashes = (PerceptualHash("pdq", hash_.to_bytes(32, "big"), quality),)
    return samples.record(number, hashes=hashes), ()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Six pictures: 0, 2 and 5 a chain, 1 and 4 alike but of poor quality, 3 alone."""
    here, there = (1 << 255) | 0xFFFF, (1 << 20) - 1 << 100
    looks = [
        (here,),
        (there, 49),
        (here ^ (1 << 30) - 1 << 40,),
        (there << 50,),
        (there, 49),
        (here ^ (1 << 60) - 1 << 40,),
    ]
    return make_case(tmp_path / "case", [look(number, *one) for number, one in enumerate(looks)])


def test_groups_stand_beside_each_other_and_take_one_grade(folder: Path) -> None:
    with ReviewDesk(folder) as desk:
        plain = ids(desk, "new")
        assert (desk.has_clusters, desk.item(plain[0]).cluster) == (False, None)
        told: list[tuple[int, int]] = []
        assert desk.make_clusters(lambda done, total: told.append((done, total))) == 1
        assert told[-1] == (4, 4)
        assert ids(desk, "new") == [plain[n] for n in (0, 2, 5, 1, 3, 4)]
        assert [(item.cluster, item.cluster_size) for item in desk.page(ItemFilter("new"), None, 4)] == [
            *[(plain[0], 3)] * 3,
            (None, 1),
        ]
        assert desk.count(ItemFilter("new", cluster=plain[5])) == 3
        assert desk.count(ItemFilter("new", cluster=plain[3])) == 1
        assert desk.decide([plain[3]], A, ME, cluster=plain[2]) == 4
        assert desk.undo(ME) == [plain[n] for n in (0, 2, 3, 5)]
    assert verify_case(folder) == []
    with ReviewDesk(folder) as desk:
        assert desk.has_clusters  # kept
        assert ids(desk, "new") == [plain[n] for n in (0, 2, 5, 1, 3, 4)]


def test_groups_of_another_state_of_the_case_are_made_anew(folder: Path) -> None:
    with ReviewDesk(folder) as desk:
        desk.make_clusters()
        with open_case_for_writing(folder) as case:
            case.write_batch(1, [look(9, (1 << 255) | 0xFFFF)[0]], [()], [], 10)
        assert desk.refresh()
        assert desk.item(ids(desk, "new")[0]).cluster_size == 3  # what is new stands by itself until then
        assert desk.make_clusters() == 1
        assert desk.item(ids(desk, "new")[0]).cluster_size == 4
    (folder / CLUSTERS_FILE).write_bytes(b"PK no archive")
    with ReviewDesk(folder) as desk:
        assert not desk.has_clusters


def test_a_grade_of_a_group_is_of_what_the_queues_show_and_not_of_known_good_material_beside_it(tmp_path: Path) -> None:
    here = (1 << 255) | 0xFFFF
    good = (look(1, here)[0], (good_match(),))
    with ReviewDesk(make_case(tmp_path / "case", [look(0, here), good, look(2, here ^ 1)])) as desk:
        desk.make_clusters()
        first, last = ids(desk, "new")
        shown = desk.count(ItemFilter("new", cluster=first))
        assert shown == 2
        assert desk.decide([], A, ME, cluster=first) == shown
        assert desk.item(first + (1 << 23)).grades == ()
        assert [len(desk.item(one).grades) for one in (first, last)] == [1, 1]
