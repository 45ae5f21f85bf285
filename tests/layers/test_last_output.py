"""LastOutput and pad: what classifiers of sequences need, against loops and PyTorch."""

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

import rnncore as rc
from arrays import inputs
from rnncore.data import pad
from rnncore.layers import LastOutput

Array = NDArray[Any]
LENGTHS = np.array([3, 5, 0, 1])
STEPS, BATCH, INPUT, HIDDEN = 6, 4, 3, 5
every_direction = pytest.mark.parametrize("bidirectional", [False, True])


def by_loop(y: Array, lengths: Array, bidirectional: bool) -> Array:
    """[T,B,W] -> [B,W], one sequence after the other."""
    last = np.zeros(y.shape[1:], y.dtype)
    half = y.shape[2] // 2 if bidirectional else y.shape[2]
    for b, length in enumerate(lengths):
        if length:
            last[b, :half] = y[length - 1, b, :half]
            last[b, half:] = y[0, b, half:]
    return last


@every_direction
@pytest.mark.parametrize("batch_first", [False, True])
@pytest.mark.parametrize("lengths", [LENGTHS, None], ids=["ragged", "full"])
def test_against_a_loop(
    bidirectional: bool, batch_first: bool, lengths: Any, dtype: type[np.floating]
) -> None:
    layer = LastOutput(bidirectional=bidirectional, batch_first=batch_first)
    y = inputs(STEPS, BATCH, 2 * HIDDEN, dtype=dtype)
    given = y.swapaxes(0, 1) if batch_first else y
    expected = by_loop(y, np.full(BATCH, STEPS) if lengths is None else lengths, bidirectional)
    last, cache = layer.forward(given, lengths)
    assert last.dtype == dtype
    np.testing.assert_array_equal(last, expected)
    np.testing.assert_array_equal(layer(given, lengths), expected)
    # backward is the transpose of a selection: <dlast, last(y)> = <backward(dlast), y>, at any y
    dlast = inputs(BATCH, 2 * HIDDEN, dtype=dtype, seed=3)
    dy = layer.backward(dlast, cache)
    assert dy.shape == given.shape
    assert dy.dtype == dtype
    numbered = np.arange(y.size, dtype=dtype).reshape(given.shape)
    expected_sum = np.sum(dlast * layer(numbered, lengths))
    np.testing.assert_allclose(np.sum(dy * numbered), expected_sum, rtol=1e-5)
    assert np.count_nonzero(dy) == np.count_nonzero(expected)
    last[:] = 0  # a new array
    assert np.all(y)


@every_direction
def test_one_sequence(bidirectional: bool) -> None:
    layer = LastOutput(bidirectional=bidirectional)
    y = inputs(STEPS, 2 * HIDDEN)
    for lengths in (None, 4, [4], 0):
        last, cache = layer.forward(y, lengths)
        end = STEPS if lengths is None else int(np.max(lengths))
        expected = by_loop(y[:, np.newaxis], np.array([end]), bidirectional)[0]
        np.testing.assert_array_equal(last, expected)
        dy = layer.backward(np.ones_like(last), cache)
        assert dy.shape == y.shape
        assert dy.sum() == (2 * HIDDEN if end else 0)


@every_direction
@pytest.mark.parametrize("make", [rc.RNN, rc.GRU, rc.LSTM])
def test_it_is_the_final_state_of_the_last_layer(make: Any, bidirectional: bool) -> None:
    rnn = make(INPUT, HIDDEN, 2, bidirectional=bidirectional, rng=0)
    y, state = rnn(inputs(STEPS, BATCH, INPUT), lengths=LENGTHS)
    h = state[0] if make is rc.LSTM else state
    expected = np.concatenate(h[-rnn.num_directions :], axis=1)
    got = LastOutput(bidirectional=bidirectional)(y, LENGTHS)
    real = LENGTHS > 0
    np.testing.assert_array_equal(got[real], expected[real])
    assert not np.any(got[~real])


