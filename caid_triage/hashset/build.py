"""Building a hash set from files of known material, or from arrays: what `hashset build` does."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from caid_triage.errors import HashSetError, UsageError
from caid_triage.hashset.algorithms import PERCEPTUAL_BYTES, Bytes
from caid_triage.hashset.arrays import columns_of_arrays
from caid_triage.hashset.batch import RowBatch
from caid_triage.hashset.columns import Columns, RecordColumns
from caid_triage.hashset.photodna import MOST
from caid_triage.hashset.readers.parts import check_parts, order_of_parts, without_repeats
from caid_triage.hashset.readers.registry import read_batches, reader_for
from caid_triage.hashset.rows import SourceFile, printable
from caid_triage.hashset.schemes import NO_SCHEME, CategoryScheme, load_scheme, scheme_for_url
from caid_triage.hashset.write import leftovers, refuse_other_folder, write_hashset
from caid_triage.model import RefusedRow, Role

KEPT_REFUSALS = 1_000
# The largest distance that means anything.
_FARTHEST = {**{name: 8 * length for name, length in PERCEPTUAL_BYTES.items()}, "photodna": MOST}

Progress = Callable[[int, int], None]


@dataclass(frozen=True, slots=True)
class BuildResult:
    """What a build made and what it could not use.

    ``counts``: records and hashes by kind, and ``refused``. ``refused`` keeps the first 1,000 refused rows,
    ``reasons`` counts all of them. ``ignored`` counts fields left out of rows that were used.
    ``leftovers`` are temporary folders of killed builds: they hold hashes and should be deleted. ``warnings`` are
    sentences about what was given: parts that are missing, bytes that were lost to salvage.
    """

    path: Path
    name: str
    generation: str
    scheme: CategoryScheme
    counts: Mapping[str, int]
    refused: tuple[RefusedRow, ...]
    reasons: Mapping[str, int]
    ignored: Mapping[str, int]
    sources: tuple[Mapping[str, Any], ...]
    leftovers: tuple[Path, ...] = ()
    warnings: tuple[str, ...] = ()


class _Refusals:
    """Counts refused rows by reason and keeps the first thousand."""

    def __init__(self) -> None:
        self.reasons: Counter[str] = Counter()
        self.kept: list[RefusedRow] = []

    def add(self, row: RefusedRow) -> None:
        self.reasons[row.reason] += 1
        if len(self.kept) < KEPT_REFUSALS:
            self.kept.append(row)


def build_hashset(
    paths: Sequence[str | Path],
    out: str | Path,
    scheme: str | Path | CategoryScheme | None = None,
    role: Role | str = Role.NOTABLE,
    name: str | None = None,
    format: str | None = None,  # noqa: A002  the word of the command line
    progress: Progress | None = None,
    *,
    salvage: bool = False,
    header: Mapping[str, str] | None = None,
    parts_list: str | Path | None = None,
    radius: Mapping[str, int] | None = None,
) -> BuildResult:
    """Import files of known material into the set ``out`` (a ``NAME.chs`` folder, replaced if it is one).

    ``scheme``: a shipped name, a TOML file or a scheme; without it the region in a VICS file chooses, else
    ``none``. ``format`` forces a reader. ``progress(bytes read, records)`` is called now and then.
    ``salvage`` keeps what is whole in a broken file; ``header`` gives the field for a column title that is not known;
    ``parts_list`` is a checksum list of all files of the set. The order in which files are given does not matter, and
    a file whose bytes were given before counts once. ``radius`` are near-match distances of the set's own, {"pdq": 20}.
    HashSetError if a file cannot be read, holds nothing usable, or breaks: nothing is then written.
    """
    if isinstance(paths, (str, Path)):
        paths = [paths]
    if not paths:
        raise UsageError("no file to build a hash set from")
    out, role = Path(out), checked_role(role)
    refuse_other_folder(out)
    chosen = scheme if scheme is None or isinstance(scheme, CategoryScheme) else load_scheme(scheme)
    parts = order_of_parts([Path(path) for path in paths])
    own = checked_radius(radius)
    missing = check_parts(parts, None if parts_list is None else Path(parts_list))
    parts, repeated = without_repeats([Path(path) for path in paths], parts)
    # Rows that do not fit in memory wait on the disk that the set itself will need.
    with closing(RecordColumns(out.parent)) as columns:
        refusals, ignored = _Refusals(), Counter[str]()
        sources: list[dict[str, Any]] = []
        for path in parts:
            source = SourceFile(_no_folder(path), salvage, header)
            sources.append(_import(source, columns, refusals, ignored, role, format, progress, len(sources)))
        if chosen is None:
            chosen, chosen_by = _scheme_by_region(sources)
        else:
            chosen_by = "the builder"
        facts = facts_of(out, name, role, chosen, chosen_by, columns.codes.texts, sources)
        facts |= {"refused": {"rows": refusals.reasons.total(), "reasons": dict(sorted(refusals.reasons.items()))}}
        facts |= {"ignored": dict(sorted(ignored.items()))}
        facts |= {"completeness": {"missing": missing, "repeated": repeated}} | own
        result = save(out, columns.finish(), facts, chosen, refusals.kept)
    said = [warning for source in sources for warning in source["warnings"]]
    return replace(result, warnings=(*missing, *repeated, *said))


def build_hashset_from_arrays(
    out: str | Path,
    *,
    md5: Bytes | None = None,
    sha1: Bytes | None = None,
    sha256: Bytes | None = None,
    pdq: Bytes | None = None,
    pdq_quality: NDArray[np.uint8] | None = None,
    phash: Bytes | None = None,
    photodna: Bytes | None = None,
    category: Sequence[str | int] | NDArray[Any] | str | int | None = None,
    media_id: Sequence[str | int] | NDArray[Any] | None = None,
    size: NDArray[np.int64] | None = None,
    flags: NDArray[np.uint16] | None = None,
    md5_present: NDArray[np.bool_] | None = None,
    sha1_present: NDArray[np.bool_] | None = None,
    sha256_present: NDArray[np.bool_] | None = None,
    pdq_present: NDArray[np.bool_] | None = None,
    phash_present: NDArray[np.bool_] | None = None,
    photodna_present: NDArray[np.bool_] | None = None,
    name: str | None = None,
    role: Role | str = Role.NOTABLE,
    scheme: str | Path | CategoryScheme | None = None,
    radius: Mapping[str, int] | None = None,
) -> BuildResult:
    """Build a set from arrays: row i of each is record i. For tools and benchmarks.

    md5 uint8[n, 16], sha1 [n, 20], sha256 [n, 32], pdq [n, 32], phash [n, 8], photodna [n, 144]. A record
    without a hash of some kind is said by that kind's ``_present`` mask, bool[n]; without a mask all have it.
    ``pdq_quality`` uint8[n], 0..100. ``category`` one code for all or one each (absent: uncategorised).
    ``size`` bytes, a masked array where some are not known. ``radius`` are near-match distances of the set's own,
    {"pdq": 20}. ValueError if lengths, types or masks do not fit.
    Memory-mapped arrays are read block by block: a set larger than memory can be built.
    """
    out, role = Path(out), checked_role(role)
    chosen = scheme if isinstance(scheme, CategoryScheme) else load_scheme(NO_SCHEME if scheme is None else scheme)
    hashes = {"md5": md5, "sha1": sha1, "sha256": sha256, "pdq": pdq, "phash": phash, "photodna": photodna}
    masks = {
        "md5": md5_present,
        "sha1": sha1_present,
        "sha256": sha256_present,
        "pdq": pdq_present,
        "phash": phash_present,
        "photodna": photodna_present,
    }
    if pdq_quality is not None and pdq is None:
        raise ValueError("pdq_quality needs pdq")
    own = checked_radius(radius)
    columns, codes = columns_of_arrays(hashes, masks, pdq_quality, category, media_id, size, flags)
    chosen_by = "nothing: no scheme was given" if scheme is None else "the builder"
    return save(out, columns, facts_of(out, name, role, chosen, chosen_by, codes, []) | own, chosen)


def save(
    out: Path, columns: Columns, facts: dict[str, Any], scheme: CategoryScheme, refused: Sequence[RefusedRow] = ()
) -> BuildResult:
    """Write the columns of a set and say what was written."""
    counts = columns.counts
    # Whether files of other sizes can be ruled out (scan/order.py): only where every record states its size.
    sizes = {"stated": columns.sized, "missing": counts["records"] - columns.sized}
    manifest = write_hashset(out, columns, {**facts, "counts": counts, "sizes": sizes})
    return BuildResult(
        path=out,
        name=manifest["name"],
        generation=manifest["generation"],
        scheme=scheme,
        counts={**counts, "refused": facts["refused"]["rows"]},
        refused=tuple(refused),
        reasons=facts["refused"]["reasons"],
        ignored=facts["ignored"],
        sources=tuple(facts["sources"]),
        leftovers=leftovers(out),
    )


def checked_role(role: Role | str) -> Role:
    """The role by its word; UsageError names the two there are."""
    try:
        return Role(role)
    except ValueError:
        raise UsageError(f"role must be {', '.join(Role)}, not {role!r}") from None


def checked_radius(radius: Mapping[str, int] | None) -> dict[str, dict[str, int]]:
    """The manifest's field for a set's own distances, none if it has none; UsageError if one means nothing."""
    for algorithm, distance in (radius or {}).items():
        farthest = _FARTHEST.get(algorithm)
        if farthest is None:
            raise UsageError(f"a set's own distance is for {', '.join(_FARTHEST)}, not {algorithm!r}")
        if not isinstance(distance, int) or isinstance(distance, bool) or not 0 <= distance <= farthest:
            raise UsageError(f"a {algorithm} distance is 0 to {farthest}, not {distance!r}")
    return {"radius": dict(sorted(radius.items()))} if radius else {}


def set_name(out: Path, name: str | None) -> str:
    """The name of a set: as given, else its folder's without .chs."""
    return name or printable(out.name.removesuffix(".chs"))


