"""Asking a set, making one from graded pictures, and deleting one."""

from __future__ import annotations

import base64
import hashlib
import json
import os
import shutil
import signal
import stat
from pathlib import Path

import numpy as np
import pytest

from caid_triage.cli.interrupts import interruptible
from caid_triage.errors import HashSetError, UsageError
from caid_triage.hashset.build import build_hashset, build_hashset_from_arrays
from caid_triage.hashset.lookup import lookup
from caid_triage.hashset.make import make_hashset
from caid_triage.hashset.purge import purge_hashset
from caid_triage.hashset.rows import RecordFlag
from caid_triage.hashset.store import open_hashset
from caid_triage.model import Digests, Examination, PerceptualHash, Problem

MD5 = "0123456789abcdef0123456789ABCDEF"
SHA1 = "00" + "12" * 19


def a_set(tmp_path: Path) -> Path:
    record = {"MD5": MD5, "SHA1": SHA1, "MediaID": 7, "MediaSize": 9, "VictimIdentified": "true", "Series": "S"}
    document = {"value": [{**record, "Category": 1}, {**record, "Category": 2, "MediaID": 8, "Series": ""}]}
    (tmp_path / "in.json").write_text(json.dumps(document))
    build_hashset([tmp_path / "in.json"], tmp_path / "a.chs")
    return tmp_path / "a.chs"


def test_lookup_gives_every_record_of_a_hash(tmp_path: Path) -> None:
    hashset = open_hashset(a_set(tmp_path))
    for text in (MD5, MD5.lower(), SHA1.upper(), f" {SHA1} "):
        answer = lookup(hashset, text)
        assert answer.known
        assert [record.category.label for record in answer.records] == [
            "code 1 (scheme unknown)",
            "code 2 (scheme unknown)",
        ]
        assert [(record.media_id, record.size, record.series) for record in answer.records] == [
            ("7", 9, "S"),
            ("8", 9, ""),
        ]
        assert RecordFlag.VICTIM_IDENTIFIED in answer.records[0].flags
    assert not lookup(hashset, "11" * 32).known
    for bad in ("", "12", "zz" * 16):
        with pytest.raises(UsageError, match="hash"):
            lookup(hashset, bad)


def examine(path: Path) -> Examination:
    content = path.read_bytes()
    if content == b"unreadable":
        return Examination(None, 0, problems=(Problem("read", "read-error", "x"),))
    digests = Digests(*(hashlib.new(name, content).digest() for name in ("md5", "sha1", "sha256")))
    hashes = (
        PerceptualHash("pdq", hashlib.sha256(content).digest(), 90),
        PerceptualHash("phash", hashlib.sha256(content).digest()[:8]),
    )
    return Examination(digests, len(content), hashes=() if path.suffix == ".txt" else hashes)


def test_a_set_of_graded_pictures(tmp_path: Path) -> None:
    for name, content in {
        "1/a.jpg": b"a", "1/deep/b.jpg": b"b", "2/c.txt": b"c", "d.jpg": b"d", "2/bad.jpg": b"unreadable",
        "2/0.jpg": b"",
    }.items():  # fmt: skip
        path = tmp_path / "graded" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    result = make_hashset(tmp_path / "graded", tmp_path / "g.chs", examine, name="ours", scheme="uk")
    hashset = open_hashset(tmp_path / "g.chs")
    assert hashset.records["category"].tolist() == ["1", "1", "2", ""]
    assert (hashset.counts["sha256"], hashset.counts["pdq"], hashset.counts["phash"]) == (4, 3, 3)
    assert result.reasons == {"read-error": 1, "the digest of an empty file": 1}
    assert lookup(hashset, hashlib.md5(b"b").hexdigest()).records[0].category.code == "1"
    with pytest.raises(HashSetError, match="no such folder"):
        make_hashset(tmp_path / "gone", tmp_path / "h.chs", examine)
    (tmp_path / "void").mkdir()
    with pytest.raises(HashSetError, match="holds no file"):
        make_hashset(tmp_path / "void", tmp_path / "h.chs", examine)


def test_purge_deletes_the_set_and_puts_it_on_record(tmp_path: Path) -> None:
    path = a_set(tmp_path)
    generation = open_hashset(path).generation
    (tmp_path / "a.chs.tmp-1").mkdir()
    audit = purge_hashset(path)
    lines = [json.loads(line) for line in audit.read_text().splitlines()]
    assert [line["state"] for line in lines] == ["begun", "done"]
    assert lines[0]["generation"] == generation
    assert lines[0]["sources"][0]["file"] == "in.json"
    assert MD5.lower() not in audit.read_text().lower()
    assert sorted(item.name for item in tmp_path.iterdir()) == ["a.chs.purged.jsonl", "in.json"]


