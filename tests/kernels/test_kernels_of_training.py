"""Losses, linear layer, optimizers and dropout of every instruction set against the reference."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from instruction_sets import selected
from problems import assert_close, linear_losses
from rnncore import _core

Array = NDArray[Any]
Dtype = type[np.floating[Any]]

# Lanes are 2 to 16: one less, equal, one more, several and a rest, and beyond any unrolled loop.
SIZES = (1, 2, 3, 4, 5, 7, 8, 9, 15, 16, 17, 31, 33, 67, 1000)


def call(function: Callable[..., Any], arguments: Sequence[Any], dtype: Dtype) -> dict[str, Array]:
    """Results and written arguments of a kernel, called with copies of `arguments` in `dtype`."""
    copies = [
        a.astype(dtype) if isinstance(a, np.ndarray) and a.dtype.kind == "f" else a
        for a in arguments
    ]
    results = function(*copies)
    answers = {f"argument {i}": a for i, a in enumerate(copies) if isinstance(a, np.ndarray)}
    if results is not None:
        results = results if isinstance(results, tuple) else (results,)
        answers.update({f"result {i}": np.asarray(r) for i, r in enumerate(results)})
    return answers


def assert_equals_reference(
    function: Callable[..., Any], arguments: Sequence[Any], dtype: Dtype, limit: float
) -> None:
    """The active instruction set, in `dtype`, against the reference, in double precision."""
    got = call(function, arguments, dtype)
    with selected("reference"):
        expected = call(function, arguments, np.float64)
    assert_close(got, expected, limit)


def normal(rng: np.random.Generator, *shape: int, scale: float = 1.0) -> Array:
    """Numbers that float32 holds exactly, so that both sides get the same."""
    return (scale * rng.standard_normal(shape)).astype(np.float32).astype(np.float64)


# --- losses --------------------------------------------------------------------------------------
def test_cross_entropy(isa: str, dtype: Dtype, tolerance: float) -> None:
    """Errors relative to 1: of a sure word's loss, log 1, and gradient, 1 - 1, little is left."""
    rng = np.random.default_rng(0)
    for rows in (1, 2, 17):
        for vocabulary in SIZES:
            targets = rng.integers(0, vocabulary, rows)
            targets[rng.random(rows) < 0.2] = -100
            logits = normal(rng, rows, vocabulary, scale=3)
            got = _core.cross_entropy(logits.astype(dtype), targets, -100)
            with selected("reference"):
                expected = _core.cross_entropy(logits, targets, -100)
            for a, b in zip(got, expected, strict=True):
                np.testing.assert_allclose(a, b, rtol=tolerance, atol=0.1 * tolerance)


def test_cross_entropy_of_large_logits(isa: str, dtype: Dtype, tolerance: float) -> None:
    """Stable: the greatest logit is taken off first; a logit of -inf is a word ruled out."""
    for vocabulary in SIZES[1:]:
        logits = np.zeros((3, vocabulary), dtype)
        logits[0] = 1e4
        logits[1, 0] = -1e4
        logits[2, -1] = -np.inf
        losses, gradient = _core.cross_entropy(logits, np.array([0, 0, 0]), -100)
        kept = vocabulary - 1
        np.testing.assert_allclose(
            losses,
            [np.log(vocabulary), 1e4 + np.log(kept), np.log(kept)],
            rtol=tolerance,
            atol=tolerance,
        )
        np.testing.assert_allclose(gradient.sum(axis=1), 0, atol=tolerance)
        assert gradient[2, -1] == 0


def test_fused_linear_cross_entropy(isa: str, dtype: Dtype, tolerance: float) -> None:
    rng = np.random.default_rng(1)
    for rows, vocabulary, hidden in ((1, 1, 1), (7, 17, 9), (33, 65, 31), (70, 130, 16)):
        targets = rng.integers(0, vocabulary, rows)
        targets[::5] = -1
        x, weight = normal(rng, rows, hidden), normal(rng, vocabulary, hidden)
        bias = normal(rng, vocabulary)
        for b in (bias, None):
            assert_equals_reference(linear_losses, (x, weight, b, targets, -1), dtype, tolerance)


def test_elementwise_losses(isa: str, dtype: Dtype, tolerance: float) -> None:
    rng = np.random.default_rng(2)
    for n in SIZES:
        prediction, target = normal(rng, n, scale=3), normal(rng, n)
        assert_equals_reference(_core.mse, (prediction, target), dtype, tolerance)
        share = rng.integers(0, 5, n) / 4.0
        assert_equals_reference(_core.binary_cross_entropy, (prediction, share), dtype, tolerance)


