"""CSV with a header, checksum lists and plain lists."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import pytest

from caid_triage.errors import HashSetError
from caid_triage.hashset.build import BuildResult, build_hashset
from caid_triage.hashset.store import HashSet, open_hashset

RNG = random.Random(21)


def hexed(length: int = 16) -> str:
    return RNG.randbytes(length).hex()


def build(tmp_path: Path, data: str | bytes, **options: Any) -> tuple[BuildResult, HashSet]:
    (tmp_path / "list.txt").write_bytes(data.encode() if isinstance(data, str) else data)
    result = build_hashset([tmp_path / "list.txt"], tmp_path / "list.chs", **options)
    return result, open_hashset(tmp_path / "list.chs")


@pytest.mark.parametrize("delimiter", [",", ";", "\t"])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
def test_csv_columns_in_any_case_and_order(tmp_path: Path, delimiter: str, encoding: str) -> None:
    lines = [
        ["Category", "File Name", "SHA-1", "md5", "Media_ID", "FileSize", "PDQ", "Quality", "pHash", "SHA256"],
        ["1", "ö.jpg", hexed(20).upper(), hexed(), "17", "100", hexed(32), "80", hexed(8), hexed(32)],
        ["", "b.jpg", "", hexed(), "x-9", "", "", "", "", ""],
    ]
    text = "\r\n".join(delimiter.join(line) for line in lines) + "\r\n"
    result, hashset = build(tmp_path, text.encode(encoding))
    assert result.sources[0]["format"] == "csv"
    assert hashset.counts == {
        "records": 2, "md5": 2, "sha1": 1, "sha256": 1, "pdq": 1, "phash": 1, "photodna": 0,
    }  # fmt: skip
    assert hashset.records["category"].tolist() == ["1", ""]
    assert hashset.records["media_id"].tolist() == ["17", "x-9"]
    assert hashset.records["size"].tolist() == [100, None]
    assert hashset.pdq_quality().tolist() == [80]


def test_csv_refused_rows_name_their_line(tmp_path: Path) -> None:
    text = f"md5,category,size\n{hexed()},1,5\nxyz,1,5\n\n{hexed()},1,-5\n,1,5\n{hexed()}\n"
    result, hashset = build(tmp_path, text)
    assert [(row.position, row.reason) for row in result.refused] == [
        ("line 3", "MD5 has 3 characters where 32 are needed"),
        ("line 5", "size is negative"),
        ("line 6", "no hash in the row"),
    ]
    assert len(hashset) == 2


def test_csv_with_quoted_names_that_hold_the_delimiter(tmp_path: Path) -> None:
    _, hashset = build(tmp_path, f'name,md5,category\n"a, b\nc",{hexed()},2\n')
    assert hashset.records["category"].tolist() == ["2"]


def test_csv_without_a_hash_column_is_refused(tmp_path: Path) -> None:
    with pytest.raises(HashSetError, match="line 1 names none of MD5"):
        build(tmp_path, "name,size\na,1\n", format="csv")


def test_checksum_lists_of_every_style(tmp_path: Path) -> None:
    lines = [
        "# a comment",
        f"{hexed()}  a file.jpg",
        f"{hexed().upper()} *b.jpg",
        f"\\{hexed()}  a\\nname.jpg",
        f"{hexed(20)}\tc.jpg",
        f"MD5 (d (1).jpg) = {hexed()}",
        f"SHA1 (e.jpg) = {hexed(20)}",
        f"SHA256 (f.jpg) = {hexed(32)}",
        hexed(),
        hexed(20),
        hexed(32),
        "",
    ]
    result, hashset = build(tmp_path, "\r\n".join(lines))
    assert result.sources[0]["format"] == "hashes"
    assert result.counts["refused"] == 0
    assert hashset.counts["md5"] == 5
    assert hashset.counts["sha1"] == 3
    assert hashset.counts["sha256"] == 2
    assert hashset.records["category"].tolist() == [""] * 10


def test_checksum_list_refuses_odd_lines_with_their_number(tmp_path: Path) -> None:
    text = f"{hexed()}  a\n{hexed()[:-1]}  odd\nnot a hash\nMD5 (x) = 12\nMD5 (x) =\n{'0' * 32}\n"
    result, _ = build(tmp_path, text)
    assert [(row.position, row.reason) for row in result.refused] == [
        ("line 2", "a hash of 31 hexadecimal digits (32, 40 or 64 are known)"),
        ("line 3", "the line does not begin with a hash"),
        ("line 4", "MD5 has 2 characters where 32 are needed"),
        ("line 5", "no hash in the row"),
        ("line 6", "MD5 is all zeros"),
    ]


def test_several_files_of_different_formats_make_one_set(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text(f"md5,category\n{hexed()},1\n")
    (tmp_path / "b.txt").write_text(f"{hexed()}\n")
    result = build_hashset([tmp_path / "a.csv", tmp_path / "b.txt"], tmp_path / "both.chs")
    assert [source["format"] for source in result.sources] == ["csv", "hashes"]
    assert open_hashset(tmp_path / "both.chs").records["source"].tolist() == [0, 1]


def test_missing_file_folder_and_unknown_format_are_refused(tmp_path: Path) -> None:
    with pytest.raises(HashSetError, match=r"gone\.csv: cannot be read: No such file"):
        build_hashset([tmp_path / "gone.csv"], tmp_path / "x.chs")
    with pytest.raises(HashSetError, match="is a folder"):
        build_hashset([tmp_path], tmp_path / "x.chs")
    with pytest.raises(HashSetError, match="format 'pst' is not known"):
        build(tmp_path, hexed(), format="pst")
