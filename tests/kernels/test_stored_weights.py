"""Streams with weights in every storage: every instruction set against the oracle."""

import itertools
import tracemalloc
from functools import cache
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

import rnncore as rc
from instruction_sets import selected
from problems import CELL_NAMES, RELATIVE_ERROR, as_tuple, make_layer, relative_error
from refusal import refuses
from rnncore import _core, _narrow
from storages import FORMS, as_stored
from twin import Twin

Array = NDArray[Any]

WEIGHT_FORMATS = ("float32", "bfloat16", "int8", "int8_dynamic")
# Columns: around 4 to 16 lanes, then panels of 8, 4, 2 and 1 vectors and a rest. Depths: around the
# four steps that share a word of int8, and around the lanes. Rows: one, two and three share a pass.
COLUMNS = (1, 4, 5, 15, 16, 17, 33, 64, 100, 129, 257)
DEPTHS = (1, 2, 3, 4, 5, 15, 16, 17, 67, 300)
ROWS = (1, 2, 3, 4, 7)


def product_limit(a: Array, b: Array) -> Array:
    """Bound of the rounding error of sums of products in float32: Higham 2002, section 3.1."""
    magnitudes = np.abs(a) @ np.abs(b).T
    return (a.shape[1] + 3) * np.finfo(np.float32).eps * magnitudes + np.finfo(np.float32).tiny


# --- products ------------------------------------------------------------------------------------
@pytest.mark.parametrize("form", FORMS)
def test_products(isa: str, form: str) -> None:
    """Against NumPy: weights as `_narrow` rounds them, activations of int8_dynamic likewise."""
    rng = np.random.default_rng(0)
    for n, k in itertools.product(COLUMNS, DEPTHS):
        for m in ROWS:
            a, b = (rng.standard_normal((rows, k)).astype(np.float32) for rows in (m, n))
            got = _core.kernel_stored_product(a, b, form)
            wide = as_stored(a, form if form == "int8_dynamic" else "full")
            stored = as_stored(b, form)
            error = np.abs(got - wide @ stored.T)
            # Sums of integers are exact: what rounds is their scaling, which the bound covers.
            assert np.all(error <= product_limit(wide, stored)), (m, n, k)


@pytest.mark.parametrize("form", FORMS)
def test_reference_products(form: str) -> None:
    with selected("reference"):
        test_products("reference", form)


def test_products_of_double(isa: str) -> None:
    rng = np.random.default_rng(1)
    for m, n, k in itertools.product(ROWS, COLUMNS, DEPTHS[::3]):
        a, b = rng.standard_normal((m, k)), rng.standard_normal((n, k))
        limit = (k + 3) * np.finfo(np.float64).eps * (np.abs(a) @ np.abs(b).T)
        assert np.all(np.abs(_core.kernel_stored_product(a, b, "full") - a @ b.T) <= limit)


@pytest.mark.parametrize("form", FORMS)
def test_rows_do_not_depend_on_their_neighbours(isa: str, form: str) -> None:
    rng = np.random.default_rng(2)
    a, b = (rng.standard_normal((rows, 45)).astype(np.float32) for rows in (11, 200))
    whole = _core.kernel_stored_product(a, b, form)
    for first, count in ((0, 1), (3, 2), (5, 3), (1, 9)):
        rows = slice(first, first + count)
        np.testing.assert_array_equal(_core.kernel_stored_product(a[rows], b, form), whole[rows])


def test_sums_of_bytes_do_not_saturate(isa: str) -> None:
    """127 * 255 twice is beyond 16 bits, where instructions on pairs of bytes would stop."""
    for k in (4, 64, 1000):
        a, b = np.ones((3, k), np.float32), np.ones((40, k), np.float32)
        for sign in (1, -1):
            got = _core.kernel_stored_product(sign * a, b, "int8_dynamic")
            np.testing.assert_allclose(got, sign * k, rtol=2**-14)  # two scales of 16 bits


