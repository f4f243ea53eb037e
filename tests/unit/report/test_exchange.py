"""c4p.xml, c4m.xml, dfxml.xml, case-uco.jsonld and files.jsonl: read by others, complete, exact, the same twice."""

from __future__ import annotations

import base64
import csv
import json
import re
import sqlite3
import subprocess
import sys
import tracemalloc
import warnings
import xml.etree.ElementTree as ET
from collections import Counter
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import case_utils.case_validate
import pytest
import rdflib
import xmlschema
from hypothesis import given
from hypothesis import strategies as st
from support.exchange_case import HARD_NAMES, decide, hard_items, make_exchange_case, state_items
from support.exported_names import raw_of
from unit.case import samples

from caid_triage.case.view import open_case
from caid_triage.exact_names import exact_text
from caid_triage.model import Category, FileTimes, State
from caid_triage.report.c4_xml import filetime
from caid_triage.report.files_jsonl import OF_FILES_CSV
from caid_triage.report.write import ALL, FORMATS, write_reports
from caid_triage.report.xml_text import cdata, escaped, writable

OURS = ("vics", "vics-new", "c4p", "c4m", "case-uco", "dfxml", "jsonl")
DFXML = "{http://www.forensicswiki.org/wiki/Category:Digital_Forensics_XML}"
CT = "{urn:caid-triage:dfxml:1}"
SCHEMA = Path(__file__).parents[2] / "data" / "dfxml" / "dfxml.xsd"
C = Category("3", "Category C", "uk", 10)


