"""A document as a Word file (OOXML), in our own plain style or in a template of the unit's own.

The same blocks give the same bytes: dates inside the file are fixed, members of the archive carry the earliest time
that a ZIP can say.
"""

from __future__ import annotations

import zipfile
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from io import BytesIO
from typing import TYPE_CHECKING, Any, BinaryIO

import docx
from docx.enum.section import WD_ORIENT
from docx.enum.style import WD_STYLE_TYPE
from docx.enum.text import WD_ALIGN_PARAGRAPH
from docx.oxml import OxmlElement
from docx.oxml.ns import qn
from docx.shared import Emu, Length, Mm, Pt, RGBColor

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
from caid_triage.report.template import TEMPLATE, fill, fitting_together
from caid_triage.report.text import shown

if TYPE_CHECKING:
    from docx.document import Document as WordFile
    from docx.section import Section
    from docx.table import Table, _Cell
    from docx.text.paragraph import Paragraph as WordParagraph

    from caid_triage.report.court import CourtFacts

# The earliest time that a ZIP can say; the dates inside are of the same day. When a report was written is on record in
# the audit trail.
ZIP_EPOCH = (1980, 1, 1, 0, 0, 0)
EPOCH = datetime(1980, 1, 1, tzinfo=UTC)
LANGUAGE = "en-GB"
SMALL, NORMAL = Pt(8), Pt(10)
GREY = "E6E6E6"


def write_docx(
    document: Document, values: Mapping[str, str], out: BinaryIO, template: bytes | None = None, name: str = TEMPLATE
) -> None:
    """Write a document. Of a ``template``, which has passed :mod:`template`, all is kept but its placeholders.

    ``values`` are what stands in the place of those. UsageError where the parts of the template do not fit together.
    """
    made = BytesIO()
    if template is None:
        word = _plain(document)
        _lay_out(word, document)
        _describe(word, document)
        word.save(made)
    else:
        with fitting_together(name):
            word = docx.Document(BytesIO(template))
            before = list(word.element.body)  # held, so that each stays the same object
            theirs = set(map(id, before))
            _lay_out(word, document)
            fill(word, values, [one for one in word.element.body if id(one) not in theirs])
            _describe(word, document)
            word.save(made)
    _same_bytes(made, out)


def placeholders(document: Document, facts: CourtFacts) -> dict[str, str]:
    """What a template may name, and what then stands there."""
    return {
        "title": document.title,
        "reference": shown(short(facts.reference)),
        "operation": shown(short(facts.operation)),
        "examiner": shown(short(facts.examiner)),
        "contact": shown(short(facts.contact)),
        "exhibits": shown(", ".join(map(short, facts.exhibits))),
        "tool": shown(facts.tool),
        "result": shown(facts.verdict.headline),
    }


def _plain(document: Document) -> WordFile:
    """An empty file of our own: A4, a header row that says what it is, a footer with page numbers."""
    word = docx.Document()
    section = word.sections[0]
    section.page_width, section.page_height = Mm(210), Mm(297)
    if document.landscape:
        section.orientation = WD_ORIENT.LANDSCAPE
        section.page_width, section.page_height = Mm(297), Mm(210)
    section.left_margin = section.right_margin = Mm(17)
    section.top_margin = section.bottom_margin = Mm(18)
    for name, size in (
        ("Normal", NORMAL),
        ("Title", Pt(18)),
        ("Heading 1", Pt(13)),
        ("Caption", Pt(9)),
        ("Footer", SMALL),
    ):
        _set(word, name, size)
    footer = section.footer.paragraphs[0]
    footer.add_run(f"{shown(document.footer)}    Page ")
    _field(footer, "PAGE")
    footer.add_run(" of ")
    _field(footer, "NUMPAGES")
    return word


