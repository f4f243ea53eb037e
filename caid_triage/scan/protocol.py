"""The words between coordinator and worker: length-checked frames of plain data, never pickle.

A worker reads hostile media, so whatever comes out of it is checked like hostile input: a frame has a
kind, a bounded length, and a payload of JSON with exactly the fields and types written here (law 9).

    coordinator -> worker   TASK {"mode","size","random"}  CHUNK bytes ...  END
                                                           | ABORT (the source failed in the middle)
    worker -> coordinator   READY {"active",...}   DIGESTS {...}   EXAMINED {...}   FAILED {"message"} (could not start)

Where the header says {"asks": true} and there is something to decode or to look into, DIGESTS says "waits", and the
worker waits for one word (scan/answers.py): to go on; that the content is known to be harmless, so that it is not
decoded; or that it was examined before, which ends the task.

    coordinator -> worker   ANSWER {"answer"}

Where a decoder must be loaded first, a worker says so before and after, at any place between END and EXAMINED:

    worker -> coordinator   LOADING ...  LOADED

A video is too large to be kept and its index may stand at its end, so between DIGESTS and EXAMINED a worker may ask for
bytes of the file of its task again, where "random" says so; it names a place in the file and nothing else:

    worker -> coordinator   NEED {"offset","length"}
    coordinator -> worker   CHUNK bytes (exactly those)   | ABORT {"code","detail"} (the source failed there)

A cache of two files is understood by both: of a file with one of the names in ``BESIDE``, in the folder of the task's
file, it may ask for the size and for bytes in the same way (scan/rereads.py). No other name is answered to.

    worker -> coordinator   NEED {"beside"}  |  NEED {"beside","offset","length"}
    coordinator -> worker   CHUNK the size, 8 bytes little-endian  |  CHUNK bytes   | ABORT {"code","detail"}
"""

from __future__ import annotations

import json
import struct
from collections.abc import Iterable
from enum import StrEnum
from typing import Any, BinaryIO

from caid_triage.errors import EvidenceError
from caid_triage.model import MOST_PARTS, DecodeState, Digests, Examination, Kind, PerceptualHash, Problem, Severity
from caid_triage.perceptual import hash_name

HEADER = struct.Struct("<cI")
MAX_CHUNK = 4 << 20
MAX_REPLY = 1 << 20
MOST_SECONDS = 1e9
# What a worker may ask for again of one file: a good one keeps to half of it by itself (examine/limits.py).
MAX_NEED = 1 << 20
MOST_NEEDS = 16_384
MOST_NEEDED = 1 << 30
USUAL_NEED = 1 << 16
# What else a worker may ask for by its name: the samples of macOS's QuickLook cache.
BESIDE = frozenset(("thumbnails.data",))
SIZE = struct.Struct("<Q")

# How many things a worker may load late: the optional libraries and Pillow's formats (examine/libraries.py).
MOST_LOADS = 32

# What became of a canary, the known file of a format (scan/canary.py): as it was drawn; not installed; else in words.
SINGS, ABSENT = "sings", "absent"

TASK, CHUNK, END, ABORT, ANSWER = b"T", b"C", b"E", b"A", b"W"
READY, DIGESTS, EXAMINED, FAILED, NEED = b"r", b"d", b"x", b"f", b"n"
STEP, FOUND = b"s", b"i"
LOADING, LOADED = b"l", b"k"
# For a review (scan/look_task.py).
PIXELS, CONTENT, NOTHING = b"p", b"c", b"o"


class Mode(StrEnum):
    """What a worker is asked for: everything, or (after a decoder died) the digests alone.

    For a review: a small picture, or a content that lies inside another.
    """

    FULL = "full"
    DIGESTS_ONLY = "digests-only"
    SMALL = "small"
    CONTENT = "content"


class Answer(StrEnum):
    """The coordinator's word on the digests of a content: what the worker does next (scan/answers.py)."""

    GO_ON = "go-on"
    KNOWN_GOOD = "known-good"
    EXAMINED = "examined"


class ProtocolError(Exception):
    """The other side said something that is not in the protocol: treated like its death."""


def write_frame(stream: BinaryIO, kind: bytes, payload: bytes | memoryview = b"") -> None:
    """Write one frame; the caller flushes."""
    stream.write(HEADER.pack(kind, len(payload)))
    if len(payload):
        stream.write(payload)


