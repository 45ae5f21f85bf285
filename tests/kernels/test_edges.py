"""Empty and smallest sizes, very long chains, arrays of any strides, the caller's own state."""

from typing import Any

import hypothesis.extra.numpy as npst
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

import rnncore as rc
from problems import (
    CELL_NAMES,
    RELATIVE_ERROR,
    Problem,
    as_public,
    as_tuple,
    assert_close,
    assert_same_bits,
    linear_losses,
    make_layer,
)
from rnncore import _core
from twin import Twin

Array = NDArray[Any]

every_cell = pytest.mark.parametrize("cell", CELL_NAMES)


# --- smallest sizes ------------------------------------------------------------------------------
@every_cell
@pytest.mark.parametrize("bidirectional", [False, True], ids=["forward", "both"])
@pytest.mark.parametrize("ids", [False, True], ids=["rows", "ids"])
@pytest.mark.parametrize(
    ("num_steps", "batch", "inputs", "hidden"),
    [
        (0, 2, 3, 4),
        (2, 0, 3, 4),
        (0, 0, 3, 4),
        (1, 2, 3, 4),
        (3, 1, 3, 4),
        (3, 2, 1, 4),
        (3, 2, 3, 1),
        (1, 1, 1, 1),
    ],
    ids=lambda n: str(n),
)
def test_smallest_sizes(
    cell: str, bidirectional: bool, ids: bool, num_steps: int, batch: int, inputs: int, hidden: int
) -> None:
    twin = Twin(cell, inputs, hidden, 2, bidirectional=bidirectional)
    problem = Problem.random(twin, num_steps, batch, ids=ids, state=True)
    expected = problem.expected()
    for dtype, limit in RELATIVE_ERROR.items():
        layer = problem.layer(dtype)
        assert_close(problem.solve(layer), expected, limit)
        x, state, _, _ = problem.inputs(dtype)
        y, final = layer(x, state)
        assert_close({"y": y}, {"y": expected["y"]}, limit)
        assert_close({"state": as_tuple(final)[0]}, {"state": expected["final state 0"]}, limit)


@every_cell
def test_all_lengths_zero(cell: str) -> None:
    """Nothing runs: outputs are zero, states and their gradients pass through."""
    problem = Problem.random(
        Twin(cell, 3, 4, 2, bidirectional=True), 5, 3, state=True, lengths=(0, 0, 0)
    )
    got = problem.solve(problem.layer("float64"))
    assert_close(got, problem.expected(), 0.0)
    assert not np.any(got["y"])


def test_empty_batch_of_wide_strided_inputs() -> None:
    """Rows so wide that a block of them is less than one; there is none to pack."""
    layer = rc.GRU(20_000, 3, rng=0)
    x = np.zeros((5, 0, 40_000), np.float32)[:, :, ::2]
    y, _, cache = layer.forward(x)
    assert y.shape == (5, 0, 3)
    dx, _ = layer.backward(y, cache)
    assert dx.shape == x.shape


def test_losses_of_the_smallest_sizes(dtype: type[np.floating]) -> None:
    """One word only: certain. No rows: nothing."""
    losses, gradient = _core.cross_entropy(np.full((3, 1), 5, dtype), np.zeros(3, int), -100)
    np.testing.assert_array_equal(losses, 0)
    np.testing.assert_array_equal(gradient, 0)
    losses, gradient = _core.cross_entropy(np.zeros((0, 7), dtype), np.zeros(0, int), -100)
    assert losses.shape == (0,)
    assert gradient.shape == (0, 7)
    losses, gradient = _core.cross_entropy(np.ones((2, 7), dtype), np.full(2, -100), -100)
    np.testing.assert_array_equal(losses, 0)
    np.testing.assert_array_equal(gradient, 0)
    assert _core.linear_forward(np.zeros((0, 3), dtype), np.ones((2, 3), dtype), None).shape == (
        0,
        2,
    )
    assert _core.dropout(np.zeros((0,), dtype), 0.5, 1).shape == (0,)
    assert _core.squared_norm(np.zeros(0, dtype)) == 0


