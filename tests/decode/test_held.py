"""Steps and log-probabilities with weights packed once: values, and bits of a row by itself."""

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pytest

import rnncore as rc
from instruction_sets import selected
from rnncore import _core
from rnncore.layers.recurrent import Recurrent

FORMATS = (None, "bfloat16", "int8", "int8_dynamic")
LAYERS = {
    "rnn": (rc.RNN, {"nonlinearity": "relu"}),
    "gru": (rc.GRU, {}),
    "gru before": (rc.GRU, {"reset": "before"}),
    "lstm": (rc.LSTM, {"bias": False}),
}


def make(name: str, dtype: Any = np.float32, inputs: int = 9, **options: Any) -> Recurrent[Any]:
    kind, own = LAYERS[name]
    return kind(inputs, 37, 2, dtype=dtype, rng=1, **own, **options)


@pytest.fixture(autouse=True)
def _threads() -> Any:
    before = rc.get_num_threads()
    yield
    rc.set_num_threads(before)


def parts(state: Any) -> tuple[Any, ...]:
    return state if isinstance(state, tuple) else (state,)


@pytest.mark.parametrize("name", LAYERS)
def test_steps_are_those_of_the_layer(name: str, isa: str, dtype: Any) -> None:
    layer = make(name, dtype)
    held = layer.hold()
    rng = np.random.default_rng(0)
    x = rng.standard_normal((3, 8, 9)).astype(dtype)
    rows = np.array([3, 3, 0, 7, 5])
    y, state = held.step(x[0])
    y, state = held.step(x[1], state)
    y, state = held.step(x[2, :5], state, rows)
    before = layer(x[:2])[1]
    picked = [part[:, rows] for part in parts(before)]
    expected, final = layer(x[2:3, :5], tuple(picked) if isinstance(before, tuple) else picked[0])
    # sums of 46 products of about 1 in another order, through three steps of two layers
    tolerance = 2e-5 if dtype == np.float32 else 1e-13
    assert np.allclose(y, expected[0], atol=tolerance)
    for ours, theirs in zip(parts(state), parts(final), strict=True):
        assert np.allclose(ours, theirs, atol=tolerance)


@pytest.mark.parametrize("weight_format", FORMATS)
@pytest.mark.parametrize("name", LAYERS)
def test_a_row_of_a_step_does_not_depend_on_the_others(
    name: str, weight_format: str | None, isa: str
) -> None:
    held = make(name).hold(weight_format)
    rng = np.random.default_rng(0)
    x = rng.standard_normal((2, 131, 9)).astype(np.float32)
    results = []
    for threads in (1, 2, 3):
        rc.set_num_threads(threads)
        y, state = held.step(x[0])
        results.append(held.step(x[1], state))
    for y, _ in results[1:]:
        assert np.array_equal(y, results[0][0])
    y = results[0][0]
    state = held.step(x[0])[1]
    for rows in ([0], [130], [17, 17], [5, 64, 2], list(range(40, 60)), list(range(3, 130))):
        some, after = held.step(x[1, rows], state, rows)
        assert np.array_equal(some, y[rows])
        for ours, all_rows in zip(parts(after), parts(results[0][1]), strict=True):
            assert np.array_equal(ours, all_rows[:, rows])


@pytest.mark.parametrize("weight_format", FORMATS)
@pytest.mark.parametrize("width", [None, 5, 200])
def test_ids(weight_format: str | None, width: int | None) -> None:
    """An embedding is looked up, or folded into the sums where that takes less memory."""
    embedding = None if width is None else rc.Embedding(23, width, rng=2)
    layer = make("gru", inputs=23 if width is None else width)
    held = layer.hold(weight_format, embedding)
    ids = np.array([3, 22, 0])
    x = np.eye(23, dtype=np.float32)[ids] if embedding is None else embedding(ids)
    y, _ = held.step(ids)
    dense, _ = layer.hold(weight_format).step(x)
    # rounded activations: 2^-8 of the greatest of each row; rounded embeddings likewise
    assert np.allclose(y, dense, atol=1e-5 if weight_format is None else 0.05)
    with pytest.raises(ValueError, match="x: expected ids in"):
        held.step([23])


