"""The outcome of a scan as a few plain lines for the terminal."""

from __future__ import annotations

from caid_triage.case.view import CaseView
from caid_triage.model import MatchKind
from caid_triage.report.near import leads_not_searched
from caid_triage.report.tables import PLACES
from caid_triage.report.verdict import verdict_of
from caid_triage.scan.run import ScanOutcome

PLACE_WORDS = {"live": "live", "inside": "in live files", "deleted": "deleted", "other": "other"}


def verdict_lines(view: CaseView, outcome: ScanOutcome) -> list[str]:
    """Known material yes or no, counts by category and place, leads, conservation, what was not examined or sought."""
    exact: dict[str, list[int]] = {}
    for row in view.tallies():
        if row.match_kind is MatchKind.EXACT and row.place in PLACES:
            exact.setdefault(row.category_label, [0] * len(PLACES))[PLACES.index(row.place)] += row.files
    verdict = verdict_of(view)
    lines = [verdict.headline, f"  {verdict.sentence}"]
    width = max((len(label) for label in exact), default=0)
    for label, counts in sorted(exact.items()):
        places = ", ".join(f"{count:,} {PLACE_WORDS[place]}" for place, count in zip(PLACES, counts, strict=True))
        files = f"{sum(counts):>7,} file{'' if sum(counts) == 1 else 's'}"
        lines.append(f"  {label:<{width}}  {files:<13}  ({places})")
    lines.append(f"files: walked {outcome.walked:,} = examined {outcome.examined:,} = stored {outcome.stored:,}")
    lines += [f"note: {sentence}" for sentence in filter(None, map(leads_not_searched, view.hashsets()))]
    if outcome.problems:
        lines.append(f"problems: {outcome.problems:,} (see problems.csv and the report): not everything was examined")
    return lines
