"""Reports of a run for a display of progress."""

from __future__ import annotations

import sys

from rnncore.progress import Progress, Report, choose_progress
from rnncore.training.callbacks import Callback, Update
from rnncore.training.result import TrainingResult, Validation
from rnncore.training.run import Run

__all__ = ["Reporter", "as_progress"]


def as_progress(progress: Progress | bool | None, unit: str) -> Progress | None:
    """Return the display that is meant: True is one on standard output."""
    if progress is None or progress is False:
        return None
    return choose_progress(sys.stdout, unit) if progress is True else progress


class Reporter(Callback):
    """Shows a report every so many seconds, and one after each validation.

    Parameters
    ----------
    progress : Progress
        Where they are shown.
    """

    def __init__(self, progress: Progress) -> None:
        self._progress = progress

    def on_start(self, run: Run) -> None:
        """Open the display."""
        self._run = run
        self._progress.__enter__()
        self._meter = _Meter(run)

    def on_update(self, update: Update) -> None:
        """Report, where it is time; a validation that follows at once will report itself."""
        self._meter.add(update.loss, update.num_targets)
        due = self._meter.seconds() >= self._progress.interval
        if due and not (self._run.validation_is_due() or self._run.is_over()):
            self._report(None)

    def on_validation(self, validation: Validation) -> None:
        """Report it."""
        self._report(validation)

    def on_end(self, result: TrainingResult) -> None:
        """Close the display."""
        self._progress.__exit__(*sys.exc_info())

    def _report(self, validation: Validation | None) -> None:
        run, fraction = self._run, self._run.fraction()
        latest = run.result.validations[-1] if run.result.validations else None
        loss = self._meter.mean_loss()
        self._progress.show(
            Report(
                epoch=run.epoch + 1,
                epochs=run.epochs,
                fraction=fraction,
                loss=loss,
                validation_loss=None if latest is None else latest.loss,
                measures=(
                    run.model.metrics(loss)
                    if latest is None
                    else {**run.model.metrics(latest.loss), **latest.measures}
                ),
                tokens_per_second=self._meter.speed(),
                seconds_left=run.clock.seconds() * (1 - fraction) / fraction,
                validated=validation is not None,
                skipped=run.result.skipped,
                by_time=fraction > run.share_of_updates(),
            )
        )
        self._meter.resume()


class _Meter:
    """Loss and speed of the updates since the last report; the time of validations is left out."""

    def __init__(self, run: Run) -> None:
        self._clock = run.clock
        self._begin()

    def _begin(self) -> None:
        self._start = self._end = self._clock.seconds()
        self._is_new = False  # whether the next update begins new figures
        self._loss = 0.0
        self._num_targets = 0

    def add(self, loss: float, num_targets: int) -> None:
        """Take note of one update and its mean loss; the first after a report begins anew."""
        if self._is_new:
            self._begin()
            self._start = self._resumed
        self._end = self._clock.seconds()
        self._loss += loss * num_targets
        self._num_targets += num_targets

    def resume(self) -> None:
        """Let the next figures begin now; these stay until the next update."""
        self._is_new = True
        self._resumed = self._clock.seconds()

    def seconds(self) -> float:
        """Duration up to the last update."""
        return self._end - self._start

    def mean_loss(self) -> float:
        """Mean per target."""
        return self._loss / max(1, self._num_targets)

    def speed(self) -> float:
        """Targets per second."""
        return self._num_targets / max(self.seconds(), 1e-9)
