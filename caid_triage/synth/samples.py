"""Write the sample hash sets: a VICS 2.0 file, a known-good list, a category scheme, graded pictures.

Nothing in them is real: they are made of the hashes of drawn pictures and of invented records.
The folder ``hashsets/`` of the project holds the same bytes, and a test keeps it so.
"""

from __future__ import annotations

import json
from hashlib import md5, sha1, sha256
from pathlib import Path

from caid_triage.synth.sample_pictures import GRADED, KNOWN_GOOD, MD5_ONLY, known_program, listed_document, picture

VICS_NAME, KNOWN_GOOD_NAME, SCHEME_NAME = "sample-vics-2.0.json", "sample-known-good.csv", "sample-scheme.toml"
MODEL_URL = "http://github.com/VICSDATAMODEL/ProjectVic/DataModels/2.0.xml/UK/$metadata#Media"
NEVER_MET = 12


def write_sample_hashsets(folder: Path) -> list[Path]:
    """Write the three sample files into the folder; return their paths. The same bytes every time."""
    folder.mkdir(parents=True, exist_ok=True)
    written = []
    for name, content in ((VICS_NAME, vics_set()), (KNOWN_GOOD_NAME, known_good_set()), (SCHEME_NAME, scheme())):
        (folder / name).write_bytes(content)
        written.append(folder / name)
    return written


def write_graded_pictures(folder: Path) -> list[Path]:
    """Copy the graded pictures into one sub-folder a category code, for ``hashset make``; return their paths."""
    written = []
    for name, code in GRADED.items():
        target = folder / code / name
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(picture(name))
        written.append(target)
    return written


def vics_set() -> bytes:
    """A VICS 2.0 media file of the UK region: the graded pictures and video, a document, one record with
    an MD5 only, and records that no exhibit meets."""
    listed = [(picture(name), code, True) for name, code in GRADED.items()]
    listed.append((listed_document(), "3", True))
    listed += [(picture(name), code, False) for name, code in MD5_ONLY.items()]
    listed += [(f"sample record {n} that no exhibit meets".encode(), str(1 + n % 3), True) for n in range(NEVER_MET)]
    records = []
    for number, (content, code, with_sha1) in enumerate(listed, start=1):
        record: dict[str, object] = {
            "MediaID": number,
            "Category": int(code),
            "MD5": md5(content, usedforsecurity=False).hexdigest().upper(),
        }
        if with_sha1:
            record["SHA1"] = sha1(content, usedforsecurity=False).hexdigest().upper()
            record["MediaSize"] = len(content)
        record |= {"DateUpdated": "2026-11-01T09:30:00.0000Z", "IsPrecategorized": "false"}
        records.append(json.dumps(record, separators=(",", ":")))
    head = '{"@odata.context":' + json.dumps(MODEL_URL) + ',"value":[\n'
    return (head + ",\n".join(records) + "\n]}\n").encode()


def known_good_set() -> bytes:
    """A CSV of files that are of no interest, with all three digests."""
    rows = ["name,size,md5,sha1,sha256"]
    for name, content in [("kernel.dll", known_program()), *((name, picture(name)) for name in KNOWN_GOOD)]:
        digests = (
            md5(content, usedforsecurity=False).hexdigest(),
            sha1(content, usedforsecurity=False).hexdigest(),
            sha256(content).hexdigest(),
        )
        rows.append(",".join((name, str(len(content)), *digests)))
    return ("\n".join(rows) + "\n").encode()


def scheme() -> bytes:
    """The category scheme of the samples; its labels say that they are samples."""
    head = """\
# Category scheme of the sample hash sets. It grades drawn pictures and has no meaning in law.
name = "sample"
title = "Sample scheme for the demonstration"
jurisdiction = "none"
regions = []
source = "written for this project"
confirmed_by = "synthetic sample, no unit"
"""
    blocks = [
        f'\n[[categories]]\ncode = "{code}"\nlabel = "Sample category {letter}"\nlegal_class = "none: drawn pictures"\n'
        f'severity = {severity}\nmeaning = "notable"\n'
        for code, letter, severity in (("1", "A", 3), ("2", "B", 2), ("3", "C", 1))
    ]
    return (head + "".join(blocks)).encode()
