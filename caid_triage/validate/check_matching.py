"""Tests of matching: exact, near at measured distances, films, false matches, categories, known-good."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection

import numpy as np

from caid_triage.examine.pdq_naive import pdq_naive
from caid_triage.hashset.build import build_hashset_from_arrays
from caid_triage.hashset.store import open_hashset
from caid_triage.model import STRONG_BITS, DecodeState
from caid_triage.validate.laboratory import Laboratory
from caid_triage.validate.reports import Row, parsed
from caid_triage.validate.requirement import Findings
from caid_triage.validate.sets import LABELS, PDQ_BITS, PHASH_BITS, balanced, flipped
from caid_triage.validate.truth import Planted

PHASH_RADIUS = 8
LEAST_QUALITY = 50
JPEG_BITS = 8
"""So far may the hash of a JPEG, decoded in grey, be from the one of its full decode in colour (decision 0007)."""
BANDS = ((0, 10), (11, 20), (21, STRONG_BITS), (STRONG_BITS + 1, 50), (51, 75), (76, PDQ_BITS))
DECODING_TELLS = ("pdq", "pdq_quality", "phash", "width", "height", "duration_s", "decode_state")
"""Columns of files.csv that are empty, or other, where a file was not decoded."""
PUBLISHED_WORDS = ("category a", "category b", "category c")


def _occurrences(lab: Laboratory) -> list[Planted]:
    """Everything planted on the disk that its sets may say something of."""
    return [item for item in lab.made.disk.exhibit.planted if item.content and item.kind != "PNG in two pieces"]


def _wanted_exact(lab: Laboratory, *algorithms: str) -> Counter[tuple[str, str, str, str, str]]:
    """How often each (set, SHA-256, state, algorithm, code) must stand in matches.csv, by the truth."""
    wanted: Counter[tuple[str, str, str, str, str]] = Counter()
    for item in _occurrences(lab):
        for listed in lab.made.disk_sets.listed.get(item.sha256, ()):
            if listed.algorithm in algorithms:
                wanted[listed.hashset, item.sha256, item.state, listed.algorithm, listed.code] += 1
    return wanted


def _got_exact(lab: Laboratory) -> Counter[tuple[str, str, str, str, str]]:
    return Counter(
        (row["hashset"], row["sha256"], row["state"], row["algorithm"], row["category_code"])
        for row in lab.disk_scan.exact()
    )


def _compare(
    found: Findings, wanted: Counter[tuple[str, str, str, str, str]], got: Counter[tuple[str, str, str, str, str]]
) -> None:
    """Each listed content must be met once for each place, by the right digest; the words name no hash."""
    missed = 0
    for key, count in sorted(wanted.items()):
        hashset, _, state, algorithm, code = key
        ok = got[key] == count
        missed += not ok
        found.expect(
            ok, f"a content of code {code} that {hashset} lists by {algorithm}, {state}: {got[key]} matches of {count}"
        )
    found.rate("listed contents, by place", "missed", missed, len(wanted))


def exact(lab: Laboratory, found: Findings) -> None:
    """Every listed content is met by SHA-1 or SHA-256, wherever it lies, and the strongest digest is named."""
    _compare(found, _wanted_exact(lab, "sha1", "sha256"), _got_exact(lab))


def by_md5(lab: Laboratory, found: Findings) -> None:
    """What is listed by MD5 alone is met, and called a match by MD5."""
    wanted = _wanted_exact(lab, "md5")
    _compare(found, wanted, _got_exact(lab))
    strong = {key[1] for key in wanted}
    wrong = [row for row in lab.disk_scan.exact() if row["sha256"] in strong and row["algorithm"] != "md5"]
    found.expect(not wrong, "a match by MD5 alone is called one by a stronger digest")
    found.expect("MD5 only" in lab.disk_scan.page, "report.html does not say that a match is by MD5 only")


def contradicted(lab: Laboratory, found: Findings) -> None:
    """Where the MD5 agrees and the SHA-1 does not, nothing is counted, and the contradiction is told."""
    reports = lab.disk_scan
    wanted = _wanted_exact(lab, "contradicted")
    contents = {key[1] for key in wanted}
    met = [row for row in reports.matches if row["sha256"] in contents and row["match_kind"] == "exact"]
    found.expect(not met, f"{len(met)} files match although the stronger digest of the entry is not theirs")
    found.expect(bool(wanted), "no contradiction was planted")
    _told(lab, found, contents, {"digest"})


def _told(lab: Laboratory, found: Findings, contents: Collection[str], kinds: Collection[str]) -> None:
    """Each file with one of these contents must be among the contradictions of summary.json, by one of these kinds."""
    files = {(row["volume"], row["path"]) for row in lab.disk_scan.files if row["sha256"] in contents}
    told = {(row["volume"], row["path"]) for row in lab.disk_scan.summary["contradictions"] if row["kind"] in kinds}
    found.expect(bool(files), "no file with a contradiction was found")
    found.expect(
        files <= told, f"{len(files - told)} of {len(files)} files are not among the contradictions of summary.json"
    )


def near(lab: Laboratory, found: Findings) -> None:
    """Every copy within the strong distance is met, at the oracle's distance; the rest is told by distance."""
    alike = lab.made.alike
    listed = {original.media_id: pdq_naive(original.pixels) for original in alike.originals}
    met = _met(lab.alike_scan.matches)
    outcomes, by_edit = [], []
    for copy in alike.copies:
        value, quality = pdq_naive(copy.pixels)
        wanted, listed_quality = listed[copy.media_id]
        distance = _bits(value, wanted)
        row = met.get((copy.path, copy.media_id))
        strong = row is not None and row["algorithm"] == "pdq" and int(row["distance"]) <= STRONG_BITS
        good = min(quality, listed_quality) >= LEAST_QUALITY
        band = next(f"at {low} to {high} bits" for low, high in BANDS if low <= distance <= high)
        outcomes.append((band if good else "of a quality below 50", row is not None))
        by_edit.append((copy.edit, row is not None))
        slack = 0 if copy.exact_pixels else JPEG_BITS
        if good and distance + slack <= STRONG_BITS:
            found.expect(strong, f"a copy ({copy.edit}) at {distance} bits is not met at the strong distance")
        if row is not None and row["algorithm"] == "pdq" and not row["look"] and not row.get("orientation"):
            found.expect(
                abs(int(row["distance"]) - distance) <= slack,
                f"a copy ({copy.edit}) at {distance} bits is said to be at {row['distance']}",
            )
    bands = [f"at {low} to {high} bits" for low, high in BANDS]
    within = {name for name, (_, high) in zip(bands, BANDS, strict=True) if high <= STRONG_BITS}
    outcomes.sort(key=lambda item: bands.index(item[0]) if item[0] in bands else len(bands))
    found.misses("copies ", [item for item in outcomes if item[0] in within])
    found.misses("copies ", [item for item in outcomes if item[0] not in within], judged=False)
    found.misses("copies: ", by_edit, judged=False)


