"""The arrays of one call: time first and with a batch for the kernel, as given for the caller."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple, Self, TypeGuard

import numpy as np
from numpy.typing import ArrayLike

from rnncore._check import (
    Array,
    Ids,
    check_shape,
    floats,
    ids_or_floats,
    is_ids,
    lengths_array,
    within,
)
from rnncore.layers.state import pack_state, state_arrays

if TYPE_CHECKING:
    from rnncore.layers.recurrent import Recurrent


def is_one_sequence(x: object, layer: Recurrent[Any]) -> TypeGuard[Array]:
    """Whether the kernel takes x as it is: one sequence [T,I] of the layer's dtype.

    Of a small layer all its steps may take less time than the general case of a `Call`.
    """
    return (
        type(x) is np.ndarray
        and x.ndim == 2
        and x.dtype == layer.dtype
        and x.shape[1] == layer.input_size
    )


class Call(NamedTuple):
    """How a caller has laid out the arrays of a call.

    Those of the kernel are [T,B,...], its states [L*D,B,H].
    """

    layer: Recurrent[Any]
    num_steps: int
    batch_size: int
    batched: bool  # whether there is a B; where not, it is 1 for the kernel

    @classmethod
    def of(
        cls, layer: Recurrent[Any], x: ArrayLike, lengths: ArrayLike | None
    ) -> tuple[Self, Array, Ids | None]:
        """Return the layout, x [T,B,I] (ids [T,B], 0 past their ends) and lengths [B], checked."""
        array = ids_or_floats("x", x)
        width: tuple[int, ...] = ()
        if not is_ids(array):
            if array.dtype != layer.dtype:
                array = floats("x", x, layer.dtype)  # converts a list, or says what came
            width = (layer.input_size,)
        batched = array.ndim != 1 + len(width)
        outer = 1 + batched
        if array.ndim != outer + len(width) or array.shape[outer:] != width:
            names = ("B", "T") if layer.batch_first else ("T", "B")
            check_shape("x", array, (*names, *width) if batched else ("T", *width))  # raises
        if not batched:
            call = cls(layer, len(array), 1, False)
        elif layer.batch_first:
            call = cls(layer, array.shape[1], array.shape[0], True)
        else:
            call = cls(layer, array.shape[0], array.shape[1], True)
        steps = call.steps(array)
        if lengths is None:
            return call, steps, None
        ends = lengths_array(lengths, steps.shape[:2] if batched else steps.shape[:1])
        if not width:
            steps = np.where(within(ends, steps.shape), steps, 0)
        return call, steps, ends

    def steps(self, array: Array) -> Array:
        """Turn an outer [T,B], [B,T] or [T] into a view [T,B]; an empty batch takes no steps."""
        if not self.batched:
            return array[:, np.newaxis]
        steps = array.swapaxes(0, 1) if self.layer.batch_first else array
        return steps if self.batch_size else steps[:0]

    def as_given(self, array: Array) -> Array:
        """Undo `steps`."""
        if not self.batched:
            return array[:, 0]
        if not self.batch_size:
            array = array.reshape(self.num_steps, 0, *array.shape[2:])
        return array.swapaxes(0, 1) if self.layer.batch_first else array

    def output_shape(self) -> tuple[int, ...]:
        """Return the shape of y, as given."""
        width = self.layer.num_directions * self.layer.hidden_size
        if not self.batched:
            return self.num_steps, width
        outer = self.num_steps, self.batch_size
        return (*(outer[::-1] if self.layer.batch_first else outer), width)

    def states(self, name: str, state: Any) -> tuple[Array, ...] | None:
        """Return the arrays [L*D,B,H] of a state, checked; None as it is."""
        if state is None:
            return None
        layer = self.layer
        shape = (layer.num_layers * layer.num_directions, self.batch_size, layer.hidden_size)
        return state_arrays(
            name, state, layer.state_names, layer.dtype, shape, batched=self.batched
        )

    def state_as_given(self, arrays: tuple[Array, ...]) -> Any:
        """Return a state [L*D,B,H] with or without its B, as the caller has laid out x."""
        return pack_state(arrays if self.batched else tuple([a[:, 0] for a in arrays]))
