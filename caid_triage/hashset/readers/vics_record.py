"""One VICS Media record as a Row: the plain reading, which the fast one (vics_columns) must agree with."""

from __future__ import annotations

import re
from typing import Any

from caid_triage.hashset.readers.fields import (
    UnusableError,
    byte_size,
    category_code,
    is_true,
    photodna_bytes,
    quality_of,
    set_hash,
)
from caid_triage.hashset.readers.json_text import Object
from caid_triage.hashset.rows import RecordFlag, Row, SourceFile

HASHES = {"md5": "md5", "md5hash": "md5", "sha1": "sha1", "sha1hash": "sha1", "sha256": "sha256", "pdq": "pdq"}
FLAGS = {
    "victimidentified": int(RecordFlag.VICTIM_IDENTIFIED),
    "offenderidentified": int(RecordFlag.OFFENDER_IDENTIFIED),
    "isdistributed": int(RecordFlag.DISTRIBUTED),
    "issuspected": int(RecordFlag.SUSPECTED),
    "isprecategorized": int(RecordFlag.PRECATEGORISED),
    "selfgenerated": int(RecordFlag.SELF_GENERATED),
}
OTHERS = frozenset({"category", "mediaid", "mediasize", "photodna", "series", "alternativehashes", "mediafiles"})
FIELDS = frozenset({*HASHES, *FLAGS, *OTHERS})
ENVELOPE = frozenset({"value", "media", "caseid", "casenumber", "@odata.context"})
KNOWN_KEYS = FIELDS | ENVELOPE
_READ_KEYS = KNOWN_KEYS | {"hashname", "hashvalue"}
_ALTERNATIVES = {"md5", "sha1", "sha256", "pdq", "phash", "photodna"}

IGNORED_PHOTODNA = "PhotoDNA that is not 144 bytes"
IGNORED_FILES = "MediaFiles (names and places in other exhibits)"
IGNORED_ALTERNATIVES = "alternative hashes of other kinds"


def row_of_media(value: Any, source: SourceFile) -> Row:
    """The Row of one Media record; UnusableError with the reason if there is none."""
    if not isinstance(value, (dict, tuple)):
        raise UnusableError("the entry is not a record")
    row = Row()
    for key, field in _once(value).items():
        name = key.lower()
        if name in HASHES:
            set_hash(row, HASHES[name], field)
        elif name in FLAGS:
            if is_true(field):
                row.flags |= FLAGS[name]
        elif name == "category":
            row.category = category_code(field)
        elif name == "mediaid":
            row.media_id = "" if field is None or isinstance(field, (bool, list, dict, tuple)) else str(field).strip()
        elif name == "mediasize":
            row.size = byte_size(field)
        elif name == "photodna":
            _set_photodna(row, field, source)
        elif name == "series":
            row.series = _series_name(field)
        elif name == "alternativehashes":
            _set_alternatives(row, field, source)
        elif name == "mediafiles" and isinstance(field, list):
            source.ignored[IGNORED_FILES] += len(field)
    if not row.has_hash:
        raise UnusableError("no hash in the record")
    return row


def _once(found: Object) -> dict[str, Any]:
    """The object as a dict. A key of ours that stands twice makes it ambiguous (JSON leaves open which counts)."""
    if isinstance(found, dict):
        return found
    seen = set[str]()
    for key, _ in found:
        if key in seen and key.lower() in _READ_KEYS:
            raise UnusableError(f"the key {key} stands twice in the record")
        seen.add(key)
    return dict(found)


def _set_photodna(row: Row, field: Any, source: SourceFile) -> None:
    """PhotoDNA is carried, not computed: a value of another shape is left out and counted, the row stays."""
    if field is None or field == "":
        return
    row.photodna = photodna_bytes(field)
    if row.photodna is None:
        source.ignored[IGNORED_PHOTODNA] += 1


def _set_alternatives(row: Row, field: Any, source: SourceFile) -> None:
    """The hashes of ``AlternativeHashes``, by name; kinds we do not know are counted and left out."""
    for item in field if isinstance(field, list) else []:
        if not isinstance(item, (dict, tuple)):
            continue
        named = {key.lower(): value for key, value in _once(item).items()}
        name = re.sub(r"[^a-z0-9]", "", str(named.get("hashname", "")).lower())
        value = named.get("hashvalue")
        if name == "photodna":
            _set_photodna(row, value, source)
        elif name == "pdq" and isinstance(value, str) and "," in value:
            pdq, quality = value.split(",", 1)
            set_hash(row, "pdq", pdq, quality_of(quality))
        elif name in _ALTERNATIVES:
            set_hash(row, name, value)
        else:
            source.ignored[IGNORED_ALTERNATIVES] += 1


def _series_name(field: Any) -> str:
    """The series as text: a name, a list of names, or an object with a Name or Title."""
    if isinstance(field, str):
        return field.strip()
    if isinstance(field, list):
        return ", ".join(filter(None, (_series_name(item) for item in field)))
    if isinstance(field, (dict, tuple)):
        named = dict(field)
        return _series_name(named.get("Name") or named.get("Title") or "")
    return ""
