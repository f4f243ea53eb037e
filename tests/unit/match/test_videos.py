"""Films found by their frames: edits of one clip, parts, intros, stills; and a set made of graded videos."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from support import clips
from unit.match.test_match import flipped

from caid_triage.examine.examine import examine_file
from caid_triage.hashset.build import build_hashset
from caid_triage.hashset.make import make_hashset
from caid_triage.hashset.store import HashSet, open_hashset
from caid_triage.match.film_parts import best_part, strip
from caid_triage.match.looks import ORIENTATIONS
from caid_triage.match.match import match_batch
from caid_triage.match.options import MatchOptions
from caid_triage.match.turns import turned_hashes
from caid_triage.model import Examination, FileEntry, Kind, Match, MatchKind, PerceptualHash, ScanRecord, State

RNG = np.random.default_rng(23)


def record(examination: Examination) -> ScanRecord:
    return ScanRecord(FileEntry("A/1", "image", "p1", 0, "/x", b"/x", State.ALLOCATED, 1), examination)


def film(values: list[bytes], quality: int = 100) -> ScanRecord:
    frames = tuple(PerceptualHash("pdq", value, quality, float(place)) for place, value in enumerate(values))
    return record(Examination(None, 1, Kind.VIDEO, "video/mp4", hashes=frames))


def pictures(count: int) -> list[bytes]:
    return [RNG.bytes(32) for _ in range(count)]


def listed(folder: Path, videos: dict[str, list[bytes]], stills: tuple[bytes, ...] = (), **options: Any) -> HashSet:
    """A set of vPDQ texts, a file a video, one frame each two seconds."""
    folder.mkdir(exist_ok=True)
    for name, values in videos.items():
        text = "".join(f"{place},100,{value.hex()},{2 * place}\n" for place, value in enumerate(values))
        (folder / f"{name}.txt").write_text(text)
    if stills:
        (folder / "stills.txt").write_text("".join(f"{value.hex()},100\n" for value in stills))
    build_hashset(sorted(folder.glob("*.txt")), folder / "set.chs", **options)
    return open_hashset(folder / "set.chs")


def found(records: list[ScanRecord], *sets: HashSet, **options: Any) -> list[tuple[Match, ...]]:
    return match_batch(records, sets, MatchOptions(**options)).matches


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> HashSet:
    """Two graded films and a picture, as `hashset make` hashes them."""
    folder = tmp_path_factory.mktemp("graded")
    for name, seed in (("1/a.mp4", 1), ("2/b.mp4", 2)):
        (folder / name).parent.mkdir()
        (folder / name).write_bytes(clips.clip(seed, seconds=8))
    make_hashset(folder, folder / "made.chs", examine_file)
    return open_hashset(folder / "made.chs")


def test_a_set_made_of_videos_keeps_their_frames_with_their_times(made: HashSet) -> None:
    videos = made.videos
    assert made.counts["records"] == len(videos.videos) == 2
    assert np.diff(videos.start).tolist() == [8, 8]
    assert videos.numbers[:8].tolist() == list(range(8))
    assert videos.times[:8].tolist() == [1000 * second for second in range(8)]
    assert made.records.media_ids(videos.videos) == ["1", "2"]
    assert "pdq" in made.counts
    assert made.manifest["ignored"] == {}


EDITS = {
    "other encoding": dict[str, Any](container="webm", codec="libvpx"),
    "grey": {"edit": clips.grey, "container": "avi", "codec": "mpeg4"},
    "sepia with a logo": {"edit": lambda picture: clips.with_logo(clips.sepia(picture))},
    "mirrored": {"edit": lambda picture: np.ascontiguousarray(picture[:, ::-1])},
    "upside down": {"edit": lambda picture: np.ascontiguousarray(picture[::-1])},
}


@pytest.mark.parametrize("edit", EDITS)
def test_an_edited_copy_is_found_and_another_film_is_not(tmp_path: Path, made: HashSet, edit: str) -> None:
    (tmp_path / "copy").write_bytes(clips.clip(1, seconds=8, **EDITS[edit]))
    (tmp_path / "other").write_bytes(clips.clip(3, seconds=8, **EDITS[edit]))
    copy, other = (record(examine_file(tmp_path / name)) for name in ("copy", "other"))
    ((match,), nothing) = found([copy, other], made)
    assert (match.match_kind, match.algorithm, match.threshold) == (MatchKind.VIDEO, "vpdq", 31)
    assert (match.media_id, match.category.code, match.look) == ("1", "1", "")
    assert match.orientation == (edit if edit in ORIENTATIONS else "")
    assert match.agreement is not None
    assert (match.agreement.met, match.agreement.listed_met) == (8, 8)
    assert nothing == ()


def test_the_same_file_is_an_exact_match_and_nothing_else(tmp_path: Path, made: HashSet) -> None:
    (tmp_path / "copy").write_bytes(clips.clip(1, seconds=8))
    ((match,),) = found([record(examine_file(tmp_path / "copy"))], made)
    assert match.match_kind is MatchKind.EXACT


def test_a_clip_in_a_compilation_is_found_where_it_is(tmp_path: Path) -> None:
    clip = pictures(4)
    hashset = listed(tmp_path, {"a": clip, "b": pictures(9)})
    before, after = pictures(30), pictures(20)
    ((match,),) = found([film([*before, *(flipped(value, 9) for value in clip), *after])], hashset)
    assert match.media_id == "a.txt"
    assert match.distance == 9
    assert match.agreement is not None
    assert (match.agreement.frames, match.agreement.met) == (54, 4)
    assert (match.agreement.listed_frames, match.agreement.listed_met) == (4, 4)
    assert (match.agreement.first_s, match.agreement.last_s) == (30.0, 33.0)
    assert (match.agreement.listed_first_s, match.agreement.listed_last_s) == (0.0, 6.0)
    assert [cell for cell in match.agreement.strip if cell[1]] == [(30.0 + place, 100) for place in range(4)]


def test_a_part_of_both_is_found_when_it_shows_enough(tmp_path: Path) -> None:
    part = pictures(5)
    hashset = listed(tmp_path, {"a": [*pictures(20), *part]})
    assert [len(matches) for matches in found([film([*part, *pictures(20)])], hashset)] == [1]
    assert found([film([*part[:4], *pictures(20)])], hashset) == [()]
    # The same picture over and over is one look.
    assert found([film([part[0]] * 9 + pictures(20))], hashset) == [()]


def test_one_title_picture_makes_no_match_and_a_short_clip_does(tmp_path: Path) -> None:
    clip = pictures(2)
    hashset = listed(tmp_path, {"a": clip, "b": [*pictures(30), clip[0]]})
    (title, short) = found([film([clip[0]] * 3 + pictures(8)), film(clip)], hashset)
    assert title == ()
    assert [match.media_id for match in short] == ["a.txt"]


def test_flat_and_poor_frames_are_not_compared(tmp_path: Path) -> None:
    clip = pictures(3)
    hashset = listed(tmp_path, {"a": [*clip, bytes(32), bytes(32)]})
    ((match,),) = found([film([bytes(32)] * 20 + clip)], hashset)
    assert match.agreement is not None
    assert (match.agreement.frames, match.agreement.listed_frames) == (3, 3)
    assert found([film(clip, quality=49)], hashset) == [()]
    assert len(found([film(clip, quality=49)], hashset, pdq_min_quality=49)[0]) == 1


def test_frames_that_many_videos_have_weigh_nothing_and_that_is_said(tmp_path: Path) -> None:
    intro, clip = pictures(6), pictures(6)
    videos = {f"v{number}": [*intro, *pictures(3)] for number in range(8)}
    hashset = listed(tmp_path, {**videos, "intro": intro, "clip": [*intro, *clip]})
    outcome = match_batch([film([*intro, *clip])], [hashset], MatchOptions(video_common=7))
    ((match,),) = outcome.matches
    assert match.media_id == "clip.txt"
    assert match.agreement is not None
    assert (match.agreement.frames, match.agreement.listed_frames) == (6, 6)
    ((note,),) = outcome.withheld
    assert (note.reason, note.algorithm, note.count) == ("common", "vpdq", 9)


def test_many_copies_of_one_film_in_a_set_do_not_hide_it(tmp_path: Path) -> None:
    clip = pictures(6)
    hashset = listed(tmp_path, {f"v{number}": [flipped(value, number) for value in clip] for number in range(12)})
    assert len(found([film(clip)], hashset, video_common=2)[0]) == 12
    outcome = match_batch([film(clip)], [hashset], MatchOptions(flood_limit=10, flood_kept=3))
    assert [match.distance for match in outcome.matches[0]] == [0, 1, 2]
    assert [(note.reason, note.count, note.kept) for note in outcome.withheld[0]] == [("flood", 9, 3)]


def test_a_film_known_to_be_harmless_withholds_what_is_farther(tmp_path: Path) -> None:
    clip = pictures(6)
    notable = listed(tmp_path / "a", {"a": [flipped(value, 12) for value in clip]}, name="a")
    not_this = listed(tmp_path / "b", {"b": clip}, name="b", role="not-this")
    assert len(found([film(clip)], notable)[0]) == 1
    outcome = match_batch([film(clip)], [notable, not_this], MatchOptions())
    assert outcome.matches == [()]
    assert [(note.reason, note.by, note.nearest) for note in outcome.withheld[0]] == [("not-this", "b", 12)]


def test_a_known_still_is_found_in_a_film_and_a_film_still_in_a_set_of_videos(tmp_path: Path) -> None:
    still, clip = RNG.bytes(32), pictures(9)
    hashset = listed(tmp_path, {"a": clip}, stills=(still, RNG.bytes(32)))
    mirrored = turned_hashes(np.frombuffer(still, dtype=np.uint8)[None])[0, ORIENTATIONS.index("mirrored") - 1]
    values = [*pictures(5), flipped(still, 20), flipped(still, 4), mirrored.tobytes(), *clip[:1]]
    ((match,),) = found([film([*values[:7], *pictures(30)])], hashset)
    assert (match.match_kind, match.look, match.distance, match.orientation) == (
        MatchKind.NEAR,
        "frame at 6.0 s",
        4,
        "",
    )
    ((match,),) = found([film([*values[:5], values[7], *clip[:1], *pictures(30)])], hashset)
    assert (match.look, match.distance, match.orientation) == ("frame at 5.0 s", 0, "mirrored")
    picture = replace(film([]).examination, kind=Kind.IMAGE, hashes=(PerceptualHash("pdq", clip[3], 100),))
    ((match,),) = found([record(picture)], hashset)
    assert (match.match_kind, match.media_id) == (MatchKind.NEAR, "a.txt")


def test_a_harmless_frame_hides_its_own_look_and_no_other(tmp_path: Path) -> None:
    """One frame that looks like a picture known not to be listed must not hide the known still in another one."""
    still, harmless = pictures(2)
    notable = listed(tmp_path / "a", {}, stills=(still, flipped(harmless, 15)), name="a")
    not_this = listed(tmp_path / "b", {}, stills=(harmless,), name="b", role="not-this")
    outcome = match_batch([film([harmless, flipped(still, 20)])], [notable, not_this], MatchOptions())
    assert [(match.look, match.distance) for match in outcome.matches[0]] == [("frame at 1.0 s", 20)]
    assert [(note.reason, note.count) for note in outcome.withheld[0]] == [("not-this", 1)]


def test_the_nearest_look_names_the_match_and_of_equals_the_stored_pixels(tmp_path: Path) -> None:
    known = RNG.bytes(32)
    hashset = listed(tmp_path, {}, stills=(known,))

    def look(*hashes: PerceptualHash) -> tuple[str, int, int | None]:
        ((match,),) = found([record(Examination(None, 1, Kind.IMAGE, hashes=hashes))], hashset)
        return match.look, match.distance, match.quality

    stored, trimmed = PerceptualHash("pdq", flipped(known, 9), 80), PerceptualHash("pdq-trimmed", flipped(known, 3), 90)
    assert look(stored, trimmed) == ("without its borders", 3, 90)
    assert look(trimmed, replace(stored, value=flipped(known, 3))) == ("", 3, 80)
    assert look(PerceptualHash("pdq-thumbnail", known, 70), trimmed) == ("its embedded thumbnail", 0, 70)
    assert look(PerceptualHash("pdq", known, 70, 1.24)) == ("frame at 1.2 s", 0, 70)


@pytest.mark.parametrize(
    ("agree", "part"),
    [
        ([1], (0, 0)),
        ([-1, 1, 1, -1], (1, 2)),
        ([1, -1, 1, 1], (2, 3)),
        ([1, -1, -1, 1], (0, 0)),
        ([0, 1, 0, 1], (1, 3)),
    ],
)
def test_the_best_part_is_not_stretched_by_a_chance_agreement(agree: list[int], part: tuple[int, int]) -> None:
    assert best_part(np.array(agree)) == part


def test_a_strip_has_at_most_a_hundred_cells() -> None:
    cells = strip(np.array([1, 1, -1, 0] * 250), [float(place) for place in range(1000)])
    assert len(cells) == 100
    assert cells[0] == (0.0, 75)  # six of its eight compared frames
    assert strip(np.array([0, 1]), [None, None]) == ((None, None), (None, 100))


SAME = ("chair-orig-22-sd-bar", "chair-22-sd-grey-bar", "chair-22-with-small-logo-bar")
OTHERS = ("doorknob-hd-no-bar", "pattern-sd-grey-bar")


def test_published_clips_find_their_variants_and_not_each_other(shared: Path, tmp_path: Path) -> None:
    """From our frames, and from the lists that vPDQ's authors publish (every frame of each clip)."""
    pytest.importorskip("av", reason="films are read with PyAV (extra: video)")
    folder = shared / "video"
    records = {name: record(examine_file(folder / f"{name}.mp4")) for name in (*SAME, *OTHERS)}
    lists = [folder / "vpdq-sample-hashes" / f"{name}.txt" for name in records]
    build_hashset(lists, tmp_path / "published.chs")
    for name in records:
        (tmp_path / "ours" / name).mkdir(parents=True)
        (tmp_path / "ours" / name / "clip.mp4").write_bytes((folder / f"{name}.mp4").read_bytes())
    make_hashset(tmp_path / "ours", tmp_path / "ours.chs", examine_file)
    for path in ("published.chs", "ours.chs"):
        hashset = open_hashset(tmp_path / path)
        matches = found([replace_digests(item) for item in records.values()], hashset)
        for name, of_film in zip(records, matches, strict=True):
            codes = sorted(match.category.code or match.media_id.removesuffix(".txt") for match in of_film)
            assert codes == sorted(SAME if name in SAME else (name,))


def replace_digests(item: ScanRecord) -> ScanRecord:
    """The record as that of another encoding: without the digests that would make it an exact match."""
    return replace(item, examination=replace(item.examination, digests=None))
