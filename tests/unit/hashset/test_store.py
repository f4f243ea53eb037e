"""The store: what is opened is what was built, damage is named, and nothing else is overwritten."""

from __future__ import annotations

import hashlib
import json
import os
import stat
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from caid_triage.errors import HashSetError, UsageError, VerificationError
from caid_triage.hashset.algorithms import bytes_of_words
from caid_triage.hashset.build import BuildResult, build_hashset, build_hashset_from_arrays
from caid_triage.hashset.manifest import ROLES, generation_of
from caid_triage.hashset.store import open_hashset
from caid_triage.hashset.write import leftovers, seal_of
from caid_triage.model import Role

RNG = np.random.default_rng(3)


def rows(count: int, length: int) -> np.ndarray[Any, np.dtype[np.uint8]]:
    return RNG.integers(0, 256, (count, length), dtype=np.uint8)


def small(out: Path, seed: int = 1, **options: Any) -> BuildResult:
    rng = np.random.default_rng(seed)
    return build_hashset_from_arrays(
        out,
        md5=rng.integers(0, 256, (40, 16), dtype=np.uint8),
        sha1=rng.integers(0, 256, (40, 20), dtype=np.uint8),
        pdq=rng.integers(0, 256, (40, 32), dtype=np.uint8),
        category=[str(i % 3) for i in range(40)],
        **options,
    )


def columns(path: Path) -> list[Path]:
    return sorted(path.rglob("*.npy"))


def test_arrays_come_back_by_row(tmp_path: Path) -> None:
    md5, sha256, phash = rows(50, 16), rows(50, 32), rows(50, 8)
    present = np.arange(50) % 2 == 0
    size = np.ma.MaskedArray(np.arange(50), mask=~present)
    build_hashset_from_arrays(
        tmp_path / "a.chs",
        md5=md5, sha256=sha256, sha256_present=present, phash=phash,
        category=np.arange(50) % 4, media_id=[f"m{i}" for i in range(50)], size=size,
        scheme="uk", name="ours",
    )  # fmt: skip
    hashset = open_hashset(tmp_path / "a.chs")
    q, r = hashset.exact("md5", md5[::-1].copy())
    assert q.tolist() == list(range(50))
    assert r.tolist() == list(range(49, -1, -1))
    assert q.dtype == r.dtype == np.int64
    assert hashset.exact("sha256", sha256)[1].tolist() == list(range(0, 50, 2))
    assert hashset.exact("sha1", rows(3, 20))[1].tolist() == []
    q, r, d = hashset.near("phash", phash[:5].copy(), radius=0)
    assert (r.tolist(), d.dtype) == ([0, 1, 2, 3, 4], np.uint16)
    assert hashset.records["category"][r].tolist() == ["0", "1", "2", "3", "0"]
    assert hashset.records["media_id"][r].tolist() == ["m0", "m1", "m2", "m3", "m4"]
    assert hashset.records["size"][[0, 1]].tolist() == [0, None]
    assert (hashset.name, hashset.scheme.name, len(hashset)) == ("ours", "uk", 50)


@pytest.mark.parametrize(
    "bad",
    [
        {"md5": np.zeros((3, 15), np.uint8)},
        {"md5": np.zeros((3, 16), np.int64)},
        {"md5": np.zeros(16, np.uint8)},
        {"md5": np.zeros((3, 16), np.uint8), "sha1": np.zeros((2, 20), np.uint8)},
        {"md5": np.zeros((3, 16), np.uint8), "size": np.array([1, 2, -3])},
        {"md5": np.zeros((3, 16), np.uint8), "category": ["1"]},
        {"md5": np.zeros((3, 16), np.uint8), "pdq_quality": np.zeros(3, np.uint8)},
        {"pdq": np.zeros((1, 32), np.uint8), "pdq_quality": np.array([101])},
        {"md5": np.zeros((3, 16), np.uint8), "sha1_present": np.ones(3, bool)},
        {},
    ],
)
def test_arrays_that_do_not_fit_are_a_value_error(tmp_path: Path, bad: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"."):
        build_hashset_from_arrays(tmp_path / "a.chs", **bad)
    assert not (tmp_path / "a.chs").exists()


