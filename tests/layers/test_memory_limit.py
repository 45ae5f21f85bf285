"""Back-propagation in segments of time: the same bits in less memory."""

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

import rnncore as rc
from language_models import loss_and_grad
from many_threads import assert_bits_do_not_depend_on_threads, threads
from memory_limits import least
from problems import CELL_NAMES, Answers, as_tuple, assert_same_bits, make_layer
from rnncore.layers import OutputGradient
from rnncore.layers.recurrent import Recurrent
from twin import Twin

Array = NDArray[Any]
STEPS, BATCH, INPUTS, HIDDEN = 70, 40, 5, 6  # 12 steps to a chunk of 512 rows
RAGGED = tuple((11 * b) % (STEPS + 1) for b in range(BATCH))


def layer(cell: str, dtype: Any = np.float32, num_layers: int = 2, **options: Any) -> Any:
    return make_layer(Twin(cell, INPUTS, HIDDEN, num_layers), np.dtype(dtype).name, **options)


def inputs(dtype: Any, ids: bool = False, steps: int = STEPS) -> Array:
    rng = np.random.default_rng(0)
    if ids:
        return rng.integers(0, INPUTS, (steps, BATCH))
    return rng.standard_normal((steps, BATCH, INPUTS)).astype(dtype)


def states(rnn: Any, seed: int) -> Any:
    rng = np.random.default_rng(seed)
    shape = (rnn.num_layers, BATCH, rnn.hidden_size)
    arrays = tuple(rng.standard_normal(shape).astype(rnn.dtype) for _ in rnn.state_names)
    return arrays if len(arrays) > 1 else arrays[0]


def run(rnn: Any, x: Array, memory_limit: int | None, lengths: Any = None) -> Answers:
    """All results of both passes; dropout, where there is any, with the same mask every time."""
    rnn.rng.bit_generator.state = np.random.PCG64(4).state
    y, state, cache = rnn.forward(x, states(rnn, 1), lengths, memory_limit=memory_limit)
    rng = np.random.default_rng(2)
    dx, dstate = rnn.backward(rng.standard_normal(y.shape).astype(rnn.dtype), cache, states(rnn, 3))
    answers = {"y": y.copy(), "grads": rnn.flat_grads.copy()}
    if dx is not None:
        answers["dx"] = dx
    for name, arrays in {"state": state, "dstate": dstate}.items():
        answers.update({f"{name} {i}": a for i, a in enumerate(as_tuple(arrays))})
    rnn.zero_grad()
    return answers


def nbytes(rnn: Any, x: Array, memory_limit: int | None = None) -> int:
    _, _, cache = rnn.forward(x, memory_limit=memory_limit)
    return int(cache.saved.core.nbytes)


