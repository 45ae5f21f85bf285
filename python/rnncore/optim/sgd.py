"""Stochastic gradient descent."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from rnncore import _core
from rnncore._check import Array, flag, real
from rnncore._help import complete_docstring
from rnncore.layers import Module
from rnncore.optim.checked import Checked
from rnncore.optim.groups import Group
from rnncore.optim.optimizer import MODEST, Optimizer, Update


@complete_docstring
class SGD(Optimizer):
    r"""Stochastic gradient descent with momentum, classical or Nesterov's.

    .. math::
        v &\leftarrow \mu v + g \\
        p &\leftarrow p - \eta \cdot v \quad\text{or, Nesterov,}\quad p - \eta (g + \mu v)

    (Sutskever et al., On the importance of initialization and momentum, 2013, as PyTorch writes
    it.) g is the clipped gradient + weight_decay * p.

    Parameters
    ----------
    module : layer, model, or list of them
        What to train.
    learning_rate : float
        Eta, at least 0.
    momentum : float
        mu in [0, 1); 0 keeps no buffer, so that it stays 0.
    nesterov : bool
        Nesterov's momentum; needs momentum > 0.
    weight_decay, clip_norm, clip_value, groups
        As in `Optimizer`.

    Examples
    --------
    >>> import numpy as np, rnncore as rc
    >>> layer = rc.Linear(3, 2, rng=0)
    >>> optimizer = rc.optim.SGD(layer, 0.1, momentum=0.9)
    >>> y, cache = layer.forward(np.ones((4, 3), np.float32))
    >>> dx = layer.backward(np.ones_like(y), cache)  # adds to layer.grads
    >>> norm = optimizer.step(zero_grad=True)
    >>> optimizer.num_steps
    1
    """

    def __init__(
        self,
        module: Module | Sequence[Module],
        learning_rate: float,
        momentum: float = 0.0,
        nesterov: bool = False,
        weight_decay: float = 0.0,
        *,
        clip_norm: float | None = None,
        clip_value: float | None = None,
        groups: Sequence[Group] = (),
    ) -> None:
        keeps = real("momentum", momentum, 0, 1, open_high=True) > 0
        super().__init__(
            module,
            learning_rate,
            weight_decay=weight_decay,
            clip_norm=clip_norm,
            clip_value=clip_value,
            groups=groups,
            buffers=("momentum_buffer",) if keeps else (),
        )
        self.momentum = momentum
        self.nesterov = nesterov

    @Checked
    def momentum(self, value: Any) -> float:
        """Mu of the next step."""
        momentum = real("momentum", value, 0, 1, open_high=True)
        if momentum > 0 and not self._buffers:
            raise ValueError(
                f"momentum: expected 0, because this SGD was made without it, got {momentum:g}"
            )
        if momentum == 0 and getattr(self, "nesterov", False):
            raise ValueError("momentum: expected a number above 0 with nesterov, got 0")
        return momentum

    @Checked
    def nesterov(self, value: Any) -> bool:
        """Whether the next step is Nesterov's."""
        nesterov = flag("nesterov", value)
        if nesterov and self.momentum == 0:
            raise ValueError("nesterov: expected a momentum above 0, got 0")
        return nesterov

    def largest_change(self, update: Update) -> float:
        """Return a bound of what a step changes a parameter by, where all numbers are modest."""
        return update.learning_rate * (MODEST if self.momentum == 0 else 2.0**32 * MODEST)

    def _update(
        self,
        params: Array,
        grads: Array,
        state: dict[str, Array],
        update: Update,
    ) -> None:
        _core.sgd_step(
            params,
            grads,
            state.get("momentum_buffer"),
            update.learning_rate,
            self.momentum,
            self.nesterov,
            update.weight_decay,
            update.scale,
            update.clip_value,
            update.zero_grad,
        )
