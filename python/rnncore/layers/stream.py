"""One step at a time, for data that arrives in real time."""

from __future__ import annotations

from copy import copy
from typing import TYPE_CHECKING, Any, Generic, Self

import numpy as np
from numpy.typing import ArrayLike

from rnncore import _core
from rnncore._check import Array, floats, ids_or_floats, size
from rnncore._narrow import storage
from rnncore.layers.state import State, pack_state, state_arrays

if TYPE_CHECKING:
    from rnncore.layers.recurrent import Recurrent


class Stream(Generic[State]):
    """A recurrent layer that continues where it stopped; made by ``layer.stream()``.

    The weights are packed once, so that a stream does not see later changes of the parameters. A
    call runs in the thread that makes it.

    A stream takes one call at a time. Threads need streams of their own: `copy` makes them, of one
    set of packed weights. A second call at the same time raises RuntimeError. So does any call in a
    child process that was forked while another thread was in a call. A signal handler can read
    `state`, and copy the stream, inside the call that it interrupts.

    Parameters
    ----------
    layer : RNN, GRU or LSTM
        A unidirectional layer.
    batch_size : int
        Number of independent sequences B.
    weight_format : {"float32", "bfloat16", "int8", "int8_dynamic"} or None
        How the weight matrices are stored; None: as they are, the only choice for float64. A step
        of few sequences is limited by memory bandwidth, because it reads all the weights. bfloat16
        halves that traffic; int8 quarters it.

        - bfloat16: rounded to 8 significant bits, ``|error| <= 2**-9 |w|``; everything else is
          float32.
        - int8: each row of a matrix is ``scale * q`` with integers q in [-127, 127] and
          ``scale = max |w| / 127`` up to the next of 16 bits, ``|error| <= scale / 2``. Everything
          else is float32. This is the choice for inputs that are real numbers.
        - int8_dynamic: weights as in int8. Inputs and states are rounded in the same way, row by
          row, when they are multiplied; their products are summed exactly, and biases, gates and
          cell states are float32. Rows of at most 65,536 weights.

        "int8_dynamic" is the fastest, two to four times as fast as float32: processors multiply
        bytes in one instruction. "int8" widens each weight first. It is as fast as float32 while
        that fits in the L2 cache and up to 2.5 times as fast beyond. But with "int8_dynamic" one
        large element of an input takes the digits of the small ones: with inputs of wide range,
        such as a spectrum, its outputs are off by four to five times as much as those of "int8".
        Ids and states have a narrow range, so that language models lose nothing by it.

    Raises
    ------
    TypeError, ValueError
        If the layer is bidirectional, or an argument has another type or value.
    MemoryError
        If the packed weights and states do not fit in memory.
    RuntimeError
        From every method, if a call in another thread is changing the stream.

    Examples
    --------
    >>> import numpy as np, rnncore as rc
    >>> stream = rc.LSTM(3, 8, rng=0).stream()
    >>> for frame in np.zeros((100, 3), np.float32):
    ...     y = stream.step(frame)
    >>> y.shape
    (8,)
    >>> h, c = stream.state
    >>> stream.reset()
    """

    def __init__(
        self, layer: Recurrent[State], batch_size: int = 1, weight_format: str | None = None
    ) -> None:
        if layer.bidirectional:
            raise ValueError(
                "stream: expected a unidirectional layer, got a bidirectional one, "
                "whose reverse direction needs the whole sequence"
            )
        self.batch_size = size("batch_size", batch_size)
        self._dtype = layer.dtype
        self._state_names = layer.state_names
        self._state_shape = (layer.num_layers, self.batch_size, layer.hidden_size)
        self._core = _core.Stream(
            layer.network, layer.flat_params, self.batch_size, storage(weight_format, layer.dtype)
        )

    def step(self, x: ArrayLike, out: Array | None = None) -> Array:
        """Take one step of every sequence.

        With `out`, and with C-contiguous arrays, nothing is allocated.

        Parameters
        ----------
        x : array [B,I] or integer ids [B]; for B = 1 also [I] or one id
            Inputs of this step; ids stand for one-hot vectors.
        out : array [B,H]; [H] if x had no batch dimension, optional
            Where to write the outputs: C-contiguous, of the layer's dtype, and not in `x`.

        Returns
        -------
        y : array [B,H]; [H] if x had no batch dimension
            Outputs of the last layer: `out`, or a new array.

        Raises
        ------
        TypeError
            If x or `out` has another dtype than the layer.
        ValueError
            If a shape or an id does not fit.
        """
        return self._core.step(_numbers(x, self), out)

    def run(self, x: ArrayLike, out: Array | None = None) -> Array:
        """Take all steps of a sequence, or of a piece of one, in one call.

        The same as `step` for each of them, up to rounding, but without what a call costs, and the
        product with the inputs reads its weights once for several steps.

        Parameters
        ----------
        x : array [T,B,I] or integer ids [T,B]; for B = 1 also [T,I] or [T]
            Inputs, time first whatever the layer's ``batch_first``.
        out : array [T,B,H]; [T,H] if x had no batch dimension, optional
            Where to write the outputs: C-contiguous, of the layer's dtype, and not in `x`.

        Returns
        -------
        y : array [T,B,H]; [T,H] if x had no batch dimension
            Outputs of the last layer: `out`, or a new array.

        Raises
        ------
        TypeError, ValueError
            As `step`.
        KeyboardInterrupt
            After Ctrl-C; the steps until then have been taken.

        Examples
        --------
        >>> import numpy as np, rnncore as rc
        >>> stream = rc.GRU(3, 8, rng=0).stream()
        >>> stream.run(np.zeros((100, 3), np.float32)).shape
        (100, 8)
        """
        return self._core.run(_numbers(x, self), out)

    @property
    def state(self) -> State:
        """State after the last step, a copy: h, or (h, c) for LSTM, each [L,B,H].

        For B = 1 it can be set to arrays [L,H], the state of a call without a batch.
        """
        state: State = pack_state(self._core.state)
        return state

    @state.setter
    def state(self, value: State) -> None:
        self._core.state = state_arrays(
            "state", value, self._state_names, self._dtype, self._state_shape
        )

    def reset(self) -> None:
        """Set the state to zero."""
        self._core.reset()

    def copy(self) -> Self:
        """Return a stream that goes on from the same state on its own.

        The two share the packed weights, so that a copy takes the memory of the states only.
        `copy.copy` and `copy.deepcopy` make the same.

        Examples
        --------
        >>> import numpy as np, rnncore as rc
        >>> first = rc.GRU(3, 8, rng=0).stream()
        >>> second = first.copy()
        >>> y = first.step(np.ones(3, np.float32))  # does not move the second
        >>> bool(second.state.any())
        False
        """
        return copy(self)

    def __copy__(self) -> Self:
        other = type(self).__new__(type(self))
        other.__dict__.update(self.__dict__, _core=self._core.copy())
        return other


def _numbers(x: ArrayLike, stream: Stream[Any]) -> Any:
    """Return x as an array; as it came where that has no numbers, so that errors can tell it."""
    if type(x) is np.ndarray:  # what follows takes longer than a step of a small layer
        return x
    array = ids_or_floats("x", x)
    if array.dtype.kind == "f":
        return floats("x", x, stream._dtype)
    return array if array.dtype.kind in "biufc" else x
