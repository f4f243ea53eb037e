"""Walk one file system: every live, deleted and orphaned name becomes FileEntries, one a data stream.

The traps, each with a test: on NTFS a deleted name comes without its record and has to be opened by number;
the record may have been given to another file since; FAT's deleted folders go on behind their first cluster;
a deleted file's clusters may hold another file's bytes now. Measured: 30 to 40 microseconds an entry.
"""

from __future__ import annotations

from array import array
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from functools import partial

import pytsk3

from caid_triage.errors import EvidenceError
from caid_triage.evidence.carve.ntfs_valid import valid_lengths
from caid_triage.evidence.carve.slack import SlackRoll
from caid_triage.evidence.faults import LIBRARY_ERRORS, evidence_faults, plain_reason
from caid_triage.evidence.file_system import EXT_KINDS, OpenFileSystem
from caid_triage.evidence.folder_names import damage_of_names
from caid_triage.evidence.layers.shadow import STORE_NAME
from caid_triage.evidence.nameless import ORPHANS, Told, nameless
from caid_triage.evidence.names import NAME_DIR, NAME_UNKNOWN, Folder, Listed, Name, judged, lost
from caid_triage.evidence.numbers import NumberSet
from caid_triage.evidence.paths import display_name
from caid_triage.evidence.steps import LEFT_OUT, NOBODY, LeftOut, Step, Steps
from caid_triage.evidence.streams import ClusterMap, Stream, file_times, streams_of
from caid_triage.model import IN_USE_CODE, FileEntry, FileTimes, Problem, Severity, State

_MAX_DEPTH = 2000
_FIRST_NTFS_FILE = 24
_UNALLOCATED = int(pytsk3.TSK_FS_NAME_FLAG_UNALLOC)
_NAME_FILE = int(pytsk3.TSK_FS_NAME_TYPE_REG)
_NAME_VIRTUAL = int(pytsk3.TSK_FS_NAME_TYPE_VIRT)
_NAME_ORPHANS = int(pytsk3.TSK_FS_NAME_TYPE_VIRT_DIR)
_TYPE_REG = int(pytsk3.TSK_FS_META_TYPE_REG)
_TYPE_UNKNOWN = int(pytsk3.TSK_FS_META_TYPE_UNDEF)
_TYPE_LINK = int(pytsk3.TSK_FS_META_TYPE_LNK)

# what has no content of its own and is counted, not listed: (problem code, what)
_LINK = ("special-files", "symbolic links, not listed as files")
_SPECIAL = ("special-files", "devices, pipes and the like, not listed as files")
_LOST_FOLDER = ("folder-not-recoverable", "deleted folders whose list of names is gone")
_LOOK_ALIKE = ("not-a-name", "free places that only look like a deleted name, not listed as files")


_ORPHANS = Folder(0, ORPHANS.encode(), ORPHANS, State.ORPHAN, 1)


