"""The kernel's prefix search over some sequences, and what it finds as transcripts."""

from __future__ import annotations

import copy
import math

import numpy as np

from rnncore import _core
from rnncore._check import Array
from rnncore.ctc.fusion import ModelStates
from rnncore.ctc.prefix_model import PrefixKnowledge
from rnncore.ctc.segments import Segment, Transcript

__all__ = ["PrefixSearch"]


class PrefixSearch:
    """The kernel's search over some sequences, and the language model that it asks."""

    def __init__(self, knowledge: PrefixKnowledge, count: int) -> None:
        self._knowledge = knowledge
        self._core = _core.PrefixSearch(knowledge.core, count)
        self._count = count
        fused = knowledge.fused
        self._states = None if fused is None else ModelStates(fused, count)

    def __copy__(self) -> PrefixSearch:
        other = PrefixSearch.__new__(PrefixSearch)
        other.__dict__.update(
            self.__dict__, _core=self._core.copy(), _states=copy.copy(self._states)
        )
        return other

    def read(self, pieces: list[Array]) -> None:
        """Read a piece of each sequence."""
        done = np.zeros(self._count, np.int64)
        while True:
            done = self._core.advance(pieces, done)
            if self._states is None or not self._states.serve(self._core):
                return

    def finish(self) -> None:
        """End all sequences."""
        if self._states is not None:  # the beginning, where there were no frames
            self._states.serve(self._core)
        self._core.finish()
        if self._states is not None:
            self._states.serve(self._core)

    def best(self, n: int) -> list[list[Transcript]]:
        """Return the n best outputs of each sequence."""
        nothing = [Transcript((), -math.inf)]
        return [
            [self._transcript(*hypothesis) for hypothesis in hypotheses] or nothing
            for hypotheses in self._core.best(n)
        ]

    def _transcript(
        self,
        score: float,
        ids: list[int],
        starts: list[int],
        ends: list[int],
        probabilities: list[float],
        words: list[tuple[int, int, int]],
    ) -> Transcript:
        names = self._knowledge.alphabet.names
        symbols = [names[i] for i in ids]
        segments = [
            Segment(symbol, start, end, min(1.0, probability))
            for symbol, start, end, probability in zip(
                symbols, starts, ends, probabilities, strict=True
            )
        ]
        of_words = [
            Segment(
                self._knowledge.text_of(word, ids[first:end]),
                starts[first],
                ends[end - 1],
                min(1.0, math.fsum(probabilities[first:end]) / (end - first)),
            )
            for word, first, end in words
        ]
        return Transcript(symbols, score, segments, of_words)
