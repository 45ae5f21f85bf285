"""The number of threads."""

from __future__ import annotations

from rnncore import _core
from rnncore._check import integer

__all__ = ["get_num_threads", "set_num_threads"]


def get_num_threads() -> int:
    """Return the number of threads that the kernels use at most.

    Before `set_num_threads` it is the least of four numbers: OpenMP's maximum, the processors that
    this process may run on, its control group's share of them, and the environment variable
    ``RNNCORE_NUM_THREADS``.
    """
    return _core.get_num_threads()


def set_num_threads(n: int) -> None:
    """Let the kernels use at most `n` threads; the results do not depend on it.

    Parameters
    ----------
    n : int
        At least 1. More threads than processors make nothing faster.

    Raises
    ------
    TypeError
        If `n` is no integer.
    ValueError
        If it is less than 1 or 2^31 and more.
    """
    _core.set_num_threads(integer("n", n, 1, 2**31 - 1))
