"""How a worker process begins: it ties its life to the coordinator's before it loads what takes time.

Run as ``python -m caid_triage.scan.worker_start ORDERS``. Until the system is asked to end this process with its
parent, a coordinator that is killed leaves it behind; loading the libraries takes some tenths of a second, on a busy
machine several.
"""

from __future__ import annotations

import json
import sys

from caid_triage.scan.confine import die_with_parent


def main() -> int:
    """Be a worker."""
    die_with_parent(json.loads(sys.argv[1])["parent"])
    from caid_triage.scan import worker  # noqa: PLC0415 - loads the decoders

    return worker.main()


if __name__ == "__main__":
    sys.exit(main())
