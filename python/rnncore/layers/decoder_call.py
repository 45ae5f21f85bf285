"""The arrays of a call of an `AttentionRNN`, checked, as the kernel takes them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple, Self

from rnncore import _core
from rnncore._check import Array, Ids, check_shape, floats, lengths_array
from rnncore.layers.attention import Projected, ends_of
from rnncore.layers.state import state_parts

if TYPE_CHECKING:
    from rnncore.layers.attention_rnn import AttentionRNN

__all__ = ["DecoderCall", "GivenState", "checked_state"]


class GivenState(NamedTuple):
    """A state as the kernel takes it, and the shapes that its parts had."""

    parts: list[Array | None] | None
    shapes: list[tuple[int, ...]]


class Inputs(NamedTuple):
    """What the kernel takes besides the parameters."""

    x: Array
    memory: _core.AttentionMemory
    state: list[Array | None] | None
    lengths: Ids | None


class DecoderCall(NamedTuple):
    """A call: what the kernel takes, and what the way back needs of the memory and the state."""

    inputs: Inputs
    keys: Projected
    memory_lengths: Ids
    memory_shape: tuple[int, ...]
    shapes: list[tuple[int, ...]]  # of the state's parts

    @classmethod
    def of(
        cls,
        layer: AttentionRNN,
        x: Any,
        memory: Any,
        state: Any,
        lengths: Any,
        memory_lengths: Any,
        *,
        keep: bool = False,
    ) -> Self:
        """Check the arguments and compute the keys; `keep` also what their way back needs."""
        source = floats("memory", memory, layer.dtype, ("S", "B", layer.memory_size))
        batch_size = source.shape[1]
        steps = floats("x", x, layer.dtype, ("T", batch_size, layer.input_size))
        ends = ends_of("memory_lengths", memory_lengths, source.shape)
        targets = None if lengths is None else lengths_array(lengths, steps.shape[:2])
        initial = checked_state("state", state, layer, batch_size)
        values = _core.join_rows(source, ends)
        keys, core = layer.attention.prepare(values, ends, len(source), keep=keep)
        inputs = Inputs(steps, core, initial.parts, targets)
        return cls(inputs, keys, ends, source.shape, initial.shapes)


def checked_state(name: str, state: Any, layer: AttentionRNN, batch_size: int) -> GivenState:
    """Return a state of so many sequences, checked; None, also of a part, is zero."""
    shape = batch_size, layer.hidden_size
    names = layer.state_names
    shapes: list[tuple[int, ...]] = [shape for _ in names]
    if state is None:
        return GivenState(None, shapes)
    arrays: list[Array | None] = []
    for i, (part, value) in enumerate(state_parts(name, state, names).items()):
        array = None if value is None else floats(part, value, layer.dtype)
        if array is not None:
            shapes[i] = array.shape
            if array.shape == (1, *shape):
                array = array[0]
            check_shape(part, array, shape)
        arrays.append(array)
    return GivenState(arrays, shapes)
