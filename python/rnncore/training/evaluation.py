"""What a model achieves on a set of batches."""

from __future__ import annotations

from dataclasses import dataclass, field

from rnncore._check import instance
from rnncore._keywords import strict_keywords
from rnncore.data import Batches
from rnncore.training.duck import require_batches
from rnncore.training.trainable import Trainable

__all__ = ["Evaluation", "evaluate"]


@strict_keywords()
@dataclass(frozen=True)
class Evaluation:
    """What a model achieves on a set of batches.

    Attributes
    ----------
    loss : float
        Mean per target, in nats.
    measures : dict of float
        What else the model measures, as means per target: the accuracy of a classifier.

    Examples
    --------
    >>> import rnncore as rc
    >>> model = rc.SequenceClassifier(2, vocab_size=4, hidden_size=4, rng=0)
    >>> batches = model.batches([[0, 1], [2]], labels=[0, 1], batch_size=2)
    >>> found = rc.training.evaluate(model, batches)
    >>> found.measures["accuracy"] in (0, 0.5, 1)
    True
    """

    loss: float
    measures: dict[str, float] = field(default_factory=dict)


def evaluate(model: Trainable, batches: Batches) -> Evaluation:
    """Mean loss and measures per target over one pass; each target counts once.

    Parameters
    ----------
    model : Trainable
        Runs without dropout.
    batches : Batches
        Epoch 0 is read.

    Returns
    -------
    Evaluation

    Raises
    ------
    TypeError
        When an argument has the wrong type.
    ValueError
        When there is no batch.
    """
    instance("model", model, Trainable)
    require_batches("batches", batches)
    count, state = 0, None
    totals: dict[int, float] = {}
    counts: dict[int, float] = {}
    sums: dict[str, float] = {}
    for batch in batches.epoch(0):
        terms, measures, final = model.terms_and_measures(batch, state)
        state = final if batches.carries_state else None
        for k, (mean, number) in enumerate(terms):
            totals[k] = totals.get(k, 0.0) + mean * number
            counts[k] = counts.get(k, 0) + number
        count += batch.num_targets
        for name, value in measures.items():
            sums[name] = sums.get(name, 0.0) + value
    if not totals:
        raise ValueError("batches: expected at least one batch, got none from epoch(0)")
    means = {name: value / max(1, count) for name, value in sums.items()}
    return Evaluation(sum(totals[k] / (counts[k] or 1) for k in totals), means)
