"""Fixtures that every test may use."""

from __future__ import annotations

from pathlib import Path

import pytest

PROJECT = Path(__file__).resolve().parents[1]


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder of real test material beside the project; tests that need it skip where it is not."""
    folder = PROJECT.parent / "shared"
    if not (folder / "images" / "INDEX.tsv").exists():
        pytest.skip("the folder of real test material (../shared) is not beside the project")
    return folder
