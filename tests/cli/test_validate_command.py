"""``caid-triage validate`` as a user runs it: the whole pack on this build, the record, and what it refuses."""

from __future__ import annotations

import json
import platform
import re
from html import unescape
from pathlib import Path
from typing import Any

import pytest
from support.cli import run_command

from caid_triage.validate.catalogue import REQUIREMENTS
from caid_triage.validate.reports import parsed

DOCUMENT = Path(__file__).resolve().parents[2] / "docs" / "formats" / "validation.md"


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str, str]:
    """A quick run of every requirement with a seed of its own; the folder, and what it said."""
    out = tmp_path_factory.mktemp("validate") / "out"
    done = run_command(
        "validate", "--quick", "--out", out, "--seed", "<tests> & more", "--by", "A. Examiner", "--machine", "LAB <1>"
    )
    assert done.returncode in (0, 3), done.stdout[-4000:] + done.stderr[-2000:]
    return out, done.stdout, done.stderr


@pytest.fixture(scope="module")
def record(whole: tuple[Path, str, str]) -> dict[str, Any]:
    return json.loads((whole[0] / "validation.json").read_text("utf-8"))


def test_this_build_meets_every_requirement(record: dict[str, Any]) -> None:
    results = {one["id"]: (one["result"], one["reason"]) for one in record["requirements"]}
    assert results.keys() == {one.identifier for one in REQUIREMENTS}
    others = {name: result for name, result in results.items() if result[0] != "passed"}
    if not Path("/proc/self/cmdline").exists():
        assert others.pop("REQ-32")[0] == "not run"
    assert not others
    assert record["result"] == "passed"
    assert record["counts"]["failed"] == 0
    assert record["checks"] == sum(one["checks"] for one in record["requirements"]) > 1000


def test_rates_have_their_intervals(record: dict[str, Any]) -> None:
    rates = [item for one in record["requirements"] for item in one["measured"] if "count" in item]
    assert len(rates) > 30
    for item in rates:
        low, high = item["interval_95"]
        assert 0 <= low <= item["rate"] <= high <= 1
        assert item["rate"] <= item["at_most_95_one_sided"] <= 1
    judged = [item for item in rates if item["judged"]]
    assert judged
    assert not any(item["count"] for item in judged)


def test_the_record_tells_of_the_machine_and_names_nobody(record: dict[str, Any], whole: tuple[Path, str, str]) -> None:
    machine = record["machine"]
    assert (machine["name"], record["by"]) == ("LAB <1>", "A. Examiner")
    assert machine["python"]["version"] == platform.python_version()
    assert {"numpy", "pytsk3", "libewf-python", "opencv-python-headless"} <= machine["libraries"].keys()
    text = (whole[0] / "validation.json").read_text("utf-8") + (whole[0] / "validation.html").read_text("utf-8")
    assert str(whole[0]) not in text
    assert not re.search(rf"\b{re.escape(platform.node())}\b", text) or len(platform.node()) < 4


def test_exhibits_are_named_by_their_digests_and_gone(record: dict[str, Any], whole: tuple[Path, str, str]) -> None:
    assert {"DISK/1", "E01/1", "SPLIT/1", "OTHER/1", "ALIKE/1"} <= {row["exhibit"] for row in record["exhibits"]}
    assert all(re.fullmatch("[0-9a-f]{64}", row["sha256"]) for row in record["exhibits"])
    assert sorted(path.name for path in whole[0].iterdir()) == [
        ".caid-triage-validation",
        "validation.html",
        "validation.json",
    ]


def test_the_page_says_the_same_runs_nothing_and_loads_nothing(
    record: dict[str, Any], whole: tuple[Path, str, str]
) -> None:
    text = (whole[0] / "validation.html").read_text("utf-8")
    page = parsed(text)
    assert not page.tags & {"script", "img", "iframe", "link", "object", "form"}
    assert not [name for name in page.attributes if name.startswith("on")]
    assert "default-src 'none'" in unescape(text)
    assert "LAB &lt;1&gt;" in text
    assert "&lt;tests&gt; &amp; more" in text
    for one in REQUIREMENTS:
        assert f'id="{one.identifier}"' in text
    assert f"All {len(REQUIREMENTS)} requirements are met" in text or record["counts"]["not run"]


def test_it_says_what_it_does_and_how_it_ended(whole: tuple[Path, str, str]) -> None:
    _, out, progress = whole
    assert "scanning DISK/1" in progress
    assert out.count("  passed  ") >= len(REQUIREMENTS) - 1
    assert "requirements tested and met" in out
    assert out.rstrip().endswith("validation.html")


def test_the_document_has_every_key(record: dict[str, Any]) -> None:
    text = DOCUMENT.read_text("utf-8")
    known = set(re.findall(r"`(\w+)`", text))
    measured = {key for one in record["requirements"] for item in one["measured"] for key in item}
    keys = {*record, *record["plan"], *record["machine"], *record["requirements"][0], *record["exhibits"][0], *measured}
    assert keys <= known, keys - known


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--only", "REQ-99"], "REQ-99"),
        (["--pictures", "3"], "--pictures"),
        (["--machine", "two\nlines"], "printable"),
        (["--workers", "0"], "--workers"),
    ],
)
def test_wrong_options_are_refused(tmp_path: Path, arguments: list[str], words: str) -> None:
    done = run_command("validate", "--out", tmp_path / "out", *arguments)
    assert done.returncode == 2
    assert words in done.stderr


def test_a_folder_of_others_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "precious.txt").write_text("mine", "utf-8")
    done = run_command("validate", "--out", tmp_path, "--only", "REQ-19")
    assert done.returncode == 2
    assert [path.name for path in tmp_path.iterdir()] == ["precious.txt"]


def test_a_part_of_the_pack_is_no_complete_validation(tmp_path: Path) -> None:
    out = tmp_path / "out"
    done = run_command("validate", "--only", "REQ-13,req-11", "--only", "REQ-12", "--quick", "--keep", "--out", out)
    assert done.returncode == 0, done.stdout + done.stderr
    assert f"validation not complete: 3 of {len(REQUIREMENTS)} requirements tested and met" in done.stdout
    assert json.loads((out / "validation.json").read_text("utf-8"))["only"] == ["REQ-11", "REQ-12", "REQ-13"]
    assert "no complete validation" in (out / "validation.html").read_text("utf-8")
    assert (out / "exhibits" / "hashing" / "looks").is_dir()


def test_the_requirements_are_listed_without_a_run(tmp_path: Path) -> None:
    done = run_command("validate", "--list", cwd=tmp_path)
    assert done.returncode == 0
    lines = done.stdout.splitlines()
    assert [line.split()[0] for line in lines] == sorted(one.identifier for one in REQUIREMENTS)
    assert not list(tmp_path.iterdir())
