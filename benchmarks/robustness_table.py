"""The table of docs/formats/perceptual-hashes.md from a raw run of benchmarks/robustness.py, as Markdown.

    python benchmarks/robustness_table.py RUN [--limit BITS] [--stored BITS]

A file is found if any look of it lies within ``--limit`` of its picture (75, or what the run measured, if less), or its
stored pixels, upright, within ``--stored`` (the longest that the run allows beside that limit).
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import Any

MOST = 75


def rows(report: dict[str, Any], limit: int, stored: int) -> list[tuple[str, list[int]]]:
    """Per cent found by edit: PDQ at 31, at the limit, with the stored pixels' own, pHash, and the peers."""
    found = []
    for edit, own in report["own_distances"].items():
        both = [
            0 <= least <= limit or 0 <= upright <= stored
            for least, upright in zip(own["pdq"], own["stored"], strict=True)
        ]
        peers = report["recall_percent_at_limit"][edit]
        found.append(
            (
                edit,
                [
                    _percent([0 <= least <= 31 for least in own["pdq"]]),
                    _percent([0 <= least <= limit for least in own["pdq"]]),
                    _percent(both),
                    *(round(peers[way]) for way in ("phash", "imagehash.phash", "pdqhash")),
                ],
            )
        )
    return found


def _percent(found: list[bool]) -> int:
    return round(100 * sum(found) / len(found))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", type=Path)
    parser.add_argument("--limit", type=int)
    parser.add_argument("--stored", type=int)
    options = parser.parse_args()
    report = json.loads(options.run.read_text(encoding="utf-8"))
    limit = options.limit or min(MOST, report["limit_at_1_in_1e6"]["pdq"])
    allowed = {int(bits): longest for bits, longest in report["longest_stored_limit_by_limit_of_others"].items()}
    stored = options.stored or allowed.get(limit, limit)
    table = rows(report, limit, stored)
    head = ["edit", "PDQ at 31", f"at {limit}", f"stored pixels at {stored}", "pHash", "imagehash", "pdqhash"]
    lines = ["| " + " | ".join(head) + " |", "|---" * len(head) + "|"]
    lines += [f"| {edit} | " + " | ".join(map(str, values)) + " |" for edit, values in table if min(values) < 100]
    whole = [edit for edit, values in table if min(values) == 100]
    sys.stdout.write("\n".join([*lines, "", f"All of them find everything: {'; '.join(whole)}.", ""]))


if __name__ == "__main__":
    main()
