"""What the words and codes of a case mean to an investigator. Plain data, printed beside the figures."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from caid_triage.model import DecodeState

# Volume states in which files may exist that nobody has seen. "examined", "empty" and
# "no-files" are not among them, nor are "unwrapped" and "unlocked": the volumes in those have lines of their own.
STATUS_WORDS: Mapping[str, str] = MappingProxyType(
    {
        "not-understood": "file system not understood, no file of it was seen by its name",
        "encrypted": "encrypted, no file of it was seen",
        "possibly-encrypted": "bytes look random: possibly encrypted without a mark, nothing of it was seen",
        "unreadable": "could not be read, no file of it was seen by its name",
    }
)

# (short, in full)
DECODE_WORDS: Mapping[DecodeState, tuple[str, str]] = MappingProxyType(
    {
        DecodeState.DECODED: ("decoded", "The picture was decoded; exact and look-alike comparison were both made."),
        DecodeState.WITH_ITS_PICTURE: (
            "thumbnail of a picture",
            "A thumbnail inside a picture: compared exactly by itself, its look as one of the looks of that picture.",
        ),
        DecodeState.PARTIAL: (
            "picture damaged, decoded in part",
            "Compared exactly; a look-alike comparison of a damaged picture can miss.",
        ),
        DecodeState.REFUSED: (
            "picture refused by a safety limit",
            "Compared exactly, not by look: decoding would have taken too much memory or time.",
        ),
        DecodeState.UNDECODABLE: ("picture cannot be decoded", "Compared exactly, not by look."),
        DecodeState.NOT_MEDIA: ("not media", "Not a picture or a film by its content; compared exactly."),
        DecodeState.NOT_ATTEMPTED: (
            "media not decoded",
            "Not tried: the content could not be read, or this version does not decode its kind. "
            "Compared exactly where it could be read.",
        ),
        DecodeState.NOT_NEEDED: (
            "known to be harmless, not decoded",
            "A set of known-good files holds it by SHA-1 or SHA-256 and no notable set does: compared exactly, not by "
            "look, and nothing is told of what it says of its origin.",
        ),
    }
)

COVERAGE_WORDS: Mapping[str, str] = MappingProxyType(
    {
        "file_system": "in use by file systems that were walked",
        "unallocated": "free space of file systems: not searched for deleted files",
        "unallocated_searched": "free space of file systems, searched for deleted files",
        "slack": "behind the ends of files: not searched (in standard: the rest of the sector in which a file ends)",
        "slack_searched": "behind the ends of files, searched for files without their names",
        "not_understood": "volumes not understood: nothing of them was seen; and empty volumes (zeros alone)",
        "not_understood_searched": "volumes not understood, or that keep no files, searched for files without names",
        "encrypted": "encrypted volumes: nothing of them was seen",
        "possibly_encrypted": "look random, with no mark: possibly encrypted, nothing of it was seen",
        "unreadable": "could not be read: nothing of it was seen",
        "unpartitioned": "given to no volume (gaps, free extents of volume groups): not searched",
        "unpartitioned_searched": "given to no volume, searched for files without their names",
        "partition_table": "partition tables, tables of volumes, and reserved sectors",
        "files": "files of a folder or of a logical image",
    }
)

PROBLEMS: Mapping[str, str] = MappingProxyType(
    {
        "acquisition-errors": (
            "Parts of the disk could not be read when the image was made: what lies there was not seen."
        ),
        "acquisition-hash-absent": "The image stores no hash of its acquisition: there was nothing to verify it with.",
        "acquisition-hash-mismatch": (
            "The image is not as it was acquired: a hash stored in it differs from that of its bytes."
        ),
        "acquisition-not-verified": "A hash stored in the image could not be compared: some of it could not be read.",
        "container-not-closed": (
            "A virtual disk was not closed cleanly: its last changes may be missing from what was examined."
        ),
        "container-snapshots-not-examined": (
            "A virtual disk keeps earlier states of itself: files that are only in those were not seen."
        ),
        "canary-failed": (
            "Known good files of some kinds cannot be read by this installation: such files of the exhibit may not "
            "have been examined. A library is broken or missing a part."
        ),
        "compressed-not-read": (
            "Compressed files of an HFS+ volume could not be told from empty ones: their content was not seen."
        ),
        "cache-not-read": (
            "A logical volume was cached: it was read from behind its cache, so files changed last may be missing."
        ),
        "carved-doubtful": (
            "A picture found in free space or slack whose ends are right and whose data breaks between them: a part "
            "may be another file's."
        ),
        "carved-joined": (
            "A file found in free space or slack in pieces that lie apart and were put together: its structure fits."
        ),
        "carved-partial": "The beginning of a file found in free space or slack; its rest was not found.",
        "carving-limit": "The search of free space was cut short by a limit: files may have been missed there.",
        "content-not-recoverable": (
            "The name of a deleted file is left, its content is gone or cannot be told from another file's."
        ),
        "content-too-large": "The content is larger than the limit for decoding: compared exactly, not by look.",
        "decoder-died": "The decoder crashed on this file, three times: compared exactly, not by look.",
        "decoder-failed": "No decoder could read this picture: compared exactly, not by look.",
        "decoder-hung": "The decoder did not end in time and was stopped: compared exactly, not by look.",
        "decoder-out-of-memory": "Decoding needed more memory than allowed: compared exactly, not by look.",
        "digests-lost": "The file could not be hashed although it was tried three times: it was compared with nothing.",
        "export-differs": "A file to be written out has other content now than when examined: it was not written.",
        "export-unreadable": "A file to be written out for another tool could not be read again: it was not.",
        "file-altered": "Written to while the scan ran, or longer than it says: the hashes are of no whole file.",
        "file-changed": "The file was replaced while the scan ran: the source was in use.",
        "file-hash-mismatch": (
            "A hash that the logical image keeps of this file is not that of its content: one of the two was changed."
        ),
        "file-list-damaged": "The logical image's list of files is damaged: files may be missing or have wrong names.",
        "file-encrypted": (
            "Encrypted by its file system (EFS): the encrypted bytes were hashed, the content was not seen."
        ),
        "file-system-damaged": "A file system is damaged: files of it may not have been seen.",
        "file-system-not-understood": (
            "The volume carries a file system this version cannot read: no file of it was seen by its name."
        ),
        "file-without-name": (
            "Files in use that no folder names (any more) were found by their records and examined; they are listed as "
            "orphans."
        ),
        "in-use-without-name": (
            "No folder names this file, and its file system has it in use: it is listed as an orphan and is not "
            "deleted."
        ),
        "file-unreadable": "The file could not be opened or read: it was compared with nothing.",
        "first-frame-only": "The file holds several pictures or pages; only the first was compared by look.",
        "flat-picture": "The picture is blank or nearly so: it has no look to compare by pHash.",
        "folder-not-recoverable": (
            "A deleted folder's list of names is gone: files that were in it are found as orphans, if at all."
        ),
        "folder-seen-before": "A folder leads back to one already listed; its files are listed once.",
        "folder-too-deep": "Folders nested beyond the limit were not followed: files in them were not seen.",
        "folder-unreadable": "A folder could not be listed: files in it were not seen.",
        "former-name": "An earlier name of a file that still exists under another; the file is listed there.",
        "free-space-unknown": (
            "It could not be told which space of the volume, or of the parts that the detail names, is free: it was "
            "not searched for deleted files."
        ),
        "frames-cut": "A long animation: frames were taken from its first part only, and compared by look.",
        "image-damaged": "Parts of the image file are damaged: what they hold or describe could not be read.",
        "image-not-checked": "The tables of the E01 image could not be checked: damaged parts may read as zeros.",
        "image-truncated": "The volume or file system is larger than the image: the image is incomplete.",
        "inside-budget": (
            "What lies inside a file takes more files or bytes than are allowed: the rest of it was not examined."
        ),
        "inside-cut": (
            "A file inside another could not be unpacked to its end: what could be read was hashed and compared."
        ),
        "inside-damaged": "An archive or document is damaged: files inside it may not have been seen.",
        "inside-encrypted": (
            "What lies inside needs a password: names are listed where they can be read, no content was examined."
        ),
        "inside-freed": (
            "A file from free pages of a database, whose row is deleted or was moved: it was put together by its chain."
        ),
        "inside-name-cut": "The name of a file inside another is very long: its first 4,096 bytes are shown.",
        "inside-no-reader": "A library that opens this kind of container is not installed: nothing inside it was seen.",
        "inside-no-samples": (
            "The file beside a thumbnail cache, which holds its pictures, is missing or cannot be read: none of them "
            "was seen."
        ),
        "inside-not-finished": "A container could not be read to its end: files inside it may not have been seen.",
        "inside-other-size": (
            "The container states another size for a file than it has; the whole content was examined."
        ),
        "inside-rebuilt": (
            "A picture lies in a document or cache as samples; it was put together to be compared by look alone."
        ),
        "inside-too-deep": (
            "Containers inside each other beyond the limit were not opened: files in them were not seen."
        ),
        "inside-too-large": "A container is too large to be looked into where it lies: files inside it were not seen.",
        "inside-unknown-version": "A container of a version that is not known here: nothing inside it was seen.",
        "inside-unlisted": (
            "A file that lies in an archive whose own list does not name it: removed from it, or hidden."
        ),
        "inside-unreadable": "A file inside another could not be unpacked: it was compared with nothing.",
        "larger-than-volume": "The file claims to be larger than its volume, mostly as a hole: compared with nothing.",
        "layer-damaged": (
            "The description of the logical volumes is damaged: they could not be put together, no file of them "
            "was seen by its name."
        ),
        "link-not-followed": "A link to another place; what it points to is examined only where it lies itself.",
        "metadata-unreadable": (
            "Records of the file system could not be read: the file they describe was not examined in full."
        ),
        "mount-crossed": "Another file system is mounted inside the folder: its files are listed with the folder's.",
        "near-common": (
            "A film and listed videos have only frames in common that many listed videos have (a title, a logo): not "
            "proposed."
        ),
        "near-flood": (
            "The picture looks like more listed items than can mean anything (a flat or common picture): the "
            "nearest few are listed, the rest are counted."
        ),
        "near-not-this": (
            "Look-alikes that are not proposed: the picture is nearer to one that is known not to be the listed item."
        ),
        "no-decoder": "This version has no decoder for the format: compared exactly, not by look.",
        "no-file-system": (
            "The volume is of a kind that keeps no files (such as swap): standard and full search its bytes."
        ),
        "no-random-access": "The file can only be read from its beginning: a film in it was not compared by look.",
        "no-volume": "The partition table names no partition that could be opened.",
        "not-a-name": "Free places of a folder that only look like a deleted name; counted, not listed as files.",
        "not-acquired": "Parts of the disk were left out when the image was made: what lies there was not seen.",
        "not-readable": "The entry has no content that could be read.",
        "overwritten": (
            "A deleted file whose place, or a part of it, belongs to another file now: its content is gone."
        ),
        "partial-decode": "The picture is damaged and was decoded in part: a comparison by look may miss.",
        "parser-died": (
            "The process that reads the evidence died here, again and again: the file, folder, volume or part of free "
            "space was left out."
        ),
        "parser-gave-up": (
            "The process that reads the evidence died too often: the rest of the source was not examined."
        ),
        "parser-hung": (
            "The process that reads the evidence did not come to an end here and was stopped: the file, folder, volume "
            "or part of free space was left out."
        ),
        "partition-table-damaged": "The partition table is damaged: partitions may not have been seen.",
        "partition-table-ignored": (
            "A file system covers the whole disk; a partition table in its first sector was not used."
        ),
        "plugin-failed": "A plug-in could not hash this picture: it was not compared by that hash.",
        "possibly-encrypted": (
            "The bytes look random from first to last and carry no mark: perhaps encrypted (VeraCrypt), perhaps "
            "wiped, perhaps one large archive. Nothing of them was seen."
        ),
        "preview-hashed": (
            "The preview that is stored in the file was compared by look, as every program shows it; not its raw data."
        ),
        "pseudo-stream": "A part of the file system without content of its own; it was not hashed.",
        "raid-member": (
            "One member of a Linux RAID array. A mirror was examined alone (note); of other levels no file can "
            "be seen by its name without all members (problem)."
        ),
        "raw-developed": (
            "The picture was developed from a camera's raw data to compare it by look: another program develops it "
            "otherwise."
        ),
        "read-failed": (
            "The content could not be read to its end: the file was not hashed and was compared with nothing."
        ),
        "reallocated": (
            "A deleted name whose record belongs to another file now: that file's content is never taken for it."
        ),
        "volume-unaccounted": (
            "The file system has more in use than could be listed: the detail says how much; files may be missing."
        ),
        "scans-cut": "A picture with an excessive number of passes was decoded from the first of them only.",
        "shadow-copies-unreadable": (
            "Shadow copies of the volume could not be read: files that only they hold were not seen."
        ),
        "short-read": "Less content could be read than the file system promises: the file was not hashed as a whole.",
        "snapshots-not-examined": (
            "The APFS volume keeps snapshots that could not be read: files that only they hold were not seen."
        ),
        "source-not-opened": "The source could not be opened; nothing of it was examined.",
        "source-unreadable": "A part of the source could not be read.",
        "special-files": "A device, pipe or socket: it has no content of its own.",
        "stopped-early": (
            "The scan was stopped early: what it says how much of was not examined; the same scan, run again, goes on."
        ),
        "thumbnail-differs": (
            "The small picture inside the file (its thumbnail) does not look like the picture itself: it may show what "
            "was there before a change."
        ),
        "too-many-layers": (
            "Volumes lie in each other deeper than the limit, or are more than the limit: the rest was not opened."
        ),
        "too-many-pixels": "The picture claims more pixels than the limit: compared exactly, not by look.",
        "too-small": "The picture is too small for a PDQ hash: compared exactly.",
        "unchanged-since-snapshot": (
            "Files of a shadow copy or snapshot that the living volume still has unchanged: they are listed there and "
            "not again."
        ),
        "undecodable": "No decoder can open this picture: compared exactly, not by look.",
        "unit-not-reached": (
            "The unit's memory of other cases could not be used at the end of the scan, or the case was changed from "
            "outside the program: the case was not looked up in it."
        ),
        "video-damaged": (
            "The film is damaged or cut: the frames that could be decoded are compared by look, others may be missed."
        ),
        "video-frames-limited": (
            "Looking at the whole film would cost more than is allowed: a part of it was compared by look."
        ),
        "video-frames-not-hashed": ("The decoder for films (PyAV) could not be loaded: compared exactly, not by look."),
        "video-no-pictures": "A film's container that holds sound only: compared exactly.",
        "video-not-read": (
            "The film could not be read a second time for its frames: compared exactly, at most in part by look."
        ),
        "video-streams-not-examined": (
            "The file holds more streams of pictures than are examined: those beyond the limit were not seen."
        ),
        "video-undecodable": "No frame of the film could be decoded: compared exactly, not by look.",
        "volume-empty": "The volume holds nothing but zeros.",
        "volume-encrypted": "The volume is encrypted: no file of it was seen. It must be unlocked and scanned again.",
        "volume-group-beside": "A volume group lies on several volumes of this disk: what is on them was put together.",
        "volume-group-spread": (
            "A volume group has physical volumes that are not on this disk: what lies there was not seen."
        ),
        "volume-incomplete": (
            "A logical volume has parts that are not on this disk, or of a kind that cannot be put together: files in "
            "those parts were not seen."
        ),
        "volume-unlocked": (
            "The volume is encrypted and was unlocked, with a given secret or because its key lay open; what is "
            "in it was examined."
        ),
        "volume-unreadable": "The start of the volume could not be read: no file of it was seen by its name.",
        "workers-less-confined": (
            "What reads the suspect's files is held to less on this machine than it can be elsewhere: a file made to "
            "take it over could do more. No result depends on it."
        ),
    }
)


def meaning(code: str) -> str:
    """What a problem code means, or "" for a code that this version has no words for (a plug-in's)."""
    return PROBLEMS.get(code, "")
