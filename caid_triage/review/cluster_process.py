"""The process that finds groups of look-alikes: a review stays quick meanwhile, and small.

    python -m caid_triage.review.cluster_process CASE-FOLDER FOLDER-TO-WRITE-TO

It prints how many of how many different hashes it has looked up, a line each time, and writes the groups.
"""

from __future__ import annotations

import os
import sys
from contextlib import closing
from pathlib import Path

from caid_triage.case.review import ReviewReader
from caid_triage.errors import CaidTriageError
from caid_triage.review.clusters import LEAST_QUALITY, clusters_of_case, save_clusters


def main() -> int:
    """Find and keep the groups; 0, or the exit code of an error of ours."""
    case_folder, out = map(Path, sys.argv[1:3])
    if hasattr(os, "nice"):
        os.nice(10)
    try:
        with closing(ReviewReader(case_folder)) as reader, reader.at_one_moment():
            stamp = reader.pdq_stamp(LEAST_QUALITY)
            ids, clusters = clusters_of_case(reader, show)
        save_clusters(out, stamp, ids, clusters)
    except CaidTriageError as error:
        sys.stderr.write(f"{error}\n")
        return error.exit_code
    return 0


def show(done: int, total: int) -> None:
    """Say how far it is; whoever no longer listens ends this process."""
    sys.stdout.write(f"{done} {total}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
