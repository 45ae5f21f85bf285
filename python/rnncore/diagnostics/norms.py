"""Sizes of parameters, gradients and recurrent matrices, by layer."""

from __future__ import annotations

import math
import re
from typing import Any, NamedTuple

import numpy as np

from rnncore._check import Array, instance
from rnncore.layers import Module, Recurrent
from rnncore.layers.module import require_parameters
from rnncore.layers.trace import suffixes

__all__ = ["Norms", "norms", "spectral_radius"]


class Norms(NamedTuple):
    """Euclidean norms of a layer.

    Parameters
    ----------
    parameters : float
        Norm of all its parameters.
    gradients : float
        Norm of their gradients, as they stand in `grads`.

    Examples
    --------
    >>> import rnncore as rc
    >>> linear = rc.Linear(3, 2, rng=0)
    >>> rc.diagnostics.norms(linear)["Linear"].gradients
    0.0
    """

    parameters: float
    gradients: float


def norms(module: Module) -> dict[str, Norms]:
    """Return the norms of parameters and gradients of every layer of a module.

    Each layer of a stack, and each of its directions, stands by itself: "rnn.l0", "rnn.l1".

    Parameters
    ----------
    module : layer or model
        Whose `params` and `grads` to measure.

    Returns
    -------
    norms : dict of str to Norms
        By name of the layer, in the order of the parameters.

    Raises
    ------
    TypeError, ValueError
        If `module` is no layer or model, or has no parameters.

    Examples
    --------
    >>> import rnncore as rc
    >>> model = rc.LanguageModel(vocab_size=10, hidden_size=8, num_layers=2, rng=0)
    >>> list(rc.diagnostics.norms(model))
    ['rnn.l0', 'rnn.l1', 'output']
    """
    require_parameters("module", module)
    grouped: dict[str, list[str]] = {}
    for name in module.params:
        grouped.setdefault(_layer_of(name) or type(module).__name__, []).append(name)
    return {
        layer: Norms(
            math.hypot(*(_norm(module.params[name]) for name in names)),
            math.hypot(*(_norm(module.grads[name]) for name in names)),
        )
        for layer, names in grouped.items()
    }


def spectral_radius(layer: Recurrent[Any]) -> dict[str, float]:
    """Return the largest absolute eigenvalue of each recurrent matrix [H,H] of a layer.

    Near a state that does not change, an RNN with the identity as nonlinearity multiplies gradients
    by the radius at every step back: they vanish below 1, and may explode above.

    Parameters
    ----------
    layer : RNN, GRU or LSTM
        Whose ``weight_hh`` to look at; those of the gates one by one.

    Returns
    -------
    radii : dict of str to float
        By the names of `trace`: "hidden_l0" of an RNN, "forget_gate_l0" and so on of the others.

    Raises
    ------
    TypeError
        If `layer` is no recurrent layer.

    Examples
    --------
    >>> import rnncore as rc
    >>> rnn = rc.RNN(3, 8, rng=0)
    >>> rc.init.identity(rnn, 0.5)
    >>> rc.diagnostics.spectral_radius(rnn)
    {'hidden_l0': 0.5}
    """
    instance("layer", layer, Recurrent)
    gates = layer.network.gates or ["hidden"]
    radii = {}
    for suffix in suffixes(layer):
        matrices = np.split(layer.params[f"weight_hh_{suffix}"].astype(np.float64), len(gates))
        for gate, matrix in zip(gates, matrices, strict=True):
            radii[f"{gate}_{suffix}"] = float(np.abs(np.linalg.eigvals(matrix)).max())
    return radii


def _layer_of(name: str) -> str:
    """Name of the layer that a parameter belongs to; empty where it is the module itself."""
    outer, _, own = name.rpartition(".")
    stacked = re.fullmatch(r"(?:weight|bias)_(?:ih|hh)_(l\d+(?:_reverse)?)", own)
    return ".".join(part for part in (outer, stacked[1] if stacked else "") if part)


def _norm(array: Array) -> float:
    return float(np.linalg.norm(array.astype(np.float64)))
