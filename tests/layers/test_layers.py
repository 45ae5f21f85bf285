"""Recurrent layers as users call them: shapes, layouts, states, caches, streaming."""

import subprocess
import sys
import weakref
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

import rnncore as rc
from arrays import inputs, map_state
from problems import as_tuple

Array = NDArray[Any]
STEPS, BATCH, INPUT, HIDDEN, NUM_LAYERS = 5, 3, 4, 6, 2

LAYERS: dict[str, Callable[..., Any]] = {"RNN": rc.RNN, "GRU": rc.GRU, "LSTM": rc.LSTM}
every_layer = pytest.mark.parametrize("make", LAYERS.values(), ids=LAYERS.keys())
both_directions = pytest.mark.parametrize("bidirectional", [False, True], ids=["one", "both"])


def assert_states_equal(got: Any, expected: Any) -> None:
    assert isinstance(got, tuple) == isinstance(expected, tuple)
    for one, other in zip(as_tuple(got), as_tuple(expected), strict=True):
        np.testing.assert_array_equal(one, other)


# --- recurrent layers: shapes and layouts --------------------------------------------------------
@every_layer
@both_directions
def test_shapes_and_dtypes(
    make: Callable[..., Any], bidirectional: bool, dtype: type[np.floating]
) -> None:
    layer = make(INPUT, HIDDEN, NUM_LAYERS, bidirectional=bidirectional, dtype=dtype, rng=0)
    directions = 1 + bidirectional
    y, state = layer(inputs(STEPS, BATCH, INPUT, dtype=dtype))
    assert y.shape == (STEPS, BATCH, directions * HIDDEN)
    assert y.dtype == dtype
    for array in as_tuple(state):
        assert array.shape == (NUM_LAYERS * directions, BATCH, HIDDEN)
        assert array.dtype == dtype
    assert isinstance(state, tuple) == (make is rc.LSTM)


@every_layer
@both_directions
def test_forward_equals_inference(make: Callable[..., Any], bidirectional: bool) -> None:
    layer = make(INPUT, HIDDEN, NUM_LAYERS, bidirectional=bidirectional, rng=0)
    x, lengths = inputs(STEPS, BATCH, INPUT), [2, 0, 5]
    y, state = layer(x, lengths=lengths)
    y_training, state_training, _ = layer.forward(x, lengths=lengths)
    np.testing.assert_allclose(y_training, y, rtol=1e-6, atol=1e-7)
    for one, other in zip(as_tuple(state_training), as_tuple(state), strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-6, atol=1e-7)


@every_layer
@both_directions
def test_batch_first_is_a_transposition(make: Callable[..., Any], bidirectional: bool) -> None:
    options: dict[str, Any] = {"bidirectional": bidirectional, "rng": 0}
    time_first, batch_first = (
        make(INPUT, HIDDEN, NUM_LAYERS, **options),
        make(INPUT, HIDDEN, NUM_LAYERS, batch_first=True, **options),
    )
    x, dy = inputs(STEPS, BATCH, INPUT), inputs(STEPS, BATCH, (1 + bidirectional) * HIDDEN)
    state = map_state(np.tanh, time_first(x)[1])
    for lengths in (None, [3, 5, 0]):
        y, final, cache = time_first.forward(x, state, lengths)
        dx, dstate = time_first.backward(dy, cache, final)
        y_b, final_b, cache_b = batch_first.forward(x.swapaxes(0, 1), state, lengths)
        dx_b, dstate_b = batch_first.backward(dy.swapaxes(0, 1), cache_b, final_b)
        np.testing.assert_array_equal(y_b, y.swapaxes(0, 1))
        np.testing.assert_array_equal(dx_b, dx.swapaxes(0, 1))
        assert_states_equal(final_b, final)
        assert_states_equal(dstate_b, dstate)
        np.testing.assert_array_equal(
            batch_first(x.swapaxes(0, 1), state, lengths)[0],
            time_first(x, state, lengths)[0].swapaxes(0, 1),
        )
    np.testing.assert_array_equal(batch_first.flat_grads, time_first.flat_grads)


