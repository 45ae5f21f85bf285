"""Numerical derivatives in double precision, for the gradient tests."""

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]
STEP = 1e-5
# Central differences in double: truncation STEP^2 = 1e-10, rounding eps/STEP = 2e-11, times a few
# terms.
LIMIT = 1e-8


def finite_difference(loss: Callable[[], float], values: Array) -> Array:
    """Gradient of `loss` with respect to `values`, which are shifted in place."""
    gradient = np.zeros(values.shape)
    for index in np.ndindex(values.shape):
        kept = values[index]
        values[index] = kept + STEP
        above = loss()
        values[index] = kept - STEP
        below = loss()
        values[index] = kept
        gradient[index] = (above - below) / (2 * STEP)
    return gradient


def assert_gradient(loss: Callable[[], float], values: Array, gradient: Array, name: str) -> None:
    """`gradient` is the derivative of `loss` with respect to `values`."""
    assert gradient.shape == values.shape
    numerical = finite_difference(loss, values)
    error = np.max(np.abs(gradient - numerical), initial=0.0)
    size = np.max(np.abs(numerical), initial=0.0)
    assert error <= LIMIT * max(1.0, size), (
        f"gradient of {name}: error {error}, largest value {size}"
    )
