"""The sealed bundle: one archive from which somebody else can check a case and compare it with a scan of his own.

``NAME.sealed.zip`` holds the reports with their manifest, the audit chain as it was when the case was sealed, the
category schemes in force, and BUNDLE.json: versions, options, the identity of every source, the generation of every
hash set and the head of the audit chain. MANIFEST.sha256 names the SHA-256 of every other member, in the form that
``sha256sum -c`` reads, so that the bundle can be checked without this tool too. No picture and no hash list is in it.

A bundle comes from somebody else: it is read as hostile input. No name in it becomes a path but those that are known.
"""

from __future__ import annotations

import hashlib
import json
import re
import zipfile
import zlib
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

from caid_triage.case.audit import AUDIT_FILE, MOST_BYTES, MOST_LINES, AuditHead, chain_faults, head_of, read_lines
from caid_triage.case.view import CaseView
from caid_triage.errors import CaseError, VerificationError
from caid_triage.report.foreign_json import read_foreign_json
from caid_triage.report.manifest import LINE, MANIFEST, SIGNATURE, file_sha256, manifest_digests, manifest_text
from caid_triage.report.summary_json import hashset_facts, source_facts
from caid_triage.report.write import UNFINISHED

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

FACTS = "BUNDLE.json"
FORMAT = "caid-triage sealed bundle"
VERSION = 1
ENDING = ".sealed.zip"
REPORTS = "reports/"
SCHEMES = "schemes/"
# A member's name: a known file, or one plain name in a known folder. Nothing else is read or written.
MEMBER = re.compile(
    rf"{re.escape(FACTS)}|{re.escape(AUDIT_FILE)}|(?:{REPORTS}|{SCHEMES})[A-Za-z0-9][A-Za-z0-9._-]{{0,99}}"
)
BUNDLE_LINE = re.compile(rf"([0-9a-f]{{64}})  ({MEMBER.pattern})")
# What the small members may be: they are read whole.
MOST_FACTS = 64 << 20
MOST_MEMBERS = 1000
# All of it unpacked: reports come to some ten times what they are packed. A small archive must not fill a disk.
LEAST_UNPACKED, MOST_A_BYTE = 256 << 20, 200
PACKED = frozenset({zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED})
CHUNK = 1 << 20
# The earliest time that a ZIP can say: the bundle of the same reports is the same, whenever it is made.
ZIP_EPOCH = (1980, 1, 1, 0, 0, 0)


def bundle_path(reports: Path) -> Path:
    """Where the bundle of a folder of reports lies: beside it, for everything in it is in the manifest."""
    return reports.with_name(reports.name + ENDING)


def seal(view: CaseView, reports: Path, out: Path) -> str:
    """Write the bundle of a case and its reports to ``out``, whole or not at all; returns its SHA-256.

    The audit chain is taken as it lies in the case's folder. CaseError when the bundle cannot be written.
    """
    part = out.with_name(out.name + UNFINISHED)
    try:
        part.unlink(missing_ok=True)
        with zipfile.ZipFile(part, "x", zipfile.ZIP_DEFLATED, compresslevel=6) as archive:
            lines, _ = read_lines(view.folder / AUDIT_FILE)
            digests = {
                FACTS: _put(archive, FACTS, _spelt(bundle_facts(view, head_of(lines)))),
                AUDIT_FILE: _put(archive, AUDIT_FILE, b"".join(line + b"\n" for line in lines)),
            }
            for name, scheme in sorted(case_schemes(view).items()):
                digests[SCHEMES + name] = _put(archive, SCHEMES + name, _spelt(scheme))
            for name in _report_names(reports):
                with (reports / name).open("rb") as file:
                    digests[REPORTS + name] = _copy(archive, REPORTS + name, file)
            _put(archive, MANIFEST, manifest_text(digests).encode())
        sha256 = file_sha256(part)
        part.replace(out)
    except OSError as fault:
        message = f"the bundle could not be written to {out}: {fault.strerror or fault}. Free some space and seal again"
        raise CaseError(message) from fault
    finally:
        with suppress(OSError):
            part.unlink()
    return sha256


def bundle_facts(view: CaseView, head: AuditHead) -> dict[str, Any]:
    """What BUNDLE.json says: enough to know what was done, with what and to what, and to do it again."""
    header, figures = view.header, view.conservation()
    return {
        "format": FORMAT,
        "version": VERSION,
        "tool": dict(header.tool),
        "case": {"reference": header.reference, "operation": header.operation, "examiner": header.examiner},
        "options": dict(header.options),
        "sources": [source_facts(source) for source in view.sources()],
        "hashsets": [hashset_facts(info) for info in view.hashsets()],
        "schemes": sorted(case_schemes(view)),
        "figures": asdict(figures),
        "audit": {"sequence": head.sequence, "sha256": head.sha256},
    }