class VolumeWalk:
    """The entries of one file system, in the file system's own order, live folders before orphans.

    Iterating yields FileEntry (numbered from ``first_number``) and Problem. Memory grows by the numbers of
    the folders and of the deleted files met, not by the entries. ``slack`` is filled with that of the living files.
    """

    def __init__(
        self,
        system: OpenFileSystem,
        index: int,
        exhibit: str,
        source: str,
        first_number: int,
        slack: SlackRoll | None = None,
        steps: Steps = NOBODY,
    ) -> None:
        self.number = first_number
        self._system = system
        self._index = index
        self._exhibit = exhibit
        self._source = source
        self._volume = system.volume.name
        self._is_ntfs = system.kind == "NTFS"
        self._is_ext = system.kind in EXT_KINDS
        self._folders_seen: set[int] = set()
        self._deleted_seen: set[int] = set()
        self._met = NumberSet()
        self._owners = array("Q")
        self._orphans: list[Folder] = []
        self._skipped: Counter[tuple[str, str]] = Counter()
        self._unchanged = 0
        self._slack = slack
        self._valid = valid_lengths(system, steps) if self._is_ntfs and slack is not None else {}
        self._shared = system.shared
        self._clusters = ClusterMap(system) if self._is_ntfs else None
        self._steps = steps
        self._begins = partial(steps.at, Step.RECORD, index)

    def __iter__(self) -> Iterator[FileEntry | Problem]:
        root = int(self._system.fs.info.root_inum)
        self._folders_seen.add(root)
        pending = [Folder(root, b"", "", State.ALLOCATED, 0)]
        if self._is_ntfs:
            yield from self._streams_of_root(root)
        while pending:
            inside: list[Folder] = []
            yield from self._folder(pending.pop(), inside)
            pending.extend(reversed(inside))
            if not pending:  # orphans last: what was met by its path is none
                pending, self._orphans = self._orphans, []
        yield from self._without_name()
        yield from self._summary()

    def _without_name(self) -> Iterator[FileEntry | Problem]:
        """What is in use and no name led to, with all that lies in it."""
        for found in nameless(self._system, self._met, self._deleted_seen, self._owners, self._begins):
            if isinstance(found, Told):
                yield self._problem(found.code, found.detail, found.severity, "")
                continue
            raw, path = _ORPHANS.raw + b"/" + found.name, f"{_ORPHANS.path}/{display_name(found.name)}"
            meta = found.file.info.meta
            name = Name(raw, path, found.inode, State.ORPHAN, found.is_folder, found.file, meta, None)
            pending: list[Folder] = []
            yield from self._entries(name, _ORPHANS, pending)
            while pending:
                inside: list[Folder] = []
                yield from self._folder(pending.pop(), inside)
                pending.extend(reversed(inside))

    def beside(self, entry: FileEntry, name: str) -> FileEntry | None:
        """The living file of that name in the folder of a living one, None where there is none or it is damaged."""
        raw, own = entry.raw_path.rpartition(b"/")[::2]
        folder = Folder(0, raw, entry.parent_path.rstrip("/"), State.ALLOCATED, 0)
        met: dict[bytes, pytsk3.File] = {}
        try:
            for file in self._system.fs.open_dir(path=raw.decode() or "/"):
                label = file.info.name
                if label.name in (own, name.encode()) and not int(label.flags) & _UNALLOCATED:
                    met[bytes(label.name)] = file
            # It is the entry's own folder that was opened, not an earlier one of the same path.
            if own not in met or int(met[own].info.name.meta_addr) != entry.inode or name.encode() not in met:
                return None
            found = self._name(met[name.encode()], folder)
        except (*LIBRARY_ERRORS, UnicodeDecodeError):
            return None
        inner: list[Folder] = []
        streams = self._entries(found, folder, inner) if found is not None and not found.is_folder else ()
        return next((one for one in streams if isinstance(one, FileEntry) and one.readable and not one.stream), None)

    def _streams_of_root(self, root: int) -> Iterator[FileEntry | Problem]:
        """The named streams of the root folder itself ("/:name"): no name in any folder leads to them."""
        try:
            with evidence_faults("walk", "metadata-unreadable", "the record of the root folder could not be read"):
                self._steps.at(Step.RECORD, self._index, root)
                file = self._system.fs.open_meta(root)
                meta = file.info.meta
        except EvidenceError as error:
            yield self._problem(error.code, error.detail, Severity.PROBLEM, "/")
            return
        yield from self._streams(
            Name(b"/", "/", root, State.ALLOCATED, True, file, meta, None), meta, folder_streams=True
        )

    # ------------------------------------------------------------ folders

    def _folder(self, folder: Folder, inside: list[Folder]) -> Iterator[FileEntry | Problem]:
        """The entries of one folder; its sub-folders are added to ``inside``."""
        try:
            directory = self._opened(folder)
        except EvidenceError as error:
            if folder.in_use or isinstance(error, LeftOut):
                yield self._problem(error.code, error.detail, Severity.PROBLEM, folder.path or "/")
            else:
                detail = "the list of names in this deleted folder is gone"
                yield self._problem("folder-not-recoverable", detail, Severity.NOTE, folder.path)
            return
        if self._is_ext:
            self._met.add(folder.inode)
        emptied = self._system.guard is not None and folder.inode in self._system.guard.emptied
        if emptied:
            detail = "this folder claims a size that no folder has; it was not listed"
            yield self._problem("folder-unreadable", detail, Severity.PROBLEM, folder.path or "/")
        named_itself, names = False, 0
        while True:
            try:
                self._steps.at(Step.NAME, self._index, folder.inode, names)
                names += 1
                file = next(directory)
            except StopIteration:
                break
            except LeftOut as error:  # the library has no way to the names behind it
                named_itself = True
                detail = f"{error.detail}; this name of the folder and those behind it were not listed"
                yield self._problem(error.code, detail, Severity.PROBLEM, folder.path or "/")
                break
            except LIBRARY_ERRORS as error:
                detail = f"a name in this folder could not be read: {plain_reason(error)}"
                yield self._problem("folder-unreadable", detail, Severity.PROBLEM, folder.path or "/")
                continue
            named_itself = named_itself or file.info.name.name == b"."
            name = self._name(file, folder)
            if name is not None:
                yield from self._entries(name, folder, inside)
        if folder.in_use and not self._is_ntfs and not emptied:
            detail = damage_of_names(self._system, directory, named_itself=named_itself)
            if detail:
                yield self._problem("folder-unreadable", detail, Severity.PROBLEM, folder.path or "/")
        if not folder.in_use and self._system.fat is not None and folder.inode not in self._roots():
            yield from self._behind_first_cluster(folder, inside)

    def _opened(self, folder: Folder) -> pytsk3.Directory:
        """A folder's names; tried twice, because a record damaged elsewhere fails the first listing of NTFS alone."""
        self._steps.at(Step.FOLDER, self._index, folder.inode)
        try:
            return self._system.fs.open_dir(inode=folder.inode)
        except LIBRARY_ERRORS:
            with evidence_faults("walk", "folder-unreadable", "this folder could not be listed"):
                return self._system.fs.open_dir(inode=folder.inode)

    def _roots(self) -> tuple[int, int]:
        info = self._system.fs.info
        return int(info.root_inum), int(info.last_inum)  # the last is Sleuth Kit's folder of orphans

    def _behind_first_cluster(self, folder: Folder, inside: list[Folder]) -> Iterator[FileEntry | Problem]:
        """The entries of a deleted FAT folder that Sleuth Kit does not list."""
        fat = self._system.fat
        assert fat is not None
        try:
            for slot in fat.rest_of_deleted_folder(folder.inode):
                if slot.address in self._deleted_seen or slot.address in self._folders_seen:
                    continue
                with evidence_faults(
                    "walk", "metadata-unreadable", "an entry of this deleted folder could not be read"
                ):
                    self._steps.at(Step.RECORD, self._index, slot.address)
                    file = self._system.fs.open_meta(slot.address)
                    meta = file.info.meta
                listed = Listed(slot.name, slot.address, 0, NAME_UNKNOWN, file, meta)
                name = judged(self._system, folder, listed, deleted=True, begins=self._begins)
                yield from self._entries(name, folder, inside)
        except EvidenceError as error:
            severity = Severity.PROBLEM if isinstance(error, LeftOut) else Severity.NOTE
            yield self._problem(error.code, error.detail, severity, folder.path)

    def _name(self, file: pytsk3.File, folder: Folder) -> Name | None:
        """One listed name judged; None for those that are not part of the evidence's own tree."""
        info = file.info
        name = info.name
        raw = name.name
        if raw in (b".", b".."):
            return None
        kind = int(name.type)
        if kind == _NAME_VIRTUAL:
            return None
        inode = int(name.meta_addr)
        if kind == _NAME_ORPHANS:
            self._orphans = [Folder(inode, b"/" + raw, "/" + display_name(raw), State.ORPHAN, 1, in_use=False)]
            return None
        deleted = bool(int(name.flags) & _UNALLOCATED)
        if deleted and folder.state is State.ORPHAN and not folder.in_use:
            if inode in self._deleted_seen:
                return None
            if self._system.fat is not None and not self._system.fat.is_file_entry(inode):
                self._skipped[_LOOK_ALIKE] += 1
                return None
        listed = Listed(raw, inode, int(name.meta_seq), kind, file, info.meta)
        return judged(self._system, folder, listed, deleted=deleted, begins=self._begins)

    # ------------------------------------------------------------ entries

    def _entries(self, name: Name, folder: Folder, inside: list[Folder]) -> Iterator[FileEntry | Problem]:
        if name.loss is not None:
            if name.is_folder and not name.in_use and name.loss[0] not in LEFT_OUT:
                self._skipped[_LOST_FOLDER] += 1
                return
            code, detail, severity = name.loss
            entry = self._entry(name, None, FileTimes(), (self._problem(code, detail, severity, name.path),))
            if self._shared is None or not self._is_unchanged(entry, None):
                yield entry
            return
        meta = name.meta
        assert meta is not None
        if name.in_use:
            self._met.add(name.inode)
            if self._system.fat is not None:
                self._owner(name.inode)
        else:
            self._deleted_seen.add(name.inode)
        if name.is_folder:
            if self._is_ntfs:
                yield from self._streams(name, meta, folder_streams=True)
            yield from self._enter(name, folder, inside)
            return
        kind = int(meta.type)
        if kind == _TYPE_REG or (kind == _TYPE_UNKNOWN and not name.in_use):
            yield from self._streams(name, meta, folder_streams=False)
        elif self._is_ext and name.in_use and (kind == _TYPE_UNKNOWN or name.kind in (_NAME_FILE, NAME_DIR)):
            loss = lost("its record is not that of a file or folder, as its folder says", in_use=True)
            code, detail, severity = loss
            yield self._entry(name, None, FileTimes(), (self._problem(code, detail, severity, name.path),))
        else:
            self._skipped[_LINK if kind == _TYPE_LINK else _SPECIAL] += 1

    def _owner(self, inode: int) -> None:
        """Remember where a living file or folder of FAT has its clusters."""
        assert self._system.fat is not None
        try:
            self._owners.extend(self._system.fat.owned_from(inode))
        except EvidenceError:
            return  # its entry could be read a moment before; what it has is told as nobody's

    def _enter(self, name: Name, folder: Folder, inside: list[Folder]) -> Iterator[Problem]:
        """Add a sub-folder to the walk, unless it was met before or lies too deep."""
        if name.inode in self._folders_seen:
            detail = "this folder was already listed under another path; it was not listed twice"
            yield self._problem("folder-seen-before", detail, Severity.NOTE, name.path)
        elif folder.depth >= _MAX_DEPTH:
            detail = f"folders deeper than {_MAX_DEPTH} levels were not followed"
            yield self._problem("folder-too-deep", detail, Severity.PROBLEM, name.path)
        else:
            self._folders_seen.add(name.inode)
            inside.append(Folder(name.inode, name.raw, name.path, name.state, folder.depth + 1, name.in_use))

    def _streams(self, name: Name, meta: pytsk3.TSK_FS_META, *, folder_streams: bool) -> Iterator[FileEntry | Problem]:
        """One entry for each data stream of a file (or of a folder: only its named ones)."""
        times = file_times(self._system, name.inode, meta)
        deleted = not name.in_use
        try:
            with evidence_faults("walk", "metadata-unreadable", "where this file's content lies could not be read"):
                self._steps.at(Step.STREAMS, self._index, name.inode)
                wanted = self._slack is not None
                streams = streams_of(
                    self._system, name.inode, name.file, meta, deleted=deleted, slack=wanted, valid=self._valid
                )
        except EvidenceError as error:
            code, detail, severity = lost(error.detail, in_use=name.in_use)
            if isinstance(error, LeftOut):
                code, detail, severity = error.code, error.detail, Severity.PROBLEM
                if folder_streams:
                    yield self._problem(code, detail, severity, name.path)
            if not folder_streams:
                yield self._entry(name, None, times, (self._problem(code, detail, severity, name.path),))
            return
        if folder_streams:
            streams = [stream for stream in streams if stream.name]
        elif not streams:
            detail = "its record names no content"
            # NTFS keeps records 16 to 23 for itself, and its indexes ($ObjId, $Quota ...) have no data
            own = self._is_ntfs and (name.inode < _FIRST_NTFS_FILE or name.path.startswith("/$Extend/"))
            if not own:
                problem = self._problem("content-not-recoverable", detail, Severity.NOTE, name.path)
                yield self._entry(name, None, times, (problem,))
            return
        if self._system.copied is not None and name.raw.lower().endswith(STORE_NAME):
            detail = "the store of shadow copies, seen from one of them; what it holds is what differs between them"
            remark = ("pseudo-stream", detail, Severity.NOTE, False)
            streams = [replace(stream, remark=remark) for stream in streams]
        for stream in streams:
            entry = self._entry(name, self._readable_in_time(stream), times, ())
            if stream.slack and self._slack is not None:
                self._slack.add(entry.path, entry.raw_path, stream.slack)
            if self._shared is None or not self._is_unchanged(entry, name.file):
                yield entry

    def _is_unchanged(self, entry: FileEntry, file: pytsk3.File | None) -> bool:
        """Whether a stream of a shadow copy stands in the living volume already: it is counted and gets no number.

        Of the living volume itself every stream is remembered.
        """
        shared, copied = self._shared, self._system.copied
        assert shared is not None
        try:
            if copied is None:
                shared.add(entry, file)
                return False
            same = shared.holds(entry, file, copied, self._system.block_size)
        except LIBRARY_ERRORS:
            return False  # what cannot be compared is listed
        if same:
            self.number = entry.number
            self._unchanged += 1
        return same

    def _readable_in_time(self, stream: Stream) -> Stream:
        """The stream; one that claims more than its volume holds is marked: it could keep a scan busy for years."""
        if stream.size < 0:  # the library reads the size of a damaged record as a signed number
            detail = "its record claims a size that no file can have, so it is damaged; it was not read"
            return replace(stream, remark=("metadata-unreadable", detail, Severity.PROBLEM, False))
        if stream.remark is not None or stream.size <= self._system.capacity:
            return stream
        detail = "this file claims to be larger than its whole volume, so most of it is a hole; it was not read"
        return replace(stream, remark=("larger-than-volume", detail, Severity.PROBLEM, False))

    def _entry(self, name: Name, stream: Stream | None, times: FileTimes, problems: tuple[Problem, ...]) -> FileEntry:
        raw, path, label = name.raw, name.path, ""
        if stream is not None and stream.name:
            label = display_name(stream.name)
            raw, path = raw + b":" + stream.name, f"{path}:{label}"
        readable = stream is not None
        if stream is not None and (stream.remark is not None or not name.in_use):
            remark = stream.remark
            if remark is None and self._is_ext and stream.size == 0:
                remark = (
                    "content-not-recoverable",
                    "ext wipes where a deleted file's content was",
                    Severity.NOTE,
                    False,
                )
            if remark is None and self._clusters is not None:
                remark = self._clusters.reuse_of(stream)
            if remark is not None:
                code, detail, severity, readable = remark
                problems = (*problems, self._problem(code, detail, severity, path))
        if name.in_use and name.state is State.ORPHAN:
            detail = "no folder names this file, and its file system has it in use: it is not deleted"
            problems = (*problems, self._problem(IN_USE_CODE, detail, Severity.NOTE, path))
        number = self.number
        self.number = number + 1
        has_size = stream is not None and stream.size >= 0 and not (self._is_ext and not readable)
        return FileEntry(
            self._exhibit,
            self._source,
            self._volume,
            number,
            path,
            raw,
            name.state,
            stream.size if stream is not None and has_size else None,
            times,
            name.inode or (0 if readable else None),
            label,
            stream.physical_offset if stream is not None else None,
            (self._index, name.inode, stream.kind, stream.identifier) if stream is not None else (),
            readable,
            problems,
        )

    def _problem(self, code: str, detail: str, severity: Severity, path: str) -> Problem:
        return Problem("walk", code, detail, severity, self._exhibit, self._source, self._volume, path)

    def _summary(self) -> Iterator[Problem]:
        if self._unchanged:
            detail = (
                f"files of this shadow copy that the living volume still has, unchanged, and lists: {self._unchanged}"
            )
            yield self._problem("unchanged-since-snapshot", detail, Severity.NOTE, "")
        for (code, what), count in sorted(self._skipped.items()):
            yield self._problem(code, f"{what}: {count}", Severity.NOTE, "")
