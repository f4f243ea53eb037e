"""AFF4 disk images: a ZIP of bevies of chunks, a map from the disk to them, and a description in Turtle.

Format: Schatz and Cohen, "AFF4 Standard v1.0a", and its reference images. The image says which stream is the disk:
a map (entries of 28 bytes: place in the disk u64, length u64, place in the target u64, number of the target u32,
the targets named by line in ``idx``) or an image stream. What the map sends to aff4:UnreadableData (the disk could
not be read there) or aff4:UnknownData (it was not read there) is unreadable here: it is never given as content.
"""

from __future__ import annotations

import zipfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from functools import partial
from pathlib import Path

import numpy as np

from caid_triage.evidence.containers.aff4_streams import AFF4, ImageStream, Members, Symbolic
from caid_triage.evidence.containers.reader import OpenContainer, Range, StoredHash, damaged, merged, refused
from caid_triage.evidence.containers.turtle import LONGEST, Statements, Value, parse_turtle, types_of
from caid_triage.evidence.faults import LIBRARY_ERRORS
from caid_triage.model import Problem

_WHAT = "AFF4 image"
_EXPORT = "export it to E01 or raw with the tool that made it, and scan that"
_DISKS = {AFF4 + name for name in ("DiskImage", "ContiguousImage", "DiscontiguousImage", "VolumeImage", "Image")}
_ENTRY = np.dtype([("place", "<u8"), ("length", "<u8"), ("at", "<u8"), ("target", "<u4")])
_LONGEST_MEMBER = 1 << 30
_ALGORITHMS = {AFF4 + name: name.lower() for name in ("MD5", "SHA1", "SHA256", "SHA512")}
_FACTS = {
    "caseNumber": "case_number", "caseName": "case_name", "caseDescription": "description",
    "evidenceNumber": "evidence_number", "examiner": "examiner_name", "notes": "notes",
    "diskMake": "make", "diskModel": "model", "diskSerial": "serial_number", "startTime": "acquiry_date",
    "acquisitionCompletionState": "completion",
}  # fmt: skip


def is_aff4(head: bytes, _tail: bytes) -> bool:
    """Whether a file begins as the ZIP of an AFF4 container."""
    return head.startswith(b"PK\x03\x04") and b"container.description" in head


def open_aff4(path: Path) -> OpenContainer:
    """Open the disk of an AFF4 container. Errors: SourceError."""
    with ExitStack() as undo:
        try:
            members = Members(path)
            undo.callback(members.close)
            statements = parse_turtle(members.whole("information.turtle", LONGEST).decode("utf-8"))
            disk = _disk_of(path, statements)
            reader = Aff4Disk(path, members, statements, disk)
            facts = {**_facts(members, statements), **reader.hash_facts()}
        except (zipfile.BadZipFile, KeyError, NotImplementedError, EOFError, *LIBRARY_ERRORS) as error:
            raise damaged(path, _WHAT, error) from error
        undo.pop_all()
    return OpenContainer("aff4", reader, (path,), facts, reader.problems(), reader)


def _disk_of(path: Path, statements: Statements) -> str:
    disks = [s for s in statements if types_of(statements, s) & _DISKS and AFF4 + "dataStream" in statements[s]]
    if len(disks) == 1:
        return disks[0]
    if disks:
        raise refused(path, f"{_WHAT} of {len(disks)} disks", _EXPORT)
    kinds = {kind for subject in statements for kind in types_of(statements, subject)}
    if any("FileImage" in kind or kind.endswith("LogicalAcquisitionTask") for kind in kinds):
        raise refused(path, "AFF4-L (logical) image of single files", "unzip it into a folder and scan the folder")
    raise refused(path, f"{_WHAT} that names no disk in the terms of the AFF4 standard", _EXPORT)


