"""What the digests of a content answer already, before it is decoded: known to be harmless, or examined before.

A worker that holds a picture, a film or a container says its digests and waits for one word (scan/protocol.py). The
executors ask here, from any thread; only the coordinator has hash sets and earlier examinations. Rules and reasons:
docs/decisions/0046.

What one content is examined to depends on its bytes and on the size that its file system states (examine/examine.py),
and of some containers on a file beside it, or on the day a worker had: an examination that asked for such a file, or
that has a Problem, is not used again. So reports do not depend on what was used again (tests/laws/test_answers.py).
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from caid_triage.config import ScanOptions
from caid_triage.examine.embedded.walk import Found
from caid_triage.model import Digests, Examination, FileEntry, Kind, Problem, Role, Severity
from caid_triage.scan import protocol
from caid_triage.scan.inside import found_from_plain, found_to_plain
from caid_triage.scan.protocol import Answer

if TYPE_CHECKING:
    from caid_triage.hashset.store import HashSet

# Of one content: a picture takes some kilobytes, a film with all its frames and an archive of hundreds of files more.
MOST_KEPT_OF_ONE = 1 << 20
# About what the keys and the objects of one examination take beside its bytes.
OVERHEAD = 400


@dataclass(frozen=True, slots=True)
class Kept:
    """An examination as the worker said it: the payloads of its FOUNDs and of EXAMINED, some kilobytes a picture."""

    inside: tuple[bytes, ...]
    examination: bytes

    @property
    def size(self) -> int:
        """How much memory it takes, in bytes."""
        return OVERHEAD + sum(map(len, self.inside)) + len(self.examination)

    def found_inside(self) -> list[Found]:
        """The files inside, in their order."""
        return [found_from_plain(protocol.from_json(payload)) for payload in self.inside]

    def examined(self, digests: Digests) -> Examination:
        """The examination of the content itself, which has these digests."""
        return protocol.examination_from_plain(protocol.from_json(self.examination), digests)


@dataclass(slots=True)
class Notes:
    """What is noted of an examination while it is made; ``usable`` until something in it may come out otherwise."""

    usable: bool = True
    _inside: list[bytes] = field(default_factory=list)
    _size: int = 0

    def found(self, found: Found, payload: bytes | None = None) -> None:
        """Note a file inside; ``payload`` is how a worker said it."""
        self._takes(found.problems + found.examination.problems)
        if self.usable:
            said = payload or protocol.to_json(found_to_plain(found))
            self._size += len(said)
            self.usable = self._size <= MOST_KEPT_OF_ONE
            self._inside.append(said)

    def examined(self, examination: Examination, payload: bytes | None = None) -> Kept | None:
        """What can be used again; None where that is nothing."""
        self._takes(examination.problems)
        said = payload or protocol.to_json(protocol.examination_to_plain(examination))
        kept = Kept(tuple(self._inside), said)
        return kept if self.usable and kept.size <= MOST_KEPT_OF_ONE else None

    def _takes(self, problems: Sequence[Problem]) -> None:
        """A decoder that failed, died or ran out of memory may not do so the next time."""
        self.usable = self.usable and all(problem.severity is Severity.NOTE for problem in problems)


class Answers:
    """The answers of one scan, over all of its sources; ``copied`` counts the files whose examination was used again.

    What is kept of examinations takes at most ``kept_bytes`` of memory: what was not met for the longest time goes.
    """

    def __init__(self, hashsets: Sequence[HashSet], options: ScanOptions) -> None:
        """``hashsets`` are those of the case, notable ones too."""
        self._hashsets = hashsets
        self._by_sets = not options.decode_known_good and any(one.role is Role.KNOWN_GOOD for one in hashsets)
        self._most = options.kept_bytes
        self._kept: OrderedDict[tuple[bytes, int | None], Kept] = OrderedDict()
        self._size = 0
        self._lock = threading.Lock()
        self.copied = 0

    @property
    def may_help(self) -> bool:
        """Whether there is anything to ask at all."""
        return self._by_sets or self._most > 0

    def of(self, entry: FileEntry, digests: Digests, *, fresh: bool = True) -> tuple[Answer, Kept | None]:
        """The answer for a file, and its examination where that is known.

        ``fresh`` is false for a further attempt at a file of which something was given on already.
        """
        if self._by_sets and self._is_known_good(digests):
            return Answer.KNOWN_GOOD, None
        with self._lock:
            key = digests.sha256, entry.size
            kept = self._kept.get(key) if fresh else None
            if kept is None:
                return Answer.GO_ON, None
            self._kept.move_to_end(key)
            self.copied += 1
            return Answer.EXAMINED, kept

    def keep(self, entry: FileEntry, digests: Digests, kept: Kept | None) -> None:
        """Keep an examination (None: there is nothing to keep) for the next file of that content."""
        if kept is None or kept.size > self._most:
            return
        with self._lock:
            key = digests.sha256, entry.size
            if key in self._kept:  # two were under way at once
                return
            self._kept[key] = kept
            self._size += kept.size
            while self._size > self._most:
                _, gone = self._kept.popitem(last=False)
                self._size -= gone.size

    def leaves_undecoded(self, examination: Examination) -> bool:
        """Whether a content that was decoded without asking, on a worker that has no set, would not have been."""
        digests = examination.digests
        if not self._by_sets or digests is None or examination.kind is Kind.OTHER:
            return False
        return self._is_known_good(digests)

    def _is_known_good(self, digests: Digests) -> bool:
        from caid_triage.match.known_good import is_known_good  # noqa: PLC0415 - a scan without such sets needs none

        return is_known_good(digests, self._hashsets)
