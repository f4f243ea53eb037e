"""Turning the loosely typed values of hash-set files into the fields of a Row, or into a plain reason why not."""

from __future__ import annotations

import base64
import binascii
from decimal import Decimal
from typing import Any

from caid_triage.hashset.algorithms import DIGEST_BYTES, PERCEPTUAL_BYTES, PHOTODNA_BYTES, digest_bytes, hash_bytes
from caid_triage.hashset.rows import Row

_TRUE = {"true", "1", "yes"}
_MAX_SIZE = 2**63 - 1
SHOWN_AS = {"md5": "MD5", "sha1": "SHA1", "sha256": "SHA256", "pdq": "PDQ", "phash": "pHash"}


class UnusableError(ValueError):
    """A value that makes its row unusable; the text is the reason, without the value."""


def set_hash(row: Row, algorithm: str, value: Any, quality: int | None = None) -> None:
    """Put a hash given as hexadecimal text into the row; empty or null leaves it absent."""
    if value is None or value == "":
        return
    if not isinstance(value, str):
        raise UnusableError(f"{SHOWN_AS[algorithm]} is not text")
    try:
        if algorithm in DIGEST_BYTES:
            digest = digest_bytes(value, algorithm)
        else:
            digest = hash_bytes(value, PERCEPTUAL_BYTES[algorithm])
    except ValueError as error:
        raise UnusableError(f"{SHOWN_AS[algorithm]} {error}") from None
    if algorithm == "pdq":
        row.pdq += ((digest, quality),)
    elif algorithm == "phash":
        row.phash += (digest,)
    elif getattr(row, algorithm) not in (None, digest):
        raise UnusableError(f"{SHOWN_AS[algorithm]} stands twice with different values")
    else:
        setattr(row, algorithm, digest)


def set_hash_by_length(row: Row, value: str) -> None:
    """Put a digest into the row whose kind only its length tells: 32, 40 or 64 digits; empty leaves it absent."""
    kinds = {2 * length: name for name, length in DIGEST_BYTES.items()}
    if value and len(value) not in kinds:
        raise UnusableError("hash has not 32, 40 or 64 digits")
    if value:
        set_hash(row, kinds[len(value)], value)


def photodna_bytes(value: Any) -> bytes | None:
    """The 144 bytes of a PhotoDNA hash in base64 (192 characters) or hexadecimal (288); None if it is neither."""
    if not isinstance(value, str):
        return None
    text = value.strip()
    try:
        if len(text) == 2 * PHOTODNA_BYTES:
            return binascii.unhexlify(text)
        decoded = base64.b64decode(text, validate=True)
    except ValueError:
        return None
    return decoded if len(decoded) == PHOTODNA_BYTES else None


def category_code(value: Any) -> str:
    """A category as text: null and "" are uncategorised, numbers keep their digits, nothing is interpreted."""
    if value is None:
        return ""
    if isinstance(value, str):
        return value.strip()
    if isinstance(value, bool) or not isinstance(value, (int, float, Decimal)):
        raise UnusableError("Category is neither a whole number nor text")
    return str(_whole(value))


def _whole(value: Any) -> Any:
    """A number such as 2.0 as 2: tables with gaps are exported so. Anything else as it is."""
    if isinstance(value, (float, Decimal)) and -_MAX_SIZE <= value <= _MAX_SIZE and value == int(value):
        return int(value)
    return value


def byte_size(value: Any) -> int | None:
    """A size in bytes from a number or its text; None where it is not stated."""
    if isinstance(value, str):
        value = value.strip()
    if value is None or value == "":
        return None
    if isinstance(value, str):
        if not value.removeprefix("-").isascii() or not value.removeprefix("-").isdigit() or len(value) > 20:
            raise UnusableError("size is not a whole number")
        value = int(value)
    value = _whole(value)
    if isinstance(value, bool) or not isinstance(value, int):
        raise UnusableError("size is not a whole number")
    if value < 0:
        raise UnusableError("size is negative")
    if value > _MAX_SIZE:
        raise UnusableError("size is too large to be a file's")
    return value


def quality_of(value: Any) -> int | None:
    """A PDQ quality 0..100 from a number or its text; None where it is not stated."""
    size = byte_size(value)
    if size is not None and size > 100:
        raise UnusableError("PDQ quality is above 100")
    return size


def is_true(value: Any) -> bool:
    """Whether a flag says yes: true, "true", 1, "yes" in any case; everything else does not."""
    return value is True or str(value).strip().lower() in _TRUE
