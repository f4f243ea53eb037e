"""Block sets: what is kept of graded files, what is left out, and every place where a block is found."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import socket
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from caid_triage.errors import HashSetError, UsageError, VerificationError
from caid_triage.hashset import make_blocks
from caid_triage.hashset.block_guards import (
    CONSTANT,
    ENTROPY,
    KEPT,
    PATTERN,
    RAMP,
    REASONS,
    reasons_of,
)
from caid_triage.hashset.block_hash import (
    _OF_WORDS,
    BLOCK_SIZES,
    SECTOR,
    block_words,
    probes,
    sector_sums,
    sha_words,
)
from caid_triage.hashset.external_sort import sorted_blocks
from caid_triage.hashset.lookup import lookup
from caid_triage.hashset.make_blocks import COMMON, SAME_FILE, SEVERAL_FILES, index_of, make_block_set
from caid_triage.hashset.manifest import seal_of
from caid_triage.hashset.store import HashSet, open_hashset

sizes = pytest.mark.parametrize("size", BLOCK_SIZES)


def noise(seed: int, length: int) -> bytes:
    return np.random.default_rng(seed).bytes(length)


def graded(folder: Path, files: dict[str, bytes]) -> Path:
    for name, content in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    return folder


def made(tmp_path: Path, files: dict[str, bytes], size: int = 4096, **more: object) -> HashSet:
    make_block_set(graded(tmp_path / "graded", files), tmp_path / "set.chs", size, **more)  # type: ignore[arg-type]
    return open_hashset(tmp_path / "set.chs")


def found_in(opened: HashSet, data: bytes) -> list[tuple[int, int, int]]:
    assert opened.blocks is not None
    hits = opened.blocks.find(data)
    return list(zip(hits.sectors.tolist(), hits.records.tolist(), hits.numbers.tolist(), strict=True))


def naive(blocks: dict[bytes, tuple[int, int]], data: bytes, size: int) -> list[tuple[int, int, int]]:
    """Every sector at which a block of a set stands, by comparing the bytes themselves."""
    places = range(0, len(data) // SECTOR * SECTOR - size + 1, SECTOR)
    return [(at // SECTOR, *blocks[data[at : at + size]]) for at in places if data[at : at + size] in blocks]


# -- hashes ------------------------------------------------------------------------------------------------------------


@sizes
def test_the_probe_of_a_block_is_the_same_wherever_it_stands(size: int) -> None:
    block, before, behind = noise(1, size), noise(2, 5 * SECTOR), noise(3, 5 * SECTOR)
    alone = probes(sector_sums(block), size)
    among = probes(sector_sums(before + block + behind), size)
    assert alone.tolist() == [among[5]]
    assert len(among) == 11
    assert len(set(among.tolist())) == len(among)


@sizes
def test_the_words_of_blocks_are_probe_and_half_a_sha256(size: int) -> None:
    data = noise(3, 3 * size + 100)
    words = block_words(data, size)
    assert words.shape == (3, 3)
    for number in range(3):
        block = data[number * size : (number + 1) * size]
        digest = hashlib.sha256(block).digest()
        assert [int(word) for word in words[number, 1:]] == [
            int.from_bytes(digest[:8], "big"),
            int.from_bytes(digest[8:16], "big"),
        ]
        assert words[number, 0] == probes(sector_sums(block), size)[0]
    assert np.array_equal(sha_words([data[:size]]), words[:1, 1:])


def test_the_probe_never_changes() -> None:
    """Sets of earlier versions hold it."""
    block = bytes(range(256)) * 2
    assert [hex(int(word)) for word in probes(sector_sums(block), 512)] == ["0x9d0be0d45ba4da52"]
    assert [hex(int(word)) for word in probes(sector_sums(block * 8), 4096)] == ["0x66d3066412cf2010"]


# -- guards ------------------------------------------------------------------------------------------------------------


def counter(size: int, dtype: str, first: int, step: int) -> bytes:
    count = size // np.dtype(dtype).itemsize
    return (first + step * np.arange(count, dtype=np.uint64)).astype(dtype).tobytes()


@sizes
@pytest.mark.parametrize(
    ("make", "reason"),
    [
        (bytes, CONSTANT),
        (lambda size: b"\xff" * size, CONSTANT),
        (lambda size: bytes(range(256)) * (size // 256), RAMP),
        (lambda size: bytes(range(255, -1, -1)) * (size // 256), RAMP),
        (lambda size: counter(size, "<u4", 70_000, 1), RAMP),  # a table of clusters
        (lambda size: counter(size, ">u4", 5_000_000, 4096), RAMP),
        (lambda size: counter(size, "<u8", 99, 3), RAMP),
        (lambda size: (b"\x28\xa2\x8a" * size)[:size], PATTERN),  # a plain area of a JPEG
        (lambda size: (noise(5, 40) * size)[:size], PATTERN),
        (lambda size: (b"The quick brown fox jumps over the lazy dog, number %d. " % 7 * size)[:size], PATTERN),
        (lambda size: noise(6, size).hex().encode()[:size], ENTROPY),
        (lambda size: bytes(size - 100) + noise(8, 100), None),
        (lambda size: noise(9, size), KEPT),
    ],
)
def test_blocks_that_say_nothing_are_known_by_their_bytes(size: int, make, reason: int | None) -> None:
    block = np.frombuffer(make(size), dtype=np.uint8).reshape(1, size)
    found = int(reasons_of(block)[0])
    assert found != KEPT if reason is None else found == reason, REASONS[found]


@sizes
@settings(deadline=None)
@given(seed=st.integers(0, 2**32))
def test_random_bytes_are_never_left_out(size: int, seed: int) -> None:
    block = np.frombuffer(noise(seed, size), dtype=np.uint8).reshape(1, size)
    assert reasons_of(block).tolist() == [KEPT]


def segment(marker: int, content: bytes) -> bytes:
    return bytes((0xFF, marker)) + (len(content) + 2).to_bytes(2, "big") + content


def test_headers_of_jpegs_are_left_out_up_to_their_scan(tmp_path: Path) -> None:
    """A profile of 9,000 bytes stands in many files; the scan is the picture's own."""
    head = b"\xff\xd8" + segment(0xE2, b"ICC_PROFILE\0" + noise(1, 9_000)) + segment(0xDA, b"\0" * 10)
    opened = made(tmp_path, {"1/a.jpg": head + noise(2, 20 * 512)}, 512)
    first = len(head) // 512 + 1
    assert found_in(opened, head[: len(head) // 512 * 512]) == []
    content = (tmp_path / "graded/1/a.jpg").read_bytes()
    assert [number for _, _, number in found_in(opened, content)] == list(range(first, len(content) // 512))


def test_of_a_film_only_the_media_is_kept(tmp_path: Path) -> None:
    def box(kind: bytes, content: bytes) -> bytes:
        return (len(content) + 8).to_bytes(4, "big") + kind + content

    film = (
        box(b"ftyp", b"isom" * 4)
        + box(b"moov", noise(1, 4000))
        + box(b"mdat", noise(2, 6000))
        + box(b"free", noise(3, 3000))
    )
    opened = made(tmp_path, {"1/a.mp4": film}, 512)
    begin = film.index(b"mdat") + 4
    numbers = [number for _, _, number in found_in(opened, film)]
    assert numbers == list(range(begin // 512 + 1, (begin + 6000) // 512))


@pytest.mark.parametrize("mark", [b"PK\x03\x04", b"FILE0\x00", b"INDX(\x00", b"ICC_PROFILE\x00", b"<x:xmpmeta"])
def test_blocks_with_a_mark_of_a_known_structure_are_left_out(tmp_path: Path, mark: bytes) -> None:
    content = bytearray(noise(4, 64 * 1024))
    at = 40 * 512 - len(mark) // 2  # across two blocks
    content[at : at + len(mark)] = mark
    opened = made(tmp_path, {"1/a.bin": bytes(content)}, 512)
    numbers = {number for _, _, number in found_in(opened, bytes(content))}
    assert numbers == set(range(1, 128)) - {39, 40}
    assert opened.manifest["blocks"]["left_out"]["a structure that many files have"] == 2


# -- sets --------------------------------------------------------------------------------------------------------------


@sizes
def test_blocks_of_several_files_and_common_ones_are_left_out_and_counted(tmp_path: Path, size: int) -> None:
    shared, common, own, twice = noise(1, size), noise(2, size), noise(3, 3 * size), noise(4, size)
    head = [noise(10, size), noise(11, size)]
    files = {"1/a": head[0] + shared + own + common, "2/b": head[1] + shared + twice + twice + noise(5, size) + b"tail"}
    harmless = graded(tmp_path / "harmless", {"x": common + noise(6, 2 * size)})
    opened = made(tmp_path, files, size, common=[harmless], name="blocks of ours", scheme="uk")
    facts = opened.manifest["blocks"]
    assert facts["left_out"] == {
        "a header or table of its format": 2,
        SEVERAL_FILES: 2,
        SAME_FILE: 2,
        COMMON: 1,
    }
    assert (facts["kept"], facts["files"], facts["files_without"], opened.counts["blocks"]) == (4, 2, 0, 4)
    a, b = files["1/a"], files["2/b"]
    per = size // SECTOR
    assert found_in(opened, a + b) == [(2 * per, 0, 2), (3 * per, 0, 3), (4 * per, 0, 4), ((6 + 4) * per, 1, 4)]
    assert opened.records["category"].tolist() == ["1", "2"]
    make_block_set(graded(tmp_path / "known", {"y": noise(7, size) + own}), tmp_path / "k.chs", size, role="known-good")
    again = tmp_path / "again.chs"
    make_block_set(tmp_path / "graded", again, size, common=[tmp_path / "k.chs", harmless])
    assert open_hashset(again).manifest["blocks"]["left_out"][COMMON] == 4


def test_a_known_good_set_keeps_what_several_files_have(tmp_path: Path) -> None:
    shared = noise(1, 8192)
    opened = made(tmp_path, {"a": noise(2, 4096) + shared, "b": noise(3, 4096) + shared}, role="known-good")
    assert opened.counts["blocks"] == 2
    assert [place for place, _, _ in found_in(opened, shared)] == [0, 8]


def test_a_second_copy_of_a_file_takes_nothing_from_the_first(tmp_path: Path) -> None:
    content = noise(1, 5 * 4096)
    result = make_block_set(graded(tmp_path / "graded", {"1/a": content, "2/copy": content}), tmp_path / "set.chs")
    assert result.counts["blocks"] == 4
    assert [row.reason for row in result.refused] == ["the content of an earlier file"]
    assert result.reasons == {"the content of an earlier file": 1}


@sizes
@settings(deadline=None)
@given(data=st.data())
def test_every_block_is_found_at_every_sector_and_nothing_else(two_files, size: int, data) -> None:
    """Pieces of the files of a set, of other files and of zeros, in any order and at any sector."""
    files, opened = two_files[size]
    known = {
        content[k * size : (k + 1) * size]: (record, k)
        for record, content in enumerate(files.values())
        for k in range(1, len(content) // size)
    }
    sectors = st.integers(0, 6 * size // SECTOR)
    pieces = []
    for kind in data.draw(st.lists(st.sampled_from(["1/a", "1/b", "zeros", "other"]), max_size=6)):
        low, high = sorted((data.draw(sectors), data.draw(sectors)))
        content = {"zeros": bytes(8 * size), "other": noise(9, 8 * size)}.get(kind) or files[kind]
        pieces.append(content[low * SECTOR : high * SECTOR])
    disk = b"".join(pieces) + data.draw(st.binary(max_size=700))
    assert found_in(opened, disk) == naive(known, disk, size)
    wanted = np.array(sorted(data.draw(st.sets(st.integers(0, max(len(disk) // SECTOR - size // SECTOR, 0))))))
    if len(disk) >= size:
        assert opened.blocks is not None
        hits = opened.blocks.find(disk, wanted.astype(np.int64))
        assert hits.sectors.tolist() == [at for at, _, _ in naive(known, disk, size) if at in wanted]


@pytest.fixture(scope="module")
def two_files(tmp_path_factory) -> dict[int, tuple[dict[str, bytes], HashSet]]:
    """Two files and their set, by the size of a block."""
    sets = {}
    for size in BLOCK_SIZES:
        files = {"1/a": noise(1, 6 * size), "1/b": noise(2, 3 * size + 77)}
        sets[size] = files, made(tmp_path_factory.mktemp("blocks"), files, size)
    return sets


def test_a_probe_that_agrees_by_accident_is_no_hit(tmp_path: Path) -> None:
    """Two blocks of one probe are easily made, for its factors are known: the SHA-256 decides."""
    block = np.frombuffer(noise(1, 512), dtype="<u8").copy()
    forged = block.copy()
    forged[0] += _OF_WORDS[1]  # what one word adds, the next takes away
    forged[1] -= _OF_WORDS[0]
    assert probes(sector_sums(forged.tobytes()), 512) == probes(sector_sums(block.tobytes()), 512)
    index = index_of(block_words(block.tobytes(), 512), 512)
    assert index.find(block.tobytes())[0].tolist() == [0]
    assert index.find(forged.tobytes())[0].tolist() == []


def test_many_blocks_are_sorted_on_disk_as_in_memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    files = {f"1/{n}": noise(n, 20_000) + noise(99, 1024) for n in range(12)}
    whole = made(tmp_path / "whole", files, 512)
    monkeypatch.setattr(make_blocks, "sorted_blocks", lambda *words: sorted_blocks(*words, run_bytes=4096))
    assert made(tmp_path / "parts", files, 512).generation == whole.generation


def test_a_block_set_lists_its_whole_files_too(tmp_path: Path) -> None:
    content = noise(1, 9000)
    opened = made(tmp_path, {"2/a": content})
    (record,) = lookup(opened, hashlib.sha256(content).hexdigest()).records
    assert record.category.code == "2"
    assert lookup(opened, hashlib.md5(content).hexdigest()).known
    opened.verify()


def test_a_changed_column_is_found(tmp_path: Path) -> None:
    opened = made(tmp_path, {"1/a": noise(1, 9 * 4096)})
    path = opened.path / opened.manifest["folder"] / "blocks" / "number.npy"
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(bytes(content))
    with pytest.raises(VerificationError, match=r"blocks/number\.npy"):
        open_hashset(opened.path).verify()


@pytest.mark.parametrize(("name", "value"), [("size", 1000), ("size", "x")])
def test_a_set_with_blocks_of_another_size_is_refused(tmp_path: Path, name: str, value: object) -> None:
    opened = made(tmp_path, {"1/a": noise(1, 9 * 4096)})
    manifest = json.loads((opened.path / "manifest.json").read_bytes())
    manifest["blocks"][name] = value
    manifest["seal"] = seal_of(manifest)
    (opened.path / "manifest.json").write_text(json.dumps(manifest))
    with pytest.raises(HashSetError, match=r"size that no set has|damaged"):
        open_hashset(opened.path)


def test_what_makes_no_set_is_refused_and_nothing_is_written(tmp_path: Path) -> None:
    out = tmp_path / "set.chs"
    with pytest.raises(HashSetError, match="no such folder"):
        make_block_set(tmp_path / "none", out)
    with pytest.raises(UsageError, match="512 or 4096"):
        make_block_set(tmp_path, out, 1024)
    with pytest.raises(HashSetError, match="no file with a block"):
        make_block_set(graded(tmp_path / "zeros", {"1/a": bytes(90_000), "1/b": b"small"}), out)
    other = graded(tmp_path / "other", {"1/a": noise(1, 9000)})
    make_block_set(other, tmp_path / "small.chs", 512)
    with pytest.raises(HashSetError, match="no set of blocks of 4096"):
        make_block_set(other, out, 4096, common=[tmp_path / "small.chs"])
    with pytest.raises(HashSetError, match="neither a block set"):
        make_block_set(other, out, 4096, common=[tmp_path / "nowhere"])
    assert not out.exists()


# -- folders as they come ----------------------------------------------------------------------------------------------


@pytest.fixture
def strange_folder(tmp_path: Path) -> Path:
    """Two graded files among links out of the folder, a pipe, a socket, an empty file, a sparse one, odd names."""
    folder = graded(
        tmp_path / "strange",
        {"1/deep/er/a.bin": noise(1, 30_000), "2/b\x1b[31m\n.bin": noise(2, 30_000), "2/copy.bin": noise(1, 30_000)},
    )
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "secret.bin").write_bytes(noise(3, 30_000))
    (folder / "1" / "link.bin").symlink_to(outside / "secret.bin")
    (folder / "1" / "linked").symlink_to(outside)
    (folder / "1" / "circle").symlink_to(folder)
    (folder / "1" / "nowhere").symlink_to(outside / "no such file")
    (folder / "empty").touch()
    with (folder / "sparse.bin").open("wb") as file:
        file.truncate(5 << 20)
    if hasattr(os, "mkfifo"):
        os.mkfifo(folder / "1" / "pipe")
        with contextlib.closing(socket.socket(socket.AF_UNIX)) as listening:
            here = os.open(".", os.O_RDONLY)
            try:
                os.chdir(folder)  # the path of a socket may have a hundred bytes
                listening.bind("socket")
            finally:
                os.fchdir(here)
                os.close(here)
    return folder


@pytest.mark.skipif(sys.platform == "win32", reason="links and such names")
def test_of_a_strange_folder_its_own_files_make_the_set(strange_folder: Path, tmp_path: Path) -> None:
    result = make_block_set(strange_folder, tmp_path / "set.chs")
    opened = open_hashset(tmp_path / "set.chs")
    opened.verify()
    facts = opened.manifest["blocks"]
    # The sparse file is a record without blocks: its digests list it. The copy and the empty file are refused rows.
    assert (facts["files"], facts["files_without"], facts["kept"]) == (3, 1, 2 * (30_000 // 4096 - 1))
    assert [row.reason for row in result.refused] == ["the content of an earlier file", "the digest of an empty file"]
    assert "\x1b" not in json.dumps(opened.manifest, ensure_ascii=False)


@pytest.mark.skipif(sys.platform == "win32", reason="links and such names")
def test_the_same_folder_makes_the_same_set_whatever_the_order_of_its_file_system(
    strange_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def columns(name: str) -> dict[str, bytes]:
        make_block_set(strange_folder, tmp_path / name, name="same")
        opened = open_hashset(tmp_path / name)
        inside = tmp_path / name / opened.manifest["folder"]
        files = {str(path.relative_to(inside)): path.read_bytes() for path in inside.rglob("*") if path.is_file()}
        return files | {"generation": opened.generation.encode()}

    before, real = columns("plain.chs"), os.scandir

    class Backwards(contextlib.AbstractContextManager[object]):
        def __init__(self, path: str) -> None:
            with real(path) as entries:
                self._entries = sorted(entries, key=lambda entry: entry.name)

        def __iter__(self) -> Backwards:
            return self

        def __next__(self) -> os.DirEntry[str]:
            if not self._entries:
                raise StopIteration
            return self._entries.pop()

        def __exit__(self, *_: object) -> None:
            return None

    monkeypatch.setattr(os, "scandir", Backwards)
    assert next(name for _, _, names in os.walk(strange_folder / "2") for name in names) == "copy.bin"
    assert columns("backwards.chs") == before


def test_a_folder_that_cannot_be_listed_is_no_gap_without_a_word(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A right that is missing would leave graded files out of the set, and nobody would know."""
    folder, real = graded(tmp_path / "graded", {"1/a": noise(1, 30_000), "2/b": noise(2, 30_000)}), os.scandir

    def closed(path: str) -> object:
        if Path(path) == folder / "2":
            raise PermissionError(13, "Permission denied", str(path))
        return real(path)

    monkeypatch.setattr(os, "scandir", closed)
    with pytest.raises(HashSetError, match="2: cannot be listed: Permission denied"):
        make_block_set(folder, tmp_path / "set.chs")
    assert not (tmp_path / "set.chs").exists()
