"""A batch answers what the exhibits' own reports answer: a NO where all of them say so, a YES where one does."""

from __future__ import annotations

import csv
import hashlib
import html
import io
import json
import re
from collections.abc import Iterator
from datetime import UTC, datetime
from itertools import combinations
from pathlib import Path

import pytest
from PIL import Image
from support.cli import picture, run_command, vics_record, write_vics
from support.queues import exhibit_table, write_queue

from caid_triage.batch.journal import Journal
from caid_triage.batch.queue import Exhibit
from caid_triage.batch.rows import ExhibitRow, exhibit_rows
from caid_triage.batch.summary import Summary, page
from caid_triage.synth.fat import build_fat
from caid_triage.synth.mbr import Partition, build_mbr
from caid_triage.synth.plan import PlannedFile

CLUSTER = 4096
CONFIRMED = """name = "own"
title = "Our own"
confirmed_by = "A. Unit, 2026-01-02"
[[categories]]
code = "1"
label = "Category A"
severity = 30
meaning = "notable"
[[categories]]
code = "0"
label = "Ignorable"
severity = 0
meaning = "ignorable"
"""


def made(*words: object) -> None:
    done = run_command("hashset", *words)
    assert done.returncode == 0, done.stderr


def smaller(content: bytes) -> bytes:
    """The same picture, coded anew at another size: no digest of it stays."""
    out = io.BytesIO()
    with Image.open(io.BytesIO(content)) as opened:
        opened.convert("RGB").resize((opened.width * 3 // 4, opened.height * 3 // 4)).save(out, "JPEG", quality=80)
    return out.getvalue()


def half_overwritten(content: bytes) -> bytes:
    """A disk on which a known file was deleted and its first half overwritten: in no file of it whole."""
    plan = [PlannedFile("/notes.txt", b"milk, bread\n"), PlannedFile("/gone.jpg", content, deleted=True)]
    disk = bytearray(build_mbr([Partition(6, bytes(build_fat(plan, size=20 << 20, cluster=CLUSTER)))]))
    at, half = disk.index(content[:512]), len(content) // 2 // CLUSTER * CLUSTER
    disk[at : at + half] = b"something else was written here " * (half // 32)
    return bytes(disk)


@pytest.fixture(scope="module")
def queue(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """An exhibit for each answer that a report may give, as tables of a queue."""
    folder = tmp_path_factory.mktemp("answers")
    contents = {
        "bare": picture("coast.jpg"),
        "look": smaller(picture("lagoon.jpg")),
        "forged": picture("town.jpg"),
        "ignorable": picture("marble.jpg"),
        "quiet": b"milk, bread\n",
        "hit": picture("coast.jpg"),
        "unsure": picture("marble.jpg"),
    }
    sources = {name: folder / name for name in contents}
    for name, content in contents.items():
        sources[name].mkdir()
        (sources[name] / "a.jpg").write_bytes(content)
    sources["empty"] = folder / "empty"
    sources["empty"].mkdir()
    sources["parts"] = folder / "parts.dd"
    sources["parts"].write_bytes(half_overwritten(picture("town.jpg")))
    (folder / "own.toml").write_text(CONFIRMED)
    (folder / "own, unconfirmed.toml").write_text(CONFIRMED.replace("A. Unit, 2026-01-02", ""))
    # The MD5 of a listed item with another SHA-1: the entry is wrong, or the file was made so.
    forged = vics_record(2, picture("town.jpg"), 1) | {"SHA1": hashlib.sha1(b"another").hexdigest().upper()}
    listed = [vics_record(1, picture("coast.jpg"), 1), forged, vics_record(3, picture("marble.jpg"), 0)]
    vics = write_vics(folder / "set.json", listed)
    made("build", vics, "--out", folder / "set.chs", "--scheme", folder / "own.toml")
    made("build", vics, "--out", folder / "unsure.chs", "--scheme", folder / "own, unconfirmed.toml")
    for kind, name in (("pictures", "lagoon.jpg"), ("blocks", "town.jpg")):
        (folder / kind / "1").mkdir(parents=True)
        (folder / kind / "1" / name).write_bytes(picture(name))
    made("make", folder / "pictures", "--out", folder / "pictures.chs", "--scheme", "uk")
    made("make", folder / "blocks", "--blocks", "--block-size", "512", "--out", folder / "blocks.chs", "--scheme", "uk")
    sets = {"bare": None, "look": "pictures.chs", "parts": "blocks.chs", "unsure": "unsure.chs"}
    return {
        name: exhibit_table(
            name, source, **({"hashsets": str(folder / used)} if (used := sets.get(name, "set.chs")) else {})
        )
        for name, source in sources.items()
    }


@pytest.fixture(scope="module")
def folder(queue: dict[str, str], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """All of them, done by one batch."""
    folder = tmp_path_factory.mktemp("batch")
    done = run_command("batch", write_queue(folder, *queue.values()), "--quiet")
    assert done.returncode in (0, 3), done.stderr
    return folder


def headline(page: str) -> str:
    found = re.search(r'<p class="headline">(.*?)</p>', page)
    assert found is not None
    return html.unescape(re.sub("<[^>]*>", "", found[1]))


def of_report(folder: Path, name: str) -> str:
    return headline((folder / "cases" / name / "reports" / "report.html").read_text(encoding="utf-8"))


REPORTED = {
    "bare": "No hash set was given",
    "look": "No identical file found; leads to check",
    "forged": "No identical file found; contradictions to check",
    "parts": "No identical file found; fragments of known files to check",
    "ignorable": "Known material found: NO",
    "quiet": "Known material found: NO",
    "hit": "Known material found: YES",
    "unsure": "Listed files found; what their category means is not confirmed",
    "empty": "No file was found to examine",
}


@pytest.mark.parametrize(
    ("name", "answer", "line"),
    [
        ("bare", "Nothing was compared on bare",
         "Nothing was compared, for no hash set of known material was given: bare."),
        ("look", "No identical file found; leads to check on look", "Leads alone, to check by eye: look (1)."),
        ("forged", "No identical file found; contradictions to check on forged",
         "Contradictions to check, in no count: forged (1)."),
        ("parts", "No identical file found; fragments of known files to check on parts",
         "Parts of known files, in no other count: parts (fragments: "),
        ("ignorable", "Known material found: NO",
         "Identical to an item in a category that its scheme ranks as not pertinent, in no other count: ignorable (1)"),
        ("quiet", "Known material found: NO", "No file identical to a listed item."),
        ("hit", "Known material found: YES, on 1 of 1 exhibit", "Files identical to a listed item: hit (1)."),
        ("unsure", "Listed files found on unsure whose category's meaning is not confirmed",
         "Files listed in a category whose meaning is not confirmed: unsure (1)."),
        ("empty", "No file was found to examine on empty", "No file examined of: empty."),
    ],
)  # fmt: skip
def test_a_batch_of_one_answers_as_the_report_does(
    folder: Path, queue: dict[str, str], name: str, answer: str, line: str
) -> None:
    """On the page, in both lists, in the notice and at the end of the terminal."""
    (folder / "told.jsonl").unlink(missing_ok=True)
    done = run_command("batch", write_queue(folder, queue[name], notify="told.jsonl"), "--quiet")
    assert of_report(folder, name) == REPORTED[name]
    cases = folder / "cases"
    said = done.stdout.splitlines()
    assert answer in said
    assert any(one.startswith(line) for one in said)
    text = (cases / "batch.html").read_text(encoding="utf-8")
    assert headline(text) == answer
    assert line in html.unescape(text)
    content = json.loads((cases / "batch.json").read_text(encoding="utf-8"))
    assert content["answer"] == answer
    assert content["rows"][0]["answer"] == REPORTED[name]
    with (cases / "batch.csv").open(encoding="utf-8", newline="") as lines:
        (row,) = csv.DictReader(lines)
    assert row["answer"] == REPORTED[name]
    assert json.loads((folder / "told.jsonl").read_text().splitlines()[-1])["answer"] == answer
    figures = run_command("figures", cases / name, "--out", folder)
    assert figures.returncode == 0, figures.stderr
    assert REPORTED[name] in html.unescape((folder / "unit-figures.html").read_text(encoding="utf-8"))


def test_an_exhibit_without_known_material_to_compare_with_is_told_before_anything_starts(
    queue: dict[str, str], tmp_path: Path
) -> None:
    (tmp_path / "good").mkdir()
    (tmp_path / "good" / "list.txt").write_text(hashlib.md5(b"a system file").hexdigest())
    made("build", tmp_path / "good" / "list.txt", "--out", tmp_path / "good.chs", "--role", "known-good")
    known_good = f'[defaults]\nhashsets = "{tmp_path / "good.chs"}"\n'
    path = write_queue(tmp_path, known_good, queue["bare"], queue["hit"])
    warning = "caid-triage: WARNING: nothing will be compared on bare: no hash set of known material is given"
    for words in (["--check"], ["--time-box", "90s", "--quiet"]):
        assert warning in run_command("batch", path, *words).stderr
    (tmp_path / "arriving").mkdir()
    watched = run_command("batch", path, "--check", "--watch", tmp_path / "arriving").stderr
    assert warning.replace("on bare", "on bare, what comes into the watched folder") in watched
    assert run_command("batch", write_queue(tmp_path, queue["hit"]), "--check").stderr == ""


def subsets(rows: list[ExhibitRow]) -> Iterator[list[ExhibitRow]]:
    for size in range(1, len(rows) + 1):
        yield from map(list, combinations(rows, size))


def test_whatever_is_in_a_queue_its_answer_and_those_of_the_reports_agree(folder: Path) -> None:
    """Over every choice of exhibits: a YES, a NO and a "nothing was compared" are where the reports have them."""
    cases = folder / "cases"
    with Journal(cases) as journal:
        records = journal.known.records
    exhibits = [Exhibit(name, (Path("/x"),), cases / name) for name in REPORTED]
    rows = list(exhibit_rows(exhibits, records, [], [], cases))
    reports = {row.reference: of_report(folder, row.reference) for row in rows}
    assert {row.reference: row.answer for row in rows} == reports == REPORTED
    for chosen in subsets(rows):
        summary = Summary(0, False, False, 1.0, datetime.now(UTC), chosen, [])
        said, own = summary.answer, [reports[row.reference] for row in chosen]
        found = own.count("Known material found: YES")
        assert said.startswith("Known material found: YES") == bool(found)
        assert (said == "Known material found: NO") == (set(own) == {"Known material found: NO"})
        assert summary.word == ("found" if found else "none" if said == "Known material found: NO" else "leads")
        if found:
            assert said.endswith(f"on {found} of {len(chosen)} exhibit{'' if len(chosen) == 1 else 's'}")
        for row in chosen:
            silent = reports[row.reference] == "Known material found: NO"
            named = any(re.search(rf"\b{row.reference}\b", words) for words in (said, *summary.found_words))
            assert named or silent, (row.reference, said, summary.found_words)
        if not found and said != "Known material found: NO":
            on = {name for name in REPORTED if re.search(rf"\b{name}\b", said)}
            assert len(chosen) > 4 or on == {row.reference for row in chosen if row.answer != REPORTED["quiet"]}
    assert headline(page(Summary(0, False, False, 1.0, datetime.now(UTC), rows, []))).startswith("Known material")


def test_what_is_ranked_as_not_pertinent_is_told_apart_in_every_list(folder: Path) -> None:
    done = run_command("figures", folder / "cases" / "ignorable", "--out", folder / "apart")
    assert done.returncode == 0, done.stderr
    text = (folder / "apart" / "unit-figures.html").read_text(encoding="utf-8")
    assert "Ignorable (ranked as not pertinent) [own]: 1 file, 1 unique" in text
    with (folder / "apart" / "unit-figures.csv").open(encoding="utf-8", newline="") as lines:
        (row,) = csv.DictReader(lines)
    assert (row["exact"], row["ignorable"], row["outcome"]) == ("1", "1", "none")
