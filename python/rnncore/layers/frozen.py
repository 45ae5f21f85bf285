"""A recurrent layer as it is now, for many calls with the same parameters."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Generic

from numpy.typing import ArrayLike

from rnncore import _core
from rnncore._check import Array
from rnncore.layers.assembly import copy_for_inference
from rnncore.layers.call import Call, is_one_sequence
from rnncore.layers.state import State, pack_state

if TYPE_CHECKING:
    from rnncore.layers.recurrent import Recurrent


class Frozen(Generic[State]):
    """A copy of a recurrent layer, for inference with its present parameters.

    A layer packs its weights in every call, because they may have changed: packing puts them into
    the order in which the products read them. A frozen layer packs them in its first call and keeps
    them. Packing takes a tenth of a call or more where sequences are few or short. The outputs are
    the same bits.

    A frozen layer does not see later changes of the layer and cannot be trained. It may be
    bidirectional. Several threads may call it at once, and it can be copied and pickled.

    It holds a copy of the parameters and the packed weights, `nbytes`. Calls of different numbers
    of rows or threads may need different packed forms, and each form is kept.

    Parameters
    ----------
    layer : RNN, GRU or LSTM
        May be a part of a model, such as ``model.rnn``.

    Raises
    ------
    MemoryError
        If the copy does not fit in memory.

    Examples
    --------
    >>> import numpy as np, rnncore as rc
    >>> frozen = rc.LSTM(3, 8, rng=0).frozen()
    >>> y, (h, c) = frozen(np.zeros((5, 2, 3), np.float32))
    >>> y.shape
    (5, 2, 8)
    """

    def __init__(self, layer: Recurrent[State]) -> None:
        self._layer = copy_for_inference(layer)
        self._core = _core.Frozen(self._layer.network, self._layer.flat_params)

    @property
    def nbytes(self) -> int:
        """Bytes of the packed weights at present."""
        return self._core.nbytes

    def __call__(
        self, x: ArrayLike, state: State | None = None, lengths: ArrayLike | None = None
    ) -> tuple[Array, State]:
        """Run the network without dropout; only packed weights are kept.

        Parameters
        ----------
        x : array [T,B,I], [B,T,I] if batch_first, or [T,I]; or integer ids without I
            Inputs, as those of the layer.
        state : h, or (h, c) for LSTM; each array [L*D,B,H], for B = 1 also [L*D,H]
            Initial state; None is zero.
        lengths : integers [B], or one for x without a batch, optional
            Steps of each sequence, from 0 to T; None is T for all.

        Returns
        -------
        y : array [T,B,D*H], [B,T,D*H] or [T,D*H]
            Outputs of the last layer; zero past a sequence's end.
        state : h, or (h, c) for LSTM
            Final state of every layer and direction; a new array, [L*D,H] if x has no batch.

        Raises
        ------
        TypeError, ValueError
            If an argument does not fit, as when calling the layer.
        MemoryError
            If the result or the packed weights do not fit in memory.
        """
        if state is None and lengths is None and is_one_sequence(x, self._layer):
            y, final = self._core.infer_one(x)
            return y, pack_state(final)
        call, steps, ends = Call.of(self._layer, x, lengths)
        y, final = self._core.infer(steps, call.states("state", state), ends)
        return call.as_given(y), call.state_as_given(final)

    def __reduce__(self) -> tuple[Any, ...]:
        """Copy and pickle: freeze the same layer again."""
        return Frozen, (self._layer,)

    def __repr__(self) -> str:
        return f"{self._layer!r}.frozen()"
