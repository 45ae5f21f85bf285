"""Captions of a `Captioner`: the search over its decoder, and what it finds as texts."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from rnncore import decode
from rnncore._check import Array
from rnncore._keywords import strict_keywords
from rnncore.decode import Hypothesis
from rnncore.heads import Softmax
from rnncore.models.decoders import Decoder, Encoded
from rnncore.models.encoded import EncodedDecoder
from rnncore.models.passes import Pass
from rnncore.text import Tokenizer

__all__ = ["Caption", "Captioning", "picture_decoder"]

_CAPTIONED_AT_ONCE = 64


@strict_keywords()
@dataclass(frozen=True, eq=False)
class Caption:
    """One caption of a picture.

    Parameters
    ----------
    text : str
        The caption.
    tokens : list of str
        Its words, or what else the tokens of the model are.
    score : float
        What captions are ordered by: the normalized log-probability.
    log_probability : float
        ln p(caption | picture), the end included.
    weights : array [T,R] or [T,rows,columns], or None
        Weight of each region for each token: they sum to 1. None where the model does not attend.

    Examples
    --------
    >>> import numpy as np, rnncore as rc
    >>> words = rc.text.WordTokenizer.fit(["a red circle"])
    >>> model = rc.Captioner(3, words, grid=(2, 2), hidden_size=8, rng=0)
    >>> ((best,),) = model.captions(np.zeros((1, 4, 3)), max_length=5)
    >>> best.weights.shape == (len(best.tokens), 2, 2)
    True
    """

    text: str
    tokens: Sequence[str]
    score: float
    log_probability: float
    weights: Array | None = None


class Captioning:
    """What a `Captioner` does once it is trained; its methods."""

    tokenizer: Tokenizer
    grid: tuple[int, ...]
    writer: Decoder
    output: Softmax

    @abstractmethod
    def regions(self, features: Any) -> Array:
        """Return features as the regions [N,R,I] that the model reads."""

    @abstractmethod
    def encode(self, run: Pass, regions: Array) -> tuple[Encoded, Any]:
        """Return what the decoder knows of pictures, and its first input, or None."""

    def caption(
        self, features: Any, beam_size: int = 5, n_best: int = 1, **options: Any
    ) -> list[Any]:
        """Return the most probable captions that a beam search finds.

        Parameters
        ----------
        features : array, or list of N arrays
            As in `fit`.
        beam_size : int
            Hypotheses that are kept of each picture; 1 is greedy.
        n_best : int
            Captions of each picture, at most; from 1 to `beam_size`.
        **options
            Of `rnncore.decode.beam_search`: ``max_length``, ``length_penalty``, ...; and
            ``weight_format``, see `rnncore.layers.Stream`.

        Returns
        -------
        list of str
            A text for each picture; a list of them where `n_best` is above 1.

        Raises
        ------
        TypeError, ValueError
            If the features of a picture do not fit, by its number, or an option is not as above.
        """
        found = self.captions(features, beam_size, n_best, **options)
        texts = [[each.text for each in best] for best in found]
        return [best[0] for best in texts] if n_best == 1 else texts

    def captions(
        self, features: Any, beam_size: int = 5, n_best: int = 1, **options: Any
    ) -> list[list[Caption]]:
        """Return the captions of each picture with scores and weights, the best first.

        Parameters and errors are those of `caption`.
        """
        return _captions(self, self.regions(features), beam_size, n_best, **options)


def picture_decoder(model: Captioning, regions: Array, packed: Any = None) -> EncodedDecoder:
    """Return the `rnncore.decode.StepDecoder` over pictures.

    Parameters
    ----------
    model : Captioner
        It must not change any more.
    regions : array [N,R,I]
        What the model makes of features, see `Captioner.regions`.
    packed : (any, any), optional
        What `packed_weights` returned, for many calls.
    """
    writer, output = packed_weights(model) if packed is None else packed
    encoded, first = model.encode(Pass(), np.ascontiguousarray(regions.swapaxes(0, 1)))
    held = model.writer.hold(writer, encoded)
    state = model.writer.start(encoded)
    if first is not None:
        state = model.writer.step(held, first[0], state, np.arange(len(regions))).state
    return EncodedDecoder(model, output, held, state, len(regions))


def packed_weights(model: Captioning, weight_format: str | None = None) -> tuple[Any, Any]:
    """Return the weights of writer and output layer in the form that steps need."""
    return model.writer.packed(weight_format), model.output.hold(weight_format)


def _captions(
    model: Captioning,
    regions: Array,
    beam_size: int,
    n_best: int,
    *,
    max_length: int = 50,
    weight_format: str | None = None,
    **search: Any,
) -> list[list[Caption]]:
    """Return the captions of pictures [N,R,I], the best first.

    Parameters
    ----------
    model : Captioner
        What writes them.
    regions : array [N,R,I]
        See `Captioner.regions`.
    beam_size, n_best, max_length, **search
        Of `rnncore.decode.beam_search`.
    weight_format : {"float32", "bfloat16", "int8", "int8_dynamic"} or None
        How the decoder's matrices are stored, see `rnncore.layers.Stream`.
    """
    packed, tokenizer = packed_weights(model, weight_format), model.tokenizer
    found: list[list[Caption]] = []
    for start in range(0, len(regions), _CAPTIONED_AT_ONCE):
        part = regions[start : start + _CAPTIONED_AT_ONCE]
        hypotheses = decode.beam_search(
            picture_decoder(model, part, packed),
            len(part),
            start=np.int64(tokenizer.start),  # type: ignore[arg-type]  # the constructor has seen it
            end=tokenizer.end,
            beam_size=beam_size,
            n_best=n_best,
            max_length=max_length,
            **search,
        )
        found += [[_caption(model, one) for one in best] for best in hypotheses]
    return found


def _caption(model: Captioning, found: Hypothesis) -> Caption:
    """Return what a search has found, as a text."""
    weights, ids = found.attention, found.tokens
    if weights is not None:
        weights = weights[: len(ids)].reshape(len(ids), *model.grid)
    names = [model.tokenizer.token(int(i)) for i in ids]
    text = model.tokenizer.decode(ids)
    return Caption(text, names, found.score, found.log_probability, weights)
