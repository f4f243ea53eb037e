"""A document as PDF: an embedded Unicode font, pages numbered "n of m", the same bytes for the same document.

The font is DejaVu Sans Condensed (fonts/, with its licence). A character that it has no glyph for is printed as its
number, ``<U+4E2D>``, never left out. Nothing is put in another order: letters of scripts that run from right to left
stand one after the other as they are stored, so no name can pass for another by its reading order.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from functools import lru_cache
from importlib import resources
from typing import Any, BinaryIO
from xml.sax.saxutils import escape

from reportlab.lib import colors
from reportlab.lib.enums import TA_RIGHT
from reportlab.lib.pagesizes import A4, landscape
from reportlab.lib.styles import ParagraphStyle
from reportlab.lib.units import mm
from reportlab.pdfbase import pdfmetrics
from reportlab.pdfbase.ttfonts import TTFont
from reportlab.pdfgen.canvas import Canvas
from reportlab.platypus import BaseDocTemplate, CondPageBreak, Flowable, Frame, PageTemplate, Spacer, Table, TableStyle
from reportlab.platypus import Paragraph as Lines

from caid_triage.report.blocks import (
    Block,
    Bullets,
    Column,
    Document,
    Facts,
    Grid,
    Heading,
    Mood,
    Paragraph,
    Signature,
    Words,
    lines_of,
    short,
)
from caid_triage.report.text import shown

PLAIN, BOLD = "CaidSans", "CaidSans-Bold"
FONTS = {PLAIN: "DejaVuSansCondensed.ttf", BOLD: "DejaVuSansCondensed-Bold.ttf"}
LANGUAGE = "en-GB"
MARGIN = 17 * mm
INK, RULE, SHADE = colors.black, colors.Color(0.45, 0.45, 0.45), colors.Color(0.9, 0.9, 0.9)
MOST_FOOTER = 110
CELL, PADDING = 7.5, 3
OUR_FONT = ("FONT", (0, 0), (-1, -1), PLAIN)  # a table names one of reportlab's own otherwise, which is not embedded
# Of one row: how many lines its cells may have, and how many they may take when they are broken to the width.
MOST_LINES, MOST_WRAPPED = 10, 44
_GLYPHLESS = re.compile("<(?=U[+][0-9A-F]{4,6}>)")


@lru_cache(maxsize=1)
def glyphs() -> dict[str, frozenset[int]]:
    """The characters that each of the fonts can draw; the fonts are known to reportlab from then on."""
    found = {}
    for name, file in FONTS.items():
        with resources.as_file(resources.files("caid_triage.report") / "fonts" / file) as path:
            font = TTFont(name, str(path))
        pdfmetrics.registerFont(font)
        found[name] = frozenset(font.face.charToGlyph)
    pdfmetrics.registerFontFamily(PLAIN, normal=PLAIN, bold=BOLD, italic=PLAIN, boldItalic=BOLD)
    return found


def drawable(text: str, font: str = PLAIN) -> str:
    """A text as it is printed: made safe (:func:`text.shown`), characters without a glyph as ``<U+XXXX>``.

    A text that has such a writing in it already has its "<" as an escape: no name is printed as another one.
    """
    known = glyphs()[font]
    safe = _GLYPHLESS.sub("\\\\u{003c}", shown(text))
    return "".join(sign if ord(sign) in known else f"<U+{ord(sign):04X}>" for sign in safe)


def write_pdf(document: Document, out: BinaryIO) -> None:
    """Write a document."""
    glyphs()
    size = landscape(A4) if document.landscape else A4
    pages = BaseDocTemplate(
        out,
        pagesize=size,
        leftMargin=MARGIN,
        rightMargin=MARGIN,
        topMargin=15 * mm,
        bottomMargin=18 * mm,
        title=document.title,
        subject=drawable(document.footer),
        author="caid-triage",
        creator="caid-triage",
        lang=LANGUAGE,
        displayDocTitle=True,
        invariant=1,
        initialFontName=PLAIN,
    )
    frame = Frame(MARGIN, 18 * mm, size[0] - 2 * MARGIN, size[1] - 33 * mm, 0, 0, 0, 0)
    pages.addPageTemplates([PageTemplate("page", [frame])])
    width = size[0] - 2 * MARGIN
    story: list[Flowable] = [_Marked(document.title, _style(16, bold=True, after=2), 0)]
    story.append(Lines(_markup(document.subtitle), _style(8.5, after=6)))
    for block in document.blocks:
        story.extend(_flowables(block, width))
    pages.build(story, canvasmaker=_numbered(drawable(document.footer)))


def _numbered(footer: str) -> type[Canvas]:
    """A canvas that knows, when it is saved, of how many pages each is one."""
    line = footer if len(footer) <= MOST_FOOTER else footer[: MOST_FOOTER - 3] + "..."

    class Numbered(Canvas):  # type: ignore[misc]
        def __init__(self, *args: Any, **keywords: Any) -> None:
            super().__init__(*args, **keywords)
            self._pages: list[dict[str, Any]] = []

        def showPage(self) -> None:  # noqa: N802 - reportlab's name
            self._pages.append(dict(self.__dict__))
            self._startPage()

        def save(self) -> None:
            for number, state in enumerate(self._pages, start=1):
                self.__dict__.update(state)
                self.setFont(PLAIN, 7.5)
                width = self._pagesize[0]
                self.drawString(MARGIN, 10 * mm, line)
                self.drawRightString(width - MARGIN, 10 * mm, f"Page {number} of {len(self._pages)}")
                self.setLineWidth(0.4)
                self.line(MARGIN, 13.5 * mm, width - MARGIN, 13.5 * mm)
                Canvas.showPage(self)
            Canvas.save(self)

    return Numbered


class _Marked(Lines):  # type: ignore[misc]
    """A heading that stands in the outline of the file too."""

    def __init__(self, text: str, style: ParagraphStyle, level: int) -> None:
        super().__init__(_markup(text, BOLD), style)
        self._entry, self._level = text, level

    def draw(self) -> None:
        """Draw it, and note its place."""
        key = f"heading-{self.canv.getPageNumber()}-{self._entry}"
        self.canv.bookmarkPage(key)
        self.canv.addOutlineEntry(self._entry, key, self._level)
        super().draw()


@lru_cache(maxsize=64)
def _style(
    size: float, *, bold: bool = False, right: bool = False, before: float = 0, after: float = 0
) -> ParagraphStyle:
    return ParagraphStyle(
        f"{size}-{bold}-{right}-{before}-{after}",
        fontName=BOLD if bold else PLAIN,
        fontSize=size,
        leading=size * 1.25,
        spaceBefore=before,
        spaceAfter=after,
        textColor=INK,
        splitLongWords=True,
        **({"alignment": TA_RIGHT} if right else {}),
    )


def _markup(text: str, font: str = PLAIN) -> str:
    """A text as reportlab's paragraphs take it: none of it is markup."""
    return escape(drawable(text, font))


