"""One step after the other of a model that has encoded what it writes about."""

from __future__ import annotations

from typing import Any

import numpy as np

from rnncore._check import Ids
from rnncore.decode import Scores
from rnncore.heads import HeldSoftmax
from rnncore.layers import Embedding
from rnncore.models.decoders import Decoder

__all__ = ["EncodedDecoder"]


class EncodedDecoder:
    """A `rnncore.decode.StepDecoder` of embedding, writer and softmax, over encoded sources.

    Parameters
    ----------
    embedding : Embedding
        Of the tokens that are written.
    writer : Decoder
        It must not change any more, nor may the embedding.
    held : any
        What the writer holds of the sources, see `Decoder.hold`.
    output : HeldSoftmax
        The output layer.
    state : any
        State before the first token.
    """

    def __init__(
        self, embedding: Embedding, writer: Decoder, held: Any, output: HeldSoftmax, state: Any
    ) -> None:
        self.vocab_size: int = embedding.vocab_size
        self._embedding = embedding
        self._writer = writer
        self._held = held
        self._output = output
        self._initial = state

    def start(self, count: int) -> tuple[Any, Ids]:
        """Return the state before the first token: that of the decoder, and whom each row reads."""
        return self._initial, np.arange(count)

    def advance(self, tokens: Ids, state: tuple[Any, Ids]) -> tuple[Scores, tuple[Any, Ids]]:
        """Read a token in every row; return the scores of the next one, and the state."""
        hidden, rows = state
        step = self._writer.step(self._held, self._embedding(tokens), hidden, rows)
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
