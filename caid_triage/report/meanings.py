"""What the words and codes of a case mean to an investigator. Plain data, printed beside the figures."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from caid_triage.model import DecodeState

# Volume states in which files may exist that nobody has seen. "examined" and "empty" are not among them.
STATUS_WORDS: Mapping[str, str] = MappingProxyType(
    {
        "not-understood": "file system not understood, no file of it was seen",
        "encrypted": "encrypted, no file of it was seen",
        "unreadable": "could not be read, no file of it was seen",
    }
)

# (short, in full)
DECODE_WORDS: Mapping[DecodeState, tuple[str, str]] = MappingProxyType(
    {
        DecodeState.DECODED: ("decoded", "The picture was decoded; exact and look-alike comparison were both made."),
        DecodeState.PARTIAL: (
            "picture damaged, decoded in part",
            "Compared exactly; a look-alike comparison of a damaged picture can miss.",
        ),
        DecodeState.REFUSED: (
            "picture refused by a safety limit",
            "Compared exactly, not by look: decoding would have taken too much memory or time.",
        ),
        DecodeState.UNDECODABLE: ("picture cannot be decoded", "Compared exactly, not by look."),
        DecodeState.NOT_MEDIA: ("not media", "Not a picture or a film by its content; compared exactly."),
        DecodeState.NOT_ATTEMPTED: (
            "media not decoded",
            "Compared exactly where it could be read, not by look.",
        ),
    }
)

COVERAGE_WORDS: Mapping[str, str] = MappingProxyType(
    {
        "file_system": "inside file systems that were walked",
        "not_understood": "volumes whose file system was not understood: nothing of them was seen",
        "encrypted": "encrypted volumes: nothing of them was seen",
        "unreadable": "could not be read: nothing of it was seen",
        "unpartitioned": "outside every partition: not searched in this version",
        "partition_table": "partition tables and reserved sectors",
        "files": "files of a folder",
    }
)

PROBLEMS: Mapping[str, str] = MappingProxyType(
    {
        "source-not-opened": "The source could not be opened; nothing of it was examined.",
    }
)


def meaning(code: str) -> str:
    """What a problem code means, or "" for a code that this version has no words for (a plug-in's)."""
    return PROBLEMS.get(code, "")
