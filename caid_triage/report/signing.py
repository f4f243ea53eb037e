"""A detached signature over the manifest of the reports, with a key of the unit's.

Ed25519 (RFC 8032) over the bytes of MANIFEST.sha256; the signature is its 64 bytes. The manifest holds the digest of
every report, and summary.json the head of the audit chain, so one signature covers all of it. OpenSSL makes the key and
checks the signature without this program (docs/guide/verifying.md).
"""

from __future__ import annotations

import hashlib
from pathlib import Path

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    PublicFormat,
    load_pem_private_key,
    load_pem_public_key,
)

from caid_triage.errors import UsageError
from caid_triage.report.manifest import MANIFEST, SIGNATURE

MAKE_ONE = "make one with: openssl genpkey -algorithm ed25519 -aes256 -out unit-key.pem"


class PasswordNeededError(UsageError):
    """The key is protected, and no password or a wrong one was given."""


def read_private_key(path: Path, password: bytes | None = None) -> Ed25519PrivateKey:
    """The unit's private key from a PEM file (PKCS 8), with its password if it has one. UsageError: it is none."""
    content = _content(path)
    try:
        key = load_pem_private_key(content, password)
    except TypeError as fault:  # a password is needed, or one was given for a key without
        if password is not None:
            return read_private_key(path)
        raise PasswordNeededError(
            f"the key {path} is protected: give its password with --sign-password-file"
        ) from fault
    except (ValueError, UnsupportedAlgorithm) as fault:
        if b"ENCRYPTED" in content and password is not None:
            raise PasswordNeededError(f"the key {path} cannot be opened with this password") from fault
        raise UsageError(f"{path} is no private key in PEM; {MAKE_ONE}") from fault
    if not isinstance(key, Ed25519PrivateKey):
        raise UsageError(f"{path} is a key of another kind, not Ed25519; {MAKE_ONE}")
    return key


def read_public_key(path: Path) -> Ed25519PublicKey:
    """The unit's public key from a PEM file. UsageError: it is none."""
    try:
        key = load_pem_public_key(_content(path))
    except (ValueError, UnsupportedAlgorithm) as fault:
        message = (
            f"{path} is no public key in PEM; make it with: openssl pkey -in unit-key.pem -pubout -out unit.pub.pem"
        )
        raise UsageError(message) from fault
    if not isinstance(key, Ed25519PublicKey):
        raise UsageError(f"{path} is a key of another kind, not Ed25519")
    return key


def _content(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as fault:
        raise UsageError(f"the key {path} cannot be read: {fault.strerror or fault}") from fault


def fingerprint(key: Ed25519PublicKey) -> str:
    """The SHA-256 of a public key (SubjectPublicKeyInfo, DER), as ``openssl pkey -pubin -outform DER`` gives it."""
    return hashlib.sha256(key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)).hexdigest()


def signature_of(manifest: bytes, key: Ed25519PrivateKey) -> bytes:
    """The 64 bytes of the signature over a manifest."""
    return key.sign(manifest)


def signature_fault(folder: Path, key: Ed25519PublicKey) -> str:
    """Why the manifest in a folder is not signed with this key, as the end of a sentence; "" where it is."""
    signature = folder / SIGNATURE
    return content_fault((folder / MANIFEST).read_bytes(), signature.read_bytes() if signature.is_file() else None, key)


def content_fault(manifest: bytes, signature: bytes | None, key: Ed25519PublicKey) -> str:
    """What :func:`signature_fault` says, of the bytes of a manifest and of its signature (None: there is none)."""
    if signature is None:
        return f"is missing: {MANIFEST} is not signed"
    try:
        key.verify(signature, manifest)
    except InvalidSignature:
        return f"is no signature of {MANIFEST} with that key (SHA-256 of the key {fingerprint(key)})"
    return ""
