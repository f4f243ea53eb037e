"""The record of a validation: validation.json for programs, validation.html for people (docs/formats/validation.md)."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from markupsafe import Markup

from caid_triage.report.html import page_environment, page_policy
from caid_triage.validate.exhibits import Plan
from caid_triage.validate.rates import CONFIDENCE
from caid_triage.validate.requirement import Measurement, Status
from caid_triage.validate.run import Validation

JSON_NAME, HTML_NAME = "validation.json", "validation.html"
FORMAT_VERSION = 1
NO_BREAK = "\N{NO-BREAK SPACE}"


def record(
    validation: Validation, plan: Plan, machine: Mapping[str, Any], *, by: str = "", only: tuple[str, ...] = ()
) -> dict[str, Any]:
    """The whole record as JSON-able values. ``by`` is who ran it; ``only`` the requirements that were asked for."""
    own = {"by": by} if by else {}
    return {
        "format": "caid-triage validation",
        "format_version": FORMAT_VERSION,
        "result": "passed" if validation.passed else "failed",
        "counts": {str(status): validation.count(status) for status in Status},
        "checks": sum(result.checks for result in validation.results),
        "started": validation.started.isoformat(timespec="seconds").replace("+00:00", "Z"),
        "finished": validation.finished.isoformat(timespec="seconds").replace("+00:00", "Z"),
        **own,
        "plan": asdict(plan),
        "only": list(only),
        "confidence": CONFIDENCE,
        "machine": dict(machine),
        "requirements": [result.plain() for result in validation.results],
        "exhibits": [
            {"exhibit": reference, "file": name, "size": size, "sha256": digest}
            for reference, name, size, digest in validation.exhibits
        ],
    }


def write_record(
    folder: Path, content: Mapping[str, Any], validation: Validation, complete: int
) -> tuple[Path, Path, str]:
    """Write both files; returns their paths and the SHA-256 of the JSON, which the page names.

    ``complete`` is how many requirements there are: a record of fewer says so.
    """
    text = json.dumps(content, indent=1, ensure_ascii=False) + "\n"
    digest = hashlib.sha256(text.encode()).hexdigest()
    (folder / JSON_NAME).write_text(text, encoding="utf-8", newline="\n")
    (folder / HTML_NAME).write_text(_page(content, validation, digest, complete), encoding="utf-8", newline="\n")
    return folder / JSON_NAME, folder / HTML_NAME, digest


def _page(content: Mapping[str, Any], validation: Validation, digest: str, complete: int) -> str:
    environment, style = page_environment("caid_triage.validate", "validation.css")
    environment.filters.update(rate=rate_words, percent=percent, number=number, moment=moment)
    policy = page_policy(style)
    sizes: dict[str, tuple[int, int]] = {}
    for reference, _, size, _ in validation.exhibits:
        files, total = sizes.get(reference, (0, 0))
        sizes[reference] = files + 1, total + size
    return environment.get_template("validation.html").render(
        record=content,
        results=validation.results,
        counts={status.name: validation.count(status) for status in Status},
        complete=complete,
        digest=digest,
        policy=policy,
        exhibits=sizes,
        listed=[row for row in content["exhibits"] if sizes[row["exhibit"]][0] <= MOST_FILES_SHOWN],
        style=Markup(style),  # noqa: S704 - our own packaged style sheet, nothing else
    )


MOST_FILES_SHOWN = 4


def number(value: int) -> str:
    """A count with its thousands apart."""
    return f"{value:,}"


def moment(value: str) -> str:
    """A time of the record for a reader: 2026-03-02 09:15:00 UTC."""
    return f"{value.replace('T', ' ').removesuffix('Z')} UTC"


def percent(value: float) -> str:
    """A share for a reader: two figures, never a false nought, never apart from its sign."""
    if value in (0.0, 1.0):
        text = f"{value * 100:.0f}"
    else:
        text = f"{value * 100:.2g}"
        text = f"{value * 100:.2e}" if "e" in text else text
    return f"{text}{NO_BREAK}%"


def rate_words(measured: Measurement) -> str:
    """A measured rate in words: "0 of 205 missed: 0 %, at most 1.5 %"."""
    rate = measured.rate
    if rate is None:
        return measured.value
    low, high = rate.interval
    share = f"{percent(rate.value)} ({percent(low)}{NO_BREAK}to{NO_BREAK}{percent(high)})"
    return f"{rate.count:,} of {rate.total:,} {measured.counted}: {share}"
