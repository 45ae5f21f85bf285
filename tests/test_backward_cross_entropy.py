"""The sweep of loss and back-propagation in one, beside the same steps one after the other."""

import itertools
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

import rnncore as rc
from problems import Answers, assert_close, assert_same_bits
from test_threads import assert_bits_do_not_depend_on_threads

Array = NDArray[Any]
CLASSES = 11
LAYERS = {
    "rnn": (rc.RNN, {}),
    "gru": (rc.GRU, {}),
    "gru before": (rc.GRU, {"reset": "before"}),
    "lstm": (rc.LSTM, {}),
}
# More rows than one chunk of the pass holds (512), so that it takes several, the last one shorter.
STEPS, BATCH = 60, 20
RAGGED = tuple((7 * b) % (STEPS + 1) for b in range(BATCH))


def model(cell: str, dtype: Any, **options: Any) -> tuple[Any, rc.Linear]:
    """A recurrent layer and the output layer over it."""
    constructor, own = LAYERS[cell]
    rnn = constructor(6, 9, dtype=dtype, rng=0, **own, **options)
    width = 9 * rnn.num_directions
    return rnn, rc.Linear(width, CLASSES, bias=options.get("bias", True), dtype=dtype, rng=1)


def data(dtype: Any, lengths: tuple[int, ...] | None = None) -> tuple[Array, Array]:
    """Inputs and targets; every seventh step and those past the end do not count."""
    rng = np.random.default_rng(0)
    x = rng.standard_normal((STEPS, BATCH, 6)).astype(dtype)
    targets = rng.integers(0, CLASSES, (STEPS, BATCH))
    targets[::7] = -100
    if lengths is not None:
        targets[np.arange(STEPS)[:, np.newaxis] >= np.array(lengths)] = -100
    return x, targets


def gradients(rnn: Any, output: rc.Linear, loss: float, dx: Array) -> Answers:
    answers = {
        "loss": np.array(loss),
        "dx": dx,
        "rnn": rnn.flat_grads.copy(),
        "output": output.flat_grads.copy(),
    }
    rnn.zero_grad()
    output.zero_grad()
    return answers


def in_one_sweep(
    rnn: Any, output: rc.Linear, x: Array, targets: Array, lengths: Any = None, **options: Any
) -> Answers:
    _, _, cache = rnn.forward(x, lengths=lengths)
    loss, dx = rnn.backward_cross_entropy(output, targets, cache, scale=0.125, **options)
    return gradients(rnn, output, loss, dx)


def one_after_the_other(
    rnn: Any,
    output: rc.Linear,
    x: Array,
    targets: Array,
    lengths: Any = None,
    dropout: rc.Dropout | None = None,
) -> Answers:
    dropout = rc.Dropout(0.0) if dropout is None else dropout
    y, _, cache = rnn.forward(x, lengths=lengths)
    dropped, dropout_cache = dropout.forward(y)
    logits, output_cache = output.forward(dropped)
    loss, dlogits = rc.losses.cross_entropy(
        logits.reshape(-1, CLASSES), targets.reshape(-1), reduction="sum"
    )
    dlogits = (0.125 * dlogits).reshape(logits.shape).astype(logits.dtype)
    dy = dropout.backward(output.backward(dlogits, output_cache), dropout_cache)
    dx, _ = rnn.backward(dy, cache)
    return gradients(rnn, output, float(loss), dx)


@pytest.mark.parametrize("lengths", [None, RAGGED], ids=["full", "ragged"])
@pytest.mark.parametrize("bidirectional", [False, True], ids=["forward", "both"])
@pytest.mark.parametrize(
    ("cell", "num_layers", "bias"), list(itertools.product(LAYERS, (1, 3), (True, False)))
)
def test_equals_the_parts(
    cell: str, num_layers: int, bias: bool, bidirectional: bool, lengths: Any, isa: str
) -> None:
    """float64: what remains is the rounding of sums over 1,200 rows in another order."""
    rnn, output = model(
        cell, np.float64, num_layers=num_layers, bias=bias, bidirectional=bidirectional
    )
    x, targets = data(np.float64, lengths)
    got = in_one_sweep(rnn, output, x, targets, lengths)
    assert_close(got, one_after_the_other(rnn, output, x, targets, lengths), 1e-12)


def test_float32(dtype: type[np.floating], tolerance: float) -> None:
    rnn, output = model("lstm", dtype, num_layers=2)
    x, targets = data(dtype)
    got = in_one_sweep(rnn, output, x, targets)
    assert_close(got, one_after_the_other(rnn, output, x, targets), tolerance)


@pytest.mark.parametrize("bidirectional", [False, True], ids=["forward", "both"])
def test_dropout_before_the_output_layer(bidirectional: bool) -> None:
    """The mask of a seed is that of the same rows, however they are cut."""
    rnn, output = model("gru", np.float64, bidirectional=bidirectional)
    x, targets = data(np.float64)
    got = in_one_sweep(rnn, output, x, targets, dropout=rc.Dropout(0.4, rng=5))
    parts = one_after_the_other(rnn, output, x, targets, dropout=rc.Dropout(0.4, rng=5))
    assert_close(got, parts, 1e-12)
    other = in_one_sweep(rnn, output, x, targets, dropout=rc.Dropout(0.4, rng=6))
    assert abs(other["loss"] - got["loss"]) > 1e-3


