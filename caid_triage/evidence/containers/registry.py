"""The ordered list of containers: how each is recognised by its first and last 512 bytes, and how it is opened."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from caid_triage.evidence.containers.aff4 import is_aff4, open_aff4
from caid_triage.evidence.containers.dmg import is_dmg, is_sparse_image, open_dmg, open_sparse_image
from caid_triage.evidence.containers.ex01 import is_ex01, open_ex01
from caid_triage.evidence.containers.qcow2 import is_qcow2, open_qcow2
from caid_triage.evidence.containers.reader import OpenContainer
from caid_triage.evidence.containers.vdi import is_vdi, open_vdi
from caid_triage.evidence.containers.vhd import is_vhd, open_vhd
from caid_triage.evidence.containers.vhdx import is_vhdx, open_vhdx
from caid_triage.evidence.containers.vmdk import is_vmdk, open_vmdk

Recognise = Callable[[bytes, bytes], bool]
Open = Callable[[Path], OpenContainer]

CONTAINERS: tuple[tuple[Recognise, Open], ...] = (
    (is_vmdk, open_vmdk),
    (is_vhdx, open_vhdx),
    (is_qcow2, open_qcow2),
    (is_vdi, open_vdi),
    (is_aff4, open_aff4),
    (is_ex01, open_ex01),
    (is_sparse_image, open_sparse_image),
    # told by their ends, so after those that are told by their beginnings
    (is_vhd, open_vhd),
    (is_dmg, open_dmg),
)


def opener_of(head: bytes, tail: bytes) -> Open | None:
    """How to open a file with these first and last 512 bytes, or None when it is no container."""
    return next((opened for recognised, opened in CONTAINERS if recognised(head, tail)), None)
