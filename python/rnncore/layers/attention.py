"""Attention: a weighted mean of memory vectors for every query."""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, DTypeLike

from rnncore import _core, _memory
from rnncore._check import (
    Array,
    Ids,
    choice,
    compute_type,
    flag,
    floats,
    integer,
    lengths_array,
    size,
)
from rnncore.layers.cache import Cache, open_cache
from rnncore.layers.held_memory import HeldMemory
from rnncore.layers.linear import Linear
from rnncore.layers.module import Module
from rnncore.layers.parameters import apart, consecutive, fill_uniform

__all__ = ["Attention"]


class Projected(NamedTuple):
    """Rows after the projection of a `Linear`, if there is one, and its cache, if it is kept."""

    rows: Array  # [N,A], the real steps of one sequence after the other
    cache: Cache[Array] | None


class Saved(NamedTuple):
    """What the backward pass needs."""

    query: Projected
    query_shape: tuple[int, ...]
    query_lengths: Ids
    memory: _core.AttentionMemory
    keys: Projected
    memory_shape: tuple[int, ...]
    lengths: Ids
    weights: Array


class Attention(Module):
    """Mean of the memory's vectors for every query, weighted by how well each fits it.

    With the query q_t of a target step t and the vectors m_s of a sequence's memory::

        weights[t, s] = exp(score(q_t, m_s)) / sum over r of exp(score(q_t, m_r))
        context[t]    = sum over s of weights[t, s] m_s

    ==========  ===========================================================  ==================
    score       score(q, m)                                                  from
    ==========  ===========================================================  ==================
    "dot"       q . m                                                        Luong et al. 2015
    "general"   q . (W_k m), or (W_q q) . (W_k m) with an `attention_size`   Luong et al. 2015
    "additive"  v . tanh(W_q q + b + W_k m)                                  Bahdanau et al. 2015
    ==========  ===========================================================  ==================

    Queries and keys W_k m have `attention_size` A elements. With several heads each is cut into
    `num_heads` parts of A / num_heads elements, and m into parts of M / num_heads: head k compares
    the k-th parts and has the k-th part of the context. Products are not scaled, as in the papers,
    unless `scaled` asks for it.

    The work follows the real steps: nothing is computed past the end of a memory or of a target.
    Threads divide the sequences; the results have the same bits for any number of threads.

    Parameters are ``query_projection.weight`` [A,Q] and ``key_projection.weight`` [A,M], where the
    score has them, drawn as those of `Linear`; of "additive" also ``query_projection.bias`` [A] and
    ``v`` [A], drawn from U(-1/sqrt(A), 1/sqrt(A)).

    Parameters
    ----------
    query_size : int
        Width Q of the queries.
    memory_size : int
        Width M of the memory, and of the contexts. "dot" needs Q = M.
    score : {"general", "dot", "additive"}
        How a query and a memory vector are compared.
    attention_size : int or None
        Width A in which they are compared. None is Q; "dot" has no other.
    num_heads : int
        Number of heads, a divisor of A and M.
    scaled : bool
        Whether scores that are products are divided by sqrt(A / num_heads) (Vaswani et al. 2017).
    dtype : float32 or float64
        Type of parameters, inputs and outputs.
    compute : "bfloat16" or None
        What the operands of the projections are rounded to, see `RNN`. Scores and contexts are not.
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
    >>> import numpy as np, rnncore as rc
    >>> attention = rc.Attention(query_size=8, memory_size=12, rng=0)
    >>> memory = np.ones((6, 3, 12), np.float32)  # [S,B,M]
    >>> query = np.ones((5, 3, 8), np.float32)  # [T,B,Q]
    >>> attention(query, memory, lengths=[6, 2, 0]).shape
    (5, 3, 12)
    """

    def __init__(
        self,
        query_size: int,
        memory_size: int,
        *,
        score: str = "general",
        attention_size: int | None = None,
        num_heads: int = 1,
        scaled: bool = False,
        dtype: DTypeLike = np.float32,
        compute: str | None = None,
        rng: np.random.Generator | int | None = None,
    ) -> None:
        super().__init__(dtype, rng)
        self.compute = compute_type(compute, self.dtype)
        self.score = choice("score", score, ("dot", "general", "additive"))
        # `load` compares sizes with the parameters in the file, and "dot" has none.
        checked = integer if self.score == "dot" else size
        self.query_size = checked("query_size", query_size, 1)
        self.memory_size = checked("memory_size", memory_size, 1)
        self.attention_size = (
            None if attention_size is None else size("attention_size", attention_size)
        )
        self.num_heads = integer("num_heads", num_heads, 1)
        self.scaled = flag("scaled", scaled)
        self._width = self.attention_size or self.query_size
        self._require_fitting()
        if self.score == "additive":
            self._allocate(consecutive([("v", (self._width,))]))
        if self.score == "additive" or (self.score == "general" and self.attention_size):
            self.query_projection: Linear | None = self._projection(
                self.query_size, bias=self.score == "additive"
            )
        else:
            self.query_projection = None
        self.key_projection: Linear | None = (
            None if self.score == "dot" else self._projection(self.memory_size, bias=False)
        )
        self._draw()

    @property
    def key_size(self) -> int:
        """Width A in which queries and memory are compared."""
        return self._width

    def _projection(self, width: int, *, bias: bool) -> Linear:
        return Linear(
            width, self._width, bias=bias, dtype=self.dtype, compute=self.compute, rng=self.rng
        )

    def _require_fitting(self) -> None:
        """Raise ValueError unless the options go together."""
        if self.score == "dot":
            if self.query_size != self.memory_size:
                raise ValueError(
                    "query_size: expected memory_size for score 'dot', got "
                    f"{self.query_size} and {self.memory_size}; 'general' compares other sizes"
                )
            if self.attention_size is not None:
                raise ValueError(
                    "attention_size: expected None for score 'dot', which has no projection, got "
                    f"{self.attention_size}"
                )
        if self.score == "additive" and self.scaled:
            raise ValueError("scaled: expected False for score 'additive', which is no product")
        if self._width % self.num_heads or self.memory_size % self.num_heads:
            raise ValueError(
                f"num_heads: expected a divisor of attention_size={self._width} and "
                f"memory_size={self.memory_size}, got {self.num_heads}"
            )

    def _initialise(self, rng: np.random.Generator) -> None:
        if self.score == "additive":
            fill_uniform(self._own_params, self._width**-0.5, rng)

    def __call__(
        self,
        query: ArrayLike,
        memory: ArrayLike,
        lengths: ArrayLike | None = None,
        query_lengths: ArrayLike | None = None,
    ) -> Array:
        """Return the contexts, keeping nothing.

        Parameters
        ----------
        query : array [T,B,Q]
            Queries, as the outputs of a decoder at all its steps.
        memory : array [S,B,M]
            What is read, as the outputs of an encoder.
        lengths : integers [B], optional
            Steps of each memory, from 0 to S; None is S for all. What lies past them is not read.
            Of a memory without steps all contexts are zero.
        query_lengths : integers [B], optional
            Steps of each target, from 0 to T; None is T for all.

        Returns
        -------
        context : array [T,B,M]
            Zero past the end of a target.

        Raises
        ------
        TypeError, ValueError
            If an argument has another type or shape, or a length is outside its range.
        MemoryError
            If the result does not fit in memory.
        """
        return self._run(query, memory, lengths, query_lengths, keep=False)[0]

    def forward(
        self,
        query: ArrayLike,
        memory: ArrayLike,
        lengths: ArrayLike | None = None,
        query_lengths: ArrayLike | None = None,
    ) -> tuple[Array, Cache[Saved]]:
        """Return the contexts [T,B,M] and a cache; parameters and errors are those of calling."""
        context, saved = self._run(query, memory, lengths, query_lengths, keep=True)
        return context, Cache(self, self.version, saved)

    def backward(self, dcontext: ArrayLike, cache: Cache[Saved]) -> tuple[Array, Array]:
        """Back-propagate; add to the gradients of the parameters.

        Parameters
        ----------
        dcontext : array [T,B,M]
            Gradient of the loss by the contexts.
        cache : Cache
            What `forward` returned.

        Returns
        -------
        dquery : array [T,B,Q]
            Zero past the end of a target.
        dmemory : array [S,B,M]
            Zero past the end of a memory.

        Raises
        ------
        TypeError
            If dcontext has another dtype than the layer, or `cache` is no cache.
        ValueError
            If the shape does not fit, another layer made the cache, or the parameters have changed.
        """
        saved = open_cache(cache, self)
        shape = (*saved.query_shape[:2], self.memory_size)
        gradient = apart(floats("dcontext", dcontext, self.dtype, shape), self._flat_grads)
        dquery, dkeys, dmemory = saved.memory.backward(
            gradient, saved.query.rows, saved.query_lengths, saved.weights, self.grads.get("v")
        )
        # q' = W_q q + b, k = W_k m
        dquery = through(self.query_projection, dquery, saved.query)
        more = None if dkeys is None else through(self.key_projection, dkeys, saved.keys)
        return (
            _core.part_rows(dquery, None, saved.query_lengths, saved.query_shape[0]),
            _core.part_rows(dmemory, more, saved.lengths, saved.memory_shape[0]),
        )

    def weights(
        self,
        query: ArrayLike,
        memory: ArrayLike,
        lengths: ArrayLike | None = None,
        query_lengths: ArrayLike | None = None,
    ) -> Array:
        """Return the weights of all heads; parameters and errors are those of calling.

        Returns
        -------
        weights : array [T,B,num_heads,S]
            Those of a query and a head sum to 1. Zero past the ends of memory and target.

        Examples
        --------
        >>> import numpy as np, rnncore as rc
        >>> attention = rc.Attention(2, 2, score="dot", dtype=np.float64)
        >>> attention.weights(np.zeros((1, 1, 2)), np.ones((3, 1, 2)), lengths=[2])
        array([[[[0.5, 0.5, 0. ]]]])
        """
        _, saved = self._run(query, memory, lengths, query_lengths, keep=True)
        num_steps, batch_size, _ = saved.query_shape
        result = np.zeros(
            (num_steps, batch_size, self.num_heads, saved.memory_shape[0]), self.dtype
        )
        start = 0
        for b, (steps, length) in enumerate(zip(saved.query_lengths, saved.lengths, strict=True)):
            shape = self.num_heads, int(steps), _core.padded_weights(int(length))
            own = saved.weights[start : start + math.prod(shape)].reshape(shape)
            result[:steps, b, :, :length] = own[..., :length].swapaxes(0, 1)
            start += own.size
        return result

    def hold(self, memory: ArrayLike, lengths: ArrayLike | None = None) -> HeldMemory:
        """Return the memory with its keys, for a decoder that reads it step by step.

        Parameters
        ----------
        memory : array [S,B,M]
            What is read; copied.
        lengths : integers [B], optional
            Steps of each memory, from 0 to S; None is S for all.

        Raises
        ------
        TypeError, ValueError
            If an argument has another type or shape, or a length is outside its range.
        MemoryError
            If the copy does not fit in memory.
        """
        array = floats("memory", memory, self.dtype, ("S", "B", self.memory_size))
        ends = ends_of("lengths", lengths, array.shape)
        values = _core.join_rows(array, ends)
        _, core = self.prepare(values, ends, len(array), keep=False)
        return HeldMemory(self, values, ends, core)

    def _run(
        self,
        query: ArrayLike,
        memory: ArrayLike,
        lengths: ArrayLike | None,
        query_lengths: ArrayLike | None,
        *,
        keep: bool,
    ) -> tuple[Array, Saved]:
        """Return the contexts and, if `keep`, all that the backward pass needs."""
        source = floats("memory", memory, self.dtype, ("S", "B", self.memory_size))
        batch_size = source.shape[1]
        target = floats("query", query, self.dtype, ("T", batch_size, self.query_size))
        ends = ends_of("lengths", lengths, source.shape)
        query_ends = ends_of("query_lengths", query_lengths, target.shape)
        values = _core.join_rows(source, ends)
        keys, core = self.prepare(values, ends, len(source), keep=keep)
        joined = _core.join_rows(target, query_ends)
        queries = _projected(self.query_projection, joined, keep=keep)
        context, weights = core.forward(queries.rows, query_ends, len(target), keep)
        return context, Saved(
            queries, target.shape, query_ends, core, keys, source.shape, ends, weights
        )

    def prepare(
        self, values: Array, ends: Ids, num_steps: int, *, keep: bool
    ) -> tuple[Projected, _core.AttentionMemory]:
        """Return the keys, and keys and values as the kernel takes them, of joined rows."""
        keys = _projected(self.key_projection, values, keep=keep)
        core = _core.AttentionMemory(
            None if self.key_projection is None else keys.rows,
            values,
            self.params["v"].copy() if self.score == "additive" else None,
            ends,
            num_steps,
            self.num_heads,
            math.sqrt(self.num_heads / self._width) if self.scaled else 1.0,
        )
        return keys, core

    def _project_query(self, query: Array) -> Array:
        """Return queries [N,Q] as they are compared with keys, [N,A]."""
        return _projected(self.query_projection, query, keep=False).rows


def ends_of(name: str, lengths: Any, shape: tuple[int, ...]) -> Ids:
    """Return lengths [B] of sequences [T,B,...], checked; None is T for all."""
    _memory.require(64 * shape[1], f"{name} of B={shape[1]} sequences")
    if lengths is None:
        return np.full(shape[1], shape[0])
    return lengths_array(lengths, shape[:2], name)


def _projected(projection: Linear | None, rows: Array, *, keep: bool) -> Projected:
    if projection is None:
        return Projected(rows, None)
    return Projected(*projection.forward(rows)) if keep else Projected(projection(rows), None)


def through(projection: Linear | None, gradient: Array, projected: Projected) -> Array:
    """Return the gradient by what was projected."""
    if projection is None or projected.cache is None:
        return gradient
    return projection.backward(gradient, projected.cache)
