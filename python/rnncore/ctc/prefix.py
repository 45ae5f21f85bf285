"""Prefix beam search: the labels whose paths together are the most probable, and what is known."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from copy import copy
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from rnncore._check import Array, describe, integer, lengths_array, real
from rnncore._keywords import strict_keywords
from rnncore._layout import float_array
from rnncore.ctc.alphabet import Alphabet, Lexicon
from rnncore.ctc.frames import frames_array
from rnncore.ctc.ngram import NGram
from rnncore.ctc.paths import require_log_probabilities
from rnncore.ctc.prefix_model import PrefixKnowledge
from rnncore.ctc.prefix_search import PrefixSearch
from rnncore.ctc.segments import Transcript

__all__ = ["PrefixDecoder", "PrefixStream"]

# Sequences are searched in groups whose rows of a language model take at most so many bytes.
_MOST_BYTES = 1 << 28


@strict_keywords()
class PrefixDecoder:
    r"""Prefix beam search for networks with the CTC loss.

    The search keeps the `beam_size` best prefixes of the output and, for each of them, the
    probability of all paths that lead to it (Graves et al. 2006, section 3.2; Hannun et al. 2014,
    arXiv 1408.2873). It looks for the labels with the greatest

    .. math::
        \ln p(labels | x) + \alpha \ln p_{ngram} + \beta \ln p_{model}
        + \gamma\,words + \delta\,symbols + hot\ words

    With a large beam and without thresholds the result is exact.

    Parameters
    ----------
    symbols : C str
        Names of the network's outputs in their order, the blank among them.
    blank : int
        Index of the blank.
    beam_size : int
        Number of prefixes that are kept.
    separator : str or None
        Symbol that stands between words. It may also begin and end the output, and be repeated.
    lexicon : words, dict of spellings, or None
        Only these words come out. A dict gives for each word its spelling or a list of spellings. A
        spelling is a str or a list of symbols. A str is spelled by its characters, or cut at white
        space if some symbol has several characters. Without a separator words follow each other
        directly. Words of the same spelling are different results.
    hot_words : dict of weights, or None
        What each occurrence of a word or phrase adds to the score, in nats. With a lexicon a phrase
        consists of its words. Otherwise it is spelled: between separators where there are such, and
        anywhere in the output where there are not.
    ngram : NGram or None
        Language model; it scores the end of the sentence too, if it has ``</s>``.
    ngram_weight : float
        Factor :math:`\alpha`, at least 0.
    ngram_unit : {"words", "symbols"} or None
        What the model is about; None: words where there is a lexicon or separator, else symbols.
        The symbol ``" "`` is called ``<space>``. Without a lexicon, words that it lacks come out
        too, as ``<unk>``.
    language_model : LanguageModel or None
        Recurrent language model (shallow fusion), as it is when a search begins. It reads the start
        token of its tokenizer first, and scores the end token last, where there are such; without
        a start token the first unit is free. A model of symbols has a token for each symbol; the
        separator is ``" "``. Without a tokenizer token i is symbol i, and the blank's id is start
        and end.
    language_model_weight : float
        Factor :math:`\beta`, at least 0.
    language_model_unit : {"words", "symbols"} or None
        What the model is about; None: words where there is a lexicon or separator and the tokenizer
        knows unknown words, else symbols.
    word_bonus, symbol_bonus : float
        Added for each word and each symbol, :math:`\gamma` and :math:`\delta`. Language models
        favor short outputs, which positive bonuses counteract.
    unknown_bonus : float
        Added for each word that the language model of words does not know; negative to avoid them.
    beam_threshold : float or None
        Prefixes whose score is so far below the best one's are dropped.
    symbol_threshold : float or None
        Symbols whose log-probability in a frame is below this begin there in no prefix.
    max_symbols : int or None
        So many of the most probable symbols of a frame may begin there.

    Raises
    ------
    TypeError, ValueError
        If an argument has the wrong type or value, or a word cannot be spelled.

    Examples
    --------
    >>> import math, numpy as np, rnncore as rc
    >>> log_p = np.log([[0.4, 0.3, 0.3], [0.6, 0.3, 0.1]])
    >>> decoder = rc.ctc.PrefixDecoder(["-", "a", "b"], beam_size=8)
    >>> best, second = decoder.decode(log_p, n_best=2)
    >>> best.symbols, round(math.exp(best.score), 2)  # a-, -a and aa together
    (('a',), 0.39)
    >>> second.symbols, round(math.exp(second.score), 2)  # the most probable single path is --
    (('b',), 0.25)
    >>> decoder = rc.ctc.PrefixDecoder("-ab", lexicon={"bee": "b", "abbey": ["ab", "abb"]})
    >>> decoder.decode(log_p)[0].words[0].symbol
    'bee'
    """

    def __init__(
        self,
        symbols: Iterable[str],
        *,
        blank: int = 0,
        beam_size: int = 25,
        separator: str | None = None,
        lexicon: Lexicon | None = None,
        hot_words: Mapping[str, float] | None = None,
        ngram: NGram | None = None,
        ngram_weight: float = 0.5,
        ngram_unit: str | None = None,
        language_model: Any = None,
        language_model_weight: float = 0.5,
        language_model_unit: str | None = None,
        word_bonus: float = 0.0,
        symbol_bonus: float = 0.0,
        unknown_bonus: float = 0.0,
        beam_threshold: float | None = None,
        symbol_threshold: float | None = None,
        max_symbols: int | None = None,
    ) -> None:
        options: dict[str, Any] = {
            "beam_size": integer("beam_size", beam_size, 1, 1 << 20),
            "ngram_weight": real("ngram_weight", ngram_weight, 0.0),
            "model_weight": real("language_model_weight", language_model_weight, 0.0),
            "word_bonus": real("word_bonus", word_bonus),
            "symbol_bonus": real("symbol_bonus", symbol_bonus),
            "unknown_bonus": real("unknown_bonus", unknown_bonus),
        }
        if beam_threshold is not None:
            options["beam_threshold"] = real("beam_threshold", beam_threshold, 0.0)
        if symbol_threshold is not None:
            options["least_symbol"] = real("symbol_threshold", symbol_threshold)
        if max_symbols is not None:
            options["most_symbols"] = integer("max_symbols", max_symbols, 1, (1 << 31) - 1)
        self.beam_size: int = options["beam_size"]
        self._knowledge = PrefixKnowledge(
            Alphabet(symbols, blank, separator),
            options,
            lexicon=lexicon,
            hot_words=hot_words,
            ngram=ngram,
            ngram_unit=ngram_unit,
            language_model=language_model,
            language_model_unit=language_model_unit,
        )

    @property
    def symbols(self) -> tuple[str, ...]:
        """Names of the network's outputs, the blank among them."""
        return self._knowledge.alphabet.names

    @strict_keywords()
    def decode(
        self,
        log_probabilities: ArrayLike | Sequence[ArrayLike],
        n_best: int = 1,
        *,
        lengths: ArrayLike | None = None,
    ) -> Any:
        """Find the best outputs of one or several sequences.

        Threads divide the sequences. Their number changes no result, and without a language model
        neither does what else is in the batch. Rows of a language model are computed together for
        all sequences, and may be rounded in another way in another batch.

        Parameters
        ----------
        log_probabilities : array [T,C] of one sequence, [T,B,C], or list of B arrays [T_i,C]
            Natural logarithms, as of `heads.CTC.log_probabilities`; float32 or float64.
        n_best : int
            Number of results of each sequence.
        lengths : integers [B], or a number, optional
            Frames of each sequence of an array; None is T for all. What lies past the end is not
            read.

        Returns
        -------
        list of at most n_best Transcript, or B such lists of several sequences
            The best first, with `Transcript.words` where there is a lexicon or separator. Segments
            are those of the best path to these labels that the beam has kept. If no prefix of the
            beam ends with a whole word of the lexicon, the only result has no symbols and the score
            ``-inf``.

        Raises
        ------
        TypeError, ValueError
            If an array has another type or shape, or a frame holds NaN or numbers above 0.
        KeyboardInterrupt
            After Ctrl-C.
        """
        wanted = integer("n_best", n_best, 1)
        pieces, single = self._pieces(log_probabilities, lengths)
        step = max(1, _MOST_BYTES // self._model_bytes()) if self._knowledge.fused else len(pieces)
        found: list[list[Transcript]] = []
        for first in range(0, len(pieces), max(step, 1)):
            group = pieces[first : first + step]
            search = PrefixSearch(self._knowledge, len(group))
            search.read(group)
            search.finish()
            found += search.best(wanted)
        return found[0] if single else found

    def stream(self) -> PrefixStream:
        """Return a decoder of one sequence whose frames arrive in pieces."""
        return PrefixStream(self)

    def _pieces(self, given: Any, lengths: ArrayLike | None) -> tuple[list[Array], bool]:
        """Return the frames of each sequence, checked, and whether one was given without a list."""
        if isinstance(given, list | tuple) and (not given or np.ndim(given[0]) == 2):
            if lengths is not None:
                raise ValueError("lengths: expected None beside a list of arrays")
            pieces = [float_array(f"log_probabilities[{i}]", one) for i, one in enumerate(given)]
            single = False
        else:
            array, single = frames_array("log_probabilities", given)
            ends = np.full(array.shape[1], len(array))
            if lengths is not None:
                asked = np.atleast_1d(lengths) if single else lengths
                ends = lengths_array(asked, array.shape[:2])
            pieces = [array[:end, b] for b, end in enumerate(ends)]
        for b, piece in enumerate(pieces):
            self._require(piece, b)
        return pieces, single

    def _require(self, piece: Array, b: int) -> None:
        """Raise unless a piece [T,C] holds log-probabilities of these symbols."""
        if piece.ndim != 2 or piece.shape[1] != len(self.symbols):
            raise ValueError(
                f"log_probabilities: expected shape [T, C={len(self.symbols)}], one column for "
                f"each symbol, got {describe(piece)}"
            )
        require_log_probabilities(piece.max(axis=1), b)

    def _model_bytes(self) -> int:
        """Bytes of the rows of a language model that the search of one sequence holds at most."""
        fused = self._knowledge.fused
        return 1 if fused is None else 2 * self.beam_size * 8 * (len(fused.tokens) + 1)

    def __repr__(self) -> str:
        return f"<PrefixDecoder of {len(self.symbols)} symbols, beam_size={self.beam_size}>"


class PrefixStream:
    """Prefix beam search over frames that arrive in pieces; made by ``decoder.stream()``.

    The result is the same bits as that of `PrefixDecoder.decode` over all frames at once, whatever
    the pieces. Memory grows with the length of the output only: prefixes that no hypothesis of the
    beam begins with are freed. After an exception other than one for bad frames a stream cannot go
    on. A stream takes one call at a time; `copy` gives each thread its own.

    Parameters
    ----------
    decoder : PrefixDecoder
        What is known of words and symbols.

    Examples
    --------
    >>> import numpy as np, rnncore as rc
    >>> log_p = np.log([[0.1, 0.8, 0.1], [0.6, 0.3, 0.1], [0.2, 0.1, 0.7]])
    >>> stream = rc.ctc.PrefixDecoder("-ab").stream()
    >>> for frame in log_p:
    ...     stream.push(frame)
    ...     print(stream.best().symbols)
    ('a',)
    ('a',)
    ('a', 'b')
    >>> stream.finish()[0].segments[1].start
    2
    """

    def __init__(self, decoder: PrefixDecoder) -> None:
        if not isinstance(decoder, PrefixDecoder):
            raise TypeError(f"decoder: expected a PrefixDecoder, got {describe(decoder)}")
        self._decoder = decoder
        self._search = PrefixSearch(decoder._knowledge, 1)
        self._finished = False
        #: Frames that were read.
        self.frames = 0

    def push(self, log_probabilities: ArrayLike) -> None:
        """Read the next frames.

        Parameters
        ----------
        log_probabilities : array [T,C], or [C] of one frame
            As of `PrefixDecoder.decode`.

        Raises
        ------
        TypeError, ValueError
            As `PrefixDecoder.decode`; then nothing has been read.
        RuntimeError
            If the stream has been finished.
        """
        if self._finished:
            raise RuntimeError("stream: expected no frames after finish(); begin another stream")
        piece = float_array("log_probabilities", log_probabilities)
        if piece.ndim == 1:
            piece = piece[np.newaxis]
        self._decoder._require(piece, 0)
        self._search.read([piece])
        self.frames += len(piece)

    def best(self) -> Transcript:
        """Return the best prefix so far: what a recognizer shows while somebody speaks.

        Later frames may change it. A word that has not ended is among its symbols only.
        """
        return self._search.best(1)[0][0]

    @strict_keywords()
    def finish(self, n_best: int = 1) -> list[Transcript]:
        """End the sequence; return the best outputs, as `PrefixDecoder.decode`.

        It may be called again, for another number of results.
        """
        wanted = integer("n_best", n_best, 1)
        if not self._finished:
            self._search.finish()
            self._finished = True
        return self._search.best(wanted)[0]

    def copy(self) -> PrefixStream:
        """Return a stream that goes on from the same place on its own, as `copy.copy` does."""
        return copy(self)

    def __copy__(self) -> PrefixStream:
        other = type(self).__new__(type(self))
        other.__dict__.update(self.__dict__, _search=copy(self._search))
        return other

    def __repr__(self) -> str:
        return f"<PrefixStream after {self.frames} frames>"