def _flowables(block: Block, width: float) -> list[Flowable]:
    match block:
        case Heading(text):
            return [CondPageBreak(40 * mm), _Marked(text, _style(12, bold=True, before=9, after=3), 1)]
        case Paragraph(text, mood, lead):
            return _paragraph(text, mood, lead, width)
        case Bullets(items):
            return [_bullet(lead, text) for lead, text in items]
        case Facts(items):
            columns = (Column("", 0.3), Column("", 0.7))
            return [_table(width, columns, [(name, words) for name, words in items], bold_first=True), Spacer(0, 3)]
        case Grid(caption, columns, rows, totals):
            above = Lines(_markup(caption, BOLD), _style(9, bold=True, before=5, after=2))
            return [
                CondPageBreak(25 * mm),
                above,
                _table(width, columns, rows, header=True, totals=totals),
                Spacer(0, 4),
            ]
        case Signature(labels):
            columns = (Column("", 0.3), Column("", 0.7))
            return [_table(width, columns, [(label, "") for label in labels], height=11 * mm)]


def _paragraph(text: str, mood: Mood, lead: str, width: float) -> list[Flowable]:
    if mood is Mood.ANSWER:
        said = [Lines(_markup(lead, BOLD), _style(15, bold=True, after=3)), Lines(_markup(text), _style(9.5))]
        box = Table([[said]], colWidths=[width])
        box.setStyle(
            TableStyle([OUR_FONT, ("BOX", (0, 0), (-1, -1), 1.5, INK), ("BACKGROUND", (0, 0), (-1, -1), SHADE)])
        )
        return [box, Spacer(0, 4)]
    before = f"{_markup(lead, BOLD)}{': ' if mood is Mood.WARNING and not lead.endswith(' ') else ''}" if lead else ""
    if mood is Mood.WARNING:
        box = Table([[Lines(before + _markup(text, BOLD), _style(9, bold=True))]], colWidths=[width])
        box.setStyle(TableStyle([OUR_FONT, ("BOX", (0, 0), (-1, -1), 1, INK)]))
        return [box, Spacer(0, 4)]
    size = 7.5 if mood is Mood.NOTE else 9
    marked = (f'<font name="{BOLD}">{before}</font>' if before else "") + _markup(text)
    return [Lines(marked, _style(size, after=3))]


