"""The summary for a streamlined forensic report: what was found, how much, where, and what that does not cover.

Written for a custody sergeant (the first page), a lawyer (plain words, counts by category and reach) and a defence
expert (versions, digests, limits). It never says who put a file there or had it, and holds no picture.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import datetime

from caid_triage.case.documents import NamedRow
from caid_triage.locations import location_of
from caid_triage.model import State
from caid_triage.report.blocks import (
    Block,
    Bullets,
    Column,
    Document,
    Facts,
    Grid,
    Heading,
    Mood,
    Paragraph,
    Signature,
    Words,
    short,
)
from caid_triage.report.court import HASHES, CourtFacts, Dates, Span, is_unverified
from caid_triage.report.locations import accessibility
from caid_triage.report.set_facts import NOT_CONFIRMED
from caid_triage.report.tables import PLACES, Cell, Line
from caid_triage.report.telling import RULE
from caid_triage.report.text import files_of, iso, number, size
from caid_triage.report.verdict import none_identical

TITLE = "Digital examination: summary of known material"
SUBTITLE = (
    "Prepared for a Streamlined Forensic Report (initial summary). Text only: it holds no picture. Not a statement of "
    "opinion; it does not say who put a file there, knew of it or had control of it."
)
PLACE_TITLES = {
    "live": "Accessible (live files)",
    "inside": "Inside a live file",
    "deleted": "Deleted: not accessible*",
    "other": "Elsewhere: not accessible*",
    "all": "All",
}
PLACES_EXPLAINED = (
    "* Not accessible without specialist software. Files counts every place where a content was found; different "
    "contents counts each once in a place, so they do not add up over places. "
    "Inside a live file: in an archive, document, message or cache that lists it. Elsewhere: recovered from free "
    "space or slack, or named by no folder, and what lies in such files."
)
LIMITS = "see section 8"
# Where the sections that the answer of report.html points to stand in this document.
SECTIONS = {
    "see Matches": LIMITS, "see Contradictions": LIMITS, "See Contradictions": "See section 8",
    "see Graded by examiners": "see section 2",
}  # fmt: skip
NO_EXAMINER = "not stated here; who did what is in the audit trail (audit.jsonl)"
# Of a graded file: what hash sets say of it -> the word of report.html for it.
ASSERTED_TITLES = {"Of them identical": "identical", "Look-alike": "look-alike", "Not listed": "not listed"}
KEPT_BY_PROGRAMS = frozenset({"program", "hidden", "system"})  # reaches of locations.py
METHOD = (
    "The copy of each exhibit was opened for reading only. Every file that could be found was read to its end: live "
    "ones, deleted ones, those recovered from free space, and those inside other files. Of each the digital "
    "fingerprints MD5, SHA-1 and SHA-256 were computed and compared with the hash sets listed above. A file counts as "
    "identical where a fingerprint agrees with a listed one. It counts once, under its gravest category. The category "
    "is what the hash set says of the listed item; the comparison itself looks at no picture. What examiners graded by "
    "eye, where they did, is a table of its own in section 2.",
    "Pictures and films were also compared by their look. Such near matches are leads: they are in no count here, and "
    "mean nothing before a person has compared them.",
    "Every file found is accounted for: found, examined and stored are counted separately and must agree.",
)


def sfr(facts: CourtFacts) -> Document:
    """The summary of a case."""
    exhibits = ", ".join(short(exhibit, 40) for exhibit in facts.exhibits[:3]) + ", ..." * (len(facts.exhibits) > 3)
    footer = " | ".join(filter(None, (short(facts.reference, 60), exhibits, facts.tool)))
    return Document(TITLE, SUBTITLE, footer, list(_blocks(facts)))


def _blocks(facts: CourtFacts) -> Iterator[Block]:
    yield _about(facts)
    yield from _result(facts)
    yield from _quantity(facts)
    yield from _graded(facts)
    yield from _where(facts)
    yield from _when(facts)
    yield from _known_by(facts)
    yield from _leads(facts)
    yield from _examined(facts)
    yield from _limits(facts)
    yield Heading("9. Method in plain words")
    yield from (Paragraph(text) for text in METHOD)
    yield from _integrity(facts)
    yield Heading("11. Signature")
    yield Paragraph("I have read this summary and the reports that it names.")
    yield Signature(("Name", "Rank or role, number", "Signature", "Date"))


def _about(facts: CourtFacts) -> Facts:
    return Facts(
        [
            ("Exhibit" if len(facts.exhibits) == 1 else "Exhibits", ", ".join(map(short, facts.exhibits)) or "none"),
            ("Case reference", short(facts.reference) or "not stated"),
            ("Operation or instruction", short(facts.operation) or "not stated"),
            ("Examiner", short(facts.examiner) or NO_EXAMINER),
            *stated_facts(facts),
            ("Examined", examined_when(facts)),
            ("With", facts.tool),
        ]
    )


def stated_facts(facts: CourtFacts) -> Iterator[tuple[str, str]]:
    """Whom to ask, and when the exhibits were seized, where that is stated."""
    if facts.contact:
        yield "Contact", short(facts.contact)
    if facts.seized:
        yield "Seized", short("; ".join(f"{exhibit}: {moment}" for exhibit, moment in facts.seized.items()))


def examined_when(facts: CourtFacts) -> str:
    """From when to when the case was examined, in words."""
    started = f"{facts.started:%Y-%m-%d %H:%M} UTC" if facts.started else "not recorded"
    finished = f"{facts.finished:%Y-%m-%d %H:%M} UTC" if facts.finished else "not finished"
    return f"{started} to {finished}"


def _result(facts: CourtFacts) -> Iterator[Block]:
    yield Heading("1. Result")
    covers = " The answer covers only what could be examined: see section 8." if facts.gaps else ""
    sentence = facts.verdict.sentence
    for there, here in SECTIONS.items():
        sentence = sentence.replace(there, here)
    yield Paragraph(sentence + covers, Mood.ANSWER, facts.verdict.headline)
    if unconfirmed := [scheme for scheme, words in facts.standing.items() if NOT_CONFIRMED in words]:
        named = ", ".join(scheme or "none" for scheme in unconfirmed)
        text = (
            f"Nobody has confirmed what the codes of scheme {named} mean in every hash set: its categories are not to "
            "be relied on as legal categories until somebody has."
        )
        yield Paragraph(text, Mood.WARNING, NOT_CONFIRMED)


def _quantity(facts: CourtFacts) -> Iterator[Block]:
    yield Heading("2. Quantity")
    if not facts.exact.lines:
        yield Paragraph(none_identical(facts.figures, facts.hashsets))
        return
    for line in facts.exact.categories:
        yield Paragraph(in_words(line), lead=f"{short(facts.category(line.label, line.scheme))}: ")
    columns = [Column("Category", 0.27), Column("Kind", 0.09)]
    columns += [Column(title, 0.128, figures=True) for title in PLACE_TITLES.values()]
    rows: list[list[Words]] = [
        [short(facts.category(line.label, line.scheme)), line.kind, *pairs(line)] for line in facts.exact.lines
    ]
    rows.append([facts.exact.total.label, "all kinds", *pairs(facts.exact.total)])
    yield Grid("Files identical to a listed item: files / different contents", columns, rows, totals=1)
    yield Paragraph(PLACES_EXPLAINED, Mood.NOTE)
    if kept := sum(place.live for place in facts.places if place.location.reach in KEPT_BY_PROGRAMS):
        text = (
            f"{files_of(kept)} of those called accessible {'lies' if kept == 1 else 'lie'} where a program keeps them "
            "for itself, hidden, or among files of the system: see section 3."
        )
        yield Paragraph(text)
    if facts.exact.ignorable.files:
        text = (
            f"{files_of(facts.exact.ignorable.files)} of these {_is(facts.exact.ignorable.files)} in a category that "
            "its scheme ranks as not pertinent."
        )
        yield Paragraph(text, Mood.NOTE)
    if len(facts.by_exhibit) > 1:
        columns = [Column("Exhibit", 0.5), Column("Identical", 0.25, figures=True), Column("Leads", 0.25, figures=True)]
        by_exhibit: list[list[Words]] = [
            [short(exhibit), pair(exact), pair(leads)] for exhibit, exact, leads in facts.by_exhibit
        ]
        yield Grid("By exhibit: files / different contents", columns, by_exhibit)


def pairs(line: Line) -> list[str]:
    """The cells of a line by place, and over all."""
    return [pair(line.cells[place]) for place in (*PLACES, "all")]


def pair(cell: Cell) -> str:
    """Files and different contents, as a cell has them."""
    return f"{number(cell.files)} / {number(cell.unique)}" if cell.files else "0"


def in_words(line: Line) -> str:
    """How much of a category there is and how it can be come to, as a sentence."""
    cells, every = line.cells, line.cells["all"]
    live, inside, deleted, other = (cells[place].files for place in PLACES)
    kinds = ", ".join(f"{number(cell.files)} {word}" for word, cell in line.kinds.items() if cell.files)
    gone = [f"{number(deleted)} deleted"] * bool(deleted) + [f"{number(other)} recovered elsewhere"] * bool(other)
    reach = [f"{number(live)} accessible as live files"] * bool(live)
    reach += [f"{number(inside)} inside live files"] * bool(inside)
    if gone:
        reach.append(f"{number(deleted + other)} not accessible without specialist software ({', '.join(gone)})")
    return f"{files_of(every.files)}, {number(every.unique)} different ({kinds}): {', '.join(reach)}."


def _where(facts: CourtFacts) -> Iterator[Block]:
    yield Heading("3. Where they lie: folders and indicative file names")
    if not facts.places:
        yield Paragraph(none_identical(facts.figures, facts.hashsets))
        return
    columns = [
        Column("Kind of place", 0.25), Column("How its live files are come to", 0.33),
        Column("Files", 0.1, figures=True), Column("Live", 0.1, figures=True),
        Column("In live files", 0.12, figures=True), Column("Others", 0.1, figures=True),
    ]  # fmt: skip
    rows: list[list[Words]] = [
        [
            place.location.words, accessibility(State.ALLOCATED, place.location), number(place.files),
            number(place.live), number(place.inside), number(place.files - place.live - place.inside),
        ]
        for place in facts.places
    ]  # fmt: skip
    yield Grid("Kinds of place, by the path of each file", columns, rows)
    text = (
        f"Rules of {facts.location_rules}. A place says where a file lies and how it could be come to. It does not say "
        "who put it there or who knew of it: programs fill caches and thumbnails by themselves."
    )
    yield Paragraph(text, Mood.NOTE)
    if facts.folders:
        columns = [Column("Folder", 0.5), Column("Of", 0.33), Column("Files / different", 0.17, figures=True)]
        rows = [
            [*_place(row.exhibit, row.source, row.volume, row.folder), f"{number(row.files)} / {number(row.unique)}"]
            for row in facts.folders
        ]
        total = facts.folders[0].total
        caption = "The folders with most" if total > len(rows) else "The folders"
        yield Grid(f"{caption} ({number(len(rows))} of {number(total)})", columns, rows)
    if facts.names:
        columns = [Column("File", 0.5), Column("Category", 0.22), Column("State", 0.18), Column("Copies", 0.1, True)]
        rows = [
            [
                _place(row.exhibit, row.source, row.volume, row.path),
                short(facts.category(row.category_label, row.scheme)),
                state_words(row),
                number(row.copies),
            ]
            for row in facts.names
        ]
        yield Grid("Indicative file names", columns, rows)
        yield Paragraph(f"{RULE} What a name says need not be true of the content.", Mood.NOTE)
    else:
        yield Paragraph("No name of these files has a word that a camera or a program does not give by itself.")


def _place(exhibit: str, source: str, volume: str, path: str) -> tuple[str, str]:
    return short(path), short(" ".join(filter(None, (exhibit, source, volume))), 120)


def state_words(row: NamedRow) -> str:
    """How a named file can be come to, in words."""
    return accessibility(row.state, location_of(row.path), row.container_state, removed=row.removed)


def _when(facts: CourtFacts) -> Iterator[Block]:
    yield Heading("4. Dates")
    if not facts.dates_by_exhibit:
        yield Paragraph(none_identical(facts.figures, facts.hashsets))
        return
    columns = [
        Column("Of", 0.25), Column("Created", 0.19), Column("Modified", 0.19), Column("Accessed", 0.19),
        Column("Files", 0.08, figures=True), Column("No date", 0.1, figures=True),
    ]  # fmt: skip
    by_category = [_dated(short(facts.category(dates.what, dates.scheme)), dates) for dates in facts.dates_by_category]
    yield Grid("First and last, by category", columns, by_category)
    yield Grid("First and last, by exhibit", columns, [_dated(short(one.what), one) for one in facts.dates_by_exhibit])
    text = (
        "As file systems and archives recorded them, in UTC. FAT, ISO 9660 and zip keep local time without a zone: it "
        "is printed as stored. Clocks may have been wrong, and copying changes dates. A created date may be that of a "
        "copy. Files recovered from free space have none."
    )
    yield Paragraph(text, Mood.NOTE)


def _dated(what: str, dates: Dates) -> list[Words]:
    spans = [span_lines(span) for span in (dates.created, dates.modified, dates.accessed)]
    return [what, *spans, number(dates.files), number(dates.undated)]


def span_lines(span: Span) -> tuple[str, ...]:
    """First and last moment of a span, a line each."""
    first, last = span
    if first is None:
        return ("not known",)
    return (_minute(first),) if first == last else (_minute(first), f"to {_minute(last)}")


def _minute(moment: datetime | None) -> str:
    """A moment to the second, as ISO 8601 in UTC."""
    return "" if moment is None else iso(moment.replace(microsecond=0))


def _known_by(facts: CourtFacts) -> Iterator[Block]:
    yield Heading("5. Known by: hash sets and category scheme")
    if not facts.hashsets:
        sampled = "No file was listed: the disk was sampled with a block set alone (see the answer)."
        given = "No hash set was given: nothing was compared."
        yield Paragraph(given if facts.sources or not facts.exhibits else sampled)
        return
    columns = [
        Column("Hash set, version", 0.3), Column("Used as", 0.11), Column("Entries", 0.12, figures=True),
        Column("Identical: files / different", 0.15, figures=True), Column("Scheme", 0.32),
    ]  # fmt: skip
    rows: list[list[Words]] = []
    for one in facts.hashsets:
        tally = facts.set_tallies.get(one.name)
        entries = number(one.entries) if isinstance(one.entries, int) else "not stated"
        found = f"{number(tally.files)} / {number(tally.unique)}" if tally else "not in the counts"
        scheme: Words = (short(one.scheme), one.confirmed) if one.role == "notable" else "counts nothing"
        sources = [
            line for file, digest in one.sources[:5] for line in (f"from {short(file, 80)}", f"SHA-256 {digest}")
        ]
        more = [f"and {number(len(one.sources) - 5)} more files"] * (len(one.sources) > 5)
        name = (short(one.name), f"version {short(one.generation, 80) or 'not stated'}", *sources, *more)
        rows.append([name, one.role, entries, found, scheme])
    yield Grid("What the files were compared with", columns, rows)
    yield Paragraph(
        "A file that two sets list is in both rows, so rows do not add up. A category is a code in a named scheme; the "
        "same code means different things in different countries and years.",
        Mood.NOTE,
    )


def _leads(facts: CourtFacts) -> Iterator[Block]:
    yield Heading("6. Near matches: leads, in no count above")
    if not facts.leads.lines:
        yield Paragraph("No further file looks like a listed item.")
    else:
        every = facts.leads.total.cells["all"]
        text = (
            f"{files_of(every.files)} ({number(every.unique)} different) only look like a listed item or share frames "
            "with a listed film. They may be altered copies, or have nothing to do with it. An examiner must compare "
            "them; matches.csv lists each with its distance."
        )
        yield Paragraph(text)
        columns = [Column("Looks like an item of category", 0.27), Column("Kind", 0.09)]
        columns += [Column(title, 0.128, figures=True) for title in PLACE_TITLES.values()]
        rows = [[short(facts.category(line.label, line.scheme)), line.kind, *pairs(line)] for line in facts.leads.lines]
        rows.append([facts.leads.total.label, "all kinds", *pairs(facts.leads.total)])
        yield Grid("Leads, in no count above: files / different contents", columns, rows, totals=1)
    yield from (Paragraph(f"{text[0].upper()}{text[1:]}.", Mood.NOTE) for text in facts.leads_not_searched)


def _graded(facts: CourtFacts) -> Iterator[Block]:
    """What examiners graded by eye: apart, for all other counts are what hash sets assert."""
    graded = facts.graded
    if graded.lines:
        columns = [
            Column("Graded as", 0.4), *(Column(title, 0.15, figures=True) for title in ("Files", *ASSERTED_TITLES)),
        ]  # fmt: skip
        rows: list[list[Words]] = [
            [
                short(facts.category(line.label, line.scheme)),
                number(line.files),
                *(number(line.by[word]) for word in ASSERTED_TITLES.values()),
            ]
            for line in graded.lines
        ]
        yield Grid(
            "Graded by examiners by eye, in no other count of this document: by the last grade that stands",
            columns,
            rows,
        )
    if graded.disputed:
        yield Paragraph(
            f"{files_of(graded.disputed)} {_is(graded.disputed)} graded differently by two examiners: {LIMITS}."
        )


def _examined(facts: CourtFacts) -> Iterator[Block]:
    yield Heading("7. What was examined")
    columns = [
        Column("Exhibit, source", 0.24), Column("Kind", 0.1), Column("Size", 0.16, figures=True),
        Column("Acquisition hash", 0.36), Column("Files examined", 0.14, figures=True),
    ]  # fmt: skip
    rows: list[list[Words]] = [
        [
            (short(source.exhibit), short(source.source)),
            source.source_kind,
            "not applicable" if source.size is None else (size(source.size), f"{number(source.size)} bytes"),
            acquisition_lines(source.acquisition),
            number(source.stored) + ("" if source.complete else " so far"),
        ]
        for source in facts.sources
    ]
    yield Grid("Sources", columns, rows)
    figures = facts.figures
    state = (
        "they agree."
        if figures.holds
        else (f"they do not agree: the scan {'was stopped early' if figures.stopped_early else 'is not complete'}.")
    )
    text = (
        f"{number(figures.walked)} files found, {number(figures.examined)} examined, {number(figures.stored)} stored: "
        f"{state} Search profile: {facts.profile or 'not stated'}."
    )
    yield Paragraph(text)


def acquisition_lines(facts: Mapping[str, str]) -> tuple[str, ...]:
    """The hashes that were stored when the exhibit was copied, and whether they were verified, a line each."""
    hashes = [f"{name.upper()} {short(str(facts[name]), 140)}" for name in HASHES if facts.get(name)]
    verified = "not verified by this case" if is_unverified(facts) else f"verified: {short(str(facts.get('verified')))}"
    return (*hashes, verified) if hashes else ("none stored",)


def _limits(facts: CourtFacts) -> Iterator[Block]:
    yield Heading("8. Limits: what this does not cover")
    items = [(headline, short(explanation, 400)) for headline, explanation in facts.gaps]
    if facts.gaps_total > len(items):
        items.append((f"{number(facts.gaps_total - len(items))} more", "problems.csv lists all"))
    files, unique = facts.md5_alone
    if files:
        text = (
            "counted here. Two different files with one MD5 can be made on purpose, so compare the file itself where "
            "it matters"
        )
        agree = "agrees" if files == 1 else "agree"
        items.append((f"{files_of(files)} ({number(unique)} different) {agree} by MD5 alone", text))
    if facts.contradictions:
        text = "digests, sizes or categories that cannot both be true: report.html and summary.json list them"
        items.append((f"{number(facts.contradictions)} contradictions", text))
    if facts.undated:
        text = "recovered from free space or kept where no date is stored: nothing can be said of when"
        items.append((f"{files_of(facts.undated)} identical to a listed item without any date", text))
    if not items:
        yield Paragraph("No problem was recorded: every file that was found was read to its end.")
    else:
        yield Bullets(items)
    yield Paragraph(
        "No match means that no file agrees with an entry of these hash sets, not that there is none of its kind: an "
        "altered file, or one that nobody has listed, is not found by its fingerprint. "
        + ("PhotoDNA was compared too. " if facts.photodna else "PhotoDNA was not compared (a licensed plug-in does). ")
        + f"{files_of(facts.known_good)} met a set of known harmless files exactly and {_is(facts.known_good)} in no "
        "count.",
        Mood.NOTE,
    )


def _integrity(facts: CourtFacts) -> Iterator[Block]:
    yield Heading("10. Integrity")
    head = facts.audit_head
    words = f"line {number(head.sequence)}, SHA-256 {head.sha256}" if head.sha256 else "not recorded"
    yield Facts(
        [
            ("End of the audit trail", words),
            ("This document", "its SHA-256 stands in MANIFEST.sha256 beside it"),
            ("Whole lists", "matches.csv, files.csv, problems.csv; figures in summary.json; the page report.html"),
            ("To check all of it", "caid-triage verify, with the case folder or its sealed bundle"),
        ]
    )


def _is(count: int) -> str:
    return "is" if count == 1 else "are"
