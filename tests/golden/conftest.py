"""Real images for the golden tests: unpacked once, and where to find Debian's samples."""

from __future__ import annotations

import importlib.util
import os
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import pytest

GOLDEN = Path(__file__).resolve().parent


@pytest.fixture(scope="session")
def oracle() -> ModuleType:
    """The script that made the expected values: its table of images and how to unpack them."""
    specification = importlib.util.spec_from_file_location("golden_make_expected", GOLDEN / "make_expected.py")
    assert specification is not None
    assert specification.loader is not None
    module = importlib.util.module_from_spec(specification)
    specification.loader.exec_module(module)
    return module


@pytest.fixture(scope="session")
def forensics_samples() -> Path:
    """The folder of Debian's forensics-samples packages; tests that need it skip where it is not."""
    folder = Path(os.environ.get("CAID_TRIAGE_FORENSICS_SAMPLES", "/usr/share/forensics-samples"))
    if not (folder / "original-files").is_dir():
        pytest.skip("Debian's forensics-samples-files is not installed, nor is CAID_TRIAGE_FORENSICS_SAMPLES set")
    return folder


@pytest.fixture(scope="session")
def golden_image(
    oracle: ModuleType, tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest
) -> Callable[[str], Path]:
    """A function from a case's name to its image, unpacked; it skips the test where the image is not at hand."""
    ready: dict[str, Path] = {}

    def image(name: str) -> Path:
        if name not in ready:
            if name in oracle.DEBIAN:
                file, member, _ = oracle.DEBIAN[name]
                source = request.getfixturevalue("forensics_samples") / file
                if not source.exists():
                    pytest.skip(f"Debian's package with {file} is not installed")
            else:
                file, member, _ = oracle.CASES[name]
                source = request.getfixturevalue("shared") / "images" / file
            ready[name] = oracle.unpack(source, member, tmp_path_factory.mktemp("image"))
        return ready[name]

    return image
