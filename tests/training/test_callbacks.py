"""What is called during a run, what ends it early, and updates that are not finite."""

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import rnncore as rc
from rnncore.training import Callback, Run, TrainingResult, Update, Validation, fit
from trainables import Counter, Ticks, plain


class Diary(Callback):
    def __init__(self) -> None:
        self.events: list[Any] = []

    def on_start(self, run: Run) -> None:
        self.run = run
        self.events.append("start")

    def on_update(self, update: Update) -> None:
        self.events.append(update)

    def on_validation(self, validation: Validation) -> None:
        self.events.append(validation)

    def on_end(self, result: TrainingResult) -> None:
        self.events.append(result)

    def updates(self) -> list[Update]:
        return [event for event in self.events if isinstance(event, Update)]


def test_the_order_of_calls() -> None:
    diary, model = Diary(), Counter(lambda w: 10 - w)
    result = fit(model, Ticks(2), Ticks(1), plain(epochs=2), callbacks=[diary])
    kinds = ["start", "Update", "Update", "Validation", "Update", "Update", "Validation"]
    named = [e if isinstance(e, str) else type(e).__name__ for e in diary.events]
    assert named == [*kinds, "TrainingResult"]
    assert diary.events[-1] is result
    assert result.seconds > 0
    first, *_, last = diary.updates()
    assert first[:6] == (1, 1, 1.0, 1.0, 1.0, 1)
    assert (last.epoch, last.update) == (2, 4)
    assert first.targets_per_second == pytest.approx(1 / first.seconds)
    assert [e for e in diary.events if isinstance(e, Validation)] == result.validations


def test_updates_tell_the_norm_before_clipping_and_the_rate_of_the_schedule() -> None:
    model, diary = rc.LanguageModel(3, hidden_size=4, num_layers=1, rng=0), Diary()
    optimizer = rc.training.OptimizerConfig("sgd", 0.5, clip_norm=1e-3)
    schedule = rc.training.ScheduleConfig("exponential", gamma=0.5, flat_epochs=1)
    config = plain(epochs=2, batch_size=2, bptt=100, optimizer=optimizer, schedule=schedule)
    training, _ = model.batches([0, 1, 2] * 50, config)
    model.loss_and_grad(next(training.epoch(0)))
    norm = float(np.linalg.norm(model.flat_grads))
    fit(model, training, config=config, callbacks=[diary])
    assert diary.updates()[0].gradient_norm == pytest.approx(norm, rel=1e-5)
    assert [update.learning_rate for update in diary.updates()] == [0.5, 0.25]


def test_a_callback_may_stop_the_run() -> None:
    class Stop(Diary):
        def on_update(self, update: Update) -> None:
            super().on_update(update)
            if update.update == 3:
                self.run.stop()

    model, stop = Counter(), Stop()
    result = fit(model, Ticks(5), Ticks(1), plain(epochs=9), callbacks=[stop])
    assert len(stop.updates()) == len(result.losses) == 3
    assert [validation.update for validation in result.validations] == [3]
    assert not result.interrupted
    assert not result.stopped_early


def test_every_callback_is_ended_after_an_error() -> None:
    class Fails(Diary):
        def on_update(self, update: Update) -> None:
            raise RuntimeError("of a callback")

    first, failing, last = Diary(), Fails(), Diary()
    with pytest.raises(RuntimeError, match="of a callback"):
        fit(Counter(), Ticks(5), callbacks=[first, failing, last])
    for diary in (first, failing, last):
        assert isinstance(diary.events[-1], TrainingResult)
    assert len(first.updates()) == 1
    assert last.updates() == []


def test_wrong_callbacks_are_named() -> None:
    class Half:
        def on_start(self, run: Run) -> None: ...

    class Odd(Callback):
        def on_update(self) -> None:  # type: ignore[override]
            ...

    for wrong, message in (
        (Half(), r"callbacks\[1\]: expected a Callback, got Half .* no on_update, on_validation"),
        (Callback, r"callbacks\[1\]: expected a Callback, got the class Callback itself"),
        (Odd(), r"callbacks\[1\].on_update: expected a method of 1 argument, got on_update\(\)"),
    ):
        model = Counter()
        with pytest.raises(TypeError, match=message):
            fit(model, Ticks(1), callbacks=[Diary(), wrong])
        assert model.values == []


