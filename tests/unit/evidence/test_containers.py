"""Virtual disks and Apple images: the same bytes and files as the raw image, and refusals that say what to do."""

from __future__ import annotations

import os
import plistlib
import random
import shutil
import struct
import subprocess
import sys
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from support.containers import (
    aff4,
    by_qemu,
    converted,
    differencing_vhd,
    differencing_vhdx,
    qemu_img,
    sparse_bundle,
    sparse_image,
    udif,
    with_own_sectors,
)

from caid_triage.errors import EvidenceError, SourceError
from caid_triage.evidence.account import DiskAccount
from caid_triage.evidence.containers.reader import ContainerImage, known_unreadable, merged
from caid_triage.evidence.disk import DiskSource
from caid_triage.evidence.source import open_source
from caid_triage.model import FileEntry, SourceInfo, Volume
from caid_triage.synth.fat import build_fat
from caid_triage.synth.plan import PlannedFile

VIRTUAL = {
    "vmdk": ("vmdk", "subformat=monolithicSparse"),
    "vmdk flat": ("vmdk", "subformat=monolithicFlat"),
    "vmdk extents": ("vmdk", "subformat=twoGbMaxExtentSparse"),
    "vmdk flat extents": ("vmdk", "subformat=twoGbMaxExtentFlat"),
    "vmdk stream": ("vmdk", "subformat=streamOptimized"),
    "vhd": ("vpc", "force_size=on"),
    "vhd fixed": ("vpc", "force_size=on", "subformat=fixed"),
    "vhdx": ("vhdx",),
    "vhdx fixed": ("vhdx", "subformat=fixed"),
    "vhdx small blocks": ("vhdx", "block_size=1M"),
    "qcow2": ("qcow2",),
    "qcow2 old": ("qcow2", "compat=0.10"),
    "qcow2 small clusters": ("qcow2", "cluster_size=512"),
    "qcow2 compressed": ("qcow2", "compressed"),
    "qcow2 compressed in large clusters": ("qcow2", "cluster_size=2M", "compressed"),
    "vdi": ("vdi",),
    "vdi fixed": ("vdi", "static=on"),
}
APPLE: dict[str, Callable[[bytes], bytes]] = {
    "dmg": lambda content: udif(content, "zlib"),
    "dmg bzip2": lambda content: udif(content, "bzip2"),
    "dmg raw": lambda content: udif(content, "raw"),
    "sparseimage": sparse_image,
}


def content_of(source: Any) -> bytes:
    """The whole disk, in pieces that are not aligned to anything."""
    image, size = source.image, source.info.size
    return b"".join(image.exact(offset, min(300_001, size - offset)) for offset in range(0, size, 300_001))


def digests(source: Any, sha256_of: Callable[..., str]) -> list[tuple[FileEntry, str]]:
    entries = [item for item in source.walk() if isinstance(item, FileEntry)]
    return [(entry, sha256_of(source, entry) if entry.readable else "") for entry in entries]


@pytest.fixture
def raw(tmp_path: Path, ntfs_image: bytes) -> Path:
    path = tmp_path / "disk.dd"
    path.write_bytes(ntfs_image)
    return path


@pytest.mark.parametrize("name", VIRTUAL)
def test_a_virtual_disk_reads_like_the_raw_image(
    name: str, raw: Path, tmp_path: Path, opened: Callable[..., Any], sha256_of: Callable[..., str]
) -> None:
    form, *options = VIRTUAL[name]
    made = converted(raw, tmp_path / f"made.{name.split(maxsplit=1)[0]}", form, *options)
    source, plain = opened(made), opened(raw)
    assert source.info.kind == name.split(maxsplit=1)[0]
    assert source.info.segments[0] == str(made)
    assert content_of(source) == raw.read_bytes()
    assert not source.problems()
    assert source.image.read(source.info.size, 10) == b""
    wanted = digests(plain, sha256_of)
    assert digests(source, sha256_of) == wanted
    assert len(wanted) > 10
    assert source.coverage() == plain.coverage()


@pytest.mark.parametrize("name", APPLE)
def test_an_apple_image_reads_like_the_raw_image(
    name: str, raw: Path, tmp_path: Path, opened: Callable[..., Any], sha256_of: Callable[..., str]
) -> None:
    path = tmp_path / "made.img"
    path.write_bytes(APPLE[name](raw.read_bytes()))
    source = opened(path)
    assert source.info.kind == name.split(maxsplit=1)[0]
    assert content_of(source) == raw.read_bytes()
    assert digests(source, sha256_of) == digests(opened(raw), sha256_of)