def case_schemes(view: CaseView) -> dict[str, Any]:
    """The schemes of the case's hash sets as they were when these were matched, by file name."""
    found: dict[str, Any] = {}
    for info in view.hashsets():
        scheme = info.get("scheme_file")
        if isinstance(scheme, Mapping):
            stem = re.sub(r"[^A-Za-z0-9._-]+", "-", str(info["name"])).strip(".-")[:60] or "set"
            name = f"{stem}.json"
            while name in found and found[name] != scheme:
                stem += "-2"
                name = f"{stem}.json"
            found[name] = scheme
    return found


def _report_names(reports: Path) -> list[str]:
    """The reports that the manifest lists, the manifest and what belongs to it; not what else lies in the folder."""
    return sorted({*manifest_digests(reports), *(path.name for path in reports.glob(f"{MANIFEST}*"))})


def _spelt(value: object) -> bytes:
    return (json.dumps(value, indent=2, ensure_ascii=True, sort_keys=True) + "\n").encode()


def _put(archive: zipfile.ZipFile, name: str, content: bytes) -> str:
    archive.writestr(_member(name), content)
    return hashlib.sha256(content).hexdigest()


def _copy(archive: zipfile.ZipFile, name: str, file: IO[bytes]) -> str:
    """One member from a file, in pieces; its SHA-256."""
    digest = hashlib.sha256()
    with archive.open(_member(name), "w", force_zip64=True) as out:
        while piece := file.read(CHUNK):
            digest.update(piece)
            out.write(piece)
    return digest.hexdigest()


def _member(name: str) -> zipfile.ZipInfo:
    info = zipfile.ZipInfo(name, ZIP_EPOCH)
    info.compress_type = zipfile.ZIP_DEFLATED
    info.create_system = 3
    info.external_attr = 0o644 << 16
    return info


def is_bundle(path: Path) -> bool:
    """Whether a file is a bundle, by its content."""
    try:
        with zipfile.ZipFile(path) as archive:
            return FACTS in archive.namelist() and MANIFEST in archive.namelist()
    except (OSError, ValueError, zipfile.BadZipFile, NotImplementedError):
        return False