@every_layer
@both_directions
@pytest.mark.parametrize("batch_first", [False, True], ids=["time first", "batch first"])
def test_unbatched_is_a_batch_of_one(
    make: Callable[..., Any], bidirectional: bool, batch_first: bool
) -> None:
    """With batch_first an unbatched input is still [T,I]."""
    layer = make(
        INPUT, HIDDEN, NUM_LAYERS, bidirectional=bidirectional, batch_first=batch_first, rng=0
    )
    axis = 0 if batch_first else 1
    x, dy = inputs(STEPS, INPUT), inputs(STEPS, (1 + bidirectional) * HIDDEN)
    batched = layer.forward(np.expand_dims(x, axis))
    y, state, cache = layer.forward(x)
    np.testing.assert_array_equal(y, batched[0].squeeze(axis))
    assert_states_equal(state, map_state(lambda s: s[:, 0], batched[1]))
    layer.zero_grad()
    dx, dstate = layer.backward(dy, cache, state)
    grads = layer.flat_grads.copy()
    layer.zero_grad()
    dx_b, dstate_b = layer.backward(np.expand_dims(dy, axis), batched[2], batched[1])
    np.testing.assert_array_equal(dx, dx_b.squeeze(axis))
    assert_states_equal(dstate, map_state(lambda s: s[:, 0], dstate_b))
    np.testing.assert_array_equal(grads, layer.flat_grads)
    y_carried, _ = layer(x, state)
    y_carried_b, _ = layer(np.expand_dims(x, axis), batched[1])
    np.testing.assert_array_equal(y_carried, y_carried_b.squeeze(axis))


@every_layer
def test_unbatched_length_may_be_a_number(make: Callable[..., Any]) -> None:
    layer = make(INPUT, HIDDEN, rng=0)
    x = inputs(STEPS, INPUT)
    for lengths in (3, [3], np.array(3), np.array([3])):
        y, state = layer(x, lengths=lengths)
        np.testing.assert_array_equal(y[3:], 0)
        assert_states_equal(state, layer(x[:3])[1])


@every_layer
@both_directions
@pytest.mark.parametrize("kind", [np.int64, np.int32, np.uint8, list])
def test_ids_are_one_hot_vectors(
    make: Callable[..., Any], bidirectional: bool, kind: Callable[..., Any]
) -> None:
    layer = make(7, HIDDEN, NUM_LAYERS, bidirectional=bidirectional, dtype=np.float64, rng=0)
    ids = np.random.default_rng(0).integers(0, 7, (STEPS, BATCH))
    one_hot = np.eye(7)[ids]
    given = ids.tolist() if kind is list else ids.astype(kind)
    y, state, cache = layer.forward(given)
    y_one_hot, state_one_hot, cache_one_hot = layer.forward(one_hot)
    np.testing.assert_allclose(y, y_one_hot, rtol=1e-12, atol=1e-14)
    np.testing.assert_allclose(layer(given)[0], y_one_hot, rtol=1e-12, atol=1e-14)
    dy = inputs(*y.shape, dtype=np.float64)
    dx, _ = layer.backward(dy, cache, state)
    grads = layer.flat_grads.copy()
    layer.zero_grad()
    layer.backward(dy, cache_one_hot, state_one_hot)
    assert dx is None
    np.testing.assert_allclose(grads, layer.flat_grads, rtol=1e-10, atol=1e-12)


@every_layer
def test_unbatched_and_batch_first_ids(make: Callable[..., Any]) -> None:
    layer, batch_first = make(7, HIDDEN, rng=0), make(7, HIDDEN, batch_first=True, rng=0)
    ids = np.random.default_rng(0).integers(0, 7, (STEPS, BATCH))
    y, _ = layer(ids)
    np.testing.assert_array_equal(batch_first(ids.T)[0], y.swapaxes(0, 1))
    np.testing.assert_allclose(layer(ids[:, 1])[0], y[:, 1], rtol=1e-6, atol=1e-7)
    np.testing.assert_allclose(batch_first(ids[:, 1])[0], y[:, 1], rtol=1e-6, atol=1e-7)


# --- recurrent layers: states and lengths --------------------------------------------------------
@every_layer
def test_state_none_is_zero(make: Callable[..., Any]) -> None:
    layer = make(INPUT, HIDDEN, NUM_LAYERS, rng=0)
    x = inputs(STEPS, BATCH, INPUT)
    y, state = layer(x)
    y_zero, state_zero = layer(x, map_state(np.zeros_like, state))
    np.testing.assert_array_equal(y, y_zero)
    assert_states_equal(state, state_zero)