def _set(word: WordFile, name: str, size: Pt) -> None:
    """Set a style of our own file: one sans serif for all, and black, as a printer without colour shows it."""
    style = word.styles[name]
    style.font.size = size
    style.font.color.rgb = RGBColor(0, 0, 0)
    style.paragraph_format.space_after = Pt(4)
    style.font.name = "Arial"
    fonts = style.element.rPr.rFonts
    for place in list(fonts.attrib):
        if place.endswith("Theme"):  # it would go before the name
            del fonts.attrib[place]


def _field(paragraph: WordParagraph, name: str) -> None:
    """A field that a word processor works out, such as the number of a page."""
    run = paragraph.add_run()
    for kind, text in (("begin", ""), ("", name), ("end", "")):
        element = OxmlElement("w:fldChar" if kind else "w:instrText")
        if kind:
            element.set(qn("w:fldCharType"), kind)
        else:
            element.text = text
        run._r.append(element)


def _describe(word: WordFile, document: Document) -> None:
    core = word.core_properties
    core.title, core.subject, core.language = document.title, shown(document.footer)[:200], LANGUAGE
    core.author, core.last_modified_by, core.comments, core.keywords = "caid-triage", "caid-triage", "", ""
    core.created = core.modified = EPOCH
    core.revision = 1


def _lay_out(word: WordFile, document: Document) -> None:
    """Append the title and every block to the end of the file."""
    _styled(word, "Title", document.title)
    word.add_paragraph(shown(document.subtitle)).runs[0].italic = True
    for block in document.blocks:
        _put(word, block)


def _styled(word: WordFile, style: str, text: str) -> WordParagraph:
    """A paragraph in a style; in bold where a template does not have that."""
    if _has(word, style):
        return word.add_paragraph(shown(text), style=style)
    paragraph = word.add_paragraph()
    paragraph.add_run(shown(text)).bold = True
    return paragraph


def _has(word: WordFile, style: str, kind: WD_STYLE_TYPE = WD_STYLE_TYPE.PARAGRAPH) -> bool:
    return any(one.name == style and one.type == kind for one in word.styles)


def _put(word: WordFile, block: Block) -> None:
    match block:
        case Heading(text):
            _styled(word, "Heading 1", text).paragraph_format.keep_with_next = True
        case Paragraph(text, mood, lead):
            _paragraph(word, text, mood, lead)
        case Bullets(items):
            for lead, text in items:
                bulleted = _has(word, "List Bullet")
                paragraph = word.add_paragraph(style="List Bullet" if bulleted else None)
                if not bulleted:
                    paragraph.add_run("- ")
                if lead:
                    paragraph.add_run(shown(lead) + (": " if text else "")).bold = True
                paragraph.add_run(shown(text))
        case Facts(items):
            columns = (Column("", 0.3), Column("", 0.7))
            _table(word, columns, [(name, words) for name, words in items], bold_first=True)
        case Grid(caption, columns, rows, totals):
            _styled(word, "Caption", caption).paragraph_format.keep_with_next = True
            _table(word, columns, rows, header=True, totals=totals)
        case Signature(labels):
            _table(word, (Column("", 0.3), Column("", 0.7)), [(label, "") for label in labels], height=Mm(11))


def _paragraph(word: WordFile, text: str, mood: Mood, lead: str) -> None:
    if mood is Mood.ANSWER:
        _table(word, (Column("", 1),), [((lead, text),)], boxed=True)
        return
    paragraph = word.add_paragraph()
    if lead:
        paragraph.add_run(shown(lead) + (": " if mood is Mood.WARNING and not lead.endswith(" ") else "")).bold = True
    run = paragraph.add_run(shown(text))
    run.bold = mood is Mood.WARNING
    if mood is Mood.NOTE:
        for one in paragraph.runs:
            one.font.size = SMALL


