"""The CTC loss against enumeration of all paths, PyTorch and finite differences; hard cases."""

import itertools
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from arrays import inputs
from ctc_enumeration import loss_and_grad as enumerated
from finite_difference import assert_gradient
from rnncore import ctc

Array = NDArray[Any]

# Losses are some ten, of sums over few frames: ten roundings of numbers of that size. Gradients are
# differences of probabilities, and both come from exponentials of the dtype.
LIMIT = {np.float32: 1e-5, np.float64: 1e-13}

#: All labels of up to three of two symbols: none, repeats, every order.
LABELS = [list(n) for k in range(4) for n in itertools.product((1, 2), repeat=k)]


def assert_is_enumerated(z: Array, targets: Any, lengths: Any, blank: int = 0) -> None:
    """Values and gradients of [T,B,C] are those of each sequence alone."""
    dtype = z.dtype.type
    losses, gradient = ctc.loss_and_grad(z, targets, lengths, blank=blank)
    np.testing.assert_array_equal(ctc.loss(z, targets, lengths, blank=blank), losses)
    assert losses.dtype == np.float64
    assert (gradient.dtype, gradient.shape) == (z.dtype, z.shape)
    for b, labels in enumerate(targets):
        frames = len(z) if lengths is None else lengths[b]
        loss, expected = enumerated(z[:frames, b], labels, blank)
        np.testing.assert_allclose(losses[b], loss, rtol=LIMIT[dtype], atol=LIMIT[dtype])
        np.testing.assert_allclose(gradient[:frames, b], expected, rtol=0, atol=LIMIT[dtype])
        assert not gradient[frames:, b].any()


# --- enumeration --------------------------------------------------------------------------------
@pytest.mark.parametrize("frames", [1, 2, 3, 5])
def test_all_labels_of_a_few_frames(frames: int, dtype: type[np.floating], isa: str) -> None:
    """Empty ones, repeats, those that just fit and those that do not."""
    z = 2 * inputs(frames, len(LABELS), 3, dtype=dtype)
    assert_is_enumerated(z, LABELS, None)
    assert np.isinf(ctc.loss(z, LABELS)).any() == (frames < 5)


def test_a_ragged_batch(dtype: type[np.floating]) -> None:
    z = 2 * inputs(6, 5, 4, dtype=dtype)
    targets, lengths = [[3, 3], [], [1], [2, 1, 3], []], [6, 4, 1, 5, 0]
    assert_is_enumerated(z, targets, lengths)


@pytest.mark.parametrize("blank", [0, 1, 3])
def test_the_blank_may_be_any_symbol(blank: int) -> None:
    others = [k for k in range(4) if k != blank]
    z = inputs(5, 3, 4, dtype=np.float64)
    assert_is_enumerated(z, [others[:2], [others[2]] * 2, others], None, blank)


def test_labels_in_an_array_and_in_lists_are_the_same() -> None:
    z = inputs(7, 3, 5)
    ragged = [[1, 2, 3], [], [4, 4]]
    padded = np.array([[1, 2, 3], [-100, -100, -100], [4, 4, -100]])
    expected = ctc.loss(z, ragged)
    for given in (padded, padded.astype(np.int32), padded.tolist(), list(map(np.array, ragged))):
        np.testing.assert_array_equal(ctc.loss(z, given), expected)


def test_one_sequence_without_a_batch() -> None:
    z = inputs(6, 4, dtype=np.float64)
    loss, gradient = ctc.loss_and_grad(z, [1, 2, 2])
    assert isinstance(loss, float)
    assert gradient.shape == z.shape
    expected, expected_gradient = enumerated(z, [1, 2, 2], 0)
    assert loss == pytest.approx(expected, rel=1e-13)
    np.testing.assert_allclose(gradient, expected_gradient, atol=1e-13)
    assert ctc.loss(z, [1], 3) == pytest.approx(enumerated(z[:3], [1], 0)[0], rel=1e-13)


def test_the_blank_alone() -> None:
    """With one symbol, the blank, every path is that of no labels."""
    losses, gradient = ctc.loss_and_grad(inputs(4, 2, 1), [[], []])
    np.testing.assert_array_equal(losses, 0)
    np.testing.assert_array_equal(gradient, 0)


