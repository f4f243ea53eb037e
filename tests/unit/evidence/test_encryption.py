"""Encrypted volumes: LUKS1 for real, BitLocker and Apple's through stand-ins for the libraries; the file of secrets."""

from __future__ import annotations

import contextlib
import hashlib
import json
import random
import shutil
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from support.volumes import EXTENT, VolumeGroup, build_lvm, in_file_systems, linear

from caid_triage.errors import UsageError
from caid_triage.evidence.layers import encryption
from caid_triage.evidence.secrets import NO_SECRETS, Secret, Secrets, read_password_file
from caid_triage.evidence.source import open_source
from caid_triage.model import FileEntry, Severity
from caid_triage.synth.mbr import Partition, build_mbr

RECOVERY = "-".join(["111111"] * 8)


def secrets(*items: tuple[str, str]) -> Secrets:
    return Secrets(tuple(Secret(*item) for item in items))


@pytest.fixture
def unlocking() -> Iterator[Callable[..., Any]]:
    sources = []

    def opener(path: Path, given: Secrets) -> Any:
        sources.append(open_source(path, "E", "s", given))
        return sources[-1]

    yield opener
    for source in sources:
        source.close()


# ---------------------------------------------------------------- LUKS


@pytest.fixture(scope="module")
def luks(ntfs_image: bytes, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A disk whose first partition is a LUKS1 volume (password "geheim wort") with an NTFS volume in it."""
    if shutil.which("qemu-img") is None or shutil.which("cryptsetup") is None:
        pytest.skip("cryptsetup and qemu-img, which make and fill LUKS volumes, are not both installed")
    folder = tmp_path_factory.mktemp("luks")
    (folder / "plain.raw").write_bytes(ntfs_image)
    (folder / "l").write_bytes(bytes(len(ntfs_image) + (2 << 20)))
    format_it = ["cryptsetup", "-q", "luksFormat", "--type", "luks1", "--pbkdf-force-iterations", "1000"]
    fill = ["qemu-img", "convert", "-n", "--object", "secret,id=s,data=geheim wort", "--image-opts"]
    fill += [f"driver=raw,file.filename={folder / 'plain.raw'}", "--target-image-opts"]
    fill += [f"driver=luks,key-secret=s,file.filename={folder / 'l'}"]
    for command in ([*format_it, str(folder / "l"), "-"], fill):
        made = subprocess.run(command, input=b"geheim wort", capture_output=True, check=False, timeout=120)
        if made.returncode:
            pytest.skip(f"no LUKS volume can be made in a file here: {made.stderr.decode()}")
    path = folder / "disk.raw"
    path.write_bytes(build_mbr([Partition(0x83, (folder / "l").read_bytes())]))
    return path


@pytest.mark.parametrize("given", [NO_SECRETS, secrets(("password", "wrong"), ("password", "geheim wort "))])
def test_without_the_right_password_it_stays_locked(given: Secrets, luks: Path, unlocking: Callable[..., Any]) -> None:
    source = unlocking(luks, given)
    assert [(v.name, v.status) for v in source.volumes()] == [("p1", "encrypted")]
    (problem,) = source.problems()
    assert (problem.code, problem.severity) == ("volume-encrypted", Severity.PROBLEM)
    assert "LUKS1" in problem.detail
    assert ("2 given secrets" in problem.detail) == bool(given.items)
    assert "geheim" not in problem.detail
    assert source.coverage()["encrypted"] == source.volumes()[0].length


@pytest.mark.parametrize("kind", ["password", "key-file"])
def test_the_right_secret_opens_it_and_the_files_are_those_of_the_plain_volume(
    kind: str,
    luks: Path,
    tmp_path: Path,
    ntfs_image: bytes,
    unlocking: Callable[..., Any],
    opened: Callable[..., Any],
    walked: Callable[..., Any],
    sha256_of: Callable[..., str],
) -> None:
    value = "geheim wort"
    if kind == "key-file":
        (tmp_path / "key").write_text("geheim wort")
        value = str(tmp_path / "key")
    source = unlocking(luks, secrets(("password", "no"), (kind, value)))
    assert [(v.name, v.file_system, v.status) for v in source.volumes()] == [
        ("p1", "LUKS1", "unlocked"),
        ("p1/luks", "NTFS", "examined"),
    ]
    assert [(p.code, p.severity, p.volume) for p in source.problems()] == [("volume-unlocked", Severity.NOTE, "p1")]
    plain = opened(ntfs_image)
    ours, theirs = walked(source)[0], walked(plain)[0]
    assert [(e.path, e.state, e.size) for e in ours] == [(e.path, e.state, e.size) for e in theirs]
    for entry, alone in zip(ours, theirs, strict=True):
        assert entry.physical_offset is None  # its bytes do not stand on the disk as they are read
        if entry.readable:
            assert sha256_of(source, entry) == sha256_of(plain, alone)
    coverage = source.coverage()
    assert in_file_systems(coverage) == len(ntfs_image)
    assert coverage["encrypted"] == 0
    assert sum(coverage.values()) == luks.stat().st_size


def test_encryption_inside_a_logical_volume_inside_a_partition(
    luks: Path, tmp_path: Path, ntfs_image: bytes, unlocking: Callable[..., Any], sha256_of: Callable[..., str]
) -> None:
    content = (luks.parent / "l").read_bytes()
    parts = [content[at : at + EXTENT] for at in range(0, len(content), EXTENT)]
    half = len(parts) // 2
    group = VolumeGroup({"root": [linear(half, len(parts) - half), linear(len(parts) - half, 0)]})
    path = tmp_path / "disk.raw"
    path.write_bytes(build_mbr([Partition(0x8E, bytes(build_lvm(group, parts[half:] + parts[:half])))]))
    source = unlocking(path, secrets(("password", "geheim wort")))
    assert [(v.name, v.status) for v in source.volumes()] == [
        ("p1", "unwrapped"),
        ("p1/root", "unlocked"),
        ("p1/root/luks", "examined"),
    ]
    assert [p.volume for p in source.problems()] == ["p1/root"]
    assert source._systems[2].image.read(0, len(ntfs_image)) == ntfs_image
    entry = next(e for e in source.walk() if isinstance(e, FileEntry) and e.readable and e.size)
    assert sha256_of(source, entry)
    assert entry.physical_offset is None
    coverage = source.coverage()
    assert in_file_systems(coverage) == len(ntfs_image)
    assert sum(coverage.values()) == path.stat().st_size
    locked = unlocking(path, NO_SECRETS)
    assert [(v.name, v.status) for v in locked.volumes()] == [("p1", "unwrapped"), ("p1/root", "encrypted")]
    assert locked.coverage()["encrypted"] == len(content)


@pytest.mark.parametrize("library", ["cryptography", "libluksde"])
def test_both_ways_to_unlock_luks1_give_the_plain_volume(
    library: str, luks: Path, ntfs_image: bytes, monkeypatch: pytest.MonkeyPatch, unlocking: Callable[..., Any]
) -> None:
    if library == "cryptography":
        pytest.importorskip("cryptography", reason="the package cryptography is not installed")
        monkeypatch.setattr(encryption.pyluksde, "volume", None)  # it is not even asked
    else:
        monkeypatch.setattr(encryption.luks, "argon2", None)
    source = unlocking(luks, secrets(("password", "geheim wort")))
    assert source._systems[1].image.read(0, len(ntfs_image)) == ntfs_image


KDFS = {
    "pbkdf2": ["--pbkdf", "pbkdf2", "--pbkdf-force-iterations", "1000"],
    "argon2i": ["--pbkdf", "argon2i", "--pbkdf-memory", "512", "--pbkdf-force-iterations", "4"],
    "argon2id": [
        "--pbkdf",
        "argon2id",
        "--pbkdf-memory",
        "1024",
        "--pbkdf-force-iterations",
        "4",
        "--pbkdf-parallel",
        "2",
    ],
}
FORMS = {
    "usual": [],
    "large sectors": ["--sector-size", "4096"],
    "a short key": ["--key-size", "256"],
    "cbc": ["--cipher", "aes-cbc-essiv:sha256", "--key-size", "256"],
    "plain cbc": ["--cipher", "aes-cbc-plain64", "--key-size", "256"],
}


def encrypted(cipher: str, key: bytes, plain: bytes, sector: int) -> bytes:
    """What dm-crypt would write: each sector encrypted with its number, counted in 512 bytes (no device is needed)."""
    library = pytest.importorskip("cryptography.hazmat.primitives.ciphers")
    algorithms, modes = library.algorithms, library.modes
    out = []
    for at in range(0, len(plain), sector):
        tweak = (at // 512).to_bytes(16, "little")
        if "essiv" in cipher:
            essiv = library.Cipher(algorithms.AES(hashlib.sha256(key).digest()), modes.ECB()).encryptor()
            tweak = essiv.update(tweak)
        mode = modes.XTS(tweak) if "xts" in cipher else modes.CBC(tweak)
        out.append(library.Cipher(algorithms.AES(key), mode).encryptor().update(plain[at : at + sector]))
    return b"".join(out)


def make_luks2(path: Path, plain: bytes, passphrase: bytes, options: list[str]) -> None:
    """A LUKS2 volume: its header by cryptsetup, which tells its volume key, its sectors written here."""
    if shutil.which("cryptsetup") is None:
        pytest.skip("cryptsetup, which makes LUKS2 headers, is not installed")
    pytest.importorskip("cryptography", reason="the package cryptography is not installed")
    path.write_bytes(bytes(len(plain) + (16 << 20)))
    key_file = path.with_suffix(".volume-key")
    key_file.unlink(missing_ok=True)
    dump = ["luksDump", str(path), "--dump-volume-key", "--volume-key-file", str(key_file), "--key-file", "-"]
    for command in (["luksFormat", "--type", "luks2", *options, str(path), "-"], dump):
        made = subprocess.run(
            ["cryptsetup", "-q", *command], input=passphrase, capture_output=True, check=False, timeout=120
        )
        if made.returncode:
            pytest.skip(f"cryptsetup makes no such volume in a file here: {made.stderr.decode()}")
    header = json.loads(path.read_bytes()[4096:16384].rstrip(b"\0"))
    segment = header["segments"]["0"]
    start, sector = int(segment["offset"]), int(segment["sector_size"])
    with path.open("r+b") as file:
        file.seek(start)
        file.write(encrypted(segment["encryption"], key_file.read_bytes(), plain, sector))
        file.truncate(start + len(plain))


@pytest.mark.parametrize(("kdf", "form"), [*((kdf, "usual") for kdf in KDFS), *(("pbkdf2", form) for form in FORMS)])
def test_luks2_is_unlocked_whatever_its_key_slot_and_cipher(
    kdf: str, form: str, tmp_path: Path, fat_image: bytes, unlocking: Callable[..., Any]
) -> None:
    path = tmp_path / "l2.raw"
    make_luks2(path, fat_image, "pässwort".encode(), [*KDFS[kdf], *FORMS[form]])
    locked = unlocking(path, secrets(("password", "passwort")))
    assert [v.status for v in locked.volumes()] == ["encrypted"]
    assert "none of the 1 given secrets" in locked.problems()[0].detail
    source = unlocking(path, secrets(("password", "no"), ("password", "pässwort")))
    assert [(v.name, v.file_system, v.status) for v in source.volumes()] == [
        ("p0", "LUKS2", "unlocked"),
        ("p0/luks", "FAT16", "examined"),
    ]
    system = source._systems[1]
    assert system.image.get_size() == len(fat_image)
    for offset, size in ((0, 100), (511, 2), (4095, 5000), (len(fat_image) - 7, 7), (100_001, 300_003)):
        assert system.image.read(offset, size) == fat_image[offset : offset + size]
    assert any(getattr(e, "path", "") == "/here.jpg" for e in source.walk())
    assert in_file_systems(source.coverage()) == len(fat_image)


def test_luks2_with_a_key_file_of_any_bytes_and_from_its_second_header(
    tmp_path: Path, fat_image: bytes, unlocking: Callable[..., Any]
) -> None:
    path, key = tmp_path / "l2.raw", tmp_path / "key.bin"
    key.write_bytes(b"\x00\xff\n binary")
    make_luks2(path, fat_image, key.read_bytes(), KDFS["pbkdf2"])
    content = bytearray(path.read_bytes())
    content[5000] ^= 0xFF  # the first header's text
    path.write_bytes(content)
    source = unlocking(path, secrets(("key-file", str(key))))
    assert [v.status for v in source.volumes()] == ["unlocked", "examined"]
    content[16384 + 5000] ^= 0xFF  # the second's too
    path.write_bytes(content)
    (problem,) = unlocking(path, secrets(("key-file", str(key)))).problems()
    assert problem.code == "volume-encrypted"
    assert "checksum" in problem.detail


def luks2_header(kdf: dict[str, Any], change: Callable[[dict[str, Any]], None] = lambda _text: None) -> bytes:
    area = {"type": "raw", "offset": "32768", "size": "131072", "encryption": "aes-xts-plain64", "key_size": 64}
    af = {"type": "luks1", "stripes": 4000, "hash": "sha256"}
    slot = {"type": "luks2", "key_size": 64, "af": af, "area": area, "kdf": kdf}
    segment = {"type": "crypt", "offset": "1048576", "size": "dynamic", "encryption": "aes-xts-plain64"}
    segment |= {"iv_tweak": "0", "sector_size": 512}
    digest = {"type": "pbkdf2", "hash": "sha256", "iterations": 1000, "salt": "AAAA", "digest": "AAAA"}
    header = {"keyslots": {"0": slot}, "segments": {"0": segment}, "digests": {"0": digest}}
    change(header)
    text = json.dumps(header).encode()
    text = text.ljust(16384 - 4096, b"\0")
    binary = bytearray(4096)
    binary[:8] = b"LUKS\xba\xbe\0\2"
    binary[8:16] = (16384).to_bytes(8, "big")
    binary[72:78] = b"sha256"
    binary[448:480] = hashlib.sha256(bytes(binary) + text).digest()
    return (bytes(binary) + text).ljust(4 << 20, b"\0")


@pytest.mark.parametrize(
    ("kdf", "says"),
    [
        ({"type": "argon2id", "time": 4, "memory": 1 << 30, "cpus": 4, "salt": "AAAA"}, "more memory"),
        ({"type": "argon2id", "time": 1 << 30, "memory": 1 << 20, "cpus": 4, "salt": "AAAA"}, "more memory or work"),
        ({"type": "pbkdf2", "hash": "sha256", "iterations": 1 << 31, "salt": "AAAA"}, "more work"),
        ({"type": "scrypt"}, "'scrypt' is not supported"),
        ({"type": "pbkdf2"}, "damaged"),
    ],
)
def test_a_luks2_header_that_asks_for_too_much_is_refused_at_once(
    kdf: dict[str, Any], says: str, tmp_path: Path, unlocking: Callable[..., Any]
) -> None:
    pytest.importorskip("cryptography", reason="the package cryptography is not installed")
    path = tmp_path / "l2.raw"
    path.write_bytes(luks2_header(kdf))
    (problem,) = unlocking(path, secrets(("password", "x"))).problems()
    assert problem.code == "volume-encrypted"
    assert says in problem.detail


def test_no_header_makes_it_crash_or_spend_long(tmp_path: Path) -> None:
    """Every single value of a header replaced by each of these; the checksum is right, so all of it is believed."""
    pytest.importorskip("cryptography", reason="the package cryptography is not installed")
    values = (None, 0, -1, 1, 1 << 70, 1.5, "", "x", "shake_128", "-5", "9" * 30, [], {}, ["x"], True)
    kdf = {"type": "pbkdf2", "hash": "sha256", "iterations": 1000, "salt": "AAAA"}
    began = time.process_time()

    def places(node: Any, way: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
        if isinstance(node, dict):
            for key, below in node.items():
                yield (*way, key)
                yield from places(below, (*way, key))

    header: dict[str, Any] = {}
    luks2_header(kdf, header.update)
    ways = list(places(header))
    assert len(ways) > 25
    for way in ways:
        for value in values:

            def change(text: dict[str, Any], way: tuple[str, ...] = way, value: Any = value) -> None:
                node = text
                for key in way[:-1]:
                    node = node[key]
                node[way[-1]] = value

            content = luks2_header(kdf, change)
            read = lambda at, size, content=content: content[at : at + size]  # noqa: E731
            with contextlib.suppress(encryption.luks.NotUnlocked):
                encryption.luks.unlock(read, len(content), [("with a password", b"x")])
    assert time.process_time() - began < 60


def test_without_the_package_luks2_says_what_is_missing(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, unlocking: Callable[..., Any]
) -> None:
    monkeypatch.setattr(encryption.luks, "argon2", None)
    path = tmp_path / "l2.raw"
    path.write_bytes(luks2_header({"type": "pbkdf2"}))
    (problem,) = unlocking(path, secrets(("password", "x"))).problems()
    assert problem.code == "volume-encrypted"
    assert "cryptography" in problem.detail


# ---------------------------------------------------------------- BitLocker, with a stand-in for libbde


class StandIn:
    """A libyal volume: locked until it is given what ``opens`` holds (method, text); then it reads ``inside``."""

    opens: tuple[str, str] | None = None
    inside = b""
    asked: list[tuple[str, str]]

    def __init__(self) -> None:
        self._given: list[tuple[str, str]] = []
        self._open = False

    def set_password(self, text: str) -> None:
        self._given.append(("password", text))

    def set_recovery_password(self, text: str) -> None:
        if not text.replace("-", "").isdigit():
            raise OSError("unable to set recovery password")
        self._given.append(("recovery-key", text))

    def read_startup_key(self, path: str) -> None:
        self._given.append(("key-file", Path(path).read_text()))

    def open_file_object(self, file: Any) -> None:
        file.seek(0)
        assert file.read(11)[3:] == b"-FVE-FS-"
        type(self).asked += self._given
        self._open = True

    def is_locked(self) -> bool:
        return not self._open or (self.opens is not None and self.opens not in self._given)

    def get_size(self) -> int:
        return len(self.inside)

    def read_buffer_at_offset(self, length: int, offset: int) -> bytes:
        return self.inside[offset : offset + length]


@pytest.fixture
def bitlocker(monkeypatch: pytest.MonkeyPatch, fat_image: bytes, tmp_path: Path) -> tuple[Path, type[StandIn]]:
    stand_in = type("FakeVolume", (StandIn,), {"inside": fat_image, "asked": []})
    monkeypatch.setattr(encryption.pybde, "volume", stand_in)
    volume = bytearray(len(fat_image) + 8192)
    volume[3:11] = b"-FVE-FS-"
    volume[510:512] = b"\x55\xaa"
    path = tmp_path / "bde.raw"
    path.write_bytes(build_mbr([Partition(0x07, bytes(volume))]))
    return path, stand_in


@pytest.mark.parametrize(
    ("opens", "how"),
    [
        (("recovery-key", RECOVERY), "with a recovery key"),
        (("password", "pa:ss"), "with a password"),
        (("key-file", "startup"), "with a startup key"),
        (None, "without a secret"),
    ],
)
def test_bitlocker_is_opened_by_each_kind_of_secret(
    opens: tuple[str, str] | None,
    how: str,
    bitlocker: tuple[Path, type[StandIn]],
    tmp_path: Path,
    fat_image: bytes,
    unlocking: Callable[..., Any],
) -> None:
    path, stand_in = bitlocker
    stand_in.opens = opens
    (tmp_path / "key.BEK").write_text("startup")
    (tmp_path / "secrets").write_text(f"pa:ss\npassword:other\n{RECOVERY}\nkey-file:key.BEK\n")
    source = unlocking(path, read_password_file(tmp_path / "secrets") if opens else NO_SECRETS)
    assert [(v.name, v.file_system, v.status) for v in source.volumes()] == [
        ("p1", "BitLocker", "unlocked"),
        ("p1/bde", "FAT16", "examined"),
    ]
    (problem,) = source.problems()
    assert (problem.code, problem.severity) == ("volume-unlocked", Severity.NOTE)
    assert how in problem.detail
    entry = next(e for e in source.walk() if isinstance(e, FileEntry) and e.path == "/here.jpg")
    assert entry.physical_offset is None
    assert b"".join(source.chunks(entry)) in fat_image
    coverage = source.coverage()
    assert in_file_systems(coverage) == len(fat_image)
    assert sum(coverage.values()) == path.stat().st_size


def test_bitlocker_that_no_secret_opens_stays_a_problem(
    bitlocker: tuple[Path, type[StandIn]], unlocking: Callable[..., Any]
) -> None:
    path, stand_in = bitlocker
    stand_in.opens = ("password", "right")
    source = unlocking(path, secrets(("password", "wrong"), ("recovery-key", "no key")))
    assert stand_in.asked == [("password", "wrong")]  # what is no recovery key is not even tried to open with
    assert [(v.status, v.name) for v in source.volumes()] == [("encrypted", "p1")]
    assert [p.code for p in source.problems()] == ["volume-encrypted"]


# ---------------------------------------------------------------- Apple's, with stand-ins for libfvde and libfsapfs


class AppleVolume:
    """A logical volume of Core Storage: locked until unlock() after the right password."""

    def __init__(self, inside: bytes, password: str | None) -> None:
        self._inside, self._password, self._given = inside, password, ""
        self._locked = password is not None

    def get_name(self) -> str:
        return "Macintosh HD"

    def is_locked(self) -> bool:
        return self._locked

    def set_password(self, text: str) -> None:
        self._given = text

    def set_recovery_password(self, text: str) -> None:
        self._given = text

    def unlock(self) -> None:
        if self._given != self._password:
            raise OSError("unable to unlock")
        self._locked = False

    def get_size(self) -> int:
        return len(self._inside)

    def read_buffer_at_offset(self, length: int, offset: int) -> bytes:
        return self._inside[offset : offset + length]


@pytest.mark.parametrize(("password", "status"), [("right", "unlocked"), ("else", "encrypted"), (None, "unlocked")])
def test_core_storage(
    password: str | None,
    status: str,
    monkeypatch: pytest.MonkeyPatch,
    fat_image: bytes,
    tmp_path: Path,
    unlocking: Callable[..., Any],
) -> None:
    class Volume:
        def open_file_object(self, _file: Any) -> None:
            self.volumes = [AppleVolume(fat_image, password)]

        def get_volume_group(self) -> Any:
            return self

        def get_number_of_logical_volumes(self) -> int:
            return 1

        def get_logical_volume(self, place: int) -> AppleVolume:
            return self.volumes[place]

    monkeypatch.setattr(encryption.pyfvde, "volume", Volume)
    image = bytearray(len(fat_image) + 8192)
    image[88:92] = b"CS\x01\x00"
    path = tmp_path / "cs.raw"
    path.write_bytes(image)
    source = unlocking(path, secrets(("password", "no"), ("recovery-key", "right")))
    assert source.volumes()[0].status == status
    if status == "unlocked":
        assert [(v.name, v.file_system) for v in source.volumes()][1:] == [("p0/lv1", "FAT16")]
        assert ("with a recovery key" in source.problems()[0].detail) == (password is not None)
        assert in_file_systems(source.coverage()) == len(image)
        assert any(getattr(e, "path", "") == "/here.jpg" for e in source.walk())
    else:
        assert [(p.code, p.severity) for p in source.problems()] == [("volume-encrypted", Severity.PROBLEM)]
        assert source.coverage()["encrypted"] == len(image)


def test_many_secrets_on_a_costly_volume_are_bounded_and_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fat_image: bytes, unlocking: Callable[..., Any]
) -> None:
    """The work of all tries is bounded by the header's numbers, so that every machine tries the same secrets."""
    path = tmp_path / "l2.raw"
    make_luks2(path, fat_image, b"the 41st", KDFS["argon2id"])  # 4 passes over 1 MiB
    words = [f"word {n}" for n in range(40)]
    told: list[tuple[str, int, int]] = []
    given = Secrets(tuple(Secret("password", word) for word in [*words, "the 41st"]), lambda *how: told.append(how))
    assert [v.status for v in unlocking(path, given).volumes()] == ["unlocked", "examined"]
    assert [n for name, n, every in told if (name, every) == ("p0", 41)] == list(range(41))
    monkeypatch.setattr(encryption.luks, "_MOST_WORK_OF_ALL", 0.08)
    told.clear()
    source = unlocking(path, given)
    (problem,) = source.problems()
    assert (problem.code, problem.severity) == ("volume-encrypted", Severity.PROBLEM)
    tried = int(problem.detail.partition("only the first ")[2].partition(" ")[0])
    assert 5 < tried < 25
    assert len(told) == tried + 1
    assert "word" not in problem.detail


def test_a_usual_volume_takes_a_thousand_secrets() -> None:
    """Two hours at most: what cryptsetup makes by itself is tried to the end, what a liar asks for is not."""
    digest = {"type": "pbkdf2", "iterations": 150_000}
    usual = {"kdf": {"type": "argon2id", "memory": 1 << 20, "time": 4}}
    assert encryption.luks.affordable([usual], [digest]) >= 1000
    assert encryption.luks.affordable([{"kdf": {"type": "pbkdf2", "iterations": 2_000_000}}], [digest]) >= 1000
    costly = {"kdf": {"type": "argon2id", "memory": 4 << 20, "time": 16}}
    assert encryption.luks.affordable([costly] * 8, [digest]) == 9
    assert encryption.luks.affordable([costly] * 9999, [digest]) == 1


@pytest.mark.parametrize("place", [164, 212])
def test_a_luks1_header_of_a_rare_cipher_that_asks_for_too_much_is_refused_at_once(
    place: int, luks: Path, tmp_path: Path, unlocking: Callable[..., Any]
) -> None:
    content = bytearray((luks.parent / "l").read_bytes())
    content[8:40] = b"serpent".ljust(32, b"\0")
    content[place : place + 4] = b"\xff\xff\xff\xff"
    path = tmp_path / "l1.raw"
    path.write_bytes(content)
    began = time.monotonic()
    (problem,) = unlocking(path, secrets(("password", "geheim wort"))).problems()
    assert time.monotonic() - began < 5
    assert "more work" in problem.detail


# ---------------------------------------------------------------- the file of secrets


def test_the_lines_of_a_password_file(tmp_path: Path) -> None:
    (tmp_path / "k.BEK").write_bytes(b"\x00\xff")
    path = tmp_path / "secrets.txt"
    key = "ABCD-EFGH-1234-5678-WXYZ-0000"
    path.write_bytes(
        "\ufeffplain word\r\n trailing blank \n\npassword:key-file:x\nrecovery-key: 1-2 \nkey-file:k.BEK\n"
        f"http://x\n{RECOVERY}\n{key}\nplain word\nzeile\u2028zwei".encode()
    )
    found = read_password_file(path)
    assert [(item.kind, item.value) for item in found.items] == [
        ("password", "plain word"),
        ("password", " trailing blank "),
        ("password", "key-file:x"),
        ("recovery-key", "1-2"),
        ("key-file", str(tmp_path / "k.BEK")),
        ("password", "http://x"),
        ("password", RECOVERY),
        ("recovery-key", RECOVERY),
        ("password", key),
        ("recovery-key", key),
        ("password", "zeile\u2028zwei"),
    ]
    assert "plain word" not in repr(found)


@pytest.mark.parametrize(
    ("typed", "kind", "wanted"),
    [
        (" ".join(["111111"] * 8), "", RECOVERY),
        ("111111" * 8, "", RECOVERY),
        (" - ".join(["111111"] * 8) + "  ", "", RECOVERY),
        ("\u2013".join(["111111"] * 8), "", RECOVERY),
        ("\u00a0".join(["111111"] * 8), "recovery-key:", RECOVERY),
        ("abcd-efgh-1234-5678-wxyz-0000", "", "ABCD-EFGH-1234-5678-WXYZ-0000"),
        ("ABCD EFGH 1234 5678 WXYZ 0000", "recovery-key:", "ABCD-EFGH-1234-5678-WXYZ-0000"),
        ("abcdefgh12345678wxyz0000", "recovery-key:", "ABCD-EFGH-1234-5678-WXYZ-0000"),
        ("abcdefgh12345678wxyz0000", "", None),  # as well a password
        ("111111-111111", "", None),
        ("111111" * 7 + "11111", "", None),
        ("five words make no key", "", None),
    ],
)
def test_recovery_keys_are_taken_however_they_were_typed(
    typed: str, kind: str, wanted: str | None, tmp_path: Path
) -> None:
    path = tmp_path / "secrets.txt"
    path.write_text(f"{kind}{typed}\n")
    assert list(read_password_file(path).of("recovery-key")) == ([] if wanted is None else [wanted])
    assert list(read_password_file(path).of("password")) == ([] if kind else [typed])


def test_a_thousand_lines_are_taken_also_as_recovery_keys(tmp_path: Path) -> None:
    path = tmp_path / "secrets.txt"
    path.write_text("\n".join("-".join([f"{n:06}"] * 8) for n in range(1000)))
    assert len(list(read_password_file(path).of("recovery-key"))) == 1000


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"", "holds no secret"),
        (b"\n\r\n", "holds no secret"),
        (b"top\xff", "not UTF-8"),
        (b"ok\npassword:", "line 2"),
        (b"key-file:absent", "line 1"),
        (b"key-file:empty", "0 bytes"),
        (b"\n".join(b"s%d" % n for n in range(1001)), "at most 1000"),
    ],
)
def test_a_password_file_that_cannot_be_used_is_a_usage_error_without_its_content(
    content: bytes, says: str, tmp_path: Path
) -> None:
    (tmp_path / "empty").write_bytes(b"")
    path = tmp_path / "secrets.txt"
    path.write_bytes(content)
    with pytest.raises(UsageError, match=says) as caught:
        read_password_file(path)
    assert "top" not in str(caught.value)


