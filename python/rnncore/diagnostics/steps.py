"""All steps of a sequence as one batch of single steps."""

from __future__ import annotations

from typing import Any

import numpy as np

from rnncore._check import Array, Ids
from rnncore.layers import Recurrent

__all__ = ["SingleSteps"]

_TRACED = {"h": "hidden", "c": "cell"}


class SingleSteps:
    """A pass of one step over T*B rows: step t of row b goes on from the state before it.

    A state [L*D,T*B,H] of this pass holds the states of a layer at all times. Its backward pass
    takes a gradient by the state after each step to one by the state before it. The first step of
    a sequence does not go on from the initial state: the gradient by that is not asked for. Neither
    are the rows past the end of a sequence, which may hold anything.

    Parameters
    ----------
    layer : RNN, GRU or LSTM
        Unidirectional, or bidirectional with a single layer.
    x : array [T,B,I] or ids [T,B]
        Inputs.
    state : tuple of arrays [L*D,B,H], or None
        Initial state.
    lengths : integers [B], or None
        Steps of each sequence.

    Attributes
    ----------
    y : array [T,B,D*H]
        Outputs.
    """

    def __init__(
        self, layer: Recurrent[Any], x: Array, state: tuple[Array, ...] | None, lengths: Ids | None
    ) -> None:
        self.layer = layer
        self._params = layer.flat_params
        self._unused = np.zeros_like(self._params)  # gradients of the parameters
        _, _, cache = layer.network.forward(
            self._params, x, state, lengths, None, needs_output=False
        )
        rows = cache.trace()
        self.y = np.concatenate([row["hidden"] for row in rows[-layer.num_directions :]], axis=-1)
        after = (np.stack([row[_TRACED[name]] for row in rows]) for name in layer.state_names)
        before = tuple(self._moved(states, 1) for states in after)
        num_steps, batch = x.shape[:2]
        _, _, self._cache = layer.network.forward(
            self._params,
            np.ascontiguousarray(x).reshape(1, num_steps * batch, *x.shape[2:]),
            _as_rows(before),
            None,
            None,
            needs_output=False,
        )

    def back(self, grads: tuple[Array, ...]) -> tuple[Array, ...]:
        """Take gradients by the states after every step [L*D,T,B,H] to those by the states before.

        The result stands where the states do: element t is about the state after step t.
        """
        _, before, _ = self.layer.network.backward(
            self._params, self._unused, None, self._cache, _as_rows(grads)
        )
        return tuple(
            self._moved(array.reshape(given.shape), -1)
            for array, given in zip(before, grads, strict=True)
        )

    def _moved(self, states: Array, steps: int) -> Array:
        """Move [L*D,T,B,H] one step on (1) or back (-1) as each direction reads; zero where new."""
        moved = np.zeros_like(states)
        for row, (to, of) in enumerate(zip(moved, states, strict=True)):
            reads_backwards = row % self.layer.num_directions == 1
            if (steps == 1) != reads_backwards:
                to[1:] = of[:-1]
            else:
                to[:-1] = of[1:]
        return moved


def _as_rows(arrays: tuple[Array, ...]) -> tuple[Array, ...]:
    """[L*D,T,B,H] -> [L*D,T*B,H]."""
    return tuple(a.reshape(a.shape[0], -1, a.shape[-1]) for a in arrays)
