"""FrameRecognizer: a symbol for every frame, and so segments with exact times."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from rnncore._check import Array
from rnncore._help import complete_docstring
from rnncore.ctc import Transcript
from rnncore.data import Batch
from rnncore.heads import Softmax
from rnncore.models.passes import LossPass
from rnncore.models.recognizer import Recognizer
from rnncore.models.runs import Runs

__all__ = ["FrameRecognizer"]


@complete_docstring
class FrameRecognizer(Recognizer):
    r"""Segments of a recording with their times, learned from a symbol for every frame.

    ``y = cell(x)``, ``p[t] = softmax(W dropout(y[t]) + b)``; trained by cross-entropy at every
    frame (Graves and Schmidhuber 2005, "Framewise phoneme classification with bidirectional LSTM").
    `transcribe` merges equal neighbors to segments. Sequences are those of `CTCRecognizer`; the
    labels of a sequence are one for each frame. A validation measures the share of right frames.

    Parameters
    ----------
    symbols
        As in `Recognizer`.
    input_size
        As in `Recognizer`.
    features
        As in `Recognizer`.
    separator
        As in `Recognizer`.
    cell
        As in `Recognizer`.
    hidden_size
        As in `Recognizer`.
    num_layers
        As in `Recognizer`.
    bidirectional
        As in `Recognizer`.
    dropout
        As in `Recognizer`.
    dtype, compute, rng
        As in `Recognizer`.
    **cell_options
        Of the one cell: ``nonlinearity`` of "rnn", ``reset`` of "gru".

    Raises
    ------
    TypeError, ValueError
        If an argument has the wrong type or value.

    Examples
    --------
    >>> import numpy as np, rnncore as rc
    >>> sizes = {"input_size": 1, "hidden_size": 8, "num_layers": 1}
    >>> model = rc.FrameRecognizer(["low", "high"], **sizes, rng=0)
    >>> x = np.array([[0.0], [0.1], [0.9], [1.0], [1.1]])
    >>> config = rc.training.TrainingConfig(epochs=50, validation_fraction=0)
    >>> result = model.fit([x], ["low low high high high"], config)
    >>> (found,) = model.transcribe([x])
    >>> [(segment.symbol, segment.start, segment.end) for segment in found.segments]
    [('low', 0, 2), ('high', 2, 5)]
    """

    unit = "frame"
    per_step = True

    def _output_layer(self, input_size: int, output_size: int, **options: Any) -> Softmax:
        return Softmax(input_size, output_size, **options)

    def measures(self, run: LossPass, batch: Batch) -> dict[str, float]:
        """Return the number of frames whose most probable symbol is right."""
        ((head, y),) = run.outputs
        return {"accuracy": float(np.sum(head(y).argmax(axis=-1) == batch.targets))}

    def _require_fitting(self, name: str, num_steps: int, ids: NDArray[np.int64]) -> None:
        if len(ids) != num_steps:
            raise ValueError(
                f"{name}: expected {num_steps} labels, one for each step, got {len(ids)}"
            )

    def _transcript(self, log_probabilities: Array) -> Transcript:
        runs = Runs(blank=None)
        segments = [*runs.push(log_probabilities), *runs.finish()]
        best = float(log_probabilities.max(axis=1).sum(dtype=np.float64)) if segments else 0.0
        return Transcript([s.symbol for s in segments], best, segments)
