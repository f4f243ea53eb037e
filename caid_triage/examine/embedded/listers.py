"""Which reader lists what lies inside a content: the one list of the containers that are looked into.

A reader is imported with the first container of its kind: few files are any, and a worker is to start quickly.
"""

from __future__ import annotations

import importlib
import re
from collections.abc import Mapping
from functools import lru_cache
from types import MappingProxyType

from caid_triage.examine.embedded.browser_cache import SIMPLE
from caid_triage.examine.embedded.inner import Lister
from caid_triage.examine.embedded.mail_marks import is_mailbox, is_message
from caid_triage.examine.libraries import loading

# Media type -> module of this room and function in it.
_BY_TYPE: Mapping[str, str] = MappingProxyType(
    {
        "application/gzip": "compressed.gzip_file",
        "application/pdf": "pdf.pdf_pictures",
        "application/vnd.ms-cab-compressed": "other_archives.archive_files",
        "application/vnd.ms-outlook": "outlook.outlook_attachments",
        "application/vnd.rar": "other_archives.archive_files",
        "application/vnd.sqlite3": "sqlite_blobs.sqlite_blobs",
        "application/x-7z-compressed": "seven_zip.seven_zip_files",
        "application/x-archive": "other_archives.archive_files",
        "application/x-bzip2": "compressed.bzip2_file",
        "application/x-ole-storage": "ole.ole_streams",
        "application/x-tar": "tar_archive.tar_files",
        "application/x-windows-thumbcache": "thumbcache.thumbcache_pictures",
        "application/x-xz": "compressed.xz_file",
        "application/zip": "zip_archive.zip_files",
        "application/zstd": "compressed.zstandard_file",
        "image/heic": "appended.film_of_heif",
        "image/heif": "appended.film_of_heif",
    }
)
# Types that say too little, or that others may claim: the first bytes tell.
_BY_START: tuple[tuple[bytes, str], ...] = (
    (b"PK\x03\x04", "zip_archive.zip_files"),
    (b"PK\x07\x08PK\x03\x04", "zip_archive.zip_files"),
    (b"bplist00", "pictures_in.pictures_in"),  # a binary property list of Apple's keeps its data as they are
    (SIMPLE, "browser_cache.simple_entry"),
    (b"\x37\x7f\x06\x82", "sqlite_wal.wal_files"),
    (b"\x37\x7f\x06\x83", "sqlite_wal.wal_files"),
    (b"\xc3\xca\x04\xc1", "pictures_in.pictures_in"),  # a block file of Chromium's cache (0xC104CAC3)
)


UNKNOWN = "application/octet-stream"
TAR_BLOCK = 512
_OCTAL = re.compile(rb"[0-7]{1,7}")
# A JPEG with its first segment (JFIF, Exif, or tables at once), or a PNG.
_FIRST_PICTURE = re.compile(rb"\xff\xd8\xff(?:\xe0..JFIF\0|\xe1..Exif\0|\xdb\0[\x43\x84])|\x89PNG\r\n\x1a\n", re.DOTALL)


def lister_of(media_type: str, head: bytes) -> Lister | None:
    """The reader of a container, None for a content that is none. ``head`` is its first bytes."""
    for start, name in _BY_START:
        if head.startswith(start):
            return _lister(name)
    if media_type.startswith("text/"):
        mail = "mail.mailbox_parts" if is_mailbox(head) else "mail.message_parts" if is_message(head) else ""
        return _lister(mail) if mail else None
    known = _BY_TYPE.get(media_type)
    if known is None and media_type == UNKNOWN:
        known = _of_unknown(head)
    return _lister(known) if known else None


def _of_unknown(head: bytes) -> str | None:
    """The reader of a content that no signature names: an old tar, or pictures one behind the other.

    Thumbnail stores of telephones (.thumbdata) and of many programs are a few bytes of their own, then JPEGs.
    """
    if _is_old_tar(head):
        return "tar_archive.tar_files"
    return "pictures_in.pictures_in" if _FIRST_PICTURE.search(head) else None


def _is_old_tar(head: bytes) -> bool:
    """Whether a tar of before POSIX begins: its first block adds up to what it says (the sum's own field as spaces)."""
    field = head[148:156].strip(b" \0")
    if len(head) < TAR_BLOCK or not field or not _OCTAL.fullmatch(field):
        return False
    return int(field, 8) == sum(head[:148]) + 8 * ord(" ") + sum(head[156:TAR_BLOCK])


@lru_cache(maxsize=len(_BY_TYPE) + len(_BY_START) + 2)
def _lister(name: str) -> Lister:
    module, _, function = name.rpartition(".")
    with loading():
        found: Lister = getattr(importlib.import_module(f"caid_triage.examine.embedded.{module}"), function)
    return found
