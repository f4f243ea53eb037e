"""What the answer of a report does not cover: volumes nobody could read, files that failed, space not searched."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence

from caid_triage.case.rows import Conservation, ProblemCount, ProblemRow, VolumeRow
from caid_triage.model import DecodeState
from caid_triage.report.meanings import DECODE_WORDS, STATUS_WORDS, meaning
from caid_triage.report.text import files_of, number, size

GAPS_SHOWN = 12


def not_examined(
    figures: Conservation,
    volumes: Sequence[VolumeRow],
    wide: Sequence[ProblemRow],
    problems: Sequence[ProblemCount],
    decode_states: Mapping[str, int],
    unsearched: int = 0,
) -> Iterator[tuple[str, str]]:
    """What the answer does not cover, widest first: (headline, explanation). Each gap is named once.

    ``unsearched`` are the bytes of free space that were not searched: all of them in the profile quick.
    """
    stops = figures.stopped_early and any(problem.code == "stopped-early" for problem in wide)  # each source says it
    if not figures.complete and not stops:
        explanation = f"{files_of(figures.stored)} stored so far. Run the same scan again: it goes on where it stopped."
        yield f"The scan {'was stopped early' if figures.stopped_early else 'is not complete'}", explanation
    told = Counter((problem.step, problem.code) for problem in wide)
    by_place: dict[tuple[str, str, str], list[ProblemRow]] = {}
    for problem in wide:
        by_place.setdefault((problem.exhibit, problem.source, problem.volume), []).append(problem)
    for volume in volumes:
        if volume.status in STATUS_WORDS:
            place = volume.exhibit, volume.source, volume.name
            why = "; ".join(problem.detail for problem in by_place.pop(place, ()))
            what = f"{size(volume.length)}, {volume.description}"
            yield f"{_joined(place)}: {STATUS_WORDS[volume.status]}", f"{what}: {why}" if why else what
    others = [(place, problem) for place, found in by_place.items() for problem in found]
    for place, problem in others[:GAPS_SHOWN]:
        yield f"{_joined(place) or 'The case'}: {_told(problem.code)[0]}", problem.detail
    if len(others) > GAPS_SHOWN:
        yield f"{number(len(others) - GAPS_SHOWN)} more of the whole source or a volume", "problems.csv lists all"
    if unsearched:
        explanation = (
            f"{size(unsearched)}: the profiles standard and full search it, and what stands behind ends of files."
        )
        yield "Free space of file systems was not searched for deleted files", explanation
    for state in (DecodeState.UNDECODABLE, DecodeState.REFUSED, DecodeState.PARTIAL, DecodeState.NOT_ATTEMPTED):
        if count := decode_states.get(state.value, 0):
            yield f"{files_of(count)}: {DECODE_WORDS[state][0]}", DECODE_WORDS[state][1]
    if count := decode_states.get(DecodeState.NOT_NEEDED.value, 0):
        verb = "was" if count == 1 else "were"
        headline = f"{files_of(count)} {verb} known-good by SHA-1 or SHA-256 and {verb} not decoded"
        yield headline, DECODE_WORDS[DecodeState.NOT_NEEDED][1]
    for row in problems:
        # What failed to decode has just been told, by what became of it.
        count = row.count - told[row.step, row.code]
        if row.severity == "problem" and row.step != "decode" and count:
            headline, rest = _told(row.code)
            times = "" if count == 1 else f" ({number(count)} times)"
            yield f"{headline}{times}", rest or row.example


def headline_of(code: str) -> str:
    """What a problem code means in its first clause; the code itself where nobody has said."""
    return _told(code)[0]


def _told(code: str) -> tuple[str, str]:
    """What a problem code means, its first clause as a headline and the rest; the code itself where nobody has said."""
    first, _, rest = meaning(code).partition(": ")
    return first.rstrip(".") or code, rest[:1].upper() + rest[1:]


def _joined(words: Iterable[str]) -> str:
    return " ".join(filter(None, words))
