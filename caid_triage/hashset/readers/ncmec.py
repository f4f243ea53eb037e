"""NCMEC hash-sharing lists, XML and JSON: entries with a classification and fingerprints."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any
from xml.parsers import expat

from caid_triage.errors import HashSetError
from caid_triage.hashset.readers.fields import UnusableError, photodna_bytes, set_hash
from caid_triage.hashset.readers.json_text import BrokenJsonError, JsonText
from caid_triage.hashset.rows import Row, SourceFile, head_text
from caid_triage.model import RefusedRow

_HASHES = {"md5": "md5", "sha1": "sha1", "sha256": "sha256", "pdq": "pdq"}
_PHOTODNA = {"pdna", "photodna"}
_ENTRIES = {"image", "video"}
_MAX_DEPTH = 40
_MAX_TEXT = 10_000
_BLOCK = 1 << 16
_DELETED = "the list says that the entry was deleted"


class NcmecXmlReader:
    """Reads ``image`` and ``video`` elements: id, classification (A1 ...), md5, sha1, pdna, pdq; others are counted.

    A document type is refused: nothing of it could be needed, and entities are how XML attacks its reader.
    """

    name = "ncmec-xml"
    title = "NCMEC hash sharing, XML"

    def detects(self, head: bytes) -> bool:
        """Whether it is XML that speaks of fingerprints or of NCMEC's hash sharing."""
        text = head_text(head).lstrip()
        return text.startswith("<") and re.search(r"<(?:\w+:)?fingerprints\b|hashsharing", text) is not None

    def read(self, source: SourceFile) -> Iterator[Row | RefusedRow]:
        """A Row an entry; refused ones carry the byte at which their element begins."""
        entries = _XmlEntries(source)
        try:
            for block in source.blocks(_BLOCK):
                entries.parser.Parse(block, False)
                yield from entries.taken()
            entries.parser.Parse(b"", True)
        except expat.ExpatError:
            raise HashSetError(
                f"{source.name}: not valid XML, at byte {entries.parser.ErrorByteIndex}. Nothing was imported."
            ) from None
        yield from entries.taken()


class _XmlEntries:
    """Takes expat's events and keeps the finished entries until they are asked for."""

    def __init__(self, source: SourceFile) -> None:
        self.parser = expat.ParserCreate()
        self.parser.buffer_text = True
        self.parser.StartElementHandler = self._start
        self.parser.EndElementHandler = self._end
        self.parser.CharacterDataHandler = self._characters
        self.parser.StartDoctypeDeclHandler = self._refuse_doctype
        self._source = source
        self._found: list[Row | RefusedRow] = []
        self._depth = self._entry_depth = 0
        self._values: list[tuple[str, str]] = []
        self._text: list[str] = []
        self._length = self._byte = 0

    def taken(self) -> list[Row | RefusedRow]:
        """The entries finished since the last call."""
        found, self._found = self._found, []
        return found

    def _start(self, name: str, attributes: dict[str, str]) -> None:
        self._depth += 1
        if self._depth > _MAX_DEPTH:
            self._refuse(f"nested more than {_MAX_DEPTH} levels deep")
        self._text, self._length = [], 0
        if not self._entry_depth and _local(name) in _ENTRIES:
            self._entry_depth, self._values, self._byte = self._depth, [], self.parser.CurrentByteIndex

    def _end(self, name: str) -> None:
        if self._entry_depth and self._depth > self._entry_depth and self._text:
            self._values.append((_local(name), "".join(self._text).strip()))
        elif self._depth == self._entry_depth:
            self._entry_depth = 0
            self._found.append(_entry(self._values, f"byte {self._byte}", self._source))
        self._text = []
        self._depth -= 1

    def _characters(self, text: str) -> None:
        self._length += len(text)
        if self._length > _MAX_TEXT:
            self._refuse(f"one value is longer than {_MAX_TEXT} characters")
        self._text.append(text)

    def _refuse_doctype(self, *_: Any) -> None:
        self._refuse("has a document type (DOCTYPE), which hash lists do not need and attacks use")

    def _refuse(self, reason: str) -> None:
        raise HashSetError(
            f"{self._source.name}: {reason}, at byte {self.parser.CurrentByteIndex}. Nothing was imported."
        )


