"""Bad input to recurrent layers: inputs, lengths, states, gradients, caches, parameters."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

import rnncore as rc
from arrays import inputs
from refusal import refuses

Array = NDArray[Any]
STEPS, BATCH, INPUT, HIDDEN = 5, 3, 4, 6

RECURRENT: dict[str, Callable[..., Any]] = {"RNN": rc.RNN, "GRU": rc.GRU, "LSTM": rc.LSTM}
every_layer = pytest.mark.parametrize("make", RECURRENT.values(), ids=RECURRENT.keys())
GOOD = inputs(STEPS, BATCH, INPUT)


def state_of(make: Callable[..., Any], *shape: int, dtype: Any = np.float32) -> Any:
    h = np.zeros(shape, dtype)
    return (h, h) if make is rc.LSTM else h


# --- inputs of recurrent layers ------------------------------------------------------------------
BAD_INPUTS: list[tuple[Any, type[Exception], list[str]]] = [
    (GOOD.astype(np.float64), TypeError, ["x", "float32", "float64"]),
    (GOOD.astype(np.float16), TypeError, ["x", "float32", "float16"]),
    (GOOD.astype(np.complex64), TypeError, ["x", "float32", "complex64"]),
    (GOOD.astype(">f4"), TypeError, ["x", "float32", ">f4"]),
    (GOOD > 0, TypeError, ["x", "float32", "bool"]),
    (GOOD.astype(object), TypeError, ["x", "float32", "object"]),
    (np.full((STEPS, BATCH), "a"), TypeError, ["x", "float32", "<U1"]),
    ([[0.5] * 3] * STEPS, ValueError, ["x", "4", "(5, 3)"]),
    ([["a"] * INPUT] * STEPS, TypeError, ["x", "float32", "list"]),
    ([[1, 2], [3]], ValueError, ["x", "[[1, 2], [3]]"]),
    (None, TypeError, ["x", "float32", "None"]),
    (GOOD[..., :3], ValueError, ["x", "4", "(5, 3, 3)"]),
    (GOOD[0, 0], ValueError, ["x", "4", "(4,)"]),
    (GOOD[np.newaxis], ValueError, ["x", "4", "(1, 5, 3, 4)"]),
    (np.float32(1), ValueError, ["x", "()"]),
    (np.zeros((STEPS, BATCH, INPUT), int), ValueError, ["x", "(5, 3, 4)"]),
    (np.array(3), ValueError, ["x", "()"]),
    (np.array([[0, 1], [INPUT, 0]]), ValueError, ["x", "4", "[1, 0]"]),
    (np.array([[0, -1]]), ValueError, ["x", "-1", "[0, 1]"]),
    (np.array([2**63 + 5], np.uint64), ValueError, ["x"]),
]


@every_layer
@pytest.mark.parametrize(
    ("x", "error", "words"), BAD_INPUTS, ids=[str(i) for i in range(len(BAD_INPUTS))]
)
def test_inputs(make: Callable[..., Any], x: Any, error: type[Exception], words: list[str]) -> None:
    layer = make(INPUT, HIDDEN, rng=0)
    for call in (layer, layer.forward):
        refuses(layer, lambda c=call: c(x), error, *words)


@every_layer
def test_inputs_name_the_layout_that_is_expected(make: Callable[..., Any]) -> None:
    wrong = np.zeros((BATCH, STEPS, 7), np.float32)
    layer = make(INPUT, HIDDEN, rng=0)
    refuses(layer, lambda: layer(wrong), ValueError, "[T, B, 4]")
    refuses(layer, lambda: layer(wrong[0]), ValueError, "[T, 4]")
    layer = make(INPUT, HIDDEN, batch_first=True, rng=0)
    refuses(layer, lambda: layer(wrong), ValueError, "[B, T, 4]")


@every_layer
@pytest.mark.parametrize(
    ("lengths", "error", "words"),
    [
        ([5.0, 3.0, 1.0], TypeError, ["integers", "5.0"]),
        (np.array([5, np.nan, 1]), TypeError, ["integers", "float64"]),
        ([np.nan, 2, 3], TypeError, ["integers", "nan"]),
        ([True, True, False], TypeError, ["integers", "True"]),
        (["5", "3", "1"], TypeError, ["integers", "'5'"]),
        ([5, None, 1], TypeError, ["integers", "None"]),
        ([5, 3, 6], ValueError, ["5", "6", "2"]),
        ([5, -1, 5], ValueError, ["-1", "1"]),
        (np.array([5, 2**63 + 1, 5], np.uint64), ValueError, []),
        ([5, 3], ValueError, ["3", "2"]),
        ([5, 3, 1, 1], ValueError, ["3", "4"]),
        ([[5, 3, 1]], ValueError, ["3"]),
        (5, ValueError, ["3"]),
        ([[1, 2], [3]], ValueError, ["[[1, 2], [3]]"]),
        ([2**70, 5, 1], ValueError, ["[-2^63, 2^63)", str(2**70)]),
        ([2**63, -1, 1], ValueError, ["[-2^63, 2^63)", str(2**63)]),
        (2**70, ValueError, ["[-2^63, 2^63)"]),
    ],
)
def test_lengths(
    make: Callable[..., Any], lengths: Any, error: type[Exception], words: list[str]
) -> None:
    layer = make(INPUT, HIDDEN, rng=0)
    for call in (layer, layer.forward):
        refuses(layer, lambda c=call: c(GOOD, lengths=lengths), error, "lengths", *words)


@every_layer
def test_ids_before_the_ends_are_checked(make: Callable[..., Any]) -> None:
    layer = make(INPUT, HIDDEN, rng=0)
    ids = np.array([[0, 1], [-1, 2], [INPUT, 3]])
    for call in (layer, layer.forward):
        refuses(layer, lambda c=call: c(ids, lengths=[2, 3]), ValueError, "x", "-1", "[1, 0]")
        refuses(layer, lambda c=call: c(ids, lengths=[4, 3]), ValueError, "lengths", "3", "4")


@every_layer
def test_lengths_of_unbatched_input(make: Callable[..., Any]) -> None:
    layer = make(INPUT, HIDDEN, rng=0)
    refuses(layer, lambda: layer(GOOD[:, 0], lengths=[1, 2]), ValueError, "lengths")
    refuses(layer, lambda: layer(GOOD[:, 0], lengths=6), ValueError, "lengths", "5", "6")
    refuses(layer, lambda: layer(GOOD[:, 0], lengths=2.0), TypeError, "lengths", "2.0")


@every_layer
def test_results_that_fit_in_no_memory(make: Callable[..., Any]) -> None:
    """Arrays of stride 0 are as long as one likes and take no memory themselves."""
    layer = make(INPUT, HIDDEN, rng=0)
    x = np.broadcast_to(np.float32(1), (10**7, 10**6, INPUT))
    ids = np.broadcast_to(np.int64(1), (10**7, 10**6))
    for given, shape in ((x, "[T=10000000, B=1000000, I=4]"), (ids, "[T=10000000, B=1000000]")):
        words = [f"x of {shape}: ", "are available"]
        refuses(layer, lambda g=given: layer(g), MemoryError, *words)
        refuses(layer, lambda g=given: layer.frozen()(g), MemoryError, *words)
        refuses(layer, lambda g=given: layer.forward(g), MemoryError, *words)
    steps = np.broadcast_to(np.float32(1), (10**11, 1, INPUT))
    stream = layer.stream()
    refuses(layer, lambda: stream.run(steps), MemoryError, "a contiguous copy of [100000000000,")


# --- states --------------------------------------------------------------------------------------
def calls_with_state(layer: Any, x: Array, argument: str) -> list[Callable[[Any], Any]]:
    """Everything that takes an initial state, or the gradient of a final one."""
    if argument == "state":
        return [lambda s: layer(x, s), lambda s: layer.forward(x, s)]
    cache = layer.forward(x)[2]
    return [lambda s: layer.backward(None, cache, s)]


@every_layer
@pytest.mark.parametrize("argument", ["state", "dstate"])
def test_states(make: Callable[..., Any], argument: str) -> None:
    layer = make(INPUT, HIDDEN, 2, rng=0)
    good = (2, BATCH, HIDDEN)
    bad: list[tuple[Any, type[Exception], list[str]]] = [
        (state_of(make, *shape), ValueError, ["[2, 3, 6]", str(shape)])
        for shape in ((1, 3, 6), (2, 1, 6), (2, 3, 1), (4, 3, 6), (2, 18), (2, 6))
    ]
    bad += [
        (state_of(make, *good, dtype=np.float64), TypeError, ["float32", "float64"]),
        (state_of(make, *good, dtype=int), TypeError, ["float32", "int64"]),
        ("zeros", TypeError, []),
        (7, TypeError, []),
    ]
    for call in calls_with_state(layer, GOOD, argument):
        for state, error, words in bad:
            refuses(layer, lambda c=call, s=state: c(s), error, argument, *words)
    for call in calls_with_state(layer, GOOD[:, 0], argument):
        for shape in (good, (2, 2, 6), (6,), (2, 5)):
            wrong = state_of(make, *shape)
            words = [argument, "[2, 6]", str(shape)]
            refuses(layer, lambda c=call, s=wrong: c(s), ValueError, *words)


@every_layer
def test_state_of_another_kind_of_layer(make: Callable[..., Any]) -> None:
    layer = make(INPUT, HIDDEN, 2, rng=0)
    h = np.zeros((2, BATCH, HIDDEN), np.float32)
    cache = layer.forward(GOOD)[2]
    if make is rc.LSTM:
        # an array h of two layers unpacks like a pair: it must not pass for (h, c)
        wrong: list[Any] = [h, (h,), (h, h, h), ()]
        words = ["tuple (h, c)"]
    else:
        wrong = [(h, h), (h,), [h]]
        words = ["one array h"]
    for state in wrong:
        refuses(layer, lambda s=state: layer(GOOD, s), TypeError, "state", *words)
        refuses(layer, lambda s=state: layer.forward(GOOD, s), TypeError, "state", *words)
        refuses(layer, lambda s=state: layer.backward(None, cache, s), TypeError, "dstate", *words)
        stream = layer.stream(BATCH)
        with pytest.raises(TypeError, match="state: expected"):
            stream.state = state


# --- backward ------------------------------------------------------------------------------------
@every_layer
def test_output_gradients(make: Callable[..., Any]) -> None:
    layer = make(INPUT, HIDDEN, bidirectional=True, rng=0)
    y, _, cache = layer.forward(GOOD)
    for dy, error, words in (
        (y[:-1], ValueError, ["[5, 3, 12]", "(4, 3, 12)"]),
        (y[:, :1], ValueError, ["[5, 3, 12]", "(5, 1, 12)"]),
        (y[..., :6], ValueError, ["[5, 3, 12]", "(5, 3, 6)"]),
        (y[0], ValueError, ["[5, 3, 12]", "(3, 12)"]),
        (y.swapaxes(0, 1), ValueError, ["[5, 3, 12]", "(3, 5, 12)"]),
        (y.astype(np.float64), TypeError, ["float32", "float64"]),
        (np.ones(y.shape, int), TypeError, ["float32", "int64"]),
        (1.0, TypeError, ["float32", "float64"]),
    ):
        refuses(layer, lambda d=dy: layer.backward(d, cache), error, "dy", *words)


@every_layer
def test_caches(make: Callable[..., Any]) -> None:
    layer, alike = make(INPUT, HIDDEN, rng=0), make(INPUT, HIDDEN, rng=0)
    y, state, cache = layer.forward(GOOD)
    linear = rc.Linear(INPUT, HIDDEN, rng=0)
    foreign = linear.forward(GOOD)[1]
    for wrong, error, words in (
        (alike.forward(GOOD)[2], ValueError, ["another layer"]),
        (foreign, ValueError, ["another layer", "Linear"]),
        (None, TypeError, ["None"]),
        (state, TypeError, ["tuple" if make is rc.LSTM else "array"]),
        ((y, state, cache), TypeError, ["tuple"]),
    ):
        refuses(layer, lambda w=wrong: layer.backward(y, w), error, "cache", *words)
    refuses(linear, lambda: linear.backward(y, cache), ValueError, "cache", "another layer")
    layer.backward(y, cache)  # still good


@pytest.mark.parametrize(
    "make", [*RECURRENT.values(), rc.Linear, rc.Embedding], ids=[*RECURRENT, "Linear", "Embedding"]
)
def test_cache_from_before_load_state_dict(make: Callable[..., Any]) -> None:
    layer = make(INPUT, HIDDEN, rng=0)
    x = GOOD if make is not rc.Embedding else np.zeros((STEPS, BATCH), int)
    y, *_, cache = layer.forward(x)
    layer.load_state_dict(layer.state_dict())
    refuses(layer, lambda: layer.backward(y, cache), ValueError, "cache", "load_state_dict")
    y, *_, cache = layer.forward(x)
    layer.backward(y, cache)


# --- load_state_dict -----------------------------------------------------------------------------
@every_layer
def test_load_state_dict(make: Callable[..., Any]) -> None:
    layer = make(INPUT, HIDDEN, rng=0)
    good = make(INPUT, HIDDEN, rng=1).state_dict()
    for wrong, error, words in (
        (
            {**good, "weight_ih_l1": good["weight_ih_l0"]},
            ValueError,
            ["unexpected", "weight_ih_l1"],
        ),
        (
            {k: v for k, v in good.items() if k != "bias_hh_l0"},
            ValueError,
            ["missing", "bias_hh_l0"],
        ),
        ({}, ValueError, ["missing", "weight_ih_l0"]),
        ({**good, "bias_hh_l0": good["bias_hh_l0"][:-1]}, ValueError, ["bias_hh_l0", "shape"]),
        ({**good, "weight_ih_l0": good["weight_ih_l0"].T}, ValueError, ["weight_ih_l0", "(4, "]),
        (
            {**good, "bias_hh_l0": good["bias_hh_l0"].astype(np.int8)},
            TypeError,
            ["bias_hh_l0", "floating numbers", "int8"],
        ),
        ({**good, "bias_hh_l0": None}, TypeError, ["bias_hh_l0", "None"]),
        (list(good.items()), TypeError, ["mapping", "list"]),
        (None, TypeError, ["mapping", "None"]),
    ):
        # all or nothing: the good entries before the bad one are not copied
        refuses(layer, lambda w=wrong: layer.load_state_dict(w), error, "state_dict", *words)
