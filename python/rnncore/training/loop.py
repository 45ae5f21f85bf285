"""The training loop."""

from __future__ import annotations

import math
import os
import time
from contextlib import nullcontext
from dataclasses import dataclass, field
from typing import Any

from rnncore import _files, io
from rnncore._check import flag, instance
from rnncore._keywords import strict_keywords
from rnncore.data import Batch, Batches
from rnncore.progress import Progress, Report
from rnncore.training.best import BestModel
from rnncore.training.config import TrainingConfig
from rnncore.training.duck import require_batches, require_progress
from rnncore.training.evaluation import evaluate
from rnncore.training.trainable import Trainable

__all__ = ["TrainingResult", "Validation", "fit"]

# Updates in a row without a finite gradient after which a run has diverged, also within an epoch.
_MOST_SKIPPED = 100


@dataclass(frozen=True)
class Validation:
    """One validation.

    Attributes
    ----------
    epoch : int
        In which it was made, counted from 1.
    update : int
        Updates before it.
    loss : float
        Mean per target, in nats.
    measures : dict of float
        What else the model measures, as means per target: the accuracy of a classifier.

    Examples
    --------
    >>> import rnncore as rc
    >>> model = rc.LanguageModel(vocab_size=3, hidden_size=4, num_layers=1, rng=0)
    >>> config = rc.training.TrainingConfig(epochs=2, batch_size=2)
    >>> result = model.fit([0, 1, 2] * 50, config)
    >>> first, last = result.validations
    >>> first.epoch, first.update
    (1, 3)
    """

    epoch: int
    update: int
    loss: float
    measures: dict[str, float] = field(default_factory=dict)


@dataclass
class TrainingResult:
    """What happened in a training run.

    Attributes
    ----------
    losses : list of float
        Mean loss of the batch of every update, before the update, in nats.
    validations : list of Validation
        In the order of time.
    skipped : int
        Updates that left the parameters as they were, because the gradients were not finite or so
        large that a parameter would not have stayed finite.
    num_targets : int
        Tokens read, those of skipped updates among them.
    seconds : float
        Duration of the run.
    interrupted : bool
        Whether Ctrl-C ended it.

    Examples
    --------
    >>> import rnncore as rc
    >>> model = rc.LanguageModel(vocab_size=3, hidden_size=4, num_layers=1, rng=0)
    >>> config = rc.training.TrainingConfig(epochs=2, batch_size=2)
    >>> result = model.fit([0, 1, 2] * 50, config)
    >>> len(result.losses), len(result.validations)
    (6, 2)
    """

    losses: list[float] = field(default_factory=list)
    validations: list[Validation] = field(default_factory=list)
    skipped: int = 0
    num_targets: int = 0
    seconds: float = 0.0
    interrupted: bool = False

    def __repr__(self) -> str:
        parts = [
            f"{len(self.losses)} updates",
            f"{self.num_targets} targets",
            f"{self.seconds:.1f} seconds",
            f"best={self.best}",
        ]
        if self.skipped:
            parts.append(f"{self.skipped} skipped")
        if self.interrupted:
            parts.append("interrupted")
        return f"TrainingResult({', '.join(parts)})"

    @property
    def best(self) -> Validation | None:
        """The validation with the lowest loss, whose parameters the model has now."""
        finite = (v for v in self.validations if math.isfinite(v.loss))
        return min(finite, key=lambda v: v.loss, default=None)


