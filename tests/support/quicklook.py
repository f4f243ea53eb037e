"""An own writer of macOS's QuickLook cache: ``index.sqlite`` and ``thumbnails.data`` of some pictures."""

from __future__ import annotations

import io
import sqlite3
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

import numpy as np
from PIL import Image

OLDER = """CREATE TABLE files (folder TEXT, file_name TEXT, fs_id BLOB, version BLOB);
CREATE TABLE thumbnails (file_id INTEGER, size REAL, width INTEGER, height INTEGER, bitspercomponent INTEGER,
    bitsperpixel INTEGER, bytesperrow INTEGER, bitmapinfo INTEGER, bitmapdata_location INTEGER,
    bitmapdata_length INTEGER, hit_count INTEGER, last_hit_date REAL)"""
LATER = OLDER.replace("files (folder TEXT, file_name TEXT", "basic_files (fileId INTEGER PRIMARY KEY")
CELLS = (
    "file_id", "width", "height", "bitspercomponent", "bitsperpixel", "bytesperrow", "bitmapinfo",
    "bitmapdata_location", "bitmapdata_length",
)  # fmt: skip
# CGBitmapInfo -> the order in which red, green, blue and alpha (0 to 3) stand in a pixel.
ORDERS = {0x2002: (2, 1, 0, 3), 0x2001: (3, 2, 1, 0), 0x4001: (0, 1, 2, 3), 0x0002: (3, 0, 1, 2), 0x2006: (2, 1, 0, 3)}


@dataclass
class Cache:
    """The two files while they are written."""

    samples: bytearray = field(default_factory=lambda: bytearray(64))
    rows: list[dict[str, object]] = field(default_factory=list)
    files: list[tuple[str, str]] = field(default_factory=list)

    def add(
        self, picture: bytes | Image.Image, path: str = "", *, padding: int = 12, info: int = 0x2002, **cells: object
    ) -> None:
        """One picture, each row of its samples with so many bytes behind it; ``cells`` replace what would be true."""
        image = picture if isinstance(picture, Image.Image) else Image.open(io.BytesIO(picture))
        pixels = np.asarray(image.convert("RGBA")).astype(np.uint16)
        if info & 0x1F in (1, 2):
            pixels[:, :, :3] = (pixels[:, :, :3] * pixels[:, :, 3:] + 127) // 255
        pixels = pixels[:, :, list(ORDERS[info])].astype(np.uint8)
        height, width = pixels.shape[:2]
        rows = np.full((height, 4 * width + padding), 0xEE, dtype=np.uint8)
        rows[:, : 4 * width] = pixels.reshape(height, -1)
        true = (len(self.files) + 1, width, height, 8, 32, rows.shape[1], info, len(self.samples), rows.size)
        self.files.append(tuple(path.rsplit("/", 1)) if "/" in path else ("", path))  # type: ignore[arg-type]
        self.rows.append(dict(zip(CELLS, true, strict=True)) | cells)
        self.samples += rows.tobytes() + bytes(52)

    def index(self, schema: str = OLDER, without: Sequence[str] = ()) -> bytes:
        """The bytes of index.sqlite, in WAL mode as macOS leaves it."""
        connection = sqlite3.connect(":memory:")
        connection.executescript(schema)
        if schema == OLDER:
            connection.executemany("INSERT INTO files (folder, file_name) VALUES (?, ?)", self.files)
        for row in self.rows:
            kept = {name: cell for name, cell in row.items() if name not in without}
            names = ", ".join(kept)
            marks = ", ".join("?" * len(kept))
            connection.execute(f"INSERT INTO thumbnails ({names}) VALUES ({marks})", tuple(kept.values()))
        for name in without:
            connection.execute(f"ALTER TABLE thumbnails DROP COLUMN {name}")
        connection.commit()
        data = bytearray(connection.serialize())
        data[18:20] = b"\x02\x02"
        return bytes(data)


def cache_of(pictures: Iterable[tuple[str, bytes]]) -> Cache:
    """A cache of whole pictures, each with the path that it was made of."""
    cache = Cache()
    for path, content in pictures:
        cache.add(content, path)
    return cache
