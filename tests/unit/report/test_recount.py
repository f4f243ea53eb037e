"""Every count that a report or a format for other programs states is the one that a naive recount of case.db gives."""

from __future__ import annotations

import csv
import json
import xml.etree.ElementTree as ET
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import UTC, datetime
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
from support.recount import NUMBERS, PARTS, Counted, counted_files, last_grades, stored_rows
from unit.case import samples
from unit.report import exhibits
from unit.report.documents import make_mixed_case

from caid_triage.case.store import open_case_for_writing
from caid_triage.case.view import open_case
from caid_triage.model import (
    IN_USE_CODE,
    Category,
    Decision,
    Kind,
    MatchKind,
    Role,
    Severity,
    State,
    VideoAgreement,
)
from caid_triage.report.write import ALL, FORMATS, write_reports
from caid_triage.review.desk import ReviewDesk
from caid_triage.review.items import ItemFilter

WHEN = datetime(2026, 11, 29, 2, 30, tzinfo=UTC)
PLACES = ("live", "inside", "deleted", "other", "all")
KINDS = {"image": "still", "video": "moving", "other": "other file"}
DFXML = "{http://www.forensicswiki.org/wiki/Category:Digital_Forensics_XML}"
CT = "{urn:caid-triage:dfxml:1}"
CONFIRMED = ("uk",)  # of the two schemes of the case


def further_files() -> Iterator[exhibits.Item]:
    """What a mixed case has not: known-good and contradicted matches, films by look, an orphan in use, insides."""
    good = samples.match(Category("", "known-good", "", None), hashset="good-set", role=Role.KNOWN_GOOD)
    film = samples.near(
        match_kind=MatchKind.VIDEO, algorithm="vpdq", agreement=VideoAgreement(3, 2, 4, 2, 0.0, 2.5)
    )  # fmt: skip
    in_use = samples.problem(IN_USE_CODE, step="walk", severity=Severity.NOTE)
    inner = {"state": State.EMBEDDED, "physical_offset": None, "locator": ()}
    yield samples.record(30), (good,)
    yield samples.record(31), (good, samples.match())
    yield samples.record(32), (samples.match(algorithm="md5", contradicted=True),)
    yield samples.record(33, kind=Kind.VIDEO, media_type="video/mp4", hashes=()), (film,)
    yield samples.record(34, state=State.ORPHAN, problems=(in_use,)), (samples.match(),)
    yield samples.record(35, b"in gone", path="/gone.zip//a.jpg", part=1, **inner), (samples.match(algorithm="md5"),)
    yield samples.record(35, b"zip", path="/gone.zip", state=State.DELETED, kind=Kind.OTHER, hashes=()), ()
    yield samples.record(36, b"alike", state=State.DELETED), (samples.near(samples.CATEGORY_C, 40),)
    yield samples.record(37, b"alike"), (samples.near(samples.CATEGORY_C, 40),)
    yield samples.record(38, b"taken back"), (samples.near(distance=3),)
    yield samples.record(39, b"a text", kind=Kind.OTHER, media_type="text/plain", hashes=()), ()


def grade(folder: Path) -> None:
    """Look-alikes, a listed file, one that nothing lists; one grade is replaced, one taken back."""
    with open_case_for_writing(folder) as case:
        for content, category in (
            (b"content 4", samples.CATEGORY_C), (b"same", samples.CATEGORY_C), (b"content 9", samples.CATEGORY_C),
            (b"content 9", samples.CATEGORY_A), (b"alike", exhibits.IGNORABLE),
        ):  # fmt: skip
            case.decide(samples.digests(content).sha256, Decision("DC 9", WHEN, category, "seen"))
    with ReviewDesk(folder) as desk:
        (item,) = [one for one in desk.page(ItemFilter("near"), None, 100) if one.path == "/pictures/38.jpg"]
        desk.decide([item.id], samples.CATEGORY_A, "DC 9")
        desk.undo("DC 9")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = make_mixed_case(tmp_path_factory.mktemp("recount") / "case", further=list(further_files()))
    grade(folder)
    return folder


