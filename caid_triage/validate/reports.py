"""The reports of a case as another program would read them: the files as written, nothing of the tool in between."""

from __future__ import annotations

import csv
import json
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

from caid_triage.errors import VerificationError

Row = Mapping[str, str]

# What may differ between two runs on the same material: when they ran, and what follows from it.
RUN_KEYS = ("started", "finished", "audit")
RUN_LINE = 'id="run-times"'


@dataclass(frozen=True)
class Reports:
    """The reports in a folder; ``exit_code`` is what the scan that wrote them ended with."""

    folder: Path
    exit_code: int

    def table(self, name: str) -> list[Row]:
        """The rows of one of the tables; VerificationError when it is none."""
        try:
            with (self.folder / name).open(encoding="utf-8", newline="") as lines:
                rows = list(csv.DictReader(lines, strict=True))
        except (OSError, ValueError, csv.Error) as error:
            raise VerificationError(f"{name} cannot be read as a table: {error}") from error
        if any(None in row or None in row.values() for row in rows):
            raise VerificationError(f"{name} has a row with more or fewer cells than its header")
        return list(rows)

    @cached_property
    def files(self) -> list[Row]:
        """The rows of files.csv."""
        return self.table("files.csv")

    @cached_property
    def matches(self) -> list[Row]:
        """The rows of matches.csv."""
        return self.table("matches.csv")

    @cached_property
    def problems(self) -> list[Row]:
        """The rows of problems.csv."""
        return self.table("problems.csv")

    @cached_property
    def summary(self) -> Mapping[str, Any]:
        """The content of summary.json."""
        return self._json("summary.json")

    @cached_property
    def vics(self) -> Mapping[str, Any]:
        """The content of vics.json."""
        return self._json("vics.json")

    def _json(self, name: str) -> Mapping[str, Any]:
        try:
            found = json.loads((self.folder / name).read_text(encoding="utf-8-sig"))
        except (OSError, ValueError) as error:
            raise VerificationError(f"{name} cannot be read as JSON: {error}") from error
        if not isinstance(found, dict):
            raise VerificationError(f"{name} is not a JSON object")
        return found

    @cached_property
    def page(self) -> str:
        """The text of report.html."""
        try:
            return (self.folder / "report.html").read_text(encoding="utf-8")
        except (OSError, ValueError) as error:
            raise VerificationError(f"report.html cannot be read: {error}") from error

    @cached_property
    def by_content(self) -> Mapping[tuple[str, str], Sequence[Row]]:
        """The rows of files.csv by exhibit and SHA-256."""
        found: defaultdict[tuple[str, str], list[Row]] = defaultdict(list)
        for row in self.files:
            found[row["exhibit"], row["sha256"]].append(row)
        return found

    def exact(self) -> list[Row]:
        """The exact matches."""
        return [row for row in self.matches if row["match_kind"] == "exact"]

    def comparable(self) -> dict[str, str]:
        """The text of every report without what may differ between two runs on the same material."""
        texts = {
            path.name: path.read_text(encoding="utf-8") for path in sorted(self.folder.iterdir()) if path.is_file()
        }
        texts.pop("MANIFEST.sha256", None)
        summary = {key: value for key, value in self.summary.items() if key not in RUN_KEYS}
        texts["summary.json"] = json.dumps(summary)
        texts["report.html"] = "\n".join(line for line in self.page.splitlines() if RUN_LINE not in line)
        return texts


class _Tables(HTMLParser):
    """Collects the rows of every table that has an id, cells as their text, the names of all tags, what would run."""

    def __init__(self) -> None:
        super().__init__()
        self.tables: dict[str, list[list[str]]] = {}
        self.tags: set[str] = set()
        self.attributes: set[str] = set()
        self.scripts: list[str] = []
        self.policies: list[str] = []
        self._runs = False
        self._rows: list[list[str]] | None = None
        self._in_cell = False

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self.attributes.update(name for name, _ in attrs)
        given = dict(attrs)
        self._runs = tag == "script" and given.get("type") != "application/json"
        if self._runs:
            self.scripts.append("")
        elif tag == "meta" and (given.get("http-equiv") or "").lower() == "content-security-policy":
            self.policies.append(given.get("content") or "")
        if tag == "table":
            self._rows = self.tables.setdefault(dict(attrs).get("id") or "", [])
        elif self._rows is not None and tag == "tr":
            self._rows.append([])
        elif self._rows and tag in ("td", "th"):
            self._rows[-1].append("")
            self._in_cell = True

    def handle_endtag(self, tag: str) -> None:
        self._runs = False
        if tag == "table":
            self._rows = None
        elif tag in ("td", "th"):
            self._in_cell = False

    def handle_data(self, data: str) -> None:
        if self._runs:
            self.scripts[-1] += data
        if self._rows and self._rows[-1] and self._in_cell:
            self._rows[-1][-1] += data


@dataclass(frozen=True, slots=True)
class Page:
    """What a browser would make of a page: its tables by id, its tags, the names of its attributes.

    ``scripts`` are the texts of the elements that would run, if ``policies`` let them.
    """

    tables: Mapping[str, list[list[str]]]
    tags: frozenset[str]
    attributes: frozenset[str]
    scripts: tuple[str, ...]
    policies: tuple[str, ...]


def parsed(text: str) -> Page:
    """A page of HTML, parsed."""
    parser = _Tables()
    parser.feed(text)
    parser.close()
    scripts, policies = tuple(parser.scripts), tuple(parser.policies)
    return Page(parser.tables, frozenset(parser.tags), frozenset(parser.attributes), scripts, policies)
