"""Matching as the scan and `caid-triage match` both do it: batches of records against open hash sets."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from caid_triage.case.matches import RecordedBatch
from caid_triage.case.rows import MatchChange
from caid_triage.case.store import CaseWriter
from caid_triage.case.view import open_case
from caid_triage.config import OFF, ScanOptions
from caid_triage.errors import HashSetError, UsageError
from caid_triage.match.lead_limits import lead_limits
from caid_triage.match.options import MatchOptions, SetRadius
from caid_triage.model import Role

if TYPE_CHECKING:
    from caid_triage.hashset.store import HashSet


def match_options(options: ScanOptions) -> MatchOptions:
    """The part of a scan's options that matching depends on."""
    return MatchOptions(
        pdq_radius=options.pdq_radius,
        pdq_min_quality=options.pdq_min_quality,
        phash_radius=options.phash_radius,
        set_radii=options.set_radii,
        leads=options.leads,
    )


def stored_options(case: CaseWriter) -> MatchOptions:
    """The options that the records of a case were matched with, so that they are matched so again."""
    kept = dict(case.header.options)
    words = {word: kept[word] for word in ("pdq_radius", "pdq_min_quality", "phash_radius") if word in kept}
    radii: Any = kept.get("set_radii", [])
    leads = str(kept.get("leads", OFF))
    set_radii = tuple((str(n), str(a), int(d)) for n, a, d in radii)
    return replace(MatchOptions(), **words, leads=leads, set_radii=set_radii)  # type: ignore[arg-type]


def hashset_facts(hashset: HashSet, options: MatchOptions | None = None) -> dict[str, object]:
    """What a case keeps and a report prints of a hash set: never a hash of it. ``distances`` are those in force, and

    ``leads`` how far leads are looked for, where the set has PDQ hashes. ``stated``: of how many entries a notable set
    says what (victim identified, series ...): where it says it of none, that a match lacks it means nothing.
    """
    options = options or MatchOptions()
    leads = {"leads": lead_limits(hashset, options).facts()} if hashset.counts.get("pdq", 0) else {}
    return {
        **leads,
        "distances": options.radii(hashset),
        "name": hashset.name,
        "generation": hashset.generation,
        "role": hashset.role.value,
        "scheme": hashset.scheme.name,
        "scheme_title": hashset.scheme.title,
        "scheme_confirmed_by": hashset.scheme.confirmed_by,
        "scheme_file": hashset.scheme.as_dict(),
        "entries": hashset.counts["records"],
        "counts": dict(hashset.counts),
        **({"stated": hashset.records.stated_counts()} if hashset.role is Role.NOTABLE else {}),
        "sources": hashset.manifest.get("sources", []),
        "built": hashset.manifest.get("built", ""),
    }


def check_names(hashsets: Sequence[HashSet]) -> None:
    """Refuse two hash sets of one name: a report could not tell their hits apart."""
    names = [hashset.name for hashset in hashsets]
    for name in names:
        if names.count(name) > 1:
            raise HashSetError(f"two hash sets are called {name}; build one of them again with another --name")


def check_radii(radii: Sequence[SetRadius], hashsets: Sequence[HashSet]) -> None:
    """Refuse a distance for a set that is not given: it would silently do nothing."""
    names = {hashset.name for hashset in hashsets}
    for name, algorithm, _ in radii:
        if name not in names:
            given = ", ".join(sorted(names)) or "none"
            raise UsageError(f"--distance names {name} ({algorithm}), but no such hash set is given; given: {given}")


def last_change(case: CaseWriter, hashsets: Sequence[HashSet], options: MatchOptions) -> MatchChange | None:
    """What the last matching of the stored case changed, if it was with these very sets and distances; else None.

    Of a run that was stopped after its matches were stored nobody has been told: matching again would find no change.
    """
    with open_case(case.folder) as view:
        regrades = view.regrades()
    if not regrades:
        return None
    last = regrades[-1]
    matched = {str(item["name"]): item["after"] for item in last.hashsets}
    stored = case.hashset_distances()
    for hashset in hashsets:
        facts = hashset_facts(hashset, options)
        if stored.get(hashset.name) != (facts["distances"], facts.get("leads")):
            return None
    known = case.hashset_generations()
    if any(known.get(name) != generation for name, generation in matched.items()):
        return None
    if matched != {hashset.name: hashset.generation for hashset in hashsets}:
        return None
    return MatchChange(
        last.new, last.gone, last.changed, last.files_new, last.files_gone, last.files_changed, last.regrade
    )


def match_stored(
    case: CaseWriter,
    hashsets: Sequence[HashSet],
    options: MatchOptions,
    done: Callable[[int], None] = lambda _files: None,
) -> MatchChange:
    """Match every record of the case against ``hashsets``; their earlier matches are replaced in one transaction.

    ``done`` is told how many more files have been matched. Returns what is new and what is gone.
    """

    from caid_triage.match.match import match_batch  # noqa: PLC0415 - a scan without hash sets needs none of it

    def batches() -> Iterator[RecordedBatch]:
        for source_id, records in case.records():
            found = match_batch(records, hashsets, options)
            yield source_id, records, found.matches, found.withheld
            done(len(records))

    return case.replace_matches([hashset_facts(hashset, options) for hashset in hashsets], batches())
