"""Contents of a case written out for another grading tool: read again, digests compared, put on record.

A file is called after its SHA-256, in a folder of its first two digits (``ab/ab12...``), without an ending: no file
manager shows what is in it. ``vics.json`` beside them names each (``RelativeFilePath``) and its type (``MimeType``);
for tools that go by the name there are endings on request, of the type that the content has. The list gets its name
once all that it names is on disk, and MANIFEST.sha256 comes last: a folder without that is of an export that was
stopped.
"""

from __future__ import annotations

import hashlib
import io
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import BinaryIO

import numpy as np

from caid_triage.case.encode import split_entry_id
from caid_triage.case.journal import force_folder
from caid_triage.case.review import ReviewReader
from caid_triage.case.store import CaseWriter
from caid_triage.case.view import open_case
from caid_triage.errors import CaseError, EvidenceError, UsageError
from caid_triage.evidence.secrets import NO_SECRETS, Secrets
from caid_triage.model import Problem, ScanRecord
from caid_triage.report.manifest import MANIFEST, file_sha256, manifest_text
from caid_triage.report.vics_json import write_exported_vics
from caid_triage.review.columns import Columns, read_columns
from caid_triage.scan.look import Looker
from caid_triage.scan.reopened import ReopenedSources

EXPORTED_QUEUES = ("known", "near", "new", "damaged")
MOST_TRIED = 4  # files with one content that are tried
VICS = "vics.json"
# What a file of a type may be called, where endings are asked for. Types that some program would run are left out.
ENDINGS: Mapping[str, str] = MappingProxyType(
    {
        "image/jpeg": ".jpg", "image/png": ".png", "image/apng": ".png", "image/gif": ".gif", "image/webp": ".webp",
        "image/bmp": ".bmp", "image/tiff": ".tif", "image/heic": ".heic", "image/heif": ".heif", "image/avif": ".avif",
        "image/jp2": ".jp2", "image/jxl": ".jxl", "image/x-adobe-dng": ".dng", "image/x-canon-cr2": ".cr2",
        "image/x-canon-cr3": ".cr3", "image/x-nikon-nef": ".nef", "image/x-sony-arw": ".arw", "video/mp4": ".mp4",
        "video/x-m4v": ".m4v", "video/quicktime": ".mov", "video/3gpp": ".3gp", "video/3gpp2": ".3g2",
        "video/webm": ".webm", "video/x-matroska": ".mkv", "video/x-msvideo": ".avi", "video/x-ms-asf": ".wmv",
        "video/x-flv": ".flv", "video/mpeg": ".mpg", "video/mp2t": ".ts", "video/ogg": ".ogv",
    }
)  # fmt: skip


def export_path(sha256: bytes, ending: str = "") -> str:
    """Where a content lies in an export, relative to its folder."""
    name = sha256.hex()
    return f"{name[:2]}/{name}{ending}"


@dataclass(slots=True)
class Exported:
    """What an export came to: contents written, their bytes, and what could not be written."""

    files: int = 0
    size: int = 0
    problems: list[Problem] = field(default_factory=list)


def exhibits_of(case_folder: Path) -> list[str]:
    """The references of a case's exhibits, in the order they were given."""
    with closing(ReviewReader(case_folder)) as reader:
        return list(dict.fromkeys(row.exhibit for row in reader.sources()))


def check_folder(out: Path, case_folder: Path) -> None:
    """Errors: UsageError for a folder that holds anything, or lies in the case or in evidence that is a folder."""
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise UsageError(f"{out} is not an empty folder; choose a new one for the export")
    with closing(ReviewReader(case_folder)) as reader:
        folders = [Path(row.segments[0]) for row in reader.sources() if row.segments and Path(row.segments[0]).is_dir()]
    for folder in (case_folder, *folders):
        if out.resolve().is_relative_to(folder.resolve()):
            raise UsageError(f"{out} lies inside {folder}; choose a folder outside of the case and of the evidence")


