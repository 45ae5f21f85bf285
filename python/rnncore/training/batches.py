"""Training and validation batches of one text."""

from __future__ import annotations

from typing import Any

from rnncore._check import as_array, check_shape, instance, integer
from rnncore.data import Batches, ContiguousBatches, SentenceBatches, sentences, split
from rnncore.data.batch import held_tokens
from rnncore.training.config import TrainingConfig

__all__ = ["text_batches"]

# Steps of one update where the configuration does not say it.
_BPTT = 32

# Steps of one validation batch: long enough that the kernels are busy, short enough that its
# outputs stay in the cache.
_VALIDATION_STEPS = 128

# Fewest tokens of one validation stream: each begins without context, which costs some dozen
# tokens a higher loss; over a thousand that is lost in the noise.
_SHORTEST_STREAM = 1000


def text_batches(
    ids: Any,
    config: TrainingConfig,
    boundary: int | None = None,
    start: int | None = None,
    end: int | None = None,
    *,
    contexts: Any = None,
) -> tuple[Batches, Batches | None]:
    """Training batches of the beginning of a text, validation batches of its end.

    Parameters
    ----------
    ids : integers [N]
        The whole text; an array is not copied.
    config : TrainingConfig
        Batch size, bptt, and the share that is held out.
    boundary : int, optional
        The token between sentences; needed where ``config.sentences``.
    start, end : int, optional
        What begins and ends each sentence; None is the boundary.
    contexts : array [K,C] or [C], optional
        A vector of each sentence, where ``config.sentences``; otherwise that of the whole text.

    Returns
    -------
    training : Batches
    validation : Batches or None
        None where nothing is held out. Every held-out target occurs once.

    Raises
    ------
    TypeError, ValueError
        When an argument has the wrong type, the text is too short, or the boundary is missing.
    """
    instance("config", config, TrainingConfig)
    if config.sentences:
        if boundary is None:
            raise ValueError(
                "boundary: expected the id of the token between sentences, such as that of the "
                "line feed, got None"
            )
        boundary = integer("boundary", boundary, 0)
        every = sentences(ids, boundary, start, end)
        learned, held_out = split(every, config.validation_fraction)
        if not learned:
            raise ValueError(
                "sentences: expected at least 2, one to learn from and one to hold out, got "
                f"{len(held_out)} (validation_fraction = {config.validation_fraction:g}; 0 holds "
                "none out)"
            )
        of_learned = of_held_out = None
        if contexts is not None:
            vectors = as_array("contexts", contexts)
            check_shape("contexts", vectors, (len(every), "C"))
            of_learned, of_held_out = vectors[: len(learned)], vectors[len(learned) :]
        training = SentenceBatches(
            learned,
            config.batch_size,
            seed=config.seed,
            bptt=config.bptt,
            contexts=of_learned,
        )
        if not held_out:
            return training, None
        return training, SentenceBatches(held_out, config.batch_size, contexts=of_held_out)
    first, last = split(held_tokens("ids", ids), config.validation_fraction)
    if len(first) <= config.batch_size:
        raise ValueError(
            f"text: expected more than batch_size = {config.batch_size} tokens to learn from, got "
            f"{len(first)} of {len(ids)} (validation_fraction = {config.validation_fraction:g})"
        )
    streams = min(config.validation_streams, 1 + len(last) // _SHORTEST_STREAM)
    validation = (
        ContiguousBatches(last, streams, _VALIDATION_STEPS, pad=True, context=contexts)
        if len(last) > 1
        else None
    )
    bptt = _BPTT if config.bptt is None else config.bptt
    streams_of = ContiguousBatches(first, config.batch_size, bptt, context=contexts)
    return streams_of, validation