@pytest.mark.parametrize("lengths", [None, RAGGED], ids=["full", "ragged"])
@pytest.mark.parametrize("ids", [False, True], ids=["vectors", "ids"])
@pytest.mark.parametrize("cell", CELL_NAMES)
def test_same_bits(cell: str, ids: bool, lengths: Any, dtype: type[np.floating]) -> None:
    """From one segment to as many as there are chunks, the last one shorter."""
    rnn = layer(cell, dtype)
    x = inputs(dtype, ids)
    expected = run(rnn, x, None, lengths)
    smallest, whole = least(rnn, x), nbytes(rnn, x)
    assert smallest < whole / 2
    for limit in (smallest, (smallest + whole) // 2, 10 * whole):
        assert_same_bits(run(rnn, x, limit, lengths), expected)


@pytest.mark.parametrize("cell", ["lstm", "gru_after"])
def test_dropout_between_layers(cell: str) -> None:
    """Every segment's mask is its part of the mask of all steps."""
    rnn = layer(cell, num_layers=3, dropout=0.5)
    x = inputs(np.float32)
    assert_same_bits(run(rnn, x, least(rnn, x)), run(rnn, x, None))


def test_any_number_of_threads() -> None:
    rnn = rc.LSTM(40, 80, 2, rng=0)
    rng = np.random.default_rng(0)
    x = rng.standard_normal((STEPS, BATCH, 40)).astype(np.float32)
    limit = least(rnn, x)
    assert_bits_do_not_depend_on_threads(lambda: run(rnn, x, limit))
    with threads(2):
        assert_same_bits(run(rnn, x, limit), run(rnn, x, None))


def test_dropout_of_few_rows() -> None:
    """The threads of a pass divide its layers, unless dropout changes the outputs themselves."""
    rnn = rc.LSTM(40, 80, 3, dropout=0.5, rng=0)
    x, dy = (
        np.random.default_rng(i).standard_normal((1000, 2, n)).astype(np.float32)
        for i, n in enumerate((40, 80))
    )
    limit = least(rnn, x)

    def gradient(memory_limit: int | None) -> Answers:
        rnn.rng.bit_generator.state = np.random.PCG64(4).state
        rnn.zero_grad()
        y, _, cache = rnn.forward(x, memory_limit=memory_limit)
        rnn.backward(dy, cache)
        return {"y": y.copy(), "grads": rnn.flat_grads.copy()}

    assert_bits_do_not_depend_on_threads(lambda: gradient(limit))
    assert_same_bits(gradient(limit), gradient(None))


@pytest.mark.parametrize("options", [{}, {"embedding_size": 4, "dropout": 0.3}])
def test_language_model(options: dict[str, Any]) -> None:
    def gradient(memory_limit: int | None) -> Answers:
        model = rc.LanguageModel(9, hidden_size=8, rng=0, **options)
        rng = np.random.default_rng(0)
        tokens = rng.integers(0, 9, (STEPS + 1, BATCH))
        loss, state = loss_and_grad(model, tokens[:-1], tokens[1:], memory_limit=memory_limit)
        return {"loss": np.array(loss), "grads": model.flat_grads, "h": state[0], "c": state[1]}

    # a quarter of what the layers keep: i, f, g, o, c, h of two layers and their 8 units
    limit = STEPS * BATCH * 2 * 6 * 8 * 4 // 4
    assert_same_bits(gradient(limit), gradient(None))


def test_memory_of_two_square_roots() -> None:
    """T = 100,000: 512 steps at a time and a checkpoint (2 of 6 values) before each, for LSTM 577.

    2 sqrt(T) is 632; the alignment of arrays and the ids' slots, 4 bytes a step, are left a tenth.
    """
    rnn = rc.LSTM(3, 8, rng=0)
    x = np.zeros((100_000, 1, 3), np.float32)
    step = 6 * 8 * 4
    limit = int(1.1 * 632 * step)
    assert nbytes(rnn, x, limit) < limit
    assert least(rnn, x) < limit
    y, _, cache = rnn.forward(x, memory_limit=limit)
    rnn.backward(np.ones_like(y), cache)


def test_the_limit_holds_and_is_used() -> None:
    rnn = layer("lstm")
    x = inputs(np.float32)
    smallest, whole = least(rnn, x), nbytes(rnn, x)
    assert nbytes(rnn, x, smallest) < smallest  # the checkpoints alone
    assert nbytes(rnn, x, 2 * whole) == whole  # nothing is made twice where all fits
    with pytest.raises(ValueError, match="memory_limit: expected at least"):
        rnn.forward(x, memory_limit=smallest - 1)


def test_without_outputs() -> None:
    rnn: Recurrent[Any] = layer("gru_after")
    output = rc.Linear(HIDDEN, 7, rng=0)
    x = inputs(np.float32)
    targets = np.random.default_rng(0).integers(0, 7, (STEPS, BATCH))
    answers = []
    for limit in (None, least(rnn, x)):
        y, _, cache = rnn.forward(x, memory_limit=limit, needs_output=False)
        assert y is None
        source = OutputGradient(output, "softmax", targets)
        dx, _ = rnn.backward(source, cache)
        loss = source.loss
        assert dx is not None
        answers.append({"loss": np.array(loss), "dx": dx, "grads": rnn.flat_grads.copy()})
        rnn.zero_grad()
    assert_same_bits(*answers)


def test_refusals() -> None:
    rnn = layer("lstm")
    x = inputs(np.float32)
    with pytest.raises(ValueError, match="memory_limit: expected at least 1, got 0"):
        rnn.forward(x, memory_limit=0)
    with pytest.raises(TypeError, match="memory_limit: expected"):
        rnn.forward(x, memory_limit=1e9)
    both = rc.LSTM(INPUTS, HIDDEN, bidirectional=True)
    with pytest.raises(ValueError, match="memory_limit: a bidirectional network reads the whole"):
        both.forward(x, memory_limit=1000)
    both.forward(x, memory_limit=1 << 30)
    rnn.forward(x, memory_limit=1 << 70)  # no limit at all
    for steps, batch in ((0, BATCH), (STEPS, 0)):
        y, _, cache = rnn.forward(np.ones((steps, batch, INPUTS), np.float32), memory_limit=1 << 20)
        rnn.backward(np.ones_like(y), cache)
