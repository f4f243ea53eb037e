"""A sealed bundle: it can be checked by somebody else, and compared with a scan of his own."""

from __future__ import annotations

import hashlib
import json
import random
import shutil
import sqlite3
import tempfile
import warnings
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat
from support.cli import Run, Small

from caid_triage.case.audit import MOST_LINES
from caid_triage.case.store import open_case_for_writing
from caid_triage.cli.bundles import compare_with_bundle
from caid_triage.errors import CaseError, VerificationError
from caid_triage.model import SourceInfo
from caid_triage.report.bundle import Bundle, is_bundle


@pytest.fixture(scope="module")
def sealed(run: Run, small: Small, tmp_path_factory: pytest.TempPathFactory) -> Path:
    case = tmp_path_factory.mktemp("sealed") / "case"
    assert run("scan", small.image, "--case", case, "--hashset", small.hashset, "--quiet").returncode == 0
    done = run("report", "--case", case, "--seal")
    assert done.returncode == 0, done.stderr
    assert "its SHA-256" in done.stdout
    return case


def bundle_of(case: Path) -> Path:
    return case / "reports.sealed.zip"


def test_it_verifies_by_this_tool_and_by_any_other(run: Run, sealed: Path, tmp_path: Path) -> None:
    bundle = bundle_of(sealed)
    done = run("verify", bundle)
    assert done.returncode == 0, done.stderr
    assert "not complete" not in done.stdout
    assert run("verify", sealed).returncode == 0
    with zipfile.ZipFile(bundle) as archive:
        names = set(archive.namelist())
        facts = json.loads(archive.read("BUNDLE.json"))
        manifest = archive.read("MANIFEST.sha256").decode().splitlines()
        schemes = [json.loads(archive.read(name)) for name in names if name.startswith("schemes/")]
    assert {name.split("  ")[1] for name in manifest} == names - {"MANIFEST.sha256"}
    assert {"audit.jsonl", "reports/report.html", "reports/matches.csv", "reports/MANIFEST.sha256"} <= names
    assert facts["tool"]["version"]
    assert facts["options"]
    assert facts["audit"]["sha256"]
    assert facts["sources"][0]["size"] > 0
    assert facts["hashsets"][0]["generation"]
    assert {category["code"] for category in schemes[0]["categories"]} >= {"1", "2", "3"}
    assert str(sealed.parent) not in json.dumps(facts)
    assert json.loads((sealed / "audit.jsonl").read_text().splitlines()[-1])["action"]


def test_a_scan_of_the_same_agrees_and_of_another_set_does_not(
    run: Run, small: Small, sealed: Path, tmp_path: Path
) -> None:
    again = tmp_path / "again"
    assert (
        run("scan", small.image, "--case", again, "--hashset", small.hashset, "--quiet", "--workers", 1).returncode == 0
    )
    done = run("verify", again, "--against", bundle_of(sealed))
    assert done.returncode == 0, done.stdout + done.stderr
    assert run("report", "--case", again, "--seal").returncode == 0
    assert run("verify", bundle_of(again), "--against", bundle_of(sealed)).returncode == 0

    other = tmp_path / "other"
    assert run("scan", small.image, "--case", other, "--quiet").returncode == 0
    done = run("verify", other, "--against", bundle_of(sealed))
    assert done.returncode == 7
    assert "hashsets" in done.stdout
    assert "matches.csv" in done.stdout
    assert "only in the bundle" in done.stdout


def test_every_changed_row_is_listed(run: Run, sealed: Path, tmp_path: Path) -> None:
    case = tmp_path / "case"
    shutil.copytree(sealed, case)
    with sqlite3.connect(case / "case.db") as database:
        ids = [row[0] for row in database.execute("SELECT id FROM entry WHERE md5 IS NOT NULL ORDER BY id LIMIT 3")]
        database.executemany("UPDATE entry SET width = 77 + id % 9, height = 1 WHERE id = ?", [(i,) for i in ids])
        names = [database.execute("SELECT path FROM entry WHERE id = ?", (i,)).fetchone()[0] for i in ids]
    done = run("verify", case, "--against", bundle_of(sealed))
    assert done.returncode == 7
    for name in names:
        assert f"{name}, height" in done.stdout


def repacked(bundle: Path, out: Path, change: Callable[[dict[str, bytes]], None]) -> Path:
    with zipfile.ZipFile(bundle) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    change(members)
    with zipfile.ZipFile(out, "w") as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return out


