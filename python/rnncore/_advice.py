"""Warnings about valid but unusual arguments, at the line outside rnncore that caused them."""

from __future__ import annotations

import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

_silent = ContextVar("_silent", default=False)


def advise(message: str) -> None:
    """Warn of `message`, unless `silent`."""
    if _silent.get():
        return
    level, frame = 1, sys._getframe()
    while frame.f_back is not None and _is_ours(frame.f_globals.get("__name__", "")):
        level, frame = level + 1, frame.f_back
    warnings.warn(message, UserWarning, stacklevel=level)


@contextmanager
def silent() -> Iterator[None]:
    """Suppress warnings where rnncore itself, and not its caller, chooses the arguments."""
    token = _silent.set(True)
    try:
        yield
    finally:
        _silent.reset(token)


def _is_ours(module: str) -> bool:
    return module.partition(".")[0] == "rnncore"
