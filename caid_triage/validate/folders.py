"""The folders that a validation scans: known answers, near-duplicates and strangers, films, damaged files."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from dataclasses import dataclass
from importlib.resources import files
from itertools import count
from pathlib import Path
from random import Random

from caid_triage.errors import CaidTriageError
from caid_triage.synth.avi import build_avi
from caid_triage.synth.ewf import write_e01
from caid_triage.synth.mbr import Partition, build_mbr
from caid_triage.synth.plan import write_sparse
from caid_triage.validate import containers
from caid_triage.validate.disks import MIB, Pictures
from caid_triage.validate.draw import Pixels, drawing, grey, jpeg, png
from caid_triage.validate.edits import EDITS, JPEG_EDITS, edited
from caid_triage.validate.truth import Exhibit, Planted

LISTED_SIZE, STRANGER_SIZE = (256, 192), (160, 120)
SCENES, FRAMES_A_SCENE, FRAMES_A_SECOND = 10, 8, 4

# Contents whose digests were published with the algorithms. Sources: RFC 1321, appendix A.5 (MD5); FIPS 180-2,
# appendices A and B, and NIST's examples (SHA-1, SHA-256). "" where none was published for that content.
PUBLISHED: tuple[tuple[bytes, str, str, str], ...] = (
    (b"abc", "900150983cd24fb0d6963f7d28e17f72", "a9993e364706816aba3e25717850c26c9cd0d89d",
     "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"),
    (b"abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq", "",
     "84983e441c3bd26ebaae4aa1f95129e5e54670f1",
     "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1"),
    (b"a" * 1_000_000, "", "34aa973cd4c4daa4f61eeb2bdbad27316534016f",
     "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0"),
    (b"a", "0cc175b9c0f1b6a831c399e269772661", "", ""),
    (b"message digest", "f96b697d7cb7938d525a2f31aaf161d0", "", ""),
    (b"abcdefghijklmnopqrstuvwxyz", "c3fcd3d76192e4007dfb496cca67e13b", "", ""),
    (b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789", "d174ab98d277d9f5a5611c2c9f419d9f", "", ""),
    (b"1234567890" * 8, "57edf4a22be3c955ac49da2e2107b67a", "", ""),
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class KnownLook:
    """What the reference implementations said of one drawing: PDQ and pHash in hex, PDQ's quality."""

    path: str
    pdq: str
    pdq_quality: int
    phash: str


@dataclass(frozen=True, slots=True)
class Original:
    """A listed picture: its number in the set, and its pixels."""

    media_id: str
    pixels: Pixels


@dataclass(frozen=True, slots=True)
class Copy:
    """A near-duplicate: which file, of which listed picture, by which edit, what is in it."""

    path: str
    media_id: str
    edit: str
    pixels: Pixels
    exact_pixels: bool


@dataclass(frozen=True, slots=True)
class Alike:
    """The folder of near-duplicates and of strangers, and what each file is."""

    exhibit: Exhibit
    originals: tuple[Original, ...]
    copies: tuple[Copy, ...]
    strangers: tuple[str, ...]


def _written(folder: Path, reference: str, items: Iterable[tuple[str, bytes, str]]) -> Exhibit:
    """A folder of these files: (path below it, content, kind)."""
    planted = []
    for name, content, kind in items:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
        planted.append(Planted("folder", "allocated", f"/{name}", content, kind))
    return Exhibit(reference, folder, tuple(planted))


def known_looks() -> tuple[dict[str, str], list[tuple[Pixels, KnownLook]]]:
    """The versions of the reference implementations, and each drawing with what they said of it.

    CaidTriageError when a drawing does not come out as it did then: this installation cannot make the exhibits.
    """
    kept = json.loads(files("caid_triage.validate").joinpath("known_answers.json").read_text("utf-8"))
    found = []
    for number, answer in enumerate(kept["answers"]):
        pixels = drawing(Random(answer["seed"]), answer["width"], answer["height"])  # noqa: S311 - no secret
        pixels = grey(pixels) if answer["grey"] else pixels
        if hashlib.sha256(pixels.tobytes()).hexdigest() != answer["pixels_sha256"]:
            raise CaidTriageError(
                f"the drawing {number} of the known answers is not what it was: its answers do not fit"
            )
        look = KnownLook(f"/looks/{number:03d}.png", answer["pdq"], answer["pdq_quality"], answer["phash"])
        found.append((pixels, look))
    return kept["made_by"], found


def build_hashing(folder: Path) -> tuple[Exhibit, list[KnownLook]]:
    """Files whose digests were published, and pictures of which the reference implementations said their hashes."""
    looks = known_looks()[1]
    items = [(f"digests/{number}.bin", row[0], "published") for number, row in enumerate(PUBLISHED)]
    items += [(look.path[1:], png(pixels), "look") for pixels, look in looks]
    return _written(folder, "HASHING/1", items), [look for _, look in looks]


def build_alike(folder: Path, rng: Random, listed: int, strangers: int) -> Alike:
    """Every edit of ``listed`` pictures, among ``strangers``, pictures that are in no set; the names tell nothing."""
    numbers = iter(count(1))
    originals = tuple(Original(str(number), drawing(rng, *LISTED_SIZE)) for number in range(1, listed + 1))
    items: list[tuple[str, bytes, str]] = []
    copies = []
    for original in originals:
        for name in (*EDITS, *JPEG_EDITS):
            content, pixels, exact = edited(name, original.pixels)
            path = f"{next(numbers):05d}.{'png' if exact else 'jpg'}"
            items.append((path, content, "copy"))
            copies.append(Copy(f"/{path}", original.media_id, name, pixels, exact))
    unlisted = []
    for _ in range(strangers):
        path = f"{next(numbers):05d}.png"
        items.append((path, png(drawing(rng, *STRANGER_SIZE)), "stranger"))
        unlisted.append(f"/{path}")
    return Alike(_written(folder, "ALIKE/1", items), originals, tuple(copies), tuple(unlisted))


