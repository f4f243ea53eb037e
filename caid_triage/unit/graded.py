"""A hash set of what the unit's own examiners graded, out of the memory."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from itertools import groupby
from operator import attrgetter
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from caid_triage.errors import HashSetError
from caid_triage.hashset.algorithms import EMPTY_CONTENT
from caid_triage.hashset.build import BuildResult, build_hashset_from_arrays
from caid_triage.hashset.schemes import load_scheme
from caid_triage.hashset.write import refuse_other_folder
from caid_triage.model import Role
from caid_triage.unit.place import UnitPlace
from caid_triage.unit.rows import PDQ_BYTES, KeptGrade
from caid_triage.unit.store import Mode, open_unit

OTHER_SCHEME, CONFLICTING, ONE_EXAMINER = "graded in another scheme only", "conflicting grades", "one examiner only"


@dataclass(frozen=True, slots=True)
class GradedSet:
    """The set that was built, and how many contents were left out, by why."""

    built: BuildResult
    left_out: dict[str, int]


def chosen_grades(
    grades: list[KeptGrade], scheme: str, *, two: bool, restricted: Collection[int] = ()
) -> tuple[list[KeptGrade], dict[str, int]]:
    """One grade a content, by SHA-256, and how many contents are left out by why. ``grades`` come by SHA-256.

    A content is taken if every grade that any examiner gave it in any case, in this scheme, has the same code; with
    ``two``, if two examiners or more did. Those of the ``restricted`` cases have no names: they may be anybody of
    another case, and count as two only where they are two in one case.
    """
    chosen, left_out = [], Counter[str]()
    for _, every in groupby(grades, attrgetter("sha256")):
        ours = [one for one in every if one.scheme == scheme]
        if not ours:
            left_out[OTHER_SCHEME] += 1
        elif len({one.code for one in ours}) > 1:
            left_out[CONFLICTING] += 1
        elif two and _examiners(ours, restricted) < 2:
            left_out[ONE_EXAMINER] += 1
        elif ours[0].sha256 not in EMPTY_CONTENT:
            # The same in every case but for the hash of its look, which one may have and another not.
            chosen.append(max(ours, key=lambda one: (one.quality or -1, one.pdq or b"", one.examiner)))
    return chosen, dict(sorted(left_out.items()))


def _examiners(grades: list[KeptGrade], restricted: Collection[int]) -> int:
    """How many different examiners there are at least."""
    groups = {(one.member_id if one.member_id in restricted else 0, one.examiner) for one in grades}
    return max(Counter(case for case, _ in groups).values())


def build_graded_set(
    place: UnitPlace, out: Path, scheme: str, *, two: bool = False, name: str | None = None
) -> GradedSet:
    """Make the notable set ``out`` of the unit's own grades in a scheme (a shipped name or a TOML file).

    HashSetError: nothing is graded in that scheme. With SHA-256, SHA-1, MD5 and, of pictures, PDQ.
    """
    refuse_other_folder(out)
    known = load_scheme(scheme)
    store = open_unit(place, Mode.READ)
    try:
        with store.reading():
            restricted = {one.id for one in store.members() if one.contact}
            chosen, left_out = chosen_grades(list(store.grades(None, 0)), known.name, two=two, restricted=restricted)
    finally:
        store.close()
    if not chosen:
        why = ", ".join(f"{count:,} {reason}" for reason, count in left_out.items()) or "nothing is graded"
        raise HashSetError(f"the unit's memory has no content to make a set of in scheme {known.name} ({why})")
    # What has no PDQ has a row of zeros, which the mask takes out.
    built = build_hashset_from_arrays(
        out,
        sha256=_column([one.sha256 for one in chosen]),
        sha1=_column([one.sha1 for one in chosen]),
        md5=_column([one.md5 for one in chosen]),
        pdq=_column([one.pdq or bytes(PDQ_BYTES) for one in chosen]),
        pdq_quality=np.array([one.quality or 0 for one in chosen], np.uint8),
        pdq_present=np.array([one.pdq is not None for one in chosen]),
        category=[one.code for one in chosen],
        size=np.array([one.size for one in chosen], np.int64),
        name=name,
        role=Role.NOTABLE,
        scheme=known,
    )
    return GradedSet(built, left_out)


def _column(values: Sequence[bytes]) -> NDArray[np.uint8]:
    """Values of one length as uint8[n, bytes]."""
    return np.frombuffer(b"".join(values), np.uint8).reshape(len(values), -1)
