"""The CTC head: its loss and gradients, alone and in a model; impossible labels; what it counts."""

import warnings
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

import rnncore as rc
from finite_difference import assert_gradient
from rnncore import ctc, heads, losses
from rnncore.data import Batch

Array = NDArray[Any]
WIDTH, SYMBOLS = 5, 4
TARGETS, LENGTHS = [[1, 1], [2, 3, 1], [], [3]], [7, 6, 2, 1]


def problem(dtype: Any = np.float64, **options: Any) -> tuple[heads.CTC, Array]:
    head = heads.CTC(WIDTH, SYMBOLS, dtype=dtype, rng=0, **options)
    return head, np.random.default_rng(0).standard_normal((7, 4, WIDTH)).astype(dtype)


def test_losses_are_those_of_the_outputs(dtype: type[np.floating], tolerance: float) -> None:
    head, y = problem(dtype)
    expected, dz = ctc.loss_and_grad(head(y), TARGETS, LENGTHS, scale=0.5)
    np.testing.assert_allclose(head.losses(y, TARGETS, LENGTHS), expected, rtol=tolerance)
    result, dy = head.losses_and_grad(y, TARGETS, 0.5, LENGTHS)
    np.testing.assert_allclose(result, expected, rtol=tolerance)
    np.testing.assert_allclose(dy, dz @ head.weight, atol=tolerance)
    weight = np.einsum("tbc,tbh->ch", dz, y)
    np.testing.assert_allclose(head.grads["weight"], weight, atol=10 * tolerance)
    np.testing.assert_allclose(head.grads["bias"], dz.sum(axis=(0, 1)), atol=10 * tolerance)


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("lengths", [None, LENGTHS])
def test_gradients_by_finite_differences(bias: bool, lengths: Any) -> None:
    head, y = problem(bias=bias, blank=0)
    _, dy = head.losses_and_grad(y, TARGETS, 0.5, lengths)

    def total() -> float:
        return 0.5 * float(head.losses(y, TARGETS, lengths).sum())

    assert_gradient(total, y, dy, "y")
    assert_gradient(total, head.flat_params, head.flat_grads, "parameters")


def test_gradients_are_added() -> None:
    head, y = problem()
    head.losses_and_grad(y, TARGETS)
    once = head.flat_grads.copy()
    head.losses_and_grad(y, TARGETS)
    np.testing.assert_allclose(head.flat_grads, 2 * once)


def test_log_probabilities_are_what_decoding_takes() -> None:
    head, y = problem(blank=2)
    log_p = head.log_probabilities(y)
    np.testing.assert_allclose(log_p, losses.log_softmax(head(y)))
    np.testing.assert_allclose(np.exp(log_p).sum(axis=-1), 1)
    assert len(ctc.best_path(log_p, LENGTHS, blank=head.blank)) == 4


def test_a_head_is_saved(tmp_path: Any) -> None:
    head, _ = problem(blank=3, impossible="error")
    rc.save(head, tmp_path / "head")
    loaded = rc.load(tmp_path / "head")
    assert loaded.config() == head.config()
    assert (loaded.blank, loaded.impossible) == (3, "error")
    np.testing.assert_array_equal(loaded.flat_params, head.flat_params)


# --- impossible labels ----------------------------------------------------------------------------
def test_impossible_labels_are_skipped_and_reported_once() -> None:
    head, y = problem()
    targets = [*TARGETS[:3], [3, 3]]  # sequence 3 has one frame
    with pytest.warns(UserWarning, match="sequence 3 has 2 labels, which need 3 frames, and 1"):
        result, dy = head.losses_and_grad(y, targets, 1.0, LENGTHS)
    gradient = head.flat_grads.copy()
    assert result[3] == 0
    assert not dy[:, 3].any()
    assert head.skipped == 1
    head.zero_grad()
    expected, dy_of_others = head.losses_and_grad(y[:, :3], TARGETS[:3], 1.0, LENGTHS[:3])
    np.testing.assert_allclose(result[:3], expected)
    np.testing.assert_allclose(dy[:, :3], dy_of_others)
    np.testing.assert_allclose(gradient, head.flat_grads, atol=1e-14)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        head.losses(y, targets, LENGTHS)
    assert head.skipped == 2


def test_impossible_labels_as_an_error() -> None:
    head, y = problem(impossible="error")
    with pytest.raises(ValueError, match="sequence 1 has 8 labels, which need 15 frames, and 6 fr"):
        head.losses_and_grad(y, [[1], [1] * 8, [], [3]], 1.0, LENGTHS)
    assert not head.flat_grads.any()


# --- in a model -----------------------------------------------------------------------------------
class Recognizer(rc.Model):
    unit = "symbol"

    def __init__(self, dropout: float = 0.0, rng: Any = None) -> None:
        super().__init__(np.float64, rng)
        shared: Any = {"dtype": np.float64, "rng": self.rng}
        self.rnn = rc.GRU(3, 4, bidirectional=True, **shared)
        self.drop = rc.Dropout(dropout, rng=self.rng)
        self.head = heads.CTC(8, SYMBOLS, **shared)

    def compute(self, run: Any, batch: Any, state: Any = None) -> None:
        y, _ = run(self.rnn, batch.inputs, lengths=batch.lengths)
        run.loss(self.head, run(self.drop, y), batch.targets, lengths=batch.lengths)


