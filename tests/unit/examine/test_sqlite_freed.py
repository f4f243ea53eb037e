"""What a database still holds of deleted rows comes out with its exact bytes, or not at all."""

from __future__ import annotations

import hashlib
import io
import random
import sqlite3
import struct
from collections.abc import Callable
from functools import partial

import numpy as np
import pytest
from PIL import Image
from support.embedded import codes, database_of, inside, zipped

from caid_triage.examine.embedded.sqlite_pages import free_pages, layout_of, local_length
from caid_triage.examine.embedded.walk import Found
from caid_triage.model import Severity

FORMS = ("JPEG", "PNG", "WEBP")
COUNT = 24
FILM = b"\0\0\0\x18ftypmp42\0\0\0\0mp42isom" + struct.pack(">I", 30_008) + b"mdat" + random.Random(3).randbytes(30_000)


def drawn(number: int, side: int) -> bytes:
    """A picture of noise that no other one is, in one of the formats."""
    chance = np.random.default_rng(number)
    small = Image.fromarray(chance.integers(0, 256, (8, 8, 3), dtype=np.uint8)).resize((side, side))
    grain = chance.integers(-20, 21, (side, side, 3), dtype=np.int16)
    picture = Image.fromarray((np.asarray(small, dtype=np.int16) + grain).clip(0, 255).astype(np.uint8))
    stream = io.BytesIO()
    picture.save(stream, FORMS[number % 3])
    return stream.getvalue()


LARGE = [drawn(number, 160) for number in range(COUNT)]
SMALL = [drawn(100 + number, 36) for number in range(COUNT)]


def database(page_size: int, delete: str, *, secure: bool = False, before: bool = True) -> bytes:
    """A database with pictures of 1 to 80 KB of which some are deleted, in a freelist that had pages before."""
    return database_of(partial(fill, page_size=page_size, delete=delete, secure=secure, before=before))


def fill(connection: sqlite3.Connection, page_size: int, delete: str, *, secure: bool, before: bool) -> None:
    connection.execute(f"PRAGMA page_size = {page_size}")
    connection.execute(f"PRAGMA secure_delete = {'ON' if secure else 'OFF'}")
    if before:
        connection.execute("CREATE TABLE old (cell BLOB)")
        connection.executemany("INSERT INTO old VALUES (?)", [(bytes([n]) * 20_000,) for n in range(10)])
    connection.execute("CREATE TABLE chat (id INTEGER PRIMARY KEY, name TEXT, picture BLOB, small BLOB)")
    rows = [(f"name {n}", LARGE[n], SMALL[n]) for n in range(COUNT)]
    connection.executemany("INSERT INTO chat (name, picture, small) VALUES (?, ?, ?)", rows)
    connection.commit()
    if before:
        connection.execute("DROP TABLE old")
        connection.commit()
    connection.execute(delete)


def digest(data: bytes) -> bytes:
    return hashlib.sha256(data).digest()


def freed(found: list[Found]) -> list[bytes]:
    """The digests of what was put together, each of which says so."""
    made = [one for one in found if one.names[0].startswith(b"freed/")]
    assert all(codes(one) == ["inside-freed"] for one in made)
    assert all(one.problems[0].severity is Severity.NOTE for one in made)
    assert all(one.examination.digests is not None for one in made)
    return [one.examination.digests.sha256 for one in made if one.examination.digests]


