"""report.html: one self-contained page for the officer in the case. No imagery, nothing loaded, one script of our own.

The template is templates/report.html with its parts, its style report.css and its script report.js; what they show is
gathered in page.py. Text of the evidence (file names above all) is escaped by the template engine and shown through
:func:`text.shown`. The script filters, sorts and pages the tables of matches and of leads; without it the page reads
the same, with the first of them. It is the only one that the page's policy lets run, and it makes no markup: the policy
demands that.
"""

from __future__ import annotations

import base64
import hashlib
from functools import lru_cache
from importlib import resources
from typing import TextIO

from jinja2 import Environment, PackageLoader, StrictUndefined, Template
from markupsafe import Markup

from caid_triage.case.view import CaseView
from caid_triage.report import text
from caid_triage.report.attention import STATED
from caid_triage.report.court import is_unverified
from caid_triage.report.locations import standing
from caid_triage.report.near import shown_chance
from caid_triage.report.page import page


def write_html(view: CaseView, out: TextIO) -> None:
    """Write the page. Only the line with the id "run-times" differs between two runs on the same material."""
    template, style, script = prepared_page()
    # Markup only for our own packaged style sheet and script: no text of the case or the evidence goes into them.
    ours = {"style": Markup(style), "script": Markup(script)}  # noqa: S704
    out.writelines(template.generate(page=page(view), policy=page_policy(style, script), **ours))


@lru_cache(maxsize=1)
def prepared_page() -> tuple[Template, str, str]:
    """The template, compiled, style sheet and script: most of what the page of a small case takes; needs no case."""
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
        data=_as_data,
        unverified=is_unverified,
    )
    environment.globals["stated_words"] = STATED
    script = (resources.files("caid_triage.report") / "templates" / "report.js").read_text(encoding="utf-8")
    return environment.get_template("report.html"), style, script


def _as_data(piece: str) -> Markup:
    """A piece of the script's data, which is spelt so that it holds no markup (hits.py)."""
    assert "<" not in piece
    return Markup(piece)  # noqa: S704 - nothing in it can be markup


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


def page_policy(style: str, script: str = "") -> str:
    """The policy of a page: this one style and this one script by their digests; no picture, no request.

    Where there is a script, nothing may make markup of a text ("trusted types"): a browser that knows the rule refuses.
    """
    policy = f"default-src 'none'; style-src '{_digest(style)}'; base-uri 'none'; form-action 'none'"
    if script:
        policy += f"; script-src '{_digest(script)}'; require-trusted-types-for 'script'; trusted-types 'none'"
    return policy


def _digest(text: str) -> str:
    return f"sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}"
