"""Texts as a language model is trained on them: in memory, as ids, or on disk."""

from __future__ import annotations

import os
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rnncore._check import (
    Ids,
    check_below,
    check_shape,
    describe,
    ids_array,
    is_ids,
    lengths_array,
    within,
)
from rnncore.data import IGNORED, Batch
from rnncore.data.batch import IdsLike, held_tokens
from rnncore.decode import Sampled
from rnncore.text import Tokenizer, prepare

__all__ = ["checked_batch", "sentence_tokens", "text_ids"]


def text_ids(model: Sampled, tokens: str | IdsLike | os.PathLike[str]) -> NDArray[np.integer[Any]]:
    """Ids of a text to train on; those of an array stay where they are."""
    if isinstance(tokens, os.PathLike):
        if model.tokenizer is None:
            raise ValueError("tokens: expected ids, got a file; the model has no vocabulary")
        return prepare(tokens, model.tokenizer)
    if isinstance(tokens, np.ndarray) and is_ids(tokens):
        ids = held_tokens("tokens", tokens)
        if not isinstance(tokens, np.memmap):  # those of a file are checked as they are used
            check_below("tokens", ids, model.vocab_size)
        return ids
    return model.encode(tokens)


def sentence_tokens(tokenizer: Tokenizer | None) -> tuple[int, int, int]:
    """Ids that begin a sentence, end it, and stand for a line feed."""
    if tokenizer is None:
        raise ValueError(
            "sentences: expected a model with a tokenizer, got one without; `text_batches` "
            "takes ids with a token between sentences"
        )
    start, end, line_end = tokenizer.start, tokenizer.end, tokenizer.line_end
    if start is None or end is None or line_end is None:
        raise ValueError(
            "sentences: expected a vocabulary with tokens that begin and end sentences, <s> "
            f"and </s> or the line feed '\\n' (U+000A), got {tokenizer!r}"
        )
    return start, end, line_end


def checked_batch(batch: Batch, vocab_size: int) -> tuple[Ids, Ids | None]:
    """Inputs and targets of one shape and in their ranges, before anything is drawn or run."""
    inputs = ids_array("inputs", batch.inputs)
    if inputs.ndim not in (1, 2):
        raise ValueError(f"inputs: expected shape [T, B] or [T], got {describe(inputs)}")
    targets = None if batch.targets is None else ids_array("targets", batch.targets)
    if targets is not None:
        check_shape("targets", targets, inputs.shape)
    if batch.lengths is not None:
        counts = within(lengths_array(batch.lengths, inputs.shape), inputs.shape)
        inputs = np.where(counts, inputs, 0)
        if targets is not None:
            targets = np.where(counts, targets.astype(np.int64), IGNORED)
    check_below("inputs", inputs, vocab_size)
    if targets is not None:
        check_below("targets", targets, vocab_size, IGNORED)
    return inputs, targets
