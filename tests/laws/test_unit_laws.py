"""The unit's memory answers the same whichever store it is: SQLite, PostgreSQL, and dictionaries as the oracle."""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from support.naive_unit import NaiveStore
from support.postgres import Server

from caid_triage.unit.near import NEAREST, NearPair, near_pictures
from caid_triage.unit.place import UnitPlace, unit_place
from caid_triage.unit.rows import Exhibit, Member, picture_block, picture_rows, storable
from caid_triage.unit.store import Mode, UnitStore, open_unit

CONTENTS = [bytes([number]) * 32 for number in range(6)]
TEXT = st.text(alphabet=st.one_of(st.characters(), st.sampled_from("\0';\\%\U0001f4f7\ud800ß")), max_size=6).map(
    storable
)
NUMBER = st.integers(0, 2**63 - 1)
PDQ = st.binary(min_size=32, max_size=32)
SEVERITY = st.none() | st.integers(0, 99)


@st.composite
def exhibits(draw: st.DrawFn) -> dict[str, Any]:
    """What one source of a case has, without its ids."""
    contents = draw(st.lists(st.sampled_from(CONTENTS), unique=True).map(sorted))
    cameras = st.tuples(st.sampled_from("ab"), TEXT, st.sampled_from(["123", "x'y", "\U0001f4f7"]), st.booleans())
    return {
        "names": draw(st.tuples(TEXT, TEXT)),
        "sighting": [(one, one[:20], one[:16], draw(NUMBER), "image", draw(st.integers(1, 9))) for one in contents],
        "picture": [(one, draw(PDQ)) for one in contents if one[0] % 2],
        "camera": [(*one, draw(st.integers(1, 9))) for one in draw(st.lists(cameras, unique=True, max_size=3))],
    }


@st.composite
def grades(draw: st.DrawFn) -> list[tuple[Any, ...]]:
    keys = draw(st.lists(st.tuples(st.sampled_from(CONTENTS), TEXT), unique=True, max_size=4))
    return [
        (content, examiner, draw(NUMBER), draw(TEXT), draw(TEXT), draw(TEXT), draw(SEVERITY),
         content[:20], content[:16], draw(NUMBER), "image", draw(st.none() | PDQ), draw(SEVERITY))
        for content, examiner in keys
    ]  # fmt: skip


CASES = st.fixed_dictionaries(
    {"reference": TEXT, "contact": TEXT, "exhibits": st.lists(exhibits(), max_size=3), "grades": grades()}
)
# Cases of four keys are added, added again and purged in any order.
STEPS = st.lists(st.tuples(st.integers(0, 3), st.none() | CASES), max_size=6)


def key_of(number: int) -> str:
    return f"{number:x}" * 64


def take(store: UnitStore, step: tuple[int, dict[str, Any] | None]) -> None:
    """Add a case in place of what there is of it, or (None) take it out."""
    number, case = step
    key = key_of(number)
    with store.writing(key):
        known = next((one.id for one in store.members() if one.key == key), None)
        if case is None:
            if known is not None:
                store.clear(known)
                store.drop_member(known)
                store.note_purge(key, 1, "somebody", 1)
            return
        member = store.put_member(Member(0, key, case["reference"], 1, "by", "head", 256, 1, 2, 3, case["contact"]))
        store.clear(member)
        for facts in case["exhibits"]:
            exhibit = store.put_exhibit(Exhibit(0, member, *facts["names"], len(facts["sighting"]), 7, 8))
            store.put("sighting", [(exhibit, *row) for row in facts["sighting"]])
            store.put("picture", picture_rows(exhibit, facts["picture"]))
            store.put("camera", [(exhibit, *row) for row in facts["camera"]])
        store.put("grade", [(member, *row) for row in case["grades"]])


def answers(store: UnitStore) -> dict[str, Any]:
    """Everything that can be asked, without the ids, which each store makes its own."""
    with store.reading():
        keys = {one.id: one.key for one in store.members()}
        exhibits = store.exhibits()
        order: dict[int, tuple[str, int]] = {}
        for one in exhibits:
            order[one.id] = keys[one.member_id], sum(known[0] == keys[one.member_id] for known in order.values())
        found: dict[str, Any] = {
            "members": [one.columns for one in store.members()],
            "exhibits": sorted((order[one.id], one.exhibit, one.source, one.contents) for one in exhibits),
        }
        for own in (0, *(number for number, key in keys.items() if key == key_of(1))):
            word = keys.get(own, "")
            found["tallies", word] = list(store.tallies(CONTENTS, own))
            found["sightings", word] = sorted(
                (one.sha256, order[one.exhibit_id], one.files) for one in store.sightings(CONTENTS[:4], own)
            )
            for asked in (None, CONTENTS[1:3], []):
                grades = [(keys[one.member_id], *_columns(one)) for one in store.grades(asked, own)]
                found["grades", word, str(asked)] = grades
            cameras = store.cameras(["123", "x'y", "\U0001f4f7", "no"], own)
            found["cameras", word] = sorted((order[one.exhibit_id], *_columns(one)) for one in cameras)
            blocks = list(store.pictures(own))
            found["pictures", word] = sorted(
                (order[block.exhibit_id], block.contents.tobytes(), block.pdqs.tobytes()) for block in blocks
            )
    return found