def test_layouts_and_repeated_use() -> None:
    """batch_first and one sequence alone; a cache may be used again, gradients are added."""
    rnn, output = model("lstm", np.float64)
    x, targets = data(np.float64)
    expected = in_one_sweep(rnn, output, x, targets)

    first, _ = model("lstm", np.float64, batch_first=True)
    _, _, cache = first.forward(np.ascontiguousarray(x.swapaxes(0, 1)))
    loss, dx = first.backward_cross_entropy(output, targets.T, cache, scale=0.125)
    assert_close(gradients(first, output, loss, dx.swapaxes(0, 1)), expected, 1e-12)

    _, _, cache = rnn.forward(x)
    for _ in range(2):
        loss, dx = rnn.backward_cross_entropy(output, targets, cache, scale=0.125)
    twice = gradients(rnn, output, loss, dx)
    np.testing.assert_allclose(twice["rnn"], 2 * expected["rnn"], rtol=1e-12)
    np.testing.assert_allclose(twice["output"], 2 * expected["output"], rtol=1e-12)

    alone = np.ascontiguousarray(x[:, 0])
    _, _, cache = rnn.forward(alone)
    loss, dx = rnn.backward_cross_entropy(output, targets[:, 0], cache)
    assert dx.shape == alone.shape
    assert loss > 0


def test_nothing_counts_and_nothing_there() -> None:
    rnn, output = model("gru", np.float32)
    for shape in ((4, 3), (0, 3), (4, 0)):
        _, _, cache = rnn.forward(np.ones((*shape, 6), np.float32))
        loss, dx = rnn.backward_cross_entropy(output, np.full(shape, -1), cache, ignore_index=-1)
        assert loss == 0
        assert dx.shape == (*shape, 6)
        assert not dx.any()
        assert not rnn.flat_grads.any()
        assert not output.flat_grads.any()


@pytest.mark.parametrize("lengths", [None, RAGGED], ids=["full", "ragged"])
@pytest.mark.parametrize("bidirectional", [False, True], ids=["forward", "both"])
def test_bits_do_not_depend_on_threads(bidirectional: bool, lengths: Any) -> None:
    """Large enough for five threads to share the work."""
    rng = np.random.default_rng(0)
    rnn = rc.LSTM(40, 80, 2, bidirectional=bidirectional, rng=0)
    output = rc.Linear(80 * rnn.num_directions, 301, rng=1)
    x = rng.standard_normal((STEPS, BATCH, 40)).astype(np.float32)
    targets = rng.integers(0, 301, (STEPS, BATCH))

    def run() -> Answers:
        return in_one_sweep(rnn, output, x, targets, lengths, dropout=rc.Dropout(0.2, rng=0))

    assert_bits_do_not_depend_on_threads(run)
    assert_same_bits(run(), run())


def test_refusals() -> None:
    rnn, output = model("lstm", np.float32)
    x, targets = data(np.float32)
    _, _, cache = rnn.forward(x)
    with pytest.raises(ValueError, match=r"targets: .*\[60, 20\].*\(20, 60\)"):
        rnn.backward_cross_entropy(output, targets.T, cache)
    with pytest.raises(ValueError, match=r"targets: .*\[0, V=11\)"):
        rnn.backward_cross_entropy(output, np.full((STEPS, BATCH), CLASSES), cache)
    with pytest.raises(ValueError, match="output: expected input_size 9, got 8"):
        rnn.backward_cross_entropy(rc.Linear(8, CLASSES), targets, cache)
    with pytest.raises(TypeError, match="output: expected dtype float32, got float64"):
        rnn.backward_cross_entropy(rc.Linear(9, CLASSES, dtype=np.float64), targets, cache)
    with pytest.raises(TypeError, match="output: expected a Linear, got"):
        rnn.backward_cross_entropy(output.params["weight"], targets, cache)
    dropout = rc.Dropout(0.5, rng=0)
    for name, value, error in (
        ("dropout", 0.5, TypeError),
        ("scale", "1", TypeError),
        ("scale", np.nan, ValueError),
        ("ignore_index", 1.5, TypeError),
        ("ignore_index", 2**70, ValueError),
    ):
        options = {"dropout": dropout, name: value}
        with pytest.raises(error, match=f"^{name}: expected a"):
            rnn.backward_cross_entropy(output, targets, cache, **options)
    for wrong in (targets.T, targets + CLASSES):
        with pytest.raises(ValueError, match="targets"):
            rnn.backward_cross_entropy(output, wrong, cache, dropout=dropout)
    with pytest.raises(ValueError, match="output"):
        rnn.backward_cross_entropy(rc.Linear(8, CLASSES), targets, cache, dropout=dropout)
    # nothing is drawn for a call that is refused
    assert dropout.draw_seed() == rc.Dropout(0.5, rng=0).draw_seed()
    assert not rnn.flat_grads.any()
    assert not output.flat_grads.any()
