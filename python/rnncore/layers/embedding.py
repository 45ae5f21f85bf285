"""Embedding: one learned vector per token."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, DTypeLike

from rnncore import _core
from rnncore._check import Array, Ids, flag, floats, ids_array, real, size
from rnncore._layout import as_flat, as_rows
from rnncore.layers.cache import Cache, open_cache
from rnncore.layers.module import Module
from rnncore.layers.parameters import apart, consecutive


class Embedding(Module):
    """Look up a row of ``weight`` [V,E] for every id.

    This is the product of a one-hot vector with a matrix, without the product. The rows are drawn
    from a normal distribution of mean 0.

    Parameters
    ----------
    vocab_size : int
        Number of ids V.
    embedding_size : int
        Width E of the vectors.
    std : float
        Standard deviation of the initial rows, at least 0.
    sparse : bool
        Whether an optimizer changes only the rows that `backward` has met since gradients were set
        to zero, with its averages of these rows only, as PyTorch's SparseAdam. A step then costs
        what these rows cost. It is no approximation for `SGD` without momentum and weight decay.
        Gradients that are written into `grads` by hand are not noticed.
    dtype : float32 or float64
        Type of the parameters and outputs.
    rng : numpy Generator, int or None
        Source of the initial parameters.

    Raises
    ------
    TypeError, ValueError
        If an argument has the wrong type or value.
    MemoryError
        If the parameters and their gradients do not fit in memory.

    Examples
    --------
    >>> import rnncore as rc
    >>> embedding = rc.Embedding(vocab_size=100, embedding_size=8, rng=0)
    >>> embedding([[1, 2, 3], [4, 5, 6]]).shape
    (2, 3, 8)
    """

    def __init__(
        self,
        vocab_size: int,
        embedding_size: int,
        *,
        std: float = 1.0,
        sparse: bool = False,
        dtype: DTypeLike = np.float32,
        rng: np.random.Generator | int | None = None,
    ) -> None:
        super().__init__(dtype, rng)
        self.std = real("std", std, 0)
        self.sparse = flag("sparse", sparse)
        self._touched = np.zeros(0, np.int64)
        self.vocab_size = size("vocab_size", vocab_size)
        self.embedding_size = size("embedding_size", embedding_size)
        self._allocate(consecutive([("weight", (self.vocab_size, self.embedding_size))]))
        self._draw()

    def _initialise(self, rng: np.random.Generator) -> None:
        rng.standard_normal(out=self._flat_params, dtype=self.dtype.type)
        if self.std != 1:
            self._flat_params *= self.std

    def __call__(self, ids: ArrayLike) -> Array:
        """Return the vectors [...,E] of the ids [...].

        Raises
        ------
        TypeError
            If the ids are not integers.
        ValueError
            If an id is outside [0, V).
        """
        return self._look_up(ids_array("ids", ids))

    def forward(self, ids: ArrayLike) -> tuple[Array, Cache[Ids]]:
        """Return the vectors [...,E] and a cache, which refers to the ids. Errors as in calling."""
        array = ids_array("ids", ids)
        return self._look_up(array), Cache(self, self.version, array)

    def backward(self, dy: ArrayLike, cache: Cache[Ids]) -> None:
        """Add dy [...,E] to the gradients of the rows that were looked up.

        Raises
        ------
        TypeError
            If dy has another dtype than the layer, or `cache` is no cache.
        ValueError
            If the shape does not fit, another layer made the cache, or the parameters have changed.
        """
        ids = open_cache(cache, self)
        gradient = floats("dy", dy, self.dtype, (*ids.shape, self.embedding_size))
        gradient = apart(gradient, self._flat_grads)
        _core.embedding_backward(as_rows("dy", gradient), as_flat("ids", ids), self.grads["weight"])
        if self.sparse:
            self._touched = np.union1d(self._touched, ids)

    @property
    def touched(self) -> Ids:
        """Rows in rising order that `backward` has met since gradients were zero, if `sparse`."""
        return self._touched

    def forget_touched(self) -> None:
        """Note that the gradients of all rows are zero; `zero_grad` of layers and models does."""
        self._touched = self._touched[:0]

    def _look_up(self, ids: Ids) -> Array:
        y = _core.embedding_forward(as_flat("ids", ids), self.params["weight"])
        return y.reshape(*ids.shape, self.embedding_size)
