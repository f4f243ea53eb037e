"""metadata.csv: one row per file that says something of its own origin, one column per thing said."""

from __future__ import annotations

import re
from collections.abc import Mapping
from types import MappingProxyType
from typing import TextIO

from caid_triage.case.metadata import MetadataRow
from caid_triage.case.view import CaseView
from caid_triage.report.guard import guarded
from caid_triage.report.rows_csv import csv_writer
from caid_triage.report.text import cell

OF_FILE = ("exhibit", "source", "volume", "path", "state", "kind", "media_type", "sha256", "camera_lead")
# Column -> name of docs/formats/metadata.md. Times have a second column with their zone.
TIMES: Mapping[str, str] = MappingProxyType(
    {"taken": "taken", "digitised": "digitised", "modified_in_file": "modified", "created_in_file": "created"}
)
BEFORE_TIMES = ("camera-make", "camera-model", "camera-serial", "camera-internal-serial", "camera-owner",
                "lens-model", "lens-serial")  # fmt: skip
AFTER_PLACE = (
    "altitude", "gps-time", "software", "creator-tool", "artist", "copyright", "description", "user-comment",
    "image-unique-id", "original-document-id", "document-id", "derived-from", "digital-source-type",
    "generator-parameters", "history", "container-created", "container-format", "video-codec", "frame-rate", "encoder",
)  # fmt: skip
PLACE = ("latitude", "longitude")
ZONES: Mapping[str, str] = MappingProxyType({" zone unknown": "unknown", " (not a valid time)": "not a valid time"})
BETWEEN = " | "
_NUMBER = re.compile(r"-?\d{1,20}(\.\d{1,20})?", re.ASCII)
_ZONE = re.compile(r"[+-]\d\d:\d\d", re.ASCII)


def columns() -> list[str]:
    """The header, in its order."""
    times = [column for name in TIMES for column in (name, f"{name}_zone")]
    names = [*BEFORE_TIMES, *times, *PLACE, *AFTER_PLACE, "other"]
    return [*OF_FILE, *(name.replace("-", "_") for name in names)]


def write_metadata(view: CaseView, out: TextIO) -> None:
    """Write what every file says of its own origin."""
    writer = csv_writer(out)
    writer.writerow(columns())
    writer.writerows(cells(row) for row in view.metadata())


def cells(row: MetadataRow) -> list[object]:
    """One row; nothing that the file says is left out: what has no column of its own is under ``other``."""
    said: dict[str, str] = {}
    for name, value in row.pairs:
        said[name] = f"{said[name]}{BETWEEN}{value}" if name in said else value
    found: list[object] = [cell(getattr(row, name)) for name in OF_FILE]
    found += [guarded(said.pop(name, "")) for name in BEFORE_TIMES]
    for name in TIMES.values():
        found += _time(said.pop(name, ""))
    place = row.place()
    found += ["", ""] if place is None else [f"{degrees:.6f}" for degrees in place]
    if place is not None and "latitude" in said:
        del said["latitude"], said["longitude"]
    found += [_text_or_number(said.pop(name, "")) for name in AFTER_PLACE]
    found.append(guarded(BETWEEN.join(f"{name}={value}" for name, value in said.items())))
    return found


def _time(text: str) -> tuple[str, str]:
    """A time and its zone: "Z", "+02:00", "unknown" or "not a valid time"."""
    for ending, word in ZONES.items():
        if text.endswith(ending):
            return guarded(text.removesuffix(ending)), word
    if text.endswith("Z"):
        return guarded(text[:-1]), "Z"
    zone = text[-6:]
    return (guarded(text[:-6]), zone) if len(text) > 16 and _ZONE.fullmatch(zone) else (guarded(text), "")


def _text_or_number(text: str) -> str:
    """A height below the sea is a number and no formula."""
    return text if _NUMBER.fullmatch(text) else guarded(text)
