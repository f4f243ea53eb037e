"""Archives whose files kill, hang or take over the worker: one inner file is lost and named, never the archive."""

from __future__ import annotations

import hashlib
import io
import os
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from support.contents import readers
from support.embedded import with_thumbnails

from caid_triage.config import ScanOptions, WorkerLimits
from caid_triage.errors import EvidenceError
from caid_triage.model import DecodeState, FileEntry, ScanRecord, State
from caid_triage.scan import inside, worker_process
from caid_triage.scan.pool import examine_in_pool
from caid_triage.scan.serial import examine_serially
from caid_triage.synth.sample_pictures import picture

QUICK = ScanOptions(workers=2, limits=WorkerLimits(decode_seconds=3, decode_seconds_per_mb=0))
PICTURE = picture("coast.jpg")


@pytest.fixture
def _hostile_worker(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(worker_process, "WORKER_MODULE", "hostile_worker")
    known = os.environ.get("PYTHONPATH", "")
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(filter(None, (str(Path(__file__).parent), known))))


def zipped(files: dict[str, bytes], method: int = zipfile.ZIP_STORED) -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", method) as archive:
        for name, content in files.items():
            archive.writestr(zipfile.ZipInfo(name), content, method)  # without the time of this test
    return stream.getvalue()


def entries(contents: list[bytes]) -> list[FileEntry]:
    return [
        FileEntry("E", "s", "p1", number, f"/{number}", b"/%d" % number, State.ALLOCATED, len(content))
        for number, content in enumerate(contents)
    ]


def in_pool(contents: list[bytes], options: ScanOptions = QUICK) -> list[ScanRecord]:
    """Every record of a scan of some files by worker processes, in the order of reports; conservation checked."""
    read, read_at = readers(contents)
    results = list(examine_in_pool(iter(entries(contents)), read, options, read_at))
    records = [result for result in results if isinstance(result, ScanRecord)]
    assert conserved(records, len(contents))
    return sorted(records, key=lambda record: (record.entry.number, record.entry.part))


def conserved(records: list[ScanRecord], walked: int) -> bool:
    """Each file once, after what lies inside it, which is as many as it says, numbered from 1."""
    met: dict[int, list[int]] = {}
    for record in records:
        met.setdefault(record.entry.number, []).append(record.entry.part)
    whole = {record.entry.number: record for record in records if not record.entry.part}
    return len(whole) == walked and all(
        parts == [*range(1, whole[number].examination.inside + 1), 0] for number, parts in met.items()
    )


def serially(contents: list[bytes]) -> list[ScanRecord]:
    def read(entry: FileEntry) -> Iterator[bytes]:
        yield contents[entry.number]

    results = examine_serially(iter(entries(contents)), read)
    records = [result for result in results if isinstance(result, ScanRecord)]
    return sorted(records, key=lambda record: (record.entry.number, record.entry.part))


def codes(record: ScanRecord) -> list[str]:
    return [problem.code for problem in record.problems]


def six(third: bytes) -> dict[str, bytes]:
    """Six files for an archive, the third of which gives an order."""
    files = {f"{number}.jpg": PICTURE + b"%d" % number for number in range(1, 7)}
    files["3.jpg"] = third + b" and the rest of the file"
    return files


@pytest.mark.usefixtures("_hostile_worker")
@pytest.mark.parametrize(
    ("order", "code"), [(b"inner-die", "decoder-died"), (b"inner-hang", "decoder-hung")], ids=["dies", "hangs"]
)
def test_a_decoder_that_ends_its_worker_costs_one_inner_file_its_decode(order: bytes, code: str) -> None:
    files = six(order)
    contents = [b"before", zipped(files), b"after"]
    before, *inner, after = in_pool(contents)
    archive = inner.pop(0)
    assert [codes(record) for record in (before, archive, after)] == [[], [], []]
    assert archive.examination.digests is not None
    assert archive.examination.digests.sha256 == hashlib.sha256(contents[1]).digest()
    assert [record.entry.path for record in inner] == [f"/1//{name}" for name in files]
    assert [codes(record) for record in inner] == [[], [], [code], [], [], []]
    for record, content in zip(inner, files.values(), strict=True):
        assert record.examination.digests is not None
        assert record.examination.digests.sha256 == hashlib.sha256(content).digest()
    states = [record.examination.decode_state for record in inner]
    assert states == [*[DecodeState.DECODED] * 2, DecodeState.UNDECODABLE, *[DecodeState.DECODED] * 3]
    # The rest is what an undisturbed examination says of it, to the last field.
    calm = serially([b"before", zipped(files), b"after"])
    assert [one for one in (before, archive, *inner, after) if not codes(one)] == [
        one for one in calm if one.entry.path != "/1//3.jpg"
    ]


