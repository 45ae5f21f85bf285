"""Guards the oracle: the twin's hand-written backward pass against finite differences."""

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from finite_difference import assert_gradient
from twin import CELLS, Twin

Array = NDArray[Any]


@pytest.mark.parametrize("lengths", [None, (2, 0, 3)], ids=["full", "ragged"])
@pytest.mark.parametrize("bidirectional", [False, True])
@pytest.mark.parametrize("num_layers", [1, 2])
@pytest.mark.parametrize("cell", CELLS)
def test_backward_is_the_derivative_of_forward(
    cell: str, num_layers: int, bidirectional: bool, lengths: tuple[int, ...] | None
) -> None:
    rng = np.random.default_rng(1)
    twin = Twin(cell, 2, 2, num_layers, bias=lengths is None, bidirectional=bidirectional)
    params = {name: rng.standard_normal(shape) for name, shape in twin.shapes().items()}
    x = rng.standard_normal((3, 3, 2))
    state_shape = (num_layers * twin.directions, 3, 2)
    state, dstate = (
        tuple(rng.standard_normal(state_shape) for _ in range(twin.cell.num_states))
        for _ in range(2)
    )
    dy = rng.standard_normal((3, 3, 2 * twin.directions))
    masks = [rng.integers(0, 2, dy.shape) * 2.0 for _ in range(num_layers - 1)]

    def loss() -> float:
        y, final, _ = twin.forward(params, x, state, lengths, masks)
        return float(
            np.sum(y * dy) + sum(np.sum(s * d) for s, d in zip(final, dstate, strict=True))
        )

    _, _, cache = twin.forward(params, x, state, lengths, masks)
    dx, d_initial, grads = twin.backward(params, dy, cache, dstate)
    assert dx is not None
    pairs = [("x", x, dx), *((name, params[name], grads[name]) for name in params)]
    pairs += [(f"state {i}", s, d) for i, (s, d) in enumerate(zip(state, d_initial, strict=True))]
    for name, values, gradient in pairs:
        assert_gradient(loss, values, gradient, name)


@pytest.mark.parametrize("cell", CELLS)
def test_ids_are_one_hot_rows(cell: str) -> None:
    rng = np.random.default_rng(2)
    twin = Twin(cell, 4, 3)
    params = {name: rng.standard_normal(shape) for name, shape in twin.shapes().items()}
    ids = rng.integers(0, 4, (5, 2))
    from_ids, _, cache = twin.forward(params, ids)
    from_rows, _, _ = twin.forward(params, np.eye(4)[ids])
    np.testing.assert_array_equal(from_ids, from_rows)
    dx, _, _ = twin.backward(params, np.ones_like(from_ids), cache)
    assert dx is None


@pytest.mark.parametrize("cell", CELLS)
def test_ragged_rows_are_independent_sequences(cell: str) -> None:
    """Row b of a ragged batch equals the same row run alone, unpadded."""
    rng = np.random.default_rng(3)
    twin = Twin(cell, 2, 3, num_layers=2, bidirectional=True)
    params = {name: rng.standard_normal(shape) for name, shape in twin.shapes().items()}
    x, lengths = rng.standard_normal((4, 3, 2)), (3, 0, 4)
    y, final, _ = twin.forward(params, x, lengths=lengths)
    for b, n in enumerate(lengths):
        alone, state, _ = twin.forward(params, x[:n, b : b + 1])
        np.testing.assert_array_equal(y[:n, b], alone[:, 0])
        assert not np.any(y[n:, b])
        for whole, row in zip(final, state, strict=True):
            np.testing.assert_array_equal(whole[:, b], row[:, 0])


@pytest.mark.parametrize("cell", CELLS)
def test_reverse_direction_reads_backwards(cell: str) -> None:
    """The reverse half equals a forward network with its parameters on the sequence reversed."""
    rng = np.random.default_rng(4)
    twin, forward = Twin(cell, 2, 3, bidirectional=True), Twin(cell, 2, 3)
    params = {name: rng.standard_normal(shape) for name, shape in twin.shapes().items()}
    of_reverse = {name: params[name + "_reverse"] for name in forward.shapes()}
    x = rng.standard_normal((4, 3, 2))
    y, final, _ = twin.forward(params, x)
    turned, state, _ = forward.forward(of_reverse, x[::-1])
    np.testing.assert_array_equal(y[:, :, 3:], turned[::-1])
    for whole, part in zip(final, state, strict=True):
        np.testing.assert_array_equal(whole[1], part[0])