def build_boundary(folder: Path, rng: Random) -> tuple[Exhibit, dict[str, Pixels]]:
    """Three pictures whose sets will hold hashes at every distance from theirs; the pixels by path."""
    pixels = {f"/{number}.png": drawing(rng, *LISTED_SIZE) for number in range(3)}
    return _written(folder, "LIMITS/1", [(path[1:], png(made), "limit") for path, made in pixels.items()]), pixels


def build_films(folder: Path, graded: Path, rng: Random) -> Exhibit:
    """Films of still scenes: a listed one in ``graded``; in the folder that one encoded again, and cut, and another."""
    listed, other = ([drawing(rng, *LISTED_SIZE) for _ in range(SCENES)] for _ in range(2))
    (graded / "1").mkdir(parents=True)
    (graded / "1" / "listed.avi").write_bytes(_film(listed, 90))
    return _written(
        folder,
        "FILMS/1",
        [
            ("again.avi", _film(listed, 45), "same film"),
            ("part.avi", _film(listed[2:], 60), "same film"),
            ("other.avi", _film(other, 90), "other film"),
        ],
    )


def _film(scenes: list[Pixels], quality: int) -> bytes:
    frames = [jpeg(scene, quality) for scene in scenes for _ in range(FRAMES_A_SCENE)]
    return build_avi(frames, width=LISTED_SIZE[0], height=LISTED_SIZE[1], rate=FRAMES_A_SECOND)


# What a report may call each kind of damage; the words are those of docs/problem-codes.md.
DAMAGE = {
    "cut JPEG": {"partial-decode", "decoder-failed", "undecodable"},
    "JPEG of noise": {"partial-decode", "decoder-failed", "undecodable"},
    "cut PNG": {"partial-decode", "decoder-failed", "undecodable"},
    "picture of too many pixels": {"too-many-pixels"},
    "locked archive": {"inside-encrypted"},
    "cut archive": {"inside-damaged", "inside-cut", "inside-unreadable", "inside-unlisted"},
    "archives in archives": {"inside-too-deep"},
    "cut film": {"video-damaged", "video-undecodable", "undecodable"},
}


def build_damage(folder: Path, rng: Random) -> Exhibit:
    """A folder of damaged, locked and malicious files (harmless in content), with whole ones among them."""
    pictures = Pictures(rng, 0)
    whole = jpeg(drawing(rng, *LISTED_SIZE), 90)
    picture = png(drawing(rng, *LISTED_SIZE))
    archive = containers.zipped(
        {"a.png": pictures.png(), "b.png": pictures.png(), "c.png": pictures.png()}, packed=False
    )
    nested = pictures.png()
    for depth in range(12):
        nested = containers.zipped({f"{depth}.zip" if depth else "picture.png": nested}, packed=False)
    film = _film([drawing(rng, *LISTED_SIZE) for _ in range(3)], 80)
    scan = whole.index(b"\xff\xda") + 14
    noise = whole[:scan] + rng.randbytes(4000).replace(b"\xff", b"\xfe")
    items = [
        ("whole/first.png", pictures.png(), "whole"),
        ("cut.jpg", whole[: len(whole) // 2], "cut JPEG"),
        ("noise.jpg", noise, "JPEG of noise"),
        ("cut.png", picture[: len(picture) // 3], "cut PNG"),
        ("vast.png", containers.huge_png(100_000), "picture of too many pixels"),
        ("locked.zip", containers.locked_zip("a.png", pictures.png()), "locked archive"),
        ("cut.zip", archive[: len(archive) * 2 // 3], "cut archive"),
        ("nested.zip", nested, "archives in archives"),
        ("cut.avi", film[: len(film) // 2], "cut film"),
        ("whole/last.jpg", pictures.jpeg(), "whole"),
    ]
    return _written(folder, "DAMAGE/1", items)


def build_locked(folder: Path, rng: Random) -> Exhibit:
    """A disk with an encrypted volume, one of an unknown file system, and one that looks random and has no mark."""
    luks = bytearray(2 * MIB)
    luks[:8] = b"LUKS\xba\xbe\x00\x01"
    luks[8:104] = b"".join(word.ljust(32, b"\0") for word in (b"aes", b"xts-plain64", b"sha256"))
    btrfs = bytearray(2 * MIB)
    btrfs[0x10040:0x10048] = b"_BHRfS_M"
    random = rng.randbytes(2 * MIB)
    path = folder / "locked.dd"
    image = build_mbr([Partition(0x83, luks), Partition(0x83, btrfs), Partition(0x83, random)])
    write_sparse(path, image)
    return Exhibit("LOCKED/1", path, (), len(image))


def build_altered(folder: Path, disk: bytes) -> list[Exhibit]:
    """Two E01s that are not as they were acquired: one bit of the disk was changed since, and the file was cut."""
    changed = bytearray(disk)
    changed[len(disk) // 2] ^= 1
    altered = write_e01(folder, "altered", changed, acquired=disk)
    whole = write_e01(folder, "cut", disk)
    with whole.open("r+b") as file:
        file.truncate(whole.stat().st_size // 2)
    return [Exhibit("ALTERED/1", altered, (), len(disk)), Exhibit("CUT/1", whole, (), len(disk))]