def _columns(row: Any) -> tuple[Any, ...]:
    names = [name for name in type(row).__dataclass_fields__ if name not in ("member_id", "exhibit_id")]
    return tuple(getattr(row, name) for name in names)


def check(steps: list[tuple[int, dict[str, Any] | None]], place: UnitPlace) -> None:
    naive = NaiveStore()
    with ExitStack() as undo:
        store = open_unit(place, Mode.MAKE)
        undo.callback(store.close)
        for step in steps:
            take(naive, step)
            take(store, step)
            assert answers(store) == answers(naive)
        for member in store.members():
            exhibits = [one.id for one in store.exhibits() if one.member_id == member.id]
            with store.writing(member.key):
                store.clear(member.id)
                store.drop_member(member.id)
            assert store.remains(member.id, exhibits) == 0
        assert store.compact() == ""
        assert answers(store) == answers(NaiveStore())


@settings(max_examples=25, deadline=None)
@given(steps=STEPS)
def test_sqlite_answers_as_dictionaries_do(steps: list[tuple[int, dict[str, Any] | None]]) -> None:
    with TemporaryDirectory() as folder:
        check(steps, UnitPlace(Path(folder) / "unit.db"))


@settings(
    max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)
@given(steps=STEPS)
def test_postgresql_answers_as_dictionaries_do(
    postgres_server: Server, steps: list[tuple[int, dict[str, Any] | None]]
) -> None:
    postgres_server.run("DROP SCHEMA IF EXISTS caid_unit CASCADE")
    check(steps, unit_place(postgres_server.url()))


def naive_near(asked: list[tuple[bytes, bytes]], kept: list[tuple[int, bytes, bytes]], radius: int) -> list[NearPair]:
    """Every pair compared bit by bit."""
    found = []
    for sha256, pdq in asked:
        met = {
            (bits, other, exhibit)
            for exhibit, other, theirs in kept
            if other != sha256
            and (bits := (int.from_bytes(pdq, "big") ^ int.from_bytes(theirs, "big")).bit_count()) <= radius
        }
        others = len({other for _, other, _ in met})
        found += [NearPair(sha256, other, exhibit, bits, others) for bits, other, exhibit in sorted(met)[:NEAREST]]
    return sorted(found, key=lambda one: (one.sha256, one.distance, one.other, one.exhibit_id))


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 2**32), asked=st.integers(0, 4), kept=st.integers(0, 40), most=st.integers(0, 60))
def test_pictures_that_look_alike_are_those_of_comparing_each_with_each(
    seed: int, asked: int, kept: int, most: int
) -> None:
    chance = np.random.default_rng(seed)
    base = [chance.integers(0, 256, 32, dtype=np.uint8) for _ in range(max(asked, 1))]

    def near(number: int) -> bytes:
        bits = np.unpackbits(base[number % len(base)])
        bits[chance.integers(0, 256, chance.integers(0, most + 1))] ^= 1
        return np.packbits(bits).tobytes()

    mine = [(CONTENTS[number], base[number].tobytes()) for number in range(asked)]
    theirs = [(int(chance.integers(1, 4)), CONTENTS[number % 6], near(number)) for number in range(kept)]
    blocks = [picture_block(exhibit, content, pdq) for exhibit, content, pdq in theirs]
    assert near_pictures(mine, blocks) == naive_near(mine, theirs, 31)


def test_many_pictures_are_searched_by_an_index_and_found_alike(monkeypatch: pytest.MonkeyPatch) -> None:
    chance = np.random.default_rng(5)
    pdqs = chance.integers(0, 256, (40_000, 32), dtype=np.uint8)
    contents = chance.integers(0, 256, (40_000, 32), dtype=np.uint8)
    queries = pdqs[::80].copy()
    queries[:, 0] ^= 3
    asked = [(bytes([number % 256, number // 256]) * 16, row.tobytes()) for number, row in enumerate(queries)]
    blocks = [picture_block(7, contents.tobytes(), pdqs.tobytes())]
    indexed = near_pictures(asked, blocks)
    assert len(indexed) == len(asked) == 500
    assert {one.distance for one in indexed} == {2}
    monkeypatch.setattr("caid_triage.unit.near.QUERIES_FOR_INDEX", 1 << 30)
    assert near_pictures(asked, blocks) == indexed