def test_a_sparse_bundle_is_a_disk_and_not_a_folder(raw: Path, tmp_path: Path, opened: Callable[..., Any]) -> None:
    folder = sparse_bundle(tmp_path / "disk.sparsebundle", raw.read_bytes())
    source = opened(folder)
    assert (source.info.kind, source.info.size) == ("sparsebundle", raw.stat().st_size)
    assert content_of(source) == raw.read_bytes()
    assert len(source.info.segments) == 1 + len(list((folder / "bands").iterdir()))


@pytest.mark.parametrize("plist", [b"", b"junk", b"<plist><dict></dict></plist>", b"<plist><array/></plist>"])
def test_a_sparse_bundle_with_a_damaged_description_is_refused(plist: bytes, tmp_path: Path) -> None:
    folder = sparse_bundle(tmp_path / "disk.sparsebundle", bytes(1 << 20))
    (folder / "Info.plist").write_bytes(plist)
    with pytest.raises(SourceError, match="sparse bundle"):
        open_source(folder, "E", "s")


@pytest.mark.skipif(sys.platform != "linux", reason="the flags of open files are read from /proc")
@pytest.mark.parametrize("name", ["vmdk flat", "vhd", "vhdx", "qcow2", "vdi", "dmg", "sparseimage", "aff4"])
def test_a_container_is_opened_for_reading_only(
    name: str, raw: Path, tmp_path: Path, opened: Callable[..., Any]
) -> None:
    path = tmp_path / "made.img"
    if name in VIRTUAL:
        converted(raw, path, *VIRTUAL[name])
    else:
        path.write_bytes(aff4(raw.read_bytes()) if name == "aff4" else APPLE[name](raw.read_bytes()))
    before = {file.name: (file.read_bytes(), file.stat().st_mtime_ns) for file in tmp_path.iterdir()}
    source = opened(path)
    assert len(list(source.walk())) > 10
    flags = []
    for item in Path("/proc/self/fd").iterdir():
        with suppress(OSError):
            if tmp_path in item.readlink().parents:
                lines = Path(f"/proc/self/fdinfo/{item.name}").read_text("ascii").splitlines()
                flags.append(int(next(line for line in lines if line.startswith("flags:")).split()[1], 8))
    assert flags
    assert all(flag & os.O_ACCMODE == os.O_RDONLY for flag in flags)
    source.close()
    assert {file.name: (file.read_bytes(), file.stat().st_mtime_ns) for file in tmp_path.iterdir()} == before


# ---------------------------------------------------------------- chains of disks


def test_a_qcow2_with_backing_files_and_zero_clusters_reads_as_qemu_says(
    raw: Path, tmp_path: Path, opened: Callable[..., Any]
) -> None:
    base = converted(raw, tmp_path / "base.qcow2", "qcow2")
    middle, top = tmp_path / "middle.qcow2", tmp_path / "top.qcow2"
    qemu_img("create", "-f", "qcow2", "-b", base.name, "-F", "qcow2", middle, "12M")  # larger than what is behind it
    qemu_img("-f", "qcow2", "-c", "write -P 0x41 100k 70k", "-c", "write -z 1M 128k", middle, tool="qemu-io")
    qemu_img("create", "-f", "qcow2", "-b", middle.name, "-F", "qcow2", top)
    qemu_img(
        "-f", "qcow2", "-c", "write -P 0x42 4M 64k", "-c", "write -z 4M 4k", "-c", "discard 2M 1M", top, tool="qemu-io"
    )
    source = opened(top)
    assert content_of(source) == by_qemu(top, tmp_path / "out.raw", "qcow2")
    assert [Path(segment).name for segment in source.info.segments] == ["top.qcow2", "middle.qcow2", "base.qcow2"]
    assert source.info.acquisition["parents"] == "middle.qcow2, base.qcow2"


def test_a_qcow2_on_a_raw_disk_reads_as_qemu_says(raw: Path, tmp_path: Path, opened: Callable[..., Any]) -> None:
    top = tmp_path / "top.qcow2"
    qemu_img("create", "-f", "qcow2", "-b", raw.name, "-F", "raw", top)
    qemu_img("-f", "qcow2", "-c", "write -P 0x41 100k 70k", top, tool="qemu-io")
    source = opened(top)
    assert content_of(source) == by_qemu(top, tmp_path / "out.raw", "qcow2")
    assert [Path(segment).name for segment in source.info.segments] == ["top.qcow2", "disk.dd"]


