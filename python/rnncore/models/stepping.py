"""A language model one step at a time, for the searches of `rnncore.decode`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from rnncore._check import Array
from rnncore._narrow import storage
from rnncore.decode import Scores
from rnncore.models.contexts import as_stored, context_rows, one_hot

if TYPE_CHECKING:
    from rnncore.models.language_model import LanguageModel

__all__ = ["LanguageModelDecoder"]

Ids = NDArray[np.int64]


class _Rows(NamedTuple):
    """Rows [N] of a state of the recurrent layers, not copied before they are read."""

    state: Any = None
    rows: Ids | None = None  # None: all
    contexts: Ids | None = None  # [N] the context that each reads


class LanguageModelDecoder:
    """`StepDecoder` of a language model; made by ``model.decoder()``.

    Later changes of the parameters have no effect. Several threads may use it at once.

    Parameters
    ----------
    model : LanguageModel
        What to search.
    weight_format : {"float32", "bfloat16", "int8", "int8_dynamic"} or None
        How the matrices are stored, see `rnncore.layers.Stream`; None is the model's own choice.
    contexts : array [count,C], or None
        What a model with ``context_size`` reads with each sentence.
    """

    def __init__(
        self, model: LanguageModel, weight_format: str | None = None, contexts: Any = None
    ) -> None:
        chosen = model.weight_format if weight_format is None else weight_format
        self.vocab_size = model.vocab_size
        self._contexts = context_rows("contexts", contexts, model.context_size, model.dtype)
        self._embedded: Array | None = None  # rows beside which contexts stand
        embedding = model.embedding
        if self._contexts is not None and embedding is not None:
            self._embedded = as_stored(
                embedding.params["weight"], storage(chosen, model.dtype)
            ).copy()
        self.network = model.rnn.hold(chosen, None if self._contexts is not None else embedding)
        self.output = model.output.hold(chosen)

    def start(self, count: int) -> _Rows:
        """Return the zero state, see `StepDecoder.start`.

        Raises
        ------
        ValueError
            If there is not one context for each sentence.
        """
        if self._contexts is not None and len(self._contexts) != count:
            raise ValueError(
                f"contexts: expected one for each of {count} sentences, got {len(self._contexts)}"
            )
        return self.start_of(np.arange(count))

    def start_of(self, contexts: Ids) -> _Rows:
        """Return the zero state of rows that read contexts of these numbers [N]."""
        return _Rows(contexts=None if self._contexts is None else contexts)

    def outputs(self, tokens: Ids, state: _Rows) -> tuple[Array, _Rows]:
        """Read a token in every row; return the outputs of the recurrent layers and the state."""
        x: Any = tokens
        if self._contexts is not None:
            known = self._embedded
            dtype = self._contexts.dtype
            own = one_hot(tokens, self.vocab_size, dtype) if known is None else known[tokens]
            x = np.concatenate([own, self._contexts[state.contexts]], axis=1)
        y, after = self.network.step(x, state.state, state.rows)
        return y, _Rows(after, None, state.contexts)

    def advance(self, tokens: Ids, state: _Rows) -> tuple[Scores, _Rows]:
        """Read a token in every row, see `StepDecoder.advance`."""
        y, after = self.outputs(tokens, state)
        return self.output.scores(y), after

    def select(self, state: _Rows, rows: Ids) -> _Rows:
        """Return the state of rows, see `StepDecoder.select`."""
        contexts = None if state.contexts is None else state.contexts[rows]
        if state.state is None:
            return _Rows(contexts=contexts)
        return _Rows(state.state, rows if state.rows is None else state.rows[rows], contexts)