def test_bad_steps() -> None:
    held = make("lstm").hold()
    x = np.zeros((2, 9), np.float32)
    _, state = held.step(x)
    for arguments, message in (
        ((x.astype(np.float64),), "x: expected"),
        ((x[:, :8],), "x: expected"),
        ((x, state[0]), "state: expected a tuple"),
        ((x, (state[0], state[1][:, :1])), "state"),
        ((x, state, [0]), "rows: expected"),
        ((x, state, [0, 2]), "rows: expected"),
        ((x, state, [0, -1]), "rows: expected"),
        ((x, None, [0, 1]), "rows: expected None"),
    ):
        with pytest.raises((TypeError, ValueError), match=message):
            held.step(*arguments)
    with pytest.raises(ValueError, match="bidirectional"):
        make("gru", bidirectional=True).hold()
    with pytest.raises((TypeError, ValueError), match="weight_format"):
        make("gru").hold("int4")
    y, after = held.step(x[:0])
    assert (y.shape, after[0].shape) == ((0, 37), (2, 0, 37))


def test_another_instruction_set_is_told() -> None:
    held, output = make("gru").hold(), rc.heads.Softmax(3, 5, rng=0).hold()
    before = _core.isa()
    other = next(name for name in _core.available_isas() if name != before)
    _core.select_isa(other)
    try:
        with pytest.raises(ValueError, match="was selected since"):
            held.step(np.zeros((1, 9), np.float32))
        with pytest.raises(ValueError, match="was selected since"):
            output.top(np.zeros((1, 3), np.float32), 1)
    finally:
        _core.select_isa(before)


# --- output layer ---------------------------------------------------------------------------------
def expected_log_probabilities(head: rc.heads.Softmax, y: Any) -> Any:
    z = y.astype(np.float64) @ head.weight.astype(np.float64).T
    z += head.params["bias"]
    z -= z.max(axis=1, keepdims=True)
    return z - np.log(np.exp(z).sum(axis=1, keepdims=True))


@pytest.mark.parametrize("classes", [1, 7, 511, 512, 513, 1700])
def test_log_probabilities(classes: int, isa: str, dtype: Any) -> None:
    head = rc.heads.Softmax(19, classes, dtype=dtype, rng=0)
    y = (10 * np.random.default_rng(0).standard_normal((33, 19))).astype(dtype)
    held = head.hold()
    expected = expected_log_probabilities(head, y)
    # logits reach 50: sums of 19 products of that size
    tolerance = 3e-5 if dtype == np.float32 else 1e-12
    assert np.allclose(held.log_probabilities(y), expected, atol=tolerance)
    k = min(classes, 9)
    values, ids = held.top(y, k)
    assert np.allclose(values, -np.sort(-expected, axis=1)[:, :k], atol=tolerance)
    assert np.allclose(values, np.take_along_axis(expected, ids, 1), atol=tolerance)
    assert np.all(np.diff(values, axis=1) <= 0)
    begins = np.concatenate([[0], np.cumsum(np.arange(33) % 4)])
    chosen = np.random.default_rng(1).integers(0, classes, begins[-1])
    rows = np.repeat(np.arange(33), np.arange(33) % 4)
    assert np.allclose(held.of(y, begins, chosen), expected[rows, chosen], atol=tolerance)


@pytest.mark.parametrize("weight_format", FORMATS)
def test_a_row_of_the_output_does_not_depend_on_the_others(
    weight_format: str | None, isa: str
) -> None:
    held = rc.heads.Softmax(37, 1300, rng=0).hold(weight_format)
    y = np.random.default_rng(0).standard_normal((131, 37)).astype(np.float32)
    whole, (values, ids) = held.log_probabilities(y), held.top(y, 6)
    chosen = held.of(y, np.arange(132), ids[:, 0])
    for threads in (1, 3):
        rc.set_num_threads(threads)
        assert np.array_equal(held.log_probabilities(y), whole)
        for rows in ([0], [130], [17, 17], [5, 64, 2], list(range(40, 60)), list(range(3, 130))):
            assert np.array_equal(held.log_probabilities(y[rows]), whole[rows])
            some = held.top(y[rows], 6)
            assert np.array_equal(some[0], values[rows])
            assert np.array_equal(some[1], ids[rows])
            assert np.array_equal(
                held.of(y[rows], np.arange(len(rows) + 1), ids[rows, 0]), chosen[rows]
            )


