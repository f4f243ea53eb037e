"""Examines the files named on its standard input under a memory cap; one JSON line each. Run as a script."""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path

from caid_triage.examine.examine import examine_file, prepare_decoders

MEMORY = 3 << 30

if __name__ == "__main__":
    try:
        import resource
    except ImportError:  # not on Windows: there the files are examined without a cap
        pass
    else:
        resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    prepare_decoders()
    sys.stdout.write("ready\n")
    sys.stdout.flush()
    for line in sys.stdin:
        started = time.process_time()
        found = examine_file(Path(line.rstrip("\n")))
        answer = {
            "state": str(found.decode_state),
            "codes": [problem.code for problem in found.problems],
            "digests": found.digests is not None,
            "seconds": time.process_time() - started,
        }
        sys.stdout.write(json.dumps(answer) + "\n")
        sys.stdout.flush()
