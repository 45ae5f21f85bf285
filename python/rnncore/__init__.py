"""Recurrent neural networks on ordinary CPUs: a C++ kernel under a thin NumPy API.

>>> import numpy as np, rnncore as rc
>>> lstm = rc.LSTM(input_size=8, hidden_size=16, rng=0)
>>> x = np.zeros((5, 2, 8), np.float32)  # [T,B,I]
>>> y, (h, c) = lstm(x)
>>> y.shape
(5, 2, 16)
"""

import importlib
from typing import Any

__version__ = "0.1.0"

_HOMES = {
    "RNN": "layers",
    "GRU": "layers",
    "LSTM": "layers",
    "Linear": "layers",
    "Embedding": "layers",
    "Dropout": "layers",
    "LanguageModel": "models",
    "save": "io",
    "load": "io",
    "isa": "_core",
    "available_isas": "_core",
    "get_num_threads": "_core",
    "set_num_threads": "_core",
}
_SUBMODULES = ("data", "datasets", "init", "losses", "models", "optim", "text", "training")

__all__ = ["__version__", *_HOMES, *_SUBMODULES]


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        value = getattr(importlib.import_module(f"rnncore.{_HOMES[name]}"), name)
    elif name in _SUBMODULES:
        value = importlib.import_module(f"rnncore.{name}")
    else:
        raise AttributeError(f"module 'rnncore' has no attribute {name!r}")
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(set(globals()) | set(__all__))