def export_media(
    case: CaseWriter,
    out: Path,
    queues: Sequence[str] = EXPORTED_QUEUES,
    exhibits: Sequence[str] = (),
    secrets: Secrets = NO_SECRETS,
    show: Callable[[int, int], None] | None = None,
    *,
    endings: bool = False,
) -> Exported:
    """Write contents into the folder ``out``, each once, and a VICS case and a manifest of what was written.

    Those of ``queues`` and of ``exhibits``, () for all. The audit trail says so before the first is written, and what
    came of it at the end, however it ends. A content that cannot be read, or has other bytes than the case says, is a
    Problem of the case and not written. ``show`` is told how many of how many were tried. Errors: CaseError when the
    folder is full or cannot be written to.
    """
    found = Exported()
    ending, lists = "failed", dict[str, str]()
    try:
        case.audit("media-export-began", queues=list(queues), exhibits=list(exhibits), endings=endings)
        files = _write_contents(case, out, queues, exhibits, secrets, show, found, endings=endings)
        with _writing_to(out):
            lists = _write_lists(case, out, files, exhibits)
        ending = "finished"
    except KeyboardInterrupt:
        ending = "interrupted"
        raise
    finally:
        for problem in found.problems:
            case.add_problems([problem])
        case.audit(
            f"media-export-{ending}", files=found.files, bytes=found.size, not_written=len(found.problems), **lists
        )
    return found


@contextmanager
def _writing_to(out: Path) -> Iterator[None]:
    """Turn a fault of the folder's disk into a CaseError that says what to do next."""
    try:
        yield
    except OSError as fault:
        raise CaseError(
            f"{out} cannot be written to: {fault.strerror or fault}; what lies there is no whole export. Free some "
            "space or choose another folder, then export into an empty one"
        ) from fault


def _write_contents(
    case: CaseWriter,
    out: Path,
    queues: Sequence[str],
    exhibits: Sequence[str],
    secrets: Secrets,
    show: Callable[[int, int], None] | None,
    found: Exported,
    *,
    endings: bool,
) -> dict[bytes, str]:
    """Write the contents; where each lies that was written."""
    files: dict[bytes, str] = {}
    with ExitStack() as ours:
        reader = ours.enter_context(closing(ReviewReader(case.folder)))
        reads = _Reads(reader, secrets)
        ours.callback(reads.close)
        contents = list(_contents(reads.columns, reader, queues, exhibits))
        with _writing_to(out):
            out.mkdir(parents=True, exist_ok=True, mode=0o700)
        for number, content in enumerate(contents):
            with _writing_to(out):
                written = _written(reads, content, out, endings=endings)
            if isinstance(written, Problem):
                found.problems.append(written)
            else:
                files[content] = written
                found.files += 1
                found.size += (out / written).stat().st_size
            if show is not None:
                show(number + 1, len(contents))
    return files


def _write_lists(case: CaseWriter, out: Path, files: Mapping[bytes, str], exhibits: Sequence[str]) -> dict[str, str]:
    """Write the VICS case of what was written, and the manifest; their SHA-256s."""
    # No power cut may leave a list that names a file which is not there.
    for folder in {(out / file).parent for file in files.values()} | {out}:
        force_folder(folder)
    with open_case(case.folder) as view, _private(out / VICS) as file:
        # A name that UTF-8 cannot hold is escaped, as in the reports.
        text = io.TextIOWrapper(file, encoding="utf-8", errors="backslashreplace", newline="")
        try:
            write_exported_vics(view, text, files, exhibits or [source.exhibit for source in view.sources()])
        finally:
            text.detach()
    digests = {VICS: file_sha256(out / VICS)}
    with _private(out / MANIFEST) as file:
        file.write(manifest_text(digests | {path: content.hex() for content, path in files.items()}).encode())
    force_folder(out)
    return {"vics": digests[VICS], "manifest": file_sha256(out / MANIFEST)}


