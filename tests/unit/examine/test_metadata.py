"""What pictures say of their origin: each format, each name, and what must not be believed."""

from __future__ import annotations

import io
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from PIL import Image
from unit.examine import metadata_files as files

from caid_triage.examine.metadata import HISTORY, MOST_PAIRS, NAMES, picture_metadata
from caid_triage.examine.metadata_text import LONGEST, clean, decoded, moment
from caid_triage.model import DecodeState, Examination

CAMERA = {0x010F: ("text", "Canon"), 0x0110: ("text", "Canon EOS 5D"), 0x0131: ("text", "Firmware 1.2")}
TAKEN = {0x9003: ("text", "2014:07:12 16:17:10"), 0xA431: ("text", "0420123456")}
LONDON = {
    1: ("text", "N"), 2: ("ratio", [(51, 1), (30, 1), (2646, 100)]),
    3: ("text", "W"), 4: ("ratio", [(0, 1), (7, 1), (4012, 100)]),
}  # fmt: skip


def of_exif(*tables: files.Tags | None, order: str = "<") -> dict[str, str]:
    return dict(picture_metadata(files.jpeg_with(files.tiff(*tables, order=order)), "image/jpeg"))


def of_xmp(attributes: str = "", elements: str = "") -> list[tuple[str, str]]:
    return list(picture_metadata(files.jpeg_with(xmp=files.packet(attributes, elements)), "image/jpeg"))


@pytest.mark.parametrize("order", ["<", ">"])
def test_the_tags_of_a_camera_in_the_documented_order(order: str) -> None:
    gps = {**LONDON, 5: ("bytes", b"\1"), 6: ("ratio", [(123, 10)]),
           7: ("ratio", [(15, 1), (17, 1), (9, 1)]), 29: ("text", "2014:07:12")}  # fmt: skip
    more = {**TAKEN, 0x9291: ("text", "07"), 0x9011: ("text", "+01:00"), 0x9004: ("text", "2014:07:12 16:17:11"),
            0xA434: ("text", "EF50mm f/1.4"), 0xA435: ("text", "0000c15998"), 0xA430: ("text", "J. Doe"),
            0xA420: ("text", "ab" * 16), 0x9286: ("bytes", b"ASCII\0\0\0hello\0\0")}  # fmt: skip
    picture = {**CAMERA, 0x0132: ("text", "2015:01:02 03:04:05"), 0x013B: ("text", "Artist"),
               0x010E: ("text", "On the beach"), 0x8298: ("text", "Photo\0Editor")}  # fmt: skip
    block = files.tiff(picture, more, gps, order=order)
    assert picture_metadata(files.jpeg_with(block), "image/jpeg") == (
        ("camera-make", "Canon"),
        ("camera-model", "Canon EOS 5D"),
        ("camera-serial", "0420123456"),
        ("camera-owner", "J. Doe"),
        ("lens-model", "EF50mm f/1.4"),
        ("lens-serial", "0000c15998"),
        ("taken", "2014-07-12T16:17:10.07+01:00"),
        ("digitised", "2014-07-12T16:17:11 zone unknown"),
        ("modified", "2015-01-02T03:04:05 zone unknown"),
        ("latitude", "51.507350"),
        ("longitude", "-0.127811"),
        ("altitude", "-12.3"),
        ("gps-time", "2014-07-12T15:17:09Z"),
        ("software", "Firmware 1.2"),
        ("artist", "Artist"),
        ("copyright", "Photo; Editor"),
        ("description", "On the beach"),
        ("user-comment", "hello"),
        ("image-unique-id", "ab" * 16),
    )


