"""A signature and a time stamp of the manifest: made, checked by this program and by OpenSSL, found where they fail."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.rsa import generate_private_key
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
)
from support.cli import run_command
from unit.report import exhibits

from caid_triage.case.store import open_case_for_writing
from caid_triage.errors import UsageError
from caid_triage.report.on_record import REPORTS, Sealing, write_reports_on_record
from caid_triage.report.signing import (
    PasswordNeededError,
    fingerprint,
    read_private_key,
    read_public_key,
    signature_fault,
)
from caid_triage.report.stamping import read_authorities
from caid_triage.report.verify import Trust, check_whole_case, verify_case

MANIFEST, SIGNATURE = "MANIFEST.sha256", "MANIFEST.sha256.sig"
REQUEST, STAMP = "MANIFEST.sha256.tsq", "MANIFEST.sha256.tsr"


def openssl(*arguments: object, cwd: Path | None = None) -> str:
    if shutil.which("openssl") is None:
        pytest.skip("OpenSSL is not installed: what it says of signature and time stamp cannot be compared")
    command = ["openssl", *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60, cwd=cwd)
    assert done.returncode == 0, done.stderr
    return done.stdout


def pem(key: Ed25519PrivateKey, password: bytes | None = None) -> bytes:
    encryption = NoEncryption() if password is None else BestAvailableEncryption(password)
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, encryption)


def public_pem(key: Ed25519PrivateKey) -> bytes:
    return key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)


@pytest.fixture(scope="module")
def key() -> Ed25519PrivateKey:
    return Ed25519PrivateKey.from_private_bytes(bytes(range(32)))


def written(folder: Path, sealing: Sealing) -> Path:
    with open_case_for_writing(folder) as case:
        write_reports_on_record(case, folder / REPORTS, None, sealing)
    return folder


@pytest.fixture
def signed(tmp_path: Path, key: Ed25519PrivateKey) -> Path:
    return written(exhibits.make_case(tmp_path / "case", exhibits.busy_items()), Sealing(key))


def last_written(folder: Path) -> dict[str, object]:
    lines = map(json.loads, (folder / "audit.jsonl").read_bytes().splitlines())
    return [line for line in lines if line["action"] == "reports-written"][-1]


def test_a_signature_holds_with_its_key_and_no_other(signed: Path, key: Ed25519PrivateKey) -> None:
    assert len((signed / REPORTS / SIGNATURE).read_bytes()) == 64
    assert verify_case(signed) == []
    assert check_whole_case(signed, Trust(key.public_key())).faults == []
    (fault,) = check_whole_case(signed, Trust(Ed25519PrivateKey.generate().public_key())).faults
    assert fault.where == f"reports/{SIGNATURE}"
    assert "no signature of MANIFEST.sha256 with that key" in fault.what
    assert last_written(signed)["key"] == fingerprint(key.public_key())


def test_openssl_checks_the_signature_and_names_the_key_alike(
    signed: Path, key: Ed25519PrivateKey, tmp_path: Path
) -> None:
    (tmp_path / "pub.pem").write_bytes(public_pem(key))
    reports = signed / REPORTS
    said = openssl("pkeyutl", "-verify", "-pubin", "-inkey", tmp_path / "pub.pem", "-rawin", "-in", reports / MANIFEST,
                   "-sigfile", reports / SIGNATURE)  # fmt: skip
    assert "Verified Successfully" in said
    openssl("pkey", "-pubin", "-in", tmp_path / "pub.pem", "-outform", "DER", "-out", tmp_path / "pub.der")
    assert fingerprint(key.public_key()) in openssl("dgst", "-sha256", tmp_path / "pub.der")


def test_a_key_that_openssl_made_signs(tmp_path: Path) -> None:
    made, public = tmp_path / "unit-key.pem", tmp_path / "unit.pub.pem"
    openssl("genpkey", "-algorithm", "ed25519", "-aes256", "-pass", "pass:a b", "-out", made)
    openssl("pkey", "-in", made, "-passin", "pass:a b", "-pubout", "-out", public)
    folder = written(
        exhibits.make_case(tmp_path / "case", exhibits.busy_items()), Sealing(read_private_key(made, b"a b"))
    )
    assert signature_fault(folder / REPORTS, read_public_key(public)) == ""


CHANGES: dict[str, tuple[Callable[[Path], object], str]] = {
    "a changed manifest": (lambda reports: _flip(reports / MANIFEST), SIGNATURE),
    "a changed signature": (lambda reports: _flip(reports / SIGNATURE), SIGNATURE),
    "a removed signature": (lambda reports: (reports / SIGNATURE).unlink(), SIGNATURE),
    "no reports": (shutil.rmtree, MANIFEST),
}


def _flip(path: Path) -> None:
    content = path.read_bytes()
    path.write_bytes(content[:20] + bytes([content[20] ^ 1]) + content[21:])


@pytest.mark.parametrize("kind", CHANGES)
def test_what_breaks_a_signature_is_found_with_the_key_and_without(
    signed: Path, key: Ed25519PrivateKey, kind: str
) -> None:
    change, name = CHANGES[kind]
    change(signed / REPORTS)
    assert f"reports/{name}" in {fault.where for fault in check_whole_case(signed, Trust(key.public_key())).faults}
    assert verify_case(signed) != []


def test_a_signature_that_no_command_made_is_found(tmp_path: Path, key: Ed25519PrivateKey) -> None:
    folder = written(exhibits.make_case(tmp_path / "case", exhibits.busy_items()), Sealing())
    reports = folder / REPORTS
    (reports / SIGNATURE).write_bytes(key.sign((reports / MANIFEST).read_bytes()))
    (fault,) = check_whole_case(folder, Trust(key.public_key())).faults
    assert str(fault) == f"reports/{SIGNATURE}: no line of audit.jsonl says that this was made"


def test_an_earlier_signed_manifest_is_kept_and_checked(signed: Path, key: Ed25519PrivateKey) -> None:
    before = {name: (signed / REPORTS / name).read_bytes() for name in (MANIFEST, SIGNATURE)}
    written(signed, Sealing())
    (kept,) = (signed / REPORTS).glob("sealed-*")
    assert {path.name: path.read_bytes() for path in kept.iterdir()} == before
    assert verify_case(signed) == []
    assert not (signed / REPORTS / SIGNATURE).exists()
    written(signed, Sealing(key))
    written(signed, Sealing(key, stamp_request=False))
    assert len(list((signed / REPORTS).glob("sealed-*"))) == 2  # the same manifest, signed again
    assert check_whole_case(signed, Trust(key.public_key())).faults == []
    for name in (SIGNATURE, MANIFEST):
        _flip(kept / name)
        (fault,) = verify_case(signed)
        assert str(fault).startswith(f"reports/{kept.name}/: no line of audit.jsonl names what is in it")
        _flip(kept / name)
    shutil.rmtree(kept)
    check = check_whole_case(signed)
    assert check.faults == []
    assert "is not kept any more" in check.notes[0]


def test_keys_that_are_none_are_refused_with_what_to_do(tmp_path: Path, key: Ed25519PrivateKey) -> None:
    path = tmp_path / "key.pem"
    with pytest.raises(UsageError, match="cannot be read"):
        read_private_key(path)
    path.write_bytes(b"no key")
    with pytest.raises(UsageError, match="openssl genpkey -algorithm ed25519"):
        read_private_key(path)
    path.write_bytes(generate_private_key(65537, 2048).private_bytes(
        Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))  # fmt: skip
    with pytest.raises(UsageError, match="another kind"):
        read_private_key(path)
    path.write_bytes(pem(key, b"secret"))
    with pytest.raises(PasswordNeededError, match="is protected"):
        read_private_key(path)
    with pytest.raises(PasswordNeededError, match="cannot be opened"):
        read_private_key(path, b"wrong")
    assert read_private_key(path, b"secret").sign(b"x") == key.sign(b"x")
    path.write_bytes(pem(key))
    assert read_private_key(path, b"not needed").sign(b"x") == key.sign(b"x")
    with pytest.raises(UsageError, match="no public key"):
        read_public_key(path)


def test_signing_without_the_end_of_the_audit_trail_is_refused(tmp_path: Path, key: Ed25519PrivateKey) -> None:
    folder = exhibits.make_case(tmp_path / "case", exhibits.busy_items())
    with open_case_for_writing(folder) as case, pytest.raises(UsageError, match=r"summary\.json"):
        write_reports_on_record(case, tmp_path / "out", ["matches"], Sealing(key))


def test_the_commands_sign_and_check(signed: Path, key: Ed25519PrivateKey, tmp_path: Path) -> None:
    private, public, password = tmp_path / "key.pem", tmp_path / "pub.pem", tmp_path / "password.txt"
    private.write_bytes(pem(key, b"secret"))
    public.write_bytes(public_pem(key))
    password.write_bytes(b"secret\n")
    done = run_command("report", "--case", signed, "--sign-key", private, "--sign-password-file", password)
    assert done.returncode == 0, done.stderr
    assert SIGNATURE in done.stdout
    done = run_command("verify", signed, "--public-key", public)
    assert done.returncode == 0, done.stderr
    assert "signed with that key" in done.stdout
    command = [json.loads(line) for line in (signed / "audit.jsonl").read_bytes().splitlines()][-4]
    assert command["options"] == {"--case": "case", "--sign-key": "key.pem", "--sign-password-file": True}
    done = run_command("report", "--case", signed, "--sign-key", private)
    assert (done.returncode, "is protected" in done.stderr) == (2, True)


# -- time stamps ------------------------------------------------------------------------------------------------------

CONFIGURATION = """
[tsa]
default_tsa = one
[one]
serial = {folder}/serial
crypto_device = builtin
signer_digest = sha256
default_policy = 1.2.3.4.1
digests = sha256
accuracy = secs:1
ess_cert_id_alg = sha256
"""


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A time-stamping authority of OpenSSL's: a root, and a certificate for time stamps by it."""
    folder = tmp_path_factory.mktemp("authority")
    openssl("req", "-x509", "-newkey", "rsa:2048", "-nodes", "-keyout", "root.key", "-out", "root.pem", "-days", "30",
            "-subj", "/CN=Test Root", cwd=folder)  # fmt: skip
    openssl("req", "-newkey", "rsa:2048", "-nodes", "-keyout", "tsa.key", "-out", "tsa.csr", "-subj",
            "/CN=Test Stamps", cwd=folder)  # fmt: skip
    (folder / "usage").write_text("extendedKeyUsage=critical,timeStamping\nkeyUsage=critical,digitalSignature\n")
    openssl("x509", "-req", "-in", "tsa.csr", "-CA", "root.pem", "-CAkey", "root.key", "-CAcreateserial", "-out",
            "tsa.pem", "-days", "30", "-extfile", "usage", cwd=folder)  # fmt: skip
    (folder / "serial").write_text("01\n")
    (folder / "ts.cnf").write_text(CONFIGURATION.format(folder=folder))
    return folder


