"""Writers of a document for the case file: as a Word file, as PDF. The libraries are loaded when one is written."""

from __future__ import annotations

from collections.abc import Callable
from typing import BinaryIO

from caid_triage.case.view import CaseView
from caid_triage.report.blocks import Document
from caid_triage.report.court import CourtFacts, court_facts

Make = Callable[[CourtFacts], Document]
DocumentWriter = Callable[[CaseView, BinaryIO], None]


def as_word_file(make: Make) -> DocumentWriter:
    """What writes the document as a Word file, in the case's own template where there is one."""

    def write(view: CaseView, out: BinaryIO) -> None:
        from caid_triage.report.docx_file import placeholders, write_docx  # noqa: PLC0415 - heavy, and only for this
        from caid_triage.report.template import case_template  # noqa: PLC0415

        facts = court_facts(view)
        document = make(facts)
        write_docx(document, placeholders(document, facts), out, case_template(view.folder))

    return write


def as_pdf(make: Make) -> DocumentWriter:
    """What writes the document as PDF."""

    def write(view: CaseView, out: BinaryIO) -> None:
        from caid_triage.report.pdf_file import write_pdf  # noqa: PLC0415 - heavy, and only for this

        write_pdf(make(court_facts(view)), out)

    return write
