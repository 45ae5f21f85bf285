"""Steps inside a sequence beside RTNeural, whose sizes are fixed when its layers are compiled.

`python benchmarks/bench_rtneural.py FOLDER` compiles it from a clone of
https://github.com/jatinchowdhury18/RTNeural with its submodules, once for each backend, with `c++`
or what the environment variable CXX names. Both sides have the same parameters and inputs, and must
give the same outputs; each takes a sequence in one call from Python, on one thread.
"""

import argparse
import ctypes
import functools
import os
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

import rnncore as rc
from measure import Plan, measured
from rnncore._bench.machine import threads
from rnncore._bench.tables import Check, Column, Row, Table, geometric_mean, verdict
from rnncore._bench.timing import Step, interleaved

SIZES = (16, 32, 64, 128)
NUM_STEPS = 2000
BACKENDS = {"Eigen": "modules/Eigen", "xsimd": "modules/xsimd/include"}
FLAGS = (
    "-std=c++20",
    "-O3",
    "-march=native",
    "-ffast-math",  # may flush subnormals in this process from then on; rnncore's kernels do anyway
    "-fPIC",
    "-shared",
    "-fno-gnu-unique",  # each backend's library is to hold layers of its own
    "-DRTNEURAL_DEFAULT_ALIGNMENT=32",  # the largest that RTNeural takes
    "-DEIGEN_STACK_ALLOCATION_LIMIT=0",  # layers are not on the stack
)
# Of outputs within (-1, 1): its approximations of tanh and sigmoid with -ffast-math.
TOLERANCE = 1e-4

Array = NDArray[np.float32]


def compiled(source: Path, folder: Path) -> dict[str, ctypes.CDLL]:
    """RTNeural's layers by backend."""
    libraries = {}
    for backend, include in BACKENDS.items():
        library = folder / f"{backend}.so"
        flags = [*FLAGS, f"-DRTNEURAL_USE_{backend.upper()}=1", f"-I{source}"]
        file = Path(__file__).with_name("rtneural.cpp")
        compiler = os.environ.get("CXX", "c++")
        subprocess.run(
            [compiler, *flags, f"-I{source / include}", str(file), "-o", str(library)], check=True
        )
        libraries[backend] = ctypes.CDLL(str(library))
    return libraries


def address(array: Array) -> ctypes.c_void_p:
    return ctypes.c_void_p(array.ctypes.data)


def in_its_order(cell: str, parameter: Array) -> Array:
    """The gates of a GRU are z, r, n there; those of an LSTM i, f, g, o as here."""
    if cell == "LSTM":
        return parameter
    reset, update, candidate = np.split(parameter, 3)
    return np.concatenate([update, reset, candidate])


def set_parameters(library: ctypes.CDLL, cell: str, layer: Any) -> None:
    """Give RTNeural the parameters of a layer."""
    w, u, b_ih, b_hh = (in_its_order(cell, p) for p in layer.params.values())
    b = b_ih + b_hh if cell == "LSTM" else np.stack([b_ih, b_hh])
    arrays = [np.ascontiguousarray(a, np.float32) for a in (w.T, u.T, b)]
    getattr(library, f"{cell.lower()}_{layer.hidden_size}_set")(*map(address, arrays))


def run(function: Any, x: Array, y: Array) -> None:
    function(address(x), ctypes.c_long(len(x)), address(y))


def steps(libraries: dict[str, ctypes.CDLL], cell: str, size: int) -> dict[str, Step]:
    """What is measured: a sequence for each side, which goes on where the one before has ended."""
    layer = getattr(rc, cell)(1, size, rng=0)
    x = np.random.default_rng(0).standard_normal((NUM_STEPS, 1), np.float32)
    outputs = {name: np.empty((NUM_STEPS, size), np.float32) for name in ("rnncore", *libraries)}
    sides: dict[str, Step] = {
        "rnncore": functools.partial(layer.stream().run, x, outputs["rnncore"])
    }
    for name, library in libraries.items():
        set_parameters(library, cell, layer)
        function = getattr(library, f"{cell.lower()}_{size}_run")
        sides[name] = functools.partial(run, function, x, outputs[name])
    for name, side in sides.items():
        side()
        np.testing.assert_allclose(outputs[name], outputs["rnncore"], atol=TOLERANCE, err_msg=name)
    return sides


def rows(libraries: dict[str, ctypes.CDLL], plan: Plan) -> Iterator[Row]:
    ratios: list[float | None] = []
    with threads(1):
        for cell in ("LSTM", "GRU"):
            for size in SIZES:
                sides = steps(libraries, cell, size)
                timings = interleaved(sides, plan.effort(budget=1.0))
                micro = {name: 1e6 * t.median / NUM_STEPS for name, t in timings.items()}
                ours = timings.pop("rnncore")
                ratio = min(peer.over(ours) for peer in timings.values())
                ratios.append(ratio)
                yield {
                    "cell": f"{cell} H={size}",
                    **micro,
                    "ratio": ratio,
                    **verdict(Check("slower", ratio, 1)),
                }
    yield {"cell": "geometric mean", "ratio": geometric_mean(ratios)}


def tables(plan: Plan, source: Path) -> Iterator[Table]:
    with tempfile.TemporaryDirectory() as folder:
        yield Table(
            "rtneural",
            "Microseconds a step inside a sequence, one input, one thread",
            (
                Column("cell"),
                Column("rnncore", ".3f"),
                *(Column(backend, ".3f") for backend in BACKENDS),
                Column("ratio", ".2f"),
                Column("target"),
                Column("met"),
            ),
            rows(compiled(source, Path(folder)), plan),
            "RTNeural by its backend; the ratio is to the faster one.",
        )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("source", type=Path, help="a clone of RTNeural with its submodules")
    parser.add_argument("--quick", action="store_true", help="fewer rounds")
    arguments = parser.parse_args()
    plan = Plan.of(arguments.quick)
    for table in tables(plan, arguments.source):
        measured(table, plan)


if __name__ == "__main__":
    main()
