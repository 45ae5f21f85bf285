"""One sequence without a batch: the kernel takes it as it is, with the bits of a batch of one."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

import rnncore as rc
from problems import as_tuple

Array = NDArray[Any]
LAYOUTS: dict[str, Callable[[Array], Array]] = {
    "C order": np.ascontiguousarray,
    "Fortran order": np.asfortranarray,
    "backwards": lambda x: np.ascontiguousarray(x[::-1])[::-1],
    "every second": lambda x: np.repeat(x, 2, axis=1)[:, ::2],
}
OPTIONS: list[dict[str, Any]] = [
    {},
    {"num_layers": 2, "bidirectional": True},
    {"dtype": "float64"},
    {"compute": "bfloat16"},
    {"batch_first": True},
]


def assert_as_in_batch(run: Any, x: Array, batch_axis: int) -> None:
    y, state = run(x)
    y_batch, state_batch = run(np.expand_dims(x, batch_axis))
    np.testing.assert_array_equal(y, np.squeeze(y_batch, batch_axis), strict=True)
    for got, expected in zip(as_tuple(state), as_tuple(state_batch), strict=True):
        np.testing.assert_array_equal(got, np.squeeze(expected, 1), strict=True)


@pytest.mark.parametrize("steps", [0, 1, 7])
@pytest.mark.parametrize("options", OPTIONS, ids=str)
@pytest.mark.parametrize("cell", [rc.RNN, rc.GRU, rc.LSTM])
def test_same_bits_as_a_batch_of_one(cell: Any, options: dict[str, Any], steps: int) -> None:
    layer = cell(5, 6, rng=0, **options)
    x = np.random.default_rng(1).standard_normal((steps, 5)).astype(layer.dtype)
    batch_axis = 0 if layer.batch_first else 1
    for run in (layer, layer.frozen()):
        assert_as_in_batch(run, x, batch_axis)


@pytest.mark.parametrize("layout", LAYOUTS)
def test_any_layout(layout: str) -> None:
    layer = rc.LSTM(5, 6, rng=0)
    x = LAYOUTS[layout](np.random.default_rng(1).standard_normal((7, 5)).astype(np.float32))
    for run in (layer, layer.frozen()):
        assert_as_in_batch(run, x, 1)


def test_another_type_or_width_is_refused_as_before() -> None:
    layer = rc.LSTM(5, 6, rng=0)
    for run in (layer, layer.frozen()):
        with pytest.raises(TypeError, match="x: expected float32"):
            run(np.zeros((7, 5), np.float64))
        with pytest.raises(ValueError, match=r"x: expected shape"):
            run(np.zeros((7, 4), np.float32))