def stamp(authority: Path, reports: Path) -> None:
    openssl("ts", "-reply", "-config", authority / "ts.cnf", "-queryfile", reports / REQUEST, "-signer",
            authority / "tsa.pem", "-inkey", authority / "tsa.key", "-chain", authority / "root.pem", "-out",
            reports / STAMP)  # fmt: skip


@pytest.fixture
def stamped(authority: Path, tmp_path: Path) -> Path:
    pytest.importorskip("rfc3161_client", reason="rfc3161-client is not installed")
    folder = written(exhibits.make_case(tmp_path / "case", exhibits.busy_items()), Sealing(stamp_request=True))
    stamp(authority, folder / REPORTS)
    return folder


def test_the_request_is_one_for_openssl_and_of_the_manifest(stamped: Path) -> None:
    said = openssl("ts", "-query", "-in", stamped / REPORTS / REQUEST, "-text")
    assert "Hash Algorithm: sha256" in said
    assert "Certificate required: yes" in said
    assert "Nonce: 0x" in said
    dump = [line.split(" - ")[1][:47] for line in said.splitlines() if line.startswith("    00")]
    shown = re.sub(r"[^0-9a-f]", "", "".join(dump))
    assert shown == last_written(stamped)["manifest"]


def test_a_time_stamp_holds_for_openssl_and_for_us(stamped: Path, authority: Path) -> None:
    reports = stamped / REPORTS
    assert "Verification: OK" in openssl("ts", "-verify", "-queryfile", reports / REQUEST, "-in", reports / STAMP,
                                         "-CAfile", authority / "root.pem")  # fmt: skip
    assert "Verification: OK" in openssl("ts", "-verify", "-data", reports / MANIFEST, "-in", reports / STAMP,
                                         "-CAfile", authority / "root.pem")  # fmt: skip
    check = check_whole_case(stamped)
    assert check.faults == []
    assert "CN=Test Stamps; whether that is to be trusted was not checked" in check.notes[0]
    check = check_whole_case(stamped, Trust(authorities=read_authorities(authority / "root.pem")))
    assert check.faults == []
    assert "holds: MANIFEST.sha256 existed at 20" in check.notes[0]


