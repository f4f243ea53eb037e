"""A content as a file object for libraries that read containers: read, seek and tell, nothing else."""

from __future__ import annotations

import io
import os
from collections.abc import Iterator

from caid_triage.errors import EvidenceError
from caid_triage.examine.video_bytes import VideoBytes


class Content(io.RawIOBase):
    """A read-only file over the bytes of a content, in memory or asked for again.

    ``size`` is its length in bytes. Where the bytes behind it cannot be read any more it seems to end;
    :attr:`fault` then says so.
    """

    def __init__(self, file: VideoBytes) -> None:
        super().__init__()
        self.size = file.size
        self._file = file
        file.seek(0)

    @property
    def fault(self) -> str:
        """Why the content could not be read to its end ("": it could)."""
        if self._file.fault is not None:
            return self._file.fault.detail
        return "more of it would have to be read again than is allowed" if self._file.spent else ""

    def beside(self, name: str) -> Content | None:
        """The content of a file in the same folder, by one of the names that the coordinator answers to; None without.

        What lies inside another file has nothing beside it.
        """
        if self._file.beside is None:
            return None
        try:
            return Content(self._file.beside(name))
        except EvidenceError:
            return None

    def readable(self) -> bool:
        """Always."""
        return True

    def seekable(self) -> bool:
        """Always."""
        return True

    def readinto(self, buffer: memoryview | bytearray) -> int:  # type: ignore[override]
        """Fill a buffer from where the last read ended; how many bytes that were."""
        piece = self._file.read(len(buffer))
        buffer[: len(piece)] = piece
        return len(piece)

    def read(self, size: int = -1) -> bytes:
        """Up to ``size`` bytes from where the last read ended."""
        return self._file.read(-1 if size is None else size)

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        """Go to a place."""
        return self._file.seek(offset, whence)

    def tell(self) -> int:
        """Where the next read begins."""
        return self._file.tell()

    def at(self, offset: int, length: int) -> bytes:
        """Up to ``length`` bytes from ``offset``; none before the beginning, where a damaged directory may point."""
        if offset < 0:  # seek would go to 0, and pieces give the beginning again and again
            return b""
        self.seek(offset)
        return self.read(length)

    def pieces(self, offset: int, length: int, piece: int = 1 << 16) -> Iterator[bytes]:
        """The bytes from ``offset``, at most ``length``, in pieces; other reads may come between them."""
        end = min(self.size, offset + length)
        while offset < end:
            found = self.at(offset, min(piece, end - offset))
            if not found:
                return
            yield found
            offset += len(found)
