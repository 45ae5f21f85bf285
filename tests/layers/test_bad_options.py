"""Bad arguments of constructors: the right exception, and which argument, what came, what fits."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import rnncore as rc

RECURRENT: dict[str, Callable[..., Any]] = {"RNN": rc.RNN, "GRU": rc.GRU, "LSTM": rc.LSTM}
every_layer = pytest.mark.parametrize("make", RECURRENT.values(), ids=RECURRENT.keys())

BAD_OPTIONS: list[tuple[dict[str, Any], type[Exception], list[str]]] = [
    ({"input_size": 0}, ValueError, ["input_size", "at least 1", "0"]),
    ({"input_size": -3}, ValueError, ["input_size", "-3"]),
    ({"hidden_size": -1}, ValueError, ["hidden_size", "at least 1", "-1"]),
    ({"hidden_size": 2.0}, TypeError, ["hidden_size", "integer", "2.0"]),
    ({"hidden_size": "8"}, TypeError, ["hidden_size", "integer", "'8'"]),
    ({"hidden_size": None}, TypeError, ["hidden_size", "None"]),
    ({"hidden_size": True}, TypeError, ["hidden_size", "True"]),
    ({"num_layers": 0}, ValueError, ["num_layers", "at least 1", "0"]),
    ({"num_layers": 1.5}, TypeError, ["num_layers", "1.5"]),
    ({"dropout": 1.0}, ValueError, ["dropout", "[0, 1)", "1"]),
    ({"dropout": -0.1}, ValueError, ["dropout", "[0, 1)", "-0.1"]),
    ({"dropout": np.nan}, ValueError, ["dropout", "nan"]),
    ({"dropout": 10**400}, ValueError, ["dropout", "[0, 1)", "inf"]),
    ({"dropout": "high"}, TypeError, ["dropout", "'high'"]),
    ({"bias": 1}, TypeError, ["bias", "True or False", "1"]),
    ({"batch_first": "no"}, TypeError, ["batch_first", "True or False", "'no'"]),
    ({"bidirectional": 2}, TypeError, ["bidirectional", "2"]),
    ({"dtype": np.float16}, TypeError, ["dtype", "float32 or float64", "float16"]),
    ({"dtype": int}, TypeError, ["dtype", "int64"]),
    ({"dtype": ">f4"}, TypeError, ["dtype", ">f4"]),
    ({"dtype": "single precision"}, TypeError, ["dtype", "'single precision'"]),
    ({"dtype": None}, TypeError, ["dtype", "None"]),
    ({"rng": "seed"}, TypeError, ["rng", "'seed'"]),
    ({"rng": 1.5}, TypeError, ["rng", "1.5"]),
    ({"rng": -1}, ValueError, ["rng", "-1"]),
    ({"hidden_sizes": 3}, TypeError, ["hidden_sizes"]),
    ({"proj_size": 3}, TypeError, ["proj_size"]),
]


@every_layer
@pytest.mark.parametrize(
    ("options", "error", "words"), BAD_OPTIONS, ids=[str(options) for options, *_ in BAD_OPTIONS]
)
def test_recurrent_options(
    make: Callable[..., Any], options: dict[str, Any], error: type[Exception], words: list[str]
) -> None:
    with pytest.raises(error) as raised:
        make(**{"input_size": 4, "hidden_size": 6, **options})
    assert all(word in str(raised.value) for word in words), str(raised.value)


@pytest.mark.parametrize(
    ("call", "error", "text"),
    [
        (
            lambda: rc.RNN(4, 6, nonlinearity="softsign"),
            ValueError,
            r"nonlinearity: .*identity.*relu.*sigmoid.*tanh.*'softsign'",
        ),
        (lambda: rc.RNN(4, 6, nonlinearity=np.tanh), TypeError, "nonlinearity: .*tanh"),
        (lambda: rc.GRU(4, 6, reset="never"), ValueError, "reset: .*after.*before.*'never'"),
        (lambda: rc.GRU(4, 6, reset=True), TypeError, "reset: .*True"),
        # options of another cell
        (lambda: rc.GRU(4, 6, nonlinearity="relu"), TypeError, "nonlinearity"),
        (lambda: rc.LSTM(4, 6, reset="after"), TypeError, "reset"),
        (lambda: rc.RNN(4, 6, reset="after"), TypeError, "reset"),
        (lambda: rc.LSTM(4, 6, 1, True), TypeError, "positional"),
        (lambda: rc.Linear(0, 3), ValueError, "input_size: .*at least 1, got 0"),
        (lambda: rc.Linear(3, -1), ValueError, "output_size: .*-1"),
        (lambda: rc.Linear(3, 3, bias=None), TypeError, "bias"),
        (lambda: rc.Linear(3, 3, dtype="int8"), TypeError, "dtype: .*int8"),
        (lambda: rc.Embedding(0, 3), ValueError, "vocab_size: .*at least 1, got 0"),
        (lambda: rc.Embedding(3, 2.5), TypeError, "embedding_size: .*2.5"),
        (lambda: rc.Dropout(1.0), ValueError, r"p: .*\[0, 1\).*1"),
        (lambda: rc.Dropout(-0.5), ValueError, "p: .*-0.5"),
        (lambda: rc.Dropout(None), TypeError, "p: .*None"),
        (lambda: rc.Dropout(0.5, rng=0.5), TypeError, "rng: .*0.5"),
    ],
)
def test_options_of_one_layer(call: Callable[[], Any], error: type[Exception], text: str) -> None:
    with pytest.raises(error, match=text):
        call()


@pytest.mark.parametrize(
    "call",
    [
        lambda: rc.LSTM(10**6, 10**6),
        lambda: rc.LSTM(4, 10**9, 2, bidirectional=True),
        lambda: rc.RNN(2**31, 2**31),
        lambda: rc.GRU(2**62, 2**62),
        lambda: rc.GRU(10**30, 1),
        lambda: rc.Linear(10**9, 10**9),
        lambda: rc.Linear(2**40, 2**40),
        lambda: rc.Embedding(10**9, 10**9),
    ],
)
def test_layers_that_fit_in_no_memory(call: Callable[[], Any]) -> None:
    with pytest.raises(MemoryError) as raised:
        call()
    assert str(raised.value)


def test_sizes_that_fit_in_no_memory_are_named() -> None:
    layer = rc.LSTM(3, 4, rng=0)
    for call, text in (
        (
            lambda: rc.LSTM(3, 2**31),
            "the parameters of input_size=3, hidden_size=2147483648, num_layers=1: sizes overflow",
        ),
        (lambda: layer.stream(2**62), "batch_size=4611686018427387904: sizes overflow"),
        (lambda: layer.stream(10**10), r"batch_size=10000000000: needs .* are available"),
    ):
        with pytest.raises(MemoryError, match=text):
            call()


@pytest.mark.parametrize("steps", [0, 1])
@pytest.mark.parametrize("batch_size", [2**58, 2**60])
def test_batches_that_fit_in_no_memory(batch_size: int, steps: int) -> None:
    """Arrays of stride zero take no memory themselves; products of their sizes overflow."""
    layer = rc.LSTM(1, 64, 2, rng=0)
    x = np.broadcast_to(np.float32(0), (steps, batch_size, 1))
    for call in (layer, layer.forward, layer.frozen()):
        with pytest.raises(MemoryError):
            call(x)
    with pytest.raises(MemoryError):
        layer.forward(x, memory_limit=1 << 20)


def test_memory_is_checked_before_it_is_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    """Systems that overcommit would grant the request and end the process later."""
    monkeypatch.setattr("rnncore._memory.available", lambda: 100 << 20)
    rc.Linear(1000, 1000)  # with its gradients 8 MB
    with pytest.raises(MemoryError, match=r"Linear.* need 0\.\d+ GiB; 0\.0977 GiB are available"):
        rc.Linear(10_000, 1_400)
