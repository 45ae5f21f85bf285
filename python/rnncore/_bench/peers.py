"""The libraries that rnncore is measured beside."""

from __future__ import annotations

import importlib
from typing import Any

__all__ = ["LIBRARIES", "leave_out_others", "module"]

#: Name in tables -> module.
LIBRARIES = {"rnncore": "rnncore", "PyTorch": "torch", "ONNX Runtime": "onnxruntime"}

_left_out: set[str] = set()


def module(name: str) -> Any:
    """Return the module of a library, or None where it is not installed, broken or left out."""
    if name in _left_out:
        return None
    try:
        return importlib.import_module(name)
    except (ImportError, OSError):  # OSError: PyTorch without one of its shared libraries
        return None


def leave_out_others(name: str) -> None:
    """Measure nothing but rnncore and the library of that module in this process."""
    _left_out.update(set(LIBRARIES.values()) - {name})
