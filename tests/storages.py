"""How streams and samplers may store weights, and the numbers that a stored matrix stands for."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from rnncore import _narrow

#: The kernel's names.
FORMS = ("full", *_narrow.NARROW)


def as_stored(matrix: NDArray[Any], form: str) -> NDArray[np.float64]:
    """In float64, as files hold them."""
    if form == "full":
        return matrix.astype(np.float64)
    arrays = _narrow.narrowed({"w": matrix}, form)
    return _narrow.widened(arrays, form)["w"].astype(np.float64)
