"""Model objects made by hand, for tests of the case and of the reports."""

from __future__ import annotations

import hashlib
from datetime import UTC, datetime
from typing import Any

from caid_triage.case.block_search import BlockSearch, FoundFragment
from caid_triage.case.sampling import Fragment, Sampling
from caid_triage.model import (
    Category,
    DecodeState,
    Digests,
    Examination,
    FileEntry,
    FileTimes,
    Kind,
    Match,
    MatchKind,
    PerceptualHash,
    Problem,
    Role,
    ScanRecord,
    SourceInfo,
    State,
    Volume,
)

WHEN = datetime(2020, 1, 2, 3, 4, 5, tzinfo=UTC)
CATEGORY_A = Category("1", "Category A", "uk", 30)
CATEGORY_C = Category("3", "Category C", "uk", 10)
UNKNOWN = Category("77", "code 77 (scheme unknown)", "uk", None)

NOTABLE = {
    "name": "unit-set",
    "generation": "g1",
    "role": "notable",
    "scheme": "uk",
    "entries": 12,
    "sources": [{"file": "unit-set.json", "sha256": "ab" * 32, "region": "UK", "records": 12, "refused": 1}],
    "counts": {"records": 12},
}
KNOWN_GOOD = {**NOTABLE, "name": "good-set", "role": "known-good", "scheme": ""}


def digests(content: bytes) -> Digests:
    return Digests(hashlib.md5(content).digest(), hashlib.sha1(content).digest(), hashlib.sha256(content).digest())


def entry(number: int = 0, **changes: Any) -> FileEntry:
    fields: dict[str, Any] = {
        "exhibit": "ABC/1",
        "source": "disk.E01",
        "volume": "p1",
        "number": number,
        "path": f"/pictures/{number}.jpg",
        "raw_path": f"/pictures/{number}.jpg".encode(),
        "state": State.ALLOCATED,
        "size": 100 + number,
        "times": FileTimes(created=WHEN, modified=WHEN),
        "inode": 64 + number,
        "physical_offset": 4096 * number,
        "locator": (64 + number, 128, 0),
    }
    if "path" in changes:
        fields["raw_path"] = changes["path"].encode("utf-8", "surrogateescape")
    return FileEntry(**{**fields, **changes})


def examination(content: bytes = b"a picture", **changes: Any) -> Examination:
    fields: dict[str, Any] = {
        "digests": digests(content),
        "bytes_read": len(content),
        "kind": Kind.IMAGE,
        "media_type": "image/jpeg",
        "decode_state": DecodeState.DECODED,
        "width": 640,
        "height": 480,
        "hashes": (PerceptualHash("pdq", bytes(range(32)), 100), PerceptualHash("phash", bytes(range(8)))),
    }
    return Examination(**{**fields, **changes})


def record(number: int = 0, content: bytes | None = None, **changes: Any) -> ScanRecord:
    content = content if content is not None else f"content {number}".encode()
    of_examination = {
        word: changes.pop(word)
        for word in (
            "kind",
            "media_type",
            "decode_state",
            "width",
            "height",
            "duration_s",
            "hashes",
            "metadata",
            "digests",
        )
        if word in changes
    }
    found = changes.pop("found", ())
    return ScanRecord(entry(number, **changes), examination(content, problems=found, **of_examination))


def match(category: Category = CATEGORY_A, **changes: Any) -> Match:
    fields: dict[str, Any] = {
        "match_kind": MatchKind.EXACT,
        "algorithm": "sha256",
        "distance": 0,
        "threshold": 0,
        "category": category,
        "hashset": "unit-set",
        "generation": "g1",
        "role": Role.NOTABLE,
        "media_id": "17",
        "record_row": 4,
    }
    return Match(**{**fields, **changes})


def near(category: Category = CATEGORY_A, distance: int = 12, **changes: Any) -> Match:
    fields = {"match_kind": MatchKind.NEAR, "algorithm": "pdq", "distance": distance, "threshold": 31}
    return match(category, **{**fields, **changes})


def source(**changes: Any) -> SourceInfo:
    fields: dict[str, Any] = {
        "exhibit": "ABC/1",
        "source": "disk.E01",
        "kind": "ewf",
        "size": 10_000,
        "segments": ("/evidence/abc/disk.E01", "D:\\evidence\\disk.E02"),
        "acquisition": {"md5": "00" * 16},
    }
    return SourceInfo(**{**fields, **changes})


def volume(name: str = "p1", **changes: Any) -> Volume:
    fields: dict[str, Any] = {
        "name": name,
        "offset": 512,
        "length": 9000,
        "description": "NTFS / exFAT (0x07)",
        "file_system": "NTFS",
        "status": "examined",
    }
    return Volume(**{**fields, **changes})


def problem(code: str = "unreadable", **changes: Any) -> Problem:
    return Problem(**{"step": "read", "code": code, "detail": "sector 12 could not be read", **changes})


def sampling() -> tuple[Sampling, list[Fragment]]:
    """A sampling of the source that met blocks of two listed files."""
    left_out = {"low entropy": 7}
    blocks = {"size": 4096, "kept": 90, "left_out": left_out, "files": 3, "files_without": 1}
    facts = {"name": "blocks-of-ours", "generation": "b1", "blocks": blocks}
    one = Sampling("ABC/1", "disk.E01", {"kind": "ewf", "size": 10_000_000}, 10_000_000, facts, 5, 2442)
    one.confidence, one.target, one.wanted, one.drawn, one.read, one.unread = "99/100", 1 << 20, 100, 100, 98, 2
    one.met, one.constant, one.random, one.notes = 2, 50, 3, ("some of it could not be acquired",)
    found = [
        Fragment(8192, 0, 2, 5, 9, "item-1", "1", "Category A", "uk"),
        Fragment(65536, 1, 1, 1, 4, "item-2", "2", "Category B", "uk"),
    ]
    return one, found


def block_search() -> tuple[BlockSearch, list[FoundFragment]]:
    """What a scan of the same source found with the same set: blocks that the sampling met, more, and some in LUKS."""
    one = BlockSearch("ABC/1", "disk.E01", sampling()[0].hashset, "plan", True, 4_000_000, 4_000_000, 512)
    found = [
        FoundFragment("", "", Fragment(8192 + 3 * 4096, 0, 5, 4, 9, "item-1", "1", "Category A", "uk")),
        FoundFragment("p2/luks", "slack", Fragment(512, 1, 0, 2, 4, "item-2", "2", "Category B", "uk")),
    ]
    return one, found
