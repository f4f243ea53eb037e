"""A PostgreSQL server of the tests' own: data in a temporary folder, reached by a socket in it, gone afterwards."""

from __future__ import annotations

import os
import pwd
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

BINARIES = ("initdb", "pg_ctl", "postgres")
ACCOUNTS = ("postgres", "nobody")  # the server refuses to run as root


@dataclass(frozen=True)
class Server:
    """A running server; ``url`` is of its one database, for its superuser."""

    socket: Path

    def url(self, user: str = "owner", database: str = "unit") -> str:
        """The URL of a database for a role."""
        return f"postgresql://{user}@/{database}?host={self.socket}"

    def run(self, *statements: str, user: str = "owner", database: str = "unit") -> None:
        """Execute statements, each by itself."""
        import psycopg

        with psycopg.connect(self.url(user, database), autocommit=True) as connection:
            for statement in statements:
                connection.execute(statement)


def missing() -> str:
    """Why no server can be started here, "" where one can."""
    if os.name != "posix":
        return "the server of the tests is started on POSIX systems only"
    absent = [name for name in BINARIES if _binary(name) is None]
    if absent:
        return f"no PostgreSQL server is installed ({', '.join(absent)})"
    if os.geteuid() == 0 and _account() is None:
        return f"PostgreSQL does not run as root, and there is no account {' or '.join(ACCOUNTS)}"
    return ""


def _binary(name: str) -> str | None:
    places = sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True)
    return shutil.which(name) or shutil.which(name, path=os.pathsep.join(map(str, places)))


def _account() -> pwd.struct_passwd | None:
    for name in ACCOUNTS:
        try:
            return pwd.getpwnam(name)
        except KeyError:
            continue
    return None


@contextmanager
def running_server(*, durable: bool = False, settings: tuple[str, ...] = ()) -> Iterator[Server]:
    """Make and start a server, stop and delete it at the end. ``durable``: it forces what it writes to disk."""
    account = _account() if os.geteuid() == 0 else None
    as_user = {} if account is None else {"user": account.pw_name, "group": account.pw_gid, "extra_groups": []}
    # Short: the path of a socket has at most 107 bytes.
    with tempfile.TemporaryDirectory(prefix="ct-pg-", dir="/tmp") as name:
        folder = Path(name)
        if account is not None:
            os.chown(folder, account.pw_uid, account.pw_gid)
        folder.chmod(0o711 if account is not None else 0o700)
        data = folder / "data"

        def run(*words: str) -> None:
            done = subprocess.run(
                words, cwd=folder, capture_output=True, text=True, check=False, timeout=120, **as_user
            )
            assert done.returncode == 0, done.stdout + done.stderr

        run(_binary("initdb") or "", "-D", str(data), "-U", "owner", "-E", "UTF8", "--locale=C.UTF-8", "--auth=trust",
            *([] if durable else ["--no-sync"]))  # fmt: skip
        options = [f"-c unix_socket_directories={folder}", "-c listen_addresses=''"]
        options += [] if durable else ["-c fsync=off", "-c full_page_writes=off"]
        options += [f"-c {setting}" for setting in settings]
        run(_binary("pg_ctl") or "", "-D", str(data), "-l", str(folder / "log"), "-w", "-o", " ".join(options), "start")
        try:
            server = Server(folder)
            server.run("CREATE DATABASE unit", database="postgres")
            yield server
        finally:
            run(_binary("pg_ctl") or "", "-D", str(data), "-m", "immediate", "-w", "stop")
