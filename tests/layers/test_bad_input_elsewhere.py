"""Bad input to streams, Linear, Embedding, Dropout and the losses."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

import rnncore as rc
from arrays import inputs
from refusal import refuses
from rnncore import losses

Array = NDArray[Any]
STEPS, BATCH, INPUT, HIDDEN = 5, 3, 4, 6

RECURRENT: dict[str, Callable[..., Any]] = {"RNN": rc.RNN, "GRU": rc.GRU, "LSTM": rc.LSTM}
every_layer = pytest.mark.parametrize("make", RECURRENT.values(), ids=RECURRENT.keys())
GOOD = inputs(STEPS, BATCH, INPUT)


def state_of(make: Callable[..., Any], *shape: int, dtype: Any = np.float32) -> Any:
    h = np.zeros(shape, dtype)
    return (h, h) if make is rc.LSTM else h


# --- streams -------------------------------------------------------------------------------------
@every_layer
def test_streams(make: Callable[..., Any]) -> None:
    layer = make(INPUT, HIDDEN, 2, rng=0)
    refuses(layer, lambda: layer.stream(0), ValueError, "batch_size", "at least 1", "0")
    refuses(layer, lambda: layer.stream(1.0), TypeError, "batch_size", "1.0")
    refuses(layer, lambda: layer.stream(10**12), MemoryError)
    both = make(INPUT, HIDDEN, bidirectional=True, rng=0)
    refuses(both, both.stream, ValueError, "bidirectional")

    stream = layer.stream(BATCH)
    stream.step(GOOD[0])
    before = [array.copy() for array in np.atleast_1d(np.asarray(stream.state))]
    for x, error in (
        (GOOD[0].astype(np.float64), TypeError),
        (GOOD[0] > 0, TypeError),
        (None, TypeError),
        (GOOD[0, :2], ValueError),
        (GOOD[0, :, :2], ValueError),
        (GOOD[0, 0], ValueError),
        (GOOD, ValueError),
        (np.array([0, 1]), ValueError),
        (np.array([0, 1, INPUT]), ValueError),
        (np.array([0, 1, -1]), ValueError),
    ):
        with pytest.raises(error, match=r"^x: "):
            stream.step(x)
    for state, error in (
        (state_of(make, 2, 1, HIDDEN), ValueError),
        (state_of(make, 1, BATCH, HIDDEN), ValueError),
        (state_of(make, 2, BATCH, HIDDEN, dtype=np.float64), TypeError),
        (None, TypeError),
    ):
        with pytest.raises(error, match=r"^state"):
            stream.state = state
    for array, kept in zip(np.atleast_1d(np.asarray(stream.state)), before, strict=True):
        np.testing.assert_array_equal(array, kept)


# --- Linear, Embedding, Dropout ------------------------------------------------------------------
def test_linear() -> None:
    layer = rc.Linear(INPUT, HIDDEN, rng=0)
    y, cache = layer.forward(GOOD)
    for call in (layer, layer.forward):
        for x, error, words in (
            (GOOD.astype(np.float64), TypeError, ["float32", "float64"]),
            (np.ones((2, INPUT), int), TypeError, ["float32", "int64"]),
            (GOOD[..., :3], ValueError, ["[..., 4]", "(5, 3, 3)"]),
            (np.float32(1), ValueError, ["[..., 4]", "()"]),
            (None, TypeError, ["float32", "None"]),
        ):
            refuses(layer, lambda c=call, x=x: c(x), error, "x", *words)
    for dy, error, words in (
        (y.astype(np.float64), TypeError, ["float32", "float64"]),
        (y[:1], ValueError, ["[5, 3, 6]", "(1, 3, 6)"]),
        (y[..., :1], ValueError, ["[5, 3, 6]", "(5, 3, 1)"]),
        (None, TypeError, ["float32"]),
    ):
        refuses(layer, lambda d=dy: layer.backward(d, cache), error, "dy", *words)
    other = rc.Linear(INPUT, HIDDEN, rng=0)
    refuses(other, lambda: other.backward(y, cache), ValueError, "cache", "another layer")
    refuses(layer, lambda: layer.backward(y, y), TypeError, "cache", "array")
    large = np.broadcast_to(np.float32(1), (10**7, 10**6, INPUT))
    refuses(layer, lambda: layer(large), MemoryError)


def test_embedding() -> None:
    layer = rc.Embedding(INPUT, HIDDEN, rng=0)
    y, cache = layer.forward([[0, 3], [1, 1]])
    for call in (layer, layer.forward):
        for ids, error, words in (
            ([0.0, 1.0], TypeError, ["integers", "0.0"]),
            (np.array([np.nan]), TypeError, ["integers", "float64"]),
            ([True], TypeError, ["integers", "True"]),
            ("ab", TypeError, ["integers", "'ab'"]),
            (None, TypeError, ["integers", "None"]),
            ([0, 4], ValueError, ["4", "1"]),
            ([0, -1], ValueError, ["-1", "1"]),
            ([[0], [1, 2]], ValueError, ["[[0], [1, 2]]"]),
            ([2**70, 0], ValueError, ["[-2^63, 2^63)", str(2**70)]),
            (np.array([2**64 - 1], np.uint64), ValueError, ["[-2^63, 2^63)", str(2**64 - 1)]),
            (np.array([0, 2**70]), ValueError, ["[-2^63, 2^63)", "object"]),
            (np.array([0, 1], object), TypeError, ["integers", "object"]),
        ):
            refuses(layer, lambda c=call, i=ids: c(i), error, "ids", *words)
    refuses(layer, lambda: layer.backward(y[:1], cache), ValueError, "dy", "[2, 2, 6]")
    refuses(layer, lambda: layer.backward(y.astype(float), cache), TypeError, "dy", "float64")
    refuses(layer, lambda: layer.backward(y, None), TypeError, "cache", "None")
    large = np.broadcast_to(np.int64(1), (10**7, 10**6))
    refuses(layer, lambda: layer(large), MemoryError)


def test_dropout() -> None:
    layer = rc.Dropout(0.5, rng=0)
    y, cache = layer.forward(GOOD)
    for x, error, words in (
        (GOOD.astype(np.float16), TypeError, ["float32 or float64", "float16"]),
        (np.ones(3, int), TypeError, ["float32 or float64", "int64"]),
        ([0.5], TypeError, ["float32 or float64", "list"]),
        (None, TypeError, ["float32 or float64", "None"]),
    ):
        refuses(layer, lambda x=x: layer.forward(x), error, "x", *words)
    refuses(layer, lambda: layer.backward(y[:1], cache), ValueError, "dy", "[5, 3, 4]")
    refuses(layer, lambda: layer.backward(y.astype(float), cache), TypeError, "dy", "float64")
    nothing = rc.Dropout(0)  # drops nothing, and takes nothing else either
    for x in (np.ones(3, int), np.array(["a"]), GOOD.astype(np.float16)):
        refuses(nothing, lambda x=x: nothing.forward(x), TypeError, "x", "float32 or float64")
    refuses(layer, lambda: rc.Dropout(0.5).backward(y, cache), ValueError, "cache", "another layer")
    large = np.broadcast_to(np.float32(1), (10**7, 10**6))
    refuses(layer, lambda: layer.forward(large), MemoryError)


# --- losses --------------------------------------------------------------------------------------
LOGITS = inputs(2, 3, 4)
TARGETS = np.array([[0, 1, 2], [3, 0, 1]])


@pytest.mark.parametrize(
    ("logits", "targets", "options", "error", "text"),
    [
        (LOGITS.astype(np.float16), TARGETS, {}, TypeError, "logits: .*float16"),
        (TARGETS, TARGETS, {}, TypeError, "logits: .*int64"),
        (LOGITS[0, 0, 0], TARGETS, {}, ValueError, r"logits: .*\[\.\.\., V\]"),
        (LOGITS, TARGETS.astype(float), {}, TypeError, "targets: expected integers, .*float64"),
        (LOGITS, TARGETS > 0, {}, TypeError, "targets: .*bool"),
        (LOGITS, TARGETS[0], {}, ValueError, r"targets: expected shape \[2, 3\].*\(3,\)"),
        (LOGITS, TARGETS.T, {}, ValueError, r"targets: expected shape \[2, 3\].*\(3, 2\)"),
        (LOGITS, TARGETS + 1, {}, ValueError, "targets: .*4"),
        (LOGITS, TARGETS - 1, {}, ValueError, "targets: .*-1"),
        (LOGITS, TARGETS, {"reduction": "average"}, ValueError, "reduction: .*mean.*'average'"),
        (LOGITS, TARGETS, {"reduction": None}, TypeError, "reduction: .*None"),
        (LOGITS, TARGETS, {"ignore_index": 0.5}, TypeError, "ignore_index: .*0.5"),
        (np.zeros((2, 0), np.float32), np.zeros(2, int), {}, ValueError, "."),
    ],
)
def test_cross_entropy(
    logits: Any, targets: Any, options: dict[str, Any], error: type[Exception], text: str
) -> None:
    with pytest.raises(error, match=text):
        losses.cross_entropy(logits, targets, **options)


@pytest.mark.parametrize("name", ["mse", "binary_cross_entropy"])
def test_elementwise_losses(name: str) -> None:
    function = getattr(losses, name)
    first, second = ("prediction", "target") if name == "mse" else ("logits", "targets")
    half = np.full_like(LOGITS, 0.5)
    for one, other, error, text in (
        (LOGITS.astype(np.float16), half, TypeError, f"{first}: .*float16"),
        (TARGETS, TARGETS, TypeError, f"{first}: .*int64"),
        (LOGITS, half.astype(np.float64), TypeError, f"{second}: expected float32.*float64"),
        (LOGITS, half[0], ValueError, rf"{second}: expected shape \[2, 3, 4\].*\(3, 4\)"),
        (LOGITS, np.float32(0.5), ValueError, f"{second}: expected shape"),
    ):
        with pytest.raises(error, match=text):
            function(one, other)
    with pytest.raises(ValueError, match="reduction"):
        function(LOGITS, half, reduction="max")


@pytest.mark.parametrize("bad", [-0.01, 1.01, np.nan, np.inf])
def test_targets_of_binary_cross_entropy_are_probabilities(bad: float) -> None:
    targets = np.full_like(LOGITS, 0.5)
    targets[1, 2, 3] = bad
    with pytest.raises(ValueError, match=r"targets: expected probabilities in \[0, 1\], got"):
        losses.binary_cross_entropy(LOGITS, targets)


def test_losses_that_fit_in_no_memory() -> None:
    large = np.broadcast_to(np.float32(0.5), (10**7, 10**6))
    for function in (losses.mse, losses.binary_cross_entropy):
        with pytest.raises(MemoryError):
            function(large, large)
    with pytest.raises(MemoryError):
        losses.cross_entropy(large, np.broadcast_to(np.int64(0), 10**7))


# --- layers and heads that name what they were given ---------------------------------------------
@pytest.mark.parametrize(
    ("call", "text"),
    [
        (lambda: rc.layers.Pooling()([[[1, 2]], [[3, 4]]]), "y: expected a float32 or float64"),
        (lambda: rc.layers.Pooling("max")(GOOD + 1j), "y: expected a float32 or float64"),
        (lambda: rc.Dropout(0.5)([1.0]), "x: expected a float32 or float64 array, got list"),
        (lambda: rc.Dropout(0.5)(rc.LSTM(INPUT, 2)(GOOD)), "x: .* pass y alone"),
        (
            lambda: rc.heads.Softmax(2, 2).losses(rc.LSTM(INPUT, 2)(GOOD), TARGETS),
            "y: .* pass y alone",
        ),
        (
            lambda: rc.heads.Softmax(2, 2).losses(GOOD, TARGETS),
            r"y: expected shape \[\.\.\., 2\]",
        ),
        (lambda: rc.SequenceClassifier(2, input_size=3, embedding_size=-1), "embedding_size: .*-1"),
        (lambda: rc.text.CharTokenizer(["a", "long" * 100]), r"vocabulary\[1\]: .* 256 char.*400"),
    ],
)
def test_the_argument_is_named(call: Callable[[], Any], text: str) -> None:
    with pytest.raises((TypeError, ValueError), match=text):
        call()
