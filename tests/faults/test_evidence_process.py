"""An evidence process that dies, hangs or lies: what it was at pays, and every other entry is there once, as it was."""

from __future__ import annotations

import hashlib
import json
import os
import random
import re
import signal
import threading
import time
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
from support.carvables import carvables, noise

from caid_triage.config import ParserLimits
from caid_triage.errors import CaidTriageError, EvidenceError, SourceError
from caid_triage.evidence.secrets import Secret, Secrets
from caid_triage.evidence.source import EvidenceSource, open_source
from caid_triage.evidence.steps import Step
from caid_triage.model import FileEntry, LedgerRange, Problem, Searching, Severity, State, Volume
from caid_triage.scan.evidence_keeper import MODULE
from caid_triage.scan.evidence_page import ANSWERING
from caid_triage.scan.locked import LockedSource
from caid_triage.scan.remote import RemoteSource
from caid_triage.synth.ext import build_ext2
from caid_triage.synth.fat import build_fat
from caid_triage.synth.mbr import Partition, build_mbr
from caid_triage.synth.plan import PlannedFile
from caid_triage.synth.sample_pictures import picture

HOSTILE = "hostile_evidence"
LIMITS = ParserLimits(step_seconds=1, long_steps=5, idle_seconds=1.5, retries=0)
HIDDEN = [carvables()[name] for name in ("discs.png", "town.jpg")]
MIB = 1 << 20


@pytest.fixture(scope="module")
def image() -> bytes:
    """Two volumes with folders, deleted files and a file of several MiB; behind them pictures in no partition."""
    fat = build_fat(
        [
            PlannedFile("/a/one.jpg", picture("coast.jpg")),
            PlannedFile("/a/two.txt", b"two"),
            PlannedFile("/a/three.txt", b"three"),
            PlannedFile("/b/gone.jpg", picture("town.jpg"), deleted=True),
            PlannedFile("/b/long.bin", noise(5, 3 * MIB + 77)),
            PlannedFile("/empty", b""),
        ],
        size=8 * MIB,
        cluster=1024,
    )
    ext = build_ext2(
        [PlannedFile(f"/d{n // 4}/f{n}.txt", b"%d" % n * 2000) for n in range(12)] + [PlannedFile("/top.txt", b"top")],
        size=4 * MIB,
    )
    behind = b"".join(noise(n, 2048) + data + bytes(-len(data) % 512) for n, data in enumerate(HIDDEN))
    return bytes(build_mbr([Partition(6, bytes(fat)), Partition(0x83, bytes(ext))])) + behind


@pytest.fixture
def disk(image: bytes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    path = tmp_path / "disk.dd"
    path.write_bytes(image)
    known = os.environ.get("PYTHONPATH", "")
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(filter(None, (str(Path(__file__).parent), known))))
    return path


@dataclass
class Told:
    """All that a source says of itself: what this law is about."""

    volumes: tuple[Volume, ...]
    problems: tuple[Problem, ...]
    items: list[FileEntry | Problem]
    contents: dict[int, str]
    ledger: list[LedgerRange]
    coverage: dict[str, int]

    @property
    def entries(self) -> list[FileEntry]:
        return [item for item in self.items if isinstance(item, FileEntry)]

    def codes(self) -> list[str]:
        return [item.code for item in self.items if isinstance(item, Problem)]


def told(source: EvidenceSource) -> Told:
    """Walk as a scan does: count, search beside, read each file as it comes, then the account."""
    with closing(source):
        for _ in source.walk(named_only=True) if not isinstance(source, RemoteSource) else ():
            pass
        if isinstance(source, RemoteSource):
            source.counted(lambda: None)
        locked = LockedSource(source)
        items: list[FileEntry | Problem] = []
        contents: dict[int, str] = {}
        with locked.searching():
            for item in locked.walk():
                if isinstance(item, Searching):
                    continue
                assert isinstance(item, FileEntry | Problem)
                items.append(item)
                if isinstance(item, FileEntry) and item.readable:
                    contents[item.number] = read(locked, item)
        ledger = source.ledger()
        assert ledger is not None
        return Told(
            tuple(source.volumes()),
            tuple(source.problems()),
            items,
            contents,
            list(ledger.ranges()),
            source.coverage(),
        )


