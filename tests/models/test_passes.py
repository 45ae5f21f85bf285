"""Models say once what they compute: passes train, evaluate and run any of them."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

import rnncore as rc
from rnncore.data import Batch
from rnncore.models import LossPass, TrainingPass
from rnncore.training import TrainingConfig, fit

Array = NDArray[Any]
STEPS, BATCH = 6, 3
LENGTHS = np.array([6, 2, 0])


@rc.register
class TwoInputs(rc.Model):
    """Ids and numbers, read by two stacks whose outputs are joined; two losses."""

    def __init__(self, dropout: float = 0.0, dtype: Any = np.float64, rng: Any = None) -> None:
        super().__init__(dtype, rng)
        shared: Any = {"dtype": dtype, "rng": self.rng}
        self.embedding = rc.Embedding(7, 4, **shared)
        self.lower = rc.GRU(4 + 2, 5, bidirectional=True, **shared)
        self.upper = rc.LSTM(10, 6, 2, **shared)
        self.join = rc.layers.Concatenate()
        self.add = rc.layers.Add()
        self.pool = rc.layers.Pooling("mean")
        self.turn = rc.layers.Reverse()
        self.drop = rc.Dropout(dropout, rng=self.rng)
        self.tags = rc.heads.Softmax(6, 3, **shared)
        self.value = rc.heads.Regression(10, 1, **shared)

    def compute(self, run: Any, batch: Any, state: Any = None) -> Any:
        ids, numbers = batch.inputs
        words, values = batch.targets
        x = run(self.join, run(self.embedding, ids), numbers)
        y, _ = run(self.lower, run(self.drop, x), lengths=batch.lengths)
        turned = run(self.turn, y, lengths=batch.lengths)
        z, final = run(self.upper, run(self.add, y, turned), state, lengths=batch.lengths)
        run.loss(self.tags, run(self.drop, z), words, lengths=batch.lengths)
        pooled = run(self.pool, y, lengths=batch.lengths)
        run.loss(self.value, pooled, values, weight=0.5)
        return final


def batch_of(lengths: Any = LENGTHS, seed: int = 0) -> Batch:
    rng = np.random.default_rng(seed)
    inputs = rng.integers(0, 7, (STEPS, BATCH)), rng.standard_normal((STEPS, BATCH, 2))
    targets = rng.integers(0, 3, (STEPS, BATCH)), rng.standard_normal((BATCH, 1))
    return Batch(inputs, targets, lengths)


@pytest.mark.parametrize("lengths", [None, LENGTHS], ids=["full", "ragged"])
def test_gradients_by_finite_differences(lengths: Any) -> None:
    model = TwoInputs(rng=0)
    batch = batch_of(lengths)
    state = tuple(np.random.default_rng(1).standard_normal((2, BATCH, 6)) for _ in range(2))
    loss, final = model.loss_and_grad(batch, state)
    same_loss, same_final = model.loss(batch, state)
    assert loss == pytest.approx(same_loss, rel=1e-12)
    np.testing.assert_allclose(final, same_final, rtol=1e-12)
    gradient = model.flat_grads.copy()
    step = 1e-6
    for i in np.random.default_rng(2).choice(model.num_params, 80, replace=False):
        before = model.flat_params[i]
        losses = []
        for value in (before + step, before - step):
            model.flat_params[i] = value
            model.mark_changed()
            losses.append(model.loss(batch, state)[0])
        model.flat_params[i] = before
        # the error of central differences is about step^2 and rounding over step
        assert (losses[0] - losses[1]) / (2 * step) == pytest.approx(gradient[i], abs=1e-8)


class OneRecurrentLayer(rc.Model):
    """A recurrent layer whose outputs one loss needs, or something else as well."""

    def __init__(self, needs_output: bool, dropout: float = 0.0) -> None:
        super().__init__(np.float64, rng=0)
        self.rnn = rc.LSTM(3, 5, dtype=np.float64, rng=self.rng)
        self.drop = rc.Dropout(dropout, rng=self.rng)
        self.head = rc.heads.Softmax(5, 4, dtype=np.float64, rng=self.rng)
        self.pool = rc.layers.Pooling("max")

    def compute(self, run: Any, batch: Any, state: Any = None) -> Any:
        y, final = run(self.rnn, batch.inputs, state)
        if self.needs_output:
            run(self.pool, y)
        run.loss(self.head, run(self.drop, y), batch.targets)
        return final


@pytest.mark.parametrize("dropout", [0.0, 0.4])
def test_the_sweep_of_a_recurrent_layer_makes_the_same_gradients(
    dropout: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    rng = np.random.default_rng(0)
    batch = Batch(rng.standard_normal((STEPS, BATCH, 3)), rng.integers(0, 4, (STEPS, BATCH)))
    needed = []
    forward = rc.LSTM.forward

    def noted(self: Any, *arguments: Any, needs_output: bool = True, **options: Any) -> Any:
        needed.append(needs_output)
        return forward(self, *arguments, needs_output=needs_output, **options)

    monkeypatch.setattr(rc.LSTM, "forward", noted)
    results = []
    for needs_output in (False, True):
        model = OneRecurrentLayer(needs_output, dropout)
        loss, _ = model.loss_and_grad(batch)
        results.append((loss, model.flat_grads.copy()))
    assert needed == [False, True]  # the outputs are made only where something needs them
    assert results[0][0] == pytest.approx(results[1][0], rel=1e-12)
    np.testing.assert_allclose(results[0][1], results[1][1], rtol=1e-9, atol=1e-13)


def test_gradients_of_a_state_reach_what_made_it() -> None:
    """An encoder whose final state begins a decoder, as in translation."""

    class EncoderDecoder(rc.Model):
        def __init__(self) -> None:
            super().__init__(np.float64, rng=0)
            shared: Any = {"dtype": np.float64, "rng": self.rng}
            self.encoder = rc.LSTM(6, 5, **shared)
            self.decoder = rc.LSTM(6, 5, **shared)
            self.head = rc.heads.Softmax(5, 6, **shared)

        def compute(self, run: Any, batch: Any, state: Any = None) -> None:
            source, target = batch.inputs
            _, context = run(self.encoder, source, lengths=batch.lengths)
            y, _ = run(self.decoder, target, context)
            run.loss(self.head, y, batch.targets)

    model = EncoderDecoder()
    rng = np.random.default_rng(0)
    source, target, wanted = rng.integers(0, 6, (3, STEPS, BATCH))
    batch = Batch((source, target), wanted, np.array([6, 3, 1]))
    model.loss_and_grad(batch)
    gradient = model.flat_grads.copy()
    assert np.any(model.grads["encoder.weight_hh_l0"])
    for name in ("encoder.weight_ih_l0", "decoder.weight_hh_l0", "head.bias"):
        array, slope = model.params[name], model.grads[name]
        at = np.unravel_index(np.abs(slope).argmax(), array.shape)
        before, step, losses = array[at], 1e-6, []
        for value in (before + step, before - step):
            array[at] = value
            model.mark_changed()
            losses.append(model.loss(batch)[0])
        array[at] = before
        assert (losses[0] - losses[1]) / (2 * step) == pytest.approx(slope[at], abs=1e-8)
    np.testing.assert_array_equal(model.flat_grads, gradient)


class Epochs:
    """The same two batches, in an order of their own in every epoch."""

    carries_state = False

    def __len__(self) -> int:
        return 2

    def epoch(self, number: int) -> Any:
        return iter([batch_of(seed=number % 2), batch_of(seed=(number + 1) % 2)])


def test_a_model_of_ones_own_is_trained_saved_and_loaded(tmp_path: Path) -> None:
    model = TwoInputs(dropout=0.1, rng=0)
    result = model.fit(Epochs(), None, TrainingConfig(epochs=200))
    assert np.mean(result.losses[-4:]) < 0.4 * np.mean(result.losses[:4])
    rc.save(model, tmp_path / "model")
    loaded = rc.load(tmp_path / "model")
    assert type(loaded) is TwoInputs
    assert loaded.dropout == 0.1
    assert loaded.loss(batch_of())[0] == model.loss(batch_of())[0]


def test_a_pass_without_targets_gives_what_the_heads_are_given() -> None:
    model = TwoInputs(rng=0)
    batch = batch_of()
    heads, _ = model.outputs(Batch(batch.inputs, (None, None), batch.lengths))
    assert [head for head, _ in heads] == [model.tags, model.value]
    losses, _ = model.losses(batch)
    assert [array.shape for array in losses] == [(STEPS, BATCH), (BATCH,)]
    np.testing.assert_allclose(
        losses[1], ((heads[1][0](heads[1][1]) - batch.targets[1]) ** 2).sum(axis=1)
    )


def test_values_are_no_arrays() -> None:
    run = TrainingPass()
    y, _ = run(rc.GRU(3, 4, rng=0), np.zeros((2, 1, 3), np.float32))
    with pytest.raises(TypeError):
        y + np.ones(4)
    with pytest.raises(TypeError):
        np.ones(4) * y
    assert y.array.shape == (2, 1, 4)


def test_only_heads_have_losses() -> None:
    for run in (TrainingPass(), LossPass(), rc.Pass()):
        with pytest.raises(TypeError, match="head: expected a Head, got Linear"):
            run.loss(rc.Linear(2, 3), np.zeros((1, 2)), [0])


def test_a_model_defines_compute() -> None:
    with pytest.raises(TypeError, match="compute"):
        rc.Model()  # type: ignore[abstract]
    with pytest.raises(TypeError, match="training: expected batches"):
        fit(TwoInputs(), [1])


def test_the_way_back_frees_what_it_has_passed() -> None:
    """All arrays but those that are kept, before the next call goes back."""
    rnn, linear = rc.GRU(3, 4, rng=0), rc.Linear(4, 4, rng=0)
    head = rc.heads.Softmax(4, 2, rng=0)
    run = TrainingPass()
    y, final = run(rnn, np.ones((STEPS, BATCH, 3), np.float32))
    z = run(linear, y)
    expected = final.array.copy()
    run.keep(final)
    run.loss(head, z, np.zeros((STEPS, BATCH), int))
    run.backward()
    np.testing.assert_array_equal(final.array, expected)
    for value in (y, z):
        with pytest.raises(RuntimeError, match="backward has been past it"):
            _ = value.array