@pytest.mark.parametrize("form", FORMS[1:])
def test_special_values(isa: str, form: str) -> None:
    """Zeros stay zeros; what is not finite shows in its row, and in no other one."""
    b = np.random.default_rng(3).standard_normal((20, 9)).astype(np.float32)
    zeros = np.zeros((2, 9), np.float32)
    np.testing.assert_array_equal(_core.kernel_stored_product(zeros, b, form), np.zeros((2, 20)))
    np.testing.assert_array_equal(
        _core.kernel_stored_product(b[:2], np.zeros((20, 9), np.float32), form), np.zeros((2, 20))
    )
    all_bits = np.array(-1, np.int32).view(np.float32)  # the NaN that files of missing values hold
    for value in (np.nan, np.inf, -np.inf, all_bits):
        a = np.ones((3, 9), np.float32)
        a[1, 4] = value
        with np.errstate(invalid="ignore"):
            rows = _core.kernel_stored_product(a, b, form)
            columns = _core.kernel_stored_product(b, a, form)
        for got in (rows, columns.T):
            assert not np.any(np.isfinite(got[1]))
            assert np.all(np.isfinite(got[[0, 2]]))


# --- rounding ------------------------------------------------------------------------------------
def test_int8_is_within_half_a_step_and_rounds_itself_to_itself() -> None:
    rng = np.random.default_rng(4)
    matrix = (rng.standard_normal((50, 31)) * 10.0 ** rng.integers(-30, 30, (50, 1))).astype("f4")
    arrays = _narrow.narrowed({"w": matrix}, "int8")
    q, scale = arrays["w"], arrays["w.scale"]
    assert q.dtype == np.int8
    assert np.all(np.abs(q.astype(int)).max(axis=1) == 127)  # the range is used, -128 never
    wide = _narrow.widened(arrays, "int8")["w"]
    assert np.all(np.abs(wide.astype(float) - matrix) <= 0.5001 * scale[:, None].astype(float))
    again = _narrow.narrowed({"w": wide}, "int8")
    np.testing.assert_array_equal(again["w"], q)
    np.testing.assert_array_equal(again["w.scale"], scale)


def test_bfloat16_is_to_nearest_even() -> None:
    one = np.float32(1)
    eps = np.float32(2**-7)
    values = np.array(
        [[one, one + eps / 2, one + 3 * eps / 2, one + eps * 0.51, -one - eps * 0.49]]
    )
    wide = as_stored(values.astype(np.float32), "bfloat16")
    np.testing.assert_array_equal(wide, [[1, 1, 1 + 2 * eps, 1 + eps, -1]])


# --- streams -------------------------------------------------------------------------------------
# B, I, H; the largest has several panels of full width, the last one in part, in every storage that
# are read to and fro
SIZES = ((1, 1, 1), (2, 5, 3), (3, 17, 16), (4, 3, 33), (1, 40, 67), (2, 3, 255))


@cache
def recorded(cell: str, size: tuple[int, int, int], form: str) -> tuple[Any, Array, Array]:
    """A layer, inputs [T,B,I], and the outputs of the oracle; shared by all instruction sets."""
    batch, inputs, hidden = size
    layer = make_layer(Twin(cell, inputs, hidden, 2), "float32")
    x = np.random.default_rng(hidden).standard_normal((6, batch, inputs)).astype(np.float32)
    with selected("reference"):
        return layer, x, core_stream(layer, batch, form).run(x)


def core_stream(layer: Any, batch: int, form: str) -> Any:
    return _core.Stream(layer.network, layer.flat_params, batch, form)


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("cell", CELL_NAMES)
@pytest.mark.parametrize("size", SIZES, ids=lambda s: "B{}-I{}-H{}".format(*s))
def test_streams_equal_the_oracle(
    isa: str, cell: str, size: tuple[int, int, int], form: str
) -> None:
    layer, x, expected = recorded(cell, size, form)
    stream = core_stream(layer, size[0], form)
    y = stream.run(x)
    # A state near the middle between two of 255 steps may round up here and down there, which moves
    # a sum by a step times a weight: some 1 % of the weight, and the weights are below 1.
    limit = 2e-2 if form == "int8_dynamic" else RELATIVE_ERROR["float32"]
    assert relative_error(y, expected.astype(np.float64)) <= limit
    # one by one: the same bits
    stream.reset()
    np.testing.assert_array_equal(np.stack([stream.step(x_t) for x_t in x]), y)


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("cell", CELL_NAMES)
def test_a_sequence_of_a_batch_is_its_own_affair(isa: str, cell: str, form: str) -> None:
    layer = make_layer(Twin(cell, 5, 20, 2), "float32")
    x = np.random.default_rng(5).standard_normal((70, 5, 5)).astype(np.float32)
    together = core_stream(layer, 5, form).run(x)
    for b in range(5):
        alone = core_stream(layer, 1, form).run(np.ascontiguousarray(x[:, b]))
        np.testing.assert_array_equal(alone, together[:, b])