def test_a_snapshot_of_a_vmdk_reads_as_qemu_says(raw: Path, tmp_path: Path, opened: Callable[..., Any]) -> None:
    base = converted(raw, tmp_path / "base.vmdk", "vmdk")
    top = tmp_path / "top.vmdk"
    qemu_img("create", "-f", "vmdk", "-b", base.name, "-F", "vmdk", top)
    qemu_img("-f", "vmdk", "-c", "write -P 0x41 100k 70k", top, tool="qemu-io")
    source = opened(top)
    assert content_of(source) == by_qemu(top, tmp_path / "out.raw", "vmdk")
    assert [Path(segment).name for segment in source.info.segments] == ["top.vmdk", "base.vmdk"]
    source.close()
    qemu_img("-f", "vmdk", "-c", "write -P 0x43 0 4k", base, tool="qemu-io")
    data = bytearray(base.read_bytes())  # what VMware does to the content identifier on such a change
    at = data.index(b"CID=")
    data[at + 4 : at + 12] = b"01234567"
    base.write_bytes(data)
    with pytest.raises(SourceError, match=r"base\.vmdk was changed after"):
        open_source(top, "E", "s")


def test_a_differencing_vhd_reads_its_own_blocks_and_its_parents(
    raw: Path, tmp_path: Path, opened: Callable[..., Any]
) -> None:
    parent = converted(raw, tmp_path / "parent.vhd", "vpc", "force_size=on")
    wanted = bytearray(raw.read_bytes())
    wanted[65536 * 5 : 65536 * 6] = b"A" * 65536
    wanted[65536 * 9 : 65536 * 10] = bytes(65536)
    child = tmp_path / "child.vhd"
    child.write_bytes(differencing_vhd(bytes(wanted), parent, {5: b"A" * 65536, 9: bytes(65536)}))
    source = opened(child)
    assert content_of(source) == wanted
    assert [Path(segment).name for segment in source.info.segments] == ["child.vhd", "parent.vhd"]
    source.close()
    converted(raw, parent, "vpc", "force_size=on")  # the same content, another identifier
    with pytest.raises(SourceError, match="another identifier"):
        open_source(child, "E", "s")


def test_a_differencing_vhd_keeps_single_sectors(raw: Path, tmp_path: Path, opened: Callable[..., Any]) -> None:
    parent = converted(raw, tmp_path / "parent.vhd", "vpc", "force_size=on")
    wanted = bytearray(raw.read_bytes())
    for sector in range(128):
        if 0b10010110 >> (7 - sector % 8) & 1:
            wanted[512 * sector : 512 * sector + 512] = b"A" * 512
    child = tmp_path / "child.vhd"
    child.write_bytes(differencing_vhd(bytes(wanted), parent, {0: b"A" * 65536}, bits=0b10010110))
    assert content_of(opened(child)) == wanted


