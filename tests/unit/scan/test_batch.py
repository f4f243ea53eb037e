"""What is stored at once for what it holds."""

from __future__ import annotations

import hashlib
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from caid_triage.config import ScanOptions
from caid_triage.hashset.build import build_hashset_from_arrays
from caid_triage.hashset.store import HashSet, open_hashset
from caid_triage.model import DecodeState, Digests, Examination, FileEntry, ScanRecord, State
from caid_triage.scan import batch
from caid_triage.scan.batch import Batch, HitWatch


def record(content: bytes | None) -> ScanRecord:
    entry = FileEntry("E", "s", "", 0, "/a", b"/a", State.ALLOCATED, 1)
    made = None
    if content is not None:
        made = Digests(*(hashlib.new(name, content).digest() for name in ("md5", "sha1", "sha256")))
    return ScanRecord(entry, Examination(made, 0, decode_state=DecodeState.NOT_MEDIA))


@pytest.fixture(scope="module")
def sets(tmp_path_factory: pytest.TempPathFactory) -> list[HashSet]:
    """One notable set by MD5 and one by SHA-256, and a known-good one."""
    folder: Path = tmp_path_factory.mktemp("sets")
    found = []
    for name, algorithm, content, role in (
        ("one", "md5", b"one", "notable"),
        ("two", "sha256", b"two", "notable"),
        ("good", "sha1", b"good", "known-good"),
    ):
        digest = np.frombuffer(hashlib.new(algorithm, content).digest(), dtype=np.uint8).reshape(1, -1)
        build_hashset_from_arrays(folder / f"{name}.chs", role=role, **{algorithm: digest})  # type: ignore[arg-type]
        found.append(open_hashset(folder / f"{name}.chs"))
    return found


def test_the_first_hit_of_a_source_is_urgent(sets: list[HashSet], monkeypatch: pytest.MonkeyPatch) -> None:
    now = [50.0]
    monkeypatch.setattr(batch, "time", SimpleNamespace(monotonic=lambda: now[0]))
    watch = HitWatch(sets)
    assert [watch.is_urgent(record(one)) for one in (b"good", b"other", None, b"one", b"two")] == [
        False, False, False, True, False,
    ]  # fmt: skip
    now[0] += 1.1
    assert watch.is_urgent(record(b"two"))  # the first was none after all: nobody said that it was shown
    watch.met()
    now[0] += 1.1
    assert not watch.is_urgent(record(b"one"))
    watch.begin()
    assert watch.is_urgent(record(b"one"))


def test_every_hit_is_where_they_are_counted(sets: list[HashSet]) -> None:
    watch = HitWatch(sets, every=True)
    for _ in range(3):
        assert watch.is_urgent(record(b"one"))
        watch.met()
    assert not watch.is_urgent(record(b"good"))
    assert not HitWatch([], every=True).is_urgent(record(b"one"))
    assert not HitWatch(sets[2:]).is_urgent(record(b"good"))


def test_what_counts_as_no_hit_is_never_urgent(tmp_path: Path) -> None:
    (tmp_path / "own.toml").write_text(
        'name = "own"\ntitle = ""\njurisdiction = ""\nregions = []\nsource = ""\nconfirmed_by = "A"\n[[categories]]\n'
        'code = "9"\nlabel = "Ignorable"\nlegal_class = ""\nseverity = 0\nmeaning = "ignorable"\n'
    )
    md5 = np.frombuffer(b"".join(hashlib.new("md5", one).digest() for one in (b"one", b"two")), dtype=np.uint8)
    made = build_hashset_from_arrays(
        tmp_path / "own.chs", md5=md5.reshape(2, -1), category=["9", "1"], scheme=tmp_path / "own.toml"
    )
    opened = [open_hashset(made.path)]
    watch = HitWatch(opened, {"own"}, every=True)
    assert [watch.is_urgent(record(one)) for one in (b"one", b"two")] == [False, True]
    assert HitWatch(opened, every=True).is_urgent(record(b"one"))


def test_an_urgent_batch_is_due(sets: list[HashSet]) -> None:
    options = ScanOptions(batch_files=10, batch_seconds=60.0)
    one = Batch([record(b"one")])
    assert not one.is_due(options)
    one.urgent = True
    assert one.is_due(options)
    assert Batch([record(None)] * 10).is_due(options)
