"""The requirements of a validation, in the order of the pipeline: an explicit list, as FSR-G-218 wants to read it.

An identifier is never given to another requirement; one that goes leaves its number unused.
"""

from __future__ import annotations

from caid_triage.errors import UsageError
from caid_triage.validate import check_finding, check_hashing, check_keeping, check_matching
from caid_triage.validate.requirement import Requirement

OPENING, FINDING, HASHING, MATCHING = "Opening and reading", "Finding", "Hashing", "Matching"
FALSE, CATEGORIES, KEEPING = "False matches", "Categories", "Conservation"
DAMAGE, DURABILITY, REPORTS, REPEATING = "Damage", "Durability", "Reports", "Repeatability"

_MADE = "File systems written by this tool's own writers (caid_triage/synth), not by an operating system."
_DRAWN = "Drawings, not photographs: figures for photographs are in docs/formats/perceptual-hashes.md."

REQUIREMENTS: tuple[Requirement, ...] = (
    Requirement(
        "REQ-01", OPENING,
        "A disk image gives the bytes of the disk, whatever container it is in.",
        "SHA-256 of all bytes read from the raw image, the E01 in two segments and the split raw image is that of "
        "the disk as generated, and files.csv lists the same files, contents and hashes for each.",
        "The disk is written as raw, E01 and split raw; each is read from end to end, and scanned.",
        "Of the containers that can be read, raw, split raw and E01 are tried here; the others by the test suite.",
        check_finding.containers,
    ),
    Requirement(
        "REQ-02", OPENING,
        "An image that is not as it was acquired is told from one that is.",
        "`verify` ends with 0 for the E01 as written and 7 for one of which a bit was changed; the scan of that "
        "one, and of no other, reports acquisition-hash-mismatch.",
        "An E01 is written of a disk with one bit changed, with the hashes of the disk before the change.",
        "Shows changes, not who made them: whoever can write the image can write new hashes into it.",
        check_finding.acquisition,
    ),
    Requirement(
        "REQ-04", FINDING,
        "Every living file is found with its whole content, on every file system that is tried.",
        "Each planted file has exactly one row in files.csv: volume, path, state `allocated` and SHA-256 as "
        "planted. No miss.",
        "NTFS, FAT12, FAT16, FAT32, exFAT, ext2 and ISO 9660 with files in one and in several pieces, empty, in "
        "deep folders, with wrong extensions and names in other scripts.",
        f"{_MADE} APFS, HFS+, XFS, ext4, encrypted and logical volumes are tried by the test suite, not here.",
        check_finding.live,
    ),
    Requirement(
        "REQ-05", FINDING,
        "Every deleted file that was not overwritten is found with its whole content.",
        "Each planted deleted file has exactly one row: volume, path, state `deleted` and SHA-256 as planted. No "
        "miss.",
        "Files deleted as the file system's driver deletes them, alone and with their folder.",
        f"{_MADE} ext3 and ext4 wipe the way to deleted content: there only carving can find it. Deleted files in "
        "pieces are not tried: FAT and exFAT keep no chain of them.",
        check_finding.deleted,
    ),
    Requirement(
        "REQ-06", FINDING,
        "Files whose folder is forgotten are found.",
        "Each has exactly one row with the state `orphan` and its SHA-256. No miss.",
        "A deleted folder of FAT16 whose entry no longer says where it lay.",
        "FAT16 alone.",
        check_finding.orphans,
    ),
    Requirement(
        "REQ-07", FINDING,
        "Pictures that no file system names are found in free space.",
        "Each picture in one piece has exactly one row with the state `carved`, its SHA-256 and the offset at "
        "which it lies. No miss.",
        "PNG and JPEG in free clusters of NTFS, FAT16, exFAT and ext2, and between partitions. Profile standard.",
        "In one piece and on the start of a sector. PNGs in two pieces are measured and not judged: the profile "
        "standard puts pieces together within a small effort only. Kinds other than PNG and JPEG: "
        "docs/formats/carving.md.",
        check_finding.carved,
    ),
    Requirement(
        "REQ-08", FINDING,
        "Pictures behind the ends of living files are found.",
        "Each has exactly one row with the state `slack`, its SHA-256 and offset. No miss.",
        "A small PNG in the last cluster of a file of NTFS, FAT16, exFAT and ext2.",
        "From the next sector on: what lies in the rest of a file's last sector is not searched in the profile "
        "standard.",
        check_finding.slack,
    ),
    Requirement(
        "REQ-09", FINDING,
        "Pictures inside other files are found.",
        "Each has exactly one row with the state `embedded`, under its container's path, and its SHA-256. No miss.",
        "ZIP, ZIP in ZIP, an office document, tar.gz, e-mail, SQLite, PDF, and the thumbnail of a JPEG.",
        "One of each. What else is opened: docs/formats/inside.md.",
        check_finding.inside,
    ),
    Requirement(
        "REQ-10", FINDING,
        "Names are kept, and content says what a file is.",
        "Alternate data streams, both names of a hard link, files in deleted folders, files in pieces, empty "
        "files and names in other scripts each have their row and content; a picture called .txt is a picture, a "
        "text called .jpg is none.",
        "Planted on NTFS, FAT16, exFAT and ext2.",
        _MADE,
        check_finding.names,
    ),
    Requirement(
        "REQ-11", HASHING,
        "MD5, SHA-1 and SHA-256 are right.",
        "Every digest in files.csv is that of the content as planted, and of the contents whose digests RFC 1321 "
        "and FIPS 180 publish, the published one. No difference.",
        "All planted files that are found by name, and the published examples.",
        "Contents up to 1 MB.",
        check_hashing.digests,
    ),
    Requirement(
        "REQ-12", HASHING,
        "PDQ and its quality are those of the reference implementation.",
        "PDQ (256 bits) and quality in files.csv equal the frozen answers of pdqhash (Meta's C++) for the same "
        "pixels; so do those of the plain calculation by which other requirements measure distances. No bit "
        "differs.",
        "24 drawings in colour and grey and of eight shapes, stored without loss.",
        f"{_DRAWN} JPEGs are hashed from their grey, reduced where large: up to 8 bits from the reference's full "
        "decode.",
        check_hashing.pdq,
    ),
    Requirement(
        "REQ-13", HASHING,
        "pHash is that of imagehash.",
        "pHash (64 bits) in files.csv equals the frozen answers of imagehash for the same pixels. No bit differs.",
        "The same drawings.",
        _DRAWN,
        check_hashing.phash,
    ),
    Requirement(
        "REQ-14", MATCHING,
        "Every listed content is met by its digest, wherever it lies.",
        "For each planted place of each content that a set lists by SHA-1 or SHA-256 there is exactly one exact "
        "match, with that set, state, strongest digest and code. No miss.",
        "Sets in VICS JSON and CSV list contents that live, are deleted, carved, in slack or embedded.",
        "As many contents as the disk has.",
        check_matching.exact,
    ),
    Requirement(
        "REQ-15", MATCHING,
        "A match by MD5 alone is found, and is called that.",
        "Each content that is listed by MD5 only is met, its algorithm is `md5`, and report.html says MD5 only.",
        "Entries without any other digest.",
        "MD5 can be made to collide; such a match needs a second look.",
        check_matching.by_md5,
    ),
    Requirement(
        "REQ-16", MATCHING,
        "A stronger digest that contradicts a weaker one is believed.",
        "A file whose MD5 is that of an entry and whose SHA-1 is not is no match and in no count, and is named "
        "among the contradictions.",
        "Entries with the MD5 of a planted content and another SHA-1.",
        "No real collision is made.",
        check_matching.contradicted,
    ),
    Requirement(
        "REQ-17", MATCHING,
        "Copies that look like a listed picture are found, up to the strong distance.",
        "Every edited copy whose PDQ, by the plain calculation, is within 31 bits of the listed one (with a "
        "quality of at least 50) is met by PDQ at the strong distance; a distance that is told for the stored "
        "pixels is the one calculated. No miss.",
        "Listed drawings, edited in 19 ways; copies stored without loss are compared bit by bit, JPEGs within 8 "
        "bits.",
        f"{_DRAWN} Copies farther away are measured, by distance and by edit, and not judged: they may be missed.",
        check_matching.near,
    ),
    Requirement(
        "REQ-18", MATCHING,
        "The distance limit is exact.",
        "Of hashes at every distance from 0 to all bits exactly those at 0 to 31 (PDQ) and 0 to 8 (pHash) are "
        "met, each at its distance, none beyond.",
        "Three pictures; a set with 257 PDQ and one with 65 pHash values each, made by turning over exactly so "
        "many bits.",
        "Without leads (--leads off), which reach farther and are told apart.",
        check_matching.limits,
    ),
    Requirement(
        "REQ-19", MATCHING,
        "The index of a large set finds what comparing everything finds.",
        "The pairs within 31 bits, and their distances, are those of a plain comparison of all. None missed, none "
        "more.",
        "40,000 random hashes and 60 questions at 0 to 62 bits from one of them.",
        "Sets of this size; larger ones by the test suite and benchmarks.",
        check_matching.index,
    ),
    Requirement(
        "REQ-20", MATCHING,
        "A listed film is found when it was encoded again or cut.",
        "The re-encoded film and the one that lacks its beginning are met as films, one of other scenes is not, "
        "and none of them is in an exact count.",
        "Short films of still scenes (MJPEG), one of them made into a set by `hashset make`.",
        "Three films; other codecs and edits: docs/formats/videos.md. The set is made by this tool's own hashing.",
        check_matching.films,
    ),
    Requirement(
        "REQ-21", MATCHING,
        "A new set gives the same matches without the exhibit.",
        "A case scanned without sets and then matched by `caid-triage match` has the rows of matches.csv and "
        "files.csv that a scan with the sets has; of files that the scan did not decode, as a set of harmless files "
        "holds them by SHA-1 or SHA-256, all but what decoding tells.",
        "The disk and all its sets.",
        "One release of sets; what changes between releases: docs/guide/new-release.md.",
        check_matching.later,
    ),
    Requirement(
        "REQ-22", FALSE,
        "Nothing that is not listed is an exact match.",
        "No exact match of a content that no set lists.",
        "All files of the disk that are in no set, and all pictures of the folder whose set has no digests.",
        "A false exact match would need a collision or a fault of the tool; the rate is of faults.",
        check_matching.no_false_exact,
    ),
    Requirement(
        "REQ-23", FALSE,
        "Different pictures are not taken for listed ones at the strong distance.",
        "No picture that is in no set is met by PDQ within 31 bits, and no copy by another picture's hash.",
        "Different drawings against the listed ones and random hashes. More pictures make the bound tighter "
        "(--pictures).",
        f"{_DRAWN} Pictures of one scene or one template lie nearer than chance; what chance makes at each "
        "distance was measured on photographs (docs/formats/hashsets.md).",
        check_matching.no_false_near,
    ),
    Requirement(
        "REQ-24", CATEGORIES,
        "No legal category is printed from a scheme that nobody confirmed.",
        "A code of an unconfirmed scheme is printed as a code that is not confirmed; no report prints Category A, "
        "B or C.",
        "A VICS file of the UK region, built without a scheme.",
        "The words Category A, B and C are looked for; the wording of other labels is that of the scheme itself.",
        check_matching.unconfirmed,
    ),
    Requirement(
        "REQ-25", CATEGORIES,
        "Counts are of exact matches alone, and right.",
        "For each label the number of files in summary.json and on the page is the truth's: each place of each "
        "listed content once, under the gravest code. Look-alikes are in none.",
        "The disk, with look-alikes at 6 bits from a listed hash.",
        "The scheme of the samples; a unit's own scheme must be checked by the unit.",
        check_matching.counts,
    ),
    Requirement(
        "REQ-26", CATEGORIES,
        "Two grades of one content are both kept.",
        "Both rows are in matches.csv, and the file is among the contradictions.",
        "Contents to which two sets give different codes.",
        "Two sets; conflicts between sets and examiners: the test suite.",
        check_matching.conflicts,
    ),
    Requirement(
        "REQ-27", CATEGORIES,
        "A harmless file's MD5 hides nothing.",
        "A listed content, and a look-alike, are met although a set of harmless files lists their MD5; what that "
        "set lists is no match.",
        "A known-good set with SHA-256 of harmless contents and bare MD5s of a listed content and a look-alike.",
        "The set of harmless files must itself be right: what it lists by SHA-1 or SHA-256 is not compared by look.",
        check_matching.known_good,
    ),
    Requirement(
        "REQ-28", KEEPING,
        "No file is lost on the way.",
        "Walked = examined = stored = rows of files.csv for every scan; every planted file with a name has a row, "
        "no living file two.",
        "The disk, its copies, the other volumes, the damaged exhibits.",
        "Shows that no row is lost, not that no file was overlooked: that is REQ-04 to REQ-10.",
        check_keeping.files,
    ),
    Requirement(
        "REQ-29", KEEPING,
        "Every byte of a source is accounted for.",
        "The lines of ledger.csv follow each other without gap or overlap from 0 to the size of the source, and "
        "the bytes by kind sum up to it.",
        "The disk, the other disk and the disc.",
        "Shows that bytes are counted, not that each was examined: the kinds say which were not.",
        check_keeping.ranges,
    ),
    Requirement(
        "REQ-30", DAMAGE,
        "A damaged file is named, hashed, and harms no other.",
        "Each has its row with the right SHA-256 and a problem by a code that fits; whole files among them have "
        "no problem; the exit code says that not everything was examined.",
        "Cut and noisy pictures, a cut film, a picture that claims 10^10 pixels, locked, cut and nested archives.",
        "One of each; hostile files by the thousand are tried by the test suite.",
        check_keeping.damage,
    ),
    Requirement(
        "REQ-31", DAMAGE,
        "What could not be read as a whole is named for what it is.",
        "The encrypted volume, the one of an unknown file system and the one that looks random are each reported "
        "by their code, and the E01 that was cut as damaged or not opened.",
        "Volumes with the mark of LUKS, the mark of Btrfs, and random bytes; an E01 of half its length.",
        "Marks only: no volume is really encrypted. Unlocking is tried by the test suite.",
        check_keeping.volumes,
    ),
    Requirement(
        "REQ-32", DURABILITY,
        "A worker that is killed costs nothing.",
        "The reports are those of an undisturbed scan, byte for byte but for the times of the run.",
        "Worker processes are killed from outside during a scan of the disk.",
        "Linux only. Killing the whole command at random moments: the test suite.",
        check_keeping.killed,
    ),
    Requirement(
        "REQ-33", DURABILITY,
        "A scan that was interrupted and run again is whole.",
        "The reports are those of an undisturbed scan, byte for byte but for the times of the run.",
        "A scan of the disk is interrupted in its middle and run again.",
        "One moment of interruption; many, and power-like losses: the test suite.",
        check_keeping.resumed,
    ),
    Requirement(
        "REQ-34", REPORTS,
        "The reports agree with each other.",
        "Every match is of a file in files.csv with the same size and digests; counts in summary.json can be had "
        "again from matches.csv and problems.csv; every exact match is in vics.json.",
        "The reports of the disk, read by Python's own CSV, JSON and HTML readers.",
        "That reports agree does not make them true: that is REQ-04 to REQ-27.",
        check_keeping.agree,
    ),
    Requirement(
        "REQ-35", REPORTS,
        "A change of a report, of the audit trail or of the database is found.",
        "`verify` ends with 0 for the case as written and with 7 after one bit of matches.csv, report.html, "
        "audit.jsonl or case.db was changed.",
        "Copies of the case of the disk.",
        "One bit in each of four files; every byte, rows changed by SQL and signatures: the test suite. Who can write "
        "to the case and run this program can make another that verifies: docs/guide/verifying.md.",
        check_keeping.sealed,
    ),
    Requirement(
        "REQ-36", REPORTS,
        "Names made to do harm stay names.",
        "Each is whole, and once, in files.csv and matches.csv; report.html has no element that runs, loads or "
        "embeds, no handler, and a policy that forbids them.",
        "Files on ext2 named like formulas, markup, SQL, with quotes, a line break and reversed reading order.",
        "A spreadsheet that opens a CSV without asking may read a name as a formula: docs/formats/reports.md.",
        check_keeping.hostile_names,
    ),
    Requirement(
        "REQ-37", REPEATING,
        "The same evidence gives the same reports, however many workers there are.",
        "All reports are the same, byte for byte but for the times of the run, with another number of workers and "
        "with none (serial).",
        "The disk is scanned again, twice.",
        "On one machine. Compare the exhibits' SHA-256 and the results between machines with the same --seed.",
        check_keeping.workers,
    ),
    # Last, since it is about all that was done before.
    Requirement(
        "REQ-03", OPENING,
        "Evidence is only ever read.",
        "Size, time of change and SHA-256 of every file of every exhibit are after all scans what they were "
        "before, and no file was written beside them.",
        "All exhibits that were scanned in this run.",
        "The time of access is the operating system's matter; work on copies or behind a write blocker all the same.",
        check_finding.read_only,
    ),
)  # fmt: skip


def chosen(identifiers: tuple[str, ...]) -> tuple[Requirement, ...]:
    """The requirements of these identifiers (all for none), in the order of the catalogue; UsageError for a "
    "wrong one."""
    known = {one.identifier: one for one in REQUIREMENTS}
    wanted = [part.strip().upper() for text in identifiers for part in text.split(",") if part.strip()]
    wrong = [name for name in wanted if name not in known]
    if wrong:
        raise UsageError(f"no requirement is called {', '.join(wrong)}; there are REQ-01 to {max(known)}")
    return tuple(one for one in REQUIREMENTS if not wanted or one.identifier in wanted)
