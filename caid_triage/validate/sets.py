"""The hash sets of a validation, written as files of known material from truth alone, then built as a unit builds them.

Perceptual hashes in them are the oracle's (examine/pdq_naive.py) of the very pixels that were drawn, which requirement
REQ-12 holds against the frozen answers of the reference implementation; none is what the tool says of a file.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from random import Random

from caid_triage.examine.pdq_naive import pdq_naive
from caid_triage.hashset.build import build_hashset
from caid_triage.model import Role
from caid_triage.synth.samples import MODEL_URL, scheme
from caid_triage.validate.draw import Pixels
from caid_triage.validate.folders import Alike
from caid_triage.validate.truth import Planted

PDQ_BITS, PHASH_BITS = 256, 64
LABELS = {"1": "Sample category A", "2": "Sample category B", "3": "Sample category C"}
"""The labels of the scheme of the samples, gravest first."""


@dataclass(frozen=True, slots=True)
class ListedContent:
    """What one set says of one content: the code, and by which digest it is met ("contradicted" if it must not be)."""

    hashset: str
    code: str
    algorithm: str


@dataclass(frozen=True, slots=True)
class DiskSets:
    """The sets that the disk is matched with: where they are, what they list by SHA-256, what must only look alike.

    ``near`` are contents of which the set "looks" has a hash at the distance given, and nothing else.
    ``known_good`` are contents that a set of harmless files lists by SHA-256, ``weakly_good`` by MD5 alone.
    """

    paths: tuple[Path, ...]
    listed: Mapping[str, tuple[ListedContent, ...]]
    near: Mapping[str, int]
    known_good: frozenset[str]
    weakly_good: frozenset[str]


def write_scheme(folder: Path) -> Path:
    """The confirmed scheme of the samples: codes 1, 2, 3."""
    path = folder / "scheme.toml"
    path.write_bytes(scheme())
    return path


def vics(path: Path, rows: Sequence[Mapping[str, object]]) -> Path:
    """A VICS 2.0 media file of the UK region."""
    media = [{"MediaID": number, **row} for number, row in enumerate(rows, start=1)]
    path.write_text(json.dumps({"@odata.context": MODEL_URL, "value": media}), encoding="utf-8")
    return path


def table(path: Path, columns: Sequence[str], rows: Sequence[Sequence[object]]) -> Path:
    """A CSV of known material."""
    lines = [",".join(columns), *(",".join(map(str, row)) for row in rows)]
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


def build_disk_sets(folder: Path, planted: Sequence[Planted], rng: Random, looks: Mapping[str, Pixels]) -> DiskSets:
    """Share the disk's contents out among sets of every kind; ``looks`` has the pixels of some, by SHA-256.

    Half of the contents are listed with MD5 and SHA-1, a few in each of the special ways, the rest nowhere.
    """
    chosen = write_scheme(folder)
    listed: dict[str, list[ListedContent]] = {}
    contents = {item.sha256: item for item in planted if item.content and item.kind != "PNG in two pieces"}
    order = sorted(contents)
    rng.shuffle(order)
    near = [digest for digest in order if digest in looks][:3]
    others = [contents[digest] for digest in order if digest not in near]
    special, rest = others[:16], others[16:]
    usual = rest[: len(rest) * 2 // 3]

    def add(item: Planted, hashset: str, code: str, algorithm: str) -> None:
        listed.setdefault(item.sha256, []).append(ListedContent(hashset, code, algorithm))

    def code_of(number: int) -> str:
        return str(1 + number % 3)

    rows: list[dict[str, object]] = []
    for number, item in enumerate(usual):
        rows.append({"Category": int(code_of(number)), "MD5": item.md5.upper(), "SHA1": item.sha1.upper(),
                     "MediaSize": len(item.content)})  # fmt: skip
        add(item, "notable", code_of(number), "sha1")
    only_md5, contradicted, by_sha1, by_sha256 = special[:3], special[3:5], special[5:8], special[8:11]
    unconfirmed, good = special[11:14], special[14:16]
    rows += [{"Category": 2, "MD5": item.md5.upper()} for item in only_md5]
    rows += [{"Category": 1, "MD5": item.md5.upper(), "SHA1": rng.randbytes(20).hex().upper()} for item in contradicted]
    for item in only_md5:
        add(item, "notable", "2", "md5")
    for item in contradicted:
        add(item, "notable", "1", "contradicted")
    for item in by_sha1:
        add(item, "by-sha1", "3", "sha1")
    for item in by_sha256:
        add(item, "by-sha256", "2", "sha256")
    twice = usual[2:8:3] + usual[0:1]  # of code 3, and one of code 1: a second set says code 1 and 3
    for item in twice:
        add(item, "by-sha256", "1", "sha256")
    for item in unconfirmed:
        add(item, "unconfirmed", "1", "sha1")
    files = {
        "notable": vics(folder / "notable.json", rows),
        "by-sha1": table(folder / "by-sha1.csv", ("sha1", "category"), [(item.sha1, 3) for item in by_sha1]),
        "by-sha256": table(
            folder / "by-sha256.csv",
            ("sha256", "category"),
            [*((item.sha256, 2) for item in by_sha256), *((item.sha256, 1) for item in twice)],
        ),
        "looks": table(
            folder / "looks.csv",
            ("pdq", "quality", "category", "media_id"),
            [(flipped(pdq_naive(looks[digest])[0], 6, rng).hex(), 100, 1, digest[:8]) for digest in near],
        ),
    }
    paths = [_built(path, folder, name, chosen) for name, path in files.items()]
    region = vics(
        folder / "unconfirmed.json",
        [{"Category": 1, "MD5": item.md5.upper(), "SHA1": item.sha1.upper()} for item in unconfirmed],
    )
    paths.append(_built(region, folder, "unconfirmed", None))
    # An MD5 can be made to collide: it must clear neither a listed content nor one that looks like a listed one.
    weak = [usual[0].sha256, only_md5[0].sha256, near[0]] if near else [usual[0].sha256, only_md5[0].sha256]
    good_rows = [*(("", item.sha256) for item in good), *((contents[digest].md5, "") for digest in weak)]
    harmless = table(folder / "harmless.csv", ("md5", "sha256"), good_rows)
    paths.append(_built(harmless, folder, "harmless", None, Role.KNOWN_GOOD))
    return DiskSets(
        tuple(paths),
        {digest: tuple(found) for digest, found in listed.items()},
        dict.fromkeys(near, 6),
        frozenset(item.sha256 for item in good),
        frozenset(weak),
    )


def _built(path: Path, folder: Path, name: str, chosen: Path | None, role: Role = Role.NOTABLE) -> Path:
    out = folder / f"{name}.chs"
    build_hashset([path], out, scheme=chosen, role=role, name=name)
    return out


def flipped(value: bytes, count: int, rng: Random) -> bytes:
    """The hash with exactly ``count`` different bits turned over."""
    bits = int.from_bytes(value, "big")
    for place in rng.sample(range(8 * len(value)), count):
        bits ^= 1 << place
    return bits.to_bytes(len(value), "big")


def balanced(rng: Random, bits: int) -> bytes:
    """A random hash with as many ones as zeros, as both kinds of hash have."""
    number = sum(1 << place for place in rng.sample(range(bits), bits // 2))
    return number.to_bytes(bits // 8, "big")


def build_alike_set(folder: Path, alike: Alike, rng: Random, others: int) -> Path:
    """The originals by the oracle's PDQ, and ``others`` random hashes of items that no exhibit holds."""
    rows: list[tuple[object, ...]] = []
    for original in alike.originals:
        value, quality = pdq_naive(original.pixels)
        rows.append((value.hex(), quality, 1, original.media_id))
    rows += [(balanced(rng, PDQ_BITS).hex(), 100, 3, f"other {number}") for number in range(others)]
    path = table(folder / "alike.csv", ("pdq", "quality", "category", "media_id"), rows)
    return _built(path, folder, "alike", write_scheme(folder))


