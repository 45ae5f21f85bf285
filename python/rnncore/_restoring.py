"""Modules built to be filled from a file: nothing is drawn, and nothing is larger than the file.

The configuration of a file may name any size. Constructors ask here before they take memory or
time, so that a small file cannot ask for much of either.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from contextvars import ContextVar
from typing import NamedTuple

__all__ = ["is_restoring", "require_arrays", "require_elements", "restoring"]


class _Contents(NamedTuple):
    """What the file holds."""

    num_arrays: int
    num_elements: int


_contents: ContextVar[_Contents | None] = ContextVar("contents", default=None)


@contextlib.contextmanager
def restoring(num_arrays: int, num_elements: int) -> Iterator[None]:
    """Build modules from a file that holds `num_arrays` arrays with `num_elements` numbers."""
    token = _contents.set(_Contents(num_arrays, num_elements))
    try:
        yield
    finally:
        _contents.reset(token)


def is_restoring() -> bool:
    """Whether parameters drawn now would be replaced by those of a file."""
    return _contents.get() is not None


def require_arrays(name: str, count: int) -> None:
    """Raise ValueError if a module of `count` parameter arrays or more cannot be the file's."""
    contents = _contents.get()
    if contents is not None and count > contents.num_arrays:
        raise ValueError(
            f"{name}: expected at most the {contents.num_arrays} arrays of the file, got {count}"
        )


def require_elements(name: str, count: int) -> None:
    """Raise ValueError if a module of `count` parameters or more cannot be the file's."""
    contents = _contents.get()
    if contents is not None and count > contents.num_elements:
        raise ValueError(
            f"{name}: expected at most the {contents.num_elements} numbers of the file, got "
            f"{count if count < 2**63 else '2^63 or more'}"
        )
