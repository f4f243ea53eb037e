"""The cosine transform is SciPy's own, to the last bit, and imagehash is asked where it cannot be had alone."""

from __future__ import annotations

import json
import subprocess
import sys

import imagehash
import numpy as np
import pytest
import scipy.fftpack
from PIL import Image

from caid_triage.examine import phash as phash_module
from caid_triage.examine.cosine import cosine_transform
from caid_triage.examine.phash import phash, phash_of_tiny, tiny


def greys(kind: str, seed: int) -> np.ndarray:
    """32x32 grey levels: noise, or such whose coefficients tie at the median but for rounding."""
    random = np.random.default_rng(seed)
    noise = random.integers(0, 256, (32, 32), dtype=np.uint8)
    if kind == "mirrored":
        return np.where(np.arange(32)[:, None] < 16, noise, noise[::-1])
    if kind == "columns":
        return np.broadcast_to(noise[:1], (32, 32)).copy()
    if kind == "flat":
        return np.full((32, 32), noise[0, 0])
    return noise


@pytest.mark.parametrize("kind", ["noise", "mirrored", "columns", "flat"])
def test_it_equals_scipys_to_the_last_bit(kind: str) -> None:
    transform = cosine_transform()
    assert transform is not None, "this SciPy keeps it elsewhere: every worker now starts a tenth of a second later"
    for seed in range(300):
        pixels = greys(kind, seed)
        expected = scipy.fftpack.dct(scipy.fftpack.dct(pixels, axis=0), axis=1)
        assert np.array_equal(transform(pixels.astype(np.float64)), expected)
        image = Image.fromarray(pixels)
        assert phash_of_tiny(tiny(pixels)).hex() == str(imagehash.phash(image))


def test_without_it_imagehash_is_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    pixels = np.random.default_rng(5).integers(0, 256, (300, 200, 3), dtype=np.uint8)
    expected = phash(pixels)
    monkeypatch.setattr(phash_module, "cosine_transform", lambda: None)
    assert phash(pixels) == expected
    assert expected.hex() == str(imagehash.phash(Image.fromarray(pixels)))


def test_a_worker_gets_ready_without_the_rest_of_scipy_and_without_rare_decoders() -> None:
    script = (
        "import json, sys, caid_triage.scan.worker\n"
        "from caid_triage.examine.examine import prepare_pictures\n"
        "prepare_pictures()\n"
        "print(json.dumps(sorted(sys.modules)))\n"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=120, check=True)
    modules = set(json.loads(done.stdout))
    assert {"cv2", "numpy"} <= modules
    assert not modules & {
        "scipy.fftpack",
        "scipy.fft",
        "scipy.special",
        "pywt",
        "av",
        "pillow_heif",
        "rawpy",
        "sqlite3",
    }
