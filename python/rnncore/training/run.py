"""Everything that a training run is at one moment."""

from __future__ import annotations

import os
import zlib
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

import numpy as np

from rnncore.data import Batches
from rnncore.data.checksum import checksum
from rnncore.layers import Module
from rnncore.training.best import BestModel
from rnncore.training.clock import Clock
from rnncore.training.config import TrainingConfig
from rnncore.training.result import TrainingResult
from rnncore.training.trainable import Trainable

__all__ = ["Run"]


class Run:
    """Model, optimizer, schedule, position, history and clock of a training run.

    `fit` makes it, and hands it to the callbacks.

    Parameters
    ----------
    model : Trainable
        What is trained.
    training : Batches
        What it learns from.
    validation : Batches or None
        What is held out.
    config : TrainingConfig
        How it is trained.
    path : path or None
        Where the best model is saved.

    Attributes
    ----------
    epochs : int
        Number of epochs, unless the run ends before.
    epoch : int
        The present one, counted from 0.
    batch : int
        Batches of it that are done.
    state : any
        What the model carries to the next batch.
    optimizer : Optimizer
    schedule : Schedule
    best : BestModel
    result : TrainingResult
        Losses and validations so far.
    clock : Clock
        Seconds so far.
    resumed : bool
        Whether the run goes on from a checkpoint.

    Examples
    --------
    >>> import rnncore as rc
    >>> class Position(rc.training.Callback):
    ...     def on_start(self, run):
    ...         self.run = run
    >>> position = Position()
    >>> model = rc.LanguageModel(vocab_size=3, hidden_size=4, num_layers=1, rng=0)
    >>> config = rc.training.TrainingConfig(epochs=2, batch_size=2)
    >>> result = model.fit([0, 1, 2] * 50, config, callbacks=[position])
    >>> position.run.updates, position.run.fraction()
    (6, 1.0)
    """

    def __init__(
        self,
        model: Trainable,
        training: Batches,
        validation: Batches | None,
        config: TrainingConfig,
        path: str | os.PathLike[str] | None = None,
    ) -> None:
        self.model = model
        self.training = training
        self.validation = validation
        self.config = config
        self.epochs = config.epochs_of(len(training))
        self.optimizer = config.optimizer.build(model)
        self.schedule = config.schedule.build(self.epochs * len(training))
        self.best = BestModel(model, path)
        self.result = TrainingResult()
        self.clock = Clock()
        self.epoch = 0
        self.batch = 0
        self.state: Any = None
        self.skipped_in_a_row = 0
        self.finished = False
        self.resumed = False
        self._stop = False

    # --- position --------------------------------------------------------------------------------
    @property
    def updates(self) -> int:
        """Updates so far, skipped ones among them."""
        return len(self.result.losses)

    def stop(self) -> None:
        """End the run after the present update, with a validation."""
        self._stop = True

    def is_over(self) -> bool:
        """Return whether no further update is to be made in this epoch."""
        limit = self.config.time_limit
        return self._stop or (limit is not None and self.clock.seconds() >= limit)

    def has_lost_patience(self) -> bool:
        """Return whether the validation loss has not fallen for too long."""
        patience = self.config.patience
        return patience is not None and self.result.waited() >= patience

    def validation_is_due(self) -> bool:
        """Return whether a validation follows the update that was made just now."""
        every = self.config.validate_every
        return self.validation is not None and every is not None and self.updates % every == 0

    def share_of_updates(self) -> float:
        """Return the share of the updates that are done."""
        return self.updates / (self.epochs * len(self.training))

    def fraction(self) -> float:
        """Return the share of the run that is done, by updates or by time."""
        done, limit = self.share_of_updates(), self.config.time_limit
        return done if limit is None else min(1.0, max(done, self.clock.seconds() / limit))

    def learning_rate(self) -> float:
        """Return the learning rate of the next update."""
        step = self.updates
        if self.config.time_limit is not None:  # schedules end when the time is over
            step = max(step, int(self.fraction() * self.epochs * len(self.training)))
        return self.config.optimizer.learning_rate * self.schedule.factor(step, self.epoch)

    # --- what a checkpoint holds -----------------------------------------------------------------
    def identity(self) -> dict[str, str]:
        """Return, by name, what a run that goes on from a checkpoint has in common with it."""
        model = {name: repr(value) for name, value in self.model.config().items()}
        shapes = [(name, *view.shape) for name, view in self.model.params.items()]
        return {
            "model": type(self.model).__qualname__,
            **{f"{name} of the model": value for name, value in model.items()},
            "dtype of the model": str(self.model.dtype),
            "parameters of the model": f"{zlib.crc32(repr(shapes).encode()):08x}",
            **{name: repr(value) for name, value in asdict(self.config).items()},
            "training data": _fingerprint(self.training),
            "validation data": _fingerprint(self.validation),
        }

    def state_dict(self) -> dict[str, Any]:
        """Return all that changes during a run, so that it goes on with the same bits."""
        self.result.seconds = self.clock.seconds()
        return {
            "params": self.model.flat_params,
            "optimizer": self.optimizer.state_dict(),
            "schedule": self.schedule.state_dict(),
            "generators": [rng.bit_generator.state for rng in _generators(self.model)],
            "epoch": self.epoch,
            "batch": self.batch,
            "state": self.state,
            "skipped_in_a_row": self.skipped_in_a_row,
            "finished": self.finished,
            "best": self.best.state_dict(),
            "result": self.result.state_dict(),
        }

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        """Take over what `state_dict` returned."""
        self.model.flat_params = state_dict["params"]
        self.optimizer.load_state_dict(state_dict["optimizer"])
        self.schedule.load_state_dict(state_dict["schedule"])
        for rng, state in zip(_generators(self.model), state_dict["generators"], strict=True):
            rng.bit_generator.state = state
        for name in ("epoch", "batch", "state", "skipped_in_a_row", "finished"):
            setattr(self, name, state_dict[name])
        self.best.load_state_dict(state_dict["best"])
        self.result.load_state_dict(state_dict["result"])
        self.clock.set(self.result.seconds)
        self.resumed = True


def _generators(model: Module) -> list[np.random.Generator]:
    """Return the random generators of a model and its layers, each once, in a fixed order."""
    found = {
        id(value): value
        for module in model.modules()
        for value in vars(module).values()
        if isinstance(value, np.random.Generator)
    }
    return list(found.values())


def _fingerprint(batches: Batches | None) -> str:
    """Return the number of batches, and a checksum of the first and of all data if there is one."""
    if batches is None:
        return "none"
    found = 0
    for batch in batches.epoch(0):
        found = checksum((batch.inputs, batch.targets, batch.lengths))
        break
    of_all = getattr(batches, "checksum", None)
    if callable(of_all):
        found = checksum(of_all(), found)
    return f"{len(batches)} batches with checksum {found:08x}"
