"""The outcome of a scan as a few plain lines for the terminal."""

from __future__ import annotations

from caid_triage.case.view import CaseView
from caid_triage.model import MatchKind, State
from caid_triage.report.near import leads_not_searched
from caid_triage.report.page import verdict_of
from caid_triage.scan.run import ScanOutcome


def verdict_lines(view: CaseView, outcome: ScanOutcome) -> list[str]:
    """Known material yes or no, counts by category and place, leads, conservation, what was not examined or sought."""
    exact: dict[str, list[int]] = {}
    for row in view.counts():
        if row.match_kind is MatchKind.EXACT:
            count = exact.setdefault(row.category_label, [0, 0, 0])
            place = {State.ALLOCATED: 0, State.DELETED: 1}.get(row.state, 2)
            count[place] += row.files
    verdict = verdict_of(view)
    lines = [verdict.headline, f"  {verdict.sentence}"]
    width = max((len(label) for label in exact), default=0)
    for label, (live, deleted, other) in sorted(exact.items()):
        places = f"{live:,} live, {deleted:,} deleted, {other:,} other"
        lines.append(f"  {label:<{width}}  {live + deleted + other:>7,} files  ({places})")
    lines.append(f"files: walked {outcome.walked:,} = examined {outcome.examined:,} = stored {outcome.stored:,}")
    lines += [f"note: {sentence}" for sentence in filter(None, map(leads_not_searched, view.hashsets()))]
    if outcome.problems:
        lines.append(f"problems: {outcome.problems:,} (see problems.csv and the report): not everything was examined")
    return lines
