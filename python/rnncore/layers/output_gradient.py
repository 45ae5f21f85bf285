"""A gradient of outputs that the backward sweep of a recurrent layer computes as it needs it."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from rnncore import _core
from rnncore._check import (
    Array,
    as_array,
    check_below,
    check_shape,
    choice,
    floats,
    ids_array,
    instance,
    integer,
    real,
)
from rnncore._keywords import strict_keywords
from rnncore.layers.dropout import Dropout
from rnncore.layers.linear import Linear

LOSSES = ("softmax", "squared_error", "binary")


@strict_keywords()
class OutputGradient:
    """Loss of ``z = W dropout(y) + b`` at every step, as the source of the gradient of y.

    `Recurrent.backward` takes it in place of dy. One sweep from the last step then computes the
    outputs, their losses and back-propagation through time: neither the gradient of y [T,B,D*H] nor
    z [T,B,V] is ever held whole.

    Parameters
    ----------
    layer : Linear
        W [V,D*H] and b [V]; the sweep adds to its gradients.
    loss : {"softmax", "squared_error", "binary"}
        What z is compared with, see `rnncore.heads`.
    targets : integers [T,B] for "softmax", otherwise array [T,B,V]
        In the layout of y. Steps past `lengths` do not count, and may hold any valid target.
    scale : float
        The gradients are those of ``scale * loss``: 1/count for the mean.
    dropout : Dropout, optional
        Acts between y and the layer; its next mask is used.
    weights : array [T,B], optional
        Factor of each step's loss.
    label_smoothing : float
        Share of each target of "softmax" that is spread over all classes, see `rnncore.heads`.
    ignore_index : int
        Class of a step without loss. Of arrays, elements that are not a number do not count.

    Attributes
    ----------
    loss : float
        Sum of the losses, once the sweep has computed them; not a number before.

    Examples
    --------
    >>> import rnncore as rc
    >>> rnn, output = rc.RNN(5, 8, rng=0), rc.Linear(8, 5, rng=0)
    >>> _, _, cache = rnn.forward([0, 1, 2, 3], needs_output=False)
    >>> source = rc.layers.OutputGradient(output, "softmax", [1, 2, 3, 4], scale=1 / 4)
    >>> dx, dstate = rnn.backward(source, cache)  # adds to rnn.grads and output.grads
    >>> 1 < source.loss / 4 < 3  # near ln 5 = 1.6
    True
    """

    def __init__(
        self,
        layer: Linear,
        loss: str,
        targets: ArrayLike,
        *,
        scale: float = 1.0,
        dropout: Dropout | None = None,
        weights: Array | None = None,
        label_smoothing: float = 0.0,
        ignore_index: int = -100,
    ) -> None:
        instance("layer", layer, Linear)
        if dropout is not None:
            instance("dropout", dropout, Dropout)
        self.loss = math.nan
        self._layer = layer
        self._kind = choice("loss", loss, LOSSES)
        self._targets = targets
        self._scale = real("scale", scale)
        self._dropout = dropout
        self._weights = weights
        self._smoothing = real("label_smoothing", label_smoothing, 0, 1, open_high=True)
        self._ignored = integer("ignore_index", ignore_index, -(2**63), 2**63 - 1)

    def bind(
        self, dtype: np.dtype[Any], shape: tuple[int, ...], steps: Callable[[Array], Array]
    ) -> _core.LossHead:
        """Return the kernel's form for outputs of a shape; draws the mask of dropout.

        Parameters
        ----------
        dtype : dtype
            Type of the outputs.
        shape : tuple
            Shape of the outputs, as the caller of the recurrent layer sees them.
        steps : function
            Turns an array in that layout into one that begins with [T,B].

        Raises
        ------
        TypeError, ValueError
            If layer or targets do not fit. No mask is drawn then.
        """
        layer = self._layer
        if layer.dtype != dtype:
            raise TypeError(f"layer: expected dtype {dtype}, got {layer.dtype}")
        if layer.input_size != shape[-1]:
            raise ValueError(f"layer: expected input_size {shape[-1]}, got {layer.input_size}")
        targets = checked_targets(
            self._kind, self._targets, shape[:-1], layer.output_size, dtype, self._ignored
        )
        weights = self._weights
        if weights is not None:
            weights = steps(floats("weights", weights, dtype, shape[:-1]))
        return layer.loss_head(
            self._kind,
            steps(targets),
            scale=self._scale,
            weights=weights,
            ignore_index=self._ignored,
            dropout=0.0 if self._dropout is None else self._dropout.p,
            seed=0 if self._dropout is None else self._dropout.draw_seed(),
            label_smoothing=self._smoothing,
        )


def checked_targets(
    loss: str,
    targets: ArrayLike,
    outer: tuple[int, ...],
    width: int,
    dtype: np.dtype[Any],
    ignore_index: int,
) -> Array:
    """Return targets of outputs [*outer, width] as an array, checked.

    Raises
    ------
    TypeError, ValueError
        If they have another type or shape, a class lies outside [0, V), or a probability outside
        [0, 1].
    """
    if loss == "softmax":
        classes = ids_array("targets", targets)
        check_shape("targets", classes, outer)
        check_below("targets", classes, width, ignore_index)
        return classes
    values = floats("targets", as_array("targets", targets), dtype, (*outer, width))
    # NaN compares false: elements that do not count pass
    if loss == "binary" and bool(np.any((values < 0) | (values > 1))):
        raise ValueError(
            f"targets: expected probabilities in [0, 1], got {np.nanmin(values):g} to "
            f"{np.nanmax(values):g}"
        )
    return values
