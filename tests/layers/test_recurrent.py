"""Recurrent layers: outputs, final states and every gradient against the float64 twin."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from problems import (
    CELL_NAMES,
    RELATIVE_ERROR,
    Problem,
    as_public,
    as_tuple,
    assert_close,
    make_layer,
)
from twin import Twin

STEPS, BATCH, INPUT, HIDDEN = 6, 4, 3, 5
RAGGED = (4, 1, 6, 2)  # any order, one row of full length
SHORT = (3, 0, 2, 3)  # no row of full length, one empty

every_cell = pytest.mark.parametrize("cell", CELL_NAMES)
every_shape = [
    pytest.mark.parametrize("bidirectional", [False, True], ids=["forward", "both"]),
    pytest.mark.parametrize("num_layers", [1, 2, 3]),
    pytest.mark.parametrize("bias", [False, True], ids=["plain", "bias"]),
    pytest.mark.parametrize("state", [False, True], ids=["zero", "state"]),
]


def for_every_shape(function: Callable[..., None]) -> Callable[..., None]:
    for mark in every_shape:
        function = mark(function)
    return function


@every_cell
@for_every_shape
@pytest.mark.parametrize("lengths", [None, RAGGED, SHORT], ids=["full", "ragged", "short"])
def test_layer_equals_twin(
    cell: str,
    bidirectional: bool,
    num_layers: int,
    bias: bool,
    state: bool,
    lengths: tuple[int, ...] | None,
) -> None:
    twin = Twin(cell, INPUT, HIDDEN, num_layers, bias, bidirectional)
    problem = Problem.random(twin, STEPS, BATCH, state=state, lengths=lengths)
    expected = problem.expected()
    for dtype, limit in RELATIVE_ERROR.items():
        assert_close(problem.solve(problem.layer(dtype)), expected, limit)


@every_cell
@pytest.mark.parametrize("bidirectional", [False, True], ids=["forward", "both"])
def test_wide_layer_equals_twin(cell: str, bidirectional: bool) -> None:
    """Sizes that fill several vectors and leave a rest in every dimension."""
    twin = Twin(cell, 35, 37, 2, bidirectional=bidirectional)
    lengths = tuple((7 * b + 9) % 12 for b in range(29))
    problem = Problem.random(twin, 11, len(lengths), state=True, lengths=lengths)
    expected = problem.expected()
    for dtype, limit in RELATIVE_ERROR.items():
        assert_close(problem.solve(problem.layer(dtype)), expected, limit)


@every_cell
@pytest.mark.parametrize("lengths", [None, RAGGED], ids=["full", "ragged"])
def test_inference_equals_training_pass(cell: str, lengths: tuple[int, ...] | None) -> None:
    twin = Twin(cell, INPUT, HIDDEN, 2, bidirectional=True)
    problem = Problem.random(twin, STEPS, BATCH, state=True, lengths=lengths)
    for dtype, limit in RELATIVE_ERROR.items():
        layer = problem.layer(dtype)
        x, state, _, _ = problem.inputs(dtype)
        y, final = layer(x, state, lengths=problem.lengths)
        expected = problem.expected()
        got = {"y": y, **{f"final state {i}": s for i, s in enumerate(as_tuple(final))}}
        assert_close(got, {name: expected[name] for name in got}, limit)


@every_cell
@pytest.mark.parametrize("lengths", [None, RAGGED], ids=["full", "ragged"])
@pytest.mark.parametrize("bidirectional", [False, True], ids=["forward", "both"])
def test_ids_equal_one_hot_rows(
    cell: str, bidirectional: bool, lengths: tuple[int, ...] | None
) -> None:
    twin = Twin(cell, 7, HIDDEN, 2, bidirectional=bidirectional)
    problem = Problem.random(twin, STEPS, BATCH, ids=True, state=True, lengths=lengths)
    for dtype, limit in RELATIVE_ERROR.items():
        layer = problem.layer(dtype)
        from_ids = problem.solve(layer)
        assert_close(from_ids, problem.expected(), limit)

        x, state, dy, dstate = problem.inputs(dtype)
        y, final, cache = layer.forward(np.eye(7, dtype=dtype)[x], state, lengths=problem.lengths)
        layer.zero_grad()
        dx, _ = layer.backward(dy, cache, dstate)
        assert dx.shape == (STEPS, BATCH, 7)
        from_rows = {"y": y, "final state 0": as_tuple(final)[0]}
        from_rows.update({f"gradient of {name}": g for name, g in layer.grads.items()})
        assert_close({name: from_ids[name] for name in from_rows}, from_rows, limit)


@every_cell
def test_backward_adds_to_gradients_and_cache_is_reusable(cell: str) -> None:
    problem = Problem.random(Twin(cell, INPUT, HIDDEN, 2, bidirectional=True), STEPS, BATCH)
    layer = problem.layer("float64")
    x, state, dy, dstate = problem.inputs("float64")
    _, _, cache = layer.forward(x, state)
    layer.zero_grad()
    first, _ = layer.backward(dy, cache, dstate)
    once = layer.flat_grads.copy()
    second, _ = layer.backward(dy, cache, dstate)
    np.testing.assert_array_equal(first, second)
    np.testing.assert_allclose(
        layer.flat_grads, 2 * once, rtol=1e-13, atol=1e-13 * np.max(np.abs(once))
    )


@every_cell
def test_one_layer_used_twice_before_backward(cell: str) -> None:
    """Two caches of one layer live side by side; their gradients add up."""
    twin = Twin(cell, INPUT, HIDDEN, 2)
    problems = [Problem.random(twin, n, BATCH, seed=n) for n in (STEPS, STEPS + 2)]
    layer = problems[0].layer("float64")
    caches = [layer.forward(p.inputs("float64")[0])[2] for p in problems]
    layer.zero_grad()
    for problem, cache in zip(problems, caches, strict=True):
        layer.backward(problem.dy, cache)
    total: dict[str, Any] = dict.fromkeys(layer.grads, 0.0)
    for problem in problems:
        _, _, cache = twin.forward(problems[0].params, problem.x)
        _, _, grads = twin.backward(problems[0].params, problem.dy, cache)
        total = {name: total[name] + grads[name] for name in total}
    assert_close(dict(layer.grads), total, RELATIVE_ERROR["float64"])


@every_cell
def test_only_the_final_state_has_a_gradient(cell: str) -> None:
    """dy=None means zero."""
    problem = Problem.random(
        Twin(cell, INPUT, HIDDEN, 2, bidirectional=True), STEPS, BATCH, state=True, lengths=RAGGED
    )
    layer = problem.layer("float64")
    x, state, dy, dstate = problem.inputs("float64")
    _, _, cache = layer.forward(x, state, lengths=problem.lengths)
    layer.zero_grad()
    dx_none, d_initial_none = layer.backward(None, cache, dstate)
    grads_none = layer.flat_grads.copy()
    layer.zero_grad()
    dx_zero, d_initial_zero = layer.backward(np.zeros_like(dy), cache, dstate)
    np.testing.assert_array_equal(dx_none, dx_zero)
    np.testing.assert_array_equal(grads_none, layer.flat_grads)
    for none, zero in zip(as_tuple(d_initial_none), as_tuple(d_initial_zero), strict=True):
        np.testing.assert_array_equal(none, zero)


@every_cell
@pytest.mark.parametrize("bidirectional", [False, True], ids=["forward", "both"])
def test_padding_is_never_read(cell: str, bidirectional: bool) -> None:
    """NaN behind the end of a row reaches no output and no gradient."""
    problem = Problem.random(
        Twin(cell, INPUT, HIDDEN, 2, bidirectional=bidirectional), STEPS, BATCH, lengths=SHORT
    )
    expected = problem.expected()
    for b, n in enumerate(SHORT):
        problem.x[n:, b] = np.nan
        problem.dy[n:, b] = np.nan
    got = problem.solve(problem.layer("float64"))
    assert_close(got, expected, RELATIVE_ERROR["float64"])
    for b, n in enumerate(SHORT):
        assert not np.any(got["y"][n:, b])
        assert not np.any(got["dx"][n:, b])


@every_cell
def test_batch_first_is_a_transposition(cell: str) -> None:
    twin = Twin(cell, INPUT, HIDDEN, 2, bidirectional=True)
    problem = Problem.random(twin, STEPS, BATCH, state=True, lengths=RAGGED)
    expected = problem.expected()
    layer = problem.layer("float64", batch_first=True)
    x, state, dy, dstate = problem.inputs("float64")
    y, final, cache = layer.forward(
        np.ascontiguousarray(x.swapaxes(0, 1)), state, lengths=problem.lengths
    )
    layer.zero_grad()
    dx, d_initial = layer.backward(np.ascontiguousarray(dy.swapaxes(0, 1)), cache, dstate)
    got = {"y": y.swapaxes(0, 1), "dx": dx.swapaxes(0, 1)}
    got.update({f"final state {i}": s for i, s in enumerate(as_tuple(final))})
    got.update({f"gradient of initial state {i}": s for i, s in enumerate(as_tuple(d_initial))})
    got.update({f"gradient of {name}": g for name, g in layer.grads.items()})
    assert_close(got, {name: expected[name] for name in got}, RELATIVE_ERROR["float64"])


@every_cell
@pytest.mark.parametrize("batch_first", [False, True])
@pytest.mark.parametrize("ids", [False, True], ids=["rows", "ids"])
def test_unbatched_is_a_batch_of_one(cell: str, batch_first: bool, ids: bool) -> None:
    problem = Problem.random(
        Twin(cell, INPUT, HIDDEN, 2, bidirectional=True), STEPS, 1, ids=ids, state=True
    )
    expected = problem.expected()
    layer = problem.layer("float64", batch_first=batch_first)
    x, state, dy, dstate = problem.inputs("float64")
    one, d_one = (as_public([s[:, 0] for s in as_tuple(value)]) for value in (state, dstate))
    y, final, cache = layer.forward(x[:, 0], one)
    layer.zero_grad()
    dx, d_initial = layer.backward(dy[:, 0], cache, d_one)
    got = {"y": y[:, None]}
    got.update({f"final state {i}": s[:, None] for i, s in enumerate(as_tuple(final))})
    if ids:
        assert dx is None
    else:
        got["dx"] = dx[:, None]
    got.update(
        {f"gradient of initial state {i}": s[:, None] for i, s in enumerate(as_tuple(d_initial))}
    )
    got.update({f"gradient of {name}": g for name, g in layer.grads.items()})
    assert_close(got, expected, RELATIVE_ERROR["float64"])


@every_cell
def test_pieces_with_carried_state_equal_the_whole(cell: str) -> None:
    """Backward that hands the state's gradient from piece to piece is full BPTT."""
    problem = Problem.random(Twin(cell, INPUT, HIDDEN, 2), 10, BATCH, state=True)
    expected = problem.expected()
    layer = problem.layer("float64")
    x, state, dy, dstate = problem.inputs("float64")
    pieces = [slice(0, 4), slice(4, 5), slice(5, 10)]
    outputs, caches = [], []
    for piece in pieces:
        y, state, cache = layer.forward(x[piece], state)
        outputs.append(y)
        caches.append(cache)
    layer.zero_grad()
    dx = []
    for piece, cache in zip(reversed(pieces), reversed(caches), strict=True):
        dx_piece, dstate = layer.backward(dy[piece], cache, dstate)
        dx.insert(0, dx_piece)
    got = {"y": np.concatenate(outputs)}
    got.update({f"final state {i}": s for i, s in enumerate(as_tuple(state))})
    got["dx"] = np.concatenate(dx)
    got.update({f"gradient of initial state {i}": s for i, s in enumerate(as_tuple(dstate))})
    got.update({f"gradient of {name}": g for name, g in layer.grads.items()})
    assert_close(got, expected, RELATIVE_ERROR["float64"])


