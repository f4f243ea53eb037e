"""The cosine transform that imagehash takes its pHash of, without what it takes to import it.

imagehash calls ``scipy.fftpack.dct``, whose import costs each worker more than all its decoders together: it brings
SciPy's special functions and NumPy's test tools with it. The transform itself is one compiled module of SciPy's, which
needs none of that. It is the same code on the same numbers, so the coefficients are equal to the last bit (tested);
where it is not found as expected, imagehash is asked itself.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from functools import lru_cache
from importlib.machinery import EXTENSION_SUFFIXES
from importlib.util import find_spec, module_from_spec, spec_from_file_location
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

Numbers = NDArray[np.float64]

_MODULE = "scipy.fft._pocketfft.pypocketfft"


@lru_cache(maxsize=1)
def cosine_transform() -> Callable[[Numbers], Numbers] | None:
    """Return the function from float64[h, w] to its DCT of type 2 along both axes, None where SciPy keeps it elsewhere.

    It equals ``scipy.fftpack.dct(scipy.fftpack.dct(x, axis=0), axis=1)`` bit for bit.
    """
    module = _compiled_module()
    dct = getattr(module, "dct", None)
    if dct is None:
        return None

    def transform(numbers: Numbers) -> Numbers:
        down = dct(numbers, 2, (0,), 0, None, 1, None)
        found: Numbers = dct(down, 2, (1,), 0, None, 1, None)
        return found

    try:
        known = transform(np.eye(2))
    except TypeError:  # another SciPy, with other arguments
        return None
    return transform if np.allclose(known, [[8.0, 0.0], [0.0, 4.0]]) else None


def _compiled_module() -> Any:
    """Return SciPy's compiled transforms, None where they are not in their place."""
    if _MODULE in sys.modules:
        return sys.modules[_MODULE]
    package = find_spec("scipy")
    for folder in (package and package.submodule_search_locations) or ():
        for suffix in EXTENSION_SUFFIXES:
            path = Path(folder, *_MODULE.split(".")[1:-1], "pypocketfft" + suffix)
            spec = spec_from_file_location(_MODULE, path) if path.is_file() else None
            if spec is None or spec.loader is None:
                continue
            try:
                module = module_from_spec(spec)
                spec.loader.exec_module(module)
            except ImportError:  # e.g. a library beside it that SciPy's own start would have made known
                continue
            return module
    return None
