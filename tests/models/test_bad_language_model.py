"""The language model refuses wrong arguments, batches, states and texts, and names them."""

from typing import Any

import numpy as np
import pytest

import rnncore as rc
from language_models import loss_and_grad, loss_of, make_model, text_model
from rnncore.models import Initialization
from rnncore.text import CharTokenizer


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"vocab_size": 0}, ValueError, "vocab_size: expected at least 1, got 0"),
        ({"vocab_size": -5}, ValueError, "vocab_size"),
        ({"vocab_size": 2.5}, TypeError, "vocab_size: expected an integer"),
        ({"cell": "elman"}, ValueError, r"cell: expected one of .*'lstm'.*, got 'elman'"),
        ({"hidden_size": -1}, ValueError, "hidden_size: expected at least 1, got -1"),
        ({"num_layers": 0}, ValueError, "num_layers: expected at least 1, got 0"),
        ({"embedding_size": 0}, ValueError, "embedding_size: expected at least 1, got 0"),
        ({"dropout": 1.0}, ValueError, r"dropout: expected .*\[0, 1\), got 1"),
        ({"dropout": float("nan")}, ValueError, "dropout"),
        ({"dtype": np.float16}, TypeError, "dtype: expected float32 or float64"),
        ({"reset": "before"}, TypeError, "reset: no option of cell 'lstm'"),
        ({"nonlinearity": "tanh"}, TypeError, "nonlinearity: no option of cell 'lstm'"),
        ({"bidirectional": True}, TypeError, "bidirectional: no option of LanguageModel"),
        ({"tokenizer": CharTokenizer("ab")}, ValueError, "vocabulary of vocab_size = 7.*got 2"),
        ({"tokenizer": "ab"}, TypeError, "tokenizer: expected an object with encode.*got str"),
        (
            {"initialization": "torch"},
            ValueError,
            "initialization: expected one of .*, got 'torch'",
        ),
        ({"hidden_size": 10**7}, MemoryError, "10000000"),
        ({"num_layers": 10**10}, MemoryError, "num_layers: 10000000000 layers need"),
    ],
)
def test_bad_arguments(arguments: dict[str, Any], error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        rc.LanguageModel(**{"vocab_size": 7, **arguments})


def test_bad_initialization() -> None:
    with pytest.raises(ValueError, match="initialization: expected one of"):
        Initialization("xavier")
    with pytest.raises(ValueError, match="scale: no option of initialization 'default'"):
        Initialization(scale=1.0)
    with pytest.raises(ValueError, match="one_hot_std: expected"):
        Initialization(one_hot_std=-1.0)
    with pytest.raises(TypeError, match="forget_gate_bias: expected a number"):
        Initialization(forget_gate_bias="high")
    with pytest.raises(ValueError, match=r"scale: expected a finite number in \[0, inf\), got -1"):
        Initialization("uniform", -1.0)
    with pytest.raises(TypeError, match="identity: expected a module with RNN layers"):
        make_model("lstm", initialization=Initialization("identity"))


@pytest.mark.parametrize(
    ("name", "initialization", "message"),
    [
        (
            "rnn embedded",
            Initialization(forget_gate_bias=5.0),
            "forget_gate_bias: expected an LSTM with biases, got RNN",
        ),
        (
            "gru",
            Initialization(forget_gate_bias=0.0),
            "forget_gate_bias: expected an LSTM with biases, got GRU",
        ),
        (
            "lstm embedded",
            Initialization(forget_gate_bias=5.0),
            r"forget_gate_bias: expected an LSTM with biases, got LSTM\(.*bias=False",
        ),
        (
            "gru before embedded",
            Initialization("pytorch", one_hot_std=1.0),
            "one_hot_std: no option of a model with an embedding, got 1",
        ),
        ("lstm", Initialization("uniform", 1e39), r"scale: .*, got 1e\+39"),
        ("lstm", Initialization(one_hot_std=1e39), r"one_hot_std: .*, got 1e\+39"),
        ("lstm", Initialization(forget_gate_bias=1e39), r"forget_gate_bias: .*, got 1e\+39"),
    ],
)
def test_initialization_of_what_the_model_lacks(
    name: str, initialization: Initialization, message: str
) -> None:
    with pytest.raises(ValueError, match=f"^{message}"):
        make_model(name, initialization=initialization)


@pytest.mark.parametrize(
    ("inputs", "targets", "error", "message"),
    [
        ([[7]], [[0]], ValueError, "7"),
        ([[-1]], [[0]], ValueError, "-1"),
        ([[0]], [[7]], ValueError, "7"),
        ([[0]], [[-1]], ValueError, "-1"),
        ([[0.0]], [[0]], TypeError, "inputs: expected integers"),
        ([[0]], [[0.0]], TypeError, "targets: expected integers"),
        ([[0, 1]], [[0], [1]], ValueError, "targets: expected shape"),
        ([[[0]]], [[[0]]], ValueError, r"inputs: expected shape \[T, B\] or \[T\]"),
    ],
)
@pytest.mark.parametrize("name", ["lstm", "lstm embedded"])
def test_bad_batches(
    name: str, inputs: Any, targets: Any, error: type[Exception], message: str
) -> None:
    model = make_model(name)
    for call in (loss_of, loss_and_grad):
        with pytest.raises(error, match=message):
            call(model, inputs, targets)
    assert not model.flat_grads.any()


def test_bad_lengths_and_states() -> None:
    model = make_model("lstm")
    ids = np.zeros((4, 2), int)
    with pytest.raises(TypeError, match="lengths: expected"):
        loss_of(model, ids, ids, lengths=[1.0, np.nan])
    with pytest.raises(ValueError, match="lengths: expected"):
        loss_and_grad(model, ids, ids, lengths=[5, 1])
    with pytest.raises(ValueError, match="lengths: expected"):
        loss_of(model, ids, ids, lengths=[1, 2, 3])
    _, state = loss_of(make_model("gru"), ids, ids)
    with pytest.raises(TypeError, match="state: expected a tuple"):
        loss_of(model, ids, ids, state)


@pytest.mark.parametrize("name", ["lstm", "lstm embedded"])
@pytest.mark.parametrize(
    ("inputs", "targets", "message"),
    [
        (
            [0, 1],
            [7, 8],
            r"targets: expected ids in \[0, V=7\) or -100 \(ignored\), got 7 at \[0\]",
        ),
        ([0, 7], [1, 2], r"inputs: expected ids in \[0, V=7\), got 7 at \[1\]"),
    ],
)
def test_a_call_that_is_refused_draws_no_mask(
    name: str, inputs: list[int], targets: list[int], message: str
) -> None:
    model = make_model(name, dropout=0.5, num_layers=2)
    before = model.rng.bit_generator.state
    with pytest.raises(ValueError, match=message):
        loss_and_grad(model, inputs, targets)
    assert model.rng.bit_generator.state == before


def test_bad_texts() -> None:
    model, of_ids = text_model(hidden_size=4), make_model("lstm")
    with pytest.raises(ValueError, match=r"'#' \(U\+0023\) at position 3 is not in the vocabulary"):
        model.score("to #be")
    with pytest.raises(ValueError, match="expected ids, got text; the model has no vocabulary"):
        of_ids.score("to be")
    with pytest.raises(ValueError, match=r"tokens: expected shape \[N\]"):
        of_ids.score([[1, 2]])
    for large in ([2**70], np.array([2**64 - 1], np.uint64)):
        with pytest.raises(ValueError, match=r"prompt: expected integers in .*, got .*\d{19}"):
            of_ids.sample(large, 1)
    with pytest.raises(TypeError, match="tokens: expected integers"):
        of_ids.score([0.5, 1.0])
    for outside in (9, -1, -100):  # -100 is a target that does not count, but no token
        with pytest.raises(
            ValueError, match=rf"tokens: expected ids in .*, got {outside} at \[1\]"
        ):
            of_ids.score([0, outside])
        with pytest.raises(
            ValueError, match=rf"prompt: expected ids in .*, got {outside} at \[1\]"
        ):
            of_ids.sample([0, outside], 1)
    with pytest.raises(ValueError, match="prompt: character '#'"):
        model.sample("#", 1)
    with pytest.raises(MemoryError, match="length: 10000000000000 tokens need"):
        of_ids.sample([0], 10**13)
    assert (
        of_ids.sample([0], 3, top_k=10**30, rng=0).tolist() == of_ids.sample([0], 3, rng=0).tolist()
    )


def test_bad_configuration_of_training() -> None:
    with pytest.raises(TypeError, match="config: expected a TrainingConfig, got dict"):
        make_model("lstm").fit([0, 1] * 50, {"epochs": 1})
