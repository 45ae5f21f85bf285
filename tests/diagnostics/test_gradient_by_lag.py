"""The gradient of the loss at t by the state at t - k, against the twin's back-propagation."""

from typing import Any

import numpy as np
import pytest

import rnncore as rc
from problems import CELL_NAMES, Problem
from rnncore import diagnostics
from twin import Array, Twin

T, B, I, H = 6, 3, 4, 5  # noqa: E741


def expected(problem: Problem) -> dict[str, Array]:
    """Norms [T,T,B], one loss and one state at a time."""
    twin, x = problem.twin, problem.x
    names = [
        f"{s}_l{layer}" for s in "hc"[: twin.cell.num_states] for layer in range(twin.num_layers)
    ]
    norms = {name: np.full((T, T, B), np.nan) for name in names}
    lengths = [T] * B if problem.lengths is None else problem.lengths
    for b in range(B):
        one = slice(b, b + 1)
        state = None if problem.state is None else tuple(s[:, one] for s in problem.state)
        for t in range(lengths[b]):
            dy = problem.dy[t : t + 1, one]
            for lag in range(t + 1):
                at = t - lag
                _, middle, _ = twin.forward(problem.params, x[: at + 1, one], state)
                _, _, cache = twin.forward(problem.params, x[at + 1 : t + 1, one], middle)
                zeros = [np.zeros_like(s) for s in middle]
                if lag:
                    whole = np.concatenate([np.zeros((lag - 1, *dy.shape[1:])), dy])
                    _, grads, _ = twin.backward(problem.params, whole, cache)
                else:
                    grads = tuple(zeros)
                    grads[0][-1] = dy[0]
                rows = [row for g in grads for row in g]
                for name, row in zip(names, rows, strict=True):
                    norms[name][lag, t, b] = np.linalg.norm(row)
    return norms


@pytest.mark.parametrize("lengths", [None, [6, 2, 0]], ids=str)
@pytest.mark.parametrize("layers", [1, 3])
@pytest.mark.parametrize("cell", CELL_NAMES)
def test_against_the_twin(cell: str, layers: int, lengths: Any) -> None:
    problem = Problem.random(Twin(cell, I, H, layers), T, B, state=True, lengths=lengths)
    layer = problem.layer("float64")
    x, state, dy, _ = problem.inputs("float64")
    if lengths is not None:
        x[2:, 1] = dy[2:, 1] = np.nan  # past the end there may be anything
    lags = diagnostics.gradient_by_lag(layer, x, dy, state=state, lengths=problem.lengths)
    wanted = expected(problem)
    assert list(lags.norms) == list(wanted)
    for name, norms in wanted.items():
        np.testing.assert_allclose(lags.norms[name], norms, rtol=1e-10, atol=1e-14)
    assert not layer.flat_grads.any()


@pytest.mark.parametrize("kind", [rc.RNN, rc.GRU, rc.LSTM])
def test_the_reverse_direction_is_the_other_one_on_the_text_read_backwards(kind: Any) -> None:
    both = kind(I, H, bidirectional=True, dtype=np.float64, rng=0)
    one = kind(I, H, dtype=np.float64, rng=1)
    for name in one.params:
        one.params[name] = both.params[f"{name}_reverse"]
    rng = np.random.default_rng(2)
    x, dy = rng.standard_normal((T, B, I)), rng.standard_normal((T, B, 2 * H))
    lengths = [6, 4, 1]
    initial = tuple(rng.standard_normal((2, B, H)) for _ in both.state_names)
    given = initial if len(initial) > 1 else initial[0]
    lags = diagnostics.gradient_by_lag(both, x, dy, state=given, lengths=lengths, max_lag=3)
    for b, length in enumerate(lengths):
        state = tuple(s[1:, b : b + 1] for s in initial)
        alone = diagnostics.gradient_by_lag(
            one,
            x[:length, b : b + 1][::-1],
            dy[:length, b : b + 1, H:][::-1],
            state=state if len(state) > 1 else state[0],
        )
        for name, norms in alone.norms.items():
            got = lags.norms[f"{name}_reverse"][: len(norms), :length, b]
            np.testing.assert_allclose(got, norms[:4, ::-1, 0], rtol=1e-10)
        assert np.isnan(lags.norms["h_l0_reverse"][:, length:, b]).all()
    assert lags.mean(reverse=True)[0] > 0


def test_linear_network_multiplies_by_its_matrix() -> None:
    layer = rc.RNN(1, H, nonlinearity="identity", dtype=np.float64, rng=0)
    rc.init.identity(layer, 0.5)
    dy = np.ones((20, 1, H))
    lags = diagnostics.gradient_by_lag(layer, np.ones((20, 1, 1)), dy, max_lag=10)
    np.testing.assert_allclose(lags.mean(), np.sqrt(H) * 0.5 ** np.arange(11))
    assert lags.max_lag == 10


