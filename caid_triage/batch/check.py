"""Looking at what a queue names before anything is started: sources, hash sets, secrets, case folders."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from caid_triage.batch.cluster import unreadable, why_unfit
from caid_triage.batch.disks import real_path
from caid_triage.batch.queue import Exhibit, Fault, Queue, same_on_any_disk
from caid_triage.batch.queue_file import read_queue
from caid_triage.case.details import read_contact
from caid_triage.case.schema import holds_case
from caid_triage.case.view import open_case
from caid_triage.config import ClusterOptions
from caid_triage.errors import CaidTriageError, CaseError, HashSetError, SourceError, UsageError
from caid_triage.evidence.secrets import read_password_file
from caid_triage.hashset.store import HashSet, open_hashset
from caid_triage.match.options import set_radius
from caid_triage.model import Role
from caid_triage.scan.rematch import check_names, check_radii

WORST_FIRST = (1, UsageError.exit_code, 7, CaseError.exit_code, HashSetError.exit_code, SourceError.exit_code, 3, 0)
"""Exit codes, the worst first: a bug, a wrong command, what was refused, what was not read, problems, complete."""


@dataclass(frozen=True, slots=True)
class Checked:
    """A queue that may be run: its sound exhibits, faults of single ones, and the generation of each hash set.

    ``notable`` are those of the sets that hold known material.
    """

    queue: Queue
    faulty: tuple[Fault, ...]
    generations: Mapping[Path, str]
    notable: frozenset[Path]

    @property
    def uncompared(self) -> list[str]:
        """The exhibits that no set of known material is given for: nothing of them would be compared."""
        return [one.reference for one in self.queue.exhibits if self.notable.isdisjoint(one.hashsets)]

    @property
    def defaults_uncompared(self) -> bool:
        """The same of what comes into a watched folder, which gets the sets of the defaults."""
        return self.notable.isdisjoint(self.queue.defaults.get("hashsets", ()))


def worst_of(codes: Iterable[int]) -> int:
    """The worst exit code; 0 of none."""
    given = set(codes)
    return next((code for code in WORST_FIRST if code in given), max(given, default=0))


def checked_queue(path: Path, *, without_faulty: bool = False, may_be_empty: bool = False) -> Checked:
    """The queue of a file, all of it looked at; nothing is started or made.

    Raises UsageError (2), SourceError (4), HashSetError (5) or CaseError (6), a line for every fault, by the worst of
    them. ``without_faulty``: an exhibit that alone is at fault is left out and told of instead.
    """
    queue, faults = read_queue(path)
    if not queue.exhibits and not faults and not may_be_empty:
        faults = [Fault("no [[exhibit]] is in it")]
    known: dict[Path, HashSet] = {}
    faults += _place_faults(queue)
    faults += _exhibit_faults(queue.exhibits, known)
    faults += _default_faults(queue, known)
    faults += _cluster_faults(queue)
    faults = [replace(fault, sentence=_as_written(fault.sentence, queue.written)) for fault in faults]
    if not all(without_faulty and fault.reference is not None for fault in faults):
        _refuse(path, faults)
    bad = {fault.reference for fault in faults}
    sound = tuple(one for one in queue.exhibits if one.reference not in bad)
    generations = {path: entry.generation for path, entry in known.items()}
    notable = frozenset(path for path, entry in known.items() if entry.role is Role.NOTABLE)
    return Checked(replace(queue, exhibits=sound), tuple(faults), generations, notable)


def check_arrival(exhibit: Exhibit, before: Sequence[Exhibit]) -> None:
    """Refuse an exhibit that came into a watched folder; CaidTriageError says why."""
    for other in before:
        same = [source for source in exhibit.sources if source in other.sources]
        if other.reference == exhibit.reference or same:
            raise UsageError(f"an exhibit called {other.reference} is in the queue already")
        if same_on_any_disk(other.case) == same_on_any_disk(exhibit.case):
            raise UsageError(f"its case folder would be that of the exhibit {other.reference}: give it another name")
    for fault in _exhibit_faults([exhibit], {}):
        raise UsageError(fault.sentence)


def _refuse(path: Path, faults: Sequence[Fault]) -> None:
    code = worst_of(fault.code for fault in faults)
    kinds: dict[int, type[CaidTriageError]] = {
        kind.exit_code: kind for kind in (UsageError, SourceError, HashSetError, CaseError)
    }
    head = f"the queue {path} has {len(faults)} fault{'' if len(faults) == 1 else 's'}; nothing was started"
    ordered = sorted(faults, key=lambda fault: (fault.line is None, fault.line or 0))
    raise kinds.get(code, UsageError)(head, *(f"  {fault.told()}" for fault in ordered))


def _as_written(sentence: str, written: Mapping[str, str]) -> str:
    """A sentence with the paths as the person wrote them: "../x", not "/units/queue/../x"."""
    for path in sorted(written, key=len, reverse=True):
        sentence = sentence.replace(path, written[path])
    return sentence


def _place_faults(queue: Queue) -> Iterator[Fault]:
    """Folders in the way of each other: evidence is never written to, and a case is no evidence."""
    cases = real_path(queue.cases)
    if cases.exists() and not cases.is_dir():
        yield Fault(f"the folder of the cases, {queue.cases}, is no folder", CaseError.exit_code)
    places: dict[Path, Exhibit] = {}
    below: dict[Path, Exhibit] = {}
    for one in queue.exhibits:
        place = real_path(one.case)
        places.setdefault(place, one)
        for folder in (place, *place.parents):
            below.setdefault(folder, one)
    seen: dict[str, tuple[Exhibit, Path]] = {}
    for one in queue.exhibits:
        for given, source in ((source, real_path(source)) for source in one.sources):
            folder_source = source.is_dir()
            if folder_source and cases.is_relative_to(source):
                yield _fault(one, f"the folder of the cases, {queue.cases}, lies inside its source {source}")
            elif folder_source and source in below:
                yield _fault(one, f"the case folder of {below[source].reference} lies inside its source {source}")
            first, other = seen.setdefault(same_on_any_disk(source), (one, given))
            if other != given and _one_file(other, given):
                yield _fault(one, f"its source {given} is that of {first.reference}, written otherwise")
            held = next((places[folder] for folder in (source, *source.parents) if folder in places), None)
            if held is not None:
                yield _fault(one, f"its source {source} lies inside the case folder of {held.reference}")


def _one_file(one: Path, other: Path) -> bool:
    try:
        return one.samefile(other)
    except OSError:
        return False  # what is not there is told by itself


def _exhibit_faults(exhibits: Sequence[Exhibit], known: dict[Path, HashSet]) -> Iterator[Fault]:
    opened: dict[Path, HashSet | CaidTriageError] = {}
    secrets: dict[Path, CaidTriageError | None] = {}
    for one in exhibits:
        for source in one.sources:
            sentence = _source_fault(source)
            if sentence:
                yield _alone(one, sentence, SourceError.exit_code)
        sets = [_opened(path, opened) for path in one.hashsets]
        refused = [entry for entry in sets if isinstance(entry, CaidTriageError)]
        for error in refused:
            yield _alone(one, str(error), error.exit_code)
        if not refused:
            yield from _together(one, [entry for entry in sets if isinstance(entry, HashSet)], known)
        if one.password_file is not None:
            unread = _password_fault(one.password_file, secrets)
            if unread is not None:
                yield _alone(one, str(unread), unread.exit_code)
        yield from _contact_fault(one)
        yield from _case_fault(one)


def _default_faults(queue: Queue, known: dict[Path, HashSet]) -> Iterator[Fault]:
    """Hash sets and secrets of the defaults that no exhibit uses: what comes into a watched folder would."""
    used = {path for one in queue.exhibits for path in one.hashsets}
    opened: dict[Path, HashSet | CaidTriageError] = {}
    for path in queue.defaults.get("hashsets", ()):
        if path in used:
            continue
        entry = _opened(path, opened)
        if isinstance(entry, CaidTriageError):
            yield Fault(str(entry), entry.exit_code)
        else:
            known[path] = entry
    secret = queue.defaults.get("password_file")
    if secret is not None and secret not in {one.password_file for one in queue.exhibits}:
        error = _password_fault(secret, {})
        if error is not None:
            yield Fault(str(error), error.exit_code)


def _cluster_faults(queue: Queue) -> Iterator[Fault]:
    """Clusters that are not there, or whose workers are not this program; asked once, however many exhibits name it.

    What comes into a watched folder goes to that of the defaults.
    """
    asked = {one: (one.cluster, one.password_file is not None) for one in queue.exhibits if one.executor == "dask"}
    wanted = list(asked.values())
    general: ClusterOptions | None = queue.defaults.get("cluster")
    of_defaults = [] if general is None else [(general, "password_file" in queue.defaults)]
    faults = {pair: [Fault(sentence) for sentence in unreadable(pair[0])] for pair in wanted + of_defaults}
    for pair, error in why_unfit(pair for pair, known in faults.items() if not known).items():
        faults[pair] = [Fault(str(error), error.exit_code)]
    for one, pair in asked.items():
        yield from (_alone(one, fault.sentence, fault.code) for fault in faults[pair])
    for pair in of_defaults:
        yield from faults[pair] if pair not in wanted else ()


def _source_fault(source: Path) -> str:
    """Why a source cannot be read at all; "" where nothing speaks against it yet."""
    try:
        kind = source.stat().st_mode
        if stat.S_ISDIR(kind):
            with os.scandir(source):
                return ""
        if not stat.S_ISREG(kind) and not stat.S_ISBLK(kind):  # opening a pipe would wait for who writes to it
            return f"its source {source} is neither a file, a folder nor a block device"
        with source.open("rb"):
            return ""
    except FileNotFoundError:
        return f"its source {source} does not exist; check its path, and that its disk is connected"
    except OSError as error:
        return f"its source {source} cannot be read: {error.strerror or error}"


def _opened(path: Path, opened: dict[Path, HashSet | CaidTriageError]) -> HashSet | CaidTriageError:
    """A hash set, or why it cannot be opened; each is opened once."""
    if path not in opened:
        try:
            opened[path] = open_hashset(path)
        except CaidTriageError as error:
            opened[path] = error
    return opened[path]


def _together(one: Exhibit, sets: Sequence[HashSet], known: dict[Path, HashSet]) -> Iterator[Fault]:
    known.update(zip(one.hashsets, sets, strict=True))
    try:
        check_names(sets)
        check_radii([set_radius(text) for text in one.distances], sets)
    except CaidTriageError as error:
        yield _alone(one, str(error), error.exit_code)


def _password_fault(path: Path, known: dict[Path, CaidTriageError | None]) -> CaidTriageError | None:
    if path not in known:
        try:
            if path.exists() and not path.is_file():  # a pipe gives its secrets once, or makes the batch wait for good
                raise UsageError(f"the password file {path} is no file")
            read_password_file(path)
            known[path] = None
        except CaidTriageError as error:
            known[path] = error
    return known[path]


def _contact_fault(one: Exhibit) -> Iterator[Fault]:
    """What is wrong with the file that says whom to ask."""
    if one.contact is not None:
        try:
            read_contact(one.contact)
        except UsageError as error:
            yield _alone(one, str(error), error.exit_code)


def _case_fault(one: Exhibit) -> Iterator[Fault]:
    """A case folder that is no folder, or that holds another exhibit's case. One that is damaged is no fault of it."""
    if one.case.exists() and not one.case.is_dir():
        yield _alone(one, f"its case folder {one.case} is no folder", CaseError.exit_code)
        return
    try:
        if not holds_case(one.case):
            return
        with open_case(one.case) as view:
            # One that a scan has just made has no exhibit yet, and is called by it or as the queue says.
            held = view.exhibit_names() or [one.reference] * (view.header.reference == one.case_reference)
            kept = held or [view.header.reference]
    except CaseError:
        return  # the scan of it says so, and the other exhibits are done
    if one.reference not in kept:
        holds = ", ".join(kept)
        yield _alone(one, f"its case folder {one.case} holds the case of {holds}", CaseError.exit_code)


def _fault(one: Exhibit, sentence: str) -> Fault:
    """A fault that no other exhibit may be run with."""
    return Fault(sentence, UsageError.exit_code, one.line, one.reference)


def _alone(one: Exhibit, sentence: str, code: int) -> Fault:
    """A fault of this exhibit alone."""
    return Fault(sentence, code, one.line, one.reference, reference=one.reference)
