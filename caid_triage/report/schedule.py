"""The schedule of exhibits: one row a source, with what it is, its hashes, what was found and what was not examined."""

from __future__ import annotations

from collections.abc import Iterator

from caid_triage.case.rows import SourceRow
from caid_triage.model import MatchKind
from caid_triage.report.blocks import Block, Column, Document, Facts, Grid, Mood, Paragraph, Signature, Words, short
from caid_triage.report.court import CourtFacts
from caid_triage.report.gaps import headline_of
from caid_triage.report.meanings import STATUS_WORDS
from caid_triage.report.set_facts import NOT_CONFIRMED
from caid_triage.report.sfr import NO_EXAMINER, acquisition_lines, examined_when
from caid_triage.report.tables import KIND_WORDS
from caid_triage.report.text import files_of, number, size

TITLE = "Schedule of digital exhibits examined"
SUBTITLE = "One row for each source (copy of an exhibit). Text only: it holds no picture."
VOLUMES_SHOWN = 6
GAPS_SHOWN = 5
SEGMENTS_SHOWN = 3


def schedule(facts: CourtFacts) -> Document:
    """The schedule of a case."""
    footer = " | ".join(filter(None, (short(facts.reference, 60), short(facts.operation, 60), facts.tool)))
    return Document(TITLE, SUBTITLE, footer, list(_blocks(facts)), landscape=True)


def _blocks(facts: CourtFacts) -> Iterator[Block]:
    yield Facts(
        [
            ("Case reference", short(facts.reference) or "not stated"),
            ("Operation or instruction", short(facts.operation) or "not stated"),
            ("Examiner", short(facts.examiner) or NO_EXAMINER),
            *([("Contact", short(facts.contact))] if facts.contact else []),
            ("Examined", f"{examined_when(facts)}, with {facts.tool}"),
        ]
    )
    columns = [
        Column("No.", 0.04, figures=True), Column("Exhibit", 0.1), Column("Description", 0.2),
        Column("Acquisition hash", 0.17), Column("Files found / examined", 0.09, figures=True),
        Column("Result: files / different contents", 0.22), Column("Not examined in full", 0.18),
    ]  # fmt: skip
    rows: list[list[Words]] = [
        [
            number(place),
            (short(source.exhibit), short(source.source)),
            tuple(_description(facts, source)),
            acquisition_lines(source.acquisition),
            f"{number(source.walked)} / {number(source.examined)}",
            tuple(_result(facts, source)),
            tuple(_not_examined(facts, source)),
        ]
        for place, source in enumerate(facts.sources, start=1)
    ]
    yield Grid("Exhibits", columns, rows)
    for scheme, words in facts.standing.items():
        mood = Mood.WARNING if NOT_CONFIRMED in words else Mood.NOTE
        yield Paragraph(f"{short(words)}.", mood, f"Category scheme {short(scheme) or 'none'}: ")
    yield Paragraph(
        "Result: files identical to an item of a hash set, by the category of that item. Different contents are "
        "counted within each row. Leads only look like a listed item and are in no count. What a row does not cover is "
        "said in full in problems.csv.",
        Mood.NOTE,
    )
    yield Signature(("Name", "Rank or role, number", "Signature", "Date"))


def _description(facts: CourtFacts, source: SourceRow) -> Iterator[str]:
    if source.exhibit in facts.seized:
        yield f"seized {facts.seized[source.exhibit]}"
    yield f"{source.source_kind}, {size(source.size)}" if source.size is not None else source.source_kind
    segments = facts.segments[source.id]
    if len(segments) > 1:
        yield f"{number(len(segments))} files: {', '.join(short(name, 60) for name in segments[:SEGMENTS_SHOWN])}" + (
            " ..." * (len(segments) > SEGMENTS_SHOWN)
        )
    volumes = [row for row in facts.volumes if (row.exhibit, row.source) == (source.exhibit, source.source)]
    for volume in volumes[:VOLUMES_SHOWN]:
        if not volume.name and not volume.length:  # a folder has no size and is no volume: "0 bytes" would mislead
            yield f"{short(volume.description, 60)}, {volume.status}"
            continue
        file_system = volume.file_system or volume.description
        yield f"{short(volume.name, 60)}: {short(file_system, 60)}, {size(volume.length)}, {volume.status}"
    if len(volumes) > VOLUMES_SHOWN:
        yield f"and {number(len(volumes) - VOLUMES_SHOWN)} more volumes"


def _result(facts: CourtFacts, source: SourceRow) -> Iterator[str]:
    tallies = [row for row in facts.source_tallies if row.source_id == source.id]
    exact = [row for row in tallies if row.match_kind is MatchKind.EXACT]
    for row in exact:
        category = short(facts.category(row.category_label, row.scheme))
        yield f"{category}, {KIND_WORDS[row.kind]}: {number(row.files)} / {number(row.unique)}"
    if not exact:
        yield "no file identical to a listed item" if facts.standing else "nothing was compared"
    if leads := sum(row.files for row in tallies if row.match_kind is not MatchKind.EXACT):
        yield f"not counted: {files_of(leads)} as leads"


def _not_examined(facts: CourtFacts, source: SourceRow) -> Iterator[str]:
    found = list(_gaps(facts, source))
    yield from found[:GAPS_SHOWN] or ["no problem recorded"]
    if len(found) > GAPS_SHOWN:
        yield f"and {number(len(found) - GAPS_SHOWN)} more, see problems.csv"


def _gaps(facts: CourtFacts, source: SourceRow) -> Iterator[str]:
    """What of a source was not examined, widest first, each named once."""
    if not source.complete:
        yield "the scan of this source is not complete"
    place = source.exhibit, source.source
    unseen = set()
    for volume in facts.volumes:
        if (volume.exhibit, volume.source) == place and volume.status in STATUS_WORDS:
            unseen.add(volume.name)
            yield f"{short(volume.name, 60)} ({size(volume.length)}): {STATUS_WORDS[volume.status]}"
    for problem in facts.wide_problems:
        if (problem.exhibit, problem.source) == place and problem.volume not in unseen:
            yield short(f"{problem.volume} {headline_of(problem.code)}".strip())
    for row in facts.source_problems:
        if row.source_id == source.id:
            yield f"{files_of(row.files)}: {headline_of(row.code)}"
