"""Files made to have one MD5: none is excluded or graded on it alone, and every pair is named."""

from __future__ import annotations

import csv
import hashlib
import json
import tarfile
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

import pytest
from support.cli import run_command, write_vics
from support.collisions import twins

Groups = dict[str, list[bytes]]


def read_csv(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def groups_in(contents: list[bytes]) -> Groups:
    """The different contents of each MD5 that several have, in a fixed order."""
    found: dict[str, dict[str, bytes]] = defaultdict(dict)
    for content in contents:
        found[hashlib.md5(content).hexdigest()][hashlib.sha256(content).hexdigest()] = content
    return {md5: [same[key] for key in sorted(same)] for md5, same in sorted(found.items()) if len(same) > 1}


def own_groups() -> Groups:
    """Twins of three lengths, one pair with a picture's beginning behind the blocks: nothing of them decodes."""
    return groups_in([content for behind in (b"", b"drawing", b"\xff\xd8\xff" * 999) for content in twins(behind)])


@pytest.fixture(scope="module", params=["own", "corkami"])
def groups(request: pytest.FixtureRequest) -> Groups:
    if request.param == "own":
        return own_groups()
    shared: Path = request.getfixturevalue("shared")
    with tarfile.open(shared / "hostile" / "corpus.tar.xz") as archive:
        found = groups_in([
            file.read()
            for member in archive
            if "corkami__collisions" in member.name and (file := archive.extractfile(member)) is not None
        ])  # fmt: skip
    assert len(found) >= 10
    return found


def listed(content: bytes, number: int, *digests: str) -> dict[str, object]:
    """A VICS record of a content that states only these digests."""
    digest = {"MD5": hashlib.md5, "SHA1": hashlib.sha1}
    return {"MediaID": number, "Category": 1, **{name: digest[name](content).hexdigest().upper() for name in digests}}


@pytest.fixture(scope="module")
def sets(groups: Groups, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("sets")
    made = {}
    for name, digests, role in (
        ("weak", ["MD5"], "notable"), ("strong", ["MD5", "SHA1"], "notable"), ("good", ["MD5"], "known-good"),
    ):  # fmt: skip
        records = [listed(same[0], number, *digests) for number, same in enumerate(groups.values())]
        source = write_vics(folder / f"{name}.json", records)
        made[name] = folder / f"{name}.chs"
        done = run_command("hashset", "build", source, "--out", made[name], "--role", role, "--name", name)
        assert done.returncode == 0, done.stderr
    return made


def scanned(groups: Groups, folder: Path, hashsets: list[Path], places: tuple[slice, ...]) -> Path:
    """The reports of a scan of the contents of each group, one exhibit for each slice of it."""
    sources = []
    for exhibit, place in enumerate(places):
        source = folder / f"exhibit{exhibit}"
        source.mkdir(parents=True)
        sources.append(source)
        for md5, same in groups.items():
            for number, content in enumerate(same[place]):
                (source / f"{md5}.{exhibit}.{number}").write_bytes(content)
    given = [word for path in hashsets for word in ("--hashset", path)]
    done = run_command("scan", *sources, "--case", folder / "case", *given, "--quiet", "--workers", "1")
    assert done.returncode in (0, 3), done.stderr
    return folder / "case" / "reports"


def outer(rows: list[dict[str, str]]) -> Iterator[dict[str, str]]:
    """The rows of files that lie in the exhibits themselves, not inside others."""
    return (row for row in rows if row["state"] == "allocated")


FIRST, OTHERS = slice(0, 1), slice(1, None)


def test_twins_of_one_md5_are_neither_graded_nor_excluded_by_it_and_all_are_named(
    groups: Groups, sets: dict[str, Path], tmp_path: Path
) -> None:
    """In two exhibits, so that neither is seen beside the other."""
    reports = scanned(groups, tmp_path, [sets["weak"], sets["good"]], (FIRST, OTHERS))
    summary = json.loads((reports / "summary.json").read_text(encoding="utf-8"))
    assert list(outer(read_csv(reports / "matches.csv"))) == []
    assert (summary["known_good"], summary["md5_alone"]) == (0, {"files": 0, "unique": 0})
    assert [row for row in summary["counts"] if row["state"] == "allocated"] == []
    files = {row["path"]: row["sha256"] for row in outer(read_csv(reports / "files.csv"))}
    named = {row["path"] for row in summary["contradictions"] if row["kind"] == "md5-collision"}
    assert named >= set(files)
    assert len(set(files.values())) == sum(map(len, groups.values()))
    page = (reports / "report.html").read_text(encoding="utf-8")
    assert "No identical file found; contradictions to check" in page
    assert "a match on MD5 alone is not counted" in page


def test_a_stronger_digest_of_the_entry_decides_between_twins(
    groups: Groups, sets: dict[str, Path], tmp_path: Path
) -> None:
    reports = scanned(groups, tmp_path, [sets["strong"], sets["weak"], sets["good"]], (FIRST, OTHERS))
    matches = list(outer(read_csv(reports / "matches.csv")))
    assert {row["sha256"] for row in matches} == {hashlib.sha256(same[0]).hexdigest() for same in groups.values()}
    assert {(row["hashset"], row["algorithm"]) for row in matches} == {("strong", "sha1")}
    contradictions = json.loads((reports / "summary.json").read_text(encoding="utf-8"))["contradictions"]
    twins_named = [row for row in contradictions if row["kind"] == "digest"]
    assert len(twins_named) == sum(len(same) - 1 for same in groups.values())


def test_one_twin_by_itself_counts_and_is_said_to_rest_on_md5_alone(
    groups: Groups, sets: dict[str, Path], tmp_path: Path
) -> None:
    """Nothing can tell it from the listed one; the list's other role on the same MD5 takes nothing away."""
    reports = scanned(groups, tmp_path, [sets["weak"], sets["good"]], (OTHERS,))
    alone = {md5: same for md5, same in groups.items() if len(same) == 2}
    matches = [row for row in outer(read_csv(reports / "matches.csv")) if row["md5"] in alone]
    assert [row["algorithm"] for row in matches] == ["md5"] * len(alone)
    summary = json.loads((reports / "summary.json").read_text(encoding="utf-8"))
    assert summary["md5_alone"]["files"] >= len(alone)
    page = (reports / "report.html").read_text(encoding="utf-8")
    assert f"{summary['md5_alone']['files']} file" in page
    assert "by MD5 alone, which can be forged" in page
