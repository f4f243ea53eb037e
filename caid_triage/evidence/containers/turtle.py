"""The little of RDF's Turtle that AFF4 images use: subjects, predicates and plain objects, nothing nested.

Source: W3C, "RDF 1.1 Turtle". Blank nodes and collections do not occur in images and are refused.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass

LONGEST = 64 << 20
_TYPE = "http://www.w3.org/1999/02/22-rdf-syntax-ns#type"
_TOKEN = re.compile(
    r"""
    (?P<space>\s+|\#[^\n]*)
  | <(?P<uri>[^<>\s]*)>
  | "{3}(?P<long>(?:[^"\\]|\\.|"(?!""))*+)(?:"{3}|(?P<open>))
  | "(?P<text>(?:[^"\\\n]|\\.)*)"
  | (?P<mark>\^\^|[.;,](?=[\s<"]|$))
  | (?P<language>@[A-Za-z][A-Za-z0-9-]*)
  | (?P<name>[^\s<>"';,\[\]()\^]*[^\s<>"';,\[\]()\^.])
    """,
    re.VERBOSE,
)
_ESCAPE = re.compile(r"\\(?:u([0-9A-Fa-f]{4})|U([0-9A-Fa-f]{8})|(.))", re.DOTALL)
_ESCAPED = {"n": "\n", "t": "\t", "r": "\r", "b": "\b", "f": "\f"}


@dataclass(frozen=True, slots=True)
class Value:
    """An object of a statement: its text (or URI), and the URI of its datatype ("" for URIs and plain text)."""

    text: str
    datatype: str = ""


Statements = dict[str, dict[str, list[Value]]]
"""Subject -> predicate -> objects, all names as full URIs."""


def parse_turtle(source: str) -> Statements:
    """Every statement of a document. Errors: ValueError."""
    prefixes: dict[str, str] = {}
    found: Statements = {}
    tokens = list(_tokens(source))
    at = 0

    def resolved(kind: str, text: str) -> str:
        if kind == "uri":
            return text
        prefix, colon, rest = text.partition(":")
        if kind != "name" or not colon or prefix not in prefixes:
            raise ValueError(f"the description of the image has an unknown name: {text[:80]}")
        return prefixes[prefix] + rest

    try:
        while at < len(tokens):
            kind, text = tokens[at]
            if kind == "language" and text in ("@prefix", "@base"):
                name = tokens[at + 1][1].rstrip(":") if text == "@prefix" else ""
                prefixes[name] = tokens[at + (2 if text == "@prefix" else 1)][1]
                at += 4 if text == "@prefix" else 3
                continue
            subject = found.setdefault(resolved(kind, text), {})
            at += 1
            while True:
                kind, text = tokens[at]
                values = subject.setdefault(_TYPE if (kind, text) == ("name", "a") else resolved(kind, text), [])
                at += 1
                while True:
                    value, at = _object(tokens, at, resolved)
                    values.append(value)
                    mark = tokens[at]
                    at += 1
                    if mark != ("mark", ","):
                        break
                while mark == ("mark", ";") and at < len(tokens) and tokens[at] == ("mark", ";"):
                    at += 1
                if mark == ("mark", ";") and tokens[at] == ("mark", "."):
                    mark = tokens[at]
                    at += 1
                if mark == ("mark", "."):
                    break
                if mark != ("mark", ";"):
                    raise ValueError("the description of the image is damaged: a statement has no end")
    except IndexError as error:
        raise ValueError("the description of the image is cut off") from error
    return found


def types_of(statements: Statements, subject: str) -> set[str]:
    """The classes that a subject says it is of."""
    return {value.text for value in statements.get(subject, {}).get(_TYPE, ())}


def _object(tokens: list[tuple[str, str]], at: int, resolved: Callable[[str, str], str]) -> tuple[Value, int]:
    kind, text = tokens[at]
    at += 1
    if kind in ("text", "long"):
        datatype = ""
        if tokens[at] == ("mark", "^^"):
            datatype = resolved(*tokens[at + 1])
            at += 2
        elif tokens[at][0] == "language":
            at += 1
        return Value(_ESCAPE.sub(_unescaped, text), datatype), at
    if kind == "name" and re.fullmatch(r"[+-]?[0-9.eE+-]+|true|false", text):
        return Value(text), at
    return Value(resolved(kind, text)), at


def _unescaped(match: re.Match[str]) -> str:
    if match[3]:
        return _ESCAPED.get(match[3], match[3])
    number = int(match[1] or match[2], 16)
    return chr(number) if number <= 0x10FFFF else "\ufffd"


def _tokens(source: str) -> Iterator[tuple[str, str]]:
    at = 0
    while at < len(source):
        match = _TOKEN.match(source, at)
        # A long text that nothing closes ends the reading: each further one would be followed to the end again.
        if match is None or match.end() == at or match["open"] is not None:
            raise ValueError(f"the description of the image is damaged at character {at}")
        at = match.end()
        if match.lastgroup and match.lastgroup != "space":
            yield match.lastgroup, match[match.lastgroup]