@pytest.mark.parametrize("path_key", ["relative_path", "absolute_win32_path", "volume_path"])
def test_a_differencing_vhdx_reads_its_own_blocks_and_its_parents(
    path_key: str, raw: Path, tmp_path: Path, opened: Callable[..., Any]
) -> None:
    parent = converted(raw, tmp_path / "parent.vhdx", "vhdx", "block_size=1M")
    wanted, own = bytearray(raw.read_bytes()), bytearray(raw.stat().st_size)
    wanted[3 << 20 : 4 << 20] = own[3 << 20 : 4 << 20] = b"A" * (1 << 20)
    (tmp_path / "own.dd").write_bytes(own)
    options = ("block_size=1M", "block_state_zero=off")
    sparse = converted(tmp_path / "own.dd", tmp_path / "own.vhdx", "vhdx", *options).read_bytes()
    child = tmp_path / "child.vhdx"
    child.write_bytes(differencing_vhdx(sparse, parent, path_key))
    source = opened(child)
    assert content_of(source) == wanted
    assert [Path(segment).name for segment in source.info.segments] == ["child.vhdx", "parent.vhdx"]
    source.close()
    bitmap = bytes([0b01101001]) * (1 << 20)  # the first sector is the lowest bit
    child.write_bytes(with_own_sectors(child.read_bytes(), 3, bitmap))
    wanted = bytearray(raw.read_bytes())
    for sector in range((3 << 20) // 512, (4 << 20) // 512):
        if bitmap[0] >> sector % 8 & 1:
            wanted[512 * sector : 512 * sector + 512] = b"A" * 512
    source = opened(child)
    assert content_of(source) == wanted
    source.close()
    converted(raw, parent, "vhdx", "block_size=1M")  # the same content, another identifier
    with pytest.raises(SourceError, match="another identifier"):
        open_source(child, "E", "s")
    parent.unlink()
    with pytest.raises(SourceError, match=r"parent\.vhdx, and that is not beside it"):
        open_source(child, "E", "s")


def test_a_parent_that_is_missing_is_named(raw: Path, tmp_path: Path) -> None:
    for form, name in (("qcow2", "top.qcow2"), ("vmdk", "top.vmdk")):
        base = converted(raw, tmp_path / f"base.{form}", form)
        qemu_img("create", "-f", form, "-b", base.name, "-F", form, tmp_path / name)
        base.unlink()
        with pytest.raises(SourceError, match=rf"base\.{form}, and that is not beside it"):
            open_source(tmp_path / name, "E", "s")
    parent = converted(raw, tmp_path / "parent.vhd", "vpc", "force_size=on")
    child = tmp_path / "child.vhd"
    child.write_bytes(differencing_vhd(raw.read_bytes(), parent, {}))
    parent.unlink()
    with pytest.raises(SourceError, match=r"parent\.vhd, and that is not beside it"):
        open_source(child, "E", "s")


def test_a_circle_of_parents_is_refused(raw: Path, tmp_path: Path) -> None:
    base = converted(raw, tmp_path / "base.qcow2", "qcow2")
    for name, behind in (("aaaa.qcow2", "base.qcow2"), ("bbbb.qcow2", "aaaa.qcow2")):
        qemu_img("create", "-f", "qcow2", "-b", behind, "-F", "qcow2", tmp_path / name)
    data = (tmp_path / "aaaa.qcow2").read_bytes()
    (tmp_path / "aaaa.qcow2").write_bytes(data.replace(b"base.qcow2", b"bbbb.qcow2"))
    base.unlink()
    with pytest.raises(SourceError, match="leads in a circle"):
        open_source(tmp_path / "bbbb.qcow2", "E", "s")


def test_a_parent_is_not_looked_for_outside_the_folder(raw: Path, tmp_path: Path) -> None:
    outside, inside = tmp_path / "outside", tmp_path / "inside"
    outside.mkdir()
    inside.mkdir()
    base = converted(raw, outside / "base.qcow2", "qcow2")
    qemu_img("create", "-f", "qcow2", "-b", base, "-F", "qcow2", inside / "top.qcow2")
    with pytest.raises(SourceError, match="not beside it"):
        open_source(inside / "top.qcow2", "E", "s")
    flat = inside / "flat.vmdk"
    text = '# Disk DescriptorFile\nversion=1\nCID=12345678\nparentCID=ffffffff\ncreateType="monolithicFlat"\n\n'
    text += '# Extent description\nRW 16384 FLAT "../disk.dd" 0\n\n# The Disk Data Base\n#DDB\n'
    flat.write_text(text)
    with pytest.raises(SourceError, match=r"disk\.dd, and that is not beside it"):
        open_source(flat, "E", "s")


def test_a_renamed_vmdk_is_not_read_from_the_file_that_has_its_old_name(
    raw: Path, tmp_path: Path, opened: Callable[..., Any], fat_image: bytes
) -> None:
    made = converted(raw, tmp_path / "made.vmdk", "vmdk")
    made.rename(tmp_path / "renamed.vmdk")
    raw.write_bytes(fat_image)
    converted(raw, tmp_path / "made.vmdk", "vmdk")
    source = opened(tmp_path / "renamed.vmdk")
    assert [volume.file_system for volume in source.volumes()] == ["NTFS"]
    assert source.info.segments == (str(tmp_path / "renamed.vmdk"),)


def descriptor(path: Path, *extents: str) -> Path:
    text = '# Disk DescriptorFile\nversion=1\nCID=12345678\nparentCID=ffffffff\ncreateType="custom"\n\n'
    path.write_text(text + "# Extent description\n" + "\n".join(extents) + "\n\n# The Disk Data Base\n#DDB\n")
    return path


def test_extents_of_every_kind_make_one_disk(tmp_path: Path, opened: Callable[..., Any], ntfs_image: bytes) -> None:
    mib, parts = 1 << 20, [ntfs_image[n << 20 : n + 1 << 20] for n in range(8)]
    (tmp_path / "a.bin").write_bytes(parts[0])
    (tmp_path / "b.bin").write_bytes(b"J" * 8192 + parts[1])
    (tmp_path / "c.raw").write_bytes(parts[2])
    converted(tmp_path / "c.raw", tmp_path / "c.vmdk", "vmdk", "subformat=twoGbMaxExtentSparse")
    kept, table = {}, []
    for number in range(0, mib, 4096):
        piece = parts[3][number : number + 4096]
        if any(piece):
            kept[len(table)] = piece
        table.append(0)
    places = dict(zip(kept, range(6 + 32, 6 + 32 + 8 * len(kept), 8), strict=True))
    entries = struct.pack("<4096I", *(places.get(number, 0) for number in range(4096)))
    cowd = struct.pack("<4sIIIIIII", b"COWD", 1, 3, mib // 512, 8, 4, 1, 0).ljust(4 * 512, b"\0")
    cowd += struct.pack("<I", 6).ljust(2 * 512, b"\0") + entries + b"".join(kept.values())
    (tmp_path / "d.vmdk").write_bytes(cowd)
    names = ['FLAT "a.bin" 0', 'VMFS "b.bin" 16', 'SPARSE "c-s001.vmdk"', 'VMFSSPARSE "d.vmdk"', "ZERO"]
    source = opened(descriptor(tmp_path / "disk.vmdk", *(f"RW 2048 {name}" for name in names)))
    assert content_of(source) == b"".join(parts[:4]) + bytes(mib)
    assert len(source.info.segments) == 5
    with pytest.raises(SourceError, match=r"kind SESPARSE.*qemu-img convert"):
        open_source(descriptor(tmp_path / "new.vmdk", 'RW 2048 SESPARSE "x.vmdk"'), "E", "s")


def test_grains_that_a_snapshot_says_are_zeros(raw: Path, tmp_path: Path, opened: Callable[..., Any]) -> None:
    converted(raw, tmp_path / "base.vmdk", "vmdk")
    top = tmp_path / "top.vmdk"
    qemu_img("create", "-f", "vmdk", "-o", "zeroed_grain=on", "-b", "base.vmdk", "-F", "vmdk", top)
    qemu_img("-f", "vmdk", "-c", "write -z 0 128k", "-c", "write -P 65 1M 64k", top, tool="qemu-io")
    content = content_of(opened(top))
    assert content == by_qemu(top, tmp_path / "out.raw", "vmdk")
    assert content[:131072] == bytes(131072) != raw.read_bytes()[:131072]


def test_a_flat_part_that_is_cut_is_told(tmp_path: Path, opened: Callable[..., Any], fat_image: bytes) -> None:
    (tmp_path / "a.bin").write_bytes(fat_image[:-70_000])
    source = opened(descriptor(tmp_path / "disk.vmdk", f'RW {len(fat_image) // 512} FLAT "a.bin" 0'))
    assert "image-truncated" in [problem.code for problem in source.problems()]
    assert source.coverage()["unreadable"] == 70_000
    assert source.image.exact(0, 65536) == fat_image[:65536]


# ---------------------------------------------------------------- refusals


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (("compression_type=zstd", "compressed"), "Zstandard|another kind than zlib"),
        (("extended_l2=on",), "sub-clusters"),
        (("data_file=data.raw",), "lies in another file"),
    ],
)
def test_a_qcow2_that_cannot_be_read_is_refused_with_the_command(
    options: tuple[str, ...], says: str, raw: Path, tmp_path: Path
) -> None:
    made = tmp_path / "made.qcow2"
    converted(raw, made, "qcow2", *(option.replace("data.raw", str(tmp_path / "data.raw")) for option in options))
    with pytest.raises(SourceError, match=says) as caught:
        open_source(made, "E", "s")
    assert "qemu-img convert" in str(caught.value)


