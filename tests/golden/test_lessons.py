"""The lessons of other tools' losses, each on an image whose right reading is known (caid_triage.synth.lessons).

What is asked of the evidence room: every file of the truth is found once, under its path, with its state
and its very bytes; what else is listed has no content, or is the file system's own.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import combinations
from pathlib import Path

import pytest

from caid_triage.errors import EvidenceError
from caid_triage.evidence.source import EvidenceSource, open_source
from caid_triage.examine.examine import Examiner
from caid_triage.examine.limits import Limits
from caid_triage.model import DecodeState, Examination, FileEntry, Problem, Severity, State
from caid_triage.synth.exhibit import CUT_AT, build_demo_exhibit
from caid_triage.synth.lessons import Lesson, build_lesson, lesson_names
from caid_triage.synth.plan import write_sparse
from caid_triage.synth.sample_pictures import ALL_PICTURES, NEAR, picture

Read = tuple[FileEntry, str | None]
"""An entry and the SHA-256 of its content; None when it says that it cannot be read."""


@contextmanager
def opened(lesson: Lesson, folder: Path) -> Iterator[EvidenceSource]:
    image = folder / f"{lesson.name}.dd"
    write_sparse(image, lesson.image)
    source = open_source(image, "LSN/1", lesson.name)
    try:
        yield source
    finally:
        source.close()


def read_all(source: EvidenceSource) -> tuple[list[Read], list[Problem]]:
    """Every entry with its digest, and every problem; a read fault of an entry becomes None."""
    reads: list[Read] = []
    problems: list[Problem] = list(source.problems())
    for met in source.walk():
        if isinstance(met, Problem):
            problems.append(met)
            continue
        problems += met.problems
        reads.append((met, digest_of(source, met)))
    return reads, problems


def digest_of(source: EvidenceSource, entry: FileEntry) -> str | None:
    if not entry.readable:
        return None
    digest, size = hashlib.sha256(), 0
    try:
        for chunk in source.chunks(entry):
            assert 0 < len(chunk) <= 1 << 20
            digest.update(chunk)
            size += len(chunk)
    except EvidenceError:
        return None
    assert size == entry.size, entry.path
    return digest.hexdigest()


def is_system_file(entry: FileEntry) -> bool:
    """NTFS metafiles ("$MFT", what lies below "$Extend") and the empty entry of a FAT volume's label."""
    label = entry.path.endswith("(Volume Label Entry)") and entry.size == 0
    return label or (entry.path.startswith("/$") and not entry.path.startswith("/$OrphanFiles"))


@pytest.fixture(scope="module")
def lessons() -> dict[str, Lesson]:
    return {}


@pytest.fixture
def lesson(request: pytest.FixtureRequest, lessons: dict[str, Lesson]) -> Lesson:
    if request.param not in lessons:
        lessons[request.param] = build_lesson(request.param)
    return lessons[request.param]


@pytest.mark.parametrize("lesson", lesson_names(), indirect=True)
def test_every_file_of_the_truth_is_found_once_with_its_bytes(lesson: Lesson, tmp_path: Path) -> None:
    with opened(lesson, tmp_path) as source:
        reads, _ = read_all(source)
    found = Counter((entry.path, str(entry.state), digest) for entry, digest in reads)
    for row in lesson.rows:
        assert found[row.path, row.state, row.sha256] == 1, f"{lesson.says} {row.path}"


@pytest.mark.parametrize("lesson", lesson_names(), indirect=True)
def test_no_content_is_found_under_a_name_that_the_truth_does_not_have(lesson: Lesson, tmp_path: Path) -> None:
    with opened(lesson, tmp_path) as source:
        reads, _ = read_all(source)
    true = {(row.path, row.sha256) for row in lesson.rows}
    strange = [
        entry.path
        for entry, digest in reads
        if digest is not None and not is_system_file(entry) and (entry.path, digest) not in true
    ]
    assert strange == []


@pytest.mark.parametrize("lesson", lesson_names(), indirect=True)
def test_what_cannot_be_read_is_named_with_its_reason(lesson: Lesson, tmp_path: Path) -> None:
    with opened(lesson, tmp_path) as source:
        reads, problems = read_all(source)
    assert all(entry.problems for entry, digest in reads if digest is None)
    assert [p for p in problems if p.severity is Severity.PROBLEM] == []


@pytest.mark.parametrize("lesson", lesson_names(), indirect=True)
def test_a_second_walk_is_the_same(lesson: Lesson, tmp_path: Path) -> None:
    with opened(lesson, tmp_path) as source:
        first, second = list(source.walk()), list(source.walk())
    assert first == second
    assert [met.number for met in first if isinstance(met, FileEntry)] == list(
        range(sum(isinstance(met, FileEntry) for met in first))
    )


@pytest.mark.parametrize("lesson", ["sparse-ntfs", "sparse-ext2"], indirect=True)
def test_a_sparse_file_is_not_its_stored_parts_joined(lesson: Lesson, tmp_path: Path) -> None:
    with opened(lesson, tmp_path) as source:
        entries = {met.path: met for met in source.walk() if isinstance(met, FileEntry)}
        content = b"".join(source.chunks(entries["/middle.bin"]))
        whole = b"".join(source.chunks(entries["/not sparse.bin"]))
        nothing = b"".join(source.chunks(entries["/all hole.bin"]))
    assert content == whole
    assert content[65536 : 5 * 65536] == bytes(4 * 65536)
    assert nothing == bytes(2 * 65536)


