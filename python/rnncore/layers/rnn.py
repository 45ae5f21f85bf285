"""Simple recurrent network: the equations and the options of its own."""

from __future__ import annotations

from typing import Unpack

from rnncore._check import Array, choice
from rnncore._help import complete_docstring
from rnncore.layers.options import RecurrentOptions, lists_options
from rnncore.layers.recurrent import Recurrent


@complete_docstring
class RNN(Recurrent[Array]):
    r"""Simple recurrent network (Elman, Finding structure in time, 1990).

    .. math:: h_t = f(W_{ih} x_t + b_{ih} + W_{hh} h_{t-1} + b_{hh})

    In a stack, x_t of each further layer is the output of the layer below, after dropout in
    training. Names and layouts of the parameters are PyTorch's: ``weight_ih_l0`` [H,I],
    ``weight_hh_l0`` [H,H], ``bias_ih_l0`` [H], ``bias_hh_l0`` [H], ``weight_ih_l0_reverse``, ...

    Parameters
    ----------
    input_size, hidden_size, num_layers
        As in `Recurrent`.
    nonlinearity : {"tanh", "relu", "sigmoid", "identity"}
        The function f.
    **options
        As in `Recurrent`.

    Raises
    ------
    TypeError, ValueError, MemoryError
        As in `Recurrent`.

    Examples
    --------
    >>> import rnncore as rc
    >>> rnn = rc.RNN(input_size=100, hidden_size=10, rng=0)
    >>> y, h = rnn([0, 1, 2, 3])  # ids: one-hot vectors of width 100
    >>> y.shape, h.shape
    ((4, 10), (1, 10))
    """

    @lists_options
    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        num_layers: int = 1,
        *,
        nonlinearity: str = "tanh",
        **options: Unpack[RecurrentOptions],
    ) -> None:
        self.nonlinearity = choice(
            "nonlinearity", nonlinearity, ("tanh", "relu", "sigmoid", "identity")
        )
        super().__init__(
            f"rnn_{self.nonlinearity}",
            input_size,
            hidden_size,
            num_layers,
            **options,
        )
