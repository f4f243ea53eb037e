"""Word files that a unit hands in as the template of its documents.

The first byte says which part of a whole one the rest takes the place of, 0 that it is the file itself. Laws: what is
refused is refused in words that name the file; into what is accepted a document can be written, which opens again,
holds its title and fetches nothing from elsewhere.
"""

from __future__ import annotations

import tempfile
import zipfile
from functools import cache
from io import BytesIO
from pathlib import Path

import docx
from unit.report import exhibits

from caid_triage.case.view import open_case
from caid_triage.errors import UsageError
from caid_triage.report.court import CourtFacts, court_facts
from caid_triage.report.docx_file import placeholders, write_docx
from caid_triage.report.schedule import schedule
from caid_triage.report.template import check_template
from fuzz.target import Target, expect

PARTS = (
    "", "word/document.xml", "word/styles.xml", "word/header1.xml", "word/_rels/document.xml.rels",
    "[Content_Types].xml", "_rels/.rels", "word/settings.xml", "docProps/core.xml", "word/numbering.xml",
)  # fmt: skip


@cache
def _facts() -> CourtFacts:
    with tempfile.TemporaryDirectory(prefix="fuzz") as made:
        folder = exhibits.make_case(Path(made) / "case", exhibits.busy_items()[:4])
        with open_case(folder) as view:
            return court_facts(view)


@cache
def _parts() -> dict[str, bytes]:
    """The parts of a small letterhead."""
    word = docx.Document()
    word.sections[0].header.paragraphs[0].text = "A unit, {{reference}}"
    word.add_paragraph("{{content}}")
    made = BytesIO()
    word.save(made)
    with zipfile.ZipFile(made) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def _file(changed: str = "", content: bytes = b"") -> bytes:
    made = BytesIO()
    with zipfile.ZipFile(made, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
        for name, part in _parts().items():
            archive.writestr(name, content if name == changed else part)
    return made.getvalue()


def check(data: bytes) -> str:
    name, body = PARTS[(data[0] if data else 0) % len(PARTS)], data[1:]
    template = _file(name, body) if name else body
    try:
        check_template(template, "unit.docx")
    except UsageError as refused:
        expect("unit.docx" in str(refused), "a refusal that does not name the file")
        return "refused"
    made, document = BytesIO(), schedule(_facts())
    write_docx(document, placeholders(document, _facts()), made, template)
    word = docx.Document(BytesIO(made.getvalue()))
    expect(any(document.title in paragraph.text for paragraph in word.paragraphs), "a document without its title")
    for part in word.part.package.iter_parts():
        outer = [one for one in part.rels.values() if one.is_external and not one.reltype.endswith("/hyperlink")]
        expect(not outer, "a document that fetches something from elsewhere")
    return "used"


def seeds() -> dict[str, bytes]:
    """Each part of a letterhead, and the whole of it."""
    made = {name: bytes([place]) + _parts()[name] for place, name in enumerate(PARTS) if name in _parts()}
    return made | {"whole": b"\0" + _file()}


TARGET = Target(
    "templates", "Word files as templates", seeds, check, (), longest=1 << 18, seconds=6.0, seconds_per_kib=0.2
)
