"""Assets: what a model has besides parameters and settings, such as a tokenizer."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any, Self

__all__ = ["Asset"]


class Asset(ABC):
    """An argument of a model's constructor that its file holds whole."""

    @abstractmethod
    def asset(self) -> Any:
        """Return what the file keeps, as a JSON value."""

    @classmethod
    @abstractmethod
    def from_asset(cls, value: Any) -> Self:
        """Build what `asset` described.

        Raises
        ------
        TypeError, ValueError
            If the value is none that `asset` returns.
        """