@pytest.mark.parametrize("rows", [1, 5, 31, 100])
def test_threads_divide_rows_or_classes(rows: int) -> None:
    """Large enough for several threads: they divide the classes where there are few rows."""
    held = rc.heads.Softmax(256, 9_000, rng=0).hold()
    layer = rc.LSTM(256, 256, 2, rng=0).hold()
    y = np.random.default_rng(0).standard_normal((rows, 256)).astype(np.float32)
    results = []
    for threads in (1, 2, 3):
        rc.set_num_threads(threads)
        out, state = layer.step(y)
        out, state = layer.step(y, state)
        chosen = held.of(y, np.arange(rows + 1), np.arange(rows) * 89)
        results.append([out, *state, held.log_probabilities(y), *held.top(y, 11), chosen])
    for other in results[1:]:
        assert all(map(np.array_equal, other, results[0]))
    log_probabilities, top, classes = results[0][3:6]
    order = np.argsort(-log_probabilities, axis=1, kind="stable")[:, :11]
    # float32 log-probabilities tie where the logits do not
    assert np.mean(order == classes) > 0.9
    assert np.allclose(np.take_along_axis(log_probabilities, order, 1), top, atol=1e-6)


def test_several_threads_of_python_may_call_at_once() -> None:
    rc.set_num_threads(1)
    layer, output = rc.GRU(64, 64, rng=0).hold(), rc.heads.Softmax(64, 700, rng=0).hold()
    x = [np.random.default_rng(n).standard_normal((n + 1, 64)).astype(np.float32) for n in range(8)]

    def work(n: int) -> list[Any]:
        y, state = layer.step(x[n])
        for _ in range(30):
            y, state = layer.step(x[n], state)
        return [y, state, *output.top(y, 5)]

    expected = [work(n) for n in range(8)]
    with ThreadPoolExecutor(4) as pool:
        for _ in range(5):
            for ours, alone in zip(pool.map(work, range(8)), expected, strict=True):
                assert all(map(np.array_equal, ours, alone))


@pytest.mark.parametrize("weight_format", FORMATS[1:])
def test_narrow_output_weights(weight_format: str) -> None:
    head = rc.heads.Softmax(64, 1000, rng=0)
    y = np.random.default_rng(0).uniform(-1, 1, (5, 64)).astype(np.float32)
    ours = head.hold(weight_format).log_probabilities(y)
    # 64 weights of at most 1/8, off by 2^-8 of that; activations too in int8_dynamic
    assert np.allclose(ours, expected_log_probabilities(head, y), atol=0.02)


@pytest.mark.parametrize("weight_format", FORMATS)
@pytest.mark.parametrize("name", LAYERS)
def test_the_slow_kernels_agree(name: str, weight_format: str | None, isa: str) -> None:
    layer, head = make(name), rc.heads.Softmax(37, 1100, rng=0)
    x = np.random.default_rng(0).standard_normal((5, 9)).astype(np.float32)

    def results() -> list[Any]:
        held, output = layer.hold(weight_format), head.hold(weight_format)
        y, state = held.step(x)
        y, state = held.step(x, state, [4, 3, 3, 0, 1])
        return [y, *parts(state), output.log_probabilities(y), output.top(y, 5)[0]]

    ours = results()
    with selected("reference"):
        expected = results()
    for a, b in zip(ours, expected, strict=True):
        # the same rounded weights; an activation on the other side of a rounding limit is off by
        # 2^-7 of the greatest of its row
        assert np.allclose(a, b, atol=0.01 if weight_format == "int8_dynamic" else 1e-5)