def test_a_purge_that_is_interrupted_at_its_end_is_on_record_as_done(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Run again it would find no set, and the record would have its beginning alone for ever."""
    path, rmtree = a_set(tmp_path), shutil.rmtree

    def interrupted(folder: Path) -> None:
        rmtree(folder)
        if folder == path:
            signal.raise_signal(signal.SIGINT)

    with monkeypatch.context() as patched, interruptible():
        patched.setattr(shutil, "rmtree", interrupted)
        with pytest.raises(KeyboardInterrupt):
            purge_hashset(path)
    lines = (tmp_path / "a.chs.purged.jsonl").read_text().splitlines()
    assert [json.loads(line)["state"] for line in lines] == ["begun", "done"]


def every_hash_form(value: bytes) -> list[bytes]:
    """A hash as a text or a file could hold it: raw, hexadecimal in both cases, base64."""
    return [value, value.hex().encode(), value.hex().upper().encode(), base64.b64encode(value).rstrip(b"=")]


def test_purge_leaves_no_hash_anywhere(tmp_path: Path) -> None:
    rng = np.random.default_rng(6)
    lengths = {"md5": 16, "sha1": 20, "sha256": 32, "pdq": 32, "phash": 8, "photodna": 144}
    hashes = {name: rng.integers(0, 256, (5, length), dtype=np.uint8) for name, length in lengths.items()}
    out = tmp_path / "a.chs"
    build_hashset_from_arrays(out, **hashes, media_id=[f"medium-{i}" for i in range(5)])
    shutil.copytree(out, tmp_path / "a.chs.tmp-77")
    purge_hashset(out)
    (audit,) = tmp_path.iterdir()
    content = audit.read_bytes()
    for rows in hashes.values():
        for row in rows:
            assert not any(form in content for form in every_hash_form(row.tobytes()))
    assert b"medium-" not in content
    if os.name != "nt":
        assert stat.S_IMODE(audit.stat().st_mode) == 0o600


def test_purge_deletes_what_a_killed_first_build_left(tmp_path: Path) -> None:
    path = a_set(tmp_path)
    path.rename(tmp_path / "a.chs.tmp-9")
    audit = purge_hashset(path)
    assert [json.loads(line)["leftovers"] for line in audit.read_text().splitlines()] == [1, 1]
    assert sorted(item.name for item in tmp_path.iterdir()) == ["a.chs.purged.jsonl", "in.json"]
    with pytest.raises(HashSetError, match="is not a hash set"):
        purge_hashset(path)


def test_purge_refuses_what_is_not_a_set_or_holds_more(tmp_path: Path) -> None:
    (tmp_path / "photos").mkdir()
    with pytest.raises(HashSetError, match="is not a hash set"):
        purge_hashset(tmp_path / "photos")
    path = a_set(tmp_path)
    (path / "notes.txt").write_text("mine")
    with pytest.raises(HashSetError, match=r"1 files that are not of the set \(notes\.txt\)"):
        purge_hashset(path)
    assert open_hashset(path).counts["records"] == 2
    (tmp_path / "link.chs").symlink_to(path)
    with pytest.raises(HashSetError, match="is not a hash set"):
        purge_hashset(tmp_path / "link.chs")


def test_the_source_of_a_made_set_is_the_listing_of_its_folder(tmp_path: Path) -> None:
    from caid_triage.examine.examine import examine_file

    for name, content in {"1/b.txt": b"bee", "1/a.txt": b"ay", "2/c.txt": b"sea"}.items():
        (tmp_path / "graded" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "graded" / name).write_bytes(content)
    made = make_hashset(tmp_path / "graded", tmp_path / "made.chs", examine_file)
    lines = "".join(
        f"{hashlib.sha256(content).hexdigest()}  {name}\n"
        for name, content in (("1/a.txt", b"ay"), ("1/b.txt", b"bee"), ("2/c.txt", b"sea"))
    )
    (source,) = made.sources
    assert (source["file"], source["size"], source["records"]) == ("graded", 8, 3)
    assert source["sha256"] == hashlib.sha256(lines.encode()).hexdigest()


def test_a_graded_file_that_is_gone_is_a_refused_row(tmp_path: Path) -> None:
    from caid_triage.examine.examine import examine_file

    (tmp_path / "graded").mkdir()
    (tmp_path / "graded" / "a.txt").write_bytes(b"ay")
    (tmp_path / "graded" / "b.txt").write_bytes(b"bee")

    def examine(path: Path) -> Examination:
        if path.name == "b.txt":
            path.unlink()
        return examine_file(path)

    made = make_hashset(tmp_path / "graded", tmp_path / "made.chs", examine)
    assert made.counts["records"] == 1
    assert [row.reason for row in made.refused] == ["file-unreadable"]
