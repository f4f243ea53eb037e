"""Open a container with PyAV so that nothing but the bytes at hand can be opened, and say what it says of itself.

FFmpeg reads playlists and reference films that name other files. Here it gets a file object and no name, a list of the
formats that this tool identifies, no protocol at all, and a callback that refuses to open anything else.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from caid_triage.examine.limits import Limits
from caid_triage.examine.video_bytes import VideoBytes

# The demuxers for what identify() calls a video, by FFmpeg's names.
FORMATS = (
    "mov", "mp4", "m4a", "3gp", "3g2", "mj2", "matroska", "webm", "avi", "asf", "flv", "mpeg", "mpegts", "mpegvideo",
    "h264", "hevc", "m4v", "ogg", "rm", "ivf", "mxf", "dv", "yuv4mpegpipe", "wtv", "bink", "flic",
)  # fmt: skip
# Tried when FFmpeg's own guess fails: it wants more than one sign, as a cut file may not give.
FORMAT_OF: Mapping[str, str] = {
    "video/mp4": "mov", "video/quicktime": "mov", "video/x-m4v": "mov", "video/3gpp": "mov", "video/3gpp2": "mov",
    "video/x-matroska": "matroska", "video/webm": "matroska", "video/x-msvideo": "avi", "video/x-ms-asf": "asf",
    "video/x-flv": "flv", "video/mpeg": "mpeg", "video/mp2t": "mpegts", "video/ogg": "ogg", "video/h264": "h264",
    "video/x-ivf": "ivf", "application/mxf": "mxf", "video/x-dv": "dv", "video/x-fli": "flic", "video/x-wtv": "wtv",
}  # fmt: skip
MOST_STREAMS = 64
MOST_TEXT = 200
_NAMES: Mapping[str, tuple[str, ...]] = {
    "encoder": ("encoder", "encoding_tool"),
    "camera-make": ("com.apple.quicktime.make", "make", "com.android.manufacturer", "manufacturer"),
    "camera-model": ("com.apple.quicktime.model", "model", "com.android.model"),
    "software": ("com.apple.quicktime.software", "software"),
    "location": ("com.apple.quicktime.location.ISO6709", "location", "location-eng"),
}


class NothingElseOpens(Exception):  # noqa: N818 - an order, not an error
    """A film asked for another file; it does not get one."""


def _refuse(*_arguments: object, **_options: object) -> Any:
    raise NothingElseOpens("a film may open no other file")


def decoder_options(limits: Limits) -> dict[str, str]:
    """What every decoder is told: one thread, and no frame larger than the limit."""
    return {"threads": "1", "max_pixels": str(limits.max_pixels)}


def open_container(av: Any, file: VideoBytes, limits: Limits, media_type: str) -> Any:
    """Return PyAV's container over ``file``. Errors: FFmpeg's, when neither its guess nor ours is right."""
    options = decoder_options(limits) | {
        "format_whitelist": ",".join(FORMATS),
        "protocol_whitelist": "none",
        "max_streams": str(MOST_STREAMS),
        "enable_drefs": "0",
        # For the frames that FFmpeg decodes to know the stream, which nobody sees; our own decoder is set up apart.
        "skip_loop_filter": "all",
        "skip_idct": "all",
    }
    first: Exception | None = None
    for forced in (None, FORMAT_OF.get(media_type)):
        if first is not None and forced is None:
            break
        file.seek(0)
        try:
            return av.open(
                file, mode="r", format=forced, options=dict(options), metadata_errors="replace", io_open=_refuse
            )
        except (av.FFmpegError, NothingElseOpens) as error:
            first = first or error
    raise first or ValueError("no container")


def pictures_and_covers(av: Any, container: Any) -> tuple[list[Any], list[Any]]:
    """The streams of moving pictures, and those that are one still attached to the film."""
    attached = av.stream.Disposition.attached_pic
    streams = [stream for stream in container.streams.video if stream.codec_context is not None]
    covers = [stream for stream in streams if stream.disposition & attached]
    return [stream for stream in streams if stream not in covers], covers


def facts(container: Any, stream: Any) -> tuple[tuple[str, str], ...]:
    """What the container says of its origin, as (name, text); names of docs/formats/videos.md."""
    said = dict(stream.metadata) | dict(container.metadata)
    found = {"container-format": container.format.long_name, "video-codec": stream.codec_context.codec.name}
    rate = frame_rate(stream)
    if rate:
        found["frame-rate"] = f"{rate:.3f}".rstrip("0").rstrip(".")
    created = _created(said.get("creation_time", "") or said.get("com.apple.quicktime.creationdate", ""))
    if created:
        found["container-created"] = created
    for name, keys in _NAMES.items():
        text = next((said[key] for key in keys if said.get(key)), "")
        if text:
            found[name] = text
    if "software" not in found and said.get("com.android.version"):
        found["software"] = f"Android {said['com.android.version']}"
    cleaned = ((name, _clean(text)) for name, text in sorted(found.items()))
    return tuple((name, text) for name, text in cleaned if text)


def frame_rate(stream: Any) -> float:
    """Frames a second as the container states or FFmpeg guesses them, 0 where neither can."""
    for rate in (stream.average_rate, stream.guessed_rate):
        if rate:
            return float(rate)
    return 0.0


def _created(text: str) -> str:
    """The time of creation in ISO 8601 UTC, "" where it is none."""
    try:
        moment = datetime.fromisoformat(text)
        return moment.astimezone(UTC).isoformat(timespec="seconds") if moment.tzinfo else ""
    except (ValueError, OverflowError):
        return ""


def _clean(text: str) -> str:
    return "".join(letter if letter.isprintable() else " " for letter in text).strip()[:MOST_TEXT]
