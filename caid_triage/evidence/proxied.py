"""A disk that Python reads for Sleuth Kit, so that a hole in it costs no more than the files that lie in it.

Sleuth Kit asks for 64 KiB to fill a block of its cache even when it needs a few bytes of them; where that fails it
asks again for those alone. But pytsk3 keeps the exception of the first attempt and raises it after the second one
succeeded: one damaged sector lost every file within 64 KiB, or the whole file system. An attempt that gives no bytes
leaves no exception and is followed by the second one just as well. So a fault of a read that may be such an attempt
is answered with nothing; any other read raises, the second attempt above all: what fails there is content, and where
its length is no multiple of a sector, Sleuth Kit takes nothing for that many zeros (tsk_img_read_no_cache). What is not
read by Sleuth Kit is read with ``read_range``, which always raises.
"""

from __future__ import annotations

import pytsk3

from caid_triage.evidence.faults import LIBRARY_ERRORS

_FILL = 65536
_SMALL = 4096
_SECTOR = 512


class ProxiedImage(pytsk3.Img_Info):  # type: ignore[misc]  # pytsk3 has no types
    """Base of every Img_Info of ours: give ``get_size``, ``exact`` and ``close``."""

    def __init__(self) -> None:
        self._attempted = False  # the last read was a first attempt, and failed
        super().__init__(url="", type=pytsk3.TSK_IMG_TYPE_EXTERNAL)

    def exact(self, offset: int, size: int) -> bytes:
        """The bytes at ``offset``; shorter only at the end of the disk. OSError when any of them cannot be had."""
        raise NotImplementedError

    def read(self, offset: int, size: int) -> bytes:
        """What Sleuth Kit calls: the bytes, or nothing where a whole block for its cache cannot be had."""
        second, self._attempted = self._attempted, False
        try:
            return self.exact(offset, size)
        except OSError:
            if second or not self._fills_cache(offset, size):
                raise
            self._attempted = True
            return b""

    def _fills_cache(self, offset: int, size: int) -> bool:
        """Whether a read has the form of a first attempt: a block from the start of a sector, cut at the disk's end.

        One that ends in the middle of a sector would be taken for zeros too.
        """
        if offset % _SECTOR or size % _SECTOR:
            return False
        return size == _FILL or (size < _FILL and offset + size == self.get_size())


def read_range(image: pytsk3.Img_Info, offset: int, size: int) -> bytes:
    """Bytes of a disk, shorter only at its end; raises as pytsk3 does when any of them cannot be had."""
    data: bytes = image.exact(offset, size) if isinstance(image, ProxiedImage) else image.read(offset, size)
    return data


def read_head(image: pytsk3.Img_Info, offset: int, size: int) -> bytes:
    """The start of a volume, to recognise it by: zeros stand where it cannot be read, but not in its first 4 KiB.

    Only marks at known places are looked for in it; nothing of it is content. Raises as pytsk3 does.
    """
    try:
        return read_range(image, offset, size)
    except LIBRARY_ERRORS:
        head = read_range(image, offset, min(_SMALL, size))
    for start in range(_SMALL, size, _SMALL):
        length = min(_SMALL, size - start)
        try:
            head += read_range(image, offset + start, length)
        except LIBRARY_ERRORS:
            head += bytes(length)
    return head