def test_batches_without_sequences_or_frames() -> None:
    losses, gradient = ctc.loss_and_grad(np.zeros((5, 0, 3), np.float32), [])
    assert losses.shape == (0,)
    assert gradient.shape == (5, 0, 3)
    losses, gradient = ctc.loss_and_grad(np.zeros((0, 2, 3), np.float32), [[], [1]])
    assert losses.tolist() == [0, np.inf]
    assert gradient.shape == (0, 2, 3)


# --- impossible labels, numbers that are none -----------------------------------------------------
def test_impossible_labels_have_an_infinite_loss_and_no_gradient(
    dtype: type[np.floating],
) -> None:
    """PyTorch gives such a sequence the gradient NaN, or the loss 0 with zero_infinity."""
    z = inputs(4, 4, 3, dtype=dtype)
    targets = [[1, 2, 1, 2, 1], [1, 1, 1], [1, 2, 1, 2], [1, 1, 2]]
    losses, gradient = ctc.loss_and_grad(z, targets)
    assert np.isinf(losses).tolist() == [True, True, False, False]
    assert not gradient[:, :2].any()
    assert np.all(np.abs(gradient[:, 2:]).max(axis=(0, 2)) > 0)
    needed = ctc.frames_needed(targets)
    assert needed.tolist() == [5, 5, 4, 4]
    assert ctc.frames_needed(np.array([7, 7, 7, 8])) == 6


def test_symbols_ruled_out(dtype: type[np.floating], isa: str) -> None:
    """A logit of minus infinity is a probability of 0; labels that need it have no path."""
    z = inputs(5, 3, 3, dtype=dtype)
    z[2, :, 1] = -np.inf
    z[:, 2, 2] = -np.inf
    with np.errstate(invalid="ignore"):
        assert_is_enumerated(z, [[1, 2], [2, 2, 1], [1, 2]], None)
    assert np.isinf(ctc.loss(z, [[1, 2], [2, 2, 1], [1, 2]])).tolist() == [False, False, True]


@pytest.mark.parametrize("bad", [np.nan, np.inf])
@pytest.mark.parametrize("place", [(0, 0), (1, 2), (3, 4)])
def test_frames_that_are_no_numbers(
    bad: float, place: tuple[int, int], dtype: type[np.floating], isa: str
) -> None:
    """Their sequence has the loss NaN and the gradient NaN; the others are as they are alone."""
    z = inputs(5, 3, 5, dtype=dtype)
    targets, lengths = [[1, 2], [1], [3, 4]], [5, 4, 5]
    expected, expected_gradient = ctc.loss_and_grad(z, targets, lengths)
    step, symbol = place
    z[step, 1, symbol] = bad
    losses, gradient = ctc.loss_and_grad(z, targets, lengths)
    assert np.isnan(losses).tolist() == [False, True, False]
    assert np.isnan(gradient[:4, 1]).all()
    assert not gradient[4:, 1].any()
    for b in (0, 2):
        assert losses[b] == expected[b]
        np.testing.assert_array_equal(gradient[:, b], expected_gradient[:, b])
    assert np.isnan(ctc.loss(z, targets, lengths)[1])


def test_a_frame_of_minus_infinity_alone_is_no_distribution(isa: str) -> None:
    z = inputs(4, 1, 3)
    z[1] = -np.inf
    assert np.isnan(ctc.loss(z, [[1]])).all()


def test_what_lies_past_the_end_is_not_read() -> None:
    z = inputs(6, 2, 4)
    expected, expected_gradient = ctc.loss_and_grad(z, [[1, 2], [3]], [4, 6])
    z[4:, 0] = np.nan
    losses, gradient = ctc.loss_and_grad(z, [[1, 2], [3]], [4, 6])
    np.testing.assert_array_equal(losses, expected)
    np.testing.assert_array_equal(gradient, expected_gradient)


