"""Clipping of gradients, for use without an optimiser's own."""

from __future__ import annotations

import math

from rnncore import _core
from rnncore._check import instance, real
from rnncore.layers import Module


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
    instance("module", module, Module)
    limit = real("max_norm", max_norm, 0, open_low=True)
    norm = math.sqrt(_core.squared_norm(module.flat_grads))
    if math.isfinite(norm) and norm > limit:
        _core.scale(module.flat_grads, limit / norm)
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
    instance("module", module, Module)
    _core.clip(module.flat_grads, real("max_value", max_value, 0, open_low=True))
