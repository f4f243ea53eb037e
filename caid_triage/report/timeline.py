"""When files were created and modified, by month: bars for the eye, the same numbers in a table beside them.

File times are what the file system says: copying sets them anew, a clock may be wrong. Nothing is left out in silence:
what lies before and after the months that are drawn is counted, and so is what has no time.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from caid_triage.case.page_rows import MonthCount
from caid_triage.case.view import CaseView
from caid_triage.report.text import number

FIELDS = ("created", "modified")
MONTHS_DRAWN = 120
YEARS_SHOWN = 40
WIDTH, HEIGHT = 1000.0, 60.0
_LEAST = 1.5  # of a bar that is not nothing: lower ones would not be seen


@dataclass(frozen=True, slots=True)
class MonthBar:
    """A bar of the figure: where it stands and how high it is (of WIDTH and HEIGHT), what it says."""

    x: float
    y: float
    width: float
    height: float
    words: str


@dataclass(frozen=True, slots=True)
class YearLine:
    """A line of the table: a year, its twelve months and its sum."""

    year: str
    months: tuple[int, ...]
    total: int


@dataclass(frozen=True, slots=True)
class Panel:
    """One kind of files by one time: bars of the months drawn, lines of the years, what is in neither."""

    title: str
    identity: str
    bars: tuple[MonthBar, ...]
    ticks: tuple[tuple[float, str], ...]
    most: int
    words: str
    lines: tuple[YearLine, ...]
    total: int
    without: int
    not_drawn: int
    not_in_table: int
    first: str
    last: str


def timeline(view: CaseView) -> list[Panel]:
    """The panels: listed files and all pictures and films, by both times; none for what there is nothing of."""
    panels = []
    for field in FIELDS:
        counts = view.month_counts(field)
        drawn = months_drawn(counts)
        for title, identity, figures in (
            (f"Files identical to a listed item, by month {field}", f"listed-{field}", [row.listed for row in counts]),
            (f"All pictures and films, by month {field}", f"media-{field}", [row.media for row in counts]),
        ):
            if any(figures):
                months = [row.month for row in counts]
                panels.append(_panel(title, identity, list(zip(months, figures, strict=True)), drawn))
    return panels


def months_drawn(counts: Sequence[MonthCount]) -> range:
    """The months to draw, counted from year 0: all years there are, or the stretch with the most listed files."""
    found = {_number_of(row.month): row for row in counts if row.month}
    if not found:
        return range(0)
    first, last = min(found) // 12 * 12, max(found) // 12 * 12 + 12
    if last - first <= MONTHS_DRAWN:
        return range(first, last)
    places = sorted(found)
    best, listed, media, behind = (-1, -1, 0), 0, 0, 0
    for begin in places:
        while behind < len(places) and places[behind] < begin + MONTHS_DRAWN:
            row = found[places[behind]]
            listed, media, behind = listed + row.listed, media + row.media, behind + 1
        best = max(best, (listed, media, begin))
        listed, media = listed - found[begin].listed, media - found[begin].media
    # No years that nothing is of: the stretch ends with the year of its last file, and begins so much earlier.
    end = min(best[2] + MONTHS_DRAWN, max(place for place in places if place < best[2] + MONTHS_DRAWN) // 12 * 12 + 12)
    return range(end - MONTHS_DRAWN, end)


def _number_of(month: str) -> int:
    year, _, of_year = month.partition("-")
    return int(year) * 12 + int(of_year) - 1


def _name_of(place: int) -> str:
    return f"{place // 12:04d}-{place % 12 + 1:02d}"


def _panel(title: str, identity: str, counts: Sequence[tuple[str | None, int]], drawn: range) -> Panel:
    by_month = {_number_of(month): count for month, count in counts if month and count}
    without = sum(count for month, count in counts if not month)
    total = sum(by_month.values()) + without
    most = max((by_month.get(place, 0) for place in drawn), default=0)
    step = WIDTH / max(1, len(drawn))
    bars = tuple(_bar(place, drawn.start, step, by_month[place], most) for place in drawn if by_month.get(place))
    ticks = tuple((round((place - drawn.start) * step, 2), str(place // 12)) for place in drawn if place % 12 == 0)
    lines = _lines(by_month)
    first, last = (_name_of(min(by_month)), _name_of(max(by_month))) if by_month else ("", "")
    in_bars = sum(by_month.get(place, 0) for place in drawn)
    words = f"{title}: {number(total)} files"
    if bars:
        words += f", from {first} to {last}, at most {number(most)} in one month. The table has the numbers."
    return Panel(
        title=title,
        identity=identity,
        bars=bars,
        ticks=ticks,
        most=most,
        words=words,
        lines=lines,
        total=total,
        without=without,
        not_drawn=total - without - in_bars,
        not_in_table=total - without - sum(line.total for line in lines),
        first=first,
        last=last,
    )


def _bar(place: int, first: int, step: float, count: int, most: int) -> MonthBar:
    height = max(_LEAST, HEIGHT * count / most)
    x, width = (place - first) * step, max(step * 0.84, min(step, 1.0))
    words = f"{_name_of(place)}: {number(count)}"
    return MonthBar(round(x, 2), round(HEIGHT - height, 2), round(width, 2), round(height, 2), words)


def _lines(by_month: dict[int, int]) -> tuple[YearLine, ...]:
    """The years that have any, at most YEARS_SHOWN: those with the most files, in order."""
    years: dict[int, list[int]] = {}
    for place, count in by_month.items():
        years.setdefault(place // 12, [0] * 12)[place % 12] = count
    shown = sorted(sorted(years, key=lambda year: (-sum(years[year]), year))[:YEARS_SHOWN])
    return tuple(YearLine(f"{year:04d}", tuple(years[year]), sum(years[year])) for year in shown)
