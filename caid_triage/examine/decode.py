"""From the bytes of a picture to its pixels, and an honest word about how far that went.

For each type there is a ladder of decoders (docs/formats/pictures.md). JPEG: marker walk, OpenCV (reduced where
the picture is large), Pillow, Pillow tolerant of missing data, FFmpeg. Most others: the header, Pillow,
Pillow tolerant, OpenCV, FFmpeg. The order is that of exactness: on JPEG both give the same pixels
(tested) and OpenCV is twice as fast; elsewhere Pillow is what the reference hashes are made with.
A JPEG in colour is decoded in the grey that it stores (docs/decisions/0021).

A damaged picture never comes out as ``decoded``: decoders fill what is missing and keep silent, so
the structure is checked here. Of an animation the frames that differ are taken, of a file of several
pages the first. Stored pixels are taken: no orientation tag is applied.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

from PIL import features

from caid_triage.examine.boundary import plain
from caid_triage.examine.decoded import (
    DECODER_ERRORS,
    Decoded,
    Pixels,
    Refused,
    judged,
    problem,
    refused,
    too_many,
    undecodable,
    whole,
)
from caid_triage.examine.headers import Header, read_header
from caid_triage.examine.heif import decode_with_heif
from caid_triage.examine.jpeg import JpegScan, cut_scans, scan_jpeg
from caid_triage.examine.jpeg_warnings import listening
from caid_triage.examine.limits import Limits
from caid_triage.examine.mended import mended
from caid_triage.examine.opencv import decode_with_opencv
from caid_triage.examine.pillow import PADDED, PILLOW_FORMATS, decode_padded, decode_with_pillow
from caid_triage.examine.rare_jpeg import CODECS, decode_rare_jpeg
from caid_triage.examine.raw import PREVIEW_SIDE, RAW_TYPES, Preview, decode_with_libraw, largest_preview
from caid_triage.examine.stills_by_av import DEMUXERS, decode_with_av
from caid_triage.model import DecodeState, Problem, Severity

# Types that OpenCV reads and Pillow does not.
OPENCV_ONLY = frozenset({"image/vnd.radiance", "image/x-portable-arbitrarymap"})
JPEG_2000 = frozenset({"image/jp2", "image/jpx", "image/jph", "image/x-jp2-codestream"})
# Types whose every byte of picture data is under a checksum that is verified here.
CHECKSUMMED = frozenset({"image/png", "image/apng"})
# Types that hold a small JPEG of themselves, which is better than nothing.
WITH_PREVIEW = frozenset({"image/vnd.adobe.photoshop"})
# Drawings and working files. Every other picture without a decoder may be a photograph that a
# perceptual hash would have found, and is a problem.
NO_PHOTOGRAPH = frozenset(
    {"image/svg+xml", "image/wmf", "image/emf", "image/x-xcf", "image/vnd.djvu", "image/x-psp", "image/x-jng"}
)
# Which extra of this package opens what it does not open by itself.
EXTRAS = {"image/heic": "heif", "image/heif": "heif", **dict.fromkeys(CODECS, "jxl"), **dict.fromkeys(RAW_TYPES, "raw")}

__all__ = ["Decoded", "decode", "stored_size"]

KNOWN = frozenset({*PILLOW_FORMATS, *DEMUXERS, *CODECS, *OPENCV_ONLY})

Decoder = Callable[[bytes, str, Header, Limits], Decoded | None]


@dataclass(frozen=True, slots=True)
class Rung:
    """One decoder of a ladder. What a ``strict`` one opens is whole as far as the structure tells.

    ``unusual``: it is asked only about files of which nothing is missing, and what it opens is whole.
    """

    decoder: Decoder
    strict: bool = False
    unusual: bool = False


def decode(data: bytes, media_type: str, limits: Limits) -> Decoded:
    """Return the picture of ``data``, which is of ``media_type`` by its content."""
    if media_type == "image/jpeg":
        return _jpeg(data, limits)
    if media_type in RAW_TYPES:
        return _raw(data, media_type, limits)
    if not any(_ladder(media_type, Header())):
        return _no_decoder(data, media_type)
    data, mend = mended(data, media_type)
    header = read_header(data, media_type) or Header()
    return _picture(data, media_type, replace(header, damage=mend or header.damage), limits)


def _ladder(media_type: str, header: Header) -> Iterator[Rung]:
    """Yield the decoders that may know a type, in the order in which they are asked."""
    if media_type in CODECS:
        yield Rung(decode_rare_jpeg, strict=True)
    if media_type in ("image/heic", "image/heif"):
        yield Rung(decode_with_heif, strict=True)
    # Pillow wraps bright colours of more than 8 bits around to black.
    if media_type in OPENCV_ONLY or (media_type in JPEG_2000 and header.deep):
        yield Rung(_with_opencv, strict=True)
    if media_type in PILLOW_FORMATS and (media_type != "image/avif" or features.check("avif")):
        yield Rung(_with_pillow, strict=True)
        if media_type in CHECKSUMMED:
            yield Rung(_with_opencv, unusual=True)
        yield Rung(_with_tolerant_pillow)
        if media_type in PADDED:
            yield Rung(decode_padded)
        yield Rung(_with_opencv)
    if media_type in DEMUXERS:
        yield Rung(decode_with_av)
    if media_type not in KNOWN and media_type not in NO_PHOTOGRAPH:
        yield Rung(_as_anything, strict=True)


def _jpeg(data: bytes, limits: Limits) -> Decoded:
    """Decode a JPEG: its markers first, then OpenCV, then the others."""
    data, mend = mended(data, "image/jpeg")
    scan = scan_jpeg(data)
    if mend:
        scan = replace(scan, damage=mend)
    header = Header(scan.width, scan.height, scan.damage)
    cut: tuple[Problem, ...] = ()
    if too_many(header.width, header.height, replace(limits, max_pixels=limits.max_jpeg_pixels)):
        return refused(header.width, header.height)
    most = _most_scans(header, limits)
    if len(scan.scans) > most:
        detail = f"the picture has {len(scan.scans)} scans; it was decoded from its first {most}"
        cut = (problem("scans-cut", detail),)
        data = cut_scans(data, scan, most)
    found = _jpeg_pixels(data, scan, limits)
    if found is None:
        result = _picture(data, "image/jpeg", header, limits)
    else:
        pixels, said = found
        reduced = pixels.shape[:2] != (scan.height, scan.width)
        near = reduced or (pixels.ndim == 2 and scan.components > 1)
        result = Decoded(DecodeState.DECODED, scan.width, scan.height, pixels, reduced=reduced, near=near)
        result = judged(result, scan.damage or said)
    if cut and result.state is DecodeState.DECODED:
        result = replace(result, state=DecodeState.PARTIAL)
    return replace(result, problems=cut + result.problems)


def _most_scans(header: Header, limits: Limits) -> int:
    """Return how many scans of a JPEG are decoded: each goes over every pixel, so of a huge picture fewer."""
    pixels = max(1, (header.width or 0) * (header.height or 0))
    return max(1, min(limits.max_scans, limits.max_scan_pixels // pixels))


def _jpeg_pixels(data: bytes, scan: JpegScan, limits: Limits) -> tuple[Pixels, str] | None:
    """Return OpenCV's pixels of a JPEG and what is damaged, None if it cannot.

    Grey is what a JPEG stores first: to hash it, its colours need not be decoded, enlarged and turned into grey again.
    """
    # CMYK is Pillow's: OpenCV converts it by a rule of its own. So is what is not 8 bits deep.
    if scan.components not in (1, 3) or scan.precision != 8 or not (scan.width and scan.height):
        return None
    side = min(scan.width, scan.height)
    least = limits.min_reduced_side
    factor = next((by for by in (8, 4, 2) if least and side // by >= least), 1)
    if too_many(scan.width // factor, scan.height // factor, limits):
        return None
    grey = scan.components == 1 or least > 0
    pixels, damage = listening(lambda: decode_with_opencv(data, grey=grey, factor=factor))
    if pixels is None or pixels.shape[:2] != (-(-scan.height // factor), -(-scan.width // factor)):
        return None
    return pixels, damage


def _raw(data: bytes, media_type: str, limits: Limits) -> Decoded:
    """Decode a camera raw file: its largest preview, or the sensor's data where there is none but a thumbnail."""
    preview = largest_preview(data)
    small = preview is None or min(preview.width, preview.height) < PREVIEW_SIDE
    fault = ""
    if small:
        try:
            found = decode_with_libraw(data, limits)
        except Refused as claim:
            return refused(claim.width, claim.height)
        except DECODER_ERRORS as error:
            found, fault = None, plain(error)
        if found:
            text = "the perceptual hashes are of the sensor's data as LibRaw develops it, at half size"
            return replace(found, problems=(problem("raw-developed", text, Severity.NOTE),))
    if preview:
        shown = _preview(data, preview, limits)
        if shown.pixels is not None:
            return shown
        fault = fault or (shown.problems[0].detail if shown.problems else "")
    return undecodable(Header(), fault) if fault else _no_decoder(data, media_type)


