"""NSRL RDS 3 and Autopsy databases made here: read right, opened so that nothing of them is written or run."""

from __future__ import annotations

import random
import sqlite3
from pathlib import Path

import pytest
from unit.hashset.test_foreign_readers import Reading, hexed

from caid_triage.errors import HashSetError
from caid_triage.hashset.build import build_hashset

RNG = random.Random(32)
FILE = "sha256 VARCHAR, sha1 VARCHAR, md5 VARCHAR, file_name VARCHAR, file_size INTEGER, package_id INTEGER"


def database(path: Path, *statements: str, rows: list[tuple[object, ...]] | None = None, into: str = "FILE") -> Path:
    connection = sqlite3.connect(path)
    for statement in statements:
        connection.execute(statement)
    for row in rows or []:
        connection.execute(f"INSERT INTO {into} VALUES ({', '.join('?' * len(row))})", row)
    connection.commit()
    connection.close()
    return path


def read(path: Path) -> Reading:
    return Reading(path, path.read_bytes())


def test_minimal_set(tmp_path: Path) -> None:
    rows = [(hexed(32).upper(), hexed(20).upper(), hexed().upper(), f"n{i}", i, 7) for i in range(9_000)]
    bad = [(hexed(32), "12", hexed(), "x", 5, 7), (None, None, None, "x", 5, 7), (hexed(32), None, "", "x", None, 7)]
    path = database(tmp_path / "RDS_minimal.db", f"CREATE TABLE FILE ({FILE})", rows=rows[:8_500] + bad + rows[8_500:])
    before = path.read_bytes()
    found = read(path)
    assert found.format == "nsrl"
    whole = [row for row in found.rows if row.sha1]
    assert [((r.sha256 or b"").hex(), (r.sha1 or b"").hex(), (r.md5 or b"").hex(), r.size) for r in whole] == [
        (a.lower(), b.lower(), c.lower(), e) for a, b, c, _, e, _ in rows]  # fmt: skip
    assert len(found.rows) == 9_001
    assert found.rows[8_500].size is None
    assert found.rows[8_500].position == "row 8503"
    assert found.refused == [
        ("row 8501", "SHA1 has 2 characters where 40 are needed"),
        ("row 8502", "no hash in the row"),
    ]
    assert path.read_bytes() == before
    assert sorted(item.name for item in tmp_path.iterdir()) == ["RDS_minimal.db"]


def test_full_set_is_read_from_its_table_not_its_view(tmp_path: Path) -> None:
    rows = [
        (i, i, hexed(20), "/p", f"n{i}", "jpg", 100 + i, 0, 0, "00000000", hexed(), hexed(20), hexed(32))
        for i in range(5)
    ]
    path = database(
        tmp_path / "RDS.db",
        "CREATE TABLE METADATA (metadata_id INTEGER, object_id INTEGER, key_hash VARCHAR, path VARCHAR, file_name, "
        "extension VARCHAR, bytes INTEGER, mtime INTEGER, recursion_level INTEGER, crc32 VARCHAR, md5 VARCHAR, "
        "sha1 VARCHAR, sha256 VARCHAR)",
        "CREATE VIEW FILE AS SELECT UPPER(sha256) AS sha256, UPPER(sha1) AS sha1, UPPER(md5) AS md5, file_name, "
        "bytes AS file_size, 1 AS package_id FROM METADATA",
        rows=rows,
        into="METADATA",
    )
    found = read(path)
    assert [(r.md5.hex() if r.md5 else "", r.size) for r in found.rows] == [(row[10], row[6]) for row in rows]


@pytest.mark.parametrize("view", ["SELECT load_extension('x') AS md5", "SELECT randomblob(16) AS md5",
                                  "SELECT readfile('/x') AS md5", "SELECT hex(zeroblob(99999999)) AS md5"])  # fmt: skip
def test_a_view_that_calls_anything_is_refused(tmp_path: Path, view: str) -> None:
    path = database(tmp_path / "evil.db", f"CREATE VIEW FILE AS {view}")
    with pytest.raises(HashSetError, match=r"neither NSRL's table FILE"):
        read(path)


def test_an_endless_view_is_refused(tmp_path: Path) -> None:
    path = database(tmp_path / "evil.db", "CREATE VIEW FILE AS WITH RECURSIVE n(md5) AS (SELECT 1 UNION ALL SELECT md5 "
                    "FROM n) SELECT md5 FROM n")  # fmt: skip
    with pytest.raises(HashSetError, match=r"neither NSRL's table FILE"):
        read(path)


def test_a_database_of_something_else_or_damaged_is_refused(tmp_path: Path) -> None:
    with pytest.raises(HashSetError, match="neither NSRL's table FILE or METADATA nor Autopsy's"):
        read(database(tmp_path / "other.db", "CREATE TABLE x (y)"))
    path = database(
        tmp_path / "cut.db", f"CREATE TABLE FILE ({FILE})", rows=[(hexed(32), "", "", "n" * 900, 1, 1)] * 99
    )
    path.write_bytes(path.read_bytes()[:20_000])
    with pytest.raises(HashSetError, match="SQLite cannot read it"):
        read(path)
    path.write_bytes(b"SQLite format 3\x00" + RNG.randbytes(5_000))
    with pytest.raises(HashSetError, match="SQLite cannot read it"):
        read(path)


def test_a_log_beside_the_file_is_refused(tmp_path: Path) -> None:
    path = database(tmp_path / "a.db", f"CREATE TABLE FILE ({FILE})")
    (tmp_path / "a.db-wal").write_bytes(b"x")
    with pytest.raises(HashSetError, match="write-ahead log"):
        read(path)


