"""What sampling a disk allows to be said, and the fragments of known files that were found on it.

The statement is exact: it is worked out from what was read, in whole numbers, whenever it is printed. Fragments are in
no count of files: a block says that a part of a known file lay at a place, not that a file is there.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, replace
from fractions import Fraction
from typing import Any, TextIO

from caid_triage.case.placed import PlacedFragment
from caid_triage.case.sampling import Sampling
from caid_triage.case.view import CaseView
from caid_triage.match.hypergeometric import chance_of_none, least_excluded
from caid_triage.report.attention import Attention
from caid_triage.report.block_searches import Statement, mebibytes, not_looked_for, search_statement
from caid_triage.report.ledger import SHOWN
from caid_triage.report.rows_csv import write_rows
from caid_triage.report.text import files_of, number
from caid_triage.report.verdict import Outcome, Verdict
from caid_triage.visible import many

CELL = 4096
FRAGMENTS_SHOWN = 500
MUCH = Fraction(1, 2)
"""From this share of samples on that are not of one value, looking random is said first."""
WEAK = "one block: weak"
_NAMED = 5


@dataclass(frozen=True, slots=True)
class FragmentRow:
    """A row of fragments.csv."""

    exhibit: str
    source: str
    volume: str
    area: str
    offset: int
    length: int
    hashset: str
    media_id: str
    category_code: str
    category_label: str
    scheme: str
    first_block: int
    last_block: int
    blocks: int
    file_blocks: int
    share: str
    blocks_in_place: int
    block_size: int
    strength: str
    file_that_begins_there: str
    offset_counts_from: str
    found_by: str


@dataclass(frozen=True, slots=True)
class SamplingFacts:
    """What the page shows of samplings: the statements, the first fragments and how many there are.

    ``sets`` are the block sets by name. ``categories`` says of how many known files of each category fragments were
    found, most first, and of how many of these nowhere more than one block (weak); a file of a set counts once.
    """

    statements: list[Statement]
    sets: list[str]
    rows: list[FragmentRow]
    total: int
    categories: list[tuple[str, int, int]]


def per_cent(share: Fraction) -> str:
    """A share in per cent with as many places as it has, at most six: 99/100 -> "99 %"."""
    return f"{float(share * 100):.6f}".rstrip("0").rstrip(".") + " %"


def statement(sampling: Sampling, blocks: int, files: int) -> Statement:
    """The statement of a sampling that has found ``blocks`` blocks of ``files`` known files."""
    name = str(sampling.hashset["name"])
    excluded = None
    if blocks:
        headline = f"Blocks of known files found: {number(blocks)}, of {files_of(files)}"
        whole = sampling.complete and not sampling.scanned_unread
        rest = "The whole disk was read." if whole else "No upper bound is stated: more may be there."
        were = "was" if blocks == 1 else "were"
        seen = f"{many(blocks, 'block')} of the set {name} {were} seen on the disk"
        size = mebibytes(blocks * sampling.block_size)
        sentence = f"{_met(sampling)}{seen}, {size} of {many(files, 'known file')}. {rest}"
    elif sampling.complete:
        headline = "No block of a known file found: the whole disk was read"
        left = sampling.scanned_unread
        but = f" but for {number(left)} of {number(sampling.population)} cells that could not be read" if left else ""
        sentence = f"Every cell of 4,096 bytes was read{but}: no block of the set {name} stands on them."
        excluded = 1
    else:
        excluded = least_excluded(sampling.population, sampling.read, Fraction(sampling.confidence))
        headline, sentence = _nothing_met(sampling, name, excluded)
    cautions = tuple(_cautions(sampling, excluded))
    limits = *cautions, *_limits(sampling)
    place = sampling.exhibit, sampling.source, name
    return Statement(*place, bool(blocks), headline, sentence, cautions, limits, excluded)


def _met(sampling: Sampling) -> str:
    if not sampling.met:
        return ""
    return (
        f"A block of the set was met in {number(sampling.met)} of {many(sampling.read, 'sample')}, and what lies "
        "around was read. "
    )


def _nothing_met(sampling: Sampling, name: str, excluded: int | None) -> tuple[str, str]:
    confidence = Fraction(sampling.confidence)
    if excluded is None:
        nothing = f"None of the samples could be read; of the set {name} nothing can be said."
        return "Nothing was read: nothing can be said", nothing
    bound, sure = mebibytes(excluded * CELL), per_cent(confidence)
    headline = f"No block of a known file in {many(sampling.read, 'sample')}"
    risk = 1 - confidence
    sentence = (
        f"No block of the set {name} in {many(sampling.read, 'sample')}: with {sure} confidence less than {bound} of "
        f"blocks that the set holds is present on what can be read of this disk. If such blocks began in "
        f"{number(excluded)} or more of its {number(sampling.population)} cells of 4,096 bytes, at most "
        f"{per_cent(risk)} of all samples of this size would meet none (hypergeometric distribution, without "
        "replacement)."
    )
    if sampling.gapless:
        were = "more cell was" if sampling.filled == 1 else "more cells were"
        more = f" {number(sampling.filled)} {were} read for that." if sampling.filled else ""
        sentence += (
            f" No stretch of {mebibytes(sampling.gapless)} in one piece, all of such blocks, is there at all: none has "
            f"room between the cells that were read.{more}"
        )
    if excluded * CELL > sampling.target:
        sentence += f" The aim, less than {mebibytes(sampling.target)}, was not reached: more samples are needed."
    return headline, sentence


def _share(part: int, whole: int) -> str:
    """A share in per cent, cut after a hundredth: what is not all never reads 100 %."""
    return per_cent(Fraction(part * 10_000 // whole, 10_000))


def _cautions(sampling: Sampling, excluded: int | None) -> Iterator[str]:
    """What must stand beside the sentence: a set smaller than its bound, a disk that looks encrypted."""
    held = int(sampling.hashset["blocks"]["kept"]) * sampling.block_size
    cells = min(-(-held // CELL), sampling.population)
    if excluded is not None and cells < excluded:
        risk = chance_of_none(sampling.population, cells, sampling.read)
        yield (
            f"All blocks of the set together are {mebibytes(held)}: less than that bound. Were one copy of all of them "
            f"on the disk, {per_cent(Fraction(math.ceil(risk * 10_000), 10_000))} of all samples of this size would "
            "meet none. More samples, or a larger set, make this surer."
        )
    if _looks_encrypted(sampling):
        yield (
            "MOST OF WHAT IS NOT EMPTY LOOKS RANDOM: if the disk is encrypted, this is a statement about its "
            "ciphertext, and says NOTHING of the files in it. Unlock the volumes and scan them."
        )


def _looks_encrypted(sampling: Sampling) -> bool:
    varied = sampling.read - sampling.constant
    return varied > 0 and Fraction(sampling.random, varied) >= MUCH


def _limits(sampling: Sampling) -> Iterator[str]:
    """What else the sentence does not cover, each with its figures."""
    left_out = sum(sampling.hashset["blocks"]["left_out"].values())
    without = int(sampling.hashset["blocks"]["files_without"])
    are, them = ("is", "it") if left_out == 1 else ("are", "them")
    yield (
        f"It is about blocks of {number(sampling.block_size)} bytes that the set holds, at the beginning of any "
        "sector, byte for byte: not about copies that were changed or coded anew, nor about files inside compressed or "
        f"encrypted ones. {many(left_out, 'block')} of the listed files {are} not in the set, because "
        f"other files may have {them} too{f'; of {number(without)} files it holds no block at all' if without else ''}."
    )
    if sampling.unread or sampling.scanned_unread:
        yield (
            f"{number(sampling.unread + sampling.scanned_unread)} cells could not be read. They do not count as read: "
            "nothing is said of what cannot be read."
        )
    if sampling.read:
        constant, random = (_share(count, sampling.read) for count in (sampling.constant, sampling.random))
        yield (
            f"Of the {many(sampling.read, 'sample')} read {number(sampling.constant)} ({constant}) held one byte value "
            f"alone (empty, or erased) and {number(sampling.random)} ({random}) looked random (encrypted, or well "
            "compressed)."
        )
        if not _looks_encrypted(sampling):
            yield "Where a volume is encrypted this is about its ciphertext, and says nothing of the files in it."
    if sampling.drawn < sampling.wanted and not sampling.complete:
        yield (
            f"{number(sampling.drawn)} of {number(sampling.wanted)} samples were drawn: the same command goes on from "
            "there."
        )
    if 0 < sampling.scanned < sampling.size:
        yield f"A full read has come to byte {number(sampling.scanned)} of {number(sampling.size)}; it can go on."
    yield from (f"Of the image: {note}." for note in sampling.notes)
    yield f"Seed {sampling.seed}; set generation {sampling.hashset['generation']}."


def statement_facts(sampling: Sampling, told: Statement, blocks: int, files: int) -> dict[str, Any]:
    """A sampling as summary.json and the command's JSON have it."""
    return {
        "exhibit": sampling.exhibit,
        "source": sampling.source,
        "size": sampling.size,
        "hashset": told.hashset,
        "generation": sampling.hashset["generation"],
        "blocks": dict(sampling.hashset["blocks"]),
        "seed": sampling.seed,
        "confidence": sampling.confidence,
        "target": sampling.target,
        "cell": CELL,
        "population": sampling.population,
        "wanted": sampling.wanted,
        "drawn": sampling.drawn,
        "read": sampling.read,
        "unread": sampling.unread,
        "met": sampling.met,
        "filled": sampling.filled,
        "gapless": sampling.gapless,
        "constant": sampling.constant,
        "looked_random": sampling.random,
        "read_to": sampling.scanned,
        "read_to_unread": sampling.scanned_unread,
        "complete": sampling.complete,
        "blocks_found": blocks,
        "files_found": files,
        "less_than_cells": told.excluded,
        "less_than_bytes": None if told.excluded is None else told.excluded * CELL,
        "headline": told.headline,
        "statement": told.sentence,
        "limits": list(told.limits),
    }


