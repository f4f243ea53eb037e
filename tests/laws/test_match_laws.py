"""match_records against the oracle that says in plain Python what matching means."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from caid_triage.hashset.build import build_hashset_from_arrays
from caid_triage.hashset.store import HashSet, open_hashset
from caid_triage.match import naive, naive_match
from caid_triage.match.looks import ORIENTATIONS
from caid_triage.match.match import MatchOptions, match_batch, match_records
from caid_triage.model import Digests, Examination, FileEntry, PerceptualHash, ScanRecord, State

LENGTHS = {"md5": 16, "sha1": 20, "sha256": 32, "pdq": 32, "phash": 8}


def some(length: int) -> st.SearchStrategy[bytes]:
    """Few values, so that files and entries meet; some flat, some one to forty bits apart."""
    return st.sampled_from(
        [
            b"\x00" * length,
            b"\xff" * length,
            b"\x80" + b"\x00" * (length - 1),
            b"\x12" * length,
            b"\x12" * (length - 1) + b"\x13",
            b"\x12" * (length - 5) + b"\xed" * 5,
            b"\x12" * (length - 4) + b"\xed" * 3 + b"\x13",
            bytes(range(length)),
        ]
    )


def alike(length: int) -> st.SearchStrategy[bytes]:
    """Values one to twelve bits from each other: many pairs within any distance, ties among them."""
    return st.integers(0, 12).map(lambda bits: b"\x12" * (length - 2) + ((1 << bits) - 1).to_bytes(2))


quality = st.sampled_from([None, 0, 49, 50, 100])


@st.composite
def scan_records(draw: st.DrawFn) -> ScanRecord:
    digests = Digests(draw(some(16)), draw(some(20)), draw(some(32))) if draw(st.integers(0, 5)) else None
    hashes = [PerceptualHash("pdq", draw(some(32)), draw(quality)) for _ in range(draw(st.integers(0, 2)))]
    hashes += [PerceptualHash("phash", draw(some(8))) for _ in range(draw(st.integers(0, 1)))]
    if draw(st.booleans()):
        hashes = [PerceptualHash("pdq", draw(alike(32)), 100), PerceptualHash("phash", draw(alike(8)))]
    if draw(st.booleans()):
        hashes.append(PerceptualHash("pdq-turned", b"".join(draw(some(32)) for _ in range(7)), draw(quality)))
    entry = FileEntry("A", "s", "p1", 0, "/x", b"/x", State.ALLOCATED, 1)
    return ScanRecord(entry, Examination(digests, 1, hashes=tuple(hashes)))


@st.composite
def entry_lists(draw: st.DrawFn) -> list[naive.NaiveEntry]:
    if draw(st.booleans()):
        return [
            naive.NaiveEntry(pdq=((draw(alike(32)), 100),), phash=((draw(alike(8)), None),))
            for _ in range(draw(st.integers(1, 8)))
        ]
    return [
        naive.NaiveEntry(
            digests={name: draw(some(LENGTHS[name])) for name in ("md5", "sha1", "sha256") if draw(st.booleans())},
            pdq=((draw(some(32)), draw(quality)),) if draw(st.booleans()) else (),
            phash=((draw(some(8)), None),) if draw(st.booleans()) else (),
        )
        for _ in range(draw(st.integers(1, 6)))
    ]


def stored(path: Path, entries: list[naive.NaiveEntry], *, role: str, number: int) -> HashSet:
    """The oracle's entries as a set on disk. The category makes equal sets different generations."""
    columns: dict[str, list[bytes | None]] = {
        name: [entry.digests.get(name) for entry in entries] for name in ("md5", "sha1", "sha256")
    }
    columns["pdq"] = [entry.pdq[0][0] if entry.pdq else None for entry in entries]
    columns["phash"] = [entry.phash[0][0] if entry.phash else None for entry in entries]
    qualities = [entry.pdq[0][1] if entry.pdq else None for entry in entries]
    arrays: dict[str, Any] = {}
    for name, values in columns.items():
        filled = b"".join(value or b"\x77" * LENGTHS[name] for value in values)
        arrays[name] = np.frombuffer(filled, dtype=np.uint8).reshape(-1, LENGTHS[name])
        arrays[f"{name}_present"] = np.array([value is not None for value in values])
    if all(value is not None for value in qualities):
        arrays["pdq_quality"] = np.array(qualities)
    elif any(value is not None for value in qualities):
        # arrays cannot say "unknown" for single rows: drop those entries' hashes in set and oracle alike
        arrays["pdq_present"] &= np.array([value is not None for value in qualities])
        arrays["pdq_quality"] = np.array([value or 0 for value in qualities])
        for i, entry in enumerate(entries):
            if qualities[i] is None:
                entries[i] = naive.NaiveEntry(entry.digests, (), entry.phash)
    build_hashset_from_arrays(path, **arrays, role=role, category=str(number))
    return open_hashset(path)


own_radii = st.one_of(st.none(), st.integers(0, 64))


@settings(max_examples=50, deadline=None)
@given(
    st.lists(scan_records(), max_size=6),
    st.lists(
        st.tuples(entry_lists(), st.sampled_from(["notable", "notable", "known-good", "not-this"]), own_radii),
        min_size=1,
        max_size=3,
    ),
    st.integers(0, 256),
    st.integers(0, 64),
    st.integers(0, 100),
    st.integers(1, 4),
    st.integers(0, 3),
)
def test_match_batch_is_the_oracle(
    records: list[ScanRecord],
    contents: list[tuple[list[naive.NaiveEntry], str, int | None]],
    pdq_radius: int,
    phash_radius: int,
    min_quality: int,
    flood_limit: int,
    flood_kept: int,
) -> None:
    with tempfile.TemporaryDirectory() as folder:
        sets = [
            stored(Path(folder) / f"{i}.chs", entries, role=role, number=i)
            for i, (entries, role, _) in enumerate(contents)
        ]
        own = tuple((str(i), "pdq", radius) for i, (*_, radius) in enumerate(contents) if radius is not None)
        options = MatchOptions(
            pdq_radius,
            min_quality,
            phash_radius,
            set_radii=own,
            flood_limit=flood_limit,
            flood_kept=min(flood_kept, flood_limit),
        )
        found = match_batch(records, sets, options)
        place = {hashset.generation: i for i, hashset in enumerate(sets)}
        plain = [
            (
                *(n, place[m.generation], m.record_row, m.match_kind.value, m.algorithm, m.distance),
                *(ORIENTATIONS.index(m.orientation), m.contradicted),
            )
            for n, matches in enumerate(found.matches)
            for m in matches
        ]
        withheld = [
            (n, place[w.generation], w.reason, w.algorithm, w.count, w.nearest)
            for n, items in enumerate(found.withheld)
            for w in items
        ]
        expected = naive_match.match(
            records,
            [
                naive_match.NaiveSet(e, negative=role != "notable", radii={} if radius is None else {"pdq": radius})
                for e, role, radius in contents
            ],
            {"pdq": pdq_radius, "phash": phash_radius},
            min_quality,
            flood_limit,
            min(flood_kept, flood_limit),
        )
        assert len(plain) == len(set(plain))
        assert set(plain) == expected.matches
        assert len(withheld) == len(set(withheld))
        assert set(withheld) == expected.withheld
        # Batches do not matter.
        assert found.matches == [match_records([record], sets, options)[0] for record in records]
        del sets
