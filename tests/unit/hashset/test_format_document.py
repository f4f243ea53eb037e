"""docs/formats/hashsets.md tells of every file of a set and every field of its manifest, as they really are."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from caid_triage.hashset.build import build_hashset, build_hashset_from_arrays
from caid_triage.hashset.make_blocks import make_block_set
from caid_triage.hashset.manifest import FORMAT_VERSION
from caid_triage.hashset.mih import LEAST_ENTRIES
from caid_triage.hashset.rows import RecordFlag

PROJECT = Path(__file__).resolve().parents[3]
DOCUMENT = (PROJECT / "docs" / "formats" / "hashsets.md").read_text(encoding="utf-8")
COLUMN = re.compile(r"^\| `([a-z0-9_]+)/([a-z0-9_]+)\.npy` \| (\w+) \| ([^|]+) \| (.+) \|$", re.MULTILINE)
SAID = {
    f"{kind}/{name}.npy": (dtype, shape.strip(), text) for kind, name, dtype, shape, text in COLUMN.findall(DOCUMENT)
}


@pytest.fixture(scope="module")
def manifest(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """Of a set with every kind of hash, large enough for near search; with the columns of a video's and of blocks."""
    rng = np.random.default_rng(14)
    count = LEAST_ENTRIES + 100

    def rows(length: int, most: int = 256) -> np.ndarray[Any, np.dtype[np.uint8]]:
        return rng.integers(0, most, (count, length), dtype=np.uint8)

    out = tmp_path_factory.mktemp("format") / "all.chs"
    build_hashset_from_arrays(
        out, md5=rows(16), sha1=rows(20), sha256=rows(32), pdq=rows(32), phash=rows(8), photodna=rows(144),
        media_id=np.arange(count), name="all",
    )  # fmt: skip
    video = out.with_name("video.txt")
    video.write_text(
        "".join(f"{number},100,{row.tobytes().hex()},{number}.04\n" for number, row in enumerate(rows(32)[:4]))
    )
    build_hashset([video], out.with_name("video.chs"))
    read: dict[str, Any] = json.loads((out / "manifest.json").read_bytes())
    graded = out.with_name("graded")
    graded.mkdir()
    (graded / "noise").write_bytes(rng.bytes(20_000))
    make_block_set(graded, out.with_name("blocks.chs"))
    for other in ("video.chs", "blocks.chs"):
        one = json.loads((out.with_name(other) / "manifest.json").read_bytes())
        read |= {key: value for key, value in one.items() if key not in read}
        read["columns"] |= one["columns"]
    return read


def said_of(name: str) -> tuple[str, str, str]:
    """What the document says of a file: in its own line, or in that of its folder's first file ("beside it ...")."""
    if name in SAID:
        return SAID[name]
    kind, column = name.removesuffix(".npy").split("/")
    for first, (dtype, shape, text) in SAID.items():
        if first.startswith(kind + "/") and re.search(rf"`{column}`", text):
            if dtype == "uint64" and column in ("rec", "fp32", "table", "present"):  # "as of MD5"
                return SAID[f"md5/{column}.npy"]
            return dtype, shape, text
    pytest.fail(f"docs/formats/hashsets.md does not tell of {name}")


def test_every_column_is_told_with_its_type(manifest: dict[str, Any]) -> None:
    for name, facts in manifest["columns"].items():
        dtype, shape, _ = said_of(name)
        assert np.dtype(facts["dtype"]) == np.dtype(dtype).newbyteorder("<"), name
        assert len(facts["shape"]) == len(shape.split(",")), name
        if len(facts["shape"]) == 2:
            assert facts["shape"][1] == int(shape.split(",")[1]), name


def test_no_column_is_told_that_a_set_does_not_have(manifest: dict[str, Any]) -> None:
    assert set(SAID) <= set(manifest["columns"])


def test_every_field_of_the_manifest_is_told(manifest: dict[str, Any], tmp_path: Path) -> None:
    (tmp_path / "list.txt").write_text("0" * 31 + "1\n" + "12\n")
    build_hashset([tmp_path / "list.txt"], tmp_path / "list.chs")
    imported = json.loads((tmp_path / "list.chs" / "manifest.json").read_bytes())
    told = set(
        re.findall(r"`(\w+)`", DOCUMENT.split("`manifest.json` (ASCII JSON):")[1].split("A set made of arrays")[0])
    )
    assert set(manifest) | set(imported) <= told
    assert set(imported["sources"][0]) <= told
    assert set(imported["completeness"]) | set(imported["refused"]) <= told
    assert set(next(iter(manifest["columns"].values()))) <= told


def test_versions_and_flags_are_told() -> None:
    assert f"`caid-triage hash set`, {FORMAT_VERSION}, `little`" in DOCUMENT
    flags = DOCUMENT.split("Flags: ")[1].split(". A flag")[0]
    assert {int(number) for number in re.findall(r"(?:^|[ \n])(\d+) [a-z]", flags)} == {
        flag.value for flag in RecordFlag
    }


def test_the_limits_of_near_tables_are_told() -> None:
    assert f"from {LEAST_ENTRIES:,} different hashes on" in DOCUMENT
