"""The curves of benchmarks/robustness.py as one SVG, drawn without a plotting library."""

from __future__ import annotations

from math import log10
from typing import Any

# What is drawn of the left half: groups of edits, with a colour each.
GROUPS: dict[str, tuple[str, tuple[str, ...]]] = {
    "re-encoding, resizing, colour": (
        "#1b6ca8",
        ("jpeg q20", "webp q80", "resize 1/2", "thumbnail 96 q80", "greyscale", "gamma 2", "blur s3", "noise s25"),
    ),
    "mirror, turns by 90": ("#2a9d5c", ("rotate 90", "rotate 180", "rotate 270", "mirror", "upside down")),
    "borders and bars": (
        "#c77d0a",
        (
            "border 5% black",
            "border 5% white",
            "border 5% red",
            "letterbox bars 15%",
            "side bars 25%",
            "white bars 15%",
        ),
    ),
    "screenshots": (
        "#8a4fbf",
        (
            "phone screenshot, gallery",
            "phone screenshot, gallery, q70",
            "phone screenshot, chat",
            "computer screenshot",
        ),
    ),
    "text, logo, watermark": ("#555555", ("caption text", "caption bar 12%", "tiled watermark", "opaque logo 22%")),
    "crop 5%, turned by 1 to 2": (
        "#b3123e",
        ("crop 5%", "rotate 1", "rotate 2", "rotate 2 + cut", "social: crop 5% + 1/2 + q50"),
    ),
    "crop 10%, turned by 5": ("#e58fa5", ("crop 10%", "crop 10% one side", "rotate 5")),
}
WIDE, HIGH, LEFT, TOP, MOST = 520, 300, 56, 34, 97
GAP = 240


def plot(report: dict[str, Any]) -> str:
    """An SVG: recall by threshold on the left, false pairs by threshold on the right, for PDQ with all looks."""
    marks: list[str] = []
    by_distance = report["recall_percent_by_distance"]["pdq"]
    for place, (name, (colour, edits)) in enumerate(GROUPS.items()):
        points = [
            (int(d), sum(of[edit] for edit in edits) / len(edits)) for d, of in by_distance.items() if int(d) <= MOST
        ]
        path = " ".join(f"{_x(d):.1f},{TOP + HIGH * (1 - value / 100):.1f}" for d, value in points)
        marks.append(f'<polyline points="{path}" fill="none" stroke="{colour}" stroke-width="2"/>')
        marks.append(_text(LEFT + WIDE + 12, TOP + 12 + 18 * place, name, colour))
    marks += [_grid(LEFT, TOP + HIGH * (1 - level / 100), f"{level}%") for level in range(0, 101, 20)]
    right = LEFT + WIDE + GAP
    least, most = -8.0, 0.0
    for place, (name, way, colour) in enumerate(
        (("all looks, eight ways up", "pdq", "#b3123e"), ("stored pixels only", "pdq upright", "#1b6ca8"))
    ):
        within, total = report["pairs_within"][way], report["pairs"]
        points = [(d, log10(count / total)) for d, count in enumerate(within) if count and d <= MOST + 20]
        path = " ".join(
            f"{_x(d, right, MOST + 20):.1f},{TOP + HIGH * (1 - (value - least) / (most - least)):.1f}"
            for d, value in points
        )
        marks.append(f'<polyline points="{path}" fill="none" stroke="{colour}" stroke-width="2"/>')
        marks.append(_text(right + 12, TOP + 14 + 18 * place, name, colour))
    marks += [
        _grid(right, TOP + HIGH * (1 - (power - least) / (most - least)), f"1e{power}" if power else "1")
        for power in range(-8, 1, 2)
    ]
    for start, widest in ((LEFT, MOST), (right, MOST + 20)):
        marks += [
            _text(_x(d, start, widest), TOP + HIGH + 16, str(d), "#333333", "middle") for d in range(0, widest, 20)
        ]
        for d, label in ((31, "31"), (report["limit_at_1_in_1e6"]["pdq"], "1e-6")):
            x = _x(d, start, widest)
            marks.append(
                f'<line x1="{x:.1f}" y1="{TOP}" x2="{x:.1f}" y2="{TOP + HIGH}" stroke="#888" stroke-dasharray="4 3"/>'
            )
            marks.append(_text(x, TOP - 4, label, "#555555", "middle"))
    marks.append(_text(LEFT + WIDE / 2, TOP + HIGH + 34, "PDQ distance in bits", "#333333", "middle"))
    marks.append(_text(right + WIDE / 2, TOP + HIGH + 34, "PDQ distance in bits", "#333333", "middle"))
    marks.append(_text(LEFT, 14, "Found again within the distance", "#111111"))
    marks.append(_text(right, 14, "Different pictures within the distance, share of pairs", "#111111"))
    width, height = right + WIDE + 20, TOP + HIGH + 46
    head = f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}" height="{height}"'
    return f'{head} font-family="sans-serif" font-size="12"><rect width="100%" height="100%" fill="#fff"/>' + (
        "\n".join(["", *marks, "</svg>", ""])
    )


def _x(distance: float, left: float = LEFT, most: float = MOST) -> float:
    return left + WIDE * distance / most


def _text(x: float, y: float, words: str, colour: str, anchor: str = "start") -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}" fill="{colour}" text-anchor="{anchor}">{words}</text>'


def _grid(left: float, y: float, label: str) -> str:
    line = f'<line x1="{left}" y1="{y:.1f}" x2="{left + WIDE}" y2="{y:.1f}" stroke="#ddd"/>'
    return line + _text(left - 6, y + 4, label, "#333333", "end")
