"""Losses: the value and, in the same pass, its gradient.

Losses are summed in double precision. "mean" divides by the number of targets that count, and is 0
if none does. With "none" the gradient is that of the sum.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from rnncore import _core
from rnncore._advice import advise
from rnncore._check import (
    Array,
    as_array,
    check_shape,
    choice,
    describe,
    floats,
    ids_array,
    integer,
)
from rnncore._layout import as_flat, as_rows

__all__ = ["binary_cross_entropy", "cross_entropy", "log_softmax", "mse"]

_REDUCTIONS = ("mean", "sum", "none")
_FLOATS = (np.dtype(np.float32), np.dtype(np.float64))


def cross_entropy(
    logits: ArrayLike, targets: ArrayLike, *, ignore_index: int = -100, reduction: str = "mean"
) -> tuple[Any, Array]:
    r"""Cross-entropy of the softmax of logits.

    .. math:: \ell = \log \sum_v e^{z_v} - z_{target}, \qquad
              \partial\ell / \partial z = softmax(z) - onehot(target)

    The computation uses z - max(z), so that large logits do not overflow.

    Parameters
    ----------
    logits : array [...,V], float32 or float64
        Unnormalized log-probabilities z, the outputs of an output layer. They are not
        probabilities: the softmax is part of the loss.
    targets : integers [...]
        Class of each row, in [0, V) or `ignore_index`.
    ignore_index : int
        Rows with this target do not count: their loss and gradient are 0.
    reduction : {"mean", "sum", "none"}
        Mean over the rows that count, sum, or one loss per row.

    Returns
    -------
    loss : float, in nats; array [...] of float64 for "none"
    dlogits : array [...,V]
        Gradient of the loss, in the dtype of the logits; for "none" that of the sum.

    Raises
    ------
    TypeError
        If the logits are not float32 or float64, or the targets not integers.
    ValueError
        If the shapes do not fit, or a target is outside [0, V).
    """
    choice("reduction", reduction, _REDUCTIONS)
    scores = _floating("logits", logits)
    if scores.ndim == 0:
        raise ValueError(f"logits: expected shape [..., V], got {describe(scores)}")
    classes = ids_array("targets", targets)
    check_shape("targets", classes, scores.shape[:-1])
    if classes.size and _is_distribution(scores):
        advise(
            "logits: expected unnormalized log-probabilities, got rows that sum to 1 like "
            "probabilities; the softmax is part of the loss"
        )
    ignored = integer("ignore_index", ignore_index, -(2**63), 2**63 - 1)
    losses, gradient = _core.cross_entropy(
        as_rows("logits", scores), as_flat("targets", classes), ignored
    )
    count = int(np.count_nonzero(classes != ignored))
    return _reduce(losses.reshape(classes.shape), gradient.reshape(scores.shape), count, reduction)


def log_softmax(logits: ArrayLike) -> Array:
    r"""Log-probabilities of the softmax of logits.

    .. math:: \log p = z - \log \sum_v e^{z_v}

    Parameters
    ----------
    logits : array [...,V], float32 or float64
        Unnormalized log-probabilities z.

    Returns
    -------
    array [...,V]
        In the dtype of the logits.

    Raises
    ------
    TypeError
        If the logits are not float32 or float64.
    ValueError
        If there are no classes.

    Examples
    --------
    >>> import numpy as np, rnncore as rc
    >>> np.exp(rc.losses.log_softmax(np.zeros(4))).tolist()
    [0.25, 0.25, 0.25, 0.25]
    """
    z = _floating("logits", logits)
    if z.ndim == 0 or z.shape[-1] == 0:
        raise ValueError(f"logits: expected shape [..., V], got {describe(z)}")
    result: Array = z - z.max(axis=-1, keepdims=True)
    result -= np.log(np.exp(result).sum(axis=-1, keepdims=True))
    return result


def mse(prediction: ArrayLike, target: ArrayLike, *, reduction: str = "mean") -> tuple[Any, Array]:
    r"""Squared error.

    .. math:: \ell = (p - t)^2, \qquad \partial\ell / \partial p = 2 (p - t)

    Parameters
    ----------
    prediction, target : arrays [...] of one shape and dtype, float32 or float64
    reduction : {"mean", "sum", "none"}
        Mean over all elements, sum, or one loss per element.

    Returns
    -------
    loss : float; array [...] of float64 for "none"
    dprediction : array [...]
        Gradient of the loss; for "none" that of the sum.

    Raises
    ------
    TypeError
        If the dtypes differ or are not float32 or float64.
    ValueError
        If the shapes differ; nothing is broadcast.
    """
    return _elementwise(_core.mse, ("prediction", prediction), ("target", target), reduction)


def binary_cross_entropy(
    logits: ArrayLike, targets: ArrayLike, *, reduction: str = "mean"
) -> tuple[Any, Array]:
    r"""Binary cross-entropy of the sigmoid of logits.

    .. math:: \ell = \max(z, 0) - z t + \log(1 + e^{-|z|}), \qquad
              \partial\ell / \partial z = \sigma(z) - t

    This is -t log(sigmoid(z)) - (1 - t) log(1 - sigmoid(z)), computed without overflow.

    Parameters
    ----------
    logits : array [...], float32 or float64
        Log-odds z, the outputs of an output layer. They are not probabilities: the sigmoid is part
        of the loss.
    targets : array [...] of the same shape and dtype
        Probabilities t in [0, 1].
    reduction : {"mean", "sum", "none"}
        Mean over all elements, sum, or one loss per element.

    Returns
    -------
    loss : float, in nats; array [...] of float64 for "none"
    dlogits : array [...]
        Gradient of the loss; for "none" that of the sum.

    Raises
    ------
    TypeError
        If the dtypes differ or are not float32 or float64.
    ValueError
        If the shapes differ or a target is outside [0, 1].
    """
    return _elementwise(_binary_cross_entropy, ("logits", logits), ("targets", targets), reduction)


def _binary_cross_entropy(logits: Array, targets: Array) -> tuple[Array, Array]:
    if targets.size and not (targets.min() >= 0 and targets.max() <= 1):
        raise ValueError(
            f"targets: expected probabilities in [0, 1], got {targets.min():g} to {targets.max():g}"
        )
    return _core.binary_cross_entropy(logits, targets)


def _elementwise(
    kernel: Callable[[Array, Array], tuple[Array, Array]],
    first: tuple[str, ArrayLike],
    second: tuple[str, ArrayLike],
    reduction: str,
) -> tuple[Any, Array]:
    choice("reduction", reduction, _REDUCTIONS)
    array = _floating(*first)
    other = floats(*second, array.dtype, array.shape)
    losses, gradient = kernel(as_flat(first[0], array), as_flat(second[0], other))
    shape = array.shape
    return _reduce(losses.reshape(shape), gradient.reshape(shape), array.size, reduction)


def _floating(name: str, value: ArrayLike) -> Array:
    array = as_array(name, value)
    if array.dtype not in _FLOATS:
        raise TypeError(f"{name}: expected float32 or float64, got {describe(array)}")
    return array


def _is_distribution(scores: Array) -> bool:
    """Whether the first row of [...,V] looks like the result of a softmax.

    For most logits the first numbers rule it out. A reduction would take longer than the loss of a
    few rows.
    """
    width = scores.shape[-1]
    if width < 2 or not 0 < scores.item(0) < 1 or not 0 < scores.item(1) < 1:
        return False
    if not all(0 < scores.item(v) < 1 for v in range(2, min(12, width))):
        return False
    row = scores.reshape(-1, width)[0]
    return bool(row.min() > 0 and abs(float(row.sum(dtype=np.float64)) - 1) < 1e-3)


def _reduce(losses: Array, gradient: Array, count: int, reduction: str) -> tuple[Any, Array]:
    if reduction == "none":
        return losses, gradient
    total = float(losses.sum())
    if reduction == "sum":
        return total, gradient
    _core.scale(gradient.reshape(-1), 1 / max(count, 1))
    return total / max(count, 1), gradient
