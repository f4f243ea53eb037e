"""What report.html shows, gathered and put into words. Every figure comes from the CaseView, none is computed twice."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from typing import Any

from caid_triage.case.audit import AuditHead
from caid_triage.case.rows import (
    Conservation,
    ContradictionRow,
    MatchRow,
    ProblemCount,
    SourceRow,
    Undecoded,
    VolumeRow,
    WithheldRow,
)
from caid_triage.case.view import CaseView
from caid_triage.locations import location_rules
from caid_triage.model import DecodeState
from caid_triage.report.attention import Attention, StatedFacts, attention, stated_facts
from caid_triage.report.block_searches import gaps_of_searches
from caid_triage.report.comparisons import RegradeFacts, SharedFacts, regrade_facts, shared_facts
from caid_triage.report.films import FILMS_SHOWN, FilmFacts, film_facts
from caid_triage.report.fragments import SamplingFacts, fragment_attention, sampling_facts, unscanned, with_samples
from caid_triage.report.gaps import not_examined
from caid_triage.report.graded import GradedFacts, graded_facts
from caid_triage.report.hits import HitTable, hit_tables
from caid_triage.report.ledger import LedgerFacts, ledger_facts
from caid_triage.report.links import LinkFacts, link_facts, linked_attention
from caid_triage.report.locations import LocationCount, matched_places
from caid_triage.report.meanings import COVERAGE_WORDS, DECODE_WORDS, meaning
from caid_triage.report.near import Chance, NearFacts, is_lead, leads_not_searched, likeliest
from caid_triage.report.on_exhibits import words_of_case
from caid_triage.report.origin import OriginFacts, origin_facts
from caid_triage.report.set_facts import HashSetFacts, hashset_facts, unconfirmed_any
from caid_triage.report.tables import Cell, CountTable, count_tables, exhibit_cells, tier_tables
from caid_triage.report.timeline import Panel, timeline
from caid_triage.report.verdict import Verdict, none_identical, verdict_with
from caid_triage.report.whereabouts import Whereabouts, whereabouts

MATCHES_SHOWN = 2000
LEADS_SHOWN = 500
CONTRADICTIONS_SHOWN = 200
GAPS_FIRST = 4


@dataclass(frozen=True, slots=True)
class Page:
    """Everything the template shows."""

    reference: str
    operation: str
    examiner: str
    tool: str
    exhibits: list[str]
    by_exhibit: list[tuple[str, Cell, Cell]]
    places: list[LocationCount]
    location_rules: str
    verdict: Verdict
    none_identical: str
    on_exhibits: list[str]
    exact: CountTable
    leads: CountTable
    strong_leads: CountTable
    far_leads: CountTable
    not_examined: list[tuple[str, str]]
    figures: Conservation
    gaps_first: int
    listed: int
    attention: list[Attention]
    stated: StatedFacts
    whereabouts: Whereabouts
    timeline: list[Panel]
    shared: SharedFacts | None
    links: LinkFacts | None
    regrade: RegradeFacts | None
    hits: HitTable
    look_alikes: HitTable
    far_matches: list[tuple[MatchRow, str]]
    far_total: int
    leads_not_searched: list[str]
    hashsets: list[HashSetFacts]
    unconfirmed: bool
    sources: list[SourceRow]
    volumes: list[VolumeRow]
    coverage: list[tuple[str, int, str]]
    ledgers: list[LedgerFacts]
    kinds: dict[str, int]
    states: dict[str, int]
    decode_states: list[tuple[str, int, str]]
    problems: list[tuple[ProblemCount, str]]
    contradictions: list[ContradictionRow]
    contradictions_total: int
    known_good: int
    undecoded: Undecoded
    media_contents: tuple[int, int]
    near: list[NearFacts]
    photodna: int
    withheld: list[WithheldRow]
    origin: OriginFacts
    films: list[FilmFacts]
    films_total: int
    options: list[tuple[str, str]]
    audit_head: AuditHead
    audit_faults: list[int]
    started: str
    finished: str
    graded: GradedFacts
    sampling: SamplingFacts | None


def page(view: CaseView) -> Page:
    """Read the case once and gather what the page shows."""
    figures, volumes, problems = view.conservation(), view.volumes(), view.problem_counts()
    decode_states, media_states = view.decode_states(), view.decode_states(media_only=True)
    sources, header = view.sources(), view.header
    tallies = view.tallies()
    exact, leads = count_tables(tallies)
    coverage = view.coverage()
    hashsets = [hashset_facts(info) for info in view.hashsets()]
    chance = Chance(view)
    categories = [(line.label, line.scheme) for line in (*exact.categories, *leads.categories)]
    rows = (row for row in view.matches() if not is_lead(row))
    hits, look_alikes = hit_tables(rows, chance, list(dict.fromkeys(categories)), (MATCHES_SHOWN, LEADS_SHOWN))
    origin, places, stated = origin_facts(view), whereabouts(view), stated_facts(view)
    listed = exact.total.cells["all"].files - exact.ignorable.files
    far_matches, far_total = likeliest(view, chance, LEADS_SHOWN)
    strong_leads, far_leads = tier_tables(tallies)
    unsearched = list(filter(None, map(leads_not_searched, view.hashsets())))
    films, films_total = _first(film_facts(view.video_matches()), FILMS_SHOWN)
    contradictions, contradictions_total = _first(view.contradictions(), CONTRADICTIONS_SHOWN)
    links, times, sampling = link_facts(view), view.run_times(), sampling_facts(view)
    return Page(
        reference=header.reference,
        operation=header.operation,
        examiner=header.examiner,
        tool=header.made_with,
        exhibits=list(dict.fromkeys([one.exhibit for one in sources] + [one.exhibit for one in view.samplings()])),
        by_exhibit=exhibit_cells(view, sources),
        places=matched_places(view),
        location_rules=location_rules().version,
        verdict=with_samples(view, verdict_with(view, exact, leads, far_leads, hashsets)),
        none_identical=none_identical(figures, hashsets),
        on_exhibits=words_of_case(view),
        exact=exact,
        leads=leads,
        strong_leads=strong_leads,
        far_leads=far_leads,
        not_examined=[
            *unscanned(view),
            *gaps_of_searches(view),
            *not_examined(
                figures, volumes, view.wide_problems(), problems, media_states, coverage.get("unallocated", 0)
            ),
        ],
        figures=figures,
        gaps_first=GAPS_FIRST,
        listed=listed,
        attention=[*attention(listed, stated, origin, places), *fragment_attention(sampling), *linked_attention(links)],
        stated=stated,
        whereabouts=places,
        timeline=timeline(view),
        shared=shared_facts(view),
        links=links,
        regrade=regrade_facts(view),
        hits=hits,
        look_alikes=look_alikes,
        far_matches=far_matches,
        far_total=far_total,
        leads_not_searched=unsearched,
        hashsets=hashsets,
        unconfirmed=unconfirmed_any(hashsets),
        sources=sources,
        volumes=volumes,
        coverage=[(kind, count, COVERAGE_WORDS.get(kind, "")) for kind, count in coverage.items()],
        ledgers=ledger_facts(view),
        kinds=view.kinds(),
        states=view.states(),
        decode_states=[(state, count, DECODE_WORDS[DecodeState(state)][1]) for state, count in decode_states.items()],
        problems=[(row, meaning(row.code) or row.example) for row in problems],
        contradictions=contradictions,
        contradictions_total=contradictions_total,
        known_good=view.known_good(),
        undecoded=view.undecoded(),
        media_contents=view.media_contents(),
        near=chance.by_set(),
        photodna=chance.photodna,
        withheld=view.withheld(),
        origin=origin,
        films=films,
        films_total=films_total,
        options=[(str(name), str(value)) for name, value in sorted(header.options.items())],
        audit_head=view.audit_head(),
        audit_faults=view.audit_faults(),
        started=times.started.strftime("%Y-%m-%d %H:%M:%S UTC") if times.started else "not recorded",
        finished=times.finished.strftime("%Y-%m-%d %H:%M:%S UTC") if times.finished else "not finished",
        graded=graded_facts(view),
        sampling=sampling,
    )


def _first(rows: Iterator[Any], limit: int) -> tuple[list[Any], int]:
    """The first rows and the number of all."""
    shown = list(islice(rows, limit))
    return shown, len(shown) + sum(1 for _ in rows)
