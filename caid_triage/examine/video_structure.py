"""What a video's container says of its own length, checked against the bytes that are there.

Decoders play a film that was cut and keep silent about the rest, so the structure is checked here.
ISO/IEC 14496-12 clause 4.2 (boxes), RIFF, RFC 8794 sections 4 to 6 (EBML).
"""

from __future__ import annotations

from caid_triage.examine.video_bytes import VideoBytes

MOST_BOXES = 256
_OUTERMOST = frozenset(
    (b"ftyp", b"moov", b"mdat", b"free", b"skip", b"wide", b"uuid", b"meta", b"moof", b"mfra", b"sidx", b"styp",
     b"emsg", b"pdin", b"pnot", b"PICT", b"prft", b"ssix", b"udta", b"junk")
)  # fmt: skip
_EBML = b"\x1aE\xdf\xa3"
_SEGMENT = b"\x18S\x80g"


def missing_end(file: VideoBytes) -> str:
    """Return a sentence if the container says that it is longer than the file, "" where nothing is amiss or known."""
    head = _at(file, 0, 16)
    if head[:4] == b"RIFF" and head[8:12] in (b"AVI ", b"AVIX"):
        stated = int.from_bytes(head[4:8], "little")
        return _short(file, 8 + stated - stated % 2, "the AVI container")  # writers disagree whether padding counts
    if head[:4] == _EBML:
        return _matroska(file)
    return _boxes(file)


def _at(file: VideoBytes, offset: int, length: int) -> bytes:
    file.seek(offset)
    return file.read(length)


def _short(file: VideoBytes, end: int, what: str) -> str:
    if end <= file.size:
        return ""
    return f"{what} is longer than the file by {end - file.size} bytes: the end of the film is missing"


def _boxes(file: VideoBytes) -> str:
    """Walk the outermost boxes; a name that is none of theirs ends the walk, as trailing bytes are common."""
    offset = 0
    for _ in range(MOST_BOXES):
        head = _at(file, offset, 16)
        kind = head[4:8]
        if len(head) < 8 or kind not in _OUTERMOST:
            return ""
        length = int.from_bytes(head[:4], "big")
        if length == 1:
            length = int.from_bytes(head[8:16], "big")
        if length < 8:  # 0: to the end of the file
            return ""
        offset += length
        if offset >= file.size:
            return _short(file, offset, f'the "{kind.decode("latin-1")}" box')
    return ""


def _matroska(file: VideoBytes) -> str:
    """The end of the one segment, unless it is a live stream's of unknown length."""
    header = _element(_at(file, 0, 16), 4)
    if header is None:
        return ""
    start = 4 + header[0] + header[1]
    head = _at(file, start, 16)
    segment = _element(head, 4) if head[:4] == _SEGMENT else None
    return "" if segment is None else _short(file, start + 4 + sum(segment), "the Matroska segment")


def _element(data: bytes, at: int) -> tuple[int, int] | None:
    """The bytes of a length and the length itself; None where it is unknown or no length."""
    first = data[at] if at < len(data) else 0
    width = 9 - first.bit_length()
    if not first or at + width > len(data):
        return None
    value = int.from_bytes(data[at : at + width], "big") & ((1 << 7 * width) - 1)
    return None if value == (1 << 7 * width) - 1 else (width, value)
