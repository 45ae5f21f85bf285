"""A recurrent layer as it is now, for many calls with the same parameters."""

from __future__ import annotations

from typing import TYPE_CHECKING, Generic

from numpy.typing import ArrayLike

from rnncore import _core
from rnncore._check import Array
from rnncore.layers.call import Call
from rnncore.layers.state import State

if TYPE_CHECKING:
    from rnncore.layers.recurrent import Recurrent


class Frozen(Generic[State]):
    """A recurrent layer whose parameters do not change; made by ``layer.frozen()``.

    Calling the layer packs its weights into the order in which the products read them, every time:
    they might have changed. This packs a copy of them once, in the first call of a kind (sizes for
    which another order is faster make another kind). For few or short sequences that is a tenth of
    the time or more; the outputs have the same bits. Later changes of the layer's parameters are
    not seen. Several threads may call it at the same time.

    Parameters
    ----------
    layer : RNN, GRU or LSTM
        The layer to copy the parameters of.

    Raises
    ------
    MemoryError
        If the copy does not fit in memory; of a call, if packed weights or results do not.
    """

    def __init__(self, layer: Recurrent[State]) -> None:
        self._layer = layer
        self._core = _core.Frozen(layer.network, layer.flat_params)

    def __call__(
        self, x: ArrayLike, state: State | None = None, lengths: ArrayLike | None = None
    ) -> tuple[Array, State]:
        """Run the network as calling the layer does: the same arguments, results and errors."""
        call, steps, ends = Call.of(self._layer, x, lengths)
        y, final = self._core.infer(steps, call.states("state", state), ends)
        return call.as_given(y), call.state_as_given(final)

    def __repr__(self) -> str:
        return f"{self._layer!r}.frozen()"
