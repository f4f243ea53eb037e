"""report.html: one self-contained page for the officer in the case. No imagery, no script, nothing loaded.

The template is templates/report.html and its style templates/report.css; what they show is gathered in page.py. Text of
the evidence (file names above all) is escaped by the template engine and shown through :func:`text.shown`.
"""

from __future__ import annotations

import base64
import hashlib
from functools import lru_cache
from typing import TextIO

from jinja2 import Environment, PackageLoader, StrictUndefined, Template
from markupsafe import Markup

from caid_triage.case.view import CaseView
from caid_triage.report import text
from caid_triage.report.locations import standing
from caid_triage.report.near import shown_chance
from caid_triage.report.page import page


def write_html(view: CaseView, out: TextIO) -> None:
    """Write the page. Only the line with the id "run-times" differs between two runs on the same material."""
    template, style = prepared_page()
    # Markup only for our own packaged style sheet: no text of the case or the evidence goes into it.
    out.writelines(template.generate(page=page(view), style=Markup(style), policy=page_policy(style)))  # noqa: S704


@lru_cache(maxsize=1)
def prepared_page() -> tuple[Template, str]:
    """The template, compiled, and the style sheet: most of what the page of a small case takes, and needs no case."""
    environment, style = page_environment("caid_triage.report", "report.css")
    environment.filters.update(
        shown=text.shown,
        brief=text.brief,
        cut=text.cut,
        number=text.number,
        size=text.size,
        iso=text.iso,
        chance=shown_chance,
        standing=standing,
    )
    return environment.get_template("report.html"), style


def page_environment(package: str, sheet: str) -> tuple[Environment, str]:
    """What the pages of a package are made with: its templates, every text escaped, and its style sheet."""
    environment = Environment(
        loader=PackageLoader(package),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    style, _, _ = environment.loader.get_source(environment, sheet) if environment.loader else ("", None, None)
    return environment, style


def page_policy(style: str) -> str:
    """The policy of a page: this one style by its digest and nothing else; no script, no picture, no request."""
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    return f"default-src 'none'; style-src 'sha256-{digest}'; base-uri 'none'; form-action 'none'"