def dropped(name: str) -> Callable[[dict[str, bytes]], None]:
    return lambda members: members.pop(name) and None


def altered(name: str) -> Callable[[dict[str, bytes]], None]:
    return lambda members: members.update({name: members[name].replace(b"1", b"2", 1)})


def added(name: str) -> Callable[[dict[str, bytes]], None]:
    return lambda members: members.update({name: b"x"})


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (altered("reports/matches.csv"), "reports/matches.csv is not as it was sealed"),
        (altered("audit.jsonl"), "audit.jsonl is not as it was sealed"),
        (altered("BUNDLE.json"), "BUNDLE.json is not as it was sealed"),
        (altered("reports/MANIFEST.sha256"), "reports/MANIFEST.sha256 is not as it was sealed"),
        (altered("MANIFEST.sha256"), "is not as it was sealed"),
        (dropped("reports/files.csv"), "reports/files.csv is missing"),
        (dropped("audit.jsonl"), "audit.jsonl is missing"),
        (added("reports/more.csv"), "reports/more.csv is not in MANIFEST.sha256"),
        (added("../../evil.txt"), "a name that a bundle does not have"),
        (added("/etc/evil"), "a name that a bundle does not have"),
        (added("reports/../x"), "a name that a bundle does not have"),
    ],
)
def test_what_was_changed_is_named(
    run: Run, sealed: Path, tmp_path: Path, change: Callable[[dict[str, bytes]], None], said: str
) -> None:
    forged = repacked(bundle_of(sealed), tmp_path / "forged.zip", change)
    done = run("verify", forged)
    assert done.returncode == 7
    assert said in done.stderr
    assert "Traceback" not in done.stderr
    assert run("verify", sealed, "--against", forged).returncode == 7
    assert not list(tmp_path.parent.rglob("evil*"))


def test_random_damage_is_an_error_in_words_or_changes_nothing_that_is_read(sealed: Path, tmp_path: Path) -> None:
    whole = bundle_of(sealed).read_bytes()
    seed = 20261129
    dice = random.Random(seed)
    path = tmp_path / "damaged.sealed.zip"
    noticed = 0
    for _ in range(200):
        damaged = bytearray(whole)
        place = dice.randrange(len(whole))
        damaged[place] ^= 1 << dice.randrange(8)
        path.write_bytes(damaged)
        if not is_bundle(path):
            noticed += 1
            continue
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                with Bundle(path) as bundle, Bundle(bundle_of(sealed)) as before:
                    if bundle.faults():
                        noticed += 1
                    else:  # a date or another field of the archive that nobody reads
                        assert bundle.facts == before.facts
                        assert bundle.schemes() == before.schemes()
        except VerificationError:
            noticed += 1
    assert noticed > 150, f"seed {seed}"


def digest_lines(members: dict[str, bytes], folder: str) -> bytes:
    inside = {name.removeprefix(folder): content for name, content in members.items() if name.startswith(folder)}
    listed = {name: hashlib.sha256(inside[name]).hexdigest() for name in sorted(inside) if name != "MANIFEST.sha256"}
    return "".join(f"{digest}  {name}\n" for name, digest in listed.items()).encode()


def resealed(change: Callable[[dict[str, bytes]], None]) -> Callable[[dict[str, bytes]], None]:
    """The change, with both manifests made again: as somebody does it who wants it to be believed."""

    def changed(members: dict[str, bytes]) -> None:
        change(members)
        members["reports/MANIFEST.sha256"] = digest_lines(members, "reports/")
        members["MANIFEST.sha256"] = digest_lines(members, "")

    return changed


def made(name: str, content: bytes) -> Callable[[dict[str, bytes]], None]:
    return resealed(lambda members: members.update({name: content}))


def without_a_trail(members: dict[str, bytes]) -> None:
    facts = json.loads(members["BUNDLE.json"]) | {"audit": {"sequence": 0, "sha256": None}}
    members.update({"BUNDLE.json": json.dumps(facts).encode(), "audit.jsonl": b""})


