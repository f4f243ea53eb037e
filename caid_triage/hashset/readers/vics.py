"""VICS JSON (Project VIC, CAID): data models 1.0 to 2.0 of any region, hash sets and cases, as programs write it.

The specification is not public: what is accepted here is what exporters are known to write, listed
with its sources in docs/formats/hashsets.md.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

import ijson

from caid_triage.errors import HashSetError
from caid_triage.hashset.readers.fields import (
    UnusableError,
    byte_size,
    category_code,
    is_true,
    photodna_bytes,
    quality_of,
    set_hash,
)
from caid_triage.hashset.readers.json_fault import PARSE_ERRORS, abandon, locate_fault
from caid_triage.hashset.readers.json_pieces import HostileJsonError, Pieces
from caid_triage.hashset.rows import RecordFlag, Row, SourceFile, encoding_of, head_text
from caid_triage.model import RefusedRow

_CONTEXT = re.compile(r'"(?:@odata\.context|odata\.metadata)"\s*:\s*"([^"]{1,500})"')
_REGION = re.compile(r"/2\.\d+\.xml/([A-Za-z0-9_-]{1,40})/")
_TAIL_BYTES = 65_536
_HASHES = {"md5": "md5", "md5hash": "md5", "sha1": "sha1", "sha1hash": "sha1", "sha256": "sha256", "pdq": "pdq"}
_FLAGS = {
    "victimidentified": int(RecordFlag.VICTIM_IDENTIFIED),
    "offenderidentified": int(RecordFlag.OFFENDER_IDENTIFIED),
    "isdistributed": int(RecordFlag.DISTRIBUTED),
    "issuspected": int(RecordFlag.SUSPECTED),
    "isprecategorized": int(RecordFlag.PRECATEGORISED),
    "selfgenerated": int(RecordFlag.SELF_GENERATED),
}
_OTHERS = {"category", "mediaid", "mediasize", "photodna", "series", "alternativehashes", "mediafiles"}
_ALTERNATIVES = {"md5", "sha1", "sha256", "pdq", "phash", "photodna"}
_KNOWN_KEYS = frozenset({*_HASHES, *_FLAGS, *_OTHERS, "value", "media", "caseid", "casenumber", "@odata.context"})
_CASE_KEYS = {"media", "caseid", "casenumber", "totalmediafiles", "contactname", "contactorganization"}
_MEDIA_KEYS = {*_HASHES, *_OTHERS, "relativefilepath"}


class _Entry(dict[str, Any]):
    """A JSON object that remembers whether a key stood in it twice (JSON leaves open which value counts)."""

    repeated = ""

    def __setitem__(self, key: str, value: Any) -> None:
        if key in self:
            self.repeated = key
        super().__setitem__(key, value)


class VicsReader:
    """Reads VICS hash sets (``value`` is a list of Media) and cases (``value`` is a list of Cases with Media)."""

    name = "vics"
    title = "VICS / Project VIC / CAID JSON, data models 1.0 to 2.0"

    def detects(self, head: bytes) -> bool:
        """Whether the text begins as JSON does."""
        return head_text(head).lstrip()[:1] in ("{", "[")

    def read(self, source: SourceFile) -> Iterator[Row | RefusedRow]:
        """A Row a Media record, streaming; refused ones carry the byte at which their record begins."""
        source.model_url = _model_url(source)
        region = _REGION.search(source.model_url)
        source.region = region[1] if region else ""
        is_case = _is_case(source)
        pieces = Pieces(source.blocks(), source.head)
        start = -1
        for value, start in _values(source, pieces, is_case=is_case):
            position = f"byte {start}"
            try:
                row = _row(value, source)
            except UnusableError as error:
                yield RefusedRow(source.name, position, str(error))
                continue
            row.position = position
            yield row
        if start < 0:
            raise HashSetError(
                f'{source.name}: is JSON, but its root has no list "value" with Media or Cases in it: '
                "not a VICS file with entries. Nothing was imported."
            )


def _values(source: SourceFile, pieces: Pieces, *, is_case: bool) -> Iterator[tuple[Any, int]]:
    """Every Media record with the byte at which it begins; HashSetError where the JSON breaks."""
    array = "Media" if is_case else "value"
    found = ijson.sendable_list()
    parser = ijson.items_coro(found, "value.item.Media.item" if is_case else "value.item", map_type=_Entry)
    begin, since = pieces.begin, list[bytes]()
    records = 0
    feed = iter(pieces)
    failing_piece = 1
    while True:
        try:
            piece = next(feed, b"")
            failing_piece = pieces.count if piece else pieces.count + 1
            if piece:
                parser.send(piece)
            else:
                parser.close()
        except (*PARSE_ERRORS, StopIteration, RuntimeError) as error:
            abandon(parser)
            raise _broken(source, pieces, failing_piece, records, error) from None
        since.append(piece)
        if found:
            pieces.record_done()
            text = b"".join(since)
            before = _before_record(text, array)
            start = begin + pieces.length_in_file(before)
            lengths = _lengths_of_values(text[len(before) :], pieces) if len(found) > 1 else iter(())
            for value in found:
                records += 1
                yield value, start
                start += next(lengths, 0)
            found.clear()
            begin = pieces.offset
            since.clear()
        if not piece:
            return


def _broken(source: SourceFile, pieces: Pieces, failing_piece: int, records: int, error: BaseException) -> HashSetError:
    """The HashSetError for a file that stops being JSON. The parser's own text may quote hashes: it is not used."""
    if isinstance(error, HostileJsonError):
        offset, phrase = pieces.offset, str(error)
    else:
        offset, phrase = locate_fault(source.path, source.head, failing_piece, _KNOWN_KEYS)
    return HashSetError(
        f"{source.name}: {phrase}, at byte {offset} (after {records} whole records). "
        "Nothing was imported. Export or copy the file again; a shortened or hand-edited copy breaks like this."
    )


