"""Some thousand entries of a hash-set file as arrays: what fast readers make and the builder takes in one step."""

from __future__ import annotations

from array import array
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from caid_triage.hashset.algorithms import DIGEST_BYTES, EMPTY_CONTENT, PERCEPTUAL_BYTES, PHOTODNA_BYTES, Bytes
from caid_triage.hashset.manifest import FRAME_UNKNOWN
from caid_triage.hashset.rows import HAS_DIGEST, Row
from caid_triage.model import RefusedRow

HASH_BYTES = {**DIGEST_BYTES, **PERCEPTUAL_BYTES, "photodna": PHOTODNA_BYTES}
QUALITY_NOT_STATED = 255
SIZE_NOT_STATED = -1
NO_FRAME = 2**64 - 1


@dataclass(slots=True)
class HashColumn:
    """All hashes of one kind in a batch: ``values[j]`` uint8[k, length] belongs to entry ``rows[j]``, ascending.

    ``quality`` uint8[k] goes with PDQ only; 255 is "not stated". ``frames`` uint64[k] too: the number of a video's
    frame in the upper and its time in milliseconds in the lower half, all bits set where not stated.
    """

    values: Bytes
    rows: NDArray[np.uint32]
    quality: NDArray[np.uint8] | None = None
    frames: NDArray[np.uint64] | None = None


@dataclass(slots=True)
class RowBatch:
    """``count`` entries in file order, as columns; it stands for exactly the Rows that :meth:`rows` gives.

    ``hashes`` has only the kinds that occur. ``category`` and ``series`` are places in their text lists, which
    hold only texts that occur, in the order they first do. ``media_id`` is UTF-8 end to end. ``size`` is bytes,
    -1 where not stated. ``flags`` have their HAS_ bits. ``positions`` count in ``position_word``: byte, line or row.
    """

    count: int
    hashes: dict[str, HashColumn]
    category: NDArray[np.int64]
    category_texts: list[str]
    series: NDArray[np.int64]
    series_texts: list[str]
    media_id: bytes
    media_id_ends: NDArray[np.uint64]
    size: NDArray[np.int64]
    flags: NDArray[np.uint16]
    positions: NDArray[np.int64]
    position_word: str

    def position(self, index: int) -> str:
        """Where entry ``index`` stands in its file, as refused rows name it."""
        return f"{self.position_word} {self.positions[index]}"

    def empty_content(self) -> NDArray[np.bool_]:
        """bool[count]: which entries carry the digest of no bytes at all."""
        found = np.zeros(self.count, dtype=np.bool_)
        for value in EMPTY_CONTENT:
            for column in self.hashes.values():
                if column.values.shape[1] == len(value):
                    wanted = np.frombuffer(value, dtype=np.uint8)
                    alike = np.flatnonzero(column.values[:, 0] == wanted[0])
                    same = alike[(column.values[alike] == wanted).all(axis=1)]
                    found[column.rows[same]] = True
        return found

    def kept(self, mask: NDArray[np.bool_]) -> RowBatch:
        """The batch of the entries where ``mask`` bool[count] is true."""
        if mask.all():
            return self
        place = np.cumsum(mask) - 1
        hashes = {}
        for name, column in self.hashes.items():
            stays = mask[column.rows]
            if stays.any():
                quality = None if column.quality is None else column.quality[stays]
                rows = place[column.rows[stays]].astype(np.uint32)
                frames = None if column.frames is None else column.frames[stays]
                hashes[name] = HashColumn(column.values[stays], rows, quality, frames)
        category, category_texts = _used(self.category[mask], self.category_texts)
        series, series_texts = _used(self.series[mask], self.series_texts)
        media_id, ends = joined_texts([text for text, stays in zip(self._media_ids(), mask, strict=True) if stays])
        return RowBatch(
            count=int(mask.sum()),
            hashes=hashes,
            category=category,
            category_texts=category_texts,
            series=series,
            series_texts=series_texts,
            media_id=media_id,
            media_id_ends=ends,
            size=self.size[mask],
            flags=self.flags[mask],
            positions=self.positions[mask],
            position_word=self.position_word,
        )

    def rows(self) -> Iterator[Row]:
        """The entries one by one."""
        digests = int(sum(HAS_DIGEST.values()))
        rows = [
            Row(
                category=self.category_texts[category],
                media_id=media_id,
                size=None if size == SIZE_NOT_STATED else size,
                flags=flags & ~digests,
                series=self.series_texts[series],
                position=f"{self.position_word} {position}",
            )
            for category, media_id, size, flags, series, position in zip(
                self.category.tolist(), self._media_ids(), self.size.tolist(), self.flags.tolist(),
                self.series.tolist(), self.positions.tolist(), strict=True,
            )
        ]  # fmt: skip
        for name, column in self.hashes.items():
            for index, (number, value) in enumerate(zip(column.rows.tolist(), column.values, strict=True)):
                row = rows[number]
                if name == "pdq":
                    quality = QUALITY_NOT_STATED if column.quality is None else int(column.quality[index])
                    row.pdq += ((value.tobytes(), None if quality == QUALITY_NOT_STATED else quality),)
                    frame = NO_FRAME if column.frames is None else int(column.frames[index])
                    if frame != NO_FRAME:
                        row.frames += (frame_of(frame),)
                elif name == "phash":
                    row.phash += (value.tobytes(),)
                else:
                    setattr(row, name, value.tobytes())
        yield from rows

    def _media_ids(self) -> Iterator[str]:
        begin = 0
        for end in self.media_id_ends.tolist():
            yield self.media_id[begin:end].decode("utf-8")
            begin = end


