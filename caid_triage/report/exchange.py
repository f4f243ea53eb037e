"""What the formats for other programs have in common: exact names, what is deleted, who says a grade, which region.

A program gets a name exactly, not as a page shows it: the text that its bytes are in UTF-8. What no text can hold is
escaped so that every name stays itself (exact_names.py); files.jsonl and dfxml.xml have such bytes themselves. A grade
is never a bare letter or number: it comes with its scheme, and with SCHEME NOT CONFIRMED where nobody of the unit has
vouched for that scheme.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from caid_triage.case.exchange import ExchangeRow
from caid_triage.case.view import CaseView
from caid_triage.exact_names import escape, exact_text
from caid_triage.model import Category, MatchKind, State, Tier
from caid_triage.report.text import iso

NOT_CONFIRMED = "SCHEME NOT CONFIRMED"
NEAR_NOTE = "near match, not confirmed"
UNALLOCATED = frozenset({State.CARVED, State.SLACK})
DEFAULT_REGION = "UK"
ZONE_UNKNOWN = "zone unknown"
_REGION = re.compile(r"/2\.0\.xml/([A-Za-z]+)/")
# Words of a scheme's jurisdiction and what the data model calls the region (DOMAIN 1.2: UK, US and Default were seen).
_JURISDICTIONS = (("england", "UK"), ("united kingdom", "UK"), ("scotland", "UK"), ("united states", "US"))


def exact_path(raw: bytes, path: str) -> str:
    """The path that these bytes spell (:func:`exact_names.exact_text`); the display path where there are none."""
    return exact_text(raw) or path


def folder_and_name(raw: bytes, path: str) -> tuple[str, str]:
    """A file's folder, with its last separator, and its name, exactly. The name is never empty.

    The last separator of a path that ends in one (of a folder in an archive that is a file) belongs to the name.
    """
    text = exact_path(raw, path)
    ends = text.endswith("/")
    folder, slash, name = text.removesuffix("/").rpartition("/")
    return folder + slash, name + escape("/") * ends or "unnamed"


def stated(moment: datetime, zone_note: str) -> str:
    """A time in ISO 8601 for a format that knows times without a zone: local time, of which none is known, has none."""
    return iso(moment).removesuffix("Z") if ZONE_UNKNOWN in zone_note else iso(moment)


def is_deleted(row: ExchangeRow) -> bool:
    """Whether the file is no living one: deleted, left in a container that does not list it, or no file's any more.

    What lies in a deleted file is deleted with it. An orphan that its file system has in use is alive.
    """
    state = row.container_state or row.state
    return row.removed or state is State.DELETED or state in UNALLOCATED or (state is State.ORPHAN and not row.in_use)


def is_unallocated(row: ExchangeRow) -> bool:
    """Whether the file was found in free space, or in what is left behind the end of another one."""
    return (row.container_state or row.state) in UNALLOCATED


@dataclass(frozen=True, slots=True)
class Grade:
    """What is said of a content: ``number`` is the code where it may stand alone, ``words`` say it in full.

    ``by`` is "examiner", "exact" (a hash set) or "near" (nobody confirmed it: no number, no category), "" for nothing.
    ``otherwise`` says which sets contradict an exact match: the gravest is given, and must not stand as if all agreed.
    """

    by: str = ""
    number: int | None = None
    words: str = ""
    otherwise: str = ""

    @property
    def remark(self) -> str:
        """All of it, for a field of free text."""
        return self.words + self.otherwise


class Grades:
    """Who says what of a content: its examiner, else its exact match; of a look-alike only that it is one."""

    def __init__(self, view: CaseView) -> None:
        infos = view.hashsets()
        confirmed: dict[str, bool] = {}
        for info in infos:
            scheme = str(info.get("scheme"))
            confirmed[scheme] = confirmed.get(scheme, True) and bool(info.get("scheme_confirmed_by"))
        self._confirmed = {scheme for scheme, by_all in confirmed.items() if by_all}
        self.region = region_of(infos)
        self._regions = {str(info.get("scheme")): _region(info) for info in infos}

    def of(self, row: ExchangeRow) -> Grade:
        """The grade of a file's content."""
        if row.decision is not None:
            words = (
                f"graded {self.named(row.decision.category)} by {row.decision.examiner}, {iso(row.decision.decided)}"
            )
            note = f"; {row.decision.note}" if row.decision.note else ""
            return Grade("examiner", self.number(row.decision.category), words + note)
        if row.match_kind is None:
            return Grade()
        category = Category(row.category_code or "", row.category_label or "", row.scheme or "", row.severity)
        if row.match_kind is MatchKind.EXACT:
            against = [(name, other) for name, other in row.others if other.contradicts(category)]
            otherwise = "".join(f"; {name} lists it as {self.named(other)}" for name, other in against)
            return Grade("exact", self.number(category), self.named(category), otherwise)
        tier = " (tier: lead)" if row.tier is Tier.LEAD else ""
        return Grade("near", None, f"{NEAR_NOTE}{tier}; listed item: {self.named(category)}")

    def named(self, category: Category) -> str:
        """A category in words: its label, its scheme, and whether nobody confirmed that scheme."""
        warning = "" if category.scheme in self._confirmed else f", {NOT_CONFIRMED}"
        return f"{category.label} [{category.scheme or 'no scheme'}{warning}]"

    def number(self, category: Category) -> int | None:
        """The code as a number, where it is one and means in the file's region what it means in its scheme.

        A code of another region's scheme would be read by the region's own: it stays in the words.
        """
        # isdecimal alone accepts other scripts' digits; a code such as "1a" is none.
        code = category.code
        region = self._regions.get(category.scheme)
        if not (code.isascii() and code.isdecimal()) or region not in (None, self.region):
            return None
        return int(code)


def region_of(infos: Iterable[Mapping[str, Any]]) -> str:
    """The region of the data model that the notable hash sets' schemes name: UK where they name none or several."""
    regions = {region for info in infos if info.get("role") == "notable" and (region := _region(info)) is not None}
    return regions.pop() if len(regions) == 1 else DEFAULT_REGION


def _region(info: Mapping[str, Any]) -> str | None:
    """The region of one set's scheme: by the scheme's own data, its jurisdiction, its name, or the set's files."""
    scheme = info.get("scheme_file")
    data: Mapping[str, Any] = scheme if isinstance(scheme, Mapping) else {}
    named = (_REGION.search(str(piece)) for piece in data.get("regions") or ())
    found = next((match[1] for match in named if match), None)
    if found is None:
        place = str(data.get("jurisdiction") or "").lower()
        found = next((region for word, region in _JURISDICTIONS if word in place), None)
    if found is None:
        words = re.split(r"[^a-z]+", str(info.get("scheme") or "").lower())
        found = next((region for region in ("UK", "US") if region.lower() in words), None)
    return found
