"""Loads the kernel with an OpenMP runtime that lets idle threads sleep.

Between two parallel regions OpenMP's threads stay awake for some milliseconds, those of clang's
libomp for two hundred, because more work may come. On a busy machine they take that time from the
thread they wait for. The runtime reads its settings once, when the kernel is loaded. The user's
settings are respected, and none of rnncore's is left in the environment.
"""

from __future__ import annotations

import importlib
import os

__all__: list[str] = []

#: Each runtime's setting, and what it is set to. Between calls that follow each other a thread
#: stays awake on its processor, and is not put on that of the one that would wake it.
_SETTINGS = {
    "GOMP_SPINCOUNT": "10000",  # turns of libgomp's waiting loop: a few hundred microseconds
    "KMP_BLOCKTIME": "1",  # milliseconds: libomp's least but 0
}


def _load() -> None:
    chosen = {*_SETTINGS, "OMP_WAIT_POLICY"} & os.environ.keys()
    if not chosen:
        os.environ.update(_SETTINGS)
    try:
        importlib.import_module("rnncore._core")
    except ImportError as error:  # which pybind11 makes of every error, also of Ctrl-C
        if isinstance(error.__cause__, KeyboardInterrupt):
            raise error.__cause__ from None
        raise
    finally:
        if not chosen:
            for name in _SETTINGS:
                del os.environ[name]


_load()
