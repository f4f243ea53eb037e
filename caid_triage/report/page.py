"""What report.html shows, gathered and put into words. Every figure comes from the CaseView, none is computed twice."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice
from typing import Any

from caid_triage.case.audit import AuditHead
from caid_triage.case.rows import (
    Conservation,
    ContradictionRow,
    MatchRow,
    ProblemCount,
    SourceRow,
    TallyRow,
    VolumeRow,
    WithheldRow,
)
from caid_triage.case.view import CaseView
from caid_triage.model import DecodeState, Kind, MatchKind, Tier
from caid_triage.report.films import FILMS_SHOWN, FilmFacts, film_facts
from caid_triage.report.gaps import not_examined
from caid_triage.report.graded import GradedFacts, graded_facts
from caid_triage.report.ledger import LedgerFacts, ledger_facts
from caid_triage.report.locations import LocationCount, location_rules, matched_places
from caid_triage.report.meanings import COVERAGE_WORDS, DECODE_WORDS, meaning
from caid_triage.report.near import Chance, NearFacts, is_lead, leads_not_searched, likeliest, shown_chance
from caid_triage.report.origin import OriginFacts, origin_facts
from caid_triage.report.text import files_of, number

MATCHES_SHOWN = 2000
LEADS_SHOWN = 500
CONTRADICTIONS_SHOWN = 200
PLACES = ("live", "inside", "deleted", "other")
KIND_WORDS = {Kind.IMAGE: "still", Kind.VIDEO: "moving", Kind.OTHER: "other file"}


@dataclass(slots=True)
class Cell:
    """How many files and how many different contents."""

    files: int = 0
    unique: int = 0

    def add(self, row: TallyRow) -> None:
        """Add a tally. Sound over kinds and categories, which follow from content; not over places."""
        self.files += row.files
        self.unique += row.unique


@dataclass(slots=True)
class Line:
    """A line of a count table: the cells of one category, or of one category and kind, by place and by kind."""

    label: str
    scheme: str
    kind: str
    cells: dict[str, Cell] = field(default_factory=lambda: {place: Cell() for place in (*PLACES, "all")})
    kinds: dict[str, Cell] = field(default_factory=lambda: {word: Cell() for word in KIND_WORDS.values()})

    def add(self, row: TallyRow) -> None:
        """Add a tally to its place, and to its kind when it is over all places."""
        self.cells[row.place].add(row)
        if row.place == "all":
            self.kinds[KIND_WORDS[row.kind]].add(row)


@dataclass(slots=True)
class CountTable:
    """The counts of exact matches, or of leads: by category, by category and kind, and over all."""

    categories: list[Line]
    lines: list[Line]
    total: Line
    ignorable: Cell


def count_table(tallies: Iterable[TallyRow]) -> CountTable:
    """Gather tallies, which come gravest category first, into the lines of a table."""
    categories: dict[tuple[str, str, str], Line] = {}
    lines: dict[tuple[str, str, str, Kind], Line] = {}
    total, ignorable = Line("All categories", "", ""), Cell()
    for row in tallies:
        key = row.category_code, row.category_label, row.scheme
        kind = KIND_WORDS[row.kind]
        categories.setdefault(key, Line(row.category_label, row.scheme, "")).add(row)
        lines.setdefault((*key, row.kind), Line(row.category_label, row.scheme, kind)).add(row)
        total.add(row)
        if row.severity == 0 and row.place == "all":
            ignorable.add(row)
    return CountTable(list(categories.values()), list(lines.values()), total, ignorable)


@dataclass(frozen=True, slots=True)
class Verdict:
    """The answer, in one word for the style, a headline and a sentence."""

    word: str
    headline: str
    sentence: str


def verdict(
    exact: CountTable,
    leads: CountTable,
    figures: Conservation,
    *,
    any_set: bool,
    unconfirmed: bool = False,
    contradicted: int = 0,
    far: int = 0,
    md5_alone: int = 0,
) -> Verdict:
    """Whether known material was found; the words never claim more than was examined.

    A category of severity 0 is one that its scheme ranks as not pertinent: such files do not make the answer a yes,
    and they are named, for the rank may be wrong (some codes have been published both ways round). From a scheme that
    nobody has confirmed they do not make it a no either. Nor does a file whose weaker digest is listed while a stronger
    one is not: the file may have been made so, or the entry may be wrong. ``far`` leads lie beyond the strong distance.
    ``md5_alone`` of the files that count agree in nothing stronger than MD5: they count, and that is said.
    """
    lead, ignorable = leads.total.cells["all"], exact.ignorable
    found = exact.total.cells["all"].files - ignorable.files
    lead_words = (
        f"{files_of(lead.files)} ({_contents(lead.unique)}) only {_looks(lead.files)} like a listed item: "
        "a lead to check by eye, in no count."
    )
    if far:
        lead_words += f" {number(far)} of them {_is(far)} farther off than the strong distance: less sure."
    ignorable_words = (
        f"{files_of(ignorable.files)} {_is(ignorable.files)} identical to an item in a category that its scheme ranks "
        "as not pertinent."
    )
    contradicted_words = f"{files_of(contradicted)} with contradicting digests: see Contradictions."
    md5_words = f"{files_of(md5_alone)} by MD5 alone, which can be forged: see Matches."
    more = [md5_words] * bool(md5_alone) + [ignorable_words] * bool(ignorable.files)
    more += [f"A further {lead_words}"] * bool(lead.files)
    more += [contradicted_words] * bool(contradicted)
    if found:
        unique = exact.total.cells["all"].unique - ignorable.unique
        sentence = f"{files_of(found)} ({_contents(unique)}) {_is(found)} identical to a listed item."
        return Verdict("found", "Known material found: YES", " ".join([sentence, *more]))
    if not any_set:
        return Verdict("none", "No hash set was given", "The files were listed and hashed; nothing was compared.")
    if ignorable.files and unconfirmed:
        headline = "Listed files found; what their category means is not confirmed"
        return Verdict("leads", headline, " ".join([*more, "Confirm the category scheme before this is an answer."]))
    if contradicted:
        return Verdict("leads", "No identical file found; contradictions to check", " ".join(more))
    if lead.files:
        return Verdict("leads", "No identical file found; leads to check", " ".join(more).removeprefix("A further "))
    if not figures.complete:
        so_far = (
            f"{files_of(figures.stored)} examined so far; the scan must be run to its end before this is an answer."
        )
        return Verdict("leads", "Nothing found so far: the scan is not complete", " ".join([*more, so_far]))
    nothing = f"{files_of(figures.stored)} examined: none is listed{' in any other category' if more else ''}."
    return Verdict("none", "Known material found: NO", " ".join([*more, nothing]))


def _contents(count: int) -> str:
    return f"{number(count)} different content{'' if count == 1 else 's'}"


def _is(count: int) -> str:
    return "is" if count == 1 else "are"


def _looks(count: int) -> str:
    return "looks" if count == 1 else "look"


@dataclass(frozen=True, slots=True)
class HashSetFacts:
    """A hash set as the page shows it."""

    name: str
    generation: str
    role: str
    entries: object
    scheme: str
    confirmed: str
    sources: Sequence[tuple[str, str]]
    refused: int


def hashset_facts(info: Mapping[str, Any]) -> HashSetFacts:
    """What the case was told of a hash set, with the words for whether its scheme is confirmed."""
    sources = [source for source in info.get("sources") or [] if isinstance(source, Mapping)]
    title = info.get("scheme_title") or info.get("scheme") or "none"
    by = info.get("scheme_confirmed_by")
    return HashSetFacts(
        name=str(info["name"]),
        generation=str(info.get("generation") or ""),
        role=str(info.get("role") or ""),
        entries=info.get("entries"),
        scheme=str(title),
        confirmed=f"confirmed by {by}" if by else "NOT CONFIRMED",
        sources=[(str(source.get("file") or ""), str(source.get("sha256") or "")) for source in sources],
        refused=sum(source.get("refused") or 0 for source in sources),
    )


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
    exact: CountTable
    leads: CountTable
    strong_leads: CountTable
    far_leads: CountTable
    not_examined: list[tuple[str, str]]
    figures: Conservation
    matches: list[MatchRow]
    matches_total: int
    matches_shown: int
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
    chance: Mapping[int, str]
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


def count_tables(view: CaseView) -> tuple[CountTable, CountTable]:
    """The counts of the exact matches, and those of the leads."""
    tallies = view.tallies()
    exact = count_table(row for row in tallies if row.match_kind is MatchKind.EXACT)
    return exact, count_table(row for row in tallies if row.match_kind is not MatchKind.EXACT)


def tier_tables(view: CaseView) -> tuple[CountTable, CountTable]:
    """The counts of the leads apart: films and strong look-alikes, and those of the tier of leads."""
    tallies = [row for row in view.tallies() if row.match_kind is not MatchKind.EXACT]
    far = count_table(row for row in tallies if row.tier is Tier.LEAD)
    return count_table(row for row in tallies if row.tier is not Tier.LEAD), far


def verdict_of(view: CaseView) -> Verdict:
    """The answer of the page alone, for a terminal."""
    return _verdict(view, *count_tables(view), list(map(hashset_facts, view.hashsets())))


def _verdict(view: CaseView, exact: CountTable, leads: CountTable, hashsets: Sequence[HashSetFacts]) -> Verdict:
    notable = [facts for facts in hashsets if facts.role == "notable"]
    return verdict(
        exact,
        leads,
        view.conservation(),
        any_set=bool(notable),
        unconfirmed=_unconfirmed(hashsets),
        far=tier_tables(view)[1].total.cells["all"].files,
        md5_alone=view.md5_alone()[0],
        contradicted=len({(row.exhibit, row.source, row.volume, row.path) for row in view.contradicted_matches()}),
    )


def _unconfirmed(hashsets: Iterable[HashSetFacts]) -> bool:
    """Whether there is a set of known material whose categories nobody has confirmed."""
    return any(facts.role == "notable" and facts.confirmed == "NOT CONFIRMED" for facts in hashsets)


def page(view: CaseView) -> Page:
    """Read the case once and gather what the page shows."""
    figures, volumes, problems = view.conservation(), view.volumes(), view.problem_counts()
    decode_states, media_states = view.decode_states(), view.decode_states(media_only=True)
    sources, header = view.sources(), view.header
    exact, leads = count_tables(view)
    coverage = view.coverage()
    hashsets = [hashset_facts(info) for info in view.hashsets()]
    chance = Chance(view)
    matches, matches_total = _first((row for row in view.matches() if not is_lead(row)), MATCHES_SHOWN)
    far_matches, far_total = likeliest(view, chance, LEADS_SHOWN)
    strong_leads, far_leads = tier_tables(view)
    unsearched = list(filter(None, map(leads_not_searched, view.hashsets())))
    films, films_total = _first(film_facts(view.video_matches()), FILMS_SHOWN)
    contradictions, contradictions_total = _first(view.contradictions(), CONTRADICTIONS_SHOWN)
    times = view.run_times()
    return Page(
        reference=header.reference,
        operation=header.operation,
        examiner=header.examiner,
        tool=f"{header.tool.get('name', 'caid-triage')} {header.tool.get('version', '')}".strip(),
        exhibits=list(dict.fromkeys(source.exhibit for source in sources)),
        by_exhibit=_by_exhibit(view, sources),
        places=matched_places(view),
        location_rules=location_rules().version,
        verdict=_verdict(view, exact, leads, hashsets),
        exact=exact,
        leads=leads,
        strong_leads=strong_leads,
        far_leads=far_leads,
        not_examined=list(
            not_examined(figures, volumes, view.wide_problems(), problems, media_states, coverage.get("unallocated", 0))
        ),
        figures=figures,
        matches=matches,
        matches_total=matches_total,
        matches_shown=MATCHES_SHOWN,
        far_matches=far_matches,
        far_total=far_total,
        leads_not_searched=unsearched,
        hashsets=hashsets,
        unconfirmed=_unconfirmed(hashsets),
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
        chance={
            place: shown_chance(chance.of_match(row))
            for place, row in enumerate(matches)
            if row.match_kind is not MatchKind.EXACT
        },
        near=chance.by_set(),
        photodna=chance.photodna,
        withheld=view.withheld(),
        origin=origin_facts(view),
        films=films,
        films_total=films_total,
        options=[(str(name), str(value)) for name, value in sorted(header.options.items())],
        audit_head=view.audit_head(),
        audit_faults=view.audit_faults(),
        started=times.started.strftime("%Y-%m-%d %H:%M:%S UTC") if times.started else "not recorded",
        finished=times.finished.strftime("%Y-%m-%d %H:%M:%S UTC") if times.finished else "not finished",
        graded=graded_facts(view),
    )


def _first(rows: Iterator[Any], limit: int) -> tuple[list[Any], int]:
    """The first rows and the number of all."""
    shown = list(islice(rows, limit))
    return shown, len(shown) + sum(1 for _ in rows)


def _by_exhibit(view: CaseView, sources: Sequence[SourceRow]) -> list[tuple[str, Cell, Cell]]:
    cells = {source.exhibit: (Cell(), Cell()) for source in sources}
    for row in view.exhibits():
        cell = cells[row.exhibit][0 if row.match_kind is MatchKind.EXACT else 1]
        cell.files += row.files
        cell.unique += row.unique
    return [(exhibit, *pair) for exhibit, pair in cells.items()]