@pytest.mark.parametrize("size", [1e2, 1e4, 1e28])
def test_huge_logits(size: float, dtype: type[np.floating], isa: str) -> None:
    """Sure of the wrong symbols: the loss is the distance of the logits, nothing overflows."""
    z = np.full((3, 2, 3), -size, dtype)
    z[:, 0, 1] = 0
    z[:, 1, 2] = 0
    losses, gradient = ctc.loss_and_grad(z, [[1], [1, 1]])
    # the second says 1, blank, 1 where the network is sure of 2
    np.testing.assert_allclose(losses, [0, 3 * size], rtol=1e-6, atol=1e-6)
    np.testing.assert_allclose(gradient[:, 0], 0, atol=1e-6)
    expected = np.array([[0, -1, 1], [-1, 0, 1], [0, -1, 1]])
    np.testing.assert_allclose(gradient[:, 1], expected, atol=1e-6)


def test_improbable_labels_keep_their_gradients(isa: str) -> None:
    """Fifty labels of one ten-thousandth each, 1e-200: float32 itself ends at 1e-45."""
    z = np.zeros((60, 1, 9), np.float32)
    z[:, :, 0] = np.log(1e4)
    targets = [np.arange(50) % 8 + 1]
    losses, gradient = ctc.loss_and_grad(z, targets)
    expected, expected_gradient = ctc.loss_and_grad(z.astype(np.float64), targets)
    assert losses[0] > 400
    np.testing.assert_allclose(losses, expected, rtol=1e-6)
    np.testing.assert_allclose(gradient, expected_gradient, atol=2e-5)


def test_long_sequences_lose_no_digits() -> None:
    """The sums of 5000 frames reach -10,000; beside them a float32 has 1e-3 left."""
    z = inputs(5000, 1, 20)
    targets = [np.random.default_rng(3).integers(1, 20, 400)]
    losses, gradient = ctc.loss_and_grad(z, targets)
    expected, expected_gradient = ctc.loss_and_grad(z.astype(np.float64), targets)
    assert losses[0] > 5000
    np.testing.assert_allclose(losses, expected, rtol=1e-6)
    # each state's logarithm comes from some thousand roundings of numbers below 100
    np.testing.assert_allclose(gradient, expected_gradient, atol=1e-3)
    np.testing.assert_allclose(gradient.sum(axis=-1), 0, atol=1e-5)


# --- gradients, PyTorch, layouts ------------------------------------------------------------------
def test_gradients_by_finite_differences() -> None:
    z = inputs(6, 3, 4, dtype=np.float64)
    targets, lengths = [[1, 1], [2, 3, 1], []], [6, 5, 3]
    _, gradient = ctc.loss_and_grad(z, targets, lengths, scale=0.5)
    assert_gradient(lambda: 0.5 * float(ctc.loss(z, targets, lengths).sum()), z, gradient, "z")


def test_scale_is_a_factor_of_the_gradient(dtype: type[np.floating]) -> None:
    z = inputs(9, 2, 5, dtype=dtype)
    _, whole = ctc.loss_and_grad(z, [[1, 2], [4]])
    _, part = ctc.loss_and_grad(z, [[1, 2], [4]], scale=-0.25)
    np.testing.assert_allclose(part, -0.25 * whole, atol=LIMIT[dtype])


def test_log_probabilities_will_do() -> None:
    z = inputs(8, 2, 4, dtype=np.float64)
    log_p = z - np.log(np.exp(z).sum(axis=-1, keepdims=True))
    np.testing.assert_allclose(ctc.loss(log_p, [[1, 2], [3]]), ctc.loss(z, [[1, 2], [3]]))


def test_logits_of_any_strides() -> None:
    whole = inputs(6, 10, 14, dtype=np.float64)
    for z in (whole[::2, ::-1, ::2], whole.swapaxes(0, 1), np.asfortranarray(whole)):
        targets = [[1, 2]] * z.shape[1]
        kept = z.copy()
        losses, gradient = ctc.loss_and_grad(z, targets)
        expected, expected_gradient = ctc.loss_and_grad(kept, targets)
        np.testing.assert_array_equal(losses, expected)
        np.testing.assert_array_equal(gradient, expected_gradient)
        np.testing.assert_array_equal(z, kept)