@pytest.mark.parametrize("lesson", ["told-apart-ntfs"], indirect=True)
def test_renamed_linked_deleted_and_taken_over_are_told_apart(lesson: Lesson, tmp_path: Path) -> None:
    with opened(lesson, tmp_path) as source:
        reads, _ = read_all(source)
    by_path = {entry.path: (entry, digest) for entry, digest in reads}

    def is_picture(path: str, name: str) -> bool:
        return by_path[path][1] == hashlib.sha256(picture(name)).hexdigest()

    # a record that another file took over: the old name is listed, and never with the taker's bytes
    victim, digest = by_path["/box/victim.jpg"]
    assert victim.state is State.DELETED
    assert digest is None
    assert [problem.code for problem in victim.problems] == ["reallocated"]
    assert is_picture("/box/taker.jpg", "town.jpg")
    # a renamed file: its content counts once, under the present name
    former, digest = by_path["/box/old name.jpg"]
    assert former.state is State.DELETED
    assert digest is None
    assert [problem.code for problem in former.problems] == ["former-name"]
    assert is_picture("/box/new name.jpg", "orchard.jpg")
    # a hard link: two names of one record, both allocated
    linked, same = by_path["/box/linked.jpg"][0], by_path["/other/same file.jpg"][0]
    assert linked.inode == same.inode
    assert {linked.state, same.state} == {State.ALLOCATED}
    # deleted, whether or not the name was left in the index
    for path, name in (("/box/gone, name left.jpg", "coast.jpg"), ("/box/gone, name gone.jpg", "discs.png")):
        assert by_path[path][0].state is State.DELETED
        assert is_picture(path, name)
    # streams are entries of their own
    stream = by_path["/other/stream.dll:here"][0]
    assert stream.stream == "here"
    assert is_picture("/other/stream.dll:here", "waves.webp")


@pytest.mark.parametrize(
    "lesson", ["long-folder-exfat", "deleted-long-folder-fat16", "deleted-long-folder-fat32"], indirect=True
)
def test_a_long_folder_is_listed_to_its_end(lesson: Lesson, tmp_path: Path) -> None:
    with opened(lesson, tmp_path) as source:
        paths = {met.path for met in source.walk() if isinstance(met, FileEntry)}
    for row in lesson.rows:
        assert row.path in paths, row.path


def test_the_bytes_of_the_truth_are_the_bytes_of_the_pictures() -> None:
    """The other tests compare with the truth; this one that the truth is about the pictures it names."""
    rows = {row.path: row for row in build_lesson("deleted-ntfs").rows}
    assert rows["/sub/was here.jpg"].sha256 == hashlib.sha256(picture("coast.jpg")).hexdigest()
    assert rows["/sub/was here.jpg"].size == len(picture("coast.jpg"))
    assert rows["/sub/was here.jpg"].state == "deleted"


def test_the_demonstration_exhibit_is_read_as_its_truth_says(tmp_path: Path) -> None:
    demo = build_demo_exhibit(tmp_path)
    source = open_source(demo.image, "DEMO/1", demo.image.name)
    try:
        assert [(v.name, v.offset, v.length) for v in source.volumes() if v.status == "examined"] == [
            (v.volume, v.offset, v.length) for v in demo.volumes
        ]
        reads, problems = read_all(source)
    finally:
        source.close()
    found = Counter((entry.volume, entry.path, str(entry.state), digest) for entry, digest in reads)
    missed = [row.path for row in demo.rows if found[row.volume, row.path, row.state, row.sha256] != 1]
    assert missed == []
    true = {(row.volume, row.path) for row in demo.rows}
    strange = [e.path for e, digest in reads if not is_system_file(e) and digest and (e.volume, e.path) not in true]
    assert strange == []
    assert [p for p in problems if p.severity is Severity.PROBLEM] == []


def examined(content: bytes) -> Examination:
    run = Examiner(Limits()).begin("", len(content))
    run.update(content)
    return run.finish()


def test_a_cut_picture_that_still_decodes_is_partial_and_says_so() -> None:
    whole = picture("marble.jpg")
    assert examined(whole).decode_state is DecodeState.DECODED
    cut = examined(whole[:CUT_AT])
    assert cut.decode_state is DecodeState.PARTIAL
    assert [problem.code for problem in cut.problems] == ["partial-decode"]


@pytest.mark.parametrize(("algorithm", "radius"), [("pdq", 31), ("phash", 8)])
def test_sample_pictures_are_near_only_to_their_altered_copies(algorithm: str, radius: int) -> None:
    values = {
        name: int.from_bytes(found.value, "big")
        for name in ALL_PICTURES
        for found in examined(picture(name)).hashes
        if found.algorithm == algorithm and found.frame_time is None
    }
    assert set(values) == {name for name in ALL_PICTURES if name != "ball.avi"}
    near = {
        frozenset((one, other))
        for one, other in combinations(values, 2)
        if (values[one] ^ values[other]).bit_count() <= radius
    }
    assert near == {frozenset(pair) for pair in NEAR.items()}


@pytest.mark.parametrize("lesson", ["every-file-ntfs"], indirect=True)
def test_a_type_that_nobody_knows_is_hashed_all_the_same(lesson: Lesson, tmp_path: Path) -> None:
    with opened(lesson, tmp_path) as source:
        for entry in [met for met in source.walk() if isinstance(met, FileEntry) and not is_system_file(met)]:
            found = examined(b"".join(source.chunks(entry)))
            assert found.digests is not None, entry.path
            row = next(row for row in lesson.rows if row.path == entry.path)
            assert (found.digests.md5.hex(), found.digests.sha1.hex(), found.digests.sha256.hex()) == (
                row.md5,
                row.sha1,
                row.sha256,
            )
