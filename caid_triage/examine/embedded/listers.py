"""Which reader lists what lies inside a content: the one list of the containers that are looked into."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from caid_triage.examine.embedded.appended import film_of_heif
from caid_triage.examine.embedded.compressed import bzip2_file, gzip_file, xz_file, zstandard_file
from caid_triage.examine.embedded.inner import Lister
from caid_triage.examine.embedded.tar_archive import tar_files
from caid_triage.examine.embedded.zip_archive import zip_files

_BY_TYPE: Mapping[str, Lister] = MappingProxyType(
    {
        "application/gzip": gzip_file,
        "application/x-bzip2": bzip2_file,
        "application/x-tar": tar_files,
        "application/x-xz": xz_file,
        "application/zip": zip_files,
        "application/zstd": zstandard_file,
        "image/heic": film_of_heif,
        "image/heif": film_of_heif,
    }
)
_ZIP_STARTS = (b"PK\x03\x04", b"PK\x07\x08PK\x03\x04")


def lister_of(media_type: str, head: bytes) -> Lister | None:
    """The reader of a container, None for a content that is none. ``head`` is its first bytes.

    Documents and programs that are zips have types of their own, and a "mimetype" in them may claim any: their first
    bytes tell.
    """
    return zip_files if head.startswith(_ZIP_STARTS) else _BY_TYPE.get(media_type)
