"""report.html: whatever the texts of a case are, they make no element, no attribute and no invisible sign."""

from __future__ import annotations

import base64
import hashlib
import tempfile
import unicodedata
from html.parser import HTMLParser
from pathlib import Path

from hypothesis import example, given, settings
from hypothesis import strategies as st
from support.hostile_case import make_hostile_case

from caid_triage.case.view import open_case
from caid_triage.report.html import prepared_page
from caid_triage.report.text import shown
from caid_triage.report.write import write_reports

ELEMENTS = frozenset({
    "html", "head", "meta", "title", "style", "body", "a", "header", "div", "h1", "h2", "h3", "p", "dl", "dt", "dd",
    "main", "g", "desc", "text", "section",
    "table", "caption", "thead", "tbody", "tr", "th", "td", "span", "br", "ul", "li", "strong", "nav", "bdi",
    "code", "figure", "figcaption", "svg", "defs", "pattern", "path", "rect", "footer",
    "script", "label", "select", "option", "input", "button",
})  # fmt: skip
HANDLERS = ("on", "src", "action", "formaction", "background", "srcdoc", "ping", "poster", "xlink")
MARKUP = (
    "<script>window.hacked=1</script>", "</style><script>window.hacked=1</script>", "\"'><img src=x onerror=hacked()>",
    "javascript:hacked()", "<!--", "-->", "]]>", "<svg/onload=hacked()>", "{{ 7*7 }}", "{% raw %}", "&lt;b&gt;",
    "&#60;b>", "\u202egpj.exe", "\u2066", "\u200b", "\x00", "\x1b[2J", "\n", "\udcff",
    "\u3164", "e" + "\u0301" * 60, "</title>", "</bdi></td></tr></table>", "' onmouseover='hacked()",
    "<a href=//x>", "\U000e0041",
)  # fmt: skip
TEXTS = st.lists(st.one_of(st.sampled_from(MARKUP), st.text(max_size=12)), min_size=1, max_size=5).map("".join)


class Structure(HTMLParser):
    """The elements, attributes and texts of a page."""

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.tags: list[tuple[str, list[tuple[str, str | None]]]] = []
        self.texts: list[str] = []
        self.others: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, attrs))

    def handle_data(self, data: str) -> None:
        self.texts.append(data)

    def handle_comment(self, data: str) -> None:
        self.others.append(data)

    def unknown_decl(self, data: str) -> None:
        self.others.append(data)


def page_of(text: str) -> str:
    with tempfile.TemporaryDirectory() as folder:
        with open_case(make_hostile_case(Path(folder) / "case", text)) as view:
            write_reports(view, Path(folder), ["html"])
        return (Path(folder) / "report.html").read_bytes().decode("utf-8")


@settings(max_examples=12, deadline=None)
@given(TEXTS)
@example("".join(MARKUP))
@example("\udcff")
def test_no_text_of_a_case_becomes_anything_but_text(text: str) -> None:
    content = page_of(text)
    found = Structure()
    found.feed(content)
    assert {tag for tag, _ in found.tags} <= ELEMENTS
    assert found.others == []
    attributes = [(tag, name, value) for tag, attrs in found.tags for name, value in attrs]
    assert not [name for _, name, _ in attributes if name.startswith(HANDLERS)]
    assert all((value or "").startswith("#") for _, name, value in attributes if name == "href")
    assert not [name for _, name, _ in attributes if name == "style"]
    assert not [c for c in content if unicodedata.category(c) in {"Cc", "Cf", "Co", "Cs", "Zl", "Zp"} and c != "\n"]
    assert [tag for tag, _ in found.tags].count("style") == 1
    _, style, script = prepared_page()
    assert style in content
    # Our own script, which the policy names by its digest, and the data that it reads: of a type that never runs.
    scripts = [dict(attrs) for tag, attrs in found.tags if tag == "script"]
    data = [{"type": "application/json", "id": f"{name}-data"} for name in ("hits", "look-alikes")]
    assert scripts == [*data, {}]
    assert f"<script>{script}</script>" in content
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    policy = next(value or "" for tag, name, value in attributes if (tag, name) == ("meta", "content"))
    assert policy.startswith("default-src 'none'; style-src 'sha256-")
    assert f"; script-src 'sha256-{digest}'; require-trusted-types-for 'script'; trusted-types 'none'" in policy
    if len(text) < 200:
        stored = text.encode("utf-8", "backslashreplace").decode("utf-8")  # a case holds no half of a surrogate pair
        assert sum(shown("/" + stored) in piece for piece in found.texts) >= 2  # whole, in one element


def test_the_structure_of_a_page_is_that_of_its_case_whatever_the_names() -> None:
    pages = []
    for text in ("plain name", "<b>\"'</td></table>--><script>x</script>"):
        found = Structure()
        found.feed(page_of(text))
        pages.append([(tag, [name for name, _ in attrs]) for tag, attrs in found.tags])
    assert pages[0] == pages[1]
