"""Training and validation batches of one text."""

from __future__ import annotations

from rnncore._check import instance, integer
from rnncore.data import Batches, ContiguousBatches, SentenceBatches, sentences, split
from rnncore.data.batch import Ids
from rnncore.training.config import TrainingConfig

__all__ = ["text_batches"]

# Steps of one validation batch: long enough that the kernels are busy, short enough that its
# outputs stay in the cache.
_VALIDATION_STEPS = 128

# Fewest tokens of one validation stream: each begins without context, which costs some dozen
# tokens a higher loss; over a thousand that is lost in the noise.
_SHORTEST_STREAM = 1000


def text_batches(
    ids: Ids, config: TrainingConfig, boundary: int | None = None
) -> tuple[Batches, Batches | None]:
    """Training batches of the beginning of a text, validation batches of its end.

    Parameters
    ----------
    ids : integers [N]
        The whole text.
    config : TrainingConfig
        Batch size, bptt, and the share that is held out.
    boundary : int, optional
        The token between sentences; needed where ``config.sentences``.

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
        learned, held_out = split(sentences(ids, boundary), config.validation_fraction)
        if not learned:
            raise ValueError(
                "sentences: expected at least 2, one to learn from and one to hold out, got "
                f"{len(held_out)} (validation_fraction = {config.validation_fraction:g}; 0 holds "
                "none out)"
            )
        training = SentenceBatches(learned, config.batch_size, seed=config.seed)
        return training, SentenceBatches(held_out, config.batch_size) if held_out else None
    first, last = split(ids, config.validation_fraction)
    if len(first) <= config.batch_size:
        raise ValueError(
            f"text: expected more than batch_size = {config.batch_size} tokens to learn from, got "
            f"{len(first)} of {len(ids)} (validation_fraction = {config.validation_fraction:g})"
        )
    streams = min(config.validation_streams, 1 + len(last) // _SHORTEST_STREAM)
    validation = (
        ContiguousBatches(last, streams, _VALIDATION_STEPS, pad=True) if len(last) > 1 else None
    )
    return ContiguousBatches(first, config.batch_size, config.bptt), validation
