"""The thumbnails that macOS's QuickLook keeps: samples in ``thumbnails.data``, places and sides in ``index.sqlite``.

A row of the index's table ``thumbnails`` says where the samples of one picture lie and how long a row of them is; a
row of ``files`` says of what file the picture was made (older systems; later ones keep its number alone). The files may
be deleted long since. Sources: M. DeGrazia, "QuickLook thumbnails.data parser" (2016); Apple, CGImage.h (CGBitmapInfo);
caches of macOS 11 (8 bits, 32 bits a pixel, bitmapinfo 0x2002). It is put together as PNG to be looked at.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass
from io import BytesIO

import numpy as np
from PIL import Image

from caid_triage.examine.embedded.content import Content
from caid_triage.examine.embedded.inner import GOES_ON, Inner, Listed, problem, unread, whole
from caid_triage.model import Severity

TABLE = "thumbnails"
FILES = "files"
SAMPLES = "thumbnails.data"
PLACE = frozenset(("bitmapdata_location", "bitmapdata_length"))
COLUMNS = (
    "file_id", "width", "height", "bitspercomponent", "bitsperpixel", "bytesperrow", "bitmapinfo",
    "bitmapdata_location", "bitmapdata_length",
)  # fmt: skip
NAME_COLUMNS = ("folder", "file_name")
_NOT_NEEDED = frozenset(("file_id", "bitspercomponent", "bitmapinfo"))

LEAST_SIDE = 32  # as in PDF: smaller ones are icons of a list, which nothing can be told from by look
# QuickLook's largest thumbnails have 1024 pixels a side, twice that on a fine screen.
MOST_PIXELS = 1 << 24
# Many rows can lead to the same samples: so many bytes may be put together for each byte of the other file, and more.
SAMPLES_A_BYTE, SAMPLES_MORE = 2, 64 << 20
ROWS_AT_ONCE = 20_000

# CGBitmapInfo: where alpha stands (the lower five bits), in what order the bytes of a pixel (bits 12 to 14).
_ALPHA, _ORDER, _KNOWN = 0x1F, 0x7000, 0x701F
_LITTLE, _BIG = (0x2000,), (0, 0x4000)
_LAST, _FIRST = (1, 3, 5), (2, 4, 6)
_PREMULTIPLIED, _WITH_ALPHA = (1, 2), (1, 2, 3, 4)
USUAL = 0x2002  # blue, green, red, alpha; colours multiplied by alpha: the only one met


@dataclass(frozen=True, slots=True)
class Row:
    """One row of the index: its number, what the database has for each of ``COLUMNS``, and the file's path (b"": none).

    A value can be anything that a cell can hold.
    """

    number: int
    values: tuple[object, ...]
    shows: bytes = b""

    @property
    def name(self) -> bytes:
        """What the picture is called: the row's number, and the path of the file that it shows."""
        return b"%s/%d%s" % (TABLE.encode(), self.number, b"/" + self.shows if self.shows else b".png")


@dataclass(frozen=True, slots=True)
class Layout:
    """Where the samples of a picture lie: ``length`` bytes from ``offset``, ``row`` bytes for ``width`` pixels each.

    ``channels`` are the places of red, green, blue and alpha in a pixel's four bytes; ``alpha`` is the kind of it
    (CGImageAlphaInfo).
    """

    offset: int
    width: int
    height: int
    row: int
    channels: tuple[int, int, int, int]
    alpha: int

    @property
    def length(self) -> int:
        """Bytes from the first sample to the last."""
        return self.row * (self.height - 1) + 4 * self.width


def is_index(columns: Collection[str]) -> bool:
    """Whether a table ``thumbnails`` with those columns is QuickLook's."""
    return set(columns) >= PLACE


def is_known(columns: Collection[str]) -> bool:
    """Whether such a table says the sides of its pictures in columns (later systems: in an archived object)."""
    return set(columns) >= set(COLUMNS) - _NOT_NEEDED


