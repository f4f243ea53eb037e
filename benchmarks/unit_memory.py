"""The unit's memory: a case of 100,000 files looked up among ten million digests, in SQLite and in PostgreSQL.

Rows only, no exhibit: digests and PDQ are random, of 100 cases. Beside the set-wise look-up a naive peer asks one
SELECT a file. Both stores, and the peer, must give the same answers. A server is started in a temporary folder.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import sqlite3
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / "tests")]

from support.postgres import missing, running_server  # noqa: E402
from unit.case import samples  # noqa: E402

from caid_triage.case.contents import case_key  # noqa: E402
from caid_triage.case.rows import CaseHeader  # noqa: E402
from caid_triage.case.store import create_case, open_case_for_writing  # noqa: E402
from caid_triage.case.view import open_case  # noqa: E402
from caid_triage.model import PerceptualHash  # noqa: E402
from caid_triage.unit.look import look, look_up  # noqa: E402
from caid_triage.unit.near import near_pictures  # noqa: E402
from caid_triage.unit.place import UnitPlace, unit_place  # noqa: E402
from caid_triage.unit.rows import Exhibit, Member, Row, picture_rows  # noqa: E402
from caid_triage.unit.store import Mode, UnitStore, open_unit  # noqa: E402

SHARED_PERCENT = 5  # of the case's files that are in the memory too
BATCH = 1000


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--digests", type=int, default=10_000_000)
    parser.add_argument("--cases", type=int, default=100)
    parser.add_argument("--files", type=int, default=100_000)
    parser.add_argument("--pictures", type=int, default=None, help="PDQ in the memory  [default: as many as digests]")
    parser.add_argument("--asked-pictures", type=int, default=20_000)
    parser.add_argument("--naive", type=int, default=100_000, help="files that the naive peer asks for")
    parser.add_argument("--folder", type=Path, default=None)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=options.folder) as name:
        print(json.dumps(run(Path(name), options), indent=1))


def run(folder: Path, options: argparse.Namespace) -> dict[str, Any]:
    found: dict[str, Any] = {
        "script": "unit_memory.py", "digests": options.digests, "cases": options.cases, "files": options.files,
        "load": os.getloadavg()[0], "cores": os.cpu_count(), "sqlite": sqlite3.sqlite_version,
    }  # fmt: skip
    case, asked = make_case(folder / "case", options)
    places = {"sqlite": UnitPlace(folder / "memory" / "unit.db")}
    looks = {"sqlite": measured(case, places["sqlite"], asked, options, found)}
    found["sqlite"]["bytes"] = (folder / "memory" / "unit.db").stat().st_size
    found["sqlite"] |= naive_sqlite(folder / "memory" / "unit.db", asked, options)
    shutil.rmtree(folder / "memory")
    if missing():
        found["postgres"] = missing()
        return found
    with running_server(durable=True, settings=("shared_buffers=1GB", "max_wal_size=4GB")) as server:
        looks["postgres"] = measured(case, unit_place(server.url()), asked, options, found)
        found["postgres"] |= naive_postgres(server.url(), asked, options)
    found["same_answers"] = looks["sqlite"] == looks["postgres"]
    assert found["same_answers"]
    return found


def memory_rows(options: argparse.Namespace) -> Iterator[tuple[int, np.ndarray, np.ndarray]]:
    """Of each case of the memory: its number, digests uint8[n, 68] sorted, PDQ uint8[m, 32]."""
    each = options.digests // options.cases
    pictures = (options.digests if options.pictures is None else options.pictures) // options.cases
    for number in range(options.cases):
        chance = np.random.default_rng(number)
        digests = chance.integers(0, 256, (each, 68), dtype=np.uint8)
        order = np.lexsort(digests[:, :8].T[::-1])
        yield number, digests[order], chance.integers(0, 256, (pictures, 32), dtype=np.uint8)


def make_case(folder: Path, options: argparse.Namespace) -> tuple[Path, list[bytes]]:
    """A case whose files share some contents with every case of the memory, and the digests that it asks for."""
    shared = options.files * SHARED_PERCENT // 100 // options.cases
    taken = [digests[:: max(1, len(digests) // shared)][:shared] for _, digests, _ in memory_rows(options)]
    chance = np.random.default_rng(2**32)
    known = np.concatenate(taken)
    digests = np.concatenate([known, chance.integers(0, 256, (options.files - len(known), 68), dtype=np.uint8)])
    looks = chance.integers(0, 256, (options.asked_pictures, 32), dtype=np.uint8)
    asked = [row[:32].tobytes() for row in digests]
    with create_case(folder, CaseHeader("OP/BENCH")) as case:
        source = case.add_source(samples.source(), {})
        for start in range(0, options.files, BATCH):
            records = []
            for number in range(start, min(start + BATCH, options.files)):
                row = digests[number].tobytes()
                digest = samples.Digests(row[52:], row[32:52], row[:32])
                hashes = (PerceptualHash("pdq", looks[number].tobytes(), 90),) if number < len(looks) else ()
                record = samples.record(number, b"x" * 1000, digests=digest, hashes=hashes)
                records.append(record)
            case.write_batch(source, records, [()] * len(records), [], start + len(records))
        case.finish_source(source, options.files, options.files)
    return folder, asked


def fill(store: UnitStore, options: argparse.Namespace) -> None:
    """Add the cases of the memory, as unit/add.py does, each in one transaction."""
    for number, digests, pdqs in memory_rows(options):
        key = f"{number:064x}"
        with store.writing(key):
            member = store.put_member(Member(0, key, f"OP/{number}", 0, "", "", 256, len(digests), 0, 0))
            facts = Exhibit(0, member, f"E/{number}", "disk.E01", len(digests), len(digests), len(pdqs))
            exhibit = store.put_exhibit(facts)
            store.put("sighting", sighting_rows(exhibit, digests))
            contents = [digests[n % len(digests), :32].tobytes() for n in range(len(pdqs))]
            pictures = [(content, pdq.tobytes()) for content, pdq in zip(contents, pdqs, strict=True)]
            store.put("picture", picture_rows(exhibit, pictures))


def sighting_rows(exhibit: int, digests: np.ndarray) -> Iterator[Row]:
    whole = digests.tobytes()
    for start in range(0, len(whole), 68):
        row = whole[start : start + 68]
        yield exhibit, row[:32], row[32:52], row[52:], 1000, "image", 1


def measured(
    case: Path, place: UnitPlace, asked: list[bytes], options: argparse.Namespace, found: dict[str, Any]
) -> Any:
    """Fill a store, look the case up in it, and measure; what was found."""
    figures: dict[str, Any] = {}
    found["sqlite" if place.path else "postgres"] = figures
    store = open_unit(place, Mode.MAKE)
    began = time.perf_counter()
    fill(store, options)
    figures["fill_wall_s"] = round(time.perf_counter() - began, 1)
    store.close()
    times, cpus = [], []
    for _ in range(3):
        store = open_unit(place, Mode.READ)
        began, cpu = time.perf_counter(), time.process_time()
        with store.reading():
            tallies = {one.sha256: one for one in store.tallies(asked, 0)}
            sightings = list(store.sightings(list(tallies), 0))
        times.append(round(time.perf_counter() - began, 3))
        cpus.append(round(time.process_time() - cpu, 3))
        store.close()
    figures |= {"digests_wall_s": times, "digests_cpu_s": cpus, "met": len(tallies), "sightings": len(sightings)}
    store = open_unit(place, Mode.READ)
    with open_case(case) as view, store.reading():
        pictures = sorted({(one.sha256, one.pdq) for one in view.unit_contents(0).pictures()})
        began = time.perf_counter()
        blocks = list(store.pictures(0))
        figures["read_pdq_wall_s"] = round(time.perf_counter() - began, 2)
        began = time.perf_counter()
        near = near_pictures(pictures, blocks)
        figures["near_wall_s"] = round(time.perf_counter() - began, 2)
        figures |= {"pdq": sum(len(block.pdqs) for block in blocks), "pdq_asked": len(pictures), "near": len(near)}
        del blocks
        began = time.perf_counter()
        whole = look_up(view, store, case_key(case), smallest=256, common=10)
        figures["look_up_with_pdq_wall_s"] = round(time.perf_counter() - began, 2)
    store.close()
    began = time.perf_counter()
    with open_case_for_writing(case) as writer:
        look(writer, place)
    figures["look_and_keep_in_case_wall_s"] = round(time.perf_counter() - began, 2)
    return [(one.sha256, one.exhibit, one.files) for one in whole.same], whole.near, whole.others


def naive_sqlite(path: Path, asked: list[bytes], options: argparse.Namespace) -> dict[str, Any]:
    """One SELECT a file, as a script would."""
    connection = sqlite3.connect(path)
    began, met = time.perf_counter(), 0
    for sha256 in asked[: options.naive]:
        rows = connection.execute("SELECT exhibit_id, files FROM sighting WHERE sha256 = ?", (sha256,)).fetchall()
        met += bool(rows)
    seconds = time.perf_counter() - began
    connection.close()
    return {"naive_wall_s": round(seconds, 2), "naive_files": min(options.naive, len(asked)), "naive_met": met}


def naive_postgres(url: str, asked: list[bytes], options: argparse.Namespace) -> dict[str, Any]:
    import psycopg

    began, met = time.perf_counter(), 0
    statement = "SELECT exhibit_id, files FROM caid_unit.sighting WHERE sha256 = %s"
    with psycopg.connect(url) as connection:
        for sha256 in asked[: options.naive]:
            met += bool(connection.execute(statement, (sha256,)).fetchall())
    seconds = time.perf_counter() - began
    return {"naive_wall_s": round(seconds, 2), "naive_files": min(options.naive, len(asked)), "naive_met": met}


if __name__ == "__main__":
    main()
