"""Workers whose confinement goes wrong in ways that were met: it hides libraries, or does not end.

    python -m tight_worker ORDERS       how: the environment variable CAID_TRIAGE_PLUGIN_TIGHT

hides: Landlock shows this package and Python, not the libraries beside them. breeds: the worker starts a process and
tells of it. sleeps: it never gets ready.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import PIL

from caid_triage.scan import confine, protocol, worker


def main() -> int:
    """Be such a worker."""
    how = os.environ["CAID_TRIAGE_PLUGIN_TIGHT"]
    if how == "hides":
        own = Path(confine.__file__).resolve().parents[1]
        libraries = Path(PIL.__file__).resolve().parents[1]
        folders = [Path(path).resolve() for path in confine.program_folders()]  # a venv may be a link
        shown = [own] + [
            path for path in folders if not (libraries.is_relative_to(path) or path.is_relative_to(libraries))
        ]
        confine.program_folders = lambda: shown
    if how == "breeds":
        child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
        with os.fdopen(1, "wb") as sink:
            protocol.write_frame(sink, protocol.READY, b"%d" % child.pid)
        time.sleep(600)
    if how == "sleeps":
        time.sleep(600)
    return worker.main()


if __name__ == "__main__":
    sys.exit(main())
