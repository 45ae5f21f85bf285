"""What a language model makes of given texts: one by one, or many that share their beginnings."""

from __future__ import annotations

import itertools
from abc import abstractmethod
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rnncore._check import describe
from rnncore._keywords import strict_keywords
from rnncore.data import Batch
from rnncore.data.batch import IdsLike
from rnncore.decode import Searched
from rnncore.decode.prefix_tree import Level, prefix_tree
from rnncore.models.contexts import context_rows, context_vector
from rnncore.models.stepping import LanguageModelDecoder
from rnncore.progress import perplexity

__all__ = ["Scored"]

Ids = NDArray[np.int64]

# Steps whose outputs are held at once while a long text is scored: enough to keep the kernels
# busy, and at a hidden size of 1024 still only 4 MB.
_SCORED_AT_ONCE = 1024

# Sequences of one tree: enough that the kernels are busy, few enough that the outputs of all their
# nodes take some ten megabytes.
_AT_ONCE = 512


class Scored(Searched):
    """A language model that scores texts."""

    context_size: int | None

    @property
    @abstractmethod
    def dtype(self) -> np.dtype[Any]:
        """Type of the parameters."""

    @abstractmethod
    def decoder(
        self, weight_format: str | None = None, contexts: Any = None
    ) -> LanguageModelDecoder:
        """Return the model as `rnncore.decode` searches it, with its present parameters."""

    @abstractmethod
    def losses(self, batch: Any, state: Any = None) -> tuple[list[NDArray[np.float64]], Any]:
        """Return the loss of every target, an array for each head, and the final state."""

    @abstractmethod
    def _storage(self, weight_format: str | None) -> str:
        """Return the kernel's name of what is asked for, or else of the model's choice."""

    def score(
        self, tokens: str | IdsLike, weight_format: str | None = None, *, context: Any = None
    ) -> NDArray[np.float64]:
        """Log-probability of every token but the first, given all tokens before it.

        Parameters
        ----------
        tokens : str, or integers [N]
            Text needs a tokenizer. Any length fits in memory: the text is read in pieces.
        weight_format : {"float32", "bfloat16", "int8", "int8_dynamic"} or None
            How the matrices are stored, see `rnncore.layers.Stream`; None is the model's own
            choice, `weight_format`. Narrow ones take one step after the other, as sampling does.
        context : array [C], or None
            What a model with ``context_size`` reads in every step.

        Returns
        -------
        array [N-1]
            Element t is ln p(x[t+1] | x[0..t]), from the zero state. Empty for N below 2.

        Raises
        ------
        TypeError, ValueError
            When tokens are not integers [N], an id lies outside [0, V), a character is not in the
            vocabulary, the model has no vocabulary for text, or `weight_format` is not as above.
        """
        ids = self.encode(tokens)
        vector = context_vector("context", context, self.context_size, self.dtype)
        if self._storage(weight_format) != "full":
            return self.sampler(weight_format, vector).score(ids)
        scores = np.zeros(max(0, len(ids) - 1))
        state: Any = None
        for start in range(0, len(scores), _SCORED_AT_ONCE):
            piece = slice(start, min(start + _SCORED_AT_ONCE, len(scores)))
            batch = Batch(ids[:-1][piece], ids[1:][piece], contexts=vector)
            (losses,), state = self.losses(batch, state)
            scores[piece] = -losses
        return scores

    def perplexity(
        self, tokens: str | IdsLike, weight_format: str | None = None, *, context: Any = None
    ) -> float:
        """Perplexity of a text: exp of the mean negative log-probability, see `score`.

        Raises
        ------
        ValueError
            When there are fewer than two tokens; otherwise as `score`.
        """
        scores = self.score(tokens, weight_format, context=context)
        if not scores.size:
            raise ValueError("tokens: expected at least 2 for a perplexity, got fewer")
        return perplexity(-float(scores.mean()))

    @strict_keywords()
    def score_prefix_tree(
        self,
        sequences: Sequence[str] | Sequence[IdsLike],
        weight_format: str | None = None,
        *,
        contexts: Any = None,
    ) -> list[NDArray[np.float64]]:
        """Score many sequences; what they have in common at their beginnings is read once.

        Candidates for one sentence share most of their words. All sequences take their steps
        together, as a tree of their beginnings, so that each node is one row of a step.

        Parameters
        ----------
        sequences : list of str, or of integers [T_k]
            As of `score`. They may be empty.
        weight_format : {"float32", "bfloat16", "int8", "int8_dynamic"} or None
            How the matrices are stored; None is the model's own choice.
        contexts : array [K,C], or None
            What a model with ``context_size`` reads with each sequence. Only sequences of equal
            contexts share what they read.

        Returns
        -------
        list of float64 array [T_k-1]
            For each sequence what `score` returns, up to rounding: products are summed in another
            order there.

        Raises
        ------
        TypeError, ValueError
            As `score`; errors name the sequence.

        Examples
        --------
        >>> import rnncore as rc
        >>> model = rc.LanguageModel(vocab_size=6, hidden_size=8, rng=0)
        >>> scores = model.score_prefix_tree([[0, 3, 4, 1], [0, 3, 2, 1], [0]])
        >>> [len(own) for own in scores]
        [3, 3, 0]
        """
        if isinstance(sequences, str):
            raise TypeError(f"sequences: expected a list of them, got {describe(sequences)}")
        given = [self.encode(one, f"sequences[{k}]") for k, one in enumerate(sequences)]
        rows = context_rows("contexts", contexts, self.context_size, self.dtype, len(given))
        groups = np.zeros(len(given), np.int64)
        if rows is not None and len(rows):
            rows, groups = np.unique(rows, axis=0, return_inverse=True)
            groups = groups.ravel()
        decoder = self.decoder(weight_format, rows)
        scores = [np.zeros(max(0, len(one) - 1)) for one in given]
        for first in range(0, len(given), _AT_ONCE):
            some = slice(first, first + _AT_ONCE)
            levels = prefix_tree(given[some], groups[some], self.vocab_size)
            for t, found in enumerate(_of_levels(decoder, levels)):
                level = levels[t + 1]
                for k, value in zip(level.members.tolist(), found[level.nodes], strict=True):
                    scores[first + k][t] = value
        return scores


def _of_levels(decoder: LanguageModelDecoder, levels: list[Level]) -> list[NDArray[np.float64]]:
    """Return the log-probability of every node of each level but the first."""
    if len(levels) < 2:
        return []
    outputs, begins, offset = [], [], 0
    state: Any = None
    above = np.zeros(0, np.int64)
    for level, below in itertools.pairwise(levels):
        inner, firsts = np.unique(below.parents, return_index=True)  # nodes that have children
        parents = level.parents[inner]
        if state is None:
            state = decoder.start_of(parents)
        else:
            state = decoder.select(state, np.searchsorted(above, parents))
        y, state = decoder.outputs(level.tokens[inner], state)
        outputs.append(y)
        begins.append(firsts + offset)
        offset += len(below.tokens)
        above = inner
    tokens = np.concatenate([level.tokens for level in levels[1:]])
    found = decoder.output.of(
        np.concatenate(outputs), np.append(np.concatenate(begins), offset), tokens
    )
    ends = np.cumsum([len(level.tokens) for level in levels[1:]])
    return np.split(found, ends[:-1])
