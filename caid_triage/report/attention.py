"""What asks for a person first, on the first screen of the page: victims, series, distribution, cameras, places.

Each line says what is known and how, and no more: that an entry does not state an identified victim can mean that
nobody wrote it down, and where the hash sets state nothing of the kind that is said instead of a nought.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from caid_triage.case.page_rows import SeriesCount, StatedCount
from caid_triage.case.view import CaseView
from caid_triage.hashset.rows import STATED_WORDS
from caid_triage.report.origin import OriginFacts
from caid_triage.report.text import contents_of, files_of, number
from caid_triage.report.whereabouts import Whereabouts

SERIES_SHOWN = 50
SERIES_NAMED = 3
VICTIM, DISTRIBUTED, SERIES = "victim-identified", "distributed", "series"
# Places that say that something may have been sent, received, shared or hidden: tags of locations.toml.
TELLING = ("chat", "cloud", "file-sharing", "darknet", "vault")
# What an entry can state, as the table of the page words it.
STATED = {
    "victim-identified": "victim identified",
    "offender-identified": "offender identified",
    "distributed": "known to have been distributed",
    "suspected": "flagged for review by its list",
    "precategorised": "categorised before by its list",
    "self-generated": "self-generated",
}
assert set(STATED) == set(STATED_WORDS.values())


@dataclass(frozen=True, slots=True)
class Attention:
    """One thing to look at first: a headline, what it rests on, and the id of the part of the page that has more."""

    headline: str
    explanation: str
    link: str


@dataclass(frozen=True, slots=True)
class StatedFacts:
    """What the entries that listed files met state of their items; ``unknown`` are sentences of what is not known."""

    counts: list[StatedCount]
    series: list[SeriesCount]
    unknown: list[str]

    @property
    def shown(self) -> list[StatedCount]:
        """The words that a set which was met states of some entry."""
        return [row for row in self.counts if row.files or row.not_stated]

    @property
    def series_total(self) -> int:
        """How many series listed files belong to."""
        return self.series[0].total if self.series else 0


def stated_facts(view: CaseView) -> StatedFacts:
    """Read what entries state of the listed files."""
    return StatedFacts(
        view.stated_counts(tuple(STATED)), view.series_counts(SERIES_SHOWN), list(_unknown(view.hashsets()))
    )


def _unknown(hashsets: Iterable[Mapping[str, Any]]) -> Iterator[str]:
    """Of which notable sets nothing of victims, distribution or series is known, and why."""
    for info in hashsets:
        if info.get("role") != "notable":
            continue
        counts = info.get("stated")
        if not isinstance(counts, Mapping):
            yield (
                f"{info['name']} was matched by an earlier version, which did not keep what its entries state of "
                "victims, distribution and series: match the case again with it"
            )
            continue
        without = [
            words
            for key, words in ((VICTIM, "identified victims"), (DISTRIBUTED, "distribution"), (SERIES, "series"))
            if not counts.get(key)
        ]
        if without:
            yield f"{info['name']} states nothing of {_listed(without)}"


def attention(listed: int, stated: StatedFacts, origin: OriginFacts, whereabouts: Whereabouts) -> Iterator[Attention]:
    """What to look at first, gravest first. ``listed`` is how many files the verdict counts."""
    if not listed:
        return
    by_word = {row.word: row for row in stated.counts}
    victim, distributed = by_word[VICTIM], by_word[DISTRIBUTED]
    if victim.not_stated:
        yield Attention(
            f"Victim not stated as identified: {files_of(victim.not_stated)} ({contents_of(victim.not_stated_unique)})",
            "Their hash set says of other items that the victim is identified, of these it does not.",
            "stated",
        )
    if stated.series:
        named = [f"{row.series} ({files_of(row.files)})" for row in stated.series[:SERIES_NAMED]]
        rest = stated.series_total - len(named)
        named += [f"{number(rest)} more"] * bool(rest)
        yield Attention(f"Known series: {number(stated.series_total)}", _listed(named), "stated")
    if distributed.files:
        yield Attention(
            f"Distributed material: {files_of(distributed.files)} ({contents_of(distributed.unique)})",
            "In circulation, as their hash set states; it says nothing of who sent them.",
            "stated",
        )
    if origin.leads_total:
        yield Attention(
            f"Perhaps made with the same camera: {files_of(origin.leads_total)} not listed",
            "They name the camera and serial number of a listed picture: perhaps first-generation material.",
            "origin",
        )
    elif origin.of_listed:
        yield Attention(
            f"Listed pictures name {number(len(origin.of_listed))} camera{'' if len(origin.of_listed) == 1 else 's'}",
            "With a serial number that could be compared with a camera that is found.",
            "origin",
        )
    telling = [(whereabouts.words[tag], whereabouts.files[tag]) for tag in TELLING if whereabouts.files.get(tag)]
    if telling:
        files = sum(count for _, count in telling)
        explanation = _listed([f"{words} {number(count)}" for words, count in telling])
        headline = f"In folders of chat, cloud, sharing or hiding programs: {files_of(files)}"
        yield Attention(headline, f"{explanation[0].upper()}{explanation[1:]}, by the path of each file.", "where")


def _listed(words: Sequence[str]) -> str:
    return words[0] if len(words) == 1 else f"{', '.join(words[:-1])} and {words[-1]}"
