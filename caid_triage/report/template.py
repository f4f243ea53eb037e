"""A unit's own Word file as the template of its documents: letterhead, styles, header and footer stay as they are.

It is a file from outside and read as hostile: no macro, no embedded object, nothing that a word processor would fetch
from elsewhere or run when it opens the document, no more than it can hold. The case keeps its copy (``template.docx``),
so that the same document can be made again.
"""

from __future__ import annotations

import re
import struct
import zipfile
import zlib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, Any

from caid_triage.errors import UsageError
from caid_triage.report.blocks import Bullets, Column, Document, Facts, Grid, Heading, Mood, Paragraph, Signature
from caid_triage.report.template_parts import CONTENT_TYPES, amiss_in, is_xml

if TYPE_CHECKING:
    from docx.document import Document as WordFile

TEMPLATE = "template.docx"
MARK = "content"  # {{content}}: the paragraph that the document takes the place of
MOST_BYTES = 32 << 20
MOST_UNPACKED = 64 << 20
MOST_MEMBERS = 2000
MOST_MARKS = 200_000  # "<" in all parts of XML: each is an element, or the end of one, and costs some microseconds
# What the library of archives, which checks little before it reads, meets in damaged ones.
_NO_ARCHIVE = (zipfile.BadZipFile, zlib.error, OSError, EOFError, ValueError, LookupError, RuntimeError, struct.error)
# What the library of Word files meets in parts that do not fit together.
_MISFITS = (LookupError, ValueError, TypeError, AttributeError, RecursionError, AssertionError)
# A document with every kind of block, to be written into a template before it is used.
TRIAL = Document(
    "Trial", "of a template", "", (
        Heading("1"), Paragraph("2", Mood.ANSWER, "3"), Paragraph("4", Mood.WARNING, "5"), Bullets([("6", "7")]),
        Facts([("8", "9")]), Grid("10", [Column("11", 1.0)], [["12"]], totals=1), Signature(["13"]),
    ),
)  # fmt: skip
_PLACEHOLDER = re.compile(r"\{\{\s*(\w+)\s*\}\}")


def read_template(path: Path) -> bytes:
    """The bytes of a template that may be used. UsageError says in words why one may not."""
    try:
        with path.open("rb") as file:
            content = file.read(MOST_BYTES + 1)
    except OSError as fault:
        raise UsageError(f"the template {path.name} cannot be read: {fault.strerror or fault}") from fault
    check_template(content, path.name)
    return content


def case_template(folder: Path) -> bytes | None:
    """The template that a case keeps, None where it has none. UsageError where it may not be used."""
    path = folder / TEMPLATE
    return read_template(path) if path.is_file() else None


def check_template(content: bytes, name: str) -> None:
    """UsageError for what is no plain Word file, or holds what a letterhead has no need of."""
    try:
        for what in _amiss(content):
            raise UsageError(f"the template {name} is not used: {what}")
        _tried(content, name)
    except _NO_ARCHIVE as fault:
        raise UsageError(f"the template {name} is not used: it is no whole Word file (.docx): {fault}") from fault


@contextmanager
def fitting_together(name: str) -> Iterator[None]:
    """Turn what python-docx raises where the parts of a file do not fit together into a UsageError."""
    from docx.exceptions import PythonDocxError  # noqa: PLC0415 - heavy
    from docx.opc.exceptions import OpcError  # noqa: PLC0415
    from docx.oxml.exceptions import XmlchemyError  # noqa: PLC0415
    from lxml.etree import LxmlError  # noqa: PLC0415

    try:
        yield
    except (PythonDocxError, OpcError, XmlchemyError, LxmlError, *_MISFITS) as fault:
        what = f"its parts do not fit together ({type(fault).__name__}); save it again with a word processor"
        raise UsageError(f"the template {name} is not used: {what}") from fault


def _tried(content: bytes, name: str) -> None:
    """UsageError for a file that no document can be written into: one of every kind of block is, and read again."""
    import docx  # noqa: PLC0415 - heavy

    from caid_triage.report.docx_file import write_docx  # noqa: PLC0415

    made = BytesIO()
    write_docx(TRIAL, {"title": "x"}, made, content, name)
    with fitting_together(name):
        said = [paragraph.text for paragraph in docx.Document(BytesIO(made.getvalue())).paragraphs]
        if not any(TRIAL.title in text for text in said):
            raise UsageError(f"the template {name} is not used: what is written into it does not stand in it")


