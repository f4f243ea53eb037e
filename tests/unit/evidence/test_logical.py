"""L01 and Lx01: every file with its path, times, size and state, its content by pieces and at random, its hashes."""

from __future__ import annotations

import hashlib
import io
import random
import struct
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pyewf
import pytest
from support.containers import damaged_copies
from support.evidence_files import Ex01Plan, Logical, examined, l01, logical_list, lx01, written

from caid_triage.errors import EvidenceError, SourceError
from caid_triage.evidence.logical.file_list import files_of, lines_of, total_bytes
from caid_triage.evidence.logical.image import LONGEST_PATH, LogicalFile
from caid_triage.evidence.source import EvidenceSource, open_source
from caid_triage.evidence.verify import outcomes, record_verification, verify_acquisition
from caid_triage.model import Digests, FileEntry, Problem, Severity, State

BIG = random.Random(1).randbytes(150_000)
TREE = [
    Logical(
        "C",
        None,
        [
            Logical("a.txt", b"hello", values={"cr": "1577689768", "ac": "1577660400", "wr": "1577689816", "mo": "9"}),
            Logical("empty", b""),
            Logical("big.bin", BIG),
            Logical("filled", b"\x07" * 5000, sparse="byte"),
            Logical("again.txt", b"hello", sparse="again", same_as="a.txt"),
            Logical("three pieces", BIG[:50_001], pieces=3),
            Logical("gone.jpg", b"gone", values={"opr": "128"}),
            Logical("a.txt\u00b7stream", b"within", values={"opr": str(0x2000)}),
            Logical("middle\u00b7dot", b"no stream"),
            Logical("no/slash", b"1", hashed=False),
            Logical("half \ud800 a pair", b"2"),
            Logical("", b"3"),
            Logical("folder", None, [Logical("..", None, [Logical("deep", b"4")])]),
        ],
    ),
    Logical(
        "D",
        None,
        [
            Logical("with.zip", b"PK", [Logical("inside", b"5")]),
            Logical("mounted", b"PK2", [Logical("in", b"7")], values={"p": "1"}),
        ],
    ),
    Logical("top", b"6"),
]
CONTENTS = {
    "/C/a.txt": b"hello",
    "/C/empty": b"",
    "/C/big.bin": BIG,
    "/C/filled": b"\x07" * 5000,
    "/C/again.txt": b"hello",
    "/C/three pieces": BIG[:50_001],
    "/C/gone.jpg": b"gone",
    "/C/a.txt:stream": b"within",
    "/C/middle\u00b7dot": b"no stream",
    "/C/no\\x2fslash": b"1",
    "/C/half \\xed\\xa0\\x80 a pair": b"2",
    "/C/NoName": b"3",
    "/C/folder/../deep": b"4",
    "/D/with.zip": b"PK",
    "/D/with.zip/inside": b"5",
    "/D/mounted": b"PK2",
    "/D/mounted/in": b"7",
    "/top": b"6",
}

MADE: dict[str, tuple[str, Callable[[], list[bytes]]]] = {
    "l01 of EnCase 7": ("L01", lambda: l01(TREE)),
    "l01 of EnCase 5": ("L01", lambda: l01(TREE, version=5)),
    "l01 not compressed": ("L01", lambda: l01(TREE, compressed=False)),
    "l01 in segments": ("L01", lambda: l01(TREE, chunks_a_segment=3)),
    "lx01": ("Lx01", lambda: lx01(TREE)),
    "lx01 in segments": ("Lx01", lambda: lx01(TREE, Ex01Plan(forms=("packed", "plain"), chunks_a_segment=3))),
}