def read(source: LockedSource, entry: FileEntry) -> str:
    try:
        return hashlib.sha256(b"".join(source.read(entry))).hexdigest()
    except EvidenceError as error:
        return error.code


@pytest.fixture(scope="module")
def calm(image: bytes, tmp_path_factory: pytest.TempPathFactory) -> Told:
    """What the source says in this very process: the oracle."""
    path = tmp_path_factory.mktemp("calm") / "disk.dd"
    path.write_bytes(image)
    found = told(open_source(path, "E", "s", carving="fast"))
    assert len(found.entries) > 20
    assert sum(entry.state is State.CARVED for entry in found.entries) >= len(HIDDEN)
    return found


def remote(path: Path, *orders: dict[str, Any], limits: ParserLimits = LIMITS) -> RemoteSource:
    path.with_name(path.name + ".orders").write_text(json.dumps(orders))
    return RemoteSource(path, "E", "s", carving="fast", limits=limits, module=HOSTILE if orders else MODULE).open()


def number_of(found: Told, path: str) -> int:
    return next(entry.number for entry in found.entries if entry.path == path)


def entry_of(found: Told, path: str) -> FileEntry:
    return found.entries[number_of(found, path)]


def test_a_source_in_a_process_of_its_own_says_what_it_says_in_this_one(disk: Path, calm: Told) -> None:
    found = told(remote(disk))
    assert found == calm


