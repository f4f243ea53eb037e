"""BitLocker, LUKS and Core Storage (FileVault): unlocked with the given secrets, or without any where none is needed.

A BitLocker volume whose protection is suspended (as new machines are delivered) carries its key in the clear, and a
Core Storage volume need not be encrypted: both are opened without a secret.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import islice
from operator import methodcaller
from typing import Any

import pybde
import pyfvde
import pyluksde

from caid_triage.evidence.faults import LIBRARY_ERRORS, plain_reason
from caid_triage.evidence.layers import luks
from caid_triage.evidence.layers.layer import UNLOCKED, Area, Child, Unwrapped
from caid_triage.evidence.layers.view import Run, view_of_library
from caid_triage.evidence.secrets import Secrets
from caid_triage.model import Problem, Severity

TO_GO = bytes.fromhex("3bd66749292ed84a8399f6a339e3d001")
_SECTOR = 512

Attempt = Callable[[Any], object]
"""Gives one secret to a libyal volume that is not open yet."""


def _nothing(_volume: Any) -> None:
    """Give no secret."""


def unwrap_bitlocker(area: Area, secrets: Secrets) -> Unwrapped | None:
    """The volume inside BitLocker or BitLocker To Go."""
    if area.head[3:11] == b"-FVE-FS-":
        name = "BitLocker"
    elif area.head[424:440] == TO_GO:
        name = "BitLocker To Go"
    else:
        return None

    def attempts() -> Iterator[tuple[str, Attempt]]:
        yield "without a secret: its protection is suspended", _nothing
        for text in secrets.of("recovery-key"):
            yield "with a recovery key", methodcaller("set_recovery_password", text)
        for path in secrets.of("key-file"):
            yield "with a startup key", methodcaller("read_startup_key", path)
        for text in secrets.of("password"):
            yield "with a password", methodcaller("set_password", text)

    opened = _first_open(area, pybde.volume, secrets.counted(area.name, attempts()))
    if opened is None:
        return _locked(area, name, secrets)
    volume, how, size = opened
    # sector n inside is sector n outside, but for the few that the lock itself uses
    view = view_of_library(area.image, volume, size, [Run(0, min(size, area.length), area.offset)])
    return _unlocked(area, name, how, Child("bde", f"the inside of a {name} volume", view))


def unwrap_luks(area: Area, secrets: Secrets) -> Unwrapped | None:
    """The volume inside LUKS, version 1 or 2."""
    if area.head[:6] != b"LUKS\xba\xbe":
        return None
    version = int.from_bytes(area.head[6:8], "big")
    name = f"LUKS{version}" if version in (1, 2) else "LUKS"
    if not len(secrets) or version not in (1, 2):
        return _locked(area, name, secrets)

    def passphrases() -> Iterator[tuple[str, bytes]]:
        for path in secrets.of("key-file"):
            content = _bytes_of_key(path)
            if content is not None:
                yield "with a key file", content
        for text in secrets.of("password"):
            yield "with a password", text.encode("utf-8")

    try:
        opened = luks.unlock(area.read, area.length, secrets.counted(area.name, passphrases()))
    except luks.TooMuchWork as error:
        return _locked(area, name, secrets, f"; {error}")
    except luks.NotUnlocked as error:
        if version == 1:
            return _unwrap_luks_by_library(area, name, secrets)
        return _locked(area, name, secrets, f"; no secret could be tried: {error}")
    except LIBRARY_ERRORS as error:
        return _locked(area, name, secrets, f"; its header could not be read: {plain_reason(error)[:200]}")
    if opened is None:
        return _locked(area, name, secrets)
    inside, how = opened
    view = view_of_library(area.image, inside, inside.size, [Run(0, inside.size, area.offset + inside.start)])
    return _unlocked(area, name, how, Child("luks", f"the inside of a {name} volume", view), inside.start)


def _unwrap_luks_by_library(area: Area, name: str, secrets: Secrets) -> Unwrapped:
    """LUKS1 with libluksde: ciphers other than AES, or an installation without the package cryptography."""

    def attempts() -> Iterator[tuple[str, Attempt]]:
        for path in secrets.of("key-file"):
            text = _text_of_key(path)
            if text is not None:
                yield "with a key file", methodcaller("set_password", text)
        for text in secrets.of("password"):
            yield "with a password", methodcaller("set_password", text)

    try:
        within = luks.affordable_of_version_1(area.read(0, luks.VERSION_1_HEADER))
    except luks.NotUnlocked as error:
        return _locked(area, name, secrets, f"; no secret could be tried: {error}")
    given = islice(secrets.counted(area.name, attempts()), within)
    opened = _first_open(area, pyluksde.volume, given)
    if opened is None and within < len(secrets):
        return _locked(area, name, secrets, f"; {luks.TooMuchWork(within)}")
    if opened is None:
        return _locked(area, name, secrets)
    volume, how, size = opened
    start = int.from_bytes(area.head[104:108], "big") * _SECTOR
    size = min(size, area.length - start)
    view = view_of_library(area.image, volume, size, [Run(0, size, area.offset + start)])
    return _unlocked(area, name, how, Child("luks", f"the inside of a {name} volume", view), start)


def _bytes_of_key(path: str) -> bytes | None:
    try:
        with open(path, "rb") as file:  # noqa: PTH123 - a path of the examiner's, kept as text with the secrets
            return file.read()
    except OSError:
        return None


def _text_of_key(path: str) -> str | None:
    """A key file's bytes as libluksde takes a passphrase; None for one that it cannot take (no UTF-8, a zero byte)."""
    content = _bytes_of_key(path)
    try:
        text = None if content is None else content.decode("utf-8")
    except UnicodeDecodeError:
        return None
    return None if text is None or "\0" in text else text