def _met(rows: list[Row]) -> dict[tuple[str, str], Row]:
    """The near matches by (path, media id)."""
    return {(row["path"], row["media_id"]): row for row in rows if row["match_kind"] == "near"}


def _bits(one: bytes, other: bytes) -> int:
    return (int.from_bytes(one) ^ int.from_bytes(other)).bit_count()


def limits(lab: Laboratory, found: Findings) -> None:
    """Of hashes at every distance exactly those within the limit are met, at that distance."""
    rows = lab.limits_scan.matches
    for hashset, algorithm, radius, bits in (
        ("limit-pdq", "pdq", STRONG_BITS, PDQ_BITS),
        ("limit-phash", "phash", PHASH_RADIUS, PHASH_BITS),
    ):
        got = Counter(
            (row["path"], row["media_id"], row["distance"], row["threshold"])
            for row in rows
            if row["hashset"] == hashset and row["algorithm"] == algorithm
        )
        wanted = Counter(
            (path, f"{path} {distance}", str(distance), str(radius))
            for path in lab.made.limits[1]
            for distance in range(radius + 1)
        )
        found.same(f"matches by {algorithm} (file, entry, distance, limit)", wanted, got)
        missed, false = (wanted - got).total(), (got - wanted).total()
        found.rate(f"{algorithm} at 0 to {radius} bits", "missed", missed, wanted.total())
        beyond = len(lab.made.limits[1]) * (bits - radius)
        found.rate(f"{algorithm} at {radius + 1} to {bits} bits", "false matches", min(false, beyond), beyond)


def index(lab: Laboratory, found: Findings) -> None:
    """The search of a large set gives what comparing everything gives, at every distance."""
    rng = lab.made.rng("index")
    count, questions, radius = 40_000, 60, STRONG_BITS
    entries = np.frombuffer(b"".join(balanced(rng, PDQ_BITS) for _ in range(2_000)), dtype=np.uint8).reshape(-1, 32)
    noise = np.frombuffer(rng.randbytes(32 * (count - len(entries))), dtype=np.uint8).reshape(-1, 32)
    entries = np.concatenate([entries, noise])
    asked = np.frombuffer(
        b"".join(
            flipped(entries[rng.randrange(count)].tobytes(), rng.randint(0, 2 * radius), rng) for _ in range(questions)
        ),
        dtype=np.uint8,
    ).reshape(-1, 32)
    out = lab.folder / "sets" / "index.chs"
    out.parent.mkdir(exist_ok=True)
    build_hashset_from_arrays(out, pdq=entries, category="1", name="index")
    queries, records, distances = open_hashset(out).near("pdq", asked, radius)
    got = {(int(q), int(r)): int(d) for q, r, d in zip(queries, records, distances, strict=True)}
    plain = np.bitwise_count(asked[:, None, :] ^ entries[None, :, :]).sum(axis=2, dtype=np.int64)
    wanted = {(int(q), int(r)): int(plain[q, r]) for q, r in zip(*np.nonzero(plain <= radius), strict=True)}
    found.expect(bool(wanted), "no entry lies within the distance")
    found.same("pairs within the distance, and how far", wanted, got)
    missed = sum(pair not in got for pair in wanted)
    found.rate(f"pairs within {radius} bits of {count:,} entries", "missed", missed, len(wanted))
    false = sum(pair not in wanted for pair in got)
    found.rate("pairs beyond", "false matches", false, questions * count - len(wanted))


