"""vics.json and vics-new.json: contents as a VICS 2.0 case, for the tools that grade and share.

One Case an exhibit, one Media a content, one MediaFile an occurrence. vics.json has the contents that met a hash set or
that an examiner graded; vics-new.json the pictures and films that nothing knows: what a unit grades and contributes.
The vics.json of a media export has the contents that lie beside it, each with the path of its file.
An exact match carries its Category, and so does an examiner's decision; a look-alike that nobody confirmed is
"IsSuspected" and carries none. Booleans are strings, as real exporters write them. "@odata.context" comes first and
"value" second, nothing else at the root: some readers insist on that (docs/formats/interchange.md).
"""

from __future__ import annotations

import base64
import json
import uuid
from collections.abc import Iterable, Mapping, Sequence
from itertools import groupby
from operator import attrgetter
from types import MappingProxyType
from typing import Any, TextIO

from caid_triage.case.details import contact_of, seized_of
from caid_triage.case.exchange import ExchangeRow, ExchangeTotals
from caid_triage.case.view import CaseView
from caid_triage.report.exchange import (
    NEAR_NOTE,
    Grade,
    Grades,
    folder_and_name,
    is_deleted,
    is_unallocated,
)
from caid_triage.report.text import iso

CONTEXT = "http://github.com/VICSDATAMODEL/ProjectVic/DataModels/2.0.xml/{region}/$metadata#Cases"
NAMESPACE = uuid.uuid5(uuid.NAMESPACE_DNS, "caid-triage.vics")
NOTHING = ExchangeTotals(0, 0)
NOWHERE: Mapping[bytes, str] = MappingProxyType({})
# Field of a Media record -> the word for it that the case keeps (hashset/rows.py). What a set says of its own
# precategorising is left out: IsPrecategorized says here whether an exact match is behind the Category.
STATED = MappingProxyType(
    {
        "VictimIdentified": "victim-identified",
        "OffenderIdentified": "offender-identified",
        "IsDistributed": "distributed",
        "SelfGenerated": "self-generated",
    }
)
SUSPECTED = "suspected"
# Field of a Case -> whom to ask, as a contact file has it.
CONTACT_FIELDS = MappingProxyType(
    {
        "ContactOrganization": "organisation", "ContactTitle": "title", "ContactPhone": "phone",
        "ContactEmail": "email",
    }
)  # fmt: skip
# Names of docs/formats/metadata.md and the tag of EXIF 2.32 that says the same: these are Exifs, all others
# MediaMetadata, under our names.
EXIF_NAMES = MappingProxyType(
    {
        "camera-make": "Make", "camera-model": "Model", "camera-serial": "BodySerialNumber",
        "camera-owner": "CameraOwnerName", "lens-model": "LensModel", "lens-serial": "LensSerialNumber",
        "taken": "DateTimeOriginal", "digitised": "DateTimeDigitized", "modified": "DateTime",
        "latitude": "GPSLatitude", "longitude": "GPSLongitude", "altitude": "GPSAltitude", "software": "Software",
        "artist": "Artist", "copyright": "Copyright", "description": "ImageDescription",
        "user-comment": "UserComment", "image-unique-id": "ImageUniqueID",
    }
)  # fmt: skip


def write_vics(view: CaseView, out: TextIO) -> None:
    """Write the VICS case of what is listed, one Media at a time: memory does not grow with the case."""
    _write(view, out, "listed_content")


def write_new_vics(view: CaseView, out: TextIO) -> None:
    """Write the VICS case of the pictures and films that no exact match and no examiner knows."""
    _write(view, out, "new_content")


def write_exported_vics(view: CaseView, out: TextIO, files: Mapping[bytes, str], exhibits: Sequence[str]) -> None:
    """Write the VICS case of what a media export has written of these exhibits.

    ``files`` has where each content (SHA-256) lies, relative to the folder that ``out`` lies in, with "/".
    """
    view.note_written(files, exhibits)
    _write(view, out, "written_content", files, exhibits)


