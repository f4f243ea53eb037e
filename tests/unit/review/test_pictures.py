"""Small pictures are pixels of the very content, whatever became of the evidence and whatever a decoder does."""

from __future__ import annotations

import io
import os
import signal
import threading
import time
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image, ImageDraw

from caid_triage.config import ScanOptions
from caid_triage.model import Kind
from caid_triage.review import asking
from caid_triage.review.desk import ReviewDesk
from caid_triage.review.items import Item, ItemFilter, Placeholder
from caid_triage.review.pictures import SIDES, SmallPictures
from caid_triage.scan import protocol
from caid_triage.scan.look import Looker, Pixels, _Clock
from caid_triage.scan.run import run_scan
from caid_triage.scan.sources import SourceRequest


def drawing(red: int = 200, size: tuple[int, int] = (320, 200)) -> Image.Image:
    """Red above, blue below, a white disc at the upper left."""
    image = Image.new("RGB", size, (red, 20, 20))
    pen = ImageDraw.Draw(image)
    pen.rectangle((0, size[1] // 2, *size), fill=(20, 20, 200))
    pen.ellipse((10, 10, 60, 60), fill=(255, 255, 255))
    return image


def as_bytes(image: Image.Image, form: str, **options: object) -> bytes:
    file = io.BytesIO()
    image.save(file, form, **options)
    return file.getvalue()


def film(path: Path) -> None:
    av = pytest.importorskip("av")
    with av.open(str(path), "w") as container:
        stream = container.add_stream("mpeg4", rate=10)
        stream.width, stream.height, stream.pix_fmt = 160, 100, "yuv420p"
        stream.options = {"g": "10"}
        for number in range(50):
            frame = av.VideoFrame.from_ndarray(np.asarray(drawing(5 * number, (160, 100))), format="rgb24")
            container.mux(stream.encode(frame))
        container.mux(stream.encode())


@pytest.fixture(scope="module")
def evidence(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("evidence") / "files"
    folder.mkdir()
    (folder / "plain.png").write_bytes(as_bytes(drawing(), "PNG"))
    turned = Image.Exif()
    turned[274] = 6  # to be shown a quarter turn clockwise
    (folder / "turned.jpg").write_bytes(as_bytes(drawing(190), "JPEG", exif=turned))
    (folder / "large.jpg").write_bytes(as_bytes(drawing(180, (3000, 2000)), "JPEG"))
    (folder / "cut.jpg").write_bytes(as_bytes(drawing(170), "JPEG")[:-60])
    (folder / "not.jpg").write_bytes(b"\xff\xd8\xff\xe0" + b"no picture" * 50)
    inner = io.BytesIO()
    with zipfile.ZipFile(inner, "w") as archive:
        archive.writestr("deep.jpg", as_bytes(drawing(160), "JPEG"))
    with zipfile.ZipFile(folder / "a.zip", "w") as archive:
        archive.writestr("x.png", as_bytes(drawing(150), "PNG"))
        archive.writestr("in.zip", inner.getvalue())
    film(folder / "film.mp4")
    return folder


@pytest.fixture(scope="module")
def case_folder(evidence: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("case") / "case"
    options = ScanOptions(workers=1)
    run_scan([SourceRequest(evidence, "PIC/1", "files")], folder, [], options)
    return folder


@pytest.fixture(scope="module")
def desk(case_folder: Path) -> Iterator[ReviewDesk]:
    with ReviewDesk(case_folder) as opened:
        yield opened


def item(desk: ReviewDesk, end: str) -> Item:
    found = [
        one
        for queue in ("new", "damaged", "problems")
        for one in desk.page(ItemFilter(queue), None, 99)
        if one.path.endswith(end)
    ]
    return found[0]


def picture(desk: ReviewDesk, end: str, size: int = 128, *, grey: bool = False) -> Image.Image:
    made = desk.thumbnail(item(desk, end), size, grey=grey)
    assert isinstance(made, bytes), made
    assert made.startswith(b"\x89PNG")
    image = Image.open(io.BytesIO(made))
    image.load()
    return image


@pytest.mark.parametrize(
    ("end", "sides"),
    [("plain.png", (128, 80)), ("large.jpg", (128, 85)), ("x.png", (128, 80)), ("deep.jpg", (128, 80)),
     ("cut.jpg", (128, 80))],
)  # fmt: skip
def test_a_picture_is_seen_wherever_it_lies(desk: ReviewDesk, end: str, sides: tuple[int, int]) -> None:
    image = picture(desk, end)
    assert (image.mode, image.size) == ("RGB", sides)
    red, blue = image.getpixel((100, 20)), image.getpixel((20, 60))
    assert red[0] > 120 > red[2]  # type: ignore[index]
    assert blue[2] > 150 > blue[0]  # type: ignore[index]


@pytest.mark.parametrize(("asked", "given"), [(160, 160), (320, 320), (200, 160), (4000, 512), (63, 64)])
def test_no_picture_is_larger_than_was_asked_for(desk: ReviewDesk, asked: int, given: int) -> None:
    """Small on purpose: what spares an examiner is not to be undone by rounding up (64 is the least there is)."""
    assert set(asking.SIZES) <= set(SIDES)
    assert max(picture(desk, "large.jpg", asked).size) == given


def test_a_jpeg_is_turned_as_it_says_and_grey_is_grey(desk: ReviewDesk) -> None:
    turned = picture(desk, "turned.jpg")
    assert turned.size == (80, 128)
    assert turned.getpixel((10, 60))[2] > 150  # type: ignore[index] - blue is to the left now
    grey = picture(desk, "turned.jpg", grey=True)
    assert (grey.mode, grey.size) == ("L", (80, 128))


def test_of_a_film_there_are_four_stills(desk: ReviewDesk) -> None:
    image = picture(desk, "film.mp4", 256)
    assert item(desk, "film.mp4").kind is Kind.VIDEO
    assert image.size == (256, 256)
    reds = [image.getpixel(place)[0] for place in ((100, 40), (228, 40), (100, 168), (228, 168))]  # type: ignore[index]
    assert reds == sorted(reds)
    assert reds[3] > reds[0] + 50


def test_what_nothing_opens_is_said_in_words(desk: ReviewDesk) -> None:
    made = desk.thumbnail(item(desk, "not.jpg"), 128)
    assert isinstance(made, Placeholder)
    assert made.reason
    unread = item(desk, "plain.png")
    assert isinstance(
        desk.thumbnail(Item(**{name: getattr(unread, name) for name in unread.__slots__} | {"sha256": None}), 64),
        Placeholder,
    )


def test_pictures_are_kept_in_memory_up_to_a_bound(case_folder: Path) -> None:
    with ReviewDesk(case_folder) as desk:
        one = item(desk, "plain.png")
        first = desk.thumbnail(one, 128)
        worker = desk._pictures._looker
        desk._pictures._looker = None  # type: ignore[assignment] - it would be missed
        assert desk.thumbnail(one, 128) == first
        desk._pictures._looker = worker
        desk._pictures._most_kept = 1
        desk.thumbnail(item(desk, "x.png"), 128)
        assert len(desk._pictures._kept) == 1


def test_a_dead_worker_costs_one_picture_and_a_late_one_too(case_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with ReviewDesk(case_folder) as desk:
        desk.thumbnail(item(desk, "plain.png"), 64)
        looker = desk._pictures._looker
        real = Looker._give

        def killed(*arguments: Any) -> None:
            assert looker._worker is not None
            os.kill(looker._worker.pid, signal.SIGKILL)  # before it has the task: a quick one would have answered
            real(*arguments)

        with monkeypatch.context() as patched:
            patched.setattr(Looker, "_give", killed)
            made = desk.thumbnail(item(desk, "x.png"), 64)
        assert isinstance(made, Placeholder)
        assert "ended its process" in made.reason
        assert isinstance(desk.thumbnail(item(desk, "deep.jpg"), 64), bytes)
        assert looker._worker is not None
        os.kill(looker._worker.pid, signal.SIGSTOP)
        looker.seconds = 0.3
        late = desk.thumbnail(item(desk, "large.jpg"), 64)
        assert isinstance(late, Placeholder)
        assert "did not end in time" in late.reason
        looker.seconds = 30.0
        assert isinstance(desk.thumbnail(item(desk, "large.jpg"), 128), bytes)


def test_evidence_that_was_changed_or_is_gone_is_said_and_not_shown(
    evidence: Path, case_folder: Path, tmp_path: Path
) -> None:
    with ReviewDesk(case_folder) as desk:
        path = evidence / "plain.png"
        before = path.read_bytes()
        path.write_bytes(as_bytes(drawing(90), "PNG").ljust(len(before), b"\0")[: len(before)])
        try:
            made = desk.thumbnail(item(desk, "plain.png"), 64)
        finally:
            path.write_bytes(before)
        assert isinstance(made, Placeholder)
        desk.forget_pictures()
        assert isinstance(desk.thumbnail(item(desk, "plain.png"), 64), bytes)
        desk.forget_pictures()
        moved = evidence.rename(tmp_path / "elsewhere")
        try:
            gone = desk.thumbnail(item(desk, "plain.png"), 64)
        finally:
            moved.rename(evidence)
        assert isinstance(gone, Placeholder)
        assert "not where it was" in gone.reason
        assert str(evidence) not in gone.reason


def test_a_source_that_is_not_on_record_gives_no_picture() -> None:
    pictures = SmallPictures(list)
    assert pictures.picture(bytes(32), 64, list, grey=False) == Placeholder(
        "no file of the case has this content any more"
    )
    pictures.close()
    pictures.close()


class Hanging(Looker):
    """A decoder that comes back when it is let."""

    def __init__(self) -> None:
        super().__init__()
        self.begun, self.may_end = threading.Event(), threading.Event()

    def picture(self, *_: object) -> Pixels:
        self.begun.set()
        assert self.may_end.wait(20)
        return Pixels(1, 1, 1, b"x")


def test_hiding_everything_waits_for_no_decoder_and_what_was_being_made_is_not_kept(case_folder: Path) -> None:
    with ReviewDesk(case_folder) as desk:
        item = next(item for item in desk.page(ItemFilter("new"), None, 50) if item.path.endswith("plain.png"))
        hanging = desk._pictures._looker = Hanging()
        made: list[object] = []
        asking = threading.Thread(target=lambda: made.append(desk.thumbnail(item, 64)))
        asking.start()
        assert hanging.begun.wait(20)
        desk.forget_pictures()
        desk.forget_pictures()
        assert not made  # it has not waited for it
        hanging.may_end.set()
        asking.join()
        assert isinstance(made[0], bytes)  # whoever asked for it has it
        assert not desk._pictures._kept
        assert isinstance(desk.thumbnail(item, 64), bytes)
        assert len(desk._pictures._kept) == 1


class Talking:
    """A worker that was taken over: it says what it is told to, a piece at a time, and can be ended."""

    def __init__(self, said: bytes, seconds: float = 0.0) -> None:
        self.source, self.sink, self.seconds, self.killed = self, io.BytesIO(), seconds, threading.Event()
        self._said = io.BytesIO(said)

    def read(self, size: int = -1) -> bytes:
        return b"" if self.killed.wait(self.seconds) else self._said.read(size)

    def kill(self) -> None:
        self.killed.set()


def test_a_worker_that_only_says_that_it_goes_on_is_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    step = io.BytesIO()
    protocol.write_frame(step, protocol.STEP, protocol.to_json({"step": 0, "size": 0}))

    def asked(worker: Talking, most: float) -> str:
        clock = _Clock(worker)  # type: ignore[arg-type]
        began = time.monotonic()
        try:
            with pytest.raises((protocol.ProtocolError, EOFError)) as caught:
                Looker()._first(worker, None, clock, 10.0, most)  # type: ignore[arg-type]
        finally:
            clock.stop()
        assert time.monotonic() - began < 5
        return type(caught.value).__name__

    endless = step.getvalue() * 2000
    assert asked(Talking(endless), 0.0) == "ProtocolError"  # there is nothing inside: no step is taken from it
    assert asked(Talking(endless), 60.0) == "EOFError"  # of what lies inside, as many as it likes in its time
    assert asked(Talking(endless, 0.05), 0.5) in {"ProtocolError", "EOFError"}
