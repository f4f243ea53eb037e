"""What is compared before a worker of a cluster is given anything: its program, its evidence, who can listen."""

from __future__ import annotations

import os
from contextlib import closing
from pathlib import Path

import pytest

from caid_triage.config import ClusterOptions, ScanOptions
from caid_triage.errors import UsageError
from caid_triage.evidence.source import open_source
from caid_triage.scan.addresses import in_clear, is_loopback
from caid_triage.scan.protocol import ProtocolError
from caid_triage.scan.same_evidence import evidence_facts, first_difference, mapped, maps_of_environment
from caid_triage.scan.same_program import code_digest, differences, program_from_plain, program_here


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("/nas/case/disk.E01", "/mnt/n/case/disk.E01"),
        ("/nas", "/mnt/n"),
        ("/nas2/disk.E01", "/nas2/disk.E01"),
        ("/nas/deep/disk.E01", "/elsewhere/disk.E01"),
        ("/other/disk.E01", "/other/disk.E01"),
        ("X:\\exhibits\\disk.E01", "/mnt/x/exhibits/disk.E01"),
    ],
)
def test_the_longest_root_is_exchanged(path: str, expected: str) -> None:
    maps = [("/nas", "/mnt/n"), ("/nas/deep/", "/elsewhere"), ("X:\\", "/mnt/x")]
    assert mapped(path, maps) == expected
    assert mapped(path, [*maps[::-1]]) == expected


def test_the_root_of_everything_can_be_mapped() -> None:
    assert mapped("/disk.dd", [("/", "/host")]) == "/host/disk.dd"


def test_a_worker_may_have_maps_of_its_own() -> None:
    told = os.pathsep.join(["/nas=/mnt/nas", "nonsense", "=x", "/b=/c=d"])
    assert maps_of_environment({"CAID_TRIAGE_MAP": told}) == [("/nas", "/mnt/nas"), ("/b", "/c=d")]
    assert maps_of_environment({}) == []


def facts(path: Path) -> dict[str, str]:
    with closing(open_source(path, "E", "s")) as source:
        return evidence_facts(source, str(path))


def test_another_copy_of_a_folder_is_the_same_and_another_folder_is_not(tmp_path: Path) -> None:
    for name in ("one", "copy", "other-name", "other-size", "other-bytes"):
        (tmp_path / name / "in").mkdir(parents=True)
        (tmp_path / name / "in" / "a.bin").write_bytes(b"x" * (3 << 20))
        (tmp_path / name / "b.txt").write_bytes(b"plain")
    (tmp_path / "other-name" / "b.txt").rename(tmp_path / "other-name" / "c.txt")
    (tmp_path / "other-size" / "b.txt").write_bytes(b"plainer")
    with (tmp_path / "other-bytes" / "in" / "a.bin").open("r+b") as file:
        file.seek(-1, os.SEEK_END)
        file.write(b"y")
    one = facts(tmp_path / "one")
    assert first_difference(one, facts(tmp_path / "copy")) == ""
    assert first_difference(one, facts(tmp_path / "other-name")) == "names and sizes of its files"
    assert first_difference(one, facts(tmp_path / "other-size")) == "names and sizes of its files"
    assert first_difference(one, facts(tmp_path / "other-bytes")) == "first and last MiB of its files"


@pytest.mark.parametrize(("place", "size"), [(0, 3 << 20), ((3 << 20) - 1, 3 << 20)])
def test_an_image_with_other_ends_is_another(tmp_path: Path, place: int, size: int) -> None:
    content = bytearray(os.urandom(1) + bytes(size - 1))
    for folder in ("one", "two", "three"):
        (tmp_path / folder).mkdir()
    (tmp_path / "one" / "d.dd").write_bytes(content)
    (tmp_path / "three" / "d.dd").write_bytes(content)
    content[place] ^= 1
    (tmp_path / "two" / "d.dd").write_bytes(content)
    assert first_difference(facts(tmp_path / "one" / "d.dd"), facts(tmp_path / "three" / "d.dd")) == ""
    assert first_difference(facts(tmp_path / "one" / "d.dd"), facts(tmp_path / "two" / "d.dd")) == "first and last MiB"


def test_a_program_is_told_apart_in_words() -> None:
    here = program_here()
    assert program_from_plain(dict(here)) == here
    assert differences(here, dict(here)) == ""
    assert differences(here, here | {"numpy": "1.0"}) == f"numpy is 1.0 there and {here['numpy']} here"
    assert differences(here, here | {"rawpy": ""}) == f"rawpy is not installed there and {here['rawpy']} here"
    assert "another code" in differences(here, here | {"caid-triage's code": "x"})
    assert differences({"Python": "3.11.7"}, {}) == "Python is not installed there and 3.11.7 here"
    assert {"caid-triage", "Python", "numpy", "opencv-python-headless", "pillow", "av", "plug-ins"} <= here.keys()
    for value in ([], {"x": 1}, dict.fromkeys(map(str, range(1000)), "")):
        with pytest.raises(ProtocolError):
            program_from_plain(value)


def test_two_builds_of_one_version_are_told_apart(tmp_path: Path) -> None:
    (tmp_path / "a.py").write_text("x = 1\n")
    before = code_digest(tmp_path)
    (tmp_path / "notes.txt").write_text("no code")
    assert code_digest(tmp_path) == before
    (tmp_path / "a.py").write_text("x = 2\n")
    assert code_digest(tmp_path) != before


@pytest.mark.parametrize(
    ("address", "loopback", "clear"),
    [
        ("tcp://127.0.0.1:8786", True, False),
        ("127.0.3.4:8786", True, False),
        ("tcp://[::1]:8786", True, False),
        ("localhost:8786", True, False),
        ("inproc://10.0.0.1/1/2", True, False),
        ("tcp://10.0.0.1:8786", False, True),
        ("nas:8786", False, True),
        ("tls://10.0.0.1:8786", False, False),
    ],
)
def test_who_can_listen(address: str, loopback: bool, clear: bool) -> None:
    assert is_loopback(address) is loopback
    assert in_clear(address) is clear


@pytest.mark.parametrize(
    "options",
    [
        {"scheduler": "a:1", "tls_ca": "ca.pem"},
        {"tls_ca": "ca.pem", "tls_cert": "c.pem", "tls_key": "k.pem"},
        {"maps": (("", "/x"),)},
    ],
)
def test_options_of_a_cluster_that_cannot_be_meant(options: dict[str, str]) -> None:
    with pytest.raises(UsageError):
        ClusterOptions(**options)  # type: ignore[arg-type]


def test_a_cluster_is_for_dask_alone_and_no_matter_to_a_result() -> None:
    with pytest.raises(UsageError, match="--executor dask"):
        ScanOptions(cluster=ClusterOptions(scheduler="a:1"))
    options = ScanOptions(executor="dask", cluster=ClusterOptions(scheduler="a:1"))
    assert options.result_options() == ScanOptions().result_options()