@contextmanager
def _private(path: Path) -> Iterator[BinaryIO]:
    """A new file that nobody else may read. It gets its name once all of it is on disk, after a fault not at all."""
    part = path.with_name(path.name + ".part")
    try:
        with open(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:  # noqa: PTH123
            yield file
            file.flush()
            os.fsync(file.fileno())
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)


def _contents(
    columns: Columns, reader: ReviewReader, queues: Sequence[str], exhibits: Sequence[str]
) -> Iterator[bytes]:
    """The contents of queues in the order of their first files."""
    wanted = np.zeros(columns.items, np.bool_)
    for queue in queues:
        wanted[columns.order[queue]] = True
    if exhibits:
        wanted &= columns.of_items(np.isin(columns.source, reader.source_ids(exhibits)))
    for number in np.flatnonzero(wanted).tolist():
        content = columns.content(number)
        if content is not None:
            yield content


class _Reads:
    """What reads contents again."""

    def __init__(self, reader: ReviewReader, secrets: Secrets) -> None:
        self.reader = reader
        self.columns = read_columns(reader)
        self.sources = ReopenedSources(reader.sources, reader.profile(), secrets)
        self.looker = Looker()

    def close(self) -> None:
        """End the worker and let go of the evidence."""
        self.looker.close()
        self.sources.close()

    def files(self, content: bytes) -> list[tuple[int, ScanRecord, ScanRecord]]:
        """Some files with a content, as source, record, and that of the file of the walk that it is or lies in."""
        ids = sorted(self.columns.files_of_content(content), key=lambda one: (split_entry_id(one)[2] > 0, one))
        found = []
        for one in ids[:MOST_TRIED]:
            own, outermost = self.reader.record(one), self.reader.outermost(one)
            if own is not None and outermost is not None:
                found.append((split_entry_id(one)[0], own, outermost))
        return found


class _NotWholeError(Exception):
    """A content did not come as the case knows it; its argument says why in words."""


def _written(reads: _Reads, content: bytes, out: Path, *, endings: bool) -> str | Problem:
    """Write a content; where it lies, or the Problem where no file gives it as the case knows it."""
    problem = Problem("export", "export-unreadable", "no file of the case has this content any more")
    for source_id, own, record in reads.files(content):
        source = reads.sources.source(source_id)
        detail = source if isinstance(source, str) else ""
        if not detail:
            path = export_path(content, ENDINGS.get(own.examination.media_type, "") if endings else "")
            (out / path).parent.mkdir(exist_ok=True, mode=0o700)
            try:
                with _private(out / path) as file:
                    _put(reads, source_id, record, content, file)
            except _NotWholeError as why:
                detail = str(why)
            else:
                return path
        code = "export-differs" if detail == DIFFERS else "export-unreadable"
        entry = own.entry
        problem = Problem("export", code, detail, exhibit=entry.exhibit, source=entry.source, volume=entry.volume,
                          path=entry.path)  # fmt: skip
    return problem


DIFFERS = "the file has other content now than when it was examined; it was not written"


def _put(reads: _Reads, source_id: int, record: ScanRecord, content: bytes, file: BinaryIO) -> None:
    """Write the content into an open file. Errors: _NotWholeError where it does not come as the case knows it."""
    source = reads.sources.source(source_id)
    assert not isinstance(source, str)
    own = record.examination.digests
    if own is None or own.sha256 != content:
        said = reads.looker.content(source, record, content, lambda piece: _write(file, piece))
    else:
        state = hashlib.sha256()
        try:
            for chunk in source.chunks(record.entry):
                state.update(chunk)
                file.write(chunk)
        except EvidenceError as error:
            raise _NotWholeError(f"it could not be read again: {error.detail}") from error
        said = "" if state.digest() == content else DIFFERS
    if said:
        raise _NotWholeError(said)


def _write(file: BinaryIO, piece: bytes) -> None:
    file.write(piece)
