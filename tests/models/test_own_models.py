"""What a compute of one's own may do with values and layers, and what its mistakes raise."""

from collections import namedtuple
from typing import Any

import numpy as np
import pytest

import rnncore as rc
from rnncore.data import Batch

Kept = namedtuple("Kept", "h c")
RNG = np.random.default_rng(0)
BATCH = Batch(RNG.standard_normal((4, 2, 3)), RNG.integers(0, 2, (4, 2)))
TRAINED: Any = {"dtype": np.float64, "rng": 0}


class Own(rc.Model):
    """Layers for a compute that a test gives."""

    def __init__(self, computed: Any) -> None:
        super().__init__(np.float64, rng=0)
        self.lower = rc.LSTM(3, 4, **TRAINED)
        self.upper = rc.LSTM(4, 4, **TRAINED)
        self.half = rc.Dropout(0.5, rng=1)
        self.none = rc.Dropout(0.0, rng=2)
        self.head = rc.heads.Softmax(4, 2, **TRAINED)
        self.reconstruct = rc.heads.Regression(4, 3, **TRAINED)
        self.others: list[Any] = []

    def compute(self, run: Any, batch: Any, state: Any = None) -> Any:
        return self.computed(self, run, batch, state)


def trained(computed: Any) -> tuple[float, Any, Any]:
    model = Own(computed)
    loss, final = model.loss_and_grad(BATCH)
    return loss, model.flat_grads, final


def stacked(given: Any) -> Any:
    """Return a compute whose upper layer is run by `given`."""

    def compute(model: Any, run: Any, batch: Any, state: Any) -> None:
        y, final = run(model.lower, batch.inputs)
        z, _ = given(model, run, y, final)
        run.loss(model.head, z, batch.targets)

    return compute


@pytest.mark.parametrize(
    "given",
    [
        lambda model, run, y, state: run(model.upper, y, state=state),
        lambda model, run, y, state: run(model.upper, x=y, state=state, lengths=[4, 4]),
        lambda model, run, y, state: run(model.upper, y, list(state)),
        lambda model, run, y, state: run(model.upper, run(model.none, x=y), Kept(*state)),
    ],
    ids=["keyword", "all keywords", "list", "named tuple"],
)
def test_a_state_may_be_given_in_any_way(given: Any) -> None:
    loss, gradient, _ = trained(stacked(lambda model, run, y, state: run(model.upper, y, state)))
    got, gradients, _ = trained(stacked(given))
    assert got == pytest.approx(loss, rel=1e-12)
    np.testing.assert_allclose(gradients, gradient, rtol=1e-9, atol=1e-14)


def test_values_are_no_options() -> None:
    def given(model: Any, run: Any, y: Any, state: Any) -> Any:
        return run(model.upper, y, lengths=y)

    with pytest.raises(TypeError, match="lengths: expected data, got a value of this pass"):
        trained(stacked(given))


def test_dropout_of_dropout() -> None:
    def compute(model: Any, run: Any, batch: Any, state: Any) -> None:
        y, _ = run(model.lower, batch.inputs)
        run.loss(model.head, run(model.none, run(model.half, y)), batch.targets)

    def once(model: Any, run: Any, batch: Any, state: Any) -> None:
        y, _ = run(model.lower, batch.inputs)
        run.loss(model.head, run(model.half, y), batch.targets)

    loss, gradient, _ = trained(once)
    got, gradients, _ = trained(compute)
    assert got == pytest.approx(loss, rel=1e-12)
    np.testing.assert_allclose(gradients, gradient, rtol=1e-9, atol=1e-14)


@pytest.mark.parametrize("kind", [list, tuple, dict, Kept, None], ids=str)
def test_what_compute_returns_has_arrays(kind: Any) -> None:
    def compute(model: Any, run: Any, batch: Any, state: Any) -> Any:
        y, (h, _) = run(model.lower, batch.inputs)
        run.loss(model.head, y, batch.targets)
        if kind is None:
            return y
        if kind is dict:
            return {"h": h, "y": y}
        return Kept(h, y) if kind is Kept else kind([h, y])

    _, _, final = trained(compute)
    _, expected = Own(compute).loss(BATCH)
    assert type(final) is type(expected)
    parts = (final, expected) if kind is not dict else (final.values(), expected.values())
    for part, wanted in zip(*parts, strict=True):
        np.testing.assert_allclose(part, wanted, rtol=1e-12)