@every_direction
def test_against_torch(bidirectional: bool) -> None:
    """Values and gradients of a whole classifier."""
    torch = pytest.importorskip("torch")
    lengths = np.array([3, 6, 1, 4])  # PyTorch takes no empty sequences
    rnn = rc.GRU(INPUT, HIDDEN, bidirectional=bidirectional, dtype=np.float64, rng=0)
    theirs = torch.nn.GRU(INPUT, HIDDEN, bidirectional=bidirectional, dtype=torch.float64)
    theirs.load_state_dict({name: torch.from_numpy(a) for name, a in rnn.state_dict().items()})
    x = inputs(STEPS, BATCH, INPUT, dtype=np.float64)
    packed = torch.nn.utils.rnn.pack_padded_sequence(
        torch.from_numpy(x), torch.from_numpy(lengths), enforce_sorted=False
    )
    _, h = theirs(packed)
    expected = torch.cat(list(h), dim=1)
    y, _, cache = rnn.forward(x, lengths=lengths)
    layer = LastOutput(bidirectional=bidirectional)
    last, taken = layer.forward(y, lengths)
    np.testing.assert_allclose(last, expected.detach().numpy(), rtol=1e-12)
    weights = inputs(*last.shape, dtype=np.float64, seed=4)
    (expected * torch.from_numpy(weights)).sum().backward()
    rnn.backward(layer.backward(weights, taken), cache)
    for name, parameter in theirs.named_parameters():
        np.testing.assert_allclose(
            rnn.grads[name], parameter.grad.numpy(), rtol=1e-10, atol=1e-12, err_msg=name
        )


class Classifier(rc.layers.Module):
    """A model as users write it."""

    def __init__(self) -> None:
        super().__init__(np.float64, rng=0)
        self.rnn = rc.LSTM(INPUT, HIDDEN, bidirectional=True, dtype=np.float64, rng=self.rng)
        self.last = LastOutput(bidirectional=True)
        self.output = rc.Linear(2 * HIDDEN, 2, dtype=np.float64, rng=self.rng)

    def loss_and_grad(self, x: Array, lengths: Array, classes: Array) -> float:
        y, _, of_rnn = self.rnn.forward(x, lengths=lengths)
        last, of_last = self.last.forward(y, lengths)
        logits, of_output = self.output.forward(last)
        loss, dlogits = rc.losses.cross_entropy(logits, classes)
        dlast = self.output.backward(dlogits, of_output)
        self.rnn.backward(self.last.backward(dlast, of_last), of_rnn)
        return float(loss)


def test_a_classifier_of_padded_sequences_learns() -> None:
    """Whether the first step is positive: only the reverse direction, or memory, can tell."""
    rng = np.random.default_rng(0)
    sequences = [rng.standard_normal((length, INPUT)) for length in rng.integers(1, 9, 40)]
    x, lengths = pad(sequences)
    classes = np.array([int(s[0, 0] > 0) for s in sequences])
    model = Classifier()
    optimizer = rc.optim.Adam(model, learning_rate=0.02)
    losses = []
    for _ in range(120):
        losses.append(model.loss_and_grad(x, lengths, classes))
        optimizer.step(zero_grad=True)
    assert losses[-1] < 0.1 < 0.5 < losses[0]


def test_empty_and_bad_arguments() -> None:
    layer = LastOutput()
    assert layer(np.zeros((0, 3, 4), np.float32)).tolist() == np.zeros((3, 4)).tolist()
    assert layer(np.zeros((5, 0, 4), np.float32), np.zeros(0, int)).shape == (0, 4)
    y = inputs(STEPS, BATCH, 3)
    _, cache = layer.forward(y)
    for call, error, message in (
        (lambda: layer(y.astype(int)), TypeError, "y: expected a float32 or float64 array, got"),
        (
            lambda: layer((y, y)),
            TypeError,
            "y: expected an array, got a tuple",
        ),
        (lambda: layer(y[0, 0]), ValueError, r"y: expected shape \[T, B, W\] or \[T, W\], got"),
        (lambda: layer(y, [1, 2]), ValueError, "lengths: expected shape"),
        (lambda: layer(y, [1, 2, 7, 3]), ValueError, r"lengths: .*\[0, T=6\], got 7 at \[2\]"),
        (lambda: LastOutput(bidirectional=True)(y), ValueError, "y: expected an even width"),
        (lambda: layer.backward(y, cache), ValueError, r"dlast: expected shape \[4, 3\]"),
        (
            lambda: LastOutput().backward(y[0], cache),
            ValueError,
            "cache: expected one made by this",
        ),
        (lambda: LastOutput(bidirectional=1), TypeError, "bidirectional: expected True or False"),
    ):
        with pytest.raises(error, match=message):
            call()
    assert repr(layer) == "LastOutput(bidirectional=False, batch_first=False)"


