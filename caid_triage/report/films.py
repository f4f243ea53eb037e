"""The films that agree with listed videos, in words and as strips of cells: numbers of hashes, never a picture."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from caid_triage.case.rows import Strip, VideoMatchRow
from caid_triage.case.view import CaseView

FILMS_SHOWN = 200
TICKS = 5
WIDTH, HEIGHT = 1000, 24
STUB = 3  # of a cell whose frames were compared and do not agree


@dataclass(frozen=True, slots=True)
class Bar:
    """A cell as it is drawn: a full bar agrees, a stub does not, nothing was not compared."""

    x: float
    y: float
    width: float
    height: float
    agrees: bool


@dataclass(frozen=True, slots=True)
class DrawnStrip:
    """One strip: what it is of, its bars, the times under it, and the whole in words."""

    title: str
    bars: list[Bar]
    ticks: list[str]
    words: str


@dataclass(frozen=True, slots=True)
class FilmFacts:
    """A film and a listed video as the page shows them."""

    row: VideoMatchRow
    share: str
    listed_share: str
    part: str
    listed_part: str
    strips: list[DrawnStrip]


def film_facts(rows: Iterable[VideoMatchRow]) -> Iterator[FilmFacts]:
    """Each video match with its figures in words."""
    for row in rows:
        share, listed_share = _share(row.frames_met, row.frames), _share(row.listed_frames_met, row.listed_frames)
        part = f"{clock(row.first_s)} to {clock(row.last_s)}"
        known = row.listed_first_s is not None and row.listed_last_s is not None
        listed_part = f"{clock(row.listed_first_s)} to {clock(row.listed_last_s)}" if known else "times not listed"
        strips = [
            _drawn("This file", row.strip, f"{share} agree, best part {part}"),
            _drawn("Listed video", row.listed_strip, f"{listed_share} agree, best part {listed_part}"),
        ]
        yield FilmFacts(row, share, listed_share, part, listed_part, strips)


def clock(seconds: float | None) -> str:
    """A time in a film: 1:02:03, 2:03.4 below ten minutes; "?" where it is not known."""
    if seconds is None:
        return "?"
    tenths = round(seconds * 10)
    minutes, rest = divmod(tenths, 600)
    if minutes < 10:
        return f"{minutes}:{rest // 10:02d}.{rest % 10}"
    return f"{minutes // 60}:{minutes % 60:02d}:{rest // 10:02d}" if minutes >= 60 else f"{minutes}:{rest // 10:02d}"


def video_counts(view: CaseView) -> dict[str, Any]:
    """The video matches as summary.json counts them: pairs, and the different films and listed videos among them."""
    pairs, films, listed = 0, set(), set()
    for row in view.video_matches():
        pairs += 1
        films.add((row.exhibit, row.source, row.volume, row.path))
        listed.add((row.hashset, row.media_id))
    return {"pairs": pairs, "files": len(films), "listed_videos": len(listed)}


def _share(met: int, compared: int) -> str:
    return f"{met:,} of {compared:,} frames ({100 * met // compared if compared else 0}%)"


def _drawn(title: str, cells: Strip, words: str) -> DrawnStrip:
    bars = []
    step = WIDTH / max(1, len(cells))
    gap = min(2.0, step / 4)
    for place, (_, percent) in enumerate(cells):
        if percent is not None:
            height = max(STUB, round(HEIGHT * percent / 100, 1))
            bars.append(Bar(round(place * step, 1), HEIGHT - height, round(step - gap, 1), height, percent > 0))
    times = [seconds for seconds, _ in cells]
    places = sorted({(len(cells) - 1) * tick // (TICKS - 1) for tick in range(TICKS)}) if cells else []
    ticks = [clock(times[place]) for place in places] if None not in times else []
    return DrawnStrip(title, bars, ticks, f"{title}: {words}.")