@strict_keywords(config=TrainingConfig)
def fit(
    model: Trainable,
    training: Batches,
    validation: Batches | None = None,
    config: TrainingConfig | None = None,
    *,
    path: str | os.PathLike[str] | None = None,
    overwrite: bool = False,
    progress: Progress | None = None,
) -> TrainingResult:
    """Train a model; it ends with the parameters of the lowest validation loss.

    Ctrl-C (KeyboardInterrupt) ends the run within one update: the best parameters so far, or the
    last where there was no validation yet, are put into the model and saved, and the function
    returns.

    Parameters
    ----------
    model : Trainable
        Changed in place.
    training : Batches
        The state of the model is carried from batch to batch where
        they say so: truncated back-propagation through time.
    validation : Batches, optional
        Read after each epoch, or every ``config.validate_every`` updates. Without it the last
        parameters are kept.
    config : TrainingConfig, optional
        Epochs, optimiser, schedule, limits; what it says about batches was used to make them.
    path : path, optional
        Where each better model is saved at once, by a rename: a kill leaves the one before.
    overwrite : bool
        Whether the first of them may replace a file that is at `path` already.
    progress : Progress, optional
        Where to show how it goes; None is silent.

    Returns
    -------
    TrainingResult

    Raises
    ------
    OSError
        When the path cannot be written, before anything is computed.
    FileExistsError
        When there is a file at `path` and `overwrite` is False, before anything is computed.
    FloatingPointError
        When the loss becomes infinite or not a number, or the gradients in every update of an
        epoch or in 100 updates in a row. The model has the best parameters so far.
    TypeError, ValueError
        When an argument has the wrong type, an option of the optimiser or schedule does not fit, or
        the model cannot be saved.
    """
    config = TrainingConfig() if config is None else config
    instance("model", model, Trainable)
    require_batches("training", training)
    if validation is not None:
        require_batches("validation", validation)
    instance("config", config, TrainingConfig)
    if progress is not None:
        require_progress(progress)
    run = _Run(model, training, validation, config, progress)
    if path is not None:
        io.require_savable(model)
        _files.require_writable(path)
        if not flag("overwrite", overwrite):
            _files.require_new(path, "overwrite=True replaces it")
    best = BestModel(model, path)
    try:
        with progress or nullcontext():
            run.epochs(best)
    except KeyboardInterrupt:
        run.result.interrupted = True
        model.zero_grad()  # a backward pass that was cut short has added a part
    except FloatingPointError:
        best.restore()
        raise
    finally:
        run.result.seconds = run.elapsed()
    if run.result.losses:
        best.finish()
    return run.result