@pytest.mark.usefixtures("_hostile_worker")
def test_a_file_that_kills_in_an_archive_in_an_archive_is_lost_alone() -> None:
    outer = zipped({"a.jpg": PICTURE, "inner.zip": zipped(six(b"inner-die")), "z.jpg": PICTURE})
    archive, *inner = in_pool([outer])
    assert codes(archive) == []
    assert [record.entry.path for record in inner if codes(record)] == ["/0//inner.zip//3.jpg"]
    assert len(inner) == 9


@pytest.mark.usefixtures("_hostile_worker")
def test_a_worker_that_dies_while_it_lists_keeps_what_came_before() -> None:
    archive, *inner = in_pool([zipped({"1.jpg": PICTURE, "2.jpg": PICTURE, "die-listing": b"x", "4.jpg": PICTURE})])
    assert [record.entry.path for record in inner] == ["/0//1.jpg", "/0//2.jpg"]
    assert codes(archive) == ["decoder-died"]
    assert archive.examination.digests is not None
    assert archive.examination.decode_state is DecodeState.NOT_MEDIA


@pytest.mark.usefixtures("_hostile_worker")
@pytest.mark.parametrize("lie", ["order", "jump", "back", "size", "count", "steps"])
def test_a_worker_that_was_taken_over_cannot_break_the_count(lie: str) -> None:
    (archive, *inner), alone = in_pool([zipped(six(b"inner-lie-" + lie.encode()))]), in_pool([b"plain"])
    assert archive.examination.digests is not None
    assert codes(alone[0]) == []
    if lie == "steps":  # it never does what it is told
        assert (len(inner), codes(archive)) == (2, ["inside-not-finished"])
        return
    assert len(inner) == archive.examination.inside == 6
    if lie == "count":  # a lie about the archive: the next worker is asked, who tells the truth
        assert [record for record in (archive, *inner) if codes(record)] == []
    else:
        assert [record.entry.path for record in inner if codes(record)] == ["/0//3.jpg"]


