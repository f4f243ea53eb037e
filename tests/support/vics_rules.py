"""What programs that read VICS cases refuse, as rules: of the format, from what they are known to check.

IPED takes the context only as the first key and "value" only as the second; Clees4All drops a Media without an MD5 and
a MediaFile without MD5, FileName or FilePath; both know no other booleans than those of their own exports. PhotoDNA is
144 bytes in base64 (IPED); a RelativeFilePath has backslashes and begins at the folder of the file (Clees4All). They
are our reading of public code: no validator of Project VIC or CAID has seen a file of ours.
"""

from __future__ import annotations

import base64
import hashlib
import json
import re
import uuid
from datetime import datetime
from pathlib import Path
from typing import Any

from caid_triage.hashset.readers.vics import VicsReader
from caid_triage.hashset.rows import Row, SourceFile

CONTEXT = re.compile(
    r"http://github\.com/VICSDATAMODEL/ProjectVic/DataModels/2\.0\.xml/(UK|US|Default)/\$metadata#Cases"
)
MD5, SHA1 = re.compile(r"[0-9A-F]{32}"), re.compile(r"[0-9A-F]{40}")
TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z")
BOOLEANS = (
    "IsPrecategorized", "IsSuspected", "VictimIdentified", "OffenderIdentified", "IsDistributed", "SelfGenerated",
)  # fmt: skip
LOOK_ALIKE = "near match, not confirmed"
# Digests alone, in folders of their first digits: nothing of a suspect, and nothing that leads out of the folder.
BESIDE = re.compile(r"([0-9a-f]{2})\\\1[0-9a-f]{62}(\.[a-z0-9]{2,4})?")
TEXTS = ("MimeType", "PrecategorizationSource", "Comments", "Tags", "Series")
OF_CASE = {
    "CaseID", "CaseNumber", "ContactName", "SourceApplicationName", "SourceApplicationVersion", "TotalMediaFiles",
    "TotalPrecategorized", "CaseMetadata", "Media", "ContactOrganization", "ContactTitle", "ContactPhone",
    "ContactEmail", "SeizureDate",
}  # fmt: skip
OF_MEDIA = {
    "MediaID", "MD5", "SHA1", "PhotoDNA", "MediaSize", "RelativeFilePath", "Category", "Exifs", "MediaMetadata",
    "AlternativeHashes", "MediaFiles", *BOOLEANS, *TEXTS,
}  # fmt: skip
OF_FILE = {
    "MD5", "FileName", "FilePath", "SourceID", "Created", "Written", "Accessed", "Deleted", "Unallocated",
    "PhysicalLocation", "ParentMD5", "ParentFileName", "ParentFilePath", "ParentPhysicalLocation",
}  # fmt: skip


def read_checked(path: Path, *, exported: bool = False) -> list[dict[str, Any]]:
    """The cases of a file; AssertionError with the record that a reader would refuse or misread.

    ``exported``: every Media must name its file, and no file may lie beside that none names.
    """
    content = path.read_bytes()
    assert not content.startswith((b"\xef\xbb\xbf", b"\xff\xfe")), "a byte order mark"
    whole = json.loads(content.decode("utf-8"), object_pairs_hook=_once)
    assert list(whole) == ["@odata.context", "value"]
    assert CONTEXT.fullmatch(whole["@odata.context"])
    for case in whole["value"]:
        _check_case(case)
    named = [_named_file(path.parent, item) for case in whole["value"] for item in case["Media"]]
    if exported:
        lists = {path, path.with_name("MANIFEST.sha256")}
        assert set(named) == {file for file in path.parent.rglob("*") if file.is_file()} - lists
    return list(whole["value"])


