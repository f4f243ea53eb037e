"""The hash sets of a case as the page shows them, and whether somebody confirmed what their codes mean."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

NOT_CONFIRMED = "NOT CONFIRMED"


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
        confirmed=f"confirmed by {by}" if by else NOT_CONFIRMED,
        sources=[(str(source.get("file") or ""), str(source.get("sha256") or "")) for source in sources],
        refused=sum(source.get("refused") or 0 for source in sources),
    )


def unconfirmed_any(hashsets: Iterable[HashSetFacts]) -> bool:
    """Whether there is a set of known material whose categories nobody has confirmed."""
    return any(facts.role == "notable" and facts.confirmed == NOT_CONFIRMED for facts in hashsets)
