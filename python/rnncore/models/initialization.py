"""How the parameters of a language model are drawn, as plain values."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from rnncore import init
from rnncore._check import choice, real
from rnncore._keywords import strict_keywords
from rnncore.layers import LSTM, Module, Recurrent

__all__ = ["INITIALIZATIONS", "Initialization"]


@dataclass(frozen=True)
class _Rule:
    """What a name does with a model, and the scales it has where none is given."""

    draw: Callable[[Module, float, np.random.Generator], None] | None = None
    scale: float | None = None
    one_hot_std: float | None = None
    forget_gate_bias: float | None = None
    least_scale: float = -math.inf


# For names that leave these parameters alone.
_USUAL: dict[str, Any] = {"one_hot_std": 2.0, "forget_gate_bias": 1.0}

#: The names. The scale of "uniform" is char-rnn's.
INITIALIZATIONS: dict[str, _Rule] = {
    "default": _Rule(**_USUAL),
    "pytorch": _Rule(),
    "uniform": _Rule(init.uniform, 0.08, least_scale=0),
    "orthogonal": _Rule(init.orthogonal, 1.0, **_USUAL),
    "identity": _Rule(lambda model, scale, _: init.identity(model, scale), 1.0, **_USUAL),
}


@strict_keywords()
@dataclass(frozen=True)
class Initialization:
    """Initial parameters of a language model; None is what belongs to the name.

    Parameters
    ----------
    name : {"default", "pytorch", "uniform", "orthogonal", "identity"}
        "pytorch": each layer's own default, which is PyTorch's. "default": the same with
        ``one_hot_std`` 2 and ``forget_gate_bias`` 1. "orthogonal" and "identity" change the
        recurrent weights of "default", "uniform" draws everything; see `rnncore.init`.
    scale : float or None
        Bound of "uniform" (.08), at least 0; gain of "orthogonal" (1), diagonal of "identity" (1).
    one_hot_std : float or None
        Standard deviation of the input weights where tokens enter as one-hot vectors, see
        `rnncore.init.one_hot_input`; only for a model without embedding.
    forget_gate_bias : float or None
        Bias of the forget gates; only for an LSTM with biases.

    Raises
    ------
    TypeError, ValueError
        When the name is unknown, has no scale and one is given, or a value is outside its range.

    Examples
    --------
    >>> import rnncore as rc
    >>> initialization = rc.models.Initialization("orthogonal", forget_gate_bias=2.0)
    >>> model = rc.LanguageModel(100, hidden_size=32, initialization=initialization, rng=0)
    """

    name: str = "default"
    scale: float | None = None
    one_hot_std: float | None = None
    forget_gate_bias: float | None = None

    def __post_init__(self) -> None:
        choice("initialization", self.name, INITIALIZATIONS)
        rule = INITIALIZATIONS[self.name]
        for name, low in (
            ("scale", rule.least_scale),
            ("one_hot_std", 0),
            ("forget_gate_bias", -math.inf),
        ):
            if getattr(self, name) is not None:
                real(name, getattr(self, name), low)
        if self.scale is not None and rule.draw is None:
            raise ValueError(f"scale: no option of initialization {self.name!r}, got {self.scale}")

    def apply(
        self, model: Module, layer: Recurrent[Any], *, one_hot: bool, vocab_size: int | None = None
    ) -> None:
        """Draw the parameters of a model that was made with the layers' own, from its `rng`.

        Parameters
        ----------
        model : layer or model
            What to write into.
        layer : RNN, GRU or LSTM
            Its recurrent layers.
        one_hot : bool
            Whether their inputs are one-hot vectors.
        vocab_size : int or None
            Width of these vectors, where others stand behind them; None: that of the inputs.

        Raises
        ------
        ValueError
            When a value is given that the model has no use for, or that its dtype cannot hold.
        """
        given = {name: value for name, value in vars(self).items() if value is not None}
        del given["name"]
        forgets = isinstance(layer, LSTM) and layer.bias
        if "one_hot_std" in given and not one_hot:
            raise ValueError(
                f"one_hot_std: no option of a model with an embedding, got {self.one_hot_std:g}"
            )
        if "forget_gate_bias" in given and not forgets:
            raise ValueError(f"forget_gate_bias: expected an LSTM with biases, got {layer!r}")
        for name, value in given.items():
            init.as_scale(name, value, model)
        chosen = replace(INITIALIZATIONS[self.name], **given)
        if chosen.draw is not None and chosen.scale is not None:
            chosen.draw(model, chosen.scale, model.rng)
        if one_hot and chosen.one_hot_std is not None:
            behind = layer.params["weight_ih_l0"][:, vocab_size:].copy() if vocab_size else None
            init.one_hot_input(layer, chosen.one_hot_std, model.rng)
            if behind is not None:
                layer.params["weight_ih_l0"][:, vocab_size:] = behind
        if chosen.forget_gate_bias is not None and forgets:
            init.forget_gate_bias(layer, chosen.forget_gate_bias)
        model.mark_changed()
