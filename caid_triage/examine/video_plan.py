"""Which pictures of a film are looked at: a matter of times alone, so that it is the same on every machine.

Keyframes stand by themselves and cost a hundredth of decoding everything, so they are taken. Frames between them are
decoded only for a clip that has few keyframes, at one a second. No clock decides, only counts of pixels.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass
from math import ceil

# Keyframes nearer than this to the last one taken are passed over (every frame of Motion JPEG is a keyframe).
LEAST_GAP = 0.45
# Fewer keyframes than this are few, whatever the length; a short clip's are few too when they are this far apart.
FEW_KEYFRAMES = 10
SHORT_SECONDS = 60.0
SPARSE_SECONDS = 2.5
FILL_SECONDS = 1.0
# A frame for a second that has one just past its end: 30/1.001 frames a second are 30.
_SLACK = 0.05
_USUAL_RATE = 30.0
# Frames a second that a film can have; what a container says beyond that is no rate.
_LOWEST_RATE = 0.001
_HIGHEST_RATE = 1000.0


@dataclass(frozen=True, slots=True)
class Stop:
    """A keyframe to decode, by its place among the keyframes, and the seconds after it for further frames."""

    key: int
    extra: tuple[float, ...] = ()


@dataclass(frozen=True, slots=True)
class Plan:
    """The stops in order, and how many packets may be decoded for them.

    ``limited``: parts of a film with few keyframes cost too much to be looked at.
    """

    stops: tuple[Stop, ...]
    limited: bool = False
    most_decoded: int = 0

    @property
    def fills(self) -> bool:
        """Whether any frame is wanted that is not a keyframe."""
        return any(stop.extra for stop in self.stops)


def plan_frames(
    keys: Sequence[float],
    end: float,
    *,
    most: int,
    pixels: int,
    rate: float,
    budget: int,
    dense: bool = False,
    dense_step: float = FILL_SECONDS,
) -> Plan:
    """Choose among keyframes at ``keys`` (seconds, ascending) of a film that ends at ``end`` seconds.

    ``most`` frames at most are chosen; ``budget`` pixels may be decoded, at ``pixels`` a frame and ``rate`` frames a
    second (0 where unknown). ``dense`` asks for a frame each ``dense_step`` seconds of any film that the
    budget allows.
    """
    if not keys:
        return Plan(())
    affords = max(1, budget // max(1, pixels))
    most = min(most, affords)
    chosen = thinned(keys, most)
    end = max(end, keys[-1])
    length = end - keys[0]
    few = len(chosen) < min(most, FEW_KEYFRAMES)
    sparse = length <= SHORT_SECONDS and length > SPARSE_SECONDS * len(chosen)
    if not (few or sparse or dense):
        return Plan(tuple(Stop(key) for key in chosen), most_decoded=affords)
    rate = rate if _LOWEST_RATE <= rate <= _HIGHEST_RATE else _USUAL_RATE
    step = max(dense_step if dense else FILL_SECONDS, length / most)
    left = affords - len(chosen)
    room = most - len(chosen)
    stops, limited = [], False
    for place, key in enumerate(chosen):
        start = keys[key]
        gap = (keys[chosen[place + 1]] if place + 1 < len(chosen) else end) - start
        inner = max(0, ceil(gap / step - _SLACK) - 1)
        affordable = int(max(0, left) / (gap * rate) * (inner + 1)) if inner else 0
        taken = min(inner, room, affordable)
        limited = limited or taken < inner
        extra = tuple(start + gap * number / (inner + 1) for number in range(1, taken + 1))
        if extra:
            left -= ceil((extra[-1] - start) * rate)
            room -= taken
        stops.append(Stop(key, extra))
    return Plan(tuple(stops), limited and few, affords)


def thinned(times: Sequence[float], most: int) -> list[int]:
    """The places of at most ``most`` times, none right behind another, evenly over the whole where there are more."""
    kept: list[int] = []
    for place, time in enumerate(times):
        if not kept or time - times[kept[-1]] >= LEAST_GAP:
            kept.append(place)
    if len(kept) <= most:
        return kept
    if most == 1:
        return kept[:1]
    at = [times[place] for place in kept]
    wanted = (at[0] + (at[-1] - at[0]) * number / (most - 1) for number in range(most))
    return [kept[place] for place in sorted({_nearest(at, time) for time in wanted})]


def _nearest(times: Sequence[float], time: float) -> int:
    after = min(bisect_left(times, time), len(times) - 1)
    return after - 1 if after and time - times[after - 1] <= times[after] - time else after
