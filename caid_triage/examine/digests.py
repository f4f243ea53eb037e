"""MD5, SHA-1 and SHA-256 of a content in one read."""

from __future__ import annotations

import hashlib

from caid_triage.model import Digests


class Digesting:
    """Three digests that grow together while a content passes by."""

    def __init__(self) -> None:
        # These identify known material; they protect nothing, so MD5 and SHA-1 are in place.
        self._md5 = hashlib.md5(usedforsecurity=False)
        self._sha1 = hashlib.sha1(usedforsecurity=False)
        self._sha256 = hashlib.sha256(usedforsecurity=False)

    def update(self, chunk: bytes) -> None:
        """Take the next bytes of the content."""
        self._md5.update(chunk)
        self._sha1.update(chunk)
        self._sha256.update(chunk)

    def digests(self) -> Digests:
        """Return the digests of all bytes so far."""
        return Digests(md5=self._md5.digest(), sha1=self._sha1.digest(), sha256=self._sha256.digest())
