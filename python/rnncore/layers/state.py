"""States as callers see them: one array h, or the tuple (h, c)."""

from __future__ import annotations

from typing import Any, TypeVar

import numpy as np

from rnncore._check import Array, check_shape, describe, floats

State = TypeVar("State")


def state_parts(name: str, state: object, names: tuple[str, ...]) -> dict[str, object]:
    """Return description -> array for each array of a state h or (h, c).

    Raises
    ------
    TypeError
        If the state is that of another cell: a tuple where one array is expected, or the reverse.
    """
    if len(names) == 1:
        if isinstance(state, tuple | list):
            raise TypeError(f"{name}: expected one array {names[0]}, got {describe(state)}")
        return {name: state}
    if not isinstance(state, tuple | list) or len(state) != len(names):
        raise TypeError(f"{name}: expected a tuple ({', '.join(names)}), got {describe(state)}")
    return {f"{name} ({part})": array for part, array in zip(names, state, strict=True)}


def state_arrays(
    name: str,
    state: object,
    names: tuple[str, ...],
    dtype: np.dtype[Any],
    shape: tuple[int, int, int],
    *,
    batched: bool = True,
) -> tuple[Array, ...]:
    """Return the arrays of a state as the kernel takes them: of `shape`, [L*D,B,H].

    Where B is 1, a state may have this dimension or not, independently of the call's other arrays.
    `batched` says which of the two shapes errors name.
    """
    rows, batch, hidden = shape
    arrays = []
    for part, value in state_parts(name, state, names).items():
        array = floats(part, value, dtype)
        if batch == 1 and array.shape == (rows, hidden):
            array = array[:, np.newaxis]
        if array.shape != shape:
            check_shape(part, array, shape if batched else (rows, hidden))
        arrays.append(array)
    return tuple(arrays)


def pack_state(arrays: tuple[Array, ...]) -> Any:
    """Return one array as itself, several as a tuple."""
    return arrays[0] if len(arrays) == 1 else arrays