@pytest.mark.parametrize("seed", [1, 2])
def test_of_a_damaged_source_it_says_the_same_faults(disk: Path, image: bytes, seed: int) -> None:
    """Bytes of both file systems' own areas are changed, and the end of the image is cut off."""
    chosen, damaged = random.Random(seed), bytearray(image[: -MIB // 2])
    for start, length in ((MIB, 200_000), (9 * MIB, 200_000)):
        for _ in range(40):
            damaged[start + 600 + chosen.randrange(length)] = chosen.randrange(256)
    disk.write_bytes(damaged)
    here = told(open_source(disk, "E", "s", carving="fast"))
    assert here.problems
    assert told(remote(disk)) == here


# ------------------------------------------------------------ a death that was somebody else's


@pytest.mark.parametrize(
    ("step", "what"),
    [
        ("VOLUME", "exit"),
        ("READING", "bug"),
        ("SEARCH", "die"),
    ],
)
def test_what_dies_once_is_tried_again_and_nothing_is_lost(disk: Path, calm: Told, step: str, what: str) -> None:
    """And what dies twice: only at the third time it is believed."""
    times = 2 if step == "READING" else 1
    limits = replace(LIMITS, retries=2)
    assert told(remote(disk, {"do": what, "step": step, "times": times}, limits=limits)) == calm


def test_a_content_goes_on_where_a_process_died_in_it(disk: Path, calm: Told) -> None:
    number = number_of(calm, "/b/long.bin")
    with closing(remote(disk, limits=replace(LIMITS, retries=2))) as source:
        entry = next(i for i in source.walk() if isinstance(i, FileEntry) and i.number == number)
        pieces = source.chunks(entry)
        data = next(pieces)
        assert source.process_id is not None
        os.kill(source.process_id, signal.SIGKILL)
        data += b"".join(pieces)
    assert hashlib.sha256(data).hexdigest() == calm.contents[number]


# ------------------------------------------------------------ what dies for good


def without(calm: Told, prefix: str) -> list[FileEntry]:
    return [entry for entry in calm.entries if not entry.path.startswith(prefix)]


def names(entries: list[FileEntry]) -> list[tuple[str, int | None]]:
    return [(entry.path, entry.size) for entry in entries]


def lost_and_found(found: Told, calm: Told, folder: str) -> None:
    """What the folder's names would have led to is listed by its records, under $OrphanFiles, with its content."""
    by_names = {found.contents[one.number] for one in found.entries if one.path.startswith(folder)}
    by_records = {found.contents[one.number] for one in found.entries if one.path.startswith("/$OrphanFiles/")}
    wanted = {calm.contents[one.number] for one in calm.entries if one.path.startswith(folder)}
    assert by_names | by_records == wanted
    assert by_records


def left_out(found: Told) -> list[Problem]:
    """The Problems that name what was left out, those of entries too."""
    return [
        problem
        for item in found.items
        for problem in (item.problems if isinstance(item, FileEntry) else (item,))
        if problem.code in ("parser-died", "parser-hung", "parser-gave-up")
    ]


def assert_numbered(found: Told) -> None:
    assert [entry.number for entry in found.entries] == list(range(len(found.entries)))


def test_a_folder_that_kills_is_left_out(disk: Path, calm: Told) -> None:
    folder = entry_of(calm, "/d1/f4.txt")
    volume = folder.locator[0]
    with closing(open_source(disk, "E", "s")) as plain:
        inode = int(plain._systems[volume].fs.open_dir(path="/d1").info.fs_file.meta.addr)  # type: ignore[attr-defined]
    found = told(remote(disk, {"do": "die", "step": "FOLDER", "volume": volume, "first": inode}))
    assert names(without(found, "/$OrphanFiles/")) == names(without(calm, "/d1/"))
    lost_and_found(found, calm, "/d1/")
    assert [(one.code, one.path, one.volume, one.severity) for one in left_out(found)] == [
        ("parser-died", "/d1", "p2", Severity.PROBLEM)
    ]
    assert "SIGSEGV" in left_out(found)[0].detail
    assert_numbered(found)
    assert sum(found.coverage.values()) == sum(calm.coverage.values())


def test_the_names_behind_one_that_kills_are_left_out_and_it_is_said(disk: Path, calm: Told) -> None:
    folder = entry_of(calm, "/d1/f4.txt")
    volume = folder.locator[0]
    with closing(open_source(disk, "E", "s")) as plain:
        inode = int(plain._systems[volume].fs.open_dir(path="/d1").info.fs_file.meta.addr)  # type: ignore[attr-defined]
    found = told(remote(disk, {"do": "exit", "step": "NAME", "volume": volume, "first": inode, "second": 4}))
    listed = [entry.path for entry in found.entries if entry.path.startswith("/d1/")]
    assert listed == ["/d1/f4.txt", "/d1/f5.txt"]  # behind "." and ".."
    assert [one for one in names(without(found, "/d1/")) if "/$OrphanFiles/" not in one[0]] == names(
        without(calm, "/d1/")
    )
    lost_and_found(found, calm, "/d1/")
    assert [(one.code, one.path) for one in left_out(found)] == [("parser-died", "/d1")]
    assert_numbered(found)


@pytest.mark.parametrize(("what", "code"), [("memory", "parser-died"), ("lock", "parser-hung")])
def test_a_record_that_kills_keeps_its_entry_and_number(disk: Path, calm: Told, what: str, code: str) -> None:
    guilty = entry_of(calm, "/d1/f5.txt")
    found = told(remote(disk, {"do": what, "step": "STREAMS", "volume": guilty.locator[0], "first": guilty.inode}))
    entry = found.entries[guilty.number]
    assert (entry.path, entry.readable, entry.size) == (guilty.path, False, None)
    assert [(one.code, one.path) for one in entry.problems] == [(code, guilty.path)]
    others = [item for item in calm.items if item != guilty]
    assert [item for item in found.items if item != entry] == others
    assert found.contents == {number: one for number, one in calm.contents.items() if number != guilty.number}


@pytest.mark.parametrize(("what", "code"), [("die", "parser-died"), ("hang", "parser-hung")])
def test_content_that_kills_costs_that_content_alone(disk: Path, calm: Told, what: str, code: str) -> None:
    guilty = number_of(calm, "/a/one.jpg")
    found = told(remote(disk, {"do": what, "step": "READING", "first": guilty}))
    assert found.items == calm.items
    assert found.contents == calm.contents | {guilty: code}
    assert found.ledger == calm.ledger


def test_a_part_of_free_space_that_kills_is_left_out(disk: Path, image: bytes, calm: Told) -> None:
    last = len(image) >> 20
    found = told(remote(disk, {"do": "die", "step": "SEARCH", "first": last}))
    carved = [entry for entry in found.entries if entry.state is State.CARVED]
    assert carved == [one for one in calm.entries if one.state is State.CARVED and one in carved]
    assert "source-unreadable" in found.codes()
    named = [entry for entry in calm.entries if entry.state is not State.CARVED]
    assert [entry for entry in found.entries if entry.state is not State.CARVED] == named
    assert found.coverage["unreadable"] > 0
    assert sum(found.coverage.values()) == len(image)


def test_a_search_that_dies_everywhere_is_left_out_and_nothing_counts_as_searched(
    disk: Path, image: bytes, calm: Told
) -> None:
    found = told(remote(disk, {"do": "die", "step": "SITE"}))
    assert found.entries == [entry for entry in calm.entries if entry.state is not State.CARVED]
    assert [one.code for one in left_out(found)] == ["parser-died"]
    assert not any(size for kind, size in found.coverage.items() if kind.endswith("_searched"))
    assert sum(found.coverage.values()) == len(image)


def test_a_volume_whose_opening_kills_leaves_the_others(disk: Path, calm: Told) -> None:
    found = told(remote(disk, {"do": "die", "step": "VOLUME", "second": 1}))
    assert [(volume.name, volume.status) for volume in found.volumes] == [("p1", "unreadable"), ("p2", "examined")]
    assert [(one.code, one.volume) for one in found.problems] == [("parser-died", "p1")]
    named = [entry for entry in calm.entries if entry.volume == "p2"]
    assert names([entry for entry in found.entries if entry.volume == "p2"]) == names(named)
    assert_numbered(found)


def test_a_source_whose_opening_kills_is_a_source_that_cannot_be_opened(disk: Path) -> None:
    source = RemoteSource(disk, "E", "s", limits=LIMITS, module=HOSTILE)
    disk.with_name("disk.dd.orders").write_text(json.dumps([{"do": "abort", "step": "OPENING"}]))
    with closing(source), pytest.raises(SourceError, match="SIGABRT"):
        source.open()


def test_where_leaving_out_a_place_does_not_help_the_volume_ends_there(disk: Path, calm: Told) -> None:
    """Each step kills from a folder's record on, whatever is left out."""
    volume = entry_of(calm, "/d1/f4.txt").locator[0]
    found = told(remote(disk, {"do": "die", "step": "NAME", "volume": volume}, limits=replace(LIMITS, deaths=60)))
    assert [entry for entry in found.entries if entry.volume == "p1"] == [e for e in calm.entries if e.volume == "p1"]
    assert {one.volume for one in left_out(found)} == {"p2"}
    assert_numbered(found)


def test_after_so_many_deaths_the_rest_is_given_up_in_words(disk: Path, calm: Told) -> None:
    volume = entry_of(calm, "/d1/f4.txt").locator[0]
    found = told(remote(disk, {"do": "die", "step": "STREAMS", "volume": volume}, limits=replace(LIMITS, deaths=3)))
    assert found.codes()[-1] == "parser-gave-up"
    assert isinstance(found.items[-1], Problem)
    assert_numbered(found)
    assert sum(found.coverage.values()) == sum(calm.coverage.values())


def test_a_ledger_that_kills_is_told_by_the_volumes_alone(disk: Path, image: bytes, calm: Told) -> None:
    found = told(remote(disk, {"do": "die", "step": "LEDGER"}))
    assert found.items == calm.items
    assert found.coverage["file_system"] == 12 * MIB
    assert sum(found.coverage.values()) == len(image)
    assert not any(size for kind, size in found.coverage.items() if kind.endswith("_searched"))


def test_a_verification_that_kills_is_a_problem_and_the_walk_goes_on(disk: Path) -> None:
    with closing(remote(disk, {"do": "die", "step": "VERIFYING"})) as source:
        assert source.verified(lambda: None) == {}
        assert [one.code for one in source.problems()] == ["acquisition-not-verified"]
        assert len([item for item in source.walk(named_only=True) if isinstance(item, FileEntry)]) > 10


# ------------------------------------------------------------ lies


@pytest.mark.parametrize(
    "lie",
    [
        {"do": "nonsense", "kind": "i"},
        {"do": "longer", "kind": "l"},
        {"do": "not-json", "kind": "n"},
        {"do": "set", "kind": "i", "set": {"items.1.0": 7}},
        {"do": "set", "kind": "L", "set": {"count": 1}},
    ],
    ids=lambda lie: f"{lie['do']}-{lie['kind']}-{lie.get('set', '')}",
)
def test_a_lie_is_taken_for_a_death_and_nothing_of_it_is_believed(disk: Path, calm: Told, lie: dict[str, Any]) -> None:
    assert told(remote(disk, lie | {"times": 1}, limits=replace(LIMITS, retries=2))) == calm


def test_a_process_that_always_lies_of_numbers_is_given_up_and_gives_no_entry_twice(disk: Path) -> None:
    found = told(remote(disk, {"do": "set", "kind": "i", "set": {"items.3.0": 0}}))
    assert found.codes()[-1] == "parser-gave-up"
    assert_numbered(found)


def test_a_second_walk_that_goes_another_way_is_given_up(disk: Path, calm: Told) -> None:
    """The process dies in the second half of its walk, and the next one tells of other names before that."""
    guilty = entry_of(calm, "/d1/f5.txt")
    orders = [
        {"do": "die", "step": "READING", "first": guilty.number, "times": 1},
        {"do": "set", "kind": "i", "set": {"met": {"entries": 1, "mark": 2, "short": 0}}},
    ]
    disk.with_name("disk.dd.orders").write_text(json.dumps(orders))
    source = RemoteSource(disk, "E", "s", carving="fast", limits=replace(LIMITS, retries=2), module=HOSTILE).open()
    with closing(source):
        assert [item.code for item in source.walk() if isinstance(item, Problem)] == ["parser-gave-up"]


# ------------------------------------------------------------ what the process is given


def test_secrets_and_the_environment_of_others_do_not_reach_where_anybody_reads_them(
    disk: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SOMEBODYS_TOKEN", "abc-secret")
    secrets = Secrets((Secret("password", "correct horse"),))
    with closing(RemoteSource(disk, "E", "s", secrets, limits=LIMITS)) as source:
        source.open()
        assert source.process_id is not None
        proc = Path(f"/proc/{source.process_id}")
        environment = (proc / "environ").read_bytes()
        assert b"SOMEBODYS_TOKEN" not in environment
        assert b"PATH=" in environment
        for place in ("environ", "cmdline"):
            assert b"correct horse" not in (proc / place).read_bytes()
        limits = (proc / "limits").read_text()
        assert re.search(r"Max core file size +[01] +[01] ", limits)
        assert re.search(rf"Max address space +{LIMITS.memory_bytes} ", limits)
        opened = {str(link.readlink()) for link in (proc / "fd").iterdir()}
        files = {name for name in opened if name.startswith("/") and not name.startswith(("/dev/", "/memfd:"))}
        assert files == {str(disk)}


def test_a_process_that_cannot_start_is_an_error_of_ours_and_says_why(disk: Path) -> None:
    source = RemoteSource(disk, "E", "s", limits=LIMITS, module="no_such_module")
    with closing(source), pytest.raises(CaidTriageError, match="no_such_module"):
        source.open()


def test_no_process_is_left_when_a_source_is_closed(disk: Path) -> None:
    source = remote(disk)
    assert source.process_id is not None
    pid = source.process_id
    source.close()
    assert not Path(f"/proc/{pid}").exists()


def test_nobody_waits_for_an_answer_when_the_scan_is_stopped(disk: Path) -> None:
    """A search in the walk can take hours; Ctrl+C does not wait for it."""
    source = remote(disk, {"do": "lock", "step": "SITE"}, limits=replace(LIMITS, idle_seconds=900))
    items: list[Any] = []
    with closing(source):
        thread = threading.Thread(target=lambda: items.extend(source.walk()))
        thread.start()
        for _ in range(500):
            if items or source._link.process.page.place(ANSWERING).step == Step.SITE:  # type: ignore[union-attr]
                break
            time.sleep(0.02)
        assert thread.is_alive()
        source.stop()
        thread.join(timeout=30)
        assert not thread.is_alive()
    assert items[-1].code == "parser-gave-up"
