"""The frames of one stream: find its keyframes without decoding, then decode those that were chosen.

Three ways to a keyframe, tried in this order: the container's index of all frames (MP4, AVI), a pass over the packets
of a film that is held in memory, and jumps to evenly spaced times in a larger film without such an index.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import accumulate, islice
from typing import Any

from caid_triage.examine.limits import Limits
from caid_triage.examine.video_open import decoder_options, frame_rate
from caid_triage.examine.video_plan import Plan, Stop

# Decoders that can put out a half, a quarter or an eighth of the picture for less work.
REDUCING = frozenset(("mjpeg", "mpeg1video", "mpeg2video", "mpeg4", "msmpeg4v2", "msmpeg4v3", "h263", "flv"))
MOST_PACKETS = 2_000_000
MOST_TO_KEYFRAME = 20_000
# A jump in a film without an index costs a search through it.
MOST_JUMPS = 256
_BEFORE_START = 10.0
# Below this many frames a second a frame that no other refers to is not left out: it may be the only one for long.
_LEAST_RATE_TO_SKIP = 10.0
# A damaged frame is better hashed and marked than left out.
_OUTPUT_CORRUPT = 1 << 3
_INDEXED = ("mov", "avi")


@dataclass(frozen=True, slots=True)
class Keyframes:
    """Where the keyframes are: ``times`` in seconds from the film's start, and how to get to each.

    ``seeks`` are timestamps to jump to, None where the keyframes are met by going through the packets in order;
    ``stamps`` are the decoding times of those very keyframes, None where the next one after a jump will do.
    ``end`` is the film's end in seconds, ``lost`` counts keyframes that the index places behind the file's end.
    """

    times: tuple[float, ...]
    end: float
    seeks: tuple[int, ...] | None = None
    stamps: tuple[int, ...] | None = None
    lost: int = 0


class Stream:
    """One stream of moving pictures and its decoder.

    ``complaints`` counts what the decoder complained of, ``decoded`` the packets that it was given. ``stopped``: they
    were as many as are allowed, whatever the container says of its frames a second.
    """

    def __init__(self, av: Any, container: Any, stream: Any, limits: Limits) -> None:
        self.av = av
        self.container = container
        self.stream = stream
        self.codec = stream.codec_context
        self.rate = frame_rate(stream)
        self.complaints = 0
        self.without_keyframes = False
        self.decoded = 0
        self.stopped = False
        self._limits = limits
        self._most_decoded = 0
        self._base = float(stream.time_base or 0)
        self._start: int | None = stream.start_time
        for other in container.streams:
            if other is not stream:
                other.discard = av.stream.Discard.all

    def seconds(self, stamp: int) -> float:
        """A timestamp as seconds from the stream's first picture."""
        return max(0.0, (stamp - (self._start or 0)) * self._base)

    def length(self) -> float:
        """Seconds of the film as its container states them, 0 where it does not."""
        if self.stream.duration and self._base:
            return float(self.stream.duration * self._base)
        return float(self.container.duration or 0) / 1e6

    # -- where the keyframes are -----------------------------------------------------------------------------

    def from_index(self, size: int) -> Keyframes | None:
        """The keyframes by the container's index of every frame, None where it has none or not of all."""
        entries = self.stream.index_entries
        if not self.container.format.name.startswith(_INDEXED) or len(entries) < 2 or not self._base:
            return None
        first, last = entries[0].timestamp, entries[len(entries) - 1].timestamp
        end = self.length()
        covered = (last - first) * (len(entries) + 1) / (len(entries) - 1)  # and a frame after the last begins
        if covered * self._base < 0.99 * end - 0.05:  # a film in fragments has more indexes, further on
            return None
        keys = [entry for entry in entries if entry.is_keyframe]
        there = [entry for entry in keys if entry.pos + entry.size <= size]
        if not there:
            return None
        there.sort(key=lambda entry: entry.timestamp)
        times = tuple((entry.timestamp - first) * self._base for entry in there)
        shift = (self._start or 0) - first  # an index has decoding times, a jump is to a time of showing
        stamps = tuple(entry.timestamp for entry in there)
        return Keyframes(times, end, tuple(stamp + shift for stamp in stamps), stamps, len(keys) - len(there))

    def from_packets(self) -> Keyframes:
        """The keyframes by going through every packet, without decoding any."""
        times, last, count = [], 0.0, 0
        for packet in self._packets():
            last = max(last, self._time_of(packet, count))
            if packet.is_keyframe:
                times.append(self._time_of(packet, count))
            count += 1
            if count >= MOST_PACKETS:
                break
        if count and not times:  # no frame stands by itself: all are decoded from the first
            self.without_keyframes = True
            times.append(0.0)
        return Keyframes(tuple(accumulate(times, max)), max(last, self.length() if self.stream.duration else 0.0))

    def from_jumps(self, most: int) -> Keyframes | None:
        """Times to jump to in a film that can be entered anywhere, None where its length is not known."""
        end = self.length()
        if end <= 0 or not self._base:
            return None
        most = min(most, MOST_JUMPS)
        wanted = [end * number / most for number in range(most)]
        seeks = [(self._start or 0) + int(time / self._base) for time in wanted]
        seeks[0] -= int(_BEFORE_START / self._base)  # some containers jump to what comes after the time they are given
        return Keyframes(tuple(wanted), end, tuple(seeks))

    def _time_of(self, packet: Any, count: int) -> float:
        stamp = packet.pts if packet.pts is not None else packet.dts
        if stamp is None:  # a bare stream of pictures has no clock
            return count / (self.rate or 25.0)
        if self._start is None:
            self._start = stamp
        return self.seconds(stamp)

    def _packets(self) -> Iterator[Any]:
        """The stream's packets from here on. A fault of the container ends them; it is counted."""
        packets = self.container.demux(self.stream)
        while True:
            try:
                packet = next(packets, None)
            except self.av.FFmpegError:
                self.complaints += 1
                return
            if packet is None:
                return
            if packet.size:
                yield packet

    # -- decoding --------------------------------------------------------------------------------------------

    def frames(self, keys: Keyframes, plan: Plan) -> Iterator[tuple[float, Any]]:
        """The chosen frames as (seconds, frame), in order."""
        self._prepare(reduce=not plan.fills)
        self._most_decoded = plan.most_decoded
        if keys.seeks is None:
            yield from self._in_order(plan.stops)
            return
        before = -1.0
        for stop in plan.stops:
            try:
                self.container.seek(keys.seeks[stop.key], stream=self.stream, backward=True)
            except self.av.FFmpegError:
                self.complaints += keys.stamps is not None  # a jump into the dark may fail, one by the index not
                continue
            packets = self._packets()
            first = _first_keyframe(packets, None if keys.stamps is None else keys.stamps[stop.key])
            if first is None:
                continue
            time = self._time_of(first, 0)
            if time <= before:  # two jumps led to one keyframe
                continue
            before = time
            for seconds, frame in self._from_keyframe(first, time, stop, packets):
                before = max(before, seconds)
                yield seconds, frame

    def _in_order(self, stops: Sequence[Stop]) -> Iterator[tuple[float, Any]]:
        """The chosen frames of a film whose packets are gone through from the start."""
        wanted = {stop.key: stop for stop in stops}
        keys = count = 0
        packets = self._packets()
        packet = next(packets, None)
        while packet is not None and wanted:
            time = self._time_of(packet, count)
            count += 1
            if not (packet.is_keyframe or self.without_keyframes):
                packet = next(packets, None)
                continue
            stop = wanted.pop(keys, None)
            keys += 1
            if stop is None:
                packet = next(packets, None)
                continue
            rest = _UntilKeyframe(packets)
            yield from self._from_keyframe(packet, time, stop, rest, count)
            count += rest.taken
            packet = rest.after if rest.after is not None else next(packets, None)

    def _from_keyframe(
        self, first: Any, time: float, stop: Stop, packets: Iterator[Any], count: int = 0
    ) -> Iterator[tuple[float, Any]]:
        """A keyframe and the frames after it that are wanted, up to the next keyframe."""
        self.codec.flush_buffers()
        self.codec.skip_frame = "DEFAULT"
        if not stop.extra and not self.without_keyframes:
            decoded = self._decode(first) or self._decode(None)
            if decoded:
                yield time, decoded[0]
            return
        if self.rate >= _LEAST_RATE_TO_SKIP and first.pts is not None:
            self.codec.skip_frame = "NONREF"
        half = 0.5 / self.rate if self.rate else 0.0
        wanted = [time, *stop.extra]
        for frame, stamp in self._decoded_from(first, time, packets, count, wanted[-1] - half):
            if wanted and stamp >= wanted[0] - half:
                while wanted and stamp >= wanted[0] - half:
                    wanted.pop(0)
                yield stamp, frame
            if not wanted:
                return

    def _decoded_from(
        self, first: Any, time: float, packets: Iterator[Any], count: int, enough: float
    ) -> Iterator[tuple[Any, float]]:
        """Every frame from a keyframe to the next, with its time; none that is decoded after what ``enough`` needs.

        Frames that go back to a later one follow it in the file, and the decoder holds that one back until they are
        through. So the first at ``enough`` seconds or past it is in the decoder, and whole, when a packet follows that
        is shown before it: nothing more is given to the decoder then, which puts out what it holds.
        """
        times: list[float] = []  # of the packets that went in, for frames that carry no time
        reached: float | None = None

        def out(frames: list[Any]) -> Iterator[tuple[Any, float]]:
            for frame in frames:
                known = times.pop(0) if times else time
                stamp = frame.pts if frame.pts is not None else frame.dts
                yield frame, known if stamp is None else self.seconds(stamp)

        packet = first
        while packet is not None and not self.stopped:
            shown = self._time_of(packet, count)
            if packet.pts is not None:
                if reached is not None and shown < reached:
                    break
                if reached is None and shown >= enough:
                    reached = shown
            times.append(shown)
            count += 1
            yield from out(self._decode(packet))
            packet = next(packets, None)
            if packet is not None and packet.is_keyframe:
                break
        yield from out(self._decode(None))

    def _decode(self, packet: Any) -> list[Any]:
        if packet is not None:
            self.decoded += 1
            self.stopped = self.stopped or self.decoded > self._most_decoded
        if self.stopped:
            return []
        try:
            frames: list[Any] = self.codec.decode(packet)
        except self.av.FFmpegError:
            self.complaints += 1
            return []
        self.complaints += sum(1 for frame in frames if frame.is_corrupt)
        return frames

    def _prepare(self, *, reduce: bool) -> None:
        """Set up the decoder before its first packet."""
        options = decoder_options(self._limits)
        side = min(self.codec.width or 0, self.codec.height or 0)
        if reduce and self.codec.name in REDUCING and self._limits.min_reduced_side:
            power = max((step for step in (1, 2, 3) if side >> step >= self._limits.min_reduced_side), default=0)
            if power:
                options["lowres"] = str(power)
        self.codec.options = options
        self.codec.thread_count = 1
        self.codec.flags |= _OUTPUT_CORRUPT


