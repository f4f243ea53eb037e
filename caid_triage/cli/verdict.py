"""The outcome of a scan as a few plain lines for the terminal."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from caid_triage.case.rows import ProblemRow, SourceRow, Undecoded
from caid_triage.case.view import CaseView
from caid_triage.model import MatchKind
from caid_triage.report.fragments import with_samples
from caid_triage.report.near import leads_not_searched
from caid_triage.report.on_exhibits import words_of_case
from caid_triage.report.tables import PLACES
from caid_triage.report.verdict import verdict_of
from caid_triage.scan.outcome import ScanOutcome

PLACE_WORDS = {"live": "live", "inside": "in live files", "deleted": "deleted", "other": "other"}


def source_lines(sources: Sequence[SourceRow], stopped: Sequence[ProblemRow] = ()) -> Iterator[str]:
    """What of the sources of a case is easily overlooked: one was stopped, one may be there twice.

    ``stopped`` are the problems ``stopped-early`` of the case.
    """
    early = {(problem.exhibit, problem.source): problem.detail for problem in stopped}
    alike: dict[tuple[object, ...], list[str]] = {}
    for source in sources:
        mark = (source.source, source.source_kind, source.size, tuple(sorted(source.acquisition.items())))
        alike.setdefault(mark, []).append(source.exhibit)
        if not source.complete and (source.exhibit, source.source) in early:
            yield f"STOPPED EARLY: {source.source}, exhibit {source.exhibit}: {early[source.exhibit, source.source]}"
        elif not source.complete:
            yield (
                f"NOT COMPLETE: the scan of {source.source}, exhibit {source.exhibit}, was stopped in an earlier run. "
                "Run that scan again, with the same --exhibit: it goes on"
            )
    for (name, *_), exhibits in alike.items():
        if len(exhibits) > 1:
            yield (
                f"note: the case has {name}, of one kind and size, as exhibit {' and as exhibit '.join(exhibits)}"
                ": if that is one disk, its files are counted more than once"
            )


def undecoded_lines(undecoded: Undecoded) -> Iterator[str]:
    """What a look-alike cannot be found of, and what is to be scanned for it."""
    if undecoded.files:
        yield (
            f"note: known-good by SHA-1 or SHA-256 and not decoded: {undecoded.files:,} pictures and films "
            "(compared exactly, not by look)"
        )
    if undecoded.to_examine:
        yield (
            f"note: known-good no more by the hash sets of the case: {undecoded.to_examine:,} of them; run the scan "
            "again with these sets, and they are examined"
        )


def verdict_lines(view: CaseView, outcome: ScanOutcome) -> list[str]:
    """Known material yes or no, counts by category and place, leads, conservation, what was not examined or sought."""
    exact: dict[str, list[int]] = {}
    for row in view.tallies():
        if row.match_kind is MatchKind.EXACT and row.place in PLACES:
            exact.setdefault(row.category_label, [0] * len(PLACES))[PLACES.index(row.place)] += row.files
    verdict = with_samples(view, verdict_of(view))
    lines = [verdict.headline, f"  {verdict.sentence}", *(f"  {words}" for words in words_of_case(view))]
    width = max((len(label) for label in exact), default=0)
    for label, counts in sorted(exact.items()):
        places = ", ".join(f"{count:,} {PLACE_WORDS[place]}" for place, count in zip(PLACES, counts, strict=True))
        files = f"{sum(counts):>7,} file{'' if sum(counts) == 1 else 's'}"
        lines.append(f"  {label:<{width}}  {files:<13}  ({places})")
    stored = view.conservation().stored
    whole = "" if stored == outcome.stored else f" by this run, {stored:,} in the whole case"
    agree = "=" if outcome.walked == outcome.examined else "\N{NOT EQUAL TO}"
    figures = f"walked {outcome.walked:,} {agree} examined {outcome.examined:,} = stored {outcome.stored:,}"
    lines.append(f"files: {figures}{whole}{' (stopped early)' if outcome.stopped else ''}")
    stopped = [problem for problem in view.wide_problems() if problem.code == "stopped-early"]
    lines += source_lines(view.sources(), stopped)
    lines += undecoded_lines(view.undecoded())
    lines += [f"note: {sentence}" for sentence in outcome.notes]
    lines += [f"note: {sentence}" for sentence in filter(None, map(leads_not_searched, view.hashsets()))]
    if outcome.problems:
        lines.append(f"problems: {outcome.problems:,} (see problems.csv and the report): not everything was examined")
    return lines
