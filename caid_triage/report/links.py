"""What the unit's memory has of this case, for a reader: links.csv and a section of the page.

Facts only: the same content, the same serial number, a grade, by whom and when. Never that two persons are one, and
never in a count of categories.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from itertools import groupby, islice
from operator import attrgetter
from typing import Any, TextIO

from caid_triage.case.links import LINKS, LinkedExhibit, LinkFigures, LinkRow, UnitLookRow
from caid_triage.case.view import CaseView
from caid_triage.report.attention import Attention
from caid_triage.report.rows_csv import write_rows
from caid_triage.report.text import contents_of, iso, number

EXHIBITS_SHOWN = 100
SHOWN = 100
PLACES_SHOWN = 6


@dataclass(frozen=True, slots=True)
class LinkedContent:
    """A content that is linked: a file of it for its facts, where it lies here, and each other exhibit or grade once.

    ``files`` of this case have it, ``links`` is how many exhibits or grades there are.
    """

    row: LinkRow
    places: list[LinkRow]
    files: int
    others: list[LinkRow]
    links: int


@dataclass(frozen=True, slots=True)
class LinkFacts:
    """The look-up, the exhibits that links lead to, and the first links of each kind with how many there are.

    ``older`` than the last scan: what came to the case then was not looked up. ``twins`` are the exhibits of this case
    that another case has too: no link of theirs to themselves is among the others.
    """

    look: UnitLookRow
    older: bool
    figures: LinkFigures
    exhibits: list[LinkedExhibit]
    exhibits_total: int
    twins: list[LinkedExhibit]
    same: list[LinkedContent]
    graded: list[LinkedContent]
    alike: list[LinkedContent]
    cameras: list[LinkRow]
    cameras_total: int


def write_links(view: CaseView, out: TextIO) -> None:
    """Write one row for each file of this case and each link of it, and one for each camera that links exhibits."""
    write_rows(out, LinkRow, (row for link in LINKS for row in view.links(link)))


def link_facts(view: CaseView) -> LinkFacts | None:
    """What the last look-up in the unit's memory found; None where there was none."""
    look = view.unit_look()
    if look is None:
        return None
    every = view.linked_exhibits()
    linked = [one for one in every if _leads_anywhere(one) and not one.same_exhibit]
    cameras = list(view.links("same-camera", apart=True))
    return LinkFacts(
        look=look,
        older=_is_older(view, look),
        figures=view.link_figures(),
        exhibits=linked[:EXHIBITS_SHOWN],
        exhibits_total=len(linked),
        twins=[one for one in every if one.same_exhibit],
        same=list(islice(_contents(view.links("same-content", apart=True)), SHOWN)),
        graded=list(islice(_contents(view.links("graded-before")), SHOWN)),
        alike=list(islice(_contents(view.links("look-alike", apart=True)), SHOWN)),
        cameras=cameras[:SHOWN],
        cameras_total=len(cameras),
    )


def linked_attention(links: LinkFacts | None) -> Iterator[Attention]:
    """What of the links asks for a person on the first screen, whatever the answer of the hash sets is."""
    if links is None:
        return
    found = links.figures
    if links.twins:
        headline = f"An exhibit of this case is in another case too: {number(len(links.twins))}"
        said = (
            "As its stored hash, its serial number or its reference says; what it has in common with itself is no link."
        )
        yield Attention(headline, said, "links")
    if found.graded:
        headline = f"Graded by an examiner in another case: {contents_of(found.graded)}"
        yield Attention(headline, "No grade is taken over: see what it was, by whom, and where it lies here.", "links")
    if pictures := found.listed + found.unlisted:
        yield Attention(
            f"On exhibits of other cases too: {contents_of(pictures)}",
            f"{number(found.listed)} listed by a hash set here, {number(found.unlisted)} pictures and films by none.",
            "links",
        )
    if found.cameras:
        headline = f"The same camera serial number in other cases: {number(found.cameras)}"
        yield Attention(headline, "As the files state it, which any program can write.", "links")


def summarised_links(view: CaseView) -> dict[str, Any]:
    """The figures for programs, as "links"; nothing of a case that was not looked up."""
    look = view.unit_look()
    if look is None:
        return {}
    found = {"looked": iso(look.looked), "older": _is_older(view, look), "found": asdict(view.link_figures())}
    return {"links": asdict(look) | found}


def _is_older(view: CaseView, look: UnitLookRow) -> bool:
    """Whether a scan, a match or a sampling ended after the look-up: a quick case that goes on as a standard one."""
    ended = view.run_times().finished
    return ended is not None and ended > look.looked


def _leads_anywhere(one: LinkedExhibit) -> bool:
    return bool(one.listed or one.unlisted or one.other or one.alike or one.cameras)


def _contents(rows: Iterator[LinkRow]) -> Iterator[LinkedContent]:
    """The rows of each content together; they come one after another."""
    for _, group in groupby(rows, attrgetter("sha256")):
        places: dict[tuple[str, ...], LinkRow] = {}
        others: dict[tuple[object, ...], LinkRow] = {}
        for row in group:
            places.setdefault((row.exhibit, row.source, row.volume, row.path), row)
            others.setdefault(_other(row), row)
        here, there = list(places.values()), list(others.values())
        listed = next((row for row in here if row.category_label), here[0])
        yield LinkedContent(listed, here[:PLACES_SHOWN], len(here), there[:PLACES_SHOWN], len(there))


def _other(row: LinkRow) -> tuple[object, ...]:
    return (
        row.other_case, row.other_exhibit, row.other_source, row.other_added, row.other_sha256, row.graded_by,
        row.graded, row.grade_code, row.grade_scheme, row.other_contact,
    )  # fmt: skip