# --- sizes whose rows are padded -----------------------------------------------------------------
@every_cell
@pytest.mark.parametrize("bidirectional", [False, True], ids=["forward", "both"])
@pytest.mark.parametrize("ids", [False, True], ids=["rows", "ids"])
def test_rows_of_whole_pages(cell: str, bidirectional: bool, ids: bool) -> None:
    """Rows of gates of a multiple of 4 KB, between which a pass leaves a line."""
    hidden = 128 if cell == "lstm" else 512  # of 8 bytes, times four gates, three or one
    twin = Twin(cell, 3, hidden, 1 if bidirectional else 2, bidirectional=bidirectional)
    problem = Problem.random(twin, 4, 5, ids=ids, state=True, lengths=(4, 1, 3, 0, 2))
    expected = problem.expected()
    assert_close(problem.solve(problem.layer("float64")), expected, RELATIVE_ERROR["float64"])


# --- few rows: steps take several panels of columns at once, every other one from the last --------
@every_cell
@pytest.mark.parametrize("batch", [1, 2, 3])
def test_few_rows(isa: str, cell: str, batch: int) -> None:
    """At 300 units the products of both passes have two groups of four panels and more."""
    problem = Problem.random(Twin(cell, 3, 300, 1), 5, batch, state=True)
    for dtype in ("float32", "float64"):
        solved = problem.solve(problem.layer(dtype))
        assert_close(solved, problem.expected(), RELATIVE_ERROR[dtype])


@pytest.mark.parametrize("compute", [None, "bfloat16"])
def test_few_rows_have_the_bits_of_many(isa: str, compute: str | None) -> None:
    if isa == "avx512_amx":
        pytest.skip("other kernels take many rows there, with other bits")
    layer = rc.GRU(40, 300, rng=0, compute=compute)
    x = np.random.default_rng(1).standard_normal((6, 7, 40), np.float32)
    y, _ = layer(x)
    for batch in (1, 2, 3):
        np.testing.assert_array_equal(layer(x[:, :batch])[0], y[:, :batch])


# --- input weights, packed as a whole or in pieces ------------------------------------------------
@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize(("width", "hidden"), [(700, 80), (1800, 80), (700, 320)])
@pytest.mark.parametrize("options", [{}, {"bidirectional": True}, {"dtype": np.float64}])
def test_packing_of_input_weights(
    isa: str, threads: int, width: int, hidden: int, options: dict[str, Any]
) -> None:
    """Of one, two and four chunks of 512 steps, the first steps have the same bits.

    Where there is one chunk, W_ih is multiplied in pieces of 256 KB; where there are two, if it has
    more than 2 MB. On two threads the units are divided where there are 320.
    """
    before = rc.get_num_threads()
    rc.set_num_threads(threads)
    try:
        layer = rc.LSTM(width, hidden, rng=0, **options)
        x = np.random.default_rng(1).standard_normal((1600, 1, width)).astype(layer.dtype)
        y = layer(x)[0][..., :hidden]
        for steps in (300, 900):
            np.testing.assert_array_equal(layer(x[:steps])[0][..., :hidden], y[:steps])
    finally:
        rc.set_num_threads(before)


# --- long chains ---------------------------------------------------------------------------------
LONG = 20_000


