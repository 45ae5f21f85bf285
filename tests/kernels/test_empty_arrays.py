"""Arrays without elements return at once, whatever their other sizes are."""

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

import rnncore as rc

Array = NDArray[Any]
HUGE = 2**40  # a loop over so many things takes an hour
RECURRENT: list[Callable[..., Any]] = [
    lambda **o: rc.LSTM(3, 4, 2, rng=0, **o),
    lambda **o: rc.GRU(3, 4, bidirectional=True, rng=0, **o),
    lambda **o: rc.RNN(3, 4, 2, dropout=0.5, rng=0, **o),
]


def empty(*shape: int) -> list[Array]:
    """Arrays of one shape with different strides."""
    zero_strides = np.broadcast_to(np.float32(0), shape)
    return [np.zeros(shape, np.float32), zero_strides, np.zeros(shape[::-1], np.float32).T]


def dropout() -> None:
    for shape in ((HUGE, 0, 3), (0, HUGE, 3), (3, HUGE, 0), (HUGE, 0), (0, HUGE), (2, 0, HUGE)):
        for x in empty(*shape):
            layer = rc.Dropout(0.5, rng=0)
            y, cache = layer.forward(x)
            assert y.shape == layer.backward(x, cache).shape == layer(x).shape == shape


def linear_and_embedding() -> None:
    linear, embedding = rc.Linear(3, 2, rng=0), rc.Embedding(5, 3, rng=0)
    for shape in ((HUGE, 0), (0, HUGE), (HUGE, 0, 2)):
        for x, dy in zip(empty(*shape, 3), empty(*shape, 2), strict=True):
            y, cache = linear.forward(x)
            assert y.shape == linear(x).shape == (*shape, 2)
            assert linear.backward(dy, cache).shape == (*shape, 3)
            ids = np.broadcast_to(np.int64(0), shape)
            vectors, looked_up = embedding.forward(ids)
            assert vectors.shape == (*shape, 3)
            embedding.backward(x, looked_up)
    assert not np.any(linear.flat_grads)
    assert not np.any(embedding.flat_grads)


def attention() -> None:
    for score in ("dot", "additive"):
        layer = rc.Attention(3, 3, score=score, rng=0)
        for steps, length in ((HUGE, 0), (0, HUGE), (HUGE, HUGE)):
            for query, memory in zip(empty(steps, 0, 3), empty(length, 0, 3), strict=True):
                context, cache = layer.forward(query, memory)
                assert context.shape == layer(query, memory).shape == (steps, 0, 3)
                dquery, dmemory = layer.backward(query, cache)
                assert (dquery.shape, dmemory.shape) == (query.shape, memory.shape)
                layer.hold(memory)


def losses() -> None:
    for shape in ((HUGE, 0), (0, HUGE), (2, 0, HUGE)):
        for a in empty(*shape):
            for loss in (rc.losses.mse, rc.losses.binary_cross_entropy):
                value, gradient = loss(a, a)
                assert value == 0
                assert gradient.shape == shape
        for logits in empty(*shape, 5):
            targets = np.zeros(shape, np.int32)
            value, gradient = rc.losses.cross_entropy(logits, targets)
            assert value == 0
            assert gradient.shape == (*shape, 5)
            each, _ = rc.losses.cross_entropy(logits, targets, reduction="none")
            assert each.shape == shape


def recurrent() -> None:
    for make in RECURRENT:
        for batch_first in (False, True):
            layer = make(batch_first=batch_first)
            width = 4 * layer.num_directions
            outer = (0, HUGE) if batch_first else (HUGE, 0)
            inputs = [*empty(*outer, 3), np.zeros(outer, np.int64)]
            for x in inputs:
                for lengths in (None, np.zeros(0, np.int64)):
                    y, state = layer(x, lengths=lengths)
                    assert y.shape == layer.frozen()(x, lengths=lengths)[0].shape == (*outer, width)
                    trained, _, cache = layer.forward(x, state, lengths)
                    assert trained.shape == y.shape
                    dx, dstate = layer.backward(y, cache, state)
                    assert dx is None if x.ndim == 2 else dx.shape == x.shape
                    assert np.shape(dstate) == np.shape(state)
                    output = rc.Linear(width, 5, rng=0)
                    targets = np.zeros(outer, np.int64)
                    source = rc.layers.OutputGradient(output, "softmax", targets)
                    dx, _ = layer.backward(source, cache)
                    assert source.loss == 0
                    assert dx is None if x.ndim == 2 else dx.shape == x.shape
            assert not np.any(layer.flat_grads)


def language_model() -> None:
    for embedding_size in (None, 3):
        model = rc.LanguageModel(5, "gru", embedding_size, 4, 2, dropout=0.5, rng=0)
        ids = np.zeros((HUGE, 0), np.int64)
        for lengths in (None, np.zeros(0, np.int64)):
            assert model(ids, lengths=lengths)[0].shape == (HUGE, 0, 5)
            batch = rc.data.Batch(ids, ids, lengths)
            assert model.loss(batch)[0] == 0
            assert model.loss_and_grad(batch)[0] == 0
        assert not np.any(model.flat_grads)


@pytest.mark.parametrize(
    "task", [dropout, linear_and_embedding, attention, losses, recurrent, language_model]
)
def test_empty_arrays_return_at_once(task: Callable[[], None]) -> None:
    """In a process of its own: a loop over nothing may not hear of Ctrl-C."""
    program = f"""
import sys

sys.path.append(sys.argv[1])
import {__name__} as tasks

tasks.{task.__name__}()
"""
    arguments = [sys.executable, "-c", program, str(Path(__file__).parent)]
    done = subprocess.run(arguments, timeout=100, check=False, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