def quicklook_pictures(rows: Iterable[Row], content: Content) -> Iterator[Listed]:
    """The pictures of the rows of an index, whose samples lie in the file beside it."""
    samples: Content | None = None
    left = 0
    for count, row in enumerate(rows, 1):
        if samples is None:
            samples = content.beside(SAMPLES)
            if samples is None:
                text = (
                    f"the pictures of this QuickLook cache lie in {SAMPLES}, which is not beside it or cannot be read"
                )
                yield problem("inside-no-samples", text)
                return
            left = SAMPLES_A_BYTE * samples.size + SAMPLES_MORE
        if count % ROWS_AT_ONCE == 0:
            yield GOES_ON
        layout = layout_of(row, samples.size)
        if layout is None:
            continue
        if isinstance(layout, str):
            yield unread(row.name, layout)
            continue
        left -= layout.length
        if left < 0:
            text = f"its rows lead to more samples than {SAMPLES} can hold; the rest was left"
            yield problem("inside-budget", text)
            return
        yield _picture(row, layout, samples)


def layout_of(row: Row, size: int) -> Layout | str | None:
    """Where the samples of a row lie in ``size`` bytes; in words why they cannot, None for a picture too small."""
    found = dict(zip(COLUMNS, row.values, strict=True))
    bits, component, info = found["bitsperpixel"], found["bitspercomponent"], found["bitmapinfo"]
    stride, height, offset, length = (
        found[name] for name in ("bytesperrow", "height", "bitmapdata_location", "bitmapdata_length")
    )
    numbers = [value for value in (stride, height, offset, length) if isinstance(value, int)]
    if len(numbers) < 4 or min(numbers) < 0:
        return "the index does not say where and how large the picture is"
    stride, height, offset, length = numbers
    info = USUAL if info is None else info
    channels = _channels(info)
    if bits != 32 or component not in (8, None) or channels is None:
        return "its samples have a layout that is not known here"
    assert isinstance(info, int)
    # The stated width is not always that of the samples; the length of a row of them is.
    stated = found["width"]
    width = min(stated, stride // 4) if isinstance(stated, int) and stated > 0 else stride // 4
    if min(width, height) < LEAST_SIDE:
        return None
    if stride // 4 * height > MOST_PIXELS:  # what its rows hold, not what of them is shown
        return f"the picture claims {stride // 4} x {height} pixels, more than is allowed"
    layout = Layout(offset, width, height, stride, channels, info & _ALPHA)
    if layout.length > length or offset + layout.length > size:
        return f"the picture of {width} x {height} pixels does not lie in {SAMPLES} as the index says"
    return layout


def _channels(info: object) -> tuple[int, int, int, int] | None:
    """Where red, green, blue and alpha stand in a pixel of that CGBitmapInfo; None for a kind that is not read."""
    if not isinstance(info, int) or info & ~_KNOWN:
        return None
    kind, order = info & _ALPHA, info & _ORDER
    if kind not in _LAST + _FIRST or order not in _LITTLE + _BIG:
        return None
    red, green, blue, alpha = (0, 1, 2, 3) if kind in _LAST else (1, 2, 3, 0)
    return (3 - red, 3 - green, 3 - blue, 3 - alpha) if order in _LITTLE else (red, green, blue, alpha)


def _picture(row: Row, layout: Layout, samples: Content) -> Inner:
    """The picture of a row, put together."""
    data = samples.at(layout.offset, layout.length)
    if len(data) < layout.length:
        return unread(row.name, f"its samples in {SAMPLES} could not be read: {samples.fault or 'it ends before'}")
    text = f"the picture lies in samples in {SAMPLES}; it was put together to be looked at, its digests are of no file"
    said = problem("inside-rebuilt", text, Severity.NOTE)
    return Inner(row.name, whole(as_png(data, layout)), problems=(said,))


def as_png(data: bytes, layout: Layout) -> bytes:
    """A PNG of the samples; colours that were multiplied by alpha are divided by it again."""
    padded = np.zeros(layout.row * layout.height, dtype=np.uint8)
    padded[: layout.length] = np.frombuffer(data, dtype=np.uint8)
    pixels = padded.reshape(layout.height, layout.row)[:, : 4 * layout.width]
    pixels = pixels.reshape(layout.height, layout.width, 4)[:, :, list(layout.channels)]
    side = (layout.width, layout.height)
    opaque = layout.alpha not in _WITH_ALPHA or bool((pixels[:, :, 3] == 0xFF).all())
    if opaque:
        picture = Image.frombytes("RGB", side, pixels[:, :, :3].tobytes())
    else:
        mode = "RGBa" if layout.alpha in _PREMULTIPLIED else "RGBA"
        picture = Image.frombytes(mode, side, pixels.tobytes()).convert("RGBA")
    stream = BytesIO()
    picture.save(stream, "PNG", compress_level=1)
    return stream.getvalue()
