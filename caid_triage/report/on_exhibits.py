"""Which of several exhibits has something: the same few sentences for one case and for many (batch.html).

Whoever reads them decides what to seize or to look at first, so an exhibit is only called "none" where its files were
compared, to the end; everything else about it is said in words of its own.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from caid_triage.case.view import CaseView
from caid_triage.model import MatchKind, Role
from caid_triage.report.set_facts import hashset_facts, unconfirmed_any
from caid_triage.report.text import files_of, number

NAMED = 8
"""So many exhibits are named in a sentence; the tables have all."""
NOT_PERTINENT = " outside categories ranked as not pertinent"


@dataclass(frozen=True, slots=True)
class OnExhibit:
    """What is known of one exhibit.

    ``found`` are its files identical to a listed item, without those that are ``ignorable``: in a category ranked as
    not pertinent, by a scheme that somebody ``confirmed`` or not. ``fragments`` of ``fragment_files`` known files are
    in no other count. ``compared``: with a hash set of known material; ``done``: to the end.
    """

    reference: str
    found: int
    ignorable: int
    confirmed: bool
    leads: int
    contradicted: int
    fragments: int
    fragment_files: int
    files: int
    compared: bool
    done: bool

    @property
    def to_weigh(self) -> bool:
        """Whether something else of it has a sentence of its own: it is not simply "none"."""
        return bool(self.ignorable or self.leads or self.contradicted or self.fragments)


def found_on(exhibits: Sequence[OnExhibit]) -> list[str]:
    """On which exhibits there are files identical to listed ones, most first, and on which there are none."""
    compared = [one for one in exhibits if one.files and one.compared]
    found = sorted((one for one in compared if one.found), key=lambda one: -one.found)
    rest = [one for one in compared if not one.found]
    if found:
        words = [f"Files identical to a listed item: {_counted(found, lambda one: one.found)}"]
        for before, done in (("none on", True), ("none so far on", False)):
            none = [one.reference for one in rest if one.done is done and not one.to_weigh]
            words += [f"{before} {named(none)}"] * bool(none)
        return ["; ".join(words) + "."]
    apart = NOT_PERTINENT * any(one.ignorable for one in rest)
    so_far = " so far" * any(not one.done for one in exhibits)
    return [f"No file identical to a listed item{so_far}{apart}."] * bool(rest)


def besides(exhibits: Sequence[OnExhibit]) -> list[str]:
    """What has to be looked at where nothing identical was found, and of which exhibits nothing is known."""
    rest = [one for one in exhibits if not one.found]
    unsure, sure = [one for one in rest if not one.confirmed], [one for one in rest if one.confirmed]
    ranked = "Identical to an item in a category that its scheme ranks as not pertinent, in no other count"
    told = [
        ("Files listed in a category whose meaning is not confirmed", _counted(unsure, lambda one: one.ignorable)),
        ("Contradictions to check, in no count", _counted(rest, lambda one: one.contradicted)),
        ("Leads alone, to check by eye", _counted(rest, lambda one: one.leads)),
        ("Parts of known files, in no other count", _fragments(exhibits)),
        (ranked, _counted(sure, lambda one: one.ignorable)),
        (
            "Nothing was compared, for no hash set of known material was given",
            named([one.reference for one in exhibits if one.files and not one.compared]),
        ),
        ("No file examined of", named([one.reference for one in exhibits if not one.files])),
    ]
    return [f"{before}: {names}." for before, names in told if names]


def named(texts: Sequence[str], limit: int = NAMED) -> str:
    """Exhibits in a sentence, the first few by name."""
    more = [f"{number(len(texts) - limit)} more"] * (len(texts) > limit)
    return ", ".join([*texts[:limit], *more])


def _counted(exhibits: Sequence[OnExhibit], count: Callable[[OnExhibit], int]) -> str:
    """Exhibits that have any, most first: "AB/1 (23), AB/7 (2)"."""
    having = sorted((one for one in exhibits if count(one)), key=lambda one: -count(one))
    return named([f"{one.reference} ({number(count(one))})" for one in having])


def _fragments(exhibits: Sequence[OnExhibit]) -> str:
    """Exhibits with their fragments: "AB/1 (fragments: 7 of 2 files)"."""
    having = sorted((one for one in exhibits if one.fragments), key=lambda one: -one.fragments)
    return named(
        [f"{one.reference} (fragments: {number(one.fragments)} of {files_of(one.fragment_files)})" for one in having]
    )


def words_of_case(view: CaseView) -> list[str]:
    """The same sentences on the exhibits of one case, beside its answer, which is about all of them together.

    Nothing of a case with one exhibit; nor what a plain no says already.
    """
    sources = view.sources()
    names = list(dict.fromkeys([one.exhibit for one in sources] + [one.exhibit for one in view.samplings()]))
    if len(names) < 2:
        return []
    exhibits = list(_exhibits(view, names))
    return (found_on(exhibits) if any(one.found for one in exhibits) else []) + besides(exhibits)


def _exhibits(view: CaseView, names: Sequence[str]) -> Iterator[OnExhibit]:
    found, exact, leads = Counter[str](), Counter[str](), Counter[str]()
    for listed in view.exhibit_categories():
        found[listed.exhibit] += listed.files
    for row in view.exhibits():
        (exact if row.match_kind is MatchKind.EXACT else leads)[row.exhibit] += row.files
    fragments, parts = Counter[str](), defaultdict[str, set[tuple[str, int]]](set)
    for placed in view.fragments():
        fragments[placed.exhibit] += 1
        parts[placed.exhibit].add((placed.generation, placed.fragment.record))
    hashsets, contradicted = [hashset_facts(info) for info in view.hashsets()], view.contradicted_files()
    sources = view.sources()
    for name in names:
        own = [source for source in sources if source.exhibit == name]
        yield OnExhibit(
            reference=name,
            found=found[name],
            ignorable=exact[name] - found[name],
            confirmed=not unconfirmed_any(hashsets),
            leads=leads[name],
            contradicted=contradicted.get(name, 0),
            fragments=fragments[name],
            fragment_files=len(parts[name]),
            files=sum(source.stored for source in own),
            compared=any(facts.role == Role.NOTABLE for facts in hashsets),
            done=all(source.complete for source in own),
        )
