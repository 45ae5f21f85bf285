"""A language model one step at a time, for the searches of `rnncore.decode`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from rnncore.decode import LogProbabilities, Scores

if TYPE_CHECKING:
    from rnncore.models.language_model import LanguageModel

__all__ = ["LanguageModelDecoder"]

Ids = NDArray[np.int64]


class LanguageModelDecoder:
    """`StepDecoder` of a language model; made by ``model.decoder()``."""

    def __init__(self, model: LanguageModel) -> None:
        self.vocab_size = model.vocab_size
        self._model = model

    def start(self, count: int) -> Any:
        """Return the zero state, see `StepDecoder.start`."""
        return None

    def advance(self, tokens: Ids, state: Any) -> tuple[Scores, Any]:
        """Read a token in every row, see `StepDecoder.advance`."""
        model = self._model
        x: Any = tokens[np.newaxis]
        if model.embedding is not None:
            x = model.embedding(x)
        y, state = model.rnn(x, state)
        return LogProbabilities(model.output.log_probabilities(y[0])), state

    def select(self, state: Any, rows: Ids) -> Any:
        """Return the state of rows, see `StepDecoder.select`."""
        if isinstance(state, tuple):
            return tuple(part[:, rows] for part in state)
        return state[:, rows]
