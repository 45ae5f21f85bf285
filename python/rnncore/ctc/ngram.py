"""N-gram language models with backoff, read from ARPA files."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from rnncore import _core
from rnncore._check import describe, flag, real
from rnncore._files import as_path
from rnncore._keywords import strict_keywords

__all__ = ["NGram"]


class NGram:
    r"""N-gram language model with backoff weights (Katz 1987), of words or of symbols.

    .. math::
        p(w | h) = \begin{cases} p_{hw} & \text{if } hw \text{ is in the model} \\
        b_h \, p(w | h') & \text{otherwise} \end{cases}

    Here h' is the history h without its first word, and b is 1 for histories that the model lacks.
    `from_arpa` makes the model. It holds single-precision numbers, about 20 bytes for an n-gram.

    Examples
    --------
    >>> import pathlib, tempfile, rnncore as rc
    >>> text = r'''
    ... \data\
    ... ngram 1=3
    ...
    ... \1-grams:
    ... -99 <s>
    ... -0.30103 </s>
    ... -0.30103 yes
    ...
    ... \end\
    ... '''
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = pathlib.Path(folder) / "yes.arpa"
    ...     _ = path.write_text(text)
    ...     model = rc.ctc.NGram.from_arpa(path)
    >>> model.score(["yes", "yes"]).round(3)
    array([-0.301, -0.301, -0.301])
    """

    def __init__(self) -> None:
        raise TypeError("NGram: expected NGram.from_arpa(path), which reads a model from a file")

    _core: _core.Ngram
    _source: tuple[str, float]

    @classmethod
    @strict_keywords()
    def from_arpa(cls, path: str | os.PathLike[str], *, unknown: float = -99.0) -> Self:
        r"""Read a model from a text file in the format ARPA, which SRILM and KenLM write.

        Parameters
        ----------
        path : str or path
            File in UTF-8.
        unknown : float
            log10 p of words that the model lacks. It counts where the file has no ``<unk>``.

        Raises
        ------
        OSError
            If the file cannot be read.
        ValueError
            If it is no such model: the counts of ``\data\`` differ from what follows, a section or
            ``\end\`` is missing, a number is none, a word or n-gram occurs twice, or the first
            words of an n-gram are not in the model. The message names the line.
        """
        value = real("unknown", unknown, high=0.0)
        file = as_path(path)
        return cls._of(_read(file), str(file), value)

    @classmethod
    def _of(cls, text: bytes, name: str, unknown: float) -> Self:
        model = cls.__new__(cls)
        model._core = _core.Ngram(text, name, unknown)
        model._source = name, unknown
        return model

    @property
    def order(self) -> int:
        """Words of the longest n-grams."""
        return self._core.order

    @property
    def size(self) -> int:
        """Number of n-grams, of all orders."""
        return self._core.size

    @property
    def words(self) -> list[str]:
        """The words in the order of the file, ``<s>``, ``</s>`` and ``<unk>`` among them."""
        return self._core.words()

    def score(
        self, words: Iterable[str], *, start: bool = True, end: bool = True
    ) -> NDArray[np.float64]:
        """Return log10 p of each word, given those before it.

        Parameters
        ----------
        words : N str
            A sentence. Words that the model lacks count as ``<unk>``.
        start : bool
            Whether the sentence begins here: the first history is ``<s>``, where there is one.
        end : bool
            Whether the sentence ends here: one more element is that of ``</s>``.

        Returns
        -------
        array [N + 1], or [N] without `end`

        Raises
        ------
        TypeError
            If the words are not str.
        """
        sentence = [words] if isinstance(words, str) else list(words)
        for word in sentence:
            if not isinstance(word, str):
                raise TypeError(f"words: expected str, got {describe(word)}")
        if isinstance(words, str):
            raise TypeError(f"words: expected a list of words, got {describe(words)}; split it")
        return self._core.score(sentence, flag("start", start), flag("end", end))

    def __copy__(self) -> Self:
        """Return the model itself, which nothing changes."""
        return self

    def __deepcopy__(self, memo: dict[int, Any]) -> Self:
        return self

    def __repr__(self) -> str:
        return f"<NGram of order {self.order}, {self.size} n-grams>"


def _read(path: Path) -> bytes:
    """Return the content of a file of UTF-8."""
    content = path.read_bytes()
    try:
        content.decode("utf-8")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise ValueError(f"{path}: line {line}: expected UTF-8, got {error.reason}") from None
    return content