def test_an_absent_password_file_is_a_usage_error(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="could not be read"):
        read_password_file(tmp_path / "absent")


@pytest.mark.parametrize("sector", [512, 1024, 2048, 4096])
@pytest.mark.parametrize(
    ("cipher", "key_size"),
    [
        ("aes-xts-plain64", 32),
        ("aes-xts-plain64", 64),
        ("aes-cbc-plain", 16),
        ("aes-cbc-plain64", 24),
        ("aes-cbc-essiv:sha256", 32),
    ],
)
def test_many_sectors_at_once_are_decrypted_as_one_by_one(cipher: str, key_size: int, sector: int) -> None:
    pytest.importorskip("cryptography", reason="the package cryptography is not installed")
    choose = random.Random(f"{cipher} {key_size} {sector}")
    for first in (0, 7, (1 << 32) - 20, (1 << 40) + 3):
        key, data = choose.randbytes(key_size), choose.randbytes(1100 * sector)
        plain = encryption.luks.decrypted_one_by_one(cipher, key, data, first, sector)
        assert encryption.luks.decrypted(cipher, key, data, first, sector) == plain
        assert encryption.luks.decrypted_at_once(cipher, key, data, first, sector) == plain
        few = encryption.luks.decrypted(cipher, key, data[: 5 * sector], first, sector)
        assert few == plain[: 5 * sector]
