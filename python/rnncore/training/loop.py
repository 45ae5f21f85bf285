"""The training loop."""

from __future__ import annotations

import math
import os
import time
from collections.abc import Iterable, Sequence
from contextlib import ExitStack
from itertools import islice

from rnncore import _files, io
from rnncore._check import describe, flag, instance, integer
from rnncore._keywords import strict_keywords
from rnncore.data import Batch, Batches
from rnncore.optim.clipping import norm_of
from rnncore.progress import Progress
from rnncore.training.callbacks import Callback, Update
from rnncore.training.checkpoint import Checkpoint
from rnncore.training.config import TrainingConfig
from rnncore.training.duck import require_batches, require_callback, require_progress
from rnncore.training.evaluation import evaluate
from rnncore.training.reports import Reporter, as_progress
from rnncore.training.result import TrainingResult, Validation
from rnncore.training.run import Run
from rnncore.training.trainable import Trainable

__all__ = ["fit"]

# Updates in a row without a finite gradient after which a run has diverged, also within an epoch.
_MOST_SKIPPED = 100

_VERB = {"loss": "is", "gradients": "are"}


@strict_keywords(config=TrainingConfig)
def fit(
    model: Trainable,
    training: Batches,
    validation: Batches | None = None,
    config: TrainingConfig | None = None,
    *,
    path: str | os.PathLike[str] | None = None,
    overwrite: bool = False,
    checkpoint: str | os.PathLike[str] | None = None,
    checkpoint_every: int | None = None,
    resume: bool = False,
    progress: Progress | bool | None = None,
    callbacks: Iterable[Callback] = (),
) -> TrainingResult:
    """Train a model; it ends with the parameters of the lowest validation loss.

    Ctrl-C (KeyboardInterrupt) ends the run within one update: the best parameters so far, or the
    last where there was no validation yet, are put into the model and saved, and the function
    returns.

    A checkpoint holds everything that the run is. A run that was killed at any moment, started
    again by the same call with ``resume=True``, ends with the same bits as one that was not killed.

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
        Epochs, optimizer, schedule, limits; what it says about batches was used to make them.
    path : path, optional
        Where each better model is saved at once, by a rename: a kill leaves the one before.
    overwrite : bool
        Whether the first of them may replace a file that is at `path` already, and likewise the
        first checkpoint.
    checkpoint : path, optional
        Where checkpoints are written, each in place of the one before. None: beside the model, at
        `path` with ``.checkpoint`` appended, if `checkpoint_every` or `resume` asks for them. The
        last one, of the finished run, stays.
    checkpoint_every : int, optional
        Updates between two checkpoints; None: one after each epoch.
    resume : bool
        Whether to go on from the checkpoint, where there is one; otherwise the run begins anew.
    progress : Progress or bool, optional
        Where to show how it goes; True is standard output, False or None is silent.
    callbacks : sequence of Callback
        What is called after updates and validations, in this order.

    Returns
    -------
    TrainingResult
        That of the whole run, also where it was resumed.

    Raises
    ------
    OSError
        When a path cannot be written, before anything is computed. When a file can no longer be
        written or read during the run: the file that was there stays as it is, and the model has
        the best parameters so far.
    FileExistsError
        When there is a file at `path` or `checkpoint` and `overwrite` and `resume` do not say what
        to do with it, before anything is computed.
    FloatingPointError
        When the loss or the gradients of an update are infinite or not a number, or with
        ``config.non_finite="skip"`` those of every update of an epoch or of 100 updates in a row.
        The model has the best parameters so far.
    TypeError, ValueError
        When an argument has the wrong type, an option of the optimizer or schedule does not fit,
        the model cannot be saved, or the checkpoint is that of another run.
    """
    config = TrainingConfig() if config is None else config
    instance("model", model, Trainable)
    require_batches("training", training)
    if validation is not None:
        require_batches("validation", validation)
    instance("config", config, TrainingConfig)
    display = as_progress(progress, model.unit)
    called: list[Callback] = []
    if display is not None:
        require_progress(display)
        called.append(Reporter(display))
    if not isinstance(callbacks, Iterable):
        raise TypeError(
            f"callbacks: expected a list of callbacks, got {describe(callbacks)}; "
            "[callback] is one, () is none"
        )
    for k, callback in enumerate(callbacks):
        require_callback(f"callbacks[{k}]", callback)
        called.append(callback)
    file = _checkpoint(path, checkpoint, checkpoint_every, flag("resume", resume))
    run = Run(model, training, validation, config, path)
    goes_on = file is not None and resume and file.exists()
    _require_files(model, path, file, overwrite=flag("overwrite", overwrite), goes_on=goes_on)
    if file is not None and goes_on:
        file.load(run)
    return _Loop(run, file, called).result()


