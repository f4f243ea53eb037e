"""Writing the reports of a case: all of them or the chosen ones, whole or not at all, and the manifest last.

Each is written beside its place under another name, forced to disk and renamed: when the disk fills up, the reports
that were there before are still whole.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from types import MappingProxyType
from typing import TextIO

from caid_triage.case.view import CaseView
from caid_triage.errors import CaseError, UsageError
from caid_triage.report.delta import write_delta, write_delta_rows
from caid_triage.report.files_csv import write_files
from caid_triage.report.html import write_html
from caid_triage.report.ledger_csv import write_ledger
from caid_triage.report.manifest import MANIFEST, file_sha256, manifest_text
from caid_triage.report.matches_csv import write_matches
from caid_triage.report.metadata_csv import write_metadata
from caid_triage.report.problems_csv import write_problems
from caid_triage.report.summary_json import write_summary
from caid_triage.report.vics_json import write_vics

Writer = Callable[[CaseView, TextIO], None]

# Format name -> file and writer, in the order they are written.
FORMATS: Mapping[str, tuple[str, Writer]] = MappingProxyType(
    {
        "html": ("report.html", write_html),
        "summary": ("summary.json", write_summary),
        "matches": ("matches.csv", write_matches),
        "files": ("files.csv", write_files),
        "problems": ("problems.csv", write_problems),
        "ledger": ("ledger.csv", write_ledger),
        "metadata": ("metadata.csv", write_metadata),
        "vics": ("vics.json", write_vics),
        "delta": ("delta.csv", write_delta_rows),
        "delta-figures": ("delta.json", write_delta),
    }
)
# Only of a case that was matched again: others have nothing to compare.
OF_A_REGRADING = frozenset({"delta", "delta-figures"})
UNFINISHED = ".part"


def write_reports(view: CaseView, out: Path, formats: Sequence[str] | None = None) -> list[Path]:
    """Write the reports into the folder ``out`` and return their paths, the manifest last.

    ``formats`` are names of FORMATS (None: all). Reports of other formats that are there already stay and are in the
    manifest too. Raises UsageError for an unknown format, CaseError when the folder cannot be written to or is full.
    """
    regraded = bool(view.regrades())
    every = [name for name in FORMATS if regraded or name not in OF_A_REGRADING]
    chosen = every if formats is None else list(dict.fromkeys(formats))
    unknown = [name for name in chosen if name not in FORMATS]
    if unknown:
        raise UsageError(f"no report format is called {', '.join(unknown)}; there are {', '.join(FORMATS)}")
    names = [FORMATS[name][0] for name in chosen]
    parts = [out / (name + UNFINISHED) for name in [*names, MANIFEST]]
    # A run that was killed may have left some, also of formats that are not written now.
    dropped = [out / (name + UNFINISHED) for name, _ in FORMATS.values()]
    placed = False
    try:
        out.mkdir(parents=True, exist_ok=True)
        digests = {name: file_sha256(out / name) for name, _ in FORMATS.values() if (out / name).is_file()}
        for name, part, form in zip(names, parts, chosen, strict=False):
            _write(part, FORMATS[form][1], view)
            digests[name] = file_sha256(part)
        _write(parts[-1], lambda _, file: _put(file, manifest_text(digests)), view)
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


def _write(path: Path, writer: Writer, view: CaseView) -> None:
    # A name that UTF-8 cannot hold (a lone surrogate of the operating system's) is escaped: valid in JSON strings too.
    path.unlink(missing_ok=True)  # of a run that was killed; or a link that a stranger's case has there, never followed
    with path.open("x", encoding="utf-8", errors="backslashreplace", newline="") as file:
        writer(view, file)
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
