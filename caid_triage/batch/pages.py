"""The pages of a batch: templates in the style of report.html. No script, no picture, nothing loaded."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import Any
from urllib.parse import quote

from jinja2 import Environment
from markupsafe import Markup

from caid_triage.batch.journal import State
from caid_triage.batch.rows import ExhibitRow
from caid_triage.report import text
from caid_triage.report.html import page_environment, page_policy
from caid_triage.visible import many

_NEXT = {
    1: "Nothing of it is lost. Run the batch again; where memory was full, with fewer at once (--at-once 1).",
    2: "Mend what is said here in the queue, or where it points to; then run the batch again.",
    4: "Look at the image itself: is it whole, its first segment, connected and readable? Then run the batch again.",
    5: "Build this hash set again, or name another; then run the batch again.",
    6: "Look at its case folder: is its disk full, or somebody else in it? One that is damaged can be moved away.",
}
"""By the exit code of a scan that failed."""


@lru_cache(maxsize=1)
def _prepared() -> tuple[Environment, str]:
    environment, own = page_environment("caid_triage.batch", "batch.css")
    _, style = page_environment("caid_triage.report", "report.css")
    environment.filters.update(shown=text.shown, cut=text.cut, number=text.number, size=text.size, many=many)
    environment.filters.update(moment=moment, day=day, span=span, link=link, next_step=next_step)
    return environment, style + own


def rendered(name: str, **values: Any) -> str:
    """A page of a template of this package; every text in it is escaped."""
    environment, style = _prepared()
    # Markup only for our own packaged style sheets: no text of a case goes into them.
    ours = {"style": Markup(style), "policy": page_policy(style)}  # noqa: S704
    return environment.get_template(name).render(**values, **ours)


def moment(at: datetime | None) -> str:
    """A time for a reader, to the minute: "2026-03-02 09:15 UTC"; a dash where there is none."""
    return "\u2013" if at is None else at.astimezone(UTC).strftime("%Y-%m-%d %H:%M UTC")


def day(at: datetime | None) -> str:
    """The day of a time (UTC) for a reader; a dash where there is none."""
    return "\u2013" if at is None else at.astimezone(UTC).strftime("%Y-%m-%d")


def span(seconds: float | timedelta | None) -> str:
    """How long something took or has lasted, in the two largest units: "3 d 4 h", "2 h 5 min", "48 s"."""
    if seconds is None:
        return "\u2013"
    left = round(seconds.total_seconds() if isinstance(seconds, timedelta) else seconds)
    sizes = (("d", 86400), ("h", 3600), ("min", 60), ("s", 1))
    for place, (unit, size) in enumerate(sizes):
        if left >= size or unit == "s":
            first, rest = divmod(left, size)
            smaller = sizes[place + 1] if place + 1 < len(sizes) else None
            more = f" {rest // smaller[1]} {smaller[0]}" if smaller and rest // smaller[1] else ""
            return f"{first} {unit}{more}"
    return ""


def next_step(row: ExhibitRow) -> Markup:
    """What to do about an exhibit that failed, behind its own words for why; nothing for one that did not."""
    words = _NEXT.get(row.exit_code or 0, "") if row.state is State.FAILED else ""
    return Markup('<br><span class="sub">{}</span>').format(words) if words else Markup()


def link(path: str) -> str:
    """A path beside the page as an address: what it holds cannot end it, nor begin another scheme."""
    return "./" + quote(path) if not path.startswith("/") else "file://" + quote(path)