def facts_of(
    out: Path,
    name: str | None,
    role: Role,
    scheme: CategoryScheme,
    chosen_by: str,
    codes: Sequence[str],
    sources: Sequence[Mapping[str, Any]],
) -> dict[str, Any]:
    """The manifest's fields about the content; a set carries its scheme, so that it explains itself."""
    return {
        "name": set_name(out, name),
        "role": role.value,
        "scheme": scheme.as_dict(),
        "scheme_chosen_by": chosen_by,
        "codes": list(codes),
        "sources": list(sources),
        "refused": {"rows": 0, "reasons": {}},
        "ignored": {},
    }


def _import(
    source: SourceFile,
    columns: RecordColumns,
    refusals: _Refusals,
    ignored: Counter[str],
    role: Role,
    format_name: str | None,
    progress: Progress | None,
    number: int,
) -> dict[str, Any]:
    """Read one file into the columns and return what the manifest keeps of it."""
    used = refused = 0
    try:
        reader = reader_for(source, format_name)
        for item in read_batches(reader, source):
            if isinstance(item, RefusedRow):
                refusals.add(item)
                refused += 1
                continue
            batch = _without_empty_content(item, source.name, refusals) if role is Role.NOTABLE else item
            refused += item.count - batch.count
            columns.add_batch(batch, number)
            used += batch.count
            if progress is not None:
                progress(source.size, used)
        checksum = source.finish()
    finally:
        source.close()
    if not used:
        raise HashSetError(_nothing_usable(source.name, refused, refusals))
    ignored.update(source.ignored)
    return {
        "file": source.name,
        "size": source.size,
        "sha256": checksum,
        "format": reader.name,
        "model_url": source.model_url,
        "region": source.region,
        "records": used,
        "refused": refused,
        "lost": [list(span) for span in source.lost],
        "warnings": list(source.warnings),
    }


