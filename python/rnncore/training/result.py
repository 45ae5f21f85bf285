"""What a training run has come to so far."""

from __future__ import annotations

import math
import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np

__all__ = ["TrainingResult", "Validation"]


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
        Targets read, those of skipped updates among them.
    seconds : float
        Duration of the run. A resumed run counts on from its checkpoint.
    interrupted : bool
        Whether Ctrl-C ended it.
    stopped_early : bool
        Whether it ended because the validation loss no longer fell, see ``patience`` of
        `TrainingConfig`.

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
    stopped_early: bool = False

    def __repr__(self) -> str:
        parts = [
            f"{len(self.losses)} updates",
            f"{self.num_targets} targets",
            f"{self.seconds:.1f} seconds",
            f"best={self.best}",
        ]
        if self.skipped:
            parts.append(f"{self.skipped} skipped")
        if self.stopped_early:
            parts.append("stopped early")
        if self.interrupted:
            parts.append("interrupted")
        return f"TrainingResult({', '.join(parts)})"

    @property
    def best(self) -> Validation | None:
        """The validation with the lowest loss, whose parameters the model has now."""
        finite = (v for v in self.validations if math.isfinite(v.loss))
        return min(finite, key=lambda v: v.loss, default=None)

    def waited(self) -> int:
        """Return the number of validations since the one with the lowest loss."""
        best = self.best
        after = 0 if best is None else self.validations.index(best) + 1
        return len(self.validations) - after

    def plot(self, path: str | os.PathLike[str] | None = None) -> Any:
        """Draw the losses of training and validation.

        Parameters
        ----------
        path : path, optional
            Where to save the picture; the suffix, such as ``.png`` or ``.svg``, chooses its format.

        Returns
        -------
        matplotlib Figure

        Raises
        ------
        ImportError
            When matplotlib is not installed; ``pip install rnncore[plot]`` brings it.
        OSError
            When the picture cannot be written.
        """
        from rnncore.training.curves import Curves

        return Curves.of_result(self).draw(path)

    def state_dict(self) -> dict[str, Any]:
        """Return all of it as plain values and arrays."""
        return {
            **vars(self),
            "losses": np.array(self.losses, np.float64),
            "validations": [asdict(validation) for validation in self.validations],
        }

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        """Take over what `state_dict` returned."""
        vars(self).update(state_dict)
        self.losses = state_dict["losses"].tolist()
        self.validations = [Validation(**entry) for entry in state_dict["validations"]]
