"""EnCase, HashKeeper, hashdeep, RDS 2, ICSE, IPED, PDQ, vPDQ, hashdb: made here with random (benign) hashes."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import pytest

from caid_triage.errors import HashSetError
from caid_triage.hashset.batch import RowBatch
from caid_triage.hashset.readers.registry import read_batches, reader_for, readers
from caid_triage.hashset.rows import RecordFlag, Row, SourceFile
from caid_triage.model import RefusedRow

RNG = random.Random(31)


def hexed(length: int = 16) -> str:
    return RNG.randbytes(length).hex()


class Reading:
    """What the registry makes of a file: the format it chose, rows, refused rows, what was left out."""

    def __init__(self, path: Path, data: str | bytes, format_name: str | None = None, **options: Any) -> None:
        path.write_bytes(data.encode() if isinstance(data, str) else data)
        source = SourceFile(path, **options)
        try:
            reader = reader_for(source, format_name)
            self.format = reader.name
            self.rows: list[Row] = []
            self.refused: list[tuple[str, str]] = []
            for item in read_batches(reader, source):
                if isinstance(item, RefusedRow):
                    self.refused.append((item.position, item.reason))
                else:
                    assert isinstance(item, RowBatch)
                    self.rows += item.rows()
            self.ignored = dict(source.ignored)
            self.warnings = source.warnings
            self.sha256 = source.finish()
        finally:
            source.close()


def test_every_reader_has_a_name_of_its_own_and_claims_no_noise() -> None:
    names = [reader.name for reader in readers()]
    assert len(set(names)) == len(names)
    for noise in (b"", b"\x00" * 100, b"plain words\n", RNG.randbytes(4096)):
        assert [reader.name for reader in readers() if reader.detects(noise)] == []


def test_encase(tmp_path: Path) -> None:
    digests = [RNG.randbytes(16) for _ in range(40_000)]
    digests[7] = bytes(16)
    head = b"HASH\r\n\xff\x00".ljust(1_032, b"\x00") + "Näme".encode("utf-16-le")
    data = head.ljust(1_152, b"\x00") + b"".join(digest + b"\x00\x01" for digest in digests) + b"abc"
    read = Reading(tmp_path / "x.hash", data)
    assert read.format == "encase"
    assert [row.md5 for row in read.rows] == [*digests[:7], *digests[8:]]
    assert read.rows[7].position == f"byte {1_152 + 8 * 18}"
    assert read.refused == [(f"byte {1_152 + 7 * 18}", "MD5 is all zeros"),
                            (f"byte {1_152 + 40_000 * 18}", "the entry is cut short")]  # fmt: skip


def test_encase_with_its_head_only_has_no_entries(tmp_path: Path) -> None:
    assert Reading(tmp_path / "x.hash", b"HASH\r\n\xff\x00" + bytes(100)).rows == []


def test_hashkeeper(tmp_path: Path) -> None:
    header = ('"file_id","hashset_id","file_name","directory","hash","file_size","date_modified","time_modified",'
              '"time_zone","comments","date_accessed","time_accessed"')  # fmt: skip
    md5 = [hexed(), hexed()]
    lines = [f'1,2,"a, b.jpg","C:\\x","{md5[0].upper()}",488,,,,,,', "2,2,x,y", f'3,2,"b","d","{md5[1]}",-1,,,,,,',
             f'4,2,"b","d","{md5[1]}","",,,,,,', '5,2,"b","d","",7,,,,,,']  # fmt: skip
    read = Reading(tmp_path / "x.hsh", "\r\n".join([header, *lines]))
    assert read.format == "hashkeeper"
    assert [(row.md5.hex() if row.md5 else "", row.size) for row in read.rows] == [(md5[0], 488), (md5[1], None)]
    assert read.refused == [("line 3", "fewer columns than the header has"), ("line 4", "size is negative"),
                            ("line 6", "no hash in the row")]  # fmt: skip


@pytest.mark.parametrize("version", [1, 2])
def test_rds_2_in_both_orders(tmp_path: Path, version: int) -> None:
    sha1, md5 = hexed(20).upper(), hexed().upper()
    if version == 2:
        header = '"SHA-1","MD5","CRC32","FileName","FileSize","ProductCode","OpSystemCode","SpecialCode"'
        row = f'"{sha1}","{md5}","00000000","a "" quoted, name",4190,10,"362","M"'
    else:
        header = '"SHA-1","FileName","FileSize","ProductCode","OpSystemCode","MD4","MD5","CRC32","SpecialCode"'
        row = f'"{sha1}","a "" quoted, name",4190,10,"362","","{md5}","00000000","M"'
    read = Reading(tmp_path / "NSRLFile.txt", f"{header}\r\n{row}\r\n{row[:60]}\r\n")
    assert read.format == "nsrl-text"
    (found,) = read.rows
    assert (found.sha1, found.md5, found.size, found.series) == (bytes.fromhex(sha1), bytes.fromhex(md5), 4190, "M")
    assert [position for position, _ in read.refused] == ["line 3"]


def test_hashdeep(tmp_path: Path) -> None:
    md5, sha256 = hexed(), hexed(32)
    text = (f"%%%% HASHDEEP-1.0\n%%%% size,md5,sha256,filename\n## Invoked from: /x\n## $ hashdeep -r .\n##\n"
            f"488,{md5},{sha256},/a/b, c.jpg\nx,{md5},{sha256},d\n5,{md5}\n")  # fmt: skip
    read = Reading(tmp_path / "x.txt", text)
    assert read.format == "hashdeep"
    (row,) = read.rows
    assert (row.size, row.md5, row.sha256) == (488, bytes.fromhex(md5), bytes.fromhex(sha256))
    assert read.refused == [("line 7", "size is not a whole number"), ("line 8", "fewer columns than the header has")]


def test_hashdeep_that_names_no_columns_is_refused(tmp_path: Path) -> None:
    with pytest.raises(HashSetError, match=r"line 2 stands before"):
        Reading(tmp_path / "x.txt", f"%%%% HASHDEEP-1.0\n5,{hexed()},x\n")


def test_icse_baseline(tmp_path: Path) -> None:
    header = ("MD5;SHA1;PhotoDNA;Image ID;Is distributed;Victim identified;Offender identified;Series name;"
              "Number of submissions;File Available;Media Type;Baseline")  # fmt: skip
    md5 = [hexed().upper() for _ in range(3)]
    vector = RNG.randbytes(144)
    text = "\n".join([header, f"{md5[0]};{hexed(20)};{vector.hex()};77;True;False;true;A;3;True;Image;True",
                      f"{md5[1]};;;78;false;true;;;;;Video;False", f"{md5[2]};;;79;;;;;;;;"])  # fmt: skip
    read = Reading(tmp_path / "icse.csv", text)
    assert read.format == "icse"
    assert [(row.media_id, row.category, row.series) for row in read.rows] == [
        ("77", "baseline", "A"), ("78", "not-baseline", ""), ("79", "", "")]  # fmt: skip
    assert read.rows[0].photodna == vector
    assert read.rows[0].flags == RecordFlag.DISTRIBUTED | RecordFlag.OFFENDER_IDENTIFIED
    assert read.rows[1].flags == RecordFlag.VICTIM_IDENTIFIED


def test_iped(tmp_path: Path) -> None:
    md5 = hexed()
    read = Reading(tmp_path / "x.csv", f"status,md5,set,other\npedo,{md5},ProjectVIC,z\n")
    assert read.format == "iped"
    assert [(row.md5, row.category, row.series) for row in read.rows] == [(bytes.fromhex(md5), "pedo", "ProjectVIC")]
    assert Reading(tmp_path / "y.csv", f"category,md5,set\n1,{md5},x\n").format == "csv"


def test_csv_with_columns_said_by_the_builder(tmp_path: Path) -> None:
    md5, text = hexed(), "Prüfsumme|x"
    read = Reading(tmp_path / "x.csv", f"Prüfsumme;Klasse;md5\n{md5};3;zzz\n",
                   columns={"Prüfsumme": "md5", "KLASSE": "category"})  # fmt: skip
    assert read.format == "csv"
    assert [(row.md5, row.category) for row in read.rows] == [(bytes.fromhex(md5), "3")]
    with pytest.raises(HashSetError, match="no field 'md6'"):
        Reading(tmp_path / "x.csv", text, columns={"Prüfsumme": "md6"})


def test_pdq_lists(tmp_path: Path) -> None:
    pdq = [hexed(32) for _ in range(3)]
    text = f"# made here\n{pdq[0]},100,a, b.jpg\n{pdq[1].upper()},49\n{pdq[2]},101,x\n{pdq[2][:-1]},5\n{pdq[2]}\n"
    read = Reading(tmp_path / "x.txt", text)
    assert read.format == "pdq"
    assert [row.pdq for row in read.rows] == [
        ((bytes.fromhex(pdq[0]), 100),), ((bytes.fromhex(pdq[1]), 49),), ((bytes.fromhex(pdq[2]), None),)]  # fmt: skip
    assert read.refused == [
        ("line 4", "PDQ quality is above 100"),
        ("line 5", "PDQ has 63 characters where 64 are needed"),
    ]
    table = Reading(tmp_path / "y.csv", f'FilePath,Hash\n"C:\\a, b.jpg",{pdq[0]}\n')
    assert (table.format, [row.pdq for row in table.rows]) == ("pdq", [((bytes.fromhex(pdq[0]), None),)])
    assert Reading(tmp_path / "z.txt", pdq[0]).format == "hashes"
    assert Reading(tmp_path / "z.txt", pdq[0], "pdq").rows[0].pdq == ((bytes.fromhex(pdq[0]), None),)


def test_vpdq_frames_become_one_record(tmp_path: Path) -> None:
    pdq = [hexed(32), hexed(32)]
    lines = [f"0,100,{pdq[0]}", f"1,60,{pdq[1]},0.0405", f"7,80,{pdq[1]}, 12", "x", f"3,101,{pdq[0]}"]
    lines += [f"9,80,{pdq[0]},1.2.3", f"9,80,{pdq[0]},4294967.295"]
    read = Reading(tmp_path / "film.txt", "\n".join(lines))
    assert read.format == "vpdq"
    (row,) = read.rows
    first, second = map(bytes.fromhex, pdq)
    assert row.pdq == ((first, 100), (second, 60), (second, 80))
    assert row.frames == ((0, None), (1, 41), (7, 12_000))
    assert row.media_id == "film.txt"
    assert read.ignored == {}
    assert [reason for _, reason in read.refused] == [
        "the line is not frame,quality,hash",
        "PDQ quality is above 100",
        "the time of the frame is not a number of seconds",
        "the time of the frame is more than 49 days",
    ]


def test_hashdb_file_hashes_are_read_and_block_hashes_are_not(tmp_path: Path) -> None:
    md5 = [hexed(), hexed()]
    rows = [f"{md5[0]}\t{hexed()}\t0", f"{md5[0]}\t{hexed()}\t512", f"{md5[1]}\t{hexed()}\t0"]
    read = Reading(tmp_path / "x.tab", "# hashdb\n" + "\n".join(rows) + "\n")
    assert read.format == "hashdb"
    assert [row.md5 for row in read.rows] == [bytes.fromhex(text) for text in md5]
    assert read.ignored == {"block hashes (they are not hashes of files)": 3}
    lines = [f'{{"file_hash":"{md5[0]}","filesize":800,"name_pairs":["r","f"]}}', f'{{"block_hash":"{hexed()}"}}']
    read = Reading(tmp_path / "x.json", "\n".join(lines))
    assert [(row.md5, row.size) for row in read.rows] == [(bytes.fromhex(md5[0]), 800)]
    with pytest.raises(HashSetError, match=r"1 block hashes.*blocks within files.*hashes of the whole files"):
        Reading(tmp_path / "y.json", lines[1])


@pytest.mark.parametrize("mark", [b"PK\x03\x04", b"\x1f\x8b\x08", b"7z\xbc\xaf\x27\x1c", b"Rar!\x1a", b"\xfd7zXZ\x00"])
def test_packed_files_are_not_opened(tmp_path: Path, mark: bytes) -> None:
    with pytest.raises(HashSetError, match="Packed files are not opened"):
        Reading(tmp_path / "x", mark + RNG.randbytes(500))


@pytest.mark.parametrize(
    "start", ["{md5}\n", "md5\n{md5}\n", "{pdq},5\n", "%%%% HASHDEEP-1.0\n%%%% size,md5,filename\n"]
)
def test_a_line_without_an_end_is_refused(tmp_path: Path, start: str) -> None:
    text = start.format(md5=hexed(), pdq=hexed(32)) + "x" * 3_000_000
    with pytest.raises(HashSetError, match="is longer than 1048576 characters") as caught:
        Reading(tmp_path / "x.txt", text)
    assert "xxx" not in str(caught.value)


def test_no_message_quotes_a_hash(tmp_path: Path) -> None:
    secret = hexed()
    for text in (f"md5\n{secret}z\n", f"{secret}z\n{secret}\n", f"%%%% HASHDEEP-1.0\n%%%% md5,filename\n{secret}z,x\n"):
        read = Reading(tmp_path / "x.txt", text)
        assert read.refused
        assert not any(secret[:8] in reason for _, reason in read.refused)
