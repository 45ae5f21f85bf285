"""Small `Seq2Seq` models and pairs, one with an empty source and one with an empty target."""

from typing import Any

import numpy as np
import pytest

import rnncore as rc
from rnncore.data import Batch
from rnncore.models.decoders import DECODERS

START, END = 0, 1
SOURCES = [[2, 3, 4, 2], [3], [], [5, 2, 2]]
TARGETS = [[4, 3], [], [2, 2, 5], [3]]
every_context = pytest.mark.parametrize("context", DECODERS)
attending = pytest.mark.parametrize(
    "context", [name for name in DECODERS if name not in ("fixed", "state")]
)


def translator(**options: Any) -> rc.Seq2Seq:
    sizes = {"embedding_size": 3, "hidden_size": 4, "start": START, "end": END, "rng": 0}
    return rc.Seq2Seq(6, 6, **(sizes | options))


def random(model: rc.Seq2Seq, scale: float = 0.5) -> rc.Seq2Seq:
    model.flat_params[:] = np.random.default_rng(1).standard_normal(model.num_params) * scale
    model.mark_changed()
    return model


def all_pairs(model: rc.Seq2Seq) -> Batch:
    (batch,) = model.batches(SOURCES, TARGETS).epoch(0)
    return batch
