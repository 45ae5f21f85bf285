"""Long short-term memory: the equations."""

from __future__ import annotations

from typing import Unpack

from rnncore._check import Array
from rnncore._help import complete_docstring
from rnncore.layers.options import RecurrentOptions, lists_options
from rnncore.layers.recurrent import Recurrent


@complete_docstring
class LSTM(Recurrent[tuple[Array, Array]]):
    r"""Long short-term memory (Hochreiter & Schmidhuber 1997; forget gate of Gers et al. 2000).

    .. math::
        i_t &= \sigma(W_{ii} x_t + b_{ii} + W_{hi} h_{t-1} + b_{hi}) \\
        f_t &= \sigma(W_{if} x_t + b_{if} + W_{hf} h_{t-1} + b_{hf}) \\
        g_t &= \tanh(W_{ig} x_t + b_{ig} + W_{hg} h_{t-1} + b_{hg}) \\
        o_t &= \sigma(W_{io} x_t + b_{io} + W_{ho} h_{t-1} + b_{ho}) \\
        c_t &= f_t \odot c_{t-1} + i_t \odot g_t \\
        h_t &= o_t \odot \tanh(c_t)

    Gates are stacked i, f, g, o: ``weight_ih_l0`` [4*H,I], ``weight_hh_l0`` [4*H,H],
    ``bias_ih_l0`` [4*H], ``bias_hh_l0`` [4*H], ... The state is the tuple (h, c).

    Parameters
    ----------
    input_size, hidden_size, num_layers
        As in `Recurrent`.
    **options
        As in `Recurrent`.

    Raises
    ------
    TypeError, ValueError, MemoryError
        As in `Recurrent`.

    Examples
    --------
    >>> import numpy as np, rnncore as rc
    >>> lstm = rc.LSTM(input_size=3, hidden_size=8, num_layers=2, rng=0)
    >>> x = np.zeros((5, 2, 3), np.float32)  # time, batch, features
    >>> y, (h, c) = lstm(x)
    >>> y.shape, h.shape, c.shape
    ((5, 2, 8), (2, 2, 8), (2, 2, 8))

    In training, ``forward`` keeps what ``backward`` needs:

    >>> y, state, cache = lstm.forward(x)
    >>> dx, dstate = lstm.backward(np.ones_like(y), cache)  # adds to lstm.grads
    >>> dx.shape
    (5, 2, 3)
    """

    state_names = ("h", "c")

    @lists_options
    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        num_layers: int = 1,
        **options: Unpack[RecurrentOptions],
    ) -> None:
        super().__init__(
            "lstm",
            input_size,
            hidden_size,
            num_layers,
            **options,
        )
