"""The naive reading of VICS JSON, the oracle of the fast one: ijson events, one record at a time, no position."""

from __future__ import annotations

import codecs
import io
import re
from pathlib import Path
from typing import Any

import ijson

from caid_triage.hashset.readers.fields import UnusableError
from caid_triage.hashset.readers.json_text import MAX_NESTING
from caid_triage.hashset.readers.vics_record import row_of_media
from caid_triage.hashset.rows import Row, SourceFile

_CASE = {"media", "caseid", "casenumber", "totalmediafiles", "contactname", "contactorganization"}
_MEDIA = {"md5", "md5hash", "sha1", "sha1hash", "sha256", "pdq", "category", "mediaid", "mediasize", "photodna",
          "series", "alternativehashes", "mediafiles", "relativefilepath"}  # fmt: skip
_ESCAPE = re.compile(
    rb"\\u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2}"  # a whole pair
    rb"|(?P<half>\\u[dD][89a-fA-F][0-9a-fA-F]{2})"
    rb"|\\.",
    re.DOTALL,
)


class _Repeating(dict[str, Any]):
    """A JSON object that remembers all its pairs."""

    def __init__(self) -> None:
        super().__init__()
        self.pairs: list[tuple[str, Any]] = []

    def __setitem__(self, key: str, value: Any) -> None:
        self.pairs.append((key, value))
        super().__setitem__(key, value)


def plain_vics(path: Path) -> list[Row | str] | None:
    """Rows and reasons of refusal in file order; None if the file as a whole is refused."""
    data = path.read_bytes()
    if data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        data = data.decode("utf-16", "replace").encode("utf-8")
    data = data.removeprefix(codecs.BOM_UTF8)
    # ijson refuses a whole file for half a surrogate pair in one comment; we read it as "?" (the one difference).
    data = _ESCAPE.sub(lambda found: b"?" if found["half"] else found[0], data)
    # ijson's C back end does not survive these (3.6.0), so it never sees them.
    if re.search(rb"[0-9]{2000}", data):
        return None
    try:
        depth = 0
        for _, event, _ in ijson.parse(io.BytesIO(data)):
            depth += event.startswith("start_") - event.startswith("end_")
            if depth > MAX_NESTING:
                return None
        prefix = "value.item.Media.item" if _is_case(data) else "value.item"
        values = list(ijson.items(io.BytesIO(data), prefix, map_type=_Repeating))
    except (ijson.JSONError, ValueError, ArithmeticError, RecursionError):
        return None
    if not values:
        return None
    source = SourceFile(path)
    source.close()
    found: list[Row | str] = []
    for value in values:
        try:
            found.append(row_of_media(_as_read(value), source))
        except UnusableError as error:
            found.append(str(error))
    return found


def _as_read(value: Any) -> Any:
    if isinstance(value, _Repeating):
        pairs = tuple((key, _as_read(inner)) for key, inner in value.pairs)
        return dict(pairs) if len(dict(pairs)) == len(pairs) else pairs
    if isinstance(value, list):
        return [_as_read(inner) for inner in value]
    return value


def _is_case(data: bytes) -> bool:
    for prefix, event, value in ijson.parse(io.BytesIO(data)):
        if event == "map_key" and prefix == "value.item":
            if value.lower() in _CASE:
                return True
            if value.lower() in _MEDIA:
                return False
    found = re.search(rb'"(?:@odata\.context|odata\.metadata)"\s*:\s*"([^"]{1,500})"', data)
    return found is not None and found[1].endswith(b"#Cases")