EXIF = files.tiff(CAMERA, TAKEN)
TOOL = files.packet('xmp:CreatorTool="Editor 9"')
EXIF_UUID, XMP_UUID = b"JpgTiffExif->JP2", bytes.fromhex("be7acfcb97a942e89c71999491e3afac")
HELD = [
    ("image/jpeg", files.jpeg_with(EXIF, TOOL)),
    ("image/tiff", files.tiff({**CAMERA, 0x02BC: ("bytes", TOOL)}, TAKEN)),
    ("image/x-adobe-dng", files.tiff({**CAMERA, 0x02BC: ("bytes", TOOL)}, TAKEN, order=">")),
    ("image/png", files.png((b"eXIf", EXIF), (b"iTXt", b"XML:com.adobe.xmp\0\0\0\0\0" + TOOL))),
    ("image/webp", files.webp((b"VP8 ", b"odd"), (b"EXIF", b"Exif\0\0" + EXIF), (b"XMP ", TOOL))),
    ("image/vnd.adobe.photoshop", files.psd((1000, b"odd"), (1058, EXIF), (1060, TOOL))),
    ("image/heic", files.heif([(b"hvc1", b"picture"), (b"Exif", b"\0\0\0\6Exif\0\0" + EXIF), (b"mime", TOOL)])),
    ("image/avif", files.heif([(b"Exif", b"\0\0\0\0" + EXIF), (b"mime", TOOL)], in_idat=True)),
    ("image/jxl", files.box(b"JXL ", b"\r\n\x87\n") + files.box(b"Exif", bytes(4) + EXIF) + files.box(b"xml ", TOOL)),
    ("image/jp2", files.box(b"uuid", EXIF_UUID + EXIF) + files.box(b"uuid", XMP_UUID + TOOL)),
    ("image/x-fuji-raf", b"FUJIFILMCCD-RAW".ljust(84, b"\0") + (92).to_bytes(4, "big") + (9999).to_bytes(4, "big")
     + files.jpeg_with(EXIF, TOOL)),
]  # fmt: skip


@pytest.mark.parametrize(("media_type", "data"), HELD, ids=[media_type for media_type, _ in HELD])
def test_each_format_gives_the_same(media_type: str, data: bytes) -> None:
    assert dict(picture_metadata(data, media_type)) == {
        "camera-make": "Canon",
        "camera-model": "Canon EOS 5D",
        "camera-serial": "0420123456",
        "taken": "2014-07-12T16:17:10 zone unknown",
        "software": "Firmware 1.2",
        "creator-tool": "Editor 9",
    }


def test_canon_cr3_keeps_each_table_apart() -> None:
    tables = files.box(b"CMT1", files.tiff(CAMERA)) + files.box(b"CMT2", files.tiff(TAKEN))
    tables += files.box(b"CMT4", files.tiff(LONDON))
    inner = files.box(b"uuid", bytes.fromhex("85c0b687820f11e08111f4ce462b6a48") + tables)
    data = files.box(b"ftyp", b"crx \0\0\0\0") + files.box(b"moov", inner)
    found = dict(picture_metadata(data, "image/x-canon-cr3"))
    assert (found["camera-serial"], found["camera-model"], found["latitude"]) == (
        "0420123456",
        "Canon EOS 5D",
        "51.507350",
    )


def test_gif_and_the_texts_of_png() -> None:
    gif = b"GIF89a" + b"\x21\xff\x0bXMP DataXMP" + TOOL + b"\x01\xff\xfe\xfd"
    assert dict(picture_metadata(gif, "image/gif")) == {"creator-tool": "Editor 9"}
    import zlib

    raw = b"\nexif\n      99\n" + (b"Exif\0\0" + EXIF).hex().encode()
    data = files.png(
        (b"tEXt", b"Software\0Painter"),
        (b"tEXt", b"Creation Time\x002020:01:02 03:04:05"),
        (b"zTXt", b"parameters\0\0" + zlib.compress(b"a cat\nSteps: 20")),
        (b"iTXt", b"Comment\0\0\0\0\0" + "é".encode()),
        (b"zTXt", b"Raw profile type exif\0\0" + zlib.compress(raw)),
    )
    found = dict(picture_metadata(data, "image/png"))
    assert (found["software"], found["created"]) == ("Firmware 1.2", "2020-01-02T03:04:05 zone unknown")
    assert found["generator-parameters"] == "a cat\\x0aSteps: 20"
    assert found["user-comment"] == "é"


def test_a_compressed_text_is_not_blown_up() -> None:
    import zlib

    bomb = zlib.compress(bytes(200_000_000), 9)
    started = time.process_time()
    found = picture_metadata(files.png((b"zTXt", b"Comment\0\0" + bomb), (b"tEXt", b"Author\0me")), "image/png")
    assert dict(found) == {"artist": "me"}
    assert time.process_time() - started < 0.5


