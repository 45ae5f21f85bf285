"""Dropout between layers: statistics, one mask for both passes, none at inference."""

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from problems import CELL_NAMES, RELATIVE_ERROR, Problem, as_tuple, assert_close, make_layer
from rnncore import _core
from twin import Twin

Array = NDArray[Any]
STEPS, BATCH, INPUT, HIDDEN = 5, 4, 3, 6
SEED = 12345


def network(twin: Twin, dropout: float) -> _core.Network:
    return _core.Network(
        twin.cell_name,
        twin.input_size,
        twin.hidden_size,
        twin.num_layers,
        twin.bias,
        twin.bidirectional,
        dropout,
        "float64",
    )


def flat(net: _core.Network, params: dict[str, Array]) -> Array:
    """Parameters by name -> the flat buffer of a network."""
    buffer = np.zeros(net.num_params)
    for name, offset, shape in net.layout:
        buffer[offset : offset + int(np.prod(shape))] = params[name].ravel()
    return buffer


def mask_after_last_but_one(
    num_layers: int,
    bidirectional: bool,
    shape: tuple[int, int],
    dropout: float,
    lengths: tuple[int, ...] | None = None,
) -> Array:
    """The last mask of a network, [T,B,D*H], made visible by a linear network of the same size.

    Every layer but the last puts out ones (no weights, bias 1), and the last passes its input on.
    """
    twin = Twin("rnn_identity", INPUT, HIDDEN, num_layers, bidirectional=bidirectional)
    params = {name: np.zeros(s) for name, s in twin.shapes().items()}
    for layer in range(num_layers - 1):
        for direction in range(twin.directions):
            params[twin.names(layer, direction)[2]][:] = 1
    for direction in range(twin.directions):
        weight_ih = params[twin.names(num_layers - 1, direction)[0]]
        weight_ih[:, direction * HIDDEN : (direction + 1) * HIDDEN] = np.eye(HIDDEN)
    net = network(twin, dropout)
    rows = None if lengths is None else np.array(lengths)
    y, _, _ = net.forward(flat(net, params), np.zeros((*shape, INPUT)), None, rows, SEED)
    return np.asarray(y)


@pytest.mark.parametrize("dropout", [0.1, 0.5, 0.8])
def test_share_of_kept_values(dropout: float) -> None:
    mask = mask_after_last_but_one(2, True, (200, 50), dropout)
    keep = 1 - dropout
    assert np.all((mask == 0) | np.isclose(mask, 1 / keep, rtol=1e-15))
    # Six standard deviations of a share of n independent draws; the seed is fixed: no flicker.
    assert abs(np.mean(mask != 0) - keep) < 6 * np.sqrt(keep * dropout / mask.size)
    for axis in range(3):
        others = tuple(a for a in range(3) if a != axis)
        share = np.mean(mask != 0, axis=others)
        deviation = np.sqrt(keep * dropout / (mask.size / mask.shape[axis]))
        assert np.max(np.abs(share - keep)) < 6 * deviation, f"axis {axis}"


def test_neighbouring_values_are_independent() -> None:
    mask = mask_after_last_but_one(2, False, (200, 50), 0.5) != 0
    for axis in range(3):
        first, second = (
            np.take(mask, np.arange(k, mask.shape[axis] - 1 + k), axis) for k in (0, 1)
        )
        assert abs(np.mean(first == second) - 0.5) < 6 * 0.5 / np.sqrt(first.size), f"axis {axis}"


def test_layers_have_different_masks() -> None:
    first = mask_after_last_but_one(2, False, (200, 50), 0.5) != 0
    second = mask_after_last_but_one(3, False, (200, 50), 0.5) != 0
    assert abs(np.mean(first == second) - 0.5) < 6 * 0.5 / np.sqrt(first.size)


