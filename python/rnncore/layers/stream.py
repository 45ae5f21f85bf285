"""One step at a time, for data that arrives in real time."""

from __future__ import annotations

from typing import TYPE_CHECKING, Generic

import numpy as np
from numpy.typing import ArrayLike

from rnncore import _core
from rnncore._check import Array, as_array, floats, is_ids, size
from rnncore.layers.state import State, pack_state, state_parts

if TYPE_CHECKING:
    from rnncore.layers.recurrent import Recurrent


class Stream(Generic[State]):
    """A recurrent layer that carries its state from step to step; made by ``layer.stream()``.

    The weights are packed once: later changes of the layer's parameters are not seen.

    Parameters
    ----------
    layer : RNN, GRU or LSTM
        A unidirectional layer.
    batch_size : int
        Number of independent sequences B.

    Raises
    ------
    ValueError
        If the layer is bidirectional.
    """

    def __init__(self, layer: Recurrent[State], batch_size: int = 1) -> None:
        if layer.bidirectional:
            raise ValueError(
                "stream: expected a unidirectional layer, got a bidirectional one, "
                "whose reverse direction needs the whole sequence"
            )
        self.batch_size = size("batch_size", batch_size)
        self._dtype = layer.dtype
        self._state_names = layer.state_names
        self._state_shape = (layer.num_layers, self.batch_size, layer.hidden_size)
        self._core = _core.Stream(layer.network, layer.flat_params, self.batch_size)

    def step(self, x: ArrayLike) -> Array:
        """Take one step of every sequence.

        Parameters
        ----------
        x : array [B,I] or integer ids [B]; for B = 1 also [I] or one id
            Inputs of this step.

        Returns
        -------
        y : array [B,H]; [H] if x had no batch dimension
            Outputs of the last layer; a new array.

        Raises
        ------
        TypeError
            If x has another dtype than the layer.
        ValueError
            If its shape or an id does not fit.
        """
        array = as_array("x", x)
        single = self.batch_size == 1 and array.ndim == (0 if is_ids(array) else 1)
        y = self._core.step(array[np.newaxis] if single else array)
        return y[0] if single else y

    @property
    def state(self) -> State:
        """State after the last step, a copy: h, or (h, c) for LSTM, each [L,B,H]."""
        state: State = pack_state(self._core.state)
        return state

    @state.setter
    def state(self, value: State) -> None:
        parts = state_parts("state", value, self._state_names)
        self._core.state = tuple(
            floats(name, part, self._dtype, self._state_shape) for name, part in parts.items()
        )

    def reset(self) -> None:
        """Set the state to zero."""
        self._core.reset()
