"""XMP packets: what software wrote of a picture's making and its history.

Read by expat as a stream, with bounds on size, elements and depth; entities are refused, so nothing can be expanded or
fetched. Of a packet that breaks off, what came before is kept. Only properties of the picture itself are taken, not
those of the pictures that were pasted into it. Source: ISO 16684-1 (XMP), Adobe XMP Specification Part 2.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from xml.parsers.expat import ExpatError, ParserCreate

from caid_triage.examine.metadata_text import clean, coordinate, moment

MOST_BYTES = 512 * 1024
MOST_ELEMENTS = 20_000
MOST_DEPTH = 64
MOST_EVENTS = 50
MOST_TEXT = 4000

RDF = "http://www.w3.org/1999/02/22-rdf-syntax-ns# "
XMP, MM = "http://ns.adobe.com/xap/1.0/ ", "http://ns.adobe.com/xap/1.0/mm/ "
TIFF, EXIF, EXIF_EX = "http://ns.adobe.com/tiff/1.0/ ", "http://ns.adobe.com/exif/1.0/ ", "http://cipa.jp/exif/1.0/ "
AUX, DC = "http://ns.adobe.com/exif/1.0/aux/ ", "http://purl.org/dc/elements/1.1/ "
IPTC = "http://iptc.org/std/Iptc4xmpExt/2008-02-29/ "
EVENT, REFERENCE = (
    "http://ns.adobe.com/xap/1.0/sType/ResourceEvent# ",
    "http://ns.adobe.com/xap/1.0/sType/ResourceRef# ",
)
TEXTS: Mapping[str, str] = {
    TIFF + "Make": "camera-make", TIFF + "Model": "camera-model", TIFF + "Software": "software",
    AUX + "SerialNumber": "camera-serial", EXIF_EX + "BodySerialNumber": "camera-serial",
    AUX + "Lens": "lens-model", EXIF_EX + "LensModel": "lens-model", AUX + "LensSerialNumber": "lens-serial",
    EXIF_EX + "LensSerialNumber": "lens-serial",
    AUX + "OwnerName": "camera-owner", EXIF_EX + "CameraOwnerName": "camera-owner",
    EXIF + "ImageUniqueID": "image-unique-id", EXIF + "UserComment": "user-comment",
    DC + "creator": "artist", DC + "rights": "copyright", DC + "description": "description", DC + "title": "title",
    XMP + "CreatorTool": "creator-tool", MM + "OriginalDocumentID": "original-document-id",
    MM + "DocumentID": "document-id", IPTC + "DigitalSourceType": "digital-source-type",
}  # fmt: skip
TIMES: Mapping[str, str] = {
    EXIF + "DateTimeOriginal": "taken", XMP + "CreateDate": "digitised", XMP + "ModifyDate": "modified",
}  # fmt: skip
PLACES: Mapping[str, str] = {EXIF + "GPSLatitude": "latitude", EXIF + "GPSLongitude": "longitude"}
HISTORY, DERIVED = MM + "History", MM + "DerivedFrom"
WANTED = frozenset({*TEXTS, *TIMES, *PLACES, HISTORY, DERIVED})
DERIVED_IDS = ("originalDocumentID", "documentID", "instanceID")
_PLACE = re.compile(r"(\d{1,3}),(\d{1,2}(?:\.\d{1,20})?)(?:,(\d{1,2}(?:\.\d{1,20})?))?([NSEW])")


class _Enough(Exception):  # noqa: N818  a bound was reached
    """The rest of the packet is not read."""


@dataclass(slots=True)
class Xmp:
    """What a packet says: one text a name, and the steps of its history, oldest first."""

    found: dict[str, str] = field(default_factory=dict)
    history: list[str] = field(default_factory=list)


def read_xmp(packet: bytes) -> Xmp:
    """Return what the packet says of the picture, as far as it could be read. Never raises for its content."""
    reader = _Reader()
    with suppress(ExpatError, _Enough, ValueError):  # what came before the fault stands
        reader.parser.Parse(packet[:MOST_BYTES].strip(b"\0 \t\r\n"), True)
    return reader.conclude()


class _Reader:
    """The handlers of one parse.

    ``rdf`` is the depth of rdf:RDF (0: outside), ``owner`` the property of the picture itself that the place lies in
    ("" where it lies in none that is wanted) and ``inside`` the elements between that and the place.
    """

    def __init__(self) -> None:
        self.parser = ParserCreate(namespace_separator=" ")
        self.parser.buffer_text = True
        self.parser.StartElementHandler = self._start
        self.parser.EndElementHandler = self._end
        self.parser.CharacterDataHandler = self._text
        self.parser.StartDoctypeDeclHandler = self._refuse
        self.elements = self.depth = self.rdf = 0
        self.described = False
        self.owner = ""
        self.inside: list[str] = []
        self.text = ""
        self.found: dict[str, str] = {}
        self.derived: dict[str, str] = {}
        self.events: list[dict[str, str]] = []

    def _refuse(self, *_: object) -> None:
        raise _Enough

    def _start(self, name: str, attributes: dict[str, str]) -> None:
        self.elements += 1
        self.depth += 1
        self.text = ""
        if self.elements > MOST_ELEMENTS or self.depth > MOST_DEPTH:
            raise _Enough
        if not self.rdf:
            self.rdf = self.depth if name == RDF + "RDF" else 0
        elif self.depth == self.rdf + 1:
            self.described = name == RDF + "Description"
            for attribute, value in attributes.items() if self.described else ():
                if attribute in WANTED:
                    self._take(attribute, value)
        elif self.depth == self.rdf + 2:
            self.owner = name if self.described and name in WANTED else ""
            self._attributes(attributes)
        elif self.owner:
            self.inside.append(name)
            if self.owner == HISTORY and name == RDF + "li" and self.inside.count(name) == 1:
                if len(self.events) >= MOST_EVENTS:
                    raise _Enough
                self.events.append({})
            self._attributes(attributes)

    def _attributes(self, attributes: dict[str, str]) -> None:
        for attribute, value in attributes.items() if self.owner else ():
            if attribute == RDF + "resource":
                self._leaf(value)
            elif not attribute.startswith(RDF):
                self.inside.append(attribute)
                self._leaf(value)
                self.inside.pop()

    def _text(self, data: str) -> None:
        if self.owner and len(self.text) < MOST_TEXT:
            self.text += data[:MOST_TEXT]

    def _end(self, _name: str) -> None:
        if self.owner:
            if self.text and not self.text.isspace():
                self._leaf(self.text)
            if self.depth == self.rdf + 2:
                self.owner = ""
            else:
                self.inside.pop()
        self.text = ""
        if self.depth == self.rdf:
            self.rdf = 0
        self.depth -= 1

    def _leaf(self, value: str) -> None:
        """Take one text, by the property that it belongs to."""
        last = next((name for name in reversed(self.inside) if not name.startswith(RDF)), self.owner)
        value = value[:MOST_TEXT].strip()
        if self.owner == HISTORY:
            if last.startswith(EVENT) and self.events:
                self.events[-1].setdefault(last.removeprefix(EVENT), value)
        elif self.owner == DERIVED:
            if last.startswith(REFERENCE):
                self.derived.setdefault(last.removeprefix(REFERENCE), value)
        elif last == self.owner:
            self._take(last, value)

    def _take(self, name: str, value: str) -> None:
        """Take the text of a simple property; of several languages or authors the first."""
        if name in TEXTS:
            self.found.setdefault(TEXTS[name], clean(value))
        elif name in TIMES:
            self.found.setdefault(TIMES[name], moment(value))
        elif name in PLACES:
            self.found.setdefault(PLACES[name], _degrees(value, PLACES[name]))

    def conclude(self) -> Xmp:
        """Return everything that was met, in order."""
        found = {name: value for name, value in self.found.items() if value}
        if not {"latitude", "longitude"} <= found.keys():
            found.pop("latitude", None)
            found.pop("longitude", None)
        title = found.pop("title", "")
        if title:
            found.setdefault("description", title)
        derived = next((self.derived[word] for word in DERIVED_IDS if self.derived.get(word)), "")
        if derived:
            found["derived-from"] = clean(derived)
        history = [_step(event) for event in self.events]
        return Xmp(found, [step for step in history if step])


def _step(event: Mapping[str, str]) -> str:
    """Return one step of a history: when, what, with which software."""
    when = moment(event.get("when", "")) if event.get("when") else "time unknown"
    what = event.get("action", "")
    if not what:
        return ""
    software, changed = event.get("softwareAgent", ""), event.get("changed", "")
    words = f"{when}: {what}" + (f" with {software}" if software else "") + (f" ({changed})" if changed else "")
    return clean(words)


def _degrees(text: str, name: str) -> str:
    """Return signed decimal degrees of XMP's "55,40.62N", "" for what is no place."""
    from_text = _PLACE.fullmatch(text)
    if from_text is None:
        return ""
    degrees, minutes, seconds, side = from_text.groups()
    if side not in ("NS" if name == "latitude" else "EW") or float(minutes) > 60 or float(seconds or 0) > 60:
        return ""
    value = int(degrees) + float(minutes) / 60 + float(seconds or 0) / 3600
    if value > (90 if name == "latitude" else 180):
        return ""
    return coordinate(-value if side in "SW" else value)
