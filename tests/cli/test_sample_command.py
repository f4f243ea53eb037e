"""``hashset make --blocks`` and ``sample`` as a user runs them: the statement, going on, a scan of the same case."""

from __future__ import annotations

import csv
import json
from fractions import Fraction
from pathlib import Path
from zipfile import ZipFile

import pytest
from click.testing import CliRunner, Result
from support.cli import Run, picture

from caid_triage.cli.main import program
from caid_triage.cli.sample import sample
from caid_triage.match.hypergeometric import least_excluded, samples_needed
from caid_triage.scan.sampling import Sampler
from caid_triage.synth.fat import build_fat
from caid_triage.synth.mbr import Partition, build_mbr
from caid_triage.synth.plan import PlannedFile

CLUSTER = 4096


@pytest.fixture(scope="module")
def exhibit(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A disk with a living picture, and a deleted one of which the first half was overwritten."""
    plan = [
        PlannedFile("/DCIM/coast.jpg", picture("coast.jpg")),
        PlannedFile("/DCIM/town.jpg", picture("town.jpg"), deleted=True),
        PlannedFile("/notes.txt", b"milk, bread\n"),
    ]
    disk = bytearray(build_mbr([Partition(6, bytes(build_fat(plan, size=20 << 20, cluster=CLUSTER)))]))
    at = disk.index(picture("town.jpg")[:512])
    half = len(picture("town.jpg")) // 2 // CLUSTER * CLUSTER
    disk[at : at + half] = b"something else was written here " * (half // 32)
    image = tmp_path_factory.mktemp("exhibit") / "disk.dd"
    image.write_bytes(disk)
    return image


@pytest.fixture(scope="module")
def blocks(run: Run, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("blocks")
    for code, name in (("1", "coast.jpg"), ("2", "town.jpg")):
        (folder / "graded" / code).mkdir(parents=True)
        (folder / "graded" / code / name).write_bytes(picture(name))
    made = run("hashset", "make", folder / "graded", "--blocks", "--block-size", "512", "--out", folder / "b.chs")
    assert made.returncode == 0, made.stderr
    assert "blocks of 512 bytes:" in made.stdout
    assert "left out, a header or table of its format:" in made.stdout
    return folder / "b.chs"


@pytest.fixture(scope="module")
def strangers(run: Run, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A block set of which the disk has nothing."""
    folder = tmp_path_factory.mktemp("strangers")
    (folder / "graded" / "1").mkdir(parents=True)
    (folder / "graded" / "1" / "marble.jpg").write_bytes(picture("marble.jpg"))
    assert run("hashset", "make", folder / "graded", "--blocks", "--out", folder / "s.chs").returncode == 0
    return folder / "s.chs"


def here(*words: object) -> Result:
    """A command in this process: for what ends before anything is done."""
    return CliRunner().invoke(program, [str(word) for word in words])


def fragments(case: Path) -> list[dict[str, str]]:
    with (case / "reports" / "fragments.csv").open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def test_a_disk_without_known_blocks_and_its_exact_statement(run: Run, exhibit: Path, strangers: Path) -> None:
    done = run("sample", exhibit, "--hashset", strangers, "--target", "1MiB", "--confidence", "99.9", "--quiet")
    assert done.returncode == 0, done.stderr
    population = -(-exhibit.stat().st_size // 4096)
    confidence = Fraction(999, 1000)
    needed = samples_needed(population, 256, confidence)
    excluded = least_excluded(population, needed, confidence)
    assert excluded is not None
    assert f"No block of a known file in {needed:,} samples" in done.stdout
    assert "with 99.9 % confidence less than 1 MiB of blocks that the set holds" in done.stdout
    assert f"{excluded:,} or more of its {population:,} cells" in done.stdout
    assert "says nothing of the files in it" in done.stdout
    assert "not kept" in done.stdout


def test_the_same_seed_says_the_same(exhibit: Path, blocks: Path) -> None:
    words = ["sample", exhibit, "--hashset", blocks, "--samples", "900", "--json-progress"]
    found = [json.loads(here(*words, "--seed", 7).stdout.splitlines()[-1]) for _ in range(2)]
    assert found[0] == found[1]
    assert found[0]["drawn"] == found[0]["read"] == 900
    assert found[0]["event"] == "finished"


@pytest.fixture(scope="module")
def both(run: Run, exhibit: Path, blocks: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A case that was sampled, read whole, and then scanned."""
    case = tmp_path_factory.mktemp("both") / "case"
    words = ["sample", exhibit, "--hashset", blocks, "--case", case, "--exhibit", "ABC/1"]
    first = run(*words, "--samples", "50")
    assert first.returncode == 0, first.stderr
    sampled = (case / "reports" / "report.html").read_text()
    assert "Sampled, not scanned" in sampled
    assert "No hash set was given" not in sampled
    assert "The disk was sampled with the block set" in sampled
    assert "No file is identical" not in sampled
    assert "<dt>Exhibit</dt><dd><bdi>ABC/1</bdi></dd>" in (case / "reports" / "report.html").read_text()
    assert "No file of it was listed or examined." in (case / "reports" / "report.html").read_text()
    assert run("report", "--case", case, "--format", "sfr-docx").returncode == 0
    with ZipFile(case / "reports" / "sfr.docx") as document:
        court = document.read("word/document.xml").decode()
    assert "ABC/1" in court
    assert "sampled, not scanned" in court
    assert "No hash set was given" not in court
    whole = run(*words, "--samples", "all")
    assert whole.returncode == 0, whole.stderr
    assert "Blocks of known files found" in whole.stdout
    page = (case / "reports" / "report.html").read_text()
    assert "Parts of known files: of 2 files" in page
    assert "By the category of the known file: code" in page
    added = run("unit", "add", case, "--unit", case.parent / "memory" / "unit.db")
    assert (added.returncode, "it was only sampled" in added.stderr) == (6, True)
    scanned = run("scan", exhibit, "--case", case, "--hashset", blocks, "--exhibit", "ABC/1", "--quiet")
    assert scanned.returncode in (0, 3), scanned.stderr
    return case


def test_a_scan_of_the_same_case_says_where_fragments_lie(both: Path, exhibit: Path) -> None:
    rows = fragments(both)
    disk, coast, town = exhibit.read_bytes(), picture("coast.jpg"), picture("town.jpg")
    for row in rows:
        content = {"1": coast, "2": town}[row["category_code"]]
        first, offset, length = int(row["first_block"]), int(row["offset"]), int(row["length"])
        assert disk[offset : offset + length] == content[first * 512 : first * 512 + length]
        assert int(row["file_blocks"]) == len(content) // 512
    living = [row for row in rows if row["category_code"] == "1"]
    rest = [row for row in rows if row["category_code"] == "2"]
    assert {row["area"] for row in living} == {"Files and folders"}
    assert {row["file_that_begins_there"] for row in living} == {"/DCIM/coast.jpg"}
    assert {row["volume"] for row in rows} == {"p1"}
    assert {row["area"] for row in rest} == {"Free, searched"}
    assert sum(int(row["blocks"]) for row in rest) > len(town) // 512 // 3
    assert min(int(row["first_block"]) for row in rest) >= len(town) // 2 // CLUSTER * CLUSTER // 512


def test_fragments_are_in_no_count_and_in_every_report(both: Path) -> None:
    summary = json.loads((both / "reports" / "summary.json").read_text())
    assert {(row["category_code"], row["match_kind"]) for row in summary["counts"]} == {("1", "exact")}
    (one,) = summary["sampling"]
    assert one["complete"]
    assert one["files_found"] == 2
    assert one["less_than_bytes"] is None
    assert one["drawn"] == 50
    page = (both / "reports" / "report.html").read_text()
    assert "Fragments of known files" in page
    assert "Known material found: YES" in page
    assert "The whole disk was read." in page


def test_the_case_verifies_and_its_audit_trail_names_no_hash(run: Run, both: Path, blocks: Path) -> None:
    checked = run("verify", both)
    assert checked.returncode == 0, checked.stdout + checked.stderr
    lines = [json.loads(line) for line in (both / "audit.jsonl").read_text().splitlines()]
    began = [line for line in lines if line["action"] == "sampling-began"]
    assert [line["whole"] for line in began] == [False, True]
    assert next(line["read_to"] for line in lines if line["action"] == "sampling-finished") == 0
    assert began[0]["generation"] == json.loads((blocks / "manifest.json").read_text())["generation"]


def test_the_first_hit_is_said_before_the_end(exhibit: Path, blocks: Path) -> None:
    done = here("sample", exhibit, "--hashset", blocks, "--samples", "6000", "--seed", "1")
    assert "FOUND: a block of a known file at byte" in done.stderr
    assert "blocks at their places in the file" in done.stdout
    assert "No upper bound is stated" in done.stdout
    as_json = here("sample", exhibit, "--hashset", blocks, "--samples", "6000", "--seed", "1", "--json-progress")
    events = [json.loads(line)["event"] for line in as_json.stdout.splitlines()]
    assert events[0] == "first-hit"
    assert events[-1] == "finished"


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (["--confidence", "100"], 2, "above 0 and below 100"),
        (["--confidence", "nan"], 2, "above 0 and below 100"),
        (["--confidence", "99.9999999"], 2, "six places at most"),  # it would be printed as 100 %
        (["--target", "0"], 2, "a size is written"),
        (["--target", "5 apples"], 2, "a size is written"),
        (["--samples", "-3"], 2, "--samples is a number"),
        (["--seed", "-1"], 2, "a seed is a number"),
        (["--exhibit", " "], 2, "printable characters"),
    ],
)
def test_what_cannot_be_asked_for_is_refused(exhibit, blocks, words, code: int, said: str) -> None:
    done = here("sample", exhibit, "--hashset", blocks, *words)
    assert done.exit_code == code
    assert said in done.stderr


def test_what_is_no_disk_or_no_block_set_is_refused(exhibit: Path, blocks: Path, small, tmp_path: Path) -> None:
    assert here("sample", tmp_path, "--hashset", blocks).exit_code == 4
    assert here("sample", tmp_path / "nowhere", "--hashset", blocks).exit_code == 4
    other = here("sample", exhibit, "--hashset", small.hashset)
    assert other.exit_code == 5
    assert "holds no blocks" in other.stderr


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--blocks", "--distance", "pdq=3"], "a block set has none"),
        (["--block-size", "512"], "give --blocks too"),
        (["--blocks", "--role", "not-this"], "notable or known-good"),
    ],
)
def test_options_of_another_kind_of_set_are_refused(tmp_path: Path, words: list[str], said: str) -> None:
    done = here("hashset", "make", tmp_path, "--out", tmp_path / "x.chs", *words)
    assert done.exit_code == 2
    assert said in done.stderr


def test_a_set_of_blocks_says_what_it_holds(strangers: Path) -> None:
    told = here("hashset", "info", strangers)
    assert "blocks of 4,096 bytes:" in told.stdout
    assert here("hashset", "verify", strangers).exit_code == 0


def test_stopped_it_says_what_may_be_said_by_now(exhibit, strangers, tmp_path: Path, monkeypatch) -> None:
    """On scene the time is up when it is up: the samples that were drawn say something."""

    def stop(_sampler: Sampler) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(Sampler, "fill", stop)
    words = [exhibit, "--hashset", strangers, "--case", tmp_path / "case", "--target", "1MiB", "--quiet"]
    stopped = CliRunner().invoke(sample, [str(word) for word in words])
    assert stopped.exit_code != 0
    assert "No block of a known file in" in stopped.stdout
    assert "No stretch" not in stopped.stdout
    lines = [json.loads(line)["action"] for line in (tmp_path / "case" / "audit.jsonl").read_text().splitlines()]
    assert "sampling-interrupted" in lines
    monkeypatch.undo()
    done = here("sample", *words)
    assert done.exit_code == 0, done.output
    assert "No stretch of 1 MiB in one piece" in done.stdout


def test_what_is_stated_with_a_sampling_is_of_its_case(exhibit: Path, blocks: Path, tmp_path: Path) -> None:
    words = ["sample", exhibit, "--hashset", blocks, "--samples", "20", "--exhibit", "ABC/1", "--quiet"]
    said = ["--case-reference", "OP/7", "--operation", "Larch", "--examiner", "DC 1", "--seized", "2026-03-02"]
    refused = here(*words, *said)
    assert refused.exit_code == 2
    assert "give --case too" in refused.output
    case = tmp_path / "case"
    for code, more in ((0, said), (6, ["--operation", "Birch"])):
        assert here(*words, "--case", case, *more).exit_code == code
    summary = json.loads((case / "reports" / "summary.json").read_text())["case"]
    assert [summary[key] for key in ("reference", "operation", "examiner")] == ["OP/7", "Larch", "DC 1"]
    assert summary["seized"] == {"ABC/1": "2026-03-02"}
