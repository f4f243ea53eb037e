"""Small pictures of items: the evidence is read again where it was, a confined worker decodes, pixels come back.

Nothing of them is stored; the last ones are kept in memory. All of it is done by one thread of its own, because Linux
ends a worker, and the process that holds a source, with the thread that started it.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import TypeVar

from caid_triage.case.rows import SourceRow
from caid_triage.evidence.secrets import NO_SECRETS, Secrets
from caid_triage.model import ScanRecord
from caid_triage.review.items import Placeholder
from caid_triage.review.png import png_of
from caid_triage.scan.look import LOOK_SECONDS, Looker, Pixels
from caid_triage.scan.reopened import ReopenedSources

MOST_KEPT_BYTES = 48 << 20
SIDES = (64, 128, 160, 256, 320, 512)  # what the page asks for is among them: no picture is larger than was asked
T = TypeVar("T")

# What a picture is made of: the files that have the content, each as (source id, outermost record).
Occurrences = Callable[[], Sequence[tuple[int, ScanRecord]]]


class SmallPictures:
    """Makes small pictures, one after the other, and keeps the last ones. Safe for several threads; to be closed."""

    def __init__(
        self,
        sources: Callable[[], list[SourceRow]],
        profile: str = "standard",
        secrets: Secrets = NO_SECRETS,
        seconds: float = LOOK_SECONDS,
        most_kept: int = MOST_KEPT_BYTES,
    ) -> None:
        """``sources`` gives those of the case as it is then; ``secrets`` unlock what was unlocked in the scan.

        One picture may take ``seconds``.
        """
        self._sources = ReopenedSources(sources, profile, secrets)
        self._looker = Looker(seconds=seconds)
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="small-pictures")
        self._kept: OrderedDict[tuple[bytes, int], Pixels | Placeholder] = OrderedDict()
        self._bytes = 0
        self._forgotten = 0  # how often: what was asked for before is not kept
        self._most_kept = most_kept
        self._lock = threading.Lock()

    def picture(self, sha256: bytes, side: int, occurrences: Occurrences, *, grey: bool) -> bytes | Placeholder:
        """The PNG of a content, at most ``side`` pixels high and wide, of the first file with it that can be read."""
        side = next((one for one in reversed(SIDES) if one <= side), SIDES[0])
        found, asked = self._known((sha256, side)), self._forgotten
        if found is None:
            found = self._in_thread(lambda: self._made(sha256, side, occurrences, asked))
        return found if isinstance(found, Placeholder) else png_of(found, grey=grey)

    def _in_thread(self, work: Callable[[], T]) -> T:
        return self._thread.submit(work).result()

    def _made(self, sha256: bytes, side: int, occurrences: Occurrences, asked: int) -> Pixels | Placeholder:
        """A picture that was not kept, in the thread of this; a content asked for twice is made once."""
        key = sha256, side
        known = self._known(key)
        if known is not None:
            return known
        reason = "no file of the case has this content any more"
        for source_id, record in occurrences():
            source = self._sources.source(source_id)
            if isinstance(source, str):
                reason = source
                continue
            found = self._looker.picture(source, record, sha256, side)
            if isinstance(found, Pixels):
                self._keep(key, found, asked)
                return found
            reason = found
        placeholder = Placeholder(reason)
        self._keep(key, placeholder, asked)
        return placeholder

    def _known(self, key: tuple[bytes, int]) -> Pixels | Placeholder | None:
        with self._lock:
            if key in self._kept:
                self._kept.move_to_end(key)
            return self._kept.get(key)

    def _keep(self, key: tuple[bytes, int], found: Pixels | Placeholder, asked: int) -> None:
        with self._lock:
            if asked != self._forgotten:
                return
            self._kept[key] = found
            self._bytes += _size(found)
            while self._bytes > self._most_kept and len(self._kept) > 1:
                self._bytes -= _size(self._kept.popitem(last=False)[1])

    def forget(self) -> None:
        """Keep no picture any more, nor one that is being made; look for the evidence again when it is next asked for.

        Waits for no decoder: whoever hides everything goes on at once.
        """
        with self._lock:
            self._kept.clear()
            self._bytes = 0
            self._forgotten += 1
        with suppress(RuntimeError):  # it is closed
            self._thread.submit(self._sources.close)

    def close(self) -> None:
        """End the worker and let go of the evidence. May be called twice."""
        try:
            self._thread.submit(self._end)
        except RuntimeError:
            return
        self._thread.shutdown()

    def _end(self) -> None:
        self._looker.close()
        self._sources.close()


def _size(found: Pixels | Placeholder) -> int:
    return 256 + (len(found.data) if isinstance(found, Pixels) else len(found.reason))