def _preview(data: bytes, preview: Preview, limits: Limits) -> Decoded:
    """Decode a JPEG inside another file, and say that it is not the file's own picture."""
    shown = _jpeg(data[preview.offset :], limits)
    if shown.pixels is None:
        return shown
    size = f"{preview.width} x {preview.height} pixels"
    text = f"the perceptual hashes are of the preview of {size} that is stored in the file"
    return replace(shown, problems=(*shown.problems, problem("preview-hashed", text, Severity.NOTE)))


def _picture(data: bytes, media_type: str, header: Header, limits: Limits) -> Decoded:
    """Climb the ladder of a type. What only a tolerant or a later decoder could read comes out as partial."""
    if too_many(header.width, header.height, limits):
        return refused(header.width, header.height)
    fault = ""
    missing = False  # whether the type's own decoder is not installed
    for number, rung in enumerate(_ladder(media_type, header)):
        if rung.unusual and header.damage:
            continue
        try:
            found = rung.decoder(data, media_type, header, limits)
        except Refused as claim:
            if claim.width:
                return refused(claim.width, claim.height)
            return replace(refused(None, None), width=header.width, height=header.height)
        except DECODER_ERRORS as error:
            fault = fault or plain(error)
            continue
        if found is None:
            missing = missing or number == 0
        elif rung.strict or (rung.unusual and not header.damage):
            return judged(found, header.damage)
        else:
            return judged(found, header.damage or fault or "the file was opened by a decoder that does not check it")
    if media_type in WITH_PREVIEW:
        inside = largest_preview(data)
        shown = _preview(data, inside, limits) if inside else None
        if shown and shown.pixels is not None:
            return judged(shown, header.damage or fault)
    if missing:
        return _no_decoder(data, media_type)
    return undecodable(header, fault or "the decoder could not read it")


