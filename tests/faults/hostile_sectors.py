"""A process that reads sectors and does what an order beside its disk tells it to: it dies, hangs or lies at a place.

It is the real process but for that. The orders are a JSON object in a file beside the disk: {"byte": place, "do": what,
"times": how often (over all processes; without it always), "opening": what is done before the disk is opened, "lies":
how the first answers are spoilt, one after the other, "size": the size that is claimed}.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import time
from pathlib import Path
from typing import Any

from caid_triage.evidence.sectors import Sectors, open_sectors
from caid_triage.scan import sector_process, serving

ORDERS: dict[str, Any] = {}
DISK: list[Path] = []


def turn() -> int:
    """Counts, over all processes of a disk, how often there was something to obey."""
    with DISK[0].with_name(DISK[0].name + ".tally").open("ab") as file:
        file.write(b"x")
        return file.tell()


def is_due() -> bool:
    return turn() <= int(ORDERS.get("times", 1 << 30))


def obey(what: str) -> None:
    if what == "die":
        os.kill(os.getpid(), signal.SIGSEGV)
        time.sleep(60)
    if what == "hang":
        while True:
            pass
    if what == "bug":
        raise IndexError("a name of a suspect's")
    if what == "shrink":  # the page that both sides share: whoever reads what is gone is killed by the system
        os.ftruncate(int(sys.argv[2]), 0)
        os._exit(3)


real_read = Sectors.read


def read(self: Sectors, start: int, length: int) -> bytes | None:
    if ORDERS and start <= int(ORDERS.get("byte", -1)) < start + length and is_due():
        obey(ORDERS["do"])
    return real_read(self, start, length)


real_write = sector_process.write_frame


def write(stream: Any, kind: bytes, payload: bytes | memoryview = b"") -> None:
    """Say something else than a good process says, where a lie is ordered."""
    lie = ""
    if kind in (sector_process.words.CHUNK, sector_process.words.LAST) and "lies" in ORDERS:
        lie = dict(enumerate(ORDERS["lies"], 1)).get(turn(), "")
    if kind == sector_process.words.OPENED and "size" in ORDERS:
        value = json.loads(bytes(payload))
        value["info"]["size"] = ORDERS["size"]
        payload = json.dumps(value).encode()
    if lie == "longer":
        payload = bytes(payload) + b"more"
    if lie == "shorter":
        payload = bytes(payload)[:-1]
    if lie == "mask":
        payload = b"\x02" + bytes(payload)[1:]
    if lie == "empty":
        payload = b""
    if lie == "kind":
        kind = b"?"
    real_write(stream, kind, payload)


def opened(path: Path, exhibit: str, name: str) -> Sectors:
    DISK.append(path)
    orders = path.with_name(path.name + ".orders")
    if orders.exists():
        ORDERS.update(json.loads(orders.read_text()))
    if "opening" in ORDERS and is_due():
        obey(ORDERS["opening"])
    return open_sectors(path, exhibit, name)


def main() -> None:
    Sectors.read = read  # type: ignore[method-assign]
    sector_process.write_frame = serving.write_frame = write
    sector_process.open_sectors = opened
    serving.serve_and_end(sector_process.opened)


if __name__ == "__main__":
    main()