@pytest.fixture(scope="module")
def out(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("out")
    with open_case(folder) as view:
        write_reports(view, out, [ALL])
    return out


def figures(files: Iterable[Counted]) -> tuple[int, int]:
    """Files, and different contents."""
    some = list(files)
    return len(some), len({one.content for one in some})


def grouped(files: Iterable[Counted], key: Callable[[Counted], Any]) -> dict[Any, tuple[int, int]]:
    groups = defaultdict(list)
    for one in files:
        groups[key(one)].append(one)
    return {name: figures(some) for name, some in groups.items()}


# ------------------------------------------------------------ what the case holds, the plain way


class Stored:
    """The rows of a case, and what is said of each file: by its examiner, else its exact match, else its look."""

    def __init__(self, folder: Path) -> None:
        self.sources = {row["id"]: row for row in stored_rows(folder, "source")}
        self.entries = {row["id"]: row for row in stored_rows(folder, "entry")}
        self.hashsets = {row["id"]: row for row in stored_rows(folder, "hashset")}
        self.matches = stored_rows(folder, "file_match")
        self.problems = stored_rows(folder, "entry_problem")
        self.counted = {one.entry: one for one in counted_files(folder)}
        self.grades = last_grades(folder)

    def exhibit(self, number: int) -> str:
        return str(self.sources[number // NUMBERS]["exhibit"])

    def by(self, number: int) -> str:
        """Who says most of a file."""
        if self.entries[number]["sha256"] in self.grades:
            return "examiner"
        one = self.counted.get(number)
        return "" if one is None else "exact" if one.exact else "near"

    def category(self, number: int) -> int:
        """The number under which a file goes out: of a grade or an exact match, and of the file's region alone."""
        of = self.grades.get(self.entries[number]["sha256"])
        one = self.counted.get(number)
        code, scheme = (of["code"], of["scheme"]) if of else (one.code, one.scheme) if one and one.exact else ("", "")
        return int(code) if scheme == "uk" else -1

    def words(self, number: int) -> str:
        """The grade of a file in words."""
        of = self.grades.get(self.entries[number]["sha256"])
        if of:
            return f"graded {self.named(of['label'], of['scheme'])} by {of['examiner']}, 2026-11-29T02:30:00Z; seen"
        one = self.counted[number]
        if one.exact:
            return self.named(one.label, one.scheme)
        tier = " (tier: lead)" if one.tier == "lead" else ""
        return f"near match, not confirmed{tier}; listed item: {self.named(one.label, one.scheme)}"

    def named(self, label: str, scheme: str) -> str:
        return f"{label} [{scheme}{'' if scheme in CONFIRMED else ', SCHEME NOT CONFIRMED'}]"

    def outer(self, number: int) -> str:
        """The state of the file of the walk that a file is, or lies in."""
        return str(self.entries[number - number % PARTS]["state"])

    def codes(self, number: int) -> set[str]:
        return {row["code"] for row in self.problems if row["entry_id"] == number}

    def gone(self, number: int) -> bool:
        """Whether a file is deleted for other programs."""
        if self.codes(number) & {"inside-unlisted", "inside-freed"} and self.entries[number]["state"] == "embedded":
            return True
        state = self.outer(number)
        in_use = IN_USE_CODE in self.codes(number - number % PARTS)
        return state in ("deleted", "carved", "slack") or (state == "orphan" and not in_use)

    def listed(self) -> list[int]:
        return [number for number in sorted(self.entries) if self.by(number)]

    def new(self) -> list[int]:
        """Pictures and films that no examiner and no exact match of any set knows."""
        known = {row["entry_id"] for row in self.matches if row["match_kind"] == "exact" and not row["contradicted"]}
        return [
            number for number, row in sorted(self.entries.items())
            if row["kind"] != "other" and row["md5"] and number not in known and self.by(number) != "examiner"
        ]  # fmt: skip


# ------------------------------------------------------------ report.html


class Tables(HTMLParser):
    """The cells of each table of a page that has an id, row by row, without the header."""

    def __init__(self) -> None:
        super().__init__()
        self.found: dict[str, list[list[str]]] = {}
        self._table, self._in_body, self._open = "", False, False

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag == "table":
            self._table = dict(attrs).get("id") or ""
        elif tag in ("tbody", "thead"):
            self._in_body = tag == "tbody" and bool(self._table)
        elif tag == "tr" and self._in_body:
            self.found.setdefault(self._table, []).append([])
        self._open = self._in_body and (tag in ("td", "th") or self._open)
        if self._open and tag in ("td", "th"):
            self.found[self._table][-1].append("")

    def handle_endtag(self, tag: str) -> None:
        self._open = self._open and tag not in ("td", "th")
        if tag == "table":
            self._in_body = False

    def handle_data(self, data: str) -> None:
        if self._open:
            self.found[self._table][-1][-1] += data


def page_tables(out: Path) -> dict[str, list[list[str]]]:
    tables = Tables()
    tables.feed((out / "report.html").read_text(encoding="utf-8"))
    return tables.found


def cells_of(files: Iterable[Counted]) -> list[str]:
    """The figures of a line of a count table: files and contents, by place."""
    some = list(files)
    pairs = [figures(one for one in some if place in (one.place, "all")) for place in PLACES]
    return [f"{figure:,}" for pair in pairs for figure in pair]


def title(label: str, scheme: str) -> str:
    return label if scheme in label else f"{label} scheme {scheme}"


def held_to_page(out: Path, stored: Stored) -> None:
    tables, files = page_tables(out), list(stored.counted.values())
    tiers: Mapping[str, Callable[[Counted], bool]] = {
        "counts-exact": lambda one: one.exact,
        "counts-near": lambda one: not one.exact and one.tier != "lead",
        "counts-leads": lambda one: not one.exact and one.tier == "lead",
    }
    for name, wanted in tiers.items():
        some = [one for one in files if wanted(one)]
        *lines, total = tables[name]
        expected = {
            (title(one.label, one.scheme), KINDS[one.kind]): cells_of(
                other for other in some if (other.label, other.scheme, other.kind) == (one.label, one.scheme, one.kind)
            )
            for one in some
        }
        assert {(line[0], line[1]): line[2:] for line in lines} == expected, name
        assert len(lines) == len(expected) > 0, name
        assert total == ["All categories", "all kinds", *cells_of(some)], name
    exact = [one for one in files if one.exact]
    glance = {line[0]: line[1:] for line in tables["at-a-glance"]}
    names = {title(one.label, one.scheme): (one.label, one.scheme) for one in exact}
    assert set(glance) == {*names, "All categories"}
    for name, cells in glance.items():
        some = [one for one in exact if name == "All categories" or (one.label, one.scheme) == names[name]]
        kinds = [len([one for one in some if one.kind == kind]) for kind in KINDS]
        places = [len([one for one in some if one.place == place]) for place in PLACES[:-1]]
        assert cells == [f"{figure:,}" for figure in (*figures(some), *kinds, *places)], name
    assert {line[0]: line[1:] for line in tables["counts-exhibits"]} == {
        exhibit: [
            str(figure)
            for exact in (True, False)
            for figure in figures(one for one in files if one.exhibit == exhibit and one.exact is exact)
        ]
        for exhibit in {str(row["exhibit"]) for row in stored.sources.values()}
    }
    assert {(line[0], line[1]): list(map(int, line[2:])) for line in tables["graded"]} == graded_lines(stored)


def graded_lines(stored: Stored) -> dict[tuple[str, str], list[int]]:
    """By graded category: files, those identical to a listed item, look-alikes, those not listed."""
    found: dict[tuple[str, str], list[int]] = {}
    for number, row in stored.entries.items():
        if row["sha256"] in stored.grades:
            of, one = stored.grades[row["sha256"]], stored.counted.get(number)
            line = found.setdefault((of["label"], of["scheme"]), [0, 0, 0, 0])
            line[0] += 1
            line[3 if one is None else 1 if one.exact else 2] += 1
    return found


# ------------------------------------------------------------ the lists and summary.json


def held_to_summary(out: Path, stored: Stored) -> None:
    told, files = json.loads((out / "summary.json").read_bytes()), list(stored.counted.values())

    def of(one: Counted) -> tuple[str, str, str, str]:
        return one.code, one.label, one.scheme, one.kind

    words = ("category_code", "category_label", "scheme", "kind")
    counts = {
        (*(row[word] for word in (*words, "state", "match_kind")),): (row["files"], row["unique"])
        for row in told["counts"]
    }
    assert counts == grouped(files, lambda one: (*of(one), one.state, one.match_kind))
    assert len(counts) == len(told["counts"])
    by_place = {
        (*(row[word] for word in (*words, "place", "match_kind")), row["tier"] or ""): (row["files"], row["unique"])
        for row in told["counts_by_place"]
    }
    assert by_place == {
        **grouped(files, lambda one: (*of(one), one.place, one.match_kind, one.tier)),
        **grouped(files, lambda one: (*of(one), "all", one.match_kind, one.tier)),
    }
    walked = [number for number in stored.entries if not number % PARTS]
    assert told["walked"] == told["examined"] == told["stored"] == len(stored.entries) > len(walked)
    assert tuple(told["md5_alone"].values()) == figures(one for one in files if one.md5_alone)
    good = {row["id"] for row in stored.hashsets.values() if row["role"] == "known-good"}
    assert told["known_good"] == len({row["entry_id"] for row in stored.matches if row["hashset_id"] in good})
    graded: Counter[tuple[str, str]] = Counter()
    for row in told["graded"]["counts"]:
        graded[row["category_label"], row["asserted"]] += row["files"]
    expected = Counter(
        (stored.grades[row["sha256"]]["label"], stored.counted[number].match_kind if number in stored.counted else "")
        for number, row in stored.entries.items()
        if row["sha256"] in stored.grades
    )
    assert graded == expected
    media = [row for row in stored.entries.values() if row["kind"] != "other" and row["sha256"]]
    assert told["decoding"]["media_files"] == len(media)
    assert told["decoding"]["media_contents"] == len({row["sha256"] for row in media})


def table_rows(path: Path) -> list[dict[str, str]]:
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def held_to_lists(out: Path, stored: Stored) -> None:
    files = table_rows(out / "files.csv")
    for word in ("state", "kind"):
        assert Counter(row[word] for row in files) == Counter(row[word] for row in stored.entries.values())
    notable = {number for number, row in stored.hashsets.items() if row["role"] == "notable"}
    met = Counter(
        (row["match_kind"], row["distance"])
        for row in stored.matches
        if row["hashset_id"] in notable and not row["contradicted"]
    )
    rows = table_rows(out / "matches.csv")
    assert Counter((row["match_kind"], int(row["distance"])) for row in rows) == met
    assert len([row for row in rows if row["decision"]]) == sum(
        row["hashset_id"] in notable
        and not row["contradicted"]
        and stored.entries[row["entry_id"]]["sha256"] in stored.grades
        for row in stored.matches
    )


# ------------------------------------------------------------ formats for other programs


def held_to_vics(out: Path, stored: Stored) -> None:
    for file, chosen in (("vics.json", stored.listed()), ("vics-new.json", stored.new())):
        told = {case["CaseNumber"]: case for case in json.loads((out / file).read_bytes())["value"]}
        assert set(told) == {row["exhibit"] for row in stored.sources.values()}
        for exhibit, case in told.items():
            contents = defaultdict(list)
            for number in chosen:
                if stored.exhibit(number) == exhibit:
                    contents[stored.entries[number]["sha256"] or number].append(number)
            firsts = [some[0] for some in contents.values()]
            assert case["TotalMediaFiles"] == len(case["Media"]) == len(contents)
            flags = Counter(stored.by(number) for number in firsts)
            assert case["TotalPrecategorized"] == flags["exact"]
            for word, by in (("IsPrecategorized", "exact"), ("IsSuspected", "near")):
                assert sum(one.get(word) == "true" for one in case["Media"]) == flags[by]
            categories = Counter(one.get("Category", -1) for one in case["Media"])
            assert categories == Counter(map(stored.category, firsts)), (file, exhibit)
            places = [place for one in case["Media"] for place in one["MediaFiles"]]
            numbers = [number for some in contents.values() for number in some]
            assert len(places) == len(numbers)
            assert sum("Deleted" in place for place in places) == sum(map(stored.gone, numbers))
            free = [number for number in numbers if stored.outer(number) in ("carved", "slack")]
            assert sum("Unallocated" in place for place in places) == len(free)


def held_to_c4(out: Path, stored: Stored) -> None:
    for file, kind in (("c4p.xml", "image"), ("c4m.xml", "video")):
        records = list(ET.fromstring((out / file).read_bytes()))
        numbers = [number for number, row in stored.entries.items() if row["kind"] == kind and row["md5"]]
        assert len(records) == len(numbers)
        expected = Counter(max(stored.category(number), 0) for number in numbers)
        assert Counter(int(one.findtext("category") or "") for one in records) == expected
        # Behind the grade stands who lists the content otherwise, or the examiner's note.
        said = Counter((one.findtext("notes") or "").partition("; ")[0] for one in records)
        words = Counter(stored.words(number).partition("; ")[0] if stored.by(number) else "" for number in numbers)
        assert said == words


def held_to_case_uco(out: Path, stored: Stored) -> None:
    nodes = json.loads((out / "case-uco.jsonld").read_bytes())["@graph"]
    results = [node for node in nodes if node["@type"] == "uco-analysis:AnalyticResult"]
    listed = stored.listed()
    assert Counter(node["uco-core:tag"][0] for node in results) == Counter(map(stored.by, listed))
    said = Counter(
        part["uco-analysis:class"]
        for node in results
        for facet in node["uco-core:hasFacet"]
        for part in facet["uco-analysis:classification"]
    )
    assert said == Counter(map(stored.words, listed))
    states = Counter(tag for node in nodes if "uco-core:tag" in node for tag in node["uco-core:tag"] if ":" in tag)
    assert states == Counter(f"state: {stored.entries[number]['state']}" for number in listed)


def held_to_dfxml(out: Path, stored: Stored) -> None:
    images = list(ET.parse(out / "dfxml.xml").getroot().iter(f"{DFXML}diskimageobject"))
    for image, source in zip(images, stored.sources, strict=True):
        numbers = [number for number in stored.entries if number // NUMBERS == source]
        files = list(image.iter(f"{DFXML}fileobject"))
        assert len(files) == len(numbers)
        states = Counter(stored.entries[number]["state"] for number in numbers)
        assert Counter(one.findtext(f"{CT}state") for one in files) == states
        alive = [one for one in files if "1" in (one.findtext(f"{DFXML}alloc"), one.findtext(f"{DFXML}alloc_inode"))]
        assert len(alive) == len(numbers) - sum(map(stored.gone, numbers))
        codes = Counter(code for number in numbers for code in stored.codes(number))
        assert Counter(problem.text for one in files for problem in one.iter(f"{CT}problem")) == codes


def held_to_jsonl(out: Path, stored: Stored) -> None:
    lines = [json.loads(line) for line in (out / "files.jsonl").read_text("ascii").splitlines()]
    for word in ("state", "kind"):
        assert Counter(one[word] for one in lines) == Counter(row[word] for row in stored.entries.values())
    assert sum(one["is_deleted"] for one in lines) == sum(map(stored.gone, stored.entries))
    told = Counter(
        (match["role"], match["hashset"], match["match_kind"], match["distance"], match["contradicted"])
        for one in lines
        for match in one["matches"]
    )
    sets = stored.hashsets
    assert told == Counter(
        (sets[row["hashset_id"]]["role"], sets[row["hashset_id"]]["name"], row["match_kind"], row["distance"],
         bool(row["contradicted"]))
        for row in stored.matches
    )  # fmt: skip
    decided = Counter(one["decision"]["category_label"] for one in lines if one["decision"])
    assert decided == {label: line[0] for (label, _), line in graded_lines(stored).items()}
    # By what each line says alone, as a program that reads nothing else would count.
    exact = Counter(
        one["kind"] for one in lines
        if any(m["match_kind"] == "exact" and m["role"] == "notable" and not m["contradicted"] for m in one["matches"])
    )  # fmt: skip
    assert exact == Counter(one.kind for one in stored.counted.values() if one.exact)


HELD: dict[str, Callable[[Path, Stored], None]] = {
    "report.html": held_to_page,
    "summary.json": held_to_summary,
    "files.csv, matches.csv": held_to_lists,
    "vics.json, vics-new.json": held_to_vics,
    "c4p.xml, c4m.xml": held_to_c4,
    "case-uco.jsonld": held_to_case_uco,
    "dfxml.xml": held_to_dfxml,
    "files.jsonl": held_to_jsonl,
}


@pytest.mark.parametrize("formats", HELD)
def test_the_counts_of_every_format_are_a_naive_recount(out: Path, folder: Path, formats: str) -> None:
    HELD[formats](out, Stored(folder))


def test_no_format_is_left_out() -> None:
    """A new format that states counts belongs above; what is held elsewhere, or states none, is named here."""
    elsewhere = {
        "sfr-docx", "sfr-pdf", "schedule-docx", "schedule-pdf",  # tests/unit/report/test_documents.py
        "xlsx",  # test_workbook.py
        "shared",  # test_compare.py, test_page_facts.py
        "delta", "delta-figures",  # tests/unit/case/test_regrade.py
        "links",  # tests/unit/unit_memory
        "problems", "ledger", "metadata", "fragments",  # no category
    }  # fmt: skip
    files = {file for names in HELD for file in names.split(", ")}
    assert {name for name, one in FORMATS.items() if one.file not in files} == elsewhere
