"""A set that somebody else made, or that somebody changes while it is used: refused with a sentence, never trusted."""

from __future__ import annotations

import json
import os
import re
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from unit.case import samples

from caid_triage.errors import HashSetError
from caid_triage.hashset.build import build_hashset, build_hashset_from_arrays
from caid_triage.hashset.layout import FORMS, fits
from caid_triage.hashset.manifest import seal_of
from caid_triage.hashset.store import HashSet, open_hashset
from caid_triage.match.match import match_batch

MANY = 33_000  # the index of perceptual hashes is made from 32,768 on
DOCUMENT = Path(__file__).parents[3] / "docs" / "formats" / "hashsets.md"


def rows(count: int, length: int) -> np.ndarray[Any, np.dtype[np.uint8]]:
    return np.random.default_rng(length).integers(0, 256, (count, length), dtype=np.uint8)


@pytest.fixture(scope="module")
def listed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A set of a list: digests, media ids, series, categories."""
    folder = tmp_path_factory.mktemp("listed")
    md5, sha1 = rows(60, 16), rows(60, 20)
    value = [
        {"MediaID": n, "Category": n % 4, "MD5": md5[n].tobytes().hex(), "SHA1": sha1[n].tobytes().hex(),
         "Series": f"s{n % 5}", "MediaSize": str(n)}
        for n in range(60)
    ]  # fmt: skip
    url = "http://github.com/VICSDATAMODEL/ProjectVic/DataModels/2.0.xml/UK/$metadata#Media"
    (folder / "in.json").write_text(json.dumps({"@odata.context": url, "value": value}))
    build_hashset([folder / "in.json"], folder / "a.chs")
    return folder / "a.chs"


@pytest.fixture(scope="module")
def looks(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A set large enough for the index of perceptual hashes."""
    path = tmp_path_factory.mktemp("looks") / "a.chs"
    build_hashset_from_arrays(path, pdq=rows(MANY, 32), phash=rows(MANY, 8))
    return path


def use(hashset: HashSet) -> None:
    """Ask everything of a set that matching and looking up ask."""
    for algorithm, length in (("md5", 16), ("sha1", 20)):
        _, found = hashset.exact(algorithm, rows(60, length))
        hashset.categories(found)
        hashset.records.media_ids(found)
        hashset.records.series_of(found)
        hashset.records.sizes(found)
        hashset.records.flags_of(found)
    for algorithm, length in (("pdq", 32), ("phash", 8)):
        if hashset.counts[algorithm]:
            _, found, _ = hashset.near(algorithm, rows(MANY, length)[:3], length)
            hashset.categories(found)
    assert hashset.videos is not None


