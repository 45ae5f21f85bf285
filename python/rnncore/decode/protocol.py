"""What a search needs of a model: scores of the next token, one step after the other."""

from __future__ import annotations

from typing import Any, Protocol

import numpy as np
from numpy.typing import ArrayLike, NDArray

from rnncore._check import Array, as_array, describe
from rnncore._keywords import strict_keywords
from rnncore.decode.choosing import top_of_rows

__all__ = ["LogProbabilities", "Scores", "StepDecoder"]

Ids = NDArray[np.int64]


class Scores(Protocol):
    """Scores of the next token of N hypotheses.

    Attributes
    ----------
    attention : array [N,S], or None
        Weight of each of S positions of the source in this step; zero past a source's end.
    """

    attention: Array | None

    def log_probabilities(self) -> Array:
        """Return ln p [N,V] of every token."""

    def top(self, k: int) -> tuple[Array, Ids]:
        """Return the k greatest ln p [N,k], the greatest first, and their tokens [N,k].

        Of equal ones, the smaller token comes first.
        """


class StepDecoder(Protocol):
    """A model that writes tokens; `beam_search`, `greedy` and `sample` search what it writes.

    A state belongs to N hypotheses, its rows, and is whatever the decoder makes of it: the search
    only hands it on. No call may change a state that it is given.

    The result of a row may depend on nothing but the tokens of this row, down to the bit. A search
    over many sentences then returns for each what a search over that one alone returns.

    Attributes
    ----------
    vocab_size : int
        Number of tokens V.

    Examples
    --------
    >>> import numpy as np, rnncore as rc
    >>> class Bigrams:  # p(token | token before)
    ...     vocab_size = 3
    ...     table = np.log([[0.1, 0.6, 0.3], [0.5, 0.1, 0.4], [0.3, 0.3, 0.4]])
    ...
    ...     def start(self, count):
    ...         return None
    ...
    ...     def advance(self, tokens, state):
    ...         return rc.decode.LogProbabilities(self.table[tokens]), state
    ...
    ...     def select(self, state, rows):
    ...         return state
    >>> ((best,),) = rc.decode.beam_search(Bigrams(), 1, start=0, end=0, beam_size=3)
    >>> best.tokens.tolist(), best.ended
    ([1], True)
    """

    vocab_size: int

    def start(self, count: int) -> Any:
        """Return the state of `count` rows before their first token; row n reads sentence n."""

    def advance(self, tokens: Ids, state: Any) -> tuple[Scores, Any]:
        """Read a token [N] in every row; return the scores of what follows, and the state."""

    def select(self, state: Any, rows: Ids) -> Any:
        """Return the state of rows [M], each a number of one of the N rows of `state`.

        A row may be selected several times, or not at all.
        """


@strict_keywords()
class LogProbabilities:
    """`Scores` from an array of all log-probabilities: for decoders written in NumPy.

    Parameters
    ----------
    values : array [N,V]
        ln p of every token, -inf for probability 0.
    attention : array [N,S], optional
        See `Scores`.

    Raises
    ------
    ValueError
        If `values` are not [N,V].

    Examples
    --------
    >>> import numpy as np, rnncore as rc
    >>> scores = rc.decode.LogProbabilities(np.log([[0.2, 0.5, 0.3]]))
    >>> values, tokens = scores.top(2)
    >>> tokens.tolist()
    [[1, 2]]
    """

    def __init__(self, values: ArrayLike, attention: Array | None = None) -> None:
        array = as_array("values", values)
        if array.ndim != 2 or array.dtype.kind != "f":
            raise ValueError(f"values: expected floats [N, V], got {describe(values)}")
        self._values = array
        self.attention = attention

    def log_probabilities(self) -> Array:
        """Return ln p [N,V]."""
        return self._values

    def top(self, k: int) -> tuple[Array, Ids]:
        """Return the k greatest ln p [N,k] and their tokens [N,k]; see `Scores.top`."""
        return top_of_rows(self._values, k)
