"""Time stamps by RFC 3161: the request as a file to be carried to a machine with a network, and what comes back.

The program itself sends nothing. ``MANIFEST.sha256.tsq`` asks a time-stamping authority to certify when the digest of
the manifest existed; its answer, laid beside it as ``MANIFEST.sha256.tsr``, is checked here and by ``openssl ts``.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC
from pathlib import Path
from typing import TYPE_CHECKING

from cryptography import x509

from caid_triage.errors import UsageError
from caid_triage.report.manifest import MANIFEST, STAMP, STAMP_REQUEST

if TYPE_CHECKING:
    from rfc3161_client import TimeStampResponse

NEEDS_LIBRARY = "time stamps need the library rfc3161-client; install caid-triage with all it requires"


def stamp_request(manifest: bytes) -> bytes:
    """A request (TimeStampReq, DER) for the SHA-256 of a manifest, with a nonce and the wish for certificates."""
    try:
        from rfc3161_client import HashAlgorithm, TimestampRequestBuilder  # noqa: PLC0415 - few commands need it
    except ImportError as fault:
        raise UsageError(NEEDS_LIBRARY) from fault
    builder = TimestampRequestBuilder().data(manifest).hash_algorithm(HashAlgorithm.SHA256)
    return bytes(builder.cert_request(cert_request=True).build().as_bytes())


def read_authorities(path: Path) -> list[x509.Certificate]:
    """The certificates that are trusted, from a PEM file. UsageError: it holds none."""
    try:
        return x509.load_pem_x509_certificates(path.read_bytes())
    except OSError as fault:
        raise UsageError(f"the certificates {path} cannot be read: {fault.strerror or fault}") from fault
    except ValueError as fault:
        raise UsageError(f"{path} holds no certificate in PEM") from fault


def stamp_findings(folder: Path, authorities: list[x509.Certificate] | None) -> Iterator[tuple[bool, str]]:
    """What the time stamp beside a manifest is worth: whether it is a fault, and the end of a sentence about it.

    It must be of this manifest, answer the request beside it, and be signed. Without the certificates of the authority
    that it was signed by somebody is all that can be said: that is a note.
    """
    path = folder / STAMP
    if not path.is_file():
        if authorities is not None:
            yield True, "is missing: there is no time stamp"
        return
    try:
        from rfc3161_client import (  # noqa: PLC0415 - few commands need it
            VerificationError,
            VerifierBuilder,
            decode_timestamp_response,
        )
        from rfc3161_client._rust import parse_timestamp_request  # noqa: PLC0415
    except ImportError:
        yield False, f"was not checked: {NEEDS_LIBRARY}"
        return
    try:
        response = decode_timestamp_response(with_sorted_certificates(path.read_bytes()))
        moment = response.tst_info.gen_time.astimezone(UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
        embedded = [x509.load_der_x509_certificate(der) for der in sorted(response.signed_data.certificates)]
    except ValueError:
        yield True, "is no answer of a time-stamping authority that can be read, or a refusal"
        return
    builder = VerifierBuilder()
    if (folder / STAMP_REQUEST).is_file():
        try:
            builder = VerifierBuilder.from_request(parse_timestamp_request((folder / STAMP_REQUEST).read_bytes()))
        except ValueError:
            yield True, f"cannot be compared with {STAMP_REQUEST}, which is no request"
    trusted = embedded if authorities is None else authorities
    if not trusted:
        yield False, f"says {moment}; it holds no certificate: give those of the authority with --tsa-certificates"
        return
    for certificate in trusted:
        builder = builder.add_root_certificate(certificate)
    try:
        builder.build().verify_message(response, (folder / MANIFEST).read_bytes())
    except VerificationError as fault:
        yield True, f"does not hold for {MANIFEST}: {fault}"
        return
    if authorities is None:
        yield (
            False,
            f"says {moment}, signed by {_signer(response, embedded)}; whether that is to be trusted was not checked",
        )
    else:
        yield False, f"holds: {MANIFEST} existed at {moment}"


def with_sorted_certificates(answer: bytes) -> bytes:
    """An answer with its set of certificates in the order that DER asks for.

    OpenSSL, and authorities that run it, write them as they come; the library refuses that. They are under no
    signature, and a change of order changes no length. What is no answer comes back as it is.
    """
    try:
        (whole,) = _elements(answer, 0, len(answer))
        _, token = _elements(answer, *whole[1:])  # TimeStampResp: status, timeStampToken
        _, content = _elements(answer, *token[1:])  # ContentInfo: contentType, [0] content
        (signed,) = _elements(answer, *content[1:])
        certificates = next(item for item in _elements(answer, *signed[1:]) if answer[item[0]] == 0xA0)
        found = sorted(answer[begin:end] for begin, _, end in _elements(answer, *certificates[1:]))
    except (ValueError, IndexError, StopIteration):
        return answer
    return answer[: certificates[1]] + b"".join(found) + answer[certificates[2] :]


def _elements(data: bytes, begin: int, end: int) -> list[tuple[int, int, int]]:
    """The DER elements that lie side by side: where each begins, where its content does, where it ends."""
    found = []
    while begin < end:
        size, content = data[begin + 1], begin + 2
        if size & 0x80:
            content += size & 0x7F
            size = int.from_bytes(data[begin + 2 : content], "big")
        if content + size > end:
            raise ValueError("an element is longer than what it lies in")
        found.append((begin, content, content + size))
        begin = content + size
    return found


def _signer(response: TimeStampResponse, certificates: list[x509.Certificate]) -> str:
    for signer in response.signed_data.signer_infos:
        for certificate in certificates:
            if (certificate.issuer, certificate.serial_number) == (signer.issuer, signer.serial_number):
                return ascii(certificate.subject.rfc4514_string())[1:-1]
    return "somebody unknown"
