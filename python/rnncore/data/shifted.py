"""Sentences as what a model reads, and as what it is to answer: the next token."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from rnncore.data.batch import IGNORED, Ids

__all__ = ["Shifted", "shifted"]


class Shifted(NamedTuple):
    """Padded sentences, and the same a step later."""

    inputs: Ids  # [T,B], 0 past the end
    targets: Ids  # [T,B], IGNORED past the end
    lengths: Ids  # [B]


def shifted(sentences: Sequence[Ids]) -> Shifted:
    """Return sentences [N_b] without their last tokens, and without their first ones.

    Parameters
    ----------
    sentences : sequence of integers [N_b]
        Each with at least 2 tokens; T is the largest N_b - 1.
    """
    lengths = np.array([len(sentence) - 1 for sentence in sentences], np.int64)
    shape = (int(lengths.max()), len(lengths))
    inputs, targets = np.zeros(shape, np.int64), np.full(shape, IGNORED, np.int64)
    for b, sentence in enumerate(sentences):
        inputs[: lengths[b], b] = sentence[:-1]
        targets[: lengths[b], b] = sentence[1:]
    return Shifted(inputs, targets, lengths)
