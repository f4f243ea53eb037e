"""A unit's own Word file as the template: what of it stays, what is put into it, and which files are refused."""

from __future__ import annotations

import json
import zipfile
from collections.abc import Callable
from io import BytesIO
from pathlib import Path

import docx
import pytest
from click.testing import CliRunner
from unit.report.documents import docx_lines, make_mixed_case, written

from caid_triage.case.view import open_case
from caid_triage.cli.main import program
from caid_triage.errors import UsageError
from caid_triage.report.court import court_facts
from caid_triage.report.template import MOST_BYTES, MOST_UNPACKED, check_template, read_template
from caid_triage.report.verify import verify_case
from caid_triage.report.write import write_reports

Parts = dict[str, bytes]
RELS = "word/_rels/document.xml.rels"
BODY = "word/document.xml"
TYPES = "[Content_Types].xml"
OFFICE = "http://schemas.openxmlformats.org/officeDocument/2006/relationships"


def letterhead() -> bytes:
    """A Word file with a header, a footer, styles and placeholders, one of them cut into runs."""
    word = docx.Document()
    word.sections[0].header.paragraphs[0].text = "Anyshire Police, Digital Media Investigation"
    word.sections[0].footer.paragraphs[0].text = "{{ reference }} OFFICIAL-SENSITIVE"
    word.styles["Normal"].font.name = "Georgia"
    word.add_paragraph("Before")
    cut = word.add_paragraph()
    for piece, bold in (("Examiner: {{exa", True), ("min", False), ("er}}, case {{refer", False), ("ence}}.", True)):
        cut.add_run(piece).bold = bold
    word.add_paragraph("  {{ content }} ")
    word.add_table(1, 1).cell(0, 0).text = "{{exhibits}} {{operation}} {{result}} {{unknown}}"
    word.add_paragraph("After")
    made = BytesIO()
    word.save(made)
    return made.getvalue()


