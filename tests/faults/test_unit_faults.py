"""The unit's memory under faults: others' rights, roles of a server, kills, two at once, lost connections, secrets."""

from __future__ import annotations

import os
import signal
import sqlite3
import subprocess
import sys
import threading
import time
from contextlib import closing
from pathlib import Path

import pytest
from support.postgres import Server
from support.unit_cases import GRADE_A, make_case, record, sha256, write_scheme

from caid_triage.case.store import open_case_for_writing
from caid_triage.errors import UnitError
from caid_triage.model import PerceptualHash
from caid_triage.report.verify import verify_case
from caid_triage.unit.add import add_case, purge_case
from caid_triage.unit.graded import build_graded_set
from caid_triage.unit.look import look
from caid_triage.unit.place import UnitPlace, unit_place
from caid_triage.unit.postgres import PostgresStore
from caid_triage.unit.sqlite import SqliteStore
from caid_triage.unit.store import Mode, open_unit

GUIDE = Path(__file__).parents[2] / "docs" / "guide" / "unit.md"


def case_of(folder: Path, *names: str, reference: str = "OP/1", graded: bool = False) -> Path:
    files = [record(number, name.encode()) for number, name in enumerate(names)]
    decisions = [(sha256(names[0].encode()), "A", GRADE_A)] if graded else []
    return make_case(folder, files, reference=reference, decisions=decisions)


# -- a file -----------------------------------------------------------------------------------------------------------


