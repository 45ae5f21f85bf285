"""Initializations: functions that write new parameters into a layer or model, in place.

Each function takes a layer or a model. In a model it changes every layer of its kind. Caches that
were made before are refused afterwards.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any, TypeVar

import numpy as np

from rnncore._check import Array, generator, real
from rnncore._keywords import strict_keywords
from rnncore.layers import LSTM, RNN, Module, Recurrent
from rnncore.layers.module import require_parameters
from rnncore.layers.parameters import fill_uniform

__all__ = ["default", "forget_gate_bias", "identity", "one_hot_input", "orthogonal", "uniform"]

Layer = TypeVar("Layer", bound=Module)


@strict_keywords()
def default(module: Module, rng: np.random.Generator | int | None = None) -> None:
    """Draw PyTorch's default for each layer.

    Recurrent layers draw U(-1/sqrt(H), 1/sqrt(H)), Linear draws U(-1/sqrt(I), 1/sqrt(I)) and
    Embedding draws N(0, 1). New layers have these values.

    Parameters
    ----------
    module : layer or model
        What to write into.
    rng : numpy Generator, int or None
        Source of the values; None is the module's own.
    """
    require_parameters("module", module)
    module.reset_parameters(rng)


@strict_keywords()
def uniform(module: Module, a: float, rng: np.random.Generator | int | None = None) -> None:
    """Draw every parameter, including biases, from U(-a, a).

    Parameters
    ----------
    module : layer or model
        What to write into.
    a : float
        Bound, at least 0.
    rng : numpy Generator, int or None
        Source of the values.
    """
    bound = as_scale("a", a, module, 0)
    fill_uniform(module.flat_params, bound, generator(rng))
    module.mark_changed()


@strict_keywords()
def orthogonal(
    module: Module, gain: float = 1.0, rng: np.random.Generator | int | None = None
) -> None:
    """Make the recurrent matrix [H,H] of each gate a random orthogonal matrix times `gain`.

    The matrix is the factor Q of a QR decomposition of a matrix from N(0, 1), with signs that make
    it uniform over the orthogonal group (Saxe et al., Exact solutions to the nonlinear dynamics of
    learning in deep linear neural networks, 2014; Mezzadri 2007). Other parameters do not change.

    Parameters
    ----------
    module : RNN, GRU, LSTM or a model that has one
        What to write into.
    gain : float
        Length of the rows and columns.
    rng : numpy Generator, int or None
        Source of the matrices.

    Raises
    ------
    TypeError
        If there is no recurrent layer in `module`.
    """
    source = generator(rng)
    scale = as_scale("gain", gain, module)
    for layer in _layers(module, Recurrent, "orthogonal"):
        for weight in _recurrent_weights(layer):
            for gate in weight.reshape(-1, layer.hidden_size, layer.hidden_size):
                q, r = np.linalg.qr(source.standard_normal(gate.shape))
                gate[...] = scale * q * np.sign(np.diag(r))
    module.mark_changed()


@strict_keywords()
def identity(module: Module, scale: float = 1.0) -> None:
    """Make recurrent matrices `scale` times the identity and biases zero: the IRNN.

    With nonlinearity "relu" this carries gradients over long sequences (Le, Jaitly & Hinton, A
    simple way to initialize recurrent networks of rectified linear units, 2015).

    Parameters
    ----------
    module : RNN or a model that has one
        What to write into; input weights do not change.
    scale : float
        Value on the diagonal.

    Raises
    ------
    TypeError
        If there is no RNN in `module`.
    """
    value = as_scale("scale", scale, module)
    for layer in _layers(module, RNN, "identity"):
        for weight in _recurrent_weights(layer):
            weight[...] = value * np.eye(layer.hidden_size)
        for name, parameter in layer.params.items():
            if name.startswith("bias"):
                parameter.fill(0)
    module.mark_changed()


@strict_keywords()
def one_hot_input(
    module: Module, std: float = 2.0, rng: np.random.Generator | int | None = None
) -> None:
    """Draw the input weights of the first recurrent layer from N(0, std^2), for one-hot inputs.

    A one-hot vector selects one column of the input weights, so that its product has one term
    instead of I. With the default bound 1/sqrt(H) this term is small: the gates hardly move, and a
    language model of characters learns several times more slowly.

    Parameters
    ----------
    module : RNN, GRU, LSTM or a model that has one
        What to write into; other parameters do not change.
    std : float
        Standard deviation, at least 0.
    rng : numpy Generator, int or None
        Source of the values.

    Raises
    ------
    TypeError
        If there is no recurrent layer in `module`.
    """
    source = generator(rng)
    scale = as_scale("std", std, module, 0)
    layer = next(_layers(module, Recurrent, "one_hot_input"))
    for name in ("weight_ih_l0", "weight_ih_l0_reverse"):
        if name in layer.params:
            weight = layer.params[name]
            source.standard_normal(out=weight, dtype=weight.dtype.type)
            weight *= scale
    module.mark_changed()


@strict_keywords()
def forget_gate_bias(module: Module, value: float = 1.0) -> None:
    """Make the bias of every forget gate `value`, so that cells remember from the start.

    There are two biases; their sum becomes `value` (Gers et al., Learning to forget, 2000;
    Jozefowicz et al., An empirical exploration of recurrent network architectures, 2015).

    Parameters
    ----------
    module : LSTM or a model that has one
        What to write into; other parameters do not change.
    value : float
        The bias.

    Raises
    ------
    TypeError
        If there is no LSTM in `module`.
    ValueError
        If an LSTM was made with ``bias=False``.
    """
    bias = as_scale("value", value, module)
    layers = list(_layers(module, LSTM, "forget_gate_bias"))
    for layer in layers:
        if not layer.bias:
            raise ValueError(f"forget_gate_bias: expected an LSTM with biases, got {layer!r}")
    for layer in layers:
        forget = slice(layer.hidden_size, 2 * layer.hidden_size)  # gates are stacked i, f, g, o
        for name, parameter in layer.params.items():
            if name.startswith("bias"):
                parameter[forget] = bias if name.startswith("bias_ih") else 0
    module.mark_changed()


def as_scale(name: str, value: object, module: Module, low: float = -math.inf) -> float:
    """Return `value` as float; its products with what is drawn must fit in the module's dtype.

    Errors call it `name`; `low` is the smallest value allowed.
    """
    require_parameters("module", module)
    limit = float(np.finfo(module.dtype).max) / 16  # no normal number is drawn beyond 16
    return real(name, value, max(low, -limit), limit)


def _layers(module: Module, kind: type[Layer], function: str) -> Iterator[Layer]:
    require_parameters("module", module)
    found = [layer for layer in module.modules() if isinstance(layer, kind)]
    if not found:
        raise TypeError(
            f"{function}: expected a module with {kind.__name__} layers, got {module!r}"
        )
    return iter(found)


def _recurrent_weights(layer: Recurrent[Any]) -> Iterator[Array]:
    return (value for name, value in layer.params.items() if name.startswith("weight_hh"))