def changed(change: Callable[[Parts], None], content: bytes | None = None) -> bytes:
    """A letterhead with some of its parts changed."""
    with zipfile.ZipFile(BytesIO(content or letterhead())) as archive:
        parts = {name: archive.read(name) for name in archive.namelist()}
    change(parts)
    made = BytesIO()
    with zipfile.ZipFile(made, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, part in parts.items():
            archive.writestr(name, part)
    return made.getvalue()


def relation(kind: str, target: str, external: bool = True, base: str = OFFICE) -> Callable[[Parts], None]:
    mode = ' TargetMode="External"' if external else ""
    line = f'<Relationship Id="rId99" Type="{base}/{kind}" Target="{target}"{mode}/></Relationships>'
    return lambda parts: parts.update({RELS: parts[RELS].replace(b"</Relationships>", line.encode())})


def part(name: str, content: bytes) -> Callable[[Parts], None]:
    return lambda parts: parts.update({name: content})


def replaced(name: str, old: bytes, new: bytes) -> Callable[[Parts], None]:
    def change(parts: Parts) -> None:
        assert old in parts[name]
        parts[name] = parts[name].replace(old, new)

    return change


def inside(xml: str) -> Callable[[Parts], None]:
    """A paragraph with this in it, first in the body."""
    return replaced(BODY, b"<w:body>", f"<w:body><w:p>{xml}</w:p>".encode())


def related(line: str) -> Callable[[Parts], None]:
    return lambda parts: parts.update(
        {RELS: parts[RELS].replace(b"</Relationships>", f"{line}</Relationships>".encode())}
    )


def in_utf16_without_a_mark(parts: Parts) -> None:
    field("DDEAUTO x")(parts)
    text = parts[BODY].decode().split("?>", 1)[1]
    parts[BODY] = ('<?xml version="1.0" encoding="UTF-16"?>' + text).encode("utf-16-le")


def with_another_ending(parts: Parts) -> None:
    field("DDEAUTO x")(parts)
    parts["word/document.bin"], parts["word/_rels/document.bin.rels"] = parts.pop(BODY), parts.pop(RELS)
    for name in (TYPES, "_rels/.rels"):
        parts[name] = parts[name].replace(b"word/document.xml", b"word/document.bin")


def with_entities_and_another_ending(parts: Parts) -> None:
    styles = parts.pop("word/styles.xml").split(b"?>", 1)[1]
    parts["word/styles.dat"] = b'<!DOCTYPE x [<!ENTITY a SYSTEM "file:///etc/hostname">]>' + styles
    for name in (TYPES, RELS):
        parts[name] = parts[name].replace(b"styles.xml", b"styles.dat")


def whole_field(*pieces: str) -> Callable[[Parts], None]:
    """A field behind another one, its instruction cut into such runs."""
    mark = '<w:r><w:fldChar w:fldCharType="{}"/></w:r>'
    runs = "".join(f"<w:r><w:instrText>{piece}</w:instrText></w:r>" for piece in pieces)
    return inside(
        f"{mark.format('begin')}<w:r><w:instrText>PAGE</w:instrText></w:r>{mark.format('end')}"
        f"{mark.format('begin')}{runs}{mark.format('separate')}<w:r><w:t>1</w:t></w:r>{mark.format('end')}"
    )


def field(*pieces: str) -> Callable[[Parts], None]:
    runs = "".join(f"<w:r><w:instrText>{piece}</w:instrText></w:r>" for piece in pieces)
    return replaced(BODY, b"<w:body>", f"<w:body><w:p>{runs}</w:p>".encode())


@pytest.fixture(scope="module")
def case(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = make_mixed_case(tmp_path_factory.mktemp("template") / "case")
    (folder / "template.docx").write_bytes(letterhead())
    return folder


def test_what_a_template_has_stays_and_the_document_stands_at_its_mark(case: Path, tmp_path: Path) -> None:
    content = written(case, tmp_path, "schedule-docx")
    word = docx.Document(BytesIO(content))
    assert word.sections[0].header.paragraphs[0].text == "Anyshire Police, Digital Media Investigation"
    assert word.sections[0].footer.paragraphs[0].text == "OP/7 OFFICIAL-SENSITIVE"
    assert word.styles["Normal"].font.name == "Georgia"
    lines = docx_lines(content)
    title = next(place for place, line in enumerate(lines) if line in (word.core_properties.title,))
    assert lines.index("Before") < title < lines.index("Signature") < lines.index("After")
    assert "Examiner: DC 1 <b>, case OP/7." in lines
    assert "ABC/1, ABC/2 Larch Known material found: YES {{unknown}}" in lines
    assert not [line for line in lines if "content" in line and "{{" in line]
    cut = next(paragraph for paragraph in word.paragraphs if paragraph.text.startswith("Examiner"))
    assert [(run.text, run.bold) for run in cut.runs] == [
        ("Examiner: DC 1 <b>", True), ("", False), (", case OP/7", False), (".", True)
    ]  # fmt: skip
    assert written(case, tmp_path / "again", "schedule-docx") == content


def test_without_a_mark_the_document_stands_at_the_end_in_front_of_the_last_section(tmp_path: Path) -> None:
    folder = make_mixed_case(tmp_path / "case")
    word = docx.Document()
    word.add_paragraph("Only a letterhead")
    word.save(folder / "template.docx")
    lines = docx_lines(written(folder, tmp_path / "out", "schedule-docx"))
    assert lines[0] == "Only a letterhead"
    assert "Signature" in lines


def test_a_template_without_any_of_our_styles_is_laid_out_all_the_same(tmp_path: Path) -> None:
    def few(parts: Parts) -> None:
        parts["word/styles.xml"] = (
            b'<w:styles xmlns:w="http://schemas.openxmlformats.org/wordprocessingml/2006/main">'
            b'<w:style w:type="character" w:styleId="T"><w:name w:val="Title"/></w:style></w:styles>'
        )

    folder = make_mixed_case(tmp_path / "case")
    (folder / "template.docx").write_bytes(changed(few))
    plain = make_mixed_case(tmp_path / "plain")
    ours = docx_lines(written(folder, tmp_path / "a", "schedule-docx"))
    assert {line for line in docx_lines(written(plain, tmp_path / "b", "schedule-docx")) if line} <= {
        line.removeprefix("- ") for line in ours
    }


def test_what_the_case_says_is_never_taken_for_a_placeholder(case: Path, tmp_path: Path) -> None:
    lines = docx_lines(written(case, tmp_path, "sfr-docx"))
    assert any("{{ 7*7 }}" in line for line in lines)  # a file's name
    with open_case(case) as view:
        assert any("{{ 7*7 }}" in row.path for row in court_facts(view).names)


REFUSED: dict[str, tuple[Callable[[], bytes], str]] = {
    "no archive": (lambda: b"Dear sir", "no whole Word file"),
    "nothing": (lambda: b"", "no whole Word file"),
    "cut": (lambda: letterhead()[:-400], "no whole Word file"),
    "damaged": (lambda: letterhead().replace(b"PK\x03\x04", b"PK\x03\x05"), "no whole Word file"),
    "another archive": (lambda: changed(lambda parts: parts.pop(TYPES)), "no Word file"),
    "too large": (lambda: b"PK" + bytes(MOST_BYTES), "larger than 32 MiB"),
    "a bomb": (lambda: changed(part("word/media/a.bin", bytes(MOST_UNPACKED + 1))), "unpacks to more"),
    "a bomb of parts": (lambda: changed(lambda p: p.update({f"x{n}": b"" for n in range(2001)})), "2000 parts"),
    "macros by type": (
        lambda: changed(replaced(TYPES, b"document.main+xml", b"document.macroEnabled.main+xml")), "macros"
    ),
    "macros by part": (lambda: changed(part("word/vbaProject.bin", b"x")), "macros"),
    "macros by relation": (
        lambda: changed(relation("vbaProject", "x.dat", False, "http://schemas.microsoft.com/office/2006/relationships")),
        "macros",
    ),
    "a dotx": (lambda: changed(replaced(TYPES, b"document.main+xml", b"template.main+xml")), "no Word document"),
    "an object": (lambda: changed(part("word/embeddings/o.xlsx", b"x")), "embedded objects"),
    "an object elsewhere": (lambda: changed(relation("oleObject", "media/o", False)), "an embedded object"),
    "another document": (lambda: changed(relation("aFChunk", "x.html", False)), "another document"),
    "an outer template": (
        lambda: changed(relation("attachedTemplate", "https://example.invalid/t.dotm")), "from elsewhere"
    ),
    "an outer picture": (lambda: changed(relation("image", "file:////host/share/x.png")), "from elsewhere"),
    "a way out": (lambda: changed(part("../evil.xml", b"<a/>")), "leads out of it"),
    "a rooted name": (lambda: changed(part("/etc/x.xml", b"<a/>")), "leads out of it"),
    "one name twice": (lambda: changed(part("WORD/document.xml", b"<a/>")), "one name"),
    "entities": (
        lambda: changed(replaced(BODY, b"<w:document", b'<!DOCTYPE x [<!ENTITY a "b">]><w:document')), "document type"
    ),
    "entities in UTF-16": (
        lambda: changed(part("word/x.xml", "<!DOCTYPE x><x/>".encode("utf-16"))), "document type"
    ),
    "another encoding": (
        lambda: changed(part("word/x.xml", b'<?xml version="1.0" encoding="utf-7"?><x/>')), "another encoding"
    ),
    "a field that runs": (lambda: changed(field('DDEAUTO cmd.exe "/k"')), "fetches or runs"),
    "a field in pieces": (lambda: changed(field("INCLUDE", "PICTURE", " x")), "fetches or runs"),
    "a field in digits": (lambda: changed(field("&#68;DE x")), "fetches or runs"),
    "an outer template, spelled otherwise": (
        lambda: changed(
            related(f'<Relationship Id="r" Type="{OFFICE}/frame1" Target="http://x" TargetMode="&#69;xternal"/>')
        ),
        "from elsewhere",
    ),
    "an outer picture behind a mark": (
        lambda: changed(
            related(f'<Relationship Id="r" Target="http://x/?a>b" Type="{OFFICE}/image" TargetMode="External"/>')
        ),
        "from elsewhere",
    ),
    "an outer picture under another prefix": (
        lambda: changed(related(
            '<a-b:Relationship xmlns:a-b="http://schemas.openxmlformats.org/package/2006/relationships" Id="r" '
            f'Target="http://x" Type="{OFFICE}/image" TargetMode="External"/>'
        )),
        "from elsewhere",
    ),
    "an outer picture of VML": (
        lambda: changed(inside('<w:r><w:pict><v:imagedata xmlns:v="urn:schemas-microsoft-com:vml" src="http://x"/>'
                               "</w:pict></w:r>")),
        "from elsewhere",
    ),
    "an object, spelled otherwise": (
        lambda: changed(related(f'<Relationship Id="r" Type="{OFFICE}/&#111;leObject" Target="styles.xml"/>')),
        "an embedded object",
    ),
    "an add-in": (
        lambda: changed(relation("webextensiontaskpanes", "styles.xml", False)), "an add-in"
    ),
    "a mail merge": (
        lambda: changed(replaced("word/settings.xml", b"</w:settings>",
                                 b'<w:mailMerge><w:connectString w:val="x"/></w:mailMerge></w:settings>')),
        "a source of data",
    ),
    "a field in CDATA": (lambda: changed(field("<![CDATA[DDEAUTO x]]>")), "fetches or runs"),
    "a field behind a comment": (lambda: changed(field("D<!-- -->DE x")), "fetches or runs"),
    "a field in pieces behind another one": (lambda: changed(whole_field("D", "DEAUTO x")), "fetches or runs"),
    "a field that prints": (lambda: changed(whole_field("PRI", "NT 27")), "fetches or runs"),
    "a simple field": (
        lambda: changed(inside("<w:fldSimple w:dirty='>' w:instr='DDEAUTO &quot;x&quot;'/>")), "fetches or runs"
    ),
    "a field in UTF-16 without a mark": (lambda: changed(in_utf16_without_a_mark), "fetches or runs"),
    "a field in a part of another ending": (lambda: changed(with_another_ending), "fetches or runs"),
    "entities in a part of another ending": (lambda: changed(with_entities_and_another_ending), "document type"),
    "elements without end": (
        lambda: changed(replaced(BODY, b"<w:body>", b"<w:body>" + b"<w:p/>" * 200_000)), "more than 100,000 elements"
    ),
    "no body": (lambda: changed(part(BODY, b"<x/>")), "do not fit together"),
    "no XML": (lambda: changed(part(BODY, b"<w:document")), "do not fit together"),
    "no part": (lambda: changed(lambda parts: parts.pop(BODY)), "do not fit together"),
    "a relation to nothing": (lambda: changed(relation("image", "media/none.png", False)), "do not fit together"),
    "a margin that is none": (
        lambda: changed(replaced(BODY, b'w:left="', b'w:left="wide')), "do not fit together"
    ),
    "depth": (
        lambda: changed(replaced(BODY, b"<w:body>", b"<w:body>" + b"<w:p>" * 3000 + b"</w:p>" * 3000)),
        "do not fit together",
    ),
}  # fmt: skip


@pytest.mark.parametrize("made", REFUSED)
def test_a_file_that_a_letterhead_has_no_need_to_be_is_refused_in_words(tmp_path: Path, made: str) -> None:
    make, expected = REFUSED[made]
    (tmp_path / "unit.docx").write_bytes(make())
    with pytest.raises(UsageError, match=expected):
        read_template(tmp_path / "unit.docx")


def test_links_that_wait_for_a_click_and_pictures_of_the_letterhead_may_stay() -> None:
    check_template(changed(relation("hyperlink", "https://example.invalid/")), "unit.docx")
    check_template(changed(part("word/media/crest.png", b"\x89PNG")), "unit.docx")
    check_template(changed(field("PAGE")), "unit.docx")
    for instruction in (("PRINT", "DATE"), ('REF "control"',), ("HYPER", 'LINK "https://example.invalid/print"')):
        check_template(changed(whole_field(*instruction)), "unit.docx")


def test_placeholders_in_links_content_controls_and_text_boxes_are_filled(tmp_path: Path) -> None:
    box = (
        '<w:r><w:t>{{exam</w:t></w:r><w:r><w:pict><v:shape xmlns:v="urn:schemas-microsoft-com:vml"><v:textbox>'
        "<w:txbxContent><w:p><w:r><w:t>box {{refer</w:t></w:r><w:r><w:t>ence}}</w:t></w:r></w:p></w:txbxContent>"
        "</v:textbox></v:shape></w:pict></w:r><w:r><w:t>iner}}</w:t></w:r>"
    )
    control = "<w:sdt><w:sdtContent><w:r><w:t>{{exhib</w:t></w:r></w:sdtContent></w:sdt><w:r><w:t>its}}</w:t></w:r>"
    link = '<w:hyperlink w:anchor="x"><w:r><w:t>{{operation}}</w:t></w:r></w:hyperlink>'
    folder = make_mixed_case(tmp_path / "case")
    content = letterhead()
    for one in (box, control, link):
        content = changed(inside(one), content)
    (folder / "template.docx").write_bytes(content)
    with zipfile.ZipFile(BytesIO(written(folder, tmp_path / "out", "schedule-docx"))) as archive:
        body = archive.read(BODY).decode()
    first = body[: body.index("Before")]
    assert "{{" not in first
    for expected in ("box OP/7", "ABC/1, ABC/2", "Larch", "DC 1 &lt;b&gt;"):
        assert expected in first


def test_every_byte_of_a_template_may_be_damaged_and_nothing_but_words_comes_of_it() -> None:
    content = letterhead()
    step = len(content) // 25
    for place in range(0, len(content), step):
        damaged = content[:place] + bytes([content[place] ^ 0x41]) + content[place + 1 :]
        try:
            check_template(damaged, "unit.docx")
        except UsageError as refused:
            assert "template" in str(refused)  # noqa: PT017 - either is right


def test_a_template_that_is_not_there_is_a_sentence(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"the template none.docx cannot be read: No such file"):
        read_template(tmp_path / "none.docx")


def test_the_command_keeps_the_template_with_the_case_and_puts_it_on_record(tmp_path: Path) -> None:
    case, file = make_mixed_case(tmp_path / "case"), tmp_path / "unit.docx"
    file.write_bytes(letterhead())
    done = CliRunner().invoke(program, ["report", "--case", str(case), "--template", str(file)])
    assert done.exit_code == 0, done.output
    assert {path.name for path in (case / "reports").iterdir()} == {"sfr.docx", "schedule.docx", "MANIFEST.sha256"}
    assert (case / "template.docx").read_bytes() == file.read_bytes()
    lines = [json.loads(line) for line in (case / "audit.jsonl").read_bytes().splitlines()]
    (kept,) = [line for line in lines if line["action"] == "template-kept"]
    assert len(kept["sha256"]) == 64
    assert str(tmp_path) not in (case / "audit.jsonl").read_text()
    first = (case / "reports" / "sfr.docx").read_bytes()
    file.unlink()
    again = ["report", "--case", str(case), "--format", "sfr-docx", "--format", "summary"]
    assert CliRunner().invoke(program, again).exit_code == 0
    assert (case / "reports" / "sfr.docx").read_bytes() == first
    assert verify_case(case) == []


def test_a_template_that_is_refused_changes_nothing(tmp_path: Path) -> None:
    case, file = make_mixed_case(tmp_path / "case"), tmp_path / "unit.docx"
    file.write_bytes(changed(part("word/vbaProject.bin", b"x")))
    before = (case / "audit.jsonl").read_bytes()
    done = CliRunner().invoke(program, ["report", "--case", str(case), "--template", str(file)])
    assert isinstance(done.exception, UsageError) or done.exit_code == 2
    assert (case / "audit.jsonl").read_bytes() == before
    assert not (case / "template.docx").exists()
    file.write_bytes(letterhead())
    for more in (["--format", "html"], ["--seal"]):
        done = CliRunner().invoke(program, ["report", "--case", str(case), "--template", str(file), *more])
        assert isinstance(done.exception, UsageError) or done.exit_code == 2
        assert not (case / "template.docx").exists()


def test_a_template_of_the_case_that_somebody_changed_is_refused_and_the_reports_stay(tmp_path: Path) -> None:
    case = make_mixed_case(tmp_path / "case")
    written(case, tmp_path / "out", "schedule-docx")
    before = (tmp_path / "out" / "schedule.docx").read_bytes()
    (case / "template.docx").write_bytes(b"no Word file")
    with open_case(case) as view, pytest.raises(UsageError, match=r"template\.docx is not used"):
        write_reports(view, tmp_path / "out", ["schedule-docx"])
    assert (tmp_path / "out" / "schedule.docx").read_bytes() == before
    assert not list((tmp_path / "out").glob("*.part"))