def build_limit_sets(
    folder: Path, pixels: Mapping[str, Pixels], phash: Mapping[str, bytes], rng: Random
) -> tuple[Path, Path]:
    """Sets with one hash at every distance, 0 to all bits, from each picture: one of PDQ, one of pHash.

    The media id says which picture and which distance: "/0.png 31".
    """
    chosen = write_scheme(folder)
    rows: list[tuple[object, ...]] = []
    for path, made in pixels.items():
        value = pdq_naive(made)[0]
        rows += [(flipped(value, bits, rng).hex(), 100, 1, f"{path} {bits}") for bits in range(PDQ_BITS + 1)]
    pdq = _built(
        table(folder / "limit-pdq.csv", ("pdq", "quality", "category", "media_id"), rows), folder, "limit-pdq", chosen
    )
    rows = [
        (flipped(value, bits, rng).hex(), 2, f"{path} {bits}")
        for path, value in phash.items()
        for bits in range(PHASH_BITS + 1)
    ]
    return pdq, _built(
        table(folder / "limit-phash.csv", ("phash", "category", "media_id"), rows), folder, "limit-phash", chosen
    )


def build_listing(folder: Path, name: str, planted: Sequence[Planted], code: str) -> Path:
    """A set that lists these contents by SHA-256, all with one code."""
    path = table(folder / f"{name}.csv", ("sha256", "category"), [(item.sha256, code) for item in planted])
    return _built(path, folder, name, write_scheme(folder))