def _named_file(folder: Path, item: dict[str, Any]) -> Path | None:
    """The file that a Media names below the folder of its list, which must be there and have that content."""
    if "RelativeFilePath" not in item:
        return None
    parts = BESIDE.fullmatch(item["RelativeFilePath"])
    assert parts, item["RelativeFilePath"]
    file = folder.joinpath(*parts[0].split("\\"))
    assert file.resolve() == folder.resolve().joinpath(*parts[0].split("\\")), "a link"
    content = file.read_bytes()
    assert hashlib.md5(content).hexdigest().upper() == item["MD5"]
    assert len(content) == item.get("MediaSize", len(content))
    return file


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    assert len(dict(pairs)) == len(pairs), f"a key stands twice among {[key for key, _ in pairs]}"
    return dict(pairs)


def _check_case(case: dict[str, Any]) -> None:
    assert set(case) <= OF_CASE, set(case) - OF_CASE
    uuid.UUID(case["CaseID"])
    assert isinstance(case["CaseNumber"], str)
    assert all(isinstance(value, str) for name, value in case.items() if name.startswith("Contact"))
    assert "SeizureDate" not in case or datetime.fromisoformat(case["SeizureDate"])
    media = case["Media"]
    assert case["TotalMediaFiles"] == len(media)
    assert case["TotalPrecategorized"] == sum(item.get("IsPrecategorized") == "true" for item in media)
    numbers = [item["MediaID"] for item in media]
    assert all(type(number) is int and 0 < number < 2**31 for number in numbers)
    assert len(set(numbers)) == len(numbers)
    for item in media:
        _check_media(item)


def _check_media(item: dict[str, Any]) -> None:
    assert set(item) <= OF_MEDIA, set(item) - OF_MEDIA
    assert MD5.fullmatch(item["MD5"]), item
    assert "SHA1" not in item or SHA1.fullmatch(item["SHA1"]), item
    assert type(item.get("Category", 0)) is int
    assert type(item["MediaSize"]) is int if "MediaSize" in item else True
    assert all(item[word] in ("true", "false") for word in BOOLEANS if word in item)
    assert all(isinstance(item[word], str) and item[word] for word in TEXTS if word in item)
    # Nothing that nobody confirmed stands as a grade; what a set itself flags for review is an exact match.
    suspected, alike = item.get("IsSuspected") == "true", item.get("Tags") == LOOK_ALIKE
    assert not alike or (suspected and "Category" not in item)
    assert not suspected or alike or item.get("IsPrecategorized") == "true"
    assert "PhotoDNA" not in item or len(base64.b64decode(item["PhotoDNA"], validate=True)) == 144
    assert ("PrecategorizationSource" in item) == (item.get("IsPrecategorized") == "true")
    for extra, name, value in (
        ("Exifs", "PropertyName", "PropertyValue"),
        ("MediaMetadata", "PropertyName", "PropertyValue"),
        ("AlternativeHashes", "HashName", "HashValue"),
    ):
        for one in item.get(extra, []):
            assert set(one) == {"MD5", name, value}
            assert one["MD5"] == item["MD5"]
            assert isinstance(one[value], str)
    assert item["MediaFiles"], "a content that lies nowhere"
    for file in item["MediaFiles"]:
        _check_file(file, item["MD5"])


def _check_file(file: dict[str, Any], md5: str) -> None:
    assert set(file) <= OF_FILE, set(file) - OF_FILE
    assert file["MD5"] == md5
    assert file["FileName"]
    assert "/" not in file["FileName"]
    assert file["FilePath"].endswith("/")
    assert all(TIME.fullmatch(file[word]) for word in ("Created", "Written", "Accessed") if word in file)
    assert all(file[word] == "true" for word in ("Deleted", "Unallocated") if word in file)
    assert "Unallocated" not in file or "Deleted" in file
    for word in ("PhysicalLocation", "ParentPhysicalLocation"):
        assert type(file.get(word, 0)) is int
    assert "ParentMD5" not in file or MD5.fullmatch(file["ParentMD5"])


def read_rows(path: Path) -> list[Row]:
    """The entries that our own reader finds in a file; it refuses none."""
    source = SourceFile(path)
    try:
        rows = list(VicsReader().read(source))
    finally:
        source.close()
    assert all(isinstance(row, Row) for row in rows)
    return [row for row in rows if isinstance(row, Row)]