def _first_keyframe(packets: Iterator[Any], stamp: int | None) -> Any | None:
    """The next keyframe, of this decoding time or a later one."""
    for packet in islice(packets, MOST_TO_KEYFRAME):
        if packet.is_keyframe and (stamp is None or packet.dts is None or packet.dts >= stamp):
            return packet
    return None


class _UntilKeyframe(Iterator[Any]):
    """Packets up to the next keyframe, which is kept in ``after``; ``taken`` counts the others."""

    def __init__(self, packets: Iterator[Any]) -> None:
        self.after: Any | None = None
        self.taken = 0
        self._packets = packets

    def __next__(self) -> Any:
        if self.after is not None:
            raise StopIteration
        packet = next(self._packets)
        if packet.is_keyframe:
            self.after = packet
            raise StopIteration
        self.taken += 1
        return packet


def errors_so_far(av: Any) -> int:
    """How many errors FFmpeg has spoken of in this process."""
    return int(av.logging.get_last_error()[0])


def complaint(av: Any, since: int, error: BaseException | None = None) -> str:
    """What FFmpeg said last, if it spoke after ``since`` errors; without what differs from run to run (addresses)."""
    count, last = av.logging.get_last_error()
    spoke = count > since and last is not None
    text = last[2] if spoke else str(getattr(error, "strerror", "") or "")
    text = re.sub(r"0x[0-9a-fA-F]+", "...", text)
    return "".join(letter if letter.isprintable() else " " for letter in text).strip()[:200]
