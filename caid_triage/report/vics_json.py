"""vics.json: the matched contents as a VICS 2.0 case, for the tools that grade and share (DOMAIN: VICS data model).

One Case an exhibit; one Media for each matched content, exact or near; one MediaFile for each occurrence. Files that
met nothing are not listed: files.csv has them. An exact match carries its Category where the code is a number. A
near one carries none: it is "IsSuspected" and says "near match, not confirmed", and in its comment whether it is of the
tier of leads. Booleans are strings, as real exporters write them. "@odata.context" comes first and "value" second,
nothing else at the root: some readers insist on that.
"""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterable, Iterator
from itertools import groupby
from operator import attrgetter
from typing import Any, TextIO

from caid_triage.case.rows import MediaFileRow
from caid_triage.case.view import CaseView
from caid_triage.model import MatchKind, State, Tier
from caid_triage.report.text import iso

CONTEXT = "http://github.com/VICSDATAMODEL/ProjectVic/DataModels/2.0.xml/{region}/$metadata#Cases"
NAMESPACE = uuid.uuid5(uuid.NAMESPACE_DNS, "caid-triage.vics")
NEAR_NOTE = "near match, not confirmed"
RECOVERED = frozenset({State.DELETED, State.ORPHAN})
UNALLOCATED = frozenset({State.CARVED, State.SLACK})


def write_vics(view: CaseView, out: TextIO) -> None:
    """Write the VICS case, one Media at a time: memory does not grow with the case."""
    out.write('{"@odata.context":' + _compact(CONTEXT.format(region=region(view))) + ',"value":[')
    media_of = groupby(view.media_files(), key=attrgetter("exhibit"))
    pending = next(media_of, None)
    for place, exhibit in enumerate(dict.fromkeys(source.exhibit for source in view.sources())):
        opening = _compact(_case(view, exhibit))[:-1]
        out.write((",\n" if place else "\n") + opening + ',"Media":[')
        # media_files() gives the exhibits in this same order, and leaves out those without a match.
        if pending is not None and pending[0] == exhibit:
            for media_id, media in enumerate(_media(pending[1]), start=1):
                out.write((",\n" if media_id > 1 else "\n") + _compact({"MediaID": media_id, **media}))
            pending = next(media_of, None)
        out.write("]}")
    out.write("]}\n")


def region(view: CaseView) -> str:
    """The region of the data model: "US" when every notable hash set has a US scheme, else "UK"."""
    schemes = {str(info.get("scheme") or "") for info in view.hashsets() if info.get("role") == "notable"}
    return "US" if schemes and all("us" in scheme.lower().split("-") for scheme in schemes) else "UK"


def _case(view: CaseView, exhibit: str) -> dict[str, Any]:
    header = view.header
    case_id = str(uuid.uuid5(NAMESPACE, f"{header.reference}\n{exhibit}"))
    facts = {"CaseReference": header.reference, "Operation": header.operation}
    return {
        "CaseID": case_id,
        "CaseNumber": exhibit,
        "ContactName": header.examiner,
        "SourceApplicationName": str(header.tool.get("name", "caid-triage")),
        "SourceApplicationVersion": str(header.tool.get("version", "")),
        "CaseMetadata": [
            {"CaseID": case_id, "PropertyName": name, "PropertyValue": value} for name, value in facts.items() if value
        ],
    }


def _media(rows: Iterable[MediaFileRow]) -> Iterator[dict[str, Any]]:
    for _, occurrences in groupby(rows, key=attrgetter("media")):
        files = list(occurrences)
        first = files[0]
        media: dict[str, Any] = {"MD5": _hex(first.md5)}
        if first.sha1 is not None:
            media["SHA1"] = _hex(first.sha1)
        if first.size is not None:
            media["MediaSize"] = first.size
        media["MimeType"] = first.media_type
        if first.sha256 is not None:
            media["AlternativeHashes"] = [
                {"MD5": _hex(first.md5), "HashName": "SHA256", "HashValue": _hex(first.sha256)}
            ]
        yield {**media, **_grade(first), "MediaFiles": [_media_file(row) for row in files]}


def _grade(row: MediaFileRow) -> dict[str, Any]:
    if row.match_kind is not MatchKind.EXACT:
        tier = " (tier: lead)" if row.tier is Tier.LEAD else ""
        comment = f"{NEAR_NOTE}{tier}; listed item: {row.category_label}"
        return {"IsSuspected": "true", "Tags": NEAR_NOTE, "Comments": comment}
    grade: dict[str, Any] = {
        "IsPrecategorized": "true",
        "PrecategorizationSource": "exact hash match",
        "Comments": row.category_label,
    }
    # isdecimal alone accepts other scripts' digits; a code such as "1a" stays in the comment only.
    if row.category_code.isascii() and row.category_code.isdecimal():
        grade["Category"] = int(row.category_code)
    return grade


def _media_file(row: MediaFileRow) -> dict[str, Any]:
    folder, _, name = row.path.rpartition("/")
    found: dict[str, Any] = {
        "MD5": _hex(row.md5),
        "FileName": name,
        # Directory only, with its last separator and the volume in front, as Clees4All writes it.
        "FilePath": f"{row.volume}{folder}/",
        "SourceID": row.source,
    }
    times = {"Created": row.created, "Written": row.modified, "Accessed": row.accessed}
    found.update({name: iso(moment) for name, moment in times.items() if moment is not None})
    # What lies in a deleted file is deleted with it; so is what a container holds and does not list any more.
    state = row.container_state or row.state
    if row.removed or state in RECOVERED | UNALLOCATED:
        found["Deleted"] = "true"
    if state in UNALLOCATED:
        found["Unallocated"] = "true"
    if row.physical_offset is not None:
        found["PhysicalLocation"] = row.physical_offset
    return found


def _hex(digest: bytes | None) -> str:
    return "" if digest is None else digest.hex().upper()


def _compact(value: object) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))