class Bundle:
    """A bundle opened for reading. Use it as a context manager. VerificationError when it is none, or none of ours."""

    def __init__(self, path: Path) -> None:
        """Open it and read the small members; nothing is unpacked yet."""
        self.path = path
        try:
            self._archive = zipfile.ZipFile(path)
        except (OSError, ValueError, zipfile.BadZipFile, NotImplementedError) as fault:
            raise VerificationError(f"{path} cannot be read as a sealed bundle: {fault}") from fault
        try:
            self._members = self._named()
            facts = self._json(FACTS)
        except VerificationError:
            self.close()
            raise
        if not isinstance(facts, dict) or facts.get("format") != FORMAT or facts.get("version") != VERSION:
            self.close()
            raise VerificationError(f"{path} is no sealed bundle that this version knows (format {VERSION})")
        self.facts: dict[str, Any] = facts

    def __enter__(self) -> Bundle:
        """The bundle itself."""
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Let go of the file."""
        self._archive.close()

    def faults(self) -> list[str]:
        """Everything that is not as it was sealed, each a sentence: members against the manifests, and the chain."""
        digests = {name: self._digest(name) for name in sorted(set(self._members) - {MANIFEST})}
        faults = []
        listed: dict[str, str] = {}
        for place, line in enumerate(self._manifest(MANIFEST), start=1):
            parts = BUNDLE_LINE.fullmatch(line)
            if parts is None or parts[2] in listed:
                faults.append(f"line {place} of {MANIFEST} is not a digest and the name of a member")
            else:
                listed[parts[2]] = parts[1]
        faults += [f"{name} is not in {MANIFEST}" for name in digests if name not in listed]
        faults += _differing(listed, digests, "sealed")
        return faults + self._chain_faults() + self._report_faults(digests)

    def signature_fault(self, key: Ed25519PublicKey) -> str:
        """Why the reports in it are not signed with this key, as the end of a sentence; "" where they are."""
        from caid_triage.report.signing import content_fault  # noqa: PLC0415 - few bundles are signed

        if REPORTS + MANIFEST not in self._members:
            return f"proves nothing: {REPORTS}{MANIFEST} is missing"
        signature = self._read(REPORTS + SIGNATURE) if REPORTS + SIGNATURE in self._members else None
        return content_fault(self._read(REPORTS + MANIFEST), signature, key)

    def line_digests(self) -> list[str]:
        """The SHA-256 of each line of the audit chain in it, in lower-case hex."""
        return [hashlib.sha256(line).hexdigest() for line in self._lines(AUDIT_FILE, MOST_LINES)[:-1]]

    def _chain_faults(self) -> list[str]:
        *lines, torn = self._lines(AUDIT_FILE, MOST_LINES)
        head = head_of(lines)
        faults = [str(fault) for fault in chain_faults(lines, torn)]
        if not lines:
            faults.append(f"{AUDIT_FILE} has no line: each case has some")
        if self.facts.get("audit") != {"sequence": head.sequence, "sha256": head.sha256}:
            faults.append(f"{AUDIT_FILE} does not end with the line that {FACTS} names")
        return faults

    def _report_faults(self, digests: Mapping[str, str]) -> list[str]:
        """The reports against the manifest that was written with them."""
        inner = REPORTS + MANIFEST
        if inner not in digests:
            return [f"{inner} is missing"]
        lines = [LINE.fullmatch(line) for line in self._manifest(inner)]
        listed = {REPORTS + parts[2]: parts[1] for parts in lines if parts is not None}
        wrong = [f"a line of {inner} is not a digest and a name" for parts in lines if parts is None]
        return wrong + _differing(listed, digests, "written")

    def schemes(self) -> dict[str, Any]:
        """The category schemes of the bundle, by file name."""
        return {
            name.removeprefix(SCHEMES): self._json(name) for name in sorted(self._members) if name.startswith(SCHEMES)
        }

    def unpack_reports(self, folder: Path) -> None:
        """Copy the reports into a folder."""
        for name in sorted(self._members):
            if name.startswith(REPORTS):
                with (folder / name.removeprefix(REPORTS)).open("wb") as out:
                    for piece in self._pieces(name):
                        out.write(piece)

    def _named(self) -> dict[str, zipfile.ZipInfo]:
        members = self._archive.infolist()
        if len(members) > MOST_MEMBERS:
            raise VerificationError(f"{self.path} is damaged: {len(members)} members are more than a bundle has")
        named: dict[str, zipfile.ZipInfo] = {}
        for member in members:
            # orig_filename: what stands in the file, before a NUL or a backslash is changed.
            if member.orig_filename in named or not (
                member.orig_filename == MANIFEST or MEMBER.fullmatch(member.orig_filename)
            ):
                raise VerificationError(f"{self.path} is damaged: a member has a name that a bundle does not have")
            if member.compress_type not in PACKED:
                raise VerificationError(f"{self.path} is damaged: a member is packed in a way that a bundle is not")
            named[member.orig_filename] = member
        unpacked = sum(member.file_size for member in members)
        if unpacked > LEAST_UNPACKED + MOST_A_BYTE * self.path.stat().st_size:
            raise VerificationError(
                f"{self.path} is damaged: unpacked it would have {unpacked} bytes, as no bundle has"
            )
        for name in (FACTS, MANIFEST, AUDIT_FILE):
            if name not in named:
                raise VerificationError(f"{self.path} is damaged: {name} is missing")
        return named

    def _read(self, name: str) -> bytes:
        content = bytearray()
        for piece in self._pieces(name):
            content += piece
            if len(content) > (MOST_BYTES if name == AUDIT_FILE else MOST_FACTS):
                raise VerificationError(f"{self.path} is damaged: its {name} is larger than any")
        return bytes(content)

    def _lines(self, name: str, most: int) -> list[bytes]:
        """What stands between the newlines of a member; VerificationError: more than ``most`` lines."""
        content = self._read(name)
        if content.count(b"\n") > most:
            raise VerificationError(f"{self.path} is damaged: its {name} has more lines than any")
        return content.split(b"\n")

    def _manifest(self, name: str) -> list[str]:
        *lines, rest = self._lines(name, MOST_MEMBERS)
        return [line.decode("utf-8", "replace") for line in ([*lines, rest] if rest else lines)]

    def _json(self, name: str) -> Any:
        try:
            return read_foreign_json(self._read(name))
        except ValueError as fault:
            raise VerificationError(f"{self.path} is damaged: its {name} is no JSON of a bundle") from fault

    def _digest(self, name: str) -> str:
        digest = hashlib.sha256()
        for piece in self._pieces(name):
            digest.update(piece)
        return digest.hexdigest()

    def _pieces(self, name: str) -> Iterator[bytes]:
        """A member's bytes; no more than it states, whatever its stream gives (zipfile holds it to that)."""
        try:
            with self._archive.open(self._members[name]) as file:
                while piece := file.read(CHUNK):
                    yield piece
        except (OSError, EOFError, ValueError, RuntimeError, zipfile.BadZipFile, zlib.error) as fault:
            raise VerificationError(f"{self.path} is damaged: {name} cannot be read ({fault})") from fault


def _differing(listed: Mapping[str, str], digests: Mapping[str, str], made: str) -> list[str]:
    """The members that are missing or not as a manifest lists them, each a sentence."""
    return [
        f"{name} is not as it was {made}" if name in digests else f"{name} is missing"
        for name, digest in sorted(listed.items())
        if digests.get(name) != digest
    ]