def _amiss(content: bytes) -> Iterator[str]:
    """Why a file may not be used, the first reason first."""
    if len(content) > MOST_BYTES:
        yield f"it is larger than {MOST_BYTES >> 20} MiB"
    with zipfile.ZipFile(BytesIO(content)) as archive:
        members = archive.infolist()
        if len(members) > MOST_MEMBERS or sum(member.file_size for member in members) > MOST_UNPACKED:
            yield f"it unpacks to more than {MOST_UNPACKED >> 20} MiB or {MOST_MEMBERS} parts"
        names = [member.filename for member in members]
        if len({name.lower() for name in names}) < len(names):
            yield "two of its parts have one name"
        if any(name.startswith("/") or "\\" in name or ".." in name.split("/") for name in names):
            yield "a part's name leads out of it"
        if any(member.flag_bits & 1 for member in members):
            yield "it is encrypted: save it without a password"
        if CONTENT_TYPES not in names:
            yield "it is no Word file (.docx)"
        if any("vbaproject" in name.lower() for name in names):
            yield "it has macros: save it as a Word document (.docx) without them"
        if any(folder in name.lower() for name in names for folder in ("/embeddings/", "/activex/")):
            yield "it has embedded objects: take them out"
        marks = 0
        for name in [CONTENT_TYPES, *(name for name in names if name != CONTENT_TYPES)]:
            with archive.open(name) as part:  # read to the size that it states and no further
                content = part.read(MOST_UNPACKED)
            if is_xml(name, content):
                marks += content.count(b"<")
                if marks > MOST_MARKS:
                    yield f"it has more than {MOST_MARKS // 2:,} elements: take out what is no letterhead"
                yield from amiss_in(name, content)


def fill(word: WordFile, values: Mapping[str, str], laid: Sequence[Any]) -> None:
    """Put values in the place of ``{{name}}``, and the elements in ``laid`` in that of the paragraph ``{{content}}``.

    Without such a paragraph they stay where they are, at the end. Names that are not known stay as they are.
    """
    ours = {id(element) for element in laid}
    mark = None
    for paragraph in _paragraphs(word):
        element = paragraph._p
        if any(id(one) in ours for one in (element, *element.iterancestors())):
            continue  # what the case says is never read as a placeholder
        named = _PLACEHOLDER.fullmatch(paragraph.text.strip())
        if mark is None and named and named[1] == MARK and element.getparent() is word.element.body:
            mark = element
        else:
            _replace(paragraph, values)
    if mark is not None:
        for element in laid:
            mark.addprevious(element)
        mark.getparent().remove(mark)


def _paragraphs(word: WordFile) -> Iterator[Any]:
    """Every paragraph of the body, its tables, and the headers and footers."""
    yield from _of(word)
    for section in word.sections:
        for part in (
            section.header, section.footer, section.first_page_header, section.first_page_footer,
            section.even_page_header, section.even_page_footer,
        ):  # fmt: skip
            if not part.is_linked_to_previous:
                yield from _of(part)


def _of(holder: Any) -> Iterator[Any]:
    from docx.oxml.ns import qn  # noqa: PLC0415 - heavy
    from docx.text.paragraph import Paragraph as WordParagraph  # noqa: PLC0415

    element = holder.element.body if hasattr(holder, "element") else holder._element
    yield from (WordParagraph(found, holder) for found in element.iter(qn("w:p")))


def _replace(paragraph: Any, values: Mapping[str, str]) -> None:
    """Replace placeholders in a paragraph, also where a word processor cut one into several runs.

    The value takes the look of the run in which its placeholder begins.
    """
    from docx.oxml.ns import qn  # noqa: PLC0415 - heavy
    from docx.text.run import Run  # noqa: PLC0415

    # Those in links and in fields to fill in too, but not those of a text box, which has paragraphs of its own.
    own = (one for one in paragraph._p.iter(qn("w:r")) if next(one.iterancestors(qn("w:p"))) is paragraph._p)
    runs = [Run(one, paragraph) for one in own]
    pieces = [run.text for run in runs]
    whole = "".join(pieces)
    found = [one for one in _PLACEHOLDER.finditer(whole) if one[1] in values]
    for one in reversed(found):
        _put(pieces, one.start(), one.end(), values[one[1]])
    for run, before, after in zip(runs, [run.text for run in runs], pieces, strict=True):
        if found and before != after:
            run.text = after


def _put(pieces: list[str], start: int, end: int, value: str) -> None:
    """Put ``value`` in the place of characters ``start`` to ``end`` of the joined ``pieces``, in place."""
    begin = 0
    for place, piece in enumerate(pieces):
        after = begin + len(piece)
        if begin < end and start < after:
            head, tail = piece[: max(0, start - begin)], piece[max(0, end - begin) :]
            pieces[place] = head + (value if start >= begin else "") + tail
        begin = after
