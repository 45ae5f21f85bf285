"""RMSprop."""

from __future__ import annotations

from typing import Any

from rnncore import _core
from rnncore._check import Array, real
from rnncore._help import complete_docstring
from rnncore.layers import Module
from rnncore.optim.checked import Checked
from rnncore.optim.optimizer import MODEST, Optimizer, epsilon


@complete_docstring
class RMSprop(Optimizer):
    r"""Divide each gradient by a running average of its size (Tieleman & Hinton, 2012).

    .. math::
        s &\leftarrow \alpha s + (1 - \alpha) g^2 \\
        p &\leftarrow p - \eta \cdot g / (\sqrt{s} + \epsilon)

    g is the clipped gradient + weight_decay * p.

    Parameters
    ----------
    module : layer or model
        What to train.
    learning_rate : float
        Eta, at least 0.
    alpha : float
        Decay of the average, in [0, 1).
    eps : float
        Added to the root, above 0 in the dtype of the parameters.
    weight_decay, clip_norm, clip_value
        As in `Optimizer`.

    Examples
    --------
    >>> import numpy as np, rnncore as rc
    >>> layer = rc.Linear(3, 2, rng=0)
    >>> optimizer = rc.optim.RMSprop(layer, 1e-3)
    >>> y, cache = layer.forward(np.ones((4, 3), np.float32))
    >>> dx = layer.backward(np.ones_like(y), cache)  # adds to layer.grads
    >>> norm = optimizer.step(zero_grad=True)
    >>> optimizer.num_steps
    1
    """

    def __init__(
        self,
        module: Module,
        learning_rate: float = 1e-2,
        alpha: float = 0.99,
        eps: float = 1e-8,
        weight_decay: float = 0.0,
        *,
        clip_norm: float | None = None,
        clip_value: float | None = None,
    ) -> None:
        super().__init__(
            module,
            learning_rate,
            weight_decay=weight_decay,
            clip_norm=clip_norm,
            clip_value=clip_value,
            buffers=("square_average",),
        )
        self.alpha = alpha
        self.eps = eps

    @Checked
    def alpha(self, value: Any) -> float:
        """Decay of the average."""
        return real("alpha", value, 0, 1, open_high=True)

    @Checked
    def eps(self, value: Any) -> float:
        """What is added to the root."""
        return epsilon(value, self.module.dtype)

    def largest_change(self) -> float:
        """Return a bound of what a step changes a parameter by, where all numbers are modest."""
        return self.learning_rate * MODEST / self.eps

    def _update(
        self,
        params: Array,
        grads: Array,
        state: dict[str, Array],
        scale: float,
        clip_value: float,
        zero_grad: bool,
    ) -> None:
        _core.rmsprop_step(
            params,
            grads,
            state["square_average"],
            self.learning_rate,
            self.alpha,
            self.eps,
            self.weight_decay,
            scale,
            clip_value,
            zero_grad,
        )
