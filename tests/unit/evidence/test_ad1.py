"""AD1: every file with its path, times and size, content by pieces and at random, hashes, damage, refusals.

FTK Imager's own images cannot be kept here; docs/formats/evidence.md says on which the reader was tried.
"""

from __future__ import annotations

import random
import struct
import time
import tracemalloc
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from support.containers import damaged_copies
from support.evidence_files import AD_CHUNK, AdItem, ad1, examined, written

from caid_triage.errors import EvidenceError, SourceError
from caid_triage.evidence.source import open_source
from caid_triage.evidence.verify import record_verification, verify_acquisition
from caid_triage.model import FileEntry, State

BIG = random.Random(3).randbytes(3 * AD_CHUNK + 1000)
TREE = [
    AdItem(
        b"Users",
        None,
        [
            AdItem(
                b"a.txt",
                b"hello",
                values=[
                    (5, 7, b"20180502T074659.164650"),
                    (5, 8, b"20180502T073411"),
                    (5, 9, b"20180502T074239.841574"),
                    (4, 0x1002, b"true"),
                ],
            ),
            AdItem(b"empty", b""),
            AdItem(b"big.bin", BIG),
            AdItem(b"whole chunks", BIG[: 2 * AD_CHUNK]),
            AdItem(b"nothing in it", None),
            AdItem("Gr\u00fc\u00dfe".encode(), b"1"),
            AdItem(b"no/slash", b"2", hashed=False),
            AdItem(b"\xff\xfe", b"3"),
            AdItem(b"", b"4"),
            AdItem(b"deeper", None, [AdItem(b"..", None, [AdItem(b"f", b"5")])]),
            AdItem(b"a.txt.FileSlack", b"\0" * 9, kind=b"6"),
        ],
    ),
    AdItem(b"top", b"6", values=[(5, 9, b"no time")]),
]
CONTENTS = {
    "/Users/a.txt": b"hello",
    "/Users/empty": b"",
    "/Users/big.bin": BIG,
    "/Users/whole chunks": BIG[: 2 * AD_CHUNK],
    "/Users/Gr\u00fc\u00dfe": b"1",
    "/Users/no\\x2fslash": b"2",
    "/Users/\\xff\\xfe": b"3",
    "/Users/NoName": b"4",
    "/Users/deeper/../f": b"5",
    "/Users/a.txt.FileSlack": b"\0" * 9,
    "/top": b"6",
}
MADE = {
    "one segment": lambda: ad1(TREE),
    "segments": lambda: ad1(TREE, segment_size=AD_CHUNK),
    "eleven segments": lambda: ad1(TREE, segment_size=512 + 31_000),
    "version 3": lambda: ad1(TREE, version=3),
}


