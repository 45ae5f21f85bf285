"""A language model one step at a time, for the searches of `rnncore.decode`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from rnncore.decode import Scores

if TYPE_CHECKING:
    from rnncore.models.language_model import LanguageModel

__all__ = ["LanguageModelDecoder"]

Ids = NDArray[np.int64]


class _Rows(NamedTuple):
    """Rows [N] of a state of the recurrent layers, not copied before they are read."""

    state: Any = None
    rows: Ids | None = None  # None: all


class LanguageModelDecoder:
    """`StepDecoder` of a language model; made by ``model.decoder()``.

    Later changes of the parameters have no effect. Several threads may use it at once.

    Parameters
    ----------
    model : LanguageModel
        What to search.
    weight_format : {"float32", "bfloat16", "int8", "int8_dynamic"} or None
        How the matrices are stored, see `rnncore.layers.Stream`; None is the model's own choice.
    """

    def __init__(self, model: LanguageModel, weight_format: str | None = None) -> None:
        chosen = model.weight_format if weight_format is None else weight_format
        self.vocab_size = model.vocab_size
        self.network = model.rnn.hold(chosen, model.embedding)
        self.output = model.output.hold(chosen)

    def start(self, count: int) -> _Rows:
        """Return the zero state, see `StepDecoder.start`."""
        return _Rows()

    def advance(self, tokens: Ids, state: _Rows) -> tuple[Scores, _Rows]:
        """Read a token in every row, see `StepDecoder.advance`."""
        y, after = self.network.step(tokens, state.state, state.rows)
        return self.output.scores(y), _Rows(after)

    def select(self, state: _Rows, rows: Ids) -> _Rows:
        """Return the state of rows, see `StepDecoder.select`."""
        if state.state is None:
            return state
        return _Rows(state.state, rows if state.rows is None else state.rows[rows])
