"""The instruction sets of the kernels, and choosing one for a part of a test."""

import itertools
from collections.abc import Iterator
from contextlib import contextmanager

from rnncore import _core

# From the least to the most capable, as in cmake/isa.cmake; a processor has a part of them.
INSTRUCTION_SETS = ("baseline", "avx2", "avx512", "avx512_bf16", "avx512_amx")


@contextmanager
def selected(isa: str) -> Iterator[None]:
    """Run the kernels of one instruction set, then those of before."""
    before = _core.isa()
    _core.select_isa(isa)
    try:
        yield
    finally:
        _core.select_isa(before)


def pairs_of_sets() -> Iterator[tuple[str, str]]:
    return itertools.combinations([n for n in _core.available_isas() if n != "reference"], 2)