def test_long_chain_of_rotations_is_exact(dtype: type[np.floating]) -> None:
    """h_t = P h_{t-1} + x_t with a cyclic shift P: whole numbers, no rounding hides an error."""
    hidden = 17
    rng = np.random.default_rng(0)
    layer = make_layer(Twin("rnn_identity", hidden, hidden), np.dtype(dtype).name)
    shift = np.roll(np.eye(hidden), 1, axis=0)  # (P h)[i] = h[i - 1]
    zero = np.zeros(hidden)
    layer.load_state_dict(
        {
            name: value.astype(dtype)
            for name, value in zip(layer.params, (np.eye(hidden), shift, zero, zero), strict=True)
        }
    )
    x = np.zeros((LONG, 1, hidden), dtype)
    x[rng.integers(0, LONG, 500), 0, rng.integers(0, hidden, 500)] = 1
    h_0, g = (rng.integers(-1, 2, hidden).astype(dtype) for _ in range(2))
    y, final, cache = layer.forward(x, h_0.reshape(1, 1, hidden))

    # h_t in coordinates that turn with the shift is a plain running sum.
    steps = np.arange(LONG + 1)
    turned = np.concatenate([h_0[None], x[:, 0]]).astype(np.float64)
    turned = np.stack([np.roll(row, -t) for t, row in enumerate(turned)]).cumsum(axis=0)
    h = np.stack([np.roll(row, t) for t, row in enumerate(turned)])
    np.testing.assert_array_equal(y[:, 0], h[1:])
    np.testing.assert_array_equal(final[0, 0], h[-1])

    # The gradient of the sum at step t is P^T to the power T - t times that of the final state.
    layer.zero_grad()
    dx, d_initial = layer.backward(None, cache, g.reshape(1, 1, hidden))
    da = np.stack([np.roll(g, -(LONG - t)) for t in steps[1:]]).astype(np.float64)
    np.testing.assert_array_equal(dx[:, 0], da)
    np.testing.assert_array_equal(d_initial[0, 0], np.roll(g, -LONG))
    np.testing.assert_array_equal(layer.grads["weight_hh_l0"], da.T @ h[:-1])
    np.testing.assert_array_equal(layer.grads["weight_ih_l0"], da.T @ x[:, 0])
    np.testing.assert_array_equal(layer.grads["bias_hh_l0"], da.sum(axis=0))


def test_long_chain_of_an_orthogonal_matrix_keeps_the_norm(dtype: type[np.floating]) -> None:
    hidden = 32
    rng = np.random.default_rng(1)
    orthogonal, _ = np.linalg.qr(rng.standard_normal((hidden, hidden)))
    layer = make_layer(Twin("rnn_identity", 1, hidden, bias=False), np.dtype(dtype).name)
    weights = (np.zeros((hidden, 1)), orthogonal)
    layer.load_state_dict({n: w.astype(dtype) for n, w in zip(layer.params, weights, strict=True)})
    h_0, g = (rng.standard_normal((1, 1, hidden)).astype(dtype) for _ in range(2))
    _, final, cache = layer.forward(np.zeros((LONG, 1, 1), dtype), h_0)
    layer.zero_grad()
    _, d_initial = layer.backward(None, cache, g)

    power = np.linalg.matrix_power(layer.params["weight_hh_l0"].astype(np.float64), LONG)
    # Each step adds a rounding of about eps that the matrix neither damps nor amplifies: at worst
    # T * eps in all, where the weights themselves are the rounded ones on both sides.
    limit = LONG * float(np.finfo(dtype).eps)
    assert_close({"h": final[0, 0]}, {"h": power @ h_0[0, 0]}, limit)
    assert_close({"dh": d_initial[0, 0]}, {"dh": power.T @ g[0, 0]}, limit)
    assert np.linalg.norm(final) == pytest.approx(np.linalg.norm(h_0), rel=limit)
    assert np.linalg.norm(d_initial) == pytest.approx(np.linalg.norm(g), rel=limit)


@pytest.mark.parametrize("cell", ["lstm", "gru_after", "gru_before"])
def test_open_gates_carry_the_state_unchanged(cell: str, dtype: type[np.floating]) -> None:
    """Constant error carousel: a forget gate of 1 keeps state and gradient for 20,000 steps."""
    hidden = 9
    layer = make_layer(Twin(cell, 1, hidden), np.dtype(dtype).name)
    params = {name: np.zeros_like(p) for name, p in layer.params.items()}
    # Gate order i, f, g, o: write nothing, keep everything. GRU order r, z, n: keep everything.
    gate_biases = [-1000, 1000, 0, 0] if cell == "lstm" else [0, 1000, 0]
    params["bias_ih_l0"][:] = np.repeat(gate_biases, hidden)
    layer.load_state_dict(params)
    rng = np.random.default_rng(2)
    kept, g = (rng.standard_normal((1, 1, hidden)).astype(dtype) for _ in range(2))
    zero = np.zeros_like(kept)
    states, dstates = ((zero, kept), (zero, g)) if cell == "lstm" else ((kept,), (g,))
    _, final, cache = layer.forward(np.ones((LONG, 1, 1), dtype), as_public(states))
    _, d_initial = layer.backward(None, cache, as_public(dstates))
    np.testing.assert_array_equal(as_tuple(final)[-1], kept)
    np.testing.assert_array_equal(as_tuple(d_initial)[-1], g)


