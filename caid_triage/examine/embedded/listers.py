"""Which reader lists what lies inside a content: the one list of the containers that are looked into."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from caid_triage.examine.embedded.appended import film_of_heif
from caid_triage.examine.embedded.browser_cache import SIMPLE, simple_entry
from caid_triage.examine.embedded.compressed import bzip2_file, gzip_file, xz_file, zstandard_file
from caid_triage.examine.embedded.inner import Lister
from caid_triage.examine.embedded.mail import is_mailbox, is_message, mailbox_parts, message_parts
from caid_triage.examine.embedded.ole import ole_streams
from caid_triage.examine.embedded.other_archives import archive_files
from caid_triage.examine.embedded.outlook import outlook_attachments
from caid_triage.examine.embedded.pdf import pdf_pictures
from caid_triage.examine.embedded.pictures_in import pictures_in
from caid_triage.examine.embedded.seven_zip import seven_zip_files
from caid_triage.examine.embedded.sqlite_blobs import sqlite_blobs
from caid_triage.examine.embedded.tar_archive import tar_files
from caid_triage.examine.embedded.thumbcache import thumbcache_pictures
from caid_triage.examine.embedded.zip_archive import zip_files

_BY_TYPE: Mapping[str, Lister] = MappingProxyType(
    {
        "application/gzip": gzip_file,
        "application/pdf": pdf_pictures,
        "application/vnd.ms-cab-compressed": archive_files,
        "application/vnd.ms-outlook": outlook_attachments,
        "application/vnd.rar": archive_files,
        "application/vnd.sqlite3": sqlite_blobs,
        "application/x-7z-compressed": seven_zip_files,
        "application/x-archive": archive_files,
        "application/x-bzip2": bzip2_file,
        "application/x-ole-storage": ole_streams,
        "application/x-tar": tar_files,
        "application/x-windows-thumbcache": thumbcache_pictures,
        "application/x-xz": xz_file,
        "application/zip": zip_files,
        "application/zstd": zstandard_file,
        "image/heic": film_of_heif,
        "image/heif": film_of_heif,
    }
)
# Types that say too little, or that others may claim: the first bytes tell.
_BY_START: tuple[tuple[bytes, Lister], ...] = (
    (b"PK\x03\x04", zip_files),
    (b"PK\x07\x08PK\x03\x04", zip_files),
    (SIMPLE, simple_entry),
    (b"\xc3\xca\x04\xc1", pictures_in),  # a block file of Chromium's cache (0xC104CAC3)
)


def lister_of(media_type: str, head: bytes) -> Lister | None:
    """The reader of a container, None for a content that is none. ``head`` is its first bytes."""
    for start, lister in _BY_START:
        if head.startswith(start):
            return lister
    if media_type.startswith("text/"):
        return mailbox_parts if is_mailbox(head) else message_parts if is_message(head) else None
    return _BY_TYPE.get(media_type)