@pytest.mark.parametrize(("method", "says"), [(1, r"encrypted \(AES\)"), (2, r"encrypted \(LUKS\)")])
def test_an_encrypted_qcow2_is_named(method: int, says: str, raw: Path, tmp_path: Path) -> None:
    made = converted(raw, tmp_path / "made.qcow2", "qcow2")
    data = bytearray(made.read_bytes())
    struct.pack_into(">I", data, 32, method)
    made.write_bytes(data)
    with pytest.raises(SourceError, match=says) as caught:
        open_source(made, "E", "s")
    assert "qemu-img convert" in str(caught.value)


def test_other_virtual_disks_are_refused_with_the_command(raw: Path, tmp_path: Path) -> None:
    converted(raw, tmp_path / "old.qcow", "qcow")
    with pytest.raises(SourceError, match=r"QCOW \(QEMU\) virtual disk of version 1.*qemu-img convert -O raw old.qcow"):
        open_source(tmp_path / "old.qcow", "E", "s")
    converted(raw, tmp_path / "parts.vmdk", "vmdk", "subformat=twoGbMaxExtentSparse")
    with pytest.raises(SourceError, match="name its descriptor"):
        open_source(tmp_path / "parts-s001.vmdk", "E", "s")
    (tmp_path / "parts-s001.vmdk").unlink()
    with pytest.raises(SourceError, match=r"parts-s001\.vmdk, and that is not beside it"):
        open_source(tmp_path / "parts.vmdk", "E", "s")


