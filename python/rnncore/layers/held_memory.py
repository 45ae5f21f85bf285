"""HeldMemory: what a decoder reads at each of its steps, prepared once."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike

from rnncore import _core
from rnncore._check import Array, Ids, check_below, check_shape, floats, ids_array
from rnncore._keywords import strict_keywords

if TYPE_CHECKING:
    from rnncore.layers.attention import Attention

__all__ = ["HeldMemory"]


@strict_keywords()
class HeldMemory:
    """A memory with its keys, which the queries of a decoder's step read; see `Attention.hold`.

    Any number of queries may read the same sequence: the hypotheses of a beam share its memory.

    Parameters
    ----------
    layer : Attention
        The layer that made it. A change of its parameters ends the use of what it has made.
    values : array [N,M]
        The real steps of the memory, one sequence after the other.
    lengths : integers [B]
        Steps of each sequence.
    core : AttentionMemory
        The kernel's part, which knows the keys.

    Examples
    --------
    >>> import numpy as np, rnncore as rc
    >>> attention = rc.Attention(query_size=8, memory_size=12, rng=0)
    >>> held = attention.hold(np.ones((6, 2, 12), np.float32), lengths=[6, 4])
    >>> context, weights = held.read(np.ones((5, 8), np.float32), rows=[0, 0, 0, 1, 1])
    >>> context.shape, weights.shape
    ((5, 12), (5, 6))
    """

    def __init__(
        self, layer: Attention, values: Array, lengths: Ids, core: _core.AttentionMemory
    ) -> None:
        self._layer = layer
        self._version = layer.version
        self._values = values
        self._lengths = lengths
        self._core = core

    def read(self, query: ArrayLike, rows: ArrayLike | None = None) -> tuple[Array, Array]:
        """Return what some queries read.

        Parameters
        ----------
        query : array [N,Q]
            Queries.
        rows : integers [N], optional
            The sequence of the memory that each query reads; None: query n reads sequence n.

        Returns
        -------
        context : array [N,M]
            Zero for a memory without steps.
        weights : array [N,S]
            Mean over the heads; zero past the end of a memory.

        Raises
        ------
        TypeError, ValueError
            If an argument has another type or shape, a row is outside [0, B), or the parameters of
            the layer have changed since.
        """
        layer = self._checked_layer()
        array = floats("query", query, layer.dtype, ("N", layer.query_size))
        if rows is None:
            rows = np.arange(len(self._lengths))
        ids = ids_array("rows", rows)
        check_shape("rows", ids, array.shape[:1])
        check_below("rows", ids, len(self._lengths))
        return self._core.read(layer._project_query(array), ids)

    def _checked_layer(self) -> Attention:
        """Return the layer, if its parameters are those of the keys."""
        if self._layer.version != self._version:
            raise ValueError(
                "memory: expected one held with the present parameters, got one held before they "
                "were changed; hold it again"
            )
        return self._layer

    def __reduce__(self) -> tuple[Any, ...]:
        """Copy and pickle: hold the same memory again."""
        memory = _core.part_rows(self._values, None, self._lengths, self._core.steps)
        return _hold, (self._checked_layer(), memory, self._lengths)


def _hold(layer: Attention, memory: Array, lengths: Ids) -> HeldMemory:
    return layer.hold(memory, lengths)
