"""`trace`: gates, cell states and outputs of every step, against the twin."""

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

import rnncore as rc
from problems import CELL_NAMES, RELATIVE_ERROR, Problem, assert_close
from twin import Array, Twin, sigmoid

T, B, I, H = 7, 3, 4, 5  # noqa: E741
NAMES = {
    "rnn": ["hidden"],
    "gru": ["reset_gate", "update_gate", "candidate", "hidden"],
    "lstm": ["input_gate", "forget_gate", "cell_input", "output_gate", "cell", "hidden"],
}


def names_of(cell: str) -> list[str]:
    return NAMES[cell.partition("_")[0]]


def values_of(cell: str, saved: Any) -> list[Array]:
    """What the twin keeps of a step, in the order of NAMES."""
    if cell.startswith("rnn"):
        return [saved[2]]
    if cell.startswith("gru"):
        _, h, r, z, n = saved[:5]
        return [r, z, n, (1 - z) * n + z * h]
    _, _, c, i, f, g, o, tanh_c = saved
    return [i, f, g, o, f * c + i * g, o * tanh_c]


def expected(problem: Problem) -> dict[str, Array]:
    """All steps of the twin as arrays [T,B,H], zero past the ends."""
    twin = problem.twin
    _, _, cache = twin.forward(problem.params, problem.x, problem.state, problem.lengths)
    batch = problem.x.shape[1]
    arrays = {}
    for layer, direction in slots(twin):
        suffix = f"l{layer}" + "_reverse" * direction
        whole = np.zeros((len(names_of(twin.cell_name)), T, batch, twin.hidden_size))
        for b in range(batch):
            steps = cache.saved[layer, direction, b]
            for i, saved in enumerate(steps):
                t = len(steps) - 1 - i if direction else i
                whole[:, t, b] = values_of(twin.cell_name, saved)
        for name, array in zip(names_of(twin.cell_name), whole, strict=True):
            arrays[f"{name}_{suffix}"] = array
    return arrays


def slots(twin: Twin) -> Iterator[tuple[int, int]]:
    return ((layer, d) for layer in range(twin.num_layers) for d in range(twin.directions))


@pytest.mark.parametrize("lengths", [None, [3, 7, 0], [7, 1, 6]], ids=str)
@pytest.mark.parametrize("bidirectional", [False, True], ids=["forward", "both"])
@pytest.mark.parametrize("cell", CELL_NAMES)
def test_against_the_twin(cell: str, bidirectional: bool, lengths: Any, dtype: Any) -> None:
    twin = Twin(cell, I, H, num_layers=2, bidirectional=bidirectional)
    problem = Problem.random(twin, T, B, state=True, lengths=lengths)
    layer = problem.layer(np.dtype(dtype).name)
    x, state, _, _ = problem.inputs(layer.dtype.name)
    traced = layer.trace(x, state, problem.lengths)
    assert all(array.dtype == dtype for array in traced.values())
    assert_close(traced, expected(problem), RELATIVE_ERROR[layer.dtype.name])


@pytest.mark.parametrize("hidden", [1, 16, 256, 257])  # 4 gates of 256: rows stand further apart
def test_widths(hidden: int) -> None:
    twin = Twin("lstm", I, hidden)
    problem = Problem.random(twin, T, B, ids=True, lengths=[2, 7, 4])
    traced = problem.layer("float64").trace(problem.x, lengths=problem.lengths)
    assert_close(traced, expected(problem), RELATIVE_ERROR["float64"])


@pytest.mark.parametrize("kind", [rc.RNN, rc.GRU, rc.LSTM])
def test_the_last_outputs_are_those_of_the_call(kind: Any) -> None:
    layer = kind(I, H, 3, batch_first=True, bidirectional=True, rng=0)
    x = np.random.default_rng(0).standard_normal((B, T, I), np.float32)
    y, _ = layer(x, lengths=[7, 2, 5])
    traced = layer.trace(x, lengths=[7, 2, 5])
    both = np.concatenate([traced["hidden_l2"], traced["hidden_l2_reverse"]], axis=-1)
    np.testing.assert_array_equal(both, y)
    one = layer.trace(x[1, :2])
    assert one["hidden_l0_reverse"].shape == (2, H)
    np.testing.assert_allclose(one["hidden_l2"], traced["hidden_l2"][1, :2], rtol=1e-5, atol=1e-6)


def test_no_dropout_and_nothing_drawn() -> None:
    layer = rc.LSTM(I, H, 2, dropout=0.5, rng=0)
    x = np.random.default_rng(1).standard_normal((T, B, I), np.float32)
    before = layer.rng.bit_generator.state
    np.testing.assert_array_equal(layer.trace(x)["hidden_l1"], layer(x)[0])
    assert layer.rng.bit_generator.state == before


def test_the_arrays_are_copies() -> None:
    layer = rc.GRU(I, H, rng=0)
    x = np.ones((T, B, I), np.float32)
    first = layer.trace(x)
    for array in first.values():
        assert array.flags.writeable
        array[:] = 7
    assert not (layer.trace(x)["hidden_l0"] == 7).any()


@pytest.mark.parametrize("shape", [(0, B, I), (T, 0, I)])
def test_empty(shape: tuple[int, ...]) -> None:
    layer = rc.LSTM(I, H, rng=0)
    traced = layer.trace(np.zeros(shape, np.float32))
    assert {array.shape for array in traced.values()} == {(*shape[:2], H)}


def test_a_training_pass_has_its_trace_too() -> None:
    layer = rc.RNN(I, H, 2, dropout=0.5, rng=0)
    y, _, cache = layer.forward(np.ones((T, B, I), np.float32))
    rows = cache.saved.core.trace()
    np.testing.assert_array_equal(rows[1]["hidden"], y)


def test_a_cache_of_checkpoints_is_refused() -> None:
    layer = rc.LSTM(I, 64, rng=0)
    _, _, cache = layer.forward(np.ones((2000, B, I), np.float32), memory_limit=2_000_000)
    with pytest.raises(ValueError, match=r"cache: expected one that holds every step, got"):
        cache.saved.core.trace()


def test_errors_are_those_of_a_call() -> None:
    layer = rc.GRU(I, H, rng=0)
    with pytest.raises(TypeError, match="x: expected"):
        layer.trace(np.zeros((T, B, I)))
    with pytest.raises(ValueError, match="lengths: expected"):
        layer.trace(np.zeros((T, B, I), np.float32), lengths=[8, 1, 1])


def test_sigmoid_range() -> None:
    """Of large sums too."""
    layer = rc.LSTM(I, H, rng=0)
    layer.flat_params = layer.flat_params * 100
    gates = layer.trace(np.ones((T, B, I), np.float32))["forget_gate_l0"]
    assert ((gates >= 0) & (gates <= 1)).all()
    w = layer.params
    first = sigmoid((w["weight_ih_l0"].sum(1) + w["bias_ih_l0"] + w["bias_hh_l0"])[H : 2 * H])
    np.testing.assert_allclose(gates[0, 0], first, rtol=1e-4, atol=1e-6)
