"""What is used again of earlier examinations changes no report: in any order, by any executor, also after a resume."""

from __future__ import annotations

import io
import json
import tempfile
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from PIL import Image
from support.cli import comparable_reports, picture
from support.clips import clip
from support.embedded import with_thumbnails, zipped
from support.quicklook import cache_of

from caid_triage.case.view import open_case
from caid_triage.config import ScanOptions
from caid_triage.model import DecodeState
from caid_triage.report.write import write_reports
from caid_triage.scan.progress import Progress
from caid_triage.scan.run import SourceRequest, run_scan
from caid_triage.synth.fat import build_fat
from caid_triage.synth.plan import PlannedFile

# Scans of dozens of files: what fails is told as it is, not made smaller for minutes.
CALM = settings(
    max_examples=4,
    deadline=None,
    suppress_health_check=list(HealthCheck),
    derandomize=True,
    phases=(Phase.explicit, Phase.generate),
)
BATCH = 4


def animation() -> bytes:
    out = io.BytesIO()
    scenes = [Image.open(io.BytesIO(picture(name))).resize((96, 72)) for name in ("coast.jpg", "town.jpg")]
    scenes[0].save(out, "GIF", save_all=True, append_images=scenes[1:], duration=500)
    return out.getvalue()


def small(name: str) -> bytes:
    out = io.BytesIO()
    Image.open(io.BytesIO(picture(name))).resize((160, 120)).save(out, "JPEG")
    return out.getvalue()


def contents() -> list[bytes]:
    """What is examined to files inside, to notes, to problems, to frames, and what nobody asks about."""
    coast, town = picture("coast.jpg"), picture("town.jpg")
    return [
        coast,
        with_thumbnails(coast, small("coast.jpg")),  # looks like its picture: no row of hashes of its own
        with_thumbnails(coast, small("marble.jpg")),  # does not
        town[: len(town) // 2],
        zipped({"a/coast.jpg": coast, "b/with.jpg": with_thumbnails(town, small("town.jpg"))}),
        zipped({"cut.jpg": town[:3000]}),
        animation(),
        clip(seconds=2),
        b"milk, bread\n",
        b"",
    ]


@pytest.fixture(scope="module")
def exhibit(tmp_path_factory: pytest.TempPathFactory) -> Callable[[list[int]], Path]:
    """A folder with each content three times, the copies in the order that the numbers say."""
    all_contents = contents()

    def made(order: list[int]) -> Path:
        folder = tmp_path_factory.mktemp("exhibit")
        for place, number in enumerate(order):
            which = number % len(all_contents)
            (folder / f"{place:02} {'.jpg' if number % 2 else '.dat'}").write_bytes(all_contents[which])
        # One database of thumbnails, whose pictures lie beside it: other ones in each folder, in one none.
        caches = [cache_of([("/a.jpg", picture(name))]) for name in ("coast.jpg", "town.jpg")]
        for name, samples in (("05", caches[0].samples), ("15", caches[1].samples), ("25", None)):
            beside = folder / name
            beside.mkdir()
            (beside / "index.sqlite").write_bytes(caches[0].index())
            if samples is not None:
                (beside / "thumbnails.data").write_bytes(bytes(samples))
        return folder

    return made


def scanned(source: Path, case: Path, stop_after: int = 0, **how: object) -> dict[str, str]:
    """The reports of a scan, which is stopped once after so many files and begun again."""
    options = ScanOptions(workers=2, batch_files=BATCH, batch_seconds=60.0, **how)  # type: ignore[arg-type]

    def show(progress: Progress) -> None:
        if stop_after and progress.files >= stop_after:
            raise KeyboardInterrupt

    if stop_after:
        with suppress(KeyboardInterrupt):
            run_scan([SourceRequest(source, "E", "s")], case, [], options, show)
    run_scan([SourceRequest(source, "E", "s")], case, [], options)
    with open_case(case) as view:
        write_reports(view, case / "reports")
    return comparable_reports(case / "reports")


def copied(case: Path) -> int:
    """How many files' examinations were used again, by the audit trail."""
    lines = [json.loads(line) for line in (case / "audit.jsonl").read_text("utf-8").splitlines()]
    return sum(line.get("copied", 0) for line in lines if line["action"] == "source-finished")


@CALM
@given(st.permutations(range(30)), st.sampled_from([6_000, 60_000, 128 << 20]), st.integers(0, 20))
def test_reports_do_not_depend_on_what_was_used_again(exhibit, order, kept_bytes, stop_after) -> None:
    source = exhibit(order)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        plain = scanned(source, folder / "plain", executor="serial", kept_bytes=0)
        assert copied(folder / "plain") == 0
        serial = scanned(source, folder / "serial", executor="serial", kept_bytes=kept_bytes)
        pool = scanned(source, folder / "pool", kept_bytes=kept_bytes, stop_after=stop_after)
        assert serial == plain
        assert pool == plain
        if kept_bytes > 1 << 20:
            # Of ten contents two have nothing to decode and two have problems; the other six were met three times.
            assert copied(folder / "serial") == 12


def test_what_was_found_without_a_name_is_used_again_and_stays_what_it_is(tmp_path) -> None:
    """A picture that lies in a file, in a deleted one and in free space: one content, three states."""
    coast = picture("coast.jpg")
    plan = [PlannedFile("/live.jpg", coast), PlannedFile("/gone.jpg", coast, deleted=True),
            PlannedFile("/cut.jpg", coast[:9000])]  # fmt: skip
    image = bytearray(build_fat(plan, size=4 << 20, cluster=512))
    for at, content in ((3 << 20, coast), (0x320000, coast[:9000])):
        image[at : at + len(content)] = content
    (tmp_path / "disk.dd").write_bytes(bytes(image))
    plain = scanned(tmp_path / "disk.dd", tmp_path / "plain", executor="serial", kept_bytes=0)
    for executor in ("serial", "pool"):
        assert scanned(tmp_path / "disk.dd", tmp_path / executor, executor=executor) == plain
    assert copied(tmp_path / "serial") == 2
    with open_case(tmp_path / "serial") as view:
        states = sorted(row.state for row in view.files() if row.decode_state is DecodeState.DECODED)
    assert states == ["allocated", "carved", "deleted"]
