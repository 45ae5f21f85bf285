"""Weight matrices in fewer bits: the names of the forms, and the forms in files.

The kernel rounds in the same way when it packs weights, so that a model read from a file is the one
that was written: rounding its parameters again changes no bit.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from rnncore._check import Array, choice, floats

__all__ = ["NARROW", "narrowed", "storage", "widened"]

#: Forms of float32 weight matrices that take fewer bits. "int8_dynamic" is int8, in files too, with
#: another arithmetic: activations are rounded as well.
NARROW = ("bfloat16", "int8", "int8_dynamic")
_INT8 = ("int8", "int8_dynamic")
_SCALE = ".scale"


def storage(weight_format: str | None, dtype: np.dtype[np.floating]) -> str:
    """Return the kernel's name of a form of weights, checked; None is that of the parameters.

    Raises
    ------
    TypeError, ValueError
        If `weight_format` is neither the dtype of the parameters nor, for float32, in `NARROW`.
    """
    if weight_format is None:
        return "full"
    chosen = choice("weight_format", weight_format, {dtype.name, "float32", *NARROW})
    if chosen == dtype.name:
        return "full"
    if dtype != np.float32:
        raise ValueError(f"weight_format: {chosen!r} needs parameters in float32, got {dtype}")
    return chosen


def narrowed(params: Mapping[str, Array], weight_format: str) -> dict[str, Array]:
    """Return the arrays of a file: every float32 matrix of `params` in a narrow form.

    bfloat16: the upper 16 bits, as uint16. int8: integers q and, under the name with ``.scale``
    behind it, the scale of each row; the matrix is ``scale[:, None] * q``.

    Raises
    ------
    ValueError
        If a matrix is not finite.
    """
    arrays: dict[str, Array] = {}
    for name, value in params.items():
        if value.ndim != 2:
            arrays[name] = value
        elif not np.all(np.isfinite(value)):
            raise ValueError(f"{name}: expected finite numbers, which {weight_format} needs")
        elif weight_format == "bfloat16":
            arrays[name] = _to_bfloat16(value)
        else:
            arrays[name], arrays[name + _SCALE] = _to_int8(value)
    return arrays


def widened(arrays: Mapping[str, Array], weight_format: str) -> dict[str, Array]:
    """Return the float32 parameters of the arrays that `narrowed` returned; other arrays pass.

    Raises
    ------
    TypeError, ValueError
        If the scale of an array is missing, or has another dtype or shape than [rows].
    """
    params = dict(arrays)
    for name, value in arrays.items():
        if weight_format == "bfloat16" and value.dtype == np.uint16:
            params[name] = (value.astype(np.uint32) << 16).view(np.float32)
        elif weight_format in _INT8 and value.dtype == np.int8:
            scale = params.pop(name + _SCALE, None)
            scale = floats(name + _SCALE, scale, np.dtype(np.float32), value.shape[:1])
            params[name] = scale.reshape(-1, 1) * value.astype(np.float32)
    return params


def _to_bfloat16(matrix: NDArray[np.float32]) -> NDArray[np.uint16]:
    """To nearest, ties to even: half of the last bit that stays, and less where that is even."""
    bits = matrix.view(np.uint32)
    rounded: NDArray[np.uint16] = ((bits + (0x7FFF + ((bits >> 16) & 1))) >> 16).astype(np.uint16)
    return rounded


def _to_int8(matrix: NDArray[np.float32]) -> tuple[NDArray[np.int8], NDArray[np.float32]]:
    """Q in [-127, 127] and the scale of each row, max |w| / 127 rounded up to 16 bits.

    With so few bits q * scale is exact. A row whose scale would underflow is zero.
    """
    greatest = np.max(np.abs(matrix), axis=1, initial=0)
    lost = greatest < 127 * np.finfo(np.float32).tiny
    bits = (greatest / np.float32(127)).view(np.uint32)
    scale = np.where(lost, np.float32(1), ((bits + 0xFF) & 0xFFFFFF00).view(np.float32))
    return np.rint(matrix / scale[:, np.newaxis]).astype(np.int8), scale
