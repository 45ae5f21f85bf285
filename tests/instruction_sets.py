"""Choosing an instruction set for a part of a test."""

from collections.abc import Iterator
from contextlib import contextmanager

from rnncore import _core


@contextmanager
def selected(isa: str) -> Iterator[None]:
    """Run the kernels of one instruction set, then those of before."""
    before = _core.isa()
    _core.select_isa(isa)
    try:
        yield
    finally:
        _core.select_isa(before)