def statements(view: CaseView) -> list[Statement]:
    """The statements of all samplings of a case, then of what its scans looked through."""
    sampled, searched = view.fragment_totals()
    told = [statement(one, *sampled.get(one.id, (0, 0))) for one in view.samplings()]
    return told + [search_statement(one, *searched.get(one.id, (0, 0))) for one in view.block_searches()]


def summarised_samplings(view: CaseView) -> list[dict[str, Any]]:
    """The samplings as summary.json has them."""
    totals, _ = view.fragment_totals()
    facts = []
    for one in view.samplings():
        blocks, files = totals.get(one.id, (0, 0))
        facts.append(statement_facts(one, statement(one, blocks, files), blocks, files))
    return facts


def sampling_facts(view: CaseView) -> SamplingFacts | None:
    """What the page shows of samplings; None of a case without one."""
    told = statements(view)
    if not told:
        return None
    rows: list[FragmentRow] = []
    total = 0
    labels: dict[tuple[str, int], str] = {}
    sure: set[tuple[str, int]] = set()
    for placed in view.fragments():
        total += 1
        known = placed.generation, placed.fragment.record
        labels[known] = placed.fragment.category_label
        if placed.aligned > 1:
            sure.add(known)
        if len(rows) < FRAGMENTS_SHOWN:
            rows.append(_row(placed))
    sets = list(dict.fromkeys(one.hashset for one in told))
    weak = Counter(label for known, label in labels.items() if known not in sure)
    counts = sorted(Counter(labels.values()).items(), key=lambda pair: (-pair[1], pair[0]))
    return SamplingFacts(told, sets, rows, total, [(label, count, weak[label]) for label, count in counts])


