"""What RNN, GRU and LSTM share: parameters, forward, backward, streaming."""

from __future__ import annotations

from typing import Any, ClassVar, Generic, NamedTuple, Unpack

import numpy as np
from numpy.typing import ArrayLike

from rnncore import _advice, _core, _memory, _restoring
from rnncore._check import (
    Array,
    compute_type,
    flag,
    floats,
    integer,
    real,
    size,
)
from rnncore._keywords import strict_keywords
from rnncore.layers.cache import Cache, open_cache
from rnncore.layers.call import Call, is_one_sequence
from rnncore.layers.embedding import Embedding
from rnncore.layers.frozen import Frozen
from rnncore.layers.held import Held
from rnncore.layers.module import Module
from rnncore.layers.options import DEFAULTS, RecurrentOptions, lists_options
from rnncore.layers.output_gradient import OutputGradient
from rnncore.layers.parameters import apart, fill_uniform
from rnncore.layers.state import State, pack_state
from rnncore.layers.stream import Stream
from rnncore.layers.trace import trace


class Saved(NamedTuple):
    """What a recurrent layer keeps for its backward pass."""

    core: _core.Cache
    call: Call
    y_shape: tuple[int, ...]  # as the caller saw it


class Recurrent(Module, Generic[State]):
    """Stacked, possibly bidirectional recurrent network; base of `RNN`, `GRU` and `LSTM`.

    `State` is what a caller passes as initial and receives as final state: one array h for RNN and
    GRU, the tuple (h, c) for LSTM.

    Parameters
    ----------
    cell : str
        The kernel's name of the cell.
    input_size : int
        Width I of the inputs.
    hidden_size : int
        Width H of the hidden state.
    num_layers : int
        Number of layers L.
    bias : bool
        Whether there are b_ih and b_hh.
    batch_first : bool
        Whether inputs and outputs are [B,T,...] instead of [T,B,...]; their shapes do not tell.
        States are [L*D,B,H] in both.
    dropout : float
        Probability in [0, 1) that ``forward`` drops an output between two layers. Without effect
        on a single layer.
    bidirectional : bool
        Whether a second network (D = 2) reads the sequence backwards; the outputs are concatenated.
    dtype : float32 or float64
        Type of parameters, inputs, outputs and states.
    compute : "bfloat16" or None
        What the operands of matrix products are rounded to, here and in ``backward``; None leaves
        them in `dtype`. "bfloat16" needs float32 and keeps it for everything else, sums included:
        50 to 60 % of the time on an AMD with AVX-512-BF16, 20 to 60 % on an Intel with AMX, and no
        faster on others. Its 8 significant bits put a relative error of up to 0.4 % on
        each operand. Inputs given as ids take their column of W_ih unrounded; a `stream` has its
        own option.
    rng : numpy Generator, int or None
        Source of the initial parameters, U(-1/sqrt(H), 1/sqrt(H)), and of the dropout masks.

    Raises
    ------
    TypeError, ValueError
        If an argument has the wrong type or value.
    MemoryError
        If the parameters and their gradients do not fit in memory.
    """

    state_names: ClassVar[tuple[str, ...]] = ("h",)

    @lists_options
    def __init__(
        self,
        cell: str,
        input_size: int,
        hidden_size: int,
        num_layers: int = 1,
        **options: Unpack[RecurrentOptions],
    ) -> None:
        given: RecurrentOptions = {**DEFAULTS, **options}
        super().__init__(given["dtype"], given["rng"])
        self.compute = compute_type(given["compute"], self.dtype)
        self.input_size = size("input_size", input_size)
        self.hidden_size = size("hidden_size", hidden_size)
        self.num_layers = size("num_layers", num_layers)
        self.bias = flag("bias", given["bias"])
        self.batch_first = flag("batch_first", given["batch_first"])
        self.dropout = real("dropout", given["dropout"], 0, 1, open_high=True)
        self.bidirectional = flag("bidirectional", given["bidirectional"])
        if self.dropout > 0 and self.num_layers == 1:
            _advice.advise(
                f"dropout: {self.dropout:g} has no effect on a single layer, it acts between two; "
                "rnncore.Dropout acts on outputs"
            )
        # Less than the layers need, so that an absurd number of them is refused before the kernel
        # lists their parameters, each of which takes about a kilobyte in names and shapes.
        rows = self.num_layers * self.num_directions
        _restoring.require_arrays("num_layers", rows)
        _memory.require(rows * 1024, f"num_layers: {self.num_layers} layers")
        self._kernel_cell = cell
        self._network = _core.Network(
            cell,
            self.input_size,
            self.hidden_size,
            self.num_layers,
            self.bias,
            self.bidirectional,
            self.dropout,
            self.dtype.name,
            self.compute,
        )
        self._allocate(self._network.layout)
        self._draw()

    @property
    def network(self) -> _core.Network:
        """The compiled network, which holds the configuration but no parameters."""
        return self._network

    @property
    def kernel_cell(self) -> str:
        """The kernel's name of the cell."""
        return self._kernel_cell

    @property
    def num_directions(self) -> int:
        """D: 2 if bidirectional, otherwise 1."""
        return 2 if self.bidirectional else 1

    def _initialise(self, rng: np.random.Generator) -> None:
        """Draw U(-1/sqrt(H), 1/sqrt(H)), the default of PyTorch."""
        fill_uniform(self._flat_params, self.hidden_size**-0.5, rng)

    def __call__(
        self, x: ArrayLike, state: State | None = None, lengths: ArrayLike | None = None
    ) -> tuple[Array, State]:
        """Run the network without dropout, keeping nothing.

        Parameters
        ----------
        x : array [T,B,I], [B,T,I] if batch_first, or [T,I]
            Inputs in the layer's dtype; or integer ids [T,B], [B,T] or [T], which stand for one-hot
            vectors of width I and cost a look-up instead of a product. Two dimensions of numbers
            are always one sequence [T,I]: one step of a batch [B,I] is ``x[np.newaxis]``.
        state : h, or (h, c) for LSTM; each array [L*D,B,H], for B = 1 also [L*D,H]
            Initial state; None is zero.
        lengths : integers [B], or one for x without a batch, optional
            Steps of each sequence, from 0 to T, in any order; None is T for all. Later steps are
            not computed, and x may hold anything there: their outputs are zero, and the final
            state is the one after the last step (the initial state where the length is 0). The
            reverse direction starts there.

        Returns
        -------
        y : array [T,B,D*H], [B,T,D*H] or [T,D*H]
            Outputs of the last layer; forward direction first.
        state : h, or (h, c) for LSTM
            Final state of every layer and direction; a new array, [L*D,H] if x has no batch.

        Raises
        ------
        TypeError
            If an array has another dtype than the layer; nothing is converted silently.
        ValueError
            If a shape, an id or a length does not fit.
        MemoryError
            If the result does not fit in memory.
        """
        if state is None and lengths is None and is_one_sequence(x, self):
            y, final = self._network.infer_one(self._flat_params, x)
            return y, pack_state(final)
        call, steps, ends = Call.of(self, x, lengths)
        y, final = self._network.infer(self._flat_params, steps, call.states("state", state), ends)
        return call.as_given(y), call.state_as_given(final)

    @strict_keywords()
    def frozen(self) -> Frozen[State]:
        """Return a `Frozen`: this layer as it is now, for many calls with the same parameters.

        Raises
        ------
        MemoryError
            If a copy of the parameters does not fit in memory.
        """
        return Frozen(self)

    def forward(
        self,
        x: ArrayLike,
        state: State | None = None,
        lengths: ArrayLike | None = None,
        *,
        memory_limit: int | None = None,
        needs_output: bool = True,
    ) -> tuple[Any, State, Cache[Saved]]:
        """Run the network for training: with dropout between layers, keeping what BPTT needs.

        Parameters and errors are those of calling the layer, and:

        Parameters
        ----------
        memory_limit : int, optional
            Bytes that the cache may take, counting what `backward` adds to it. Where all steps need
            more, only the states at the beginnings of segments of time are kept, and `backward`
            runs one segment after the other forward again (checkpointing; Chen, Xu, Zhang and
            Guestrin 2016, arXiv 1604.06174): at least the memory of about 2 sqrt(T) steps, or of
            512/B where that is more, for a third more work and the same bits. Not for bidirectional
            networks.
        needs_output : bool
            False: y is None, which a backward pass from an `OutputGradient` does not need.

        Returns
        -------
        y : array [T,B,D*H], [B,T,D*H] or [T,D*H]
            Outputs; read-only, because the cache may share them.
        state : h, or (h, c) for LSTM
            Final state.
        cache : Cache
            For `backward`. It refers to `x`: do not write into `x` before.

        Raises
        ------
        TypeError, ValueError
            If `memory_limit` is no positive number of bytes, or too small for any segment; the
            message says how many are needed.
        """
        if memory_limit is not None:
            memory_limit = min(integer("memory_limit", memory_limit, 1), 2**63 - 1)
        needs_output = flag("needs_output", needs_output)
        call, steps, ends = Call.of(self, x, lengths)
        y, final, core = self._network.forward(
            self._flat_params,
            steps,
            call.states("state", state),
            ends,
            int(self.rng.integers(2**63)) if self.dropout > 0 else 0,
            memory_limit,
            needs_output,
        )
        if y is not None:
            y.flags.writeable = False
            y = call.as_given(y)
        saved = Saved(core, call, call.output_shape())
        return y, call.state_as_given(final), Cache(self, self.version, saved)

    def backward(
        self,
        dy: ArrayLike | OutputGradient | None,
        cache: Cache[Saved],
        dstate: State | None = None,
    ) -> tuple[Array | None, State]:
        """Back-propagate through time; add the gradients of the parameters to `grads`.

        Parameters
        ----------
        dy : array shaped as y, OutputGradient or None
            Gradient of the loss by the outputs; None is zero. Steps past `lengths` are ignored. An
            `OutputGradient` computes it in the same sweep, from an output layer and its loss.
        cache : Cache
            What `forward` returned; it may be used again.
        dstate : like the state, or None
            Gradient of the loss by the final state; None is zero.

        Returns
        -------
        dx : array shaped as x, or None if x was integer ids
            Gradient of the loss by the inputs.
        dstate : like the state
            Gradient of the loss by the initial state.

        Raises
        ------
        TypeError
            If an array has another dtype than the layer, or `cache` is no cache.
        ValueError
            If a shape does not fit, another layer made the cache, or the parameters have changed
            since.
        """
        saved = open_cache(cache, self)
        call = saved.call
        source: Any = None
        if isinstance(dy, OutputGradient):
            source = dy.bind(self.dtype, saved.y_shape, call.steps)
        elif dy is not None:
            source = call.steps(floats("dy", dy, self.dtype, saved.y_shape))
        dfinal = call.states("dstate", dstate)
        if dfinal is not None:
            dfinal = tuple(apart(array, self._flat_grads) for array in dfinal)
        dx, dinitial, losses = self._network.backward(
            self._flat_params, self._flat_grads, source, saved.core, dfinal
        )
        if isinstance(dy, OutputGradient) and losses is not None:
            dy.loss = float(losses.sum())
        return None if dx is None else call.as_given(dx), call.state_as_given(dinitial)

    def trace(
        self, x: ArrayLike, state: State | None = None, lengths: ArrayLike | None = None
    ) -> dict[str, Array]:
        """Run the network without dropout; return gates, cell states and outputs of every step.

        A forward pass keeps these values for its backward pass; here they are copied from there.

        Parameters
        ----------
        x, state, lengths
            As in a call of the layer.

        Returns
        -------
        trace : dict of str to array [T,B,H], [B,T,H] if batch_first, or [T,H]
            The names end as those of the parameters, in "_l0", "_l0_reverse", "_l1", and so on.
            An LSTM has "input_gate", "forget_gate", "cell_input", "output_gate", "cell" and
            "hidden"; a GRU "reset_gate", "update_gate", "candidate" and "hidden"; an RNN "hidden".
            Gates lie in (0, 1), after the sigmoid; "cell_input" and "candidate" follow the tanh.
            Past the end of a sequence all are zero.

        Raises
        ------
        TypeError, ValueError
            As in a call of the layer.
        MemoryError
            If the steps, or the copies, do not fit in memory.

        Examples
        --------
        >>> import numpy as np, rnncore as rc
        >>> lstm = rc.LSTM(3, 8, rng=0)
        >>> trace = lstm.trace(np.zeros((5, 2, 3), np.float32))
        >>> trace["forget_gate_l0"].shape
        (5, 2, 8)
        """
        return trace(self, x, state, lengths)

    @strict_keywords()
    def stream(self, batch_size: int = 1, weight_format: str | None = None) -> Stream[State]:
        """Return a `Stream`, which runs this network step by step or in pieces.

        Parameters
        ----------
        batch_size : int
            Number of independent sequences B.
        weight_format : {"float32", "bfloat16", "int8", "int8_dynamic"} or None
            How it stores the weight matrices, see `Stream`; None: as they are.

        Raises
        ------
        TypeError, ValueError
            If an argument is not as above, or the network is bidirectional: its reverse direction
            needs the whole sequence.
        MemoryError
            If the packed weights and states do not fit in memory.
        """
        return Stream(self, batch_size, weight_format)

    @strict_keywords()
    def hold(
        self, weight_format: str | None = None, embedding: Embedding | None = None
    ) -> Held[State]:
        """Return a `Held`, which takes single steps of any number of rows, for decoding.

        Parameters
        ----------
        weight_format : {"float32", "bfloat16", "int8", "int8_dynamic"} or None
            How it stores the weight matrices, see `Stream`; None: as they are.
        embedding : Embedding or None
            What ids stand for; None: one-hot vectors.

        Raises
        ------
        TypeError, ValueError
            If an argument is not as above, or the network is bidirectional.
        MemoryError
            If the packed weights do not fit in memory.
        """
        return Held(self, weight_format, embedding)
