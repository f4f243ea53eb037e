"""Who runs the program and where, as configured: what an audit line says of it.

A unit sets ``CAID_TRIAGE_EXAMINER`` (or gives ``--examiner``) and ``CAID_TRIAGE_HOST``. Without them it is the login
name and the computer's name; one that is set to nothing is not recorded. Neither stands in a report, but the examiner
as given, whom the documents of a case name (cli/stated.py).
"""

from __future__ import annotations

import os

EXAMINER, HOST = "CAID_TRIAGE_EXAMINER", "CAID_TRIAGE_HOST"
MOST_LETTERS = 200


def actor(examiner: str | None = None) -> dict[str, str]:
    """``user`` and ``host`` for an audit line, each only where it is known and wanted. ``examiner``: as given."""
    import platform  # noqa: PLC0415 - scripts that only ask for names need neither

    given = os.environ.get(EXAMINER) if examiner is None else examiner
    host = os.environ.get(HOST)
    said = {"user": _login() if given is None else given, "host": platform.node() if host is None else host}
    return {word: fit for word, value in said.items() if (fit := _fit(value))}


def _login() -> str:
    import getpass  # noqa: PLC0415

    try:
        return getpass.getuser()
    except (KeyError, OSError):  # a user that has no entry in the system's list, as in some containers
        return ""


def _fit(value: str) -> str:
    """One printable line: what is no printable character becomes a backslash escape."""
    return "".join(letter if letter.isprintable() else ascii(letter)[1:-1] for letter in value.strip())[:MOST_LETTERS]