def fragment_attention(facts: SamplingFacts | None) -> Iterator[Attention]:
    """That parts of known files were found, and of which categories, for the first screen; in no count."""
    if facts is None or not facts.total:
        return
    files = sum(count for _, count, _ in facts.categories)
    by_category = ", ".join(
        f"{label} {number(count)}" + (f" ({number(weak)} by one block alone: weak)" if weak else "")
        for label, count, weak in facts.categories
    )
    yield Attention(
        f"Parts of known files: of {files_of(files)}",
        f"By the category of the known file: {by_category}. In no count: look at the places.",
        "fragments",
    )


def unscanned(view: CaseView) -> Iterator[tuple[str, str]]:
    """The disks that were sampled and of which no file was examined, as a gap of the report."""
    scanned = {(source.exhibit, source.source) for source in view.sources()}
    for exhibit, source in dict.fromkeys((one.exhibit, one.source) for one in view.samplings()):
        if (exhibit, source) not in scanned:
            others = ", ".join(other for other, name in sorted(scanned) if name == source)
            asked = (
                f" A source of that name was scanned as {others}: give both commands one --exhibit." if others else ""
            )
            yield f"{exhibit} {source}: sampled, not scanned", f"No file of it was listed or examined.{asked}"


def with_samples(view: CaseView, found: Verdict) -> Verdict:
    """The answer of a case with what samplings and searches for parts of known files add to it: blocks that were
    found, or that no file was examined."""
    told = statements(view)
    left = sorted({(exhibit, source) for exhibit, source, _ in not_looked_for(view)})
    if left:
        on = ", ".join(f"{exhibit} {source}" for exhibit, source in left[:_NAMED]) + ", ..." * (len(left) > _NAMED)
        found = replace(
            found,
            sentence=f"{found.sentence} Parts of known files were not looked for, or not to the end, on {on}: run the "
            "scan again with all hash sets of the case.",
        )
    if not told:
        return found
    met = [one for one in told if one.found]
    if not view.sources():
        headline = "Sampled, not scanned: blocks of known files found" if met else "Sampled, not scanned: no block met"
        sentence = " ".join(" ".join((one.sentence, *one.cautions)) for one in (met or told))
        return Verdict(Outcome.FRAGMENTS if met else Outcome.SAMPLED, headline, sentence)
    if not met:
        return found
    words = f"{' '.join(one.headline + '.' for one in met)} See Fragments of known files: they are in no count."
    headline = found.headline
    if found.outcome is Outcome.NONE:
        headline = "No identical file found; fragments of known files to check"
    elif found.outcome is Outcome.OPEN:
        headline = headline.replace("Nothing found so far", "No identical file found so far; fragments to check", 1)
    elif found.outcome in (Outcome.UNCOMPARED, Outcome.EMPTY):  # no file was compared, so none was not found
        headline = f"{headline}; fragments of known files to check"
    weaker = found.outcome in (Outcome.NONE, Outcome.OPEN, Outcome.UNCOMPARED, Outcome.EMPTY)
    outcome = Outcome.FRAGMENTS if weaker else found.outcome
    return Verdict(outcome, headline, f"{found.sentence} {words}")


