"""Log-probabilities of whole targets, given what they follow from."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rnncore.data import PairBatches
from rnncore.models.model import Model

__all__ = ["pair_scores"]

_SCORED_AT_ONCE = 64


def pair_scores(
    model: Model, sources: Sequence[Any], targets: Sequence[Any]
) -> NDArray[np.float64]:
    """Return ln p(target | source) of each pair [N], in their order.

    Parameters
    ----------
    model : Model
        It reads `PairBatches`, and has one head.
    sources, targets : sequences of N
        As of `PairBatches`.
    """
    scores = np.zeros(len(targets))
    if len(targets):
        batches = PairBatches(sources, targets, _SCORED_AT_ONCE)
        for members, batch in zip(batches.buckets.epoch(0), batches.epoch(0), strict=True):
            (losses,), _ = model.losses(batch)
            scores[members] = -losses.sum(axis=0)
    return scores
