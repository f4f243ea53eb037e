"""The chain of layers: a partition is opened as a file system, or unwrapped into the volumes inside it, and so on.

Names say the chain: ``p2``, ``p2/root`` (a logical volume on it), ``p3/bde/vss1`` (a shadow copy of the file system
inside an unlocked BitLocker volume). They depend on the evidence alone, so they are the same in every run.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from functools import partial

import pytsk3

from caid_triage.errors import EvidenceError
from caid_triage.evidence.account import NamedClaim
from caid_triage.evidence.coverage import KIND_OF_STATUS
from caid_triage.evidence.faults import evidence_faults
from caid_triage.evidence.file_system import OpenedVolume, OpenFileSystem, open_volume
from caid_triage.evidence.layers.encryption import unwrap_bitlocker, unwrap_core_storage, unwrap_luks
from caid_triage.evidence.layers.layer import UNLOCKED, UNWRAPPED, Area, Child, Layer, Unwrapped
from caid_triage.evidence.layers.ldm import unwrap_ldm
from caid_triage.evidence.layers.library_fs import LibraryFileSystem
from caid_triage.evidence.layers.library_volumes import unwrap_apfs, unwrap_xfs
from caid_triage.evidence.layers.lvm import unwrap_lvm
from caid_triage.evidence.layers.raid import unwrap_raid
from caid_triage.evidence.layers.randomness import looks_random
from caid_triage.evidence.layers.shadow import SharedStreams, has_shadow_copies, shadow_copies
from caid_triage.evidence.layers.view import ReadAt, View
from caid_triage.evidence.partitions import Partition, PartitionTable, read_partition_table
from caid_triage.evidence.proxied import read_head, read_range
from caid_triage.evidence.recognise import HEAD_LENGTH
from caid_triage.evidence.secrets import NO_SECRETS, Secrets
from caid_triage.evidence.steps import NOBODY, LeftOut, Step, Steps
from caid_triage.model import Problem, Volume

LAYERS: tuple[Layer, ...] = (
    unwrap_bitlocker,
    unwrap_luks,
    unwrap_core_storage,
    unwrap_ldm,
    unwrap_lvm,
    unwrap_raid,
    unwrap_apfs,
    unwrap_xfs,
)
"""The layers in the order they are asked; each recognises its own by a mark, most of them by a checksum too."""

_DEEPEST = 8
_MOST_VOLUMES = 2000
_RANKS = ("examined", "encrypted", "possibly-encrypted", "not-understood", "no-files", "unreadable", "empty")


@dataclass(slots=True)
class VolumeOpener:
    """Opens the volumes of one source with the secrets of one scan.

    ``opened`` counts them, so that tables which name each other's insides come to an end. ``steps`` is told of each,
    and ``before`` is how often all of them were opened before.
    """

    secrets: Secrets = NO_SECRETS
    opened: int = field(default=0)
    steps: Steps = NOBODY
    before: int = 0

    def open_chain(
        self,
        image: pytsk3.Img_Info,
        size: int,
        name: str,
        partition: Partition,
        depth: int = 0,
        table: Iterable[Partition] = (),
    ) -> list[OpenedVolume]:
        """What lies in a partition of an image of ``size`` bytes: the volume itself, then the volumes inside it.

        ``table`` are the partitions beside it: a volume group may have a part on several of them. The first one's
        ``claims`` are the account of the partition's bytes. Never raises for a fault of the evidence.
        """
        first, *inside = self._chain(image, size, name, partition, depth, table)
        return [replace(first, image=image), *inside]

    def _chain(
        self,
        image: pytsk3.Img_Info,
        size: int,
        name: str,
        partition: Partition,
        depth: int,
        table: Iterable[Partition],
    ) -> list[OpenedVolume]:
        self.opened += 1
        if depth > _DEEPEST or self.opened > _MOST_VOLUMES:
            return [self._given_up(size, name, partition)]
        try:
            self.steps.at(Step.VOLUME, 0, self.before, self.opened)
        except LeftOut as error:
            return [_left_out(size, name, partition, error)]
        area = _area(image, size, name, partition, table)
        if area is None:
            return [open_volume(image, size, name, partition)]
        found: Unwrapped | None = None
        for layer in LAYERS:
            found = layer(area, self.secrets)
            if found is not None:
                break
        if found is None:
            return self._plain(area, size, partition, depth)
        if found.status == "encrypted":
            return [_closed(area, partition, found)]
        if found.system is not None:
            volume = replace(found.system.volume, description=partition.description)
            return [OpenedVolume(volume, replace(found.system, volume=volume), found.problems)]
        inside = [self._child(area, child, depth + 1) for child in found.children]
        if not any(is_understood(one) for group in inside for one in group):
            plain = open_volume(image, size, name, partition)
            if plain.system is not None:  # what is left of an array's or a group's mark hides no file system
                return [replace(plain, problems=(*found.problems, *plain.problems))]
        if not found.children and not found.beside:
            return [_closed(area, partition, found)]
        volume = Volume(name, area.offset, area.length, partition.description, found.file_system, found.status)
        problems = (*_cut(area, partition), *found.problems)
        first = OpenedVolume(volume, None, problems, _account(area, found, inside))
        return [first, *(one for group in inside for one in group)]

    def open_disk(
        self, image: pytsk3.Img_Info, size: int, name: str, description: str, depth: int
    ) -> list[OpenedVolume]:
        """What lies in the inside of a volume: a partition table's volumes, or one volume of that name."""
        table = read_partition_table(partial(read_range, image), size, image)
        if table.partitions:
            groups = [
                self.open_chain(image, size, f"{name}/p{number}", partition, depth + 1, table.partitions)
                for number, partition in enumerate(table.partitions, 1)
            ]
            if any(is_understood(one) for group in groups for one in group):
                whole = replace(_table_volume(size, name, description, table, groups), image=image)
                return [whole, *(one for group in groups for one in group)]
        return self.open_chain(image, size, name, Partition(0, size, description), depth)

    def _child(self, area: Area, child: Child, depth: int) -> list[OpenedVolume]:
        name = f"{area.name}/{child.name}"
        if isinstance(child.content, LibraryFileSystem):
            self.opened += 1
            return [OpenedVolume(child.content.volume, child.content, child.problems)]
        if child.content is None:
            self.opened += 1
            length = child.length
            volume = Volume(name, 0, length, child.description, child.file_system, child.status)
            return [OpenedVolume(volume, None, child.problems)]
        opened = self.open_disk(child.content, int(child.content.get_size()), name, child.description, depth)
        return [replace(opened[0], problems=(*child.problems, *opened[0].problems)), *opened[1:]]

    def _plain(self, area: Area, size: int, partition: Partition, depth: int) -> list[OpenedVolume]:
        """A volume without a layer around it: its file system and that one's shadow copies, or why there is none."""
        plain = open_volume(area.image, size, area.name, partition)
        system = plain.system
        if not isinstance(system, OpenFileSystem):
            if _is_unmarked(plain) and looks_random(area.read, 0, area.length):
                return [_possibly_encrypted(plain)]
            return [plain]
        if system.kind != "NTFS" or not has_shadow_copies(area):
            return [plain]
        copies, problems = shadow_copies(area)
        shared = SharedStreams()
        if copies:
            system = replace(system, shared=shared)
        opened = [replace(plain, system=system, problems=(*plain.problems, *problems))]
        for child, copied in copies:
            if not isinstance(child.content, View):
                opened += self._child(area, child, depth + 1)
                continue
            self.opened += 1
            length = int(child.content.get_size())
            name = f"{area.name}/{child.name}"
            partition = Partition(0, length, child.description)
            try:
                self.steps.at(Step.VOLUME, 0, self.before, self.opened)
                one = open_volume(child.content, length, name, partition)
            except LeftOut as error:
                one = _left_out(length, name, partition, error)
            if isinstance(one.system, OpenFileSystem):
                one = replace(one, system=replace(one.system, shared=shared, copied=copied))
            opened.append(replace(one, image=child.content))
        return opened

    def _given_up(self, size: int, name: str, partition: Partition) -> OpenedVolume:
        detail = (
            f"more than {_DEEPEST} layers lie in each other here, or more than {_MOST_VOLUMES} volumes on this source: "
            f"this volume was not opened"
        )
        length = max(0, min(partition.length, size - partition.offset))
        volume = Volume(name, partition.offset, length, partition.description, "", "not-understood")
        return OpenedVolume(volume, None, (Problem("open", "too-many-layers", detail, volume=name),))


