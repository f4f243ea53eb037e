"""Runs one target in a process of its own, under a cap of memory: what kills it is the parent's to keep.

python child.py TARGET FOLDER SECONDS NUMBER ENGINE
"""

from __future__ import annotations

import faulthandler
import importlib
import os
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from fuzz.engine import COMPILED, SLOWER_BY, Run, run_guided, run_plain
from fuzz.target import Target

MEMORY = 4 << 30


def loaded(name: str) -> Target:
    """The target of a name; one with dots is a module's."""
    found: Target = importlib.import_module(name if "." in name else f"fuzz.targets.{name}").TARGET
    return found


def main() -> None:
    """Run until the time is over."""
    name, folder, seconds, number, engine = sys.argv[1:]
    faulthandler.enable()
    os.environ.setdefault("CAID_SHARED", str(Path(__file__).resolve().parents[3] / "shared"))
    if engine == "guided":
        import atheris

        with atheris.instrument_imports(include=["caid_triage"], exclude=COMPILED):
            target = loaded(name)
            if target.prepare is not None:
                target.prepare()
    else:
        target = loaded(name)
        if target.prepare is not None:
            target.prepare()
    if sys.platform != "win32":
        from caid_triage.scan.confine import limit_memory

        limit_memory(MEMORY)
    run = Run(target, Path(folder), float(seconds), engine, SLOWER_BY if engine == "guided" else 1.0)
    (run_guided if engine == "guided" else run_plain)(run, int(number))


if __name__ == "__main__":
    main()