# --- linear layer --------------------------------------------------------------------------------
def test_linear(isa: str, dtype: Dtype, tolerance: float) -> None:
    rng = np.random.default_rng(3)
    for rows, inputs, outputs in ((1, 1, 1), (5, 3, 8), (16, 17, 15), (33, 40, 67)):
        x, weight, dy = (
            normal(rng, rows, inputs),
            normal(rng, outputs, inputs),
            normal(rng, rows, outputs),
        )
        bias = normal(rng, outputs)
        for b, db in ((bias, np.ones(outputs)), (None, None)):
            assert_equals_reference(_core.linear_forward, (x, weight, b), dtype, tolerance)
            dweight = np.ones((outputs, inputs))
            assert_equals_reference(
                _core.linear_backward, (dy, x, weight, dweight, db), dtype, tolerance
            )


def test_embedding(isa: str, dtype: Dtype, tolerance: float) -> None:
    rng = np.random.default_rng(4)
    for width in SIZES:
        ids, weight = rng.integers(0, 5, 40), normal(rng, 5, width)
        np.testing.assert_array_equal(
            _core.embedding_forward(ids, weight.astype(dtype)), weight[ids]
        )
        dy, expected = normal(rng, 40, width), np.ones((5, width))
        np.add.at(expected, ids, dy)
        dweight = np.ones((5, width), dtype)
        _core.embedding_backward(dy.astype(dtype), ids, dweight)
        assert_close({"dweight": dweight}, {"dweight": expected}, tolerance)


def test_dropout_mask_is_the_same_on_every_set(isa: str, dtype: Dtype) -> None:
    for n in SIZES:
        x = np.ones(n, dtype)
        got = _core.dropout(x, 0.3, 7)
        with selected("reference"):
            np.testing.assert_array_equal(got, _core.dropout(x, 0.3, 7))


# --- optimizers ----------------------------------------------------------------------------------
LR, DECAY = 0.0625, 0.03125  # exact in float32
SCALE, CLIP = 0.75, 1.5
STEPS: dict[str, tuple[Callable[..., None], int, tuple[Any, ...]]] = {
    # name: function, number of state buffers, arguments between the buffers and the scale
    "sgd": (_core.sgd_step, 0, (LR, 0.0, False, DECAY)),
    "momentum": (_core.sgd_step, 1, (LR, 0.875, False, DECAY)),
    "nesterov": (_core.sgd_step, 1, (LR, 0.875, True, DECAY)),
    "rmsprop": (_core.rmsprop_step, 1, (LR, 0.75, 0.5**20, DECAY)),
    "adam": (_core.adam_step, 2, (LR, 0.875, 0.96875, 0.5**20, DECAY, False, 3)),
    "adamw": (_core.adam_step, 2, (LR, 0.875, 0.96875, 0.5**20, DECAY, True, 3)),
}


@pytest.mark.parametrize("clip", [CLIP, np.inf], ids=["clipped", "free"])
@pytest.mark.parametrize("zero_grad", [False, True])
@pytest.mark.parametrize("name", STEPS)
def test_optimiser_step(
    isa: str, dtype: Dtype, tolerance: float, name: str, zero_grad: bool, clip: float
) -> None:
    function, buffers, settings = STEPS[name]
    rng = np.random.default_rng(5)
    for n in SIZES:
        params, grads = normal(rng, n), normal(rng, n, scale=3)
        state: list[Array | None] = [np.abs(normal(rng, n)) for _ in range(buffers)]
        if name == "sgd":
            state = [None]
        arguments = (params, grads, *state, *settings, SCALE, clip, zero_grad)
        assert_equals_reference(function, arguments, dtype, tolerance)


def test_flat_buffer_functions(isa: str, dtype: Dtype, tolerance: float) -> None:
    rng = np.random.default_rng(6)
    for n in (*SIZES, 100_003):
        x = normal(rng, n)
        assert_equals_reference(_core.squared_norm, (x,), dtype, 1e-12)
        assert_equals_reference(_core.clip, (x, 0.5), dtype, tolerance)
        assert_equals_reference(_core.scale, (x, 0.375), dtype, tolerance)


def test_norm_of_a_huge_buffer_is_summed_in_double(isa: str) -> None:
    """In single precision the sum of a million ones and more would stop growing."""
    n = 2**24 + 2**22
    assert _core.squared_norm(np.ones(n, np.float32)) == n


def test_squared_norm_neither_overflows_nor_underflows(isa: str) -> None:
    for value in (1e30, 1e-30):
        x = np.full(100, value, np.float32)
        expected = 100 * float(np.float32(value)) ** 2
        assert _core.squared_norm(x) == pytest.approx(expected, rel=1e-12)
    for value in (np.inf, np.nan):
        x = np.ones(100, np.float32)
        x[37] = value
        assert not np.isfinite(_core.squared_norm(x))


def test_clip_keeps_nan(isa: str, dtype: Dtype) -> None:
    """A broken gradient stays visible."""
    x = np.array([np.nan, np.inf, -np.inf, 0.25, -3], dtype)
    _core.clip(x, 1.0)
    np.testing.assert_array_equal(x, np.array([np.nan, 1, -1, 0.25, -1], dtype))
