"""Bad hash sets on the command line: refused or reported, named, with exit code 5; never a wrong answer."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

GOOD = "0123456789abcdef0123456789abcdef"
BAD_ENTRIES = {
    "a hash too short": (f'{{"MD5": "{GOOD[:-1]}"}}', "MD5 has 31 characters where 32 are needed"),
    "a hash too long": (f'{{"MD5": "{GOOD}00"}}', "MD5 has 34 characters where 32 are needed"),
    "odd hex": (f'{{"MD5": "{GOOD[:-1]}g"}}', "MD5 is not hexadecimal"),
    "duplicate keys": (f'{{"MD5": "{GOOD}", "MD5": "{GOOD[::-1]}"}}', "twice"),
    "a negative size": (f'{{"MD5": "{GOOD}", "MediaSize": -1}}', "size"),
}


def with_entries(path: Path, *entries: str) -> Path:
    path.write_text('{"value": [' + ", ".join(entries) + "]}")
    return path


@pytest.mark.parametrize("what", BAD_ENTRIES)
def test_an_entry_that_cannot_be_used(run, tmp_path, what) -> None:
    entry, reason = BAD_ENTRIES[what]
    out = tmp_path / "out.chs"
    done = run("hashset", "build", with_entries(tmp_path / "bad.json", entry), "--out", out)
    assert done.returncode == 5, (done.stdout, done.stderr)
    assert "bad.json" in done.stderr
    assert "byte 11" in done.stderr
    assert reason in done.stderr
    assert GOOD[:8] not in done.stderr  # no hash in a message
    assert not out.exists()


def test_bad_entries_among_good_ones_are_counted_and_named(run, tmp_path) -> None:
    entries = [entry for entry, _ in BAD_ENTRIES.values()]
    mixed = with_entries(tmp_path / "mixed.json", *entries, '{"MD5": "' + "7" * 32 + '", "Category": 1}')
    out = tmp_path / "out.chs"
    done = run("hashset", "build", mixed, "--out", out)
    assert done.returncode == 3, (done.stdout, done.stderr)
    assert f"refused rows: {len(entries)}" in done.stderr
    assert all(reason in done.stderr for _, reason in BAD_ENTRIES.values())
    asked = run("hashset", "lookup", out, "7" * 32, GOOD, GOOD[::-1])
    assert [line.split("\t")[1] for line in asked.stdout.splitlines()] == ["known", "unknown", "unknown"]


@pytest.fixture(scope="module")
def built(run, tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("built")
    entries = (json.dumps({"MD5": f"{number + 1:032x}", "Category": 1}) for number in range(100))
    out = folder / "set.chs"
    assert run("hashset", "build", with_entries(folder / "set.json", *entries), "--out", out).returncode == 0
    return out


def test_a_scheme_without_a_code(run, built, tmp_path) -> None:
    scheme = tmp_path / "ours.toml"
    scheme.write_text('name = "ours"\ntitle = "Ours"\n[[category]]\nlabel = "A"\nmeaning = "notable"\nseverity = 9\n')
    done = run("hashset", "build", built.parent / "set.json", "--out", tmp_path / "out.chs", "--scheme", scheme)
    assert done.returncode == 5, (done.stdout, done.stderr)
    assert "ours.toml" in done.stderr
    assert "code" in done.stderr
    assert not (tmp_path / "out.chs").exists()


def changed(built: Path, tmp_path: Path, **fields: Any) -> Path:
    copy = tmp_path / "copy.chs"
    shutil.copytree(built, copy)
    if fields:
        manifest = json.loads((copy / "manifest.json").read_text())
        (copy / "manifest.json").write_text(json.dumps(manifest | fields))
    return copy


@pytest.mark.parametrize("version", [1, 999])
def test_a_set_of_another_format_version(run, built, tmp_path, version) -> None:
    copy = changed(built, tmp_path, format_version=version)
    done = run("hashset", "lookup", copy, f"{1:032x}")
    assert done.returncode == 5, (done.stdout, done.stderr)
    assert "copy.chs" in done.stderr
    assert "format version" in done.stderr
    assert done.stdout == ""


def test_every_column_cut_by_a_byte_or_longer_by_one(run, built, tmp_path) -> None:
    """Each file of the set in turn, by the opener that the command uses; one of them through the command."""
    from caid_triage.errors import HashSetError
    from caid_triage.hashset.store import open_hashset

    copy = changed(built, tmp_path)
    columns = sorted(copy.rglob("*.npy"))
    assert len(columns) >= 13
    for column in columns:
        whole = column.read_bytes()
        for other in (whole[:-1], whole + b"\x00"):
            column.write_bytes(other)
            with pytest.raises(HashSetError, match=column.name.replace(".", r"\.")):
                open_hashset(copy)
        column.write_bytes(whole)
    assert len(open_hashset(copy)) == 100
    rows = next(copy.glob("*/md5/rows.npy"))
    rows.write_bytes(rows.read_bytes()[:-1])
    done = run("hashset", "lookup", copy, f"{1:032x}")
    assert (done.returncode, done.stdout) == (5, "")
    assert "md5/rows.npy" in done.stderr
