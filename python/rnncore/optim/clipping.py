"""Norm of gradients, and clipping for use without an optimizer's own."""

from __future__ import annotations

import math

import numpy as np

from rnncore import _core
from rnncore._check import Array, real
from rnncore.layers.module import Module, require_parameters

# Below this sum, squares that a double cannot hold may have been lost.
_LEAST_SUM = 1e-290


def norm_of(x: Array) -> float:
    """Return the Euclidean norm of x [P], also where its squares fit in no double."""
    squared = _core.squared_norm(x)
    if _LEAST_SUM < squared < math.inf or x.itemsize == 4:
        return math.sqrt(squared)
    largest = float(np.abs(x).max(initial=0))
    if largest == 0 or not math.isfinite(largest):
        return largest
    return largest * math.sqrt(_core.squared_norm(x / largest))


def scale_down(x: Array, norm: float, limit: float) -> None:
    """Scale x [P] of a finite norm above `limit` down to that norm, in place."""
    factor = limit / norm
    if factor >= np.finfo(x.dtype).tiny:
        _core.scale(x, factor)
        return
    root = math.sqrt(limit) / math.sqrt(norm)  # kernels take the subnormal factor for 0
    _core.scale(x, root)
    _core.scale(x, root)


def clip_grad_norm(module: Module, max_norm: float) -> float:
    """Scale all gradients down so that their Euclidean norm is at most `max_norm`.

    Pascanu, Mikolov & Bengio, On the difficulty of training recurrent neural networks, 2013. A norm
    that is infinite or not a number leaves the gradients as they are.

    Parameters
    ----------
    module : layer or model
        Whose `grads` to clip.
    max_norm : float
        Limit, above 0.

    Returns
    -------
    norm : float
        The norm before clipping.
    """
    require_parameters("module", module)
    limit = real("max_norm", max_norm, 0, open_low=True)
    norm = norm_of(module.flat_grads)
    if math.isfinite(norm) and norm > limit:
        scale_down(module.flat_grads, norm, limit)
    return norm


def clip_grad_value(module: Module, max_value: float) -> None:
    """Cut each gradient to [-max_value, max_value].

    Parameters
    ----------
    module : layer or model
        Whose `grads` to clip.
    max_value : float
        Limit, above 0.
    """
    require_parameters("module", module)
    _core.clip(module.flat_grads, real("max_value", max_value, 0, open_low=True))