def test_layouts_agree() -> None:
    rng = np.random.default_rng(0)
    x, dy = rng.standard_normal((T, B, I)), rng.standard_normal((T, B, H))
    options: dict[str, Any] = {"dtype": np.float64, "rng": 0}
    layer, first = rc.LSTM(I, H, **options), rc.LSTM(I, H, batch_first=True, **options)
    whole = diagnostics.gradient_by_lag(layer, x, dy)
    turned = diagnostics.gradient_by_lag(first, x.swapaxes(0, 1), dy.swapaxes(0, 1))
    alone = diagnostics.gradient_by_lag(layer, x[:, 1], dy[:, 1])
    for name, norms in whole.norms.items():
        np.testing.assert_array_equal(turned.norms[name], norms)
        np.testing.assert_allclose(alone.norms[name][..., 0], norms[..., 1], rtol=1e-12)
    joint = np.hypot(whole.norms["h_l0"], whole.norms["c_l0"])
    np.testing.assert_allclose(whole.mean(), np.nanmean(joint, axis=(1, 2)))


def test_a_head_gives_the_gradient_of_each_step_alone() -> None:
    layer = rc.GRU(I, H, 2, dropout=0.5, dtype=np.float64, rng=0)
    head = rc.heads.Softmax(H, 7, dtype=np.float64, rng=1)
    rng = np.random.default_rng(2)
    x, targets = rng.standard_normal((T, B, I)), rng.integers(0, 7, (T, B))
    z = head(layer(x)[0])
    p = np.exp(z) / np.exp(z).sum(-1, keepdims=True)
    dy = (p - np.eye(7)[targets]) @ head.params["weight"]
    head.flat_grads = np.ones_like(head.flat_grads)
    got = diagnostics.gradient_by_lag(layer, x, head=head, targets=targets)
    wanted = diagnostics.gradient_by_lag(layer, x, dy)
    for name, norms in wanted.norms.items():
        np.testing.assert_allclose(got.norms[name], norms, rtol=1e-10)
    assert (head.flat_grads == 1).all()


@pytest.mark.parametrize("embedding", [None, 6])
def test_text(embedding: int | None) -> None:
    text = "to be or not to be"
    tokenizer = rc.text.CharTokenizer.fit(text)
    model = rc.LanguageModel(
        tokenizer.vocab_size, "lstm", embedding, H, 2, tokenizer=tokenizer, dropout=0.3, rng=0
    )
    lags = diagnostics.text_gradient_by_lag(model, text, max_lag=5)
    assert lags.norms["c_l1"].shape == (6, len(text) - 1, 1)
    ids = tokenizer.encode(text)
    short = diagnostics.text_gradient_by_lag(model, ids[:4])
    assert short.max_lag == 2
    np.testing.assert_allclose(short.norms["h_l0"], lags.norms["h_l0"][:3, :3], rtol=1e-4)
    assert not model.flat_grads.any()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"dy": None}, "dy: expected either dy or head and targets, got neither"),
        ({"head": rc.heads.Softmax(H, 3)}, "got both"),
        ({"dy": None, "head": rc.heads.Softmax(H, 3)}, "targets: expected what the head"),
        ({"max_lag": T}, "max_lag: expected"),
        ({"x": np.zeros((0, B, I))}, "x: expected at least one step"),
        ({"dy": np.zeros((T, B, H + 1))}, "dy: expected"),
        ({"layer": rc.RNN(I, H, 2, bidirectional=True)}, "layer: expected a unidirectional"),
    ],
)
def test_errors(change: dict[str, Any], message: str) -> None:
    arguments = {
        "layer": rc.RNN(I, H, dtype=np.float64, rng=0),
        "x": np.zeros((T, B, I)),
        "dy": np.zeros((T, B, H)),
    }
    with pytest.raises(ValueError, match=message):
        diagnostics.gradient_by_lag(**arguments | change)


def test_errors_of_the_rest() -> None:
    with pytest.raises(TypeError, match="layer: expected"):
        diagnostics.gradient_by_lag(rc.Linear(3, 2), np.zeros((2, 3)))  # type: ignore[arg-type]
    model = rc.LanguageModel(5, hidden_size=4, rng=0)
    with pytest.raises(ValueError, match="text: expected at least 2 tokens, got 1"):
        diagnostics.text_gradient_by_lag(model, [1])
    lags = diagnostics.text_gradient_by_lag(model, [1, 2, 3])
    with pytest.raises(ValueError, match="layer: expected"):
        lags.mean(2)
    with pytest.raises(ValueError, match="reverse: expected False"):
        lags.mean(reverse=True)