def test_queries_of_wrong_shape_name_or_radius_are_a_value_error(tmp_path: Path) -> None:
    small(tmp_path / "a.chs")
    hashset = open_hashset(tmp_path / "a.chs")
    for call in (
        lambda: hashset.exact("md5", rows(2, 20)),
        lambda: hashset.exact("md5", rows(2, 16).astype(np.int32)),
        lambda: hashset.exact("crc32", rows(2, 16)),
        lambda: hashset.near("pdq", rows(2, 8), 3),
        lambda: hashset.near("pdq", rows(2, 32), 257),
        lambda: hashset.near("phash", rows(2, 8), -1),
        lambda: hashset.near("md5", rows(2, 16), 0),
    ):
        with pytest.raises(ValueError, match=r"."):
            call()
    q, r = hashset.exact("md5", np.zeros((0, 16), np.uint8))
    assert len(q) == len(r) == 0


def test_same_inputs_same_generation_other_inputs_another(tmp_path: Path) -> None:
    first = small(tmp_path / "a.chs", name="a").generation
    assert small(tmp_path / "b.chs", name="b").generation == first
    assert len(first) == 16
    assert small(tmp_path / "c.chs", seed=2).generation != first
    assert small(tmp_path / "d.chs", role="known-good").generation != first
    assert small(tmp_path / "e.chs", scheme="uk").generation != first


def test_rebuilding_replaces_the_old_generation_and_leaves_nothing_behind(tmp_path: Path) -> None:
    small(tmp_path / "a.chs")
    held = open_hashset(tmp_path / "a.chs")
    new = small(tmp_path / "a.chs", seed=2).generation
    assert open_hashset(tmp_path / "a.chs").generation == new
    assert held.records["category"].tolist()[:3] == ["0", "1", "2"]  # a reader keeps what it has mapped
    assert len(list((tmp_path / "a.chs").iterdir())) == 2
    assert [item.name for item in tmp_path.iterdir()] == ["a.chs"]


def test_rebuilding_the_same_set_repairs_a_damaged_one(tmp_path: Path) -> None:
    small(tmp_path / "a.chs")
    columns(tmp_path / "a.chs")[0].unlink()
    small(tmp_path / "a.chs")
    open_hashset(tmp_path / "a.chs").verify()


@pytest.mark.skipif(os.name == "nt", reason="POSIX permission bits")
def test_only_the_owner_can_read_it(tmp_path: Path) -> None:
    small(tmp_path / "a.chs")
    for item in [tmp_path / "a.chs", *(tmp_path / "a.chs").rglob("*")]:
        assert stat.S_IMODE(item.stat().st_mode) == (0o700 if item.is_dir() else 0o600)


def test_something_that_is_not_a_set_is_never_overwritten(tmp_path: Path) -> None:
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos" / "a.jpg").write_text("x")
    (tmp_path / "file").write_text("x")
    for name in ("photos", "file"):
        with pytest.raises(HashSetError, match="exists and is not a hash set"):
            small(tmp_path / name)
    assert (tmp_path / "photos" / "a.jpg").exists()
    (tmp_path / "empty.chs").mkdir()
    small(tmp_path / "empty.chs")


def test_every_column_short_by_a_byte_or_missing_is_named(tmp_path: Path) -> None:
    small(tmp_path / "a.chs")
    for path in columns(tmp_path / "a.chs"):
        whole = path.read_bytes()
        name = f"{path.parent.name}/{path.name}"
        path.write_bytes(whole[:-1])
        with pytest.raises(HashSetError, match=rf"a\.chs: {name} has {len(whole) - 1} bytes.*Build the set again"):
            open_hashset(tmp_path / "a.chs")
        path.unlink()
        with pytest.raises(HashSetError, match=rf"{name} is missing"):
            open_hashset(tmp_path / "a.chs")
        path.write_bytes(whole)
    open_hashset(tmp_path / "a.chs")


def test_a_changed_header_is_refused_and_a_changed_byte_is_found_by_verify(tmp_path: Path) -> None:
    small(tmp_path / "a.chs")
    path = next((tmp_path / "a.chs").rglob("md5/rows.npy"))
    whole = path.read_bytes()
    path.write_bytes(whole.replace(b"(40, 2)", b"(20, 4)"))
    with pytest.raises(HashSetError, match=r"md5/rows\.npy is <u8\[20, 4\]"):
        open_hashset(tmp_path / "a.chs")
    path.write_bytes(b"\x00" * len(whole))
    with pytest.raises(HashSetError, match=r"md5/rows\.npy is damaged"):
        open_hashset(tmp_path / "a.chs")
    path.write_bytes(whole[:-1] + bytes([whole[-1] ^ 1]))
    with pytest.raises(VerificationError, match=r"md5/rows\.npy is not what was built"):
        open_hashset(tmp_path / "a.chs").verify()