def test_a_time_stamp_by_somebody_else_of_something_else_or_none_is_found(
    stamped: Path, authority: Path, tmp_path: Path
) -> None:
    reports, trusted = stamped / REPORTS, Trust(authorities=read_authorities(authority / "root.pem"))
    openssl("req", "-x509", "-newkey", "rsa:2048", "-nodes", "-keyout", tmp_path / "k", "-out", tmp_path / "other.pem",
            "-subj", "/CN=Other")  # fmt: skip
    (fault,) = check_whole_case(stamped, Trust(authorities=read_authorities(tmp_path / "other.pem"))).faults
    assert fault.where == f"reports/{STAMP}"
    good = (reports / STAMP).read_bytes()
    for content in (b"", b"\x30\x00", good[:400], good.replace(b"Test Stamps", b"Best Stamps")):
        (reports / STAMP).write_bytes(content)
        assert [fault.where for fault in verify_case(stamped)] == [f"reports/{STAMP}"], content[:20]
    (tmp_path / "note.txt").write_text("something else")
    openssl("ts", "-query", "-data", tmp_path / "note.txt", "-sha256", "-cert", "-out", tmp_path / REQUEST)
    stamp(authority, tmp_path)
    (reports / STAMP).write_bytes((tmp_path / STAMP).read_bytes())
    assert [fault.where for fault in verify_case(stamped)] == [f"reports/{STAMP}"]
    (reports / STAMP).unlink()
    assert verify_case(stamped) == []
    (fault,) = check_whole_case(stamped, trusted).faults
    assert "there is no time stamp" in fault.what


def test_a_stamped_manifest_outlives_the_next_reports(stamped: Path, authority: Path) -> None:
    written(stamped, Sealing())
    check = check_whole_case(stamped)
    assert check.faults == []
    assert check.notes[0].startswith("reports/sealed-")
    with pytest.raises(UsageError, match="no certificate"):
        read_authorities(stamped / "audit.jsonl")