class NcmecJsonReader:
    """Reads a list of entries (at the root or under a key of it), each with ``fingerprints``."""

    name = "ncmec-json"
    title = "NCMEC hash sharing, JSON entries with fingerprints"

    def detects(self, head: bytes) -> bool:
        """Whether it is JSON whose beginning has fingerprints in it."""
        text = head_text(head).lstrip()
        return text[:1] in ("{", "[") and re.search(r'"fingerprints"\s*:\s*\{', text) is not None

    def read(self, source: SourceFile) -> Iterator[Row | RefusedRow]:
        """A Row an entry; refused ones carry the byte at which they begin."""
        text = JsonText(source.blocks(1 << 17), source.head, frozenset({"fingerprints", "classification", "id"}))
        try:
            for values, starts in _json_entries(text):
                for value, offset in zip(values, text.bytes_at(starts).tolist(), strict=True):
                    yield _json_entry(value, f"byte {offset}", source)
        except BrokenJsonError as error:
            raise HashSetError(
                f"{source.name}: {error.phrase}, at byte {error.offset}. Nothing was imported."
            ) from None


def _json_entries(text: JsonText) -> Iterator[tuple[list[Any], list[int]]]:
    first = text.next_char()
    if first == "[":
        yield from text.entries()
    elif first == "{":
        for _ in text.members():
            if text.next_char() == "[":
                yield from text.entries()
            else:
                text.value()
    else:
        text.value()
    if text.next_char():
        raise text.broken(text.place)


def _json_entry(value: Any, position: str, source: SourceFile) -> Row | RefusedRow:
    if not isinstance(value, dict):
        return RefusedRow(source.name, position, "the entry is not a record, or a key stands twice in it")
    named = {key.lower(): inner for key, inner in value.items()}
    fingerprints = named.get("fingerprints")
    if not isinstance(fingerprints, dict):
        return RefusedRow(source.name, position, "no fingerprints in the entry")
    values = [("id", _plain_text(named.get("id"))), ("classification", _plain_text(named.get("classification")))]
    if named.get("deleted") is True:
        values.append(("deleted", "true"))
    for name, found in fingerprints.items():
        several = found if isinstance(found, list) else [found]
        values.extend((name.lower(), one if isinstance(one, str) else "") for one in several)
    return _entry(values, position, source)


def _entry(values: list[tuple[str, str]], position: str, source: SourceFile) -> Row | RefusedRow:
    """The Row of an entry from the names and texts of its parts."""
    row = Row(position=position)
    try:
        for name, text in values:
            algorithm = re.sub(r"[^a-z0-9]", "", name)
            if algorithm in _HASHES:
                set_hash(row, _HASHES[algorithm], text)
            elif algorithm in _PHOTODNA and text:
                row.photodna = photodna_bytes(text)
                if row.photodna is None:
                    source.ignored["PhotoDNA that is not 144 bytes"] += 1
            elif algorithm == "classification":
                row.category = text
            elif algorithm == "id" and not row.media_id:
                row.media_id = text
            elif algorithm == "deleted" and text.lower() == "true":
                raise UnusableError(_DELETED)
            elif algorithm in _OTHER_KINDS and text:
                source.ignored["fingerprints of other kinds"] += 1
        if not row.has_hash:
            raise UnusableError("no hash in the entry")
    except UnusableError as error:
        return RefusedRow(source.name, position, str(error))
    return row


_OTHER_KINDS = {"netclean", "videntifier", "tmkpdqf", "ssvhpdna", "ssvhsaferhash"}


def _plain_text(value: Any) -> str:
    return "" if value is None or isinstance(value, (bool, dict, list, tuple)) else str(value).strip()


def _local(name: str) -> str:
    return name.rpartition(":")[2].lower()