def test_internal_snapshots_are_a_problem(raw: Path, tmp_path: Path, opened: Callable[..., Any]) -> None:
    made = converted(raw, tmp_path / "made.qcow2", "qcow2")
    qemu_img("snapshot", "-c", "before", made)
    assert [problem.code for problem in opened(made).problems()] == ["container-snapshots-not-examined"]


def crc32c(data: bytes) -> int:
    value = 0xFFFFFFFF
    for byte in data:
        value ^= byte
        for _ in range(8):
            value = value >> 1 ^ (0x82F63B78 if value & 1 else 0)
    return value ^ 0xFFFFFFFF


def test_a_vhdx_that_was_not_closed_is_a_problem(raw: Path, tmp_path: Path, opened: Callable[..., Any]) -> None:
    made = converted(raw, tmp_path / "made.vhdx", "vhdx")
    data = bytearray(made.read_bytes())
    for header in (0x10000, 0x20000):
        data[header + 48 : header + 64] = b"L" * 16
        data[header + 4 : header + 8] = bytes(4)
        data[header + 4 : header + 8] = crc32c(data[header : header + 4096]).to_bytes(4, "little")
    made.write_bytes(data)
    assert [problem.code for problem in opened(made).problems()] == ["container-not-closed"]


@pytest.mark.parametrize(("kind", "says"), [(0x80000008, "LZMA"), (0, "encrypted"), (1, "in 3 files")])
def test_a_dmg_that_cannot_be_read_is_refused_with_advice(kind: int, says: str, tmp_path: Path) -> None:
    data = bytearray(udif(b"x" * 65536))
    if says == "LZMA":
        data = bytearray(udif(b"x" * 65536, "bzip2"))
        xml_at, xml_length = struct.unpack_from(">QQ", data, len(data) - 512 + 216)
        tables = plistlib.loads(bytes(data[xml_at : xml_at + xml_length]))
        blkx = tables["resource-fork"]["blkx"][0]
        blkx["Data"] = blkx["Data"].replace(struct.pack(">I", 0x80000006), struct.pack(">I", kind))
        xml = plistlib.dumps(tables)
        trailer = bytearray(data[-512:])
        struct.pack_into(">Q", trailer, 224, len(xml))
        data = bytearray(data[:xml_at]) + xml + trailer
    elif says == "encrypted":
        data[:8] = b"encrcdsa"
    else:
        struct.pack_into(">I", data, len(data) - 512 + 60, 3)
    path = tmp_path / "made.dmg"
    path.write_bytes(data)
    with pytest.raises(SourceError, match=says) as caught:
        open_source(path, "E", "s")
    assert "hdiutil convert" in str(caught.value)


# ---------------------------------------------------------------- what is not there is not zeros


@pytest.mark.parametrize("name", ["vmdk", "vmdk stream", "vhd", "vhdx", "qcow2", "qcow2 compressed", "vdi"])
@pytest.mark.parametrize("keep", [0.3, 0.6, 0.9])
def test_a_cut_virtual_disk_gives_right_bytes_or_errors_and_says_how_much_it_lacks(
    name: str, keep: float, raw: Path, tmp_path: Path, opened: Callable[..., Any]
) -> None:
    form, *options = VIRTUAL[name]
    made = converted(raw, tmp_path / "made.img", form, *options)
    data, content = made.read_bytes(), raw.read_bytes()
    end = data[-512:] if form == "vpc" else data[-1536:] if "stream" in name else b""
    made.write_bytes(data[: int(len(data) * keep)] + end)
    if name == "qcow2 compressed" and keep < 0.5:  # its tables stand behind its content
        with pytest.raises(SourceError, match="its first table is cut off"):
            opened(made)
        return
    source = opened(made)
    good = bad = 0
    for offset in range(0, len(content), 4096):
        try:
            assert source.image.exact(offset, 4096) == content[offset : offset + 4096]
            good += 1
        except OSError:
            bad += 1
    lost = source.coverage()["unreadable"]
    assert sum(source.coverage().values()) == source.info.size
    if bad:
        assert "image-truncated" in [problem.code for problem in source.problems()]
        assert lost >= 512
    for item in source.walk():
        if isinstance(item, FileEntry) and item.readable:
            with suppress(EvidenceError):
                assert sum(map(len, source.chunks(item))) == item.size


