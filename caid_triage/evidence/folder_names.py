"""Whether the list of names of a living folder is whole, as far as it says so itself.

Sleuth Kit looks for the next name behind one that makes no sense, takes a wiped list for an empty one, and says nothing
of either. ext: the entries of a block lead from one to the next up to its end, and the first ones name the folder and
the one above (ext_records.py). FAT: every folder but the root names itself first. ISO 9660: the records of a sector
lead up to zeros, and tell each number twice, with either end first (ECMA-119, 9.1).
"""

from __future__ import annotations

import pytsk3

from caid_triage.errors import EvidenceError
from caid_triage.evidence.ext_records import damaged_blocks
from caid_triage.evidence.faults import LIBRARY_ERRORS, plain_reason
from caid_triage.evidence.file_system import EXT_KINDS, OpenFileSystem

_PIECE = 1 << 20
_MOST = 1 << 28  # bytes of a list of names that are looked at
_CD_SECTOR, _CD_RECORD = 2048, 33
_TYPE_DIR = int(pytsk3.TSK_FS_META_TYPE_DIR)
_SELF = "the list of names in this folder is damaged: it does not name the folder itself; names are missing"


def damage_of_names(system: OpenFileSystem, directory: pytsk3.Directory, *, named_itself: bool) -> str:
    """What is amiss with the list of names of an open living folder, a sentence; "" for nothing. Never raises.

    ``named_itself`` is whether "." was among its names.
    """
    meta = directory.info.fs_file.meta
    if meta is None:
        return ""
    if system.kind in EXT_KINDS:
        if int(meta.type) == _TYPE_DIR and int(meta.size) < system.block_size:
            return ""  # a short list, which lies in the record
        return _damaged_part(system, meta, system.block_size) if named_itself else _SELF
    if system.kind == "ISO9660":  # the size of the root is told by its first record
        return _damaged_part(system, meta, _CD_SECTOR) if int(meta.size) else _SELF
    if system.fat is not None and int(meta.addr) != int(system.fs.info.root_inum):
        try:
            return "" if system.fat.names_itself(int(meta.addr)) else _SELF
        except EvidenceError as error:
            return f"the list of names in this folder could not be read: {error.detail}"
    return ""


def _damaged_part(system: OpenFileSystem, meta: pytsk3.TSK_FS_META, block: int) -> str:
    damaged = blocks = 0
    try:
        file, size = system.fs.open_meta(int(meta.addr)), min(int(meta.size), _MOST)
        for offset in range(0, size, _PIECE):
            names = file.read_random(offset, min(_PIECE, size - offset))
            if system.kind in EXT_KINDS:
                damaged += damaged_blocks(names, block, int(system.fs.info.last_inum))
            else:
                damaged += damaged_cd_sectors(names, int(system.fs.info.last_block) + 1)
            blocks += -(-len(names) // block)
    except LIBRARY_ERRORS as error:
        return f"the list of names in this folder could not be read to its end: {plain_reason(error)}"
    if not damaged:
        return ""
    return f"the list of names in this folder is damaged in {damaged} of {blocks} blocks: names may be missing"


def damaged_cd_sectors(names: bytes, sectors: int) -> int:
    """In how many sectors of a folder of a CD of ``sectors`` sectors the records do not make sense up to zeros."""
    damaged = 0
    for start in range(0, len(names), _CD_SECTOR):
        sector = names[start : start + _CD_SECTOR]
        at = 0
        while at < len(sector) and sector[at]:
            if not _is_cd_record(sector[at : at + sector[at]], sector[at], sectors):
                break
            at += sector[at]
        damaged += at == 0 or any(sector[at:])
    return damaged


def _is_cd_record(record: bytes, length: int, sectors: int) -> bool:
    """Whether a record of ``length`` bytes is whole, agrees with itself and lies on the disc."""
    if length <= _CD_RECORD or len(record) < length or _CD_RECORD + record[32] > length:
        return False
    place = int.from_bytes(record[2:6], "little")
    twice = place == int.from_bytes(record[6:10], "big") and record[10:14] == record[17:13:-1]
    return twice and place < sectors
