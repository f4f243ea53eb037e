"""A hash set of a unit's own graded pictures and videos: one sub-folder a category code, digests, PDQ and pHash."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from hashlib import sha256
from pathlib import Path
from typing import Any

from caid_triage.errors import HashSetError
from caid_triage.hashset.algorithms import EMPTY_CONTENT
from caid_triage.hashset.build import BuildResult, checked_radius, checked_role, facts_of, save
from caid_triage.hashset.columns import RecordColumns
from caid_triage.hashset.manifest import FRAME_UNKNOWN
from caid_triage.hashset.rows import Row, printable
from caid_triage.hashset.schemes import NO_SCHEME, CategoryScheme, load_scheme
from caid_triage.hashset.write import refuse_other_folder
from caid_triage.model import Examination, Kind, PerceptualHash, RefusedRow, Role


def make_hashset(
    folder: str | Path,
    out: str | Path,
    examine_file: Callable[[Path], Examination],
    name: str | None = None,
    scheme: str | Path | CategoryScheme | None = None,
    role: Role | str = Role.NOTABLE,
    radius: Mapping[str, int] | None = None,
) -> BuildResult:
    """Hash every file under ``folder`` into the set ``out``; the first sub-folder's name is the category code.

    Files directly in ``folder`` are uncategorised. A file that cannot be decoded keeps its digests; one that
    cannot be read at all is a refused row. Of a video the frames are kept with their times, so that another encoding
    of it is found; a cover in its container is an entry of its own. ``examine_file`` is given by the caller: this room
    decodes nothing. ``radius`` are near-match distances of the set's own, {"pdq": 20}.
    """
    folder, out, role = Path(folder), Path(out), checked_role(role)
    if not folder.is_dir():
        raise HashSetError(f"{printable(folder)}: no such folder of graded pictures.")
    refuse_other_folder(out)
    chosen = scheme if isinstance(scheme, CategoryScheme) else load_scheme(NO_SCHEME if scheme is None else scheme)
    own = checked_radius(radius)
    columns, refused, not_hashed = RecordColumns(), list[RefusedRow](), Counter[str]()
    listing, total = sha256(), 0
    for number, path in enumerate(files_below(folder), 1):
        examination = examine_file(path)
        reason = _reason_to_refuse(examination)
        if reason:
            refused.append(RefusedRow(printable(path.relative_to(folder)), "byte 0", reason))
            continue
        row = _row(examination, category_of(path, folder), number)
        listed = os.fsencode(path.relative_to(folder).as_posix())
        listing.update((row.sha256 or b"").hex().encode() + b"  " + listed + b"\n")
        total += row.size or 0
        covers = _covers(examination, row)
        if not (row.pdq or row.phash or covers):
            not_hashed["files without a perceptual hash (digests kept)"] += 1
        columns.add(row, 0)
        for cover in covers:
            columns.add(cover, 0)
    if not len(columns):
        raise HashSetError(f"{printable(folder)}: holds no file that could be hashed. Nothing was written.")
    chosen_by = "nothing: no scheme was given" if scheme is None else "the builder"
    # The folder's provenance: the SHA-256 of what `sha256sum` would list of it, in order of the names.
    source: dict[str, Any] = {"file": printable(folder.name), "size": total, "sha256": listing.hexdigest()}
    source |= {"format": "graded folder", "model_url": "", "region": ""}
    source |= {"records": len(columns), "refused": len(refused)}
    facts = facts_of(out, name, role, chosen, chosen_by, columns.codes.texts, [source])
    reasons = Counter(row.reason for row in refused)
    facts |= {"refused": {"rows": len(refused), "reasons": dict(sorted(reasons.items()))}}
    facts |= {"ignored": dict(not_hashed)}
    facts |= own
    return save(out, columns.finish(), facts, chosen, refused)


def files_below(folder: Path) -> Iterator[Path]:
    """Every regular file below the folder in a fixed order; links are not followed out of it.

    Errors: HashSetError where a folder in it cannot be listed: what lies there would be missing without a word.
    """

    def refuse(error: OSError) -> None:
        where = printable(Path(error.filename).relative_to(folder)) if error.filename else "a folder"
        raise HashSetError(f"{where}: cannot be listed: {error.strerror or error}. Nothing was written.") from error

    found = [Path(top) / name for top, _, names in os.walk(folder, onerror=refuse) for name in names]
    for path in sorted(found, key=lambda item: item.parts):
        if path.is_file() and not path.is_symlink():
            yield path


def category_of(path: Path, folder: Path) -> str:
    """The category code of a file: the name of the first sub-folder it lies in, "" for one directly in the folder."""
    parts = path.relative_to(folder).parts
    return printable(parts[0]) if len(parts) > 1 else ""


def _reason_to_refuse(examination: Examination) -> str:
    if examination.digests is None:
        return examination.problems[0].code if examination.problems else "could not be read"
    return "the digest of an empty file" if examination.digests.sha256 in EMPTY_CONTENT else ""


def _row(examination: Examination, category: str, number: int) -> Row:
    """The entry of a graded file: a picture's stored pixels, or a video's frames in order of time."""
    digests = examination.digests
    frames = _frames(examination)
    stills = [] if frames else [item for item in examination.hashes if item.frame_time is None]
    pdq = frames or [item for item in stills if item.algorithm == "pdq"]
    return Row(
        md5=digests.md5 if digests else None,
        sha1=digests.sha1 if digests else None,
        sha256=digests.sha256 if digests else None,
        pdq=tuple((item.value, item.quality) for item in pdq),
        frames=tuple((place, _milliseconds(item.frame_time)) for place, item in enumerate(frames)),
        phash=tuple(item.value for item in stills if item.algorithm == "phash"),
        category=category,
        media_id=str(number),
        size=examination.bytes_read,
    )


def _frames(examination: Examination) -> list[PerceptualHash]:
    if examination.kind is not Kind.VIDEO:
        return []
    frames = [item for item in examination.hashes if item.frame_time is not None and item.algorithm == "pdq"]
    return sorted(frames, key=lambda item: item.frame_time or 0.0)


def _milliseconds(seconds: float | None) -> int:
    return min(max(0, round((seconds or 0.0) * 1000)), FRAME_UNKNOWN - 1)


def _covers(examination: Examination, video: Row) -> list[Row]:
    """The stills in a video's container: entries of the same medium, as a set keeps frames and stills apart."""
    if not video.frames:
        return []
    return [
        Row(pdq=((item.value, item.quality),), category=video.category, media_id=video.media_id)
        for item in examination.hashes
        if item.frame_time is None and item.algorithm == "pdq"
    ]
