"""Whole scans on a Dask cluster of real processes: the bytes of the serial executor, whatever dies in the middle."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import MappingProxyType

import pytest
from click.testing import CliRunner
from support.cli import comparable_reports, picture, run_command
from support.dask_cluster import DaskCluster, authority, dask_cluster, until
from support.embedded import zipped
from support.processes import children
from support.quicklook import Cache
from support.volumes import build_luks

import caid_triage
from caid_triage.cli.main import program
from caid_triage.config import ClusterOptions, ScanOptions
from caid_triage.errors import UsageError
from caid_triage.scan.cluster_words import Border
from caid_triage.synth.fat import build_fat
from caid_triage.synth.mbr import Partition, build_mbr
from caid_triage.synth.ntfs import build_ntfs
from caid_triage.synth.plan import PlannedFile
from caid_triage.version import __version__

dask = pytest.importorskip("caid_triage.scan.dask", reason="needs the extra 'cluster'", exc_type=ModuleNotFoundError)
from caid_triage.scan import dask_start  # noqa: E402 - needs the extra

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="sends POSIX signals and looks into /proc")
FILES = 30
PASSWORD = "correct horse"


def exhibit(path: Path, first: int, kind: str, locked: bytes = b"") -> Path:
    """Pictures with names, in a zip, deleted, without a name, damaged; a film; and files whose bytes are cut off."""
    plan = [PlannedFile(f"/d{n % 7}/{n:03}.jpg", picture("coast.jpg") + b"%d" % n) for n in range(first, first + FILES)]
    cache = Cache()
    plan += [
        PlannedFile("/inside.zip", zipped({f"{n}.jpg": picture("marble.jpg") + b"%d" % n for n in range(5)})),
        PlannedFile("/damaged.jpg", picture("coast.jpg")[:9000]),
        PlannedFile("/gone.jpg", picture("town.jpg"), deleted=True),
        PlannedFile("/film.avi", picture("ball.avi")),
        PlannedFile("/lonely/index.sqlite", cache.index()),
    ]
    volume = build_ntfs(plan, size=16 << 20) if kind == "ntfs" else build_fat(plan, size=8 << 20, cluster=1024)
    partitions = [Partition(7, bytes(volume)), *([Partition(0x83, locked)] if locked else [])]
    behind = b"".join(picture(name) + bytes(-len(picture(name)) % 512) for name in ("discs.png", "orchard.jpg"))
    path.write_bytes(build_mbr(partitions) + behind)
    return path


def encrypted_volume(folder: Path) -> bytes:
    """A LUKS volume with pictures; nothing where the tools that make one are missing."""
    plan = [PlannedFile(f"/locked/{n}.jpg", picture("orchard.jpg") + b"%d" % n) for n in range(9)]
    try:
        return build_luks(folder, bytes(build_fat(plan, size=2 << 20, bits=12, cluster=1024)), PASSWORD)
    except pytest.skip.Exception:
        return b""


@pytest.fixture(scope="module")
def locked(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    return encrypted_volume(tmp_path_factory.mktemp("locked"))


@pytest.fixture(scope="module")
def images(locked: bytes, tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    folder = tmp_path_factory.mktemp("exhibits")
    whole, cut = exhibit(folder / "disk.dd", 0, "ntfs", locked), exhibit(folder / "cut.dd", 500, "fat")
    with cut.open("r+b") as file:
        file.truncate(3 << 19)  # within the files: some cannot be read, and the ledger says where
    (folder / "secrets.txt").write_text(f"another password\n{PASSWORD}\n")
    return [whole, cut]


def words_for(image: Path) -> list[object]:
    """What a scan of one of the two is told: only one has something to unlock."""
    return [image, *(["--password-file", image.parent / "secrets.txt"] if image.name == "disk.dd" else []), "--quiet"]


def scanned_here(*words: object) -> tuple[int, str]:
    """The exit code of a scan and what it says of errors, run in this process."""
    done = CliRunner().invoke(program, ["scan", *map(str, words)])
    return done.exit_code, done.stderr


@pytest.fixture(scope="module")
def calm(images: list[Path], locked: bytes, tmp_path_factory: pytest.TempPathFactory) -> list[dict[str, str]]:
    """What the serial executor says: the oracle."""
    found = []
    for image in images:
        case = tmp_path_factory.mktemp("calm") / "case"
        code, errors = scanned_here(*words_for(image), "--case", case, "--executor", "serial")
        assert code == 3, errors
        found.append(comparable_reports(case / "reports"))
    assert ",read-failed," in found[1]["problems.csv"] or ",short-read," in found[1]["problems.csv"]
    assert not locked or found[0]["files.csv"].count(",/locked/") == 9
    return found


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[DaskCluster]:
    with dask_cluster(tmp_path_factory.mktemp("cluster")) as made:
        yield made


def begin(image: Path, case: Path, *words: object) -> subprocess.Popen[str]:
    command = ["scan", *words_for(image), "--case", case, "--executor", "dask", *words]
    return subprocess.Popen(
        [sys.executable, "-P", "-m", "caid_triage", *map(str, command)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


def audit_of(case: Path) -> str:
    place = case / "audit.jsonl"
    return place.read_text() if place.exists() else ""


def family(*roots: int) -> set[int]:
    """Processes below these, and they themselves."""
    found, new = set(roots), set(roots)
    while new:
        new = {child for parent in new for child in children(parent)} - found
        found |= new
    return found


def living(processes: set[int]) -> list[int]:
    found = []
    for one in processes:
        try:
            if Path(f"/proc/{one}/stat").read_text().rpartition(")")[2].split()[0] != "Z":
                found.append(one)
        except OSError:
            continue
    return found


def test_a_local_cluster_says_what_the_serial_executor_says(
    images: list[Path], calm: list[dict[str, str]], tmp_path: Path
) -> None:
    case = tmp_path / "case"
    done = run_command("scan", *words_for(images[0]), "--case", case, "--executor", "dask", "--workers", 2)
    assert done.returncode == 3, done.stderr
    assert done.stderr == ""
    assert comparable_reports(case / "reports") == calm[0]
    assert '"action":"cluster-joined"' in audit_of(case)
    assert '"encrypted":true' in audit_of(case)
    assert '"threads":2' in audit_of(case)
    assert '"here":0,' in audit_of(case), "the coordinator examined what its cluster was there for"


def test_an_encrypted_volume_is_examined_on_a_cluster(
    cluster: DaskCluster, locked: bytes, images: list[Path], calm: list[dict[str, str]], tmp_path: Path
) -> None:
    if not locked:
        pytest.skip("cryptsetup and qemu-img, which make and fill LUKS volumes, are missing or do not work here")
    case = tmp_path / "case"
    code, errors = scanned_here(
        *words_for(images[0]), "--case", case, "--executor", "dask", "--scheduler", cluster.address
    )
    assert code == 3, errors + cluster.logs()
    assert comparable_reports(case / "reports") == calm[0]
    assert '"here":0,' in audit_of(case), "the coordinator examined what the workers should have unlocked"
    for place in (*case.rglob("*"), *cluster.folder.glob("*.log")):
        assert not place.is_file() or PASSWORD.encode() not in place.read_bytes()


def test_a_worker_killed_in_the_middle_and_a_second_exhibit_beside_change_nothing(
    cluster: DaskCluster, images: list[Path], calm: list[dict[str, str]], tmp_path: Path
) -> None:
    spare = cluster.start_worker()
    cases = [tmp_path / "case0", tmp_path / "case1"]
    scans = [begin(image, case, "--scheduler", cluster.address) for image, case in zip(images, cases, strict=True)]
    until(lambda: all('"source-opened"' in audit_of(case) for case in cases), "two scans")
    until(lambda: len(children(spare.pid)) >= 2, "the worker at work")
    assert all(scan.poll() is None for scan in scans), "a scan ended before anybody could disturb it"
    own = family(spare.pid) - {spare.pid}
    spare.send_signal(signal.SIGKILL)
    spare.wait()
    for scan, case, expected in zip(scans, cases, calm, strict=True):
        _, errors = scan.communicate(timeout=120)
        assert scan.returncode == 3, errors + cluster.logs()
        assert comparable_reports(case / "reports") == expected
    until(lambda: not living(own), "the end of the dead worker's children")
    for secret in ("coast", "/d3/", "disk.dd", PASSWORD):
        assert secret not in cluster.logs(), "a log of the cluster names a file of the exhibit"


def refused(code: int, *words: object) -> str:
    """What a scan says that ends with that code before it has made anything."""
    case = Path(str(words[words.index("--case") + 1]))
    ended, errors = scanned_here(*words, "--executor", "dask", "--quiet")
    assert ended == code, errors
    assert not case.exists(), "a case was made"
    return errors


def test_a_cluster_that_would_come_to_other_results_is_refused(
    cluster: DaskCluster, images: list[Path], tmp_path: Path
) -> None:
    joined = ["--scheduler", cluster.address, "--case", tmp_path / "case"]
    told = refused(4, images[0], *joined, "--map", f"{images[0].parent}=/nowhere")
    assert "/nowhere/disk.dd could not be opened there" in told
    other = tmp_path / "other"
    other.mkdir()
    content = bytearray(images[0].read_bytes())
    content[-1] ^= 1
    (other / "disk.dd").write_bytes(content)
    told = refused(4, images[0], *joined, "--map", f"{images[0].parent}={other}")
    assert "not the evidence of this machine" in told
    assert "first and last MiB" in told
    package = tmp_path / "old" / "caid_triage"
    shutil.copytree(Path(caid_triage.__file__).parent, package, ignore=shutil.ignore_patterns("__pycache__"))
    (package / "version.py").write_text('"""An old one."""\n\n__version__ = "0.0.9"\n')
    old = cluster.start_worker(env={"PYTHONPATH": str(package.parent)})
    try:
        told = refused(2, images[0], *joined)
    finally:
        old.terminate()
        old.wait()
    assert f"caid-triage is 0.0.9 there and {__version__} here" in told


@pytest.mark.skipif(shutil.which("openssl") is None, reason="makes certificates with openssl")
def test_where_there_is_no_cluster_nothing_is_begun(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dask_start, "CONNECT_SECONDS", 1.0)
    monkeypatch.setattr(dask, "WORKERS_SECONDS", 0.5)

    def told(address: str, certificates: Mapping[str, Path] = MappingProxyType({})) -> str:
        """Why a cluster is not joined, or not taken."""
        given = ClusterOptions(address, (), *(str(certificates.get(name, "")) for name in ("ca", "cert", "key")))
        with (
            pytest.raises(UsageError) as refusal,
            dask_start.opened_cluster(ScanOptions(executor="dask", cluster=given)) as joined,
        ):
            joined.check([], Border((), (), ()))
        return str(refusal.value)

    assert "could not be joined" in told("127.0.0.1:1")
    own, foreign = authority(tmp_path / "own"), authority(tmp_path / "foreign")
    empty = DaskCluster(tmp_path, tls=tls_words(own))
    empty.start_scheduler()
    try:
        assert empty.address.startswith("tls://")
        assert "has no workers" in told(empty.address, own)
        assert "could not be joined" in told(empty.address, foreign)
        assert "wants certificates" in told(empty.address)
    finally:
        empty.close()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGKILL])
def test_nothing_of_a_local_cluster_outlives_its_scan(images: list[Path], tmp_path: Path, number: int) -> None:
    scan = begin(images[0], tmp_path / "case", "--workers", 2)
    until(lambda: '"source-opened"' in audit_of(tmp_path / "case"), "the scan")
    until(lambda: len(family(scan.pid)) >= 5, "the cluster at work")
    started = family(scan.pid)
    if number == signal.SIGINT:
        os.killpg(scan.pid, number)  # as a terminal does: to the workers, too
    else:
        scan.send_signal(number)
    _, errors = scan.communicate(timeout=60)
    if number == signal.SIGINT:
        assert scan.returncode == 130, errors
        assert "Traceback" not in errors
    until(lambda: not living(started), "the end of what the scan had started")


def test_workers_let_go_of_a_scan_that_is_interrupted(cluster: DaskCluster, images: list[Path], tmp_path: Path) -> None:
    scan = begin(images[0], tmp_path / "case", "--scheduler", cluster.address)
    until(lambda: '"source-opened"' in audit_of(tmp_path / "case"), "the scan")
    workers = [worker.pid for worker in cluster.workers if worker.poll() is None]
    until(lambda: any(children(worker) for worker in workers), "a worker at work")
    os.killpg(scan.pid, signal.SIGINT)
    _, errors = scan.communicate(timeout=60)
    assert scan.returncode == 130, errors
    until(lambda: not any(children(worker) for worker in workers), "the end of the workers' children")


def test_a_worker_that_hangs_keeps_no_scan_from_ending(images: list[Path], tmp_path: Path) -> None:
    """The word that a scan leaves was waited for without an end: neither Ctrl+C nor a refusal ended it."""
    with dask_cluster(tmp_path, workers=1) as own:
        scan = begin(images[0], tmp_path / "case", "--scheduler", own.address)
        until(lambda: '"source-opened"' in audit_of(tmp_path / "case"), "the scan")
        os.kill(own.workers[0].pid, signal.SIGSTOP)
        try:
            os.killpg(scan.pid, signal.SIGINT)
            _, errors = scan.communicate(timeout=60)
            assert scan.returncode == 130, errors
        finally:
            os.kill(own.workers[0].pid, signal.SIGCONT)


def in_namespaces(first: str, second: str) -> bool:
    """Two network namespaces joined by a cable, 10.77.86.1 and .2; False where the machine does not allow it."""
    for words in (
        f"netns add {first}",
        f"netns add {second}",
        f"link add name {first} netns {first} type veth peer name {second} netns {second}",
        f"-n {first} addr add 10.77.86.1/24 dev {first}",
        f"-n {second} addr add 10.77.86.2/24 dev {second}",
        f"-n {first} link set {first} up",
        f"-n {second} link set {second} up",
        f"-n {first} link set lo up",
        f"-n {second} link set lo up",
    ):
        if subprocess.run(["ip", *words.split()], capture_output=True, check=False).returncode:
            return False
    return True


@pytest.fixture
def machines() -> Iterator[list[list[str]]]:
    """What goes before a command to run it on either of two machines: two network namespaces; else nothing."""
    names = ("caid-t-a", "caid-t-b")
    try:
        made = shutil.which("ip") is not None and in_namespaces(*names)
        yield [["ip", "netns", "exec", name] for name in names] if made else [[], []]
    finally:
        if shutil.which("ip") is not None:
            for name in names:
                subprocess.run(["ip", "netns", "del", name], capture_output=True, check=False)


def tls_words(certificates: dict[str, Path]) -> list[str]:
    """What a scheduler or a worker is told."""
    files = (("--tls-ca-file", "ca"), ("--tls-cert", "cert"), ("--tls-key", "key"))
    return [*(word for name, kind in files for word in (name, str(certificates[kind]))), "--protocol", "tls"]


@pytest.mark.skipif(shutil.which("openssl") is None, reason="makes certificates with openssl")
def test_two_machines_share_a_scan_under_tls_and_no_secret_without(
    machines: list[list[str]], images: list[Path], calm: list[dict[str, str]], tmp_path: Path
) -> None:
    here, there = machines
    host = "10.77.86.1" if here else "127.0.0.1"
    own = authority(tmp_path / "own")
    share = tmp_path / "mnt"
    share.mkdir()
    shutil.copy(images[0], share / "disk.dd")

    def scan(address: str, case: str, *words: object) -> subprocess.CompletedProcess[str]:
        mapped = ["--map", f"{images[0].parent}={share}", "--scheduler", address]
        command = ["scan", *words_for(images[0]), "--case", tmp_path / case, "--executor", "dask", *mapped, *words]
        whole = [*here, sys.executable, "-P", "-m", "caid_triage", *map(str, command)]
        return subprocess.run(whole, capture_output=True, text=True, check=False, timeout=300)

    around = {"scheduler": here, "worker-0": there}
    with dask_cluster(tmp_path / "tls", 1, host=host, tls=tls_words(own), around=around) as cluster:
        assert cluster.address.startswith("tls://")
        done = scan(cluster.address, "case", "--tls-ca", own["ca"], "--tls-cert", own["cert"], "--tls-key", own["key"])
        assert done.returncode == 3, done.stderr + cluster.logs()
        assert done.stderr == ""
        assert comparable_reports(tmp_path / "case" / "reports") == calm[0]
        audit = audit_of(tmp_path / "case")
        assert '"encrypted":true' in audit
        assert '"--map":true' in audit
        assert str(images[0].parent) not in audit
        assert PASSWORD not in cluster.logs()
    if not here:
        return  # on one machine nothing goes over a network in clear
    with dask_cluster(tmp_path / "plain", 1, host=host, around=around) as cluster:
        done = scan(cluster.address, "plain-case")
        assert done.returncode == 2, done.stderr + cluster.logs()
        assert "is spoken to without TLS" in done.stderr
        assert "secrets are not sent over a network in clear" in done.stderr
        assert not (tmp_path / "plain-case").exists()