def test_progress_in_python(capsys: pytest.CaptureFixture[str]) -> None:
    config = plain(epochs=2)
    fit(Counter(), Ticks(1), Ticks(1), config)
    fit(Counter(), Ticks(1), Ticks(1), config, progress=False)
    assert capsys.readouterr() == ("", "")
    fit(Counter(), Ticks(1), Ticks(1), config, progress=True)
    shown, errors = capsys.readouterr()
    assert shown.count("\n") == 2
    assert " targets/s" in shown
    assert errors == ""


# --- early stopping -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("patience", "every", "updates"), [(1, None, 5), (2, None, 6), (3, None, 7), (2, 2, 8)]
)
def test_patience(patience: int, every: int | None, updates: int) -> None:
    """The validation loss falls until w = 4."""
    model = Counter(lambda w: abs(w - 4))
    config = plain(epochs=50, patience=patience, validate_every=every)
    result = fit(model, Ticks(1 if every is None else 100), Ticks(1), config)
    assert result.stopped_early
    assert len(result.losses) == updates
    assert model.w == 4
    assert "stopped early" in repr(result)


def test_a_loss_that_falls_is_not_stopped() -> None:
    result = fit(Counter(), Ticks(1), Ticks(1), plain(epochs=20, patience=1))
    assert len(result.losses) == 20
    assert not result.stopped_early


def test_losses_that_are_not_a_number_use_up_the_patience() -> None:
    model = Counter(lambda w: math.nan)
    result = fit(model, Ticks(1), Ticks(1), plain(epochs=20, patience=3))
    assert len(result.losses) == 3


# --- what is not finite -------------------------------------------------------------------------


def loss_of(values: dict[int, float]) -> Callable[[Counter], None]:
    def change(model: Counter) -> None:
        model.training_loss = lambda w: values.get(len(model.values), 1.0)

    return change


def gradients(model: Counter) -> None:
    model.broken = {3}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            gradients,
            r"the gradients of update 3 are not finite \(loss 1, norm of the grad",
        ),
        (
            loss_of({3: math.nan}),
            r"the loss of update 3 is not finite \(loss nan, norm",
        ),
        (
            loss_of({3: math.inf}),
            r"\(loss inf, norm of the gradients 1, norm of the param.* 2\)",
        ),
    ],
)
def test_they_stop_the_run(change: Callable[[Counter], None], message: str, tmp_path: Any) -> None:
    """With the step and the norms; what is on disk is what was good."""
    model = Counter()
    change(model)
    files = {"path": tmp_path / "model", "checkpoint_every": 1}
    with pytest.raises(FloatingPointError, match=message) as caught:
        fit(model, Ticks(1), Ticks(1), plain(epochs=9), **files)
    assert str(caught.value).endswith("model.checkpoint of update 2 is whole")
    assert model.w == rc.load(tmp_path / "model").params["w"] == 2
    assert model.flat_grads == 0
    whole = Counter()
    result = fit(whole, Ticks(1), Ticks(1), plain(epochs=9), **files, resume=True)
    assert (whole.values[0], whole.w, len(result.losses)) == (2, 9, 9)


@pytest.mark.parametrize("change", [gradients, loss_of({3: math.nan})])
def test_they_are_skipped_when_asked(change: Callable[[Counter], None]) -> None:
    model, diary = Counter(), Diary()
    change(model)
    config = plain(epochs=1, non_finite="skip")
    result = fit(model, Ticks(6), config=config, callbacks=[diary])
    assert (model.w, result.skipped, len(result.losses)) == (5, 1, 6)
    assert math.isnan(sum(update.gradient_norm + update.loss for update in diary.updates()))


def test_after_a_loss_that_is_not_finite_the_state_is_zero() -> None:
    """The state that goes with it would spoil all batches that follow."""
    model = Counter()
    loss_of({3: math.inf})(model)
    fit(model, Ticks(5), config=plain(epochs=1, non_finite="skip"))
    assert model.given_states == [None, 1, 2, None, 1]
