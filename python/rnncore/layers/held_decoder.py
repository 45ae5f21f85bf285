"""A decoder with attention as it is now, and the memories that it reads, for decoding."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike

from rnncore import _core
from rnncore._check import Array, Ids, check_below, check_shape, floats, ids_array
from rnncore.layers.assembly import copy_for_inference
from rnncore.layers.attention import ends_of
from rnncore.layers.decoder_call import checked_state
from rnncore.layers.state import pack_state

if TYPE_CHECKING:
    from rnncore.layers.attention_rnn import AttentionRNN

__all__ = ["FrozenAttentionRNN", "HeldDecoder"]


class FrozenAttentionRNN:
    """A copy of an `AttentionRNN` with its weights packed once; made by ``layer.frozen()``.

    It does not see later changes of the layer. Several threads may use it at once.

    Parameters
    ----------
    layer : AttentionRNN
        May be a part of a model.

    Raises
    ------
    MemoryError
        If the copy or the packed weights do not fit in memory.

    Examples
    --------
    >>> import numpy as np, rnncore as rc
    >>> frozen = rc.AttentionRNN(4, 8, 6, rng=0).frozen()
    >>> for memory in np.ones((2, 7, 1, 6), np.float32):
    ...     held = frozen.hold(memory)
    ...     y, state, weights = held.step(np.zeros((1, 4), np.float32))
    >>> y.shape
    (1, 8)
    """

    def __init__(self, layer: AttentionRNN) -> None:
        self.layer = copy_for_inference(layer)
        attention = self.layer.attention
        self.core = _core.HeldAttentionRNN(
            self.layer.core, self.layer.kernel_arrays(), attention.key_size
        )

    def hold(self, memory: ArrayLike, memory_lengths: ArrayLike | None = None) -> HeldDecoder:
        """Return a memory with its keys, to decode step by step; see `AttentionRNN.hold`."""
        return HeldDecoder(self, memory, memory_lengths)

    def __reduce__(self) -> tuple[Any, ...]:
        """Copy and pickle: freeze the same layer again."""
        return FrozenAttentionRNN, (self.layer,)

    def __repr__(self) -> str:
        return f"{self.layer!r}.frozen()"


class HeldDecoder:
    """Memories with their keys and a frozen decoder that reads them; see `AttentionRNN.hold`.

    Any number of rows may read the same memory: the hypotheses of a beam share it.

    Parameters
    ----------
    frozen : FrozenAttentionRNN
        The decoder.
    memory : array [S,B,M]
        What is attended to; copied.
    memory_lengths : integers [B], optional
        Steps of each memory; None is S for all.

    Raises
    ------
    TypeError, ValueError
        If an argument has another type or shape, or a length is outside its range.

    Examples
    --------
    >>> import numpy as np, rnncore as rc
    >>> held = rc.AttentionRNN(4, 8, 6, rng=0).hold(np.ones((7, 2, 6), np.float32))
    >>> y, state, weights = held.step(np.zeros((2, 4), np.float32))
    >>> y, state, weights = held.step(y[:, :4], state)
    >>> held.batch_size
    2
    """

    def __init__(
        self, frozen: FrozenAttentionRNN, memory: ArrayLike, memory_lengths: ArrayLike | None = None
    ) -> None:
        layer = frozen.layer
        array = floats("memory", memory, layer.dtype, ("S", "B", layer.memory_size))
        self._frozen = frozen
        self._lengths: Ids = ends_of("memory_lengths", memory_lengths, array.shape)
        self._values = _core.join_rows(array, self._lengths)
        _, self._memory = layer.attention.prepare(
            self._values, self._lengths, len(array), keep=False
        )

    @property
    def batch_size(self) -> int:
        """Number of memories B."""
        return len(self._lengths)

    def step(
        self, x: ArrayLike, state: Any = None, rows: ArrayLike | None = None
    ) -> tuple[Array, Any, Array]:
        """Take one step of N sequences.

        Parameters
        ----------
        x : array [N,I]
            Inputs of this step.
        state : array or tuple of arrays [N,H], optional
            State after the step before, as of the layer; None is zero.
        rows : integers [N], optional
            The memory that each sequence reads, within [0, B); None: sequence n reads memory n.

        Returns
        -------
        y : array [N,H], or [N,H+M] with `output_context`
            Outputs: up to rounding those of the layer's pass over all steps.
        state : array or tuple of arrays [N,H]
            State after the step.
        weights : array [N,S]
            Of the attention, the mean over its heads; zero past the end of a memory.

        Raises
        ------
        TypeError, ValueError
            If an argument has another type or shape, or a row is outside [0, B).
        """
        layer = self._frozen.layer
        inputs = floats("x", x, layer.dtype, ("N", layer.input_size))
        if rows is None:
            rows = np.arange(self.batch_size)
        ids = ids_array("rows", rows)
        check_shape("rows", ids, inputs.shape[:1])
        check_below("rows", ids, self.batch_size)
        parts = checked_state("state", state, layer, len(inputs)).parts
        y, final, weights = self._frozen.core.step(inputs, self._memory, parts, ids)
        return y, pack_state(final), weights

    def __reduce__(self) -> tuple[Any, ...]:
        """Copy and pickle: hold the same memory again."""
        memory = _core.part_rows(self._values, None, self._lengths, self._memory.steps)
        return HeldDecoder, (self._frozen, memory, self._lengths)

    def __repr__(self) -> str:
        return f"{self._frozen.layer!r}.hold([S={self._memory.steps}, B={self.batch_size}])"
