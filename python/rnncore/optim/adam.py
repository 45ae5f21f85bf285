"""Adam and AdamW."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from rnncore import _core
from rnncore._check import Array, describe, real
from rnncore._help import complete_docstring
from rnncore.layers import Module
from rnncore.optim.checked import Checked
from rnncore.optim.groups import Group
from rnncore.optim.optimizer import MODEST, Optimizer, Update, epsilon


@complete_docstring
class Adam(Optimizer):
    r"""Adam (Kingma & Ba, A method for stochastic optimization, 2015).

    .. math::
        m &\leftarrow \beta_1 m + (1 - \beta_1) g, \qquad
        s \leftarrow \beta_2 s + (1 - \beta_2) g^2 \\
        p &\leftarrow p - \eta \frac{m / (1 - \beta_1^t)}{\sqrt{s / (1 - \beta_2^t)} + \epsilon}

    g is the clipped gradient + weight_decay * p, and t counts the steps from 1.

    Parameters
    ----------
    module : layer, model, or list of them
        What to train.
    learning_rate : float
        Eta, at least 0.
    betas : (float, float)
        Decays of the two averages, each in [0, 1).
    eps : float
        Added to the root, above 0 in the dtype of the parameters.
    weight_decay, clip_norm, clip_value, groups
        As in `Optimizer`.

    Examples
    --------
    >>> import numpy as np, rnncore as rc
    >>> layer = rc.Linear(3, 2, rng=0)
    >>> optimizer = rc.optim.Adam(layer, 1e-3, clip_norm=1.0)
    >>> y, cache = layer.forward(np.ones((4, 3), np.float32))
    >>> dx = layer.backward(np.ones_like(y), cache)  # adds to layer.grads
    >>> norm = optimizer.step(zero_grad=True)
    >>> optimizer.num_steps
    1
    """

    def __init__(
        self,
        module: Module | Sequence[Module],
        learning_rate: float = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
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
            buffers=("average", "square_average"),
        )
        self.betas = betas
        self.eps = eps

    @Checked
    def betas(self, value: Any) -> tuple[float, float]:
        """Decays of the two averages."""
        if not isinstance(value, tuple | list) or len(value) != 2:
            raise TypeError(f"betas: expected two numbers, got {describe(value)}")
        first, second = value
        return (
            real("betas[0]", first, 0, 1, open_high=True),
            real("betas[1]", second, 0, 1, open_high=True),
        )

    @Checked
    def eps(self, value: Any) -> float:
        """What is added to the root."""
        return epsilon(value, self.dtype)

    def largest_change(self, update: Update) -> float:
        """Return a bound of what a step changes a parameter by, where all numbers are modest."""
        first, _ = self.betas
        if self.decoupled and update.learning_rate * update.weight_decay > 1:
            return math.inf  # the parameters grow
        return update.learning_rate * MODEST / (1 - first) / self.eps

    def _update(
        self,
        params: Array,
        grads: Array,
        state: dict[str, Array],
        update: Update,
    ) -> None:
        _core.adam_step(
            params,
            grads,
            state["average"],
            state["square_average"],
            update.learning_rate,
            *self.betas,
            self.eps,
            update.weight_decay,
            self.decoupled,
            self.num_steps,
            update.scale,
            update.clip_value,
            update.zero_grad,
        )


@complete_docstring
class AdamW(Adam):
    r"""Adam with decoupled weight decay (Loshchilov & Hutter, Decoupled weight decay, 2019).

    .. math:: p \leftarrow p - \eta \cdot weight\_decay \cdot p

    before Adam's step on the clipped gradient alone.

    Parameters
    ----------
    module, learning_rate, betas, eps, clip_norm, clip_value, groups
        As in `Adam`.
    weight_decay : float
        Share of each parameter, times the learning rate, that a step takes away.

    Examples
    --------
    >>> import numpy as np, rnncore as rc
    >>> layer = rc.Linear(3, 2, rng=0)
    >>> optimizer = rc.optim.AdamW(layer, 1e-3, weight_decay=0.01)
    >>> y, cache = layer.forward(np.ones((4, 3), np.float32))
    >>> dx = layer.backward(np.ones_like(y), cache)  # adds to layer.grads
    >>> norm = optimizer.step(zero_grad=True)
    >>> optimizer.num_steps
    1
    """

    decoupled = True

    def __init__(
        self,
        module: Module | Sequence[Module],
        learning_rate: float = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 1e-2,
        *,
        clip_norm: float | None = None,
        clip_value: float | None = None,
        groups: Sequence[Group] = (),
    ) -> None:
        super().__init__(
            module,
            learning_rate,
            betas,
            eps,
            weight_decay,
            clip_norm=clip_norm,
            clip_value=clip_value,
            groups=groups,
        )