@every_cell
def test_truncated_bptt(cell: str) -> None:
    """Carried state without its gradient: each piece starts from a constant state."""
    twin = Twin(cell, INPUT, HIDDEN, 2)
    problem = Problem.random(twin, 10, BATCH)
    layer = problem.layer("float64")
    layer.zero_grad()
    state: Any = None
    twin_state = None
    total: dict[str, Any] = dict.fromkeys(layer.grads, 0.0)
    for piece in (slice(0, 4), slice(4, 8), slice(8, 10)):
        _, state, cache = layer.forward(problem.x[piece], state)
        layer.backward(problem.dy[piece], cache)
        _, twin_state, twin_cache = twin.forward(problem.params, problem.x[piece], twin_state)
        _, _, grads = twin.backward(problem.params, problem.dy[piece], twin_cache)
        total = {name: total[name] + grads[name] for name in total}
    assert_close(dict(layer.grads), total, RELATIVE_ERROR["float64"])


def test_parameters_have_the_names_and_layouts_of_pytorch() -> None:
    for cell in CELL_NAMES:
        for bias in (False, True):
            twin = Twin(cell, INPUT, HIDDEN, 2, bias, True)
            layer = make_layer(twin, "float32")
            assert {name: p.shape for name, p in layer.params.items()} == twin.shapes()
            assert list(layer.params) == list(twin.shapes())
