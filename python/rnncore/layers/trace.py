"""Gates, cell states and hidden states of a recurrent layer at every step."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from numpy.typing import ArrayLike

from rnncore._check import Array
from rnncore.layers.call import Call

if TYPE_CHECKING:
    from rnncore.layers.recurrent import Recurrent


def trace(
    layer: Recurrent[Any], x: ArrayLike, state: Any, lengths: ArrayLike | None
) -> dict[str, Array]:
    """Return what `Recurrent.trace` returns, which says what the arguments are."""
    call, steps, ends = Call.of(layer, x, lengths)
    _, _, cache = layer.network.forward(
        layer.flat_params, steps, call.states("state", state), ends, None, needs_output=False
    )
    return {
        f"{name}_{suffix}": call.as_given(array)
        for suffix, arrays in zip(suffixes(layer), cache.trace(), strict=True)
        for name, array in arrays.items()
    }


def suffixes(layer: Recurrent[Any]) -> list[str]:
    """Return "l0", "l0_reverse", "l1", ...: what names end with, in the order of the state rows."""
    ends = ("", "_reverse")[: layer.num_directions]
    return [f"l{number}{end}" for number in range(layer.num_layers) for end in ends]
