"""Means over pieces and batches: parts are weighed by what the heads' means divide by."""

from typing import Any

import numpy as np
import pytest

import rnncore as rc
from rnncore.data import Batch
from rnncore.training import evaluate

STEPS, BATCH = 5, 2


class Tagger(rc.Model):
    """Two heads at most, with weights of classes and lengths."""

    def __init__(self, weights: Any = None, ragged: bool = False, heads: int = 1) -> None:
        super().__init__(np.float64, rng=0)
        shared: Any = {"dtype": np.float64, "rng": self.rng}
        self.rnn = rc.LSTM(3, 4, **shared)
        self.heads = [rc.heads.Softmax(4, 2, class_weights=weights, **shared)]
        self.more = [rc.heads.Softmax(4, 2, **shared) for _ in range(heads - 1)]

    def compute(self, run: Any, batch: Any, state: Any = None) -> Any:
        y, final = run(self.rnn, batch.inputs, state)
        lengths = batch.lengths if self.ragged else None
        run.loss(self.heads[0], y, batch.targets, lengths=lengths)
        for head in self.more:
            run.loss(head, y, batch.targets, weight=0.5)
        return final


def data(seed: int = 0) -> tuple[Any, Any]:
    rng = np.random.default_rng(seed)
    return rng.standard_normal((STEPS, BATCH, 3)), rng.integers(0, 2, (STEPS, BATCH))


CASES = [
    {"weights": [1.0, 10.0]},
    {"weights": [0.01, 0.1]},
    {"ragged": True},
    {"weights": [1.0, 10.0], "ragged": True, "heads": 2},
    {"heads": 2},
]


@pytest.mark.parametrize("options", CASES, ids=str)
@pytest.mark.parametrize("bptt", [1, 2, 5])
def test_pieces_have_the_loss_of_the_whole(options: Any, bptt: int) -> None:
    model = Tagger(**options)
    inputs, targets = data()
    lengths = [5, 1]
    whole, _ = model.loss_and_grad(Batch(inputs, targets, lengths))
    # No gradient that crosses a border reaches the bias of a head: theirs is that of the whole.
    bias = model.grads["heads.0.bias"].copy()
    gradient = model.flat_grads.copy()
    model.zero_grad()
    loss, _ = model.loss_and_grad(Batch(inputs, targets, lengths, bptt=bptt))
    assert loss == pytest.approx(whole, rel=1e-12)
    np.testing.assert_allclose(model.grads["heads.0.bias"], bias, rtol=1e-12)
    if bptt == STEPS:
        np.testing.assert_allclose(model.flat_grads, gradient, rtol=1e-9, atol=1e-14)


def test_pieces_of_plain_targets_are_computed_once(monkeypatch: pytest.MonkeyPatch) -> None:
    passes = []
    compute = Tagger.compute

    def noted(self: Any, run: Any, batch: Any, state: Any = None) -> Any:
        passes.append(type(run).__name__)
        return compute(self, run, batch, state)

    monkeypatch.setattr(Tagger, "compute", noted)
    Tagger().loss_and_grad(Batch(*data(), [5, 1], bptt=2))
    assert passes == ["TrainingPass"] * 3
    Tagger([1, 10]).loss_and_grad(Batch(*data(), bptt=2))
    assert passes.count("CountingPass") == 3


def test_targets_that_later_pieces_leave_out_are_an_error() -> None:
    class LeavesOut(Tagger):
        def compute(self, run: Any, batch: Any, state: Any = None) -> Any:
            y, final = run(self.rnn, batch.inputs, state)
            targets = batch.targets if len(batch.targets) == 2 else np.full((1, BATCH), -100)
            run.loss(self.heads[0], y, targets)
            return final

    with pytest.raises(ValueError, match=r"bptt: expected run.loss to count the 2 targets"):
        LeavesOut().loss_and_grad(Batch(*data(), bptt=2))


class Given:
    carries_state = False

    def __init__(self, *batches: Any) -> None:
        self.given = batches

    def __len__(self) -> int:
        return len(self.given)

    def epoch(self, number: int) -> Any:
        return iter(self.given)


@pytest.mark.parametrize("weights", [[1, 10], [0.01, 0.1]])
def test_evaluation_does_not_depend_on_the_batch_size(weights: Any) -> None:
    model = rc.SequenceClassifier(2, vocab_size=5, class_weights=weights, rng=0, dtype=np.float64)
    rng = np.random.default_rng(0)
    sequences = [rng.integers(0, 5, n) for n in rng.integers(1, 9, 40)]
    labels = rng.integers(0, 2, 40)
    found = [evaluate(model, model.batches(sequences, labels, size)) for size in (40, 7, 1)]
    for part in found[1:]:
        assert part.loss == pytest.approx(found[0].loss, rel=1e-12)
        assert part.measures == pytest.approx(found[0].measures)


def test_evaluation_counts_steps_within_lengths() -> None:
    model = Tagger(ragged=True, heads=2)
    batches = [Batch(*data(seed), lengths) for seed, lengths in enumerate(([5, 1], [1, 1]))]
    losses = [model.losses(batch)[0] for batch in batches]
    wanted = sum(part[0].sum() for part in losses) / 8 + 0.5 * sum(
        part[1].sum() for part in losses
    ) / (2 * STEPS * BATCH)
    assert evaluate(model, Given(*batches)).loss == pytest.approx(wanted, rel=1e-12)


def test_weights_below_one_make_a_mean() -> None:
    inputs, targets = data()
    small = Tagger([0.01, 0.1]).loss(Batch(inputs, targets))[0]
    assert small == pytest.approx(Tagger([1, 10]).loss(Batch(inputs, targets))[0], rel=1e-12)


def test_an_evaluation_without_batches_is_an_error() -> None:
    with pytest.raises(ValueError, match="batches: expected at least one batch"):
        evaluate(Tagger(), Given())
