"""Checks of memory before it is taken: a system that overcommits would kill the process later."""

from __future__ import annotations

from rnncore import _core

_SMALL = 1 << 20  # asking takes some tenths of a millisecond: not worth it for less than a mebibyte


def require(nbytes: int, purpose: str) -> None:
    """Raise MemoryError if `nbytes` for `purpose` exceed what this process may still take."""
    if nbytes < _SMALL:
        return
    free = available()
    if nbytes > free:
        raise MemoryError(
            f"{purpose} need {nbytes / 2**30:.3g} GiB; {free / 2**30:.3g} GiB are available"
        )


def available() -> int:
    """Return the bytes that this process may still take.

    The machine, every control group around the process and RLIMIT_AS limit them.
    """
    return _core.available_memory()
