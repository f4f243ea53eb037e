"""VDI (VirtualBox), dynamic and fixed: header and block map, read here.

Format: VirtualBox source, VDICore.h (version 1.1), all little-endian: magic at 64, version 68, header size 72, image
type 76 (1 dynamic, 2 fixed, 3 undo, 4 differencing), offset of the block map 340, of the data 344, bytes of the
disk 368 (u64), bytes of a block 376, extra bytes before each block 380, number of blocks 384, own UUID 392, parent's
UUID 440. A block map entry (u32) is the number of the block in the file; two values mean: no block, it is zeros.
"""

from __future__ import annotations

import struct
import uuid
from collections.abc import Sequence
from contextlib import ExitStack
from io import RawIOBase
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from caid_triage.evidence.containers.blocks import behind_end, table_at
from caid_triage.evidence.containers.libyal import open_file
from caid_triage.evidence.containers.reader import (
    CONVERT_QEMU,
    OpenContainer,
    Range,
    damaged,
    missing_blocks,
    refused,
)
from caid_triage.evidence.faults import LIBRARY_ERRORS

MAGIC = b"\x7f\x10\xda\xbe"
_NO_BLOCK = 0xFFFFFFFE  # this and the next mean that there is no block: free, and zeros


def is_vdi(head: bytes, _tail: bytes) -> bool:
    """Whether a file begins as a VDI."""
    return head[64:68] == MAGIC


def open_vdi(path: Path) -> OpenContainer:
    """Open a VDI. Errors: SourceError, also for a differencing one, which cannot be told its parent."""
    with ExitStack() as undo:
        file = undo.enter_context(open_file(path))
        try:
            header = file.read(512) or b""
            if len(header) < 512:
                raise damaged(path, "VDI", "it is cut off within its header")
            version, kind = struct.unpack_from("<I4xI", header, 68)
            map_at, data_at = struct.unpack_from("<II", header, 340)
            size, block, extra, count = struct.unpack_from("<QIII", header, 368)
            if version >> 16 != 1:
                raise refused(path, f"VDI of version {version >> 16}", CONVERT_QEMU)
            if kind not in (1, 2):
                raise refused(path, "VDI that builds on another disk", "scan it with that disk as one: " + CONVERT_QEMU)
            if block < 512 or block & (block - 1) or not size or count != -(-size // block):
                raise damaged(path, "VDI", "its header contradicts itself")
            blocks = table_at(file, map_at, count, "<u4")
            if len(blocks) != count:
                raise damaged(path, "VDI", "it is cut off within its block map")
            reader = VdiReader(file, size, block, extra, data_at, blocks)
        except LIBRARY_ERRORS as error:
            raise damaged(path, "VDI", error) from error
        undo.pop_all()
    facts = {"identifier": str(uuid.UUID(bytes_le=header[392:408]))}
    comment = header[84:340].partition(b"\0")[0].decode("utf-8", "replace").strip()
    if comment:
        facts["notes"] = comment
    return OpenContainer("vdi", reader, (path,), facts, missing_blocks(reader.unreadable(), size))


class VdiReader:
    """The disk inside a VDI."""

    def __init__(
        self, file: RawIOBase, size: int, block: int, extra: int, data_at: int, blocks: NDArray[np.uint64]
    ) -> None:
        self._file = file
        self._block = block
        self._blocks = blocks
        self._places = np.uint64(data_at + extra) + blocks * np.uint64(block + extra)
        self.size = size

    def read(self, offset: int, length: int) -> bytes:
        """The bytes at ``offset``; zeros where the block map says that there is no block."""
        pieces = []
        while length > 0:
            number, start = divmod(offset, self._block)
            wanted = min(length, self._block - start)
            if self._blocks[number] >= _NO_BLOCK:
                pieces.append(bytes(wanted))
            else:
                self._file.seek(int(self._places[number]) + start)
                piece = self._file.read(wanted) or b""
                pieces.append(piece)
                if len(piece) < wanted:
                    break
            offset += wanted
            length -= wanted
        return b"".join(pieces)

    def unreadable(self) -> Sequence[Range]:
        """The blocks that should lie behind the end of the file."""
        lengths = np.full(len(self._blocks), self._block, np.uint64)
        lengths[-1] = self.size - (len(lengths) - 1) * self._block  # a last block may be kept short
        lengths[self._blocks >= _NO_BLOCK] = 0
        return behind_end(self._places, lengths, self._file.seek(0, 2), self._block)

    def close(self) -> None:
        """Close the file."""
        self._file.close()
