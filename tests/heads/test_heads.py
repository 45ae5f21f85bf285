"""Heads: losses and gradients against the parts one after the other, weights, what is ignored."""

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

import rnncore as rc
from rnncore import heads, losses

Array = NDArray[Any]
WIDTH, CLASSES = 5, 4
KINDS = {"softmax": heads.Softmax, "regression": heads.Regression, "binary": heads.Binary}
every_kind = pytest.mark.parametrize("kind", KINDS)


def problem(kind: str, dtype: Any = np.float64, **options: Any) -> tuple[Any, Array, Array]:
    """A head, its inputs [2,3,H] and targets; one target of six does not count."""
    rng = np.random.default_rng(0)
    head = KINDS[kind](WIDTH, CLASSES, dtype=dtype, rng=0, **options)
    y = rng.standard_normal((2, 3, WIDTH)).astype(dtype)
    if kind == "softmax":
        targets = rng.integers(0, CLASSES, (2, 3))
        targets[1, 1] = heads.head.IGNORED
    else:
        targets = rng.random((2, 3, CLASSES)).astype(dtype)
        targets[1, 1] = np.nan
    return head, y, targets


def expected(kind: str, head: Any, y: Array, targets: Array) -> Array:
    """Losses by the functions of rnncore.losses."""
    z = head(y)
    if kind == "softmax":
        return losses.cross_entropy(z, targets, reduction="none")[0]
    compare = {"regression": losses.mse, "binary": losses.binary_cross_entropy}[kind]
    counts = ~np.isnan(targets)
    each = np.zeros(targets.shape)
    each[counts] = compare(z[counts], targets[counts], reduction="none")[0]
    return each.sum(axis=-1)


@every_kind
def test_losses_and_counts(kind: str, dtype: type[np.floating], tolerance: float) -> None:
    head, y, targets = problem(kind, dtype)
    result = head.losses(y, targets)
    assert result.dtype == np.float64
    assert result[1, 1] == 0
    np.testing.assert_allclose(
        result, expected(kind, head, y, targets), rtol=tolerance, atol=tolerance
    )
    assert head.count(targets) == (5 if kind == "softmax" else 5 * CLASSES)
    np.testing.assert_allclose(head.losses_and_grad(y, targets)[0], result, rtol=tolerance)


@every_kind
@pytest.mark.parametrize("bias", [True, False])
def test_gradients_by_finite_differences(kind: str, bias: bool) -> None:
    head, y, targets = problem(kind, bias=bias)
    _, dy = head.losses_and_grad(y, targets, scale=0.5)

    def total() -> float:
        return 0.5 * float(head.losses(y, targets).sum())

    step = 1e-6
    for array, gradient in ((y, dy), (head.flat_params, head.flat_grads)):
        flat, wanted = array.reshape(-1), gradient.reshape(-1)
        for i in range(flat.size):
            before = flat[i]
            flat[i] = before + step
            above = total()
            flat[i] = before - step
            slope = (above - total()) / (2 * step)
            flat[i] = before
            # the error of central differences is about step^2 and rounding over step
            assert slope == pytest.approx(wanted[i], abs=1e-8)


@every_kind
def test_gradients_are_added(kind: str) -> None:
    head, y, targets = problem(kind)
    head.losses_and_grad(y, targets)
    once = head.flat_grads.copy()
    head.losses_and_grad(y, targets)
    np.testing.assert_allclose(head.flat_grads, 2 * once)


def test_class_weights_are_factors_of_the_losses() -> None:
    weights = [0.0, 1.0, 2.5, 1.0]
    plain, y, targets = problem("softmax")
    head, _, _ = problem("softmax", class_weights=weights)
    factor = np.where(targets < 0, 0, np.array(weights)[np.maximum(targets, 0)])
    np.testing.assert_allclose(head.losses(y, targets), factor * plain.losses(y, targets))
    assert head.count(targets) == factor.sum()
    assert head.class_weights == weights
    _, dy = head.losses_and_grad(y, targets)
    _, plain_dy = plain.losses_and_grad(y, targets)
    np.testing.assert_allclose(dy, factor[..., np.newaxis] * plain_dy)


def test_log_probabilities() -> None:
    head, y, _ = problem("softmax")
    log_p = head.log_probabilities(y)
    np.testing.assert_allclose(np.exp(log_p).sum(axis=-1), 1)
    z = head(y)
    np.testing.assert_allclose(log_p - log_p[..., :1], z - z[..., :1], atol=1e-14)
    binary, y, _ = problem("binary")
    np.testing.assert_allclose(binary.log_probabilities(y), -np.log1p(np.exp(-binary(y))))


@every_kind
def test_what_is_outside_of_the_steps_does_not_count(kind: str) -> None:
    head, y, targets = problem(kind)
    steps = np.array([[True, False, True], [False, True, True]])
    kept = head.losses(y, head.ignored(targets, steps))
    np.testing.assert_array_equal(kept, np.where(steps, head.losses(y, targets), 0))


@pytest.mark.parametrize(
    ("kind", "change", "error", "message"),
    [
        ("softmax", lambda t: t + CLASSES, ValueError, r"targets: expected ids in \[0, V=4\)"),
        ("softmax", lambda t: t * 1.0, TypeError, "targets: expected integers"),
        ("softmax", lambda t: t[:1], ValueError, r"targets: expected shape \[2, 3\]"),
        ("regression", lambda t: t[..., :1], ValueError, r"targets: expected shape \[2, 3, 4\]"),
        ("regression", lambda t: t.astype("f4"), TypeError, "targets: expected float64"),
        ("binary", lambda t: t + 1, ValueError, r"targets: expected probabilities in \[0, 1\]"),
    ],
)
def test_bad_targets(kind: str, change: Any, error: type[Exception], message: str) -> None:
    head, y, targets = problem(kind)
    for call in (head.losses, head.losses_and_grad):
        with pytest.raises(error, match=message):
            call(y, change(targets))
    assert not head.flat_grads.any()


@pytest.mark.parametrize("weights", [[1, 2], [1, 2, 3, -1], [1, 2, 3, np.inf], "abcd"])
def test_bad_class_weights(weights: Any) -> None:
    with pytest.raises((ValueError, TypeError), match="class_weights"):
        heads.Softmax(WIDTH, CLASSES, class_weights=weights)


def test_a_head_is_saved(tmp_path: Any) -> None:
    head = heads.Softmax(WIDTH, CLASSES, class_weights=[1, 2, 3, 4], rng=0)
    rc.save(head, tmp_path / "head")
    loaded = rc.load(tmp_path / "head")
    assert loaded.config() == head.config()
    np.testing.assert_array_equal(loaded.flat_params, head.flat_params)


def test_rows_that_do_not_count_cost_nothing_and_change_nothing() -> None:
    """Padding: the other rows have what they have alone, also where there are none."""
    head, y, targets = problem("softmax")
    counts = targets != heads.head.IGNORED
    losses_of_all, dy = head.losses_and_grad(y, targets)
    gradient = head.flat_grads.copy()
    head.zero_grad()
    alone, dalone = head.losses_and_grad(y[counts], targets[counts])
    np.testing.assert_array_equal(losses_of_all[counts], alone)
    np.testing.assert_array_equal(dy[counts], dalone)
    np.testing.assert_array_equal(gradient, head.flat_grads)
    assert not dy[~counts].any()
    head.zero_grad()
    nothing, dnothing = head.losses_and_grad(y, np.full_like(targets, heads.head.IGNORED))
    assert not nothing.any()
    assert dnothing.shape == y.shape
    assert not dnothing.any()
    assert not head.flat_grads.any()
