"""Kinds of places on a device by the path of a file: a user's folder, a browser's cache, a recycle bin, a backup.

The rules are data (``locations.toml``). Reports say them of each match (report/locations.py), and a quick scan looks
into the places of users first (scan/order.py). A tag says where a file lies and nothing else.
"""

from __future__ import annotations

import re
import tomllib
from dataclasses import dataclass
from functools import lru_cache
from importlib import resources

DATA = "locations.toml"
REACHES = ("user", "program", "hidden", "system")
ELSEWHERE = "other"


@dataclass(frozen=True, slots=True)
class Location:
    """A kind of place: its tag, words for a report, how a person comes to files there (one of REACHES, "" unknown)."""

    tag: str
    words: str
    reach: str


@dataclass(frozen=True, slots=True)
class LocationRules:
    """The rules in their order, compiled; ``version`` is printed with every use of them."""

    version: str
    rules: tuple[tuple[Location, re.Pattern[str]], ...]

    def of(self, path: str) -> Location:
        """The place of a display path: that of the first rule that fits."""
        small = path.lower()
        for location, pattern in self.rules:
            if pattern.search(small):
                return location
        return OTHER


OTHER = Location(ELSEWHERE, "elsewhere", "")


@lru_cache(maxsize=1)
def location_rules() -> LocationRules:
    """The shipped rules."""
    return rules_from((resources.files("caid_triage") / DATA).read_text(encoding="utf-8"))


def rules_from(text: str) -> LocationRules:
    """The rules of a TOML text. ValueError says which rule is wrong and why."""
    data = tomllib.loads(text)
    rules = []
    for number, rule in enumerate(data.get("rule", []), 1):
        tag, words, reach, patterns = (rule.get(word) for word in ("tag", "words", "reach", "patterns"))
        if not (tag and words and patterns) or reach not in REACHES:
            needs = f"it needs tag, words, patterns and a reach of {', '.join(REACHES)}"
            raise ValueError(f"rule {number} ({tag}): {needs}")
        try:
            rules.append((Location(tag, words, reach), re.compile("|".join(patterns))))
        except re.error as error:
            raise ValueError(f"rule {number} ({tag}): not a pattern: {error}") from error
    if not rules or not data.get("version"):
        raise ValueError("rules of locations need a version and at least one rule")
    return LocationRules(str(data["version"]), tuple(rules))


def location_of(path: str) -> Location:
    """The place of a display path by the shipped rules."""
    return location_rules().of(path)
