"""What tells a source of a case from another under the same name, and what is said where it is another."""

from __future__ import annotations

import json
from collections.abc import Mapping

from caid_triage.case.audit import canonical_json
from caid_triage.model import SourceInfo


def differing(info: SourceInfo, before: str, fingerprint: Mapping[str, object]) -> str:
    """The end of a sentence: why a source is not the one that the case knows under its name, and what to do.

    ``before`` is the fingerprint that the case keeps, as JSON.
    """
    then, now = json.loads(before), json.loads(canonical_json(dict(fingerprint)))
    was, is_now = (", ".join(mark.pop("unlocked", ())) or "none" for mark in (then, now))
    if then == now:
        return (
            f"was begun with other volumes of {info.source} unlocked (then: {was}; now: {is_now}), so its files have "
            "other numbers; give the same --password-file as before, or scan into a new case"
        )
    name, exhibit = info.source, info.exhibit
    return f"has another source named {name} for exhibit {exhibit}; use a new case, or another exhibit reference"
