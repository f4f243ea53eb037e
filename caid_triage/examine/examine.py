"""EXAMINE one content: digests, what it is, and what it looks like. Pure, for worker processes.

    run = Examiner(Limits()).begin()
    for chunk in chunks: run.update(chunk)
    run.digests()    # send these first: a decoder's death then costs the decode only
    run.finish()     # -> model.Examination

Same bytes, same Examination. Memory stays constant but for still pictures, which are held up to
``Limits.max_content_bytes``, and videos, held up to ``Limits.max_video_bytes``; of a longer video the bytes that its
decoder needs are asked for again (``read_at``).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import BinaryIO, TypeVar

from caid_triage.errors import EvidenceError
from caid_triage.examine.boundary import Failure, at_the_boundary
from caid_triage.examine.decode import decode, stored_size
from caid_triage.examine.decoded import Decoded, problem
from caid_triage.examine.digests import Digesting
from caid_triage.examine.embedded.appended import behind_jpeg, end_where_more_follows
from caid_triage.examine.embedded.browser_cache import firefox_body, firefox_entry
from caid_triage.examine.embedded.inner import Lister, Thumbnail
from caid_triage.examine.embedded.inner import problem as inside_problem
from caid_triage.examine.embedded.listers import lister_of
from caid_triage.examine.embedded.walk import ONCE, Again, Found, Inside, Step
from caid_triage.examine.frame_hashes import frame_hashes
from caid_triage.examine.identify import HEAD_BYTES, Identified, identify
from caid_triage.examine.libraries import load_libraries
from caid_triage.examine.limits import Limits
from caid_triage.examine.looks import hashes_of, is_asked_with
from caid_triage.examine.metadata import Pairs, picture_metadata
from caid_triage.examine.opencv import opencv
from caid_triage.examine.phash import phash_of_tiny, tiny
from caid_triage.examine.thumbnail import thumbnails
from caid_triage.examine.video import Film, examine_video
from caid_triage.examine.video_bytes import Beside, ReadAt, VideoBytes, in_memory
from caid_triage.model import (
    DecodeState,
    Digests,
    Examination,
    Kind,
    PerceptualHash,
    Problem,
    Severity,
)
from caid_triage.plugins import checked_hash, perceptual_hash_plugins

T = TypeVar("T")

# How often over a large container is read again to list it and to read its files, each once.
REREAD = 3


def prepare_decoders() -> None:
    """Load every decoder and hash once, so that no file's time is charged for it."""
    prepare_pictures()
    load_libraries()


def prepare_pictures() -> None:
    """Load what nearly every picture needs; the rest is loaded with the first file that needs it, which is told of."""
    import numpy as np  # noqa: PLC0415

    opencv()
    perceptual_hash_plugins()
    phash_of_tiny(tiny(np.zeros((32, 32), dtype=np.uint8)))


def examine_file(path: Path, limits: Limits | None = None) -> Examination:
    """Return the examination of a file of the unit's own, e.g. a graded picture; without digests if unreadable."""
    try:
        with path.open("rb") as file:

            def read_at(offset: int, length: int) -> bytes:
                return _bytes_at(file, offset, length)

            run = Examiner(limits).begin(path.name, path.stat().st_size, read_at)
            while chunk := file.read(1 << 20):
                run.update(chunk)
            return run.finish()
    except OSError as error:
        text = f"the file could not be read: {error.strerror or error}"
        return Examination(None, 0, problems=(Problem("read", "file-unreadable", text),))


def _bytes_at(file: BinaryIO, offset: int, length: int) -> bytes:
    """Return exactly those bytes of an open file. Errors: EvidenceError."""
    try:
        file.seek(offset)
        piece = file.read(length)
    except OSError as error:
        raise EvidenceError("read", "read-failed", f"the content could not be read at byte {offset}") from error
    if len(piece) < length:
        raise EvidenceError("read", "short-read", f"the content ended after {offset + len(piece)} bytes")
    return piece


# A picture, or why there is none, and its perceptual hashes.
Seen = tuple[Decoded, tuple[PerceptualHash, ...]]
# What a picture says of its origin, or the problem that kept it from being read.
Said = tuple[Pairs, tuple[Problem, ...]]


