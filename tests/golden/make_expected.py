"""Write tests/golden/expected/*.json: what Sleuth Kit's own fls and icat say of the real images.

An independent oracle: it uses nothing of caid_triage. Run it with the folder of real images beside the project
(and, for the Debian samples, with CAID_TRIAGE_FORENSICS_SAMPLES):

    python tests/golden/make_expected.py
"""

from __future__ import annotations

import gzip
import hashlib
import json
import lzma
import os
import re
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path
from typing import Any

GOLDEN = Path(__file__).resolve().parent
IMAGES = GOLDEN.parents[2] / "shared" / "images"

# name -> (file in the folder of images, member of a zip or "", starts of the file systems in sectors)
CASES: dict[str, tuple[str, str, tuple[int, ...]]] = {
    "dftt-1": (
        "1-extend-part.zip",
        "1-extend-part/ext-part-test-2.dd",
        (63, 52416, 104832, 157311, 209727, 262143),
    ),
    "dftt-2": ("2-kwsrch-fat.zip", "2-kwsrch-fat/fat-img-kw.dd", (0,)),
    "dftt-5": ("5-fat-daylight.zip", "5-fat-daylight/daylight.dd", (0,)),
    "dftt-6": ("6-undel-fat.zip", "6-undel-fat/6-fat-undel.dd", (0,)),
    "dftt-7": ("7-undel-ntfs.zip", "7-undel-ntfs/7-ntfs-undel.dd", (0,)),
    "dftt-8": ("8-jpeg-search.zip", "8-jpeg-search/8-jpeg-search.dd", (0,)),
    "dftt-9": ("9-fat-label.zip", "9-fat-label/9-fat-label.dd", (0,)),
    "dftt-14-dirtree1": ("14-iso9660-1.zip", "14-iso9660-1/iso-dirtree1.iso", (0,)),
    "dftt-14-dirtree2": ("14-iso9660-1.zip", "14-iso9660-1/iso-dirtree2.iso", (0,)),
    "dftt-14-endian": ("14-iso9660-1.zip", "14-iso9660-1/iso-endian.iso", (0,)),
    "ext2-e01": ("dfvfs-ext2.E01", "", (0,)),
    "ext2-split-e01": ("ext2.split.E01", "", (0,)),
    "ext2-split-raw": ("ext2.splitraw.000", "", (0,)),
    "plaso-image-split": ("image-split.E01", "", (352,)),
    "nps-2010-emails": ("nps-2010-emails.E01", "", (1,)),
    "tsk-mmls-1": ("tsk-imageformat_mmls_1.E01", "", (128, 55424)),
    "hfsplus": ("dfvfs-hfsplus.raw", "", (0,)),
    "iso9660": ("dfvfs-iso9660.raw", "", (0,)),
    "1mb-fat": ("1mb_fat32.dmg", "", (1,)),
    "syslog": ("plaso-syslog_image.dd", "", (0,)),
    "exfat-orphan": ("exfat_orphan.raw.gz", "", (0,)),
    "fat-deleted-dir": ("fat_deleted_dir.raw.gz", "", (0,)),
    "ntfs3": ("ntfs3.raw.gz", "", (0,)),
    "ntfs-index": ("ntfs_index.raw.gz", "", (128,)),
}
DEBIAN = {f"debian-{kind}": (f"fs.{kind}.xz", "", (2048,)) for kind in ("ntfs", "vfat", "exfat", "ext4")}

_LINE = re.compile(
    r"^(?P<name>.)/(?P<meta>.)(?P<deleted> \*)? (?P<inode>\d+)(?:-(?P<kind>\d+)-(?P<id>\d+))?"
    r"(?P<realloc>\(realloc\))?:\t(?P<path>.*)$",
    re.DOTALL,
)


def unpack(source: Path, member: str, folder: Path) -> Path:
    """The image itself: out of a zip, gz or xz into ``folder``, else where it is."""
    if member:
        with zipfile.ZipFile(source) as archive:
            wanted = next(name for name in archive.namelist() if name.endswith(member.rpartition("/")[2]))
            return Path(archive.extract(wanted, folder))
    opener = {".gz": gzip.open, ".xz": lzma.open}.get(source.suffix)
    if opener is None:
        return source
    target = folder / source.stem
    with opener(source) as packed:
        target.write_bytes(packed.read())
    return target


def list_files(image: Path, sector: int) -> list[dict[str, Any]]:
    """Every regular file (on NTFS every data stream) that fls lists, with the size and MD5 of what icat reads."""
    listing = subprocess.run(["fls", "-rp", "-o", str(sector), str(image)], capture_output=True, check=True).stdout
    files = []
    for line in listing.decode("utf-8", "backslashreplace").splitlines():
        match = _LINE.match(line)
        if match is None:
            message = f"fls wrote a line that is not understood: {line!r}"
            raise SystemExit(message)
        lost = match["meta"] == "-" and match["name"] in "r-"  # a name without a record
        if not (match["meta"] == "r" or lost) or match["name"] not in "r-" or match["kind"] not in (None, "128"):
            continue
        path = "/" + match["path"]
        state = "orphan" if path.startswith("/$OrphanFiles/") else "deleted" if match["deleted"] else "allocated"
        entry: dict[str, Any] = {"path": path, "state": state, "inode": int(match["inode"]), "size": None, "md5": None}
        if not lost and match["realloc"] is None and not path.endswith("$BadClus:$Bad"):
            address = match["inode"] + (f"-{match['kind']}-{match['id']}" if match["kind"] else "")
            read = subprocess.run(["icat", "-o", str(sector), str(image), address], capture_output=True, check=False)
            entry["size"] = len(read.stdout)
            entry["md5"] = hashlib.md5(read.stdout, usedforsecurity=False).hexdigest()
        files.append(entry)
    return files


def expected_of(source: Path, member: str, sectors: tuple[int, ...]) -> list[dict[str, Any]]:
    """What fls and icat say of every file system of an image, each file with the start of its file system."""
    with tempfile.TemporaryDirectory() as folder:
        image = unpack(source, member, Path(folder))
        return [{"sector": sector, **entry} for sector in sectors for entry in list_files(image, sector)]


def main() -> None:
    """Write one JSON file an image."""
    cases = {name: (IMAGES / file, member, starts) for name, (file, member, starts) in CASES.items()}
    samples = Path(os.environ.get("CAID_TRIAGE_FORENSICS_SAMPLES", "/usr/share/forensics-samples"))
    cases |= {name: (samples / file, member, starts) for name, (file, member, starts) in DEBIAN.items()}
    wanted = sys.argv[1:] or list(cases)
    for name in wanted:
        files = expected_of(*cases[name])
        lines = ",\n".join(json.dumps(entry, ensure_ascii=False, sort_keys=True) for entry in files)
        (GOLDEN / "expected" / f"{name}.json").write_text(f"[\n{lines}\n]\n", encoding="utf-8")


if __name__ == "__main__":
    main()
