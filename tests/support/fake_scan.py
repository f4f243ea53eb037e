"""Stands in for ``caid-triage scan`` under a batch: does what its source file says, and notes when it ran.

Run as ``fake_scan.py PARENT scan SOURCE --case=... --exhibit=... ...``. The source's text is ``code N``, ``kill``
(SIGKILL), ``kill once``, ``bug``, ``hang``, ``slow SECONDS``, ``warn CODE`` (behind a warning), ``deaf SECONDS`` (does
not end when it is asked to), ``refuse CODE`` (as on a cluster that does not take it; on this machine it is done, with 7
at the second try) or ``linger CODE`` (the same, and ends late).
"""

from __future__ import annotations

import json
import os
import signal
import sys
import time
from pathlib import Path


def say(**line: object) -> None:
    sys.stdout.write(json.dumps(line) + "\n")
    sys.stdout.flush()


def main() -> None:
    words = sys.argv[3:]
    named = dict(word[2:].partition("=")[::2] for word in words if word.startswith("--"))
    source, case = Path(words[0]), Path(named["case"])
    case.mkdir(parents=True, exist_ok=True)
    begun = time.monotonic()
    with (case.parent / "runs.jsonl").open("a") as runs:
        runs.write(json.dumps({"exhibit": named["exhibit"], "at": begun, "words": words}) + "\n")
    word, _, rest = source.read_text().strip().partition(" ")
    say(event="progress", stage="examining", files=1, total_files=2, seconds=1, seconds_left=1, hits={"x": 1})
    if word == "kill" and not (rest and (case / "killed").exists()):
        (case / "killed").touch()
        os.kill(os.getpid(), signal.SIGKILL)
    elif word == "bug":
        raise SystemExit(1)
    elif word == "hang":
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        time.sleep(60)
    elif word in ("slow", "deaf"):
        if word == "deaf":
            signal.signal(signal.SIGINT, signal.SIG_IGN)
        try:
            time.sleep(float(rest))
        except KeyboardInterrupt:
            raise SystemExit(130) from None
    elif word == "warn":
        sys.stderr.write("caid-triage: WARNING: it is spoken to without TLS\n")
    elif word in ("refuse", "linger") and "executor" in named:
        say(event="cluster-refused")
        if word == "linger":
            signal.signal(signal.SIGINT, signal.SIG_IGN)
            time.sleep(2)
        word = "code"
    elif word == "refuse" and rest == "7" and not (case / "killed").exists():
        (case / "killed").touch()
        os.kill(os.getpid(), signal.SIGKILL)
    code = int(rest) if word in ("code", "warn") else 0
    if code in (0, 3):
        (case / "case.db").touch()
    else:
        sys.stderr.write("caid-triage: it went wrong\na library says /home/suspect/secret.jpg\n")
    with (case.parent / "runs.jsonl").open("a") as runs:
        runs.write(json.dumps({"exhibit": named["exhibit"], "ended": time.monotonic()}) + "\n")
    say(event="finished", exit_code=code)
    raise SystemExit(code)


if __name__ == "__main__":
    main()
