"""AttentionRNN: a decoder whose step reads the context of the step before."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, DTypeLike

from rnncore import _core
from rnncore._check import Array, Ids, choice, compute_type, flag, floats, size
from rnncore._keywords import strict_keywords
from rnncore.layers.attention import Attention, Projected, through
from rnncore.layers.cache import Cache, open_cache
from rnncore.layers.decoder_call import DecoderCall, checked_state
from rnncore.layers.held_decoder import FrozenAttentionRNN, HeldDecoder
from rnncore.layers.linear import Linear
from rnncore.layers.module import Module
from rnncore.layers.named import recurrent
from rnncore.layers.parameters import apart
from rnncore.layers.state import pack_state

__all__ = ["AttentionRNN"]


class Saved(NamedTuple):
    """What the backward pass needs."""

    core: _core.AttentionRNNCache
    keys: Projected
    lengths: Ids  # of the memory
    memory_shape: tuple[int, ...]
    y_shape: tuple[int, ...]
    state_shapes: list[tuple[int, ...]]  # as the caller gave the parts


class AttentionRNN(Module):
    r"""Recurrent decoder whose step reads the attention's context of the step before.

    ``feeding="input"`` is the input feeding of Luong, Pham and Manning 2015 (Effective approaches
    to attention-based neural machine translation, arXiv 1508.04025):

    .. math::
        h_t &= \mathrm{cell}([x_t; a_{t-1}],\ h_{t-1}) \\
        c_t &= \mathrm{attention}(h_t,\ \mathrm{memory}) \\
        a_t &= \tanh(W_c [c_t; h_t] + b_c), \qquad y_t = a_t

    ``feeding="conditional"`` is the decoder of Bahdanau, Cho and Bengio 2015 (arXiv 1409.0473) as
    the conditional GRU of nematus (Sennrich et al. 2017, arXiv 1703.04357), with any cell:

    .. math::
        q_t &= \mathrm{cell}_1(x_t,\ s_{t-1}) \\
        c_t &= \mathrm{attention}(q_t,\ \mathrm{memory}) \\
        s_t &= \mathrm{cell}_2(c_t,\ q_t), \qquad y_t = s_t

    With ``output_context=True`` the output is [y_t; c_t], as a head takes it that reads the context
    too. The parts of the layer are layers of their own: `rnn`, `attention` (see `Attention`), and
    `combine` (W_c, b_c) or `context_rnn`.

    The state is a tuple of arrays [B,H], named by `state_names`: h, of an LSTM also its cell state
    c, and with ``feeding="input"`` the vector a; h alone is no tuple but the array. A part that is
    None is zero. An array [1,B,H], the state of a recurrent layer, is taken for [B,H].

    Threads divide the sequences; the results have the same bits for any number of threads.

    Parameters
    ----------
    input_size : int
        Width I of the inputs, such as embedded target words.
    hidden_size : int
        Units H of the cells, and width of a.
    memory_size : int
        Width M of what is attended to.
    cell : {"gru", "lstm", "rnn"}
        Kind of the cells.
    feeding : {"input", "conditional"}
        How a step reads the context, see above.
    score, attention_size, num_heads, scaled
        Of the attention, whose queries have width H, see `Attention`.
    output_context : bool
        Whether the outputs are [y_t; c_t] of width H + M instead of y_t.
    bias : bool
        Whether the cells and `combine` have biases.
    dtype : float32 or float64
        Type of parameters, inputs and outputs.
    compute : "bfloat16" or None
        What the operands of products are rounded to, see `RNN`. Scores and contexts are not.
    rng : numpy Generator, int or None
        Source of the initial parameters.
    **cell_options
        Of the one cell: ``nonlinearity`` of "rnn", ``reset`` of "gru".

    Raises
    ------
    TypeError, ValueError
        If an argument has the wrong type or value.
    MemoryError
        If the parameters and their gradients do not fit in memory.

    Examples
    --------
    >>> import numpy as np, rnncore as rc
    >>> decoder = rc.AttentionRNN(input_size=4, hidden_size=8, memory_size=6, rng=0)
    >>> memory = np.ones((7, 2, 6), np.float32)  # [S,B,M], as an encoder puts out
    >>> x = np.zeros((5, 2, 4), np.float32)  # [T,B,I]
    >>> y, (h, a) = decoder(x, memory, lengths=[5, 3], memory_lengths=[7, 4])
    >>> y.shape, h.shape
    ((5, 2, 8), (2, 8))
    """

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        memory_size: int,
        *,
        cell: str = "gru",
        feeding: str = "input",
        score: str = "general",
        attention_size: int | None = None,
        num_heads: int = 1,
        scaled: bool = False,
        output_context: bool = False,
        bias: bool = True,
        dtype: DTypeLike = np.float32,
        compute: str | None = None,
        rng: np.random.Generator | int | None = None,
        **cell_options: Any,
    ) -> None:
        super().__init__(dtype, rng)
        self.compute = compute_type(compute, self.dtype)
        self.input_size = size("input_size", input_size)
        self.hidden_size = size("hidden_size", hidden_size)
        self.memory_size = size("memory_size", memory_size)
        self.feeding = choice("feeding", feeding, ("input", "conditional"))
        self.output_context = flag("output_context", output_context)
        self.bias = flag("bias", bias)
        shared: dict[str, Any] = {"dtype": self.dtype, "compute": self.compute, "rng": self.rng}

        def of_cell(width: int) -> Any:
            options: dict[str, Any] = {
                "owner": AttentionRNN,
                "cell_options": cell_options,
                "bias": self.bias,
            }
            return recurrent(cell, width, self.hidden_size, 1, **options, **shared)

        feeds = self.feeding == "input"
        self.rnn = of_cell(self.input_size + (self.hidden_size if feeds else 0))
        self.attention = Attention(
            self.hidden_size,
            self.memory_size,
            score=score,
            attention_size=attention_size,
            num_heads=num_heads,
            scaled=scaled,
            **shared,
        )
        if feeds:
            width = self.memory_size + self.hidden_size
            self.combine = Linear(width, self.hidden_size, bias=self.bias, **shared)
        else:
            self.context_rnn = of_cell(self.memory_size)
        self._core = _core.AttentionRNN(
            self.rnn.kernel_cell,
            self.input_size,
            self.hidden_size,
            self.memory_size,
            self.feeding,
            self.output_context,
            self.bias,
            self.dtype.name,
            self.compute,
        )

    @property
    def state_names(self) -> tuple[str, ...]:
        """Names of the parts of a state."""
        names: tuple[str, ...] = self.rnn.state_names
        return (*names, "a") if self.feeding == "input" else names

    @property
    def output_size(self) -> int:
        """Width of the outputs: H, or H + M with `output_context`."""
        return self.hidden_size + (self.memory_size if self.output_context else 0)

    @property
    def core(self) -> _core.AttentionRNN:
        """The kernel's part, which holds the configuration but no parameters."""
        return self._core

    @property
    def version(self) -> int:
        """Counts the changes of the parameters, those of a part alone too."""
        parts = (self.rnn, self.attention, self._last)
        return self._version + sum(m._version for part in parts for m in part.modules())

    @property
    def _last(self) -> Any:
        return self.combine if self.feeding == "input" else self.context_rnn

    def __call__(
        self,
        x: ArrayLike,
        memory: ArrayLike,
        state: Any = None,
        lengths: ArrayLike | None = None,
        memory_lengths: ArrayLike | None = None,
    ) -> tuple[Array, Any]:
        """Run all steps, keeping nothing.

        Parameters
        ----------
        x : array [T,B,I]
            Inputs.
        memory : array [S,B,M]
            What is attended to.
        state : array or tuple of arrays [B,H], optional
            Initial state, see above; None is zero.
        lengths : integers [B], optional
            Steps of each sequence, from 0 to T; None is T for all. Outputs past them are zero.
        memory_lengths : integers [B], optional
            Steps of each memory, from 0 to S; None is S for all. What lies past them is not read.
            Of a memory without steps all contexts are zero.

        Returns
        -------
        y : array [T,B,H], or [T,B,H+M] with `output_context`
            Outputs.
        state : array or tuple of arrays [B,H]
            Final state.

        Raises
        ------
        TypeError
            If an array has another dtype than the layer.
        ValueError
            If a shape or a length does not fit.
        MemoryError
            If the result does not fit in memory.
        """
        call = DecoderCall.of(self, x, memory, state, lengths, memory_lengths)
        y, final = self._core.infer(self.kernel_arrays(), *call.inputs)
        return y, pack_state(final)

    def forward(
        self,
        x: ArrayLike,
        memory: ArrayLike,
        state: Any = None,
        lengths: ArrayLike | None = None,
        memory_lengths: ArrayLike | None = None,
    ) -> tuple[Array, Any, Cache[Saved]]:
        """Run all steps for training; parameters and errors are those of calling the layer.

        Returns
        -------
        y : array [T,B,H], or [T,B,H+M] with `output_context`
            Outputs; read-only, because the cache may share them.
        state : array or tuple of arrays [B,H]
            Final state.
        cache : Cache
            For `backward`. It refers to `x`: do not write into `x` before.
        """
        y, final, saved = self._forward(x, memory, state, lengths, memory_lengths)
        y.flags.writeable = False
        return y, pack_state(final), Cache(self, self.version, saved)

    def backward(
        self, dy: ArrayLike | None, cache: Cache[Saved], dstate: Any = None
    ) -> tuple[Array, Array, Any]:
        """Back-propagate through time; add the gradients of the parameters to `grads`.

        Parameters
        ----------
        dy : array shaped as y, or None
            Gradient of the loss by the outputs; None is zero. Steps past `lengths` are ignored.
        cache : Cache
            What `forward` returned; it may be used again.
        dstate : like the final state, or None
            Gradient of the loss by the final state; None, also of a part, is zero.

        Returns
        -------
        dx : array [T,B,I]
            Gradient of the loss by the inputs.
        dmemory : array [S,B,M]
            Gradient of the loss by the memory; zero past its ends.
        dstate : array or tuple of arrays
            Gradient of the loss by the initial state, each part shaped as it was given.

        Raises
        ------
        TypeError
            If an array has another dtype than the layer, or `cache` is no cache.
        ValueError
            If a shape does not fit, another layer made the cache, or the parameters have changed
            since.
        """
        saved = open_cache(cache, self)
        if dy is not None:
            dy = apart(floats("dy", dy, self.dtype, saved.y_shape), self._flat_grads)
        dfinal = checked_state("dstate", dstate, self, saved.y_shape[1]).parts
        if dfinal is not None:
            dfinal = [None if d is None else apart(d, self._flat_grads) for d in dfinal]
        dx, dkeys, dvalues, dinitial = self._core.backward(
            self.kernel_arrays(), self.kernel_arrays("grads"), dy, saved.core, dfinal
        )
        more = None
        if dkeys is not None:
            more = through(self.attention.key_projection, dkeys, saved.keys)
        dmemory = _core.part_rows(dvalues, more, saved.lengths, saved.memory_shape[0])
        shaped = zip(dinitial, saved.state_shapes, strict=True)
        return dx, dmemory, pack_state(tuple(d.reshape(shape) for d, shape in shaped))

    def weights(
        self,
        x: ArrayLike,
        memory: ArrayLike,
        state: Any = None,
        lengths: ArrayLike | None = None,
        memory_lengths: ArrayLike | None = None,
    ) -> Array:
        """Return the weights of the attention at all steps; parameters are those of calling.

        Returns
        -------
        weights : array [T,B,num_heads,S]
            Those of a step and a head sum to 1. Zero past the ends of memory and target.

        Examples
        --------
        >>> import numpy as np, rnncore as rc
        >>> decoder = rc.AttentionRNN(2, 3, 2, rng=0)
        >>> x, memory = np.ones((4, 1, 2), np.float32), np.ones((2, 1, 2), np.float32)
        >>> decoder.weights(x, memory)[-1]
        array([[[0.5, 0.5]]], dtype=float32)
        """
        _, _, saved = self._forward(x, memory, state, lengths, memory_lengths)
        return saved.core.weights(saved.memory_shape[0])

    @strict_keywords()
    def frozen(self) -> FrozenAttentionRNN:
        """Return this layer as it is now, with its weights packed, to `hold` many memories.

        Raises
        ------
        MemoryError
            If a copy of the parameters does not fit in memory.
        """
        return FrozenAttentionRNN(self)

    def hold(self, memory: ArrayLike, memory_lengths: ArrayLike | None = None) -> HeldDecoder:
        """Return a memory with its keys and this layer as it is now, to decode step by step.

        Parameters
        ----------
        memory : array [S,B,M]
            What is attended to; copied.
        memory_lengths : integers [B], optional
            Steps of each memory, from 0 to S; None is S for all.

        Raises
        ------
        TypeError, ValueError
            If an argument has another type or shape, or a length is outside its range.
        MemoryError
            If the copies do not fit in memory.

        Examples
        --------
        >>> import numpy as np, rnncore as rc
        >>> decoder = rc.AttentionRNN(4, 8, 6, rng=0)
        >>> held = decoder.hold(np.ones((7, 2, 6), np.float32))
        >>> x = np.zeros((3, 4), np.float32)  # two hypotheses of the first, one of the second
        >>> y, state, weights = held.step(x, None, rows=[0, 0, 1])
        >>> y.shape, weights.shape
        ((3, 8), (3, 7))
        """
        return self.frozen().hold(memory, memory_lengths)

    def _forward(
        self, x: Any, memory: Any, state: Any, lengths: Any, memory_lengths: Any
    ) -> tuple[Array, tuple[Array, ...], Saved]:
        call = DecoderCall.of(self, x, memory, state, lengths, memory_lengths, keep=True)
        y, final, core = self._core.forward(self.kernel_arrays(), *call.inputs)
        saved = Saved(core, call.keys, call.memory_lengths, call.memory_shape, y.shape, call.shapes)
        return y, final, saved

    def kernel_arrays(self, which: str = "params") -> list[Array | None]:
        """Return the parameters, or with "grads" the gradients, as the kernel takes them."""
        query = self.attention.query_projection
        of_query = {} if query is None else getattr(query, which)
        return [
            getattr(self.rnn, f"flat_{which}"),
            getattr(self._last, f"flat_{which}"),
            of_query.get("weight"),
            of_query.get("bias"),
            getattr(self.attention, which).get("v"),
        ]