def _first_open(
    area: Area, new: Callable[[], Any], attempts: Iterator[tuple[str, Attempt]]
) -> tuple[Any, str, int] | None:
    """The volume as the first attempt that fits opened it, how, and its size; None when none does."""
    for how, give in attempts:
        volume = new()
        try:
            give(volume)
            volume.open_file_object(area.file())
            if not volume.is_locked():
                size = int(volume.get_size())
                if size > 0 and volume.read_buffer_at_offset(min(size, _SECTOR), 0):
                    return volume, how, size
        except (*LIBRARY_ERRORS, MemoryError):
            continue  # a wrong secret and a damaged header look alike: both leave the volume locked
    return None


def locked_problem(where: str, name: str, secrets: Secrets, more: str = "") -> Problem:
    """The Problem of the volume ``where``, encrypted by ``name``, that no given secret opens; ``more`` says why."""
    tried = f"; none of the {len(secrets)} given secrets opens it" if len(secrets) and not more else more
    detail = f"this volume is encrypted ({name}): none of its files could be examined without its key{tried}"
    return Problem("open", "volume-encrypted", detail, volume=where)


def unlocked_problem(where: str, name: str, how: str) -> Problem:
    """The note that the encrypted volume ``where`` was unlocked, and how."""
    detail = f"this volume is encrypted ({name}) and was unlocked {how}; what is in it was examined"
    return Problem("open", "volume-unlocked", detail, Severity.NOTE, volume=where)


def _locked(area: Area, name: str, secrets: Secrets, more: str = "") -> Unwrapped:
    return Unwrapped(name.partition(",")[0], "encrypted", problems=(locked_problem(area.name, name, secrets, more),))


def _unlocked(area: Area, name: str, how: str, child: Child, header: int = 0) -> Unwrapped:
    problem = unlocked_problem(area.name, name, how)
    return Unwrapped(name, UNLOCKED, (child,), (problem,), ((area.offset, header, "partition_table"),))


# ---------------------------------------------------------------- Core Storage


def unwrap_core_storage(area: Area, secrets: Secrets) -> Unwrapped | None:
    """The logical volumes of an Apple Core Storage volume group on one physical volume."""
    if area.head[88:92] != b"CS\x01\x00":
        return None
    name = "Apple Core Storage"
    try:
        volume = pyfvde.volume()
        volume.open_file_object(area.file())
        if hasattr(volume, "open_physical_volume_files_as_file_objects"):
            volume.open_physical_volume_files_as_file_objects([area.file()])
        group = volume.get_volume_group()
        logical = [group.get_logical_volume(index) for index in range(int(group.get_number_of_logical_volumes()))]
    except LIBRARY_ERRORS as error:
        return _locked(area, f"{name}, FileVault 2 lives in it", secrets, f" ({plain_reason(error)[:200]})")
    children = []
    for number, one in enumerate(logical, 1):
        child, how = _core_storage_child(area, volume, one, number, secrets)
        children.append(child)
    if not children or all(child.content is None for child in children):
        return _locked(area, f"{name}, FileVault 2 lives in it", secrets)
    detail = f"this volume is {name}; of its {len(children)} logical volumes "
    detail += f"{sum(child.content is not None for child in children)} could be opened, {how or 'none with a secret'}"
    note = Problem("open", "volume-unlocked", detail, Severity.NOTE, volume=area.name)
    return Unwrapped(name, UNLOCKED, tuple(children), (note,))


def _core_storage_child(area: Area, volume: Any, one: Any, number: int, secrets: Secrets) -> tuple[Child, str]:
    title = f"logical volume {number} ({name_of(one)}) of an Apple Core Storage group"
    how = ""
    try:
        if one.is_locked():
            how = unlock(one, secrets, f"{area.name}/lv{number}")
        if not one.is_locked():
            size = int(one.get_size())
            view = view_of_library(area.image, one, size, keep=volume)
            return Child(f"lv{number}", title, view), how
    except LIBRARY_ERRORS:
        pass  # then it stays locked
    detail = "this logical volume of Apple Core Storage is encrypted (FileVault): none of its files could be examined"
    problem = Problem("open", "volume-encrypted", detail, volume=f"{area.name}/lv{number}")
    return Child(f"lv{number}", title, None, "encrypted", problems=(problem,)), how


def name_of(volume: Any) -> str:
    """The name that a libyal volume has, or "unnamed"."""
    try:
        return str(volume.get_name() or "unnamed")
    except LIBRARY_ERRORS:
        return "unnamed"


def unlock(volume: Any, secrets: Secrets, where: str) -> str:
    """Try the passwords and recovery keys on a libyal volume of Apple's; how it was unlocked, "" where it was not."""
    attempts = [("with a password", volume.set_password, text) for text in secrets.of("password")]
    attempts += [("with a recovery key", volume.set_recovery_password, text) for text in secrets.of("recovery-key")]
    return next((how for how, give, text in secrets.counted(where, attempts) if _tried(volume, give, text)), "")


def _tried(volume: Any, give: Callable[[str], object], text: str) -> bool:
    try:
        give(text)
        volume.unlock()
        return not volume.is_locked()
    except LIBRARY_ERRORS:
        return False
