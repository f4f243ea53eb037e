"""What a film looks like: the PDQ hashes of frames spread over it, with their times, and what its container says.

Keyframes are decoded, and frames between them where a clip has few (:mod:`caid_triage.examine.video_plan`). A frame
whose hash is the very one of the frame before it is left out, the first time kept: no comparison can tell them apart,
so leaving it out misses nothing. Stored pixels are hashed: rotation is tried when hashes are compared, as for pictures.
Damage does not hide the rest: what decodes is hashed, and the film is marked as decoded in part.
docs/formats/videos.md says all of this for an investigator.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import islice
from typing import Any

from caid_triage.examine.decoded import problem
from caid_triage.examine.libraries import library
from caid_triage.examine.limits import Limits
from caid_triage.examine.video_bytes import VideoBytes
from caid_triage.examine.video_frames import Keyframes, Stream, complaint, errors_so_far
from caid_triage.examine.video_luma import frame_pdq
from caid_triage.examine.video_open import (
    NothingElseOpens,
    decoder_options,
    facts,
    open_container,
    pictures_and_covers,
)
from caid_triage.examine.video_plan import plan_frames
from caid_triage.examine.video_structure import missing_end
from caid_triage.model import DecodeState, PerceptualHash, Problem, Severity

# A second stream of pictures is a place to hide; more than a few are an attack on the scan's time.
MOST_PICTURE_STREAMS = 4
_COVER_PACKETS = 64


@dataclass(slots=True)
class Film:
    """What was found in one video; filled while it is examined, so that a fault keeps what came before it."""

    state: DecodeState = DecodeState.UNDECODABLE
    width: int | None = None
    height: int | None = None
    duration_s: float | None = None
    hashes: list[PerceptualHash] = field(default_factory=list)
    metadata: tuple[tuple[str, str], ...] = ()
    problems: list[Problem] = field(default_factory=list)
    frames: int = 0
    too_small: int = 0
    damage: list[str] = field(default_factory=list)
    limited: bool = False


def examine_video(file: VideoBytes, media_type: str, limits: Limits) -> Film:
    """Return what a video shows and says. Never raises for a fault of the video, whatever its bytes."""
    film = Film()
    av = library("av")
    if av is None or not hasattr(av.stream, "Discard"):  # came with PyAV 17.1, as the last of what is used here
        film.state = DecodeState.NOT_ATTEMPTED
        reason = "PyAV could not be loaded" if av is None else f"PyAV {av.__version__} is too old, 17.1 is needed"
        text = f"the frames of this {media_type} were not hashed: {reason}"
        film.problems.append(problem("video-frames-not-hashed", text))
        return film
    since = errors_so_far(av)
    cut = missing_end(file)
    if cut:
        film.damage.append(cut)
    try:
        _streams(av, film, file, media_type, limits)
    except (av.FFmpegError, NothingElseOpens, ValueError, IndexError) as error:
        film.damage.append(_said(av, error, since))
    _conclude(film, file, media_type)
    return film


def _said(av: Any, error: BaseException, since: int) -> str:
    text = complaint(av, since, error) if isinstance(error, av.FFmpegError) else str(error)
    return f"the decoder says: {text}" if text else f"the decoder failed ({type(error).__name__})"


def _streams(av: Any, film: Film, file: VideoBytes, media_type: str, limits: Limits) -> None:
    """Look at the container, its covers and each of its streams of pictures."""
    with open_container(av, file, limits, media_type) as container:
        pictures, covers = pictures_and_covers(av, container)
        if not pictures:
            sound = bool(container.streams.audio)
            if sound and not film.damage:
                film.state = DecodeState.NOT_MEDIA
                text = "the file has sound and no moving pictures; only the digests were taken"
                film.problems.append(problem("video-no-pictures", text, Severity.NOTE))
            else:
                film.damage.append("no stream of pictures was found in it")
        else:
            first = pictures[0]
            film.width, film.height = first.codec_context.width or None, first.codec_context.height or None
            film.metadata = facts(container, first)
        numbers = [stream.index for stream in pictures]
        cover_numbers = [stream.index for stream in covers]
        if container.duration and container.duration > 0:
            film.duration_s = _seconds(container.duration / 1e6)
        examined = numbers[:MOST_PICTURE_STREAMS]
        look = _Look(av, film, file, media_type, limits, len(examined))
        if examined:
            _moving(look, examined[0], container)
    for number in examined[1:]:
        file.rewind()
        with open_container(av, file, limits, media_type) as container:
            _moving(look, number, container)
    for number in cover_numbers[:MOST_PICTURE_STREAMS]:
        _cover(look, number)
    if len(numbers) > len(examined):
        text = f"the file has {len(numbers)} streams of pictures; the first {MOST_PICTURE_STREAMS} were examined"
        film.problems.append(problem("video-streams-not-examined", text))


@dataclass(frozen=True, slots=True)
class _Look:
    """What the steps of one examination have in common; ``share`` streams divide what one film may cost."""

    av: Any
    film: Film
    file: VideoBytes
    media_type: str
    limits: Limits
    share: int


def _moving(look: _Look, number: int, container: Any) -> None:
    """Hash the chosen frames of one stream, in a container where nothing was read yet."""
    av, film, file, limits = look.av, look.film, look.file, look.limits
    since = errors_so_far(av)
    stream = Stream(av, container, container.streams[number], limits)
    height, width = stream.codec.height, stream.codec.width
    if height * width > limits.max_pixels or max(height, width) > limits.max_side:
        text = f"the film claims frames of {width} x {height} pixels, more than is allowed; it was not decoded"
        film.problems.append(problem("too-many-pixels", text))
        return
    keys = keyframes_of(stream, file, limits)
    if keys.seeks is not None:
        _hash(look, stream, keys)
    else:
        file.rewind()
        with open_container(av, file, limits, look.media_type) as again:
            without = stream.without_keyframes
            stream = Stream(av, again, again.streams[number], limits)
            stream.without_keyframes = without
            _hash(look, stream, keys)
    if film.duration_s is None and keys.end:
        film.duration_s = _seconds(keys.end)
    if keys.lost:
        film.damage.append(f"{keys.lost} keyframes lie behind the end of the file")
    elif stream.complaints or errors_so_far(av) > since:
        film.damage.append(f"the decoder says: {complaint(av, since) or 'a frame is damaged'}")


def keyframes_of(stream: Stream, file: VideoBytes, limits: Limits) -> Keyframes:
    """Where the keyframes are, by the cheapest way that this container and length allow."""
    found = stream.from_index(file.size)
    if found is None and file.size > max(limits.max_video_bytes, limits.max_reread_bytes // 2):
        found = stream.from_jumps(limits.max_video_frames)
        if found is None:
            file.hold_back_half()
    return found or stream.from_packets()


def _hash(look: _Look, stream: Stream, keys: Keyframes) -> None:
    """Add the PDQ of each chosen frame, but not that of a frame that looks exactly like the one before it."""
    film, limits = look.film, look.limits
    height, width = stream.codec.height, stream.codec.width
    plan = plan_frames(
        keys.times,
        keys.end,
        most=max(1, limits.max_video_frames // look.share),
        pixels=max(1, height * width),
        rate=stream.rate,
        budget=limits.max_video_pixels // look.share,
        dense=limits.dense_video,
        dense_step=limits.dense_step,
    )
    film.limited = film.limited or plan.limited
    last: bytes | None = None
    for seconds, frame in islice(stream.frames(keys, plan), limits.max_video_frames):
        if not film.frames and frame.rotation:
            film.metadata = tuple(sorted((*film.metadata, ("rotation", str(int(frame.rotation) % 360)))))
        film.frames += 1
        film.width, film.height = film.width or frame.width, film.height or frame.height
        found = frame_pdq(frame, height or frame.height, width or frame.width)
        if found is None:
            film.too_small += 1
        elif found[0] != last:
            last = found[0]
            film.hashes.append(PerceptualHash("pdq", *found, frame_time=_seconds(seconds)))
    film.limited = film.limited or stream.stopped


def _cover(look: _Look, number: int) -> None:
    """Hash a picture that is attached to the film as the still that it is: without a time."""
    look.file.rewind()
    with open_container(look.av, look.file, look.limits, look.media_type) as container:
        stream = container.streams[number]
        codec = stream.codec_context
        codec.options = decoder_options(look.limits)
        codec.thread_count = 1
        for packet in islice(container.demux(stream), _COVER_PACKETS):
            for frame in codec.decode(packet if packet.size else None):
                found = frame_pdq(frame, frame.height, frame.width)
                if found is not None:
                    look.film.hashes.append(PerceptualHash("pdq", *found))
                return
            if not packet.size:
                return


def _seconds(value: float) -> float | None:
    """Seconds to the millisecond, None for what no film lasts."""
    return round(value, 3) if 0 <= value <= 1e8 else None


def _conclude(film: Film, file: VideoBytes, media_type: str) -> None:
    """Say in the state and the problems what became of the film."""
    if file.fault is not None:
        text = f"the film could not be read again for its frames: {file.fault.detail}"
        film.problems.append(problem("video-not-read", text))
    if film.state is DecodeState.NOT_MEDIA:
        return
    incomplete = film.limited or file.spent
    if film.frames:
        if incomplete:
            text = "looking at the whole film would cost more than is allowed; frames of a part of it were hashed"
            film.problems.append(problem("video-frames-limited", text))
        if film.damage and file.fault is None and not file.spent:
            text = f"{film.damage[0]}; the frames that could be decoded were hashed"
            film.problems.append(problem("video-damaged", text))
        whole = not (incomplete or film.damage or file.fault)
        film.state = DecodeState.DECODED if whole else DecodeState.PARTIAL
        if film.too_small == film.frames:
            film.problems.append(
                Problem("hash", "too-small", "a side of the film is too short: there is no PDQ", Severity.NOTE)
            )
        return
    if any(one.code == "too-many-pixels" for one in film.problems):
        film.state = DecodeState.REFUSED
    elif file.fault is not None:
        film.state = DecodeState.NOT_ATTEMPTED
    else:
        reason = film.damage[-1] if film.damage else "no frame of it could be decoded"
        film.problems.append(problem("video-undecodable", f"no frame of this {media_type} could be seen: {reason}"))
