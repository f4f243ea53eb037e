"""What documents for the case file say, gathered once. Every figure comes from the CaseView, or from what report.html

is made of (page.py, gaps.py, locations.py, near.py): none is worked out a second time.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import islice
from typing import Any

from caid_triage.case.audit import AuditHead
from caid_triage.case.details import contact_of, seized_of
from caid_triage.case.documents import NamedRow, SetTallyRow, SourceProblemRow, SourceTallyRow, SpanRow
from caid_triage.case.page_rows import FolderCount
from caid_triage.case.rows import Conservation, ProblemRow, SourceRow, VolumeRow
from caid_triage.case.view import CaseView
from caid_triage.locations import location_rules
from caid_triage.report.fragments import unscanned, with_samples
from caid_triage.report.gaps import not_examined
from caid_triage.report.graded import GradedFacts, graded_facts
from caid_triage.report.locations import LocationCount, matched_places
from caid_triage.report.near import Chance, leads_not_searched
from caid_triage.report.set_facts import NOT_CONFIRMED, HashSetFacts, hashset_facts
from caid_triage.report.summary_json import source_facts
from caid_triage.report.tables import Cell, CountTable, count_tables, exhibit_cells
from caid_triage.report.telling import most_telling
from caid_triage.report.verdict import Verdict, verdict_of

NAMES_SHOWN = 20
FOLDERS_SHOWN = 15
GAPS_SHOWN = 40
HASHES = ("md5", "sha1", "sha256")
Span = tuple[datetime | None, datetime | None]


@dataclass(frozen=True, slots=True)
class Dates:
    """First and last dates of some exact matches, and how many of them have none.

    ``what`` is an exhibit, or a category's label, of which ``scheme`` is the scheme.
    """

    what: str
    scheme: str
    files: int
    undated: int
    created: Span
    modified: Span
    accessed: Span


@dataclass(frozen=True, slots=True)
class CourtFacts:
    """The facts of a case for a document. ``exact`` and ``leads`` are report.html's count tables.

    ``contact`` is whom to ask, "" where nobody stated it, ``seized`` has the exhibits of which it is stated when they
    were. ``standing`` says of each scheme who confirmed it, or NOT CONFIRMED. ``gaps`` are the first of ``gaps_total``.
    """

    reference: str
    operation: str
    examiner: str
    contact: str
    seized: Mapping[str, str]
    tool: str
    exhibits: Sequence[str]
    sources: Sequence[SourceRow]
    segments: Mapping[int, Sequence[str]]
    volumes: Sequence[VolumeRow]
    figures: Conservation
    verdict: Verdict
    exact: CountTable
    leads: CountTable
    standing: Mapping[str, str]
    by_exhibit: Sequence[tuple[str, Cell, Cell]]
    source_tallies: Sequence[SourceTallyRow]
    source_problems: Sequence[SourceProblemRow]
    wide_problems: Sequence[ProblemRow]
    dates_by_category: Sequence[Dates]
    dates_by_exhibit: Sequence[Dates]
    places: Sequence[LocationCount]
    location_rules: str
    folders: Sequence[FolderCount]
    names: Sequence[NamedRow]
    hashsets: Sequence[HashSetFacts]
    set_tallies: Mapping[str, SetTallyRow]
    known_good: int
    md5_alone: tuple[int, int]
    contradictions: int
    leads_not_searched: Sequence[str]
    graded: GradedFacts
    photodna: int
    gaps: Sequence[tuple[str, str]]
    gaps_total: int
    profile: str
    audit_head: AuditHead
    started: datetime | None
    finished: datetime | None

    @property
    def undated(self) -> int:
        """How many exact matches have no date at all."""
        return sum(dates.undated for dates in self.dates_by_exhibit)

    def category(self, label: str, scheme: str) -> str:
        """A category as every document prints it: its label, its scheme, and whether somebody confirmed that."""
        return f"{label} (scheme {scheme or 'none'}, {self.confirmed(scheme)})"

    def confirmed(self, scheme: str) -> str:
        """Whether a scheme is confirmed, in a word or two: of all sets that have it, else NOT CONFIRMED."""
        return NOT_CONFIRMED if NOT_CONFIRMED in self.standing.get(scheme, NOT_CONFIRMED) else "confirmed"


def court_facts(view: CaseView) -> CourtFacts:
    """Read the case once and gather what its documents say."""
    header, sources, volumes, coverage = view.header, view.sources(), view.volumes(), view.coverage()
    tallies = view.tallies()
    exact, leads = count_tables(tallies)
    infos = view.hashsets()
    spans = view.spans()
    wide = view.wide_problems()
    figures = view.conservation()
    media_states = view.decode_states(media_only=True)
    gaps = [
        *unscanned(view),
        *not_examined(figures, volumes, wide, view.problem_counts(), media_states, coverage.get("unallocated", 0)),
    ]
    times, details = view.run_times(), view.details()
    return CourtFacts(
        reference=header.reference,
        operation=header.operation,
        examiner=header.examiner,
        contact=contact_of(details).told(),
        seized=seized_of(details),
        tool=header.made_with,
        exhibits=list(dict.fromkeys([one.exhibit for one in sources] + [one.exhibit for one in view.samplings()])),
        sources=sources,
        segments={source.id: source_facts(source)["segments"] for source in sources},
        volumes=volumes,
        figures=figures,
        verdict=with_samples(view, verdict_of(view, tallies)),
        exact=exact,
        leads=leads,
        standing=scheme_standing(infos),
        by_exhibit=exhibit_cells(view, sources),
        source_tallies=view.source_tallies(),
        source_problems=view.source_problems(),
        wide_problems=wide,
        dates_by_category=_in_order_of(exact, _dates(((row.category_label, row.scheme), row) for row in spans)),
        dates_by_exhibit=_dates(((row.exhibit, ""), row) for row in spans),
        places=matched_places(view),
        location_rules=location_rules().version,
        folders=view.folder_counts(FOLDERS_SHOWN),
        names=most_telling(view.named_contents(), NAMES_SHOWN),
        hashsets=[hashset_facts(info) for info in infos],
        set_tallies={row.hashset: row for row in view.set_tallies()},
        known_good=view.known_good(),
        md5_alone=view.md5_alone(),
        contradictions=sum(1 for _ in view.contradictions()),
        leads_not_searched=[*filter(None, map(leads_not_searched, infos))],
        graded=graded_facts(view),
        photodna=Chance(view).photodna,
        gaps=[*islice(gaps, GAPS_SHOWN)],
        gaps_total=len(gaps),
        profile=str(header.options.get("profile") or ""),
        audit_head=view.audit_head(),
        started=times.started,
        finished=times.finished,
    )


def scheme_standing(infos: Iterable[Mapping[str, Any]]) -> dict[str, str]:
    """Of each scheme of a notable set: who confirmed it, or NOT CONFIRMED; both where sets of one scheme differ."""
    found: dict[str, dict[str, None]] = {}
    for info in infos:
        if info.get("role") == "notable":
            by = info.get("scheme_confirmed_by")
            words = f"confirmed by {by}" if by else f"{NOT_CONFIRMED} in {info['name']}"
            found.setdefault(str(info.get("scheme") or ""), {})[words] = None
    return {scheme: "; ".join(words) for scheme, words in found.items()}


def _dates(rows: Iterable[tuple[tuple[str, str], SpanRow]]) -> list[Dates]:
    """The spans gathered by a key of two words, in the order in which the keys first come."""
    groups: dict[tuple[str, str], list[SpanRow]] = {}
    for key, row in rows:
        groups.setdefault(key, []).append(row)
    return [
        Dates(
            *key,
            files=sum(row.files for row in found),
            undated=sum(row.undated for row in found),
            created=_widest(row.created for row in found),
            modified=_widest(row.modified for row in found),
            accessed=_widest(row.accessed for row in found),
        )
        for key, found in groups.items()
    ]


def _widest(spans: Iterable[Span]) -> Span:
    """The first and the last moment of several spans."""
    moments = [moment for span in spans for moment in span if moment is not None]
    return (min(moments), max(moments)) if moments else (None, None)


def _in_order_of(table: CountTable, dates: Sequence[Dates]) -> list[Dates]:
    """The dates by category as the table has its categories: gravest first over all exhibits."""
    places = {(line.label, line.scheme): place for place, line in enumerate(table.categories)}
    return sorted(dates, key=lambda one: places[one.what, one.scheme])


def is_unverified(acquisition: Mapping[str, str]) -> bool:
    """Whether hashes were stored when the exhibit was copied, and this case has not compared the copy with them."""
    return any(acquisition.get(name) for name in HASHES) and not acquisition.get("verified")
