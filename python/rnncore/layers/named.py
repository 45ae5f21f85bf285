"""Recurrent layers by the name of their cell, as models and commands give it."""

from __future__ import annotations

from typing import Any

from rnncore import _advice
from rnncore._check import choice
from rnncore._keywords import keywords_of, unknown_keyword
from rnncore.layers.cells import GRU, LSTM, RNN

__all__ = ["CELLS", "recurrent"]

#: Layer of each cell, and the options that only it takes.
CELLS: dict[str, tuple[type[RNN] | type[GRU] | type[LSTM], frozenset[str]]] = {
    "rnn": (RNN, frozenset({"nonlinearity"})),
    "gru": (GRU, frozenset({"reset"})),
    "lstm": (LSTM, frozenset()),
}


def recurrent(
    cell: str, *sizes: int, owner: type, cell_options: dict[str, Any], **options: Any
) -> Any:
    """Return the recurrent layer of a cell.

    Parameters
    ----------
    cell : {"lstm", "gru", "rnn"}
        Kind of the layer.
    *sizes : int
        input_size, hidden_size and num_layers.
    owner : type
        Class of the model, which errors name.
    cell_options : dict
        Options of this cell alone: ``nonlinearity`` of "rnn", ``reset`` of "gru".
    **options
        Options of every cell, see `RNN`.

    Raises
    ------
    TypeError, ValueError
        If the cell is unknown, has no such option, or an option does not fit.
    """
    layer, own = CELLS[choice("cell", cell, CELLS)]
    for name in cell_options:
        if name not in own:
            if any(name in options for _, options in CELLS.values()):
                raise unknown_keyword(name, sorted(own), f"cell {cell!r}")
            raise unknown_keyword(name, (*keywords_of(owner), *sorted(own)), owner.__name__)
    make: Any = layer
    with _advice.silent():  # one layer is no reason to warn: models have dropout of their own
        return make(*sizes, **options, **cell_options)
