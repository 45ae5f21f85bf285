"""AttentionRNN in passes: gradients through memory, initial state and several uses of a memory."""

from typing import Any

import numpy as np
import pytest

import rnncore as rc
from rnncore.data import Batch

STEPS, SOURCE, BATCH = 4, 5, 3


@rc.register
class TwoDecoders(rc.Model):
    """An encoder whose outputs three layers read: a decoder twice, and another kind of decoder."""

    def __init__(self, cell: str = "gru", rng: Any = None) -> None:
        super().__init__(np.float64, rng)
        shared: Any = {"dtype": np.float64, "rng": self.rng}
        self.source = rc.Embedding(7, 3, **shared)
        self.target = rc.Embedding(6, 4, **shared)
        kind = rc.LSTM if cell == "lstm" else rc.GRU
        self.encoder = kind(3, 4, bidirectional=True, **shared)
        self.pool = rc.layers.Pooling("mean")
        self.bridge = rc.Linear(8, 5, **shared)
        self.decoder = rc.AttentionRNN(4, 5, 8, cell=cell, **shared)
        self.other = rc.AttentionRNN(
            5,
            5,
            8,
            cell=cell,
            feeding="conditional",
            score="additive",
            output_context=True,
            **shared,
        )
        self.words = rc.heads.Softmax(5, 6, **shared)
        self.values = rc.heads.Regression(13, 1, **shared)

    def compute(self, run: Any, batch: Any, state: Any = None) -> Any:
        words, word_lengths = batch.inputs
        memory, _ = run(self.encoder, run(self.source, words), lengths=word_lengths)
        bridged = run(self.bridge, run(self.pool, memory, lengths=word_lengths))
        targets = run(self.target, batch.targets)
        ends = {"lengths": batch.lengths, "memory_lengths": word_lengths}
        start = (bridged, *(None for _ in self.decoder.state_names[1:]))
        y, middle = run(self.decoder, targets, memory, start, **ends)
        again, last = run(self.decoder, targets, memory, middle, **ends)
        single = tuple(middle)[:-1]
        z, _ = run(self.other, again, memory, single if len(single) > 1 else single[0], **ends)
        run.loss(self.words, y, batch.targets, lengths=batch.lengths)
        run.loss(self.words, again, batch.targets, lengths=batch.lengths)
        run.loss(self.values, z, np.ones((STEPS, BATCH, 1)), lengths=batch.lengths)
        return last


def batch_of(seed: int = 0) -> Batch:
    rng = np.random.default_rng(seed)
    words = rng.integers(0, 7, (SOURCE, BATCH)), np.array([5, 0, 3])
    return Batch(words, rng.integers(0, 6, (STEPS, BATCH)), np.array([4, 2, 0]))


@pytest.mark.parametrize("cell", ["gru", "lstm"])
def test_gradients_by_finite_differences(cell: str) -> None:
    model = TwoDecoders(cell, rng=0)
    batch = batch_of()
    loss, final = model.loss_and_grad(batch)
    same_loss, same_final = model.loss(batch)
    assert loss == pytest.approx(same_loss, rel=1e-12)
    for one, two in zip(final, same_final, strict=True):
        np.testing.assert_allclose(one, two, rtol=1e-12)
    gradient = model.flat_grads.copy()
    step = 1e-6
    for i in np.random.default_rng(2).choice(model.num_params, 120, replace=False):
        before = model.flat_params[i]
        losses = []
        for value in (before + step, before - step):
            model.flat_params[i] = value
            model.mark_changed()
            losses.append(model.loss(batch)[0])
        model.flat_params[i] = before
        # the error of central differences is about step^2 and rounding over step
        assert (losses[0] - losses[1]) / (2 * step) == pytest.approx(gradient[i], abs=1e-8)


def test_saved_and_loaded(tmp_path: Any) -> None:
    model = TwoDecoders("lstm", rng=0)
    rc.save(model, tmp_path / "model")
    loaded = rc.load(tmp_path / "model")
    assert repr(loaded) == repr(model)
    assert loaded.loss(batch_of())[0] == model.loss(batch_of())[0]


def test_learns_to_copy() -> None:
    """What a memory holds is read off in its order: attention finds the place."""
    rng = np.random.default_rng(0)
    decoder = rc.AttentionRNN(6, 24, 7, score="additive", rng=0)
    head = rc.heads.Softmax(24, 6, rng=1)
    optimizer = rc.optim.Adam([decoder, head], learning_rate=0.01)
    place = np.broadcast_to(np.linspace(-1, 1, 4)[:, np.newaxis, np.newaxis], (4, 16, 1))
    accuracy = 0.0
    for _ in range(250):
        words = rng.integers(0, 6, (4, 16))  # [S,B]
        vectors = np.eye(6)[words]
        memory = np.concatenate([vectors, place], axis=2).astype(np.float32)
        x = np.concatenate([np.zeros((1, 16, 6)), vectors[:-1]]).astype(np.float32)
        run = rc.models.TrainingPass()
        y, _ = run(decoder, x, memory)
        run.loss(head, y, words)
        run.keep(y)
        run.backward()
        optimizer.step()
        optimizer.zero_grad()
        accuracy = float((head(y.array).argmax(-1) == words).mean())
    assert accuracy > 0.9
