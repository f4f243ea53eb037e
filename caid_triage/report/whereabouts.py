"""Where the listed files lie: cache or not by exhibit and category, the folders with the most of them."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from operator import attrgetter

from caid_triage.case.page_rows import FolderCount
from caid_triage.case.view import CaseView
from caid_triage.locations import location_of
from caid_triage.report.ledger import share_words

FOLDERS_SHOWN = 20
CACHE, THUMBNAILS = "browser-cache", "thumbnails"


@dataclass(frozen=True, slots=True)
class Part:
    """So many of some files, and their share in words."""

    files: int
    share: str


@dataclass(frozen=True, slots=True)
class CacheLine:
    """A line of the table: an exhibit and a category (label "" for all), and where its files lie."""

    exhibit: str
    label: str
    scheme: str
    files: int
    unique: int
    stills: int
    films: int
    cache: Part
    thumbnails: Part
    elsewhere: Part


@dataclass(frozen=True, slots=True)
class Whereabouts:
    """Listed files by kind of place (``files`` and ``words`` by tag), the lines of the table, the fullest folders."""

    files: Mapping[str, int]
    words: Mapping[str, str]
    lines: list[CacheLine]
    folders: list[tuple[FolderCount, str]]
    folders_total: int
    total: int


def whereabouts(view: CaseView) -> Whereabouts:
    """Read where the listed files lie. Memory grows with exhibits, categories and kinds of place, not with files."""
    by_line: defaultdict[tuple[str, str, str, str], Counter[str]] = defaultdict(Counter)
    tags: Counter[str] = Counter()
    words: dict[str, str] = {}
    for row in filter(attrgetter("listed"), view.exact_files()):
        place = location_of(row.path)
        words[place.tag] = place.words
        tags[place.tag] += 1
        by_line[row.exhibit, row.category_code, row.category_label, row.scheme][place.tag] += 1
    lines = [
        _line(row.exhibit, row.category_label, row.scheme, (row.files, row.unique, row.stills, row.films), found)
        for row in view.exhibit_categories()
        for found in [by_line[row.exhibit, row.category_code, row.category_label, row.scheme]]
    ]
    total = tags.total()
    folders = view.folder_counts(FOLDERS_SHOWN)
    return Whereabouts(
        files=dict(tags),
        words=words,
        lines=lines,
        folders=[(row, share(row.files, total)) for row in folders],
        folders_total=folders[0].total if folders else 0,
        total=total,
    )


def _line(exhibit: str, label: str, scheme: str, figures: tuple[int, int, int, int], found: Counter[str]) -> CacheLine:
    files = figures[0]
    cache, thumbnails = found[CACHE], found[THUMBNAILS]
    parts = [Part(count, share(count, files)) for count in (cache, thumbnails, files - cache - thumbnails)]
    return CacheLine(exhibit, label, scheme, *figures, *parts)


def share(count: int, total: int) -> str:
    """A share in per cent: "0%" only of nothing, "100%" only of all."""
    return share_words(count, total) if count else "0%"