def _facts(members: Members, statements: Statements) -> dict[str, str]:
    facts: dict[str, str] = {}
    for predicates in statements.values():
        for predicate, name in _FACTS.items():
            for value in predicates.get(AFF4 + predicate, ()):
                text = " ".join(value.text.split())
                if text and text not in facts.get(name, ""):
                    facts[name] = f"{facts[name]}; {text}" if name in facts else text
    version = members.whole("version.txt", 1 << 16).decode("utf-8", "replace") if members.has("version.txt") else ""
    tool = next((line.partition("=")[2] for line in version.splitlines() if line.startswith("tool=")), "").strip()
    return {**facts, "acquiry_software_version": tool} if tool else facts


def _once(content: bytes) -> Iterator[bytes]:
    yield content


def one(statements: Statements, subject: str, predicate: str) -> str:
    """The one object of a predicate. Errors: ValueError."""
    values = statements.get(subject, {}).get(AFF4 + predicate, ())
    if not values:
        raise ValueError(f"its description does not say the {predicate} of a stream")
    return values[0].text


class Aff4Disk:
    """The disk of an AFF4 container. Errors on construction: SourceError, ValueError, OSError, KeyError."""

    def __init__(self, path: Path, members: Members, statements: Statements, disk: str) -> None:
        self._members = members
        self._streams: dict[str, ImageStream] = {}
        self._hashes: list[StoredHash] = []
        self._sources: dict[str, Callable[[], Iterator[bytes]]] = {}
        stream = one(statements, disk, "dataStream")
        kinds = types_of(statements, stream)
        self.size = int(one(statements, stream, "size"))
        names = [stream]
        entries = np.array([(0, self.size, 0, 0)], _ENTRY)
        gap: str | None = None
        if AFF4 + "Map" in kinds:
            names, entries = self._map(statements, stream)
            gap = next((v.text for v in statements[stream].get(AFF4 + "mapGapDefaultStream", ())), AFF4 + "Zero")
        elif not kinds & {AFF4 + "ImageStream", AFF4 + "stream"}:
            raise refused(path, f"{_WHAT} whose disk is of a kind that is not read", _EXPORT)
        self._targets = [self._target(path, statements, name) for name in names]
        self._gap = self._target(path, statements, gap) if gap is not None else None
        self._place_entries(entries)
        self._note_hashes("disk", statements[disk].get(AFF4 + "hash", ()), self._whole)

    def _map(self, statements: Statements, stream: str) -> tuple[list[str], np.ndarray]:
        folder = self._members.folder(stream)
        data = self._members.whole(f"{folder}/map", _LONGEST_MEMBER)
        index = self._members.whole(f"{folder}/idx", 1 << 20)
        entries = np.frombuffer(data[: len(data) // _ENTRY.itemsize * _ENTRY.itemsize], _ENTRY)
        entries = entries[np.argsort(entries["place"], kind="stable")]
        names = index.decode("utf-8").split()
        ends = entries["place"] + entries["length"]
        if len(entries) and (
            len(data) % _ENTRY.itemsize
            or int(entries["target"].max()) >= len(names)
            or int(ends.max()) > self.size
            or (ends < entries["place"]).any()
            or (ends[:-1] > entries["place"][1:]).any()
        ):
            raise ValueError("its map contradicts itself")
        for what, name, content in (("map", "mapPointHash", data), ("index of the map", "mapIdxHash", index)):
            self._note_hashes(what, statements[stream].get(AFF4 + name, ()), partial(_once, content))
        return names, entries

    def _target(self, path: Path, statements: Statements, name: str) -> ImageStream | Symbolic:
        symbolic = Symbolic.named(name)
        if symbolic is not None:
            return symbolic
        if name in self._streams:
            return self._streams[name]
        if AFF4 + "ImageStream" not in types_of(statements, name):
            what = f"{_WHAT} that is spread over several files or streams, of which {name} is not in this one"
            raise refused(path, what, _EXPORT)
        facts = statements[name]
        method = next((value.text for value in facts.get(AFF4 + "compressionMethod", ())), "")
        if not ImageStream.can_decode(method):
            raise refused(path, f"{_WHAT} compressed in a way that cannot be read ({method})", _EXPORT)
        numbers = [int(one(statements, name, key)) for key in ("size", "chunkSize", "chunksInSegment")]
        stream = ImageStream(self._members, name, method, *numbers)
        self._streams[name] = stream
        what = "image stream" if len(self._streams) == 1 else f"image stream {len(self._streams)}"
        self._note_hashes(what, facts.get(AFF4 + "hash", ()), stream.pieces)
        return stream

    def _note_hashes(self, what: str, values: Sequence[Value], source: Callable[[], Iterator[bytes]]) -> None:
        for value in values:
            if value.datatype in _ALGORITHMS:
                self._hashes.append(StoredHash(what, _ALGORITHMS[value.datatype], value.text.strip().lower()))
                self._sources[what] = source

    def _place_entries(self, entries: np.ndarray) -> None:
        self._places = entries["place"].astype(np.int64)
        self._ends = self._places + entries["length"].astype(np.int64)
        self._ats = entries["at"].astype(np.int64)
        self._numbers = entries["target"].astype(np.int64)

    # ------------------------------------------------------------ DiskReader

    def read(self, offset: int, length: int) -> bytes:
        """The bytes at ``offset``. OSError where the disk could not be read when it was acquired."""
        pieces = []
        end = offset + length
        index = int(np.searchsorted(self._ends, offset, side="right"))
        while offset < end:
            if index >= len(self._places) or offset < self._places[index]:
                stop = int(self._places[index]) if index < len(self._places) else self.size
                if self._gap is None:
                    raise OSError("the map of the image leaves this place out")
                pieces.append(self._gap.read(offset, min(end, stop) - offset))
            else:
                stop = int(self._ends[index])
                at = int(self._ats[index]) + offset - int(self._places[index])
                pieces.append(self._targets[self._numbers[index]].read(at, min(end, stop) - offset))
                index += 1
            offset = min(end, stop)
        return pieces[0] if len(pieces) == 1 else b"".join(pieces)

    def unreadable(self) -> Sequence[Range]:
        """What the map says that the disk, or whoever read it, did not give."""
        return merged([*self._sent_to("UnreadableData"), *self._sent_to("UnknownData")], self.size)

    def _sent_to(self, name: str) -> list[Range]:
        chosen = [n for n, target in enumerate(self._targets) if isinstance(target, Symbolic) and target.name == name]
        mask = np.isin(self._numbers, chosen)
        found = [(int(a), int(b - a)) for a, b in zip(self._places[mask], self._ends[mask], strict=True)]
        if isinstance(self._gap, Symbolic) and self._gap.name == name:
            starts = np.concatenate(([0], self._ends))
            stops = np.concatenate((self._places, [self.size]))
            found += [(int(a), int(b - a)) for a, b in zip(starts, stops, strict=True) if b > a]
        return found

    def problems(self) -> tuple[Problem, ...]:
        """What of the disk is not in the image, and why."""
        lost = sum(length for _, length in merged(self._sent_to("UnreadableData"), self.size))
        left_out = sum(length for _, length in merged(self._sent_to("UnknownData"), self.size))
        found = []
        if lost:
            detail = (
                f"{lost} bytes of the disk could not be read when it was acquired; what lies there cannot be examined"
            )
            found.append(Problem("open", "acquisition-errors", detail))
        if left_out:
            detail = (
                f"{left_out} bytes of the disk were left out when it was acquired; what lies there cannot be examined"
            )
            found.append(Problem("open", "not-acquired", detail))
        return tuple(found)

    def close(self) -> None:
        """Close the file."""
        self._members.close()

    # ------------------------------------------------------------ HashedParts

    def stored_hashes(self) -> Sequence[StoredHash]:
        """Of the whole disk where stored, of each image stream, and of the map that places it."""
        return self._hashes

    def bytes_of(self, what: str) -> Iterator[bytes]:
        """The bytes that a stored hash is of."""
        return self._sources[what]()

    def _whole(self) -> Iterator[bytes]:
        for offset in range(0, self.size, 1 << 20):
            yield self.read(offset, min(1 << 20, self.size - offset))

    def hash_facts(self) -> dict[str, str]:
        """The stored hashes as facts: ``md5`` of the disk, ``image stream md5`` and so on."""
        return {(h.algorithm if h.what == "disk" else f"{h.what} {h.algorithm}"): h.expected for h in self._hashes}
