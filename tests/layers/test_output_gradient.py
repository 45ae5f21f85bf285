"""The sweep of loss and back-propagation in one, beside the same steps one after the other."""

import itertools
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

import rnncore as rc
from many_threads import assert_bits_do_not_depend_on_threads
from problems import Answers, assert_close, assert_same_bits
from rnncore.layers import OutputGradient

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


def sweep(
    rnn: Any, output: rc.Linear, targets: Any, cache: Any, loss: str = "softmax", **options: Any
) -> tuple[float, Any]:
    source = OutputGradient(output, loss, targets, **options)
    dx, _ = rnn.backward(source, cache)
    return source.loss, dx


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
    loss, dx = sweep(rnn, output, targets, cache, scale=0.125, **options)
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
    loss, dx = sweep(first, output, targets.T, cache, scale=0.125)
    assert_close(gradients(first, output, loss, dx.swapaxes(0, 1)), expected, 1e-12)

    _, _, cache = rnn.forward(x)
    for _ in range(2):
        loss, dx = sweep(rnn, output, targets, cache, scale=0.125)
    twice = gradients(rnn, output, loss, dx)
    np.testing.assert_allclose(twice["rnn"], 2 * expected["rnn"], rtol=1e-12)
    np.testing.assert_allclose(twice["output"], 2 * expected["output"], rtol=1e-12)

    alone = np.ascontiguousarray(x[:, 0])
    _, _, cache = rnn.forward(alone)
    loss, dx = sweep(rnn, output, targets[:, 0], cache)
    assert dx.shape == alone.shape
    assert loss > 0


def test_nothing_counts_and_nothing_there() -> None:
    rnn, output = model("gru", np.float32)
    for shape in ((4, 3), (0, 3), (4, 0)):
        _, _, cache = rnn.forward(np.ones((*shape, 6), np.float32))
        loss, dx = sweep(rnn, output, np.full(shape, -1), cache, ignore_index=-1)
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
        sweep(rnn, output, targets.T, cache)
    with pytest.raises(ValueError, match=r"targets: .*\[0, V=11\)"):
        sweep(rnn, output, np.full((STEPS, BATCH), CLASSES), cache)
    with pytest.raises(ValueError, match="layer: expected input_size 9, got 8"):
        sweep(rnn, rc.Linear(8, CLASSES), targets, cache)
    with pytest.raises(TypeError, match="layer: expected dtype float32, got float64"):
        sweep(rnn, rc.Linear(9, CLASSES, dtype=np.float64), targets, cache)
    with pytest.raises(TypeError, match="layer: expected a Linear, got"):
        sweep(rnn, output.params["weight"], targets, cache)
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
            sweep(rnn, output, targets, cache, **options)
    for wrong in (targets.T, targets + CLASSES):
        with pytest.raises(ValueError, match="targets"):
            sweep(rnn, output, wrong, cache, dropout=dropout)
    with pytest.raises(ValueError, match="layer"):
        sweep(rnn, rc.Linear(8, CLASSES), targets, cache, dropout=dropout)
    # nothing is drawn for a call that is refused
    assert dropout.draw_seed() == rc.Dropout(0.5, rng=0).draw_seed()
    assert not rnn.flat_grads.any()
    assert not output.flat_grads.any()


def element_targets(lengths: tuple[int, ...] | None = None) -> Array:
    """Targets in [0, 1] of every output; every seventh step and those past the end do not count."""
    targets = np.random.default_rng(1).random((STEPS, BATCH, CLASSES))
    targets[::7] = np.nan
    if lengths is not None:
        targets[np.arange(STEPS)[:, np.newaxis] >= np.array(lengths)] = np.nan
    return targets


@pytest.mark.parametrize("lengths", [None, RAGGED], ids=["full", "ragged"])
@pytest.mark.parametrize("bidirectional", [False, True], ids=["forward", "both"])
@pytest.mark.parametrize("loss", ["squared_error", "binary"])
def test_losses_of_elements_equal_the_parts(
    loss: str, bidirectional: bool, lengths: Any, isa: str
) -> None:
    """float64: what remains is the rounding of sums in another order."""
    rnn, output = model("lstm", np.float64, num_layers=2, bidirectional=bidirectional)
    x, _ = data(np.float64, lengths)
    targets = element_targets(lengths)
    got = in_one_sweep(rnn, output, x, targets, lengths, loss=loss)

    y, _, cache = rnn.forward(x, lengths=lengths)
    z, output_cache = output.forward(y)
    counts = ~np.isnan(targets)
    compare = {"squared_error": rc.losses.mse, "binary": rc.losses.binary_cross_entropy}[loss]
    total, dcounting = compare(z[counts], targets[counts], reduction="sum")
    dz = np.zeros_like(z)
    dz[counts] = 0.125 * dcounting
    dx, _ = rnn.backward(output.backward(dz, output_cache), cache)
    assert_close(got, gradients(rnn, output, total, dx), 1e-12)


@pytest.mark.parametrize("lengths", [None, RAGGED], ids=["full", "ragged"])
def test_weights_of_steps(lengths: Any) -> None:
    """A weight of 2 is the step counted twice, one of 0 is no target."""
    rnn, output = model("gru", np.float64)
    x, targets = data(np.float64, lengths)
    weights = np.random.default_rng(2).integers(0, 3, targets.shape).astype(np.float64)
    got = in_one_sweep(rnn, output, x, targets, lengths, weights=weights)
    expected: dict[str, Array] = {}
    for at_least in (1, 2):
        counted = np.where(weights >= at_least, targets, -100)
        for name, value in in_one_sweep(rnn, output, x, counted, lengths).items():
            expected[name] = expected.get(name, 0) + value
    assert_close(got, expected, 1e-12)


def test_gradients_of_states_reach_and_leave_the_sweep() -> None:
    """A decoder needs the gradient by its initial state, an encoder takes that of its final one."""
    rnn, output = model("lstm", np.float64, num_layers=2)
    x, targets = data(np.float64)
    rng = np.random.default_rng(3)
    state, dstate = (tuple(rng.standard_normal((2, BATCH, 9)) for _ in range(2)) for _ in range(2))
    y, _, cache = rnn.forward(x, state)
    dx, dinitial = rnn.backward(OutputGradient(output, "softmax", targets), cache, dstate)
    logits, output_cache = output.forward(y)
    _, dlogits = rc.losses.cross_entropy(logits, targets, reduction="sum")
    dx_parts, dinitial_parts = rnn.backward(output.backward(dlogits, output_cache), cache, dstate)
    np.testing.assert_allclose(dx, dx_parts, rtol=1e-9, atol=1e-12)
    np.testing.assert_allclose(dinitial, dinitial_parts, rtol=1e-9, atol=1e-12)
