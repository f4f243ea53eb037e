"""Contents of a case written out for another grading tool: read again, digests compared, put on record.

A file is called after its SHA-256, in a folder of its first two digits (``ab/ab12...``), without an ending: no file
manager shows what is in it, and a list like vics.json can name it by its digest alone.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO

import numpy as np

from caid_triage.case.encode import split_entry_id
from caid_triage.case.review import ReviewReader
from caid_triage.case.store import CaseWriter
from caid_triage.errors import CaseError, EvidenceError, UsageError
from caid_triage.evidence.secrets import NO_SECRETS, Secrets
from caid_triage.model import FileEntry, Problem, ScanRecord
from caid_triage.report.manifest import MANIFEST, file_sha256, manifest_text
from caid_triage.review.columns import Columns, read_columns
from caid_triage.scan.look import Looker
from caid_triage.scan.reopened import ReopenedSources

EXPORTED_QUEUES = ("known", "near", "new", "damaged")
MOST_TRIED = 4  # files with one content that are tried


def export_path(sha256: bytes) -> str:
    """Where a content lies in an export, relative to its folder."""
    name = sha256.hex()
    return f"{name[:2]}/{name}"


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
) -> Exported:
    """Write the contents of queues (of ``exhibits``, () for all) into the folder ``out``, each once, and a manifest.

    The audit trail says so before the first is written, and what came of it at the end. A content that cannot be read,
    or has other bytes than the case says, is a Problem of the case and not written. ``show`` is told how many of how
    many were tried. Errors: CaseError when the folder is full or cannot be written to.
    """
    found = Exported()
    case.audit("media-export-began", queues=list(queues), exhibits=list(exhibits))
    with ExitStack() as ours:
        reader = ours.enter_context(closing(ReviewReader(case.folder)))
        reads = _Reads(reader, secrets)
        ours.callback(reads.close)
        contents = list(_contents(reads.columns, reader, queues, exhibits))
        try:
            out.mkdir(parents=True, exist_ok=True, mode=0o700)
        except OSError as fault:
            raise _unwritable(out, fault) from fault
        digests: dict[str, str] = {}
        for number, content in enumerate(contents):
            try:
                problem = _written(reads, content, out / export_path(content))
            except OSError as fault:
                raise _unwritable(out, fault) from fault
            if problem is None:
                digests[export_path(content)] = content.hex()
                found.files += 1
                found.size += (out / export_path(content)).stat().st_size
            else:
                found.problems.append(problem)
            if show is not None:
                show(number + 1, len(contents))
    manifest = out / MANIFEST
    try:
        with open(os.open(manifest, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:  # noqa: PTH123
            file.write(manifest_text(digests).encode())
            file.flush()
            os.fsync(file.fileno())
    except OSError as fault:
        raise _unwritable(out, fault) from fault
    for problem in found.problems:
        case.add_problems([problem])
    facts = {"files": found.files, "bytes": found.size, "not_written": len(found.problems)}
    case.audit("media-exported", manifest=file_sha256(manifest), **facts)
    return found


def _unwritable(out: Path, fault: OSError) -> CaseError:
    return CaseError(f"{out} cannot be written to: {fault.strerror or fault}; free some space or choose another folder")


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

    def files(self, content: bytes) -> list[tuple[int, FileEntry, ScanRecord]]:
        """Some files with a content, as source, file and the record of the file of the walk that it is or lies in."""
        ids = sorted(self.columns.files_of_content(content), key=lambda one: (split_entry_id(one)[2] > 0, one))
        found = []
        for one in ids[:MOST_TRIED]:
            own, outermost = self.reader.record(one), self.reader.outermost(one)
            if own is not None and outermost is not None:
                found.append((split_entry_id(one)[0], own.entry, outermost))
        return found


def _written(reads: _Reads, content: bytes, path: Path) -> Problem | None:
    """Write a content; the Problem where no file gives it as the case knows it."""
    problem = Problem("export", "export-unreadable", "no file of the case has this content any more")
    for source_id, entry, record in reads.files(content):
        source = reads.sources.source(source_id)
        if isinstance(source, str):
            code, detail = "export-unreadable", source
        else:
            path.parent.mkdir(exist_ok=True, mode=0o700)
            part = path.with_name(path.name + ".part")
            try:
                with open(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:  # noqa: PTH123
                    detail = _put(reads, source_id, record, content, file)
                code = "export-differs" if detail == DIFFERS else "export-unreadable"
                if not detail:
                    part.replace(path)
                    return None
            finally:
                part.unlink(missing_ok=True)
        problem = Problem("export", code, detail, exhibit=entry.exhibit, source=entry.source, volume=entry.volume,
                          path=entry.path)  # fmt: skip
    return problem


DIFFERS = "the file has other content now than when it was examined; it was not written"


def _put(reads: _Reads, source_id: int, record: ScanRecord, content: bytes, file: BinaryIO) -> str:
    """Write the content into an open file, on disk when this returns; in words why it is not whole, "" if it is."""
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
            return f"it could not be read again: {error.detail}"
        said = "" if state.digest() == content else DIFFERS
    file.flush()
    os.fsync(file.fileno())
    return said


def _write(file: BinaryIO, piece: bytes) -> None:
    file.write(piece)