@pytest.fixture(params=MADE)
def image(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    return written(tmp_path, "ad1", MADE[request.param]())


def test_every_file_and_its_content(image: Path, opened: Callable[..., Any], walked: Callable[..., Any]) -> None:
    source = opened(image)
    entries, problems = walked(source)
    assert not problems
    assert not source.problems()
    assert {entry.path: b"".join(source.chunks(entry)) for entry in entries} == CONTENTS
    assert [entry.size for entry in entries] == [len(CONTENTS[entry.path]) for entry in entries]
    assert {entry.path for entry in entries if entry.state is State.SLACK} == {"/Users/a.txt.FileSlack"}
    assert source.info.acquisition == {"description": "E:\\x"}
    assert (source.info.kind, source.coverage()) == ("ad1", {"files": len(CONTENTS)})
    assert walked(source)[0] == entries
    rng = random.Random(4)
    for entry in entries:
        content = CONTENTS[entry.path]
        for _ in range(12):
            start = rng.randint(0, len(content))
            length = rng.randint(0, len(content) - start)
            assert source.read_at(entry, start, length) == content[start : start + length]


def test_times_are_those_of_the_image(image: Path, opened: Callable[..., Any], walked: Callable[..., Any]) -> None:
    times = {entry.path: entry.times for entry in walked(opened(image))[0]}
    assert times["/Users/a.txt"].accessed == datetime(2018, 5, 2, 7, 46, 59, 164650, tzinfo=UTC)
    assert times["/Users/a.txt"].created == datetime(2018, 5, 2, 7, 34, 11, tzinfo=UTC)
    assert times["/Users/a.txt"].modified == datetime(2018, 5, 2, 7, 42, 39, 841574, tzinfo=UTC)
    assert times["/Users/a.txt"].changed is None
    assert times["/top"].modified is None


def test_there_are_as_many_segments_as_the_names_say(tmp_path: Path, opened: Callable[..., Any]) -> None:
    info = opened(written(tmp_path, "ad1", MADE["eleven segments"]())).info
    assert len(info.segments) > 10
    assert [Path(segment).name for segment in info.segments[8:11]] == ["made.ad9", "made.ad10", "made.ad11"]


def test_the_hashes_of_the_files_verify(image: Path, opened: Callable[..., Any]) -> None:
    source = opened(image)
    assert [(c.stored.algorithm, c.files, c.agrees) for c in verify_acquisition(source)] == [
        ("md5", 10, True),
        ("sha1", 10, True),
    ]
    record_verification(source)
    assert not source.problems()


def test_a_stored_hash_that_differs_is_named(tmp_path: Path, opened: Callable[..., Any]) -> None:
    tree = [AdItem(b"bad", b"1", values=[(1, 0x5002, b"ab" * 20)], hashed=False), AdItem(b"good", b"2")]
    source = opened(written(tmp_path, "ad1", ad1(tree)))
    checks = verify_acquisition(source)
    assert [(check.path, check.stored.algorithm) for check in checks if not check.agrees] == [("/bad", "sha1")]


# ---------------------------------------------------------------- damage and refusals


def test_damaged_content_costs_its_file_from_there_on(tmp_path: Path, opened: Callable[..., Any]) -> None:
    made = bytearray(ad1(TREE)[0])
    at = made.index(BIG[2 * AD_CHUNK : 2 * AD_CHUNK + 40])  # random bytes are stored as they are
    made[at + 30_000] ^= 1
    source = opened(written(tmp_path, "ad1", [bytes(made)]))
    lost = {}
    for entry in source.walk():
        assert isinstance(entry, FileEntry)
        try:
            assert b"".join(source.chunks(entry)) == CONTENTS[entry.path]
        except EvidenceError as error:
            lost[entry.path] = error.code
            assert source.read_at(entry, 0, 2 * AD_CHUNK) == BIG[: 2 * AD_CHUNK]
    assert lost == {"/Users/big.bin": "read-failed"}


def entry_at(made: bytes, name: bytes) -> int:
    """Where the item of a name begins, from the start of the image."""
    return made.index(name + struct.pack("<Q", entry_parent(made))) - 48 - 512


def entry_parent(made: bytes) -> int:
    return int.from_bytes(made[512 + 36 : 512 + 44], "little")


@pytest.mark.parametrize(
    ("field", "value", "lost"),
    [
        (0, 1 << 40, {"big.bin", "whole chunks"}),  # the next item
        (0, 1 << 63, {"big.bin", "whole chunks"}),
        (8, 1 << 40, set()),  # what lies in it
        (44, 0xFFFFFFFF, {"empty", "big.bin"}),  # the length of its name, and what follows it
    ],
)
def test_an_item_that_points_nowhere_is_named(
    field: int, value: int, lost: set[str], tmp_path: Path, opened: Callable[..., Any], walked: Callable[..., Any]
) -> None:
    made = bytearray(ad1(TREE)[0])
    at = 512 + entry_at(bytes(made), b"empty") + field
    made[at : at + (4 if field == 44 else 8)] = value.to_bytes(4 if field == 44 else 8, "little")
    source = opened(written(tmp_path, "ad1", [bytes(made)]))
    entries, problems = walked(source)
    assert [problem.code for problem in problems] == ["file-list-damaged"]
    paths = {entry.path for entry in entries}
    assert "/top" in paths  # what does not hang on the damaged place is listed
    assert not {f"/Users/{name}" for name in lost} & paths


@pytest.mark.parametrize("field", [0, 8])
def test_a_tree_that_leads_in_a_circle_has_an_end(
    field: int, tmp_path: Path, opened: Callable[..., Any], walked: Callable[..., Any]
) -> None:
    made = bytearray(ad1(TREE)[0])
    at = 512 + entry_at(bytes(made), b"empty") + field
    made[at : at + 8] = made[512 + 36 : 512 + 44]  # the first item of all
    source = opened(written(tmp_path, "ad1", [bytes(made)]))
    began = time.process_time()
    problems = walked(source)[1]
    assert {problem.code for problem in problems} & {"file-list-damaged", "folder-too-deep"}
    assert time.process_time() - began < 5


def test_values_that_lead_in_a_circle_or_nowhere_cost_their_file(
    tmp_path: Path, opened: Callable[..., Any], walked: Callable[..., Any]
) -> None:
    for value in (None, 1 << 40):
        made = bytearray(ad1(TREE)[0])
        at = 512 + entry_at(bytes(made), b"empty")
        first = int.from_bytes(made[at + 16 : at + 24], "little")
        made[512 + first : 512 + first + 8] = (first if value is None else value).to_bytes(8, "little")
        source = opened(written(tmp_path, "ad1", [bytes(made)]))
        entries = walked(source)[0]
        assert {entry.path for entry in entries} == set(CONTENTS)
        assert [(e.path, e.problems[0].code) for e in entries if e.problems] == [("/Users/empty", "file-unreadable")]


@pytest.mark.parametrize("size", [1 << 40, 1 << 61, (1 << 64) - 1])
def test_a_size_that_lies_costs_no_memory(
    size: int, tmp_path: Path, opened: Callable[..., Any], walked: Callable[..., Any]
) -> None:
    made = bytearray(ad1(TREE)[0])
    at = 512 + entry_at(bytes(made), b"big.bin") + 32
    made[at : at + 8] = size.to_bytes(8, "little")
    source = opened(written(tmp_path, "ad1", [bytes(made)]))
    entry = next(entry for entry in walked(source)[0] if entry.path == "/Users/big.bin")
    tracemalloc.start()
    with pytest.raises(EvidenceError):
        list(source.chunks(entry))
    assert tracemalloc.get_traced_memory()[1] < 8 << 20
    tracemalloc.stop()


def test_segments_are_asked_for_by_name(tmp_path: Path) -> None:
    path = written(tmp_path, "ad1", ad1(TREE, segment_size=AD_CHUNK))
    with pytest.raises(SourceError, match="is segment 2 of an AD1 image, not its first"):
        open_source(path.with_suffix(".ad2"), "E", "s")
    path.with_suffix(".ad3").write_bytes(path.with_suffix(".ad2").read_bytes())
    with pytest.raises(SourceError, match=r"made\.ad3 .*segment 2 of"):
        open_source(path, "E", "s")
    path.with_suffix(".ad3").unlink()
    with pytest.raises(SourceError, match=r"made\.ad3 is missing"):
        open_source(path, "E", "s")


@pytest.mark.parametrize("length", [-1, -100, 512, 400, 16])
def test_a_cut_off_segment_is_refused(length: int, tmp_path: Path) -> None:
    segments = ad1(TREE, segment_size=AD_CHUNK)
    for number in (1, len(segments) - 1):
        cut = [*segments[:number], segments[number][:length], *segments[number + 1 :]]
        path = written(tmp_path, "ad1", cut)
        if number == len(segments) - 1 and length == -1:
            open_source(path, "E", "s").close()  # the last byte is of a table that is not read
            continue
        with pytest.raises(SourceError, match=rf"made\.ad{number + 1} is cut off"):
            open_source(path, "E", "s")


def test_an_encrypted_or_unknown_ad1_is_refused_with_what_to_do(tmp_path: Path) -> None:
    path = tmp_path / "made.ad1"
    path.write_bytes(b"ADCRYPT\0" + bytes(4096))
    with pytest.raises(SourceError, match="an AD1 that is encrypted: decrypt it in FTK Imager") as caught:
        open_source(path, "E", "s")
    assert caught.value.exit_code == 4
    made = bytearray(ad1(TREE)[0])
    made[512 + 16] = 5
    path.write_bytes(made)
    with pytest.raises(SourceError, match="an AD1 of version 5: open it in FTK Imager"):
        open_source(path, "E", "s")
    path.write_bytes(made[512:])
    with pytest.raises(SourceError, match="without its first 512 bytes"):
        open_source(path, "E", "s")


SMALL = [
    AdItem(b"d", None, [AdItem(b"f%d" % n, BIG[n * 900 : n * 1900], values=[(5, 8, b"20180502T073411")])])
    for n in range(9)
]


def test_200_damaged_copies(tmp_path: Path) -> None:
    made = ad1(SMALL)[0]
    assert examined(written(tmp_path, "ad1", [made])) == "whole"
    outcomes = []
    for copy in damaged_copies(made, 200, seed=5):
        began = time.process_time()
        outcomes.append(examined(written(tmp_path, "ad1", [copy])))
        assert time.process_time() - began < 10
    assert {"refused", "faults"} <= set(outcomes) <= {"refused", "faults", "whole"}
