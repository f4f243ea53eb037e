"""Find one content again inside a container, by its SHA-256, in the way in which it was found when it was examined."""

from __future__ import annotations

from collections.abc import Iterator

from caid_triage.examine.embedded.inner import Thumbnail
from caid_triage.examine.embedded.walk import Found, Inside, Step, nothing
from caid_triage.examine.examine import Run
from caid_triage.examine.identify import Identified
from caid_triage.examine.limits import Limits
from caid_triage.examine.video_bytes import Beside, ReadAt
from caid_triage.model import Digests, Examination, Kind, Problem


class Wanted:
    """The content that is looked for, once it is found."""

    def __init__(self, sha256: bytes) -> None:
        self.sha256 = sha256
        self.content: bytes | None = None
        self.what: Identified | None = None

    def is_found(self) -> bool:
        """Whether it is found."""
        return self.content is not None


class Taking(Run):
    """A run that decodes nothing: it only looks whether its content, or one inside it, is the wanted one."""

    def __init__(
        self,
        limits: Limits,
        size: int | None,
        wanted: Wanted,
        read_at: ReadAt | None = None,
        beside: Beside | None = None,
    ) -> None:
        super().__init__(limits, "", size, read_at, beside)
        self._wanted = wanted

    def _most_kept(self, kind: Kind) -> int:
        """Also what is no picture may be the wanted one; a container that can be read again need not be held."""
        return super()._most_kept(kind) if self._read_at is not None else self._limits.max_content_bytes

    def digests(self) -> Digests:
        """The digests; the content is kept if they are those of the wanted one."""
        found = super().digests()
        if found.sha256 == self._wanted.sha256 and self._wanted.content is None and not self._too_large:
            self._wanted.content, self._wanted.what = self._content(), self.identified()
        return found

    def finish(self) -> Examination:
        """The digests alone."""
        return Examination(self.digests(), self.bytes_read)

    def shows(self, thumbnail: Thumbnail, found: Examination) -> bool:
        """No thumbnail is hashed here."""
        return True

    def search(self) -> Iterator[Found | Step]:
        """Go through what lies inside until the wanted content is found."""
        wanted = self._wanted

        def begin(size: int | None) -> Taking:
            return Taking(self._limits, size, wanted)

        self.digests()
        inside = Inside(begin, self._limits, self.bytes_read)
        within = self.container()
        if within is not None and not isinstance(within, Problem) and not wanted.is_found():
            for item in inside.walk(*within):
                yield item
                if wanted.is_found():
                    return
        if not wanted.is_found():
            for item in inside.thumbnails(self, nothing()):
                yield item
                if wanted.is_found():
                    return
