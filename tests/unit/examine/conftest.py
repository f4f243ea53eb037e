"""Small pictures made here, and the ways to damage them."""

from __future__ import annotations

import io
from collections.abc import Callable

import numpy as np
import pytest
from PIL import Image

from caid_triage.examine.examine import Examiner
from caid_triage.examine.limits import Limits
from caid_triage.model import Examination

Make = Callable[..., bytes]


def scene(width: int = 320, height: int = 240, seed: int = 1) -> np.ndarray:
    """Return uint8[h,w,3]: soft coloured shapes with some grain, as a photograph has."""
    rng = np.random.default_rng(seed)
    coarse = rng.integers(0, 256, (7, 9, 3), dtype=np.uint8)
    smooth = np.asarray(Image.fromarray(coarse).resize((width, height), Image.Resampling.BICUBIC), dtype=np.int16)
    grain = rng.integers(-6, 7, smooth.shape, dtype=np.int16)
    return np.clip(smooth + grain, 0, 255).astype(np.uint8)


@pytest.fixture
def picture() -> Callable[..., np.ndarray]:
    return scene


@pytest.fixture
def encoded() -> Make:
    """Return a function: bytes of the scene in a format, e.g. ``encoded("JPEG", mode="L", quality=80)``."""

    def make(
        form: str, mode: str = "RGB", size: tuple[int, int] = (320, 240), seed: int = 1, **options: object
    ) -> bytes:
        image = Image.fromarray(scene(*size, seed=seed)).convert(mode)
        stream = io.BytesIO()
        image.save(stream, form, **options)
        return stream.getvalue()

    return make


@pytest.fixture
def examined() -> Callable[..., Examination]:
    """Return a function that examines bytes, in pieces of ``step``."""

    def examine(data: bytes, step: int = 1 << 20, limits: Limits | None = None) -> Examination:
        run = Examiner(limits).begin("", len(data))
        for start in range(0, len(data), step):
            run.update(data[start : start + step])
        return run.finish()

    return examine
