"""Texts that people hand in: category schemes (TOML), files of passwords, lists of parts, the audit trail of a case.

The first byte says which. Laws: errors are of our tree and name the file; the audit trail is whole or its faults are
said in words, and the whole one has none.
"""

from __future__ import annotations

import tempfile
from functools import cache
from pathlib import Path

from support.trail import verify_audit

from caid_triage.case.rows import CaseHeader
from caid_triage.case.store import create_case
from caid_triage.errors import CaidTriageError
from caid_triage.evidence.secrets import read_password_file
from caid_triage.hashset.readers.parts import check_parts
from caid_triage.hashset.schemes import load_scheme, shipped_schemes
from fuzz.target import Target, expect

KINDS = ("scheme", "passwords", "parts", "audit")


@cache
def _audit() -> tuple[bytes, bytes]:
    """The trail of a small case, and its database, which notes where the trail ends."""
    with tempfile.TemporaryDirectory(prefix="fuzz") as made:
        folder = Path(made) / "case"
        with create_case(folder, CaseHeader("R")) as case:
            for number in range(3):
                case.audit("batch", number=number)
        return (folder / "audit.jsonl").read_bytes(), (folder / "case.db").read_bytes()


def check(data: bytes) -> str:
    kind, body = KINDS[(data[0] if data else 0) % len(KINDS)], data[1:]
    with tempfile.TemporaryDirectory(prefix="fuzz") as made:
        path = Path(made) / ("audit.jsonl" if kind == "audit" else "text.toml")
        if kind == "audit":
            (Path(made) / "case.db").write_bytes(_audit()[1])
        path.write_bytes(body)
        try:
            return f"{kind} {_read(kind, path, body)}"
        except CaidTriageError as error:
            expect(path.name in str(error) or str(path.parent) in str(error), "an error that does not name the file")
            return f"{kind} {type(error).__name__}"


def _read(kind: str, path: Path, body: bytes) -> str:
    if kind == "scheme":
        scheme = load_scheme(path)
        expect(all(one.code for one in scheme.categories), "a category without a code")
        return "read"
    if kind == "passwords":
        read_password_file(path)
        return "read"
    if kind == "parts":
        return "missing" if check_parts([path], path) else "whole"
    faults = verify_audit(path.parent)
    expect(all(one.where and one.what for one in faults), "a fault without a place or words")
    expect((body != _audit()[0]) == bool(faults), "faults of a whole trail, or none of a changed one")
    return "faults" if faults else "whole"


def seeds() -> dict[str, bytes]:
    """A scheme of every kind, passwords, a list of parts, a trail."""
    made = {f"scheme {one.name}": b"\0" + _shipped(one.name) for one in shipped_schemes()}
    made["passwords"] = b"\1p1: secret\nrecovery: 111111-222222\n# comment\nplain words\n"
    made["parts"] = b"\2" + b"ab" * 16 + b"  CAID_1of3.json\n" + b"cd" * 32 + b"  text.toml\n"
    made["audit"] = b"\3" + _audit()[0]
    return made


def _shipped(name: str) -> bytes:
    import caid_triage.hashset as room

    for path in Path(room.__file__).parent.rglob("*.toml"):
        if path.stem == name:
            return path.read_bytes()
    return b'name = "x"\n'


TARGET = Target("texts", "schemes, password files, lists of parts, the audit trail", seeds, check, (), longest=1 << 14)
