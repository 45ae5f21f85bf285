"""What the training loop asks of a model."""

from __future__ import annotations

from abc import abstractmethod
from typing import Any

from rnncore.layers import Module

__all__ = ["Trainable"]


class Trainable(Module):
    """A module with a loss that can be trained by `fit`: base of `rnncore.Model`."""

    #: What one target is called in reports.
    unit: str = "target"

    @abstractmethod
    def loss_and_grad(
        self, batch: Any, state: Any = None, *, scale: float = 1.0
    ) -> tuple[float, Any]:
        """Return the mean loss of a batch and the final state; add its gradient to `grads`.

        Parameters
        ----------
        batch : Batch
            Inputs, targets and lengths.
        state : any
            Final state of the batch before, or None. No gradient reaches the batch before.
        scale : float
            Factor of the gradient.

        Returns
        -------
        loss : float
            Mean over the targets that count; 0 where none does.
        state : any
            Final state.
        """

    @abstractmethod
    def loss(self, batch: Any, state: Any = None) -> tuple[float, Any]:
        """Return mean loss and final state without dropout and gradient; nothing is kept."""

    def loss_and_measures(
        self, batch: Any, state: Any = None
    ) -> tuple[float, dict[str, float], Any]:
        """Return what `loss` returns, with other measures between them.

        Each measure is a sum over the targets of the batch, such as the number of right answers;
        `evaluate` divides it by their number.
        """
        loss, final = self.loss(batch, state)
        return loss, {}, final

    def terms_and_measures(
        self, batch: Any, state: Any = None
    ) -> tuple[list[tuple[float, float]], dict[str, float], Any]:
        """Return what `loss_and_measures` returns, with the terms of the loss.

        Each term is a mean and what it divides by, by which `evaluate` weighs it: the number of
        targets, or the sum of their weights.
        """
        loss, measures, final = self.loss_and_measures(batch, state)
        return [(loss, batch.num_targets)], measures, final

    def metrics(self, loss: float) -> dict[str, float]:
        """Return what a mean loss is in the terms of this model, by name, such as a perplexity."""
        return {}
