"""The arrays of one call: time first and with a batch for the kernel, as given for the caller."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple, Self

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
from rnncore.layers.state import pack_state, state_parts

if TYPE_CHECKING:
    from rnncore.layers.recurrent import Recurrent


class Call(NamedTuple):
    """How a caller has laid out the arrays of a call.

    Those of the kernel are [T,B,...], its states [L*D,B,H].
    """

    layer: Recurrent[Any]
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
            array = floats("x", x, layer.dtype)
            width = (layer.input_size,)
        batched = array.ndim != 1 + len(width)
        outer = ("B", "T") if layer.batch_first else ("T", "B")
        check_shape("x", array, (*outer, *width) if batched else ("T", *width))
        call = cls(layer, array.shape[outer.index("B")] if batched else 1, batched)
        steps = call.steps(array)
        if lengths is None:
            return call, steps, None
        ends = lengths_array(lengths, steps.shape[:2] if batched else steps.shape[:1])
        if not width:
            steps = np.where(within(ends, steps.shape), steps, 0)
        return call, steps, ends

    def steps(self, array: Array) -> Array:
        """Turn an outer [T,B], [B,T] or [T] into a view [T,B]."""
        if not self.batched:
            return array[:, np.newaxis]
        return array.swapaxes(0, 1) if self.layer.batch_first else array

    def as_given(self, array: Array) -> Array:
        """Undo `steps`."""
        if not self.batched:
            return array[:, 0]
        return array.swapaxes(0, 1) if self.layer.batch_first else array

    def output_shape(self, num_steps: int) -> tuple[int, ...]:
        """Return the shape of y, as given."""
        width = self.layer.num_directions * self.layer.hidden_size
        if not self.batched:
            return num_steps, width
        outer = num_steps, self.batch_size
        return (*(outer[::-1] if self.layer.batch_first else outer), width)

    def states(self, name: str, state: Any) -> tuple[Array, ...] | None:
        """Return the arrays [L*D,B,H] of a state, checked; None as it is."""
        if state is None:
            return None
        layer = self.layer
        rows = layer.num_layers * layer.num_directions
        batch = (self.batch_size,) if self.batched else ()
        shape = (rows, *batch, layer.hidden_size)
        parts = state_parts(name, state, layer.state_names)
        arrays = (floats(part, array, layer.dtype, shape) for part, array in parts.items())
        return tuple(array if self.batched else array[:, np.newaxis] for array in arrays)

    def state_as_given(self, arrays: tuple[Array, ...]) -> Any:
        """Undo `states`."""
        return pack_state(tuple(a if self.batched else a[:, 0] for a in arrays))
