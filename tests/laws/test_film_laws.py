"""Films against listed videos: match_batch against the oracle, on films cut, turned, noisy and with shared intros."""

from __future__ import annotations

from pathlib import Path
from unittest import mock

import numpy as np
import pytest
from laws.test_match_laws import stored

from caid_triage.match import naive, naive_match, video
from caid_triage.match.looks import ORIENTATIONS
from caid_triage.match.match import match_batch
from caid_triage.match.options import MatchOptions
from caid_triage.match.turns import turned_hashes
from caid_triage.model import Examination, FileEntry, Kind, PerceptualHash, ScanRecord, State


def noisy(value: bytes, bits: int, rng: np.random.Generator) -> bytes:
    flips = np.zeros(256, dtype=np.uint8)
    flips[rng.choice(256, bits, replace=False)] = 1
    return (int.from_bytes(value) ^ int.from_bytes(np.packbits(flips).tobytes())).to_bytes(32)


def footage(rng: np.random.Generator, intro: list[bytes], films: list[list[bytes]]) -> list[bytes]:
    """An intro, perhaps, and a part of one of the films or of two."""
    found = list(intro) if rng.random() < 0.7 else []
    for _ in range(rng.integers(0, 3)):
        film = films[rng.integers(len(films))]
        begin = rng.integers(0, len(film))
        found += film[begin : begin + rng.integers(1, len(film) + 1)]
    found += [rng.bytes(32) for _ in range(rng.integers(0, 3))]
    return [noisy(value, int(rng.integers(0, 24)), rng) for value in found]


def turned(value: bytes, turn: int) -> bytes:
    return value if turn == 0 else turned_hashes(np.frombuffer(value, dtype=np.uint8)[None])[0, turn - 1].tobytes()


def record(values: list[bytes], rng: np.random.Generator) -> ScanRecord:
    hashes = tuple(
        PerceptualHash("pdq", value, int(rng.choice([20, 60, 100, 100])), place * 0.5)
        for place, value in enumerate(values)
    )
    entry = FileEntry("A", "s", "p1", 0, "/x", b"/x", State.ALLOCATED, 1)
    return ScanRecord(entry, Examination(None, 1, Kind.VIDEO, hashes=hashes))


@pytest.mark.parametrize("seed", range(25))
def test_films_are_matched_as_the_oracle_says(tmp_path: Path, seed: int) -> None:
    rng = np.random.default_rng(seed)
    intro = [rng.bytes(32) for _ in range(3)]
    films = [[rng.bytes(32) for _ in range(5)] for _ in range(4)]
    entries = [
        naive.NaiveEntry(
            frames=tuple(
                (value, int(rng.choice([20, 100, 100])), 40 * place)
                for place, value in enumerate(footage(rng, intro, films) or [rng.bytes(32)])
            )
        )
        for _ in range(12)
    ]
    turns = [int(rng.choice([0, 0, 5, 3])) for _ in range(4)]
    records = [record([turned(value, turn) for value in footage(rng, intro, films)], rng) for turn in turns]
    records.append(record([*intro, *intro], rng))
    options = MatchOptions(
        video_share=int(rng.choice([50, 80, 100])),
        video_looks=int(rng.integers(1, 4)),
        video_part=int(rng.choice([3, 5, 9])),
        video_common=int(rng.integers(6)),
    )
    hashset = stored(tmp_path / "s.chs", entries, role="notable", number=0)
    with mock.patch.object(video, "_QUERIES", int(rng.choice([3, 512]))):
        found = match_batch(records, [hashset], options)
    expected = naive_match.match(records, [naive.NaiveSet(entries)], options)
    assert {
        (
            *(n, 0, m.record_row, m.distance, ORIENTATIONS.index(m.orientation)),
            *(a.met, a.frames, a.listed_met, a.listed_frames),
            *(round((second or 0) * 1000) for second in (a.first_s, a.last_s, a.listed_first_s, a.listed_last_s)),
        )
        for n, matches in enumerate(found.matches)
        for m in matches
        if (a := m.agreement)
    } == expected.videos
    assert {
        (n, 0, w.reason, w.algorithm, w.count, w.nearest) for n, items in enumerate(found.withheld) for w in items
    } == expected.withheld
