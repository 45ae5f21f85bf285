"""A softmax with its weights packed once, for decoding."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike, NDArray

from rnncore import _core
from rnncore._check import Array, floats, ids_array
from rnncore._narrow import storage

if TYPE_CHECKING:
    from rnncore.heads.softmax import Softmax

__all__ = ["HeldScores", "HeldSoftmax"]

Ids = NDArray[np.int64]


class HeldSoftmax:
    """Log-probabilities of classes for decoding; made by ``head.hold()``.

    The weights are packed once: later changes of the parameters have no effect. Logits are computed
    and used in blocks of classes, so that those of all classes are not held unless they are asked
    for. The result of a row does not depend on the other rows, down to the bit. Several threads may
    call it at once.

    Parameters
    ----------
    head : Softmax
        The output layer.
    weight_format : {"float32", "bfloat16", "int8", "int8_dynamic"} or None
        How the weights are stored, see `rnncore.layers.Stream`; None: as they are.

    Raises
    ------
    TypeError, ValueError
        If the format is not as above.
    MemoryError
        If the packed weights do not fit in memory.

    Examples
    --------
    >>> import numpy as np, rnncore as rc
    >>> held = rc.heads.Softmax(8, 1000, rng=0).hold()
    >>> values, classes = held.top(np.ones((2, 8), np.float32), 5)
    >>> classes.shape
    (2, 5)
    """

    def __init__(self, head: Softmax, weight_format: str | None = None) -> None:
        self._dtype = head.dtype
        self._core = _core.HeldOutput(
            head.weight, head.params.get("bias"), storage(weight_format, head.dtype)
        )

    def log_probabilities(self, y: ArrayLike) -> Array:
        """Return ln p [N,V] of every class, for y [N,H].

        Raises
        ------
        TypeError, ValueError
            If y has another dtype or shape.
        """
        return self._core.log_probabilities(self._checked(y))

    def top(self, y: ArrayLike, k: int) -> tuple[NDArray[np.float64], Ids]:
        """Return the k greatest ln p [N,k], the greatest first, and their classes [N,k].

        Of equal ones the first class comes first.

        Raises
        ------
        TypeError, ValueError
            If y has another dtype or shape, or k is not in [1, V].
        """
        return self._core.top(self._checked(y), k)

    def of(self, y: ArrayLike, begins: ArrayLike, classes: ArrayLike) -> NDArray[np.float64]:
        """Return ln p [M] of some classes of each row.

        Parameters
        ----------
        y : array [N,H]
            Inputs of the output layer.
        begins : integers [N+1]
            The classes of row n are those from ``begins[n]`` to ``begins[n + 1]``.
        classes : integers [M]
            Each in [0, V).

        Raises
        ------
        TypeError, ValueError
            If an array has another dtype or shape, or a number is outside its range.
        """
        return self._core.of(
            self._checked(y), ids_array("begins", begins), ids_array("classes", classes)
        )

    def scores(self, y: ArrayLike, attention: Array | None = None) -> HeldScores:
        """Return the scores of N rows for a search, see `rnncore.decode.Scores`."""
        return HeldScores(self, self._checked(y), attention)

    def _checked(self, y: ArrayLike) -> Array:
        return floats("y", y, self._dtype)


class HeldScores:
    """`rnncore.decode.Scores` of rows y [N,H]; nothing is computed before it is asked for."""

    def __init__(self, output: HeldSoftmax, y: Array, attention: Array | None) -> None:
        self._output, self._y = output, y
        self.attention = attention

    def log_probabilities(self) -> Array:
        """Return ln p [N,V] of every class."""
        return self._output.log_probabilities(self._y)

    def top(self, k: int) -> tuple[NDArray[np.float64], Ids]:
        """Return the k greatest ln p [N,k] and their classes [N,k]."""
        return self._output.top(self._y, k)