class Examiner:
    """Examines contents, one run each, within the same limits."""

    def __init__(self, limits: Limits | None = None) -> None:
        self.limits = limits or Limits()

    def begin(
        self,
        name_hint: str = "",
        size: int | None = None,
        read_at: ReadAt | None = None,
        beside: Beside | None = None,
    ) -> Run:
        """Return the run of one content.

        ``name_hint`` is accepted for plug-ins and decides nothing here: types are told by content.
        ``size`` is the length that the file system states, in bytes, None where it has none. ``read_at`` gives bytes
        of the content again when :meth:`Run.finish` needs them of a long video; without it that is not decoded.
        ``beside`` opens a file in the same folder, which a container may need to be understood.
        """
        return Run(self.limits, name_hint, size, read_at, beside)


class Run:
    """The examination of one content, fed piece by piece."""

    def __init__(
        self,
        limits: Limits,
        name_hint: str,
        size: int | None,
        read_at: ReadAt | None = None,
        beside: Beside | None = None,
    ) -> None:
        self.name_hint = name_hint
        self._read_at = read_at
        self._beside = beside
        self._limits = limits
        self._size = size
        self._digesting = Digesting()
        self._read = 0
        self._head = b""
        self._identified: Identified | None = None
        self._kept: list[bytes] = []
        self._too_large = False
        self._lister: Lister | None = None
        self._inside: Inside | None = None
        self._small: tuple[Thumbnail, ...] | None = None
        self._found: Examination | None = None
        self._undecoded = False

    def update(self, chunk: bytes) -> None:
        """Take the next bytes of the content, in order."""
        self._digesting.update(chunk)
        self._read += len(chunk)
        self._kept.append(bytes(chunk))
        if self._identified is None:
            self._head += chunk[: HEAD_BYTES - len(self._head)]
            if len(self._head) < HEAD_BYTES:
                return
            self._identified = identify(self._head, self._size)
            self._lister = lister_of(self._identified.media_type, self._head)
        if self._read > self._most_kept(self._identified.kind):
            self._too_large = True
            self._kept.clear()

    def _most_kept(self, kind: Kind) -> int:
        """How many bytes of a content of this kind are held in memory; of others there is nothing to look at."""
        if kind is Kind.IMAGE or (self._lister is not None and self._read_at is None):
            return self._limits.max_content_bytes
        return self._limits.max_video_bytes if kind is Kind.VIDEO or self._lister is not None else 0

    def digests(self) -> Digests:
        """Return the digests of what was taken so far; may be asked before :meth:`finish`."""
        return self._digesting.digests()

    @property
    def bytes_read(self) -> int:
        """How many bytes were taken so far."""
        return self._read

    def identified(self) -> Identified:
        """Return what the content is; like :meth:`digests`, known before any decoder runs."""
        return self._identified or identify(self._head, self._size)

    @property
    def has_work(self) -> bool:
        """Whether there is something to decode or to look into, as far as the beginning of the content says."""
        return self.identified().kind is not Kind.OTHER or self._listed_by() is not None

    def leave_undecoded(self) -> None:
        """Decode nothing of the content itself: it is known to be harmless (docs/decisions/0046).

        Of a picture or a film its digests and its type are then told alone, and nothing of its thumbnails. Files that
        lie inside it are files of their own, and examined as ever.
        """
        self._undecoded = True

    def finish(self) -> Examination:
        """Return everything that the content decides."""
        found = self._found = self._found or self._examination()
        if self._inside is None:
            return found
        return replace(found, problems=(*found.problems, *self._inside.problems), inside=self._inside.parts)

    def inside(self, again: Again = ONCE) -> Iterator[Found | Step]:
        """Examine what lies inside the content, one file after the other; :meth:`finish` then says how many there were.

        Call it before :meth:`finish`, and to its end.
        """

        def begin(size: int | None) -> Run:
            return Run(self._limits, "", size)

        within = self.container()
        if within is None and not self.thumbnails():
            return
        self._inside = Inside(begin, self._limits, self._read, again)
        if isinstance(within, Problem):
            self._inside.problems.append(within)
        elif within is not None:
            yield from self._inside.walk(*within)
        if self.thumbnails():
            yield Step(0, 0)
            self._found = self._examination()
            yield from self._inside.thumbnails(self, self._found)

    def thumbnails(self) -> tuple[Thumbnail, ...]:
        """Return the small pictures that a picture keeps of itself."""
        if self._small is None:
            what = self.identified()
            wanted = what.kind is Kind.IMAGE and not self._too_large and not self._undecoded
            found = at_the_boundary(partial(thumbnails, self._content(), what.media_type)) if wanted else ()
            self._small = () if isinstance(found, Failure) else found
        return self._small

    def shows(self, thumbnail: Thumbnail, found: Examination) -> bool:
        """Return whether the look of a thumbnail is among those of this picture, which was examined as ``found``."""
        if any(problem.code == "preview-hashed" for problem in found.problems):
            largest = max(one.width * one.height for one in self.thumbnails())
            if thumbnail.width * thumbnail.height == largest:
                return True
        return is_asked_with(thumbnail.data, found.hashes)

    def container(self) -> tuple[Lister, VideoBytes] | Problem | None:
        """How to list what lies inside the content, or why it cannot be; None for one that holds nothing."""
        what = self.identified()
        lister = self._listed_by()
        if what.media_type == "image/jpeg" and not self._too_large:
            end = end_where_more_follows(self._content())
            lister = partial(behind_jpeg, end=end) if end else None
        cached = None if self._too_large or not self._kept else firefox_body(self._content())
        if cached:
            lister = partial(firefox_entry, length=cached[0], address=cached[1])
        if lister is None:
            return None
        if not self._too_large:
            return lister, self._with_neighbours(in_memory(self._content()))
        if self._read_at is None or what.kind is Kind.IMAGE:
            text = f"what lies inside was not looked at: the file is larger than {self._limits.max_content_bytes} bytes"
            return inside_problem("inside-too-large", text)
        most = max(self._limits.max_reread_bytes, REREAD * self._read)
        return lister, self._with_neighbours(VideoBytes(self._read, self._read_at, most))

    def _listed_by(self) -> Lister | None:
        """How to list what lies inside a content that begins so."""
        return self._lister if self._identified else lister_of(self.identified().media_type, self._head)

    def _with_neighbours(self, file: VideoBytes) -> VideoBytes:
        """The bytes of a container, which then can ask for a file beside it where this content has such."""
        if self._beside is not None:
            file.beside = partial(_neighbour, self._beside, self._limits.max_reread_bytes)
        return file

    def _examination(self) -> Examination:
        """What the content is and looks like, without what lies inside it."""
        what = self.identified()
        if self._undecoded and what.kind is not Kind.OTHER:
            return Examination(self.digests(), self._read, what.kind, what.media_type, DecodeState.NOT_NEEDED)
        if what.kind is Kind.VIDEO:
            return self._film(what)
        content = self._picture(what)
        said, faults = _said_at_the_boundary(content, what)
        decoded, hashes = self._seen(what, content)
        return Examination(
            digests=self.digests(),
            bytes_read=self._read,
            kind=what.kind,
            media_type=what.media_type,
            decode_state=decoded.state,
            width=decoded.width,
            height=decoded.height,
            hashes=hashes,
            metadata=said,
            problems=decoded.problems + faults,
        )

    def _film(self, what: Identified) -> Examination:
        """Return the examination of a video, whose frames are looked at in memory or read again."""
        film = _film_at_the_boundary(self._video_bytes(), what.media_type, self._limits)
        return Examination(
            digests=self.digests(),
            bytes_read=self._read,
            kind=what.kind,
            media_type=what.media_type,
            decode_state=film.state,
            width=film.width,
            height=film.height,
            duration_s=film.duration_s,
            hashes=tuple(film.hashes),
            metadata=film.metadata,
            problems=tuple(film.problems),
        )

    def _video_bytes(self) -> VideoBytes | None:
        """Return the video as a decoder reads it, None if it was too long to keep and cannot be read again."""
        if self._too_large:
            return self._read_at and VideoBytes(self._read, self._read_at, self._limits.max_reread_bytes)
        return in_memory(self._content())

    def _content(self) -> bytes:
        """The whole content, where it was kept."""
        if len(self._kept) > 1:
            self._kept = [b"".join(self._kept)]
        return self._kept[0] if self._kept else b""

    def _picture(self, what: Identified) -> bytes:
        """Return the content of a picture, only its beginning where that was too long to keep."""
        return self._head if self._too_large else self._content() if what.kind is Kind.IMAGE else b""

    def _seen(self, what: Identified, content: bytes) -> Seen:
        """Return what became of the picture and its hashes, or the state and problem of why there are none."""
        if what.kind is Kind.OTHER:
            return Decoded(DecodeState.NOT_MEDIA), ()
        if self._too_large:
            text = f"the picture file is larger than {self._limits.max_content_bytes} bytes and was not decoded"
            return _without(
                DecodeState.REFUSED, "content-too-large", text, size=stored_size(self._head, what.media_type)
            )
        return _seen_at_the_boundary(content, what.media_type, self._limits)


