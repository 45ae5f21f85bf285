"""Gradients of the layers against finite differences in float64, and the tutorial's network."""

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

import rnncore as rc
from finite_difference import assert_gradient
from language_models import loss_and_grad
from problems import CELL_NAMES, Problem, as_public, as_tuple
from rnncore.losses import cross_entropy
from twin import Twin

Array = NDArray[Any]


@pytest.mark.parametrize("ids", [False, True], ids=["rows", "ids"])
@pytest.mark.parametrize("lengths", [None, (2, 0, 4)], ids=["full", "ragged"])
@pytest.mark.parametrize("bidirectional", [False, True], ids=["forward", "both"])
@pytest.mark.parametrize("num_layers", [1, 2])
@pytest.mark.parametrize("cell", CELL_NAMES)
def test_layer(
    cell: str, num_layers: int, bidirectional: bool, lengths: tuple[int, ...] | None, ids: bool
) -> None:
    # Biases in half of the cases, so that both forms meet every other option.
    bias = (num_layers + bidirectional + (lengths is None) + ids) % 2 == 0
    twin = Twin(cell, 3, 2, num_layers, bias, bidirectional)
    problem = Problem.random(twin, 4, 3, ids=ids, state=True, lengths=lengths)
    assert problem.state is not None
    assert problem.dstate is not None
    layer = problem.layer("float64")

    def loss() -> float:
        y, final = layer(problem.x, as_public(problem.state), lengths=problem.lengths)
        pairs = zip(as_tuple(final), problem.dstate, strict=True)
        return float(np.sum(y * problem.dy) + sum(np.sum(s * d) for s, d in pairs))

    answers = problem.solve(layer)
    assert_gradient(loss, layer.flat_params, layer.flat_grads, "parameters")
    if not ids:
        assert_gradient(loss, problem.x, answers["dx"], "x")
    for i, values in enumerate(problem.state):
        assert_gradient(loss, values, answers[f"gradient of initial state {i}"], f"state {i}")


def tutorial_loss(rnn: Any, output: Any, x: Array, y: Array) -> tuple[float, Array, Any, Any]:
    """s_t = tanh(U x_t + W s_{t-1}), o_t = softmax(V s_t): its loss, and what backward needs."""
    states, _, rnn_cache = rnn.forward(x)
    logits, output_cache = output.forward(states)
    loss, dlogits = cross_entropy(logits, y)
    return float(loss), dlogits, rnn_cache, output_cache


@pytest.mark.parametrize("cell", ["rnn", "gru", "lstm"])
def test_tutorial_network(cell: str) -> None:
    """Vocabulary 100, hidden 10, no biases, one-hot words, softmax loss; every parameter."""
    vocabulary, hidden = 100, 10
    x, y = np.array([0, 1, 2, 3]), np.array([1, 2, 3, 4])
    constructor = {"rnn": rc.RNN, "gru": rc.GRU, "lstm": rc.LSTM}[cell]
    rnn = constructor(vocabulary, hidden, bias=False, dtype=np.float64, rng=10)
    output = rc.Linear(hidden, vocabulary, bias=False, dtype=np.float64, rng=11)
    loss, dlogits, rnn_cache, output_cache = tutorial_loss(rnn, output, x, y)
    # Untrained, every word is about equally likely.
    assert loss == pytest.approx(np.log(vocabulary), rel=0.03)

    dx, _ = rnn.backward(output.backward(dlogits, output_cache), rnn_cache)
    assert dx is None
    for layer in (rnn, output):
        for name, values in layer.params.items():
            assert_gradient(
                lambda: tutorial_loss(rnn, output, x, y)[0], values, layer.grads[name], name
            )
    # Words that never occur have no gradient.
    assert not np.any(rnn.grads["weight_ih_l0"][:, 4:])


def test_tutorial_network_as_language_model() -> None:
    """The same network as one model, with its fused loss."""
    vocabulary, hidden = 100, 10
    x, y = np.array([[0], [1], [2], [3]]), np.array([[1], [2], [3], [4]])

    def model_of(seed: int) -> Any:
        options = {"hidden_size": hidden, "num_layers": 1, "bias": False, "dtype": np.float64}
        return rc.LanguageModel(vocabulary, cell="rnn", rng=seed, **options)

    model = model_of(0)
    model.zero_grad()
    loss_and_grad(model, x, y)
    gradient = model.flat_grads.copy()
    assert_gradient(
        lambda: float(loss_and_grad(model, x, y)[0]), model.flat_params, gradient, "parameters"
    )
    # Four words say little: the mean over many models is what must be near ln V.
    losses = [loss_and_grad(model_of(seed), x, y)[0] for seed in range(64)]
    assert np.mean(losses) == pytest.approx(np.log(vocabulary), rel=0.05)


def test_gradient_vanishes_with_small_and_explodes_with_large_recurrent_weights() -> None:
    """The tutorial's lesson: the derivative of h_T by h_0 is the weight to the power T."""
    num_steps, hidden = 30, 4
    for scale in (0.5, 1.0, 1.5):
        rnn = rc.RNN(1, hidden, bias=False, nonlinearity="identity", dtype=np.float64, rng=0)
        rnn.params["weight_hh_l0"][:] = scale * np.eye(hidden)
        _, _, cache = rnn.forward(np.zeros((num_steps, 1, 1)))
        _, dstate = rnn.backward(None, cache, np.ones((1, 1, hidden)))
        np.testing.assert_allclose(dstate, scale**num_steps, rtol=1e-13)