@pytest.mark.parametrize("blank", [0, 7])
def test_against_torch(blank: int, dtype: type[np.floating]) -> None:
    torch = pytest.importorskip("torch")
    rng = np.random.default_rng(0)
    z = 2 * inputs(120, 9, 8, dtype=dtype)
    symbols = [k for k in range(8) if k != blank]
    lengths = np.array([120, 1, 60, 119, 120, 77, 0, 50, 120])
    counts = [40, 1, 0, 55, 2, 30, 0, 20, 50]
    targets = [rng.choice(symbols, n) for n in counts]
    there = torch.from_numpy(z.copy()).requires_grad_()
    expected = torch.nn.functional.ctc_loss(
        torch.log_softmax(there, -1),
        torch.from_numpy(np.concatenate(targets)),
        torch.from_numpy(lengths),
        torch.tensor(counts),
        blank=blank,
        reduction="none",
    )
    expected.sum().backward()
    losses, gradient = ctc.loss_and_grad(z, targets, lengths, blank=blank)
    np.testing.assert_allclose(losses, expected.detach().numpy(), rtol=10 * LIMIT[dtype])
    # PyTorch's own sums reach -300, of which float32 holds 3e-5
    limit = {np.float32: 2e-4, np.float64: 1e-12}[dtype]
    np.testing.assert_allclose(gradient, there.grad.numpy(), rtol=0, atol=limit)


# --- bad arguments --------------------------------------------------------------------------------
GOOD = np.zeros((5, 2, 4), np.float32)


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ((GOOD.astype(int), [[1], [2]]), TypeError, "logits: expected a float32 or float64 array"),
        ((GOOD[0, 0], [1]), ValueError, r"logits: expected shape \[T, B, C\] or \[T, C\]"),
        ((GOOD[:, :, :0], [[], []]), ValueError, "logits: expected shape"),
        ((GOOD, [[1]]), ValueError, "targets: expected integers .* got a list of 1"),
        ((GOOD, np.ones((3, 2), int)), ValueError, "targets: expected the labels of each"),
        ((GOOD, [[1], [4]]), ValueError, r"targets: expected ids in \[0, C=4\).* at \[0\] of seq"),
        (
            (GOOD, [[1], [2, 0]]),
            ValueError,
            r"the blank, 0, got 0 at \[1\] of sequence 1",
        ),
        ((GOOD, [[1], [2, -1]]), ValueError, r"got -1 at \[1\] of sequence 1"),
        ((GOOD, [[1.5], [2]]), TypeError, r"targets\[0\]: expected integers \[L\]"),
        ((GOOD, [[[1]], [2]]), ValueError, r"targets\[0\]: expected integers \[L\]"),
        ((GOOD, ["ab", [2]]), ValueError, r"targets\[0\]: expected integers \[L\]"),
        ((GOOD, "ab"), TypeError, "targets: expected integers"),
        ((GOOD, None), TypeError, "targets: expected integers"),
        ((GOOD, [[1, -100, 2], [1, 2, 3]]), ValueError, "-100 behind labels only.*sequence 0"),
        ((GOOD, [[1], [2]], [5]), ValueError, "lengths"),
        ((GOOD, [[1], [2]], [5, 6]), ValueError, r"lengths: expected values in \[0, T=5\]"),
    ],
)
def test_bad_arguments(arguments: Any, error: type[Exception], message: str) -> None:
    for function in (ctc.loss, ctc.loss_and_grad):
        with pytest.raises(error, match=message):
            function(*arguments)


@pytest.mark.parametrize("blank", [-1, 4, 1.0])
def test_bad_blanks(blank: Any) -> None:
    with pytest.raises((ValueError, TypeError), match="blank"):
        ctc.loss(GOOD, [[1], [2]], blank=blank)


def test_sums_that_fit_in_no_memory() -> None:
    """A million frames of 400,000 labels: terabytes, which are not asked of the system."""
    z, labels = np.zeros((1_000_000, 3), np.float32), np.arange(400_000) % 2 + 1
    with pytest.raises(MemoryError, match="available"):
        ctc.loss_and_grad(z, labels)
    with pytest.raises(MemoryError, match="available"):
        ctc.align(z - 2, labels)


def test_a_scale_that_is_no_number() -> None:
    with pytest.raises(ValueError, match="scale"):
        ctc.loss_and_grad(GOOD, [[1], [2]], scale=np.nan)
