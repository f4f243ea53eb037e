"""Apple disk images: DMG (UDIF) and sparse images through libmodi, sparse bundles read here.

Formats: libyal, "Mac OS disk image types" (UDIF trailer of 512 bytes "koly" at the end; sparse image "sprs" at the
start); a sparse bundle is a folder with Info.plist (size, band-size) and bands/, each band a file named by its
number in hex; a band that is not there, or ends early, is zeros.
"""

from __future__ import annotations

import plistlib
import struct
from collections import OrderedDict
from collections.abc import Sequence
from contextlib import ExitStack
from io import RawIOBase
from pathlib import Path
from xml.parsers.expat import ExpatError

import pymodi

from caid_triage.evidence.containers.libyal import LibyalReader, close_all, open_file
from caid_triage.evidence.containers.reader import OpenContainer, Range, damaged, refused
from caid_triage.evidence.faults import LIBRARY_ERRORS

_CONVERT = "convert it on a Mac with 'hdiutil convert {name} -format UDTO -o disk' and scan disk.cdr"
_DECRYPT = "open it on a Mac with its password ('hdiutil convert {name} -format UDTO -o disk') and scan disk.cdr"
_ENCRYPTED = (b"encrcdsa", b"cdsaencr")
_KEEP_FILES = 32
_LONGEST_PLIST = 1 << 20
_LONGEST_TABLES = 64 << 20
_LZMA = 0x80000008
_NOT_A_PLIST = (ValueError, KeyError, TypeError, AttributeError, IndexError, ExpatError, plistlib.InvalidFileException)


def is_dmg(head: bytes, tail: bytes) -> bool:
    """Whether a file ends with the trailer of a UDIF image, or is an encrypted one."""
    return tail[-512:].startswith(b"koly") or head.startswith(_ENCRYPTED) or tail.endswith(_ENCRYPTED)


def is_sparse_image(head: bytes, _tail: bytes) -> bool:
    """Whether a file begins as a sparse image."""
    return head.startswith(b"sprs")


def open_dmg(path: Path) -> OpenContainer:
    """Open a DMG of one file. Errors: SourceError."""
    with ExitStack() as undo:
        file = undo.enter_context(open_file(path))
        try:
            head = file.read(8) or b""
            file.seek(-512, 2)
            trailer = file.read(512) or b""
            if head in _ENCRYPTED or trailer.endswith(_ENCRYPTED):
                raise refused(path, "DMG (Apple) disk image that is encrypted", _DECRYPT)
            (parts,) = struct.unpack_from(">I", trailer, 60)
            if parts > 1:
                raise refused(path, f"DMG (Apple) disk image in {parts} files", _CONVERT)
            if _LZMA in _codecs_of(file, trailer):
                raise refused(path, "DMG (Apple) disk image compressed with LZMA, which cannot be read", _CONVERT)
        except OSError as error:
            raise damaged(path, "DMG (Apple) disk image", error) from error
        undo.pop_all()
    return _through_libmodi(path, file, "DMG (Apple) disk image", "dmg")


def _codecs_of(file: RawIOBase, trailer: bytes) -> set[int]:
    """The kinds of runs that the tables of a UDIF image have; none where these cannot be read."""
    offset, length = struct.unpack_from(">QQ", trailer, 216)
    size = file.seek(0, 2)
    if offset + length > size or length > _LONGEST_TABLES:
        return set()
    file.seek(offset)
    try:
        tables = plistlib.loads(file.read(length) or b"")["resource-fork"]["blkx"]
        runs = [table["Data"][204:] for table in tables]
        return {kind for data in runs for (kind,) in struct.iter_unpack(">I36x", data[: len(data) // 40 * 40])}
    except _NOT_A_PLIST:
        return set()


def open_sparse_image(path: Path) -> OpenContainer:
    """Open a sparse image of one file. Errors: SourceError."""
    return _through_libmodi(path, open_file(path), "sparse image (Apple)", "sparseimage")


def _through_libmodi(path: Path, file: RawIOBase, what: str, kind: str) -> OpenContainer:
    handle = pymodi.handle()
    try:
        handle.open_file_object(file)
        reader = LibyalReader(handle, [file])
    except LIBRARY_ERRORS as error:
        close_all(handle, [file])
        if "unsupported" in str(error):
            raise refused(path, f"{what} of a kind that cannot be read ({_last(error)})", _CONVERT) from error
        raise damaged(path, what, error) from error
    if reader.size <= 0:
        reader.close()
        raise damaged(path, what, "it holds no disk")
    return OpenContainer(kind, reader, (path,))


def _last(error: BaseException) -> str:
    return next((part.strip(" .") for part in str(error).split(": ") if "unsupported" in part), "unsupported")


def open_sparse_bundle(path: Path) -> OpenContainer:
    """Open a sparse bundle. Errors: SourceError."""
    what = "sparse bundle (Apple)"
    try:
        with (path / "Info.plist").open("rb") as file:
            facts = plistlib.loads(file.read(_LONGEST_PLIST))
        size, band = facts["size"], facts["band-size"]
        kind = facts.get("diskimage-bundle-type", "")
        token = (path / "token").read_bytes()[:8] if (path / "token").is_file() else b""
        bands = sorted((path / "bands").iterdir())
    except (OSError, *_NOT_A_PLIST) as error:
        raise damaged(path, what, f"its Info.plist cannot be read ({type(error).__name__})") from error
    if kind != "com.apple.diskimage.sparsebundle" or not isinstance(size, int) or not isinstance(band, int):
        raise damaged(path, what, "its Info.plist is not that of a sparse bundle")
    if not 0 < size < 1 << 63 or not 512 <= band <= 1 << 40:
        raise damaged(path, what, "its sizes contradict each other")
    if token.startswith(_ENCRYPTED):
        raise refused(path, "sparse bundle (Apple) that is encrypted", _DECRYPT)
    reader = BundleReader(path / "bands", size, band)
    return OpenContainer("sparsebundle", reader, (path / "Info.plist", *bands))


class BundleReader:
    """The disk inside a sparse bundle."""

    def __init__(self, folder: Path, size: int, band: int) -> None:
        self._folder = folder
        self._band = band
        self._files: OrderedDict[int, RawIOBase | None] = OrderedDict()
        self.size = size

    def read(self, offset: int, length: int) -> bytes:
        """The bytes at ``offset``; zeros where the bundle keeps no band, or a short one."""
        pieces = []
        while length > 0:
            number, start = divmod(offset, self._band)
            wanted = min(length, self._band - start)
            file = self._file(number)
            data = b""
            if file is not None:
                file.seek(start)
                data = file.read(wanted) or b""
            pieces.append(data.ljust(wanted, b"\0"))
            offset += wanted
            length -= wanted
        return b"".join(pieces)

    def _file(self, number: int) -> RawIOBase | None:
        if number in self._files:
            self._files.move_to_end(number)
            return self._files[number]
        try:
            file = open_file(self._folder / f"{number:x}")
        except FileNotFoundError:
            file = None
        self._files[number] = file
        if len(self._files) > _KEEP_FILES:
            old = self._files.popitem(last=False)[1]
            if old is not None:
                old.close()
        return file

    def unreadable(self) -> Sequence[Range]:
        """Nothing: what is not there is zeros."""
        return ()

    def close(self) -> None:
        """Close every band."""
        while self._files:
            file = self._files.popitem()[1]
            if file is not None:
                file.close()
