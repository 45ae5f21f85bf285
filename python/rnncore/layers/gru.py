"""Gated recurrent unit: the equations and the options of its own."""

from __future__ import annotations

from typing import Unpack

from rnncore._check import Array, choice
from rnncore._help import complete_docstring
from rnncore.layers.options import RecurrentOptions, lists_options
from rnncore.layers.recurrent import Recurrent


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
    input_size, hidden_size, num_layers
        As in `Recurrent`.
    reset : {"after", "before"}
        Whether the reset gate acts after or before the recurrent product.
    **options
        As in `Recurrent`.

    Raises
    ------
    TypeError, ValueError, MemoryError
        As in `Recurrent`.

    Examples
    --------
    >>> import numpy as np, rnncore as rc
    >>> gru = rc.GRU(input_size=3, hidden_size=8, rng=0)
    >>> x = np.zeros((5, 2, 3), np.float32)  # time, batch, features
    >>> y, h = gru(x, lengths=[5, 3])  # the second sequence ends after three steps
    >>> y.shape, h.shape
    ((5, 2, 8), (1, 2, 8))
    """

    @lists_options
    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        num_layers: int = 1,
        *,
        reset: str = "after",
        **options: Unpack[RecurrentOptions],
    ) -> None:
        self.reset = choice("reset", reset, ("after", "before"))
        super().__init__(
            f"gru_{self.reset}",
            input_size,
            hidden_size,
            num_layers,
            **options,
        )