@pytest.mark.parametrize("lengths", [None, (2, 5, 0, 3)], ids=["full", "ragged"])
@pytest.mark.parametrize("bidirectional", [False, True], ids=["forward", "both"])
@pytest.mark.parametrize("cell", CELL_NAMES)
def test_masked_network_equals_masked_twin(
    cell: str, bidirectional: bool, lengths: tuple[int, ...] | None
) -> None:
    """The same mask, of the same scale, in outputs and in every gradient."""
    mask = mask_after_last_but_one(2, bidirectional, (STEPS, BATCH), 0.5, lengths)
    twin = Twin(cell, INPUT, HIDDEN, 2, bidirectional=bidirectional)
    problem = Problem.random(twin, STEPS, BATCH, state=True, lengths=lengths)
    net = network(twin, 0.5)
    params = flat(net, problem.params)
    grads = np.zeros_like(params)
    y, final, cache = net.forward(params, problem.x, problem.state, problem.lengths, SEED)
    dx, d_initial, _ = net.backward(params, grads, problem.dy, cache, problem.dstate)
    expected = problem.expected([mask])
    if lengths is None:
        assert not np.allclose(expected["y"], problem.expected()["y"])
    got = {"y": y, **{f"final state {i}": s for i, s in enumerate(final)}, "dx": dx}
    got.update({f"gradient of initial state {i}": s for i, s in enumerate(d_initial)})
    for name, offset, shape in net.layout:
        got[f"gradient of {name}"] = grads[offset : offset + int(np.prod(shape))].reshape(shape)
    assert_close(got, expected, RELATIVE_ERROR["float64"])


@pytest.mark.parametrize("cell", CELL_NAMES)
def test_gradient_through_three_layers_with_a_fixed_seed(cell: str) -> None:
    """Finite difference along a random direction of all parameters at once."""
    twin = Twin(cell, INPUT, HIDDEN, 3, bidirectional=True)
    problem = Problem.random(twin, STEPS, BATCH, lengths=(2, 5, 0, 3))
    net = network(twin, 0.4)
    params = flat(net, problem.params)
    direction = np.random.default_rng(5).standard_normal(params.shape)

    def loss(step: float) -> float:
        y, _, _ = net.forward(params + step * direction, problem.x, None, problem.lengths, SEED)
        return float(np.sum(y * problem.dy))

    _, _, cache = net.forward(params, problem.x, None, problem.lengths, SEED)
    grads = np.zeros_like(params)
    net.backward(params, grads, problem.dy, cache, None)
    step = 1e-6
    numerical = (loss(step) - loss(-step)) / (2 * step)
    assert abs(grads @ direction - numerical) <= 1e-7 * np.linalg.norm(grads) * np.linalg.norm(
        direction
    )


@pytest.mark.parametrize("cell", CELL_NAMES)
def test_no_dropout_at_inference(cell: str) -> None:
    problem = Problem.random(Twin(cell, INPUT, HIDDEN, 2), STEPS, BATCH)
    layer = problem.layer("float64", dropout=0.5)
    y, _ = layer(problem.x)
    expected = problem.expected()["y"]
    assert_close({"y": y}, {"y": expected}, RELATIVE_ERROR["float64"])
    masked, _, _ = layer.forward(problem.x)
    assert not np.allclose(masked, expected)


@pytest.mark.filterwarnings("ignore:dropout")  # that it has no effect is what is tested
def test_no_dropout_behind_a_single_layer() -> None:
    problem = Problem.random(Twin("lstm", INPUT, HIDDEN), STEPS, BATCH)
    layer = problem.layer("float64", dropout=0.5)
    y, _, _ = layer.forward(problem.x)
    assert_close({"y": y}, {"y": problem.expected()["y"]}, RELATIVE_ERROR["float64"])


def test_masks_follow_from_the_seed_of_the_layer() -> None:
    """Equal seeds give equal sequences of masks; consecutive passes get different masks."""
    twin = Twin("lstm", INPUT, HIDDEN, 2)
    x = np.random.default_rng(6).standard_normal((STEPS, BATCH, INPUT))
    layers = [make_layer(twin, "float64", dropout=0.5) for _ in range(2)]
    runs = [[layer.forward(x)[0] for _ in range(3)] for layer in layers]
    for first, second in zip(*runs, strict=True):
        np.testing.assert_array_equal(first, second)
    assert not np.array_equal(runs[0][0], runs[0][1])
    assert not np.array_equal(runs[0][1], runs[0][2])


def test_backward_twice_uses_the_mask_of_the_cache() -> None:
    """Another forward pass in between does not disturb the mask of an earlier cache."""
    problem = Problem.random(Twin("gru_after", INPUT, HIDDEN, 2), STEPS, BATCH)
    layer = problem.layer("float64", dropout=0.5)
    _, _, cache = layer.forward(problem.x)
    first, d_first = layer.backward(problem.dy, cache)
    layer.forward(problem.x)
    second, d_second = layer.backward(problem.dy, cache)
    np.testing.assert_array_equal(first, second)
    np.testing.assert_array_equal(as_tuple(d_first)[0], as_tuple(d_second)[0])