@pytest.mark.parametrize("cell", CELL_NAMES)
@pytest.mark.parametrize("weight_format", WEIGHT_FORMATS)
def test_narrow_streams_are_near_the_layer(cell: str, weight_format: str) -> None:
    """The layer with the rounded weights, from which the stream then differs by rounding alone."""
    layer = make_layer(Twin(cell, 30, 50, 2), "float32")
    x = np.random.default_rng(6).standard_normal((100, 2, 30)).astype(np.float32)
    y = layer.stream(2, weight_format).run(x)
    if weight_format != "float32":
        rounded = _narrow.widened(_narrow.narrowed(layer.params, weight_format), weight_format)
        assert not np.allclose(y, layer(x)[0], rtol=0, atol=1e-7)
        layer.load_state_dict(rounded)
    # int8_dynamic rounds inputs and states as well, by up to 1/254 of the greatest of a row; what
    # they are multiplied with is at most .14, and the error of 80 such products adds up as a random
    # walk.
    limit = 5e-2 if weight_format == "int8_dynamic" else 1e-5
    error = relative_error(y, layer(x)[0].astype(np.float64))
    assert error <= limit
    assert weight_format != "int8_dynamic" or error > 1e-4  # it is int8_dynamic that ran


@pytest.mark.parametrize("weight_format", WEIGHT_FORMATS)
def test_ids_are_one_hot_rows(isa: str, weight_format: str) -> None:
    layer = rc.GRU(37, 20, 2, rng=0)
    ids = np.array([[3, 36], [0, 1], [36, 36]])
    rows = np.eye(37, dtype=np.float32)[ids]
    # The scale of a row with a one is that of 1 / 127 up to 16 bits, and a look-up has none.
    limit = 2e-3 if weight_format == "int8_dynamic" else 1e-6
    np.testing.assert_allclose(
        layer.stream(2, weight_format).run(ids),
        layer.stream(2, weight_format).run(rows),
        rtol=0,
        atol=limit,
    )


def test_long_sequences_go_on_and_fit_together() -> None:
    """In pieces of any length: the kernel takes a limited number of steps at once."""
    layer = rc.LSTM(3, 7, 2, rng=0)
    x = np.random.default_rng(7).standard_normal((500, 3)).astype(np.float32)
    whole = layer.stream().run(x)
    np.testing.assert_allclose(whole, layer(x)[0], rtol=0, atol=1e-6)
    stream = layer.stream()
    pieces = [stream.run(x[a:b]) for a, b in itertools.pairwise((0, 1, 64, 64, 130, 500))]
    np.testing.assert_array_equal(np.concatenate(pieces), whole)
    for one, other in zip(as_tuple(stream.state), as_tuple(layer(x)[1]), strict=True):
        np.testing.assert_allclose(one[:, 0], other, rtol=0, atol=1e-6)


# --- out= ----------------------------------------------------------------------------------------
@pytest.mark.parametrize("weight_format", WEIGHT_FORMATS)
def test_out_is_written_and_returned(weight_format: str) -> None:
    layer = rc.LSTM(4, 6, rng=0)
    x = np.random.default_rng(8).standard_normal((9, 2, 4)).astype(np.float32)
    expected = layer.stream(2, weight_format).run(x)
    stream, out = layer.stream(2, weight_format), np.empty((2, 6), np.float32)
    for x_t, y_t in zip(x, expected, strict=True):
        assert stream.step(x_t, out) is out
        np.testing.assert_array_equal(out, y_t)
    whole = np.empty((9, 2, 6), np.float32)
    assert layer.stream(2, weight_format).run(x, whole) is whole
    np.testing.assert_array_equal(whole, expected)
    single, ids = layer.stream(1, weight_format), np.empty(6, np.float32)
    assert single.step(x[0, 0], ids) is ids
    assert single.step(3, ids) is ids
    assert single.run(x[:, 0]).shape == (9, 6)
    assert single.run([0, 1, 2]).shape == (3, 6)


