"""An evidence process that does what an order beside its source tells it to: it dies, hangs or lies at some step.

It is the real process but for that, so the coordinator under test sees real processes and real pipes. The orders are a
JSON list in a file beside the source, each {"do": what, "step": a Step's name, "volume", "first", "second": where,
"times": how often}; what is not named is every one of its kind. ``times`` are counted over all processes of a source.
"""

from __future__ import annotations

import json
import os
import signal
import time
from pathlib import Path
from typing import Any

from caid_triage.evidence.steps import Step
from caid_triage.scan import evidence_process, protocol, serving
from caid_triage.scan.evidence_page import PageSteps

ORDERS: list[dict[str, Any]] = []
SOURCE: list[Path] = []


def orders_of(source: Path) -> Path:
    return source.with_name(source.name + ".orders")


def is_due(number: int, order: dict[str, Any]) -> bool:
    """Count an order, and say whether it is still to be obeyed."""
    if "times" not in order:
        return True
    tally = SOURCE[0].with_name(f"{SOURCE[0].name}.{number}.tally")
    with tally.open("ab") as file:
        file.write(b"x")
        return file.tell() <= int(order["times"])


def obey(what: str) -> None:
    if what == "die":
        os.kill(os.getpid(), signal.SIGSEGV)
        time.sleep(60)
    if what == "abort":
        os.abort()
    if what == "exit":
        os._exit(3)
    if what == "hang":
        while True:
            pass
    if what == "lock":
        time.sleep(600)
    if what == "memory":
        raise MemoryError
    if what == "bug":
        raise IndexError("a name of a suspect's")


real_at = PageSteps.at


def at(self: PageSteps, step: Step, volume: int = 0, first: int = 0, second: int = 0) -> None:
    real_at(self, step, volume, first, second)
    place = {"volume": volume, "first": first, "second": second}
    for number, order in enumerate(ORDERS):
        meant = order.get("step") == Step(step).name and all(order.get(name, own) == own for name, own in place.items())
        if meant and is_due(number, order):
            obey(order["do"])


real_write = evidence_process.write_frame


def write(stream: Any, kind: bytes, payload: bytes | memoryview = b"") -> None:
    """Say something else than a good process says, where a lie is ordered."""
    for number, order in enumerate(ORDERS):
        lie = order["do"]
        if "step" in order or order.get("kind", "").encode() != kind or not is_due(number, order):
            continue
        if lie == "nonsense":
            stream.write(b"x\xff\xff\xff\xff nonsense")
            stream.flush()
            time.sleep(600)
        if lie == "cut":
            stream.write(protocol.HEADER.pack(kind, len(payload) + 10) + bytes(payload))
            stream.flush()
            os._exit(0)
        if lie == "kind":
            kind = b"?"
        if lie == "longer":
            payload = bytes(payload) + b"more"
        if lie == "not-json":
            payload = b"[" * 100_000
        if lie == "set":
            value = json.loads(bytes(payload))
            for path, new in order["set"].items():
                spot: Any = value
                *way, last = path.split(".")
                for part in way:
                    spot = spot[int(part) if part.lstrip("-").isdigit() else part]
                spot[int(last) if last.lstrip("-").isdigit() else last] = new
            payload = protocol.to_json(value)
    real_write(stream, kind, payload)


real_opened = evidence_process.opened


def opened(value: Any, steps: Any, sink: Any) -> Any:
    SOURCE.append(Path(os.fsdecode(bytes.fromhex(value["path"]))))
    if orders_of(SOURCE[0]).exists():
        ORDERS.extend(json.loads(orders_of(SOURCE[0]).read_text()))
    return real_opened(value, steps, sink)


def main() -> None:
    PageSteps.at = at  # type: ignore[method-assign]
    evidence_process.write_frame = serving.write_frame = write
    serving.serve_and_end(opened)


if __name__ == "__main__":
    main()
