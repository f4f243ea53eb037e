"""Where a unit's memory is: a SQLite file, or a database of a PostgreSQL server by its URL.

A password is never part of it: a command line is seen by every user of the machine, and a URL ends up in histories,
logs and notes. libpq takes one from ``~/.pgpass``, the file named by ``PGPASSFILE``, or ``PGPASSWORD``.
"""

from __future__ import annotations

import ipaddress
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import parse_qsl, unquote, urlsplit

from caid_triage.errors import UsageError

VARIABLE = "CAID_TRIAGE_UNIT"
SCHEMES = ("postgresql://", "postgres://")
# What libpq may be told in a URL; anything else (a password, a file to write to) is refused.
PARAMETERS = frozenset(
    {"sslmode", "sslrootcert", "sslcert", "sslkey", "host", "port", "dbname", "user", "connect_timeout",
     "application_name", "gssencmode", "channel_binding", "target_session_attrs", "keepalives", "service"}
)  # fmt: skip
_ADVICE = "keep it in ~/.pgpass, in the file that PGPASSFILE names, or in PGPASSWORD"


@dataclass(frozen=True, slots=True)
class UnitPlace:
    """The file, or what libpq is told. As text it is what may be shown and put on record: no folder, no user."""

    path: Path | None = None
    server: Mapping[str, str] = field(default_factory=dict)

    def __str__(self) -> str:
        if self.path is not None:
            return self.path.name
        host = self.server.get("host", "")
        where = "" if host.startswith("/") else host
        return f"postgresql://{where}/{self.server.get('dbname', '')}"

    def warning(self) -> str:
        """A sentence where the server is another machine whose identity is not checked, "" else."""
        host = self.server.get("host") or os.environ.get("PGHOST", "")
        host += "," + os.environ.get("PGHOSTADDR", "")
        # A service of libpq's own files may name any machine.
        elsewhere = "service" in self.server or "PGSERVICE" in os.environ
        mode = self.server.get("sslmode") or os.environ.get("PGSSLMODE", "")
        here = all(map(_is_here, host.split(","))) and not elsewhere
        if self.path is not None or mode == "verify-full" or here:
            return ""
        return (
            "the server of the unit's memory is another machine, and sslmode is not verify-full: its identity is not "
            "checked, and what is sent may be read or changed on the way. Add ?sslmode=verify-full&sslrootcert=FILE"
        )


def _is_here(host: str) -> bool:
    """Whether a host's name or address is this machine; a socket's folder and no name at all are."""
    if not host or host.startswith(("/", "@")) or host.casefold() == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def unit_place(text: str) -> UnitPlace:
    """The place that a path or a URL means. UsageError, without a word of the URL: it holds a password or is none."""
    if not text.strip() or "\0" in text:
        raise UsageError("the unit's memory is a file, or the URL of a PostgreSQL database")
    if not text.startswith(SCHEMES):
        if "://" in text:
            raise UsageError("the unit's memory is a file, or a URL that begins with postgresql://")
        return UnitPlace(Path(text))
    try:
        parts = urlsplit(text)
        server = dict(parse_qsl(parts.query, keep_blank_values=True, strict_parsing=bool(parts.query)))
        port = parts.port
        password = parts.password
        # As it was written: ``hostname`` is in small letters, and the folder of a socket need not be.
        host = parts.netloc.rpartition("@")[2]
        host = host[1 : host.index("]")] if host.startswith("[") else host.partition(":")[0]
    except ValueError:
        raise UsageError("the URL of the unit's memory cannot be read: postgresql://USER@HOST:PORT/DATABASE") from None
    if password is not None or any("password" in name for name in server):
        raise UsageError(f"the URL of the unit's memory holds a password: {_ADVICE}, and change it if others saw it")
    strange = sorted(set(server) - PARAMETERS)
    if strange:
        raise UsageError("the URL of the unit's memory has a parameter that is not for it (docs/guide/unit.md)")
    given = {
        "user": unquote(parts.username or ""),
        "host": unquote(host),
        "port": "" if port is None else str(port),
        "dbname": unquote(parts.path.removeprefix("/")),
    }
    return UnitPlace(None, {**server, **{name: value for name, value in given.items() if value}})