# --- strides -------------------------------------------------------------------------------------
@st.composite
def strided(draw: st.DrawFn, values: Array) -> Array:
    """A view that equals `values` and lies in memory in some other way."""
    order = draw(st.permutations(range(values.ndim)))
    steps = [draw(st.sampled_from([1, 1, 2, 3, -1, -2])) for _ in order]
    offsets = [draw(st.integers(0, 2)) for _ in order]
    # Garbage between the elements, so that a wrong address shows.
    sizes = [offsets[a] + abs(steps[a]) * values.shape[a] + 1 for a in order]
    filler = np.nan if values.dtype.kind == "f" else 99
    view = np.full(sizes, filler, values.dtype).transpose(np.argsort(order))
    slices = []
    for axis, n in enumerate(values.shape):
        first, last = offsets[axis], offsets[axis] + abs(steps[axis]) * n
        forward = slice(first, last, abs(steps[axis]))
        slices.append(forward)
    view = view[tuple(slices)]
    flips = tuple(slice(None, None, -1 if s < 0 else 1) for s in steps)
    view = view[flips]
    view[...] = values
    np.testing.assert_array_equal(view, values)
    return view


sizes = st.integers(0, 5)
positive = st.integers(1, 9)


@settings(max_examples=150)
@given(
    data=st.data(), cell=st.sampled_from(CELL_NAMES), num_steps=sizes, batch=sizes, hidden=positive
)
def test_layer_takes_any_strides(
    data: st.DataObject, cell: str, num_steps: int, batch: int, hidden: int
) -> None:
    """Views of any strides give the bits of contiguous arrays."""
    inputs = data.draw(positive, "inputs")
    ids = data.draw(st.booleans(), "ids")
    batch_first = data.draw(st.booleans(), "batch_first")
    lengths = data.draw(
        st.none() | st.lists(st.integers(0, num_steps), min_size=batch, max_size=batch), "lengths"
    )
    twin = Twin(
        cell,
        inputs,
        hidden,
        data.draw(st.integers(1, 2), "layers"),
        data.draw(st.booleans(), "bias"),
        data.draw(st.booleans(), "bidirectional"),
    )
    problem = Problem.random(twin, num_steps, batch, ids=ids, state=True, lengths=lengths)
    dtype = data.draw(st.sampled_from(["float32", "float64"]), "dtype")
    expected = problem.solve(problem.layer(dtype))

    layer = problem.layer(dtype, batch_first=batch_first)
    x, state, dy, dstate = problem.inputs(dtype)
    if ids:
        x = x.astype(data.draw(st.sampled_from(["int8", "uint8", "int32", "int64"]), "type of ids"))
    state, dstate = (
        as_public([data.draw(strided(s)) for s in as_tuple(value)]) for value in (state, dstate)
    )
    x, dy = (data.draw(strided(a.swapaxes(0, 1) if batch_first else a)) for a in (x, dy))
    row_lengths = None if problem.lengths is None else data.draw(strided(problem.lengths))
    y, final, cache = layer.forward(x, state, lengths=row_lengths)
    layer.zero_grad()
    dx, d_initial = layer.backward(dy, cache, dstate)
    time_first = [a if a is None or not batch_first else a.swapaxes(0, 1) for a in (y, dx)]
    got = {"y": np.ascontiguousarray(time_first[0])}
    got.update({f"final state {i}": s for i, s in enumerate(as_tuple(final))})
    if not ids:
        got["dx"] = np.ascontiguousarray(time_first[1])
    got.update({f"gradient of initial state {i}": s for i, s in enumerate(as_tuple(d_initial))})
    got.update({f"gradient of {name}": np.array(g) for name, g in layer.grads.items()})
    assert_same_bits(got, expected)
    # One of a few elements may be a small difference of numbers of the order of 1: its error is
    # compared with those. Of more elements some are large, as everywhere else.
    expected_by_twin = problem.expected()
    few = {name for name, values in expected_by_twin.items() if values.size < 8}
    for name in few:
        limit = RELATIVE_ERROR[dtype] * max(
            1.0, np.max(np.abs(expected_by_twin[name]), initial=0.0)
        )
        np.testing.assert_allclose(got[name], expected_by_twin[name], rtol=0, atol=limit)
    many = [name for name in expected_by_twin if name not in few]
    assert list(got) == list(expected_by_twin)
    assert_close(
        {name: got[name] for name in many},
        {name: expected_by_twin[name] for name in many},
        RELATIVE_ERROR[dtype],
    )