def _before_record(text: bytes, array: str) -> bytes:
    """What stands before the record that ``text`` ends with: the comma, or the head of the array it is first in."""
    after_comma = text.lstrip(b" \t\r\n,")
    if after_comma.startswith(b"{") and len(after_comma) < len(text):
        return text[: len(text) - len(after_comma)]
    opening = re.search(rb'"%s"\s*:\s*\[\s*' % array.encode(), text)
    return text[: opening.end()] if opening else text[: len(text) - len(after_comma)]


def _lengths_of_values(text: bytes, pieces: Pieces) -> Iterator[int]:
    """How far it is in the file from each value to the next: entries that are no record end without a brace."""
    rest = text.decode("utf-8", "replace")
    place = 0
    while place < len(rest):
        begin = place
        try:
            _, place = json.JSONDecoder().raw_decode(rest, place)
        except (ValueError, RecursionError):
            return  # where this one begins is the best that can be said of those behind it
        while place < len(rest) and rest[place] in " \t\r\n,":
            place += 1
        yield pieces.length_in_file(rest[begin:place].encode("utf-8"))


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
    """Whether ``value`` lists Cases, by the keys of its first object; by the model URL if those do not tell."""
    events = ijson.sendable_list()
    parser = ijson.parse_coro(events)
    try:
        for piece in Pieces([source.head], source.head):
            parser.send(piece)
            for prefix, event, value in events:
                if event == "map_key" and prefix == "value.item" and value.lower() in _CASE_KEYS:
                    return True
                if event == "map_key" and prefix == "value.item" and value.lower() in _MEDIA_KEYS:
                    return False
            events.clear()
    except (*PARSE_ERRORS, StopIteration):
        pass  # reading proper meets the same fault and reports it
    finally:
        abandon(parser)
    return source.model_url.endswith("#Cases")


def _row(value: Any, source: SourceFile) -> Row:
    """The Row of one Media record; UnusableError with the reason if it cannot be used."""
    if not isinstance(value, _Entry):
        raise UnusableError("the entry is not a record")
    _refuse_repeated(value)
    row = Row()
    for key, field in value.items():
        name = key.lower()
        if name in _HASHES:
            set_hash(row, _HASHES[name], field)
        elif name in _FLAGS:
            if is_true(field):
                row.flags |= _FLAGS[name]
        elif name == "category":
            row.category = category_code(field)
        elif name == "mediaid":
            row.media_id = "" if field is None or isinstance(field, (bool, list, dict)) else str(field).strip()
        elif name == "mediasize":
            row.size = byte_size(field)
        elif name == "photodna":
            _set_photodna(row, field, source)
        elif name == "series":
            row.series = _series_name(field)
        elif name == "alternativehashes":
            _set_alternatives(row, field, source)
        elif name == "mediafiles" and isinstance(field, list):
            source.ignored["MediaFiles (names and places in other exhibits)"] += len(field)
    if not row.has_hash:
        raise UnusableError("no hash in the record")
    return row


def _refuse_repeated(entry: _Entry) -> None:
    """A key of ours that stands twice makes the record ambiguous; one we do not read does not matter."""
    if entry.repeated.lower() in _KNOWN_KEYS | {"hashname", "hashvalue"}:
        raise UnusableError(f"the key {entry.repeated} stands twice in the record")


def _set_photodna(row: Row, field: Any, source: SourceFile) -> None:
    """PhotoDNA is carried, not computed: a value of another shape is left out and counted, the row stays."""
    if field in (None, ""):
        return
    row.photodna = photodna_bytes(field)
    if row.photodna is None:
        source.ignored["PhotoDNA that is not 144 bytes"] += 1


def _set_alternatives(row: Row, field: Any, source: SourceFile) -> None:
    """The hashes of ``AlternativeHashes``, by name; kinds we do not know are counted and left out."""
    for item in field if isinstance(field, list) else []:
        if not isinstance(item, _Entry):
            continue
        _refuse_repeated(item)
        named = {key.lower(): value for key, value in item.items()}
        name = re.sub(r"[^a-z0-9]", "", str(named.get("hashname", "")).lower())
        value = named.get("hashvalue")
        if name == "photodna":
            _set_photodna(row, value, source)
        elif name == "pdq" and isinstance(value, str) and "," in value:
            pdq, quality = value.split(",", 1)
            set_hash(row, "pdq", pdq, quality_of(quality))
        elif name in _ALTERNATIVES:
            set_hash(row, name, value)
        else:
            source.ignored["alternative hashes of other kinds"] += 1


def _series_name(field: Any) -> str:
    """The series as text: a name, a list of names, or an object with a Name or Title."""
    if isinstance(field, str):
        return field.strip()
    if isinstance(field, list):
        return ", ".join(filter(None, (_series_name(item) for item in field)))
    if isinstance(field, dict):
        return _series_name(field.get("Name") or field.get("Title") or "")
    return ""
