"""LVM2 physical volumes: the logical volumes that have a part on this disk are opened, what they lack is named.

Where a logical volume lies is told by the text of its volume group (lvm_text.py, lvm_layout.py): linear and striped
ones, RAID 0 and 10, mirrors from the first whole copy, what a cache lies before, thin volumes and old snapshots by
their own tables (mapped.py). Physical volumes in the same partition table are put together, and a logical volume is
listed with the first of them that has a part of it; a part on another disk is a hole that cannot be read.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Iterator
from functools import partial
from itertools import pairwise

from caid_triage.evidence.faults import LIBRARY_ERRORS
from caid_triage.evidence.layers.layer import UNWRAPPED, Area, Child, Unwrapped
from caid_triage.evidence.layers.lvm_layout import LARGEST, Group, Missing, lies_elsewhere, name_in, segments_of
from caid_triage.evidence.layers.lvm_text import (
    SECTOR,
    Section,
    group_of,
    label_of,
    metadata,
    number_of,
    number_of_change,
    plain_id,
    sections,
)
from caid_triage.evidence.layers.mapped import MappedView, NotMapped, exceptions_of, thin_mapping
from caid_triage.evidence.layers.view import Claim, View
from caid_triage.evidence.proxied import read_range
from caid_triage.evidence.secrets import Secrets
from caid_triage.model import Problem, Severity

NAME = "LVM2 physical volume"
_NAME = re.compile(r"[A-Za-z0-9+_.-]{1,127}")
_HEAD = 4 * SECTOR
_FAULTS = (*LIBRARY_ERRORS, struct.error, KeyError, TypeError, AttributeError)
_POOLS = ("thin-pool", "cache-pool")


def unwrap_lvm(area: Area, _secrets: Secrets) -> Unwrapped | None:
    """The logical volumes on a physical volume."""
    label = label_of(area.head)
    if label is None:
        return None
    try:
        identifier, texts = metadata(area, label)
        others = dict(_others(area))
        for _, more in others.values():
            texts = texts + [text for text in more if f'id = "{_with_dashes(identifier)}"' in text]
        if not texts:
            return _not_read(area, "no description of its volume group could be read")
        group_name, group = group_of(max(texts, key=number_of_change))
        known = {plain_id(pv.get("id")): name for name, pv in sections(group, "physical_volumes")}
        if identifier not in known:
            return _not_read(area, f"the volume group {group_name} does not know this physical volume")
        here = {known[one]: place for one, (place, _) in others.items() if one in known}
        here[known[identifier]] = area.offset, area.length
        return _unwrapped(area, group_name, group, known[identifier], here)
    except _FAULTS as error:
        reason = str(error) if isinstance(error, ValueError) else "its description is damaged"
        return _not_read(area, reason)


def _others(area: Area) -> Iterator[tuple[str, tuple[tuple[int, int], list[str]]]]:
    """The physical volumes beside this one that can be read: identifier, (first byte, bytes) and texts of each."""
    for start, length in area.beside:
        try:
            other = Area(area.image, start, length, read_range(area.image, start, min(_HEAD, length)), area.name)
            label = label_of(other.head)
            if label is not None:
                identifier, texts = metadata(other, label)
                yield identifier, ((start, length), texts)
        except _FAULTS:
            continue


def _with_dashes(identifier: str) -> str:
    return "-".join(identifier[a:b] for a, b in pairwise((0, 6, 10, 14, 18, 22, 26, 32)))


def _not_read(area: Area, reason: str) -> Unwrapped:
    detail = f"this volume is an {NAME} and its logical volumes could not be read: {reason}"
    return Unwrapped(NAME, "not-understood", problems=(Problem("open", "layer-damaged", detail, volume=area.name),))


# ---------------------------------------------------------------- the logical volumes of a group


def _unwrapped(area: Area, group_name: str, group: Section, own: str, here: dict[str, tuple[int, int]]) -> Unwrapped:
    extent = number_of(group, "extent_size") * SECTOR
    present = dict(sections(group, "physical_volumes"))
    if not extent:
        raise ValueError("its extents have no size")
    firsts = {name: number_of(one, "pe_start") * SECTOR for name, one in present.items()}
    view = Group(area, extent, here, firsts, dict(sections(group, "logical_volumes")))
    children: list[Child] = []
    claims: list[Claim] = [(area.offset, min(firsts[own], area.length), "partition_table")]
    elsewhere = beside = 0
    for name, described, segment in _listed(view.volumes):
        host = view.host_of(described)
        if host != own:
            elsewhere += host is None
            beside += host is not None
            continue
        if not _NAME.fullmatch(name):
            raise ValueError("a logical volume has a name that LVM2 does not allow")
        description = f"logical volume {name} of the volume group {group_name} (LVM2)"
        children.append(_child(view, name, described, segment, description))
        claims += _tables(view, segment)
    problems = []
    missing = sorted(present.keys() - here.keys())
    if missing:
        detail = (
            f"the volume group {group_name} has {len(present)} physical volumes, of which {len(missing)} are not on "
            f"this disk ({', '.join(missing[:20])}): what lies there was not examined, {elsewhere} logical volumes "
            f"among it that have no part on this disk"
        )
        problems.append(Problem("open", "volume-group-spread", detail, volume=area.name))
    if beside:
        detail = (
            f"the volume group {group_name} has {len(here)} physical volumes on this disk; {beside} logical volumes "
            f"are listed with another of them"
        )
        problems.append(Problem("open", "volume-group-beside", detail, Severity.NOTE, volume=area.name))
    return Unwrapped(NAME, UNWRAPPED, tuple(children), tuple(problems), tuple(claims), beside=beside > 0)


def _listed(volumes: dict[str, Section]) -> Iterator[tuple[str, str, Section | None]]:
    """The logical volumes that have files: name, whose description it goes by, and its segment where that is special.

    Pools hold others and are none themselves; an old snapshot is described under a name of its own and called as
    the volume that stores it.
    """
    special = {
        name: parts[0]
        for name, volume in volumes.items()
        if len(parts := segments_of(volume)) == 1 and parts[0].get("type") in ("thin", "snapshot", *_POOLS)
    }
    stores = {str(segment.get("cow_store")) for segment in special.values() if segment.get("type") == "snapshot"}
    for name, volume in sorted(volumes.items()):
        segment = special.get(name)
        status = volume.get("status")
        kind = segment.get("type") if segment is not None else None
        visible = isinstance(status, list) and "VISIBLE" in status
        if kind == "snapshot" and segment is not None:
            yield name_in(segment, "cow_store"), name, segment
        elif visible and kind not in _POOLS and name not in stores:
            yield name, name, segment


def _child(view: Group, name: str, described: str, segment: Section | None, description: str) -> Child:
    where = f"{view.area.name}/{name}"
    try:
        if segment is not None and segment.get("type") == "thin":
            return Child(name, f"thin {description}", _thin(view, segment))
        if segment is not None and segment.get("type") == "snapshot":
            of = name_in(segment, "origin")
            return Child(name, f"snapshot of {of}, {description}", _snapshot(view, segment))
        content = view.view(described)
        holes = view.layout(described).holes
    except (Missing, NotMapped) as missing:
        detail = f"this logical volume could not be put together: {missing}. None of its files were examined"
        return Child(name, description, None, problems=(Problem("open", "volume-incomplete", detail, volume=where),))
    problems = []
    if holes:
        detail = (
            f"this logical volume has parts that are not on this disk: {lies_elsewhere(view.layout(described))}. "
            f"Files there could not be read; scan an image of the whole volume, made with all its disks together"
        )
        problems.append(Problem("open", "volume-incomplete", detail, volume=where))
    kind = segments_of(view.volumes[described])[0].get("type")
    if kind in ("cache", "writecache"):
        detail = (
            f"this logical volume was cached ({kind}): it was read from behind the cache, so what was changed last "
            f"may be missing or damaged. To have it too, let LVM write the cache back on a copy, and scan that"
        )
        problems.append(Problem("open", "cache-not-read", detail, volume=where))
    return Child(name, description, content, problems=tuple(problems))


def _thin(view: Group, segment: Section) -> View:
    """A thin volume by the tables of its pool. Errors: Missing, NotMapped, ValueError."""
    pool = segments_of(view.volumes.get(name_in(segment, "thin_pool"), {}))
    if len(pool) != 1 or pool[0].get("type") != "thin-pool":
        raise Missing("its pool is not described")
    size = min(number_of(segment, "extent_count") * view.extent, LARGEST)
    chunk = number_of(pool[0], "chunk_size") * SECTOR
    tables, data = view.view(name_in(pool[0], "metadata")), view.view(name_in(pool[0], "pool"))
    numbers, places = thin_mapping(
        partial(read_range, tables), int(tables.get_size()), number_of(segment, "device_id"), chunk
    )
    origin = segment.get("external_origin")
    behind = view.view(origin) if isinstance(origin, str) else None
    return MappedView(data, size, chunk, numbers, places, behind)


def _snapshot(view: Group, segment: Section) -> View:
    """An old snapshot: what was overwritten since from its store, the rest from the volume. Errors as of _thin."""
    store, origin = view.view(name_in(segment, "cow_store")), view.view(name_in(segment, "origin"))
    chunk, numbers, places = exceptions_of(partial(read_range, store), int(store.get_size()))
    return MappedView(store, int(origin.get_size()), chunk, numbers, places, origin)


def _tables(view: Group, segment: Section | None) -> list[Claim]:
    """What of the disk holds the tables of a thin pool, or the store of a snapshot."""
    if segment is None:
        return []
    try:
        name = "cow_store"
        if segment.get("type") == "thin":
            (segment,) = segments_of(view.volumes[name_in(segment, "thin_pool")])
            name = "metadata"
        return [(run.at, run.length, "partition_table") for run in view.layout(name_in(segment, name)).runs]
    except (Missing, *_FAULTS):
        return []
