"""VICS JSON (Project VIC, CAID): data models 1.0 to 2.0 of any region, hash sets and cases, as programs write it.

The specification is not public: what is accepted here is what exporters are known to write, listed
with its sources in docs/formats/hashsets.md.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from caid_triage.errors import HashSetError
from caid_triage.hashset.batch import RowBatch, batch_of, one_by_one
from caid_triage.hashset.readers.fields import UnusableError
from caid_triage.hashset.readers.json_salvage import salvaged
from caid_triage.hashset.readers.json_text import BrokenJsonError, JsonText, Object
from caid_triage.hashset.readers.vics_columns import OddError, batch_of_media
from caid_triage.hashset.readers.vics_record import HASHES, KNOWN_KEYS, OTHERS, row_of_media
from caid_triage.hashset.rows import Row, SourceFile, encoding_of, head_text
from caid_triage.model import RefusedRow

_CONTEXT = re.compile(r'"(?:@odata\.context|odata\.metadata)"\s*:\s*"([^"]{1,500})"')
_REGION = re.compile(r"/2\.\d+\.xml/([A-Za-z0-9_-]{1,40})/")
_TAIL_BYTES = 65_536
_SLAB_BYTES = 1 << 17
_MAX_ODD = 64
_CASE_KEYS = {"media", "caseid", "casenumber", "totalmediafiles", "contactname", "contactorganization"}
_MEDIA_KEYS = {*HASHES, *OTHERS, "relativefilepath"}
_RECORD_KEYS = {"MediaID", "mediaid", "Category", "category"}
# Keys of the objects inside a Media record, which repeat its MD5: they are no records themselves.
_INNER_KEYS = {"propertyname", "hashname", "filename", "filepath", "segmentindex", "repositoryname", "media"}


class VicsReader:
    """Reads VICS hash sets (``value`` is a list of Media) and cases (``value`` is a list of Cases with Media)."""

    name = "vics"
    title = "VICS / Project VIC / CAID JSON, data models 1.0 to 2.0"

    def detects(self, head: bytes) -> bool:
        """Whether the text begins as JSON does."""
        return head_text(head).lstrip()[:1] in ("{", "[")

    def read(self, source: SourceFile) -> Iterator[Row | RefusedRow]:
        """A Row a Media record, streaming; refused ones carry the byte at which their record begins."""
        return one_by_one(self.read_batches(source))

    def read_batches(self, source: SourceFile) -> Iterator[RowBatch | RefusedRow]:
        """The same in batches. With ``source.salvage``, what is whole in a broken file, and what was lost."""
        source.model_url = _model_url(source)
        region = _REGION.search(source.model_url)
        source.region = region[1] if region else ""
        met = False
        for values, offsets, lost in _slabs(source):
            met = met or bool(values)
            for begin, end in lost:
                end = min(end, source.size)  # noqa: PLW2901 - UTF-16: half a character at the end counts as a whole one
                source.lost.append((begin, end))
                yield RefusedRow(source.name, f"bytes {begin} to {end}", "lost: the JSON is broken here")
            yield from _read_slab(values, offsets, source)
        if not met:
            raise HashSetError(
                f'{source.name}: is JSON, but its root has no list "value" with Media or Cases in it: '
                "not a VICS file with entries. Nothing was imported."
            )


def _read_slab(
    values: Sequence[Any], offsets: NDArray[np.int64], source: SourceFile
) -> Iterator[RowBatch | RefusedRow]:
    """The entries of a slab in file order: the usual ones as columns, odd ones one by one."""
    if not values:
        return
    try:
        yield batch_of_media(values, offsets, source)
        return
    except OddError as error:
        odd = sorted(error.rows) if error.rows is not None else list(range(len(values)))
    if len(odd) > _MAX_ODD:
        yield from _one_by_one(values, offsets, source)
        return
    begin = 0
    for number in [*odd, len(values)]:
        yield from _read_slab(values[begin:number], offsets[begin:number], source)
        yield from _one_by_one(values[number : number + 1], offsets[number : number + 1], source)
        begin = number + 1


def _one_by_one(
    values: Sequence[Any], offsets: NDArray[np.int64], source: SourceFile
) -> Iterator[RowBatch | RefusedRow]:
    rows: list[Row] = []
    for value, offset in zip(values, offsets.tolist(), strict=True):
        position = f"byte {offset}"
        try:
            row = row_of_media(value, source)
        except UnusableError as error:
            yield RefusedRow(source.name, position, str(error))
            continue
        row.position = position
        rows.append(row)
    if rows:
        yield batch_of(rows)


def _slabs(source: SourceFile) -> Iterator[tuple[Sequence[Any], NDArray[np.int64], list[tuple[int, int]]]]:
    """(entries, the byte of each, byte ranges lost) to the end of the file; HashSetError where the JSON breaks."""
    is_case = _is_case(source)
    text = JsonText(source.blocks(_SLAB_BYTES), source.head, KNOWN_KEYS)
    records = 0
    try:
        for values, starts in _entries(text, is_case=is_case):
            whole = _whole(values) if source.salvage else len(values)
            records += whole
            yield values[:whole], text.bytes_at(starts[:whole]), []
            if whole < len(values):
                text.place = starts[whole]
                raise text.broken(text.place)
        return
    except BrokenJsonError as error:
        fault = error
    if fault.hostile or not source.salvage:
        raise HashSetError(
            f"{source.name}: {fault.phrase}, at byte {fault.offset} (after {records} whole records). "
            "Nothing was imported. Export or copy the file again; a shortened or hand-edited copy breaks like this."
        )
    source.warnings.append(
        f"{source.name}: {fault.phrase}, at byte {fault.offset} (after {records} whole records). "
        "What is whole behind it was kept; the bytes that were lost are listed with the refused rows."
    )
    try:
        for values, offsets, lost in salvaged(text, _is_media):
            yield values, offsets, lost
    except BrokenJsonError as error:
        raise HashSetError(f"{source.name}: {error.phrase}, at byte {error.offset}. Nothing was imported.") from None


def _entries(text: JsonText, *, is_case: bool) -> Iterator[tuple[list[Any], list[int]]]:
    """Every Media record of a whole file, in slabs with their places in the window."""
    if text.next_char() == "{":
        for key in text.members():
            if key == "value" and text.next_char() == "[":
                yield from _media_of_cases(text) if is_case else text.entries()
            else:
                text.value()
    else:
        text.value()
    if text.next_char():
        raise text.broken(text.place)


def _media_of_cases(text: JsonText) -> Iterator[tuple[list[Any], list[int]]]:
    for _ in text.elements():
        if text.next_char() != "{":
            text.value()
            continue
        for key in text.members():
            if key == "Media" and text.next_char() == "[":
                yield from text.entries()
            else:
                text.value()


def _is_media(found: Object) -> bool:
    """Whether an object found in a broken file is a Media record, not something inside or around one."""
    names = {key.lower() for key in dict(found)}
    return not names.isdisjoint({*HASHES, "mediaid"}) and names.isdisjoint(_INNER_KEYS) and not _swallows(found)


def _whole(values: Sequence[Any]) -> int:
    """How many entries come before the first that holds another: brackets lost in it make the rest its children."""
    return next((number for number, value in enumerate(values) if _swallows(value)), len(values))


def _swallows(value: Any) -> bool:
    """Whether something inside a value looks like a Media record."""
    inner = list(value.values() if isinstance(value, dict) else value if isinstance(value, (list, tuple)) else ())
    while inner:
        one = inner.pop()
        if isinstance(one, dict):
            if not _RECORD_KEYS.isdisjoint(one) and _INNER_KEYS.isdisjoint(key.lower() for key in one):
                return True
            inner.extend(one.values())
        elif isinstance(one, (list, tuple)):
            inner.extend(one)
    return False


def _model_url(source: SourceFile) -> str:
    """The data-model URL: the root key normally comes first, but may stand behind ``value`` at the very end."""
    first = _CONTEXT.search(head_text(source.head))
    if first:
        return first[1]
    with source.path.open("rb") as file:
        size = file.seek(0, 2)
        file.seek(max(0, size - _TAIL_BYTES) // 2 * 2)
        tail = file.read()
    encoding = encoding_of(source.head)
    if encoding == "utf-16":
        encoding = "utf-16-le" if source.head.startswith(b"\xff\xfe") else "utf-16-be"
    found = _CONTEXT.findall(tail.decode(encoding, "replace"))
    return str(found[-1]) if found else ""


def _is_case(source: SourceFile) -> bool:
    """Whether ``value`` lists Cases, by the keys of its first objects; by the model URL if those do not tell."""
    text = JsonText([source.head], source.head)
    try:
        for key in text.members():
            if key != "value" or text.next_char() != "[":
                text.value()
                continue
            for _ in text.elements():
                if text.next_char() != "{":
                    text.value()
                    continue
                for inner in text.members():
                    if inner.lower() in _CASE_KEYS:
                        return True
                    if inner.lower() in _MEDIA_KEYS:
                        return False
                    text.value()
    except BrokenJsonError:
        pass  # the head may end in the middle; what is broken is met again when reading proper
    return source.model_url.endswith("#Cases")