class Holes:
    """A reader whose disk lacks ranges."""

    def __init__(self, content: bytes, missing: list[tuple[int, int]], short: int = 0) -> None:
        self.size = len(content)
        self._content = content
        self._missing = missing
        self._short = short

    def read(self, offset: int, length: int) -> bytes:
        return self._content[offset : offset + length - self._short]

    def unreadable(self) -> list[tuple[int, int]]:
        return self._missing

    def close(self) -> None:
        pass


def test_only_reads_that_touch_a_hole_fail() -> None:
    content = bytes(range(256)) * 16
    image = ContainerImage(Holes(content, [(1000, 24), (3000, 500), (3400, 200), (4090, 99)]))
    assert known_unreadable(image) == [(1000, 24), (3000, 600), (4090, 6)]
    assert image.read(0, 1000) == content[:1000]
    assert image.read(1024, 1976) == content[1024:3000]
    for offset, length in ((999, 2), (1000, 1), (1023, 1), (0, 4096), (3599, 1), (4000, 96)):
        with pytest.raises(OSError, match="does not hold"):
            image.exact(offset, length)
    with pytest.raises(OSError, match="gave 9 of 10 bytes"):
        ContainerImage(Holes(content, [], short=1)).exact(0, 10)


def _contents_or_codes(source: Any) -> dict[str, bytes | str]:
    """The content of every file /f..., or the code of the fault that reading it met."""
    outcome: dict[str, bytes | str] = {}
    for entry in source.walk():
        assert isinstance(entry, FileEntry)
        if entry.readable and entry.path.lower().startswith("/f"):
            try:
                outcome[entry.path.lower()] = b"".join(source.chunks(entry))
            except EvidenceError as error:
                outcome[entry.path.lower()] = error.code
    return outcome


def test_a_hole_costs_only_the_files_that_lie_in_it() -> None:
    random_bytes = random.Random(7).randbytes
    plan = [PlannedFile(f"/f{number}.bin", random_bytes(20_000)) for number in range(12)]
    disk = bytes(build_fat(plan, size=2 << 20, bits=12))
    for lost in (0, 5, 11):
        hole = disk.index(plan[lost].content[:64]) + 4096
        image = ContainerImage(Holes(disk, [(hole, 512)]))
        source = DiskSource(SourceInfo("E", "s", "test", len(disk)), image)
        outcome = _contents_or_codes(source)
        assert outcome == {f.path: f.content for f in plan} | {f"/f{lost}.bin": "read-failed"}


def test_a_damaged_chunk_of_an_e01_costs_only_the_files_in_it(tmp_path: Path, opened: Callable[..., Any]) -> None:
    if shutil.which("ewfacquire") is None:
        pytest.skip("ewfacquire (ewf-tools) is not installed")
    random_bytes = random.Random(7).randbytes
    plan = [PlannedFile(f"/f{number}.bin", random_bytes(40_000)) for number in range(12)]
    raw = tmp_path / "disk.dd"
    raw.write_bytes(build_fat(plan, size=2 << 20, bits=12))
    command = ["ewfacquire", "-u", "-t", str(tmp_path / "made"), "-c", "none", str(raw)]
    subprocess.run(command, check=True, capture_output=True, timeout=60)
    data = bytearray((tmp_path / "made.E01").read_bytes())
    data[data.index(plan[5].content[20_000:20_064])] ^= 1
    (tmp_path / "made.E01").write_bytes(data)
    source = opened(tmp_path / "made.E01")
    outcome = _contents_or_codes(source)
    wrong = [f.path for f in plan if outcome[f.path] != f.content]
    assert "/f5.bin" in wrong
    assert set(wrong) <= {"/f4.bin", "/f5.bin", "/f6.bin"}  # the chunk has 32 KiB
    assert {outcome[path] for path in wrong} == {"read-failed"}