@pytest.mark.usefixtures("_hostile_worker")
def test_an_archive_full_of_killers_is_given_up_with_words(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(inside, "MOST_LEFT_OUT", 3)
    monkeypatch.setattr(inside, "MOST_DEATHS", 1)
    archive, *inner = in_pool([zipped({f"{number}": b"inner-die" for number in range(100)}), PICTURE][:1])
    assert [codes(record) for record in inner] == [["decoder-died"]] * 3
    assert codes(archive) == ["inside-not-finished"]
    assert (archive.examination.inside, archive.examination.decode_state) == (3, DecodeState.NOT_MEDIA)
    assert archive.examination.digests is not None


def test_worker_processes_and_this_process_find_the_same_inside() -> None:
    nested = zipped({"a.jpg": PICTURE, "i.zip": zipped({"x.jpg": PICTURE, "y.txt": b"words"}, zipfile.ZIP_DEFLATED)})
    contents = [PICTURE, nested, b"plain", nested[:-30], zipped({"../../a\0b": PICTURE, "/c//d/": b"x" * 300})]
    assert in_pool(contents) == serially(contents)


def with_small(content: bytes = PICTURE, comment: bytes = b"") -> bytes:
    """A JPEG with two thumbnails, the first of which shows something else."""
    made = with_thumbnails(content, picture("town.jpg"), picture("coast-small-bright.jpg"))
    return made[:2] + b"\xff\xfe" + (len(comment) + 2).to_bytes(2) + comment + made[2:]


def test_worker_processes_and_this_process_find_the_same_thumbnails() -> None:
    contents = [with_small(), zipped({"a.jpg": with_small(), "b": b"x"}), PICTURE, with_small()[:-5000]]
    found = in_pool(contents)
    assert found == serially(contents)
    assert [record.examination.inside for record in found if not record.entry.part] == [2, 4, 0, 2]
    paths = [record.entry.path for record in found if record.entry.number == 0]
    assert paths == ["/0", "/0//thumbnail.jpg", "/0//thumbnail-2.jpg"]


@pytest.mark.usefixtures("_hostile_worker")
def test_a_picture_that_ends_its_worker_is_named_alone_and_counted_once() -> None:
    contents = [with_small(comment=b"picture-die"), zipped({"a.jpg": with_small(comment=b"picture-die")}), PICTURE]
    records = in_pool(contents)
    said = {record.entry.path: codes(record) for record in records}
    assert said["/0"] == said["/1//a.jpg"] == ["decoder-died"]
    assert (said["/1"], said["/2"]) == ([], [])
    assert all(record.examination.digests is not None for record in records)
    small = next(record for record in records if record.entry.path == "/1//a.jpg//thumbnail.jpg")
    assert small.examination.decode_state is DecodeState.DECODED  # what shows of a picture that nobody can decode


def test_evidence_that_cannot_be_read_again_in_the_middle_of_a_container_is_a_problem_of_it_alone() -> None:
    """Larger than what a worker holds, so it is read again where it lies."""
    filler = os.urandom(1 << 20) * 65
    contents = [zipped({"1.jpg": PICTURE, "filler": filler, "3.jpg": PICTURE}), PICTURE]

    def read(entry: FileEntry) -> Iterator[bytes]:
        content = contents[entry.number]
        for start in range(0, len(content), 1 << 20):
            yield content[start : start + (1 << 20)]

    def read_at(entry: FileEntry, offset: int, length: int) -> bytes:
        if offset <= 30 << 20 < offset + length:
            raise EvidenceError("read", "read-error", "sector 7 could not be read")
        return contents[entry.number][offset : offset + length]

    results = examine_in_pool(iter(entries(contents)), read, QUICK, read_at)
    records = [result for result in results if isinstance(result, ScanRecord)]
    assert conserved(records, 2)
    records.sort(key=lambda record: (record.entry.number, record.entry.part))
    archive, first, *rest, after = records
    assert (first.entry.path, codes(first)) == ("/0//1.jpg", [])
    assert "inside-not-finished" in codes(archive)
    assert [problem.detail for problem in archive.problems if "sector 7" in problem.detail]
    assert codes(after) == []
    assert archive.examination.digests is not None
    assert any(codes(record) for record in rest), "the file whose bytes are missing says nothing"


@pytest.mark.usefixtures("_hostile_worker")
def test_a_worker_names_no_path_and_gets_nothing_of_a_file_that_is_not_there() -> None:
    """A name that is not allowed ends it; one that is, beside a file without such a neighbour, is answered so."""
    looked: list[str] = []

    def beside(_entry: FileEntry, name: str) -> None:
        looked.append(name)

    contents = [b"ask-path and the rest", b"ask-beside and the rest", b"asks for nothing"]
    read, read_at = readers(contents)
    results = examine_in_pool(iter(entries(contents)), read, QUICK, read_at, beside=beside)
    records = {result.entry.number: result for result in results if isinstance(result, ScanRecord)}
    assert [codes(records[number]) for number in range(3)] == [["decoder-died"], ["decoder-died"], []]
    assert looked == ["thumbnails.data"] * 3  # once in each try
    for number, content in enumerate(contents):
        digests = records[number].examination.digests
        assert digests is not None
        assert digests.sha256 == hashlib.sha256(content).digest()
