"""The options that every recurrent layer has: names, types and defaults, in one place."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypedDict, TypeVar

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import DTypeLike

__all__ = ["RecurrentOptions", "lists_options"]

Constructor = TypeVar("Constructor", bound=Callable[..., None])


class RecurrentOptions(TypedDict, total=False):
    """Keyword arguments of every recurrent layer. `Recurrent` describes them."""

    bias: bool
    batch_first: bool
    dropout: float
    bidirectional: bool
    dtype: DTypeLike
    compute: str | None
    rng: np.random.Generator | int | None


DEFAULTS: RecurrentOptions = {
    "bias": True,
    "batch_first": False,
    "dropout": 0.0,
    "bidirectional": False,
    "dtype": np.float32,
    "compute": None,
    "rng": None,
}


def lists_options(constructor: Constructor) -> Constructor:
    """Decorate a constructor that passes ``**options`` on: its signature lists each of them.

    Help, `config` and the check of unknown keywords read the signature.
    """
    whole = inspect.signature(constructor)
    kinds = RecurrentOptions.__annotations__
    options = [
        inspect.Parameter(
            name,
            inspect.Parameter.KEYWORD_ONLY,
            default=default,
            annotation=getattr(kinds[name], "__forward_arg__", kinds[name]),
        )
        for name, default in DEFAULTS.items()
    ]
    own = [p for p in whole.parameters.values() if p.kind is not inspect.Parameter.VAR_KEYWORD]
    function: Any = constructor
    function.__signature__ = whole.replace(parameters=[*own, *options])
    return constructor
