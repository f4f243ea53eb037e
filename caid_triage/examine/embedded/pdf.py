"""PDF documents: their pictures with the bytes that were put in, and attached files.

A JPEG or JPEG 2000 stands in a PDF as it was: its digests are those of the file that went in. Pictures that were taken
apart into samples are put together as PNG to be looked at; their digests mean nothing, and a note says so.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from functools import lru_cache
from io import BytesIO
from typing import Any

from caid_triage.examine.decoded import DECODER_ERRORS
from caid_triage.examine.embedded.content import Content
from caid_triage.examine.embedded.inner import GOES_ON, Inner, Listed, problem, unread, whole
from caid_triage.examine.libraries import library
from caid_triage.examine.limits import Limits
from caid_triage.model import Severity

# Filters whose output is a picture file of its own.
FILES = {"/DCTDecode": "jpg", "/DCT": "jpg", "/JPXDecode": "jp2"}
LEAST_SIDE = 32
OBJECTS_AT_ONCE = 10_000
# A stream of a few kilobytes can unpack to gigabytes; four bytes a pixel of the largest picture is what one may take.
MOST_UNPACKED = 4 * Limits().max_pixels


def pdf_pictures(content: Content) -> Iterator[Listed]:
    """The pictures and attachments of a PDF, by their object numbers."""
    pikepdf = library("pikepdf")
    if pikepdf is None:
        yield problem("inside-no-reader", "PDF documents cannot be opened here (pikepdf is not installed)")
        return
    content.seek(0)
    _bound(pikepdf)
    try:
        document = pikepdf.open(content, suppress_warnings=True)
    except pikepdf.PasswordError:
        text = "the document needs a password; its pictures and attachments were not examined"
        yield problem("inside-encrypted", text)
        return
    except pikepdf.PdfError as error:
        yield problem("inside-damaged", f"the document could not be read: {type(error).__name__}")
        return
    with document:
        for number, found in enumerate(document.objects):  # one list: asking for each by its place is quadratic
            if number % OBJECTS_AT_ONCE == OBJECTS_AT_ONCE - 1:
                yield GOES_ON
            yield from _object(pikepdf, found)
        for name, attached in document.attachments.items():
            yield Inner(
                b"attachments/" + name.encode("utf-8", "surrogatepass"), whole(attached.get_file().read_bytes())
            )


@lru_cache(maxsize=1)
def _bound(pikepdf: Any) -> None:
    """Have qpdf refuse streams that unpack to too much (qpdf before 12.3 cannot: there the cap on memory ends them)."""
    with suppress(AttributeError, TypeError):
        pikepdf.settings.set_qpdf_limits(
            flate_max_memory=MOST_UNPACKED,
            run_length_max_memory=MOST_UNPACKED,
            png_max_memory=MOST_UNPACKED,
            tiff_max_memory=MOST_UNPACKED,
            dct_max_memory=MOST_UNPACKED,
        )


def _object(pikepdf: Any, found: Any) -> Iterator[Listed]:
    """The picture that an object is, if it is one."""
    if not isinstance(found, pikepdf.Stream) or found.get("/Subtype") != "/Image":
        return
    number = found.objgen[0]
    filters = found.get("/Filter", [])
    names = [str(filters)] if isinstance(filters, pikepdf.Name) else [str(name) for name in filters]
    if names and names[-1] in FILES:
        name = b"image-%d.%b" % (number, FILES[names[-1]].encode())
        # What is packed once more (a JPEG that was deflated) is unpacked up to the picture file.
        level = pikepdf.StreamDecodeLevel.generalized
        try:
            data = found.read_raw_bytes() if len(names) == 1 else found.read_bytes(level)
        except (RuntimeError, pikepdf.PdfError) as error:
            yield unread(name, f"the picture could not be unpacked ({type(error).__name__})")
            return
        yield Inner(name, whole(bytes(data)), len(data))
        return
    width, height = int(found.get("/Width", 0)), int(found.get("/Height", 0))
    if min(width, height) < LEAST_SIDE or found.get("/ImageMask", False):
        return
    name = b"image-%d.png" % number
    if width * height > Limits().max_pixels:
        yield unread(name, f"the picture claims {width} x {height} pixels, more than is allowed")
        return
    try:
        stream = BytesIO()
        pikepdf.PdfImage(found).as_pil_image().save(stream, "PNG", compress_level=1)
    except (*DECODER_ERRORS, RuntimeError, pikepdf.PdfError, pikepdf.UnsupportedImageTypeError) as error:
        yield unread(name, f"the picture could not be put together ({type(error).__name__})")
        return
    text = "the picture lies in samples; it was put together to be looked at, and its digests are of no file"
    yield Inner(name, whole(stream.getvalue()), problems=(problem("inside-rebuilt", text, Severity.NOTE),))
