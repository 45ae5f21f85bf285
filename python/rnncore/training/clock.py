"""The clock of a run."""

from __future__ import annotations

import time

__all__ = ["Clock"]


class Clock:
    """Seconds of training so far; a run that goes on continues it."""

    def __init__(self) -> None:
        self.set(0.0)

    def set(self, seconds: float) -> None:
        """Let the clock show `seconds` now."""
        self._start = time.perf_counter() - seconds

    def seconds(self) -> float:
        """Return what the clock shows."""
        return time.perf_counter() - self._start