@pytest.fixture(params=MADE)
def image(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    extension, make = MADE[request.param]
    segments = make()
    assert len(segments) == (3 if "segments" in request.param else 1)
    return written(tmp_path, extension, segments)


def test_every_file_and_its_content(image: Path, opened: Callable[..., Any], walked: Callable[..., Any]) -> None:
    source = opened(image)
    entries, problems = walked(source)
    assert not problems
    assert not source.problems()
    assert {entry.path: b"".join(source.chunks(entry)) for entry in entries} == CONTENTS
    assert [entry.size for entry in entries] == [len(CONTENTS[entry.path]) for entry in entries]
    assert {entry.path for entry in entries if entry.state is State.DELETED} == {"/C/gone.jpg"}
    streams = {entry.path: (entry.stream, entry.raw_path) for entry in entries if entry.stream}
    assert streams == {"/C/a.txt:stream": ("stream", b"/C/a.txt:stream")}
    assert source.coverage() == {"files": len(CONTENTS)}
    assert (source.info.kind, source.info.size) == (image.suffix[1:].lower(), None)
    assert source.info.acquisition["case_number"] == "case 7"
    assert source.info.acquisition["examiner_name"] == "examiner"
    assert [volume.status for volume in source.volumes()] == ["examined"]
    assert walked(source)[0] == entries


PLAIN_TREE = [
    Logical(
        "C", None, [Logical("a.txt", b"hello"), Logical("big.bin", BIG), Logical("folder", None, [Logical("f", b"4")])]
    ),
    Logical("filled", b"\x07" * 5000, sparse="byte"),
    Logical("again.txt", b"hello", sparse="again", same_as="a.txt"),
]


@pytest.mark.parametrize(
    "segments",
    [
        l01(PLAIN_TREE),
        l01(PLAIN_TREE, version=5, compressed=False),
        l01(PLAIN_TREE, chunks_a_segment=2),
        lx01(PLAIN_TREE),
    ],
)
def test_the_reference_library_reads_the_same_from_what_we_made(segments: list[bytes]) -> None:
    """So that writer and reader do not share one misunderstanding. It reads no file that lies in several extents."""
    handle = pyewf.handle()
    handle.open_file_objects([io.BytesIO(segment) for segment in segments])
    found: dict[str, bytes] = {}

    def walk(entry: Any, above: str) -> None:
        for index in range(entry.get_number_of_sub_file_entries()):
            node = entry.get_sub_file_entry(index)
            path = f"{above}/{node.get_name()}"
            if node.get_size():
                found[path] = node.read_buffer_at_offset(node.get_size(), 0)
            walk(node, path)

    walk(handle.get_root_file_entry(), "")
    handle.close()
    assert found == {
        "/C/a.txt": b"hello",
        "/C/big.bin": BIG,
        "/C/folder/f": b"4",
        "/filled": b"\x07" * 5000,
        "/again.txt": b"hello",
    }


def test_times_are_those_of_the_list(image: Path, opened: Callable[..., Any], walked: Callable[..., Any]) -> None:
    times = next(entry.times for entry in walked(opened(image))[0] if entry.path == "/C/a.txt")
    assert times.created == datetime(2019, 12, 30, 7, 9, 28, tzinfo=UTC)
    assert times.accessed == datetime(2019, 12, 29, 23, 0, 0, tzinfo=UTC)
    assert times.modified == datetime(2019, 12, 30, 7, 10, 16, tzinfo=UTC)
    assert times.changed == datetime(1970, 1, 1, 0, 0, 9, tzinfo=UTC)
    assert "as the program that made the image took it" in times.zone_note


def test_content_is_read_from_anywhere(image: Path, opened: Callable[..., Any], walked: Callable[..., Any]) -> None:
    source = opened(image)
    rng = random.Random(2)
    for entry in walked(source)[0]:
        content = CONTENTS[entry.path]
        for _ in range(12):
            start = rng.randint(0, len(content))
            length = rng.randint(0, len(content) - start)
            assert source.read_at(entry, start, length) == content[start : start + length]
        with pytest.raises(EvidenceError):
            source.read_at(entry, len(content), 1)


def test_the_hashes_of_the_files_verify(image: Path, opened: Callable[..., Any]) -> None:
    source = opened(image)
    checks = verify_acquisition(source)
    algorithms = ["md5"] if "version=5" in image.name else sorted({check.stored.algorithm for check in checks})
    assert [check.stored.algorithm for check in checks] == algorithms
    assert all(check.agrees and check.files == len(CONTENTS) - 1 for check in checks)
    assert checks[0].sentence() == "the MD5 of the contents of 17 files is as stored when they were acquired"
    record_verification(source)
    assert not source.problems()
    assert source.info.acquisition["verified"].startswith("md5 of the contents of 17 files")


WRONG = [
    Logical("good", b"1"),
    Logical("bad.jpg", b"23", values={"ha": "AB" * 16}),
    Logical("none", b"4", hashed=False),
]


@pytest.mark.parametrize("extension", ["L01", "Lx01"])
def test_a_stored_hash_that_differs_is_a_problem_of_its_file(
    extension: str, tmp_path: Path, opened: Callable[..., Any], walked: Callable[..., Any]
) -> None:
    path = written(tmp_path, extension, l01(WRONG) if extension == "L01" else lx01(WRONG))
    source = opened(path)
    found = {}
    for entry in walked(source)[0]:
        data = b"".join(source.chunks(entry))
        digests = Digests(hashlib.md5(data).digest(), hashlib.sha1(data).digest(), hashlib.sha256(data).digest())
        found[entry.path] = source.disagreements(entry, digests)
    assert [(path, problem.code) for path, problems in found.items() for problem in problems] == [
        ("/bad.jpg", "file-hash-mismatch")
    ]
    assert "ab" * 16 in found["/bad.jpg"][0].detail
    checks = verify_acquisition(source)
    assert [(check.path, check.stored.algorithm, check.agrees) for check in checks] == [
        ("", "md5", True),
        ("", "sha1", True),
        ("/bad.jpg", "md5", False),
    ]
    assert not any("bad.jpg" in word for word in outcomes(checks))
    record_verification(source)
    assert [(p.code, p.severity) for p in source.problems()] == [("acquisition-hash-mismatch", Severity.PROBLEM)]
    assert "verified" not in source.info.acquisition


def test_an_image_whose_files_have_no_hashes_says_so(tmp_path: Path, opened: Callable[..., Any]) -> None:
    source = opened(written(tmp_path, "L01", l01([Logical("a", b"1", hashed=False)])))
    assert record_verification(source) == []
    assert [problem.code for problem in source.problems()] == ["acquisition-hash-absent"]


# ---------------------------------------------------------------- what the list does not say, or says wrongly


@pytest.mark.parametrize(
    ("values", "says"),
    [
        ({"be": "1 0 3"}, "holds 3 of the 5 bytes"),
        ({"be": "0"}, "does not say"),
        ({"be": ""}, "does not say"),
        ({"be": "1 S 0 5"}, "does not say"),
        ({"be": "1 0"}, "does not say"),
        ({"ls": "five"}, "how large"),
        ({"ls": "9" * 30}, "how large"),
        ({"be": "1 " + "0 1 " * 10_001}, "more than 10000 pieces"),
    ],
)
def test_a_file_whose_place_is_not_known_is_a_problem(
    values: dict[str, str], says: str, tmp_path: Path, opened: Callable[..., Any], walked: Callable[..., Any]
) -> None:
    source = opened(written(tmp_path, "L01", l01([Logical("bad", b"hello", values=values), Logical("good", b"1")])))
    bad, good = walked(source)[0]
    assert (bad.readable, bad.problems[0].code) == (False, "file-unreadable")
    assert says in bad.problems[0].detail
    with pytest.raises(EvidenceError):
        list(source.chunks(bad))
    assert b"".join(source.chunks(good)) == b"1"
    assert any(check.found is None and check.path == "/bad" for check in verify_acquisition(source))


@pytest.mark.parametrize(
    "values",
    [
        {"ls": str(10**17), "opr": str(0x04000000)},
        {"ls": str((64 << 30) + 1), "opr": str(0x04000000)},
        {"ls": "50", "be": "20 " + "0 2 " * 32},
        {"ls": "50", "opr": str(0x04000000), "du": "0"},
    ],
)
def test_a_file_that_would_be_larger_than_the_image_is_not_read(
    values: dict[str, str], tmp_path: Path, opened: Callable[..., Any], walked: Callable[..., Any]
) -> None:
    source = opened(written(tmp_path, "L01", l01([Logical("bad", b"h", values=values), Logical("good", b"1")])))
    bad, good = walked(source)[0]
    assert (bad.readable, bad.problems[0].code) == (False, "file-unreadable")
    assert "would be of" in bad.problems[0].detail
    assert b"".join(source.chunks(good)) == b"1"


@pytest.mark.parametrize("place", ["1 ffffffffff 5", "1 2 ffffffffffff", "1 fffffffffffffffff0 5"])
def test_a_place_behind_the_end_is_a_fault_of_its_file_alone(
    place: str, tmp_path: Path, opened: Callable[..., Any], walked: Callable[..., Any]
) -> None:
    tree = [Logical("bad", b"hello", values={"be": place}), Logical("good", b"1")]
    source = opened(written(tmp_path, "L01", l01(tree)))
    bad, good = walked(source)[0]
    if place != "1 2 ffffffffffff":  # only the five bytes of the file are asked for, which are there
        with pytest.raises(EvidenceError, match="read"):
            list(source.chunks(bad))
    assert b"".join(source.chunks(good)) == b"1"


def parsed(text: str) -> tuple[list[LogicalFile], list[Problem]]:
    items = list(files_of(lines_of([text.encode("utf-16-le", "surrogatepass")]), 1 << 40))
    return [i for i in items if isinstance(i, LogicalFile)], [i for i in items if isinstance(i, Problem)]


def test_a_list_that_breaks_off_says_how_much_is_missing() -> None:
    _, text = logical_list([Logical("a", b"1"), Logical("b", None, [Logical("c", b"2"), Logical("d", b"3")])])
    files, problems = parsed(text)
    assert [file.path for file in files] == ["/a", "/b/c", "/b/d"]
    assert not problems
    lines = text.split("\n")
    cut = "\n".join(lines[: lines.index("entry") + 10])
    files, problems = parsed(cut)
    assert [file.path for file in files] == ["/a"]
    assert [problem.code for problem in problems] == ["file-list-damaged"]
    assert "2 entries are missing" in problems[0].detail
    for broken in (text.replace("entry", "entr"), text.replace("\tn\t", "\tx\t"), "5\nrec\ntb\n1\n\nentry\n"):
        assert [problem.code for problem in parsed(broken)[1]] == ["file-list-damaged"]


def test_folders_that_are_too_deep_are_named_and_the_rest_is_listed() -> None:
    node = Logical("end", b"1")
    for _ in range(600):
        node = Logical("d", None, [node])
    files, problems = parsed(logical_list([node, Logical("after", b"2")])[1])
    assert [file.path for file in files] == ["/after"]
    assert [problem.code for problem in problems] == ["folder-too-deep"]
    long = Logical("x" * 40_000, None, [Logical("y" * 40_000, b"1")])
    files, problems = parsed(logical_list([long, Logical("after", b"2")])[1])
    assert [len(file.path) < LONGEST_PATH for file in files] == [True]
    assert [problem.code for problem in problems] == ["folder-too-deep"]


def test_a_line_without_end_is_not_kept_in_memory() -> None:
    def blocks() -> Any:
        yield "5\nrec\ntb\n7\n".encode("utf-16-le")
        for _ in range(64):
            yield b"a\0" * (1 << 19)
        raise AssertionError("it should have been given up long before")

    lines = lines_of(blocks())
    assert total_bytes(lines) == 7
    with pytest.raises(ValueError, match="a line of more than"):
        list(lines)


def test_lines_do_not_depend_on_how_the_text_is_cut() -> None:
    data = "5\nrec\ntb\t\ud800x\n😀\n\nend".encode("utf-16-le", "surrogatepass")
    whole = list(lines_of([data]))
    assert whole == ["5", "rec", "tb\t\ud800x", "😀", "", "end"]
    for width in range(1, 12):
        assert list(lines_of(data[at : at + width] for at in range(0, len(data), width))) == whole


# ---------------------------------------------------------------- damage


def entries_of(source: EvidenceSource) -> list[FileEntry]:
    return [item for item in source.walk() if isinstance(item, FileEntry)]


@pytest.mark.parametrize("extension", ["L01", "Lx01"])
def test_a_damaged_list_is_named(extension: str, tmp_path: Path, opened: Callable[..., Any]) -> None:
    made = bytearray((l01(TREE) if extension == "L01" else lx01(TREE))[0])
    at = made.index("gone.jpg".encode("utf-16-le"))
    made[at] ^= 2
    source = opened(written(tmp_path, extension, [bytes(made)]))
    assert [problem.code for problem in source.problems()] == ["file-list-damaged"]
    assert len(entries_of(source)) == len(CONTENTS)


@pytest.mark.parametrize("extension", ["L01", "Lx01"])
def test_a_damaged_chunk_costs_the_files_in_it(extension: str, tmp_path: Path, opened: Callable[..., Any]) -> None:
    plan = Ex01Plan(forms=("plain",))
    made = bytearray((l01(TREE, compressed=False) if extension == "L01" else lx01(TREE, plan))[0])
    made[made.index(BIG[100_000:100_020])] ^= 1
    source = opened(written(tmp_path, extension, [bytes(made)]))
    lost = set()
    for entry in entries_of(source):
        try:
            assert b"".join(source.chunks(entry)) == CONTENTS[entry.path]
        except EvidenceError as error:
            lost.add((entry.path, error.code))
    assert lost == {("/C/big.bin", "read-failed")}


def test_a_table_that_is_missing_in_an_lx01_is_named(tmp_path: Path, opened: Callable[..., Any]) -> None:
    source = opened(written(tmp_path, "Lx01", lx01(TREE, Ex01Plan(entries=2, drop_tables=(1,)))))
    assert [problem.code for problem in source.problems()] == ["image-damaged"]
    assert "65536 bytes" in source.problems()[0].detail


@pytest.mark.parametrize("extension", ["L01", "Lx01"])
def test_segments_are_asked_for_by_name(extension: str, tmp_path: Path) -> None:
    plan = Ex01Plan(chunks_a_segment=3)
    path = written(tmp_path, extension, l01(TREE, chunks_a_segment=3) if extension == "L01" else lx01(TREE, plan))
    second = path.with_suffix(f".{extension[:-1]}2")
    with pytest.raises(SourceError, match="is segment 2 of"):
        open_source(second, "E", "s")
    second.rename(tmp_path / "elsewhere")
    with pytest.raises(SourceError, match=rf"made\.{extension[:-1]}2 is missing"):
        open_source(path, "E", "s")


def test_what_is_no_l01_inside_is_refused(tmp_path: Path) -> None:
    made = l01(TREE)[0]
    path = tmp_path / "made.L01"
    path.write_bytes(made.replace(b"ltree\0", b"ltrex\0"))
    with pytest.raises(SourceError, match="an L01: it has no list of files"):
        open_source(path, "E", "s")
    path.write_bytes(made.replace("rec\n".encode("utf-16-le"), "rex\n".encode("utf-16-le")))
    with pytest.raises(SourceError, match="does not begin as one"):
        open_source(path, "E", "s")
    text = "tb\tcl\n"
    size = made.index(text.encode("utf-16-le")) + 2 * len(text)
    path.write_bytes(made[:size] + "9".encode("utf-16-le") + made[size + 2 :])
    with pytest.raises(SourceError, match="chunks"):
        open_source(path, "E", "s")


def test_an_encrypted_lx01_is_refused_with_what_to_do(tmp_path: Path) -> None:
    path = written(tmp_path, "Lx01", lx01(TREE, Ex01Plan(encrypted=True)))
    with pytest.raises(SourceError, match="an Lx01 that is encrypted"):
        open_source(path, "E", "s")


def test_the_size_of_a_chunk_may_be_misstated(tmp_path: Path, opened: Callable[..., Any]) -> None:
    """The fields of the volume section are not those of an E01 in every L01 (libyal's note on its sector size)."""
    made = l01(TREE)[0]
    usual, other = struct.pack("<II", 64, 512), struct.pack("<II", 64, 4096)
    source = opened(written(tmp_path, "L01", [made.replace(usual, other)]))
    assert {entry.path: b"".join(source.chunks(entry)) for entry in entries_of(source)} == CONTENTS


SMALL = [Logical("C", None, [Logical(f"f{n}", BIG[n * 700 : n * 700 + 900 * n], pieces=1 + n % 2) for n in range(12)])]


@pytest.mark.parametrize("extension", ["L01", "Lx01"])
def test_200_damaged_copies(extension: str, tmp_path: Path) -> None:
    made = (l01(SMALL) if extension == "L01" else lx01(SMALL, Ex01Plan(entries=2)))[0]
    assert examined(written(tmp_path, extension, [made])) == "whole"
    outcomes = []
    for copy in damaged_copies(made, 200, seed=len(extension)):
        began = time.process_time()
        outcomes.append(examined(written(tmp_path, extension, [copy])))
        assert time.process_time() - began < 10
    assert {"refused", "faults"} <= set(outcomes) <= {"refused", "faults", "whole"}
