"""Times of steps that are measured in turn, A B A B, so that what disturbs one disturbs all."""

from __future__ import annotations

import functools
import gc
import math
import statistics
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

__all__ = [
    "Effort",
    "Sampler",
    "Step",
    "Timing",
    "best_seconds",
    "interleaved",
    "rate",
    "sampled",
    "seconds",
]

Step = Callable[[], object]

#: repeats, settle -> seconds of one call
Sampler = Callable[[int, float], float]


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
    pause, settle : float
        Seconds before each sample: of sleep, in which the threads of the library measured before
        fall asleep too, and of the step itself, not counted.
    """

    rounds: int = 15
    least_rounds: int = 7
    budget: float = 2.0
    sample: float = 0.01
    pause: float = 0.0
    settle: float = 0.0

    def among_threads(self) -> Effort:
        """Return the same for several threads, which need time to fall asleep and to wake up.

        Those of ONNX Runtime stay awake for some 50 ms after their work, at the expense of whoever
        is measured next.
        """
        return replace(self, pause=0.06, settle=0.01, sample=2 * self.sample)


@dataclass(frozen=True)
class Timing:
    """Seconds of one call, a sample for each round."""

    samples: tuple[float, ...]

    @property
    def median(self) -> float:
        """Median of the samples."""
        return statistics.median(self.samples)

    @property
    def spread(self) -> float:
        """Half of their interquartile range."""
        if len(self.samples) < 2:
            return 0.0
        low, _, high = statistics.quantiles(self.samples, n=4, method="inclusive")
        return (high - low) / 2

    def over(self, other: Timing) -> float:
        """Return the median of the ratios of this step's samples to another's, round by round.

        A machine that is slow for some seconds is slow for both samples of a round; a ratio of
        medians would set a slow sample of one side against a quick one of the other.
        """
        return statistics.median(a / b for a, b in zip(self.samples, other.samples, strict=True))


def seconds(step: Step, repeats: int = 1, settle: float = 0.0) -> float:
    """Return the seconds of one call, the mean of `repeats` calls in a row.

    Before them, the step runs for `settle` seconds, in which threads wake up and find processors.
    """
    end = time.perf_counter() + settle
    while time.perf_counter() < end:
        step()
    start = time.perf_counter()
    for _ in range(repeats):
        step()
    return (time.perf_counter() - start) / repeats


def rate(step: Step, duration: float) -> float:
    """Return calls per second over a time of at least `duration` seconds."""
    start, done = time.perf_counter(), 0
    while (now := time.perf_counter()) < start + duration:
        step()
        done += 1
    return done / (now - start)


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
    return sampled({n: functools.partial(seconds, step) for n, step in steps.items()}, effort)


def sampled(samplers: Mapping[str, Sampler], effort: Effort | None = None) -> dict[str, Timing]:
    """Measure as `interleaved`, given functions that return the seconds of a step themselves."""
    effort = Effort() if effort is None else effort
    repeats = {}
    for name, sample in samplers.items():  # takes memory, chooses algorithms, warms caches
        sample(1, 0)
        repeats[name] = max(1, math.ceil(effort.sample / max(sample(1, 0), 1e-9)))
    samples: dict[str, list[float]] = {name: [] for name in samplers}
    gc.collect()
    enabled = gc.isenabled()
    gc.disable()
    try:
        spent = 0.0
        for done in range(effort.rounds):
            if spent > effort.budget and done >= effort.least_rounds:
                break
            for name, sample in samplers.items():
                if effort.pause:
                    time.sleep(effort.pause)
                samples[name].append(sample(repeats[name], effort.settle))
                spent += samples[name][-1] * repeats[name]
    finally:
        if enabled:
            gc.enable()
    return {name: Timing(tuple(values)) for name, values in samples.items()}
