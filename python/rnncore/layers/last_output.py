"""LastOutput: the output of a recurrent layer at the last step of each sequence."""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from rnncore import _memory
from rnncore._check import Array, Ids, describe, flag, floats, lengths_array
from rnncore._layout import float_array
from rnncore.layers.cache import Cache, open_cache
from rnncore.layers.module import Module


class Saved(NamedTuple):
    """Where the outputs were taken from."""

    ends: Ids
    dtype: np.dtype[Any]
    shape: tuple[int, ...]


class LastOutput(Module):
    """Take the last output of each sequence: one vector that depends on all of its steps.

    With `lengths` this is not ``y[-1]``, which is zero for all but the longest sequences. The
    forward direction of a bidirectional layer ends at the last step, the reverse direction at the
    first; their outputs there are concatenated. The vector of an empty sequence is zero.

    Parameters
    ----------
    bidirectional : bool
        Whether the outputs are those of a bidirectional layer.
    batch_first : bool
        Whether they are [B,T,W] instead of [T,B,W].

    Raises
    ------
    TypeError
        If an argument is not True or False.

    Examples
    --------
    >>> import numpy as np, rnncore as rc
    >>> x, lengths = rc.data.pad([np.ones((5, 3), np.float32), np.ones((2, 3), np.float32)])
    >>> rnn = rc.GRU(3, 8, bidirectional=True, rng=0)
    >>> last = rc.layers.LastOutput(bidirectional=True)
    >>> y, state = rnn(x, lengths=lengths)
    >>> last(y, lengths).shape
    (2, 16)
    """

    def __init__(self, *, bidirectional: bool = False, batch_first: bool = False) -> None:
        super().__init__()
        self.bidirectional = flag("bidirectional", bidirectional)
        self.batch_first = flag("batch_first", batch_first)

    def __call__(self, y: ArrayLike, lengths: ArrayLike | None = None) -> Array:
        """Return the last outputs.

        Parameters
        ----------
        y : array [T,B,W], [B,T,W] if batch_first, or [T,W]; float32 or float64
            Outputs of a recurrent layer; W is even if bidirectional.
        lengths : integers [B], or one for y without a batch, optional
            Steps of each sequence, from 0 to T, as given to the layer; None is T for all.

        Returns
        -------
        last : array [B,W] or [W]
            A new array.

        Raises
        ------
        TypeError, ValueError
            If an argument has another type or shape, or a length is outside its range.
        """
        return self.forward(y, lengths)[0]

    def forward(self, y: ArrayLike, lengths: ArrayLike | None = None) -> tuple[Array, Cache[Saved]]:
        """Return the last outputs and a cache; parameters and errors are those of calling it."""
        array = self._checked(y)
        steps = self._steps(array)
        num_steps, batch_size, width = steps.shape
        if lengths is None:
            ends: Ids = np.full(batch_size, num_steps)
        else:
            ends = lengths_array(lengths, steps.shape[: array.ndim - 1])
        last = np.zeros((batch_size, width), array.dtype)
        for columns, at, rows in self._places(ends, width):
            last[rows, columns] = steps[at, rows, columns]
        cache = Cache(self, self.version, Saved(ends, array.dtype, array.shape))
        return last if array.ndim == 3 else last[0], cache

    def backward(self, dlast: ArrayLike, cache: Cache[Saved]) -> Array:
        """Return the gradient by y, which is zero except at the last outputs.

        Parameters
        ----------
        dlast : array [B,W] or [W]
            Gradient of the loss by the last outputs.
        cache : Cache
            What `forward` returned.

        Returns
        -------
        dy : array shaped as y

        Raises
        ------
        TypeError, ValueError
            If dlast or the cache does not fit.
        """
        saved = open_cache(cache, self)
        shape: tuple[int, ...] = (saved.shape[-1],)
        if len(saved.shape) == 3:
            shape = (len(saved.ends), *shape)
        gradient = floats("dlast", dlast, saved.dtype, shape).reshape(len(saved.ends), -1)
        _memory.require(math.prod(saved.shape) * saved.dtype.itemsize, "the gradient of y")
        dy = np.zeros(saved.shape, saved.dtype)
        steps = self._steps(dy)
        for columns, at, rows in self._places(saved.ends, saved.shape[-1]):
            steps[at, rows, columns] = gradient[rows, columns]
        return dy

    def _places(self, ends: Ids, width: int) -> list[tuple[slice, Array, Array]]:
        """Return the columns of each direction, and the step of each row that is not empty."""
        rows = np.flatnonzero(ends)
        last, first = ends[rows].astype(np.int64) - 1, np.zeros(len(rows), np.int64)
        if not self.bidirectional:
            return [(slice(width), last, rows)]
        return [(slice(width // 2), last, rows), (slice(width // 2, width), first, rows)]

    def _checked(self, y: ArrayLike) -> Array:
        array = float_array("y", y)
        if array.ndim not in (2, 3):
            batched = "[B, T, W]" if self.batch_first else "[T, B, W]"
            raise ValueError(f"y: expected shape {batched} or [T, W], got {describe(array)}")
        if self.bidirectional and array.shape[-1] % 2:
            raise ValueError(
                f"y: expected an even width, that of two directions, got {describe(array)}"
            )
        return array

    def _steps(self, array: Array) -> Array:
        """Turn an outer [T,B], [B,T] or [T] into a view [T,B]."""
        if array.ndim == 2:
            return array[:, np.newaxis]
        return array.swapaxes(0, 1) if self.batch_first else array