def one_by_one(items: Iterable[RowBatch | RefusedRow]) -> Iterator[Row | RefusedRow]:
    """The entries of batches as Rows, in order, with the refused ones between them."""
    for item in items:
        if isinstance(item, RefusedRow):
            yield item
        else:
            yield from item.rows()


def batch_of(rows: Sequence[Row]) -> RowBatch:
    """The batch that stands for these Rows. Their positions must all count in the same word."""
    packed = {name: (bytearray(), array("I"), bytearray()) for name in HASH_BYTES}
    flags, frames = array("H"), array("Q")
    for number, row in enumerate(rows):
        has = row.flags
        for name, bit in HAS_DIGEST.items():
            digest = getattr(row, name)
            if digest is not None:
                packed[name][0].extend(digest)
                packed[name][1].append(number)
                has |= bit
        for pdq, quality in row.pdq:
            packed["pdq"][0].extend(pdq)
            packed["pdq"][1].append(number)
            packed["pdq"][2].append(QUALITY_NOT_STATED if quality is None else quality)
        frames.extend(frame_words(row))
        for phash in row.phash:
            packed["phash"][0].extend(phash)
            packed["phash"][1].append(number)
        if row.photodna is not None:
            packed["photodna"][0].extend(row.photodna)
            packed["photodna"][1].append(number)
        flags.append(has)
    category, category_texts = coded([row.category for row in rows])
    series, series_texts = coded([row.series for row in rows])
    media_id, ends = joined_texts([row.media_id for row in rows])
    word = rows[0].position.partition(" ")[0] if rows else "row"
    return RowBatch(
        count=len(rows),
        hashes={
            name: HashColumn(
                np.frombuffer(values, dtype=np.uint8).reshape(-1, HASH_BYTES[name]),
                np.frombuffer(numbers, dtype=np.uint32),
                np.frombuffer(quality, dtype=np.uint8) if name == "pdq" else None,
                np.frombuffer(frames, dtype=np.uint64) if name == "pdq" and any(row.frames for row in rows) else None,
            )
            for name, (values, numbers, quality) in packed.items()
            if values
        },
        category=category,
        category_texts=category_texts,
        series=series,
        series_texts=series_texts,
        media_id=media_id,
        media_id_ends=ends,
        size=np.array([SIZE_NOT_STATED if row.size is None else row.size for row in rows], dtype=np.int64),
        flags=np.frombuffer(flags, dtype=np.uint16),
        positions=np.array([int(row.position.partition(" ")[2] or 0) for row in rows], dtype=np.int64),
        position_word=word,
    )


def batch_of_hashes(
    hashes: dict[str, HashColumn],
    count: int,
    positions: NDArray[np.int64],
    position_word: str,
    size: NDArray[np.int64] | None = None,
) -> RowBatch:
    """The batch of entries that are hashes and sizes and nothing else: no category, media id, series or flag."""
    flags = np.zeros(count, dtype=np.uint16)
    for name, column in hashes.items():
        flags[column.rows] |= HAS_DIGEST.get(name, 0)
    return RowBatch(
        count=count,
        hashes=hashes,
        category=np.zeros(count, dtype=np.int64),
        category_texts=[""],
        series=np.zeros(count, dtype=np.int64),
        series_texts=[""],
        media_id=b"",
        media_id_ends=np.zeros(count, dtype=np.uint64),
        size=np.full(count, SIZE_NOT_STATED, dtype=np.int64) if size is None else size,
        flags=flags,
        positions=positions,
        position_word=position_word,
    )


def frame_words(row: Row) -> list[int]:
    """For each PDQ hash of a row its frame as one number: see :class:`HashColumn`."""
    if not row.frames:
        return [NO_FRAME] * len(row.pdq)
    return [number << 32 | (FRAME_UNKNOWN if time is None else time) for number, time in row.frames]


def frame_of(word: int) -> tuple[int, int | None]:
    """The frame number and milliseconds of a word."""
    number, time = divmod(word, 1 << 32)
    return number, None if time == FRAME_UNKNOWN else time


def coded(texts: Sequence[str]) -> tuple[NDArray[np.int64], list[str]]:
    """(place of each text in the list, the different texts in the order they first occur)."""
    number = {text: place for place, text in enumerate(dict.fromkeys(texts))}
    return np.fromiter(map(number.__getitem__, texts), dtype=np.int64, count=len(texts)), list(number)


def joined_texts(texts: Iterable[str]) -> tuple[bytes, NDArray[np.uint64]]:
    """(the texts in UTF-8 end to end, uint64: where each ends). What UTF-8 cannot say becomes a question mark."""
    parts = [text.encode("utf-8", "replace") for text in texts]
    lengths = np.fromiter(map(len, parts), dtype=np.uint64, count=len(parts))
    return b"".join(parts), np.cumsum(lengths, dtype=np.uint64)


def _used(numbers: NDArray[np.int64], texts: list[str]) -> tuple[NDArray[np.int64], list[str]]:
    """The same texts by number, without those that do not occur and in the order they first do."""
    values, first = np.unique(numbers, return_index=True)
    order = np.argsort(first)
    renumbered: NDArray[Any] = np.zeros(len(texts), dtype=np.int64)
    renumbered[values[order]] = np.arange(len(values))
    return renumbered[numbers], [texts[value] for value in values[order].tolist()]
