"""All steps of a sequence as one batch of single steps."""

from __future__ import annotations

from typing import Any

import numpy as np

from rnncore._check import Array, Ids, within
from rnncore.layers import Recurrent

__all__ = ["SingleSteps"]


class SingleSteps:
    """A pass of one step over T*B rows: step t of row b goes on from the state before it.

    A state [L*D,T*B,H] of this pass holds the states of a layer at all times. Its backward pass
    takes a gradient by the state after each step to one by the state before it.

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
    """

    def __init__(
        self, layer: Recurrent[Any], x: Array, state: tuple[Array, ...] | None, lengths: Ids | None
    ) -> None:
        self.layer = layer
        self._params = layer.flat_params
        self._unused = np.zeros_like(self._params)  # gradients of the parameters
        num_steps, batch = x.shape[:2]
        ends = np.full(batch, num_steps) if lengths is None else lengths
        _, _, cache = layer.network.forward(
            self._params, x, state, lengths, None, needs_output=False
        )
        rows = cache.trace()
        self.y = np.concatenate([row["hidden"] for row in rows[-layer.num_directions :]], axis=-1)
        initial = state or (None,) * len(layer.state_names)
        kept = {"h": "hidden", "c": "cell"}
        self.before = tuple(  # [L*D,T,B,H] each
            np.stack(
                [
                    self._shifted(row[kept[name]], i, None if first is None else first[i], ends)
                    for i, row in enumerate(rows)
                ]
            )
            for name, first in zip(layer.state_names, initial, strict=True)
        )
        if x.ndim == 3:  # past the ends there may be anything
            x = np.where(within(ends, x.shape[:2])[..., np.newaxis], x, 0)
        _, _, self._cache = layer.network.forward(
            self._params,
            np.ascontiguousarray(x).reshape(1, num_steps * batch, *x.shape[2:]),
            self._as_rows(self.before),
            None,
            None,
            needs_output=False,
        )

    def back(self, grads: tuple[Array, ...]) -> tuple[Array, ...]:
        """Take gradients by the states after every step [L*D,T,B,H] to those by the states before.

        The result is in the place of the state: of the states at time t, element t.
        """
        _, before, _ = self.layer.network.backward(
            self._params, self._unused, None, self._cache, self._as_rows(grads)
        )
        moved = []
        for array, given in zip(before, grads, strict=True):
            result = np.zeros_like(given)
            for i, row in enumerate(array.reshape(given.shape)):
                if self._reads_backwards(i):
                    result[i, 1:] = row[:-1]
                else:
                    result[i, :-1] = row[1:]
            moved.append(result)
        return tuple(moved)

    def _reads_backwards(self, row: int) -> bool:
        return row % self.layer.num_directions == 1

    def _shifted(self, states: Array, row: int, initial: Array | None, ends: Ids) -> Array:
        """Return the state before each step [T,B,H], given those after it."""
        before = np.zeros_like(states)
        columns = np.flatnonzero(ends)
        if self._reads_backwards(row):
            before[:-1] = states[1:]
            first = ends[columns] - 1
        else:
            before[1:] = states[:-1]
            first = np.zeros_like(columns)
        if initial is not None:
            before[first, columns] = initial[columns]
        return before

    def _as_rows(self, arrays: tuple[Array, ...]) -> tuple[Array, ...]:
        """[L*D,T,B,H] -> [L*D,T*B,H]."""
        return tuple(a.reshape(a.shape[0], -1, a.shape[-1]) for a in arrays)
