"""Model: what it computes is said once; training, evaluation and inference follow from it."""

from __future__ import annotations

from abc import abstractmethod
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rnncore.models.passes import LossPass, Pass, TrainingPass, Value
from rnncore.training import Trainable, TrainingResult, fit

__all__ = ["Model"]


class Model(Trainable):
    """Base of models that `rnncore.training.fit` trains.

    A subclass assigns its layers in the constructor and defines `compute`. It may define
    `measures`, such as an accuracy, which validations report beside the loss.

    Examples
    --------
    >>> import numpy as np, rnncore as rc
    >>> class Tagger(rc.Model):
    ...     def __init__(self, vocab_size, num_tags, *, rng=None):
    ...         super().__init__(rng=rng)
    ...         self.rnn = rc.GRU(vocab_size, 8, bidirectional=True, rng=self.rng)
    ...         self.head = rc.heads.Softmax(16, num_tags, rng=self.rng)
    ...
    ...     def compute(self, run, batch, state=None):
    ...         y, _ = run(self.rnn, batch.inputs, lengths=batch.lengths)
    ...         run.loss(self.head, y, batch.targets)
    >>> model = Tagger(vocab_size=5, num_tags=3, rng=0)
    >>> batch = rc.data.Batch(np.array([[0], [4]]), np.array([[2], [1]]))
    >>> loss, _ = model.loss_and_grad(batch)
    """

    @abstractmethod
    def compute(self, run: Pass, batch: Any, state: Any = None) -> Any:
        """Say what the model computes, by calls of ``run``; see `Pass`.

        Parameters
        ----------
        run : Pass
            ``run(self.layer, x)`` runs a layer, ``run.loss(self.head, y, targets)`` ends the pass.
        batch : Batch
            Inputs, targets and lengths.
        state : any
            What `compute` returned for the batch before, where the batches carry their state.

        Returns
        -------
        state : any
            What the next batch goes on from; None where there is nothing.
        """

    def fit(self, *args: Any, **kwargs: Any) -> TrainingResult:
        """Train on batches: ``fit(training, validation=None, config=None, ...)``.

        Parameters and results are those of `rnncore.training.fit`; models that take texts or
        sequences make the batches themselves.
        """
        return fit(self, *args, **kwargs)

    def loss_and_grad(
        self, batch: Any, state: Any = None, *, scale: float = 1.0, memory_limit: int | None = None
    ) -> tuple[float, Any]:
        """Return the mean loss of a batch and the final state; add its gradient to `grads`.

        Parameters and results are those of `Trainable.loss_and_grad`, and:

        Parameters
        ----------
        memory_limit : int, optional
            Bytes that each recurrent layer may keep of the steps, see `RNN.forward`.
        """
        run = TrainingPass(memory_limit)
        final = self.compute(run, batch, state)
        loss = run.backward(scale)
        return loss, _arrays(final)

    def loss(self, batch: Any, state: Any = None) -> tuple[float, Any]:
        """Return mean loss and final state without dropout and gradient; nothing is kept."""
        run = LossPass()
        final = self.compute(run, batch, state)
        return run.total, final

    def loss_and_measures(
        self, batch: Any, state: Any = None
    ) -> tuple[float, dict[str, float], Any]:
        """Return loss, `measures` and final state of one pass without dropout and gradient."""
        run = LossPass()
        final = self.compute(run, batch, state)
        return run.total, self.measures(run, batch), final

    def measures(self, run: LossPass, batch: Any) -> dict[str, float]:
        """Return what a validation measures beside the loss, by name; nothing, if not overridden.

        Parameters
        ----------
        run : LossPass
            The pass over this batch: ``run.outputs`` are the heads with what they were given.
        batch : Batch
            Inputs, targets and lengths.

        Returns
        -------
        dict of float
            Sums over the targets that count; `rnncore.training.evaluate` divides them by the number
            of these targets.
        """
        return {}

    def losses(self, batch: Any, state: Any = None) -> tuple[list[NDArray[np.float64]], Any]:
        """Return the loss of every target, an array for each head, and the final state."""
        run = LossPass()
        final = self.compute(run, batch, state)
        return run.losses, final

    def outputs(self, batch: Any, state: Any = None) -> tuple[list[tuple[Any, Any]], Any]:
        """Return each head with what it is given, and the final state; targets are not read."""
        run = Pass()
        final = self.compute(run, batch, state)
        return run.outputs, final


def _arrays(state: Any) -> Any:
    """Return a state with arrays for values of a pass."""
    if isinstance(state, Value):
        return state.array
    if isinstance(state, tuple | list):
        return type(state)(_arrays(part) for part in state)
    if isinstance(state, dict):
        return {name: _arrays(part) for name, part in state.items()}
    return state
