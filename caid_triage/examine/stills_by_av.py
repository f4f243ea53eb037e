"""Stills that only FFmpeg opens, by PyAV if it is installed (extra ``video``).

The last of the chain: it fills what is missing and keeps silent, so what only it opened is partial. It is
told the type (never left to guess: it would draw a text as a picture), gets a PNG without its texts and
profiles (a zTXt of 512 MB costs it 1.6 GB), works on one thread, and is held to the pixel limit by itself.
"""

from __future__ import annotations

import io
import struct
from typing import Any

import numpy as np

from caid_triage.examine.decoded import Decoded, check_size, whole
from caid_triage.examine.headers import Header
from caid_triage.examine.libraries import library
from caid_triage.examine.limits import Limits
from caid_triage.examine.pixels import array_as_grey_or_rgb

# FFmpeg's name of the container or bare stream for each type. Not JPEG LS: a cut one becomes a blank, in six seconds.
DEMUXERS = {
    "image/jpeg": "jpeg_pipe",
    "image/png": "png_pipe",
    "image/apng": "png_pipe",
    "image/gif": "gif",
    "image/webp": "webp_pipe",
    "image/bmp": "bmp_pipe",
    "image/tiff": "tiff_pipe",
    "image/vnd.microsoft.icon": "ico",
    "image/vnd.adobe.photoshop": "psd_pipe",
    "image/jp2": "j2k_pipe",
    "image/jpx": "j2k_pipe",
    "image/jph": "j2k_pipe",
    "image/x-jp2-codestream": "j2k_pipe",
    "image/avif": "mov",
    "image/heic": "mov",
    "image/heif": "mov",
    "image/x-portable-bitmap": "pbm_pipe",
    "image/x-portable-graymap": "pgm_pipe",
    "image/x-portable-pixmap": "ppm_pipe",
    "image/x-portable-arbitrarymap": "pam_pipe",
    "image/x-portable-floatmap": "pfm_pipe",
    "image/vnd.ms-dds": "dds_pipe",
    "image/vnd.radiance": "hdr_pipe",
    "image/qoi": "qoi_pipe",
    "image/x-sgi": "sgi_pipe",
    "image/x-sun-raster": "sunrast_pipe",
    "image/x-pcx": "pcx_pipe",
    "image/x-xbitmap": "xbm_pipe",
    "image/x-xpixmap": "xpm_pipe",
    "image/x-exr": "exr_pipe",
    "image/x-dpx": "dpx_pipe",
    "image/fits": "fits",
    "image/x-photo-cd": "photocd_pipe",
    "image/x-tga": "image2pipe",
}
CODECS = {"image2pipe": "targa"}
GREY = ("gray", "monow", "monob", "ya8", "ya16")
# Chunks of a PNG that pixels depend on; the rest (texts, profiles, EXIF) is not handed over.
PNG_CHUNKS = frozenset({b"IHDR", b"PLTE", b"IDAT", b"IEND", b"tRNS", b"CgBI"})


def decode_with_av(data: bytes, media_type: str, header: Header, limits: Limits) -> Decoded | None:
    """Return the first frame, None without the library or for a type that it lacks.

    Raises DECODER_ERRORS, MemoryError or Refused. A frame of another size than the header's (a tile of a
    HEIC) is none.
    """
    form = DEMUXERS.get(media_type)
    av = library("av") if form else None
    if av is None:
        return None
    if media_type in ("image/png", "image/apng"):
        data = bare_png(data)
    options = {"max_pixels": str(limits.max_pixels), "threads": "1"}
    if form in CODECS:
        options["video_codec"] = CODECS[form]
    try:
        with av.open(io.BytesIO(data), format=form, options=options) as container:
            return _first_frame(container, header, limits)
    except MemoryError:
        raise
    except av.FFmpegError as error:
        raise ValueError(error.strerror or type(error).__name__) from error


def _first_frame(container: Any, header: Header, limits: Limits) -> Decoded:
    """Return the first frame of the first video stream. Raises LookupError where there is none."""
    stream = container.streams.video[0]
    stream.codec_context.thread_count = 1
    check_size(stream.codec_context.width, stream.codec_context.height, limits)
    frame = next(iter(container.decode(stream)), None)
    if frame is None:
        message = "there is no frame in it"
        raise LookupError(message)
    size = (frame.width, frame.height)
    if header.width and header.height and size != (header.width, header.height):
        message = "the frame has another size than the header"
        raise ValueError(message)
    grey = frame.format.name.startswith(GREY)
    return whole(array_as_grey_or_rgb(np.asarray(frame.to_ndarray(format="gray" if grey else "rgb24"))))


def bare_png(data: bytes) -> bytes:
    """Return a PNG with the chunks that pixels depend on only, as far as its chunks can be followed."""
    kept, position = [data[:8]], 8
    while position + 8 <= len(data):
        length, name = struct.unpack_from(">I4s", data, position)
        end = position + 12 + length
        if name in PNG_CHUNKS or end > len(data):
            kept.append(data[position:end])
        position = end
    return b"".join(kept)
