"""Vectors that a language model reads with a sequence, beside each of its tokens."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from rnncore import _core
from rnncore._check import Array, Ids, as_array, check_shape, describe
from rnncore._narrow import narrowed, widened
from rnncore.layers import Recurrent

__all__ = ["as_stored", "context_rows", "context_vector", "folded", "one_hot", "with_contexts"]


def context_rows(
    name: str, value: Any, size: int | None, dtype: np.dtype[Any], count: int | None = None
) -> Array | None:
    """Return contexts [count,C] in a dtype, checked; None for a model that reads none.

    Raises
    ------
    TypeError, ValueError
        If they are missing or not wanted, have another shape, or are not finite numbers.
    """
    if size is None:
        if value is not None:
            raise ValueError(
                f"{name}: expected None for a model without context_size, got {describe(value)}"
            )
        return None
    rows = "B" if count is None else count
    if value is None:
        raise ValueError(
            f"{name}: expected an array of shape [{rows}, {size}] for a model with context_size = "
            f"{size}, got None"
        )
    array = as_array(name, value)
    if array.dtype.kind not in "fiub":
        raise TypeError(f"{name}: expected numbers, got {describe(value)}")
    check_shape(name, array, (rows, size))
    with np.errstate(over="ignore"):
        converted = array.astype(dtype, copy=False)
    if not np.isfinite(converted).all():
        at = np.argwhere(~np.isfinite(converted))[0].tolist()
        raise ValueError(
            f"{name}: expected finite numbers of {dtype}, got {array[tuple(at)]} at {at}"
        )
    return converted


def context_vector(name: str, value: Any, size: int | None, dtype: np.dtype[Any]) -> Array | None:
    """Return one context [C] of a model, checked as `context_rows`."""
    if value is None and size is not None:
        raise ValueError(
            f"{name}: expected an array of shape [{size}] for a model with context_size = {size}, "
            "got None"
        )
    if value is not None:
        array = as_array(name, value)
        if size is not None:
            check_shape(name, array, (size,))
        value = array[np.newaxis]
    rows = context_rows(name, value, size, dtype, 1)
    return None if rows is None else rows[0]


def one_hot(ids: Ids, vocab_size: int, dtype: np.dtype[Any]) -> Array:
    """Return ids [...] as vectors [...,V]."""
    vectors = np.zeros((*ids.shape, vocab_size), dtype)
    np.put_along_axis(vectors, ids[..., np.newaxis].astype(np.int64), 1, axis=-1)
    return vectors


def with_contexts(given: Any, inputs: Ids, size: int, dtype: np.dtype[Any]) -> NDArray[Any]:
    """Return the contexts of a batch for each of its steps: [T,B,C] for inputs [T,B], or [T,C].

    `given` are contexts [B,C]; for one sequence [T] also [C].
    """
    batched = inputs.ndim > 1
    if not batched and given is not None and np.ndim(given) == 1:
        given = np.asarray(given)[np.newaxis]
    count = inputs.shape[1] if batched else 1
    rows = context_rows("contexts", given, size, dtype, count)
    assert rows is not None
    return np.broadcast_to(rows if batched else rows[0], (*inputs.shape, size))


def as_stored(matrix: Array, weight_format: str) -> Array:
    """Return the numbers that a file of a format holds for a matrix."""
    if weight_format == "full":
        return matrix
    return widened(narrowed({"weight": matrix}, weight_format), weight_format)["weight"]


def folded(layer: Recurrent[Any], context: Array, storage: str) -> tuple[_core.Network, Array]:
    """Return network and parameters of layers that read one context, without reading it.

    The context's part of the sums of the first layer is the same in every step: it is added to the
    bias, ``b' = b + W_context c``. What is left reads tokens alone.
    """
    width = layer.input_size - len(context)
    config = {**layer.config(), "bias": True, "rng": 0}
    config["input_size"] = width
    alone = type(layer)(**config)
    weight = as_stored(layer.params["weight_ih_l0"], storage)  # whole rows, as a file holds them
    for name, own in alone.params.items():
        if name == "weight_ih_l0":
            own[:] = weight[:, :width]
        else:
            own[:] = layer.params.get(name, 0)
    alone.params["bias_ih_l0"] += weight[:, width:] @ context
    return alone.network, alone.flat_params
