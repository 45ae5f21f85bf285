"""Loads the kernel with an OpenMP runtime that lets idle threads sleep.

Between two parallel regions libgomp's threads stay awake for milliseconds in case there is more to
do. On a busy machine that is time taken from the very thread they wait for. The runtime reads its
settings once, when it is loaded; what the user has set is respected, and nothing is left behind in
the environment.
"""

from __future__ import annotations

import importlib
import os

__all__: list[str] = []

#: Turns of libgomp's waiting loop, some hundred microseconds: between calls that follow each other
#: a thread stays awake on its processor, and is not put on that of the one that would wake it.
_SPIN_COUNT = "10000"


def _load() -> None:
    chosen = {"GOMP_SPINCOUNT", "OMP_WAIT_POLICY"} & os.environ.keys()
    if not chosen:
        os.environ["GOMP_SPINCOUNT"] = _SPIN_COUNT
    try:
        importlib.import_module("rnncore._core")
    except ImportError as error:  # which pybind11 makes of every error, also of Ctrl-C
        if isinstance(error.__cause__, KeyboardInterrupt):
            raise error.__cause__ from None
        raise
    finally:
        if not chosen:
            del os.environ["GOMP_SPINCOUNT"]


_load()
