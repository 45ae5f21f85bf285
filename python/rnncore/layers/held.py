"""Single steps of any number of rows, for decoding."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Generic

import numpy as np
from numpy.typing import ArrayLike, NDArray

from rnncore import _core
from rnncore._check import Array, floats, ids_array, ids_or_floats
from rnncore._narrow import storage
from rnncore.layers.embedding import Embedding
from rnncore.layers.state import State, pack_state, state_parts

if TYPE_CHECKING:
    from rnncore.layers.recurrent import Recurrent

__all__ = ["Held"]


class Held(Generic[State]):
    """A recurrent layer that takes single steps of any number of rows; made by ``layer.hold()``.

    A search continues some hypotheses several times and others not at all. So the caller holds the
    states, and every step says which row of the state before each of its rows continues.

    The weights are packed once: later changes of the parameters have no effect. The result of a row
    does not depend on the other rows, down to the bit. Several threads may call it at once.

    Parameters
    ----------
    layer : RNN, GRU or LSTM
        A unidirectional layer.
    weight_format : {"float32", "bfloat16", "int8", "int8_dynamic"} or None
        How the weight matrices are stored, see `Stream`; None: as they are.
    embedding : Embedding or None
        What ids stand for, in the width of the layer's inputs; None: one-hot vectors.

    Raises
    ------
    TypeError, ValueError
        If the layer is bidirectional, or an argument has another type or value.
    MemoryError
        If the packed weights do not fit in memory.

    Examples
    --------
    >>> import numpy as np, rnncore as rc
    >>> held = rc.GRU(3, 8, rng=0).hold()
    >>> y, state = held.step(np.zeros((2, 3), np.float32))
    >>> y, state = held.step(np.ones((3, 3), np.float32), state, rows=[0, 0, 1])
    >>> y.shape, state.shape
    ((3, 8), (1, 3, 8))
    """

    def __init__(
        self,
        layer: Recurrent[State],
        weight_format: str | None = None,
        embedding: Embedding | None = None,
    ) -> None:
        self._dtype = layer.dtype
        self._state_names = layer.state_names
        self._core = _core.HeldNetwork(
            layer.network,
            layer.flat_params,
            None if embedding is None else embedding.params["weight"],
            storage(weight_format, layer.dtype),
        )

    def step(
        self,
        x: ArrayLike | NDArray[np.integer[Any]],
        state: State | None = None,
        rows: ArrayLike | None = None,
    ) -> tuple[Array, State]:
        """Take one step of N rows.

        Parameters
        ----------
        x : array [N,I], or integer ids [N]
            Inputs.
        state : h, or (h, c) for LSTM; each array [L,M,H]
            States of M rows; None: zero.
        rows : integers [N], optional
            Which of the M rows each row continues; None: row n continues row n.

        Returns
        -------
        y : array [N,H]
            Outputs of the last layer.
        state : like the argument; each array [L,N,H]
            States after the step.

        Raises
        ------
        TypeError, ValueError
            If an array has another dtype or shape, or an id or row is outside its range.
        """
        if type(x) is not np.ndarray:
            array = ids_or_floats("x", x)
            x = floats("x", x, self._dtype) if array.dtype.kind == "f" else array
        parts: Any = None
        if state is not None:
            parts = tuple(state_parts("state", state, self._state_names).values())
        if rows is not None and type(rows) is not np.ndarray:
            rows = ids_array("rows", rows)
        y, after = self._core.step(x, parts, rows)
        return y, pack_state(after)
