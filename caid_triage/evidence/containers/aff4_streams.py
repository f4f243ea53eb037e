"""The streams of an AFF4 container: image streams of compressed chunks, and symbolic ones that keep nothing.

Format: AFF4 Standard v1.0a. An image stream is cut into bevies (ZIP members 00000000, 00000001 ...) of
``chunksInSegment`` chunks; the member ``.index`` has 12 bytes a chunk: place in the bevy u64, length u32. A chunk as
long as ``chunkSize`` is not compressed. ``.blockHash.md5`` and the like hold a hash a chunk, which is checked.
"""

from __future__ import annotations

import hashlib
import re
import struct
import zipfile
import zlib
from collections import OrderedDict
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

from caid_triage.evidence.containers.libyal import open_file
from caid_triage.evidence.containers.snappy import decode_snappy

AFF4 = "http://aff4.org/Schema#"
_KEEP_BYTES = 4 << 20
_KEEP_BEVIES = 16
_MOST_CHUNK = 64 << 20
_LONGEST_INDEX = 64 << 20
_SYMBOLIC = re.compile(re.escape(AFF4) + r"(Zero|UnknownData|UnreadableData|SymbolicStream([0-9A-Fa-f]{2}))")


class Members:
    """The members of the ZIP. Errors on construction: OSError, zipfile.BadZipFile."""

    def __init__(self, path: Path) -> None:
        with ExitStack() as undo:
            self._file = undo.enter_context(open_file(path))
            self._zip = zipfile.ZipFile(path)
            undo.pop_all()
        self._size = self._file.seek(0, 2)
        self._places: OrderedDict[str, tuple[int, int]] = OrderedDict()
        self.volume = self._zip.comment.decode("utf-8", "replace").strip("\0 ")

    def has(self, name: str) -> bool:
        """Whether there is a member of that name."""
        return name in self._zip.NameToInfo

    def folder(self, stream: str) -> str:
        """Where the members of a stream lie: its name, without the volume's, its scheme escaped."""
        if self.volume and stream.startswith(self.volume + "/"):
            return stream[len(self.volume) + 1 :]
        return stream.replace("aff4://", "aff4%3A%2F%2F", 1)

    def whole(self, name: str, limit: int) -> bytes:
        """The content of a small member. Errors: KeyError, OSError, ValueError, zipfile.BadZipFile."""
        info = self._zip.getinfo(name)
        if info.file_size > limit:
            raise ValueError(f"its part {name} is too large")
        try:
            with self._zip.open(info) as member:
                data = member.read(limit + 1)
        except zlib.error as error:
            raise ValueError(f"its part {name} is damaged") from error
        if len(data) != info.file_size:
            raise ValueError(f"its part {name} is damaged")
        return data

    def piece(self, name: str, offset: int, length: int) -> bytes:
        """Bytes of a stored (not deflated) member. OSError when it has them not."""
        place, size = self._place(name)
        if offset + length > size:
            raise OSError(f"the image is damaged: its part {name} is too short")
        self._file.seek(place + offset)
        data = self._file.read(length) or b""
        if len(data) < length:
            raise OSError("the image ends early")
        return data

    def _place(self, name: str) -> tuple[int, int]:
        found = self._places.get(name)
        if found is not None:
            return found
        info = self._zip.NameToInfo.get(name)
        if info is None:
            raise OSError(f"the image is damaged: its part {name} is missing")
        if info.compress_type != zipfile.ZIP_STORED:
            raise OSError(f"the image is of an odd kind: its part {name} is deflated")
        self._file.seek(info.header_offset)
        header = self._file.read(30) or b""
        if len(header) < 30 or not header.startswith(b"PK\x03\x04"):
            raise OSError(f"the image is damaged: its part {name} has no header")
        names, extra = struct.unpack_from("<HH", header, 26)
        self._places[name] = info.header_offset + 30 + names + extra, info.file_size
        if len(self._places) > 4 * _KEEP_BEVIES:
            self._places.popitem(last=False)
        return info.header_offset + 30 + names + extra, info.file_size

    def close(self) -> None:
        """Close the file."""
        self._zip.close()
        self._file.close()


@dataclass(frozen=True, slots=True)
class Symbolic:
    """A stream of one byte over and over, or (``byte`` None) of bytes that nobody has."""

    name: str
    byte: int | None

    @staticmethod
    def named(uri: str) -> Symbolic | None:
        """The symbolic stream of that name, or None when it is not one."""
        match = _SYMBOLIC.fullmatch(uri)
        if match is None:
            return None
        if match[2]:
            return Symbolic(match[1], int(match[2], 16))
        return Symbolic(match[1], 0 if match[1] == "Zero" else None)

    def read(self, _offset: int, length: int) -> bytes:
        """The byte, repeated. OSError where there is none."""
        if self.byte is None:
            raise OSError("this part of the disk is not in the image")
        return bytes((self.byte,)) * length


def _zlib_decoded(data: bytes, limit: int) -> bytes:
    return _inflated(data, limit, zlib.MAX_WBITS)


def _raw_decoded(data: bytes, limit: int) -> bytes:
    return _inflated(data, limit, -zlib.MAX_WBITS)


