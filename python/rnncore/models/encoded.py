"""One step after the other of a model that has encoded what it writes about."""

from __future__ import annotations

from typing import Any

import numpy as np

from rnncore._check import Ids
from rnncore.decode import Scores

__all__ = ["EncodedDecoder"]


class EncodedDecoder:
    """A `rnncore.decode.StepDecoder` of embedding, writer and softmax, over encoded sources.

    Parameters
    ----------
    model : Seq2Seq or Captioner
        With ``embedding`` and ``writer``; it must not change any more.
    output : any
        Its output layer, packed, see `Softmax.hold`.
    held : any
        What its writer holds of the sources, see `Decoder.hold`.
    state : any
        State before the first token.
    count : int
        Number of sources.
    """

    def __init__(self, model: Any, output: Any, held: Any, state: Any, count: int) -> None:
        self._count = count
        self.vocab_size: int = model.output.output_size
        self._model = model
        self._output = output
        self._held = held
        self._initial = state

    def start(self, count: int) -> tuple[Any, Ids]:
        """Return the state before the first token: that of the decoder, and whom each row reads.

        Raises
        ------
        ValueError
            If there is not one source for each sentence.
        """
        if count != self._count:
            raise ValueError(f"count: expected that of the sources, {self._count}, got {count}")
        return self._initial, np.arange(count)

    def advance(self, tokens: Ids, state: tuple[Any, Ids]) -> tuple[Scores, tuple[Any, Ids]]:
        """Read a token in every row; return the scores of the next one, and the state."""
        hidden, rows = state
        model = self._model
        step = model.writer.step(self._held, model.embedding(tokens), hidden, rows)
        return self._output.scores(step.y, step.attention), (step.state, rows)

    def select(self, state: tuple[Any, Ids], rows: Ids) -> tuple[Any, Ids]:
        """Return the state of some rows."""
        hidden, read = state
        return _rows_of(hidden, rows), read[rows]


def _rows_of(state: Any, rows: Ids) -> Any:
    """Return some rows of a state, whose parts are [N,H] or [L,N,H]; None is zero."""
    if isinstance(state, tuple):
        return tuple(_rows_of(part, rows) for part in state)
    return None if state is None else state[..., rows, :]
