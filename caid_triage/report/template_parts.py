"""What a part of a Word file holds that a letterhead has no need of, read as a word processor reads it.

Each part of XML is parsed: an attribute may be written with character references, a field's name be cut by a comment or
kept in CDATA, a part be in UTF-16 or have any ending; to a search in its text that would all be something else. Nothing
is fetched and no entity is resolved meanwhile.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

MAIN = "application/vnd.openxmlformats-officedocument.wordprocessingml.document.main+xml"
CONTENT_TYPES = "[Content_Types].xml"
# Ends of relationship types that carry programs, foreign objects or other documents; in small letters.
FOREIGN = {
    "vbaproject": "macros", "wordvbadata": "macros", "oleobject": "an embedded object", "package": "an embedded object",
    "control": "an ActiveX control", "activexcontrolbinary": "an ActiveX control", "afchunk": "another document",
    "subdocument": "another document", "frame": "another document", "keymapcustomizations": "its own keys",
    "attachedtoolbars": "its own buttons", "extensibility": "its own buttons", "webextension": "an add-in",
    "webextensiontaskpanes": "an add-in",
}  # fmt: skip
# Elements that fetch, run or ask for something whatever their relationship is said to be.
FETCHING = {
    "attachedTemplate": "its own template", "mailMerge": "a source of data", "dataSource": "a source of data",
    "altChunk": "another document", "subDoc": "another document", "sourceFileName": "another document",
    "saveThroughXslt": "a program", "webVideoPr": "a film of the web", "OLEObject": "an embedded object",
    "control": "an ActiveX control",
}  # fmt: skip
# Fields that fetch, run, print or include something when a document is opened or its fields are brought up to date:
# wherever such a word stands, and of words that mean something else too only where they are the field's name.
FIELDS = re.compile(
    r"\b(?:DDE|DDEAUTO|INCLUDEPICTURE|INCLUDETEXT|INCLUDE|IMPORT|LINK|DATABASE|MACROBUTTON|AUTOTEXT|AUTOTEXTLIST|RD|"
    r"EMBED|HTMLCONTROL|OCX)\b|\A\s*(?:PRINT|CONTROL)\b",
    re.I,
)
VML, OFFICE, SVG = (
    "urn:schemas-microsoft-com:vml",
    "urn:schemas-microsoft-com:office:office",
    "http://www.w3.org/2000/svg",
)
ELSEWHERE = "it would fetch something from elsewhere ({}): embed it, or take it out"


def is_xml(name: str, content: bytes) -> bool:
    """Whether a part is XML: by its ending, or because it begins as XML does, in whatever encoding."""
    begin = content[:256].replace(b"\0", b"").lstrip(b"\xef\xbb\xbf\xfe\xff \t\r\n")
    return name.lower().endswith((".xml", ".rels")) or begin.startswith(b"<")


def amiss_in(name: str, content: bytes) -> Iterator[str]:
    """Why a part of XML may not be used. A document type is refused: no Word file has one, and entities unpack."""
    from lxml import etree  # noqa: PLC0415 - heavy

    bare = content.replace(b"\0", b"")
    if b"<!DOCTYPE" in bare or b"<!ENTITY" in bare:
        yield "it declares a document type, which no Word file does"
    parser = etree.XMLParser(resolve_entities=False, no_network=True, load_dtd=False, dtd_validation=False)
    try:
        root = etree.fromstring(content, parser)
    except (etree.LxmlError, ValueError) as fault:
        if re.match(rb"\s*<\?xml[^>]*\bencoding\s*=\s*[\"'](?!utf-8|utf-16)", content, re.I):
            yield "a part of it is in another encoding than UTF-8"
        yield f"its parts do not fit together: {name} is no whole XML ({type(fault).__name__})"
        return
    info = root.getroottree().docinfo
    if info.doctype:
        yield "it declares a document type, which no Word file does"
    if not (info.encoding or "UTF-8").upper().startswith(("UTF-8", "UTF-16", "US-ASCII")):
        yield "a part of it is in another encoding than UTF-8"
    if name == CONTENT_TYPES:
        yield from _amiss_in_types(root)
    elif name.lower().endswith(".rels"):
        yield from _amiss_in_relations(root)
    else:
        yield from _amiss_in_text(root)


def _amiss_in_types(root: Any) -> Iterator[str]:
    types = [element.get("ContentType", "") for element in root.iter("{*}Default", "{*}Override")]
    if any(word in kind.lower() for kind in types for word in ("macroenabled", "vbaproject", "vbadata")):
        yield "it has macros: save it as a Word document (.docx) without them"
    if any(word in kind.lower() for kind in types for word in ("activex", "oleobject")):
        yield "it has embedded objects: take them out"
    if MAIN not in types:
        yield "it is no Word document (.docx); a template (.dotx) must be saved as one"


def _amiss_in_relations(root: Any) -> Iterator[str]:
    for element in root.iter("{*}Relationship"):
        kind = element.get("Type", "").strip().rpartition("/")[2]
        if kind.lower() in FOREIGN:
            yield f"it holds {FOREIGN[kind.lower()]}"
        if element.get("TargetMode", "").strip().lower() not in ("", "internal") and kind != "hyperlink":
            yield ELSEWHERE.format(kind or "a link")


def _amiss_in_text(root: Any) -> Iterator[str]:
    for element in root.iter("{*}*"):
        space, _, name = element.tag.rpartition("}")
        if name in FETCHING and ("wordprocessingml" in space or "microsoft" in space):
            yield f"it holds {FETCHING[name]}, which would be fetched or run: take it out"
        for place, value in element.attrib.items():
            of, _, attribute = place.rpartition("}")
            is_drawn = space[1:] == VML and (
                attribute in ("src", "althref") or (attribute == "href" and of[1:] == OFFICE)
            )
            is_svg = space[1:] == SVG and attribute == "href" and not value.strip().startswith(("#", "data:"))
            is_linked = attribute == "link" and of.endswith("/relationships")
            if is_drawn or is_svg or is_linked:
                yield ELSEWHERE.format("a picture")
    if any(map(FIELDS.search, _instructions(root))):
        yield "it has a field that fetches or runs something when it is opened"


def _instructions(root: Any) -> Iterator[str]:
    """The instructions of fields, each whole: a word processor cuts one into several, and one may stand in another."""
    fields: list[list[str]] = []  # those that have begun and whose result has not, the innermost last
    states: list[bool] = []  # of each field that has begun: whether its instruction goes on
    loose: list[str] = []  # what stands in no field
    for element in root.iter("{*}fldChar", "{*}instrText", "{*}delInstrText", "{*}t", "{*}fldSimple"):
        name = element.tag.rpartition("}")[2]
        if name == "fldSimple":
            yield " ".join(value for place, value in element.attrib.items() if place.rpartition("}")[2] == "instr")
        elif name == "fldChar":
            kind = next((value for place, value in element.attrib.items() if place.endswith("}fldCharType")), "")
            if kind == "begin":
                fields.append([])
                states.append(True)
            elif fields:
                yield "".join(fields[-1])
                states[-1] = False
                if kind == "end":
                    fields.pop()
                    states.pop()
        else:
            text = "".join(element.itertext())
            if states and states[-1]:
                fields[-1].append(text)
            elif name != "t":
                loose.append(text)
    yield from ("".join(pieces) for pieces in fields)
    yield from (*loose, "".join(loose))