def _table(
    word: WordFile,
    columns: Sequence[Column],
    rows: Sequence[Sequence[Words]],
    *,
    header: bool = False,
    totals: int = 0,
    bold_first: bool = False,
    boxed: bool = False,
    height: Length | None = None,
) -> None:
    """A table with grey rules. Its first row, of titles, comes again on each page; no row is broken over two."""
    table = word.add_table(len(rows) + header, len(columns))
    if _has(word, "Table Grid", WD_STYLE_TYPE.TABLE):
        table.style = "Table Grid"
    else:
        _ruled(table)
    table.autofit = False
    widths = [Emu(int(column.share * _width(word.sections[-1]))) for column in columns]
    lines = list(table.rows)
    if header:
        for cell, column in zip(lines[0].cells, columns, strict=True):
            _fill(cell, column.title, bold=True, right=column.figures)
            _shade(cell)
        _mark(lines[0], "w:tblHeader")
    last = len(rows) - totals
    for place, (line, row) in enumerate(zip(lines[header:], rows, strict=True)):
        _mark(line, "w:cantSplit")
        if height is not None:
            line.height = height
        for number, (cell, column, words) in enumerate(zip(line.cells, columns, row, strict=True)):
            bold = place >= last or (bold_first and number == 0)
            _fill(cell, words, bold=bold, right=column.figures, answer=boxed)
            if boxed:
                _shade(cell)
            if height is not None and place < len(rows) - 1:  # lines for a signature stand on one page
                for paragraph in cell.paragraphs:
                    paragraph.paragraph_format.keep_with_next = True
    for line in lines:
        for cell, width in zip(line.cells, widths, strict=True):
            cell.width = width
    for column, width in zip(table.columns, widths, strict=True):
        column.width = width
    after = word.add_paragraph().paragraph_format  # tables that touch would be one
    after.space_after, after.line_spacing = Pt(0), Pt(6)


def _fill(cell: _Cell, words: Words, *, bold: bool = False, right: bool = False, answer: bool = False) -> None:
    for place, line in enumerate(lines_of(words)):
        paragraph = cell.paragraphs[0] if place == 0 else cell.add_paragraph()
        paragraph.paragraph_format.space_before = paragraph.paragraph_format.space_after = Pt(1)
        if right:
            paragraph.alignment = WD_ALIGN_PARAGRAPH.RIGHT
        run = paragraph.add_run(shown(line))
        run.bold = bold or (answer and place == 0)
        run.font.size = Pt(14) if answer and place == 0 else NORMAL if answer else SMALL


def _width(section: Section) -> int:
    """The width between the margins of a page; of A4 where a template does not say."""
    page, left, right = section.page_width, section.left_margin, section.right_margin
    width = int(page or Mm(210)) - int(left or 0) - int(right or 0)
    return width if width > Mm(50) else int(Mm(170))


def _shade(cell: _Cell) -> None:
    shade = OxmlElement("w:shd")
    for name, value in (("val", "clear"), ("color", "auto"), ("fill", GREY)):
        shade.set(qn(f"w:{name}"), value)
    cell._tc.get_or_add_tcPr().append(shade)


def _mark(row: Any, name: str) -> None:
    row._tr.get_or_add_trPr().append(OxmlElement(name))


def _ruled(table: Table) -> None:
    borders = OxmlElement("w:tblBorders")
    for side in ("top", "left", "bottom", "right", "insideH", "insideV"):
        border = OxmlElement(f"w:{side}")
        for name, value in (("val", "single"), ("sz", "4"), ("space", "0"), ("color", "808080")):
            border.set(qn(f"w:{name}"), value)
        borders.append(border)
    properties = table._tbl.tblPr
    layout = properties.find(qn("w:tblLayout"))
    if layout is None:
        properties.append(borders)
    else:
        layout.addprevious(borders)  # the order of OOXML


def _same_bytes(made: BytesIO, out: BinaryIO) -> None:
    """Copy an archive with every member's time fixed: python-docx writes the time of day."""
    with zipfile.ZipFile(made) as before, zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED, compresslevel=6) as after:
        for name in before.namelist():
            member = zipfile.ZipInfo(name, ZIP_EPOCH)
            member.compress_type = zipfile.ZIP_DEFLATED
            member.create_system = 3  # the same on every system
            after.writestr(member, before.read(name))
