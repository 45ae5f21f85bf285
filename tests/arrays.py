"""Small arrays and states for the tests of layers, losses and optimizers."""

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]


def inputs(*shape: int, dtype: Any = np.float32, seed: int = 1) -> Array:
    """Normal numbers, the same at every call."""
    return np.random.default_rng(seed).standard_normal(shape).astype(dtype)


def map_state(function: Callable[[Array], Array], state: Any) -> Any:
    """The public state with `function` applied to each array."""
    return tuple(map(function, state)) if isinstance(state, tuple) else function(state)