@every_layer
def test_carried_state_continues_the_sequence(make: Callable[..., Any]) -> None:
    layer = make(INPUT, HIDDEN, NUM_LAYERS, dtype=np.float64, rng=0)
    x = inputs(STEPS, BATCH, INPUT, dtype=np.float64)
    y, final = layer(x)
    y_1, state = layer(x[:2])
    y_2, state = layer(x[2:], state)
    np.testing.assert_allclose(np.concatenate([y_1, y_2]), y, rtol=1e-12)
    for one, other in zip(as_tuple(state), as_tuple(final), strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-12)


@every_layer
def test_arguments_are_not_written_to(make: Callable[..., Any]) -> None:
    layer = make(INPUT, HIDDEN, NUM_LAYERS, rng=0)
    x, dy = inputs(STEPS, BATCH, INPUT), inputs(STEPS, BATCH, HIDDEN)
    _, state = layer(x)
    _, dstate = layer(x * 2)
    given = [x, dy, *as_tuple(state), *as_tuple(dstate)]
    kept = [array.copy() for array in given]
    for array in given:
        array.flags.writeable = False
    _, final, cache = layer.forward(x, state)
    layer.backward(dy, cache, dstate)
    layer(x, state)
    for array, before in zip(given, kept, strict=True):
        np.testing.assert_array_equal(array, before)
    for array, other in zip(as_tuple(final), as_tuple(state), strict=True):
        assert not np.shares_memory(array, other)


@every_layer
@both_directions
def test_rows_of_a_ragged_batch_equal_rows_alone(
    make: Callable[..., Any], bidirectional: bool
) -> None:
    layer = make(INPUT, HIDDEN, NUM_LAYERS, bidirectional=bidirectional, dtype=np.float64, rng=0)
    x, lengths = inputs(STEPS, 4, INPUT, dtype=np.float64), np.array([2, 5, 0, 3], np.uint8)
    state = map_state(np.tanh, layer(x)[1])
    y, final = layer(x, state, lengths)
    for row, length in enumerate(lengths):
        y_row, final_row = layer(x[:length, row], map_state(lambda s, b=row: s[:, b], state))
        np.testing.assert_allclose(y[:length, row], y_row, rtol=1e-12, atol=1e-15)
        np.testing.assert_array_equal(y[length:, row], 0)
        for one, other in zip(as_tuple(final), as_tuple(final_row), strict=True):
            np.testing.assert_allclose(one[:, row], other, rtol=1e-12, atol=1e-15)
    # a row of length 0 keeps its initial state
    assert_states_equal(map_state(lambda s: s[:, 2], final), map_state(lambda s: s[:, 2], state))


@every_layer
@both_directions
@pytest.mark.parametrize("padding", [-1, -100, INPUT, 2**40])
def test_padding_of_ids_may_be_anything(
    make: Callable[..., Any], bidirectional: bool, padding: int
) -> None:
    layer = make(INPUT, HIDDEN, bidirectional=bidirectional, batch_first=True, rng=0)
    ids, lengths = np.array([[0, 3, 1], [2, 1, 0], [1, 1, 1]]), [1, 3, 0]
    padded = np.where(np.arange(3) < np.reshape(lengths, (3, 1)), ids, padding)
    given = padded.copy()
    answers = []
    for x in (ids, padded):
        y, state, cache = layer.forward(x, lengths=lengths)
        layer.zero_grad()
        layer.backward(np.ones_like(y), cache)
        answers.append([y, layer(x, lengths=lengths)[0], layer.flat_grads.copy()])
        answers[-1] += as_tuple(state)
    for one, other in zip(*answers, strict=True):
        np.testing.assert_array_equal(one, other)
    np.testing.assert_array_equal(padded, given)
    np.testing.assert_array_equal(layer(padded[0], lengths=1)[0], layer(ids[0], lengths=1)[0])


@every_layer
def test_an_empty_list_is_one_of_ids(make: Callable[..., Any]) -> None:
    for layer in (make(INPUT, HIDDEN, rng=0), make(INPUT, HIDDEN, dtype=np.float64, rng=0)):
        assert layer([])[0].shape == (0, HIDDEN)
        assert layer.forward([[], []])[0].shape == (2, 0, HIDDEN)
        assert layer.stream().run([]).shape == (0, HIDDEN)


