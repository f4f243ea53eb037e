"""Protection at rest: at no moment of a build can another user of the machine read what it holds."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from caid_triage.hashset import column_files, columns, external_sort, spool
from caid_triage.hashset.build import build_hashset, build_hashset_from_arrays

pytestmark = pytest.mark.skipif(os.name == "nt", reason="POSIX permission bits")


@pytest.fixture(autouse=True)
def generous_umask() -> Iterator[None]:
    """A user whose new files everybody may read and write: what is private then is private by our doing."""
    before = os.umask(0)
    yield
    os.umask(before)


def open_to_others(folder: Path) -> list[str]:
    """Files and folders below that anybody but their owner may touch."""
    return [item.name for item in folder.rglob("*") if stat.S_IMODE(item.stat().st_mode) & 0o077]


def test_everything_of_a_build_is_private_at_every_moment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    place = tmp_path / "sets"
    place.mkdir(mode=0o755)
    source = tmp_path / "list.csv"
    rows = np.random.default_rng(8).integers(0, 256, (900, 56), dtype=np.uint8)
    cells = [f"{row[:16].tobytes().hex()},{row[16:48].tobytes().hex()},{row[48:].tobytes().hex()}" for row in rows]
    source.write_text("md5,pdq,phash\n" + "\n".join(cells) + "\n")
    looked, scratch = 0, list[str]()

    def look(*_: object) -> None:
        nonlocal looked
        looked += 1
        assert open_to_others(place) == []

    real_sync, real_nameless = column_files.sync, spool.nameless_file

    def sync_and_look(file: object) -> None:
        look()
        real_sync(file)

    def nameless(folder: Path) -> object:
        before = set(folder.iterdir())
        file = real_nameless(folder)
        scratch.extend(path.name for path in set(folder.iterdir()) - before)
        assert not stat.S_IMODE(os.fstat(file.fileno()).st_mode) & 0o077
        look()
        return file

    monkeypatch.setattr(column_files, "sync", sync_and_look)
    monkeypatch.setattr(spool, "nameless_file", nameless)
    monkeypatch.setattr(column_files, "nameless_file", nameless)
    monkeypatch.setattr(columns, "_SPILL_RECORDS", 100)
    monkeypatch.setattr(external_sort.sorted_blocks, "__defaults__", (4096,))
    build_hashset([source], place / "a.chs")
    assert looked > 30
    assert scratch == [], "rows wait in files that have no name"
    assert [item.name for item in place.iterdir()] == ["a.chs"]
    assert stat.S_IMODE((place / "a.chs").stat().st_mode) == 0o700
    assert open_to_others(place) == []


def test_a_new_generation_is_as_private_as_the_first(tmp_path: Path) -> None:
    for seed in (1, 2):
        md5 = np.random.default_rng(seed).integers(0, 256, (40, 16), dtype=np.uint8)
        build_hashset_from_arrays(tmp_path / "a.chs", md5=md5)
    assert open_to_others(tmp_path) == []