DEEP = b"[" * 100_000 + b"]" * 100_000
NESTED = b'{"a":' * 500 + b"1" + b"}" * 500


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (made("BUNDLE.json", DEEP), "its BUNDLE.json is no JSON of a bundle"),
        (made("BUNDLE.json", b'{"format": "caid-triage sealed bundle", "version": 1, "x": %s}' % NESTED), "no JSON of"),
        (resealed(without_a_trail), "audit.jsonl has no line"),
        (made("audit.jsonl", b"\n" * (MOST_LINES + 1)), "its audit.jsonl has more lines than any"),
        (
            lambda members: members.update({"MANIFEST.sha256": b"\n" * 100_000}),
            "MANIFEST.sha256 has more lines than any",
        ),
        (made("schemes/x.json", DEEP), "its schemes/x.json is no JSON of a bundle"),
        (made("reports/summary.json", DEEP), "summary.json: no report that can be read in the bundle"),
        (made("reports/summary.json", NESTED), "summary.json: no report that can be read in the bundle"),
        (made("reports/summary.json", b"\xff{"), "summary.json: no report that can be read in the bundle"),
        (made("reports/problems.csv", b"\xff\r\n"), "problems.csv: no report that can be read in the bundle"),
        (made("reports/report.html", b"\xff"), "report.html: no report that can be read in the bundle"),
    ],
)
def test_a_bundle_made_to_be_believed_is_compared_in_words(
    sealed: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    change: Callable[[dict[str, bytes]], None],
    said: str,
) -> None:
    forged = repacked(bundle_of(sealed), tmp_path / "forged.zip", change)
    with pytest.raises(VerificationError) as refused:
        compare_with_bundle(bundle_of(sealed), forged)
    assert said in f"{refused.value} {refused.value.args} {capsys.readouterr().out}"


@pytest.mark.parametrize("name", ["audit.jsonl", "reports/files.csv"])
def test_a_bundle_that_would_fill_the_disk_or_the_memory_is_refused_before(
    sealed: Path, tmp_path: Path, name: str
) -> None:
    bomb = tmp_path / "bomb.zip"
    with zipfile.ZipFile(bundle_of(sealed)) as archive:
        members = {one: archive.read(one) for one in archive.namelist() if one != name}
    with zipfile.ZipFile(bomb, "w", zipfile.ZIP_DEFLATED, compresslevel=9) as archive:
        for one, content in members.items():
            archive.writestr(one, content)
        with archive.open(name, "w", force_zip64=True) as out:
            for _ in range(400):
                out.write(bytes(1 << 20))
    with pytest.raises(VerificationError, match="unpacked it would have"):
        Bundle(bomb)


def test_a_packing_that_no_bundle_has_is_refused(sealed: Path, tmp_path: Path) -> None:
    """Of bzip2 a few bytes come to gigabytes."""
    other = tmp_path / "other.zip"
    with zipfile.ZipFile(bundle_of(sealed)) as archive, zipfile.ZipFile(other, "w", zipfile.ZIP_BZIP2) as out:
        for name in archive.namelist():
            out.writestr(name, archive.read(name))
    with pytest.raises(VerificationError, match="packed in a way that a bundle is not"):
        Bundle(other)


def test_no_room_to_unpack_is_said(sealed: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "none"))
    with pytest.raises(CaseError, match="TMPDIR"):
        compare_with_bundle(sealed, bundle_of(sealed))


def test_seal_goes_with_all_reports_only(run: Run, sealed: Path) -> None:
    done = run("report", "--case", sealed, "--seal", "--format", "html")
    assert done.returncode == 2
    assert "--format" in done.stderr


def test_what_is_no_bundle_is_said(run: Run, sealed: Path, tmp_path: Path) -> None:
    plain = tmp_path / "plain.zip"
    with zipfile.ZipFile(plain, "w") as archive:
        archive.writestr("a", "b")
    for path in (plain, tmp_path / "none.zip", sealed / "audit.jsonl"):
        done = run("verify", sealed, "--against", path)
        assert done.returncode == 7
        assert "bundle" in done.stderr


def test_the_same_case_gives_the_same_bundle(run: Run, sealed: Path, tmp_path: Path) -> None:
    first = bundle_of(sealed).read_bytes()
    case = tmp_path / "case"
    shutil.copytree(sealed, case)
    with zipfile.ZipFile(bundle_of(sealed)) as archive:
        lines = len(archive.read("audit.jsonl").splitlines())
    assert run("report", "--case", case, "--seal").returncode == 0
    with zipfile.ZipFile(bundle_of(case)) as archive, zipfile.ZipFile(bundle_of(sealed)) as before:
        assert len(archive.read("audit.jsonl").splitlines()) > lines  # the first sealing is in the chain now
        for name in before.namelist():
            if name.startswith("schemes/"):
                assert archive.read(name) == before.read(name)
    assert first


