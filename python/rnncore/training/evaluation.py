"""The loss of a model over a set of batches."""

from __future__ import annotations

from rnncore._check import instance
from rnncore.data import Batches
from rnncore.training.duck import require_batches
from rnncore.training.trainable import Trainable

__all__ = ["evaluate"]


def evaluate(model: Trainable, batches: Batches) -> float:
    """Mean loss per target over one pass, in nats; each target counts once, whatever its batch."""
    instance("model", model, Trainable)
    require_batches("batches", batches)
    total, count, state = 0.0, 0, None
    for batch in batches.epoch(0):
        loss, final = model.loss(batch, state)
        state = final if batches.carries_state else None
        total += loss * batch.num_targets
        count += batch.num_targets
    return total / max(1, count)