def _no_folder(path: Path) -> Path:
    if path.is_dir():
        raise HashSetError(f"{printable(path.name)}: is a folder. Give the files in it. Nothing was imported.")
    return path


def _without_empty_content(batch: RowBatch, file: str, refusals: _Refusals) -> RowBatch:
    """The digest of no bytes says nothing about a file, and would flag every empty file of an exhibit."""
    empty = batch.empty_content()
    for index in np.flatnonzero(empty).tolist():
        refusals.add(RefusedRow(file, batch.position(index), "the digest of an empty file"))
    return batch.kept(~empty)


def _nothing_usable(name: str, refused: int, refusals: _Refusals) -> str:
    if not refused:
        return f"{name}: holds no entries. Nothing was imported."
    first = next((row for row in refusals.kept if row.file == name), None)
    where = f" (the first at {first.position}: {first.reason})" if first else ""
    return f"{name}: all {refused} entries were refused{where}. Nothing was imported."


def _scheme_by_region(sources: Sequence[Mapping[str, Any]]) -> tuple[CategoryScheme, str]:
    """The scheme that the regions of the files name; HashSetError if two files name different ones."""
    found = {scheme.name: scheme for source in sources if (scheme := scheme_for_url(source["model_url"]))}
    if len(found) > 1:
        raise HashSetError(
            f"the files name regions of different category schemes ({', '.join(sorted(found))}). "
            "Build a set of each, or choose one with --scheme. Nothing was imported."
        )
    for scheme in found.values():
        return scheme, "the region in the file"
    return load_scheme(NO_SCHEME), "nothing: no scheme was given and no region named"