def test_a_layer_outside_of_the_model_is_an_error() -> None:
    def compute(model: Any, run: Any, batch: Any, state: Any) -> None:
        y, _ = run(model.others[0], batch.inputs)
        run.loss(model.head, y, batch.targets)

    model = Own(compute)
    model.others.append(rc.GRU(3, 4, **TRAINED))
    for called in (model.loss_and_grad, model.loss, model.outputs):
        with pytest.raises(ValueError, match=r"GRU\(.*not part of it.*later append adds none"):
            called(BATCH)
    model.others = list(model.others)
    assert model.loss_and_grad(BATCH)[0] > 0


def test_layers_without_parameters_may_be_made_in_compute() -> None:
    def compute(model: Any, run: Any, batch: Any, state: Any) -> None:
        y, _ = run(model.lower, batch.inputs)
        run.loss(model.head, run(rc.layers.Add(), y, y), batch.targets)

    assert trained(compute)[0] > 0


def test_a_head_outside_of_the_model_is_an_error() -> None:
    def compute(model: Any, run: Any, batch: Any, state: Any) -> None:
        y, _ = run(model.lower, batch.inputs)
        run.loss(rc.heads.Softmax(4, 2, **TRAINED), y, batch.targets)

    with pytest.raises(ValueError, match="compute: expected layers of this Own, got Softmax"):
        trained(compute)


def test_a_compute_without_a_loss_is_an_error() -> None:
    model = Own(lambda model, run, batch, state: run(model.lower, batch.inputs)[1])
    for called in (model.loss_and_grad, model.loss, model.losses, model.loss_and_measures):
        with pytest.raises(ValueError, match=r"Own.compute to call run.loss"):
            called(BATCH)
    assert model.outputs(BATCH)[0] == []


def test_a_frozen_layer_is_not_trained() -> None:
    def compute(model: Any, run: Any, batch: Any, state: Any) -> None:
        y, _ = run(model.lower.frozen(), batch.inputs)
        run.loss(model.head, y, batch.targets)

    with pytest.raises(TypeError, match=r"layer: .*can be trained, got Frozen .*layer itself"):
        trained(compute)
    assert Own(compute).loss(BATCH)[0] > 0


def reconstructs(model: Any, run: Any, batch: Any, state: Any) -> None:
    y, _ = run(model.lower, batch.inputs)
    run.loss(model.reconstruct, y, batch.inputs)


class Twice:
    carries_state = False

    def __init__(self, batch: Any) -> None:
        self.batch = batch

    def __len__(self) -> int:
        return 2

    def epoch(self, number: int) -> Any:
        return iter([self.batch] * 2)


@pytest.mark.parametrize("bptt", [None, 3])
def test_a_model_may_need_no_targets(bptt: Any) -> None:
    model = Own(reconstructs)
    batches = Twice(Batch(BATCH.inputs, bptt=bptt))
    result = model.fit(batches, batches, rc.training.TrainingConfig(epochs=2))
    assert result.num_targets == 4 * BATCH.inputs.size
    last = min(found.loss for found in result.validations)
    assert last == pytest.approx(model.loss(Batch(BATCH.inputs))[0], rel=1e-9)


@pytest.mark.parametrize("lengths", [None, [4, 1]])
def test_missing_targets_are_named(lengths: Any) -> None:
    def compute(model: Any, run: Any, batch: Any, state: Any) -> None:
        y, _ = run(model.lower, batch.inputs)
        run.loss(model.head, y, batch.targets, lengths=lengths)

    for called in (Own(compute).loss_and_grad, Own(compute).loss):
        with pytest.raises(TypeError, match="targets: expected an array, got None"):
            called(Batch(BATCH.inputs))


@pytest.mark.parametrize(
    ("targets", "number"),
    [
        ([[0, 1], [-100, 1]], 3),
        ({"a": np.array([0, -100]), "b": np.zeros(7)}, 1),
        ([np.array([0.5, np.nan, 1]), np.array([0])], 2),
        ((np.array([0, 1]), None), 2),
        ((), 0),
        (["a", "b"], 2),
    ],
    ids=str,
)
def test_targets_of_any_kind_are_counted(targets: Any, number: int) -> None:
    assert Batch(np.zeros((2, 1)), targets).num_targets == number


@pytest.mark.parametrize(
    ("bptt", "error", "message"),
    [
        (-1, ValueError, "bptt: expected at least 1, got -1"),
        (0, ValueError, "bptt: expected at least 1, got 0"),
        (1.5, TypeError, "bptt: expected an integer, got float 1.5"),
        (True, TypeError, "bptt: expected an integer, got bool True"),
    ],
)
def test_bptt_is_a_number_of_steps(bptt: Any, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        Batch(BATCH.inputs, BATCH.targets, bptt=bptt)