def write(folder: Path, out: Path, *formats: str) -> dict[str, bytes]:
    with open_case(folder) as view:
        write_reports(view, out, formats)
    return {name: (out / FORMATS[name].file).read_bytes() for name in formats if name in FORMATS}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The case of all states and hard names; an examiner confirmed the look-alike."""
    folder = make_exchange_case(tmp_path_factory.mktemp("exchange") / "case")
    decide(folder, b"near", C, "seen ]]> & confirmed")
    return folder


@pytest.fixture(scope="module")
def out(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("out")
    write(folder, out, ALL)
    return out


@pytest.fixture(scope="module")
def rows(folder: Path) -> list[dict[str, Any]]:
    """The files of the case by a query of its own."""
    with closing(sqlite3.connect(folder / "case.db")) as base:
        base.row_factory = sqlite3.Row
        return [dict(row) for row in base.execute("SELECT * FROM entry ORDER BY id")]


# ------------------------------------------------------------ laws of all


def test_all_writes_every_format_and_a_scan_writes_none_of_these(folder: Path, out: Path, tmp_path: Path) -> None:
    assert {FORMATS[name].file for name in OURS} <= {path.name for path in out.iterdir()}
    with open_case(folder) as view:
        usual = {path.name for path in write_reports(view, tmp_path)}
    assert usual & {FORMATS[name].file for name in OURS} == {"vics.json"}


def test_the_same_files_give_the_same_bytes_from_another_folder_in_other_batches_and_again(tmp_path: Path) -> None:
    found = []
    for place, batch in (("a", 4), ("b/elsewhere", 7)):
        folder = make_exchange_case(tmp_path / place / "case", batch=batch)
        decide(folder, b"near", C)
        found += [write(folder, tmp_path / place / "out", *OURS), write(folder, tmp_path / place / "again", *OURS)]
    assert found[0] == found[1] == found[2] == found[3]


def test_none_names_a_place_on_this_machine(out: Path, folder: Path) -> None:
    for name in OURS:
        content = (out / FORMATS[name].file).read_bytes().replace(b"\0", b"")
        assert str(folder).encode() not in content
        assert b"/evidence/abc" not in content  # where the image lay


def test_memory_does_not_grow_with_the_case(tmp_path: Path) -> None:
    peaks: dict[str, list[int]] = {name: [] for name in OURS}
    for many in (50, 550):
        items = [(samples.record(n, b"%d" % (n % 40), size=1), (samples.match(),) * (n % 2)) for n in range(many)]
        folder = make_exchange_case(tmp_path / str(many), items, batch=400)
        write(folder, tmp_path / "warm", *OURS)
        for name in OURS:
            with open_case(folder) as view:
                tracemalloc.start()
                write_reports(view, tmp_path / "out", [name])
                peaks[name].append(tracemalloc.get_traced_memory()[1])
                tracemalloc.stop()
    # 500 more rows that were kept would be a megabyte more.
    assert all(more < less + 200_000 for less, more in peaks.values()), peaks


def test_writing_imports_no_heavy_library(folder: Path, tmp_path: Path) -> None:
    code = (
        "import sys; from pathlib import Path; from caid_triage.case.view import open_case\n"
        "from caid_triage.report.write import write_reports\n"
        f"with open_case(sys.argv[1]) as view: write_reports(view, Path(sys.argv[2]), {OURS!r})\n"
        "assert not {'rdflib', 'lxml', 'xmlschema', 'numpy', 'docx', 'reportlab'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code, str(folder), str(tmp_path / "out")], check=True, timeout=120)


# ------------------------------------------------------------ files.jsonl


def objects(out: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (out / "files.jsonl").read_bytes().decode("ascii").split("\n")[:-1]]


def test_every_file_is_a_line_with_all_columns_of_files_csv(out: Path, rows: list[dict[str, Any]]) -> None:
    found = objects(out)
    assert len(found) == len(rows) == len((out / "files.jsonl").read_text("ascii").splitlines())
    with (out / "files.csv").open(newline="", encoding="utf-8") as file:
        listed = list(csv.DictReader(file))
    assert set(listed[0]) == set(OF_FILES_CSV) <= set(found[0])
    for one, cells in zip(found, listed, strict=True):
        for name in ("exhibit", "state", "md5", "sha256", "pdq", "created", "parent_path", "container_state"):
            assert (one[name] or "") == cells[name].removeprefix("'"), name
        assert one["problems"] == list(filter(None, cells["problems"].split(";")))


def test_names_come_back_byte_for_byte(out: Path, rows: list[dict[str, Any]]) -> None:
    found = objects(out)
    raw = [
        base64.b64decode(one["exact_path_base64"]) if one["exact_path"] is None else one["exact_path"].encode("utf-8")
        for one in found
    ]
    assert raw == [row["raw_path"] for row in rows]
    assert set(HARD_NAMES) <= set(raw)


def test_every_match_and_the_decision_stand_with_their_file(out: Path, folder: Path) -> None:
    found = {one["id"]: one for one in objects(out)}
    with closing(sqlite3.connect(folder / "case.db")) as base:
        expected = Counter(dict(base.execute("SELECT match_kind, count(*) FROM file_match GROUP BY 1").fetchall()))
    assert Counter(match["match_kind"] for one in found.values() for match in one["matches"]) == expected
    near = found["1-8-0"]
    assert [(match["distance"], match["tier"]) for match in near["matches"]] == [(8, "strong"), (40, "lead")]
    assert all(
        (match["scheme"], match["hashset"], match["role"]) == ("uk", "unit-set", "notable") for match in near["matches"]
    )
    assert near["decision"] == {
        "category_code": "3", "category_label": "Category C", "scheme": "uk", "examiner": "DC 9",
        "decided": "2026-11-29T02:30:00Z", "note": "seen ]]> & confirmed",
    }  # fmt: skip
    assert (found["1-6-1"]["lies_in"], found["1-6-2"]["lies_in"], found["1-6-0"]["lies_in"]) == ("1-6-2", "1-6-0", None)
    assert {key for key, one in found.items() if one["is_deleted"]} == {
        "1-1-0", "1-2-0", "1-4-0", "1-5-0", "1-6-3", "1-7-0", "1-7-1",
    }  # fmt: skip


# ------------------------------------------------------------ C4P and C4M


def records(path: Path) -> Iterator[dict[str, str]]:
    content = path.read_bytes()
    assert content.startswith(b"\xff\xfe")
    text = content[2:].decode("utf-16-le")
    lines = text.split("\r\n")
    assert lines[-1] == ""
    assert lines[1].startswith("\t<ReportIndex ")
    # expat knows that the text is UTF-16 by its mark.
    root = ET.fromstring(content)
    assert (root.tag, root.get("version")) == ("ReportIndex", "2.0")
    for record in root:
        assert record.tag == ("Image" if path.name == "c4p.xml" else "Movie")
        yield {field.tag: field.text or "" for field in record}


def test_pictures_and_films_are_records_with_the_fields_that_are_read(out: Path, rows: list[dict[str, Any]]) -> None:
    pictures, films = list(records(out / "c4p.xml")), list(records(out / "c4m.xml"))
    for found, kind in ((pictures, "image"), (films, "video")):
        expected = [row["md5"].hex().upper() for row in rows if row["kind"] == kind and row["md5"]]
        assert [one["hash"] for one in found] == expected
        assert [one["id"] for one in found] == [str(number) for number in range(1, len(expected) + 1)]
    assert list(pictures[0]) == [
        "path", "picture", "category", "id", "fileoffset", "fullpath", "created", "accessed", "written", "deleted",
        "hash", "encaseHash", "myDescription", "physicalLocation", "myUnique", "tagged", "subCat", "notes", "fileSize",
        "bitDepth", "aspectRatio",
    ]  # fmt: skip
    assert list(films[0]) == [word.replace("picture", "movie") for word in list(pictures[0])[:-2]]


def test_records_say_where_when_and_what(out: Path) -> None:
    found = {one["fullpath"]: one for one in records(out / "c4p.xml")}
    first, near, deep = (
        found[f"disk.E01/p1{path}"] for path in ("/pictures/0.jpg", "/pictures/8.jpg", "/gone.zip//d.jpg")
    )
    assert (first["category"], first["notes"], first["fileSize"]) == ("1", "Category A [uk]", "10")
    assert datetime(1601, 1, 1, tzinfo=UTC) + timedelta(microseconds=int(first["created"]) // 10) == samples.WHEN
    assert (first["accessed"], first["deleted"]) == ("0", "0")
    assert (near["category"], near["physicalLocation"]) == ("3", str(8 * 4096 // 512))
    assert near["notes"] == "graded Category C [uk] by DC 9, 2026-11-29T02:30:00Z; seen ]]> & confirmed"
    assert deep["myDescription"] == "ABC/1: embedded in a file that is deleted"


def test_a_look_alike_that_nobody_confirmed_has_no_category(tmp_path: Path) -> None:
    write(make_exchange_case(tmp_path / "case", state_items()), tmp_path, "c4p")
    (near,) = [one for one in records(tmp_path / "c4p.xml") if one["fullpath"].endswith("/8.jpg")]
    assert near["category"] == "0"
    assert near["notes"] == "near match, not confirmed; listed item: Category A [uk]"


def test_names_in_xml_are_exact_or_visibly_escaped(out: Path) -> None:
    found = {one["fullpath"] for one in records(out / "c4p.xml")}
    for raw in HARD_NAMES:
        name = writable(exact_text(raw)) if is_odd(raw) else raw.decode()
        assert f"disk.E01/p1{name}" in found


def is_odd(raw: bytes) -> bool:
    """Whether XML 1.0 cannot hold the name, by the parser and not by our own table, or it looks like an escape."""
    if re.search(rb"\\[xu][0-9a-f]", raw):
        return True
    try:
        ET.fromstring(f"<a>{raw.decode().replace('&', '').replace('<', '')}</a>".encode())
    except (UnicodeDecodeError, ET.ParseError):
        return True
    return False


@given(st.text(st.characters(exclude_categories=["Cs"])))
def test_any_text_comes_back_from_xml(text: str) -> None:
    def read(xml: str) -> str:
        return ET.fromstring(f"<a>{xml}</a>".encode()).text or ""

    assert read(escaped(text)) == writable(text)
    assert ET.fromstring(f'<a b="{escaped(text)}"/>'.encode()).get("b") == writable(text)
    assert read(cdata(text)) == writable(text).replace("\r", "\\x0d")


@given(st.integers(0, 250_000_000_000_000_000))
def test_a_filetime_counts_tenths_of_microseconds_since_1601(microseconds: int) -> None:
    assert filetime(datetime(1601, 1, 1, tzinfo=UTC) + timedelta(microseconds=microseconds)) == str(microseconds * 10)


def test_a_time_before_1601_is_not_known() -> None:
    assert filetime(datetime(1600, 1, 1, tzinfo=UTC)) == filetime(None) == "0"


# ------------------------------------------------------------ DFXML


@pytest.fixture(scope="module")
def dfxml(out: Path) -> ET.Element:
    return ET.parse(out / "dfxml.xml").getroot()


def test_dfxml_is_valid_by_the_working_groups_schema(out: Path, tmp_path: Path) -> None:
    schema = xmlschema.XMLSchema(SCHEMA)
    schema.validate(out / "dfxml.xml")
    # The schema is not one that takes anything.
    broken = (out / "dfxml.xml").read_text("utf-8").replace("<alloc>1</alloc>", "<alloc>yes</alloc>", 1)
    (tmp_path / "broken.xml").write_text(broken, "utf-8")
    assert not schema.is_valid(tmp_path / "broken.xml")


def test_dfxml_has_every_file_with_its_digests(dfxml: ET.Element, rows: list[dict[str, Any]]) -> None:
    files = list(dfxml.iter(f"{DFXML}fileobject"))
    assert len(files) == len(rows)
    for file, row in zip(files, rows, strict=True):
        digests = {one.get("type"): one.text for one in file.iter(f"{DFXML}hashdigest")}
        assert digests == {name: row[name].hex() for name in ("md5", "sha1", "sha256")}
        assert file.findtext(f"{DFXML}filesize") == str(row["size"])
        assert file.findtext(f"{DFXML}inode") == str(row["inode"])
        assert file.findtext(f"{DFXML}partition") == "1"
        assert file.findtext(f"{CT}state") == row["state"]
        runs = [run.get("img_offset") for run in file.iter(f"{DFXML}byte_run")]
        assert [one.get(f"{CT}extent") for one in file.iter(f"{DFXML}byte_runs")] == ["first byte only"] * len(runs)
        assert all(run.get("len") is None for run in file.iter(f"{DFXML}byte_run"))
        assert runs == ([] if row["physical_offset"] is None else [str(row["physical_offset"])])


def test_dfxml_tells_what_is_in_use(dfxml: ET.Element) -> None:
    words = ("alloc", "alloc_inode", "alloc_name", "orphan")
    said = {
        file.findtext(f"{DFXML}id"): [file.findtext(f"{DFXML}{word}") for word in words]
        for file in dfxml.iter(f"{DFXML}fileobject")
    }
    assert said["1-0-0"] == ["1", None, None, None]
    assert said["1-1-0"] == ["0", None, None, None]
    assert said["1-2-0"] == ["0", None, None, "1"]
    assert said["1-3-0"] == [None, "1", "0", "1"]
    assert said["1-7-1"] == ["0", None, None, None]


def test_dfxml_names_come_back_byte_for_byte(dfxml: ET.Element, rows: list[dict[str, Any]]) -> None:
    found = []
    for file in dfxml.iter(f"{DFXML}filename"):
        stored = file.get(f"{CT}base64")
        found.append(("/" + (file.text or "")).encode() if stored is None else base64.b64decode(stored))
    assert found == [row["raw_path"] for row in rows]


def test_dfxml_gives_no_zone_to_a_time_that_has_none(tmp_path: Path) -> None:
    local = FileTimes(modified=samples.WHEN, zone_note="local time, zone unknown")
    utc = FileTimes(modified=samples.WHEN)
    items = [(samples.record(0, times=local), ()), (samples.record(1, times=utc), ())]
    root = ET.fromstring(write(make_exchange_case(tmp_path / "case", items), tmp_path, "dfxml")["dfxml"])
    assert [one.text for one in root.iter(f"{DFXML}mtime")] == ["2020-01-02T03:04:05", "2020-01-02T03:04:05Z"]


# ------------------------------------------------------------ CASE/UCO


@pytest.fixture(scope="module")
def graph(out: Path) -> rdflib.Graph:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # rdflib's own
        return rdflib.Graph().parse(out / "case-uco.jsonld", format="json-ld")


def test_case_uco_conforms_to_the_ontology(tmp_path: Path) -> None:
    """Once (it takes its time), with one wrong object put in: the shapes complain of that one and of nothing else."""
    folder = make_exchange_case(tmp_path / "case", [*state_items()[6:10], *state_items()[12:13], *hard_items(20)[4:7]])
    decide(folder, b"near", C)
    document = json.loads(write(folder, tmp_path, "case-uco")["case-uco"])
    wrong = {"@id": "kb:wrong-6a3b5d0e-1f0c-5a51-9d8e-6f1f1a2b3c4d", "@type": "uco-types:Hash"}
    document["@graph"].append(wrong)
    (tmp_path / "with.jsonld").write_text(json.dumps(document), "utf-8")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        result = case_utils.case_validate.validate(str(tmp_path / "with.jsonld"))
    assert isinstance(result.graph, rdflib.Graph)
    node = rdflib.URIRef("http://www.w3.org/ns/shacl#focusNode")
    about = {str(value) for value in result.graph.objects(predicate=node)}
    assert about == {"http://example.org/kb/" + wrong["@id"].removeprefix("kb:")}, result.text
    assert not result.undefined_concepts


def asked(graph: rdflib.Graph, query: str) -> list[tuple[Any, ...]]:
    prefixes = {
        "core": "https://ontology.unifiedcyberontology.org/uco/core/",
        "obs": "https://ontology.unifiedcyberontology.org/uco/observable/",
        "analysis": "https://ontology.unifiedcyberontology.org/uco/analysis/",
        "types": "https://ontology.unifiedcyberontology.org/uco/types/",
        "action": "https://ontology.unifiedcyberontology.org/uco/action/",
    }
    head = "".join(f"PREFIX {name}: <{address}>\n" for name, address in prefixes.items())
    return sorted(tuple(str(value) for value in row) for row in graph.query(head + query))  # type: ignore[union-attr]


def test_case_uco_has_the_listed_files_with_what_was_said_of_them(graph: rdflib.Graph, folder: Path) -> None:
    said = asked(graph, """SELECT ?md5 ?path ?class ?by WHERE {
        ?result analysis:resultContent ?file; analysis:originatingAnalysis ?analysis;
            core:hasFacet/analysis:classification/analysis:class ?class .
        ?analysis core:name ?by .
        ?file core:hasFacet/obs:filePath ?path; core:hasFacet/obs:hash ?hash .
        ?hash types:hashMethod "MD5"; types:hashValue ?md5 }""")  # fmt: skip
    with closing(sqlite3.connect(folder / "case.db")) as base:
        listed = base.execute(
            "SELECT DISTINCT hex(e.md5) FROM entry e JOIN file_match m ON m.entry_id = e.id"
        ).fetchall()
        files = base.execute("SELECT count(DISTINCT entry_id) FROM file_match").fetchone()[0]
    assert len(said) == files
    assert {row[0].upper() for row in said} == {md5 for (md5,) in listed}
    assert Counter(row[2] for row in said) == {
        "Category A [uk]": files - 1,
        "graded Category C [uk] by DC 9, 2026-11-29T02:30:00Z; seen ]]> & confirmed": 1,
    }
    assert Counter(row[3] for row in said)["grading by an examiner"] == 1
    assert sorted(row[1] for row in said if raw_of(row[1]) in HARD_NAMES) == sorted(map(exact_text, HARD_NAMES))
    assert {raw.decode() for raw in HARD_NAMES if not is_odd(raw)} <= {row[1] for row in said}


def test_case_uco_says_what_lies_in_what(graph: rdflib.Graph) -> None:
    found = asked(graph, """SELECT ?name ?within ?path WHERE {
        ?r core:kindOfRelationship "Contained_Within"; core:source ?a; core:target ?b; core:hasFacet/obs:path ?path .
        ?a core:hasFacet/obs:fileName ?name . ?b core:hasFacet/obs:fileName ?within }""")  # fmt: skip
    assert ("0.jpg", "disk.E01", "/pictures/0.jpg") in found
    assert ("deep.jpg", "b.zip", "//deep.jpg") in found
    assert ("c.jpg", "a.zip", "//sub/c.jpg") in found
    assert ("d.jpg", "gone.zip", "//d.jpg") in found


def test_identifiers_are_the_same_for_the_same_case_and_others_for_another(tmp_path: Path) -> None:
    found = []
    for place, content in (("a", b"x"), ("b", b"x")):
        folder = make_exchange_case(tmp_path / place, [(samples.record(0, content), (samples.match(),))])
        found.append(
            {node["@id"] for node in json.loads(write(folder, tmp_path / "out", "case-uco")["case-uco"])["@graph"]}
        )
    assert found[0] == found[1]
    assert len(found[0]) == 8


def test_a_case_without_a_match_is_a_valid_document_of_each_format(tmp_path: Path) -> None:
    items = [(samples.record(0, state=State.DELETED), ())]
    found = write(make_exchange_case(tmp_path / "case", items), tmp_path, *OURS)
    assert json.loads(found["vics"])["value"][0]["Media"] == []
    assert len(json.loads(found["case-uco"])["@graph"]) == 5
    assert len(ET.fromstring(found["c4m"])) == 0
    xmlschema.XMLSchema(SCHEMA).validate(tmp_path / "dfxml.xml")
