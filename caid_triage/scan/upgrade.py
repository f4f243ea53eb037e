"""Going on with a case in a further profile: a quick look first, the whole scan later, nothing examined twice."""

from __future__ import annotations

from collections.abc import Mapping

from caid_triage.case.store import CaseWriter
from caid_triage.config import UPGRADES, ScanOptions


def is_upgrade(before: Mapping[str, object], now: Mapping[str, object]) -> bool:
    """Whether a case with the first options may be continued with the second: a further profile, all else the same.

    What the quick profile lists is listed by the others too, first, under the same numbers; free space comes behind.
    """
    further = UPGRADES.get(str(before.get("profile")), ())
    return now.get("profile") in further and {**before, "profile": now["profile"]} == now


def upgrade_profile(case: CaseWriter, options: ScanOptions) -> None:
    """Have a case that was begun in a lesser profile go on in this one, on record; what is stored stays as it is."""
    before, now = dict(case.header.options), options.result_options()
    if not is_upgrade(before, now):
        return
    case.audit("profile-upgraded", before=before["profile"], after=now["profile"])
    case.change_options(now)
