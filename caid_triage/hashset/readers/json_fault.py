"""Where a broken JSON file breaks, to the byte, and what stands around it (key names only, never a hash)."""

from __future__ import annotations

import re
from contextlib import suppress
from pathlib import Path

import ijson

from caid_triage.hashset.readers.json_pieces import HostileJsonError, Pieces

# Everything a back end can raise on bad text: its own tree, numbers out of range, texts that are not UTF-8.
PARSE_ERRORS = (ijson.JSONError, ValueError, ArithmeticError, RecursionError)
_KEY = re.compile(rb'"([A-Za-z0-9@.$_]{1,40})"\s*:')
_BETWEEN = b" \t\r\n,:"


def locate_fault(path: Path, head: bytes, failing_piece: int, known_keys: frozenset[str]) -> tuple[int, str]:
    """(byte offset of the fault, one phrase about it) of a file whose piece number ``failing_piece`` was refused.

    The pieces before it are parsed again whole and that one byte by byte. ``failing_piece`` beyond the
    last piece means that the text ended too early.
    """
    events = ijson.sendable_list()
    parser = ijson.basic_parse_coro(events)
    near_end = b""
    with path.open("rb") as file:
        pieces = Pieces(iter(lambda: file.read(65_536), b""), head)
        start = pieces.begin
        try:
            for piece in pieces:
                if pieces.count == failing_piece:
                    token, where = _feed_bytes(parser, events, piece)
                    around = near_end + piece[:where]
                    return start + pieces.length_in_file(piece[:token]), _phrase(around, known_keys)
                parser.send(piece)
                events.clear()
                start, near_end = pieces.offset, piece[-400:]
        except HostileJsonError as error:
            return pieces.offset, str(error)
        except (*PARSE_ERRORS, StopIteration):
            return start, _phrase(near_end, known_keys)
        finally:
            abandon(parser)
    return start, "the file ends in the middle of the data" + _after_key(near_end, known_keys)


def abandon(parser: ijson.sendable_list) -> None:
    """Close a parser in the middle of a text on purpose: left to the garbage collector it complains on stderr."""
    with suppress(*PARSE_ERRORS, StopIteration, RuntimeError):
        parser.close()


def _feed_bytes(parser: ijson.sendable_list, events: ijson.sendable_list, piece: bytes) -> tuple[int, int]:
    """(where the offending token begins, where the parser stopped) in a piece, by feeding it byte by byte."""
    good = 0
    for position in range(len(piece)):
        try:
            parser.send(piece[position : position + 1])
        except (*PARSE_ERRORS, StopIteration):
            # A word or text is often refused only at its end: go back to where it begins.
            good = position if events else good
            rest = piece[good:position]
            token = good + len(rest) - len(rest.lstrip(_BETWEEN))
            return token, position
        if events:
            good = position + 1
            events.clear()
    return len(piece), len(piece)


def _phrase(before: bytes, known_keys: frozenset[str]) -> str:
    return "not valid JSON" + _after_key(before, known_keys)


def _after_key(before: bytes, known_keys: frozenset[str]) -> str:
    """ " after the key NAME" for the last key of the data model before the fault; "" if there is none near."""
    for key in reversed(_KEY.findall(before)):
        name = key.decode("ascii")
        if name.lower() in known_keys:
            return f' shortly after the key "{name}"'
    return ""
