"""Single kernels on one thread: matrix products beside NumPy's, elementwise functions.

The packing of the right factor is a part of each product; recurrent layers pack once per call.
"""

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from threadpoolctl import threadpool_limits

from measure import Plan, beside, run_alone
from rnncore import _core
from rnncore._bench import pytorch
from rnncore._bench.ceilings import peak_gflops
from rnncore._bench.machine import threads
from rnncore._bench.tables import Column, Row, Table
from rnncore._bench.timing import Step, interleaved

# (M, K, N) of the products of recurrent layers: rows of a batch or of all steps, inputs, gates.
PRODUCTS = (
    (1, 512, 2048),
    (4, 512, 2048),
    (12, 512, 2048),
    (20, 200, 800),
    (64, 256, 1024),
    (128, 1024, 4096),
    (700, 200, 800),
    (4096, 256, 1024),
)
FUNCTIONS = ("exp", "tanh", "sigmoid")
ELEMENTS = 1 << 14


def product_steps(shape: tuple[int, int, int], transposed: bool) -> dict[str, Step]:
    """a [M,K] b [N,K]^T, or a [K,M]^T b [K,N]: of outputs, or of weight gradients."""
    rows, depth, columns = shape
    rng = np.random.default_rng(0)
    shapes = ((depth, rows), (depth, columns)) if transposed else ((rows, depth), (columns, depth))
    a, b = (rng.standard_normal(size, dtype=np.float32) for size in shapes)
    if transposed:
        return {
            "rnncore": lambda: _core.kernel_product_transposed(a, b),
            "NumPy": lambda: a.T @ b,
        }
    return {"rnncore": lambda: _core.kernel_product(a, b), "NumPy": lambda: a @ b.T}


def function_steps(name: str) -> dict[str, Step]:
    x = np.random.default_rng(0).standard_normal(ELEMENTS, dtype=np.float32)
    steps: dict[str, Step] = {"rnncore": lambda: _core.kernel_map(name, x)}
    if torch := pytorch.torch():
        peer, function = torch.from_numpy(x), getattr(torch, name)
        steps["PyTorch"] = pytorch.on_threads(1, lambda: function(peer))
    return steps


def product_rows(plan: Plan, transposed: bool) -> Iterator[Row]:
    with threads(1), threadpool_limits(1, "blas"):
        peak = peak_gflops()
        for shape in PRODUCTS:
            timings = interleaved(product_steps(shape, transposed), plan.effort(budget=0.5))
            gflop = 2 * np.prod(shape).item() / 1e9
            ours, numpy = timings["rnncore"], timings["NumPy"]
            yield {
                "M,K,N": ",".join(map(str, shape)),
                "GFLOP/s": gflop / ours.median,
                "% of peak": 100 * gflop / ours.median / peak,
                "NumPy GFLOP/s": gflop / numpy.median,
                "ratio": numpy.over(ours),
            }


def function_rows(plan: Plan) -> Iterator[Row]:
    with threads(1):
        for name in FUNCTIONS:
            timings = interleaved(function_steps(name), plan.effort(budget=0.5))
            speed = {side: ELEMENTS / t.median / 1e9 for side, t in timings.items()}
            peer = timings.get("PyTorch")
            yield {
                "function": name,
                "10^9/s": speed["rnncore"],
                "PyTorch 10^9/s": speed.get("PyTorch"),
                "ratio": None if peer is None else peer.over(timings["rnncore"]),
            }


def tables(plan: Plan) -> Iterator[Table]:
    columns = (
        Column("M,K,N"),
        Column("GFLOP/s", ".0f"),
        Column("% of peak", ".0f"),
        Column("NumPy GFLOP/s", ".0f"),
        Column("ratio", ".2f"),
    )
    note = (
        "NumPy's OpenBLAS may choose kernels of an older processor: OPENBLAS_CORETYPE=SkylakeX "
        "gives it those of AVX-512."
    )
    for transposed, title in ((False, "Products a b^T"), (True, "Products a^T b")):
        yield Table(
            f"products{'-transposed' * transposed}",
            f"{title}, float32, one thread",
            columns,
            product_rows(plan, transposed),
            note,
        )
    yield Table(
        "functions",
        f"Functions of {ELEMENTS:,} float32, one thread",
        (
            Column("function"),
            Column("10^9/s", ".2f"),
            Column("PyTorch 10^9/s", ".2f"),
            Column("ratio", ".2f"),
        ),
        function_rows(plan),
    )


@pytest.mark.parametrize("transposed", [False, True])
@pytest.mark.parametrize("shape", PRODUCTS, ids=lambda s: "x".join(map(str, s)))
def test_product(benchmark: Any, shape: tuple[int, int, int], transposed: bool) -> None:
    benchmark.group = f"product {shape}"
    with threads(1), threadpool_limits(1, "blas"):
        beside(benchmark, product_steps(shape, transposed), rounds=20)
    speed = 2 * np.prod(shape) / benchmark.stats.stats.median / 1e9
    benchmark.extra_info["GFLOP/s"] = round(float(speed), 1)


@pytest.mark.parametrize("name", FUNCTIONS)
def test_function(benchmark: Any, name: str) -> None:
    benchmark.group = "functions"
    with threads(1):
        beside(benchmark, function_steps(name), rounds=50)


if __name__ == "__main__":
    run_alone("bench_kernels")