def _neighbour(beside: Beside, most: int, name: str) -> VideoBytes:
    """The bytes of a file beside the content. Errors: EvidenceError."""
    size, read_at = beside(name)
    return VideoBytes(size, read_at, max(most, REREAD * size))


def _said_at_the_boundary(content: bytes, what: Identified) -> Said:
    """Read what a picture says of its origin; it does so even where no decoder opens it."""
    said = _at_the_boundary(lambda: picture_metadata(content, what.media_type))
    return ((), (said,)) if isinstance(said, Problem) else (said, ())


def _seen_at_the_boundary(content: bytes, media_type: str, limits: Limits) -> Seen:
    """Decode hostile bytes and hash what comes out, then let each plug-in hash it too."""

    def see() -> Seen:
        decoded = decode(content, media_type, limits)
        hashes, notes = hashes_of(decoded, content)
        hashes += frame_hashes(decoded)
        return replace(decoded, problems=decoded.problems + notes), hashes

    seen = _at_the_boundary(see)
    if isinstance(seen, Problem):
        return Decoded(DecodeState.UNDECODABLE, problems=(seen,)), ()
    decoded, hashes = seen
    for algorithm, hashed in perceptual_hash_plugins() if decoded.pixels is not None else ():
        found = _at_the_boundary(lambda: checked_hash(algorithm, hashed(decoded.pixels)))  # noqa: B023  called at once
        if isinstance(found, Problem):
            text = f"the plug-in for {algorithm} failed on this picture: {found.detail}"
            decoded = replace(decoded, problems=(*decoded.problems, Problem("hash", "plugin-failed", text)))
        else:
            hashes = (*hashes, PerceptualHash(algorithm, *found))
    return decoded, hashes


