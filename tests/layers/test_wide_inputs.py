"""Streams whose inputs are real numbers of wide range: what narrow weights cost there."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

import rnncore as rc
from instruction_sets import selected
from problems import CELL_NAMES, make_layer
from rnncore import _core
from storages import FORMS, as_stored
from twin import Twin

Array = NDArray[Any]

INFINITY = np.float32(np.inf)


# --- a trained network ---------------------------------------------------------------------------
def gates_as_ours(matrix: Array) -> Array:
    """ONNX has the gates in the order i, o, f, c; rnncore in i, f, c, o."""
    i, o, f, c = np.split(matrix, 4)
    return np.concatenate([i, f, c, o])


def dtln(weights: dict[str, Array]) -> tuple[rc.LSTM, rc.Linear]:
    """The first core of DTLN (Westhausen and Meyer 2020): 257 magnitudes to a mask of them."""
    lstm, dense = rc.LSTM(257, 128, 2, rng=0), rc.Linear(128, 257, rng=0)
    state: dict[str, Array] = {}
    for layer, name in enumerate(("lstm_4", "lstm_5")):
        state[f"weight_ih_l{layer}"] = gates_as_ours(weights[f"{name}_W"][0])
        state[f"weight_hh_l{layer}"] = gates_as_ours(weights[f"{name}_R"][0])
        for part, bias in zip(("ih", "hh"), np.split(weights[f"{name}_B"][0], 2), strict=True):
            state[f"bias_{part}_l{layer}"] = gates_as_ours(bias)
    lstm.load_state_dict(state)
    dense.load_state_dict({"weight": weights["dense_2_kernel"].T, "bias": weights["dense_2_bias"]})
    return lstm, dense


@pytest.mark.parametrize(
    ("form", "limit"), [("float32", 1e-5), ("bfloat16", 0.05), ("int8", 0.06)], ids=str
)
def test_a_mask_of_speech(shared: Path, isa: str, form: str, limit: float) -> None:
    """The largest error in [0, 1]; that of TFLite's own int8 file is 0.19."""
    folder = shared / "models" / "dtln"
    lstm, dense = dtln(dict(np.load(folder / "weights.npz")))
    golden = np.load(folder / "golden.npz")
    y = lstm.stream(weight_format=form).run(golden["mag"].astype(np.float32))
    mask = 1 / (1 + np.exp(-dense(y).astype(np.float64)))
    assert np.abs(mask - golden["mask"]).max() < limit


# --- a spectrum ----------------------------------------------------------------------------------
def test_a_few_large_inputs_take_the_small_ones_no_digits() -> None:
    """As in a spectrum whose low bands are loud."""
    layer = rc.LSTM(257, 128, rng=0)
    layer.params["weight_ih_l0"][:, :20] /= 20
    rng = np.random.default_rng(0)
    loudness = np.r_[np.full(20, 20), np.full(237, 0.15)]
    x = (np.abs(rng.standard_normal((200, 257))) * loudness).astype(np.float32)
    exact = layer.stream().run(x)
    error = {
        form: np.abs(layer.stream(weight_format=form).run(x) - exact).max()
        for form in ("int8", "int8_dynamic")
    }
    assert error["int8"] < 0.05
    assert error["int8_dynamic"] > 2 * error["int8"]


# --- infinities ----------------------------------------------------------------------------------
def product(a: Array, weights: Array) -> Array:
    """Of floats, in float64; but a weight of zero makes no NaN of an infinite number."""
    terms = np.where(weights == 0, 0, a[:, np.newaxis] * weights.astype(np.float64))
    sums = terms.sum(axis=2)
    return np.where(np.abs(sums) > np.finfo(np.float32).max, sums * np.inf, sums)


@pytest.mark.parametrize("form", FORMS)
def test_products_with_infinities_and_huge_numbers(isa: str, form: str) -> None:
    rng = np.random.default_rng(0)
    weights = rng.standard_normal((150, 40)).astype(np.float32)
    weights[:, 3:5] *= np.float32(1e-3)  # zero in int8
    a = rng.standard_normal((6, 40)).astype(np.float32)
    a[0, 7] = INFINITY
    a[1, 3] = -INFINITY
    a[2, [3, 5, 4]] = INFINITY, INFINITY, 3e38
    a[3, [1, 2]] = 1e37, -1e37  # 127 of them are beyond float32
    a[4, [1, 2]] = INFINITY, np.nan
    with np.errstate(invalid="ignore", over="ignore"):
        exact = product(a, weights)
        expected = product(a, as_stored(weights, form))
        got = _core.kernel_stored_product(a, weights, form)
    assert np.all(np.isnan(got[4]))
    defined = ~np.isnan(exact)
    assert not np.any(np.isnan(got[defined]))
    infinite = np.isinf(expected) & defined
    np.testing.assert_array_equal(got[infinite], expected[infinite])
    assert np.all(np.isfinite(got[defined & ~infinite]))
    assert np.mean(infinite[0]) > 0.9
    np.testing.assert_allclose(got[3], expected[3], rtol=0, atol=1e-5 * np.abs(a[3]).max())
    # the rows beside them are what they are alone
    np.testing.assert_array_equal(got[5], _core.kernel_stored_product(a[5:], weights, form)[0])


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("cell", CELL_NAMES)
def test_infinities_saturate(isa: str, cell: str, form: str) -> None:
    """Of inputs and of states: no NaN where the oracle has none with weights as they are."""
    layer = make_layer(Twin(cell, 40, 70, 2), "float32")
    rng = np.random.default_rng(0)
    for params in layer.params.values():
        params[...] = rng.standard_normal(params.shape)
    x = rng.standard_normal((4, 3, 40)).astype(np.float32)
    x[1, 0, 11], x[2, 1, 0] = INFINITY, -INFINITY

    def run(weight_format: str, with_state: bool) -> Array:
        stream = _core.Stream(layer.network, layer.flat_params, 3, weight_format)
        if with_state:
            state = [part.copy() for part in stream.state]
            state[0][0, 2, 5] = INFINITY
            stream.state = tuple(state)
        with np.errstate(invalid="ignore", over="ignore"):
            return np.asarray(stream.run(x))

    for with_state in (False, True):
        with selected("reference"):
            expected = run("full", with_state)
        assert not np.all(np.isnan(expected))
        assert not np.any(np.isnan(run(form, with_state)[~np.isnan(expected)]))


@pytest.mark.parametrize("form", FORMS)
def test_ids_after_an_infinite_state(isa: str, form: str) -> None:
    layer = rc.LSTM(9, 20, rng=0)
    stream = _core.Stream(layer.network, layer.flat_params, 1, form)
    h, c = stream.state
    h[0, 0, 3] = INFINITY
    stream.state = (h, c)
    y = stream.run(np.array([1, 8, 0]))
    assert np.all(np.isfinite(y))
    assert np.abs(y).max() <= 1
