"""Initializations: distribution, structure, what they leave alone, and what they refuse."""

import re
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import rnncore as rc
from arrays import inputs
from rnncore import init

HIDDEN = 8


def test_default_is_what_a_new_layer_has() -> None:
    layer = rc.LSTM(3, HIDDEN, rng=0)
    layer.flat_params[:] = 0
    init.default(layer, 5)
    np.testing.assert_array_equal(layer.flat_params, rc.LSTM(3, HIDDEN, rng=5).flat_params)


@pytest.mark.parametrize("layer", [rc.GRU(30, 20, rng=0), rc.Embedding(40, 50, rng=0)])
def test_uniform(layer: Any) -> None:
    init.uniform(layer, 0.1, 3)
    values = layer.flat_params.astype(np.float64)
    assert 0.099 < np.abs(values).max() <= 0.1
    assert abs(values.mean()) < 5 * 0.1 / np.sqrt(3 * values.size)
    before = layer.flat_params.copy()
    init.uniform(layer, 0.1, np.random.default_rng(3))
    np.testing.assert_array_equal(layer.flat_params, before)


@pytest.mark.parametrize("gain", [1.0, 1.5])
@pytest.mark.parametrize("make", [rc.RNN, rc.GRU, rc.LSTM])
def test_orthogonal(make: Any, gain: float, dtype: type[np.floating], tolerance: float) -> None:
    layer = make(3, HIDDEN, 2, bidirectional=True, dtype=dtype, rng=0)
    before = layer.state_dict()
    init.orthogonal(layer, gain, rng=1)
    gates = []
    for name, value in layer.params.items():
        if not name.startswith("weight_hh"):
            np.testing.assert_array_equal(value, before[name])
            continue
        gates += list(value.reshape(-1, HIDDEN, HIDDEN))
    for gate in gates:
        np.testing.assert_allclose(gate @ gate.T, gain**2 * np.eye(HIDDEN), atol=tolerance)
    assert len({gate.tobytes() for gate in gates}) == len(gates)


def test_orthogonal_matrices_have_no_preferred_sign() -> None:
    """Without the correction of signs, QR would make every diagonal of R positive or negative."""
    layer = rc.RNN(1, 2, rng=0)
    rng = np.random.default_rng(0)
    corners = []
    for _ in range(200):
        init.orthogonal(layer, rng=rng)
        corners.append(layer.params["weight_hh_l0"][0, 0])
    assert 70 < np.count_nonzero(np.array(corners) > 0) < 130  # 4 standard deviations


@pytest.mark.parametrize("scale", [1.0, 0.5])
def test_identity(scale: float) -> None:
    layer = rc.RNN(3, HIDDEN, 2, nonlinearity="relu", bidirectional=True, rng=0)
    before = layer.state_dict()
    init.identity(layer, scale)
    for name, value in layer.params.items():
        if name.startswith("weight_hh"):
            np.testing.assert_array_equal(value, scale * np.eye(HIDDEN))
        elif name.startswith("bias"):
            assert not np.any(value)
        else:
            np.testing.assert_array_equal(value, before[name])


def test_identity_makes_relu_units_sum_their_inputs() -> None:
    layer = rc.RNN(HIDDEN, HIDDEN, nonlinearity="relu", dtype=np.float64, rng=0)
    init.identity(layer)
    layer.params["weight_ih_l0"] = np.eye(HIDDEN)
    x = np.abs(inputs(20, HIDDEN, dtype=np.float64))
    np.testing.assert_allclose(layer(x)[0], x.cumsum(axis=0))


def test_forget_gate_bias() -> None:
    layer = rc.LSTM(3, HIDDEN, 2, bidirectional=True, rng=0)
    before = layer.state_dict()
    init.forget_gate_bias(layer, 2.0)
    forget = slice(HIDDEN, 2 * HIDDEN)
    for suffix in ("l0", "l0_reverse", "l1", "l1_reverse"):
        total = layer.params[f"bias_ih_{suffix}"] + layer.params[f"bias_hh_{suffix}"]
        np.testing.assert_array_equal(total[forget], 2)
    for name, value in layer.params.items():
        kept = np.ones(value.shape, bool)
        if name.startswith("bias"):
            kept[forget] = False
        np.testing.assert_array_equal(value[kept], before[name][kept])


def test_open_forget_gates_remember() -> None:
    """What the bias is for: the cell state decays by sigmoid(bias) per step."""
    layer = rc.LSTM(1, HIDDEN, dtype=np.float64, rng=0)
    layer.flat_params[:] = 0
    init.forget_gate_bias(layer, 3.0)
    one = np.ones((1, HIDDEN))
    _, (_, c) = layer(np.zeros((10, 1)), (0 * one, one))
    np.testing.assert_allclose(c, (1 / (1 + np.exp(-3))) ** 10)


def test_initialisation_makes_older_caches_stale() -> None:
    layer = rc.LSTM(3, HIDDEN, rng=0)
    for change in (
        init.default,
        lambda m: init.uniform(m, 1),
        init.orthogonal,
        init.forget_gate_bias,
    ):
        y, _, cache = layer.forward(inputs(4, 3))
        change(layer)
        with pytest.raises(ValueError, match="cache"):
            layer.backward(y, cache)


@pytest.mark.parametrize(
    ("function", "layer", "error", "text"),
    [
        (init.orthogonal, rc.Linear(2, 2), TypeError, "orthogonal: .*Recurrent.*Linear"),
        (init.identity, rc.GRU(2, 2), TypeError, "identity: .*RNN.*GRU"),
        (init.forget_gate_bias, rc.GRU(2, 2), TypeError, "forget_gate_bias: .*LSTM.*GRU"),
        (init.forget_gate_bias, rc.LSTM(2, 2, bias=False), ValueError, "bias=False"),
        (lambda m: init.uniform(m, -1), rc.Linear(2, 2), ValueError, "a: .*-1"),
        (lambda m: init.uniform(m, 1, "seed"), rc.Linear(2, 2), TypeError, "rng: .*'seed'"),
        (lambda m: init.orthogonal(m, np.nan), rc.RNN(2, 2), ValueError, "gain"),
    ],
)
def test_bad_arguments(function: Any, layer: Any, error: type[Exception], text: str) -> None:
    before = layer.flat_params.copy()
    with pytest.raises(error, match=text):
        function(layer)
    np.testing.assert_array_equal(layer.flat_params, before)


@pytest.mark.parametrize(
    "call",
    [
        init.default,
        init.orthogonal,
        init.identity,
        init.one_hot_input,
        init.forget_gate_bias,
        lambda thing: init.uniform(thing, 0.1),
    ],
)
def test_what_is_no_module_is_refused(call: Callable[[Any], None]) -> None:
    with pytest.raises(TypeError, match="module: expected a layer or model, got dict"):
        call({})


@pytest.mark.parametrize(
    ("name", "call"),
    [
        ("a", init.uniform),
        ("gain", init.orthogonal),
        ("scale", init.identity),
        ("std", init.one_hot_input),
    ],
)
@pytest.mark.parametrize("bad", [1e300, float("inf"), float("nan")])
def test_scales_beyond_the_dtype_are_refused(
    name: str, call: Callable[[Any, float], None], bad: float
) -> None:
    layer = rc.RNN(3, HIDDEN, rng=0)
    before = layer.flat_params.copy()
    with pytest.raises(
        ValueError, match=f"{name}: expected a finite number in .*, got {re.escape(f'{bad:g}')}"
    ):
        call(layer, bad)
    np.testing.assert_array_equal(layer.flat_params, before)
