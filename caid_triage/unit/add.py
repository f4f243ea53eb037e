"""Adding a case to the unit's memory, and taking one out: whole or not at all, in one transaction of the store."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, replace
from itertools import groupby
from operator import attrgetter
from pathlib import Path

from caid_triage.case.audit import AUDIT_FILE, UNIT_ADDED, read_lines
from caid_triage.case.check import CaseCheck, check_case
from caid_triage.case.command import Command
from caid_triage.case.contents import GradeFacts, UnitContents, case_key
from caid_triage.case.encode import microseconds
from caid_triage.case.store import open_case_for_writing
from caid_triage.case.view import CaseView, open_case
from caid_triage.errors import CaseError, UnitError, UsageError
from caid_triage.held import interrupt_held
from caid_triage.unit.clock import now
from caid_triage.unit.place import UnitPlace
from caid_triage.unit.rows import Member, Row, picture_rows, storable
from caid_triage.unit.store import Mode, UnitStore, open_unit
from caid_triage.unit.twins import exhibit_of, nameless

SMALLEST = 256  # bytes: pictures of one pixel, empty thumbnails, settings of folders

Check = Callable[[Path], CaseCheck]
Shown = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Added:
    """What adding a case came to; ``before`` contents of it were in the memory already (None: it was new).

    ``reference`` is what the case is called, also where the memory does not hold it: ``contact`` "" of an open case.
    """

    unit: str
    key: str
    reference: str
    exhibits: int
    contents: int
    files: int
    pictures: int
    cameras: int
    grades: int
    known_good: int
    small: int
    before: int | None
    contact: str = ""


@dataclass(frozen=True, slots=True)
class Purged:
    """What purging a case came to; ``remarks`` say what could not be done at once."""

    key: str
    rows: int
    remarks: tuple[str, ...]


def add_case(
    folder: Path,
    place: UnitPlace,
    *,
    smallest: int = SMALLEST,
    reference: str | None = None,
    restricted: str = "",
    by: str = "",
    command: Command | None = None,
    check: Check = check_case,
    show: Shown = lambda _stage: None,
) -> Added:
    """Keep a case in the memory, in place of what is there of it. ``reference``: what the unit calls it.

    ``restricted``: whom others are to ask about it. Then the memory holds no name of the case, its exhibits and
    examiners, and what is not there nobody can read. It stays so when the case is added again, until it is purged.

    The case is checked first (``check``) and refused if anything of it is not as it was written, or a command is
    writing to it: CaseError. Then nobody else can write to it until it is added, which its audit chain records.
    """
    if smallest < 0:
        raise UsageError("the smallest size is a number of bytes from 0 up")
    show("checking the case")
    faults = check(folder).faults
    if faults:
        message = (
            f"the case in {folder} was not added: {faults[0]}"
            + (f", and {len(faults) - 1} more" if len(faults) > 1 else "")
            + "; `caid-triage verify` says what to do"
        )
        raise CaseError(message)
    key = case_key(folder)
    with open_case_for_writing(folder) as case:
        if command is not None:
            case.audit_command(command)
        store = open_unit(place, Mode.MAKE)
        try:
            with open_case(folder) as view:
                unfinished = not view.conservation().complete
                if unfinished:
                    raise CaseError(
                        f"the case in {folder} was not added: its scan is not finished; run it again, then add it"
                    )
                if not view.sources():
                    raise CaseError(
                        f"the case in {folder} was not added: no source was scanned in it (it was only sampled); scan "
                        "the exhibit into it, then add it"
                    )
                called = Called(storable(reference or view.header.reference), storable(by), storable(restricted))
                added = _add(store, view, key, called, smallest, show)
        finally:
            store.close()
        case.audit(
            UNIT_ADDED, unit=added.unit, exhibits=added.exhibits, contents=added.contents, files=added.files,
            pictures=added.pictures, cameras=added.cameras, grades=added.grades, known_good=added.known_good,
            small=added.small, restricted=bool(added.contact),
        )  # fmt: skip
    return added


@dataclass(frozen=True, slots=True)
class Called:
    """What a case is called, who adds it, and whom others are to ask where it is restricted."""

    reference: str
    by: str
    contact: str

    @property
    def kept(self) -> tuple[str, str]:
        """Reference and adder as the memory has them."""
        return ("", "") if self.contact else (self.reference, self.by)


def _add(store: UnitStore, view: CaseView, key: str, called: Called, smallest: int, show: Shown) -> Added:
    show("reading the case")
    contents = view.unit_contents(smallest)
    figures = contents.figures()
    head = view.audit_head().sha256 or ""
    with store.writing(key):
        known = next((one for one in store.members() if one.key == key), None)
        if known is not None:
            _refuse_other_state(view.folder, known)
        if known is not None and known.contact and not called.contact:
            called = replace(called, contact=known.contact)
        reference, by = called.kept
        member = Member(
            0, key, reference, microseconds(now()) or 0, by, head, smallest, figures.kept, figures.known_good,
            figures.small, called.contact,
        )  # fmt: skip
        member_id = store.put_member(member)
        if known is not None:
            show("taking out what was there of it")
            store.clear(member_id)
        show("adding it")
        ids, totals = _put_exhibits(store, view, contents, member_id, named=not called.contact)
        store.put("sighting", _sightings(contents, ids))
        for source_id, pictures in groupby(contents.pictures(), attrgetter("source_id")):
            store.put("picture", picture_rows(ids[source_id], [(one.sha256, one.pdq) for one in pictures]))
        store.put("camera", cameras := _cameras(contents, ids))
        grades = _grades(member_id, list(contents.grades()), named=not called.contact)
        store.put("grade", grades)
    return Added(
        unit=store.unit,
        key=key,
        reference=called.reference,
        exhibits=len(ids),
        contents=figures.kept,
        files=totals["files"],
        pictures=totals["pictures"],
        cameras=len(cameras),
        grades=len(grades),
        known_good=figures.known_good,
        small=figures.small,
        before=None if known is None else known.contents,
        contact=called.contact,
    )


def _refuse_other_state(folder: Path, known: Member) -> None:
    """CaseError: the case does not go on from what the memory has of it: an older copy, or a chain written anew."""
    lines, _ = read_lines(folder / AUDIT_FILE)
    if known.head and known.head not in {hashlib.sha256(line).hexdigest() for line in lines}:
        raise CaseError(
            f"the case in {folder} was not added: the unit's memory has a later or another state of it, whose line of "
            f"the audit trail it does not have; add that one, or purge {known.key[:16]} first"
        )


def _put_exhibits(
    store: UnitStore, view: CaseView, contents: UnitContents, member_id: int, *, named: bool
) -> tuple[dict[int, int], Counter[str]]:
    """Keep the sources of the case; the number of each by its id in the case, and the sums of what they have."""
    counts, files, pictures = Counter[int](), Counter[int](), Counter[int]()
    for one in contents.contents():
        counts[one.source_id] += 1
        files[one.source_id] += one.files
    for picture in contents.pictures():
        pictures[picture.source_id] += 1
    ids = {}
    for source in view.sources():
        of = source.id
        figures = member_id, counts[of], files[of], pictures[of]
        ids[of] = store.put_exhibit(exhibit_of(source, *figures) if named else nameless(*figures))
    return ids, Counter(files=files.total(), pictures=pictures.total())


def _sightings(contents: UnitContents, ids: dict[int, int]) -> Iterator[Row]:
    for one in contents.contents():
        yield ids[one.source_id], one.sha256, one.sha1, one.md5, one.size, one.kind, one.files


def _cameras(contents: UnitContents, ids: dict[int, int]) -> list[Row]:
    """One row a camera and source: spellings that compare alike are one."""
    files: Counter[Row] = Counter()
    for one in contents.cameras():
        key = one.key
        files[ids[one.source_id], storable(key.maker), storable(key.model), storable(key.serial), key.internal] += (
            one.files
        )
    return [(*camera, count) for camera, count in sorted(files.items())]


def _grades(member_id: int, grades: list[GradeFacts], *, named: bool) -> list[Row]:
    """The rows of grades; where examiners are not to be named, which of them gave it is a number of this case."""
    numbers = {name: f"{n}" for n, name in enumerate(sorted({one.examiner for one in grades}), start=1)}
    return [_grade(member_id, one, storable(one.examiner) if named else numbers[one.examiner]) for one in grades]


def _grade(member_id: int, one: GradeFacts, examiner: str) -> Row:
    category = one.category
    return (
        member_id, one.sha256, examiner, microseconds(one.decided), storable(category.code),
        storable(category.label), storable(category.scheme), category.severity, one.sha1, one.md5, one.size, one.kind,
        one.pdq, one.quality,
    )  # fmt: skip


def find_member(store: UnitStore, wanted: str) -> Member:
    """The case of this reference, or whose key begins so. UsageError where none is meant, or more than one."""
    every = store.members()
    found = [one for one in every if one.reference == storable(wanted) and not one.contact]
    if not found and len(wanted) >= 8:
        found = [one for one in every if one.key.startswith(wanted.casefold())]
    if not found:
        raise UsageError("no case of that reference or key is in the unit's memory (caid-triage unit info)")
    if len(found) > 1:
        keys = ", ".join(one.key[:16] for one in found)
        raise UsageError(f"{len(found)} cases have that reference; give the key of one instead: {keys}")
    return found[0]


def _compacted(store: UnitStore) -> str:
    """Give back the room; a sentence where that failed. The rows are gone, and a second purge would not find them."""
    try:
        return store.compact()
    except UnitError as fault:
        return f"everything of the case is out, and its room could not be given back: {fault}"


def purge_case(place: UnitPlace, wanted: str, by: str = "") -> Purged:
    """Take out everything that came from a case, see that it is gone, and note that. ``wanted``: reference or key.

    UnitError: something of it is still there, which is a bug of ours or another program's doing.
    """
    store = open_unit(place, Mode.WRITE)
    try:
        key = find_member(store, wanted).key
        with ExitStack() as once_begun:
            with store.writing(key):
                # Once nobody else writes: meanwhile it may have been purged, and its number given to another case.
                member = find_member(store, key)
                exhibits = [one.id for one in store.exhibits() if one.member_id == member.id]
                rows = store.clear(member.id) + 1
                store.drop_member(member.id)
                store.note_purge(key, microseconds(now()) or 0, storable(by), rows)
                once_begun.enter_context(interrupt_held())  # run again it would find no case, and give back no room
            remark = _compacted(store)
            left = store.remains(member.id, exhibits)
        if left:
            raise UnitError(f"{left} rows of the purged case are still in the unit's memory; purge it again")
    finally:
        store.close()
    return Purged(member.key, rows, (remark,) if remark else ())
