"""The evidence of a stored case, opened again read-only where it was, to read single files of it.

A file is read by the locator that its record keeps, without another walk. Whoever asks compares what comes with the
digest that the case has: a source that was changed or exchanged gives other bytes, or none.

Used by one thread: Linux ends the process that holds a source with the thread that started it.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path

from caid_triage.case.rows import SourceRow
from caid_triage.config import ScanOptions
from caid_triage.errors import CaidTriageError
from caid_triage.evidence.secrets import NO_SECRETS, Secrets
from caid_triage.evidence.source import EvidenceSource
from caid_triage.scan.sources import SourceRequest, begin_opening


class ReopenedSources:
    """The sources of a case, each opened when it is first asked for; to be closed."""

    def __init__(
        self, sources: Callable[[], list[SourceRow]], profile: str = "standard", secrets: Secrets = NO_SECRETS
    ) -> None:
        """``sources`` gives those of the case as it is then: a scan may add some.

        ``profile`` is the one that the case was scanned with; ``secrets`` unlock what was unlocked then.
        """
        self._sources = sources
        self._options = ScanOptions(profile=profile)
        self._secrets = secrets
        self._opened: dict[int, EvidenceSource | str] = {}
        self._stack = ExitStack()

    def source(self, source_id: int) -> EvidenceSource | str:
        """A source, or in words why it cannot be had; it is tried once."""
        if source_id not in self._opened:
            self._opened[source_id] = self._open(source_id)
        return self._opened[source_id]

    def _open(self, source_id: int) -> EvidenceSource | str:
        row = next((row for row in self._sources() if row.id == source_id), None)
        if row is None or not row.segments:
            return "the case does not say where its evidence was"
        path = Path(row.segments[0])
        if not path.exists():
            return "the evidence is not where it was when it was scanned: connect its disk"
        try:
            request = SourceRequest(path, row.exhibit, row.source)
            return begin_opening(request, self._secrets, self._options, self._stack)()
        except (CaidTriageError, OSError):
            return "the evidence could not be opened again where it was"

    def close(self) -> None:
        """Let go of all sources."""
        self._stack.close()
        self._opened.clear()
