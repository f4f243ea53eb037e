"""Films against listed videos: CPU time of matching, beside comparing every frame with every listed frame in numpy.

    python benchmarks/match_videos.py [--videos 10000] [--listed-frames 100] [--films 50] [--frames 100]

Half of the films are noisy copies of a listed video (8 bits a frame), half are others; all listed videos and all films
begin with the same intro of five frames. The peer compares three films with all frames (uint64 XOR and popcount,
blocked), upright only and without any scoring. Prints JSON.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

from caid_triage.hashset.batch import batch_of
from caid_triage.hashset.build import facts_of, save
from caid_triage.hashset.columns import RecordColumns
from caid_triage.hashset.rows import Row
from caid_triage.hashset.schemes import load_scheme
from caid_triage.hashset.store import HashSet, open_hashset
from caid_triage.match.match import match_batch
from caid_triage.model import Examination, FileEntry, Kind, MatchKind, PerceptualHash, Role, ScanRecord, State

INTRO, NOISE = 5, 8


def listed(path: Path, frames: np.ndarray) -> HashSet:
    columns = RecordColumns(path.parent)
    for begin in range(0, len(frames), 500):
        rows = [
            Row(
                pdq=tuple((frame.tobytes(), 100) for frame in video),
                frames=tuple((place, 1000 * place) for place in range(len(video))),
                media_id=str(begin + number),
                position=f"line {begin + number}",
            )
            for number, video in enumerate(frames[begin : begin + 500])
        ]
        columns.add_batch(batch_of(rows), 0)
    facts = facts_of(path, None, Role.NOTABLE, load_scheme("none"), "a benchmark", columns.codes.texts, [])
    save(path, columns.finish(), facts, load_scheme("none"))
    columns.close()
    return open_hashset(path)


def film(number: int, hashes: np.ndarray, rng: np.random.Generator) -> ScanRecord:
    bits = np.unpackbits(hashes, axis=1)
    for row in bits:
        row[rng.choice(256, NOISE, replace=False)] ^= 1
    noisy = np.packbits(bits, axis=1)
    frames = tuple(PerceptualHash("pdq", value.tobytes(), 100, float(place)) for place, value in enumerate(noisy))
    entry = FileEntry("A", "s", "p1", number, f"/{number}", b"/", State.ALLOCATED, 1)
    return ScanRecord(entry, Examination(None, 1, Kind.VIDEO, hashes=frames))


def peer(record: ScanRecord, words: np.ndarray) -> float:
    """CPU seconds to compare all frames of one film with all listed frames, upright."""
    queries = np.array([np.frombuffer(item.value, dtype=np.uint64) for item in record.examination.hashes])
    begin = time.process_time()
    for start in range(0, words.shape[1], 1 << 14):
        block = words[:, start : start + (1 << 14)]
        distance = np.zeros((len(queries), block.shape[1]), dtype=np.uint16)
        for word in range(4):
            distance += np.bitwise_count(queries[:, word, None] ^ block[word])
        np.flatnonzero(distance <= 31)
    return time.process_time() - begin


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    for name, default in (("videos", 10_000), ("listed-frames", 100), ("films", 50), ("frames", 100)):
        parser.add_argument(f"--{name}", type=int, default=default)
    args = parser.parse_args()
    rng = np.random.default_rng(1)
    frames = rng.integers(0, 256, (args.videos, args.listed_frames, 32), dtype=np.uint8)
    frames[:, :INTRO] = frames[0, :INTRO]
    copies = rng.choice(args.videos, args.films, replace=False)
    records = []
    for number, video in enumerate(copies.tolist()):
        own = rng.integers(0, 256, (args.frames, 32), dtype=np.uint8)
        own[:INTRO] = frames[0, :INTRO]
        if number % 2:
            own = frames[video][np.arange(args.frames) % args.listed_frames]
        records.append(film(number, own, rng))
    with tempfile.TemporaryDirectory() as folder:
        hashset = listed(Path(folder) / "videos.chs", frames)
        match_batch(records[:2], [hashset])  # loads the kernels and the frames
        seconds = []
        for _ in range(3):
            begin = time.process_time()
            found = match_batch(records, [hashset])
            seconds.append(time.process_time() - begin)
        right = [
            [match.media_id for match in matches if match.match_kind is MatchKind.VIDEO]
            == ([str(video)] if number % 2 else [])
            for number, (video, matches) in enumerate(zip(copies.tolist(), found.matches, strict=True))
        ]
        words = np.ascontiguousarray(frames.reshape(-1, 32).view(np.uint64).T)
        peers = [peer(record, words) for record in records[:3]]
        del hashset
    ours = statistics.median(seconds)
    brute = statistics.median(peers) * args.films
    json.dump(
        {
            **vars(args),
            "orientations": 8,
            "right": all(right),
            "cpu_seconds": round(ours, 2),
            "cpu_seconds_a_film": round(ours / args.films, 4),
            "every_pair_numpy_upright_cpu_seconds": round(brute, 1),
            "ratio": round(brute / ours, 2),
            "ratio_same_orientations": round(8 * brute / ours, 1),
        },
        sys.stdout,
        indent=1,
    )
    print()


if __name__ == "__main__":
    main()