def test_of_equal_logits_the_first_come_first() -> None:
    head = rc.heads.Softmax(2, 1500, rng=0)
    head.weight[:] = 0
    head.params["bias"][:] = 0
    head.params["bias"][[3, 700, 1499]] = 1
    values, ids = head.hold().top(np.zeros((1, 2), np.float32), 5)
    assert ids.tolist() == [[3, 700, 1499, 0, 1]]
    for threads in (1, 2, 3):
        rc.set_num_threads(threads)
        assert head.hold().top(np.zeros((1, 2), np.float32), 5)[1].tolist() == ids.tolist()
    assert values[0, 0] == values[0, 1] > values[0, 3]


def test_infinite_and_missing_numbers() -> None:
    head = rc.heads.Softmax(2, 600, rng=0)
    y = np.ones((2, 2), np.float32)
    head.params["bias"][:550] = -np.inf  # a whole block of classes without probability
    found = head.hold().log_probabilities(y)
    assert np.all(np.isneginf(found[:, :550]))
    assert np.exp(found).sum() == pytest.approx(2, rel=1e-5)  # 50 float32 exponentials
    assert np.all(head.hold().top(y, 5)[1] >= 550)
    y[1, 0] = np.nan
    values, _ = head.hold().top(y, 5)
    assert np.all(np.isfinite(values[0]))
    assert np.all(np.isnan(values[1]))
    head.params["bias"][:] = -np.inf
    assert np.all(np.isnan(head.hold().top(y, 5)[0]))


def test_bad_outputs() -> None:
    held = rc.heads.Softmax(3, 5, rng=0).hold()
    y = np.zeros((2, 3), np.float32)
    for k in (0, 6):
        with pytest.raises(ValueError, match="k: expected"):
            held.top(y, k)
    for begins, classes in (([0, 1], [1]), ([0, 2, 1], [1]), ([0, 1, 2], [1]), ([0, 1, 1], [5])):
        with pytest.raises(ValueError, match="expected"):
            held.of(y, begins, classes)
    with pytest.raises(TypeError, match="y: expected"):
        held.top(y.astype(np.float64), 1)
    assert held.top(y[:0], 2)[0].shape == (0, 2)
    assert held.log_probabilities(y[:0]).shape == (0, 5)


@pytest.mark.parametrize("classes", [1, 5, 31, 33, 200])
def test_top_of_rows(classes: int) -> None:
    rng = np.random.default_rng(0)
    values = rng.integers(0, 6, (20, classes)).astype(np.float32)
    for k in {1, min(3, classes), classes}:
        top, ids = _core.top_of_rows(values, k)
        order = np.argsort(-values, axis=1, kind="stable")[:, :k]
        assert np.array_equal(ids, order)
        assert np.array_equal(top, np.take_along_axis(values, order, 1))


def test_best_continuations_are_those_of_a_sort() -> None:
    rng = np.random.default_rng(0)
    for _ in range(50):
        owners = np.sort(rng.integers(0, 4, 7))
        values = -rng.integers(0, 4, (7, 3)).astype(float)
        values[rng.random((7, 3)) < 0.2] = -np.inf
        totals = -rng.integers(0, 3, 7).astype(float)
        free = rng.integers(0, 5, 4)
        ids = rng.integers(0, 9, (7, 3))
        expected = []
        for sentence in range(4):
            own = [
                (-(totals[n] + values[n, j]), n, j)
                for n in np.flatnonzero(owners == sentence)
                for j in range(3)
                if values[n, j] > -np.inf
            ]
            expected += sorted(own)[: free[sentence]]
        rows, tokens, step, after = _core.best_continuations(values, ids, totals, owners, free)
        assert rows.tolist() == [n for _, n, _ in expected]
        assert tokens.tolist() == [ids[n, j] for _, n, j in expected]
        assert step.tolist() == [values[n, j] for _, n, j in expected]
        assert after.tolist() == [-total for total, _, _ in expected]
