"""Addresses of a cluster: which are of this machine, and with which the talk can be read by others."""

from __future__ import annotations

import ipaddress
from contextlib import suppress
from urllib.parse import urlsplit


def is_loopback(address: str) -> bool:
    """Whether an address of the kind ``tcp://host:port`` (or ``host:port``) is of this machine alone."""
    if address.startswith("inproc://"):
        return True
    host = urlsplit(address if "://" in address else f"tcp://{address}").hostname or ""
    with suppress(ValueError):
        return ipaddress.ip_address(host).is_loopback
    return host == "localhost"


def in_clear(address: str) -> bool:
    """Whether talk with an address can be read, and joined in, by others."""
    return not address.startswith("tls://") and not is_loopback(address)
