"""Bodies that browsers keep packed are unpacked by what their headers say, a piece at a time, and else left alone."""

from __future__ import annotations

import gzip
import hashlib
import zlib
from collections.abc import Callable

import brotli
import pytest
from backports import zstd
from support.embedded import PICTURE, chromium_entry, codes, inside

from caid_triage.examine.limits import Limits

PACKED: dict[bytes, Callable[[bytes], bytes]] = {
    b"gzip": gzip.compress,
    b"x-gzip": gzip.compress,
    b"GZIP": gzip.compress,
    b"deflate": zlib.compress,
    b"deflate, really": lambda data: zlib.compress(data)[2:-4],
    b"br": brotli.compress,
    b"zstd": zstd.compress,
}
BOMB = bytes(64 << 20)


@pytest.mark.parametrize("encoding", PACKED)
def test_a_body_comes_out_as_the_page_showed_it(encoding: bytes) -> None:
    (one,), _ = inside(chromium_entry(PACKED[encoding](PICTURE), encoding))
    assert one.examination.digests is not None
    assert one.examination.digests.sha256 == hashlib.sha256(PICTURE).digest()
    assert codes(one) == []


@pytest.mark.parametrize("encoding", [*PACKED, b"compress", b"identity"])
def test_a_body_that_is_not_packed_as_is_said_is_taken_as_it_lies(encoding: bytes) -> None:
    (one,), _ = inside(chromium_entry(PICTURE, encoding))
    assert one.examination.digests is not None
    assert one.examination.digests.sha256 == hashlib.sha256(PICTURE).digest()


@pytest.mark.parametrize("encoding", [b"gzip", b"deflate", b"br", b"zstd"])
def test_what_there_is_of_a_body_that_was_cut_is_examined(encoding: bytes) -> None:
    long = PICTURE + bytes(range(256)) * 40_000
    packed = PACKED[encoding](long)
    (one,), _ = inside(chromium_entry(packed[: len(packed) - 40], encoding))
    assert codes(one)[0] == "inside-cut"
    assert one.examination.bytes_read > len(PICTURE)


@pytest.mark.parametrize("encoding", [b"gzip", b"deflate", b"br", b"zstd"])
def test_a_body_that_unpacks_to_much_is_stopped_by_its_bytes(encoding: bytes) -> None:
    packed = PACKED[encoding](BOMB)
    found, whole = inside(chromium_entry(packed, encoding), Limits(max_inside_bytes=8 << 20, max_inside_ratio=1))
    assert codes(whole) == ["inside-budget"]
    assert found[0].examination.bytes_read <= 8 << 20
