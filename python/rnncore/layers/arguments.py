"""What a module was constructed with: its configuration, and attributes that stay as they are."""

from __future__ import annotations

import inspect
from abc import ABCMeta
from collections.abc import Mapping
from functools import cache
from typing import Any, ClassVar, Self

import numpy as np

from rnncore import _advice
from rnncore._check import describe
from rnncore.layers.asset import Asset

__all__ = ["Configured"]


class Constructed(ABCMeta):
    """Class of modules: notes the arguments of the constructor, with their defaults."""

    def __call__(cls, *args: Any, **kwargs: Any) -> Any:
        """Construct an instance."""
        make: Any = cls
        instance = make.__new__(cls, *args, **kwargs)
        try:
            bound = signature(make).bind(*args, **kwargs)
        except TypeError:
            given = {}  # the constructor says what is wrong
        else:
            bound.apply_defaults()
            given = {name: value for name, value in bound.arguments.items() if name != "rng"}
        object.__setattr__(instance, "_arguments", given)
        instance.__init__(*args, **kwargs)
        object.__setattr__(instance, "_constructed", True)
        return instance

    @property
    def __signature__(cls) -> inspect.Signature:
        """The constructor's, not that of `__call__`."""
        return signature(cls)


@cache
def signature(kind: Any) -> inspect.Signature:
    """Return the signature of a class's constructor, without ``self``."""
    whole = inspect.signature(kind.__init__)
    return whole.replace(parameters=list(whole.parameters.values())[1:])


@cache
def _all_parameters(kind: Any) -> frozenset[str]:
    """Return the names of the parameters of a class's constructor and of those that it calls."""
    own = (base for base in kind.__mro__ if "__init__" in vars(base) and base is not object)
    return frozenset(name for base in own for name in signature(base).parameters)


def arguments(module: Any) -> dict[str, Any]:
    """Return the arguments of a module's constructor by name, as it has them now.

    An attribute of the same name counts for more than what was given: the constructor has checked
    and converted it. Options of ``**options`` stand among the others.
    """
    given: dict[str, Any] = {}
    kind: Any = type(module)
    for name, parameter in signature(kind).parameters.items():
        if parameter.kind is inspect.Parameter.VAR_KEYWORD:
            given.update(module._arguments.get(name, {}))
        elif parameter.kind is not inspect.Parameter.VAR_POSITIONAL:
            held = name in vars(module) or isinstance(getattr(kind, name, None), property)
            given[name] = getattr(module, name) if held else module._arguments[name]
    return given


def json_value(name: str, value: Any) -> Any:
    """Return an argument as a JSON value.

    Raises
    ------
    TypeError
        If it is none: no number, text, dtype, or list or dictionary of such.
    """
    if value is None or isinstance(value, bool | int | float | str):
        return value
    if isinstance(value, np.generic):
        return value.item()
    if isinstance(value, np.ndarray):
        return value.tolist()
    if isinstance(value, np.dtype) or (isinstance(value, type) and issubclass(value, np.generic)):
        return np.dtype(value).name
    if isinstance(value, tuple | list):
        return [json_value(name, item) for item in value]
    if isinstance(value, dict) and all(isinstance(key, str) for key in value):
        return {key: json_value(name, item) for key, item in value.items()}
    raise TypeError(
        f"{name}: expected what a file can hold, a number, text or list of such, got "
        f"{describe(value)}"
    )


class Configured(metaclass=Constructed):
    """Base of what its constructor's arguments describe: they are its configuration, read-only.

    Every argument is an attribute, also where the constructor does not assign it.
    """

    #: Arguments that are no part of the configuration.
    _unsaved: ClassVar[frozenset[str]] = frozenset({"rng"})
    #: Other attributes that cannot be changed after the constructor.
    _fixed: ClassVar[frozenset[str]] = frozenset()

    def config(self) -> dict[str, Any]:
        """Return the constructor's arguments as JSON values, without generators and assets.

        Raises
        ------
        TypeError
            If an argument is none that a file can hold.
        """
        return {
            name: json_value(name, value)
            for name, value in arguments(self).items()
            if name not in self._unsaved and not isinstance(value, Asset)
        }

    def assets(self) -> dict[str, Asset]:
        """Return the constructor's arguments that a file holds whole, such as a tokenizer."""
        given = arguments(self).items()
        return {name: value for name, value in given if isinstance(value, Asset)}

    @classmethod
    def from_config(
        cls, config: Mapping[str, Any], assets: Mapping[str, Asset] | None = None
    ) -> Self:
        """Build one alike from `config` and `assets`, with freshly drawn parameters."""
        with _advice.silent():
            return cls(**config, **(assets or {}))

    def __getattr__(self, name: str) -> Any:
        """Return an argument that the constructor has not assigned."""
        given = self.__dict__.get("_arguments", {})
        # Asked once more, Python says itself what is missing.
        return given[name] if name in given else object.__getattribute__(self, name)

    def _require_free(self, name: str) -> None:
        """Raise unless the attribute `name` may be assigned."""
        if self.__dict__.get("_constructed") and self._is_fixed(name):
            raise AttributeError(
                f"{name}: read-only, the constructor was given {getattr(self, name)!r}; make "
                f"another {type(self).__name__}"
            )

    def _is_fixed(self, name: str) -> bool:
        if name in self._fixed:
            return True
        kind: Any = type(self)
        return name in _all_parameters(kind) and not isinstance(getattr(kind, name, None), property)

    def __repr__(self) -> str:
        try:
            config = self.config()
        except (TypeError, AttributeError):  # called before the constructor finished
            config = {}
        return f"{type(self).__name__}({', '.join(f'{k}={v!r}' for k, v in config.items())})"
