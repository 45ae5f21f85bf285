"""What the training loop asks of a model."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any

from rnncore.data import IdsLike
from rnncore.layers import Module

__all__ = ["Trainable"]


class Trainable(Module, ABC):
    """A model that can be trained by `fit`: it predicts one target for each token it reads."""

    @abstractmethod
    def loss_and_grad(
        self,
        inputs: IdsLike,
        targets: IdsLike,
        state: Any = None,
        lengths: IdsLike | None = None,
    ) -> tuple[float, Any]:
        """Mean loss of a batch and the final state; adds the gradient of the mean to `grads`.

        Parameters
        ----------
        inputs, targets : integers [T,B]
            Tokens and what follows them; targets of `rnncore.data.IGNORED` do not count.
        state : state of the recurrent layers, or None
            Initial state; None is zero.
        lengths : integers [B], optional
            Steps of each row; None is T for all.

        Returns
        -------
        loss : float
            Mean over the targets that count, in nats; 0 when none does.
        state : like the argument
            Final state.
        """

    @abstractmethod
    def loss(
        self,
        inputs: IdsLike,
        targets: IdsLike,
        state: Any = None,
        lengths: IdsLike | None = None,
    ) -> tuple[float, Any]:
        """Same without dropout and without gradient, keeping nothing of the pass."""