def read_frame(stream: BinaryIO, limit: int) -> tuple[bytes, bytes]:
    """The next frame as (kind, payload). EOFError at a clean end; ProtocolError past ``limit`` bytes or cut."""
    header = stream.read(HEADER.size)
    if not header:
        raise EOFError
    if len(header) < HEADER.size:
        raise ProtocolError("a frame was cut in its header")
    kind, length = HEADER.unpack(header)
    if length > limit:
        raise ProtocolError(f"a frame of {length} bytes, at most {limit} allowed")
    payload = stream.read(length) if length else b""
    if len(payload) < length:
        raise ProtocolError("a frame was cut in its payload")
    return kind, payload


def to_json(value: dict[str, Any]) -> bytes:
    """Compact JSON bytes of plain data; lone surrogates in texts survive as escapes."""
    return json.dumps(value, separators=(",", ":")).encode("ascii")


def from_json(payload: bytes) -> dict[str, Any]:
    """The JSON object of a payload, or ProtocolError."""
    try:
        value = json.loads(payload)
    except (ValueError, RecursionError) as error:
        raise ProtocolError("a payload is not JSON") from error
    if not isinstance(value, dict):
        raise ProtocolError("a payload is not a JSON object")
    return value


def need_from_plain(value: dict[str, Any], size: int) -> tuple[int, int]:
    """Offset and length of the bytes that a worker asks for, which must lie in the ``size`` bytes that it was sent."""
    offset = integer(value.get("offset"), 0, size)
    return offset, integer(value.get("length"), 1, min(MAX_NEED, size - offset))


