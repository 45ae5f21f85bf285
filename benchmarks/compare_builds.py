"""Two builds of rnncore beside each other: `python benchmarks/compare_builds.py BEFORE AFTER`.

BEFORE and AFTER are folders that hold a package `rnncore`, as `pip install --target FOLDER .` makes
them. Each runs in a process of its own; they take turns, and the speed-up is the median of the
ratios of samples that follow each other. What slows a shared machine down for seconds is then in
both.
"""

import argparse
import os
import pickle
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

CELLS = ("LSTM", "GRU", "RNN")
BATCHED = ((35, 20, 200, 200), (35, 20, 650, 650), (50, 50, 128, 128), (64, 64, 256, 256))
SINGLE = ((100, 1, 64, 64), (100, 1, 256, 256), (100, 1, 512, 512))
DEEP = ((100, 1, 64, 64, 2), (100, 1, 128, 128, 2), (100, 3, 128, 128, 2), (100, 1, 128, 128, 4))
STREAMED = (16, 50, 64, 100, 256, 512)
WEIGHT_FORMATS = ("float32", "bfloat16", "int8_dynamic")
ROUNDS = 25
SAMPLE = 0.02  # seconds


def cases() -> Iterator[tuple[str, tuple[Any, ...]]]:
    """A name, and the arguments of `step`."""
    for kind, shapes in (
        ("training", BATCHED),
        ("inference", BATCHED + SINGLE),
        ("inference deep", DEEP),
    ):
        for cell in CELLS:
            for shape in shapes:
                yield f"{kind} {cell} {','.join(map(str, shape))}", (kind, cell, shape)
    for cell in CELLS:
        for size in STREAMED:
            for form in WEIGHT_FORMATS:
                yield f"stream {cell} H={size} {form}", ("stream", cell, (size, form))


def stream_of(layer: Any, form: str) -> Any:
    """In older builds "int8_dynamic" has the name "int8", and `weight_format` another one."""
    try:
        return layer.stream(1, form)
    except ValueError:
        return layer.stream(1, form.removesuffix("_dynamic"))


def step(kind: str, cell: str, arguments: tuple[Any, ...]) -> Callable[[], object]:
    """What is measured, in the build that this process has imported."""
    import rnncore as rc

    rng = np.random.default_rng(0)
    if kind == "stream":
        size, form = arguments
        stream = stream_of(getattr(rc, cell)(1, size, rng=0), form)
        sequence = rng.standard_normal((100, 1), dtype=np.float32)
        return lambda: stream.run(sequence)
    steps, batch, width, size, *num_layers = arguments
    layer = getattr(rc, cell)(width, size, *num_layers, rng=0)
    x = rng.standard_normal((steps, batch, width), dtype=np.float32)
    if kind.startswith("inference"):
        return lambda: layer(x)
    dy = rng.standard_normal((steps, batch, size), dtype=np.float32)

    def train() -> None:
        layer.zero_grad()
        _, _, cache = layer.forward(x)
        layer.backward(dy, cache)

    return train


def serve(folder: str) -> None:
    """Answer with the seconds of a case, so many times in a row, until the input ends."""
    import rnncore as rc

    if not Path(rc.__file__).resolve().is_relative_to(Path(folder).resolve()):
        sys.exit(f"rnncore comes from {rc.__file__}, not from {folder}: is it installed editable?")
    known: tuple[Any, ...] = ()
    run: Callable[[], object] = int
    while True:
        try:
            case, repeats = pickle.load(sys.stdin.buffer)
        except EOFError:
            return
        if case != known:
            known, run = case, step(*case)
            run()
        run()
        start = time.perf_counter()
        for _ in range(repeats):
            run()
        pickle.dump((time.perf_counter() - start) / repeats, sys.stdout.buffer)
        sys.stdout.flush()


class Build:
    """A process that has imported the package of one folder."""

    def __init__(self, folder: str, threads: int) -> None:
        arguments = [sys.executable, __file__, "--serve", folder]
        environment = os.environ | {"PYTHONPATH": folder, "RNNCORE_NUM_THREADS": str(threads)}
        pipe = subprocess.PIPE
        self._process = subprocess.Popen(arguments, stdin=pipe, stdout=pipe, env=environment)

    def seconds(self, case: tuple[Any, ...], repeats: int) -> float:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        pickle.dump((case, repeats), self._process.stdin)
        self._process.stdin.flush()
        return float(pickle.load(self._process.stdout))


def compared(builds: list[Build], case: tuple[Any, ...]) -> tuple[list[float], float]:
    """Median seconds of both builds, and the median of the ratios before / after."""
    first = [build.seconds(case, 1) for build in builds]
    repeats = max(1, round(SAMPLE / max(first)))
    rounds = max(7, min(ROUNDS, round(2 / (repeats * sum(first)))))
    samples = [[build.seconds(case, repeats) for build in builds] for _ in range(rounds)]
    before, after = zip(*samples, strict=True)
    ratios = [b / a for b, a in samples]
    return [statistics.median(before), statistics.median(after)], statistics.median(ratios)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("before")
    parser.add_argument("after")
    parser.add_argument("--threads", type=int, default=1)
    arguments = parser.parse_args()
    if arguments.threads == 1 and hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})  # the children's too
    builds = [Build(folder, arguments.threads) for folder in (arguments.before, arguments.after)]
    speed_ups: dict[str, list[float]] = {}
    print(f"{'case':36}{'before us':>12}{'after us':>12}{'speed-up':>10}")
    for name, case in cases():
        (before, after), speed_up = compared(builds, case)
        print(f"{name:36}{1e6 * before:12.1f}{1e6 * after:12.1f}{speed_up:10.2f}", flush=True)
        group = f"stream {case[2][1]}" if case[0] == "stream" else f"{case[0]} {case[1]}"
        speed_ups.setdefault(group, []).append(speed_up)
    for group, values in speed_ups.items():
        print(f"{'geometric mean, ' + group:36}{statistics.geometric_mean(values):34.2f}")


if __name__ == "__main__":
    if sys.argv[1:2] == ["--serve"]:
        serve(sys.argv[2])
    else:
        main()
