"""What browsers keep of the pages that were seen: one file an address (Chromium's simple cache, Firefox's cache2), and
Chromium's block files.

Sources: Chromium net/disk_cache/simple/simple_entry_format.h and blockfile/disk_format.h; Mozilla
netwerk/cache2/CacheFileMetadata.h. A body that was sent packed is unpacked by what its headers say.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator

from caid_triage.examine.embedded.content import Content
from caid_triage.examine.embedded.inner import Inner, Listed
from caid_triage.examine.embedded.web_bodies import body_pieces

SIMPLE = struct.pack("<Q", 0xFCFB6D1BA7725C30)
SIMPLE_END = struct.pack("<Q", 0xF4FA6F45970D41D8)
SIMPLE_HEADER, SIMPLE_FOOTER, KEY_HASH = 24, 24, 32
LONGEST_KEY = 1 << 16
# Firefox: chunks of the body have two bytes of checksum each behind it.
CHUNK = 256 * 1024
METADATA = 32


def simple_entry(content: Content) -> Iterator[Listed]:
    """The body that an entry of Chromium's simple cache keeps, named by its address."""
    head = content.at(0, SIMPLE_HEADER)
    (key_length,) = struct.unpack_from("<I", head, 12)
    if not 0 < key_length <= LONGEST_KEY:
        return
    key = content.at(SIMPLE_HEADER - 4, key_length + 4)
    # The header is 20 bytes, padded to 24 by compilers of 64 bits: the address says which.
    shift = 4 if key[4:].lower().startswith((b"http", b"1/0", b"_dk", b"chrome", b"file", b"ftp")) else 0
    start = SIMPLE_HEADER - 4 + shift + key_length
    address = key[shift : shift + key_length]
    footer = content.at(content.size - SIMPLE_FOOTER, SIMPLE_FOOTER)
    end = content.size - SIMPLE_FOOTER
    headers = b""
    if footer.startswith(SIMPLE_END):
        flags, _, size = struct.unpack_from("<III", footer, 8)
        end -= KEY_HASH if flags & 2 else 0
        headers = content.at(max(start, end - size), min(size, 1 << 16))
        end -= size
        inner_footer = content.at(end - SIMPLE_FOOTER, SIMPLE_FOOTER)
        end -= SIMPLE_FOOTER if inner_footer.startswith(SIMPLE_END) else 0
    if end > start:
        yield _body(content, _named(address), start, end - start, headers)


def firefox_body(data: bytes) -> tuple[int, bytes] | None:
    """Length of the body and address of an entry of Firefox's cache2, None for a content that is none.

    The last four bytes say where the metadata begin: behind the body, a checksum and two bytes a chunk.
    """
    if len(data) < METADATA + 8:
        return None
    (length,) = struct.unpack(">I", data[-4:])
    at = length + 4 + 2 * -(-length // CHUNK)
    if not 0 < length < len(data) or at + METADATA > len(data):
        return None
    version, *_, key_size = struct.unpack_from(">8I", data, at)[:7]
    key_at = at + (32 if version >= 2 else 28)
    key = data[key_at : key_at + key_size]
    if not 1 <= version <= 3 or not 0 < key_size <= LONGEST_KEY or b":http" not in key:
        return None
    return length, key[key.index(b":http") + 1 :]


def firefox_entry(content: Content, length: int, address: bytes) -> Iterator[Listed]:
    """The body that an entry of Firefox's cache keeps, named by its address."""
    headers = content.at(content.size - min(content.size, 1 << 16), 1 << 16)
    yield _body(content, _named(address), 0, length, headers)


def _body(content: Content, name: bytes, start: int, length: int, headers: bytes) -> Inner:
    return Inner(name, *body_pieces(content, start, length, headers))


def _named(address: bytes) -> bytes:
    """An address as the name of a file: its slashes are no folders."""
    return address.rstrip(b"\0").split(b" ")[-1].replace(b"/", b"|") or b"body"
