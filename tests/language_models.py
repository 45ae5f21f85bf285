"""Small language models for tests, and the same computation step by step in NumPy."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

import rnncore as rc
from rnncore.data import Batch
from rnncore.text import CharTokenizer
from twin import Twin

Array = NDArray[Any]

TEXT = "to be, or not to be: that is the question.\n"

#: Name -> constructor's keywords: every cell, both forms of input, stacked and not, with and
#: without biases.
MODELS: dict[str, dict[str, Any]] = {
    "lstm": {"cell": "lstm", "num_layers": 2},
    "lstm embedded": {"cell": "lstm", "embedding_size": 4, "bias": False},
    "gru": {"cell": "gru", "bias": False},
    "gru before embedded": {
        "cell": "gru",
        "reset": "before",
        "embedding_size": 3,
        "num_layers": 2,
    },
    "rnn embedded": {"cell": "rnn", "embedding_size": 5, "num_layers": 2},
    "rnn sigmoid": {"cell": "rnn", "nonlinearity": "sigmoid"},
}


def make_model(name: str, dtype: Any = np.float32, **options: Any) -> rc.LanguageModel:
    """A model of 7 tokens and 6 hidden units."""
    keywords = {"hidden_size": 6, "num_layers": 1, "dtype": dtype, "rng": 3, **MODELS[name]}
    return rc.LanguageModel(7, **{**keywords, **options})


def log_probabilities(model: rc.LanguageModel, ids: Any) -> Array:
    """ln p(v | ids[0..t]) of every token v after every step t, in float64: [T,V]."""
    options = model.config()
    kind = options.get("nonlinearity") or options.get("reset")
    kind = kind or {"rnn": "tanh", "gru": "after", "lstm": ""}[model.cell]
    twin = Twin(
        f"{model.cell}_{kind}".removesuffix("_"),
        model.rnn.input_size,
        model.rnn.hidden_size,
        model.rnn.num_layers,
        model.rnn.bias,
    )
    params = {name: value.astype(np.float64) for name, value in model.params.items()}
    x = np.asarray(ids)[:, np.newaxis]  # [T,1]
    if model.embedding is not None:
        x = params["embedding.weight"][x]  # [T,1,E]
    own = {n.removeprefix("rnn."): p for n, p in params.items() if n.startswith("rnn.")}
    y, _, _ = twin.forward(own, x)
    logits = y[:, 0] @ params["output.weight"].T + params.get("output.bias", 0.0)
    logits -= logits.max(axis=1, keepdims=True)
    return logits - np.log(np.exp(logits).sum(axis=1, keepdims=True))


def text_model(text: str = TEXT, **options: Any) -> rc.LanguageModel:
    tokenizer = CharTokenizer.fit(text)
    return rc.LanguageModel(tokenizer.vocab_size, tokenizer=tokenizer, rng=0, **options)


def loss_and_grad(
    model: rc.Model,
    inputs: Any,
    targets: Any,
    state: Any = None,
    lengths: Any = None,
    **options: Any,
) -> tuple[float, Any]:
    return model.loss_and_grad(Batch(inputs, targets, lengths), state, **options)


def loss_of(
    model: rc.Model, inputs: Any, targets: Any, state: Any = None, lengths: Any = None
) -> tuple[float, Any]:
    return model.loss(Batch(inputs, targets, lengths), state)
