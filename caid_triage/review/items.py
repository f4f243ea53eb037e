"""The nouns of a review: a queue, an item (one content), where it stands, and which items are asked for."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import NamedTuple

from caid_triage.model import Category, DecodeState, Kind, MatchKind, State, Tier

# name -> title, in the order in which they are worked through.
QUEUES = {
    "known": "Known material to confirm",
    "near": "Look-alikes to decide",
    "new": "Not known, to look at",
    "damaged": "Damaged: shown in part or not at all",
    "problems": "Files and places with problems",
    "disputed": "Graded differently by two examiners",
}

# A content stands in one of these at most (review/columns.py): what a group of look-alikes is made of for an examiner.
APART = ("known", "near", "new", "damaged")


@dataclass(frozen=True, slots=True)
class QueueFigures:
    """A queue: how many items are in it, and how many of these are graded (by the examiner that was asked about)."""

    name: str
    title: str
    items: int
    decided: int


class Key(NamedTuple):
    """Where an item stands in its queue: items are in the order of their keys, and no two have the same."""

    rank: int
    id: int


@dataclass(frozen=True, slots=True)
class ItemFilter:
    """Which items of a queue are asked for; what is empty or None asks for nothing.

    An item is one content with all its occurrences; it is taken if one occurrence meets every condition on a file
    (state, kind, exhibit, location, text, size, date, device). ``kinds`` are "image", "video", "other"; ``states``
    those of State; ``locations`` tags of locations.toml. ``categories`` are (code, scheme) or codes alone, of
    the matches that are listed and of what ``examiner`` graded ("" : anybody). ``text`` is part of the path (letters A
    to Z in any case; with other letters in it, all in any case), or a whole MD5, SHA-1 or SHA-256 in hex. Sizes are
    bytes, both ends included; dates are aware, the file's modification (its creation where it has none), ``date_to``
    not included. ``device`` is part of the camera's name or serial number. ``decided`` asks whether ``examiner`` has
    graded it ("" : anybody).
    """

    queue: str
    states: tuple[str, ...] = ()
    kinds: tuple[str, ...] = ()
    exhibits: tuple[str, ...] = ()
    locations: tuple[str, ...] = ()
    categories: tuple[str | tuple[str, str], ...] = ()
    text: str = ""
    size_min: int | None = None
    size_max: int | None = None
    date_from: datetime | None = None
    date_to: datetime | None = None
    device: str = ""
    cluster: int | None = None
    decided: bool | None = None
    examiner: str = ""


@dataclass(frozen=True, slots=True)
class ListedMatch:
    """What an item met in a hash set: there is no picture of it, only these words."""

    hashset: str
    media_id: str
    match_kind: MatchKind
    algorithm: str
    distance: int
    threshold: int
    tier: Tier | None
    category: Category
    orientation: str
    look: str
    quality: int | None


@dataclass(frozen=True, slots=True)
class Grade:
    """An examiner's standing grade of a content: his last one that he has not taken back."""

    examiner: str
    decided: datetime
    category: Category
    note: str


@dataclass(frozen=True, slots=True)
class Remark:
    """A note of an examiner on a content that is no grade."""

    examiner: str
    noted: datetime
    text: str


@dataclass(frozen=True, slots=True)
class Item:
    """One unit of work: one content, shown by its first occurrence, or a file (or a place) without a digest.

    ``id`` is that of its first occurrence; of a problem wider than a file it is negative and ``state`` None.
    ``location`` is the tag of the place that the path names; ``device`` the camera that the file states ("" : none).
    ``cluster`` is the id of the first item of the group of look-alikes that it is in, None until clusters are made and
    for one that is in none. ``problems`` are (code, detail). ``grades`` has one standing grade an examiner, the last
    given last; ``decision`` is the last of them, which the reports use. ``disputed``: two examiners disagree.
    """

    id: int
    key: Key
    sha256: bytes | None
    occurrences: int
    exhibit: str
    source: str
    volume: str
    path: str
    state: State | None
    kind: Kind
    media_type: str
    decode_state: DecodeState
    size: int | None
    width: int | None
    height: int | None
    duration_s: float | None
    created: datetime | None
    modified: datetime | None
    location: str
    device: str
    cluster: int | None
    cluster_size: int
    matches: tuple[ListedMatch, ...]
    problems: tuple[tuple[str, str], ...]
    grades: tuple[Grade, ...]
    remarks: tuple[Remark, ...]
    disputed: bool

    @property
    def decision(self) -> Grade | None:
        """The grade that the reports use: the last that stands."""
        return self.grades[-1] if self.grades else None


@dataclass(frozen=True, slots=True)
class Placeholder:
    """Why there is no small picture, in words for the examiner."""

    reason: str
