"""Writing the reports of a case: all of them or the chosen ones, whole or not at all, and the manifest last.

Each is written beside its place under another name, forced to disk and renamed: when the disk fills up, the reports
that were there before are still whole.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any, BinaryIO, TextIO

from caid_triage.case.view import CaseView
from caid_triage.errors import CaseError, UsageError
from caid_triage.report.c4_xml import write_c4m, write_c4p
from caid_triage.report.case_uco import write_case_uco
from caid_triage.report.comparisons import write_shared
from caid_triage.report.delta import write_delta, write_delta_rows
from caid_triage.report.dfxml import write_dfxml
from caid_triage.report.files_csv import write_files
from caid_triage.report.files_jsonl import write_jsonl
from caid_triage.report.fragments import write_fragments
from caid_triage.report.html import write_html
from caid_triage.report.layouts import as_pdf, as_word_file
from caid_triage.report.ledger_csv import write_ledger
from caid_triage.report.links import write_links
from caid_triage.report.manifest import MANIFEST, file_sha256, manifest_text
from caid_triage.report.matches_csv import write_matches
from caid_triage.report.metadata_csv import write_metadata
from caid_triage.report.problems_csv import write_problems
from caid_triage.report.schedule import schedule
from caid_triage.report.sfr import sfr
from caid_triage.report.summary_json import write_summary
from caid_triage.report.vics_json import write_new_vics, write_vics
from caid_triage.report.workbook import write_workbook

Writer = Callable[[CaseView, TextIO], None] | Callable[[CaseView, BinaryIO], None]


@dataclass(frozen=True, slots=True)
class Format:
    """A report: its file, and what writes it into an open file of text, or of bytes where ``binary``.

    One that is not ``usual`` is written when it is asked for by name: what a unit hands on to another program, or
    what takes long. Once it lies beside the others it is in the manifest like them, and written again with them.
    """

    file: str
    write: Writer
    binary: bool = False
    usual: bool = True


# Format name -> what it is, in the order they are written.
FORMATS: Mapping[str, Format] = MappingProxyType(
    {
        "html": Format("report.html", write_html),
        "summary": Format("summary.json", write_summary),
        "matches": Format("matches.csv", write_matches),
        "files": Format("files.csv", write_files),
        "problems": Format("problems.csv", write_problems),
        "ledger": Format("ledger.csv", write_ledger),
        "metadata": Format("metadata.csv", write_metadata),
        "vics": Format("vics.json", write_vics),
        "vics-new": Format("vics-new.json", write_new_vics, usual=False),
        "c4p": Format("c4p.xml", write_c4p, binary=True, usual=False),
        "c4m": Format("c4m.xml", write_c4m, binary=True, usual=False),
        "case-uco": Format("case-uco.jsonld", write_case_uco, usual=False),
        "dfxml": Format("dfxml.xml", write_dfxml, usual=False),
        "jsonl": Format("files.jsonl", write_jsonl, usual=False),
        "links": Format("links.csv", write_links),
        "fragments": Format("fragments.csv", write_fragments),
        "delta": Format("delta.csv", write_delta_rows),
        "delta-figures": Format("delta.json", write_delta),
        "sfr-docx": Format("sfr.docx", as_word_file(sfr), binary=True, usual=False),
        "sfr-pdf": Format("sfr.pdf", as_pdf(sfr), binary=True, usual=False),
        "schedule-docx": Format("schedule.docx", as_word_file(schedule), binary=True, usual=False),
        "schedule-pdf": Format("schedule.pdf", as_pdf(schedule), binary=True, usual=False),
        "xlsx": Format("workbook.xlsx", write_workbook, binary=True, usual=False),
        "shared": Format("compare.csv", write_shared, usual=False),
    }
)
ALL = "all"
# Only of a case that was matched again: others have nothing to compare.
OF_A_REGRADING = frozenset({"delta", "delta-figures"})
# Only of a case that was looked up in the unit's memory, and of one with a disk that was looked at for blocks of files.
OF_A_LOOK = frozenset({"links"})
OF_BLOCKS = frozenset({"fragments"})
UNFINISHED = ".part"


def write_reports(view: CaseView, out: Path, formats: Sequence[str] | None = None) -> list[Path]:
    """Write the reports into the folder ``out`` and return their paths, the manifest last.

    ``formats`` are names of FORMATS (None: the usual ones, and those that lie there), or ALL. Reports of other formats
    that are there already stay and are in the manifest too. Raises UsageError for an unknown format, CaseError when the
    folder cannot be written to or is full.
    """
    chosen = _chosen(formats, out, view)
    unknown = [name for name in chosen if name not in FORMATS]
    if unknown:
        raise UsageError(f"no report format is called {', '.join(unknown)}; there are {', '.join(FORMATS)}")
    names = [FORMATS[name].file for name in chosen]
    parts = [out / (name + UNFINISHED) for name in [*names, MANIFEST]]
    # A run that was killed may have left some, also of formats that are not written now.
    dropped = [out / (form.file + UNFINISHED) for form in FORMATS.values()]
    placed = False
    try:
        out.mkdir(parents=True, exist_ok=True)
        digests = {form.file: file_sha256(out / form.file) for form in FORMATS.values() if (out / form.file).is_file()}
        for name, part in zip(chosen, parts, strict=False):
            _write(part, FORMATS[name], view)
            digests[FORMATS[name].file] = file_sha256(part)
        _write(parts[-1], Format(MANIFEST, lambda _, file: _put(file, manifest_text(digests))), view)
        paths = [out / name for name in [*names, MANIFEST]]
        for part, path in zip(parts, paths, strict=True):
            part.replace(path)
            placed = True
    except OSError as fault:
        state = (
            f"some there are new and some are of before, which {MANIFEST} shows (`caid-triage verify`)"
            if placed
            else "earlier reports there are whole"
        )
        refused = fault.errno in {errno.EACCES, errno.EPERM, errno.EROFS}
        remedy = "Give write permission" if refused else "Free some space"
        message = (
            f"the reports could not be written to {out}: {fault.strerror or fault}; {state}. "
            f"{remedy} or choose another folder with --out, then run `caid-triage report` again"
        )
        raise CaseError(message) from fault
    finally:
        for part in (*parts, *dropped):
            with suppress(OSError):
                part.unlink()
    return paths


def _chosen(formats: Sequence[str] | None, out: Path, view: CaseView) -> list[str]:
    """The names of the formats to write: as they were asked for, or all, or the usual ones and those that lie there.

    ``absent`` are those that the case has nothing for.

    Of a report that was asked for once nobody would see that it tells of before the last match.
    """
    lacking = (
        (frozenset() if view.regrades() else OF_A_REGRADING)
        | (frozenset() if view.unit_look() else OF_A_LOOK)
        | (frozenset() if view.samplings() or view.block_searches() else OF_BLOCKS)
    )
    fitting = [name for name in FORMATS if name not in lacking]
    if formats is None:
        return [name for name in fitting if FORMATS[name].usual or (out / FORMATS[name].file).is_file()]
    return list(dict.fromkeys(name for asked in formats for name in (fitting if asked == ALL else [asked])))


def _write(path: Path, form: Format, view: CaseView) -> None:
    # A name that UTF-8 cannot hold (a lone surrogate of the operating system's) is escaped: valid in JSON strings too.
    as_text: dict[str, Any] = {"encoding": "utf-8", "errors": "backslashreplace", "newline": ""}
    write: Callable[[CaseView, Any], None] = form.write
    path.unlink(missing_ok=True)  # of a run that was killed; or a link that a stranger's case has there, never followed
    with path.open("xb" if form.binary else "x", **({} if form.binary else as_text)) as file:
        write(view, file)
        file.flush()
        os.fsync(file.fileno())


def write_file(path: Path, content: bytes) -> None:
    """Write a file beside the reports whole or not at all, as they are. CaseError: the folder is full or read-only."""
    part = path.with_name(path.name + UNFINISHED)
    try:
        part.unlink(missing_ok=True)
        with part.open("xb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        part.replace(path)
    except OSError as fault:
        with suppress(OSError):
            part.unlink()
        raise CaseError(
            f"{path} could not be written: {fault.strerror or fault}; free some space, then write it again"
        ) from fault


def _put(file: TextIO, content: str) -> None:
    file.write(content)
