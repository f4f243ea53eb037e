"""docs/formats/images.md says what becomes of every real image: it is compared with what does."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from golden.images_table import DOCUMENT, OTHERS, SEGMENTS, SOURCES, row
from golden.make_expected import CASES


@pytest.mark.parametrize("name", SOURCES)
def test_the_table_says_what_becomes_of_the_image(
    name: str, golden_image: Callable[[str], Path], request: pytest.FixtureRequest
) -> None:
    if name in CASES:
        path = golden_image(name)
    else:
        path = request.getfixturevalue("shared") / "images" / name
        if not path.exists():
            pytest.skip(f"{name} is not in the folder of real images")
    assert row(name, path) in DOCUMENT.read_text(encoding="utf-8").splitlines()


def test_the_table_has_every_image_once(shared: Path) -> None:
    index = (shared / "images" / "INDEX.tsv").read_text(encoding="utf-8").splitlines()[1:]
    listed = {line.split("\t")[0] for line in index}
    assert {file for file, _ in SOURCES.values()} | set(SEGMENTS) == listed
    rows = [line for line in DOCUMENT.read_text(encoding="utf-8").splitlines() if line.startswith("| `")]
    assert len(rows) == len(set(rows)) == len(SOURCES) == len(CASES) + len(OTHERS)
