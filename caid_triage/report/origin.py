"""Cameras and places: what files say of their own origin, as the page and summary.json show it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from itertools import islice
from typing import Any

from caid_triage.case.metadata import CameraRow, MetadataFigures, MetadataRow
from caid_triage.case.view import CaseView

CAMERAS_SHOWN = 25
LEADS_SHOWN = 50
PLACES_SHOWN = 50
CAMERAS_IN_SUMMARY = 1000
CAUTION = (
    "A lead, not proof: any program can write or copy a serial number. Compare the pictures, and the device with that "
    "serial number if it is found."
)


@dataclass(frozen=True, slots=True)
class Placed:
    """A file and the place that it names; ``no_fix`` where that is 0, 0, as devices write that do not know it."""

    row: MetadataRow
    place: str
    no_fix: bool


@dataclass(frozen=True, slots=True)
class OriginFacts:
    """What the section shows: the cameras of listed files, files that state the same one, all cameras, places."""

    figures: MetadataFigures
    of_listed: list[CameraRow]
    leads: list[MetadataRow]
    leads_total: int
    others: list[CameraRow]
    others_total: int
    placed: list[Placed]
    caution: str = CAUTION


def origin_facts(view: CaseView) -> OriginFacts:
    """Read what the section shows."""
    cameras = view.cameras()
    of_listed = [row for row in cameras if row.leads]
    others = cameras[len(of_listed) :]
    return OriginFacts(
        figures=view.metadata_figures(),
        of_listed=of_listed,
        leads=list(islice(view.camera_leads(), LEADS_SHOWN)),
        leads_total=sum(row.files - row.listed for row in of_listed),
        others=others[:CAMERAS_SHOWN],
        others_total=len(others),
        placed=list(islice(_placed(view), PLACES_SHOWN)),
    )


def _placed(view: CaseView) -> Iterator[Placed]:
    for row in view.places():
        place = row.place()
        if place is not None:
            yield Placed(row, f"{place[0]:.6f}, {place[1]:.6f}", place == (0, 0))


def summarised_origin(view: CaseView) -> dict[str, Any]:
    """The key ``metadata`` of summary.json."""
    cameras, figures = view.cameras(), view.metadata_figures()
    of_listed = [row for row in cameras if row.leads]
    return {
        "files": figures.files,
        "files_with_place": figures.with_place,
        "cameras_seen": len(cameras),
        "cameras_with_usable_serial": sum(not row.unlinked for row in cameras),
        "camera_leads": [_camera(row) | {"other_files": row.files - row.listed} for row in of_listed],
        "camera_leads_note": CAUTION,
        "cameras": [_camera(row) for row in cameras[:CAMERAS_IN_SUMMARY]],
    }


def _camera(row: CameraRow) -> dict[str, Any]:
    facts = asdict(row)
    del facts["leads"]
    listed, unique = facts.pop("listed"), facts.pop("listed_unique")
    return {**facts, "listed_exactly": listed, "listed_exactly_unique": unique}
