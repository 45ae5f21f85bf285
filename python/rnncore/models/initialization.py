"""How the parameters of a language model are drawn, as plain values."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from rnncore import init
from rnncore._check import choice
from rnncore.layers import Module

__all__ = ["INITIALIZATIONS", "Initialization"]

#: What each name does with a model, the scale and the generator, and its default scale. That of
#: "uniform" is char-rnn's.
INITIALIZATIONS: dict[str, tuple[Callable[[Module, float, np.random.Generator], None], float]] = {
    "uniform": (init.uniform, 0.08),
    "orthogonal": (init.orthogonal, 1.0),
    "identity": (lambda model, scale, _: init.identity(model, scale), 1.0),
}


@dataclass(frozen=True)
class Initialization:
    """Initial parameters of a model.

    Parameters
    ----------
    name : {"default", "uniform", "orthogonal", "identity"}
        Which function of `rnncore.init`; "orthogonal" and "identity" change the recurrent weights
        and leave the others at the default.
    scale : float or None
        Bound of "uniform", gain of "orthogonal", diagonal of "identity"; None is .08, 1 and 1.
    forget_gate_bias : float or None
        Bias of the forget gates of an LSTM; None leaves it as drawn.

    Raises
    ------
    TypeError, ValueError
        When the name is unknown, or "default" comes with a scale.
    """

    name: str = "default"
    scale: float | None = None
    forget_gate_bias: float | None = None

    def __post_init__(self) -> None:
        choice("initialization", self.name, ["default", *INITIALIZATIONS])
        if self.name == "default" and self.scale is not None:
            raise ValueError(f"scale: no option of initialization 'default', got {self.scale}")

    def apply(self, model: Module) -> None:
        """Draw the parameters of a model that was made with the default ones, from its `rng`."""
        if self.name != "default":
            function, default_scale = INITIALIZATIONS[self.name]
            function(model, default_scale if self.scale is None else self.scale, model.rng)
        if self.forget_gate_bias is not None:
            init.forget_gate_bias(model, self.forget_gate_bias)