def test_the_history_of_xmp() -> None:
    elements = """<xmpMM:History><rdf:Seq>
      <rdf:li stEvt:action="created" stEvt:when="2020-01-02T03:04:05+01:00" stEvt:softwareAgent="Editor 9"/>
      <rdf:li rdf:parseType="Resource"><stEvt:action>saved</stEvt:action><stEvt:changed>/</stEvt:changed></rdf:li>
      <rdf:li><rdf:Description stEvt:action="derived" stEvt:parameters="converted"/></rdf:li>
    </rdf:Seq></xmpMM:History>
    <xmpMM:DerivedFrom stRef:documentID="xmp.did:2" stRef:originalDocumentID="xmp.did:1"/>
    <xmpMM:Ingredients><rdf:Bag><rdf:li xmp:CreatorTool="of another picture"/></rdf:Bag></xmpMM:Ingredients>
    <dc:creator><rdf:Seq><rdf:li>First</rdf:li><rdf:li>Second</rdf:li></rdf:Seq></dc:creator>"""
    assert of_xmp('xmpMM:OriginalDocumentID="xmp.did:1" aux:SerialNumber="77"', elements) == [
        ("camera-serial", "77"),
        ("artist", "First"),
        ("original-document-id", "xmp.did:1"),
        ("derived-from", "xmp.did:1"),
        ("history", "2020-01-02T03:04:05+01:00: created with Editor 9"),
        ("history", "time unknown: saved (/)"),
        ("history", "time unknown: derived"),
    ]


def test_a_title_stands_in_for_a_description() -> None:
    title = "<dc:title><rdf:Alt><rdf:li xml:lang='x-default'>Title</rdf:li></rdf:Alt></dc:title>"
    text = title.replace("title>", "description>").replace("Title", "Text")
    assert of_xmp("", title) == [("description", "Title")]
    assert of_xmp("", title + text) == [("description", "Text")]


def test_files_that_other_libraries_write_are_read() -> None:
    heif = pytest.importorskip("pillow_heif", reason="pillow-heif (extra: heif) is not installed")
    heif.register_heif_opener()
    image = Image.new("RGB", (64, 64), (10, 20, 30))
    for form, media_type in (("HEIF", "image/heic"), ("AVIF", "image/avif")):
        stream = io.BytesIO()
        image.save(stream, form, exif=b"Exif\0\0" + EXIF, xmp=TOOL)
        found = dict(picture_metadata(stream.getvalue(), media_type))
        assert (found["camera-serial"], found["creator-tool"]) == ("0420123456", "Editor 9"), form


def test_exif_goes_before_xmp_and_a_place_is_from_one_of_them() -> None:
    packet = files.packet('tiff:Model="other" exif:GPSLatitude="10,30.0N" exif:GPSLongitude="20,0,36E"')
    found = dict(picture_metadata(files.jpeg_with(files.tiff(CAMERA, None, LONDON), packet), "image/jpeg"))
    assert (found["camera-model"], found["latitude"], found["longitude"]) == ("Canon EOS 5D", "51.507350", "-0.127811")
    found = dict(picture_metadata(files.jpeg_with(files.tiff(CAMERA), packet), "image/jpeg"))
    assert (found["latitude"], found["longitude"]) == ("10.500000", "20.010000")


@pytest.mark.parametrize(
    "places",
    [
        {2: ("ratio", [(91, 1), (0, 1), (0, 1)])},
        {2: ("ratio", [(51, 0), (0, 1), (0, 1)])},
        {2: ("ratio", [(51, 1), (61, 1), (0, 1)])},
        {2: ("ratio", [(51, 1), (30, 1)])},
        {4: ("ratio", [(180, 1), (1, 1), (0, 1)])},
        {1: ("text", "")},
        {1: ("text", "E")},
        {3: ("text", "X")},
    ],
)
def test_an_impossible_place_is_no_place(places: files.Tags) -> None:
    assert not {"latitude", "longitude"} & of_exif(CAMERA, None, {**LONDON, **places}).keys()


@pytest.mark.parametrize("place", ["91,0.0N", "10,61.0N", "10,30.0", "10.5", "10,30.0E", "-1,0.0N", "1" * 5000 + ",0N"])
def test_an_impossible_place_of_xmp_is_no_place(place: str) -> None:
    assert of_xmp(f'exif:GPSLatitude="{place}" exif:GPSLongitude="20,0,36E"') == []


