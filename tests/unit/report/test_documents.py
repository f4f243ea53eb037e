"""The documents for the case file: their figures, their names, their bytes, read by programs that are not ours."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from io import BytesIO
from pathlib import Path

import docx
import openpyxl
import pytest
from pypdf import PdfReader
from support.hostile_case import make_hostile_case
from support.recount import Counted, counted_files, pair
from unit.case import samples
from unit.report import exhibits
from unit.report.documents import docx_lines, docx_tables, make_mixed_case, pdf_text, squeezed, written

from caid_triage.case.audit import AuditHead
from caid_triage.case.store import open_case_for_writing
from caid_triage.case.view import CaseView, open_case
from caid_triage.model import Decision, MatchKind, Volume
from caid_triage.report.blocks import Bullets, Document, Facts, Grid, Mood, Paragraph, texts
from caid_triage.report.court import court_facts, scheme_standing
from caid_triage.report.pdf_file import drawable
from caid_triage.report.schedule import schedule
from caid_triage.report.sfr import PLACE_TITLES, sfr
from caid_triage.report.telling import words_of
from caid_triage.report.text import shown
from caid_triage.report.write import FORMATS

DOCUMENTS = ("sfr-docx", "sfr-pdf", "schedule-docx", "schedule-pdf")
HOSTILE = (
    "\u202egpj.exe \x00\x1b[2J\n\r\t<b>&amp;</b> \udcff \ufffe\uffff \u4e2d\u6587 \U0001f4f7\U000e0041",
    "{{content}} {{reference}} <para><font size=99>x</font></para> e\u0301\u0301\u0301\u0301\u0301\u0301 &#0;]]>",
    "\u05e9\u05dc\u05d5\u05dd /\u0645\u0644\u0641.jpg",
)
LONG = ("\u202e" * 400, "w" * 4000 + " a b" * 900)


@pytest.fixture(scope="module")
def case(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_mixed_case(tmp_path_factory.mktemp("documents") / "case")


@pytest.fixture
def view(case: Path) -> Iterator[CaseView]:
    with open_case(case) as opened:
        yield opened


def grid(document: Document, caption: str) -> Grid:
    return next(block for block in document.blocks if isinstance(block, Grid) and block.caption.startswith(caption))


def of(files: list[Counted], **wanted: object) -> list[Counted]:
    return [file for file in files if all(getattr(file, name) == value for name, value in wanted.items())]


def test_the_counts_of_the_summary_are_a_naive_recount_of_the_database(case: Path, view: CaseView) -> None:
    files = counted_files(case)
    document, facts = sfr(court_facts(view)), court_facts(view)
    for exact, caption in ((True, "Files identical"), (False, "Leads, in no count")):
        counted = of(files, exact=exact)
        expected = set()
        for label, scheme, kind in {(file.label, file.scheme, file.kind) for file in counted}:
            some = of(counted, label=label, scheme=scheme, kind=kind)
            cells = [pair(of(some, place=place)) for place in ("live", "inside", "deleted", "other")]
            word = {"image": "still", "video": "moving", "other": "other file"}[kind]
            expected.add((facts.category(label, scheme), word, *cells, pair(some)))
        places = [pair(of(counted, place=place)) for place in ("live", "inside", "deleted", "other")]
        rows = [tuple(row) for row in grid(document, caption).rows]
        assert set(rows[:-1]) == expected
        assert rows[-1] == ("All categories", "all kinds", *places, pair(counted))
        assert len(rows) == len(expected) + 1
    by_exhibit = [
        [exhibit, *(pair(of(files, exact=exact, exhibit=exhibit)) for exact in (True, False))]
        for exhibit in ("ABC/1", "ABC/2")
    ]
    assert [list(row) for row in grid(document, "By exhibit").rows] == by_exhibit
    assert {file.place for file in files} == {"live", "inside", "deleted", "other"}


def test_every_sentence_of_a_category_has_the_figures_of_a_recount(case: Path, view: CaseView) -> None:
    facts = court_facts(view)
    said = list(texts(sfr(facts)))
    files = of(counted_files(case), exact=True)
    for label, scheme in {(file.label, file.scheme) for file in files}:
        some = of(files, label=label, scheme=scheme)
        sentence = said[said.index(f"{facts.category(label, scheme)}: ") + 1]
        live, inside, deleted, other = (len(of(some, place=place)) for place in ("live", "inside", "deleted", "other"))
        assert sentence.startswith(f"{len(some)} file")
        said_of = {"accessible as live files": live, "inside live files": inside, "deleted": deleted}
        said_of |= {"recovered elsewhere": other, "not accessible without specialist software": deleted + other}
        for words, count in said_of.items():
            assert (f" {count} {words}" in sentence.replace("(", " ")) == bool(count)


def test_dates_are_the_first_and_last_of_a_recount(case: Path, view: CaseView) -> None:
    files = of(counted_files(case), exact=True)
    facts = court_facts(view)
    for one in (*facts.dates_by_category, *facts.dates_by_exhibit):
        some = [file for file in files if one.what in (file.exhibit, file.label) and one.scheme in ("", file.scheme)]
        assert one.files == len(some)
        assert one.undated == sum(file.times == (None, None, None) for file in some)
        for place, span in enumerate((one.created, one.modified, one.accessed)):
            moments = [file.times[place] for file in some if file.times[place] is not None]
            found = [None if moment is None else int(moment.timestamp() * 1_000_000) for moment in span]
            assert found == ([min(moments), max(moments)] if moments else [None, None])
    assert facts.undated == 4
    assert [one.what for one in facts.dates_by_category] == [line.label for line in facts.exact.categories]


def test_the_schedule_has_a_row_a_source_with_the_figures_of_a_recount(case: Path, view: CaseView) -> None:
    files = counted_files(case)
    facts = court_facts(view)
    rows = grid(schedule(facts), "Exhibits").rows
    assert [row[1] for row in rows] == [("ABC/1", "disk.E01"), ("ABC/1", "phone.raw"), ("ABC/2", "stick.raw")]
    kinds = {"image": "still", "video": "moving", "other": "other file"}
    for number, row in enumerate(rows, start=1):
        of_source = of(files, source=number)
        exact = of(of_source, exact=True)
        expected = {
            f"{facts.category(label, scheme)}, {kinds[kind]}: {pair(of(exact, label=label, scheme=scheme, kind=kind))}"
            for label, scheme, kind in {(file.label, file.scheme, file.kind) for file in exact}
        }
        leads = len(of_source) - len(exact)
        if leads:
            expected.add(f"not counted: {leads} files as leads")
        assert set(row[5]) == expected
    assert [row[4] for row in rows] == ["30 / 30", "3 / 3", "3 / 3"]
    assert rows[1][3] == ("SHA256 " + "12" * 32, "verified: x")
    assert rows[2][3] == ("none stored",)
    assert any("encrypted" in line for line in rows[0][6])
    assert rows[2][6] == ("1 file: " + shown(facts.source_problems[-1].code),) or len(rows[2][6]) == 1


def test_what_each_hash_set_lists_is_said_of_that_set_alone(case: Path, view: CaseView) -> None:
    rows = grid(sfr(court_facts(view)), "What the files were compared with").rows
    files = of(counted_files(case), exact=True)
    # Files that both list: one, whose category counts under the graver set.
    both = [file for file in files if "cat.jpg" in file.path]
    second = of(files, scheme="us")
    first = [file for file in files if file.scheme == "uk"] + both
    assert [row[3] for row in rows] == [pair(first), pair(second), "not in the counts"]
    assert len(both) == 1
    assert both[0].scheme == "us"
    assert rows[0][4][1] == "confirmed by A. Unit, 2026-01-02"
    assert rows[1][4][1] == "NOT CONFIRMED"
    assert rows[1][0][1] == "version g7"


def test_a_category_is_never_named_without_its_scheme_and_whether_somebody_confirmed_it(view: CaseView) -> None:
    facts = court_facts(view)
    labels = {line.label for line in (*facts.exact.categories, *facts.leads.categories)}
    for document in (sfr(facts), schedule(facts)):
        named = [text for text in texts(document) if any(label in text for label in labels)]
        assert named
        assert all("(scheme uk, confirmed)" in text or "(scheme us, NOT CONFIRMED)" in text for text in named)
    assert "NOT CONFIRMED" in texts(sfr(facts))


def test_a_scheme_is_confirmed_only_when_every_set_that_has_it_is() -> None:
    one, other = exhibits.CONFIRMED, {**samples.NOTABLE, "name": "other"}
    standing = scheme_standing([one, other, samples.KNOWN_GOOD])
    assert standing == {"uk": "confirmed by A. Unit, 2026-01-02; NOT CONFIRMED in other"}


def test_a_case_of_which_nothing_is_confirmed_says_so_at_every_category(tmp_path: Path) -> None:
    exhibits.make_case(tmp_path / "case", exhibits.busy_items())
    with open_case(tmp_path / "case") as view:
        facts = court_facts(view)
        for line in facts.exact.categories:
            assert facts.category(line.label, line.scheme).endswith(", NOT CONFIRMED)")
    text = pdf_text(written(tmp_path / "case", tmp_path / "out", "sfr-pdf"))
    assert "CategoryA(schemeuk,NOTCONFIRMED)" in text
    assert "confirmed)" not in text


def test_indicative_names_have_words_and_come_once_a_content(view: CaseView) -> None:
    names = [row.path.rpartition("/")[2] for row in court_facts(view).names]
    assert "lake at sunset.jpg" not in names  # of the same content as IMG_0001.jpg, which comes first
    assert {"boats on the river.jpg", "report.docx"} <= set(names)
    assert not {"IMG_0001.jpg", "f0001.jpg", "DSC_4.mp4"} & set(names)
    assert words_of("/x/IMG_2020-01-01.jpg") == frozenset()
    assert words_of("/x/d41d8cd98f00b204e9800998ecf8427e.jpg") == frozenset()
    assert words_of("/x/猫 IMG.jpg") == {"猫"}
    assert words_of("/album.zip//Garden party-2.jpg") == {"garden", "party"}


def test_folders_are_counted_as_a_recount_does(case: Path, view: CaseView) -> None:
    facts = court_facts(view)
    files = [file for file in counted_files(case) if file.exact and file.label != "Ignorable"]
    for row in facts.folders:
        inside = [
            file for file in files
            if file.exhibit == row.exhibit and _parent(file.path) == row.folder
            and (file.source == 1) == (row.source == "disk.E01")
        ]  # fmt: skip
        assert (row.files, row.unique) == (len(inside), len({file.content for file in inside}))
    assert sum(row.files for row in facts.folders) <= len(files)
    assert facts.folders[0].total == len({(file.source, _parent(file.path)) for file in files})


def _parent(path: str) -> str:
    return path[: path.rindex("//")] if "//" in path else path[: path.rindex("/")] or "/"


@pytest.mark.parametrize("name", ["sfr", "schedule"])
def test_every_text_of_a_document_stands_in_the_word_file_and_in_the_pdf(
    case: Path, view: CaseView, tmp_path: Path, name: str
) -> None:
    document = {"sfr": sfr, "schedule": schedule}[name](court_facts(view))
    lines = docx_lines(written(case, tmp_path / "a", f"{name}-docx"))
    joined = squeezed("".join(lines))
    pdf = pdf_text(written(case, tmp_path / "b", f"{name}-pdf"))
    assert len(list(texts(document))) > 40
    for text in texts(document):
        assert squeezed(shown(text)) in joined
        whole = squeezed(drawable(text))
        # A row that goes on over a page has the footer in its midst: its pieces are there.
        assert whole in pdf or all(piece in pdf for piece in re.findall(".{1,12}", whole))
    grids = [block for block in document.blocks if isinstance(block, Grid)]
    tables = docx_tables((tmp_path / "a" / f"{name}.docx").read_bytes())
    for block in grids:
        cells = [["\n".join([w] if isinstance(w, str) else w) for w in row] for row in block.rows]
        expected = [[shown(line) for line in cell.split("\n")] for row in cells for cell in row]
        assert any([cell.split("\n") for row in table[1:] for cell in row] == expected for table in tables), (
            block.caption
        )


@pytest.mark.parametrize("name", DOCUMENTS)
def test_written_twice_the_bytes_are_the_same_and_name_no_folder(case: Path, tmp_path: Path, name: str) -> None:
    first = written(case, tmp_path / "a", name)
    assert written(case, tmp_path / "b", name) == first
    texts_of = "".join(docx_lines(first)) if name.endswith("docx") else pdf_text(first)
    for path in (str(tmp_path), str(case), "/evidence", "D:\\evidence"):
        assert path.encode() not in first
        assert path not in texts_of


def test_from_another_folder_in_other_batches_all_but_the_audit_trail_is_the_same(case: Path, tmp_path: Path) -> None:
    other = make_mixed_case(tmp_path / "elsewhere" / "case", batch=7)
    for name in ("schedule-docx", "schedule-pdf"):  # they do not name the end of the audit trail, which has its time
        assert written(other, tmp_path / "a", name) == written(case, tmp_path / "b", name)
    with open_case(case) as one, open_case(other) as two:
        facts = [court_facts(view) for view in (one, two)]
    assert sfr(replace(facts[0], audit_head=AuditHead())) == sfr(replace(facts[1], audit_head=AuditHead()))


@pytest.mark.parametrize("text", HOSTILE, ids=["controls", "markup", "right-to-left"])
def test_no_text_of_a_case_breaks_a_document_or_acts_in_it(tmp_path: Path, text: str) -> None:
    case = make_hostile_case(tmp_path / "case", text)
    stored = text.encode("utf-8", "backslashreplace").decode("utf-8")
    for name in DOCUMENTS:
        content = written(case, tmp_path / "out", name)
        if name.endswith("docx"):
            found = "".join(docx_lines(content))
            assert not set(found) & set("\u202e\x00\x1b\U000e0041")
            assert squeezed(shown(stored)) in squeezed(found)
        else:
            # What reads the page puts letters that run from right to left in their own order.
            whole, found = squeezed(drawable(stored)), pdf_text(content)
            assert whole in found or (text == HOSTILE[2] and set(whole) <= set(found))


@pytest.mark.parametrize("text", LONG, ids=["escapes", "words"])
def test_a_text_of_any_length_is_cut_and_says_so(tmp_path: Path, text: str) -> None:
    case = make_hostile_case(tmp_path / "case", text)
    for name in ("sfr-pdf", "schedule-docx"):
        content = written(case, tmp_path / "out", name)
        found = squeezed("".join(docx_lines(content))) if name.endswith("docx") else pdf_text(content)
        assert re.search(r"\[\.\.\.[\d,]+characters,seethelists\.\.\.\]", found)


def test_a_pdf_is_of_embedded_fonts_with_title_language_and_numbered_pages(case: Path, tmp_path: Path) -> None:
    reader = PdfReader(BytesIO(written(case, tmp_path, "sfr-pdf")))
    assert reader.metadata is not None
    assert reader.metadata.title == "Digital examination: summary of known material"
    root = reader.trailer["/Root"]
    assert root["/Lang"] == "en-GB"
    assert root["/ViewerPreferences"]["/DisplayDocTitle"]
    total = len(reader.pages)
    assert total > 1
    for number, page in enumerate(reader.pages, start=1):
        assert f"Page {number} of {total}" in page.extract_text()
        for font in page["/Resources"]["/Font"].values():
            assert "/FontFile2" in font.get_object()["/FontDescriptor"]
        assert "/XObject" not in page["/Resources"]  # no picture
    assert [entry.title for entry in reader.outline[1]][:2] == ["1. Result", "2. Quantity"]


def test_a_character_without_a_glyph_is_printed_as_its_number() -> None:
    assert drawable("a\u4e2d\U0001f4f7z") == "a<U+4E2D><U+1F4F7>z"
    assert drawable("Привет, Ελλάδα, שלום") == "Привет, Ελλάδα, שלום"
    assert drawable("\u202e") == "\\u{202e}"


def test_a_word_file_is_of_our_own_title_and_without_pictures_or_outer_links(case: Path, tmp_path: Path) -> None:
    word = docx.Document(BytesIO(written(case, tmp_path, "sfr-docx")))
    assert word.core_properties.title == "Digital examination: summary of known material"
    assert not list(word.inline_shapes)
    for part in word.part.package.iter_parts():
        assert not [rel for rel in part.rels.values() if rel.is_external]


def test_libraries_of_documents_are_not_loaded_by_a_scan_or_by_the_usual_reports() -> None:
    program = (
        "import sys, caid_triage.report.write, caid_triage.scan.run, caid_triage.cli.report; "
        "print([name for name in ('docx', 'reportlab', 'xlsxwriter', 'lxml') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=60)
    assert done.stdout.strip() == "[]"


def test_a_case_without_hash_sets_and_matches_says_what_it_does_not_say(tmp_path: Path) -> None:
    exhibits.make_case(tmp_path / "case", [(samples.record(0), ())], hashsets=(), finish=False)
    with open_case(tmp_path / "case") as view:
        facts = court_facts(view)
        said = " ".join(texts(sfr(facts)))
        assert "No hash set was given: nothing was compared." in said
        assert "not finished" in said
        bullets = next(block for block in sfr(facts).blocks if isinstance(block, Bullets))
        assert bullets.items[0][0] == "The scan is not complete"
        row = grid(schedule(facts), "Exhibits").rows[1]
        assert row[5] == ("nothing was compared",)
        assert row[6][0] == "the scan of this source is not complete"
    for name in DOCUMENTS:
        assert written(tmp_path / "case", tmp_path / "out", name)


def test_a_folder_has_no_size_and_no_file_system_that_nobody_understood(tmp_path: Path) -> None:
    folder = make_mixed_case(tmp_path / "case")
    with open_case_for_writing(folder) as case:
        case.set_volumes(3, [Volume("", 0, 0, "folder", "", "examined")], [], {})
    with open_case(folder) as view:
        row = grid(schedule(court_facts(view)), "Exhibits").rows[2]
    assert row[2][-1] == "folder, examined"
    page = re.sub(r"\s+", " ", written(folder, tmp_path / "out", "html").decode())
    line = next(line for line in page.split("<tr>") if "stick.raw" in line and "whole" in line)
    assert line.count("not applicable") == 2
    assert "0 bytes" not in line
    assert "none understood" not in line


def test_the_lines_for_a_signature_stand_on_one_page(case: Path, tmp_path: Path) -> None:
    for name in ("sfr-docx", "schedule-docx"):
        table = docx.Document(BytesIO(written(case, tmp_path / name, name))).tables[-1]
        together = [row.cells[0].paragraphs[0].paragraph_format.keep_with_next for row in table.rows]
        assert together == [True, True, True, None]


def test_grades_of_examiners_stand_apart_from_what_hash_sets_assert(tmp_path: Path) -> None:
    folder = make_mixed_case(tmp_path / "case")
    with open_case(folder) as view:
        before = sfr(court_facts(view))
        rows = list(view.matches())
    assert not any("Graded by examiners" in text for text in texts(before))
    lead = next(row for row in rows if row.match_kind is not MatchKind.EXACT and row.sha256)
    listed = next(row for row in rows if row.match_kind is MatchKind.EXACT and row.sha256 != lead.sha256)
    when = exhibits.STARTED
    with open_case_for_writing(folder) as case:
        for row, examiner in ((lead, "A"), (listed, "A"), (listed, "B")):
            category = samples.CATEGORY_C if examiner == "B" else samples.CATEGORY_A
            case.decide(row.sha256, Decision(examiner, when, category, ""))
    with open_case(folder) as view:
        after = sfr(court_facts(view))
        files = {row.sha256: 0 for row in (lead, listed)}
        for one in view.files():
            if one.sha256 in files:
                files[one.sha256] += 1
    graded = {row[0].split(" (")[0]: row[1:] for row in grid(after, "Graded by examiners").rows}
    assert graded["Category A"][:2] == [str(files[lead.sha256]), "0"]
    assert graded["Category C"][:2] == [str(files[listed.sha256])] * 2
    assert any("graded differently by two examiners" in text for text in texts(after))
    for caption in ("Files identical to a listed item", "Leads, in no count"):
        assert grid(before, caption) == grid(after, caption)
    # Where a court looks first: the answer says it, and the table stands with the quantities, not behind the leads.
    total = sum(files.values())
    answer = next(block.text for block in after.blocks if isinstance(block, Paragraph) and block.mood is Mood.ANSWER)
    assert f"{total} files have an examiner's grade, {files[listed.sha256]} of them otherwise than" in answer
    assert "see section 2; no figure here follows it." in answer
    said = list(texts(after))
    assert (
        said.index("2. Quantity")
        < next(n for n, text in enumerate(said) if text.startswith("Graded by"))
        < said.index("3. Where they lie: folders and indicative file names")
    )
    assert not any("nobody looked" in text or "confirmed by anybody" in text for text in said)
    book = openpyxl.load_workbook(BytesIO(written(folder, tmp_path / "out", "xlsx")), read_only=True)
    sheet = [[cell for cell in row if cell is not None] for row in book["Summary"].iter_rows(values_only=True)]
    title = next(place for place, row in enumerate(sheet) if row and str(row[0]).startswith("Graded by examiners"))
    assert sheet[title + 2][1:3] == [files[lead.sha256], 0]


def test_the_end_of_the_audit_trail_stands_in_the_summary(view: CaseView) -> None:
    facts = replace(court_facts(view), audit_head=AuditHead(7, "ab" * 32))
    table = [block for block in sfr(facts).blocks if isinstance(block, Facts)][-1]
    assert table.items[0] == ("End of the audit trail", "line 7, SHA-256 " + "ab" * 32)


@pytest.mark.skipif(shutil.which("soffice") is None, reason="LibreOffice (soffice) is not installed")
def test_libreoffice_opens_the_word_files_and_the_workbook(case: Path, tmp_path: Path) -> None:
    files = [tmp_path / FORMATS[name].file for name in ("sfr-docx", "schedule-docx", "xlsx")]
    for name in ("sfr-docx", "schedule-docx", "xlsx"):
        written(case, tmp_path, name)
    command = ["soffice", f"-env:UserInstallation=file://{tmp_path}/profile", "--headless", "--convert-to", "pdf"]
    command += ["--outdir", str(tmp_path / "opened"), *map(str, files)]
    subprocess.run(command, check=True, timeout=180, capture_output=True)
    for file in files:
        read = pdf_text((tmp_path / "opened" / f"{file.stem}.pdf").read_bytes())
        assert "CategoryA" in read
        assert "NOTCONFIRMED" in read


def test_the_answer_stands_first_in_every_layout(view: CaseView) -> None:
    document = sfr(court_facts(view))
    said = list(texts(document))
    assert said.index("Known material found: YES") < said.index("2. Quantity")
    assert list(PLACE_TITLES) == ["live", "inside", "deleted", "other", "all"]
