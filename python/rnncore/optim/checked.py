"""Attributes that are checked whenever they are set."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Generic, TypeVar

if TYPE_CHECKING:
    from rnncore.optim.optimizer import Optimizer

Value = TypeVar("Value")


class Checked(Generic[Value]):
    """Decorates a method that checks a value and returns what the attribute of its name becomes.

    An error of the method leaves the attribute as it is.
    """

    def __init__(self, check: Callable[[Any, Any], Value]) -> None:
        self.__doc__ = check.__doc__
        self._check = check
        self._name = check.__name__

    def __get__(self, optimizer: Optimizer | None, kind: type) -> Value:
        if optimizer is None:
            return self  # type: ignore[return-value]  # of the class: for help()
        try:
            value: Value = optimizer.__dict__[self._name]
        except KeyError:  # the constructor has not come to it
            raise AttributeError(f"{self._name}: not set yet") from None
        return value

    def __set__(self, optimizer: Optimizer, value: Any) -> None:
        optimizer.__dict__[self._name] = self._check(optimizer, value)