def _bullet(lead: str, text: str) -> Flowable:
    before = f'<font name="{BOLD}">{_markup(lead, BOLD)}{": " if text else ""}</font>' if lead else ""
    return Lines(f"- {before}{_markup(text)}", _style(9, after=2))


def _table(
    width: float,
    columns: Sequence[Column],
    rows: Sequence[Sequence[Words]],
    *,
    header: bool = False,
    totals: int = 0,
    bold_first: bool = False,
    height: float | None = None,
) -> Table:
    """A table with grey rules. Its row of titles comes again on each page; one of many lines goes on in a further row.

    reportlab's own way to break a row (splitInRow) loses cells of a fixed height.
    """
    widths = [column.share * width for column in columns]

    def cells(row: Sequence[Words], *, bold: bool) -> list[Flowable]:
        return [
            _cell(words, wide, bold=bold or (bold_first and place == 0), right=column.figures)
            for place, (column, wide, words) in enumerate(zip(columns, widths, row, strict=True))
        ]

    titles = [cells([column.title for column in columns], bold=True)] if header else []
    last = len(rows) - totals
    body = [cells(part, bold=place >= last) for place, row in enumerate(rows) for part in _parts(row)]
    table = Table(
        titles + body,
        colWidths=widths,
        rowHeights=None if height is None else [height] * (len(titles) + len(body)),
        repeatRows=len(titles),
    )
    style = [
        OUR_FONT,
        ("GRID", (0, 0), (-1, -1), 0.4, RULE),
        ("VALIGN", (0, 0), (-1, -1), "TOP"),
        ("LEFTPADDING", (0, 0), (-1, -1), PADDING),
        ("RIGHTPADDING", (0, 0), (-1, -1), PADDING),
        ("TOPPADDING", (0, 0), (-1, -1), 2),
        ("BOTTOMPADDING", (0, 0), (-1, -1), 3),
    ]
    if header:
        style.append(("BACKGROUND", (0, 0), (-1, 0), SHADE))
    if totals:
        style.append(("LINEABOVE", (0, -totals), (-1, -totals), 1.2, INK))
    table.setStyle(TableStyle(style))
    return table


def _parts(row: Sequence[Words]) -> Iterator[Sequence[Words]]:
    """A row as one or more, none with a cell of more lines than MOST_LINES."""
    cells = [lines_of(words) for words in row]
    for begin in range(0, max(map(len, cells)) or 1, MOST_LINES):
        yield [lines[begin : begin + MOST_LINES] for lines in cells]


def _cell(words: Words, width: float, *, bold: bool, right: bool) -> Flowable:
    """The lines of a cell, each cut to its share of what a page has room for."""
    font, lines = BOLD if bold else PLAIN, lines_of(words)
    room = (width - 2 * PADDING) * MOST_WRAPPED // max(len(lines), 1)
    fitting = [escape(_cut(drawable(line, font), font, room)) for line in lines]
    return Lines("<br/>".join(fitting), _style(CELL, bold=bold, right=right))


def _cut(text: str, font: str, room: float) -> str:
    """A text that is no longer than ``room`` when it is set in one line: its beginning and end, if it has to be."""
    taken = pdfmetrics.stringWidth(text, font, CELL)
    return text if taken <= room else short(text, max(int(len(text) * room / taken) - 60, 20))
