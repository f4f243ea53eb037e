"""The ledgers of a case for its reports: sums by volume and kind, ranges few enough to print, and the bars of the page.

Everything is read from the stored ranges and nothing else, so that ledger.csv, summary.json and report.html agree.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import groupby
from types import MappingProxyType
from typing import Any

from caid_triage.case.rows import SourceRow, VolumeRow
from caid_triage.case.view import CaseView
from caid_triage.evidence.coverage import LEDGER_KINDS
from caid_triage.evidence.fold import fold
from caid_triage.model import LedgerRange
from caid_triage.report.text import number, shown, size

SUMMARY_RANGES = 200
"""So many ranges of a source stand in summary.json; ledger.csv has all that the case has."""
VOLUMES_SHOWN = 40
STRETCHES_SHOWN = 60
WIDTH = 1000.0
_NARROWEST = 6.0  # of a piece of a bar: narrower ones would not be seen
_LETTER = 7.6  # the width of a letter of a bar's text, roughly

# The words of each kind and how its piece of a bar is filled: fills say what was done with the bytes.
SHOWN: Mapping[str, tuple[str, str]] = MappingProxyType(
    {
        "file_content": ("Files and folders", "read"),
        "file_system": ("In a file system, not told apart", "read"),
        "metadata": ("Tables of the file system", "own"),
        "partition_table": ("Tables of the disk, headers", "own"),
        "unallocated_searched": ("Free, searched", "searched"),
        "slack_searched": ("Behind the ends of files, searched", "searched"),
        "unpartitioned_searched": ("Given to no volume, searched", "searched"),
        "not_understood_searched": ("Not understood or without files, searched", "searched"),
        "unallocated": ("Free, NOT searched", "idle"),
        "slack": ("Behind the ends of files, NOT searched", "idle"),
        "unpartitioned": ("Given to no volume, NOT searched", "idle"),
        "not_understood": ("Not understood, or empty", "unknown"),
        "possibly_encrypted": ("Possibly encrypted", "locked"),
        "encrypted": ("Encrypted", "locked"),
        "unreadable": ("Unreadable", "lost"),
    }
)
FILLS: tuple[tuple[str, str], ...] = (
    ("read", "in use by files and folders"),
    ("own", "tables of the disk and of file systems"),
    ("searched", "searched for files"),
    ("idle", "not searched"),
    ("unknown", "not understood, or empty"),
    ("locked", "encrypted, or possibly"),
    ("lost", "unreadable"),
)


@dataclass(frozen=True, slots=True)
class VolumeSums:
    """The bytes of one volume by kind, in the order of LEDGER_KINDS; "" is what lies in no volume."""

    volume: str
    bytes: Mapping[str, int]

    @property
    def total(self) -> int:
        """All of them."""
        return sum(self.bytes.values())


@dataclass(frozen=True, slots=True)
class SourceLedger:
    """The ledger of one source: how many ranges it has, its sums by volume and the folded ranges."""

    exhibit: str
    source: str
    size: int
    count: int
    volumes: tuple[VolumeSums, ...]
    ranges: tuple[LedgerRange, ...]


def source_ledgers(view: CaseView) -> Iterator[SourceLedger]:
    """The ledgers of the sources that have one, in the order of the sources."""
    for source in view.sources():
        ledger = _source_ledger(view, source)
        if ledger.count:
            yield ledger


def _source_ledger(view: CaseView, source: SourceRow) -> SourceLedger:
    sums: dict[str, dict[str, int]] = {}
    count = end = 0
    for line in view.ledger(source.id):
        of_volume = sums.setdefault(line.volume, {})
        for kind, length in line.sums:
            of_volume[kind] = of_volume.get(kind, 0) + length
        count, end = count + 1, line.end
    volumes = tuple(
        VolumeSums(name, {kind: found[kind] for kind in LEDGER_KINDS if kind in found})
        for name, found in sorted(sums.items(), key=lambda item: item[0] == "")  # what is in no volume stands last
    )
    ranges = tuple(fold(partial(view.ledger, source.id), SUMMARY_RANGES))
    return SourceLedger(source.exhibit, source.source, end, count, volumes, ranges)


def summarised_ledgers(view: CaseView) -> list[dict[str, Any]]:
    """The ledgers as summary.json has them."""
    return [
        {
            "exhibit": ledger.exhibit,
            "source": ledger.source,
            "size": ledger.size,
            "ranges_in_ledger_csv": ledger.count,
            "volumes": [{"volume": sums.volume, "bytes": dict(sums.bytes)} for sums in ledger.volumes],
            "ranges": [_range_facts(line) for line in ledger.ranges],
        }
        for ledger in source_ledgers(view)
    ]


def _range_facts(line: LedgerRange) -> dict[str, Any]:
    facts: dict[str, Any] = {"start": line.start, "end": line.end, "volume": line.volume, "kind": line.kind}
    return facts | ({"parts": dict(line.parts)} if line.parts else {})


# ---------------------------------------------------------------- bars of the page


@dataclass(frozen=True, slots=True)
class Piece:
    """A piece of a bar: its fill, where it stands (of WIDTH), what is written in it ("": nothing fits), its words."""

    fill: str
    x: float
    width: float
    text: str
    words: str


@dataclass(frozen=True, slots=True)
class SumLine:
    """A line of the table of a volume: what became of some bytes, how many, and their share of the volume."""

    fill: str
    words: str
    count: int
    share: str


@dataclass(frozen=True, slots=True)
class VolumeBar:
    """A volume of the page: its name and what it is, its bar and the lines of its table."""

    name: str
    what: str
    total: int
    pieces: tuple[Piece, ...]
    lines: tuple[SumLine, ...]
    words: str


@dataclass(frozen=True, slots=True)
class LedgerFacts:
    """A source of the page: the bar of the whole source in order of its bytes, and a bar for each volume."""

    exhibit: str
    source: str
    size: int
    count: int
    stretches: tuple[Piece, ...]
    stretches_words: tuple[str, ...]
    stretches_total: int
    volumes: tuple[VolumeBar, ...]
    volumes_total: int
    fills: tuple[tuple[str, str], ...]


def ledger_facts(view: CaseView) -> list[LedgerFacts]:
    """The sources whose bytes are accounted for, as the page shows them."""
    described = {(row.exhibit, row.source, row.name): row for row in view.volumes()}
    return [_facts(ledger, described) for ledger in source_ledgers(view)]


def _facts(ledger: SourceLedger, described: Mapping[tuple[str, str, str], VolumeRow]) -> LedgerFacts:
    stretches = _stretches(ledger.ranges)
    widths = widths_of([length for _, length in stretches])
    pieces = []
    x = 0.0
    for place, ((name, length), width) in enumerate(zip(stretches, widths, strict=True)):
        words = f"{name or 'no volume'}, {size(length)}"
        pieces.append(Piece("gap" if not name else f"volume{place % 2}", x, width, _fitting(width, name), words))
        x += width
    bars = [
        _volume_bar(sums, described.get((ledger.exhibit, ledger.source, sums.volume)), ledger.volumes)
        for sums in ledger.volumes[:VOLUMES_SHOWN]
    ]
    used = {piece.fill for bar in bars for piece in bar.pieces}
    return LedgerFacts(
        exhibit=ledger.exhibit,
        source=ledger.source,
        size=ledger.size,
        count=ledger.count,
        stretches=tuple(pieces) if len(pieces) <= STRETCHES_SHOWN else (),
        stretches_words=tuple(piece.words for piece in pieces[:STRETCHES_SHOWN]),
        stretches_total=len(pieces),
        volumes=tuple(bars),
        volumes_total=len(ledger.volumes),
        fills=tuple(fill for fill in FILLS if fill[0] in used),
    )


def _stretches(ranges: Iterable[LedgerRange]) -> list[tuple[str, int]]:
    """What lies on the source one after the other: (name of the outermost volume, bytes)."""
    runs = groupby(ranges, key=lambda line: line.volume.partition("/")[0])
    return [(name, sum(line.end - line.start for line in lines)) for name, lines in runs]


def _volume_bar(sums: VolumeSums, row: VolumeRow | None, every: Sequence[VolumeSums]) -> VolumeBar:
    kinds = [(kind, sums.bytes[kind]) for kind in SHOWN if kind in sums.bytes]
    kinds += [(kind, count) for kind, count in sums.bytes.items() if kind not in SHOWN]
    widths = widths_of([count for _, count in kinds])
    pieces, lines = [], []
    x = 0.0
    for (kind, count), width in zip(kinds, widths, strict=True):
        words, fill = SHOWN.get(kind, (kind.replace("_", " "), "unknown"))
        share = share_words(count, sums.total)
        pieces.append(Piece(fill, x, width, _fitting(width, f"{words} {share}", share), f"{words}: {size(count)}"))
        lines.append(SumLine(fill, words, count, share))
        x += width
    if not sums.volume:
        what = "gaps and tables"
    elif row is None:
        what = "not described"
    else:
        inner = any(other.volume.startswith(f"{sums.volume}/") for other in every)
        what = row.file_system or row.status.replace("-", " ")
        what += ", without the volumes inside it" if inner else ""
    words = ", ".join(f"{line.words} {number(line.count)} bytes ({line.share})" for line in lines)
    return VolumeBar(sums.volume, what, sums.total, tuple(pieces), tuple(lines), words)


def widths_of(counts: Sequence[int]) -> list[float]:
    """How wide to draw each of the counts, WIDTH together: by their share, but no narrower than can be seen."""
    total = sum(counts)
    least = min(_NARROWEST, WIDTH / max(1, len(counts)))
    narrow = {place for place, count in enumerate(counts) if count * WIDTH < least * total}
    while True:  # what narrow ones are given is taken from the others, which may make one of those narrow
        room = WIDTH - least * len(narrow)
        rest = sum(count for place, count in enumerate(counts) if place not in narrow)
        more = {place for place, count in enumerate(counts) if place not in narrow and count * room < least * rest}
        if not more:
            break
        narrow |= more
    return [round(least if place in narrow else count * room / rest, 3) for place, count in enumerate(counts)]


def share_words(count: int, total: int) -> str:
    """A share in per cent that is never rounded to nothing or to all: "<0.1%", "12.3%", ">99.9%", "100%"."""
    if count == total:
        return "100%"
    share = 100 * count / total
    if share < 0.1:
        return "<0.1%"
    return ">99.9%" if share > 99.9 else f"{share:.1f}%"


def _fitting(width: float, *texts: str) -> str:
    """The first of the texts that fits into a piece of a bar as it is shown there; "" for none."""
    return next((text for text in texts if len(shown(text)) * _LETTER + 10 <= width), "")
