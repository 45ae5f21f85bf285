"""What heads share if each row of outputs has a target of its own."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable
from typing import Any, ClassVar

import numpy as np
from numpy.typing import ArrayLike, NDArray

from rnncore import _core
from rnncore._check import Array, lengths_array, real, within
from rnncore._layout import as_flat, as_rows
from rnncore.heads.head import IGNORED, Head
from rnncore.layers import Dropout, OutputGradient
from rnncore.layers.output_gradient import checked_targets

__all__ = ["RowHead"]


class RowHead(Head):
    """A head whose loss at one row needs that row alone; base of `Softmax` and `ElementHead`.

    The kernel computes losses and gradients in blocks of rows, so that z [...,V] is never held
    whole. The sweep of a recurrent layer can make the gradient of y step by step.
    """

    #: The kernel's name of the loss.
    kind: ClassVar[str]

    @property
    def label_smoothing(self) -> float:
        """Share of each target that training spreads over all classes; see `Softmax`."""
        return 0.0

    @abstractmethod
    def ignored(self, targets: Array, steps: NDArray[np.bool_]) -> Array:
        """Return the targets with those outside of `steps` [...] replaced by ones without loss."""

    def counting(
        self, targets: Any, lengths: ArrayLike | None, shape: Callable[[], tuple[int, ...]]
    ) -> Any:
        """Return the targets, without loss past the ends of their sequences; see `Head`."""
        if lengths is None:
            return targets
        array = np.asarray(targets)
        steps = array.shape[:2]
        return self.ignored(array, within(lengths_array(lengths, steps), steps))

    def losses(self, y: ArrayLike, targets: ArrayLike) -> NDArray[np.float64]:
        """Return the loss of each row.

        Parameters
        ----------
        y : array [...,H]
            Inputs of the output layer.
        targets : array
            Integers [...] for `Softmax`, otherwise [...,V] in the dtype of the head.

        Returns
        -------
        float64 array [...]
            In nats, or squared units; 0 where the target does not count.

        Raises
        ------
        TypeError, ValueError
            If an array has another type or shape, or a target is outside its range.
        """
        rows, outer, wanted, weights = self._rows(y, targets)
        head = self.loss_head(self.kind, wanted, weights=weights, ignore_index=IGNORED)
        return _core.linear_losses(head, rows).reshape(outer)

    def losses_and_grad(
        self, y: ArrayLike, targets: ArrayLike, scale: float = 1.0
    ) -> tuple[NDArray[np.float64], Array]:
        """Return the loss of each row [...] and the gradient of ``scale * sum`` by y [...,H].

        The gradients of W and b are added to `grads`. Parameters and errors are those of `losses`.
        Label smoothing acts here, and not there: losses without gradients stay comparable.
        """
        rows, outer, wanted, weights = self._rows(y, targets)
        head = self.loss_head(
            self.kind,
            wanted,
            scale=real("scale", scale),
            weights=weights,
            ignore_index=IGNORED,
            label_smoothing=self.label_smoothing,
        )
        losses, dy = _core.linear_losses_backward(head, rows)
        return losses.reshape(outer), dy.reshape(*outer, self.input_size)

    def output_gradient(
        self, targets: ArrayLike, scale: float = 1.0, dropout: Dropout | None = None
    ) -> OutputGradient:
        """Return the loss as the source of dy in `Recurrent.backward`.

        Parameters
        ----------
        targets : array
            As in `losses`, in the layout of the recurrent layer's outputs.
        scale : float
            The gradients are those of ``scale * sum of losses``.
        dropout : Dropout, optional
            Acts between the recurrent layer and this head.
        """
        return OutputGradient(
            self,
            self.kind,
            targets,
            scale=scale,
            dropout=dropout,
            weights=self._weights_of(targets),
            label_smoothing=self.label_smoothing,
            ignore_index=IGNORED,
        )

    def _weights_of(self, targets: ArrayLike) -> Array | None:
        """Return the factor of each row's loss [...]; None: all are 1."""
        return None

    def _rows(
        self, y: ArrayLike, targets: ArrayLike
    ) -> tuple[Array, tuple[int, ...], Array, Array | None]:
        """Return y [N,H], its outer shape, targets [N] or [N,V] and weights [N], checked."""
        array = self._checked(y, "y")
        outer = array.shape[:-1]
        wanted = checked_targets(self.kind, targets, outer, self.output_size, self.dtype, IGNORED)
        weights = self._weights_of(wanted)
        flat = as_flat("targets", wanted) if wanted.ndim == len(outer) else as_rows("t", wanted)
        return (
            as_rows("y", array),
            outer,
            flat,
            None if weights is None else as_flat("weights", weights),
        )