def test_a_record_number_beyond_the_set_is_an_error_not_an_answer(tmp_path: Path) -> None:
    md5 = rows(4, 16)
    build_hashset_from_arrays(tmp_path / "a.chs", md5=md5)
    path = next((tmp_path / "a.chs").rglob("md5/rec.npy"))
    path.write_bytes(path.read_bytes()[:-16] + b"\xff" * 16)
    with pytest.raises(HashSetError, match=r"md5/rec\.npy is damaged"):
        open_hashset(tmp_path / "a.chs").exact("md5", md5)


@pytest.mark.parametrize("name", ["present", "table", "fp32", "rows"])
@pytest.mark.parametrize("damage", ["zeros", "ones", "random"])
def test_a_damaged_column_can_hide_a_hit_but_never_makes_one(tmp_path: Path, name: str, damage: str) -> None:
    md5 = rows(5_000, 16)
    build_hashset_from_arrays(tmp_path / "a.chs", md5=md5)
    path = next((tmp_path / "a.chs").rglob(f"md5/{name}.npy"))
    whole = path.read_bytes()
    head, count = whole[:128], len(whole) - 128
    filled = {"zeros": bytes(count), "ones": b"\xff" * count, "random": np.random.default_rng(1).bytes(count)}
    path.write_bytes(head + filled[damage])
    with pytest.raises(VerificationError, match=rf"md5/{name}\.npy is not what was built"):
        open_hashset(tmp_path / "a.chs").verify()
    strangers = np.random.default_rng(2).integers(0, 256, (5_000, 16), dtype=np.uint8)
    q, r = open_hashset(tmp_path / "a.chs").exact("md5", np.concatenate([strangers, md5]))
    assert (q - 5_000).tolist() == r.tolist()  # every pair is a true one
    if (name, damage) == ("present", "ones"):
        assert len(q) == 5_000


@pytest.mark.parametrize("name", ["present", "table"])
def test_a_column_of_another_set_is_refused(tmp_path: Path, name: str) -> None:
    build_hashset_from_arrays(tmp_path / "a.chs", md5=rows(40, 16))
    build_hashset_from_arrays(tmp_path / "b.chs", md5=rows(400, 16))
    ours, other = (next(tmp_path.glob(f"{letter}.chs/*/md5/{name}.npy")) for letter in "ab")
    ours.write_bytes(other.read_bytes())
    facts = {s: json.loads((tmp_path / f"{s}.chs" / "manifest.json").read_bytes())["columns"] for s in "ab"}
    facts["a"][f"md5/{name}.npy"] = facts["b"][f"md5/{name}.npy"]
    change_manifest(tmp_path / "a.chs", sealed=True, columns=facts["a"])
    with pytest.raises(HashSetError, match=rf"md5/{name}\.npy has \d+ rows for 40 hashes.*Build the set again"):
        open_hashset(tmp_path / "a.chs")


def test_the_roles_of_a_manifest_are_those_of_the_model() -> None:
    assert tuple(role.value for role in Role) == ROLES


