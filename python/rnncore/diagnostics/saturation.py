"""How many activations stand where their function is flat."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from rnncore._check import Array, instance, within
from rnncore.layers import RNN, Recurrent
from rnncore.layers.call import Call

__all__ = ["Saturation", "saturation"]

_GATE = (0.05, 0.95)  # of a sigmoid
_TANH = (-0.95, 0.95)


class Saturation(NamedTuple):
    """Shares of the values of an activation that are saturated.

    Parameters
    ----------
    low : float
        Share below .05 of a gate, or below -.95 of a tanh.
    high : float
        Share above .95.

    Examples
    --------
    >>> import rnncore as rc
    >>> rc.diagnostics.Saturation(low=0.25, high=0.5).total
    0.75
    """

    low: float
    high: float

    @property
    def total(self) -> float:
        """Share of both."""
        return self.low + self.high


def saturation(
    layer: Recurrent[Any], x: ArrayLike, state: Any = None, lengths: ArrayLike | None = None
) -> dict[str, Saturation]:
    """Return which share of the activations of a recurrent layer is saturated.

    There the derivative is small, below .05 of a sigmoid and .1 of a tanh: little gradient passes
    into the sums of the gate. A forget gate near 1 is saturated as well, and is what lets the
    gradient through the cell.

    Parameters
    ----------
    layer : RNN, GRU or LSTM
        Which activations to look at.
    x, state, lengths
        As in a call of the layer. Steps past the end of a sequence do not count.

    Returns
    -------
    saturation : dict of str to Saturation
        By the names of `trace`. "cell" of an LSTM is about its tanh; outputs of GRU and LSTM, and
        of an RNN with "relu" or "identity", are not there: they are no sigmoid or tanh.

    Raises
    ------
    TypeError, ValueError
        If an argument does not fit, or there is no step.

    Examples
    --------
    >>> import numpy as np, rnncore as rc
    >>> gru = rc.GRU(3, 8, rng=0)
    >>> shares = rc.diagnostics.saturation(gru, np.zeros((5, 2, 3), np.float32))
    >>> shares["update_gate_l0"]
    Saturation(low=0.0, high=0.0)
    """
    instance("layer", layer, Recurrent)
    call, steps, ends = Call.of(layer, x, lengths)
    shape = steps.shape[:2]
    real = within(np.full(shape[1], shape[0]) if ends is None else ends, shape)
    if not real.any():
        raise ValueError("x: expected at least one step, got none")
    shares = {}
    for name, array in layer.trace(x, state, lengths).items():
        borders = _borders(layer, name)
        if borders is not None:
            values = call.steps(array)[real]
            shares[name] = _shares(
                np.tanh(values) if name.startswith("cell_l") else values, borders
            )
    return shares


def _borders(layer: Recurrent[Any], name: str) -> tuple[float, float] | None:
    """Return between which values an activation is not saturated; None where it never is."""
    if name.startswith("hidden"):
        nonlinearity = layer.nonlinearity if isinstance(layer, RNN) else None
        return {"tanh": _TANH, "sigmoid": _GATE}.get(str(nonlinearity))
    return _GATE if "_gate_" in name else _TANH


def _shares(values: Array, borders: tuple[float, float]) -> Saturation:
    low, high = borders
    return Saturation(float(np.mean(values < low)), float(np.mean(values > high)))
