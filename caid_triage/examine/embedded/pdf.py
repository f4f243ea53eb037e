"""PDF documents: their pictures with the bytes that were put in, and attached files.

A JPEG or JPEG 2000 stands in a PDF as it was: its digests are those of the file that went in. Pictures that were taken
apart into samples are put together as PNG to be looked at; their digests mean nothing, and a note says so.
"""

from __future__ import annotations

from collections.abc import Iterator
from io import BytesIO
from typing import Any

from caid_triage.examine.decoded import DECODER_ERRORS
from caid_triage.examine.embedded.content import Content
from caid_triage.examine.embedded.inner import Inner, Listed, problem, unread, whole
from caid_triage.examine.libraries import library
from caid_triage.examine.limits import Limits
from caid_triage.model import Severity

# Filters whose output is a picture file of its own.
FILES = {"/DCTDecode": "jpg", "/DCT": "jpg", "/JPXDecode": "jp2"}
LEAST_SIDE = 32


def pdf_pictures(content: Content) -> Iterator[Listed]:
    """The pictures and attachments of a PDF, by their object numbers."""
    pikepdf = library("pikepdf")
    if pikepdf is None:
        yield problem("inside-no-reader", "PDF documents cannot be opened here (pikepdf is not installed)")
        return
    content.seek(0)
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
        for number in range(len(document.objects)):
            yield from _object(pikepdf, document.objects[number])
        for name, attached in document.attachments.items():
            yield Inner(
                b"attachments/" + name.encode("utf-8", "surrogatepass"), whole(attached.get_file().read_bytes())
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
        data = found.read_raw_bytes() if len(names) == 1 else found.read_bytes(pikepdf.StreamDecodeLevel.generalized)
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
    except (*DECODER_ERRORS, pikepdf.PdfError) as error:
        yield unread(name, f"the picture could not be put together ({type(error).__name__})")
        return
    text = "the picture lies in samples; it was put together to be looked at, and its digests are of no file"
    yield Inner(name, whole(stream.getvalue()), problems=(problem("inside-rebuilt", text, Severity.NOTE),))