@pytest.mark.parametrize(
    ("text", "fraction", "zone", "said"),
    [
        ("2014:07:12 16:17:10", "", "", "2014-07-12T16:17:10 zone unknown"),
        ("2014:07:12 16:17:10", "5  ", "+02:00", "2014-07-12T16:17:10.5+02:00"),
        ("2014:07:12 16:17:10", "x", "   :  ", "2014-07-12T16:17:10 zone unknown"),
        ("2014:07:12 16:17:10", "", "+15:00", "2014-07-12T16:17:10 zone unknown"),
        ("2014:07:12 16:17:10+0530", "", "", "2014-07-12T16:17:10+05:30"),
        ("2014-07-12T16:17:10.123Z", "", "", "2014-07-12T16:17:10.123Z"),
        ("2014-07-12T16:17", "", "", "2014-07-12T16:17 zone unknown"),
        ("2014-07-12", "", "", "2014-07-12 zone unknown"),
        ("0000:00:00 00:00:00", "", "", ""),
        ("    :  :     :  :  ", "", "", ""),
        ("2014:02:30 16:17:10", "", "", "2014:02:30 16:17:10 (not a valid time)"),
        ("2014:07:12 24:00:00", "", "", "2014:07:12 24:00:00 (not a valid time)"),
        ("yesterday", "", "", "yesterday (not a valid time)"),
        ("２014:07:12 16:17:10", "", "", "２014:07:12 16:17:10 (not a valid time)"),
    ],
)
def test_a_time_is_as_the_camera_wrote_it(text: str, fraction: str, zone: str, said: str) -> None:
    assert moment(text, fraction, zone) == said


def test_texts_are_bounded_and_without_controls() -> None:
    assert clean("a\x1b[31m\u2028b\n\x9f") == "a\\x1b[31m\\u2028b\\x0a\\x9f"
    assert clean("x" * 5000) == "x" * 999 + "…"
    assert len(clean("\n" * 10 + "\x01" * 5000)) == LONGEST
    assert decoded(b"caf\xe9\0rest") == "caf\ufffd"
    assert decoded("é".encode() * 3000) == "é" * 999 + "…"


@pytest.mark.parametrize(
    ("comment", "said"),
    [
        (b"UNICODE\0" + "hé".encode("utf-16-le"), "hé"),
        (b"UNICODE\0" + "hé".encode("utf-16-be"), "hé"),
        (b"\0" * 8 + b"plain", "plain"),
        (b"no code at all", "no code at all"),
        (b"JIS\0\0\0\0\0" + "日本".encode("iso2022_jp"), "日本"),
        (b"UNICODE\0" + b"\0\xd8A\0", "\ufffdA"),
    ],
)
def test_the_codes_of_a_comment(comment: bytes, said: str) -> None:
    assert of_exif(CAMERA, {0x9286: ("bytes", comment)})["user-comment"] == said


def test_windows_titles_stand_in() -> None:
    tags = {0x9C9B: ("bytes", "Títle\0".encode("utf-16-le")), 0x9C9D: ("bytes", "Me\0".encode("utf-16-le"))}
    assert of_exif(tags) == {"artist": "Me", "description": "Títle"}


def note(maker: str, model: str, content: bytes, order: str = "<") -> dict[str, str]:
    picture = {0x010F: ("text", maker), 0x0110: ("text", model)}
    found = of_exif(picture, {0x927C: ("bytes", content)}, order=order)
    return {name: value for name, value in found.items() if "serial" in name}


def test_serial_numbers_in_the_notes_of_makers() -> None:
    canon = files.tiff({0x000C: ("long", 420123456)})[8:]
    assert note("Canon", "Canon EOS 20D", canon) == {"camera-serial": "0420123456"}
    assert note("Canon", "Canon EOS-1D Mark II", files.tiff({0x000C: ("long", 4321)})[8:]) == {
        "camera-serial": "004321"
    }
    assert note("Canon", "Canon EOS 20D", files.tiff({0x000C: ("long", 0)})[8:]) == {}
    nikon = b"Nikon\0\x02\x10\0\0" + files.tiff({0x001D: ("text", "2188172")}, order=">")
    assert note("NIKON CORPORATION", "NIKON D90", nikon) == {"camera-serial": "2188172"}
    older = b"Nikon\0\x02\0\0\0" + files.tiff({0x00A0: ("text", "NO= 00002539   ")}, order=">")
    assert note("NIKON CORPORATION", "NIKON D70", older) == {"camera-serial": "00002539"}
    fuji = b"FUJIFILM\x0c\0\0\0" + files._ifd("<", {0x0010: ("text", "FPT 12345")}, 12)
    assert note("FUJIFILM", "X-T1", fuji, order=">") == {"camera-internal-serial": "FPT 12345"}
    assert note("NIKON CORPORATION", "NIKON D90", nikon[:30]) == {}
    assert note("NIKON CORPORATION", "D90", b"Nikon\0\2\0\0\0" + files.tiff({0x1D: ("text", "\x0c\x01\x02\x03")})) == {}


