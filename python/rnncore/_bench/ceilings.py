"""What this processor does at most: multiply-adds, and reading buffers of a size."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from rnncore import _core
from rnncore._bench.timing import best_seconds

__all__ = ["peak_gflops", "read_gigabytes"]

_CACHE_LINE = 64
# A multiple of the 192 multiply-adds that one turn of the kernels does at most; about 20 ms.
_MULTIPLY_ADDS = 192 << 20


def peak_gflops(dtype: str = "float32", budget: float = 0.5) -> float:
    """Return billions of operations per second of multiply-adds in registers.

    A multiply-add is two operations. All threads together, `rnncore.get_num_threads()` of them;
    the best of some runs within `budget` seconds: threads that were kept on one processor before
    may share it for a while.
    """
    count = _MULTIPLY_ADDS // 8
    shortest = best_seconds(lambda: _core.kernel_multiply_adds(dtype, count), budget)
    return 2 * count * _core.get_num_threads() / shortest / 1e9


def read_gigabytes(nbytes: int, budget: float = 0.05) -> float:
    """Return the bandwidth, in 10^9 bytes per second, at which one thread reads a buffer again.

    Parameters
    ----------
    nbytes : int
        Size of the buffer: it comes from the cache that holds as much.
    budget : float
        Seconds to measure; the best run counts.
    """
    buffer = _aligned(nbytes)
    rounds = max(1, (8 << 20) // buffer.nbytes)
    shortest = best_seconds(lambda: _core.kernel_repeated_sum(buffer, rounds), budget)
    return buffer.nbytes * rounds / shortest / 1e9


def _aligned(nbytes: int) -> NDArray[np.float32]:
    """Ones that begin at a cache line: a load that crosses two lines counts twice."""
    raw = np.ones(nbytes // 4 + _CACHE_LINE // 4, np.float32)
    offset = -raw.ctypes.data % _CACHE_LINE // 4
    return raw[offset : offset + nbytes // 4]