def batch(targets: Any = TARGETS, lengths: Any = LENGTHS) -> Batch:
    x = np.random.default_rng(1).standard_normal((7, len(targets), 3))
    return Batch(x, targets, lengths)


@pytest.mark.parametrize("lengths", [None, LENGTHS])
def test_gradients_of_a_model_by_finite_differences(lengths: Any) -> None:
    model = Recognizer(rng=0)
    given = batch(lengths=lengths)
    loss, _ = model.loss_and_grad(given)
    assert loss == pytest.approx(model.loss(given)[0], rel=1e-12)
    assert_gradient(lambda: model.loss(given)[0], model.flat_params, model.flat_grads, "all")


def test_the_mean_is_per_label_of_the_sequences_that_count() -> None:
    model = Recognizer(rng=0)
    (each,), _ = model.losses(batch())
    assert each.shape == (4,)
    labels = 2 + 3 + 1 + 1  # a sequence without labels counts as one
    assert model.loss(batch())[0] == pytest.approx(each.sum() / labels, rel=1e-12)
    more = batch([*TARGETS[:3], [3, 3]])
    with pytest.warns(UserWarning, match="sequence 3"):
        loss, _ = model.loss(more)
    assert loss == pytest.approx(each[:3].sum() / 6, rel=1e-12)


def test_a_mean_over_batches_is_that_of_the_whole() -> None:
    model = Recognizer(rng=0)
    whole = batch()

    class Parts:
        carries_state = False

        def __len__(self) -> int:
            return 2

        def epoch(self, number: int) -> Any:
            for part in (slice(0, 1), slice(1, 4)):
                yield Batch(whole.inputs[:, part], TARGETS[part], LENGTHS[part])

    found = rc.training.evaluate(model, Parts())
    assert found.loss == pytest.approx(model.loss(whole)[0], rel=1e-12)


def test_targets_of_a_batch_are_counted() -> None:
    assert batch().num_targets == 6
    assert Batch(np.zeros((3, 2)), np.array([[1, 2], [3, -100]])).num_targets == 3


def test_a_model_learns_sequences_by_heart() -> None:
    model = Recognizer(dropout=0.1, rng=0)
    given = batch([[1, 2], [3, 3], [2], [1, 3, 1]], [7, 7, 5, 7])
    optimizer = rc.optim.Adam(model, 0.03)
    for _ in range(200):
        model.zero_grad()
        model.loss_and_grad(given)
        optimizer.step()
    ((head, y),), _ = model.outputs(given)
    found = ctc.best_path(head.log_probabilities(y), given.lengths)
    assert [list(transcript.symbols) for transcript in found] == given.targets


def test_sequences_cannot_be_cut() -> None:
    given = batch(lengths=None)
    with pytest.raises(ValueError, match="bptt: expected heads with a target for every step"):
        Recognizer(rng=0).loss_and_grad(Batch(given.inputs, TARGETS, bptt=4))


def test_a_pass_without_targets() -> None:
    with pytest.raises(TypeError, match="targets: expected an array, got None"):
        Recognizer(rng=0).loss(Batch(batch().inputs))


# --- bad arguments --------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"blank": 4}, ValueError, "blank: expected at most 3"),
        ({"blank": -1}, ValueError, "blank: expected at least 0"),
        ({"impossible": "ignore"}, ValueError, "impossible: expected one of"),
        ({"zero_infinity": True}, TypeError, "zero_infinity: no option of CTC"),
    ],
)
def test_bad_options(change: Any, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        problem(**change)


@pytest.mark.parametrize(
    ("targets", "lengths", "error", "message"),
    [
        ([[1]] * 3, None, ValueError, "targets: expected integers"),
        ([[1], [2], [4], [1]], None, ValueError, r"ids in \[0, C=4\).* sequence 2"),
        ([[1], [2], [0], [1]], None, ValueError, "other than the blank, 0, got 0"),
        (TARGETS, [7, 7, 7], ValueError, "lengths"),
        (TARGETS, [7, 7, 7, 8], ValueError, "lengths"),
    ],
)
def test_bad_targets(targets: Any, lengths: Any, error: type[Exception], message: str) -> None:
    head, y = problem()
    with pytest.raises(error, match=message):
        head.losses(y, targets, lengths)
    with pytest.raises(error, match=message):
        head.losses_and_grad(y, targets, 1.0, lengths)
    assert not head.flat_grads.any()


def test_bad_inputs() -> None:
    head, y = problem()
    with pytest.raises(ValueError, match=r"y: expected shape \[T, B, 5\]"):
        head.losses(y[0], TARGETS)
    with pytest.raises(TypeError, match="y: expected float64, got a float32"):
        head.losses(y.astype(np.float32), TARGETS)


def test_frames_that_are_not_finite_show_in_the_loss() -> None:
    """The loop that trains sees a loss that is not finite and keeps the update out."""
    head, y = problem()
    y[3, 1] = np.nan
    result = head.losses(y, TARGETS, LENGTHS)
    assert np.isnan(result).tolist() == [False, True, False, False]
