"""Calls with several numbers of threads, and from several Python threads at once."""

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

from problems import Answers, Problem, assert_same_bits
from rnncore import _core
from twin import Twin

THREADS = (1, 2, 3, 5)
RAGGED = tuple(1 + (7 * b) % 12 for b in range(37))
WORKERS, REPETITIONS = 8, 6


@contextmanager
def threads(n: int) -> Iterator[None]:
    before = _core.get_num_threads()
    _core.set_num_threads(n)
    try:
        yield
    finally:
        _core.set_num_threads(before)


def assert_bits_do_not_depend_on_threads(function: Callable[[], Answers]) -> None:
    results = []
    for n in THREADS:
        with threads(n):
            results.append(function())
    for other in results[1:]:
        assert_same_bits(other, results[0])


def layer_problem(
    cell: str, *, bidirectional: bool, lengths: tuple[int, ...] | None, ids: bool = False
) -> Problem:
    """Large enough that the work is divided among five threads."""
    twin = Twin(cell, 45, 83, 2, bidirectional=bidirectional)
    return Problem.random(twin, 12, 37, state=True, lengths=lengths, ids=ids)


def run_at_once(work: Callable[[int], Answers]) -> list[Answers]:
    """`work(i)` for many i from eight threads that start together."""
    with ThreadPoolExecutor(WORKERS) as pool:
        return list(pool.map(work, range(WORKERS * REPETITIONS), timeout=120))
