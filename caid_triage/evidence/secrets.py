"""What may unlock an encrypted volume: passwords, recovery keys and key files that the unit was given.

They come from a file of the examiner's, one a line, and go to the libraries that unlock and nowhere else: not into the
case, a report, a log or the text of an error.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from caid_triage.errors import UsageError
from caid_triage.evidence.faults import plain_reason

KINDS = ("password", "recovery-key", "key-file")
_RECOVERY_KEY = re.compile(r"\d{6}(-\d{6}){7}|[0-9A-Z]{4}(-[0-9A-Z]{4}){5}")
_LARGEST_KEY_FILE = 8 << 20  # what cryptsetup reads of one
_MOST_SECRETS = 1000  # each costs up to a second for every encrypted volume


@dataclass(frozen=True, slots=True)
class Secret:
    """One secret: its kind of :data:`KINDS`, and its text (of a key file: the file's path). Never shown."""

    kind: str
    value: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class Secrets:
    """The secrets of one scan, in the order of the file; each is tried on every encrypted volume."""

    items: tuple[Secret, ...] = ()

    def __len__(self) -> int:
        return len(self.items)

    def of(self, *kinds: str) -> Iterator[str]:
        """The values of these kinds, in order."""
        return (item.value for item in self.items if item.kind in kinds)


NO_SECRETS = Secrets()


def read_password_file(path: Path) -> Secrets:
    """The secrets of a file: UTF-8 text, one a line; empty lines do not count.

    A line may begin with its kind: ``password:``, ``recovery-key:`` or ``key-file:`` (then the path of the file, seen
    from the password file). Without one it is a password, and a recovery key too if it has the form of one. Only the
    line's end is taken off: blanks may belong to a password. Errors: UsageError, which never holds a secret.
    """
    try:
        text = path.read_text("utf-8-sig")
    except OSError as error:
        raise UsageError(f"the password file {path} could not be read: {plain_reason(error)}") from error
    except UnicodeDecodeError as error:
        raise UsageError(f"the password file {path} is not UTF-8 text (byte {error.start})") from None
    found: dict[Secret, None] = {}
    for number, line in enumerate(text.split("\n"), 1):
        line = line.removesuffix("\r")  # noqa: PLW2901 - the same line without what an editor of Windows adds
        if not line:
            continue
        kind, mark, rest = line.partition(":")
        if not mark or kind not in KINDS:
            found[Secret("password", line)] = None
            if _RECOVERY_KEY.fullmatch(line.strip()):
                found[Secret("recovery-key", line.strip())] = None
        elif not rest:
            raise UsageError(f"line {number} of the password file {path} says {kind}: and nothing behind it")
        elif kind == "key-file":
            found[Secret(kind, str(_key_file(path, number, rest)))] = None
        else:
            found[Secret(kind, rest if kind == "password" else rest.strip())] = None
    if not found:
        raise UsageError(f"the password file {path} holds no secret: write one a line")
    if len(found) > _MOST_SECRETS:
        raise UsageError(f"the password file {path} holds {len(found)} secrets; at most {_MOST_SECRETS} are tried")
    return Secrets(tuple(found))


def _key_file(path: Path, number: int, name: str) -> Path:
    """The key file that a line names. Errors: UsageError where it cannot be read or is no key."""
    file = path.parent / name.strip()
    try:
        size = file.stat().st_size
        with file.open("rb"):
            pass
    except OSError as error:
        raise UsageError(f"the key file of line {number} of {path} could not be read: {plain_reason(error)}") from None
    if not 0 < size <= _LARGEST_KEY_FILE:
        raise UsageError(f"the key file of line {number} of {path} has {size} bytes, which no key file has")
    return file
