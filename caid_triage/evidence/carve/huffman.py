"""Follow the compressed data of a sequential JPEG, code by code, to the byte where it stops making sense.

No picture is made: only whether every code exists, every block ends where it must, every mean stays what a mean of
samples can be, and the number of blocks is exactly that of the frame (ITU T.81 annex F). Data of another file is
told within a few hundred bytes, and the true continuation is the only one that ends with the right count.

:func:`follow` is one function: compiled where numba is installed (extra ``fast``), interpreted elsewhere; the answer
is the same.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache, lru_cache
from importlib import import_module
from importlib.util import find_spec
from typing import Any

import numpy as np

STOPPED, DONE, WRONG, SHORT = range(4)
"""Why following ended: at the wanted place, with the last block, at a fault, at the end of what there is."""


@dataclass(slots=True)
class Position:
    """A place between two units of a scan: behind the last byte taken in, the bits at hand, units done, means."""

    place: int
    bits: int = 0
    count: int = 0
    unit: int = 0
    restart: int = 0
    means: tuple[int, ...] = (0, 0, 0, 0)


@dataclass(frozen=True, slots=True)
class ScanPlan:
    """What following one scan needs: units in it, restart interval, and of each block in a unit its component's
    number, tables and the step of its mean (0: not checked)."""

    units: int
    across: int
    interval: int
    blocks: tuple[tuple[int, int, int, int], ...]
    dc: tuple[bytes, ...]
    ac: tuple[bytes, ...]


def follow_units(
    data: Any,
    size: int,
    place: int,
    bits: int,
    count: int,
    unit: int,
    restart: int,
    units: int,
    interval: int,
    means: Any,
    blocks: Any,
    number: int,
    dc: Any,
    ac: Any,
    stop: int,
    trace: Any,
) -> tuple[int, int, int, int, int, int]:
    """Follow units until ``stop``; (why it ended, place, bits, count, unit, restart). ``means`` is changed in place.

    ``blocks`` is flat, four numbers a block; ``dc`` and ``ac`` hold, by the next 16 bits, length * 256 + symbol.
    ``trace`` takes the first component's mean behind each unit, as far as it is long enough.
    """
    while unit < units:
        if place >= stop:
            return 0, place, bits, count, unit, restart
        if interval > 0 and unit > 0 and unit % interval == 0:
            if count >= 8:
                return 2, place, bits, count, unit, restart
            if place + 1 >= size:
                return 3, place, bits, count, unit, restart
            if data[place] != 0xFF or data[place + 1] != 0xD0 + restart:
                return 2, place, bits, count, unit, restart
            place += 2
            bits = 0
            count = 0
            restart = (restart + 1) & 7
            for index in range(4):
                means[index] = 0
        for index in range(number):
            base = index * 4
            component = blocks[base]
            table = blocks[base + 1]
            step = blocks[base + 3]
            k = 0
            while k < 64:
                while count < 32 and place < size:
                    byte = data[place]
                    if byte == 0xFF:
                        if place + 1 >= size or data[place + 1] != 0:
                            break
                        place += 1
                    place += 1
                    bits = (bits << 8) | byte
                    count += 8
                if count >= 16:
                    window = (bits >> (count - 16)) & 0xFFFF
                else:
                    window = ((bits << (16 - count)) | ((1 << (16 - count)) - 1)) & 0xFFFF
                entry = dc[table][window] if k == 0 else ac[table][window]
                length = entry >> 8
                symbol = entry & 0xFF
                width = symbol & 15
                if length == 0 or length + width > count:
                    if length > 0 and place + 1 >= size:
                        return 3, place, bits, count, unit, restart
                    return 2, place, bits, count, unit, restart
                count -= length + width
                if k == 0:
                    if symbol > 15:
                        return 2, place, bits, count, unit, restart
                    if width:
                        value = (bits >> count) & ((1 << width) - 1)
                        if value < 1 << (width - 1):
                            value -= (1 << width) - 1
                        mean = means[component] + value
                        means[component] = mean
                        if step and (mean * step > 1088 + 2 * step or mean * step < -1088 - 2 * step):
                            return 2, place, bits, count, unit, restart
                    table = blocks[base + 2]
                    k = 1
                elif width == 0:
                    if symbol == 0:
                        k = 64
                    elif symbol == 0xF0:
                        k += 16
                        if k > 63:
                            return 2, place, bits, count, unit, restart
                    else:
                        return 2, place, bits, count, unit, restart
                else:
                    k += (symbol >> 4) + 1
                    if k > 64:
                        return 2, place, bits, count, unit, restart
                bits &= (1 << count) - 1
        if len(trace) > unit:
            trace[unit] = means[0]
        unit += 1
    return 1, place, bits, count, unit, restart


@cache
def _compiled() -> Callable[..., tuple[int, int, int, int, int, int]] | None:
    if find_spec("numba") is None:
        return None
    compiled: Callable[..., tuple[int, int, int, int, int, int]] = import_module("numba").njit(nogil=True)(follow_units)
    return compiled


@lru_cache(maxsize=64)
def _lookup(table: bytes) -> tuple[np.ndarray, list[int]]:
    """By the next 16 bits: the length of the code times 256 and its symbol, 0 where no code begins so."""
    entries = np.zeros(1 << 16, dtype=np.int64)
    code, symbols = 0, iter(table[16:])
    for length in range(1, 17):
        for _ in range(table[length - 1]):
            symbol = next(symbols, None)
            if symbol is None or code >= 1 << length:
                return entries, entries.tolist()
            entries[code << (16 - length) : (code + 1) << (16 - length)] = length << 8 | symbol
            code += 1
        code <<= 1
    return entries, entries.tolist()


class Follower:
    """Follows one scan of one JPEG; ``spent`` counts the bytes gone over."""

    def __init__(self, plan: ScanPlan, *, compiled: bool = True) -> None:
        self.spent = 0
        self._plan = plan
        self._kernel = _compiled() if compiled else None
        flat = [number for block in plan.blocks for number in block]
        tables = [[_lookup(table) for table in tables] for tables in (plan.dc, plan.ac)]
        self._blocks: Any = flat
        self._dc: Any = [plain for _, plain in tables[0]]
        self._ac: Any = [plain for _, plain in tables[1]]
        if self._kernel is not None:
            self._blocks = np.array(flat, dtype=np.int64)
            self._dc, self._ac = (np.stack([fast for fast, _ in part]) for part in tables)

    def unevenness(self, data: bytes, position: Position, first: int, join: int) -> float:
        """How much the means of units differ from those of the units above, from ``first`` to a row behind ``join``.

        In the picture as it was made that is little; where other bytes begin, or rows do not lie under rows, much.
        """
        trace = [0] * self._plan.units
        self.follow(data, position, len(data) + 1, trace)
        means = np.array(trace, dtype=np.int64)
        across = self._plan.across
        low, high = max(across, first - across), min(len(means), join + 2 * across)
        steps = np.abs(means[low:high] - means[low - across : high - across])
        return float(steps.mean()) if len(steps) else 0.0

    def follow(
        self, data: bytes, position: Position, stop: int, trace: list[int] | None = None
    ) -> tuple[int, Position]:
        """Follow ``data`` from a position; why it ended, and where."""
        kept: Any = [] if trace is None else trace
        means: Any = list(position.means)
        source: Any = data
        if self._kernel is not None:
            means = np.array(means, dtype=np.int64)
            source = np.frombuffer(data, dtype=np.uint8)
            kept = np.zeros(len(kept), dtype=np.int64)
        why, place, bits, count, unit, restart = (self._kernel or follow_units)(
            source, len(data), position.place, position.bits, position.count, position.unit, position.restart,
            self._plan.units, self._plan.interval, means, self._blocks, len(self._plan.blocks), self._dc, self._ac,
            stop, kept,
        )  # fmt: skip
        self.spent += place - position.place
        if trace is not None and self._kernel is not None:
            trace[:] = kept.tolist()
        found = Position(int(place), int(bits), int(count), int(unit), int(restart), tuple(int(mean) for mean in means))
        return int(why), found


def read_plan(header: bytes) -> ScanPlan | None:
    """The plan of the first scan of a JPEG, from its bytes up to the scan's data; None for what is not followed.

    Followed are sequential Huffman-coded frames (baseline and extended) of 8 bits whose first scan is all there is.
    """
    place, frame, interval = 2, b"", 0
    dc: list[bytes] = [bytes(16)] * 4
    ac: list[bytes] = [bytes(16)] * 4
    steps: dict[int, int] = {}
    while place + 4 <= len(header):
        if header[place] != 0xFF:
            return None
        code = header[place + 1]
        if code == 0xFF:
            place += 1
            continue
        length = int.from_bytes(header[place + 2 : place + 4], "big")
        body = header[place + 4 : place + 2 + length]
        if code in (0xC0, 0xC1):
            frame = body
        elif code == 0xC4:
            _take_tables(body, dc, ac)
        elif code == 0xDB:
            _take_steps(body, steps)
        elif code == 0xDD:
            interval = int.from_bytes(body[:2], "big")
        elif code == 0xDA:
            return _plan(frame, body, interval, dc, ac, steps)
        elif 0xC2 <= code <= 0xCF and code != 0xCC:
            return None
        place += 2 + length
    return None


def _take_tables(body: bytes, dc: list[bytes], ac: list[bytes]) -> None:
    place = 0
    while place + 17 <= len(body):
        size = 17 + sum(body[place + 1 : place + 17])
        (ac if body[place] >> 4 else dc)[body[place] & 3] = body[place + 1 : place + size]
        place += size


def _take_steps(body: bytes, steps: dict[int, int]) -> None:
    place = 0
    while place < len(body):
        wide = body[place] >> 4
        steps[body[place] & 15] = int.from_bytes(body[place + 1 : place + (3 if wide else 2)], "big")
        place += 129 if wide else 65


def _plan(
    frame: bytes, scan: bytes, interval: int, dc: Sequence[bytes], ac: Sequence[bytes], steps: dict[int, int]
) -> ScanPlan | None:
    if len(frame) < 9 or frame[0] != 8 or len(frame) < 6 + 3 * frame[5] or len(scan) < 4 or scan[0] != frame[5]:
        return None
    height, width = int.from_bytes(frame[1:3], "big"), int.from_bytes(frame[3:5], "big")
    parts = {frame[at]: (frame[at + 1] >> 4, frame[at + 1] & 15, frame[at + 2]) for at in range(6, 6 + 3 * frame[5], 3)}
    if not height or not width or not all(1 <= across <= 4 and 1 <= down <= 4 for across, down, _ in parts.values()):
        return None
    widest = max(across for across, _, _ in parts.values())
    tallest = max(down for _, down, _ in parts.values())
    blocks: list[tuple[int, int, int, int]] = []
    for number in range(scan[0]):
        name, tables = scan[1 + 2 * number], scan[2 + 2 * number]
        if name not in parts or number > 3:
            return None
        across, down, step = parts[name]
        count = across * down if scan[0] > 1 else 1
        blocks += [(number, tables >> 4 & 3, tables & 3, steps.get(step, 0))] * count
    if scan[0] == 1:
        widest = tallest = 1
    across = -(-width // (8 * widest))
    return ScanPlan(across * -(-height // (8 * tallest)), across, interval, tuple(blocks), tuple(dc), tuple(ac))
