"""What people say of a case: its reference, operation and examiner, whom to ask, when its exhibits were seized.

Nothing of it is found on evidence, and no result depends on it. Reference, operation and examiner are columns of the
header; the rest are rows of ``case_detail``, none for what nobody stated. Each change is a line ``case-stated`` of the
audit chain, with what was there before.
"""

from __future__ import annotations

import sqlite3
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import date, datetime
from pathlib import Path

from caid_triage.case.encode import text
from caid_triage.errors import UsageError

MOST_LETTERS = 200
MOST_BYTES = 64 << 10  # of a contact file
SEIZED = "seized"
HEADER = ("reference", "operation", "examiner")
# A key of a contact file -> what the case keeps it as.
CONTACT = {name: f"contact-{name}" for name in ("organisation", "name", "title", "phone", "email")}

Detail = tuple[str, str]
"""An exhibit ("" : the case itself) and what is said of it: a name of HEADER, a value of CONTACT, or SEIZED."""
Details = Mapping[Detail, str]
REFERENCE, OPERATION, EXAMINER = (("", name) for name in HEADER)


@dataclass(frozen=True, slots=True)
class Contact:
    """Whom to ask about a case; "" for what nobody stated."""

    organisation: str = ""
    name: str = ""
    title: str = ""
    phone: str = ""
    email: str = ""

    def stated(self) -> dict[str, str]:
        """What was stated of it, by name."""
        values = {name: getattr(self, name) for name in CONTACT}
        return {name: value for name, value in values.items() if value}

    def told(self) -> str:
        """The same in one line, a person first; "" where nothing was stated."""
        words = (self.name, self.title, self.organisation, self.phone, self.email)
        return ", ".join(filter(None, words))


def checked_words(what: str, value: str, where: str = "every report") -> str:
    """A text that is printed in reports, without spaces around it. UsageError: it is blank, long or not printable."""
    if not value.strip() or not value.isprintable() or len(value) > MOST_LETTERS:
        raise UsageError(f"{what} is 1 to {MOST_LETTERS} printable characters: it is printed in {where}")
    return value.strip()


def checked_moment(value: str) -> str:
    """When something was seized: a day, or a moment, as ISO 8601 spells it. UsageError for anything else."""
    try:
        return date.fromisoformat(value.strip()).isoformat()
    except ValueError:
        pass
    try:
        return datetime.fromisoformat(value.strip()).isoformat().replace("+00:00", "Z")
    except ValueError:
        message = f"when it was seized is written 2026-03-02 or 2026-03-02T14:30Z, not {value!r}"
        raise UsageError(message) from None


def read_contact(path: Path) -> dict[Detail, str]:
    """What a unit's contact file states, "" for each key that it does not have. UsageError says what is wrong with it.

    The file is TOML with keys of :data:`CONTACT`, each a text.
    """
    try:
        if path.exists() and not path.is_file():
            raise UsageError(f"the contact file {path} is no file")
        with path.open("rb") as file:
            content = file.read(MOST_BYTES + 1)
    except OSError as fault:
        raise UsageError(f"the contact file {path} cannot be read: {fault.strerror or fault}") from fault
    if len(content) > MOST_BYTES:
        raise UsageError(f"the contact file {path} is larger than {MOST_BYTES >> 10} KiB: it holds a few lines")
    try:
        data = tomllib.loads(content.decode("utf-8-sig"))
    except (ValueError, RecursionError) as fault:
        raise UsageError(f"the contact file {path} is not TOML: {fault}") from None
    found = {("", kept): "" for kept in CONTACT.values()}
    for key, value in data.items():
        if key not in CONTACT or not isinstance(value, str):
            what = "is no text in quotes" if key in CONTACT else "is no key of it"
            raise UsageError(f"the contact file {path}: {key!r} {what}; it has {', '.join(CONTACT)}")
        found["", CONTACT[key]] = checked_words(f"{key} in the contact file {path}", value)
    return found


def word_of(detail: Detail) -> str:
    """What is stated, in a word for a person and for the audit chain: "operation", "seized ABC/1"."""
    exhibit, name = detail
    return f"{name} {exhibit}" if exhibit else name


def read_details(connection: sqlite3.Connection) -> dict[Detail, str]:
    """All that is stated in a case, the header's columns first, then by exhibit and name."""
    row = connection.execute(f"SELECT {', '.join(HEADER)} FROM header").fetchone()  # noqa: S608 - constants only
    found: dict[Detail, str] = {("", name): value for name, value in zip(HEADER, row, strict=True) if value}
    rows = connection.execute("SELECT exhibit, name, value FROM case_detail ORDER BY exhibit, name")
    return found | {(exhibit, name): value for exhibit, name, value in rows}


def keep_details(connection: sqlite3.Connection, changed: Details) -> Iterator[str]:
    """Store what is stated now, in the caller's transaction ("" : nothing any more); gives the tables that changed."""
    for (exhibit, name), value in changed.items():
        if name in HEADER:
            connection.execute(f"UPDATE header SET {name} = ?", (text(value),))  # noqa: S608 - a word of ours
            yield "header"
            continue
        connection.execute("DELETE FROM case_detail WHERE exhibit = ? AND name = ?", (text(exhibit), name))
        if value:
            connection.execute("INSERT INTO case_detail VALUES (?, ?, ?)", (text(exhibit), name, text(value)))
        yield "case_detail"


def exhibits_of(connection: sqlite3.Connection) -> list[str]:
    """The references of the exhibits that a case has anything of, in the order of its sources, then of samplings."""
    rows = connection.execute(
        "SELECT exhibit FROM (SELECT exhibit, 0 AS kind, id FROM source UNION ALL SELECT exhibit, 1, id FROM sampling) "
        "ORDER BY kind, id"
    )
    return list(dict.fromkeys(exhibit for (exhibit,) in rows))


def contact_of(details: Details) -> Contact:
    """Whom to ask, out of all that is stated."""
    return Contact(**{name: details.get(("", kept), "") for name, kept in CONTACT.items()})


def seized_of(details: Details) -> dict[str, str]:
    """When each exhibit was seized, of those of which it is stated."""
    return {exhibit: value for (exhibit, name), value in details.items() if name == SEIZED}
