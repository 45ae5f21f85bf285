"""Libraries that rnncore uses where they are installed."""

from __future__ import annotations

import importlib
from typing import Any


def library(name: str, extra: str) -> Any:
    """Return a module; ImportError with the command that installs it, where it is not there."""
    try:
        return importlib.import_module(name)
    except ImportError as error:
        raise ImportError(
            f'{name}: not installed; pip install "rnncore[{extra}]" brings it ({error})'
        ) from None
