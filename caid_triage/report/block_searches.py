"""What a scan with a block set says of the bytes that belong to no whole file, and what any statement on blocks has."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from caid_triage.case.block_search import BlockSearch
from caid_triage.case.view import CaseView
from caid_triage.model import Role
from caid_triage.report.text import files_of, number
from caid_triage.visible import many


@dataclass(frozen=True, slots=True)
class Statement:
    """What may be said of one sampling: a headline, the sentence that carries it, and its limits one by one.

    ``cautions`` are the first of the limits: those without which the sentence would mislead whoever reads it alone.
    """

    exhibit: str
    source: str
    hashset: str
    found: bool
    headline: str
    sentence: str
    cautions: tuple[str, ...]
    limits: tuple[str, ...]
    excluded: int | None


def mebibytes(size: int) -> str:
    """Bytes in MiB, to a hundredth and rounded up: a bound must not be made smaller by its print."""
    hundredths = -(-size * 100 // (1 << 20))
    whole, rest = divmod(hundredths, 100)
    return f"{whole:,}" + (f".{rest:02d}".rstrip("0") if rest else "") + " MiB"


def search_statement(search: BlockSearch, blocks: int, files: int) -> Statement:
    """The statement on a search of a scan that has found ``blocks`` blocks of ``files`` known files."""
    name = str(search.hashset["name"])
    where = "free space, slack, deleted and damaged files" if search.free_space else "deleted and damaged files alone"
    looked = f"{number(search.searched)} bytes of this source that belong to no whole file ({where})"
    if blocks:
        headline = f"Parts of known files beside whole ones: {many(blocks, 'block')}, of {files_of(files)}"
        size = mebibytes(blocks * search.block_size)
        sentence = f"The scan looked through {looked}: {size} of {many(files, 'known file')} stand there."
    elif not search.size:
        headline = "Nothing to look through for parts of known files"
        sentence = f"Of this source no bytes were found that belong to no whole file ({where})."
    else:
        so_far = "" if search.complete else " so far: the search is not at its end"
        headline = f"No part of a known file beside whole ones{so_far}"
        sentence = f"The scan looked through {looked}: no block of the set {name} stands there."
    return Statement(
        search.exhibit, search.source, name, bool(blocks), headline, sentence, (), tuple(_limits(search)), None
    )


def _limits(search: BlockSearch) -> Iterator[str]:
    left_out = sum(search.hashset["blocks"]["left_out"].values())
    yield (
        f"It is about blocks of {number(search.block_size)} bytes that the set holds, at the beginning of any sector, "
        "all of it in such bytes: not about copies that were changed or coded anew, nor about files inside compressed "
        f"or encrypted ones. {number(left_out)} blocks of the listed files are not in the set, because other files may "
        "have them too."
    )
    if not search.free_space:
        yield "Free space and slack were not looked through: the quick profile searches neither."
    if search.unread:
        yield f"{number(search.unread)} bytes of it could not be read: nothing is said of those."
    if not search.complete:
        yield f"The scan was stopped after {number(search.searched)} of {number(search.size)} bytes: it goes on."
    yield f"Set generation {search.hashset['generation']}."


def not_looked_for(view: CaseView) -> Iterator[tuple[str, str, str]]:
    """Of each source that was scanned to its end, and each block set of the case that it was not searched with to the
    end: exhibit, source and set. Such a set was given to ``match``, to a scan of other sources, or to one that was
    killed."""
    done = {(one.exhibit, one.source, str(one.hashset["generation"])) for one in view.block_searches() if one.complete}
    for info in view.hashsets():
        counts = info.get("counts")
        if info.get("role") != Role.NOTABLE or not isinstance(counts, dict) or not counts.get("blocks"):
            continue
        for source in view.sources():
            of_this = source.exhibit, source.source, str(info["generation"])
            if source.complete and source.size is not None and of_this not in done:
                yield source.exhibit, source.source, str(info["name"])


def gaps_of_searches(view: CaseView) -> Iterator[tuple[str, str]]:
    """The same as gaps of the report."""
    for exhibit, source, name in not_looked_for(view):
        yield (
            f"{exhibit} {source}: parts of the files of set {name}",
            "Not looked for, or not to the end, in what belongs to no whole file: run the scan again with this set.",
        )


def summarised_searches(view: CaseView) -> list[dict[str, Any]]:
    """The searches as summary.json has them."""
    _, totals = view.fragment_totals()
    facts = []
    for one in view.block_searches():
        blocks, files = totals.get(one.id, (0, 0))
        told = search_statement(one, blocks, files)
        facts.append(
            {
                "exhibit": one.exhibit,
                "source": one.source,
                "hashset": told.hashset,
                "generation": one.hashset["generation"],
                "blocks": dict(one.hashset["blocks"]),
                "free_space": one.free_space,
                "bytes": one.size,
                "searched": one.searched,
                "unread": one.unread,
                "complete": one.complete,
                "blocks_found": blocks,
                "files_found": files,
                "headline": told.headline,
                "statement": told.sentence,
                "limits": list(told.limits),
            }
        )
    return facts
