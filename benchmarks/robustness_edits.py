"""The edits that benchmarks/robustness.py looks for a known picture behind: what senders, sites and offenders do.

Every edit takes an RGB picture and a seeded random generator and gives the bytes of a file. Names, order and
parameters are part of the figures: a changed edit gets another name. Drawn text uses Pillow's own font.
"""

from __future__ import annotations

import io
from collections.abc import Callable

import numpy as np
from PIL import Image, ImageDraw, ImageEnhance, ImageFilter, ImageFont, ImageOps

Picture = Image.Image
Edit = Callable[[Picture, np.random.Generator], bytes]
Change = Callable[[Picture, np.random.Generator], Picture]

WORDS = ("look", "at", "this", "before", "gone", "send", "me", "more", "of", "these", "tonight", "holiday", "garden")


def jpeg(picture: Picture, quality: int = 90) -> bytes:
    stream = io.BytesIO()
    picture.save(stream, "JPEG", quality=quality)
    return stream.getvalue()


def png(picture: Picture) -> bytes:
    stream = io.BytesIO()
    picture.save(stream, "PNG", compress_level=1)
    return stream.getvalue()


def webp(picture: Picture, quality: int) -> bytes:
    stream = io.BytesIO()
    picture.save(stream, "WEBP", quality=quality, method=2)
    return stream.getvalue()


def heic(picture: Picture, quality: int) -> bytes:
    """HEIC where pillow-heif is installed; an ImportError says that it is not."""
    import pillow_heif

    stream = io.BytesIO()
    pillow_heif.from_pillow(picture).save(stream, quality=quality)
    return stream.getvalue()


def scaled(picture: Picture, factor: float) -> Picture:
    size = max(1, round(picture.width * factor)), max(1, round(picture.height * factor))
    return picture.resize(size, Image.Resampling.LANCZOS)


def thumbnail(picture: Picture, side: int) -> Picture:
    copy = picture.copy()
    copy.thumbnail((side, side), Image.Resampling.LANCZOS)
    return copy


def gamma(picture: Picture, power: float) -> Picture:
    return picture.point([round(255 * (level / 255) ** power) for level in range(256)] * 3)


def noise(picture: Picture, sigma: float, rng: np.random.Generator) -> Picture:
    levels = np.asarray(picture, dtype=np.float64)
    return Image.fromarray(np.clip(levels + rng.normal(0, sigma, levels.shape), 0, 255).astype(np.uint8))


def sentence(rng: np.random.Generator, count: int) -> str:
    return " ".join(WORDS[int(number)] for number in rng.integers(0, len(WORDS), count))


def text(picture: Picture, words: str, size: float, place: tuple[float, float], colour: tuple[int, int, int]) -> None:
    """Write into a picture; size and place as shares of its height and sides."""
    font = ImageFont.load_default(max(8, round(size * picture.height)))
    spot = place[0] * picture.width, place[1] * picture.height
    ImageDraw.Draw(picture).text(spot, words, fill=colour, font=font)


def caption(picture: Picture, rng: np.random.Generator) -> Picture:
    """Two lines of white words with a black edge, above and below, as memes have them."""
    copy = picture.copy()
    for count, height in ((3, 0.05), (5, 0.8)):
        words = sentence(rng, count)
        text(copy, words, 0.09, (0.054, height + 0.004), (0, 0, 0))
        text(copy, words, 0.09, (0.05, height), (255, 255, 255))
    return copy


def caption_bar(picture: Picture, rng: np.random.Generator) -> Picture:
    copy = picture.copy()
    top = round(picture.height * 0.88)
    ImageDraw.Draw(copy).rectangle((0, top, picture.width, picture.height), fill=(255, 255, 255))
    text(copy, sentence(rng, 6), 0.06, (0.05, 0.9), (0, 0, 0))
    return copy


