"""Looking a case up in the unit's memory: what other cases have that this one has, as facts for the case to keep."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from datetime import datetime

from caid_triage.case.audit import AUDIT_FILE, UNIT_LOOKED, chain_faults, read_lines
from caid_triage.case.cameras import CameraKey, reasons
from caid_triage.case.contents import CameraFacts, UnitContents, case_key
from caid_triage.case.encode import moment
from caid_triage.case.fault import Fault
from caid_triage.case.links import (
    NOT_REACHED,
    GradedBefore,
    NearPicture,
    SameCamera,
    SameContent,
    Twin,
    UnitExhibit,
    UnitLook,
)
from caid_triage.case.store import CaseWriter
from caid_triage.case.view import CaseView, open_case
from caid_triage.errors import CaseError, UnitError, UsageError
from caid_triage.model import Category, Problem
from caid_triage.unit.add import SMALLEST
from caid_triage.unit.clock import now
from caid_triage.unit.near import near_pictures
from caid_triage.unit.place import UnitPlace
from caid_triage.unit.rows import Exhibit, KeptCamera, Member, storable
from caid_triage.unit.store import Mode, UnitStore, open_unit
from caid_triage.unit.twins import exhibit_of, twin

COMMON = 10  # a content on more exhibits of other cases than this is counted, not named


def look(
    case: CaseWriter,
    place: UnitPlace,
    *,
    smallest: int = SMALLEST,
    common: int = COMMON,
    look_alikes: bool = True,
    changed: bool = False,
) -> UnitLook:
    """Look a case up, keep what was found in it and put that on record: how much, not what.

    Without ``look_alikes`` no pictures are compared by look, which takes longer than the rest. CaseError: the audit
    chain does not hold, or records that the case was changed from outside; with ``changed`` such a case is looked up.
    UnitError: the memory cannot be reached or used; nothing of the case is changed then.
    """
    if smallest < 0 or common < 0:
        raise UsageError("the smallest size, and the number of exhibits that make a content common, are from 0 up")
    faults = case_faults(case)
    if faults and not changed:
        raise CaseError(
            f"the case in {case.folder} was not looked up: {first_of(faults)}; `caid-triage verify` says what to do"
        )
    store = open_unit(place, Mode.READ)
    try:
        with open_case(case.folder) as view, store.reading():
            key = case_key(case.folder)
            found = look_up(view, store, key, smallest=smallest, common=common, look_alikes=look_alikes)
    finally:
        store.close()
    case.keep_look(found)
    case.audit(
        UNIT_LOOKED, unit=found.unit, cases=found.cases, exhibits=found.exhibits, asked=found.asked,
        known_good=found.known_good, small=found.small, pictures=found.pictures, smallest=smallest, common=common,
        look_alikes=look_alikes, changed=bool(faults),
        same=len({one.sha256 for one in found.same}), alike=len({one.sha256 for one in found.near}),
        twins=len(found.twins), cameras=len(found.cameras), graded=len({one.sha256 for one in found.grades}),
    )  # fmt: skip
    return found


def case_faults(case: CaseWriter) -> list[Fault]:
    """What is wrong with the audit chain of a case, and what it records as changed from outside.

    Not every row is held against its digest, as ``verify`` does: that takes longer than a look-up.
    """
    case.begin()  # what was changed since the case was closed is put on record first
    lines, _ = read_lines(case.folder / AUDIT_FILE)
    return list(chain_faults(lines))


def first_of(faults: Sequence[Fault]) -> str:
    """The first of some faults as the part of a sentence, and how many more there are."""
    return f"{faults[0]}" + (f", and {len(faults) - 1} more" if len(faults) > 1 else "")


def look_or_note(case: CaseWriter, place: UnitPlace, *, look_alikes: bool = True) -> str:
    """As :func:`look`, for the end of a scan: where the memory cannot be used, or the case was changed from outside,
    the case gets a Problem; the sentence.

    What an earlier look-up found stays.
    """
    if faults := case_faults(case):
        detail = (
            "the audit trail says that this case was changed from outside the program: it was not looked up in the "
            "unit's memory"
        )
        case.add_problems([Problem("match", NOT_REACHED, detail)])
        return first_of(faults)
    try:
        look(case, place, look_alikes=look_alikes)
    except UnitError as fault:
        detail = (
            "the unit's memory could not be used at the end of the scan: this case was not looked up in it; run "
            "`caid-triage unit look`"
        )
        case.add_problems([Problem("match", NOT_REACHED, detail)])
        return str(fault)
    return ""


def look_up(
    view: CaseView,
    store: UnitStore,
    key: str,
    *,
    smallest: int,
    common: int,
    look_alikes: bool = True,
    at: datetime | None = None,
) -> UnitLook:
    """What the memory has of the case with this key: the same whichever store it is."""
    members = {one.id: one for one in store.members()}
    if any(one.member_id not in members for one in store.exhibits()):
        raise UnitError("the unit's memory has an exhibit of no case: another program changed it, restore it")
    own = next((one.id for one in members.values() if one.key == key), 0)
    members.pop(own, None)
    exhibits = sorted(
        (one for one in store.exhibits() if one.member_id in members),
        key=lambda one: (members[one.member_id].reference, members[one.member_id].key, one.exhibit, one.source, one.id),
    )
    places = {one.id: place for place, one in enumerate(exhibits)}
    contents = view.unit_contents(smallest)
    figures = contents.figures()
    asked = sorted({one.sha256 for one in contents.contents()})
    pictures = sorted({(one.sha256, one.pdq) for one in contents.pictures()}) if look_alikes else []
    return UnitLook(
        unit=store.unit,
        looked=at or now(),
        cases=len(members),
        exhibits=len(exhibits),
        asked=figures.kept,
        known_good=figures.known_good,
        small=figures.small,
        pictures=len({sha256 for sha256, _ in pictures}),
        smallest=smallest,
        common=common,
        look_alikes=look_alikes,
        others=[_exhibit(one, members) for one in exhibits],
        twins=_twins(view, exhibits),
        same=_same(store, asked, own, common, places),
        near=_near(store, pictures, own, places),
        cameras=_cameras(store, contents, own, places),
        grades=_grades(store, contents.every(), own, members),  # what is left out may have been graded too,
    )


def _twins(view: CaseView, exhibits: Sequence[Exhibit]) -> list[Twin]:
    """Which of the exhibits of other cases are the same as one of this case."""
    here = [(source.id, exhibit_of(source)) for source in view.sources()]
    pairs = ((number, place, twin(mine, other)) for number, mine in here for place, other in enumerate(exhibits))
    return [Twin(number, place, how) for number, place, how in pairs if how]


def _exhibit(one: Exhibit, members: dict[int, Member]) -> UnitExhibit:
    member = members[one.member_id]
    key = "" if member.contact else member.key
    return UnitExhibit(key, member.reference, one.exhibit, one.source, _moment(member.added), member.contact)


def _moment(value: int) -> datetime:
    try:
        when = moment(value)
    except OverflowError as fault:
        raise UnitError("the unit's memory holds a time that no clock shows: another program changed it") from fault
    assert when is not None
    return when


def _same(store: UnitStore, asked: Sequence[bytes], own: int, common: int, places: dict[int, int]) -> list[SameContent]:
    tallies = {one.sha256: one for one in store.tallies(asked, own)}
    found = [
        SameContent(one.sha256, None, 0, one.exhibits, one.cases) for one in tallies.values() if one.exhibits > common
    ]
    named = [sha256 for sha256, one in tallies.items() if one.exhibits <= common]
    for one in store.sightings(named, own):
        tally = tallies[one.sha256]
        found.append(SameContent(one.sha256, places[one.exhibit_id], one.files, tally.exhibits, tally.cases))
    return sorted(found, key=lambda one: (one.sha256, -1 if one.exhibit is None else one.exhibit))


def _near(
    store: UnitStore, pictures: Sequence[tuple[bytes, bytes]], own: int, places: dict[int, int]
) -> list[NearPicture]:
    if not pictures:
        return []
    found = near_pictures(pictures, store.pictures(own))
    return sorted(
        {NearPicture(one.sha256, one.other, places[one.exhibit_id], one.distance, one.pictures) for one in found},
        key=lambda one: (one.sha256, one.distance, one.other, one.exhibit),
    )


def _cameras(store: UnitStore, contents: UnitContents, own: int, places: dict[int, int]) -> list[SameCamera]:
    """Serial numbers that many models share, over this case and the memory, link nothing (case/cameras.py)."""
    here: defaultdict[CameraKey, list[CameraFacts]] = defaultdict(list)
    for one in contents.cameras():
        here[_stored(one.key)].append(one)
    if not here:
        return []
    there: defaultdict[CameraKey, list[KeptCamera]] = defaultdict(list)
    for kept in store.cameras(sorted({key.serial for key in here}), own):
        there[CameraKey(kept.maker, kept.model, kept.serial, kept.internal)].append(kept)
    why = reasons({*here, *there})
    return [
        SameCamera(mine.source_id, mine.make, mine.model, mine.serial, key.internal, mine.files, place, files)
        for key in sorted(here)
        if key in there and not why[key]
        for mine in sorted(here[key], key=lambda one: (one.source_id, one.make, one.model, one.serial))
        for place, files in sorted(_files_by_place(there[key], places))
    ]


def _files_by_place(kept: Iterable[KeptCamera], places: dict[int, int]) -> list[tuple[int, int]]:
    return [(places[one.exhibit_id], one.files) for one in kept]


def _stored(key: CameraKey) -> CameraKey:
    return CameraKey(storable(key.maker), storable(key.model), storable(key.serial), key.internal)


def _grades(store: UnitStore, asked: Sequence[bytes], own: int, members: dict[int, Member]) -> list[GradedBefore]:
    found = []
    for one in store.grades(asked, own):
        member, category = members[one.member_id], Category(one.code, one.label, one.scheme, one.severity)
        examiner = "" if member.contact else one.examiner
        found.append(
            GradedBefore(one.sha256, member.reference, examiner, _moment(one.decided), category, member.contact)
        )
    return sorted(
        found,
        key=lambda one: (one.sha256, one.decided, one.examiner, one.reference, one.category.code, one.contact),
    )