def test_the_file_is_its_user_s_alone_whatever_the_umask(tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        add_case(case_of(tmp_path / "one", "a"), UnitPlace(tmp_path / "new" / "memory" / "unit.db"))
    finally:
        os.umask(before)
    modes = {path.name: path.stat().st_mode & 0o777 for path in (tmp_path / "new").rglob("*")}
    assert modes == {"memory": 0o700, "unit.db": 0o600}
    assert (tmp_path / "new").stat().st_mode & 0o777 == 0o700


@pytest.mark.parametrize(("what", "mode"), [("unit.db", 0o620), ("unit.db", 0o602), (".", 0o770), (".", 0o707)])
def test_a_file_that_others_can_write_to_is_refused(tmp_path: Path, what: str, mode: int) -> None:
    place = UnitPlace(tmp_path / "memory" / "unit.db")
    one = case_of(tmp_path / "one", "a")
    add_case(one, place)
    (tmp_path / "memory" / what).chmod(mode)
    for opening in Mode:
        with pytest.raises(UnitError, match="others may write"):
            open_unit(place, opening)
    (tmp_path / "memory" / what).chmod(0o700)
    open_unit(place, Mode.READ).close()


def test_links_pipes_and_files_of_others_are_not_opened(tmp_path: Path) -> None:
    place = UnitPlace(tmp_path / "memory" / "unit.db")
    one = case_of(tmp_path / "one", "a")
    add_case(one, place)
    (tmp_path / "link.db").symlink_to(tmp_path / "memory" / "unit.db")
    os.mkfifo(tmp_path / "pipe.db")
    (tmp_path / "memory" / "unit.db-journal").symlink_to(tmp_path / "elsewhere")
    for path in (tmp_path / "link.db", tmp_path / "pipe.db", tmp_path, tmp_path / "memory" / "unit.db"):
        with pytest.raises(UnitError, match="is no file"):
            open_unit(UnitPlace(path), Mode.MAKE)
    assert not (tmp_path / "elsewhere").exists()


@pytest.mark.parametrize(
    ("statement", "words"),
    [
        ("PRAGMA user_version = 3", "has schema 3"),
        ("PRAGMA application_id = 7", "is not a unit's memory"),
        ("CREATE TRIGGER t AFTER INSERT ON member BEGIN DELETE FROM member; END", "changed by another program"),
        ("CREATE VIEW v AS SELECT 1", "changed by another program"),
        ("CREATE INDEX slow ON member (zeroblob(900))", "changed by another program"),
        ("CREATE VIRTUAL TABLE v USING fts5(a)", "changed by another program"),
        ("ALTER TABLE member ADD COLUMN g AS (zeroblob(1000))", "changed by another program"),
        ("DROP INDEX sighting_content", "changed by another program"),
    ],
)
def test_a_newer_or_a_changed_file_is_refused(tmp_path: Path, statement: str, words: str) -> None:
    place = UnitPlace(tmp_path / "memory" / "unit.db")
    add_case(case_of(tmp_path / "one", "a"), place)
    with closing(sqlite3.connect(tmp_path / "memory" / "unit.db")) as database:
        database.execute(statement)
        database.commit()
    with pytest.raises(UnitError, match=words):
        open_unit(place, Mode.WRITE)


def test_a_file_that_is_none_of_ours_is_refused_and_not_changed(tmp_path: Path) -> None:
    (tmp_path / "text.db").write_text("not a database at all, and long enough to be looked at " * 20)
    (tmp_path / "text.db").chmod(0o600)
    before = (tmp_path / "text.db").read_bytes()
    with closing(sqlite3.connect(tmp_path / "other.db")) as database:
        database.execute("CREATE TABLE mine (x)")
    (tmp_path / "other.db").chmod(0o600)
    for name in ("text.db", "other.db"):
        with pytest.raises(UnitError, match=r"no unit's memory|not a unit's memory"):
            open_unit(UnitPlace(tmp_path / name), Mode.MAKE)
    assert (tmp_path / "text.db").read_bytes() == before


@pytest.mark.parametrize(
    "statement",
    [
        "INSERT INTO picture SELECT id, 1, x'00', x'' FROM exhibit",
        "INSERT INTO picture SELECT id, 1, zeroblob(32), zeroblob(64) FROM exhibit",
        "INSERT INTO picture SELECT id, 1, 'text', 'text' FROM exhibit",
        "UPDATE grade SET decided = 'x'",
        "UPDATE grade SET decided = 9000000000000000000",
        "UPDATE grade SET label = x'ff'",
        "UPDATE member SET added = 'x'",
        "UPDATE member SET reference = cast(x'ff' AS TEXT)",
        "UPDATE sighting SET files = 'x'",
        "INSERT INTO exhibit SELECT 99, 98, '', '', 1, 1, 1, NULL, '', '', '', '' FROM exhibit",
        "DROP TABLE camera",
        "DELETE FROM unit",
    ],
)
def test_rows_that_this_program_does_not_write_are_damage_in_one_sentence(tmp_path: Path, statement: str) -> None:
    place = UnitPlace(tmp_path / "memory" / "unit.db")
    camera = (("camera-make", "M"), ("camera-model", "5D"), ("camera-serial", "7712345"))
    files = [record(0, b"a", hashes=(PerceptualHash("pdq", bytes(range(32)), 90),), metadata=camera)]
    one = make_case(tmp_path / "one", files, decisions=[(sha256(b"a"), "A", GRADE_A)])
    two = make_case(tmp_path / "two", files, reference="OP/2")
    add_case(one, place)
    with open_case_for_writing(two) as case:
        assert look(case, place).same != []
    with closing(sqlite3.connect(tmp_path / "memory" / "unit.db")) as database:
        database.execute(statement)
        database.commit()
    with open_case_for_writing(two) as case, pytest.raises(UnitError):
        look(case, place)
    assert verify_case(two) == []


# -- kills and two at once --------------------------------------------------------------------------------------------

ADDER = """
import sys, time
from pathlib import Path
from caid_triage.unit import add
from caid_triage.unit.place import unit_place
def stop(*_):
    print("in the middle", flush=True)
    time.sleep(60)
    return []
if sys.argv[3] != "go":
    add._cameras = stop
if sys.argv[3] == "spill":  # so little is kept in memory that the file is written to before the end
    from caid_triage.unit import sqlite
    sqlite.CACHE_KIB = 40
add.add_case(Path(sys.argv[1]), unit_place(sys.argv[2]))
print("added", flush=True)
"""


def adder(case: Path, place: str, how: str) -> subprocess.Popen[str]:
    return subprocess.Popen([sys.executable, "-c", ADDER, str(case), place, how], stdout=subprocess.PIPE, text=True)


@pytest.fixture(params=["sqlite", "postgresql"])
def address(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """An empty memory of each kind, as a command is told of it."""
    if request.param == "sqlite":
        return str(tmp_path / "memory" / "unit.db")
    return str(request.getfixturevalue("postgres_url"))


def kept(address: str) -> list[tuple[str, int]]:
    store = open_unit(unit_place(address), Mode.READ)
    found = [(one.reference, one.contents) for one in store.members()]
    store.close()
    return found


def test_a_kill_in_the_middle_of_adding_leaves_what_was_there(tmp_path: Path, address: str) -> None:
    one = case_of(tmp_path / "one", "a")
    add_case(one, unit_place(address))
    with open_case_for_writing(one) as case:
        case.write_batch(1, [record(5, b"b"), record(6, b"c")], [(), ()], [], 3)
        case.finish_source(1, 3, 3)
    process = adder(one, address, "stop")
    assert process.stdout is not None
    assert process.stdout.readline() == "in the middle\n"
    assert kept(address) == [("OP/1", 1)]  # who reads meanwhile sees what was there
    process.send_signal(signal.SIGKILL)
    process.wait()
    process.stdout.close()
    assert kept(address) == [("OP/1", 1)]
    with open_case_for_writing(one) as case:  # the case was left open by the kill; this puts that on record
        case.begin()
    added = add_case(one, unit_place(address))
    assert (added.contents, added.before) == (3, 1)
    assert kept(address) == [("OP/1", 3)]


def test_a_writer_killed_after_it_had_written_to_the_file_is_undone_by_who_reads_next(tmp_path: Path) -> None:
    address = str(tmp_path / "memory" / "unit.db")
    place = unit_place(address)
    one = case_of(tmp_path / "one", "a")
    add_case(one, place)
    two = case_of(tmp_path / "two", *(f"{number}" for number in range(400)), reference="OP/2")
    process = adder(two, address, "spill")
    assert process.stdout is not None
    assert process.stdout.readline() == "in the middle\n"
    process.send_signal(signal.SIGKILL)
    process.wait()
    process.stdout.close()
    assert (tmp_path / "memory" / "unit.db-journal").stat().st_size > 0
    assert kept(address) == [("OP/1", 1)]
    assert add_case(one, place).before == 1


def test_two_that_add_at_once_are_both_kept_whole(tmp_path: Path, address: str) -> None:
    cases = [case_of(tmp_path / f"{n}", "a", f"b{n}", reference=f"OP/{n}") for n in range(2)]
    open_unit(unit_place(address), Mode.MAKE).close()
    processes = [adder(case, address, "go") for case in cases]
    said = [process.communicate(timeout=120)[0] for process in processes]
    assert said == ["added\n", "added\n"]
    assert kept(address) == [("OP/0", 2), ("OP/1", 2)]


def test_those_that_make_a_memory_at_once_make_one(tmp_path: Path, address: str) -> None:
    numbers: list[str] = []
    together = threading.Barrier(8)

    def make() -> None:
        together.wait()
        store = open_unit(unit_place(address), Mode.MAKE)
        numbers.append(store.unit)
        store.close()

    threads = [threading.Thread(target=make) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(numbers) == 8
    assert len({*numbers}) == 1


def test_what_another_process_made_in_the_same_moment_is_taken(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The folder, the file and the tables, each made between our look whether it is there and our making it."""
    path = tmp_path / "folder" / "unit.db"
    place = unit_place(str(path))
    with closing(open_unit(place, Mode.MAKE)) as other:
        number = other.unit
    monkeypatch.setattr(Path, "exists", lambda _: False)
    monkeypatch.setattr(SqliteStore, "_is_empty", lambda store: True)
    with closing(open_unit(place, Mode.MAKE)) as ours:
        assert ours.unit == number


# -- a server ---------------------------------------------------------------------------------------------------------


def grants() -> list[str]:
    """The statements that the guide tells an administrator to give."""
    block = GUIDE.read_text(encoding="utf-8").split("```sql")[1].split("```")[0]
    lines = [line for line in block.splitlines() if not line.startswith("--")]
    return [statement.strip() for statement in "\n".join(lines).split(";") if statement.strip()]


@pytest.fixture
def with_roles(postgres_server: Server, postgres_url: str) -> Server:
    """The owner has made the memory; somebody in each of the guide's roles exists."""
    open_unit(unit_place(postgres_url), Mode.MAKE).close()
    people = ("reader", "adder", "purger", "stranger")
    for name in (*(f"some_{one}" for one in people), "unit_reader", "unit_adder", "unit_purger"):
        postgres_server.run(f"DROP ROLE IF EXISTS {name}")
    postgres_server.run(*grants(), *(f"CREATE ROLE some_{one} LOGIN" for one in people))
    postgres_server.run(*(f"GRANT unit_{one} TO some_{one}" for one in people[:3]))
    return postgres_server


def test_the_roles_of_the_guide_may_do_what_it_says_and_no_more(tmp_path: Path, with_roles: Server) -> None:
    one = case_of(tmp_path / "one", "a", graded=True)
    two = case_of(tmp_path / "two", "a", reference="OP/2")

    def place(who: str) -> UnitPlace:
        return unit_place(with_roles.url(f"some_{who}"))

    def looked(who: str) -> int:
        with open_case_for_writing(two) as case:
            return len(look(case, place(who)).same)

    for who in ("reader", "purger", "stranger"):
        with pytest.raises(UnitError, match="this role may not"):
            add_case(one, place(who))
    add_case(one, place("adder"))
    add_case(one, place("adder"))
    assert [looked(who) for who in ("reader", "adder", "purger")] == [1, 1, 1]
    with pytest.raises(UnitError, match="this role may not"):
        looked("stranger")
    for who in ("reader", "adder", "stranger"):
        with pytest.raises(UnitError, match="this role may not"):
            purge_case(place(who), "OP/1")
    assert looked("reader") == 1
    purged = purge_case(place("purger"), "OP/1", "P")
    assert "VACUUM" in purged.remarks[0]  # only the owner may, or the server by itself
    assert looked("reader") == 0


def test_the_schema_of_the_search_path_is_never_another_s(tmp_path: Path, postgres_server: Server) -> None:
    """A table of the same name in the schema that everybody may have is not taken for the memory's."""
    postgres_server.run("DROP SCHEMA IF EXISTS caid_unit CASCADE", "CREATE TABLE IF NOT EXISTS public.unit (id text)")
    with pytest.raises(UnitError, match="there is no unit's memory"):
        open_unit(unit_place(postgres_server.url()), Mode.READ)
    open_unit(unit_place(postgres_server.url()), Mode.MAKE).close()
    add_case(case_of(tmp_path / "one", "a"), unit_place(postgres_server.url()))
    assert kept(postgres_server.url()) == [("OP/1", 1)]


def test_a_database_in_another_encoding_is_refused(postgres_server: Server) -> None:
    postgres_server.run("DROP DATABASE IF EXISTS old", database="postgres")
    postgres_server.run(
        "CREATE DATABASE old TEMPLATE template0 ENCODING 'LATIN1' LC_COLLATE 'C' LC_CTYPE 'C'", database="postgres"
    )
    with pytest.raises(UnitError, match="not in UTF-8"):
        open_unit(unit_place(postgres_server.url(database="old")), Mode.MAKE)
    postgres_server.run("DROP DATABASE old", database="postgres")


def test_a_password_is_in_no_message_and_no_title(
    postgres_server: Server, postgres_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """libpq takes it from PGPASSFILE; what fails says neither it nor its file."""
    secret = "hunter2-s3cret"
    passwords = tmp_path / "passwords"
    passwords.write_text(f"*:*:*:*:{secret}\n")
    passwords.chmod(0o600)
    monkeypatch.setenv("PGPASSFILE", str(passwords))
    said = []
    for url in (
        postgres_server.url("nobody_there"),
        "postgresql://a@127.0.0.1:1/unit",
        f"postgresql:///u?host={tmp_path}",
    ):
        with pytest.raises(UnitError) as refused:
            open_unit(unit_place(url), Mode.READ)
        said.append(f"{refused.value} {refused.value.__cause__}")
    store = open_unit(unit_place(postgres_url), Mode.MAKE)
    title = Path("/proc/self/cmdline").read_bytes().decode()
    store.close()
    assert [text for text in [*said, title] if secret in text or str(passwords) in text] == []


def test_a_server_that_stops_in_the_middle_is_one_sentence_and_the_case_stays_as_it_was(
    tmp_path: Path, postgres_server: Server, postgres_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    one, two = case_of(tmp_path / "one", "a"), case_of(tmp_path / "two", "a", reference="OP/2")
    add_case(one, unit_place(postgres_url))
    answer = PostgresStore.tallies

    def cut(store: PostgresStore, contents: list[bytes], without: int) -> object:
        postgres_server.run(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'caid-triage'"
        )
        time.sleep(0.1)
        return answer(store, contents, without)

    monkeypatch.setattr(PostgresStore, "tallies", cut)
    with open_case_for_writing(two) as case, pytest.raises(UnitError, match="the unit's memory postgresql:///unit: "):
        look(case, unit_place(postgres_url))
    assert verify_case(two) == []


def test_a_hash_set_needs_only_to_read(tmp_path: Path, with_roles: Server) -> None:
    add_case(case_of(tmp_path / "one", "a", graded=True), unit_place(with_roles.url("some_adder")))
    scheme = write_scheme(tmp_path / "uk.toml")
    made = build_graded_set(unit_place(with_roles.url("some_reader")), tmp_path / "own.chs", str(scheme))
    assert made.built.counts["records"] == 1