def films(lab: Laboratory, found: Findings) -> None:
    """A re-encoded and a cut film are met as films; another film is not."""
    reports = lab.films_scan
    outcomes, strangers = [], []
    for item in lab.made.films.planted:
        rows = [row for row in reports.matches if row["path"] == item.path]
        kinds = {row["match_kind"] for row in rows}
        if item.kind == "same film":
            outcomes.append((item.kind, "video" in kinds))
            found.expect("video" in kinds, f"the film {item.path} is not met")
        else:
            found.expect(not kinds & {"video", "exact"}, f"the film {item.path}, of other scenes, is met")
            strangers.append(bool(kinds))
    found.misses("re-encoded films, ", outcomes)
    found.rate("films of other scenes", "false matches", sum(strangers), len(strangers))
    counted = [row for row in reports.summary["counts"] if row["match_kind"] == "exact"]
    found.expect(not counted, "a film that only looks like a listed one is counted as exact")


def later(lab: Laboratory, found: Findings) -> None:
    """A stored case matched later has the matches that a scan with the set has."""
    reports = lab.matched_later()
    found.expect(reports.exit_code == 0, f"caid-triage match ended with {reports.exit_code}")
    # What a set of harmless files holds by SHA-1 or SHA-256 was not decoded where the set was there (decision 46).
    undecoded = {_place(row) for row in lab.disk_scan.files if row["decode_state"] == DecodeState.NOT_NEEDED}
    for name in ("matches", "files"):
        one, other = ([_compared(row, undecoded) for row in getattr(item, name)] for item in (lab.disk_scan, reports))
        found.same_rows(f"{name}.csv", Counter(one), Counter(other))
    found.value("files that were not decoded, being harmless", str(len(undecoded)))


def _place(row: Row) -> tuple[str, str]:
    return row["volume"], row["path"]


def _compared(row: Row, undecoded: Collection[tuple[str, str]]) -> tuple[tuple[str, str], ...]:
    """What of a row must be the same; of a file that was not decoded all but what decoding tells."""
    without = DECODING_TELLS if _place(row) in undecoded else ()
    return tuple((name, value) for name, value in row.items() if name not in without)


def no_false_exact(lab: Laboratory, found: Findings) -> None:
    """No content that no set lists is an exact match."""
    listed = {key[1] for key in _wanted_exact(lab, "sha1", "sha256", "md5")}
    unlisted = [row for row in lab.disk_scan.files if row["sha256"] not in listed]
    false = [row for row in lab.disk_scan.exact() if row["sha256"] not in listed]
    found.expect(not false, f"{len(false)} exact matches are of contents that no set lists")
    found.rate("unlisted files of the disk", "false matches", min(len(false), len(unlisted)), len(unlisted))
    strangers = lab.alike_scan.exact()
    found.expect(not strangers, "pictures match exactly in a set that has no digests")
    found.rate("pictures that only look alike, or do not", "false matches", len(strangers), len(lab.alike_scan.files))


def no_false_near(lab: Laboratory, found: Findings) -> None:
    """No different picture is a strong look-alike of a listed one; leads among them are told."""
    strangers = set(lab.made.alike.strangers)
    rows = [row for row in lab.alike_scan.matches if row["path"] in strangers]
    strong = {row["path"] for row in rows if row["algorithm"] == "pdq" and int(row["distance"]) <= STRONG_BITS}
    leads = {row["path"] for row in rows} - strong
    found.expect(not strong, f"{len(strong)} different pictures are met at the strong distance")
    entries = len(lab.made.alike.originals) + lab.made.plan.others
    found.rate("different pictures, strong", "false matches", len(strong), len(strangers))
    found.rate("different pictures, leads", "false leads", len(leads), len(strangers), judged=False)
    found.value("compared", f"{len(strangers):,} pictures with {entries:,} entries: {len(strangers) * entries:,} pairs")
    owners = {copy.path: copy.media_id for copy in lab.made.alike.copies}
    crossed = [
        row
        for row in lab.alike_scan.matches
        if row["path"] in owners and row["media_id"] != owners[row["path"]] and int(row["distance"]) <= STRONG_BITS
        and row["algorithm"] == "pdq"
    ]  # fmt: skip
    found.expect(not crossed, f"{len(crossed)} copies are met at the strong distance by another picture's hash")
    found.rate("copies, by another picture's hash", "false matches", min(len(crossed), len(owners)), len(owners))


