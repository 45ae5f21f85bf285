"""What this processor does at most: multiply-adds in registers, and reading from each cache."""

from collections.abc import Iterator
from typing import Any

import pytest

from measure import Plan, run_alone
from rnncore import _core
from rnncore._bench.ceilings import peak_gflops, read_gigabytes
from rnncore._bench.machine import threads
from rnncore._bench.tables import Column, Row, Table

KIBIBYTES = (16, 32, 128, 256, 512, 768, 1024, 2048, 4096, 8192, 16384, 65536)


def peaks(plan: Plan) -> Iterator[Row]:
    for dtype in ("float32", "float64"):
        for count in plan.threads:
            with threads(count):
                yield {"type": dtype, "threads": count, "GFLOP/s": peak_gflops(dtype, 0.3)}


def peaks_of_sets() -> Iterator[Row]:
    active = _core.isa()
    try:
        for name in _core.available_isas():
            _core.select_isa(name)
            with threads(1):
                yield {"instruction set": name, "GFLOP/s": peak_gflops()}
    finally:
        _core.select_isa(active)


def reads() -> Iterator[Row]:
    with threads(1):
        for size in KIBIBYTES:
            yield {"KiB": size, "GB/s": read_gigabytes(size << 10, 0.1)}


def tables(plan: Plan) -> Iterator[Table]:
    speed = Column("GFLOP/s", ".0f")
    yield Table(
        "peak",
        "Peak of multiply-adds",
        (Column("type"), Column("threads", "d"), speed),
        peaks(plan),
    )
    yield Table(
        "peak-of-sets",
        "Peak of multiply-adds, float32, one thread",
        (Column("instruction set"), speed),
        peaks_of_sets(),
    )
    yield Table(
        "reads",
        "Reading a buffer again, one thread",
        (Column("KiB", "d"), Column("GB/s", ".0f")),
        reads(),
    )


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_multiply_adds(benchmark: Any, dtype: str) -> None:
    benchmark.group = "peak"
    count = 192 << 14
    with threads(1):
        benchmark(_core.kernel_multiply_adds, dtype, count)
    benchmark.extra_info["GFLOP/s"] = round(2 * count / benchmark.stats.stats.min / 1e9, 1)


@pytest.mark.parametrize("kibibytes", KIBIBYTES)
def test_reading(benchmark: Any, kibibytes: int) -> None:
    benchmark.group = "reading"
    rate = benchmark.pedantic(read_gigabytes, args=(kibibytes << 10,), rounds=3)
    benchmark.extra_info["GB/s"] = round(rate)


if __name__ == "__main__":
    run_alone("bench_peak")
