"""Times of steps that are measured in turn, A B A B, so that what disturbs one disturbs all."""

from __future__ import annotations

import gc
import math
import statistics
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass

__all__ = ["PAUSE", "Effort", "Step", "Timing", "best_seconds", "interleaved", "seconds"]

Step = Callable[[], object]

#: Seconds after which the threads of other libraries have fallen asleep: those of ONNX Runtime stay
#: awake for some 50 ms after their work, at the expense of whoever is measured next.
PAUSE = 0.06


@dataclass(frozen=True)
class Effort:
    """How long to measure.

    Attributes
    ----------
    rounds, least_rounds : int
        At most and at least so many samples of each side.
    budget : float
        Seconds that the samples of one comparison may take, the pauses not counted, where the
        least rounds allow it.
    sample : float
        Seconds; a shorter step is repeated within one sample until it takes as long.
    pause : float
        Seconds before each sample, in which the waiting threads of another library fall asleep.
    """

    rounds: int = 15
    least_rounds: int = 7
    budget: float = 2.0
    sample: float = 0.01
    pause: float = 0.0


@dataclass(frozen=True)
class Timing:
    """Seconds of one call: the median of the samples, and half of their interquartile range."""

    median: float
    spread: float

    @classmethod
    def of(cls, samples: list[float]) -> Timing:
        """Return median and spread of some samples."""
        if len(samples) < 2:
            return cls(samples[0], 0.0)
        low, median, high = statistics.quantiles(samples, n=4, method="inclusive")
        return cls(median, (high - low) / 2)


def seconds(step: Step, repeats: int = 1) -> float:
    """Return the seconds of one call, the mean of `repeats` calls in a row."""
    start = time.perf_counter()
    for _ in range(repeats):
        step()
    return (time.perf_counter() - start) / repeats


def best_seconds(step: Step, budget: float = 0.1) -> float:
    """Return the shortest duration of a call within `budget` seconds: for ceilings."""
    best, end = math.inf, time.perf_counter() + budget
    while best == math.inf or time.perf_counter() < end:
        best = min(best, seconds(step))
    return best


def interleaved(steps: Mapping[str, Step], effort: Effort | None = None) -> dict[str, Timing]:
    """Measure all steps, each round one sample of every one in turn.

    Parameters
    ----------
    steps : mapping of name -> step
        What to measure.
    effort : Effort, optional
        How long.

    Returns
    -------
    timings : dict of name -> Timing
        In the order of `steps`.
    """
    effort = Effort() if effort is None else effort
    repeats = {}
    for name, step in steps.items():  # takes memory, chooses algorithms, warms caches
        step()
        repeats[name] = max(1, math.ceil(effort.sample / max(seconds(step), 1e-9)))
    samples: dict[str, list[float]] = {name: [] for name in steps}
    gc.collect()
    enabled = gc.isenabled()
    gc.disable()
    try:
        spent = 0.0
        for done in range(effort.rounds):
            if spent > effort.budget and done >= effort.least_rounds:
                break
            for name, step in steps.items():
                if effort.pause:
                    time.sleep(effort.pause)
                samples[name].append(seconds(step, repeats[name]))
                spent += samples[name][-1] * repeats[name]
    finally:
        if enabled:
            gc.enable()
    return {name: Timing.of(values) for name, values in samples.items()}