def _film_at_the_boundary(file: VideoBytes | None, media_type: str, limits: Limits) -> Film:
    """Look at hostile frames."""
    if file is None:
        text = f"the film is larger than {limits.max_video_bytes} bytes and cannot be read again for its frames"
        return Film(DecodeState.NOT_ATTEMPTED, problems=[problem("video-not-read", text)])
    film = _at_the_boundary(lambda: examine_video(file, media_type, limits))
    return Film(DecodeState.UNDECODABLE, problems=[film]) if isinstance(film, Problem) else film


def _at_the_boundary(step: Callable[[], T]) -> T | Problem:
    """Run foreign code on hostile bytes; what it fails with is a Problem of the file."""
    found = at_the_boundary(step)
    if not isinstance(found, Failure):
        return found
    if found.out_of_memory:
        return problem("decoder-out-of-memory", "a decoder asked for more memory than there is")
    return problem("decoder-failed", f"a decoder failed in a way that is not foreseen ({found.kind})")


def _without(
    state: DecodeState,
    code: str,
    text: str,
    severity: Severity = Severity.PROBLEM,
    size: tuple[int | None, int | None] = (None, None),
) -> Seen:
    """Return that there is no picture, and why."""
    return Decoded(state, *size, problems=(problem(code, text, severity),)), ()