@pytest.mark.parametrize("which", ["listed", "looks"])
@pytest.mark.parametrize("fill", [b"\0", b"\xff", b"\xff\xff\xff\x7f", b"\x03\xe2\x41"])
def test_whatever_stands_in_a_column_it_is_an_answer_or_a_refusal(
    which: str, fill: bytes, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    """Right sizes and headers, so that opening sees nothing: no number in it is believed."""
    path = tmp_path / "a.chs"
    shutil.copytree(request.getfixturevalue(which), path)
    refused: list[str] = []
    for file in sorted(path.rglob("*.npy")):
        whole = file.read_bytes()
        count = len(whole) - 128
        file.write_bytes(whole[:128] + (fill * (count // len(fill) + 1))[:count])
        try:
            use(open_hashset(path))
        except HashSetError as error:
            refused.append(str(error))
        file.write_bytes(whole)
    assert refused or fill == b"\0"
    assert all(message.startswith("a.chs: ") for message in refused)
    use(open_hashset(path))


def copied(source: Path, folder: Path) -> tuple[Path, dict[str, Any]]:
    path = folder / "a.chs"
    shutil.copytree(source, path)
    return path, json.loads((path / "manifest.json").read_bytes())


def sealed(path: Path, manifest: dict[str, Any]) -> None:
    (path / "manifest.json").write_text(json.dumps(manifest | {"seal": seal_of(manifest)}))


@pytest.mark.parametrize("kind", ["link", "link to a folder", "pipe", "folder"])
@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no pipes on this system")
def test_nothing_but_files_inside_the_set_is_opened_and_nothing_hangs(listed: Path, tmp_path: Path, kind: str) -> None:
    path, _ = copied(listed, tmp_path)
    file = next(path.rglob("md5/rec.npy"))
    if kind == "link to a folder":
        file.parent.rename(tmp_path / "md5")
        file.parent.symlink_to(tmp_path / "md5")
    else:
        file.rename(tmp_path / "rec.npy")
        if kind == "link":
            file.symlink_to(tmp_path / "rec.npy")
        elif kind == "pipe":
            os.mkfifo(file)
        else:
            file.mkdir()
    with pytest.raises(HashSetError, match=r"md5/\w+\.npy (cannot be read|is not a file)"):
        open_hashset(path)


@pytest.mark.parametrize("name", ["../../rec.npy", "/etc/passwd", "md5/../md5/rec.npy", "md5/other.npy", "x.npy", ""])
def test_a_column_that_no_set_has_is_not_opened(listed: Path, tmp_path: Path, name: str) -> None:
    path, manifest = copied(listed, tmp_path)
    shutil.copy(next(path.rglob("md5/rec.npy")), tmp_path / "rec.npy")
    manifest["columns"][name] = manifest["columns"]["md5/rec.npy"]
    sealed(path, manifest)
    with pytest.raises(HashSetError, match="is not a column that a set has"):
        open_hashset(path)


@pytest.mark.parametrize("dtype", ["<f8", "<i8", ">u8", "<U2", "|O"])
def test_a_column_of_another_type_is_refused(listed: Path, tmp_path: Path, dtype: str) -> None:
    path, manifest = copied(listed, tmp_path)
    file = next(path.rglob("md5/rows.npy"))
    np.save(file, np.zeros((60, 2), dtype=dtype), allow_pickle=True)
    manifest["columns"]["md5/rows.npy"] |= {"dtype": np.dtype(dtype).str, "bytes": file.stat().st_size}
    sealed(path, manifest)
    with pytest.raises(HashSetError, match="of another type"):
        open_hashset(path)


@pytest.mark.parametrize("name", ["pdq/word2.npy", "pdq/start.npy", "phash/mih_values.npy", "phash/mih_ids.npy"])
def test_columns_that_do_not_fit_each_other_are_refused(looks: Path, tmp_path: Path, name: str) -> None:
    """A search would read behind the shorter one."""
    path, manifest = copied(looks, tmp_path)
    file = next(path.rglob(name))
    fewer = np.load(file)[:-1]
    np.save(file, fewer)
    manifest["columns"][name] |= {"shape": list(fewer.shape), "bytes": file.stat().st_size}
    sealed(path, manifest)
    with pytest.raises(HashSetError, match="does not fit the set's other files"):
        open_hashset(path)


def test_a_manifest_that_would_fill_the_memory_is_refused(
    listed: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, _ = copied(listed, tmp_path)
    size = (path / "manifest.json").stat().st_size
    monkeypatch.setattr("caid_triage.hashset.store.MOST_MANIFEST", size)
    open_hashset(path)
    monkeypatch.setattr("caid_triage.hashset.store.MOST_MANIFEST", size - 1)
    with pytest.raises(HashSetError, match=r"manifest\.json is larger"):
        open_hashset(path)


@pytest.mark.parametrize("change", ["cut", "emptied", "written to", "grown"])
def test_a_set_that_is_changed_while_it_is_used_ends_in_a_sentence(listed: Path, tmp_path: Path, change: str) -> None:
    """Reading a mapped file behind its new end would end the process with SIGBUS."""
    path, _ = copied(listed, tmp_path)
    hashset = open_hashset(path)
    records = [samples.record(0)]
    assert match_batch(records, [hashset]).matches == [()]
    file = next(path.rglob("sha1/rows.npy"))
    before = file.stat()
    with file.open("r+b") as out:
        if change in ("cut", "emptied"):
            out.truncate(before.st_size - 1 if change == "cut" else 0)
        else:
            out.seek(0 if change == "grown" else 200, 2 if change == "grown" else 0)
            out.write(b"\1")
    os.utime(file, ns=(before.st_atime_ns, before.st_mtime_ns + (0 if change != "written to" else 1_000)))
    with pytest.raises(HashSetError, match=r"sha1/rows\.npy was changed while the set was in use"):
        match_batch(records, [hashset])


def test_a_set_that_is_built_again_or_removed_while_it_is_used_stays_as_it_was(tmp_path: Path) -> None:
    md5 = rows(40, 16)
    build_hashset_from_arrays(tmp_path / "a.chs", md5=md5)
    hashset = open_hashset(tmp_path / "a.chs")
    build_hashset_from_arrays(tmp_path / "a.chs", md5=md5[:10])
    hashset.check_unchanged()
    assert len(hashset.exact("md5", md5)[0]) == 40
    shutil.rmtree(tmp_path / "a.chs")
    hashset.check_unchanged()
    assert len(hashset.exact("md5", md5)[0]) == 40


def test_the_forms_are_those_of_the_document() -> None:
    table = re.findall(r"^\| `(\w+/\w+\.npy)`[^|]*\| (\w+) \|", DOCUMENT.read_text(encoding="utf-8"), re.MULTILINE)
    documented = {name: np.dtype(dtype).str for name, dtype in table}
    assert len(documented) > 25
    for name, dtype in documented.items():
        assert dtype in FORMS[name][0], name
    for name, (dtypes, width) in FORMS.items():
        assert fits(name, dtypes[0], (7, width) if width else (7,))
        assert not fits(name, dtypes[0], (7, 7, 7))
        kind = name.split("/")[1]
        assert any(other.endswith(f"/{kind}") or kind.startswith("word") for other in documented), name
