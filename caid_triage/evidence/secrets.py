"""What may unlock an encrypted volume: passwords, recovery keys and key files that the unit was given.

They come from a file of the examiner's, one a line, and go to the libraries that unlock and nowhere else: not into the
case, a report, a log or the text of an error.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

from caid_triage.errors import UsageError
from caid_triage.evidence.faults import plain_reason

KINDS = ("password", "recovery-key", "key-file")
_BETWEEN = r"[\s\-\u2010-\u2015\u2212]"  # what stands between the groups of a recovery key, as people type it
_BITLOCKER_KEY = re.compile(rf"(\d{{6}}{_BETWEEN}*){{7}}\d{{6}}")
_FILEVAULT_KEY = re.compile(rf"([0-9A-Za-z]{{4}}{_BETWEEN}+){{5}}[0-9A-Za-z]{{4}}")
_FILEVAULT_JOINED = re.compile(r"[0-9A-Za-z]{24}")
_LARGEST_KEY_FILE = 8 << 20  # what cryptsetup reads of one
_MOST_LINES = 1000  # each costs up to seconds for every encrypted volume
_T = TypeVar("_T")

Told = Callable[[str, int, int], None]
"""Called as secrets are tried: the volume's name, how many were tried on it, how many there are."""


def _nobody(_volume: str, _tried: int, _all: int) -> None:
    """Tell nobody."""


@dataclass(frozen=True, slots=True)
class Secret:
    """One secret: its kind of :data:`KINDS`, and its text (of a key file: the file's path). Never shown."""

    kind: str
    value: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class Secrets:
    """The secrets of one scan, in the order of the file; each is tried on every encrypted volume.

    ``told`` hears how far that is.
    """

    items: tuple[Secret, ...] = ()
    told: Told = field(default=_nobody, repr=False, compare=False)

    def __len__(self) -> int:
        return len(self.items)

    def of(self, *kinds: str) -> Iterator[str]:
        """The values of these kinds, in order."""
        return (item.value for item in self.items if item.kind in kinds)

    def counted(self, volume: str, attempts: Iterable[_T]) -> Iterator[_T]:
        """The attempts on a volume, telling before each how many were made."""
        for number, attempt in enumerate(attempts):
            self.told(volume, number, len(self))
            yield attempt


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
    lines = 0
    for number, line in enumerate(text.split("\n"), 1):
        line = line.removesuffix("\r")  # noqa: PLW2901 - the same line without what an editor of Windows adds
        if not line:
            continue
        lines += 1
        kind, mark, rest = line.partition(":")
        if not mark or kind not in KINDS:
            found[Secret("password", line)] = None
            key = recovery_key(line)
            if key is not None:
                found[Secret("recovery-key", key)] = None
        elif not rest:
            raise UsageError(f"line {number} of the password file {path} says {kind}: and nothing behind it")
        elif kind == "key-file":
            found[Secret(kind, str(_key_file(path, number, rest)))] = None
        elif kind == "password":
            found[Secret(kind, rest)] = None
        else:
            found[Secret(kind, recovery_key(rest, joined=True) or rest.strip())] = None
    if not found:
        raise UsageError(f"the password file {path} holds no secret: write one a line")
    if lines > _MOST_LINES:
        raise UsageError(f"the password file {path} holds {lines} secrets; at most {_MOST_LINES} are tried")
    return Secrets(tuple(found))


def recovery_key(text: str, *, joined: bool = False) -> str | None:
    """A recovery key as the libraries want it, however it was typed; None for what has no such form.

    BitLocker's is 8 groups of 6 digits; FileVault's 6 groups of 4 letters and digits, which without anything between
    them (``joined``) is taken for one only where the line says so: it may as well be a password.
    """
    text = text.strip()
    plain = re.sub(_BETWEEN, "", text)
    if _BITLOCKER_KEY.fullmatch(text):
        return "-".join(plain[at : at + 6] for at in range(0, 48, 6))
    if _FILEVAULT_KEY.fullmatch(text) or (joined and _FILEVAULT_JOINED.fullmatch(text)):
        return "-".join(plain[at : at + 4] for at in range(0, 24, 4)).upper()
    return None


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