# --- recurrent layers: training ------------------------------------------------------------------
@every_layer
@pytest.mark.parametrize("options", [{}, {"batch_first": True}])
def test_training_output_is_read_only(make: Callable[..., Any], options: dict[str, Any]) -> None:
    layer = make(INPUT, HIDDEN, rng=0, **options)
    y, _, _ = layer.forward(inputs(STEPS, STEPS, INPUT))
    with pytest.raises(ValueError, match="read-only"):
        y[0] = 0
    layer(inputs(STEPS, STEPS, INPUT))[0][0] = 0  # that of inference belongs to the caller


@every_layer
def test_backward_adds_and_a_cache_may_be_used_again(make: Callable[..., Any]) -> None:
    layer = make(INPUT, HIDDEN, NUM_LAYERS, dtype=np.float64, rng=0)
    y, _, cache = layer.forward(inputs(STEPS, BATCH, INPUT, dtype=np.float64))
    dy = inputs(*y.shape, dtype=np.float64)
    dx, _ = layer.backward(dy, cache)
    once = layer.flat_grads.copy()
    assert np.any(once)
    dx_again, _ = layer.backward(dy, cache)
    np.testing.assert_array_equal(dx_again, dx)
    np.testing.assert_allclose(layer.flat_grads, 2 * once, rtol=1e-12)
    layer.zero_grad()
    np.testing.assert_array_equal(layer.flat_grads, 0)


@every_layer
def test_one_layer_used_twice_in_a_step(make: Callable[..., Any]) -> None:
    """Caches are independent: backward in any order adds up the same gradients."""
    layer = make(INPUT, HIDDEN, dtype=np.float64, rng=0)
    dy = inputs(STEPS, BATCH, HIDDEN, dtype=np.float64)
    caches = [
        layer.forward(inputs(STEPS, BATCH, INPUT, dtype=np.float64, seed=s))[2] for s in (1, 2)
    ]
    for cache in caches:
        layer.backward(dy, cache)
    grads = layer.flat_grads.copy()
    layer.zero_grad()
    for cache in reversed(caches):
        layer.backward(dy, cache)
    np.testing.assert_allclose(layer.flat_grads, grads, rtol=1e-12)


@every_layer
def test_missing_gradients_are_zero(make: Callable[..., Any]) -> None:
    layer = make(INPUT, HIDDEN, NUM_LAYERS, dtype=np.float64, rng=0)
    y, state, cache = layer.forward(inputs(STEPS, BATCH, INPUT, dtype=np.float64))
    dstate = map_state(np.cos, state)
    both = layer.backward(None, cache, dstate)[0]
    np.testing.assert_array_equal(both, layer.backward(np.zeros_like(y), cache, dstate)[0])
    only_y = layer.backward(np.cos(y), cache)[0]
    zero = map_state(np.zeros_like, state)
    np.testing.assert_array_equal(only_y, layer.backward(np.cos(y), cache, zero)[0])
    layer.zero_grad()
    assert not np.any(layer.backward(None, cache)[0])
    assert not np.any(layer.flat_grads)


@every_layer
def test_dropout_acts_in_training_only_and_comes_from_the_generator(
    make: Callable[..., Any],
) -> None:
    def layer() -> Any:
        return make(INPUT, 16, 2, dropout=0.5, rng=7)

    x = inputs(STEPS, BATCH, INPUT)
    one, other = layer(), layer()
    np.testing.assert_array_equal(one(x)[0], other(x)[0])
    first, second = one.forward(x)[0], one.forward(x)[0]
    assert np.any(first != one(x)[0])
    assert np.any(first != second)
    np.testing.assert_array_equal(other.forward(x)[0], first)
    np.testing.assert_array_equal(other.forward(x)[0], second)


def test_cache_keeps_inputs_only_where_it_reads_them() -> None:
    """A ragged batch is read from a packed copy: the caller's array may go."""
    layer = rc.LSTM(INPUT, HIDDEN, rng=0)
    for lengths, kept in ((None, True), ([2, 1], False)):
        x = np.ones((3, 2, INPUT), np.float32)
        reference = weakref.ref(x)
        cache = layer.forward(x, lengths=lengths)[2]
        del x
        assert (reference() is not None) == kept
        del cache
        assert reference() is None


