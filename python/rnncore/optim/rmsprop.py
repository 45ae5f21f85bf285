"""RMSprop."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from rnncore import _core
from rnncore._check import Array, real
from rnncore._help import complete_docstring
from rnncore.layers import Module
from rnncore.optim.checked import Checked
from rnncore.optim.groups import Group
from rnncore.optim.optimizer import MODEST, Optimizer, Update, epsilon


@complete_docstring
class RMSprop(Optimizer):
    r"""Divide each gradient by a running average of its size (Tieleman & Hinton, 2012).

    .. math::
        s &\leftarrow \alpha s + (1 - \alpha) g^2 \\
        p &\leftarrow p - \eta \cdot g / (\sqrt{s} + \epsilon)

    g is the clipped gradient + weight_decay * p.

    Parameters
    ----------
    module : layer, model, or list of them
        What to train.
    learning_rate : float
        Eta, at least 0.
    alpha : float
        Decay of the average, in [0, 1).
    eps : float
        Added to the root, above 0 in the dtype of the parameters.
    weight_decay, clip_norm, clip_value, groups
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
        module: Module | Sequence[Module],
        learning_rate: float = 1e-2,
        alpha: float = 0.99,
        eps: float = 1e-8,
        weight_decay: float = 0.0,
        *,
        clip_norm: float | None = None,
        clip_value: float | None = None,
        groups: Sequence[Group] = (),
    ) -> None:
        super().__init__(
            module,
            learning_rate,
            weight_decay=weight_decay,
            clip_norm=clip_norm,
            clip_value=clip_value,
            groups=groups,
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
        return epsilon(value, self.dtype)

    def largest_change(self, update: Update) -> float:
        """Return a bound of what a step changes a parameter by, where all numbers are modest."""
        return update.learning_rate * MODEST / self.eps

    def _update(
        self,
        params: Array,
        grads: Array,
        state: dict[str, Array],
        update: Update,
    ) -> None:
        _core.rmsprop_step(
            params,
            grads,
            state["square_average"],
            update.learning_rate,
            self.alpha,
            self.eps,
            update.weight_decay,
            update.scale,
            update.clip_value,
            update.zero_grad,
        )
