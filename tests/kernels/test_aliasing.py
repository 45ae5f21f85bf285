"""What is read may stand in the memory that is written: results are those of copies."""

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

import rnncore as rc
from arrays import inputs

Array = NDArray[Any]


def test_parameters_swapped_by_load_state_dict() -> None:
    layer = rc.RNN(8, 8, bias=False, rng=0)
    before = layer.state_dict()
    layer.load_state_dict(
        {
            "weight_ih_l0": layer.params["weight_hh_l0"],
            "weight_hh_l0": layer.params["weight_ih_l0"],
        }
    )
    np.testing.assert_array_equal(layer.params["weight_ih_l0"], before["weight_hh_l0"])
    np.testing.assert_array_equal(layer.params["weight_hh_l0"], before["weight_ih_l0"])


def test_parts_swapped_by_load_state_dict() -> None:
    class Pair(rc.layers.Module):
        def __init__(self) -> None:
            super().__init__()
            self.parts = [rc.Linear(3, 3, rng=i) for i in range(2)]

    pair = Pair()
    before = pair.state_dict()
    swapped = {name: name.replace("0", "2").replace("1", "0").replace("2", "1") for name in before}
    pair.load_state_dict({name: pair.params[other] for name, other in swapped.items()})
    for name, other in swapped.items():
        np.testing.assert_array_equal(pair.params[name], before[other])


def test_assignments_of_overlapping_views() -> None:
    layer = rc.RNN(8, 8, rng=0)
    flat = layer.flat_params.copy()
    layer.flat_params = layer.flat_params[::-1]
    np.testing.assert_array_equal(layer.flat_params, flat[::-1])
    weight = layer.params["weight_hh_l0"].copy()
    layer.params["weight_hh_l0"] = layer.params["weight_hh_l0"].T
    np.testing.assert_array_equal(layer.params["weight_hh_l0"], weight.T)
    layer.flat_grads[:] = inputs(layer.num_params)
    grads = layer.flat_grads.copy()
    layer.flat_grads = layer.flat_grads[::-1]
    np.testing.assert_array_equal(layer.flat_grads, grads[::-1])
    layer.grads["weight_ih_l0"] = layer.grads["weight_ih_l0"][::-1]
    np.testing.assert_array_equal(layer.grads["weight_ih_l0"], grads[::-1][:64].reshape(8, 8)[::-1])


def test_buffers_of_an_optimizer_swapped() -> None:
    layer = rc.Linear(3, 3, rng=0)
    optimizer = rc.optim.Adam(layer)
    layer.flat_grads[:] = inputs(layer.num_params)
    optimizer.step()
    before = optimizer.state_dict()
    own = optimizer._buffers
    swapped = {"average": own["square_average"], "square_average": own["average"]}
    optimizer.load_state_dict({**before, **swapped})
    after = optimizer.state_dict()
    np.testing.assert_array_equal(after["average"], before["square_average"])
    np.testing.assert_array_equal(after["square_average"], before["average"])


def gradients_of(layer: Any, x: Array, aliased: bool) -> list[Array]:
    """Gradients of a backward pass whose dy, and dstate, are among the gradients."""
    layer.flat_grads[:] = inputs(layer.num_params, seed=5)
    source = layer if aliased else rc.Linear(1, layer.num_params, bias=False)
    source.flat_grads[:] = layer.flat_grads
    y = layer.forward(x)[0]
    dy = source.flat_grads[3 : 3 + y.size].reshape(y.shape)
    if isinstance(layer, rc.RNN):
        _, state, cache = layer.forward(x)
        dstate = source.flat_grads[-state.size - 1 : -1].reshape(state.shape)
        dx, dinitial = layer.backward(dy, cache, dstate)
        return [layer.flat_grads.copy(), dx, dinitial]
    _, cache = layer.forward(x)
    dx = layer.backward(dy, cache)
    return [layer.flat_grads.copy(), *([] if dx is None else [dx])]


@pytest.mark.parametrize(
    ("make", "x"),
    [
        (lambda: rc.Linear(8, 8, rng=0), inputs(5, 8)),
        (lambda: rc.Linear(1, 9, bias=False, rng=0), inputs(1)),
        (lambda: rc.Embedding(9, 8, rng=0), np.array([3, 1, 3, 8, 0, 2])),
        (lambda: rc.RNN(8, 8, rng=0), inputs(6, 8)),
    ],
    ids=["linear", "column", "embedding", "rnn"],
)
def test_backward_of_its_own_gradients(make: Any, x: Array) -> None:
    if x.shape == (1,):  # the flat buffer itself
        layer = make()
        layer.flat_grads[:] = dy = inputs(9)
        _, cache = layer.forward(x)
        dx = layer.backward(layer.flat_grads, cache)
        np.testing.assert_allclose(layer.flat_grads, dy + dy * x, rtol=1e-6)
        np.testing.assert_allclose(dx, dy @ layer.params["weight"], rtol=1e-5)
        return
    for got, expected in zip(
        gradients_of(make(), x, aliased=True), gradients_of(make(), x, aliased=False), strict=True
    ):
        np.testing.assert_array_equal(got, expected)
