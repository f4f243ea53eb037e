"""The frames of known videos: kept with their numbers and times, and found again video by video."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from caid_triage.errors import HashSetError
from caid_triage.hashset import columns, hash_columns
from caid_triage.hashset.batch import batch_of
from caid_triage.hashset.build import build_hashset, facts_of, save
from caid_triage.hashset.columns import RecordColumns
from caid_triage.hashset.frames import video_frames
from caid_triage.hashset.manifest import seal_of
from caid_triage.hashset.rows import Row
from caid_triage.hashset.schemes import load_scheme
from caid_triage.hashset.store import HashSet, open_hashset
from caid_triage.model import Role

RNG = np.random.default_rng(17)
UNKNOWN = 2**32 - 1


def told(hashset: HashSet) -> dict[int, list[tuple[bytes, int, int, int]]]:
    """record -> (hash, quality, frame, time) of its frames in order."""
    found = video_frames(hashset)
    _, of_unique = hashset.entries_of("pdq", np.arange(len(hashset.perceptual_words("pdq")[0]), dtype=np.int64))
    words = hashset.unique_words("pdq", of_unique[found.entries]).T
    hashes = np.ascontiguousarray(words).astype(">u8").view(np.uint8).reshape(-1, 32)
    quality = hashset.pdq_quality()[found.entries]
    frames = [
        (value.tobytes(), *numbers)
        for value, numbers in zip(
            hashes, zip(quality.tolist(), found.numbers.tolist(), found.times.tolist(), strict=True), strict=True
        )
    ]
    starts = found.start.tolist()
    return {
        video: frames[begin:end]
        for video, begin, end in zip(found.videos.tolist(), starts[:-1], starts[1:], strict=True)
    }


def test_videos_given_as_text_come_back_frame_by_frame(tmp_path: Path) -> None:
    films: dict[str, list[tuple[bytes, int, int, int]]] = {}
    same = RNG.bytes(32)
    for name, count in (("a.txt", 40), ("b.txt", 25)):
        films[name] = [(same if n % 5 == 0 else RNG.bytes(32), 100 - n, n * 3, n * 40) for n in range(count)]
        lines = [f"{n},{q},{value.hex()},{ms / 1000:.3f}\n" for value, q, n, ms in films[name]]
        RNG.shuffle(lines)  # the order of the lines is not that of the film
        (tmp_path / name).write_text("".join(lines))
    still = tmp_path / "stills.txt"
    still.write_text(f"{same.hex()},77\n{RNG.bytes(32).hex()},50\n")
    result = build_hashset([still, tmp_path / "b.txt", tmp_path / "a.txt"], tmp_path / "set.chs")
    assert result.counts["pdq"] == 67
    assert result.ignored == {}
    hashset = open_hashset(tmp_path / "set.chs")
    hashset.verify()
    found = told(hashset)
    assert {hashset.records.media_ids(np.array([row]))[0]: frames for row, frames in found.items()} == films
    q, r, d = hashset.near("pdq", np.frombuffer(same, dtype=np.uint8)[None, :], 0)
    assert (q.tolist(), d.tolist()) == ([0, 0, 0], [0, 0, 0])
    assert sorted(r.tolist()) == [0, 1, 2]  # two films and a still, each once


def test_a_set_without_videos_has_no_columns_for_them(tmp_path: Path) -> None:
    (tmp_path / "p.txt").write_text(f"{RNG.bytes(32).hex()},50\n")
    build_hashset([tmp_path / "p.txt"], tmp_path / "set.chs")
    hashset = open_hashset(tmp_path / "set.chs")
    assert hashset.pdq_frames() is None
    assert len(video_frames(hashset).videos) == 0
    assert video_frames(hashset).start.tolist() == [0]
    assert not any("frame" in name or "time" in name for name in hashset.manifest["columns"])


@pytest.mark.parametrize("size", [1, 7, 300])
def test_frames_among_stills_stay_with_their_hashes(tmp_path: Path, monkeypatch: Any, size: int) -> None:
    """Batches, spills and sorting on disk: every hash keeps its frame, and stills have none."""
    rows = [
        Row(
            pdq=tuple((RNG.bytes(32), int(RNG.integers(0, 101))) for _ in range(number % 4)),
            frames=tuple((number + k, None if k == 2 else 40 * k) for k in range(number % 4))
            if number % 6 == 1
            else (),
            position=f"line {number}",
        )
        for number in range(300)
    ]
    monkeypatch.setattr(columns, "_SPILL_RECORDS", 50)
    blocks = hash_columns.sorted_blocks
    monkeypatch.setattr(hash_columns, "sorted_blocks", lambda *args: blocks(*args, run_bytes=1_000))
    made = RecordColumns(tmp_path)
    for begin in range(0, 300, size):
        if size == 7 and begin % 3 == 0:
            for row in rows[begin : begin + size]:
                made.add(row, 0)
        else:
            made.add_batch(batch_of(rows[begin : begin + size]), 0)
    facts = facts_of(tmp_path / "s.chs", None, Role.NOTABLE, load_scheme("none"), "a test", made.codes.texts, [])
    save(tmp_path / "s.chs", made.finish(), facts, load_scheme("none"))
    made.close()
    expected = {
        number: [
            (value, quality, frame, UNKNOWN if time is None else time)
            for (value, quality), (frame, time) in zip(row.pdq, row.frames, strict=True)
        ]
        for number, row in enumerate(rows)
        if row.frames
    }
    hashset = open_hashset(tmp_path / "s.chs")
    assert told(hashset) == expected
    numbers, _ = hashset.pdq_frames() or pytest.fail("no frames")
    assert np.count_nonzero(numbers == UNKNOWN) == sum(len(row.pdq) for row in rows if not row.frames)
    for row in rows[:30]:
        assert list(batch_of([row]).rows()) == [row]


@pytest.mark.parametrize("name", ["pdq/frame.npy", "pdq/time_ms.npy"])
def test_a_set_that_lost_one_of_the_two_columns_is_refused(tmp_path: Path, name: str) -> None:
    (tmp_path / "a.txt").write_text(f"0,100,{RNG.bytes(32).hex()},0.5\n")
    build_hashset([tmp_path / "a.txt"], tmp_path / "set.chs")
    file = tmp_path / "set.chs" / "manifest.json"
    manifest = json.loads(file.read_text())
    del manifest["columns"][name]
    manifest["seal"] = seal_of(manifest)
    file.write_text(json.dumps(manifest))
    with pytest.raises(HashSetError, match="do not fit the set's PDQ hashes"):
        open_hashset(tmp_path / "set.chs")
