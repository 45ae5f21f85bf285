"""Metrics for TensorBoard, where its package is installed."""

from __future__ import annotations

import os
import time
from typing import Any

from rnncore import _files
from rnncore._keywords import StrictKeywords
from rnncore.training.callbacks import Callback, Update
from rnncore.training.result import TrainingResult, Validation
from rnncore.training.run import Run

__all__ = ["TensorBoard"]


class TensorBoard(StrictKeywords, Callback):
    """Writes the metrics of every update and validation as scalars of TensorBoard.

    Parameters
    ----------
    directory : path
        Where the event file is made, as ``tensorboard --logdir`` expects it. A run that goes on
        from a checkpoint adds another file, whose steps replace those after the checkpoint.

    Raises
    ------
    ImportError
        When the package tensorboard is not installed.
    """

    def __init__(self, directory: str | os.PathLike[str]) -> None:
        try:
            from tensorboard.compat.proto import event_pb2, summary_pb2
            from tensorboard.summary.writer.event_file_writer import EventFileWriter
        except ImportError as error:
            install = "pip install rnncore[tensorboard]"
            raise ImportError(f"TensorBoard needs its package: {install} ({error})") from None

        self.directory = _files.as_path(directory)
        self._open = EventFileWriter
        self._event, self._log = event_pb2.Event, event_pb2.SessionLog
        self._summary = summary_pb2.Summary
        self._writer: Any = None

    def on_start(self, run: Run) -> None:
        """Make the event file."""
        self.directory.mkdir(parents=True, exist_ok=True)
        self._writer = self._open(str(self.directory))
        if run.resumed:  # readers drop what the killed run has written from here on
            start = self._log(status=self._log.START)
            self._add(run.updates + 1, session_log=start)

    def on_update(self, update: Update) -> None:
        """Write the scalars of an update."""
        self._write(
            update.update,
            {
                "training/loss": update.loss,
                "training/gradient_norm": update.gradient_norm,
                "training/learning_rate": update.learning_rate,
                "training/targets_per_second": update.targets_per_second,
            },
        )

    def on_validation(self, validation: Validation) -> None:
        """Write the scalars of a validation."""
        values = {"loss": validation.loss, **validation.measures}
        self._write(
            validation.update, {f"validation/{name}": value for name, value in values.items()}
        )

    def on_end(self, result: TrainingResult) -> None:
        """Close the file."""
        if self._writer is not None:
            self._writer.close()
            self._writer = None

    def _write(self, step: int, scalars: dict[str, float]) -> None:
        values = [
            self._summary.Value(tag=tag, simple_value=value) for tag, value in scalars.items()
        ]
        self._add(step, summary=self._summary(value=values))

    def _add(self, step: int, **content: Any) -> None:
        self._writer.add_event(self._event(wall_time=time.time(), step=step, **content))