def _left_out(size: int, name: str, partition: Partition, error: LeftOut) -> OpenedVolume:
    """A volume that was not opened, because the process that opened it before died of it."""
    length = max(0, min(partition.length, size - partition.offset))
    volume = Volume(name, partition.offset, length, partition.description, "", "unreadable")
    return OpenedVolume(volume, None, (Problem("open", error.code, error.detail, volume=name),))


def is_understood(one: OpenedVolume) -> bool:
    """Whether a volume was opened, or is at least known to be encrypted by its own mark."""
    return one.system is not None or one.volume.status in ("encrypted", UNWRAPPED, UNLOCKED)


def claims_of(one: OpenedVolume) -> tuple[NamedClaim, ...]:
    """The account of a volume's bytes on its image: what lies in it, or all of it by its status."""
    if one.volume.status in (UNWRAPPED, UNLOCKED):
        return one.claims
    return ((one.volume.offset, one.volume.length, KIND_OF_STATUS[one.volume.status], one.volume.name),)


def gap_problems(read: ReadAt, gaps: Iterable[tuple[int, int]]) -> tuple[list[Problem], list[NamedClaim]]:
    """Problems and claims for the gaps between partitions that look random: (first byte, bytes) each."""
    problems, claims = [], []
    for offset, length in gaps:
        if length >= _SMALLEST_GAP and looks_random(read, offset, length):
            detail = (
                f"{length} bytes outside every partition, from byte {offset} on, look random: they may be an encrypted "
                f"volume (VeraCrypt leaves no mark), were wiped with random bytes, or are one large archive. They were "
                f"not examined"
            )
            problems.append(Problem("open", "possibly-encrypted", detail))
            claims.append((offset, length, KIND_OF_STATUS["possibly-encrypted"], ""))
    return problems, claims


