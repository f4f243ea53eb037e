"""The bytes of every path out of each list and format, as docs/decisions/0048 says, with no code of the product."""

from __future__ import annotations

import base64
import csv
import json
import re
import xml.etree.ElementTree as ET
from collections.abc import Callable
from pathlib import Path
from typing import Any

import openpyxl

DFXML = "{http://www.forensicswiki.org/wiki/Category:Digital_Forensics_XML}"
CT = "{urn:caid-triage:dfxml:1}"
DIGITS = {"x": 2, "u": 4, "U": 8}


def raw_of(text: str) -> bytes:
    """A path's bytes from its text: sign by sign, each escape taken back."""
    found, place = b"", 0
    while place < len(text):
        letter = text[place + 1 : place + 2]
        digits = text[place + 2 : place + 2 + DIGITS.get(letter, 0)]
        if text[place] == "\\" and digits and re.fullmatch("[0-9a-f]+", digits) and len(digits) == DIGITS[letter]:
            number = int(digits, 16)
            found += bytes([number]) if letter == "x" else chr(number).encode()
            place += 2 + len(digits)
        else:
            found += text[place].encode()
            place += 1
    return found


def of_csv(path: Path) -> list[bytes]:
    with path.open(newline="", encoding="utf-8") as file:
        return [of_columns(row) for row in csv.DictReader(file)]


def of_columns(row: dict[str, Any]) -> bytes:
    """Of a row of a list: the bytes where they are given, else those of the path."""
    return bytes.fromhex(row["path_bytes"]) if row["path_bytes"] else row["path"].encode()


def by_path(path: Path) -> list[bytes]:
    """Of a list without such a column: by the readable path alone."""
    with path.open(newline="", encoding="utf-8") as file:
        return [raw_of(row["path"]) for row in csv.DictReader(file)]


def of_sheet(path: Path, sheet: str) -> list[bytes]:
    header, *rows = openpyxl.load_workbook(path)[sheet].iter_rows(values_only=True)
    found = [dict(zip(header, row, strict=True)) for row in rows]
    for row in found:  # as a spreadsheet reads a text (ECMA-376, part 1, 22.4.2.4)
        row["path"] = re.sub("_x([0-9A-Fa-f]{4})_", lambda code: chr(int(code[1], 16)), row["path"])
    return [of_columns(row) for row in found]


def below_volume(text: str) -> bytes:
    """A path behind the name of its volume, which has no "/" here."""
    return raw_of(text[text.index("/") :])


def of_vics(path: Path) -> list[bytes]:
    (case,) = json.loads(path.read_bytes())["value"]
    files = [file for media in case["Media"] for file in media["MediaFiles"]]
    assert all(file["FileName"] and "/" not in file["FileName"] for file in files)
    return [below_volume(file["FilePath"] + file["FileName"]) for file in files]


def of_c4(path: Path) -> list[bytes]:
    texts = [record.findtext("fullpath") or "" for record in ET.fromstring(path.read_bytes())]
    return [below_volume(text.partition("/")[2]) for text in texts]  # behind the source


def of_case_uco(path: Path) -> list[bytes]:
    graph = json.loads(path.read_bytes())["@graph"]
    facets = [facet for node in graph for facet in node.get("uco-core:hasFacet", ()) if node["@type"].endswith(":File")]
    return [raw_of(facet["uco-observable:filePath"]) for facet in facets if "uco-observable:filePath" in facet]


def of_dfxml(path: Path) -> list[bytes]:
    found = []
    for file in ET.parse(path).iter(f"{DFXML}filename"):
        stored = file.get(f"{CT}base64")
        text = raw_of("/" + (file.text or ""))
        assert stored is None or base64.b64decode(stored) == text
        found.append(text)
    return found


def of_jsonl(path: Path) -> list[bytes]:
    found = []
    for line in path.read_text("ascii").splitlines():
        one = json.loads(line)
        stored = one["exact_path_base64"]
        raw = base64.b64decode(stored) if stored else one["exact_path"].encode()
        assert raw == of_columns(one)
        found.append(raw)
    return found


Read = Callable[[Path], list[bytes]]
# Each format that names files: the format, its file, and what reads the paths out of it. ``L``, ``N``: only listed
# files, only new ones; ``P``, ``F``: only pictures, only films.
EXPORTS: dict[str, tuple[str, str, Read]] = {
    "files.csv": ("files", "", of_csv),
    "files.csv, path": ("files", "", by_path),
    "matches.csv": ("matches", "L", of_csv),
    "metadata.csv": ("metadata", "", by_path),
    "problems.csv": ("problems", "", by_path),
    "workbook.xlsx, Files": ("xlsx", "", lambda path: of_sheet(path, "Files")),
    "workbook.xlsx, Matches": ("xlsx", "L", lambda path: of_sheet(path, "Matches")),
    "vics.json": ("vics", "L", of_vics),
    "vics-new.json": ("vics-new", "N", of_vics),
    "c4p.xml": ("c4p", "L", of_c4),
    "c4m.xml": ("c4m", "N", of_c4),
    "case-uco.jsonld": ("case-uco", "L", of_case_uco),
    "dfxml.xml": ("dfxml", "", of_dfxml),
    "files.jsonl": ("jsonl", "", of_jsonl),
}