def _write(
    view: CaseView,
    out: TextIO,
    selection: str,
    files: Mapping[bytes, str] = NOWHERE,
    only: Sequence[str] | None = None,
) -> None:
    grades = Grades(view)
    totals = view.exchange_totals(selection)
    heads = view.exchange_contents(selection, heads=True)
    # The rows give the exhibits in the order of the sources, and leave out those without any.
    of_exhibits = groupby(view.exchange_contents(selection), key=attrgetter("exhibit"))
    pending = next(of_exhibits, None)
    exhibits = dict.fromkeys(source.exhibit for source in view.sources() if only is None or source.exhibit in only)
    out.write('{"@odata.context":' + _compact(CONTEXT.format(region=grades.region)) + ',"value":[')
    for place, exhibit in enumerate(exhibits):
        opening = _compact(_case(view, exhibit, totals.get(exhibit, NOTHING)))[:-1]
        out.write((",\n" if place else "\n") + opening + ',"Media":[')
        if pending is not None and pending[0] == exhibit:
            contents = groupby(pending[1], key=attrgetter("content"))
            for many, ((_, rows), head) in enumerate(zip(contents, heads, strict=False)):
                media = _compact(_media(head, grades.of(head), files))
                out.write((",\n" if many else "\n") + media[:-1] + ',"MediaFiles":[')
                for number, row in enumerate(rows):
                    out.write("," * bool(number) + _compact(_media_file(row)))
                out.write("]}")
            pending = next(of_exhibits, None)
        out.write("]}")
    out.write("]}\n")


def _case(view: CaseView, exhibit: str, totals: ExchangeTotals) -> dict[str, Any]:
    header, details = view.header, view.details()
    contact, seized = contact_of(details), seized_of(details).get(exhibit, "")
    stated = {field: getattr(contact, name) for field, name in CONTACT_FIELDS.items()}
    case_id = str(uuid.uuid5(NAMESPACE, f"{header.reference}\n{exhibit}"))
    facts = {"CaseReference": header.reference, "Operation": header.operation}
    return {
        "CaseID": case_id,
        "CaseNumber": exhibit,
        "ContactName": contact.name or header.examiner,
        **{field: value for field, value in stated.items() if value},
        **({"SeizureDate": _moment(seized)} if seized else {}),
        "SourceApplicationName": str(header.tool.get("name", "caid-triage")),
        "SourceApplicationVersion": str(header.tool.get("version", "")),
        "TotalMediaFiles": totals.contents,
        "TotalPrecategorized": totals.precategorised,
        "CaseMetadata": [
            {"CaseID": case_id, "PropertyName": name, "PropertyValue": value} for name, value in facts.items() if value
        ],
    }


def _moment(seized: str) -> str:
    """A day as the moment at which it begins, without a zone, for readers that want a moment; else as it is stated."""
    return seized if "T" in seized else f"{seized}T00:00:00"


def _media(row: ExchangeRow, grade: Grade, files: Mapping[bytes, str]) -> dict[str, Any]:
    """A content without its files. The hash that every reader asks for is the MD5."""
    media: dict[str, Any] = {"MediaID": row.content, "MD5": _hex(row.md5)}
    if row.sha1 is not None:
        media["SHA1"] = _hex(row.sha1)
    if row.photodna is not None:
        media["PhotoDNA"] = base64.b64encode(row.photodna).decode("ascii")
    if row.size is not None:
        media["MediaSize"] = row.size
    media["MimeType"] = row.media_type
    if row.sha256 is not None and row.sha256 in files:
        media["RelativeFilePath"] = files[row.sha256].replace("/", "\\")
    media |= _graded(row, grade) | _stated(row, grade)
    hashes = {"SHA256": _hex(row.sha256), "PDQ": "" if row.pdq is None else row.pdq.hex()}
    lists = {
        "Exifs": _properties(row, ((EXIF_NAMES[name], value) for name, value in row.pairs if name in EXIF_NAMES)),
        "MediaMetadata": _properties(row, _metadata(row)),
        "AlternativeHashes": [
            {"MD5": _hex(row.md5), "HashName": name, "HashValue": value} for name, value in hashes.items() if value
        ],
    }
    return media | {name: found for name, found in lists.items() if found}


