"""Recurrent layers by the name of their cell, as models and commands give it."""

from __future__ import annotations

from typing import Any

from rnncore import _advice
from rnncore._check import choice
from rnncore._keywords import unknown_keyword
from rnncore.layers.arguments import signature
from rnncore.layers.gru import GRU
from rnncore.layers.lstm import LSTM
from rnncore.layers.recurrent import Recurrent
from rnncore.layers.rnn import RNN

__all__ = ["CELLS", "recurrent"]

#: Layer of each cell.
CELLS: dict[str, type[RNN] | type[GRU] | type[LSTM]] = {"rnn": RNN, "gru": GRU, "lstm": LSTM}


def recurrent(cell: str, *sizes: int, cell_options: dict[str, Any], **options: Any) -> Any:
    """Return the recurrent layer of a cell.

    Parameters
    ----------
    cell : {"lstm", "gru", "rnn"}
        Kind of the layer.
    *sizes : int
        input_size, hidden_size and num_layers.
    cell_options : dict
        Options of this cell alone: ``nonlinearity`` of "rnn", ``reset`` of "gru".
    **options
        Options of every cell, see `Recurrent`.

    Raises
    ------
    TypeError, ValueError
        If the cell is unknown, has no such option, or an option does not fit.
    """
    layer = CELLS[choice("cell", cell, CELLS)]
    own = signature(layer).parameters.keys() - signature(Recurrent).parameters.keys()
    for name in cell_options:
        if name not in own:
            raise unknown_keyword(name, sorted(own), f"cell {cell!r}")
    make: Any = layer
    with _advice.silent():  # one layer is no reason to warn: models have dropout of their own
        return make(*sizes, **options, **cell_options)
