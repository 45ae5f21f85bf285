"""Runs: frames with the same best symbol, in any number of pieces."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from rnncore._check import Array
from rnncore.ctc import Segment

__all__ = ["Runs"]


class Runs:
    """Merges neighboring frames of the same most probable symbol to segments.

    Parameters
    ----------
    blank : int or None
        Symbol whose runs are left out.
    """

    def __init__(self, blank: int | None) -> None:
        self._blank = blank
        self._frame = 0
        self._start = 0
        self._symbol: int | None = None
        self._held: list[NDArray[np.float64]] = []  # log-probabilities of the run that is not over

    def push(self, log_probabilities: Array) -> list[Segment]:
        """Return the segments that are over with these frames [T,C]."""
        if not len(log_probabilities):
            return []
        path = log_probabilities.argmax(axis=1)
        best = np.take_along_axis(log_probabilities, path[:, np.newaxis], 1)[:, 0].astype(
            np.float64
        )
        starts = [0, *(np.flatnonzero(np.diff(path)) + 1).tolist()]
        found = []
        for start, end in zip(starts, [*starts[1:], len(path)], strict=True):
            symbol = int(path[start])
            if symbol != self._symbol:
                found += self.finish()
                self._symbol, self._start, self._held = symbol, self._frame + start, []
            self._held.append(best[start:end])
        self._frame += len(path)
        return found

    def finish(self) -> list[Segment]:
        """Return the segment that is not over, if there is one."""
        symbol, self._symbol = self._symbol, None
        if symbol is None or symbol == self._blank:
            return []
        probabilities = np.exp(np.concatenate(self._held))
        end = self._start + len(probabilities)
        return [Segment(symbol, self._start, end, min(1.0, float(probabilities.mean())))]
