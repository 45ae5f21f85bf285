"""What a training run tells others while it works."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from rnncore.training.result import TrainingResult, Validation

if TYPE_CHECKING:
    from rnncore.training.run import Run

__all__ = ["Callback", "Update"]


class Update(NamedTuple):
    """One update of the parameters.

    Parameters
    ----------
    epoch : int
        In which it was made, counted from 1.
    update : int
        Its number, counted from 1 over the whole run.
    loss : float
        Mean loss of its batch before the update, in nats.
    gradient_norm : float
        Euclidean norm of all gradients before clipping. It is not finite where the update was
        skipped.
    learning_rate : float
        Learning rate of this update.
    num_targets : int
        Targets of its batch that count.
    seconds : float
        Duration of the update, from the request for its batch on.

    Examples
    --------
    >>> import rnncore as rc
    >>> update = rc.training.Update(1, 3, 2.5, 0.7, 6e-3, num_targets=64, seconds=0.5)
    >>> update.targets_per_second
    128.0
    """

    epoch: int
    update: int
    loss: float
    gradient_norm: float
    learning_rate: float
    num_targets: int
    seconds: float

    @property
    def targets_per_second(self) -> float:
        """Speed of this update."""
        return self.num_targets / max(self.seconds, 1e-9)


class Callback:
    """Base of what is called during a run; each method does nothing, unless it is overridden.

    A class with the same methods does as well. An exception in one of them ends the run.

    Examples
    --------
    >>> import rnncore as rc
    >>> class Norms(rc.training.Callback):
    ...     def on_start(self, run):
    ...         self.run, self.values = run, []
    ...
    ...     def on_update(self, update):
    ...         self.values.append(update.gradient_norm)
    ...         if update.update == 4:
    ...             self.run.stop()
    >>> norms = Norms()
    >>> model = rc.LanguageModel(vocab_size=3, hidden_size=4, num_layers=1, rng=0)
    >>> config = rc.training.TrainingConfig(epochs=2, batch_size=2)
    >>> result = model.fit([0, 1, 2] * 50, config, callbacks=[norms])
    >>> len(norms.values), len(result.losses)
    (4, 4)
    """

    def on_start(self, run: Run) -> None:
        """Begin, before the first update.

        Parameters
        ----------
        run : Run
            The run itself. ``run.resumed`` says whether it goes on from a checkpoint, after
            ``run.updates`` updates; ``run.stop()`` ends it after the present update.
        """

    def on_update(self, update: Update) -> None:
        """Take note of an update, just after it."""

    def on_validation(self, validation: Validation) -> None:
        """Take note of a validation, just after it."""

    def on_end(self, result: TrainingResult) -> None:
        """End: after the last update, after Ctrl-C and after an error."""
