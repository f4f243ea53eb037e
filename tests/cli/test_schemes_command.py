"""Schemes on the command line, and that no label is printed anywhere from one that nobody confirmed."""

from __future__ import annotations

import json
import shutil
import tomllib
from pathlib import Path

from support.cli import picture, vics_record, write_vics

UK_LABELS = ("Category A", "Category B", "Category C", "Prohibited image", "Extreme pornographic", "Council category")


def test_the_schemes_are_listed_with_codes_and_whether_confirmed(run) -> None:
    done = run("schemes")
    assert done.returncode == 0, done.stderr
    for name in ("uk", "projectvic-us", "projectvic-us-2014", "icse", "nist-caid", "none"):
        assert f"\n{name}: " in f"\n{done.stdout}"
    assert done.stdout.count("NOT confirmed") == 6
    assert "confirmed_by" in done.stdout
    assert not any(label in done.stdout for label in UK_LABELS[:5])
    listed = json.loads(run("schemes", "--json").stdout)
    uk = next(scheme for scheme in listed if scheme["name"] == "uk")
    assert uk["confirmed"] is False
    assert {"code", "label", "legal_class", "severity", "meaning"} == set(uk["categories"][0])
    assert {"prohibited", "extreme"} <= {item["code"] for item in uk["categories"]}


def test_one_scheme_is_shown_and_an_unknown_one_refused(run) -> None:
    shown = run("schemes", "show", "uk")
    assert shown.returncode == 0
    assert "code 1: to be confirmed: Category A" in shown.stdout
    assert json.loads(run("schemes", "show", "uk", "--json").stdout)["name"] == "uk"
    assert run("schemes", "show", "atlantis").returncode == 5


def test_a_scheme_is_copied_confirmed_and_then_prints_its_labels(run, small, tmp_path) -> None:
    file = tmp_path / "our-unit.toml"
    assert run("schemes", "export", "uk", file).returncode == 0
    assert run("schemes", "export", "uk", file).returncode == 5  # never overwritten
    assert run("schemes", "export", "atlantis", tmp_path / "x.toml").returncode == 5
    copy = tomllib.loads(file.read_text(encoding="utf-8"))
    assert (copy["name"], copy["confirmed_by"]) == ("our-unit", "")
    text = file.read_text(encoding="utf-8").replace('confirmed_by = ""', 'confirmed_by = "A. Examiner, 2 March 2026"')
    file.write_text(text, encoding="utf-8")
    out = tmp_path / "set.chs"
    assert run("hashset", "build", small.vics, "--out", out, "--scheme", file).returncode == 0
    info = run("hashset", "info", out).stdout
    assert "our-unit, confirmed by A. Examiner, 2 March 2026" in info
    assert "completeness: every row" in info
    case = tmp_path / "case"
    assert run("scan", small.image, "--case", case, "--hashset", out, "--quiet").returncode in (0, 3)
    assert "Category A" in (case / "reports" / "matches.csv").read_text(encoding="utf-8")
    again = run("match", "--case", case, "--hashset", out, "--json")
    assert json.loads(again.stdout)["changed"] == 0


