"""A document as plain blocks: what stands in it, said once; docx_file.py and pdf_file.py only lay it out.

Texts are as the case has them: whoever lays a block out shows each through :func:`caid_triage.report.text.shown`.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum

# A text, or several lines of one cell.
Words = str | tuple[str, ...]
# More of one line has no room in a cell: a page must hold any row. The lists have it whole.
MOST_IN_A_CELL = 240


class Mood(StrEnum):
    """How a paragraph is said."""

    PLAIN = "plain"
    ANSWER = "answer"
    NOTE = "note"
    WARNING = "warning"


@dataclass(frozen=True, slots=True)
class Heading:
    """A heading of a section."""

    text: str


@dataclass(frozen=True, slots=True)
class Paragraph:
    """A paragraph; ``lead`` stands before it in bold."""

    text: str
    mood: Mood = Mood.PLAIN
    lead: str = ""


@dataclass(frozen=True, slots=True)
class Bullets:
    """A list: each a part in bold, which may be empty, and the rest."""

    items: Sequence[tuple[str, str]]


@dataclass(frozen=True, slots=True)
class Facts:
    """Names and values, two columns."""

    items: Sequence[tuple[str, Words]]


@dataclass(frozen=True, slots=True)
class Column:
    """A column of a table: its title, its share of the width, and whether it holds figures."""

    title: str
    share: float
    figures: bool = False


@dataclass(frozen=True, slots=True)
class Grid:
    """A table with a header row. The last ``totals`` rows are sums."""

    caption: str
    columns: Sequence[Column]
    rows: Sequence[Sequence[Words]]
    totals: int = 0


@dataclass(frozen=True, slots=True)
class Signature:
    """Lines to be filled in by hand."""

    labels: Sequence[str]


Block = Heading | Paragraph | Bullets | Facts | Grid | Signature


@dataclass(frozen=True, slots=True)
class Document:
    """A document: its title and the line under it, what its footer says, whether its pages lie on their side."""

    title: str
    subtitle: str
    footer: str
    blocks: Sequence[Block]
    landscape: bool = False


def lines_of(words: Words) -> tuple[str, ...]:
    """The lines of a cell."""
    return (words,) if isinstance(words, str) else words


def short(text: str, most: int = MOST_IN_A_CELL) -> str:
    """A text of a length that a cell has room for: of a longer one its ends, and how much is left out."""
    if len(text) <= most + 40:  # the words for what is left out need room too
        return text
    half = most // 2
    return f"{text[:half]} [... {len(text) - 2 * half:,} characters, see the lists ...] {text[-half:]}"


def texts(document: Document) -> Iterator[str]:
    """Every text of a document in its order, as the case has it: for whoever compares what was laid out."""
    yield from (document.title, document.subtitle)
    for block in document.blocks:
        match block:
            case Heading(text):
                yield text
            case Paragraph(text, _, lead):
                yield from filter(None, (lead, text))
            case Bullets(items):
                yield from (text for item in items for text in item if text)
            case Facts(items):
                yield from (line for name, words in items for line in (name, *lines_of(words)))
            case Grid(caption, columns, rows):
                yield caption
                yield from (column.title for column in columns)
                yield from (line for row in rows for words in row for line in lines_of(words))
            case Signature(labels):
                yield from labels