@pytest.mark.parametrize("page_size", [512, 1024, 4096, 65536])
@pytest.mark.parametrize("delete", ["DROP TABLE chat", "DELETE FROM chat", "DELETE FROM chat WHERE id % 3 = 1"])
def test_nothing_comes_out_that_was_not_put_in(page_size: int, delete: str) -> None:
    found, whole = inside(database(page_size, delete))
    made = freed(found)
    assert set(made) <= {digest(data) for data in (*LARGE, *SMALL)}
    assert codes(whole) == []
    listed = [one for one in found if not one.names[0].startswith(b"freed/")]
    assert len(listed) == (2 * COUNT * 2 // 3 if "WHERE" in delete else 0)


@pytest.mark.parametrize("page_size", [1024, 4096])
@pytest.mark.parametrize("delete", ["DROP TABLE chat", "DELETE FROM chat"])
def test_a_table_that_was_emptied_is_nearly_all_there(page_size: int, delete: str) -> None:
    """A page that became the trunk of the freelist is lost; there is one for some hundred pages."""
    made = set(freed(inside(database(page_size, delete))[0]))
    assert sum(digest(data) in made for data in LARGE) >= COUNT - 6
    assert sum(digest(data) in made for data in SMALL) >= COUNT - 1


def test_single_rows_are_found_where_their_page_was_not_used_again() -> None:
    made = set(freed(inside(database(4096, "DELETE FROM chat WHERE id % 6 = 1"))[0]))
    gone = [n for n in range(COUNT) if (n + 1) % 6 == 1]
    assert made
    assert made <= {digest(data) for n in gone for data in (LARGE[n], SMALL[n])}


def test_a_database_that_overwrites_what_it_deletes_has_nothing_left() -> None:
    assert freed(inside(database(4096, "DELETE FROM chat", secure=True, before=False))[0]) == []


def test_films_and_archives_of_deleted_rows_are_looked_into() -> None:

    def fill(connection: sqlite3.Connection) -> None:
        connection.execute("CREATE TABLE old (cell BLOB)")
        connection.execute("INSERT INTO old VALUES (?)", (bytes(500_000),))
        connection.execute("CREATE TABLE t (a INTEGER, cell BLOB, words TEXT)")
        connection.executemany("INSERT INTO t VALUES (7, ?, 'x')", [(FILM,), (zipped({"in.jpg": LARGE[0]}),)])
        connection.commit()
        connection.execute("DROP TABLE old")
        connection.execute("DROP TABLE t")

    found, _ = inside(database_of(fill))
    inner = next(one for one in found if one.names[-1] == b"in.jpg")
    assert inner.examination.digests is not None
    assert inner.examination.digests.sha256 == digest(LARGE[0])
    assert codes(inner) == ["inside-freed"]  # what lies in it is as little listed as itself
    assert digest(FILM) in {one.examination.digests.sha256 for one in found if one.examination.digests}


def test_a_picture_that_begins_in_a_gap_goes_on_where_its_chain_does() -> None:
    """The row is gone, its first bytes are written over by the list of free blocks, its chain is whole."""
    # Of this one so little stands in the page that all three rows share one.
    picture = min(LARGE, key=lambda data: (local_length(len(data) + 6, 512) > 200, len(data)))

    def fill(connection: sqlite3.Connection) -> None:
        connection.execute("PRAGMA page_size = 512")
        connection.execute("CREATE TABLE old (cell BLOB)")
        connection.execute("INSERT INTO old VALUES (?)", (bytes(20_000),))  # the trunk has room for more
        connection.execute("CREATE TABLE t (words TEXT, cell BLOB)")
        rows = [("a" * 90, b""), ("b", picture), ("c" * 90, b"")]
        connection.executemany("INSERT INTO t VALUES (?, ?)", rows)
        connection.commit()
        connection.execute("DROP TABLE old")
        connection.execute("DELETE FROM t WHERE rowid = 2")

    (one,), _ = inside(database_of(fill))
    assert one.names[0].startswith(b"freed/page-")
    assert b"-at-" in one.names[0]
    assert one.examination.digests is not None
    assert one.examination.digests.sha256 == digest(picture)


def test_a_freelist_and_chains_that_run_in_circles_end() -> None:
    data = bytearray(database(1024, "DELETE FROM chat"))
    layout = layout_of(bytes(data[:100]), len(data))
    assert layout is not None
    trunk = (layout.first_free - 1) * 1024
    data[trunk : trunk + 4] = layout.first_free.to_bytes(4, "big")
    for number in free_pages(layout, lambda page: bytes(data[(page - 1) * 1024 : page * 1024])):
        start = (number - 1) * 1024
        if data[start] != 0x0D:
            data[start : start + 4] = number.to_bytes(4, "big")
    found, _ = inside(bytes(data))
    assert set(freed(found)) <= {digest(data) for data in (*LARGE, *SMALL)}


@pytest.mark.parametrize("damage", [lambda data: data[:70], lambda data: data[:1500], lambda data: b"\0" * len(data)])
def test_what_is_no_whole_database_has_nothing_freed(damage: Callable[[bytes], bytes]) -> None:
    head = b"SQLite format 3\0" + struct.pack(">H", 1000)
    for data in (damage(database(1024, "DROP TABLE chat")), head + bytes(2000)):
        found, whole = inside(data)
        assert found == []
        assert whole.digests is not None


@pytest.mark.parametrize("usable", [480, 512, 1024, 4064, 4096, 65536])
def test_what_stands_in_the_page_is_what_the_format_says(usable: int) -> None:
    """The description's own words (1.6): X = U-35, M = ((U-12)*32/255)-23, K = M+((P-M)%(U-4))."""
    most, least = usable - 35, (usable - 12) * 32 // 255 - 23
    for payload in (0, 1, most - 1, most, most + 1, most + 2, 2 * usable, 10 * usable + 7, 100_000, 1 << 30):
        fitting = least + (payload - least) % (usable - 4)
        expected = payload if payload <= most else fitting if fitting <= most else least
        assert local_length(payload, usable) == expected
        assert payload <= most or (payload - expected) % (usable - 4) == 0 or expected == least