def test_a_table_that_points_at_itself_ends() -> None:
    block = bytearray(files.tiff({0x010F: ("text", "Maker"), 0x8769: ("long", 8), 0x8825: ("long", 8)}))
    assert dict(picture_metadata(files.jpeg_with(bytes(block)), "image/jpeg")) == {"camera-make": "Maker"}


def test_values_outside_of_the_block_are_absent() -> None:
    block = files.tiff({0x010F: ("text", "A long maker"), 0x0131: ("text", "abc")})
    assert dict(picture_metadata(files.jpeg_with(block[:-4]), "image/jpeg")) == {"software": "abc"}


@pytest.mark.parametrize(
    "elements",
    [
        "<!-- " + "x" * 600_000,
        "<rdf:li>" * 30_000,
        "".join(f"<xmpMM:X{n}/>" for n in range(30_000)),
        "<xmpMM:History><rdf:Seq>" + '<rdf:li stEvt:action="saved"/>' * 10_000 + "</rdf:Seq></xmpMM:History>",
        "&nothing;",
        "<dc:description>" + "y" * 400_000 + "</dc:description>",
        "\x01\x02",
    ],
)
def test_a_packet_is_bounded_and_what_came_before_stands(elements: str) -> None:
    started = time.process_time()
    found = picture_metadata(files.webp((b"XMP ", files.packet('xmp:CreatorTool="Editor 9"', elements))), "image/webp")
    assert time.process_time() - started < 1
    assert dict(found)["creator-tool"] == "Editor 9"
    assert len(found) < MOST_PAIRS


def test_entities_are_not_expanded() -> None:
    laughs = b'<!DOCTYPE x [<!ENTITY a "ha"><!ENTITY b "&a;&a;">]>' + files.packet('xmp:CreatorTool="&b;"')
    assert picture_metadata(files.jpeg_with(xmp=laughs), "image/jpeg") == ()


def test_every_name_is_unique() -> None:
    assert len(set(NAMES)) == len(NAMES)
    assert all(len(name) <= 40 and name.replace("-", "").isalpha() for name in NAMES)


def test_a_picture_that_no_decoder_opens_still_says_its_camera(examined: Callable[..., Examination]) -> None:
    found = examined(files.jpeg_with(EXIF))
    assert found.decode_state is DecodeState.UNDECODABLE
    assert dict(found.metadata)["camera-serial"] == "0420123456"


def test_pillow_s_own_files_are_read(examined: Callable[..., Examination], encoded: Callable[..., bytes]) -> None:
    exif = Image.Exif()
    exif[0x010F], exif[0x9003] = "Maker", "2020:01:02 03:04:05"
    for form in ("JPEG", "PNG", "WEBP", "TIFF"):
        image = Image.open(io.BytesIO(encoded("PNG")))
        stream = io.BytesIO()
        image.save(stream, form, exif=exif)
        assert dict(examined(stream.getvalue()).metadata)["camera-make"] == "Maker", form
    assert examined(encoded("JPEG")).metadata == ()


def test_a_picture_too_large_to_keep_says_what_its_beginning_holds(examined: Callable[..., Examination]) -> None:
    from caid_triage.examine.limits import Limits

    data = files.jpeg_with(EXIF)[:-2] + bytes(200_000)
    found = examined(data, step=50_000, limits=Limits(max_content_bytes=100_000))
    assert found.decode_state is DecodeState.REFUSED
    assert dict(found.metadata)["camera-model"] == "Canon EOS 5D"


def test_every_name_is_in_the_document() -> None:
    document = Path(__file__).parents[3].joinpath("docs", "formats", "metadata.md").read_text(encoding="utf-8")
    assert [name for name in (*NAMES, HISTORY) if f"`{name}`" not in document] == []
