"""match_records against the oracle that says in plain Python what matching means."""

from __future__ import annotations

import tempfile
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st

from caid_triage.hashset.build import facts_of, save
from caid_triage.hashset.columns import RecordColumns
from caid_triage.hashset.rows import Row
from caid_triage.hashset.schemes import load_scheme
from caid_triage.hashset.store import HashSet, open_hashset
from caid_triage.match import naive, naive_match
from caid_triage.match.looks import ORIENTATIONS
from caid_triage.match.match import MatchOptions, match_batch, match_records
from caid_triage.model import Digests, Examination, FileEntry, Kind, PerceptualHash, Role, ScanRecord, State

LENGTHS = {"md5": 16, "sha1": 20, "sha256": 32, "pdq": 32, "phash": 8}


def some(length: int) -> st.SearchStrategy[bytes]:
    """Few values, so that files and entries meet; some flat, some one to forty bits apart, PDQ up to 88."""
    farther = [b"\x12" * (length - k) + b"\xed" * k for k in (8, 9, 10, 11)] if length == LENGTHS["pdq"] else []
    return st.sampled_from(
        [
            *farther,
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
moments = st.sampled_from([0.0, 0.04, 1.2, 1.24, 7.0, 60.0])


def seven(one: st.SearchStrategy[bytes]) -> st.SearchStrategy[bytes]:
    return st.lists(one, min_size=7, max_size=7).map(b"".join)


@st.composite
def scan_records(draw: st.DrawFn) -> ScanRecord:
    digests = Digests(draw(some(16)), draw(some(20)), draw(some(32))) if draw(st.integers(0, 5)) else None
    kind = draw(st.sampled_from([Kind.IMAGE, Kind.IMAGE, Kind.VIDEO]))
    hashes = [PerceptualHash("pdq", draw(some(32)), draw(quality)) for _ in range(draw(st.integers(0, 2)))]
    hashes += [PerceptualHash("phash", draw(some(8))) for _ in range(draw(st.integers(0, 1)))]
    if draw(st.booleans()):
        hashes = [PerceptualHash("pdq", draw(alike(32)), 100), PerceptualHash("phash", draw(alike(8)))]
    if draw(st.booleans()):
        hashes.append(PerceptualHash("pdq-turned", draw(seven(some(32))), draw(quality)))
    if draw(st.booleans()):
        look = draw(st.sampled_from(["512", "trimmed", "screenshot", "thumbnail", "thumbnail"]))
        hashes.append(PerceptualHash(f"pdq-{look}", draw(alike(32)), draw(quality)))
        hashes.append(PerceptualHash(f"pdq-{look}-turned", draw(seven(some(32))), 100))
        hashes.append(PerceptualHash(f"phash-{look}", draw(alike(8))))
        hashes.append(PerceptualHash("phash-turned", draw(seven(alike(8)))))
        hashes.append(PerceptualHash("pdq-nonsense", draw(alike(32)), 100))
        hashes.append(PerceptualHash("pdq-turned", draw(some(32)), 100))  # not seven
    one = draw(st.sampled_from([some(32), alike(32)]))
    frames = draw(st.lists(st.tuples(one, quality, moments), max_size=6))
    hashes += [PerceptualHash("pdq", value, good, time) for value, good, time in frames]
    entry = FileEntry("A", "s", "p1", 0, "/x", b"/x", State.ALLOCATED, 1)
    return ScanRecord(entry, Examination(digests, 1, kind, hashes=tuple(hashes)))


@st.composite
def listed_videos(draw: st.DrawFn) -> naive.NaiveEntry:
    one = draw(st.sampled_from([some(32), alike(32)]))
    values = draw(st.lists(st.tuples(one, quality), min_size=1, max_size=6))
    times = draw(st.sampled_from([None, 40]))
    return naive.NaiveEntry(
        frames=tuple((*value, None if times is None else times * place) for place, value in enumerate(values))
    )


@st.composite
def entry_lists(draw: st.DrawFn) -> list[naive.NaiveEntry]:
    if draw(st.booleans()):
        found = [
            naive.NaiveEntry(pdq=((draw(alike(32)), 100),), phash=((draw(alike(8)), None),))
            for _ in range(draw(st.integers(0, 8)))
        ]
    else:
        found = [
            naive.NaiveEntry(
                digests={name: draw(some(LENGTHS[name])) for name in ("md5", "sha1", "sha256") if draw(st.booleans())},
                pdq=((draw(some(32)), draw(quality)),) if draw(st.booleans()) else (),
                phash=((draw(some(8)), None),) if draw(st.booleans()) else (),
            )
            for _ in range(draw(st.integers(0, 6)))
        ]
    found += draw(st.lists(listed_videos(), max_size=4))
    return found or [naive.NaiveEntry(phash=((b"\x01" * 8, None),))]


def stored(path: Path, entries: list[naive.NaiveEntry], *, role: str, number: int) -> HashSet:
    """The oracle's entries as a set on disk. The category makes equal sets different generations."""
    columns = RecordColumns()
    for entry in entries:
        frames = tuple((place, time) for place, (*_, time) in enumerate(entry.frames))
        pdq = entry.pdq + tuple((value, good) for value, good, _ in entry.frames)
        phash = tuple(value for value, _ in entry.phash)
        columns.add(Row(**entry.digests, pdq=pdq, frames=frames, phash=phash, category=str(number)), 0)
    scheme = load_scheme("none")
    facts = facts_of(path, str(number), Role(role), scheme, "a test", columns.codes.texts, [])
    save(path, columns.finish(), facts, scheme)
    return open_hashset(path)


own_radii = st.one_of(st.none(), st.integers(0, 64))


@settings(max_examples=100, deadline=None)
@given(
    st.lists(scan_records(), max_size=6),
    st.lists(
        st.tuples(entry_lists(), st.sampled_from(["notable", "notable", "known-good", "not-this"]), own_radii),
        min_size=1,
        max_size=3,
    ),
    st.one_of(st.just(31), st.integers(0, 256)),
    st.integers(0, 64),
    st.integers(0, 100),
    st.integers(1, 4),
    st.integers(0, 3),
    st.integers(1, 100),
    st.integers(1, 3),
    st.integers(0, 2),
    st.sampled_from(["off", "auto", "auto", "auto", "40", "66", "100"]),
    st.sampled_from([1, 50, 20_000_000]),
    st.sampled_from([100_000, 10**11]),
)
def test_match_batch_is_the_oracle(
    records: list[ScanRecord],
    contents: list[tuple[list[naive.NaiveEntry], str, int | None]],
    pdq_radius: int,
    phash_radius: int,
    min_quality: int,
    flood_limit: int,
    flood_kept: int,
    share: int,
    looks: int,
    common: int,
    leads: str,
    comparisons: int,
    pictures: int,
) -> None:
    own = tuple((str(i), "pdq", radius) for i, (*_, radius) in enumerate(contents) if radius is not None)
    options = MatchOptions(
        pdq_radius,
        min_quality,
        phash_radius,
        set_radii=own,
        flood_limit=flood_limit,
        flood_kept=min(flood_kept, flood_limit),
        video_share=share,
        video_looks=looks,
        video_part=looks + 1,
        video_common=common,
        leads=leads,
        lead_comparisons=comparisons,
        lead_pictures=pictures,
    )
    check_against_the_oracle(records, contents, options)


Contents = list[tuple[list[naive.NaiveEntry], str, int | None]]


def check_against_the_oracle(records: list[ScanRecord], contents: Contents, options: MatchOptions) -> None:
    """``contents``: of each set its entries, its role and the PDQ distance that the options have for it, if any."""
    with tempfile.TemporaryDirectory() as folder:
        sets = [
            stored(Path(folder) / f"{i}.chs", entries, role=role, number=i)
            for i, (entries, role, _) in enumerate(contents)
        ]
        found = match_batch(records, sets, options)
        place = {hashset.generation: i for i, hashset in enumerate(sets)}
        plain = [
            (
                *(n, place[m.generation], m.record_row, m.match_kind.value, m.algorithm, m.distance),
                *(ORIENTATIONS.index(m.orientation), m.contradicted, m.look),
            )
            for n, matches in enumerate(found.matches)
            for m in matches
        ]
        videos = [
            (
                *(n, place[m.generation], m.record_row, m.distance, ORIENTATIONS.index(m.orientation)),
                *(a.met, a.frames, a.listed_met, a.listed_frames),
                *(None if s is None else round(s * 1000) for s in (a.first_s, a.last_s, a.listed_first_s)),
                None if a.listed_last_s is None else round(a.listed_last_s * 1000),
            )
            for n, matches in enumerate(found.matches)
            for m in matches
            if (a := m.agreement) is not None
        ]
        withheld = [
            (n, place[w.generation], w.reason, w.algorithm, w.count, w.nearest)
            for n, items in enumerate(found.withheld)
            for w in items
        ]
        known = [
            naive.NaiveSet(e, negative=role != "notable", radii={} if radius is None else {"pdq": radius})
            for e, role, radius in contents
        ]
        expected = naive_match.match(records, known, options)
        assert len(plain) == len(set(plain))
        assert set(plain) == expected.matches, (set(plain) - expected.matches, expected.matches - set(plain))
        assert len(videos) == len(set(videos))
        assert set(videos) == expected.videos
        assert len(withheld) == len(set(withheld))
        assert set(withheld) == expected.withheld
        # Batches do not matter.
        assert found.matches == [match_records([record], sets, options)[0] for record in records]
        del sets


def steps(*bits: int) -> st.SearchStrategy[bytes]:
    """Values that lie as many bits from each other as their numbers differ."""
    return st.sampled_from(bits).map(lambda n: (int.from_bytes(b"\x12" * 32) ^ ((1 << n) - 1)).to_bytes(32))


# Of files and of entries: all about the limits of leads.
OF_FILES = steps(90, 88, 87, 86, 85, 78, 77, 76, 75, 70, 69, 68, 67, 66, 64, 63, 60, 50, 40, 34, 33, 32, 31, 0)
OF_ENTRIES = steps(0, 1, 2, 3)


@st.composite
def far_records(draw: st.DrawFn) -> ScanRecord:
    """Records whose hashes are far from each other: pictures with all sorts of looks, and films."""
    hashes = [PerceptualHash("pdq", draw(OF_FILES), draw(quality))]
    names = st.sampled_from(["pdq-crop10", "pdq-trimmed", "pdq-thumbnail", "pdq-tilt2"])
    hashes += [PerceptualHash(look, draw(OF_FILES), 90) for look in draw(st.lists(names, max_size=3, unique=True))]
    if draw(st.booleans()):
        hashes.append(PerceptualHash("pdq-turned", draw(seven(OF_FILES)), 100))
    if draw(st.booleans()):
        hashes.append(PerceptualHash("phash", draw(alike(8))))
    if not draw(st.integers(0, 3)):
        hashes += [PerceptualHash("pdq", draw(OF_FILES), 90, draw(moments)) for _ in range(2)]
    digests = draw(st.sampled_from([None, Digests(b"\x12" * 16, b"\x12" * 20, bytes(range(32)))]))
    kind = draw(st.sampled_from([Kind.IMAGE, Kind.IMAGE, Kind.VIDEO]))
    entry = FileEntry("A", "s", "p1", 0, "/x", b"/x", State.ALLOCATED, 1)
    return ScanRecord(entry, Examination(digests, 1, kind, hashes=tuple(hashes)))


@st.composite
def far_entries(draw: st.DrawFn) -> list[naive.NaiveEntry]:
    found = [
        naive.NaiveEntry(
            digests=draw(st.sampled_from([{}, {}, {}, {"md5": b"\x12" * 16}, {"sha1": b"\x12" * 20}])),
            pdq=((draw(OF_ENTRIES), draw(quality)),),
            phash=((draw(alike(8)), None),) if draw(st.booleans()) else (),
        )
        for _ in range(draw(st.integers(1, 6)))
    ]
    # An entry whose SHA-256 says otherwise than its MD5: contradicted, and no reason to look no further.
    if not draw(st.integers(0, 3)):
        digests = {"md5": b"\x12" * 16, "sha256": b"\x13" * 32}
        found.append(naive.NaiveEntry(digests=digests, pdq=((draw(OF_ENTRIES), 100),)))
    return found


@settings(max_examples=100, deadline=None)
@given(
    st.lists(far_records(), min_size=1, max_size=4),
    st.lists(
        st.tuples(
            far_entries(),
            st.sampled_from(["notable", "notable", "notable", "known-good", "not-this"]),
            st.sampled_from([None, None, None, 20]),
        ),
        min_size=1,
        max_size=3,
    ),
    st.sampled_from(["auto", "auto", "auto", "40", "66", "100"]),
    st.sampled_from([3, 50, 20_000_000]),
    st.sampled_from([100_000, 10**11]),
    st.integers(1, 4),
    st.integers(0, 2),
)
def test_leads_are_the_oracles(
    records: list[ScanRecord],
    contents: Contents,
    leads: str,
    comparisons: int,
    pictures: int,
    flood_limit: int,
    flood_kept: int,
) -> None:
    own = tuple((str(i), "pdq", radius) for i, (*_, radius) in enumerate(contents) if radius is not None)
    options = MatchOptions(
        set_radii=own,
        leads=leads,
        lead_comparisons=comparisons,
        lead_pictures=pictures,
        flood_limit=flood_limit,
        flood_kept=min(flood_kept, flood_limit),
    )
    check_against_the_oracle(records, contents, options)