def test_opening_a_set_and_looking_up_loads_no_more_than_that_needs(tmp_path: Path) -> None:
    """Every process that opens a set pays for what it imports: many times what opening itself takes."""
    build_hashset_from_arrays(tmp_path / "a.chs", md5=rows(40, 16))
    script = (
        "import sys, numpy as np\n"
        "from caid_triage.hashset.store import open_hashset\n"
        "open_hashset(sys.argv[1]).exact('md5', np.zeros((1, 16), np.uint8))\n"
        "late = ('tomllib', 'tempfile', 'importlib.resources', 'caid_triage.model', 'caid_triage.hashset.mih')\n"
        "print([name for name in late if name in sys.modules])\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script, tmp_path / "a.chs"], capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "[]"


def change_manifest(path: Path, *, sealed: bool, **fields: Any) -> None:
    manifest = json.loads((path / "manifest.json").read_bytes()) | fields
    if sealed:
        manifest["seal"] = seal_of(manifest)
    (path / "manifest.json").write_text(json.dumps(manifest))


def test_manifests_of_other_versions_and_changed_ones_are_refused(tmp_path: Path) -> None:
    for number, (fields, sealed, message) in enumerate(
        [
            ({"format_version": 1}, False, r"format version 1, this tool reads 4"),
            ({"role": "known-good"}, False, "was changed after the set was built"),
            ({"magic": "other"}, True, "of another program"),
        ]
    ):
        path = tmp_path / f"{number}.chs"
        small(path)
        change_manifest(path, sealed=sealed, **fields)
        with pytest.raises(HashSetError, match=message):
            open_hashset(path)
    (path / "manifest.json").write_text("{")
    with pytest.raises(HashSetError, match="is damaged"):
        open_hashset(path)
    (path / "manifest.json").unlink()
    with pytest.raises(HashSetError, match=r"manifest\.json is missing"):
        open_hashset(path)
    with pytest.raises(HashSetError, match="no such hash set"):
        open_hashset(tmp_path / "gone.chs")


def test_a_changed_role_with_a_new_seal_is_found_by_verify(tmp_path: Path) -> None:
    small(tmp_path / "a.chs")
    change_manifest(tmp_path / "a.chs", sealed=True, role="known-good")
    with pytest.raises(VerificationError, match="another generation"):
        open_hashset(tmp_path / "a.chs").verify()


def test_the_manifest_tells_where_the_set_comes_from_and_holds_no_hash(tmp_path: Path) -> None:
    md5 = rows(1, 16).tobytes().hex()
    (tmp_path / "in.txt").write_text(md5 + "\n")
    build_hashset([tmp_path / "in.txt"], tmp_path / "a.chs", progress=lambda done, records: None)
    manifest = open_hashset(tmp_path / "a.chs").manifest
    assert manifest["sources"][0]["size"] == 33
    assert len(manifest["sources"][0]["sha256"]) == 64
    assert md5 not in (tmp_path / "a.chs" / "manifest.json").read_text()
    with pytest.raises(UsageError, match="role must be"):
        build_hashset([tmp_path / "in.txt"], tmp_path / "b.chs", role="bad")
    with pytest.raises(UsageError, match="no file"):
        build_hashset([], tmp_path / "b.chs")


def test_files_of_two_regions_need_a_scheme(tmp_path: Path) -> None:
    files = []
    for region in ("UK", "US"):
        files.append(tmp_path / f"{region}.json")
        url = f"http://github.com/VICSDATAMODEL/ProjectVic/DataModels/2.0.xml/{region}/$metadata#Media"
        files[-1].write_text(json.dumps({"@odata.context": url, "value": [{"MD5": rows(1, 16).tobytes().hex()}]}))
    with pytest.raises(HashSetError, match=r"projectvic-us, uk.*--scheme"):
        build_hashset(files, tmp_path / "a.chs")
    assert build_hashset(files, tmp_path / "a.chs", scheme="none").counts["records"] == 2


def test_a_manifest_that_lacks_a_column_or_counts_otherwise_is_refused(tmp_path: Path) -> None:
    small(tmp_path / "a.chs")
    whole = (tmp_path / "a.chs" / "manifest.json").read_bytes()
    listed = json.loads(whole)["columns"]
    for name in listed:
        fewer = {key: facts for key, facts in listed.items() if key != name}
        change_manifest(tmp_path / "a.chs", sealed=True, columns=fewer)
        if "mih" in name:
            continue
        with pytest.raises(HashSetError, match=rf"{name} is not in the manifest"):
            open_hashset(tmp_path / "a.chs")
    (tmp_path / "a.chs" / "manifest.json").write_bytes(whole)
    change_manifest(tmp_path / "a.chs", sealed=True, counts={**json.loads(whole)["counts"], "pdq": 39})
    with pytest.raises(HashSetError, match=r"pdq/rec\.npy has 40 rows for 39 hashes"):
        open_hashset(tmp_path / "a.chs")


@pytest.mark.skipif(os.name == "nt", reason="Windows has no lock on folders: there they are named and stay")
def test_leftovers_of_killed_builds_are_removed_and_those_of_running_ones_are_named(tmp_path: Path) -> None:
    import fcntl

    ended = subprocess.Popen([sys.executable, "-c", ""])
    ended.wait()
    dead, other = (tmp_path / f"{name}.tmp-{ended.pid}" for name in ("a.chs", "b.chs"))
    runs = tmp_path / f"a.chs.tmp-{os.getppid()}"
    locked = tmp_path / "a.chs.tmp-elsewhere"  # a build on another machine: no process of that number is here
    for folder in (dead, other, runs, locked):
        folder.mkdir()
        (folder / "md5.npy").write_bytes(b"hashes")
    handle = os.open(locked, os.O_RDONLY)
    fcntl.flock(handle, fcntl.LOCK_EX)
    assert small(tmp_path / "a.chs").leftovers == tuple(sorted((runs, locked)))
    os.close(handle)
    assert small(tmp_path / "a.chs").leftovers == (runs,)
    assert leftovers(tmp_path / "b.chs") == (other,)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("name", ...), ("role", ...), ("role", "judge"), ("scheme", 5), ("scheme", []), ("codes", None), ("counts", {}),
        ("counts", "x"), ("columns", []), ("columns", {"md5/rows.npy": 5}), ("generation", ...), ("folder", 5),
        ("folder", "../elsewhere"), ("folder", "."), ("folder", "data-x/../.."),
    ],
)  # fmt: skip
def test_a_manifest_written_by_hand_and_sealed_is_refused(tmp_path: Path, field: str, value: object) -> None:
    small(tmp_path / "a.chs")
    if value is ...:
        file = tmp_path / "a.chs" / "manifest.json"
        manifest = json.loads(file.read_text())
        del manifest[field]
        file.write_text(json.dumps(manifest | {"seal": seal_of(manifest)}))
    else:
        change_manifest(tmp_path / "a.chs", sealed=True, **{field: value})
    with pytest.raises(HashSetError, match=r"a\.chs: manifest\.json"):
        open_hashset(tmp_path / "a.chs")