def fragment_rows(view: CaseView) -> Iterator[FragmentRow]:
    """Every fragment as the reports print it."""
    for placed in view.fragments():
        yield _row(placed)


def _row(placed: PlacedFragment) -> FragmentRow:
    one = placed.fragment
    share = Fraction(one.blocks, one.file_blocks) if one.file_blocks else Fraction(0)
    return FragmentRow(
        placed.exhibit,
        placed.source,
        placed.volume,
        SHOWN[placed.kind][0] if placed.kind in SHOWN else placed.kind,
        one.offset,
        one.blocks * placed.block_size,
        placed.hashset,
        one.media_id,
        one.category_code,
        one.category_label,
        one.scheme,
        one.first_block,
        one.first_block + one.blocks - 1,
        one.blocks,
        one.file_blocks,
        f"{float(share):.4f}",
        placed.aligned,
        placed.block_size,
        strength(placed.aligned),
        placed.path,
        "inside of the volume" if placed.inside else "source",
        ";".join(placed.found_by),
    )


def strength(aligned: int) -> str:
    """What is to be said of a fragment by how many blocks of its file stand at their places there."""
    return WEAK if aligned == 1 else f"{number(aligned)} blocks at their places in the file"


def write_fragments(view: CaseView, out: TextIO) -> None:
    """Write fragments.csv."""
    write_rows(out, FragmentRow, fragment_rows(view))
