"""A write-ahead log alone gives what was written last, also what a later transaction deleted again."""

from __future__ import annotations

import hashlib
import sqlite3
import struct

import pytest
from support.embedded import FILM, PICTURE, codes, inside, log_of, zipped

from caid_triage.synth.sample_pictures import picture as sample

TOWN = sample("town.jpg")


def table(connection: sqlite3.Connection) -> None:
    connection.execute("CREATE TABLE chat (id INTEGER PRIMARY KEY, words TEXT, cell BLOB)")


def add(connection: sqlite3.Connection, *cells: bytes) -> None:
    connection.executemany("INSERT INTO chat (words, cell) VALUES ('words', ?)", [(cell,) for cell in cells])
    connection.commit()


def digests(found: list) -> list[bytes]:
    return [one.examination.digests.sha256 for one in found if one.examination.digests]


def sha(*contents: bytes) -> list[bytes]:
    return [hashlib.sha256(content).digest() for content in contents]


def test_what_was_written_last_is_found_with_its_bytes_each_content_once() -> None:
    def fill(connection: sqlite3.Connection) -> None:
        add(connection, PICTURE)
        add(connection, FILM, b"no picture" * 50)
        add(connection, PICTURE)  # its page is written again with the first row on it
        connection.execute("DELETE FROM chat WHERE id = 2")

    found, whole = inside(log_of(fill, table))
    assert digests(found) == sha(PICTURE, FILM)
    assert [codes(one) for one in found] == [[], []]
    assert [one.names[0].split(b"/")[1:] for one in found] == [[b"row-1", b"column-3"], [b"row-2", b"column-3"]]
    assert codes(whole) == []


def test_an_archive_in_a_log_is_looked_into() -> None:
    found, _ = inside(log_of(lambda connection: add(connection, zipped({"in.jpg": TOWN})), table))
    assert found[0].names[-1] == b"in.jpg"
    assert digests(found)[0] == sha(TOWN)[0]


def test_what_an_earlier_writing_of_the_log_left_behind_it_says_so() -> None:
    def before(connection: sqlite3.Connection) -> None:
        table(connection)
        for number in range(5):
            add(connection, b"%d" % number)
        add(connection, PICTURE)

    found, _ = inside(log_of(lambda connection: add(connection, b"new"), before))
    assert digests(found) == sha(PICTURE)
    assert [codes(one) for one in found] == [["inside-freed"]]


def test_a_row_whose_chain_is_not_in_the_log_is_left_to_the_database() -> None:
    log = log_of(lambda connection: add(connection, PICTURE), table)
    page = 24 + 1024
    assert (len(log) - 32) % page == 0
    # The last frame is of the chain; without it the row is not whole.
    found, _ = inside(log[:-page])
    assert found == []


@pytest.mark.parametrize("page_size", [0, 1, 511, 1000, 1 << 17, 0xFFFFFFFF])
def test_a_log_that_makes_no_sense_has_nothing(page_size: int) -> None:
    log = b"\x37\x7f\x06\x82" + struct.pack(">II", 3007000, page_size) + bytes(5000)
    found, whole = inside(log)
    assert (found, codes(whole)) == ([], [])


def test_chains_that_run_in_circles_end() -> None:
    log = bytearray(log_of(lambda connection: add(connection, PICTURE), table))
    for at in range(32, len(log), 24 + 1024):
        if log[at + 24] == 0:  # a page of a chain: it names itself
            log[at + 24 : at + 28] = log[at : at + 4]
    assert inside(bytes(log))[0] == []