def unconfirmed(lab: Laboratory, found: Findings) -> None:
    """A code of a scheme that nobody confirmed is printed as a code, never as a legal category."""
    rows = [row for row in lab.disk_scan.matches if row["hashset"] == "unconfirmed"]
    found.expect(bool(rows), "no match of the set of an unconfirmed scheme")
    for row in rows:
        label = row["category_label"]
        found.expect(
            "not confirmed" in label and "code 1" in label, f"a code without a confirmed scheme is printed as {label!r}"
        )
    for name, text in lab.disk_scan.comparable().items():
        plain = text.lower().replace("sample category", "")
        found.expect(not any(word in plain for word in PUBLISHED_WORDS), f"{name} prints a legal category")


def counts(lab: Laboratory, found: Findings) -> None:
    """The counts of each category are those of the truth: exact matches alone, each file once, under the gravest."""
    wanted = wanted_counts(lab)
    summary, page = lab.disk_scan.summary, parsed(lab.disk_scan.page)
    got: Counter[str] = Counter()
    for row in summary["counts"]:
        if row["match_kind"] == "exact":
            got[row["category_label"]] += row["files"]
    found.same("files of a category in summary.json", wanted, got)
    table = {row[0].strip(): row[1].replace(",", "") for row in page.tables.get("at-a-glance", [])[1:] if len(row) > 1}
    for label, files in wanted.items():
        shown = next((count for title, count in table.items() if title.startswith(label)), "nothing")
        found.expect(shown == str(files), f"report.html says {shown} files of {label!r}, not {files}")
    near_rows = [
        row for row in lab.disk_scan.matches if row["sha256"] in lab.made.disk_sets.near and row["hashset"] == "looks"
    ]
    found.expect(bool(near_rows), "the look-alikes of the disk are not met")
    for row in near_rows:
        found.expect(row["match_kind"] == "near", "a look-alike is called exact")
        found.expect(row["distance"] == "6", f"a look-alike at 6 bits is said to be at {row['distance']}")


def wanted_counts(lab: Laboratory) -> Counter[str]:
    """Files of each label by the truth: each place of a content counts, under the gravest code that lists it."""
    wanted: Counter[str] = Counter()
    for item in _occurrences(lab):
        codes = [
            ("1", "code 1 (scheme uk not confirmed)") if one.hashset == "unconfirmed" else (one.code, LABELS[one.code])
            for one in lab.made.disk_sets.listed.get(item.sha256, ())
            if one.algorithm != "contradicted"
        ]
        if codes:
            wanted[min(codes)[1]] += 1
    return wanted


def conflicts(lab: Laboratory, found: Findings) -> None:
    """Where two sets grade one content differently, both grades are kept, and the difference is told."""
    listed = {
        digest: {one.code for one in found_in}
        for digest, found_in in lab.made.disk_sets.listed.items()
        if len({one.code for one in found_in}) > 1
    }
    found.expect(bool(listed), "no conflict was planted")
    for digest, codes in listed.items():
        got = {row["category_code"] for row in lab.disk_scan.exact() if row["sha256"] == digest}
        found.expect(got == codes, f"a content that two sets grade {sorted(codes)} is listed as {sorted(got)}")
    _told(lab, found, listed, {"sets", "category"})


def known_good(lab: Laboratory, found: Findings) -> None:
    """A set of harmless files takes nothing away by MD5 alone, and what it lists is no match."""
    sets = lab.made.disk_sets
    wanted, got = _wanted_exact(lab, "sha1", "sha256", "md5"), _got_exact(lab)
    for key, count in wanted.items():
        if key[1] in sets.weakly_good:
            found.expect(got[key] == count, "a listed content is hidden by a harmless file's MD5")
    near_weak = [digest for digest in sets.near if digest in sets.weakly_good]
    for digest in near_weak:
        rows = [row for row in lab.disk_scan.matches if row["sha256"] == digest and row["hashset"] == "looks"]
        found.expect(bool(rows), "a look-alike is hidden by a harmless file's MD5")
    found.expect(bool(near_weak), "no look-alike was planted that a harmless MD5 could hide")
    harmless = [row for row in lab.disk_scan.matches if row["hashset"] == "harmless"]
    found.expect(not harmless, "files of the set of harmless files are listed as matches")
    met = sum(item.sha256 in sets.known_good | sets.weakly_good for item in _occurrences(lab))
    found.value("files that the harmless set lists", str(met))