def _metadata(row: ExchangeRow) -> Iterable[tuple[str, str]]:
    """What examining found of a picture or film, and what it says of itself that is no tag of EXIF."""
    found = {"Width": row.width, "Height": row.height, "Duration": row.duration_s}
    yield from ((name, str(value)) for name, value in found.items() if value is not None)
    yield from ((name, value) for name, value in row.pairs if name not in EXIF_NAMES)


def _graded(row: ExchangeRow, grade: Grade) -> dict[str, Any]:
    if not grade.by:
        return {}
    if grade.by == "near":
        return {"IsSuspected": "true", "IsPrecategorized": "false", "Tags": NEAR_NOTE, "Comments": grade.remark}
    category = {} if grade.number is None else {"Category": grade.number}
    if grade.by == "examiner":
        return {**category, "IsPrecategorized": "false", "Comments": grade.remark}
    sets = ", ".join(f"{name} ({algorithm})" for name, algorithm in row.sets)
    source = f"exact hash match: {sets}" if sets else "exact hash match"
    return {**category, "IsPrecategorized": "true", "PrecategorizationSource": source, "Comments": grade.remark}


def _stated(row: ExchangeRow, grade: Grade) -> dict[str, str]:
    """What the hash sets state of the item that this content is, and never that something is not so.

    "Suspected" asks for an eye on it: once an examiner has graded it, it is no longer said.
    """
    words = {**STATED, **({} if grade.by == "examiner" else {"IsSuspected": SUSPECTED})}
    series = {"Series": row.series} if row.series else {}
    return {**{name: "true" for name, word in words.items() if word in row.stated}, **series}


def _properties(row: ExchangeRow, pairs: Iterable[tuple[str, str]]) -> list[dict[str, str]]:
    return [{"MD5": _hex(row.md5), "PropertyName": name, "PropertyValue": value} for name, value in pairs]


def _media_file(row: ExchangeRow) -> dict[str, Any]:
    folder, name = folder_and_name(row.raw_path, row.path)
    found: dict[str, Any] = {
        "MD5": _hex(row.md5),
        "FileName": name,
        # Directory only, with its last separator and the volume in front, as Clees4All writes it.
        "FilePath": row.volume + folder,
        "SourceID": row.source,
    }
    times = {"Created": row.created, "Written": row.modified, "Accessed": row.accessed}
    found.update({name: iso(moment) for name, moment in times.items() if moment is not None})
    if is_deleted(row):
        found["Deleted"] = "true"
    if is_unallocated(row):
        found["Unallocated"] = "true"
    if row.physical_offset is not None:
        found["PhysicalLocation"] = row.physical_offset
    return found | _parent(row)


def _parent(row: ExchangeRow) -> dict[str, Any]:
    """The container that an embedded file came out of; without an MD5 where it could not be read to its end."""
    if row.holder_path is None or row.holder_raw is None:
        return {}
    folder, name = folder_and_name(row.holder_raw, row.holder_path)
    found: dict[str, Any] = {} if row.holder_md5 is None else {"ParentMD5": _hex(row.holder_md5)}
    found |= {"ParentFileName": name, "ParentFilePath": row.volume + folder}
    if row.holder_offset is not None:
        found["ParentPhysicalLocation"] = row.holder_offset
    return found


def _hex(digest: bytes | None) -> str:
    return "" if digest is None else digest.hex().upper()


def _compact(value: object) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))