class _Run:
    """One run of the loop: counters, clock, and what is reported of them."""

    def __init__(
        self,
        model: Trainable,
        training: Batches,
        validation: Batches | None,
        config: TrainingConfig,
        progress: Progress | None,
    ) -> None:
        self.result = TrainingResult()
        self._model = model
        self._training = training
        self._validation = validation
        self._config = config
        self._progress = progress
        self._epochs = config.epochs_of(len(training))
        self._updates = self._epochs * len(training)
        self._optimizer = config.optimizer.build(model)
        self._schedule = config.schedule.build(self._updates)
        self._epoch = 0
        self._skipped_in_a_row = 0
        self._start = time.perf_counter()
        self._meter = _Meter()

    def epochs(self, best: BestModel) -> None:
        """Train until the epochs or the time are over."""
        self._model.zero_grad()
        for epoch in range(self._epochs):
            self._epoch = epoch
            self._one_epoch(best)
            if self._time_is_over():
                break

    def elapsed(self) -> float:
        """Seconds since the start."""
        return time.perf_counter() - self._start

    def _one_epoch(self, best: BestModel) -> None:
        state, first = None, len(self.result.losses)
        for batch in self._training.epoch(self._epoch):
            # A carried state is a number, not a function of the parameters: no gradient reaches
            # the batch before (truncated back-propagation through time).
            final = self._update(batch, state)
            state = final if self._training.carries_state else None
            if self._time_is_over():
                break
            if self._validation_is_due():
                self._validate(best)
            elif self._report_is_due():
                self._report()
        losses = self.result.losses[first:]
        # An epoch that the time has cut short says little: then all updates of the run count.
        whole = len(losses) == len(self._training)
        if 0 < len(losses if whole else self.result.losses) <= self._skipped_in_a_row:
            raise self._diverged()
        if self._validation is not None:
            self._validate(best)
        else:
            self._schedule.observe(sum(losses) / max(1, len(losses)))

    def _update(self, batch: Batch, state: Any) -> Any:
        """One step of the optimiser; returns the final state."""
        factor = self._schedule.factor(self._schedule_step(), self._epoch)
        self._optimizer.learning_rate = self._config.optimizer.learning_rate * factor
        loss, state = self._model.loss_and_grad(batch, state, scale=batch.weight)
        if not math.isfinite(loss):
            raise FloatingPointError(
                f"training diverged: the loss of update {len(self.result.losses) + 1} is {loss}; "
                "a lower learning rate or clip_norm may help"
            )
        norm = self._optimizer.step(zero_grad=True)
        self.result.losses.append(loss)
        self.result.num_targets += batch.num_targets
        self._meter.add(loss, batch.num_targets)
        self._count_skipped(norm)
        return state

    def _count_skipped(self, norm: float) -> None:
        """Take note of whether the optimiser has skipped the update, as `norm` tells."""
        if math.isfinite(norm):
            self._skipped_in_a_row = 0
            return
        self.result.skipped += 1
        self._skipped_in_a_row += 1
        if self._skipped_in_a_row == _MOST_SKIPPED:
            raise self._diverged()

    def _diverged(self) -> FloatingPointError:
        return FloatingPointError(
            f"training diverged: the gradients of the last {self._skipped_in_a_row} of "
            f"{len(self.result.losses)} updates are not finite; a lower learning rate or smaller "
            "initial parameters may help"
        )

    def _validate(self, best: BestModel) -> None:
        """Compute the validation loss, unless it is known for the present parameters."""
        done, known = len(self.result.losses), self.result.validations
        if self._validation is None or (known and known[-1].update == done):
            return
        self._meter.stop()
        found = evaluate(self._model, self._validation)
        known.append(Validation(self._epoch + 1, done, found.loss, found.measures))
        best.offer(found.loss)
        self._schedule.observe(found.loss)
        self._report(validated=True)

    def _report(self, *, validated: bool = False) -> None:
        if self._progress is None:
            return
        self._meter.stop()
        fraction = self._fraction()
        latest = next(reversed(self.result.validations), None)
        loss = self._meter.mean_loss()
        report = Report(
            epoch=self._epoch + 1,
            epochs=self._epochs,
            fraction=fraction,
            loss=loss,
            validation_loss=None if latest is None else latest.loss,
            measures=self._model.metrics(latest.loss if latest else loss)
            | (latest.measures if latest else {}),
            tokens_per_second=self._meter.speed(),
            seconds_left=self.elapsed() * (1 - fraction) / fraction,
            validated=validated,
            skipped=self.result.skipped,
            by_time=fraction > self._share_of_updates(),
        )
        self._progress.show(report)
        self._meter.resume()

    def _validation_is_due(self) -> bool:
        every = self._config.validate_every
        return every is not None and len(self.result.losses) % every == 0

    def _report_is_due(self) -> bool:
        return self._progress is not None and self._meter.seconds() >= self._progress.interval

    def _fraction(self) -> float:
        """Share of the run that is done, by updates or by time."""
        done = self._share_of_updates()
        limit = self._config.time_limit
        return done if limit is None else min(1.0, max(done, self.elapsed() / limit))

    def _share_of_updates(self) -> float:
        return len(self.result.losses) / self._updates

    def _schedule_step(self) -> int:
        """Updates done; more where the time runs out before the epochs."""
        done = len(self.result.losses)
        if self._config.time_limit is None:
            return done
        return max(done, int(self._fraction() * self._updates))

    def _time_is_over(self) -> bool:
        limit = self._config.time_limit
        return limit is not None and self.elapsed() >= limit


class _Meter:
    """Loss and speed of the updates since the last report; the time of validations is left out."""

    def __init__(self) -> None:
        self._begin(time.perf_counter())

    def _begin(self, start: float) -> None:
        self._start = start
        self._stop: float | None = None
        self._resumed = start
        self._loss = 0.0
        self._num_targets = 0

    def add(self, loss: float, num_targets: int) -> None:
        """Take note of one update and its mean loss; the first after a stop begins anew."""
        if self._stop is not None:
            self._begin(self._resumed)
        self._loss += loss * num_targets
        self._num_targets += num_targets

    def stop(self) -> None:
        """Stop the clock; the figures stay until the next update."""
        if self._stop is None:
            self._stop = time.perf_counter()

    def resume(self) -> None:
        """Let the clock of the next figures run from now on."""
        self._resumed = time.perf_counter()

    def seconds(self) -> float:
        """Duration so far."""
        return (time.perf_counter() if self._stop is None else self._stop) - self._start

    def mean_loss(self) -> float:
        """Mean per target."""
        return self._loss / max(1, self._num_targets)

    def speed(self) -> float:
        """Targets per second."""
        return self._num_targets / max(self.seconds(), 1e-9)
