"""What all heads share: a linear layer whose outputs are compared with targets."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from rnncore._check import Array
from rnncore.layers import Linear

__all__ = ["IGNORED", "Head"]

#: Class of a target that does not count.
IGNORED = -100


class Head(Linear):
    """Output layer ``z = W y + b`` with a loss; base of all heads.

    Calling a head returns z.
    """

    @property
    def weighs(self) -> bool:
        """Whether targets count with different weights."""
        return False

    @abstractmethod
    def counting(
        self, targets: Any, lengths: ArrayLike | None, shape: Callable[[], tuple[int, ...]]
    ) -> Any:
        """Return targets as `count`, `losses` and `losses_and_grad` take them.

        Parameters
        ----------
        targets : array, or what else the head takes
            What a batch holds.
        lengths : integers [B], or None
            Steps of each sequence; None: all.
        shape : function
            Returns the shape of y. Calling it may run the layers before.

        Raises
        ------
        TypeError, ValueError
            If the lengths do not fit.
        """

    @abstractmethod
    def count(self, targets: Any) -> float:
        """Return the number of targets that count: the sum of losses is divided by it."""

    @abstractmethod
    def losses(self, y: ArrayLike, targets: Any) -> NDArray[np.float64]:
        """Return the loss of each target, for y [...,H]."""

    @abstractmethod
    def losses_and_grad(
        self, y: ArrayLike, targets: Any, scale: float = 1.0
    ) -> tuple[NDArray[np.float64], Array]:
        """Return the losses and the gradient of ``scale * sum`` by y [...,H].

        The gradients of W and b are added to `grads`.
        """