def test_bad_out() -> None:
    stream = rc.GRU(4, 4, rng=0).stream(2)
    x = np.zeros((2, 4), np.float32)
    locked = np.zeros((2, 4), np.float32)
    locked.flags.writeable = False
    for out, error in (
        (np.zeros((2, 5), np.float32), ValueError),
        (np.zeros((1, 2, 4), np.float32), ValueError),
        (np.zeros((2, 4)), TypeError),
        ([[0.0] * 4] * 2, TypeError),
        (np.zeros((4, 4), np.float32)[::2], ValueError),
        (np.zeros((4, 2), np.float32).T, ValueError),
        (locked, ValueError),
        (x, ValueError),
    ):
        with pytest.raises(error, match=r"^out: "):
            stream.step(x, out)
        with pytest.raises(error, match=r"^out: "):
            stream.run(x[np.newaxis], out[np.newaxis] if isinstance(out, np.ndarray) else out)
    assert not np.any(stream.state)
    for bad, error in (
        (x, ValueError),
        (x[np.newaxis].astype(float), TypeError),
        (None, TypeError),
    ):
        with pytest.raises(error, match=r"^x: "):
            stream.run(bad)
    for call in (stream.step, stream.run):
        with pytest.raises(TypeError, match=r"^x: expected a float32 array .*, got None$"):
            call(None)


@pytest.mark.parametrize("weight_format", WEIGHT_FORMATS)
def test_a_step_into_out_allocates_nothing(weight_format: str) -> None:
    """Neither arrays nor objects stay or come and go: the peak over a thousand steps is zero."""
    stream = rc.LSTM(8, 32, 2, rng=0).stream(weight_format=weight_format)
    x, out = np.ones((1, 8), np.float32), np.empty((1, 32), np.float32)

    def steps(count: int) -> int:
        tracemalloc.reset_peak()
        before = tracemalloc.get_traced_memory()[0]
        for _ in range(count):
            stream.step(x, out)
        return tracemalloc.get_traced_memory()[1] - before

    tracemalloc.start()
    try:
        steps(10)
        few, many = steps(10), steps(1000)
    finally:
        tracemalloc.stop()
    # The frame of a call, of less than an array's header and data, comes and goes.
    assert many <= few + 64
    assert many < 512


# --- arguments -----------------------------------------------------------------------------------
def test_bad_weights() -> None:
    layer = rc.LSTM(4, 6, rng=0)
    for form, error in (("int4", ValueError), ("float64", ValueError), (8, TypeError)):
        refuses(layer, lambda f=form: layer.stream(1, f), error, "weight_format", repr(form))
    double = rc.LSTM(4, 6, dtype=np.float64, rng=0)
    for form in WEIGHT_FORMATS:
        refuses(double, lambda f=form: double.stream(1, f), ValueError, "weight_format", "float64")
    x = np.zeros((1, 4))
    np.testing.assert_array_equal(double.stream(1, "float64").step(x), double.stream().step(x))
    wide = rc.RNN(2**16 + 1, 1, rng=0)
    message = ("weight_format", "65536", "65537")
    refuses(wide, lambda: wide.stream(weight_format="int8_dynamic"), ValueError, *message)
    for form in ("bfloat16", "int8"):
        wide.stream(weight_format=form).step(5)


def test_out_shares_no_memory_with_x() -> None:
    """Ids that outputs are written over would be read as what they are then."""
    layer = rc.RNN(3, 2, rng=0)
    stream = layer.stream()
    out = np.zeros((100, 2), np.float32)
    ids = out.view(np.int64)[:, 0]
    refuses(layer, lambda: stream.run(ids, out), ValueError, "out", "memory of its own")
    memory = np.zeros(499, np.float32)
    x, out = memory[:300].reshape(100, 3), memory[299:].reshape(100, 2)
    refuses(layer, lambda: stream.run(x, out), ValueError, "out", "memory of its own")
    stream.run(x[:99], out[1:])  # behind it