def _checkpoint(
    path: str | os.PathLike[str] | None,
    checkpoint: str | os.PathLike[str] | None,
    every: int | None,
    resume: bool,
) -> Checkpoint | None:
    """Return the checkpoint that is asked for."""
    if every is not None:
        integer("checkpoint_every", every, 1)
    if checkpoint is None and every is None and not resume:
        return None
    if checkpoint is None:
        if path is None:
            raise ValueError(
                "checkpoint: expected a path, or the path of a model to put it beside, got None"
            )
        checkpoint = f"{_files.as_path(path)}.checkpoint"
    return Checkpoint(checkpoint, every)


def _require_files(
    model: Trainable,
    path: str | os.PathLike[str] | None,
    checkpoint: Checkpoint | None,
    *,
    overwrite: bool,
    goes_on: bool,
) -> None:
    """Raise the error of writing them now, before long work."""
    if path is not None:
        io.require_savable(model)
        _files.require_writable(path)
        if not overwrite and not goes_on:
            _files.require_new(path, "overwrite=True replaces it")
    if checkpoint is not None:
        _files.require_writable(checkpoint.path)
        if not overwrite and not goes_on:
            _files.require_new(
                checkpoint.path, "resume=True goes on from it, overwrite=True replaces it"
            )


class _Loop:
    """Epochs, updates and validations of one run, and who is called of them."""

    def __init__(
        self, run: Run, checkpoint: Checkpoint | None, callbacks: Sequence[Callback]
    ) -> None:
        self._run = run
        self._checkpoint = checkpoint
        self._callbacks = callbacks
        self._skips = run.config.non_finite == "skip"

    def result(self) -> TrainingResult:
        """Train until the run is over; return what happened."""
        run = self._run
        run.model.zero_grad()
        try:
            with ExitStack() as ends:
                for callback in self._callbacks:
                    callback.on_start(run)
                    ends.callback(callback.on_end, run.result)
                ends.callback(self._stop_clock)
                self._epochs()
        except KeyboardInterrupt:
            run.result.interrupted = True
            run.model.zero_grad()  # a backward pass that was cut short has added a part
        except FloatingPointError:
            run.best.restore()
            raise
        except OSError as error:
            run.best.restore()
            raise self._told(error) from None
        if run.updates:
            run.best.finish()
        return run.result

    def _epochs(self) -> None:
        """Train until the epochs, the time or the patience are over."""
        run = self._run
        if run.finished:
            return
        if not run.resumed:
            self._save()
        while run.epoch < run.epochs:
            self._one_epoch()
            if run.is_over():
                break
            if run.has_lost_patience():
                run.result.stopped_early = True
                break
            run.epoch, run.batch, run.state = run.epoch + 1, 0, None
            if run.epoch < run.epochs:
                self._save()
        run.finished = True
        self._save()

    def _one_epoch(self) -> None:
        run = self._run
        start = time.perf_counter()
        for batch in islice(run.training.epoch(run.epoch), run.batch, None):
            self._update(batch, start)
            if run.is_over():
                break
            if run.validation_is_due():
                self._validate()
                if run.is_over() or run.has_lost_patience():
                    break
            if self._checkpoint is not None and self._checkpoint.is_due(run.updates):
                self._save()
            start = time.perf_counter()
        if not run.batch:
            raise ValueError(
                f"training: expected at least one batch, got none from epoch({run.epoch}); an "
                "iterator that was read once is empty: epoch makes a new one in every call"
            )
        losses = run.result.losses[run.updates - run.batch :]
        # An epoch that the time has cut short says little: then all updates of the run count.
        whole = len(losses) == len(run.training)
        if 0 < len(losses if whole else run.result.losses) <= run.skipped_in_a_row:
            raise self._diverged()
        if run.validation is not None:
            self._validate()
        else:
            finite = [loss for loss in losses if math.isfinite(loss)]
            run.schedule.observe(sum(finite) / max(1, len(finite)))

    def _update(self, batch: Batch, start: float) -> None:
        """One step of the optimizer."""
        run = self._run
        rate = run.optimizer.learning_rate = run.learning_rate()
        # A carried state is a number, not a function of the parameters: no gradient reaches the
        # batch before (truncated back-propagation through time).
        loss, state = run.model.loss_and_grad(batch, run.state, scale=batch.weight)
        if math.isfinite(loss):
            norm = run.optimizer.step(zero_grad=True)
        else:
            norm, state = norm_of(run.model.flat_grads), None
            run.model.zero_grad()
        is_taken = math.isfinite(loss) and math.isfinite(norm)
        if not (is_taken or self._skips):
            raise self._not_finite(loss, norm)
        num_targets = batch.num_targets
        run.state = state if run.training.carries_state else None
        run.batch += 1
        run.result.losses.append(loss)
        run.result.num_targets += num_targets
        self._count_skipped(is_taken)
        if self._callbacks:
            seconds = time.perf_counter() - start
            update = Update(run.epoch + 1, run.updates, loss, norm, rate, num_targets, seconds)
            for callback in self._callbacks:
                callback.on_update(update)

    def _count_skipped(self, is_taken: bool) -> None:
        """Take note of whether the parameters have been changed."""
        run = self._run
        if is_taken:
            run.skipped_in_a_row = 0
            return
        run.result.skipped += 1
        run.skipped_in_a_row += 1
        if run.skipped_in_a_row == _MOST_SKIPPED:
            raise self._diverged()

    def _validate(self) -> None:
        """Compute the validation loss, unless it is known for the present parameters."""
        run = self._run
        known = run.result.validations
        if run.validation is None or (known and known[-1].update == run.updates):
            return
        found = evaluate(run.model, run.validation)
        known.append(Validation(run.epoch + 1, run.updates, found.loss, found.measures))
        run.best.offer(found.loss)
        run.schedule.observe(found.loss)
        for callback in self._callbacks:
            callback.on_validation(known[-1])

    def _save(self) -> None:
        if self._checkpoint is not None:
            self._checkpoint.save(self._run)

    def _stop_clock(self) -> None:
        self._run.result.seconds = self._run.clock.seconds()

    def _not_finite(self, loss: float, norm: float) -> FloatingPointError:
        """Return the error of the update that is being made."""
        run = self._run
        what = "gradients" if math.isfinite(loss) else "loss"
        return FloatingPointError(
            f"training diverged: the {what} of update {run.updates + 1} {_VERB[what]} not finite "
            f"(loss {loss:g}, norm of the gradients {norm:g}, norm of the parameters "
            f"{norm_of(run.model.flat_params):g}); a lower learning rate or clip_norm may help, "
            f"and non_finite='skip' leaves such updates out{self._kept()}"
        )

    def _diverged(self) -> FloatingPointError:
        run = self._run
        return FloatingPointError(
            f"training diverged: loss or gradients of the last {run.skipped_in_a_row} of "
            f"{run.updates} updates are not finite; a lower learning rate or smaller initial "
            f"parameters may help{self._kept()}"
        )

    def _told(self, error: OSError) -> OSError:
        """Return the error of a file that can no longer be used, with what is kept."""
        if error.errno is None or not self._run.updates:
            return error
        reason = f"{error.strerror}; training stopped after update {self._run.updates}"
        return OSError(error.errno, f"{reason}{self._kept()}", error.filename)

    def _kept(self) -> str:
        """Say from where the run can go on."""
        if self._checkpoint is None or self._checkpoint.update is None:
            return ""
        path, update = self._checkpoint.path, self._checkpoint.update
        return f"; the checkpoint {path} of update {update} is whole"
