"""LUKS1 and LUKS2: their headers, their key slots (PBKDF2 and Argon2), and the sectors inside.

libluksde reads no LUKS2 and takes no key file of any bytes; it is still asked about the ciphers of LUKS1 that are
missing here. The layouts are those of "LUKS1 On-Disk Format Specification" 1.2.3 and "LUKS2 On-Disk Format
Specification" 1.1.1; a LUKS1 header is put into the words of a LUKS2 one, so that there is one way to go. The ciphers
and Argon2 are those of the package ``cryptography``; without it a volume of LUKS2 stays locked and says why. A header
decides how much memory and time a try takes, so both are bounded.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import struct
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np

from caid_triage.evidence.layers.view import ReadAt

argon2: Any
try:
    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
    from cryptography.hazmat.primitives.kdf import argon2 as _argon2

    argon2 = _argon2
except ImportError:  # an installation without it, or with one that is too old for Argon2
    argon2 = None

_BINARY = 4096
_HEADER_SUMS = ("sha1", "sha256", "sha512")
VERSION_1_HEADER = 592
_SLOT_IN_USE = 0x00AC71F3
_HEADER_SIZES = tuple(16384 << n for n in range(9))
_SECTOR = 512
_MANY = 48  # sectors from which on all at once is quicker than one by one
_AT_ONCE = 1 << 18  # bytes that stay in the processor's cache
_MOST_SLOTS = 32
_LONGEST_KEY = 128
_MOST_STRIPES = 8000
_MOST_MEMORY = 4 << 20  # KiB: what cryptsetup allows
_MOST_WORK = 64 << 20  # KiB times passes: about a minute
_MOST_ITERATIONS = 50_000_000
_MOST_WORK_OF_ALL = 5000.0  # GiB times passes of Argon2, of all tries on a volume together: about two hours
_ITERATIONS_LIKE_A_GIB = 2_500_000  # of PBKDF2, measured


class NotUnlocked(Exception):  # noqa: N818 - a fact about the volume, told in a Problem
    """Why a volume cannot be unlocked whatever the secret is."""


class TooMuchWork(NotUnlocked):
    """That only the first so many secrets were tried."""

    def __init__(self, tried: int) -> None:
        super().__init__(
            f"only the first {tried} secrets were tried on it, and none opens it: its key slots ask for so much work "
            f"that more would take hours. Put the likely ones first, or fewer into the file"
        )


@dataclass(frozen=True, slots=True)
class Inside:
    """An unlocked volume: ``size`` bytes whose first lies at ``start`` of the volume, read by ``read``."""

    read_area: ReadAt
    key: bytes
    cipher: str
    start: int
    size: int
    sector: int
    tweak: int

    def read_buffer_at_offset(self, length: int, offset: int) -> bytes:
        """The bytes at ``offset``, decrypted; named as libyal names it."""
        length = min(length, self.size - offset)
        if length <= 0:
            return b""
        first = offset // self.sector * self.sector
        whole = -(-(offset + length - first) // self.sector) * self.sector
        data = self.read_area(self.start + first, whole)
        data = data[: len(data) // self.sector * self.sector]
        plain = decrypted(self.cipher, self.key, data, self.tweak + first // _SECTOR, self.sector)
        return plain[offset - first : offset - first + length]


def unlock(read: ReadAt, length: int, passphrases: Iterable[tuple[str, bytes]]) -> tuple[Inside, str] | None:
    """The inside of a volume of ``length`` bytes and how the first passphrase that fits was given; None if none fits.

    Errors: NotUnlocked; those of reading.
    """
    header = _version_1(read(0, VERSION_1_HEADER)) if read(6, 2) == b"\0\1" else _header(read)
    if argon2 is None:
        raise NotUnlocked("unlocking LUKS needs the Python package cryptography, which is not installed")
    try:
        segment = _segment(header, length)
        slots = [slot for _, slot in sorted(header["keyslots"].items())][:_MOST_SLOTS]
        digests = list(header["digests"].values())
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise NotUnlocked("its header is damaged") from error
    usable, refused = [], ""
    for slot in slots:
        try:
            _check(slot)
            usable.append(slot)
        except NotUnlocked as error:
            refused = str(error)
        except (KeyError, TypeError, ValueError, AttributeError):
            refused = "a key slot is damaged"
    if not usable:
        raise NotUnlocked(refused or "it has no key slot")
    try:
        most = affordable(usable, digests)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise NotUnlocked("its header is damaged") from error
    for number, (how, passphrase) in enumerate(passphrases):
        if number >= most:
            raise TooMuchWork(number)
        for slot in usable:
            try:
                key = _volume_key(read, slot, passphrase)
                if any(_fits(digest, key) for digest in digests):
                    return Inside(read, key, *segment), how
            except (KeyError, TypeError, ValueError, AttributeError, MemoryError, UnsupportedAlgorithm):
                continue
    return None


def affordable(slots: Iterable[dict[str, Any]], digests: Iterable[dict[str, Any]]) -> int:
    """How many secrets may be tried on these key slots, at least one: the work is bounded, not the time.

    So the outcome does not depend on the machine. Errors: those of a damaged header.
    """
    checks = sum(digest["iterations"] for digest in digests if digest["type"] == "pbkdf2")
    each = 0.0
    for kdf in (slot["kdf"] for slot in slots):
        argon = kdf["type"] != "pbkdf2"
        each += kdf["memory"] * kdf["time"] / (1 << 20) if argon else kdf["iterations"] / _ITERATIONS_LIKE_A_GIB
        each += checks / _ITERATIONS_LIKE_A_GIB
    return max(1, int(_MOST_WORK_OF_ALL / each)) if each > 0 else 1 << 30


def affordable_of_version_1(binary: bytes) -> int:
    """The same of a LUKS1 header. Errors: NotUnlocked when it is damaged or one try would take very long."""
    header = _version_1(binary)
    slots, digests = list(header["keyslots"].values()), list(header["digests"].values())
    if any(one["iterations"] > _MOST_ITERATIONS for one in (*digests, *(slot["kdf"] for slot in slots))):
        raise NotUnlocked("a key slot asks for more work than is done for one try")
    return affordable(slots, digests)


def _version_1(binary: bytes) -> dict[str, Any]:
    """A LUKS1 header in the words of a LUKS2 one (specification 1.2.3, figures 1 to 3). Errors: NotUnlocked."""
    if len(binary) < VERSION_1_HEADER:
        raise NotUnlocked("its header ends early")
    cipher, mode, name = (binary[at : at + 32].rstrip(b"\0").decode("ascii", "replace") for at in (8, 40, 72))
    payload, key_size = struct.unpack_from(">II", binary, 104)
    digest, salt, iterations = binary[112:132], binary[132:164], int.from_bytes(binary[164:168], "big")
    encryption = f"{cipher}-{mode}"
    slots = {}
    for place in range(8):
        used, rounds, slot_salt, at, stripes = struct.unpack_from(">II32sII", binary, 208 + 48 * place)
        if used == _SLOT_IN_USE:
            slots[str(place)] = {
                "key_size": key_size,
                "af": {"type": "luks1", "stripes": stripes, "hash": name},
                "area": {"offset": at * _SECTOR, "encryption": encryption, "key_size": key_size},
                "kdf": {"type": "pbkdf2", "hash": name, "iterations": rounds, "salt": base64.b64encode(slot_salt)},
            }
    return {
        "keyslots": slots,
        "segments": {
            "0": {"type": "crypt", "offset": payload * _SECTOR, "size": "dynamic", "encryption": encryption,
                  "sector_size": _SECTOR},
        },
        "digests": {
            "0": {"type": "pbkdf2", "hash": name, "iterations": iterations, "salt": base64.b64encode(salt),
                  "digest": base64.b64encode(digest)},
        },
    }  # fmt: skip


def _header(read: ReadAt) -> dict[str, Any]:
    """The text of the first of the two headers whose checksum is right. Errors: NotUnlocked."""
    for at in (0, *_HEADER_SIZES):
        binary = read(at, _BINARY)
        mark = b"LUKS\xba\xbe" if at == 0 else b"SKUL\xba\xbe"
        if len(binary) < _BINARY or binary[:8] != mark + b"\0\2":
            continue
        size = int.from_bytes(binary[8:16], "big")
        name = binary[72:104].rstrip(b"\0").decode("ascii", "replace")
        if size not in _HEADER_SIZES or name not in _HEADER_SUMS:
            continue
        text = read(at + _BINARY, size - _BINARY)
        digest = hashlib.new(name, binary[:448] + bytes(64) + binary[512:] + text).digest()
        if binary[448 : 448 + len(digest)] == digest:
            try:
                found = json.loads(text.rstrip(b"\0"))
            except (ValueError, RecursionError):
                continue
            if isinstance(found, dict):
                return found
    raise NotUnlocked("neither of its headers agrees with its checksum")


def _segment(header: dict[str, Any], length: int) -> tuple[str, int, int, int, int]:
    """The cipher, first byte, bytes, sector size and first tweak of the one encrypted segment. Errors: NotUnlocked."""
    segments = [one for one in header["segments"].values() if "backup" not in str(one.get("flags", ""))]
    if len(segments) != 1 or segments[0]["type"] != "crypt" or "integrity" in segments[0]:
        raise NotUnlocked("it is being encrypted anew, or keeps checksums of its sectors, which is not supported")
    one = segments[0]
    start, sector = int(one["offset"]), int(one["sector_size"])
    size = length - start if one["size"] == "dynamic" else min(int(one["size"]), length - start)
    tweak = int(one.get("iv_tweak", 0))
    if sector not in (512, 1024, 2048, 4096) or start < 0 or size <= 0 or not 0 <= tweak < 1 << 62:
        raise NotUnlocked("its header is damaged")
    _check_cipher(one["encryption"])
    return one["encryption"], start, size // sector * sector, sector, tweak


def _check_cipher(name: str) -> None:
    if name not in ("aes-xts-plain64", "aes-cbc-plain64", "aes-cbc-essiv:sha256", "aes-cbc-plain"):
        raise NotUnlocked(f"its cipher {name!r} is not supported")


def _check(slot: dict[str, Any]) -> None:
    """Refuse a key slot that is of another kind or that would cost more than a minute. Errors: NotUnlocked ..."""
    kdf, area, af = slot["kdf"], slot["area"], slot["af"]
    _check_cipher(area["encryption"])
    if af["type"] != "luks1" or not 0 < af["stripes"] <= _MOST_STRIPES or not 0 < slot["key_size"] <= _LONGEST_KEY:
        raise NotUnlocked("a key slot is of a kind that is not supported")
    if not 0 < area["key_size"] <= _LONGEST_KEY or int(area["offset"]) < 0:
        raise NotUnlocked("a key slot is damaged")
    if kdf["type"] == "pbkdf2":
        if not 0 < kdf["iterations"] <= _MOST_ITERATIONS:
            raise NotUnlocked("a key slot asks for more work than is done for one try")
    elif kdf["type"] in ("argon2i", "argon2id"):
        if not 0 < kdf["memory"] <= _MOST_MEMORY or not 0 < kdf["memory"] * kdf["time"] <= _MOST_WORK:
            raise NotUnlocked("a key slot asks for more memory or work than is spent on one try")
    else:
        raise NotUnlocked(f"its key derivation {kdf['type']!r} is not supported")


def _volume_key(read: ReadAt, slot: dict[str, Any], passphrase: bytes) -> bytes:
    """What a key slot gives with a passphrase; noise where that is wrong. Errors: those of a damaged slot."""
    kdf, area, af = slot["kdf"], slot["area"], slot["af"]
    salt, wanted = base64.b64decode(kdf["salt"]), int(area["key_size"])
    if kdf["type"] == "pbkdf2":
        key = hashlib.pbkdf2_hmac(kdf["hash"], passphrase, salt, kdf["iterations"], wanted)
    else:
        kind = argon2.Argon2id if kdf["type"] == "argon2id" else argon2.Argon2i
        key = kind(
            salt=salt, length=wanted, iterations=kdf["time"], lanes=kdf["cpus"], memory_cost=kdf["memory"]
        ).derive(passphrase)
    size, stripes = int(slot["key_size"]), int(af["stripes"])
    length = -(-size * stripes // _SECTOR) * _SECTOR
    split = decrypted(area["encryption"], key, read(int(area["offset"]), length), 0, _SECTOR)
    return merged(split[: size * stripes], size, stripes, af["hash"])


def merged(split: bytes, size: int, stripes: int, name: str) -> bytes:
    """A key put together from its stripes (LUKS1 specification 1.2.3, section 2.4). Errors: ValueError."""
    if len(split) < size * stripes:
        raise ValueError("the stripes of the key end early")
    mixed = bytes(size)
    for place in range(stripes):
        stripe = split[place * size : (place + 1) * size]
        mixed = (int.from_bytes(mixed, "big") ^ int.from_bytes(stripe, "big")).to_bytes(size, "big")
        if place < stripes - 1:
            width = hashlib.new(name).digest_size
            parts = (
                hashlib.new(name, number.to_bytes(4, "big") + mixed[at : at + width]).digest()[: size - at]
                for number, at in enumerate(range(0, size, width))
            )
            mixed = b"".join(parts)
    return mixed


def _fits(digest: dict[str, Any], key: bytes) -> bool:
    if digest["type"] != "pbkdf2" or not 0 < digest["iterations"] <= _MOST_ITERATIONS:
        return False
    wanted = base64.b64decode(digest["digest"])
    salt = base64.b64decode(digest["salt"])
    found = hashlib.pbkdf2_hmac(digest["hash"], key, salt, digest["iterations"], len(wanted))
    return hmac.compare_digest(found, wanted)


def decrypted(cipher: str, key: bytes, data: bytes, first: int, sector: int) -> bytes:
    """Whole sectors decrypted; ``first`` is the number of the first, in units of 512 bytes as dm-crypt counts them."""
    if len(data) < _MANY * sector or (sector > _SECTOR and "xts" in cipher):  # as quick or quicker
        return decrypted_one_by_one(cipher, key, data, first, sector)
    part, step = _AT_ONCE // sector * sector, _AT_ONCE // sector * (sector // _SECTOR)
    return b"".join(
        decrypted_at_once(cipher, key, data[at : at + part], first + at // part * step, sector)
        for at in range(0, len(data), part)
    )


def decrypted_one_by_one(cipher: str, key: bytes, data: bytes, first: int, sector: int) -> bytes:
    """The same by the library's own modes, which want to be made anew for every sector."""
    step = sector // _SECTOR
    if cipher.endswith("essiv:sha256"):
        salted = Cipher(algorithms.AES(hashlib.sha256(key).digest()), modes.ECB())  # noqa: S305 - as ESSIV is defined
    out = []
    aes = algorithms.AES(key)
    for place in range(len(data) // sector):
        tweak = (first + place * step).to_bytes(16, "little")
        if cipher == "aes-xts-plain64":
            mode: Any = modes.XTS(tweak)
        elif cipher == "aes-cbc-plain":
            mode = modes.CBC(tweak[:4] + bytes(12))
        elif cipher == "aes-cbc-plain64":
            mode = modes.CBC(tweak)
        else:
            mode = modes.CBC(salted.encryptor().update(tweak))
        out.append(Cipher(aes, mode).decryptor().update(data[place * sector : (place + 1) * sector]))
    return b"".join(out)


def decrypted_at_once(cipher: str, key: bytes, data: bytes, first: int, sector: int) -> bytes:
    """The same with the block cipher over all sectors in one call, and what XTS and CBC add to it in NumPy.

    XTS (IEEE 1619): each block is masked before and after with the sector's encrypted number times x to the power of
    the block's place, in GF(2^128). CBC: each block is masked after with the encrypted block before it.
    """
    count = len(data) // sector
    numbers = np.zeros((count, 2), dtype="<u8")
    numbers[:, 0] = np.uint64(first) + np.arange(count, dtype="<u8") * np.uint64(sector // _SECTOR)
    blocks = np.frombuffer(data, dtype="<u8", count=count * sector // 8).reshape(count, sector // 16, 2)
    masks = np.empty_like(blocks)
    if cipher == "aes-xts-plain64":
        half = len(key) // 2
        masks[:, 0] = _each_block(key[half:], numbers, decrypt=False)
        for place in range(1, blocks.shape[1]):
            low, high = masks[:, place - 1, 0], masks[:, place - 1, 1]
            masks[:, place, 0] = low << np.uint64(1) ^ (high >> np.uint64(63)) * np.uint64(0x87)
            masks[:, place, 1] = high << np.uint64(1) | low >> np.uint64(63)
        return (_each_block(key[:half], blocks ^ masks, decrypt=True) ^ masks).tobytes()
    if cipher == "aes-cbc-plain":
        numbers[:, 0] &= np.uint64(0xFFFFFFFF)
    elif cipher != "aes-cbc-plain64":
        numbers = _each_block(hashlib.sha256(key).digest(), numbers, decrypt=False)
    masks[:, 0], masks[:, 1:] = numbers, blocks[:, :-1]
    return (_each_block(key, blocks, decrypt=True) ^ masks).tobytes()


def _each_block(key: bytes, blocks: np.ndarray, *, decrypt: bool) -> np.ndarray:
    """AES over blocks that know nothing of each other, in an array of the same shape."""
    one_by_one = Cipher(algorithms.AES(key), modes.ECB())  # noqa: S305 - the modes are made of it
    context = one_by_one.decryptor() if decrypt else one_by_one.encryptor()
    return np.frombuffer(context.update(blocks.tobytes()), dtype="<u8").reshape(blocks.shape)