@settings(max_examples=60)
@given(data=st.data(), rows=sizes, inputs=positive, outputs=positive)
def test_linear_and_losses_take_any_strides(
    data: st.DataObject, rows: int, inputs: int, outputs: int
) -> None:
    dtype = data.draw(st.sampled_from(["float32", "float64"]), "dtype")
    rng = np.random.default_rng(rows + 10 * inputs + 100 * outputs)
    x, weight, bias = (
        rng.standard_normal(shape).astype(dtype)
        for shape in ((rows, inputs), (outputs, inputs), (outputs,))
    )
    targets = rng.integers(0, outputs, rows)
    views = [data.draw(strided(a)) for a in (x, weight, bias, targets)]
    logits = _core.linear_forward(x, weight, bias)
    np.testing.assert_array_equal(_core.linear_forward(*views[:3]), logits)
    expected = _core.cross_entropy(logits, targets, -100)
    got = _core.cross_entropy(data.draw(strided(logits)), views[3], -100)
    for a, b in zip(got, expected, strict=True):
        np.testing.assert_array_equal(a, b)
    dy = rng.standard_normal((rows, outputs)).astype(dtype)
    results = []
    for arrays in ((dy, x, weight), (data.draw(strided(dy)), *views[:2])):
        dweight, dbias = np.zeros_like(weight), np.zeros_like(bias)
        results.append((_core.linear_backward(*arrays, dweight, dbias), dweight, dbias))
    for a, b in zip(*results, strict=True):
        np.testing.assert_array_equal(a, b)
    fused = [linear_losses(*arrays, -100) for arrays in ((x, weight, bias, targets), views)]
    np.testing.assert_array_equal(*fused)


@settings(max_examples=60)
@given(
    data=st.data(),
    x=npst.arrays(
        st.sampled_from([np.float32, np.float64]),
        npst.array_shapes(min_dims=1, max_dims=1, min_side=0, max_side=40),
        elements=st.floats(width=32, allow_nan=False),
    ),
)
def test_elementwise_kernels_take_any_strides(data: st.DataObject, x: Array) -> None:
    view = data.draw(strided(x))
    for name in ("exp", "tanh", "sigmoid"):
        np.testing.assert_array_equal(_core.kernel_map(name, view), _core.kernel_map(name, x))
    with np.errstate(over="ignore", invalid="ignore"):
        np.testing.assert_array_equal(_core.dropout(view, 0.5, 3), _core.dropout(x, 0.5, 3))


def test_more_steps_than_memory() -> None:
    """Arrays without sequences may have any number of steps, each of which needs an index."""
    network = _core.Network("lstm", 3, 4)
    params = np.zeros(network.num_params, np.float32)
    for x in (np.empty((2**45, 0, 3), np.float32), np.empty((2**45, 0), np.int64)):
        with pytest.raises(MemoryError, match="available"):
            network.infer(params, x, None, None)


# --- the caller's state --------------------------------------------------------------------------
def test_inputs_are_not_written() -> None:
    problem = Problem.random(
        Twin("lstm", 3, 4, 2, bidirectional=True), 5, 3, state=True, lengths=(2, 5, 0)
    )
    layer = problem.layer("float64")
    arrays = [problem.x, problem.dy, *problem.state, *problem.dstate, problem.lengths]
    before = [a.copy() for a in arrays]
    for a in arrays:
        a.flags.writeable = False
    problem.solve(layer)
    for a, b in zip(arrays, before, strict=True):
        np.testing.assert_array_equal(a, b)


def test_subnormal_numbers_of_the_caller_survive() -> None:
    """Flushing subnormals is for the inside of a call, not for the whole process."""
    layer = make_layer(Twin("lstm", 8, 64), "float32")
    for n in (1, 2):
        before = _core.get_num_threads()
        _core.set_num_threads(n)
        layer(np.ones((5, 16, 8), np.float32))
        _core.set_num_threads(before)
        assert np.float32(1e-40) * np.float32(1) > 0
