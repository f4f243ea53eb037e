"""Pictures that were cropped by so much that only a longer distance finds them: leads, apart from strong hits."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path

import pytest
from PIL import Image
from support.cli import MATCH_COLUMNS, Run, picture

# Cropped by 5% at each edge the waves lie 54 bits from the listed ones by the nearest look, by 7% the dunes 50, and
# their pHash is no nearer. The reef is the lagoon saved again.
LEADS = {"/waves-cropped.jpg", "/dunes-cropped.jpg"}


def cropped(name: str, share: float) -> bytes:
    """The picture without so much of its sides at each edge, saved again."""
    with Image.open(io.BytesIO(picture(name))) as whole:
        width, height = whole.size
        left, top = round(width * share), round(height * share)
        out = io.BytesIO()
        whole.convert("RGB").crop((left, top, width - left, height - top)).save(out, "JPEG", quality=80)
    return out.getvalue()


@pytest.fixture(scope="module")
def exhibit(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("leads") / "exhibit"
    folder.mkdir()
    (folder / "waves-cropped.jpg").write_bytes(cropped("waves.webp", 0.05))
    (folder / "dunes-cropped.jpg").write_bytes(cropped("dunes.jpg", 0.07))
    (folder / "reef.jpg").write_bytes(cropped("lagoon.jpg", 0.0))
    for other in ("orchard.jpg", "meadow.jpg"):
        (folder / other).write_bytes(picture(other))
    return folder


@pytest.fixture(scope="module")
def listed(run: Run, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("listed")
    (folder / "graded" / "1").mkdir(parents=True)
    for name in ("waves.webp", "dunes.jpg", "lagoon.jpg", "marble.jpg"):
        (folder / "graded" / "1" / name).write_bytes(picture(name))
    made = run("hashset", "make", folder / "graded", "--out", folder / "listed.chs", "--scheme", "uk")
    assert made.returncode == 0, made.stderr
    return folder / "listed.chs"


def rows(case: Path, name: str = "matches") -> list[dict[str, str]]:
    with (case / "reports" / f"{name}.csv").open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def test_a_cropped_picture_is_a_lead_and_no_strong_hit(run: Run, exhibit: Path, listed: Path, tmp_path: Path) -> None:
    case = tmp_path / "case"
    done = run("scan", exhibit, "--case", case, "--hashset", listed, "--workers", "1", "--quiet")
    assert done.returncode == 0, done.stderr
    assert "not searched" not in done.stdout
    found = {row["path"]: row for row in rows(case)}
    assert set(found) == {*LEADS, "/reef.jpg"}
    assert list(rows(case)[0])[: len(MATCH_COLUMNS)] == MATCH_COLUMNS
    columns = list(rows(case)[0])
    assert columns[columns.index("expected_chance") :] == [
        "expected_chance", "tier", "location", "accessibility", "container_state", "stated", "series", "path_bytes",
    ]  # fmt: skip
    strong = found["/reef.jpg"]
    assert (strong["match_kind"], strong["algorithm"], strong["threshold"], strong["tier"]) == (
        "near",
        "pdq",
        "31",
        "strong",
    )
    for path in LEADS:
        lead = found[path]
        assert (lead["match_kind"], lead["algorithm"], lead["threshold"], lead["tier"]) == ("near", "pdq", "75", "lead")
        assert 31 < int(lead["distance"]) <= 75
        assert lead["look"] == "as if 10% had been cropped"
        assert float(lead["expected_chance"]) < 1e-6
    summary = json.loads((case / "reports" / "summary.json").read_text())
    assert {count["match_kind"] for count in summary["counts"]} == {"near"}
    assert summary["near"]["tiers"] == [
        {"hashset": "listed", "tier": "strong", "matches": 1, "files": 1},
        {"hashset": "listed", "tier": "lead", "matches": 2, "files": 2},
    ]
    assert summary["near"]["leads_not_searched"] == []
    assert summary["case"]["options"]["leads"] == "auto"
    page = (case / "reports" / "report.html").read_text()
    assert "2 of them are farther off than the strong distance: less sure" in page
    strong_table, leads_table = page.index('id="look-alikes">'), page.index('id="leads-table"')
    assert 'id="hits"' not in page  # no file is identical to a listed item
    assert strong_table < page.index("/reef.jpg") < leads_table
    # Nearest first, each with its distance and what chance would make.
    assert leads_table < page.index("/dunes-cropped.jpg") < page.index("/waves-cropped.jpg")
    assert f"{found['/waves-cropped.jpg']['distance']} of 75</span>" in page
    vics = (case / "reports" / "vics.json").read_text()
    assert vics.count("near match, not confirmed (tier: lead); listed item") == 2
    assert '"Category"' not in vics


def test_without_leads_all_is_as_it_was(run: Run, exhibit: Path, listed: Path, tmp_path: Path) -> None:
    case = tmp_path / "case"
    done = run("scan", exhibit, "--case", case, "--hashset", listed, "--workers", "1", "--quiet", "--leads", "off")
    assert done.returncode == 0, done.stderr
    assert [(row["path"], row["tier"]) for row in rows(case)] == [("/reef.jpg", "strong")]
    said = "leads beyond 31 bits were not searched in listed (--leads off)"
    assert f"note: {said}" in done.stdout
    summary = json.loads((case / "reports" / "summary.json").read_text())
    assert summary["near"]["leads_not_searched"] == [said]
    assert "leads" not in summary["case"]["options"]
    assert said[1:] in (case / "reports" / "report.html").read_text()
    # With them the same rows, and more.
    before = rows(case)
    more = run("match", "--case", case, "--hashset", listed, "--leads", "auto")
    assert more.returncode == 0, more.stderr
    assert [row for row in rows(case) if row["tier"] != "lead"] == before
    assert {row["path"] for row in rows(case) if row["tier"] == "lead"} == LEADS
    assert {(row["change"], row["path"], row["after"].split(":")[0]) for row in rows(case, "delta")} == {
        ("new", path, "near, lead") for path in LEADS
    }


def test_matching_again_and_resuming_give_the_rows_of_the_scan(
    run: Run, exhibit: Path, listed: Path, tmp_path: Path
) -> None:
    scanned, matched, attached = (tmp_path / name for name in ("scanned", "matched", "attached"))
    for case in (scanned, matched, attached):
        given = ["--hashset", listed] if case == scanned else []
        assert run("scan", exhibit, "--case", case, *given, "--workers", "2", "--quiet").returncode == 0
    assert run("match", "--case", matched, "--hashset", listed).returncode == 0
    resumed = run("scan", exhibit, "--case", attached, "--hashset", listed, "--workers", "1", "--quiet")
    assert resumed.returncode == 0, resumed.stderr
    expected = (scanned / "reports" / "matches.csv").read_bytes()
    assert expected.count(b",lead,other,live,,,,\n") == 2
    for case in (matched, attached):
        assert (case / "reports" / "matches.csv").read_bytes() == expected
    # A re-match with other limits is undone by the next scan of the case, which was begun with these.
    assert run("match", "--case", matched, "--hashset", listed, "--leads", "off").returncode == 0
    assert {row["tier"] for row in rows(matched)} == {"strong"}
    assert run("scan", exhibit, "--case", matched, "--hashset", listed, "--quiet").returncode == 0
    assert (matched / "reports" / "matches.csv").read_bytes() == expected


def test_a_case_is_resumed_with_the_leads_it_began_with(run: Run, exhibit: Path, listed: Path, tmp_path: Path) -> None:
    case = tmp_path / "case"
    begin = ("scan", exhibit, "--case", case, "--hashset", listed, "--quiet")
    assert run(*begin, "--leads", "off").returncode == 0
    refused = run(*begin)
    assert (refused.returncode, "begun with other options (leads)" in refused.stderr) == (6, True)
    assert run(*begin, "--leads", "off").returncode == 0


def test_the_number_of_bits_is_checked(run: Run, exhibit: Path, listed: Path, tmp_path: Path) -> None:
    case = tmp_path / "case"
    for wrong in ("31", "101", "near", "-5"):
        done = run("scan", exhibit, "--case", case, "--hashset", listed, f"--leads={wrong}")
        assert (done.returncode, "--leads is auto, off or 32 to 100 bits" in done.stderr) == (2, True)
    assert not case.exists()
    assert run("scan", exhibit, "--case", case, "--hashset", listed, "--quiet", "--leads", "52").returncode == 0
    assert [row["path"] for row in rows(case) if row["tier"] == "lead"] == ["/dunes-cropped.jpg"]
    (lead,) = (row for row in rows(case) if row["tier"] == "lead")
    assert lead["threshold"] == "52"


def test_a_picture_that_is_nearer_to_what_it_is_not_is_no_lead(
    run: Run, exhibit: Path, listed: Path, tmp_path: Path
) -> None:
    """The negative entry lies farther than 31 bits too, and nearer than the listed one."""
    graded = tmp_path / "no"
    graded.mkdir()
    (graded / "waves.jpg").write_bytes(cropped("waves.webp", 0.01))
    made = run("hashset", "make", graded, "--out", tmp_path / "no.chs", "--role", "not-this", "--scheme", "none")
    assert made.returncode == 0, made.stderr
    case = tmp_path / "case"
    both = ("--hashset", listed, "--hashset", tmp_path / "no.chs")
    assert run("scan", exhibit, "--case", case, *both, "--workers", "1", "--quiet").returncode == 0
    assert [row["path"] for row in rows(case) if row["tier"] == "lead"] == ["/dunes-cropped.jpg"]
    (note,) = (row for row in rows(case, "problems") if row["code"] == "near-not-this")
    assert note["path"] == "/waves-cropped.jpg"
    assert note["detail"].endswith("of 85) are not proposed: the picture is nearer to an entry of no")
