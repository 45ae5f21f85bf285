"""Captions of a `Captioner`: the search over its decoder, and what it finds as texts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from rnncore import decode
from rnncore._check import Array
from rnncore._keywords import strict_keywords
from rnncore.decode import Hypothesis
from rnncore.heads import HeldSoftmax
from rnncore.models.encoded import EncodedDecoder
from rnncore.models.passes import Pass

if TYPE_CHECKING:
    from rnncore.models.captioner import Captioner

__all__ = ["Caption", "captions", "picture_decoder"]

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


def packed_writer(model: Captioner) -> tuple[Any, HeldSoftmax]:
    """Return decoder and output layer with their weights packed once."""
    return model.writer.packed(None), model.output.hold()


def picture_decoder(
    model: Captioner, regions: Array, packed: tuple[Any, HeldSoftmax] | None = None
) -> EncodedDecoder:
    """Return the `rnncore.decode.StepDecoder` over pictures.

    Parameters
    ----------
    model : Captioner
        It must not change any more.
    regions : array [N,R,I]
        What the model makes of features, see `Captioner.regions`.
    packed : (any, HeldSoftmax), optional
        See `packed_writer`, for many calls.
    """
    writer, output = packed_writer(model) if packed is None else packed
    encoded, first = model.encode(Pass(), np.ascontiguousarray(regions.swapaxes(0, 1)))
    held = model.writer.hold(writer, encoded)
    state = model.writer.start(encoded)
    if first is not None:
        state = model.writer.step(held, first[0], state, np.arange(len(regions))).state
    return EncodedDecoder(model.embedding, model.writer, held, output, state)


def captions(
    model: Captioner,
    regions: Array,
    beam_size: int,
    n_best: int,
    *,
    max_length: int = 50,
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
    """
    opening, ending = model.tokenizer.start, model.tokenizer.end
    assert opening is not None  # the model asks for both
    packed = packed_writer(model)
    found: list[list[Caption]] = []
    for start in range(0, len(regions), _CAPTIONED_AT_ONCE):
        part = regions[start : start + _CAPTIONED_AT_ONCE]
        hypotheses = decode.beam_search(
            picture_decoder(model, part, packed),
            len(part),
            start=opening,
            end=ending,
            beam_size=beam_size,
            n_best=n_best,
            max_length=max_length,
            **search,
        )
        found += [[_caption(model, one) for one in best] for best in hypotheses]
    return found


def _caption(model: Captioner, found: Hypothesis) -> Caption:
    """Return what a search has found, as a text."""
    weights, ids = found.attention, found.tokens
    if weights is not None:
        weights = weights[: len(ids)].reshape(len(ids), *model.grid)
    names = [model.tokenizer.token(int(i)) for i in ids]
    text = model.tokenizer.decode(ids)
    return Caption(text, names, found.score, found.log_probability, weights)