def edited(path: Path, name: str, edit: Callable[[np.ndarray[Any, Any]], np.ndarray[Any, Any]]) -> None:
    """Change a column and make the manifest fit it, as whoever makes a set can."""
    manifest = json.loads((path / "manifest.json").read_bytes())
    file = path / manifest["folder"] / name
    np.save(file, edit(np.load(file)))
    data = file.read_bytes()
    facts = manifest["columns"][name]
    column = np.load(file)
    facts |= {"bytes": len(data), "sha256": hashlib.sha256(data).hexdigest(), "shape": list(column.shape)}
    facts["dtype"] = column.dtype.str
    manifest["generation"] = generation_of(manifest)
    (path / "manifest.json").write_text(json.dumps(manifest | {"seal": seal_of(manifest)}))


def last_is(value: int) -> Callable[[np.ndarray[Any, Any]], np.ndarray[Any, Any]]:
    def edit(column: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
        column[-1] = value
        return column

    return edit


def test_a_header_that_python_cannot_read_is_refused(tmp_path: Path) -> None:
    small(tmp_path / "a.chs")
    path = next((tmp_path / "a.chs").rglob("md5/rows.npy"))
    whole = path.read_bytes()
    path.write_bytes(whole.replace(b"(40, 2)", b"((0, 2)"))
    with pytest.raises(HashSetError, match=r"md5/rows\.npy is damaged \(its header\)"):
        open_hashset(tmp_path / "a.chs")


@pytest.mark.parametrize(
    ("name", "edit"),
    [
        ("md5/rec.npy", lambda column: column.astype("<f4")),
        ("md5/rows.npy", lambda column: column[:, :1]),
        ("pdq/word2.npy", lambda column: column[:-1]),
        ("pdq/start.npy", lambda column: column[:-1]),
        ("records/size.npy", lambda column: column.astype("<u8")),
    ],
)
def test_a_sealed_set_of_columns_that_no_set_has_is_refused(tmp_path: Path, name: str, edit: Any) -> None:
    small(tmp_path / "a.chs")
    edited(tmp_path / "a.chs", name, lambda column: column)
    open_hashset(tmp_path / "a.chs").verify()
    edited(tmp_path / "a.chs", name, edit)
    with pytest.raises(HashSetError, match=rf"a\.chs: {name.replace('.', '[.]')} (does not fit|is not a column)"):
        open_hashset(tmp_path / "a.chs")


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("pdq/start.npy", 2**32 - 1),  # one hash of four thousand million records: it asked for 32 GiB
        ("records/series.npy", 7),
        ("records/category.npy", 7),
        ("records/media_id_end.npy", 2**40),
    ],
)
def test_a_row_that_leads_outside_of_a_sealed_set_is_an_error_of_the_set(tmp_path: Path, name: str, value: int) -> None:
    small(tmp_path / "a.chs", media_id=list(range(40)))
    edited(tmp_path / "a.chs", name, last_is(value))
    found = open_hashset(tmp_path / "a.chs")
    every = np.arange(40)
    asked: dict[str, Callable[[], object]] = {
        "pdq/start.npy": lambda: found.near("pdq", bytes_of_words(found.unique_words("pdq", every).T, 32), 0),
        "records/series.npy": lambda: found.records.series_of(every),
        "records/category.npy": lambda: found.categories(every),
        "records/media_id_end.npy": lambda: found.records.media_ids(every),
    }
    with pytest.raises(HashSetError, match=r"a\.chs: .*is damaged"):
        asked[name]()


def test_a_media_id_that_is_no_text_is_an_error_of_the_set(tmp_path: Path) -> None:
    small(tmp_path / "a.chs", media_id=list(range(40)))
    edited(tmp_path / "a.chs", "records/media_id.npy", last_is(0xFF))
    with pytest.raises(HashSetError, match=r"records/media_id\.npy is damaged"):
        open_hashset(tmp_path / "a.chs").records.media_ids(np.arange(40))
