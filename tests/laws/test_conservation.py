"""Law 1: walked = examined = stored, whatever the exhibit holds and however it is damaged; serial and pool agree."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from support.cli import comparable_reports, picture

from caid_triage.case.view import open_case
from caid_triage.config import ScanOptions
from caid_triage.errors import SourceError
from caid_triage.evidence.source import open_source
from caid_triage.model import FileEntry, State
from caid_triage.report.write import write_reports
from caid_triage.scan.outcome import ScanOutcome
from caid_triage.scan.run import SourceRequest, run_scan
from caid_triage.synth.exfat import build_exfat
from caid_triage.synth.ext import build_ext2
from caid_triage.synth.fat import build_fat
from caid_triage.synth.ntfs import build_ntfs
from caid_triage.synth.plan import PlannedFile

CALM = settings(max_examples=12, deadline=None, suppress_health_check=list(HealthCheck), derandomize=True)
PLAN = [
    PlannedFile(
        f"/folder {number % 3}/file {number}.jpg", picture("coast.jpg")[: 900 * number], deleted=number % 4 == 3
    )
    for number in range(14)
]
IMAGES = {
    "NTFS": bytes(build_ntfs(PLAN, size=4 << 20)),
    "FAT": bytes(build_fat(PLAN, size=3 << 20, cluster=512)),
    "exFAT": bytes(build_exfat(PLAN, size=2 << 20)),
    "ext2": bytes(build_ext2(PLAN, size=1 << 20)),
}
# The sectors with anything in them: damage to the others is seldom seen.
USED = {kind: [at for at in range(0, len(image), 512) if any(image[at : at + 512])] for kind, image in IMAGES.items()}


@contextmanager
def workplace() -> Iterator[Path]:
    folder = Path(tempfile.mkdtemp())
    try:
        yield folder
    finally:
        shutil.rmtree(folder)


def scanned(source: Path, case: Path, executor: str = "serial") -> ScanOutcome:
    options = ScanOptions(workers=2, executor=executor, batch_files=5)
    outcome = run_scan([SourceRequest(source, "E", "s")], case, [], options)
    with open_case(case) as view:
        write_reports(view, case / "reports")
    return outcome


def assert_conserved(source: Path, outcome: ScanOutcome, case: Path) -> None:
    """The scan's counts, the rows stored and a walk of our own agree; every digest is there or a problem says why."""
    walk = open_source(source, "E", "s", carving="fast")
    entries = [found for found in walk.walk() if isinstance(found, FileEntry)]
    walk.close()
    assert [entry.number for entry in entries] == list(range(len(entries)))
    with open_case(case) as view:
        rows = list(view.files())
    assert outcome.walked == outcome.examined == outcome.stored == len(rows)
    assert [row.path for row in rows if row.state is not State.EMBEDDED] == [entry.path for entry in entries]
    for row in rows:
        assert row.sha256 is not None or row.problems


damages = st.lists(
    st.tuples(st.floats(0, 1, exclude_max=True), st.integers(0, 511), st.integers(1, 255)), min_size=1, max_size=60
)


@pytest.mark.parametrize("kind", IMAGES)
@CALM
@given(damage=damages)
def test_every_file_of_a_damaged_disk_ends_as_one_row(kind: str, damage: list[tuple[float, int, int]]) -> None:
    image = bytearray(IMAGES[kind])
    for where, offset, change in damage:
        image[USED[kind][int(where * len(USED[kind]))] + offset] ^= change
    with workplace() as folder:
        (folder / "disk.dd").write_bytes(image)
        try:
            outcome = scanned(folder / "disk.dd", folder / "case")
        except SourceError:
            return
        assert_conserved(folder / "disk.dd", outcome, folder / "case")


names = st.binary(min_size=1, max_size=60).filter(lambda raw: not set(raw) & {0, 47} and raw not in (b".", b".."))


@CALM
@given(files=st.dictionaries(names, st.binary(max_size=300), max_size=12))
def test_every_file_of_a_folder_of_any_names_ends_as_one_row(files: dict[bytes, bytes]) -> None:
    with workplace() as folder:
        (folder / "exhibit").mkdir()
        for name, content in files.items():
            try:
                with open(bytes(folder / "exhibit") + b"/" + name, "wb") as file:  # noqa: PTH123 - not text
                    file.write(content)
            except OSError:
                pytest.skip("this file system takes text only")
        outcome = scanned(folder / "exhibit", folder / "case")
        assert_conserved(folder / "exhibit", outcome, folder / "case")
        listed = (folder / "case" / "reports" / "files.csv").read_text(encoding="utf-8")
        assert len(listed.splitlines()) == len(files) + 1, "a name broke a line of the list"


def test_the_pool_tells_of_a_damaged_disk_what_the_serial_executor_tells(tmp_path: Path) -> None:
    for kind, sound in IMAGES.items():
        image = bytearray(sound)
        for at in USED[kind][5::9]:
            image[at + 37] ^= 0x5A
        disk = tmp_path / f"{kind}.dd"
        disk.write_bytes(image)
        reports = []
        for executor in ("serial", "pool"):
            case = tmp_path / f"{kind} {executor}"
            assert_conserved(disk, scanned(disk, case, executor), case)
            reports.append(comparable_reports(case / "reports"))
        assert reports[0] == reports[1]
