"""Checks of objects that need no base class: batches, progress, callbacks."""

from __future__ import annotations

import inspect
import math
from collections.abc import Mapping
from typing import Any

from rnncore._check import describe, real

__all__ = ["require_batches", "require_callback", "require_progress"]


def require_batches(name: str, value: object) -> None:
    """Raise TypeError unless `value` is like `Batches`."""
    parts = {"carries_state": None, "__len__": 0, "epoch": 1}
    _require_parts(name, value, "batches, such as ContiguousBatches or SentenceBatches", parts)


def require_progress(value: Any) -> None:
    """Raise TypeError or ValueError unless `value` is like `Progress`."""
    parts = {"interval": None, "show": 1, "__enter__": 0, "__exit__": 3}
    _require_parts("progress", value, "True, False or a Progress, such as PlainProgress", parts)
    if value.interval != math.inf:
        real("progress.interval", value.interval, 0)


def require_callback(name: str, value: object) -> None:
    """Raise TypeError unless `value` is like `Callback`."""
    parts = {"on_start": 1, "on_update": 1, "on_validation": 1, "on_end": 1}
    _require_parts(name, value, "a Callback", parts)


def _require_parts(
    name: str, value: object, expected: str, parts: Mapping[str, int | None]
) -> None:
    """Raise TypeError unless `value` has these attributes (None) and methods (with n arguments)."""
    if isinstance(value, type):
        raise TypeError(f"{name}: expected {expected}, got the class {value.__name__} itself")
    missing = [part for part in parts if not hasattr(value, part)]
    if missing:
        raise TypeError(
            f"{name}: expected {expected}, got {describe(value)}, which has no {', '.join(missing)}"
        )
    for part, count in parts.items():
        if count is not None:
            _require_arguments(f"{name}.{part}", getattr(value, part), count)


def _require_arguments(name: str, method: Any, count: int) -> None:
    """Raise TypeError unless `method` can be called with `count` arguments."""
    try:
        signature = inspect.signature(method)
        signature.bind(*range(count))
    except ValueError:  # one written in C tells none
        return
    except TypeError:
        got = f"{method.__name__}{signature}" if callable(method) else describe(method)
        raise TypeError(
            f"{name}: expected a method of {count} argument{'s' * (count != 1)}, got {got}"
        ) from None
