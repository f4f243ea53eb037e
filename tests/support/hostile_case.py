"""A case in which every text that somebody else can choose is one given text, for tests of what a person opens."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

from unit.case import samples

from caid_triage.case.rows import CaseHeader
from caid_triage.case.store import create_case
from caid_triage.model import Category, LedgerRange, State


def make_hostile_case(folder: Path, text: str, path: str | None = None) -> Path:
    """Matches, leads, contradictions, problems, volumes, origins, a ledger: all with ``text`` (paths: ``path``)."""
    path = "/" + text if path is None else path
    category = Category(text, text, text, 30)
    info = {
        **samples.NOTABLE, "name": text, "scheme": text, "scheme_title": text,
        "scheme_confirmed_by": text, "sources": [{"file": text, "sha256": text, "refused": 1}],
        "stated": {"victim-identified": 1, "distributed": 1, "series": 0},
    }  # fmt: skip
    good = {**info, "name": f"good {text}", "role": "known-good"}
    of_set = {"hashset": text, "media_id": text, "series": text, "stated": ("distributed",)}
    met = samples.match(category, **of_set)
    weak = samples.match(category, algorithm="md5", contradicted=True, **of_set)
    near = samples.near(category, look=text, **of_set)
    names = ("camera-make", "camera-model", "camera-serial", "software", "description", "other")
    origin = tuple((name, text) for name in names)
    problem = samples.problem(detail=text, path=path)
    records = [
        samples.record(0, path=path, metadata=origin, found=(problem,)),
        samples.record(1, path=path, metadata=(*origin, ("latitude", "51.5"), ("longitude", "-0.1"))),
        samples.record(2, path=path, state=State.DELETED),
    ]
    header = CaseHeader(text, text, text, {"option": text})
    with create_case(folder, header) as case:
        run = case.begin_run("scan", datetime(2026, 11, 29, tzinfo=UTC))
        for one in (info, good):
            case.record_hashset(one)
        source = samples.source(exhibit=text, source=text, acquisition={"md5": text, text: text})
        source_id = case.add_source(source, {})
        matches = [(met, replace(near, record_row=9)), (met,), (near, weak)]
        case.write_batch(source_id, records, matches, [samples.problem(detail=text, volume=text)], 3)
        volume = samples.volume(text, description=text)
        unseen = samples.volume(f"{text}2", description=text, file_system="", status="not-understood")
        ledger = [LedgerRange(0, 512, "", "partition_table"), LedgerRange(512, 10_000, text, "unallocated")]
        case.set_volumes(source_id, [volume, unseen], [problem], {"unallocated": 9488}, ledger)
        case.finish_source(source_id, 3, 3)
        # A second exhibit has one of the contents too, and the case is matched again.
        other = f"{text}2"
        other_id = case.add_source(samples.source(exhibit=other, source=other, acquisition={}), {})
        shared = samples.record(0, path=path, exhibit=other, source=other)
        case.write_batch(other_id, [shared], [()], [], 1)
        case.set_volumes(other_id, [], [], {})
        case.finish_source(other_id, 1, 1)
        case.replace_matches(
            [{**info, "generation": "g2"}],
            [
                (source_id, records, [tuple(replace(one, generation="g2") for one in every) for every in matches]),
                (other_id, [shared], [(replace(met, generation="g2"),)]),
            ],
        )
        case.end_run(run, datetime(2026, 11, 29, 1, tzinfo=UTC), "finished")
    return folder