def watermark(picture: Picture, _: np.random.Generator) -> Picture:
    layer = Image.new("RGB", picture.size)
    for row in np.arange(0.02, 1.0, 0.16):
        for column in np.arange(0.02, 1.0, 0.3):
            text(layer, "free-pics.example", 0.05, (float(column), float(row)), (255, 255, 255))
    mask = layer.convert("L").point([round(level * 0.35) for level in range(256)])
    return Image.composite(layer, picture, mask)


def logo(picture: Picture, rng: np.random.Generator) -> Picture:
    """An opaque logo in a random corner, 22 of 100 of each side."""
    copy = picture.copy()
    wide, high = round(picture.width * 0.22), round(picture.height * 0.22)
    left = 0 if rng.random() < 0.5 else picture.width - wide
    top = 0 if rng.random() < 0.5 else picture.height - high
    draw = ImageDraw.Draw(copy)
    draw.rectangle((left, top, left + wide, top + high), fill=tuple(int(level) for level in rng.integers(0, 256, 3)))
    draw.ellipse((left + wide // 4, top + high // 4, left + 3 * wide // 4, top + 3 * high // 4), fill=(255, 255, 255))
    return copy


def border(picture: Picture, share: float, colour: tuple[int, int, int]) -> Picture:
    return ImageOps.expand(picture, round(share * max(picture.size)), colour)


def cropped(picture: Picture, left: float, top: float, right: float, bottom: float) -> Picture:
    wide, high = picture.size
    return picture.crop((round(left * wide), round(top * high), round((1 - right) * wide), round((1 - bottom) * high)))


def rotated(picture: Picture, degrees: float) -> Picture:
    return picture.rotate(degrees, Image.Resampling.BICUBIC, expand=False)


def rotated_cut(picture: Picture, degrees: float) -> Picture:
    """Turned, and what turning leaves empty cut off."""
    lost = np.tan(np.radians(degrees)) / 2
    wide, high = lost * picture.height / picture.width, lost * picture.width / picture.height
    return cropped(rotated(picture, degrees), wide, high, wide, high)


def bars(picture: Picture, share: float, colour: tuple[int, int, int], *, upright: bool) -> Picture:
    """Bars above and below (letterbox) or left and right, each ``share`` of that side."""
    wide, high = picture.size
    extra = (round(share * wide), 0) if upright else (0, round(share * high))
    page = Image.new("RGB", (wide + 2 * extra[0], high + 2 * extra[1]), colour)
    page.paste(picture, extra)
    return page


def telephone(picture: Picture, rng: np.random.Generator, *, kind: str) -> Picture:
    """A telephone's screen (540 x 1,170) that shows the picture across its width.

    "gallery": status line and symbols on one colour; "chat": a title, lines of a message and an input field as well.
    """
    dark = bool(rng.random() < 0.5)
    back = (0, 0, 0) if dark else (255, 255, 255)
    if kind == "chat":
        back = (11, 20, 26) if dark else (236, 229, 221)
    ink = (230, 230, 230) if dark else (40, 40, 40)
    wide, high = 540, 1170
    screen = Image.new("RGB", (wide, high), back)
    draw = ImageDraw.Draw(screen)
    text(screen, f"{int(rng.integers(0, 24)):02}:{int(rng.integers(0, 60)):02}", 0.02, (0.06, 0.01), ink)
    for place in range(3):
        draw.rectangle((430 + 32 * place, 14, 450 + 32 * place, 30), outline=ink, width=2)
    top_kept, bottom_kept = 50, 90
    if kind == "chat":
        text(screen, sentence(rng, 2), 0.025, (0.16, 0.055), ink)
        draw.ellipse((20, 56, 70, 106), fill=tuple(int(level) for level in rng.integers(0, 256, 3)))
        top_kept, bottom_kept = 130, 190
    room = high - top_kept - bottom_kept
    factor = min(wide / picture.width, room / picture.height)
    shown = scaled(picture, factor)
    top = top_kept + (room - shown.height) // 2
    screen.paste(shown, ((wide - shown.width) // 2, top))
    if kind == "chat":
        below = min(top + shown.height + 14, high - 150)
        text(screen, sentence(rng, 6), 0.02, (0.06, below / high), ink)
        draw.rounded_rectangle((20, high - 120, wide - 20, high - 70), 24, outline=ink, width=2)
    for place in range(3):
        middle = 135 + 135 * place
        draw.ellipse((middle - 12, high - 52, middle + 12, high - 28), outline=ink, width=3)
    return screen


def computer(picture: Picture, rng: np.random.Generator) -> Picture:
    """A picture viewer's window that fills a computer's screen: title above, tools below, grey around the picture."""
    wide, high = 1280, 720
    screen = Image.new("RGB", (wide, high), (43, 43, 43))
    draw = ImageDraw.Draw(screen)
    draw.rectangle((0, 0, wide, 32), fill=(225, 225, 225))
    text(screen, sentence(rng, 3) + " - Viewer", 0.025, (0.02, 0.008), (20, 20, 20))
    draw.rectangle((0, high - 40, wide, high), fill=(30, 30, 30))
    for place in range(6):
        draw.rectangle((20 + 60 * place, high - 30, 44 + 60 * place, high - 12), fill=(120, 120, 200))
    factor = min(wide / picture.width, (high - 32 - 40) / picture.height)
    shown = scaled(picture, factor)
    screen.paste(shown, ((wide - shown.width) // 2, 32 + (high - 72 - shown.height) // 2))
    return screen


def _as(change: Change, quality: int = 90) -> Edit:
    return lambda picture, rng: jpeg(change(picture, rng), quality)


def _turn(way: Image.Transpose) -> Edit:
    return _as(lambda picture, _: picture.transpose(way))


def _enhanced(kind: type, factor: float) -> Edit:
    return _as(lambda picture, _: kind(picture).enhance(factor))


BLACK, WHITE, RED = (0, 0, 0), (255, 255, 255), (170, 20, 30)

EDITS: dict[str, Edit] = {
    "identity, PNG": lambda picture, _: png(picture),
    "jpeg q90": lambda picture, _: jpeg(picture, 90),
    "jpeg q50": lambda picture, _: jpeg(picture, 50),
    "jpeg q20": lambda picture, _: jpeg(picture, 20),
    "jpeg q8": lambda picture, _: jpeg(picture, 8),
    "webp q80": lambda picture, _: webp(picture, 80),
    "heic q50": lambda picture, _: heic(picture, 50),
    "resize 1/2": _as(lambda picture, _: scaled(picture, 0.5)),
    "resize 1/4": _as(lambda picture, _: scaled(picture, 0.25)),
    "thumbnail 160 q80": _as(lambda picture, _: thumbnail(picture, 160), 80),
    "thumbnail 96 q80": _as(lambda picture, _: thumbnail(picture, 96), 80),
    "stretch to square": _as(lambda picture, _: picture.resize((480, 480), Image.Resampling.LANCZOS)),
    "greyscale": _as(lambda picture, _: picture.convert("L")),
    "brightness x1.4": _enhanced(ImageEnhance.Brightness, 1.4),
    "brightness x0.6": _enhanced(ImageEnhance.Brightness, 0.6),
    "contrast x1.5": _enhanced(ImageEnhance.Contrast, 1.5),
    "contrast x0.6": _enhanced(ImageEnhance.Contrast, 0.6),
    "gamma 0.5": _as(lambda picture, _: gamma(picture, 0.5)),
    "gamma 2": _as(lambda picture, _: gamma(picture, 2.0)),
    "invert": _as(lambda picture, _: ImageOps.invert(picture)),
    "hist equalise": _as(lambda picture, _: ImageOps.equalize(picture)),
    "saturation x2": _enhanced(ImageEnhance.Color, 2.0),
    "blur s1": _as(lambda picture, _: picture.filter(ImageFilter.GaussianBlur(1))),
    "blur s3": _as(lambda picture, _: picture.filter(ImageFilter.GaussianBlur(3))),
    "blur s8": _as(lambda picture, _: picture.filter(ImageFilter.GaussianBlur(8))),
    "sharpen": _as(lambda picture, _: picture.filter(ImageFilter.UnsharpMask(3, 200, 2))),
    "noise s10": _as(lambda picture, rng: noise(picture, 10, rng)),
    "noise s25": _as(lambda picture, rng: noise(picture, 25, rng)),
    "caption text": _as(caption),
    "caption bar 12%": _as(caption_bar),
    "tiled watermark": _as(watermark),
    "opaque logo 22%": _as(logo),
    "border 2% black": _as(lambda picture, _: border(picture, 0.02, BLACK)),
    "border 5% black": _as(lambda picture, _: border(picture, 0.05, BLACK)),
    "border 5% white": _as(lambda picture, _: border(picture, 0.05, WHITE)),
    "border 5% red": _as(lambda picture, _: border(picture, 0.05, RED)),
    "letterbox bars 15%": _as(lambda picture, _: bars(picture, 0.15, BLACK, upright=False)),
    "side bars 25%": _as(lambda picture, _: bars(picture, 0.25, BLACK, upright=True)),
    "white bars 15%": _as(lambda picture, _: bars(picture, 0.15, WHITE, upright=False)),
    "crop 2%": _as(lambda picture, _: cropped(picture, 0.02, 0.02, 0.02, 0.02)),
    "crop 5%": _as(lambda picture, _: cropped(picture, 0.05, 0.05, 0.05, 0.05)),
    "crop 10%": _as(lambda picture, _: cropped(picture, 0.1, 0.1, 0.1, 0.1)),
    "crop 20%": _as(lambda picture, _: cropped(picture, 0.2, 0.2, 0.2, 0.2)),
    "crop 10% one side": _as(lambda picture, _: cropped(picture, 0.1, 0, 0, 0)),
    "rotate 1": _as(lambda picture, _: rotated(picture, 1)),
    "rotate 2": _as(lambda picture, _: rotated(picture, 2)),
    "rotate 5": _as(lambda picture, _: rotated(picture, 5)),
    "rotate 2 + cut": _as(lambda picture, _: rotated_cut(picture, 2)),
    "rotate 90": _turn(Image.Transpose.ROTATE_90),
    "rotate 180": _turn(Image.Transpose.ROTATE_180),
    "rotate 270": _turn(Image.Transpose.ROTATE_270),
    "mirror": _turn(Image.Transpose.FLIP_LEFT_RIGHT),
    "upside down": _turn(Image.Transpose.FLIP_TOP_BOTTOM),
    "mirror + 1/2 + q50": _as(lambda picture, _: scaled(ImageOps.mirror(picture), 0.5), 50),
    "social: crop 5% + 1/2 + q50": _as(lambda picture, _: scaled(cropped(picture, 0.05, 0.05, 0.05, 0.05), 0.5), 50),
    "phone screenshot, gallery": lambda picture, rng: png(telephone(picture, rng, kind="gallery")),
    "phone screenshot, gallery, q70": _as(lambda picture, rng: telephone(picture, rng, kind="gallery"), 70),
    "phone screenshot, chat": lambda picture, rng: png(telephone(picture, rng, kind="chat")),
    "computer screenshot": lambda picture, rng: png(computer(picture, rng)),
    "brightness x0.3": _enhanced(ImageEnhance.Brightness, 0.3),
    "contrast x0.3": _enhanced(ImageEnhance.Contrast, 0.3),
    "brightness x0.6, mirrored": _as(lambda picture, _: ImageEnhance.Brightness(ImageOps.mirror(picture)).enhance(0.6)),
}
