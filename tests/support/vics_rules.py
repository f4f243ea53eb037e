"""What programs that read VICS cases refuse, as rules: of the format, from what they are known to check.

IPED takes the context only as the first key and "value" only as the second; Clees4All drops a Media without an MD5 and
a MediaFile without MD5, FileName or FilePath; both know no other booleans than those of their own exports.
"""

from __future__ import annotations

import json
import re
import uuid
from pathlib import Path
from typing import Any

CONTEXT = re.compile(
    r"http://github\.com/VICSDATAMODEL/ProjectVic/DataModels/2\.0\.xml/(UK|US|Default)/\$metadata#Cases"
)
MD5, SHA1 = re.compile(r"[0-9A-F]{32}"), re.compile(r"[0-9A-F]{40}")
TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z")
BOOLEANS = ("IsPrecategorized", "IsSuspected", "VictimIdentified", "OffenderIdentified", "IsDistributed")
TEXTS = ("MimeType", "PrecategorizationSource", "Comments", "Tags", "Series")
OF_CASE = {
    "CaseID", "CaseNumber", "ContactName", "SourceApplicationName", "SourceApplicationVersion", "TotalMediaFiles",
    "TotalPrecategorized", "CaseMetadata", "Media",
}  # fmt: skip
OF_MEDIA = {
    "MediaID", "MD5", "SHA1", "MediaSize", "Category", "Exifs", "AlternativeHashes", "MediaFiles", *BOOLEANS, *TEXTS,
}  # fmt: skip
OF_FILE = {
    "MD5", "FileName", "FilePath", "SourceID", "Created", "Written", "Accessed", "Deleted", "Unallocated",
    "PhysicalLocation", "ParentMD5", "ParentFileName", "ParentFilePath", "ParentPhysicalLocation",
}  # fmt: skip


def read_checked(path: Path) -> list[dict[str, Any]]:
    """The cases of a file; AssertionError with the record that a reader would refuse or misread."""
    content = path.read_bytes()
    assert not content.startswith((b"\xef\xbb\xbf", b"\xff\xfe")), "a byte order mark"
    whole = json.loads(content.decode("utf-8"), object_pairs_hook=_once)
    assert list(whole) == ["@odata.context", "value"]
    assert CONTEXT.fullmatch(whole["@odata.context"])
    for case in whole["value"]:
        _check_case(case)
    return list(whole["value"])


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    assert len(dict(pairs)) == len(pairs), f"a key stands twice among {[key for key, _ in pairs]}"
    return dict(pairs)


def _check_case(case: dict[str, Any]) -> None:
    assert set(case) <= OF_CASE, set(case) - OF_CASE
    uuid.UUID(case["CaseID"])
    assert isinstance(case["CaseNumber"], str)
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
    # Nothing that nobody confirmed stands as a grade.
    assert not (item.get("IsSuspected") == "true" and "Category" in item)
    assert ("PrecategorizationSource" in item) == (item.get("IsPrecategorized") == "true")
    for extra, name, value in (
        ("Exifs", "PropertyName", "PropertyValue"),
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