def test_no_class_is_printed_from_an_unconfirmed_scheme_anywhere(run, small, tmp_path) -> None:
    """Every output there is: terminal, JSON lines, all reports, the delta, lookup, info, the set's own folder names."""
    graded = tmp_path / "graded" / "1"
    graded.mkdir(parents=True)
    (graded / "coast.jpg").write_bytes(picture("coast.jpg"))
    made, built = tmp_path / "made.chs", tmp_path / "built.chs"
    case = tmp_path / "case"
    outputs = [
        run("hashset", "make", tmp_path / "graded", "--out", made, "--scheme", "uk"),
        run("hashset", "build", small.vics, "--out", built, "--scheme", "uk"),
        run("hashset", "info", built),
        run("scan", small.image, "--case", case, "--hashset", built, "--hashset", made),
        run("scan", small.image, "--case", tmp_path / "json", "--hashset", built, "--json-progress"),
    ]
    md5 = json.loads(small.vics.read_text(encoding="utf-8"))["value"][0]["MD5"]
    outputs += [run("hashset", "lookup", built, md5), run("hashset", "lookup", built, md5, "--json")]
    newer = write_vics(tmp_path / "newer.json", [vics_record(1, picture("coast.jpg"), 2)])
    assert run("hashset", "build", newer, "--out", tmp_path / "newer.chs", "--name", "built", "--scheme", "uk")
    delta = run("match", "--case", case, "--hashset", tmp_path / "newer.chs")
    outputs += [delta, run("match", "--case", case, "--hashset", tmp_path / "newer.chs", "--json")]
    for done in outputs:
        assert done.returncode in (0, 3), done.stderr
        assert not any(label in done.stdout + done.stderr for label in UK_LABELS), done.args
    assert "changed: " in delta.stdout
    reports = [path for folder in (case, tmp_path / "json") for path in (folder / "reports").iterdir()]
    assert {"matches.csv", "report.html", "summary.json", "vics.json", "delta.csv", "delta.json"} <= {
        path.name for path in reports
    }
    for path in reports:
        text = path.read_text(encoding="utf-8")
        assert not any(label in text for label in UK_LABELS), path.name
    assert "code 2 (scheme uk not confirmed)" in (case / "reports" / "matches.csv").read_text(encoding="utf-8")
    audit = (case / "audit.jsonl").read_text(encoding="utf-8")
    assert not any(label in audit for label in UK_LABELS)
    shutil.rmtree(case)


def test_purge_leaves_an_audit_line(run, small, tmp_path: Path) -> None:
    out = tmp_path / "set.chs"
    assert run("hashset", "build", small.vics, "--out", out).returncode == 0
    assert run("hashset", "purge", out, "--yes").returncode == 0
    assert not out.exists()
    lines = [json.loads(line) for line in (tmp_path / "set.chs.purged.jsonl").read_text().splitlines()]
    assert [line["state"] for line in lines] == ["begun", "done"]
    assert lines[0]["sources"][0]["sha256"]


def test_purge_deletes_what_a_killed_first_build_left(run, small, tmp_path: Path) -> None:
    out = tmp_path / "set.chs"
    assert run("hashset", "build", small.vics, "--out", out).returncode == 0
    out.rename(tmp_path / "set.chs.tmp-12")
    assert run("hashset", "purge", out, "--yes").returncode == 0
    assert [item.name for item in tmp_path.iterdir() if item.name.startswith("set.chs")] == ["set.chs.purged.jsonl"]


def test_verify_of_a_hash_set_says_which_command_does_that(run, small, tmp_path: Path) -> None:
    out = tmp_path / "set.chs"
    assert run("hashset", "build", small.vics, "--out", out).returncode == 0
    done = run("verify", out)
    assert done.returncode == 2
    assert "caid-triage hashset verify" in done.stderr


def test_a_set_with_a_part_missing_says_so_when_built_and_in_info(run, tmp_path) -> None:
    parts = [tmp_path / f"gold disk {number} of 3.json" for number in (1, 3)]
    for number, part in enumerate(parts):
        write_vics(part, [vics_record(number + 1, bytes([number]), 1)])
    out = tmp_path / "gold.chs"
    built = run("hashset", "build", *parts, "--out", out)
    assert built.returncode == 3, built.stderr
    assert "2" in built.stderr
    assert "INCOMPLETE" in run("hashset", "info", out).stdout


def test_a_csv_column_is_named_on_the_command_line(run, tmp_path) -> None:
    source = tmp_path / "list.csv"
    source.write_text("Fingerprint;category\n" + "ab" * 16 + ";1\n", encoding="utf-8")
    out = tmp_path / "list.chs"
    assert run("hashset", "build", source, "--out", out, "--column", "Fingerprint").returncode == 2
    done = run("hashset", "build", source, "--out", out, "--format", "csv", "--column", "Fingerprint=md5")
    assert done.returncode == 0, done.stderr
    assert "known" in run("hashset", "lookup", out, "ab" * 16).stdout
