"""The ordered list of logical images: how each is recognised by its first 512 bytes, and how it is opened."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from caid_triage.evidence.logical.ad1 import is_ad1, open_ad1
from caid_triage.evidence.logical.image import LogicalImage
from caid_triage.evidence.logical.l01 import is_l01, is_lx01, open_l01, open_lx01

Open = Callable[[Path], LogicalImage]

LOGICAL_IMAGES: tuple[tuple[Callable[[bytes], bool], Open], ...] = (
    (is_l01, open_l01),
    (is_lx01, open_lx01),
    (is_ad1, open_ad1),
)


def logical_opener_of(head: bytes) -> Open | None:
    """How to open a file that begins with these bytes, or None when it is no logical image."""
    return next((opened for recognised, opened in LOGICAL_IMAGES if recognised(head)), None)