@pytest.mark.parametrize("ids", [False, True], ids=["vectors", "ids"])
@every_layer
def test_cache_of_a_ragged_batch_keeps_the_real_steps(make: Callable[..., Any], ids: bool) -> None:
    layer = make(INPUT, HIDDEN, NUM_LAYERS, rng=0)
    x = np.zeros((400, 8), int) if ids else np.zeros((400, 8, INPUT), np.float32)

    def nbytes(lengths: list[int] | None) -> int:
        return int(layer.forward(x, lengths=lengths)[2].saved.core.nbytes)

    whole = nbytes([400] * 8)
    assert whole >= 400 * 8 * HIDDEN * NUM_LAYERS * 4
    for lengths in ([200] * 8, [400, 0] * 4, list(range(0, 400, 50))):
        share = sum(lengths) / (400 * 8)
        assert nbytes(lengths) == pytest.approx(share * whole, rel=0.05)
    assert nbytes([0] * 8) < 0.05 * whole


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_inference_keeps_nothing() -> None:
    """Its memory at most is far less than a cache, which a training pass takes afterwards."""
    script = """
import re, numpy as np, rnncore as rc
def peak():
    return 1024 * int(re.search(r"VmHWM:\\s+(\\d+) kB", open("/proc/self/status").read())[1])
layer, ids = rc.LSTM(8, 64, 4, rng=0), np.zeros((1000, 32), int)
layer(ids[:2])
peaks = [peak()]
for call in (layer, layer.forward):
    answer = call(ids)
    peaks.append(peak())
print(*np.diff(peaks), answer[2].saved.core.nbytes)
"""
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )
    inference, training, cache = map(int, done.stdout.split())
    assert training > 0.7 * cache
    assert inference < 0.3 * cache


# --- streaming -----------------------------------------------------------------------------------
@every_layer
@pytest.mark.parametrize("batch", [1, 3])
def test_stream_equals_the_whole_sequence(
    make: Callable[..., Any], batch: int, dtype: type[np.floating], tolerance: float
) -> None:
    layer = make(INPUT, HIDDEN, NUM_LAYERS, dtype=dtype, rng=0)
    x = inputs(STEPS, batch, INPUT, dtype=dtype)
    y, final = layer(x)
    stream = layer.stream(batch_size=batch)
    for _ in range(2):
        steps = [stream.step(x_t) for x_t in x]
        np.testing.assert_allclose(np.stack(steps), y, rtol=0, atol=tolerance)
        for one, other in zip(as_tuple(stream.state), as_tuple(final), strict=True):
            assert one.shape == (NUM_LAYERS, batch, HIDDEN)
            np.testing.assert_allclose(one, other, rtol=0, atol=tolerance)
        stream.reset()
        assert not any(np.any(array) for array in as_tuple(stream.state))


@every_layer
def test_stream_of_ids_and_without_batch(make: Callable[..., Any]) -> None:
    layer = make(7, HIDDEN, NUM_LAYERS, rng=0)
    ids = np.array([3, 0, 6, 6])
    y, _ = layer(ids)
    for step in (int, lambda i: np.array([i]), lambda i: np.eye(7, dtype=np.float32)[i]):
        stream = layer.stream()
        outputs = [stream.step(step(i)) for i in ids]
        assert outputs[0].shape in ((HIDDEN,), (1, HIDDEN))
        np.testing.assert_allclose(np.stack(outputs).reshape(y.shape), y, rtol=0, atol=1e-6)
    assert layer.stream().step(3).shape == (HIDDEN,)
    assert layer.stream().step(np.array([3])).shape == (1, HIDDEN)


@every_layer
def test_stream_state_can_be_set_and_read(make: Callable[..., Any]) -> None:
    layer = make(INPUT, HIDDEN, NUM_LAYERS, rng=0)
    x = inputs(STEPS, BATCH, INPUT)
    _, state = layer(x[:3])
    stream = layer.stream(BATCH)
    stream.state = state
    assert_states_equal(stream.state, state)
    np.testing.assert_allclose(stream.step(x[3]), layer(x[3:4], state)[0][0], atol=1e-6)
    for array in as_tuple(stream.state):
        array[...] = 9  # a copy
    assert not any(np.any(array == 9) for array in as_tuple(stream.state))


@every_layer
def test_stream_keeps_the_weights_it_was_made_with(make: Callable[..., Any]) -> None:
    layer = make(INPUT, HIDDEN, rng=0)
    x = inputs(1, INPUT)
    stream, before = layer.stream(), layer(x)[0]
    layer.flat_params[:] = 0
    np.testing.assert_allclose(stream.step(x), before, atol=1e-6)