def test_ranges_are_merged_and_clipped() -> None:
    assert merged([(5, 5), (0, 5), (20, 1), (18, 9), (-3, 2), (28, 9)], 30) == [(0, 10), (18, 9), (28, 2)]


def test_holes_are_counted_wherever_they_lie() -> None:
    volumes = [Volume("p1", 100, 100, "", "NTFS", "examined"), Volume("p2", 300, 100, "", "", "encrypted")]
    claims = [(100, 100, "file_system", "p1"), (300, 100, "encrypted", "p2")]
    lost = [(5, 15), (150, 350), (490, 500)]
    counts = DiskAccount(500, volumes, claims, [(0, 10)], unreadable=lost).ledger().coverage()
    naive = dict.fromkeys(counts, 0)
    for byte in range(500):
        kind = "unpartitioned"
        if 5 <= byte < 15 or 150 <= byte < 350 or byte >= 490:
            kind = "unreadable"
        elif 100 <= byte < 200:
            kind = "file_system"
        elif 300 <= byte < 400:
            kind = "encrypted"
        elif byte < 10:
            kind = "partition_table"
        naive[kind] += 1
    assert counts == naive


# ---------------------------------------------------------------- real images


@pytest.mark.parametrize(
    ("name", "kind", "system", "files"),
    [
        ("dfvfs-ext2.qcow2", "qcow2", "ext2", {"/passwords.txt", "/a_directory/a_file", "/a_directory/another_file"}),
        ("dfvfs-ext2.vmdk", "vmdk", "ext2", set()),
        ("dfvfs-ext2.vhd", "vhd", "ext2", set()),
        ("dfvfs-windows_volume.qcow2", "qcow2", "NTFS", set()),
        ("plaso-vsstest.qcow2", "qcow2", "NTFS", set()),
        ("dfvfs-hfsplus_zlib.dmg", "dmg", "HFS+", {"/passwords.txt", "/a_directory/a_file"}),
    ],
)
def test_a_real_image_is_opened(
    name: str, kind: str, system: str, files: set[str], shared: Path, opened: Callable[..., Any]
) -> None:
    source = opened(shared / "images" / name)
    assert source.info.kind == kind
    assert [volume.file_system for volume in source.volumes()][:1] == [system]
    assert files <= {item.path for item in source.walk() if isinstance(item, FileEntry)}


def test_the_compressed_dmg_holds_the_files_of_the_raw_image(
    shared: Path, opened: Callable[..., Any], sha256_of: Callable[..., str]
) -> None:
    found = digests(opened(shared / "images" / "dfvfs-hfsplus_zlib.dmg"), sha256_of)
    by_path = {entry.path: digest for entry, digest in found}
    raw = {entry.path: digest for entry, digest in digests(opened(shared / "images" / "dfvfs-hfsplus.raw"), sha256_of)}
    common = {path for path in set(raw) & set(by_path) if not path.startswith("/$")}
    assert {"/passwords.txt", "/a_directory/a_file"} <= common
    assert all(by_path[path] == raw[path] for path in ("/passwords.txt", "/a_directory/a_file"))


@pytest.mark.parametrize("name", ["plaso-vsstest.qcow2", "dfvfs-windows_volume.qcow2", "dfvfs-ext2.vmdk"])
def test_a_real_virtual_disk_reads_as_qemu_says(
    name: str, shared: Path, tmp_path: Path, opened: Callable[..., Any]
) -> None:
    path = shared / "images" / name
    wanted = tmp_path / "out.raw"
    qemu_img("convert", "-O", "raw", path, wanted)
    source = opened(path)
    with wanted.open("rb") as file:
        for offset in range(0, source.info.size, 1 << 20):
            assert source.image.read(offset, 1 << 20) == file.read(1 << 20)


def test_smart_s01_is_read_through_libewf(raw: Path, tmp_path: Path, opened: Callable[..., Any], walked: Any) -> None:
    if shutil.which("ewfacquire") is None:
        pytest.skip("ewfacquire (ewf-tools) is not installed")
    command = ["ewfacquire", "-u", "-t", str(tmp_path / "made"), "-f", "smart", "-c", "fast", "-S", "1MiB", str(raw)]
    subprocess.run(command, check=True, capture_output=True, timeout=60)
    source = opened(tmp_path / "made.s01")
    assert source.info.kind == "ewf"
    assert len(source.info.segments) > 1
    assert content_of(source) == raw.read_bytes()
    plain = [replace(entry, source="disk") for entry in walked(opened(raw))[0]]
    assert walked(source)[0] == plain