# --- pad -----------------------------------------------------------------------------------------
@pytest.mark.parametrize("batch_first", [False, True])
@pytest.mark.parametrize("kind", ["f4", "f8", "f2", ">f4", "i1", "i8", "u2"])
def test_pad_keeps_values_and_dtype(kind: str, batch_first: bool) -> None:
    width = (3,) if "f" in kind else ()
    sequences = [(9 * inputs(length, *width)).astype(kind) for length in (2, 0, 5, 1)]
    x, lengths = pad(iter(sequences), batch_first=batch_first)
    assert x.dtype == np.dtype(kind)
    assert lengths.tolist() == [2, 0, 5, 1]
    rows = x if batch_first else x.swapaxes(0, 1)
    assert rows.shape == (4, 5, *width)
    for row, sequence in zip(rows, sequences, strict=True):
        np.testing.assert_array_equal(row[: len(sequence)], sequence)
        assert not np.any(row[len(sequence) :])


def test_pad_of_lists() -> None:
    x, lengths = pad([[1, 2], [], (3,)])
    assert x.dtype == np.int64
    assert x.tolist() == [[1, 0, 3], [2, 0, 0]]
    x, lengths = pad([[], inputs(2, 3), []])
    assert x.shape == (2, 3, 3)
    assert lengths.tolist() == [0, 2, 0]
    x, lengths = pad([[], []])
    assert (x.dtype, x.shape) == (np.int64, (0, 2))
    x, _ = pad([np.array([300], np.int16), np.array([1, 2], np.uint8)])
    assert (x.dtype, x.tolist()) == (np.int64, [[300, 1], [0, 2]])
    x, _ = pad([[[0.5, 1.5]], [[2.5, 3.5], [4.5, 5.5]]])
    assert (x.dtype, x.shape) == (np.float64, (2, 2, 2))


def test_what_pad_returns_is_what_layers_take() -> None:
    sequences = [np.array([1, 0, 4]), np.array([2]), np.array([3, 3])]
    model = rc.LanguageModel(5, "gru", 3, 4, 1, rng=0)
    x, lengths = pad(sequences)
    logits, _ = model(x, lengths=lengths)
    for b, sequence in enumerate(sequences):
        alone, _ = model(sequence)
        np.testing.assert_allclose(logits[: len(sequence), b], alone, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(
    ("sequences", "error", "message"),
    [
        ([], ValueError, "sequences: expected at least one, got none"),
        (5, TypeError, "sequences: expected a list of arrays, got int 5"),
        ("text", TypeError, "sequences: expected a list of arrays, got str 'text'"),
        (["ab"], TypeError, r"sequences\[0\]: expected numbers \[T, I\] or ids \[T\], got str"),
        ([[0.5, 1.5]], ValueError, r"sequences\[0\]: .*sequence\[:, np.newaxis\] makes it"),
        ([np.zeros((2, 2), int)], ValueError, r"sequences\[0\]: expected numbers"),
        ([np.zeros((2, 3)), np.zeros((2, 4))], ValueError, r"sequences\[1\]: .*\(2, 3\).*\(2, 4\)"),
        ([np.zeros((2, 3)), np.zeros((2, 3), "f4")], TypeError, r"sequences\[1\]: .*64.*32"),
        ([[1], np.zeros((2, 3))], TypeError, r"sequences\[1\]: "),
        ([[1, 2], [[1], [2, 3]]], ValueError, r"sequences\[1\]: expected an array"),
        ([[True]], TypeError, r"sequences\[0\]: expected numbers"),
        ([np.array([2**63], np.uint64), [1]], ValueError, r"sequences\[0\]: expected integers"),
    ],
)
def test_bad_sequences(sequences: Any, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        pad(sequences)
