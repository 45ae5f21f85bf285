"""Translating with a `Seq2Seq`: searches over its decoder, and what they find as texts."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from rnncore import decode
from rnncore._check import Array, Ids, flag, size
from rnncore._keywords import strict_keywords
from rnncore.data import Buckets, pad
from rnncore.decode import Hypothesis
from rnncore.layers.assembly import copy_for_inference
from rnncore.models.decoders import ATTENDING
from rnncore.models.encoded import EncodedDecoder
from rnncore.models.passes import Pass
from rnncore.text import Tokenizer

if TYPE_CHECKING:
    from rnncore.models.seq2seq import Seq2Seq

__all__ = ["SourceDecoder", "Translating", "Translation", "Translator"]

_TRANSLATED_AT_ONCE = 32


@strict_keywords()
@dataclass(frozen=True, eq=False)
class Translation:
    """One answer to a source.

    Parameters
    ----------
    text : str or None
        The target, unknown words replaced; None where it has no tokenizer.
    tokens : int64 array [T]
        Its ids, without those that begin and end it.
    score : float
        What answers are ordered by: the normalized log-probability.
    log_probability : float
        ln p(target | source), the end included.
    alignment : array [T,S] or None
        Weight of each source token for each target token; the rows of a whole attention sum to 1.
        None where the model has no attention.
    source_tokens, target_tokens : list of str
        What the tokens are called; empty where there is no tokenizer.

    Examples
    --------
    >>> import rnncore as rc
    >>> letters = rc.text.CharTokenizer.fit("abc", special_tokens=["<s>", "</s>"])
    >>> model = rc.Seq2Seq(source_tokenizer=letters, target_tokenizer=letters, hidden_size=8, rng=0)
    >>> ((best,),) = model.translations(["abc"], max_length=4)
    >>> best.alignment.shape == (len(best.tokens), 3)
    True
    """

    text: str | None
    tokens: Ids
    score: float
    log_probability: float
    alignment: Array | None
    source_tokens: Sequence[str] = ()
    target_tokens: Sequence[str] = ()


@strict_keywords()
class SourceDecoder(EncodedDecoder):
    """A `rnncore.decode.StepDecoder` over encoded sources; made by `Seq2Seq.decoder`.

    Parameters
    ----------
    model : Seq2Seq
        It must not change any more.
    packed : tuple
        Encoder, decoder and output layer in the form that inference needs.
    sources : list of ids [S_k]
        What is read, one sentence for each.

    Examples
    --------
    >>> import rnncore as rc
    >>> model = rc.Seq2Seq(6, 6, hidden_size=8, start=0, end=1, rng=0)
    >>> decoder = model.decoder([[2, 3], [4]])
    >>> found = rc.decode.greedy(decoder, 2, start=0, end=1, max_length=3)
    >>> len(found)
    2
    """

    def __init__(
        self, model: Seq2Seq, packed: tuple[Any, Any, Any], sources: Sequence[Ids]
    ) -> None:
        encoder, writer, output = packed
        ids, lengths = pad(sources)
        encoded = model.encode(Pass(), ids, lengths, encoder)
        initial = model.writer.start(encoded)
        held = model.writer.hold(writer, encoded)
        super().__init__(model, output, held, initial, len(sources))


@strict_keywords()
class Translator:
    """A `Seq2Seq` as it is now, with packed parameters, for many calls; made by its `translator`.

    Parameters
    ----------
    model : Seq2Seq
        Later changes of it have no effect.
    weight_format : {"float32", "bfloat16", "int8", "int8_dynamic"} or None
        How the matrices of the decoder's recurrent layers and of the output layer are stored, see
        `rnncore.layers.Stream`; None: as they are. `AttentionRNN` keeps its own.

    Examples
    --------
    >>> import rnncore as rc
    >>> translator = rc.Seq2Seq(6, 6, hidden_size=8, start=0, end=1, rng=0).translator()
    >>> ((best,),) = translator.translations([[2, 3]], max_length=4)
    >>> best.alignment.shape == (len(best.tokens), 2)
    True
    """

    def __init__(self, model: Seq2Seq, weight_format: str | None = None) -> None:
        self._model = copy_for_inference(model)
        self._packed = (
            self._model.encoder.frozen(),
            self._model.writer.packed(weight_format),
            self._model.output.hold(weight_format),
        )

    def decoder(self, sources: Sequence[Ids]) -> SourceDecoder:
        """Return the `rnncore.decode.StepDecoder` over sources, given as ids."""
        return SourceDecoder(self._model, self._packed, sources)

    def translations(
        self,
        sources: Iterable[Any],
        beam_size: int = 5,
        n_best: int = 1,
        *,
        max_length: int | None = None,
        replace_unknown: bool = True,
        batch_size: int = _TRANSLATED_AT_ONCE,
        **search: Any,
    ) -> list[list[Translation]]:
        """Return the targets of each source, the best first.

        Sources are sorted by length and searched in batches, which the results do not depend on but
        for rounding.

        Parameters
        ----------
        sources : list of str, or of ids [S_k]
            An empty source has an empty target, of probability 1.
        beam_size : int
            Hypotheses that are kept of each source; 1 is greedy.
        n_best : int
            Targets of each source, at most; from 1 to `beam_size`.
        max_length : int or None
            Tokens of a target at most; None: twice those of the source, and ten.
        replace_unknown : bool
            Whether an unknown word of a target is replaced by the source word that it attends to
            most (Luong et al. 2015, arXiv 1410.8206), where the model has words and attention.
        batch_size : int
            Sources that are searched at once.
        **search
            Of `rnncore.decode.beam_search`: ``length_penalty``, ``coverage_penalty``, ...

        Raises
        ------
        TypeError, ValueError
            If a source does not fit, by its index, or an option is not as above.
        """
        model = self._model
        one = isinstance(sources, str) or not isinstance(sources, Iterable)
        texts: Any = sources if one else list(sources)  # one text is refused below
        given = model.source_ids(texts)
        replaces = flag("replace_unknown", replace_unknown)
        longest = None if max_length is None else size("max_length", max_length)
        found: list[list[Translation]] = [[_nothing(model)] for _ in given]
        full = np.flatnonzero([len(ids) for ids in given])
        buckets = Buckets([len(given[k]) for k in full], size("batch_size", batch_size))
        for members in buckets.epoch(0):
            batch = full[members]
            lengths = np.array([len(given[k]) for k in batch])
            hypotheses = decode.beam_search(
                self.decoder([given[k] for k in batch]),
                len(batch),
                start=model.start,
                end=model.end,
                beam_size=beam_size,
                n_best=n_best,
                max_length=2 * lengths + 10 if longest is None else longest,
                **search,
            )
            for k, best in zip(batch, hypotheses, strict=True):
                text = texts[k] if isinstance(texts[k], str) else None
                found[k] = [_translation(model, text, given[k], one, replaces) for one in best]
        return found


class Translating(ABC):
    """What a `Seq2Seq` does with sources alone."""

    @abstractmethod
    def source_ids(self, sources: Iterable[Any]) -> list[Ids]:
        """Return sources, texts or ids, as ids."""

    def translate(
        self, sources: Iterable[Any], beam_size: int = 5, n_best: int = 1, **options: Any
    ) -> list[Any]:
        """Return the most probable targets that a beam search finds.

        Parameters
        ----------
        sources : list of str, or of ids [T_k]
            As in `fit`. An empty source has an empty target.
        beam_size : int
            Hypotheses that are kept of each source, see `rnncore.decode.beam_search`; 1 is greedy.
        n_best : int
            Targets of each source, at most.
        **options
            Of `Translator.translations`, and ``weight_format`` of `translator`.

        Returns
        -------
        list of str, or of int64 arrays
            Texts, where the target has a tokenizer; a list of them for each source where `n_best`
            is above 1.

        Raises
        ------
        TypeError, ValueError
            If a source does not fit, by its index, or an option is not as above.
        """
        found = self.translations(sources, beam_size, n_best, **options)
        answers = [
            [each.text if each.text is not None else each.tokens for each in best] for best in found
        ]
        return [best[0] for best in answers] if n_best == 1 else answers

    def translations(
        self,
        sources: Iterable[Any],
        beam_size: int = 5,
        n_best: int = 1,
        *,
        weight_format: str | None = None,
        **options: Any,
    ) -> list[list[Translation]]:
        """Return the targets of each source with scores and alignments, the best first.

        Parameters
        ----------
        sources, beam_size, n_best
            As in `translate`.
        weight_format
            Of `translator`.
        **options
            Of `Translator.translations`: ``max_length``, ``length_penalty``, ...
        """
        translator = self.translator(weight_format)
        return translator.translations(sources, beam_size, n_best, **options)

    def translator(self, weight_format: str | None = None) -> Translator:
        """Return a `Translator`: this model as it is now, with packed parameters."""
        model: Any = self
        return Translator(model, weight_format)

    def decoder(self, sources: Iterable[Any]) -> SourceDecoder:
        """Return the `rnncore.decode.StepDecoder` over some sources, for searches and ensembles."""
        return self.translator().decoder(self.source_ids(sources))


def _nothing(model: Seq2Seq) -> Translation:
    """Return the target of an empty source."""
    text = None if model.target_tokenizer is None else ""
    weights = np.zeros((0, 0)) if model.context in ATTENDING else None
    return Translation(text, np.zeros(0, np.int64), 0.0, 0.0, weights)


def _translation(
    model: Seq2Seq, text: str | None, source: Ids, found: Hypothesis, replaces: bool
) -> Translation:
    """Return what a search has found, as a text."""
    weights = found.attention
    if weights is not None:
        weights = weights[: len(found.tokens), : len(source)]
        weights = weights[:, ::-1] if model.reverse_source else weights
    read = _names(model.source_tokenizer, source, text)
    written = _names(model.target_tokenizer, found.tokens)
    target = model.target_tokenizer
    unknown = getattr(target, "unknown", None)
    join = getattr(target, "join", None)
    if join is not None and replaces and weights is not None and read:
        written = [
            read[int(row.argmax())] if token == unknown else name
            for token, name, row in zip(found.tokens, written, weights, strict=True)
        ]
        decoded: str | None = join(written)
    else:
        decoded = None if target is None else target.decode(found.tokens)
    return Translation(
        decoded, found.tokens, found.score, found.log_probability, weights, read, written
    )


def _names(tokenizer: Tokenizer | None, ids: Ids, text: str | None = None) -> list[str]:
    """Return what the tokens are called; the words of a text also where they are unknown."""
    words = getattr(tokenizer, "words", None)
    if words is not None and text is not None:
        named: list[str] = words(text)
        return named
    return [] if tokenizer is None else [tokenizer.token(int(i)) for i in ids]
