"""Carve what holds pictures or is listed as it is: PDF, ZIP (and the documents that are ZIPs), scripts.

Sources: ISO 32000-1 (7.5, annex F), PKWARE's APPNOTE 6.3.
"""

from __future__ import annotations

import re
import struct

from caid_triage.evidence.carve.found import Found
from caid_triage.evidence.carve.space import Stretch

_PIECE, _FIRST_PIECE = 1 << 18, 1 << 12
_MOST_PDF = 1 << 30
_MOST_ENTRIES = 1 << 16
_MOST_SEARCH = 1 << 24
_MOST_SCRIPT = 1 << 16
_LINEAR = re.compile(rb"/Linearized\s.{0,64}?/L\s+(\d{1,12})\b", re.DOTALL)
_PDF_END = re.compile(rb"%%EOF(\r\n|\n|\r)?")
_PDF_TABLE = re.compile(rb"startxref\s+(\d{1,12})\s")
_RECORD = re.compile(rb"PK\x07\x08")
_NAMES = ((b"word/", "docx"), (b"xl/", "xlsx"), (b"ppt/", "pptx"), (b"META-INF/", "jar"))


def carve_pdf(file: Stretch) -> Found | None:
    """PDF: the length it states for the web, else to the last end mark before something else begins."""
    head = file.at(0, 2048)
    if not head.startswith(b"%PDF-"):
        return None
    linear = _LINEAR.search(head)
    if linear is not None:
        length = int(linear[1])
        if b"%%EOF" in file.at(length - 32, 32):
            return Found(length, "pdf")
    place = end = 0
    limit = min(file.size, _MOST_PDF)
    while place < limit:
        piece = file.at(place, _PIECE + 16)
        found = _PDF_END.search(piece)
        if found is None or found.start() >= _PIECE:
            if len(piece) <= 16 or (end and place > end + _MOST_SEARCH):
                break
            place += min(len(piece), _PIECE)
            continue
        end = place + found.end()
        following = file.at(end, 64).lstrip(b"\r\n ")
        if not re.match(rb"\d+ \d+ obj|xref\b|%|startxref", following):
            break
        place = end
    tables = _PDF_TABLE.findall(file.at(max(0, end - 512), min(end, 512)))
    if not tables:
        return None
    # where its table is not at the place that it states, something else lies between
    table = file.at(int(tables[-1]), 32).lstrip()
    whole = re.match(rb"xref\b|\d+\s+\d+\s+obj\b", table) is not None
    return Found(end, "pdf", whole=whole, checked=whole)


def carve_zip(file: Stretch) -> Found | None:
    """ZIP: its entries, its directory, and its end record, which must point back to the directory."""
    passed, directory, name = _zip_entries(file)
    if not passed:
        return None
    place = directory
    for _ in range(_MOST_ENTRIES):
        head = file.at(place, 46)
        if head[:4] != b"PK\x01\x02" or len(head) < 46:
            break
        place += 46 + sum(struct.unpack_from("<HHH", head, 28))
    if file.at(place, 4) == b"PK\x06\x06":
        place += 12 + int.from_bytes(file.at(place + 4, 8), "little")
        if file.at(place, 4) == b"PK\x06\x07":
            place += 20
    tail = file.at(place, 22)
    if tail[:4] == b"PK\x05\x06" and len(tail) == 22:
        start, comment = struct.unpack_from("<I", tail, 16)[0], struct.unpack_from("<H", tail, 20)[0]
        if start in (directory, 0xFFFFFFFF) and place + 22 + comment <= file.size:
            return Found(place + 22 + comment, name)
    reach = min(place, file.size)
    return Found(reach, name, whole=False, worth=False, checked=False, passed=tuple(passed[1:]))


def _zip_entries(file: Stretch) -> tuple[list[int], int, str]:
    """Where the entries begin that follow each other from the start, where the last ends, and what the file is."""
    passed: list[int] = []
    place, name = 0, ""
    for number in range(_MOST_ENTRIES):
        head = file.at(place, 30)
        if len(head) < 30 or head[:4] != b"PK\x03\x04":
            break
        flags, size, name_length, extra = (
            struct.unpack_from("<H", head, 6)[0], struct.unpack_from("<I", head, 18)[0],
            *struct.unpack_from("<HH", head, 26),
        )  # fmt: skip
        label = file.at(place + 30, min(name_length, 64))
        if not number and (not name_length or name_length > 1024 or b"\0" in label):
            break
        passed.append(place)
        data = place + 30 + name_length + extra
        name = name or _zip_suffix(label, file, data)
        if size == 0xFFFFFFFF or (flags & 8 and not size):
            following = _next_record(file, data)
            if following is None:
                break
            place = following
        else:
            place = data + size
            if flags & 8 and file.at(place, 4) == b"PK\x07\x08":
                place += 16
    return passed, place, name or "zip"


def _next_record(file: Stretch, place: int) -> int | None:
    """Where the record behind an entry of unstated length begins."""
    at, look = place, _FIRST_PIECE
    while at < place + _MOST_SEARCH:
        piece = file.at(at, look + 16)
        for found in _RECORD.finditer(piece, 0, look + 4):
            here = at + found.start()
            if int.from_bytes(piece[found.start() + 8 : found.start() + 12], "little") == here - place:
                return here + 16
        if len(piece) < look + 16:
            return None
        at += look
        look = min(2 * look, _PIECE)  # most entries are small
    return None


def _zip_suffix(label: bytes, file: Stretch, data: int) -> str:
    if label == b"mimetype":
        kind = file.at(data, 64)
        for mark, suffix in ((b"oasis.opendocument.text", "odt"), (b"opendocument.spreadsheet", "ods"),
                             (b"opendocument.presentation", "odp"), (b"epub", "epub")):  # fmt: skip
            if mark in kind:
                return suffix
    return next((suffix for mark, suffix in _NAMES if label.startswith(mark)), "")


def carve_script(file: Stretch) -> Found | None:
    """A script that names its interpreter in its first line: text to the first byte that is none."""
    head = file.at(0, 64)
    if not re.match(rb"#! ?/[\x21-\x7e]+[ -~]*\r?\n", head):
        return None
    text = file.at(0, _MOST_SCRIPT)
    end = re.search(rb"[\x00-\x08\x0e-\x1a\x1c-\x1f\x7f\xff]", text)
    length = end.start() if end else len(text)
    return Found(length, "sh") if end and length > 8 and text[length : length + 1] == b"\0" else None