@pytest.fixture(scope="module")
def keys(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path, Path]:
    """A private key, its public one, and the public one of somebody else."""
    folder = tmp_path_factory.mktemp("keys")
    own, other = Ed25519PrivateKey.generate(), Ed25519PrivateKey.generate()
    paths = folder / "unit-key.pem", folder / "unit.pub.pem", folder / "other.pub.pem"
    paths[0].write_bytes(own.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    for path, key in ((paths[1], own), (paths[2], other)):
        path.write_bytes(key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo))
    return paths


def test_a_bundle_is_held_against_a_key_and_a_line_that_was_noted(
    run: Run, sealed: Path, keys: tuple[Path, Path, Path], tmp_path: Path
) -> None:
    private, public, other = keys
    unsigned = run("verify", bundle_of(sealed), "--public-key", public)
    assert unsigned.returncode == 7
    assert "MANIFEST.sha256 is not signed" in unsigned.stderr

    case = tmp_path / "case"
    shutil.copytree(sealed, case)
    assert run("report", "--case", case, "--seal", "--sign-key", private).returncode == 0
    bundle = bundle_of(case)
    with zipfile.ZipFile(bundle) as archive:
        lines = archive.read("audit.jsonl").splitlines()
    noted = hashlib.sha256(lines[2]).hexdigest()
    done = run("verify", bundle, "--public-key", public, "--noted", noted)
    assert done.returncode == 0, done.stderr
    assert "the reports are signed with that key" in done.stdout
    assert f"the SHA-256 that was noted is that of line 3 of {len(lines)} of audit.jsonl" in done.stdout
    assert hashlib.sha256(bundle.read_bytes()).hexdigest() in done.stdout

    done = run("verify", bundle, "--public-key", other, "--noted", "0" * 64)
    assert done.returncode == 7
    assert "no signature of MANIFEST.sha256 with that key" in done.stderr
    assert "no line has the SHA-256 that was noted" in done.stderr
    forged = repacked(bundle, tmp_path / "forged.zip", dropped("reports/MANIFEST.sha256"))
    assert run("verify", forged, "--public-key", public).returncode == 7
    # Of the case: what holds is said, and that nobody asked whose signature it is.
    assert "was not held against a key" in run("verify", case).stdout
    done = run("verify", case, "--public-key", public, "--noted", noted)
    assert done.returncode == 0, done.stderr
    assert "is that of line 3 of" in done.stdout
    assert "was not held" not in done.stdout


def test_no_check_that_is_asked_for_is_left_out_in_silence(
    run: Run, sealed: Path, keys: tuple[Path, Path, Path]
) -> None:
    asked = [("--public-key", keys[1]), ("--tsa-certificates", keys[1]), ("--noted", "0" * 64)]
    for option in asked:
        done = run("verify", sealed, "--against", bundle_of(sealed), *option)
        assert done.returncode == 2, done.stdout
        assert option[0] in done.stderr
    done = run("verify", bundle_of(sealed), *asked[1])
    assert done.returncode == 2
    assert "holds no time stamp" in done.stderr


def test_a_changed_bundle_in_the_case_is_found_and_one_handed_over_is_not_missed(
    run: Run, sealed: Path, tmp_path: Path
) -> None:
    case = tmp_path / "case"
    shutil.copytree(sealed, case)
    bundle = bundle_of(case)
    first = bundle.read_bytes()
    bundle.write_bytes(first[:-1] + bytes([first[-1] ^ 1]))  # the archive's own bookkeeping: no member is touched
    done = run("verify", case)
    assert done.returncode == 7
    assert "reports.sealed.zip: no line of audit.jsonl has its SHA-256" in done.stderr
    bundle.unlink()
    assert run("verify", case).returncode == 0
    with open_case_for_writing(case) as opened:  # as a scan leaves it that is stopped before its source's end
        opened.add_source(SourceInfo("B/2", "other.dd", "raw", 1024), {})
    assert run("report", "--case", case, "--seal").returncode == 0
    assert run("verify", case).returncode == 0
    assert "was not complete when it was sealed" in run("verify", bundle).stdout
    bundle.write_bytes(first)  # an earlier one, which the chain names too
    assert run("verify", case).returncode == 0
