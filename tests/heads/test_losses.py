"""Losses against float64 NumPy, PyTorch and finite differences; huge logits; ignored targets."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from arrays import inputs
from finite_difference import assert_gradient
from rnncore import losses

Array = NDArray[Any]

# The losses are summed in double; what remains is the rounding of each exponential (float32: 6e-8)
# and of the gradient's elements, which are at most 1.
LIMIT = {np.float32: 1e-6, np.float64: 1e-13}
SHAPES = [(1,), (7,), (3, 5), (4, 1, 3), (64,), (0,), (0, 3)]
CLASSES = [1, 2, 3, 15, 16, 17, 65, 1000]
REDUCTIONS = ["mean", "sum", "none"]


def reduced(values: Array, reduction: str) -> Any:
    if reduction == "none":
        return values
    return values.sum() if reduction == "sum" else values.mean()


def softmax(z: Array) -> Array:
    e = np.exp(z - z.max(axis=-1, keepdims=True))
    return e / e.sum(axis=-1, keepdims=True)


def cross_entropy_in_numpy(logits: Array, targets: Array) -> tuple[Array, Array]:
    """Loss of each row and gradient of their sum, float64."""
    z = logits.astype(np.float64)
    z = z - z.max(axis=-1, keepdims=True)
    one_hot = np.eye(z.shape[-1])[targets]
    return np.log(np.exp(z).sum(axis=-1)) - (z * one_hot).sum(axis=-1), softmax(z) - one_hot


def sigmoid(z: Array) -> Array:
    e = np.exp(-np.abs(z))
    return np.where(z >= 0, 1, e) / (1 + e)


# --- cross-entropy -------------------------------------------------------------------------------
@pytest.mark.parametrize("classes", CLASSES)
@pytest.mark.parametrize("reduction", REDUCTIONS)
def test_cross_entropy_against_numpy(
    classes: int, reduction: str, dtype: type[np.floating]
) -> None:
    logits = 3 * inputs(4, 5, classes, dtype=dtype)
    targets = np.random.default_rng(0).integers(0, classes, (4, 5))
    kept = logits.copy()
    loss, gradient = losses.cross_entropy(logits, targets, reduction=reduction)
    expected, expected_gradient = cross_entropy_in_numpy(logits, targets)
    if reduction == "mean":
        expected_gradient = expected_gradient / 20
    np.testing.assert_allclose(loss, reduced(expected, reduction), rtol=10 * LIMIT[dtype])
    np.testing.assert_allclose(gradient, expected_gradient, rtol=0, atol=LIMIT[dtype])
    assert gradient.dtype == dtype
    assert gradient.shape == logits.shape
    assert isinstance(loss, np.ndarray if reduction == "none" else float)
    np.testing.assert_array_equal(logits, kept)


@pytest.mark.parametrize("shape", [(), *(s for s in SHAPES if s != (0, 3))])
@pytest.mark.parametrize("kind", [np.int64, np.int32, np.uint8, list])
def test_cross_entropy_takes_any_shape(shape: tuple[int, ...], kind: Any) -> None:
    logits = inputs(*shape, 6, dtype=np.float64)
    targets = np.random.default_rng(0).integers(0, 6, shape)
    given = targets.tolist() if kind is list else targets.astype(kind)
    loss, gradient = losses.cross_entropy(logits, given, reduction="none")
    expected, expected_gradient = cross_entropy_in_numpy(logits, targets)
    np.testing.assert_allclose(loss, expected, atol=1e-12)
    np.testing.assert_allclose(gradient, expected_gradient, atol=1e-12)


def test_cross_entropy_of_strided_logits() -> None:
    whole = inputs(6, 10, 14, dtype=np.float64)
    for logits in (whole[::2, ::-1, ::2], whole.swapaxes(0, 2), np.asfortranarray(whole)):
        targets = np.random.default_rng(0).integers(0, logits.shape[-1], logits.shape[:-1])
        loss, gradient = losses.cross_entropy(logits, targets, reduction="none")
        expected, expected_gradient = cross_entropy_in_numpy(logits, targets)
        np.testing.assert_allclose(loss, expected, atol=1e-12)
        np.testing.assert_allclose(gradient, expected_gradient, atol=1e-12)


def test_cross_entropy_of_equal_logits_is_ln_v(dtype: type[np.floating]) -> None:
    loss, _ = losses.cross_entropy(np.full((3, 100), 0.25, dtype), [0, 50, 99])
    assert loss == pytest.approx(np.log(100), rel=1e-6)


@pytest.mark.parametrize("size", [1e2, 1e4, 1e30])
def test_cross_entropy_of_huge_logits(size: float, dtype: type[np.floating]) -> None:
    """exp(89) overflows float32: the greatest logit is subtracted first."""
    logits = np.array([[size, 0, -size], [-size, -size, -size], [0, -size, 0]], dtype)
    loss, gradient = losses.cross_entropy(logits, [0, 1, 2], reduction="none")
    np.testing.assert_allclose(loss, [0, np.log(3), np.log(2)], atol=1e-6)
    third = 1 / 3
    expected = [[0, 0, 0], [third, third - 1, third], [0.5, 0, -0.5]]
    np.testing.assert_allclose(gradient, expected, atol=1e-6)
    # the wrong class: the loss is the distance of the logits
    loss, gradient = losses.cross_entropy(logits[:1], [2], reduction="none")
    np.testing.assert_allclose(loss, [2 * size], rtol=1e-6)
    np.testing.assert_allclose(gradient, [[1, 0, -1]], atol=1e-6)


@pytest.mark.parametrize("ignore_index", [-100, -1, 2])
@pytest.mark.parametrize("reduction", REDUCTIONS)
def test_ignored_targets_count_nothing(ignore_index: int, reduction: str) -> None:
    logits = inputs(3, 4, 6, dtype=np.float64)
    targets = np.random.default_rng(0).integers(3, 6, (3, 4))
    ignored = np.random.default_rng(1).random((3, 4)) < 0.4
    assert 0 < ignored.sum() < ignored.size
    expected, expected_gradient = cross_entropy_in_numpy(logits, targets)
    targets[ignored] = ignore_index
    expected[ignored] = 0
    expected_gradient[ignored] = 0
    loss, gradient = losses.cross_entropy(
        logits, targets, ignore_index=ignore_index, reduction=reduction
    )
    counted = np.count_nonzero(~ignored)
    if reduction == "mean":
        assert loss == pytest.approx(expected.sum() / counted, rel=1e-12)
        expected_gradient /= counted
    else:
        np.testing.assert_allclose(loss, reduced(expected, reduction), rtol=1e-12)
    np.testing.assert_allclose(gradient, expected_gradient, rtol=0, atol=1e-14)


def test_mean_over_nothing_is_zero() -> None:
    for targets in (np.full(3, -100), np.zeros(0, int)):
        loss, gradient = losses.cross_entropy(np.ones((targets.size, 5), np.float32), targets)
        assert loss == 0
        np.testing.assert_array_equal(gradient, np.zeros((targets.size, 5)))
    empty = np.zeros((0, 3), np.float32)
    for function in (losses.mse, losses.binary_cross_entropy):
        loss, gradient = function(empty, empty)
        assert loss == 0
        assert gradient.shape == (0, 3)


def test_a_long_mean_is_summed_in_double() -> None:
    """Summed in float32, half a million losses of ln 2 would be off in the third digit."""
    loss, _ = losses.cross_entropy(np.zeros((500_000, 2), np.float32), np.zeros(500_000, int))
    assert loss == pytest.approx(np.log(2), rel=1e-7)


# --- squared error, binary cross-entropy ---------------------------------------------------------
@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("reduction", REDUCTIONS)
def test_mse_against_numpy(
    shape: tuple[int, ...], reduction: str, dtype: type[np.floating]
) -> None:
    prediction, target = inputs(*shape, dtype=dtype), inputs(*shape, dtype=dtype, seed=2)
    loss, gradient = losses.mse(prediction, target, reduction=reduction)
    difference = prediction.astype(np.float64) - target
    count = max(difference.size, 1)
    expected = difference**2
    if reduction == "mean":
        expected = expected.sum() / count
        difference = difference / count
    elif reduction == "sum":
        expected = expected.sum()
    np.testing.assert_allclose(loss, expected, rtol=10 * LIMIT[dtype])
    np.testing.assert_allclose(gradient, 2 * difference, rtol=10 * LIMIT[dtype])
    assert gradient.dtype == dtype


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("reduction", REDUCTIONS)
def test_binary_cross_entropy_against_numpy(
    shape: tuple[int, ...], reduction: str, dtype: type[np.floating]
) -> None:
    logits = 5 * inputs(*shape, dtype=dtype)
    targets = np.random.default_rng(0).random(shape).astype(dtype)
    loss, gradient = losses.binary_cross_entropy(logits, targets, reduction=reduction)
    z, t = logits.astype(np.float64), targets.astype(np.float64)
    expected = -t * np.log(sigmoid(z)) - (1 - t) * np.log(sigmoid(-z))
    expected_gradient = sigmoid(z) - t
    count = max(z.size, 1)
    if reduction == "mean":
        expected = expected.sum() / count
        expected_gradient /= count
    elif reduction == "sum":
        expected = expected.sum()
    np.testing.assert_allclose(loss, expected, rtol=10 * LIMIT[dtype])
    np.testing.assert_allclose(gradient, expected_gradient, rtol=0, atol=LIMIT[dtype])
    assert gradient.dtype == dtype


@pytest.mark.parametrize("size", [1e2, 1e4, 1e30])
def test_binary_cross_entropy_of_huge_logits(size: float, dtype: type[np.floating]) -> None:
    logits = np.array([size, size, -size, -size], dtype)
    targets = np.array([1, 0, 1, 0], dtype)
    loss, gradient = losses.binary_cross_entropy(logits, targets, reduction="none")
    np.testing.assert_allclose(loss, [0, size, size, 0], rtol=1e-6, atol=1e-6)
    np.testing.assert_allclose(gradient, [0, 1, -1, 0], atol=1e-6)


# --- gradients -----------------------------------------------------------------------------------
@pytest.mark.parametrize("reduction", ["mean", "sum"])
@pytest.mark.parametrize("name", ["cross_entropy", "mse", "binary_cross_entropy"])
def test_gradients_by_finite_differences(name: str, reduction: str) -> None:
    function: Callable[..., Any] = getattr(losses, name)
    values = inputs(3, 5, dtype=np.float64)
    targets = (
        np.array([4, -100, 0])
        if name == "cross_entropy"
        else np.random.default_rng(0).random((3, 5))
    )
    gradient = function(values, targets, reduction=reduction)[1]
    assert_gradient(
        lambda: float(function(values, targets, reduction=reduction)[0]), values, gradient, name
    )


@pytest.mark.parametrize("name", ["cross_entropy", "mse", "binary_cross_entropy"])
def test_gradient_without_reduction_is_that_of_the_sum(name: str) -> None:
    function: Callable[..., Any] = getattr(losses, name)
    values = inputs(3, 5)
    targets = np.array([4, 1, 0]) if name == "cross_entropy" else np.full_like(values, 0.5)
    total, gradient = function(values, targets, reduction="sum")
    each, gradient_of_each = function(values, targets, reduction="none")
    assert each.sum() == pytest.approx(total)
    np.testing.assert_array_equal(gradient_of_each, gradient)


# --- PyTorch -------------------------------------------------------------------------------------
@pytest.mark.parametrize("reduction", REDUCTIONS)
@pytest.mark.parametrize("name", ["cross_entropy", "mse", "binary_cross_entropy"])
def test_against_torch(name: str, reduction: str, dtype: type[np.floating]) -> None:
    torch = pytest.importorskip("torch")
    functional = torch.nn.functional
    values = 4 * inputs(40, 11, dtype=dtype)
    targets: Array = np.random.default_rng(0).random(values.shape).astype(dtype)
    if name == "cross_entropy":
        targets = np.random.default_rng(0).integers(0, 11, 40)
        targets[::7] = -100
    reference = {
        "cross_entropy": functional.cross_entropy,
        "mse": functional.mse_loss,
        "binary_cross_entropy": functional.binary_cross_entropy_with_logits,
    }[name]
    there = torch.from_numpy(values.copy()).requires_grad_()
    expected = reference(there, torch.from_numpy(targets), reduction=reduction)
    expected.sum().backward()
    loss, gradient = getattr(losses, name)(values, targets, reduction=reduction)
    limit = 10 * LIMIT[dtype]  # PyTorch sums in the dtype itself
    np.testing.assert_allclose(loss, expected.detach().numpy(), rtol=limit, atol=limit)
    np.testing.assert_allclose(gradient, there.grad.numpy(), rtol=limit, atol=limit)
