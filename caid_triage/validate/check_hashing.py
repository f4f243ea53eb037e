"""Tests of the hashes: against the generator's own, published ones, and what the reference implementations said."""

from __future__ import annotations

from caid_triage.examine.pdq_naive import pdq_naive
from caid_triage.validate.folders import PUBLISHED, known_looks
from caid_triage.validate.laboratory import Laboratory
from caid_triage.validate.requirement import Findings


def digests(lab: Laboratory, found: Findings) -> None:
    """MD5, SHA-1, SHA-256 and size of everything that was planted, and the published digests."""
    by_path = {row["path"]: row for row in lab.hashing_scan.files}
    for number, (content, *published) in enumerate(PUBLISHED):
        row = by_path.get(f"/digests/{number}.bin", {})
        for name, wanted in zip(("md5", "sha1", "sha256"), published, strict=True):
            if wanted:
                found.expect(
                    row.get(name) == wanted, f"the {name} of the published content {number} is not the published one"
                )
        found.expect(row.get("size") == str(len(content)), f"the size of the published content {number} is wrong")
    compared = wrong = 0
    scans = ((lab.disk_scan, [lab.made.disk.exhibit]), (lab.others_scan, list(lab.made.others)))
    for reports, exhibits in scans:
        rows = {(row["exhibit"], row["volume"], row["path"], row["state"]): row for row in reports.files}
        for exhibit in exhibits:
            for item in exhibit.planted:
                found_row = rows.get((exhibit.reference, item.volume, item.path, item.state))
                if found_row is None:
                    continue  # what is not found at all is another requirement's matter
                got = tuple(found_row[name] for name in ("md5", "sha1", "sha256", "size"))
                ok = got == (item.md5, item.sha1, item.sha256, str(len(item.content)))
                compared, wrong = compared + 1, wrong + (not ok)
                found.expect(ok, f"{exhibit.reference}: digests or size of {item.path} of {item.where} are wrong")
    found.expect(compared > 0, "no planted file could be compared")
    found.rate("files with wrong digests or size", "wrong", wrong, compared)


def pdq(lab: Laboratory, found: Findings) -> None:
    """PDQ and its quality in files.csv, and the oracle of this tool, are the reference implementation's, bit by bit."""
    rows = {row["path"]: row for row in lab.hashing_scan.files}
    made_by, looks = known_looks()
    wrong = 0
    for pixels, look in looks:
        row = rows.get(look.path, {})
        ok = (row.get("pdq"), row.get("pdq_quality")) == (look.pdq, str(look.pdq_quality))
        wrong += not ok
        found.expect(ok, f"PDQ or quality of {look.path} in files.csv is not the reference's")
        value, quality = pdq_naive(pixels)
        ok = (value.hex(), quality) == (look.pdq, look.pdq_quality)
        found.expect(ok, f"the oracle's PDQ of {look.path} is not the reference's")
    found.rate("pictures with another PDQ than the reference's", "wrong", wrong, len(looks))
    found.value("reference", f"pdqhash {made_by['pdqhash']}, frozen answers for {len(looks)} drawings")


def phash(lab: Laboratory, found: Findings) -> None:
    """PHash in files.csv is imagehash's."""
    rows = {row["path"]: row for row in lab.hashing_scan.files}
    made_by, looks = known_looks()
    wrong = 0
    for _, look in looks:
        ok = rows.get(look.path, {}).get("phash") == look.phash
        wrong += not ok
        found.expect(ok, f"the pHash of {look.path} in files.csv is not imagehash's")
    found.rate("pictures with another pHash than imagehash's", "wrong", wrong, len(looks))
    found.value("reference", f"imagehash {made_by['ImageHash']}, frozen answers for {len(looks)} drawings")