def _with_pillow(data: bytes, media_type: str, header: Header, limits: Limits) -> Decoded:
    """Decode by Pillow, strictly."""
    return decode_with_pillow(data, media_type, header, limits, tolerant=False)


def _with_tolerant_pillow(data: bytes, media_type: str, header: Header, limits: Limits) -> Decoded:
    """Decode by Pillow, tolerant of missing data."""
    return decode_with_pillow(data, media_type, header, limits, tolerant=True)


def _as_anything(data: bytes, media_type: str, header: Header, limits: Limits) -> Decoded | None:
    """Try a type that only a second opinion names as whatever Pillow knows; None if it is nothing of that."""
    try:
        return decode_with_pillow(data, media_type, header, limits, tolerant=False)
    except DECODER_ERRORS:
        return None


def _with_opencv(data: bytes, _media_type: str, header: Header, _limits: Limits) -> Decoded:
    """Decode by OpenCV. Raises ValueError if it cannot or has another idea of the size than the header."""
    pixels = decode_with_opencv(data)
    if pixels is None or (header.width and pixels.shape[:2] != (header.height, header.width)):
        message = "the decoder could not read it"
        raise ValueError(message)
    return whole(pixels)


def stored_size(data: bytes, media_type: str) -> tuple[int | None, int | None]:
    """Return width and height in stored pixels as the first bytes of a picture tell them, without decoding."""
    if media_type == "image/jpeg":
        scan = scan_jpeg(data)
        return scan.width, scan.height
    header = read_header(data, media_type) or Header()
    return header.width, header.height


def _no_decoder(data: bytes, media_type: str) -> Decoded:
    """Return that there is no decoder here for a type, with its size where the header tells it."""
    severity = Severity.NOTE if media_type in NO_PHOTOGRAPH else Severity.PROBLEM
    extra = f" (the extra {EXTRAS[media_type]!r} of caid-triage opens them)" if media_type in EXTRAS else ""
    detail = f"pictures of type {media_type} cannot be decoded here{extra}; only the digests were taken"
    width, height = stored_size(data, media_type)
    return Decoded(DecodeState.NOT_ATTEMPTED, width, height, problems=(problem("no-decoder", detail, severity),))
