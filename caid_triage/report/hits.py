"""The tables of identical files and of leads: the rows that stand in the page, and all as data that its script pages.

Identical files and look-alikes are never in one table: who reads a row must not have to ask which of them it is. One
place spells the cells of a row (:func:`hit_of`). The first rows are printed into the page by the template, for
readers without script; the script draws every row from the data in the same way (tests/browser holds the two
together). The data is columnar and its texts are pooled, so that 100,000 matches take a few megabytes. Every text went
through :func:`text.shown` before: the data holds nothing that does not print, and no "<".
"""

from __future__ import annotations

import json
from array import array
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from caid_triage.case.rows import MatchRow
from caid_triage.model import MatchKind
from caid_triage.report.attention import STATED
from caid_triage.report.locations import standing
from caid_triage.report.near import Chance, shown_chance
from caid_triage.report.tables import KIND_WORDS
from caid_triage.report.text import brief, cut, iso, number, shown, size

HITS_INLINE = 200_000
"""So many matches at most are in the page, of both tables; matches.csv has all."""
INLINE_LETTERS = 24_000_000
"""So many letters of names at most: whoever chose the names must not choose how large the page is."""

Lines = tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Hit:
    """The cells of one row of the table, each text as it is shown.

    ``how`` is what it can be filtered by, the words of its tag, and lines below it. ``bytes`` -1 is a size that is not
    known; ``modified`` is to the second (matches.csv has it as stored). ``chance`` is of a lead: how many such matches
    chance alone would make, in words and as a number (None: not known).
    """

    how: Lines
    category: str
    scheme: str
    exhibit: str
    where: str
    folder: str
    name: str
    state: Lines
    kind: str
    media_type: str
    bytes: int
    size: str
    modified: str
    hashset: str
    item: Lines
    chance: tuple[str, float | None] | None


def hit_of(row: MatchRow, chance: Chance) -> Hit:
    """The cells of a match."""
    path = shown(brief(row.path))
    folder, slash, name = path.rpartition("/")
    stood, expected = standing(row), chance.of_match(row)
    item = [_text(row.media_id)]
    item += [f"series {_text(row.series)}"] * bool(row.series)
    item += [", ".join(STATED.get(word, word) for word in row.stated)] * bool(row.stated)
    if row.decision is not None:
        graded = row.decision.category
        item.append(f"graded {_text(graded.label)} [{_text(graded.scheme)}] by {_text(row.decision.examiner)}")
    return Hit(
        how=tuple(_how(row)),
        category=_text(row.category_label),
        scheme=_text(row.scheme),
        exhibit=_text(row.exhibit),
        where=" ".join(map(_text, (row.exhibit, row.source, row.volume))).rstrip(),
        folder=folder + slash,
        name=name,
        state=(row.state.value, *[stood] * bool(stood)),
        kind=KIND_WORDS[row.kind],
        media_type=_text(row.media_type),
        bytes=-1 if row.size is None else row.size,
        size=size(row.size),
        modified=iso(row.modified and row.modified.replace(microsecond=0)),
        hashset=_text(row.hashset),
        item=tuple(item),
        chance=None if row.match_kind is MatchKind.EXACT else (shown_chance(expected), expected),
    )


def _text(value: str) -> str:
    return shown(cut(value))


def _how(row: MatchRow) -> Iterator[str]:
    if row.match_kind is MatchKind.EXACT:
        by = f"{row.algorithm.upper()}{' only' if row.algorithm == 'md5' else ''}"
        yield from (by, "exact", by)
        return
    is_film = row.match_kind is MatchKind.VIDEO
    yield "film" if is_film else "look-alike"
    yield f"lead, {'video' if is_film else 'strong'}"
    yield f"{_text(row.algorithm)} {row.distance} of {row.threshold}{'' if row.algorithm == 'photodna' else ' bits'}"
    if row.frames is not None and row.frames_met is not None:
        yield f"{number(row.frames_met)} of {number(row.frames)} frames"
    if row.listed_frames is not None and row.listed_frames_met is not None:
        yield f"listed: {number(row.listed_frames_met)} of {number(row.listed_frames)}"
    if row.look:
        yield _text(row.look)
    if row.quality is not None:
        yield f"quality {row.quality}"
    if row.orientation:
        yield _text(row.orientation)


class _Pool:
    """Each different value once, and a number a row."""

    def __init__(self) -> None:
        self.values: list[Any] = []
        self.rows = array("L")
        self._places: dict[object, int] = {}

    def add(self, value: object) -> None:
        place = self._places.get(value)
        if place is None:
            place = self._places[value] = len(self.values)
            self.values.append(value)
        self.rows.append(place)


