"""RNN, GRU and LSTM: the equations, and the options of each cell."""

from __future__ import annotations

import numpy as np
from numpy.typing import DTypeLike

from rnncore._check import Array, choice
from rnncore._help import complete_docstring
from rnncore.layers.recurrent import Recurrent


class RNN(Recurrent[Array]):
    r"""Simple recurrent network (Elman, Finding structure in time, 1990).

    .. math:: h_t = f(W_{ih} x_t + b_{ih} + W_{hh} h_{t-1} + b_{hh})

    In a stack, x_t of each further layer is the output of the layer below, after dropout in
    training. Names and layouts of the parameters are PyTorch's: ``weight_ih_l0`` [H,I],
    ``weight_hh_l0`` [H,H], ``bias_ih_l0`` [H], ``bias_hh_l0`` [H], ``weight_ih_l0_reverse``, ...

    Parameters
    ----------
    input_size : int
        Width I of the inputs.
    hidden_size : int
        Width H of the hidden state.
    num_layers : int
        Number of layers L.
    nonlinearity : {"tanh", "relu", "sigmoid", "identity"}
        The function f.
    bias : bool
        Whether there are b_ih and b_hh.
    batch_first : bool
        Whether inputs and outputs are [B,T,...] instead of [T,B,...]; their shapes do not tell.
        States are [L*D,B,H] in both.
    dropout : float
        Probability in [0, 1) that ``forward`` drops an output between two layers. Without effect
        on a single layer.
    bidirectional : bool
        Whether a second network (D = 2) reads the sequence backwards; the outputs are concatenated.
    dtype : float32 or float64
        Type of parameters, inputs, outputs and states.
    compute : "bfloat16" or None
        What the operands of matrix products are rounded to, here and in ``backward``; None leaves
        them in `dtype`. "bfloat16" needs float32 and keeps it for everything else, sums included:
        50 to 60 % of the time on an AMD with AVX-512-BF16, 20 to 60 % on an Intel with AMX, and no
        faster on others. Its 8 significant bits put a relative error of up to 0.4 % on
        each operand. Inputs given as ids take their column of W_ih unrounded; a `stream` has its
        own option.
    rng : numpy Generator, int or None
        Source of the initial parameters, U(-1/sqrt(H), 1/sqrt(H)), and of the dropout masks.

    Raises
    ------
    TypeError, ValueError
        If an argument has the wrong type or value.
    MemoryError
        If the parameters and their gradients do not fit in memory.

    Examples
    --------
    >>> import rnncore as rc
    >>> rnn = rc.RNN(input_size=100, hidden_size=10, rng=0)
    >>> y, h = rnn([0, 1, 2, 3])  # ids: one-hot vectors of width 100
    >>> y.shape, h.shape
    ((4, 10), (1, 10))
    """

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        num_layers: int = 1,
        *,
        nonlinearity: str = "tanh",
        bias: bool = True,
        batch_first: bool = False,
        dropout: float = 0.0,
        bidirectional: bool = False,
        dtype: DTypeLike = np.float32,
        compute: str | None = None,
        rng: np.random.Generator | int | None = None,
    ) -> None:
        self.nonlinearity = choice(
            "nonlinearity", nonlinearity, ("tanh", "relu", "sigmoid", "identity")
        )
        super().__init__(
            f"rnn_{self.nonlinearity}",
            input_size,
            hidden_size,
            num_layers,
            bias=bias,
            batch_first=batch_first,
            dropout=dropout,
            bidirectional=bidirectional,
            dtype=dtype,
            compute=compute,
            rng=rng,
        )


@complete_docstring
class GRU(Recurrent[Array]):
    r"""Gated recurrent unit (Cho et al., Learning phrase representations, 2014).

    .. math::
        r_t &= \sigma(W_{ir} x_t + b_{ir} + W_{hr} h_{t-1} + b_{hr}) \\
        z_t &= \sigma(W_{iz} x_t + b_{iz} + W_{hz} h_{t-1} + b_{hz}) \\
        n_t &= \tanh(W_{in} x_t + b_{in} + r_t \odot (W_{hn} h_{t-1} + b_{hn}))
               \quad\text{(reset after)} \\
        n_t &= \tanh(W_{in} x_t + b_{in} + W_{hn} (r_t \odot h_{t-1}) + b_{hn})
               \quad\text{(reset before)} \\
        h_t &= (1 - z_t) \odot n_t + z_t \odot h_{t-1}

    ``reset="before"`` is the paper's; ``reset="after"`` is the variant of cuDNN and PyTorch, which
    needs one recurrent product per step instead of two. Cho et al. call z what is 1 - z here.
    Gates are stacked r, z, n: ``weight_ih_l0`` [3*H,I], ``weight_hh_l0`` [3*H,H],
    ``bias_ih_l0`` [3*H], ``bias_hh_l0`` [3*H], ...

    Parameters
    ----------
    input_size, hidden_size, num_layers, bias, batch_first, dropout, bidirectional, \
    dtype, compute, rng
        As in `RNN`.
    reset : {"after", "before"}
        Whether the reset gate acts after or before the recurrent product.

    Raises
    ------
    TypeError, ValueError, MemoryError
        As in `RNN`.

    Examples
    --------
    >>> import numpy as np, rnncore as rc
    >>> gru = rc.GRU(input_size=3, hidden_size=8, rng=0)
    >>> x = np.zeros((5, 2, 3), np.float32)  # time, batch, features
    >>> y, h = gru(x, lengths=[5, 3])  # the second sequence ends after three steps
    >>> y.shape, h.shape
    ((5, 2, 8), (1, 2, 8))
    """

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        num_layers: int = 1,
        *,
        reset: str = "after",
        bias: bool = True,
        batch_first: bool = False,
        dropout: float = 0.0,
        bidirectional: bool = False,
        dtype: DTypeLike = np.float32,
        compute: str | None = None,
        rng: np.random.Generator | int | None = None,
    ) -> None:
        self.reset = choice("reset", reset, ("after", "before"))
        super().__init__(
            f"gru_{self.reset}",
            input_size,
            hidden_size,
            num_layers,
            bias=bias,
            batch_first=batch_first,
            dropout=dropout,
            bidirectional=bidirectional,
            dtype=dtype,
            compute=compute,
            rng=rng,
        )


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
    input_size, hidden_size, num_layers, bias, batch_first, dropout, bidirectional, \
    dtype, compute, rng
        As in `RNN`.

    Raises
    ------
    TypeError, ValueError, MemoryError
        As in `RNN`.

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

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        num_layers: int = 1,
        *,
        bias: bool = True,
        batch_first: bool = False,
        dropout: float = 0.0,
        bidirectional: bool = False,
        dtype: DTypeLike = np.float32,
        compute: str | None = None,
        rng: np.random.Generator | int | None = None,
    ) -> None:
        super().__init__(
            "lstm",
            input_size,
            hidden_size,
            num_layers,
            bias=bias,
            batch_first=batch_first,
            dropout=dropout,
            bidirectional=bidirectional,
            dtype=dtype,
            compute=compute,
            rng=rng,
        )
