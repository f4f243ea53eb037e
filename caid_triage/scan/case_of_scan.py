"""The case that a scan writes to: where it may lie, its making or opening to go on, the hash sets that it meets."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from caid_triage.case.details import EXAMINER, OPERATION, REFERENCE, Detail, Details, word_of
from caid_triage.case.rows import CaseHeader
from caid_triage.case.schema import holds_case
from caid_triage.case.store import CaseWriter, create_case, open_case_for_writing
from caid_triage.case.view import open_case
from caid_triage.config import ScanOptions
from caid_triage.errors import CaseError, UsageError
from caid_triage.scan.rematch import check_names, hashset_facts, match_options, match_stored
from caid_triage.scan.upgrade import is_upgrade

if TYPE_CHECKING:
    from caid_triage.hashset.store import HashSet


def refuse_writing_into(source: Path, case_folder: Path) -> None:
    """Evidence is never written to: a case cannot lie inside a folder that is scanned."""
    if source.is_dir() and case_folder.resolve().is_relative_to(source.resolve()):
        raise UsageError(f"the case folder {case_folder} lies inside the source {source}; choose one outside of it")


def open_hashsets(paths: Sequence[Path]) -> list[HashSet]:
    """Open hash sets and refuse two of one name; HashSetError (exit 5) names the one at fault."""
    if not paths:
        return []
    from caid_triage.hashset.store import open_hashset  # noqa: PLC0415 - numpy, which nothing else here needs

    hashsets = [open_hashset(path) for path in paths]
    check_names(hashsets)
    return hashsets


def open_case_for_scan(folder: Path, reference: str, options: ScanOptions) -> CaseWriter:
    """Make the case, or open it to resume; the options that a result depends on must be those it began with."""
    if not holds_case(folder):
        return create_case(folder, CaseHeader(reference=reference, options=options.result_options()))
    case = open_case_for_writing(folder)
    before, now = dict(case.header.options), options.result_options()
    if not before:  # a case that holds samples alone: no scan has chosen yet
        case.choose_options(now)
        before = now
    if before != now and not is_upgrade(before, now):
        case.close()
        differ = "; ".join(
            _difference(name, before.get(name), now.get(name))
            for name in sorted({*before, *now})
            if before.get(name) != now.get(name)
        )
        raise CaseError(
            f"the case in {folder} was begun with other options ({differ}); use those again, or a new case folder"
        )
    return case


def to_state(folder: Path, said: Details, exhibits: Iterable[str]) -> dict[Detail, str]:
    """What a scan or sampling of ``exhibits`` has to state of its case, of what is ``said`` of it.

    Whom to ask, and when exhibits were seized, is stated anew where it is another now. The examiner is the one who
    begins the case. CaseError: it has another reference or operation, so it may be another case; one that is only
    called by an exhibit has no reference yet.
    """
    with open_case(folder) as view:
        known, names = view.details(), {*view.exhibit_names(), *exhibits}
    if known.get(REFERENCE) in names:
        del known[REFERENCE]
    for detail in (REFERENCE, OPERATION):
        if known.get(detail, "") not in ("", said.get(detail, known.get(detail))):
            option = "--operation" if detail == OPERATION else "--case-reference"
            raise CaseError(
                f"the case in {folder} has the {word_of(detail)} {known[detail]}, not {said[detail]}: choose its own "
                f"folder, or correct it with `caid-triage details` ({option}), which is on record"
            )
    return {one: value for one, value in said.items() if one != EXAMINER or EXAMINER not in known}


def _difference(name: str, before: object, now: object) -> str:
    """An option that a case was begun with and that is another now, with both values where they are single words."""
    words = [one for one in (before, now) if isinstance(one, str | int | float)]
    return name if len(words) < 2 else f"{name}: it was {words[0]}, now {words[1]}"


def attach_hashsets(case: CaseWriter, hashsets: Sequence[HashSet], options: ScanOptions) -> None:
    """Make every stored and every coming record of the case meet every hash set of the case."""
    known = case.hashset_generations()
    given = {hashset.name: hashset.generation for hashset in hashsets}
    missing = sorted(set(known) - set(given))
    if missing:
        raise CaseError(
            f"the case in {case.folder} was begun with the hash set {', '.join(missing)}: give it again with "
            "--hashset, or the files still to come would not be matched against it"
        )
    distances, chosen = case.hashset_distances(), match_options(options)
    renewed = []
    for hashset in hashsets:
        facts = hashset_facts(hashset, chosen)
        now = hashset.generation, (facts["distances"], facts.get("leads"))
        if (known.get(hashset.name), distances.get(hashset.name)) != now:
            renewed.append(hashset)
    if renewed:
        match_stored(case, renewed, chosen)
    for hashset in renewed:
        case.audit("hashset-attached", **_audit_facts(hashset))


def _audit_facts(hashset: HashSet) -> dict[str, object]:
    facts = hashset_facts(hashset)
    return {name: facts[name] for name in ("name", "generation", "role", "scheme", "entries")}
