"""States with and without the batch: where the batch is 1, either is what the other calls made."""

from typing import Any

import numpy as np
import pytest

import rnncore as rc
from arrays import inputs, map_state
from problems import as_tuple

MAKERS = (rc.RNN, rc.GRU, rc.LSTM)


def states(layer: Any, batch: int = 1) -> Any:
    """A state [L*D,B,H]."""
    rows = layer.num_layers * layer.num_directions
    arrays = [inputs(rows, batch, layer.hidden_size, seed=i) for i in range(len(layer.state_names))]
    return tuple(arrays) if len(arrays) > 1 else arrays[0]


def unbatched(state: Any) -> Any:
    return map_state(lambda array: array[:, 0], state)


def assert_same(got: Any, expected: Any) -> None:
    for a, b in zip(as_tuple(got), as_tuple(expected), strict=True):
        np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize("make", MAKERS)
@pytest.mark.parametrize("bidirectional", [False, True])
@pytest.mark.parametrize("batched", [False, True])
def test_layers_take_either(make: Any, bidirectional: bool, batched: bool) -> None:
    layer = make(3, 5, num_layers=2, bidirectional=bidirectional, rng=0)
    x, dy = inputs(7, 1, 3), inputs(7, 1, 5 * layer.num_directions)
    if not batched:
        x, dy = x[:, 0], dy[:, 0]
    results = []
    for state in (states(layer), unbatched(states(layer))):
        y, final, cache = layer.forward(x, state)
        dx, dstate = layer.backward(dy, cache, state)
        called, frozen = layer(x, state), layer.frozen()(x, state)
        results.append((y, dx, called[0], frozen[0], *map(as_tuple, (final, dstate, called[1]))))
    for one, other in zip(*results, strict=True):
        assert_same(one, other)
    ndim = 3 if batched else 2  # as x, whatever was given
    assert all(array.ndim == ndim for group in results[1][4:] for array in group)


@pytest.mark.parametrize("make", MAKERS)
def test_streams_take_either(make: Any) -> None:
    layer = make(3, 5, num_layers=2, rng=0)
    stream = layer.stream()
    for state in (states(layer), unbatched(states(layer))):
        stream.state = state
        assert_same(stream.state, states(layer))


@pytest.mark.parametrize("make", MAKERS)
def test_an_encoder_and_a_stream(make: Any) -> None:
    """What an unbatched call has left goes on in a stream, and what that leaves in a call."""
    layer = make(3, 5, num_layers=2, rng=0)
    x = inputs(30, 3)
    expected, final = layer(x)
    stream = layer.stream()
    stream.state = layer(x[:10])[1]
    middle = stream.run(x[10:20])
    y, state = layer(x[20:], stream.state)
    np.testing.assert_allclose(np.concatenate([middle, y]), expected[10:], rtol=0, atol=1e-6)
    for a, b in zip(as_tuple(state), as_tuple(final), strict=True):
        np.testing.assert_allclose(a, b, rtol=0, atol=1e-6)


def test_language_models_take_either() -> None:
    model = rc.LanguageModel(9, "lstm", 4, 5, 2, rng=0)
    ids = np.arange(6)
    for tokens in (ids, ids[:, np.newaxis]):
        results = []
        for state in (states(model.rnn), unbatched(states(model.rnn))):
            logits, final = model(tokens, state)
            model.zero_grad()
            batch = rc.data.Batch(tokens, tokens)
            loss, after = model.loss_and_grad(batch, state)
            gradient = model.flat_grads.copy()
            assert model.loss(batch, state)[0] == pytest.approx(loss, rel=1e-6)
            results.append((logits, *final, np.array(loss), *after, gradient))
        for one, other in zip(*results, strict=True):
            np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize("make", MAKERS)
def test_more_than_one_sequence_needs_the_batch(make: Any) -> None:
    layer = make(3, 5, num_layers=2, rng=0)
    stream = layer.stream(2)
    for state in (unbatched(states(layer)), states(layer)):
        shapes = r"expected shape \[2, 2, 5\], got .*\(2, (1, )?5\)"
        with pytest.raises(ValueError, match=shapes):
            layer(inputs(7, 2, 3), state)
        with pytest.raises(ValueError, match=shapes):
            stream.state = state
    for x, shape in ((inputs(7, 3), r"\[2, 5\]"), (inputs(7, 1, 3), r"\[2, 1, 5\]")):
        with pytest.raises(ValueError, match=rf"expected shape {shape}, got .*\(2, 2, 5\)"):
            layer(x, states(layer, 2))
        with pytest.raises(ValueError, match=rf"expected shape {shape}, got .*\(1, 5\)"):
            layer(x, map_state(lambda array: array[:1, 0], states(layer)))
