"""Files that HFS+ keeps compressed (decmpfs): read through libfshfs, since Sleuth Kit gives them as empty.

Such a file has an empty data fork; its content is in the extended attribute ``com.apple.decmpfs`` or, where that says
so, in the resource fork. macOS keeps most of its own files so, and any file can be (``ditto --hfsCompression``).
"""

from __future__ import annotations

from typing import Any

import pyfshfs
import pytsk3

from caid_triage.evidence.layers.library_fs import LibraryFileSystem
from caid_triage.evidence.layers.view import AreaFile
from caid_triage.model import Volume

_FIRST_USER_FILE = 16
_ATTRIBUTE = "com.apple.decmpfs"


def open_compressed(image: pytsk3.Img_Info, volume: Volume, base: int) -> LibraryFileSystem:
    """The HFS+ volume as libfshfs reads it. Errors: those of the library."""
    library = pyfshfs.volume()
    library.open_file_object(AreaFile(image, base, volume.length))
    return LibraryFileSystem(
        volume,
        "HFS+",
        library.get_root_directory,
        library.get_file_entry_by_identifier,
        lambda file: int(file.identifier),
        lambda _offset: None,
        volume.length,
        (library,),
    )


def compressed_size(system: LibraryFileSystem, number: int) -> int | None:
    """The bytes of a compressed file when read; None for one that is not compressed. Errors: those of the library."""
    if number < _FIRST_USER_FILE:
        return None
    file: Any = system.by_number(number)
    if file is None or not file.has_extended_attribute_by_name(_ATTRIBUTE):
        return None
    return int(file.size)