def test_autopsy(tmp_path: Path) -> None:
    digests = [(RNG.randbytes(16), None, None), (RNG.randbytes(16), RNG.randbytes(20), RNG.randbytes(32)),
               (b"short", None, None), (bytes(16), None, None), (None, None, None)]  # fmt: skip
    path = database(
        tmp_path / "x.kdb",
        "CREATE TABLE db_properties (name TEXT NOT NULL, value TEXT)",
        "CREATE TABLE hashes (id INTEGER PRIMARY KEY AUTOINCREMENT, md5 BINARY(16) UNIQUE, sha1 BINARY(20), "
        "sha2_256 BINARY(32))",
        "CREATE TABLE file_names (name TEXT, hash_id INTEGER)",
        rows=[(None, *row) for row in digests],
        into="hashes",
    )
    found = read(path)
    assert found.format == "autopsy"
    assert [(r.md5, r.sha1, r.sha256) for r in found.rows] == digests[:2]
    assert found.refused == [
        ("row 3", "MD5 is not 16 bytes"),
        ("row 4", "MD5 is all zeros"),
        ("row 5", "no hash in the row"),
    ]


def test_a_delta_as_nist_writes_it(tmp_path: Path) -> None:
    """Seven named columns, capitals, one statement a line; names with quotes, brackets and semicolons in them."""
    names = ["a.dll", "it''s.dll", "x'');DELETE FROM FILE;--", "(1),", "", "a;"]
    wanted = [(hexed(32).upper(), hexed(20).upper(), hexed().upper(), number) for number in range(len(names))]
    lines = [
        f"INSERT INTO FILE(sha256,sha1,md5,crc32,file_name,file_size,package_id) "
        f"VALUES('{sha256}','{sha1}','{md5}','7D227EE3','{name}',{size},289308);"
        for (sha256, sha1, md5, size), name in zip(wanted, names, strict=True)
    ]
    text = "\n".join(["BEGIN TRANSACTION;", "UPDATE VERSION SET version='2026.09.1';", *lines, "COMMIT;\n"])
    found = Reading(tmp_path / "RDS_2026.09.1_modern_minimal_delta.sql", text)
    assert (found.format, found.refused) == ("nsrl-delta", [])
    assert [(row.sha256, row.sha1, row.md5, row.size) for row in found.rows] == [
        (bytes.fromhex(sha256), bytes.fromhex(sha1), bytes.fromhex(md5), size) for sha256, sha1, md5, size in wanted
    ]
    change = "\n".join(["BEGIN TRANSACTION;", lines[0], f"DELETE FROM FILE WHERE md5='{hexed()}';", "COMMIT;\n"])
    (tmp_path / "d.sql").write_text(change)
    result = build_hashset([tmp_path / "d.sql"], tmp_path / "a.chs", role="known-good")
    assert (result.counts["records"], result.counts["refused"]) == (1, 1)


def test_a_delta_is_read_and_never_run(tmp_path: Path) -> None:
    a, b, c, d = ([hexed(), hexed(20), hexed(32)] for _ in range(4))
    text = f"""-- RDS delta
BEGIN TRANSACTION;
ATTACH DATABASE 'x.db' AS x;
INSERT INTO METADATA VALUES(1,2,'{hexed(20)}','/p','it''s; a name','jpg',488,0,0,'{a[0]}','{a[1]}','{a[2]}');
INSERT INTO FILE VALUES('{b[2]}','{b[1]}','{b[0]}','n',5,6),
  ('{c[2]}','{c[1]}','{c[0]}','n',5,6);
INSERT INTO "FILE" (md5, file_size, sha1) VALUES ('{d[0]}', 77, NULL);
INSERT INTO PKG VALUES(1,'{hexed()}');
DELETE FROM FILE WHERE md5 = '{hexed()}';
INSERT INTO FILE VALUES(1, load_extension('x'));
COMMIT;
"""
    found = Reading(tmp_path / "RDS_delta.sql", text)
    assert found.format == "nsrl-delta"
    assert [row.md5.hex() if row.md5 else "" for row in found.rows] == [a[0], b[0], c[0], d[0]]
    assert [row.sha256.hex() if row.sha256 else "" for row in found.rows] == [a[2], b[2], c[2], ""]
    assert found.rows[3].size == 77
    assert [reason for _, reason in found.refused] == [
        "DELETE or UPDATE is not applied, the row stays in the set: apply it to the database and import that",
        "the statement is not INSERT with plain values",
    ]
    assert [item.name for item in tmp_path.iterdir()] == ["RDS_delta.sql"]


@pytest.mark.parametrize("place", [b"wrong_column", b"nosuchtable"])
def test_a_name_in_a_damaged_schema_that_is_no_text_refuses_the_file(tmp_path: Path, place: bytes) -> None:
    path = database(
        tmp_path / "set.kdb",
        "CREATE TABLE db_properties (name, value)",
        "CREATE TABLE hashes (id INTEGER PRIMARY KEY, md5 wrong_column, sha1, sha2_256)",
        "CREATE TABLE nosuchtable (id)",
    )
    data = path.read_bytes()
    # The schema names what does not parse: SQLite quotes it in an error that Python's module takes for UTF-8.
    assert place in data
    path.write_bytes(data.replace(place, b"(" + b"\xc8" * (len(place) - 1)))
    with pytest.raises(HashSetError, match=r"set\.kdb"):
        build_hashset([path], tmp_path / "out.chs")