_SMALLEST_GAP = 4 << 20


def _area(
    image: pytsk3.Img_Info, size: int, name: str, partition: Partition, table: Iterable[Partition]
) -> Area | None:
    length = min(partition.length, size - partition.offset)
    try:
        with evidence_faults("open", "volume-unreadable", "the start of this volume could not be read"):
            head = read_head(image, partition.offset, min(HEAD_LENGTH, length))
    except EvidenceError:
        return None
    beside = tuple(
        (one.offset, min(one.length, size - one.offset))
        for one in table
        if one.offset != partition.offset and one.offset < size
    )
    return Area(image, partition.offset, length, head, name, beside, partition.description)


def _cut(area: Area, partition: Partition) -> tuple[Problem, ...]:
    if area.length >= partition.length:
        return ()
    short = partition.length - area.length
    detail = f"this volume ends {short} bytes behind the end of the image: the image is incomplete"
    return (Problem("open", "image-truncated", detail, volume=area.name),)


def _closed(area: Area, partition: Partition, found: Unwrapped) -> OpenedVolume:
    status = found.status if found.status not in (UNWRAPPED, UNLOCKED) else "not-understood"
    volume = Volume(area.name, area.offset, area.length, partition.description, found.file_system, status)
    problems = found.problems
    if not problems:
        detail = f"this volume ({found.file_system}) holds no volume: no file of it was seen by its name"
        problems = (Problem("open", "no-volume", detail, volume=area.name),)
    return OpenedVolume(volume, None, (*_cut(area, partition), *problems))


def _account(area: Area, found: Unwrapped, inside: list[list[OpenedVolume]]) -> tuple[NamedClaim, ...]:
    """The bytes of a container by what lies in it.

    Where it cannot be said which bytes are whose (APFS volumes share all of their container), the whole container
    counts as its best child.
    """
    claims = [(*claim, area.name) for claim in found.claims]
    for child, group in zip(found.children, inside, strict=True):
        if isinstance(child.content, View) and child.content.has_places:
            claims += child.content.claims_outside(claims_of(group[0]))
        else:
            statuses = [one.volume.status for one in group if one.volume.status in _RANKS]
            best = min(statuses, key=_RANKS.index, default="not-understood")
            claims.append((area.offset, area.length, KIND_OF_STATUS[best], area.name))
    return tuple(claims)


def _table_volume(
    size: int, name: str, description: str, table: PartitionTable, groups: list[list[OpenedVolume]]
) -> OpenedVolume:
    claims = [claim for group in groups for claim in claims_of(group[0])]
    claims += [(start, length, "partition_table", name) for start, length in table.table_areas]
    volume = Volume(name, 0, size, description, f"{table.scheme} partition table", UNWRAPPED)
    problems = tuple(replace(problem, volume=name) for problem in table.problems)
    return OpenedVolume(volume, None, problems, tuple(claims))


def _is_unmarked(plain: OpenedVolume) -> bool:
    return plain.volume.status == "not-understood" and any(
        p.code == "file-system-not-understood" for p in plain.problems
    )


def _possibly_encrypted(plain: OpenedVolume) -> OpenedVolume:
    detail = (
        "no file system was recognised, and the bytes of this volume look random from its first to its last: it may be "
        "encrypted without a mark (VeraCrypt), was wiped with random bytes, or is one large archive. None of its files "
        "were examined"
    )
    kept = tuple(problem for problem in plain.problems if problem.code != "file-system-not-understood")
    problem = Problem("open", "possibly-encrypted", detail, volume=plain.volume.name)
    return OpenedVolume(replace(plain.volume, status="possibly-encrypted"), None, (*kept, problem))
