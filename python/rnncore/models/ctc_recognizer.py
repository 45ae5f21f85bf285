"""CTCRecognizer: symbols of recordings whose times need not be known."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rnncore import ctc
from rnncore._check import Array
from rnncore._help import complete_docstring
from rnncore._keywords import strict_keywords
from rnncore.ctc import Transcript
from rnncore.data import IGNORED, Batch
from rnncore.heads import CTC
from rnncore.metrics import edit_distance
from rnncore.models.passes import LossPass
from rnncore.models.recognizer import Recognizer

__all__ = ["CTCRecognizer"]


@complete_docstring
class CTCRecognizer(Recognizer):
    r"""Symbols of a recording, learned from transcripts without times.

    ``y = cell(x)``, ``p[t] = softmax(W dropout(y[t]) + b)`` over the symbols and a blank, which is
    output 0; trained by connectionist temporal classification, see `heads.CTC` (Graves, Fernandez,
    Gomez and Schmidhuber 2006). Sequences are features [T,I] as arrays or ``.npy`` files; where the
    model has `features`, also recordings: paths, `audio.Recording`, or samples [N]. A validation
    measures the error rate of the symbols, see `metrics.error_rate`.

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
    >>> sizes = {"input_size": 1, "hidden_size": 16, "num_layers": 1}
    >>> model = rc.CTCRecognizer(["low", "high"], **sizes, rng=0)
    >>> low, high = np.zeros((4, 1)), np.ones((4, 1))
    >>> words = [np.concatenate(parts) for parts in ([low, high], [high, low], [low], [high])]
    >>> optimizer = rc.training.OptimizerConfig(learning_rate=0.02)
    >>> config = rc.training.TrainingConfig(60, validation_fraction=0, optimizer=optimizer)
    >>> result = model.fit(words, ["low high", "high low", "low", "high"], config)
    >>> [transcript.symbols for transcript in model.transcribe(words)]
    [('low', 'high'), ('high', 'low'), ('low',), ('high',)]
    """

    unit = "symbol"
    blank = 0

    def _output_layer(self, input_size: int, output_size: int, **options: Any) -> CTC:
        return CTC(input_size, output_size, **options)

    def measures(self, run: LossPass, batch: Batch) -> dict[str, float]:
        """Return the edit distances of the most probable paths from the labels."""
        ((head, y),) = run.outputs
        found = ctc.best_path(head.log_probabilities(y), batch.lengths)
        errors = sum(
            edit_distance(labels[labels != IGNORED], transcript.symbols)
            for labels, transcript in zip(np.asarray(batch.targets), found, strict=True)
        )
        return {"error_rate": float(errors)}

    def _require_fitting(self, name: str, num_steps: int, ids: NDArray[np.int64]) -> None:
        needed = ctc.frames_needed(ids)
        if needed > num_steps:
            raise ValueError(
                f"{name}: expected at least {needed} steps for its {len(ids)} labels, got "
                f"{num_steps}"
            )

    def _transcript(self, log_probabilities: Array) -> Transcript:
        transcript: Transcript = ctc.best_path(log_probabilities, blank=0)
        return transcript

    @strict_keywords()
    def transcribe(
        self, features: Iterable[Any], *, beam_size: int | None = None, decoder: Any = None
    ) -> list[Transcript]:
        """Return the symbols of each sequence with the frames that they take.

        Parameters
        ----------
        features : list of arrays [T_k,I], ``.npy`` files or recordings
            As in `fit`. A sequence of length 0 has no symbols.
        beam_size : int, optional
            Prefixes that a `ctc.PrefixDecoder` keeps. None: the most probable path, frame by frame.
        decoder : ctc.PrefixDecoder, optional
            One of your own, with a lexicon or a language model, for the outputs `names`. The best
            of what its ``decode`` returns is returned.

        Returns
        -------
        list of Transcript

        Raises
        ------
        TypeError, ValueError
            If a sequence does not fit, by path or index, or both options are given.
        """
        if decoder is not None and beam_size is not None:
            raise ValueError("beam_size, decoder: expected one of the two, got both")
        if beam_size is not None:
            decoder = ctc.PrefixDecoder(self.names, beam_size=beam_size)
        if decoder is None:
            return super().transcribe(features)
        return self._each(features, lambda log_p: decoder.decode(log_p)[0])

    def align(self, features: Iterable[Any], labels: Iterable[Any]) -> list[Transcript]:
        """Return when each of the given symbols was said, see `ctc.align`.

        Parameters
        ----------
        features, labels
            As in `fit`.

        Raises
        ------
        TypeError, ValueError
            As in `fit`.
        """
        inputs, ids = self._examples(features, labels)
        every = self._each(inputs, lambda log_p: log_p)
        return [
            ctc.align(log_p, own).named(self.names) for log_p, own in zip(every, ids, strict=True)
        ]
