"""How near is near: the distances of matching, for all sets and for single ones."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING

from caid_triage.errors import HashSetError, UsageError

if TYPE_CHECKING:
    from caid_triage.hashset.store import HashSet

# The largest distance that means anything: all bits, or the squared L2 of 144 bytes.
FARTHEST: Mapping[str, int] = MappingProxyType({"pdq": 256, "phash": 64, "photodna": 144 * 255 * 255})

# (name of the set, algorithm, distance)
SetRadius = tuple[str, str, int]


@dataclass(frozen=True, slots=True)
class MatchOptions:
    """How near is near, and what is withheld.

    Distances are bits: 31 of 256 is what PDQ's authors recommend, 8 of 64 keeps pHash's chance matches rare in a set of
    a unit's own size (docs/formats/hashsets.md gives the measured rates). PhotoDNA's is squared L2; 40,000 is what
    IPED ships. ``phash_looks_radius`` is how near the pHash of anything but the stored pixels, upright, must be: in 64
    bits, some thirty questions a picture would find as many times more by chance. ``pdq_min_quality`` (0..100) is the
    least quality that may match at all. ``set_radii`` are distances
    for single sets. More than ``flood_limit`` near matches of one record with one set: only the ``flood_kept``
    nearest are listed.

    A film is proposed for a listed video where at least ``video_share`` percent of the frames of one of the two look
    like frames of the other, and ``video_looks`` different ones among them do (or that share of both); or where
    ``video_part`` different ones do, whatever the shares. A frame that more than ``video_common`` listed videos have
    which are otherwise other films weighs nothing. docs/formats/videos.md has the rule and what it was measured on.
    """

    pdq_radius: int = 31
    pdq_min_quality: int = 50
    phash_radius: int = 8
    phash_looks_radius: int = 4
    near: bool = True
    photodna_radius: int = 40_000
    set_radii: tuple[SetRadius, ...] = ()
    flood_limit: int = 100
    flood_kept: int = 5
    video_share: int = 80
    video_looks: int = 2
    video_part: int = 5
    video_common: int = 20

    def radius(self, hashset: HashSet, algorithm: str) -> int:
        """The distance for one set: as given for it by name, else as its manifest says, else the general one."""
        for name, of_algorithm, distance in self.set_radii:
            if (name, of_algorithm) == (hashset.name, algorithm):
                return distance
        own = hashset.manifest.get("radius", {}).get(algorithm)
        if own is None:
            return int(
                {"pdq": self.pdq_radius, "phash": self.phash_radius, "photodna": self.photodna_radius}[algorithm]
            )
        if not isinstance(own, int) or isinstance(own, bool) or not 0 <= own <= FARTHEST[algorithm]:
            raise HashSetError(f"{hashset.name}: its {algorithm} distance {own!r} is not 0 to {FARTHEST[algorithm]}")
        return own

    def looks_radius(self, radius: int, algorithm: str) -> int:
        """The distance for other looks and orientations than the stored pixels, upright."""
        return min(radius, self.phash_looks_radius) if algorithm == "phash" else radius

    def radii(self, hashset: HashSet) -> dict[str, int]:
        """The distance for each kind of perceptual hash that the set has."""
        return {name: self.radius(hashset, name) for name in FARTHEST if hashset.counts.get(name, 0)}


def set_radius(text: str) -> SetRadius:
    """The distance of one set from "NAME:ALGORITHM=BITS", as on the command line; UsageError if it is not that."""
    name, _, rest = text.rpartition(":")
    algorithm, _, number = rest.partition("=")
    if not name or algorithm not in FARTHEST or not (number.isascii() and number.isdecimal()):
        forms = "NAME:pdq=BITS, NAME:phash=BITS or NAME:photodna=NUMBER (caid-2026:pdq=20)"
        raise UsageError(f"a distance is written {forms}, not {text!r}")
    if int(number) > FARTHEST[algorithm]:
        raise UsageError(f"a {algorithm} distance is at most {FARTHEST[algorithm]}, not {number}")
    return name, algorithm, int(number)
