"""Label smoothing of the softmax loss: against PyTorch, in the sweep, and in training alone."""

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

import rnncore as rc
from finite_difference import assert_gradient
from rnncore.heads import Softmax

Array = NDArray[Any]
SMOOTHING = 0.1


def problem(classes: int, dtype: Any, **options: Any) -> tuple[Softmax, Array, Array]:
    """A head, its inputs [4,3,H] and targets, one of which does not count."""
    rng = np.random.default_rng(classes)
    head = Softmax(5, classes, label_smoothing=SMOOTHING, dtype=dtype, rng=0, **options)
    targets = rng.integers(0, classes, (4, 3))
    targets[2, 1] = -100
    return head, rng.standard_normal((4, 3, 5)).astype(dtype), targets


@pytest.mark.parametrize("classes", [1, 2, 7, 8, 9, 100])
def test_equal_to_torch(classes: int, isa: str, dtype: Any, tolerance: float) -> None:
    torch = pytest.importorskip("torch")
    head, y, targets = problem(classes, dtype)
    losses, dy = head.losses_and_grad(y, targets, scale=0.5)
    given = torch.tensor(y, requires_grad=True)
    weight, bias = (torch.tensor(head.params[n], requires_grad=True) for n in ("weight", "bias"))
    expected = torch.nn.functional.cross_entropy(
        (given @ weight.T + bias).reshape(-1, classes),
        torch.tensor(targets.ravel()),
        label_smoothing=SMOOTHING,
        reduction="none",
    )
    (0.5 * expected.sum()).backward()
    pairs = [
        (losses.ravel(), expected),
        (dy, given.grad),
        (head.grads["weight"], weight.grad),
        (head.grads["bias"], bias.grad),
    ]
    for ours, theirs in pairs:
        peer = theirs.detach().numpy()
        scale = max(1.0, float(np.abs(peer).max()))
        np.testing.assert_allclose(ours, peer, rtol=0, atol=tolerance * scale)
    assert losses[2, 1] == 0
    assert not dy[2, 1].any()


def test_gradient_by_finite_differences() -> None:
    head, y, targets = problem(6, np.float64)

    def total() -> float:
        return float(head.losses_and_grad(y, targets)[0].sum())

    _, dy = head.losses_and_grad(y, targets)
    head.zero_grad()
    head.losses_and_grad(y, targets)
    gradient = head.flat_grads.copy()
    assert_gradient(total, head.flat_params, gradient, "parameters")
    assert_gradient(total, y, dy, "y")


def test_a_sweep_is_the_parts_one_after_the_other() -> None:
    rnn = rc.GRU(3, 5, rng=0, dtype=np.float64)
    head, _, targets = problem(6, np.float64)
    x = np.random.default_rng(0).standard_normal((4, 3, 3))
    y, _, cache = rnn.forward(x)
    losses, dy = head.losses_and_grad(y, targets)
    dx, _ = rnn.backward(dy, cache)
    parts = rnn.flat_grads.copy(), head.flat_grads.copy(), dx
    for layer in (rnn, head):
        layer.zero_grad()
    _, _, cache = rnn.forward(x, needs_output=False)
    source = head.output_gradient(targets)
    dx, _ = rnn.backward(source, cache)
    assert source.loss == pytest.approx(losses.sum(), rel=1e-12)
    for ours, theirs in zip((rnn.flat_grads, head.flat_grads, dx), parts, strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-10, atol=1e-14)


@pytest.mark.parametrize("threads", [2, 3])
def test_the_same_bits_for_any_number_of_threads(threads: int) -> None:
    results = []
    before = rc.get_num_threads()
    for count in (1, threads):
        rc.set_num_threads(count)
        try:
            head, y, targets = problem(3000, np.float32)
            y, targets = np.repeat(y, 20, axis=0), np.repeat(targets, 20, axis=0)
            losses, dy = head.losses_and_grad(y, targets)
        finally:
            rc.set_num_threads(before)
        results.append((losses, dy, head.flat_grads))
    for one, other in zip(*results, strict=True):
        np.testing.assert_array_equal(one, other)


def test_losses_without_gradient_are_those_without_smoothing() -> None:
    head, y, targets = problem(6, np.float64)
    plain = Softmax(5, 6, dtype=np.float64, rng=0)
    np.testing.assert_array_equal(head.losses(y, targets), plain.losses(y, targets))
    assert head.losses_and_grad(y, targets)[0].sum() != plain.losses(y, targets).sum()
    assert head.config()["label_smoothing"] == SMOOTHING


@pytest.mark.parametrize("value", [-0.1, 1.0, np.nan, "0.1"])
def test_bad_smoothing(value: Any) -> None:
    with pytest.raises((TypeError, ValueError), match="label_smoothing"):
        Softmax(5, 6, label_smoothing=value)


def test_not_with_weights_of_classes() -> None:
    with pytest.raises(ValueError, match="label_smoothing: expected 0 with class_weights, got 0"):
        Softmax(5, 2, class_weights=[1, 2], label_smoothing=0.1)