def _inflated(data: bytes, limit: int, bits: int) -> bytes:
    inflater = zlib.decompressobj(bits)
    try:
        chunk = inflater.decompress(data, limit + 1)
    except zlib.error as error:
        raise ValueError("a deflated chunk is damaged") from error
    if not inflater.eof:  # its checksum stands at its end
        raise ValueError("a deflated chunk is damaged")
    return chunk


def _as_it_is(data: bytes, _limit: int) -> bytes:
    return data


Decode = Callable[[bytes, int], bytes]
_DECODERS: MappingProxyType[str, Decode] = MappingProxyType(
    {
        "": _as_it_is,
        AFF4 + "NullCompressor": _as_it_is,
        "http://code.google.com/p/snappy/": decode_snappy,
        "https://code.google.com/p/snappy/": decode_snappy,
        "https://github.com/google/snappy": decode_snappy,
        "https://www.ietf.org/rfc/rfc1950.txt": _zlib_decoded,
        "https://tools.ietf.org/html/rfc1950": _zlib_decoded,
        "https://www.ietf.org/rfc/rfc1951.txt": _raw_decoded,
        "https://tools.ietf.org/html/rfc1951": _raw_decoded,
    }
)


class ImageStream:
    """A stream of compressed chunks. Errors on construction: ValueError; on reading OSError, ValueError, KeyError."""

    def __init__(self, members: Members, name: str, method: str, size: int, chunk: int, chunks: int) -> None:
        if not (0 <= size < 1 << 63 and 0 < chunk <= _MOST_CHUNK and 0 < chunks <= 1 << 24):
            raise ValueError("its sizes contradict each other")
        self._members = members
        self._folder = members.folder(name)
        self._decode = _DECODERS[method]
        self._chunk = chunk
        self._chunks = chunks
        self._kept: OrderedDict[int, bytes] = OrderedDict()
        self._indexes: OrderedDict[int, tuple[bytes, str, bytes]] = OrderedDict()
        self.size = size

    @staticmethod
    def can_decode(method: str) -> bool:
        """Whether the compression is one that is known here."""
        return method in _DECODERS

    def read(self, offset: int, length: int) -> bytes:
        """The bytes at ``offset`` of the stream. OSError for a damaged chunk and behind the end."""
        if offset + length > self.size:
            raise OSError("the map of the image points behind the end of its content")
        pieces = []
        while length > 0:
            number, start = divmod(offset, self._chunk)
            piece = self._chunk_at(number)[start : start + length]
            if not piece:
                raise OSError(f"chunk {number} of the image is shorter than it should be")
            pieces.append(piece)
            offset += len(piece)
            length -= len(piece)
        return pieces[0] if len(pieces) == 1 else b"".join(pieces)

    def pieces(self) -> Iterator[bytes]:
        """The whole stream, chunk by chunk."""
        for offset in range(0, self.size, self._chunk):
            yield self.read(offset, min(self._chunk, self.size - offset))

    def _chunk_at(self, number: int) -> bytes:
        found = self._kept.get(number)
        if found is not None:
            self._kept.move_to_end(number)
            return found
        bevy, at = divmod(number, self._chunks)
        index, algorithm, hashes = self._index(bevy)
        if 12 * at + 12 > len(index):
            raise OSError(f"the image is damaged: the place of chunk {number} is missing")
        place, length = struct.unpack_from("<QI", index, 12 * at)
        if length > 2 * self._chunk + 1024:
            raise OSError(f"the image is damaged: chunk {number} is too long")
        data = self._members.piece(f"{self._folder}/{bevy:08d}", place, length)
        if length != self._chunk:
            try:
                data = self._decode(data, self._chunk)
            except ValueError as error:
                raise OSError(f"chunk {number} of the image is damaged: {error}") from error
        if len(data) > self._chunk:
            raise OSError(f"chunk {number} of the image is longer than it should be")
        if algorithm:
            width = hashlib.new(algorithm, usedforsecurity=False).digest_size
            expected = hashes[width * at : width * at + width]
            if hashlib.new(algorithm, data, usedforsecurity=False).digest() != expected:
                raise OSError(f"chunk {number} of the image is damaged: its hash is wrong")
        self._kept[number] = data
        if len(self._kept) * self._chunk > max(_KEEP_BYTES, 2 * self._chunk):
            self._kept.popitem(last=False)
        return data

    def _index(self, bevy: int) -> tuple[bytes, str, bytes]:
        """The index of a bevy, the algorithm of its chunk hashes ("" without) and these."""
        found = self._indexes.get(bevy)
        if found is not None:
            self._indexes.move_to_end(bevy)
            return found
        name = f"{self._folder}/{bevy:08d}"
        try:
            index = self._members.whole(f"{name}.index", _LONGEST_INDEX)
            algorithm = next(
                (a for a in ("md5", "sha1", "sha256", "sha512") if self._members.has(f"{name}.blockHash.{a}")), ""
            )
            hashes = self._members.whole(f"{name}.blockHash.{algorithm}", _LONGEST_INDEX) if algorithm else b""
        except (KeyError, ValueError, zipfile.BadZipFile, NotImplementedError, EOFError) as error:
            raise OSError(f"the image is damaged: the index of its part {bevy} cannot be read") from error
        self._indexes[bevy] = index, algorithm, hashes
        if len(self._indexes) > _KEEP_BEVIES:
            self._indexes.popitem(last=False)
        return index, algorithm, hashes
