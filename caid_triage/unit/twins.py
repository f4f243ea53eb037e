"""Whether a source of another case is the same exhibit as one of this case: scanned twice, it would link to itself.

Told by what is stored with an image, never by what lies on it: two disks may have one content for other reasons.
"""

from __future__ import annotations

from caid_triage.case.cameras import camera_key, unusable
from caid_triage.case.links import TWIN_HASH, TWIN_REFERENCE, TWIN_SERIAL
from caid_triage.case.rows import SourceRow
from caid_triage.unit.rows import Exhibit, storable

DIGITS = {"md5": 32, "sha1": 40, "sha256": 64}
MOST_BYTES = 2**63 - 1  # of what both databases keep as a number


def exhibit_of(source: SourceRow, member_id: int = 0, contents: int = 0, files: int = 0, pictures: int = 0) -> Exhibit:
    """A source of a case as the memory keeps it, with what its acquisition says of it."""
    stored = {name: _hash(source.acquisition.get(name, ""), digits) for name, digits in DIGITS.items()}
    return Exhibit(
        0, member_id, storable(source.exhibit), storable(source.source), contents, files, pictures,
        size=None if source.size is None or source.size > MOST_BYTES else source.size,
        serial=storable(_serial(source.acquisition.get("serial_number", ""))), **stored,
    )  # fmt: skip


def nameless(member_id: int, contents: int, files: int, pictures: int) -> Exhibit:
    """A source of a restricted case as the memory keeps it: nothing that tells which it is."""
    return Exhibit(0, member_id, "", "", contents, files, pictures)


def twin(mine: Exhibit, theirs: Exhibit) -> str:
    """How two sources are known to be of one exhibit, the surest first: one of links.TWIN_*, "" where they are not.

    A hash of the acquisition that both have, and none that differs; the serial number of disks of one size; the same
    reference, unless size or hash say that it is another. References begin anew in many units: the last is no proof.
    """
    hashes = [(getattr(mine, name), getattr(theirs, name)) for name in DIGITS]
    agree = [one == other for one, other in hashes if one and other]
    same_size = mine.size == theirs.size
    if agree and all(agree):
        return TWIN_HASH
    if mine.serial and mine.serial == theirs.serial and same_size:
        return TWIN_SERIAL
    if agree or not same_size or not theirs.exhibit or _reference(mine) != _reference(theirs):
        return ""
    return TWIN_REFERENCE


def _reference(one: Exhibit) -> str:
    return " ".join(one.exhibit.casefold().split())


def _hash(value: str, digits: int) -> str:
    """A stored hash in small letters; "" for what is none, or is one digit all along where none was taken."""
    letters = value.strip().lower()
    is_hash = len(letters) == digits and not letters.strip("0123456789abcdef") and len({*letters}) > 1
    return letters if is_hash else ""


def _serial(value: str) -> str:
    """A serial number as it is compared, "" for one that tells nothing: by the rules for those of cameras."""
    key = camera_key({"camera-model": "disk", "camera-serial": value})
    return "" if key is None or unusable(key) else key.serial
