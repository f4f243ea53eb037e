"""Free space: the search for files in it, on sector starts and at every place.

The first byte says how thorough and how many pieces the searched space has, then two bytes a piece say where it is cut
(in sectors); the rest is the disk. Laws: what is found lies in the searched ranges, has each of its bytes once, and is
not longer than they are; whole files whose structure runs through them share no byte; nothing is asked for outside of
the disk; a second search finds the same.
"""

from __future__ import annotations

from support.carvables import carvables, noise, png

from caid_triage.evidence.carve.search import Area, Carved, Search
from caid_triage.evidence.carve.space import Space
from caid_triage.evidence.ranges import Range, merged, total
from caid_triage.synth.sample_pictures import picture
from fuzz.target import Target, expect

SECTOR = 512
REMARKS = frozenset(("", "partial", "joined", "doubtful"))


def parts(data: bytes) -> tuple[bool, list[Range], bytes]:
    """How to search, the ranges to search, and the disk."""
    flags = data[0] if data else 0
    count = flags >> 1 & 3
    cuts, disk = data[1 : 1 + 2 * count], data[1 + 2 * count :]
    ranges, at = [], 0
    for place in range(0, len(cuts) - 1, 2):
        sectors, gap = cuts[place], cuts[place + 1] & 15
        end = min(at + sectors * SECTOR, len(disk))
        if end > at:
            ranges.append((at, end))
        at = min(end + gap * SECTOR, len(disk))
    if at < len(disk):
        ranges.append((at, len(disk)))
    return bool(flags & 1), ranges, disk


def search(thorough: bool, ranges: list[Range], disk: bytes) -> list[Carved]:
    def read(offset: int, length: int) -> bytes:
        expect(offset >= 0 and length >= 0 and offset + length <= len(disk), "read outside of the disk")
        return disk[offset : offset + length]

    return Search(Space(read, len(disk)), thorough=thorough).run([Area("p0", tuple(ranges))])


def check(data: bytes) -> str:
    thorough, ranges, disk = parts(data)
    found = search(thorough, ranges, disk)
    expect(found == search(thorough, ranges, disk), "a second search finds others")
    free = merged(ranges)
    whole: list[Range] = []
    for one in found:
        spans = [(offset, offset + length) for offset, length in one.extents]
        expect(all(end > start for start, end in spans), "an extent without bytes")
        expect(total(merged(spans)) == one.size, "a byte of the disk stands twice in a file")
        inside = all(any(low <= start and end <= high for low, high in free) for start, end in spans)
        expect(inside, "a file lies outside of what was searched")
        expect(one.remark in REMARKS and one.suffix.isalnum(), "a remark or an ending that there is not")
        expect(one.remark != "joined" or len(spans) > 1 or len(ranges) > 1, "joined of one piece")
        if one.remark == "" and one.checked and not one.open_end:
            whole += spans
    expect(total(merged(whole)) == sum(end - start for start, end in whole), "two whole files share a byte")
    starts = [(one.start, one.suffix, one.remark) for one in found]
    expect(len(starts) == len(set(starts)), "a file is listed twice")
    return "nothing" if not found else "+".join(sorted({one.remark or "whole" for one in found}))


def seeds() -> dict[str, bytes]:
    """Each kind behind a sector of noise; some with a gap inside; two pieces with another file between."""
    made = {}
    small = {name: data for name, data in carvables().items() if len(data) < 1 << 15}
    for name, data in small.items():
        disk = noise(1, SECTOR) + data + bytes(-len(data) % SECTOR) + noise(2, SECTOR)
        made[f"{name} on sectors"] = b"\0" + disk
        made[f"{name} anywhere"] = b"\1" + noise(3, 77) + data + noise(4, 500)
        sectors = min(250, 1 + len(data) // SECTOR // 2)
        cut = (sectors) * SECTOR
        made[f"{name} cut"] = bytes((3, sectors, 1)) + disk[:cut] + noise(5, SECTOR) + disk[cut:]
    one, other = picture("orchard.jpg"), png()
    at = 9 * SECTOR
    around = one[:at] + other + bytes(-len(other) % SECTOR) + one[at:]
    made["around another"] = b"\1" + around + bytes(SECTOR)
    return made


TARGET = Target("carver", "the search for files in free space", seeds, check, (), longest=1 << 16, seconds=8.0)