@dataclass(slots=True)
class Room:
    """How much of both tables is in the page as data."""

    rows: int = 0
    letters: int = 0

    @property
    def is_full(self) -> bool:
        """Whether the page takes no more."""
        return self.rows >= HITS_INLINE or self.letters >= INLINE_LETTERS


@dataclass(slots=True)
class HitTable:
    """The first matches of a kind as rows, all (as far as they fit) as data, and how many there are.

    ``name`` is the table's in the page, ``words`` what one row is and what several are. ``categories`` are (label,
    scheme) gravest first, by which the script sorts them; what is not among them comes last.
    """

    name: str
    words: tuple[str, str]
    categories: Sequence[tuple[str, str]]
    most_shown: int
    room: Room
    shown: list[Hit] = field(default_factory=list)
    total: int = 0
    held: int = 0
    _pools: dict[str, _Pool] = field(default_factory=dict)
    _bytes: array[int] = field(default_factory=lambda: array("q"))
    _names: list[str] = field(default_factory=list)

    def add(self, hit: Hit) -> None:
        """Add the next match in order."""
        self.total += 1
        if len(self.shown) < self.most_shown:
            self.shown.append(hit)
        if self.held < self.total - 1 or self.room.is_full:
            return
        self.held += 1
        self.room.rows += 1
        self.room.letters += len(hit.name) + len(hit.folder) + sum(map(len, hit.item))
        for name, value in (
            ("how", hit.how),
            ("category", (hit.category, hit.scheme)),
            ("where", (hit.exhibit, hit.where)),
            ("folder", hit.folder),
            ("state", hit.state),
            ("kind", (hit.kind, hit.media_type)),
            ("size", hit.size),
            ("modified", hit.modified),
            ("set", hit.hashset),
            ("item", hit.item),
            *[("chance", hit.chance)] * (hit.chance is not None),
        ):
            self._pools.setdefault(name, _Pool()).add(value)
        # A damaged file system may claim more than a double counts exactly; the words beside it are those of the size.
        self._bytes.append(min(hit.bytes, 2**53))
        self._names.append(hit.name)

    def data(self) -> Iterator[str]:
        """The data as pieces of JSON: pools and columns, a line each, and nothing that could end the element."""
        ranks = {category: place for place, category in enumerate(self.categories)}
        yield f'{{"words":{_json(self.words)},"total":{self.total},"held":{self.held}'
        for name, pool in self._pools.items():
            values = list(pool.values)
            if name == "category":
                values = [[*value, ranks.get(value, len(ranks))] for value in pool.values]
            yield f',\n"{name}":{{"values":{_json(values)},"rows":{_json(pool.rows.tolist())}}}'
        yield f',\n"bytes":{_json(self._bytes.tolist())},\n"names":{_json(self._names)}}}'

    @property
    def facets(self) -> dict[str, list[str]]:
        """What the rows can be filtered by, in the order of the data: the values of each choice, each once."""
        picked = {"match": ("how", 0), "exhibit": ("where", 0), "state": ("state", 0), "kind": ("kind", 0)}
        found = {
            name: list(dict.fromkeys(str(value[place]) for value in self._values(pool)))
            for name, (pool, place) in picked.items()
        }
        found["hashset"] = [str(value) for value in self._values("set")]
        ranks = {category: place for place, category in enumerate(self.categories)}
        labels = sorted(self._values("category"), key=lambda value: ranks.get(value, len(ranks)))
        found["category"] = list(dict.fromkeys(str(value[0]) for value in labels))
        return found

    def _values(self, pool: str) -> list[Any]:
        return self._pools[pool].values if pool in self._pools else []


def hit_tables(
    rows: Iterable[MatchRow], chance: Chance, categories: Sequence[tuple[str, str]], most_shown: tuple[int, int]
) -> tuple[HitTable, HitTable]:
    """The tables of the identical files and of the leads; memory is bounded by HITS_INLINE and INLINE_LETTERS."""
    ranked, room = [(_text(label), _text(scheme)) for label, scheme in categories], Room()
    exact = HitTable("hits", ("match", "matches"), ranked, most_shown[0], room)
    leads = HitTable("look-alikes", ("lead", "leads"), ranked, most_shown[1], room)
    for row in rows:
        table = exact if row.match_kind is MatchKind.EXACT else leads
        # Only what is shown is spelt: the rest of a very large case is counted.
        if table.held < table.total:
            table.total += 1
        else:
            table.add(hit_of(row, chance))
    return exact, leads


def _json(value: object) -> str:
    """JSON that stands in a page: no "<" (an end of the element), no "&", as compact as it comes."""
    text = json.dumps(value, ensure_ascii=False, separators=(",", ":"))
    return text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")
