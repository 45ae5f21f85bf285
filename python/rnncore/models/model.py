"""Model: what it computes is said once; training, evaluation and inference follow from it."""

from __future__ import annotations

from abc import abstractmethod
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rnncore.data import Batch
from rnncore.heads import RowHead
from rnncore.models.passes import CountingPass, LossPass, Pass, TrainingPass
from rnncore.models.tape import state_arrays
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
        if getattr(batch, "bptt", None) is not None:
            return self._loss_and_grad_of_pieces(batch, state, scale, memory_limit)
        run = TrainingPass(memory_limit)
        final = self._computed(run, batch, state)
        loss = run.backward(scale)
        return loss, state_arrays(final)

    def _loss_and_grad_of_pieces(
        self, batch: Batch, state: Any, scale: float, memory_limit: int | None
    ) -> tuple[float, Any]:
        """Truncated back-propagation through time: the state goes on, gradients do not."""
        total, counts, whole = 0.0, [0.0], None
        for piece in batch.pieces():
            run = TrainingPass(memory_limit)
            final = self._computed(run, piece, state)
            _require_rows(run)
            alike = run.counts_all and all(count == piece.num_targets for count in run.counts)
            if whole is None:
                whole = alike
                same = [float(batch.num_targets)] * len(run.counts)
                counts = same if whole else self._counts(batch, state)
            if whole and not alike:
                raise ValueError(_other_targets(piece.num_targets, run.counts))
            shares = [part / (count or 1) for part, count in zip(run.counts, counts, strict=True)]
            total += run.backward(scale, shares)
            state = state_arrays(final)
        return total, state

    def _counts(self, batch: Batch, state: Any) -> list[float]:
        """Return what the mean of each head divides by, over all pieces of a batch."""
        counts: list[list[float]] = []
        for piece in batch.pieces():
            run = CountingPass()
            state = self._computed(run, piece, state)
            counts.append(run.counts)
        return [sum(parts) for parts in zip(*counts, strict=True)]

    def _computed(self, run: Pass, batch: Any, state: Any) -> Any:
        """Return what `compute` returns; raise where it can train nothing or not all."""
        final = self.compute(run, batch, state)
        own = set(map(id, self.modules()))
        for layer in [*run.layers, *(head for head, _ in run.outputs)]:
            if id(layer) not in own and getattr(layer, "num_params", 0) > 0:
                raise ValueError(
                    f"compute: expected layers of this {type(self).__name__}, got {layer!r}, which "
                    "is not part of it and would be neither trained nor saved; assign it to an "
                    "attribute, or a whole list of layers at once: a later append adds none"
                )
        if type(run) is not Pass and not run.outputs:
            raise ValueError(
                f"compute: expected {type(self).__name__}.compute to call run.loss, got no such "
                "call; end it with run.loss(self.head, y, batch.targets)"
            )
        if isinstance(run, TrainingPass):
            run.keep(final)
        return final

    def loss(self, batch: Any, state: Any = None) -> tuple[float, Any]:
        """Return mean loss and final state without dropout and gradient; nothing is kept."""
        run = LossPass()
        final = self._computed(run, batch, state)
        return run.total, final

    def loss_and_measures(
        self, batch: Any, state: Any = None
    ) -> tuple[float, dict[str, float], Any]:
        """Return loss, `measures` and final state of one pass without dropout and gradient."""
        terms, measures, final = self.terms_and_measures(batch, state)
        return sum(mean for mean, _ in terms), measures, final

    def terms_and_measures(
        self, batch: Any, state: Any = None
    ) -> tuple[list[tuple[float, float]], dict[str, float], Any]:
        """Return the mean of each head with what it divides by, `measures` and final state."""
        run = LossPass()
        final = self._computed(run, batch, state)
        terms = list(zip(run.means, run.counts, strict=True))
        return terms, self.measures(run, batch), final

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
        final = self._computed(run, batch, state)
        return run.losses, final

    def outputs(self, batch: Any, state: Any = None) -> tuple[list[tuple[Any, Any]], Any]:
        """Return each head with what it is given, and the final state; targets are not read."""
        run = Pass()
        final = self._computed(run, batch, state)
        return run.outputs, final


def _require_rows(run: Pass) -> None:
    """Raise unless each step has a target of its own, so that a sequence can be cut."""
    for head, _ in run.outputs:
        if not isinstance(head, RowHead):
            raise ValueError(
                f"bptt: expected heads with a target for every step, got {head!r}, whose loss "
                "needs whole sequences; give batches without bptt"
            )


def _other_targets(expected: int, counts: list[float]) -> str:
    """Say that `compute` counts targets in a later piece in another way than in the first."""
    return (
        f"bptt: expected run.loss to count the {expected} targets of the piece, as in the first, "
        f"got {counts}; mark targets that do not count by -100 or NaN, or give lengths to run.loss"
    )
