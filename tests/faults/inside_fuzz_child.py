"""Looks into damaged contents under a worker's cap of memory, one line before and one JSON line after each.

    python inside_fuzz_child.py KINDS NUMBERS [FILE]

KINDS are seeds of support/inside_seeds.py, joined by ";" ("every" for all), or any word where FILE is given; NUMBERS is
"0-99" or "3,5". A line before that has none after it is of a content that ended the process, or hung.
"""

from __future__ import annotations

import json
import resource
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from support.embedded import looked_into
from support.inside_seeds import SEEDS
from support.mutations import mutated

from caid_triage.config import WorkerLimits
from caid_triage.examine.embedded.walk import Found
from caid_triage.examine.examine import prepare_decoders
from caid_triage.scan.confine import limit_memory

OUT_OF_MEMORY = "more memory than there is"


def say(line: str) -> None:
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


def wrong(found: list[Found], inside: int) -> str:
    """What no content may do: break the count, or leave an inner file without digests and without a reason."""
    if [one.part for one in found] != list(range(1, inside + 1)):
        return "the count is broken"
    if any(one.examination.digests is None and not one.problems for one in found):
        return "an inner file without digests and without a reason"
    return ""


def look(kind: str, number: int, data: bytes) -> None:
    """Look into one content; say what that took, of time and memory."""
    say(f"{kind} {number}")
    begun = time.process_time()
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    items, examination = looked_into(data)
    found = [item for item in items if isinstance(item, Found)]
    said = [*examination.problems, *(one for item in found for one in (*item.problems, *item.examination.problems))]
    answer = {
        "seconds": round(time.process_time() - begun, 3),
        "grown": (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) >> 10,
        "found": len(found),
        "memory": any(OUT_OF_MEMORY in one.detail or one.code == "decoder-out-of-memory" for one in said),
        "wrong": wrong(found, examination.inside),
    }
    say(json.dumps(answer))


def main() -> None:
    """Damage each kind by each number."""
    kinds = list(SEEDS) if sys.argv[1] == "every" else sys.argv[1].split(";")
    first, to, last = sys.argv[2].partition("-")
    numbers = range(int(first), int(last) + 1) if to else [int(number) for number in first.split(",")]
    contents = {kind: Path(sys.argv[3]).read_bytes() if len(sys.argv) > 3 else SEEDS[kind]() for kind in kinds}
    limit_memory(WorkerLimits().memory_bytes)
    prepare_decoders()
    for kind, whole in contents.items():
        for number in numbers:
            look(kind, number, mutated(whole, f"{kind} {number}"))


if __name__ == "__main__":
    main()