def needs_too_much(asked: int, needed: int, size: int) -> bool:
    """Whether a worker asked too often, or for too many bytes, of a file of ``size`` bytes.

    A large container is read a few times: once to list it, once for its files, and where they are in another order.
    """
    again = 4 * size
    return asked > max(MOST_NEEDS, again // USUAL_NEED) or needed > max(MOST_NEEDED, again)


def fault_to_plain(error: EvidenceError) -> dict[str, str]:
    """A fault of the evidence, for the worker that asked for the bytes."""
    return {"code": error.code, "detail": error.detail}


def fault_from_plain(value: dict[str, Any]) -> EvidenceError:
    """A fault of the evidence as the coordinator met it."""
    return EvidenceError("read", _word(value.get("code"), 80), text(value.get("detail"), 2_000))


def digests_to_plain(digests: Digests) -> dict[str, str]:
    """Digests as hex texts."""
    return {"md5": digests.md5.hex(), "sha1": digests.sha1.hex(), "sha256": digests.sha256.hex()}


def digests_from_plain(value: dict[str, Any]) -> Digests:
    """Digests from hex texts, lengths checked."""
    return Digests(md5=_hex(value, "md5", (16,)), sha1=_hex(value, "sha1", (20,)), sha256=_hex(value, "sha256", (32,)))


def early_from_plain(value: dict[str, Any]) -> tuple[Digests, Kind, str, int, bool]:
    """What a worker says before it decodes (digests, kind, media type, bytes read, whether it waits for an answer),

    checked likewise.
    """
    try:
        kind, media_type, waits = Kind(value["kind"]), _word(value["media_type"], 100), value["waits"]
        if not isinstance(waits, bool):
            raise ProtocolError("early digests that neither wait nor go on")
        return digests_from_plain(value), kind, media_type, _bytes_read(value["bytes_read"]), waits
    except (KeyError, ValueError, TypeError) as error:
        raise ProtocolError("early digests with a missing or wrong field") from error


def answer_to_plain(answer: Answer) -> dict[str, str]:
    """The coordinator's word."""
    return {"answer": answer.value}


def answer_from_plain(value: dict[str, Any]) -> Answer:
    """The coordinator's word, or ProtocolError."""
    try:
        return Answer(value["answer"])
    except (KeyError, ValueError, TypeError) as error:
        raise ProtocolError("another answer to digests than there is") from error


def examination_to_plain(found: Examination) -> dict[str, Any]:
    """An Examination as plain data, digests left out where they were sent before."""
    return {
        "bytes_read": found.bytes_read,
        "kind": found.kind.value,
        "media_type": found.media_type,
        "decode_state": found.decode_state.value,
        "width": found.width,
        "height": found.height,
        "duration_s": found.duration_s,
        "hashes": [[h.algorithm, h.value.hex(), h.quality, h.frame_time] for h in found.hashes],
        "metadata": [list(item) for item in found.metadata],
        "inside": found.inside,
        "problems": problems_to_plain(found.problems),
    }


def examination_from_plain(value: dict[str, Any], digests: Digests | None) -> Examination:
    """An Examination from plain data, every field's type and range checked; ProtocolError otherwise."""
    try:
        return Examination(
            digests=digests,
            bytes_read=_bytes_read(value["bytes_read"]),
            kind=Kind(value["kind"]),
            media_type=_word(value["media_type"], 100),
            decode_state=DecodeState(value["decode_state"]),
            width=_optional_integer(value["width"]),
            height=_optional_integer(value["height"]),
            duration_s=_optional_number(value["duration_s"]),
            hashes=tuple(_perceptual_hashes(value["hashes"])),
            metadata=tuple(_metadata(value["metadata"])),
            problems=tuple(problems_from_plain(value["problems"])),
            inside=integer(value["inside"], 0, MOST_PARTS),
        )
    except (KeyError, ValueError, TypeError) as error:
        raise ProtocolError("an examination with a missing or wrong field") from error


def _perceptual_hashes(rows: Any) -> Iterable[PerceptualHash]:
    if not isinstance(rows, list) or len(rows) > 10_000:
        raise ProtocolError("hashes are not a short list")
    for algorithm, value, quality, frame_time in rows:
        content = bytes.fromhex(value)
        name = _word(algorithm, 40)
        if len(content) != (hash_name(name).length or len(content)):
            raise ProtocolError("a perceptual hash of the wrong length")
        stated = None if quality is None else integer(quality, 0, 100)
        yield PerceptualHash(name, content, stated, _optional_number(frame_time))


def _metadata(rows: Any) -> Iterable[tuple[str, str]]:
    if not isinstance(rows, list) or len(rows) > 200:
        raise ProtocolError("metadata is not a short list")
    for name, value in rows:
        yield _word(name, 40), text(value, 1_000)


def problems_to_plain(problems: Iterable[Problem]) -> list[list[str]]:
    """Problems as plain data, without where they happened."""
    return [[p.step, p.code, p.detail, p.severity.value] for p in problems]


def problems_from_plain(rows: Any) -> Iterable[Problem]:
    """Problems from plain data, or ProtocolError."""
    if not isinstance(rows, list) or len(rows) > 1_000:
        raise ProtocolError("problems are not a short list")
    for step, code, detail, severity in rows:
        yield Problem(_word(step, 40), _word(code, 80), text(detail, 2_000), Severity(severity))


def _hex(value: dict[str, Any], name: str, lengths: tuple[int, ...]) -> bytes:
    try:
        raw = bytes.fromhex(value[name])
    except (KeyError, ValueError, TypeError) as error:
        raise ProtocolError(f"{name} is not hex") from error
    if len(raw) not in lengths:
        raise ProtocolError(f"{name} has {len(raw)} bytes")
    return raw


def text(value: Any, longest: int) -> str:
    """A text of at most so many characters, or ProtocolError."""
    if not isinstance(value, str) or len(value) > longest:
        raise ProtocolError("a text field is no text or too long")
    return value


def _word(value: Any, longest: int) -> str:
    """A text of our own choosing: what else is in it was put there by something else."""
    word = text(value, longest)
    if not (word.isascii() and word.isprintable()):
        raise ProtocolError("a word with characters that do not belong there")
    return word


def integer(value: Any, lowest: int, highest: int) -> int:
    """A whole number of that range, or ProtocolError."""
    if not isinstance(value, int) or isinstance(value, bool) or not lowest <= value <= highest:
        raise ProtocolError("a number is out of range")
    return value


def _bytes_read(value: Any) -> int:
    return integer(value, 0, 1 << 62)


def _optional_integer(value: Any) -> int | None:
    return None if value is None else integer(value, 0, 1 << 40)


def _optional_number(value: Any) -> float | None:
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise ProtocolError("a number field is no number")
    if not 0 <= value <= MOST_SECONDS:  # false for NaN too
        raise ProtocolError("a number is out of range")
    return float(value)
