"""Recurrent layers by the name of their cell, as models and commands give it."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from rnncore import _advice
from rnncore._check import choice
from rnncore._keywords import keywords_of, unknown_keyword
from rnncore.layers.arguments import signature
from rnncore.layers.gru import GRU
from rnncore.layers.lstm import LSTM
from rnncore.layers.recurrent import Recurrent
from rnncore.layers.rnn import RNN

__all__ = ["CELLS", "recurrent", "require_cell_options"]

#: Layer of each cell.
CELLS: dict[str, type[RNN] | type[GRU] | type[LSTM]] = {"rnn": RNN, "gru": GRU, "lstm": LSTM}


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
        Options of every cell, see `Recurrent`.

    Raises
    ------
    TypeError, ValueError
        If the cell is unknown, has no such option, or an option does not fit.
    """
    require_cell_options(cell, cell_options, owner)
    make: Any = CELLS[cell]
    with _advice.silent():  # one layer is no reason to warn: models have dropout of their own
        return make(*sizes, **options, **cell_options)


def require_cell_options(cell: str, options: Iterable[str], owner: type) -> None:
    """Raise unless `options` are all of one cell alone.

    Raises
    ------
    TypeError, ValueError
        If the cell is unknown or has no such option. The error names what `owner`, the class of
        the model, takes.
    """
    layer = CELLS[choice("cell", cell, CELLS)]
    own = _own_options(layer)
    for name in options:
        if name not in own:
            if any(name in _own_options(other) for other in CELLS.values()):
                raise unknown_keyword(name, sorted(own), f"cell {cell!r}")
            raise unknown_keyword(name, (*keywords_of(owner), *sorted(own)), owner.__name__)


def _own_options(layer: Any) -> set[str]:
    """Return the options of a layer that not every recurrent layer has."""
    return signature(layer).parameters.keys() - signature(Recurrent).parameters.keys()
