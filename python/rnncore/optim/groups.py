"""Groups of parameters that are trained in another way than the rest."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Any

from rnncore._check import describe, flag, real
from rnncore._keywords import strict_keywords

__all__ = ["Group", "as_groups"]


@strict_keywords()
@dataclass(frozen=True)
class Group:
    """Parameters, chosen by their names, with settings of their own.

    Parameters
    ----------
    names : str, or list of str
        Patterns of names as in ``params``: ``*`` stands for any characters. "embedding.*" is a
        whole layer, "*bias*" are the biases of all layers.
    learning_rate_factor : float
        Times the learning rate of the optimizer, at least 0.
    weight_decay : float or None
        None is that of the optimizer.
    frozen : bool
        Whether these parameters stay as they are. Their gradients do not enter the norm.

    Raises
    ------
    TypeError, ValueError
        If an argument has the wrong type or value.

    Examples
    --------
    >>> import rnncore as rc
    >>> model = rc.LanguageModel(100, "gru", 16, 32, rng=0)
    >>> groups = [
    ...     rc.optim.Group("embedding.*", frozen=True),
    ...     rc.optim.Group("*bias*", weight_decay=0.0),
    ... ]
    >>> optimizer = rc.optim.AdamW(model, 1e-3, weight_decay=0.1, groups=groups)
    """

    names: str | Sequence[str]
    learning_rate_factor: float = 1.0
    weight_decay: float | None = None
    frozen: bool = False

    def __post_init__(self) -> None:
        patterns = (self.names,) if isinstance(self.names, str) else self.names
        if not isinstance(patterns, list | tuple) or not all(isinstance(p, str) for p in patterns):
            raise TypeError(f"names: expected patterns of names, got {describe(self.names)}")
        object.__setattr__(self, "names", tuple(patterns))
        real("learning_rate_factor", self.learning_rate_factor, 0)
        if self.weight_decay is not None:
            real("weight_decay", self.weight_decay, 0)
        flag("frozen", self.frozen)

    def has(self, name: str) -> bool:
        """Whether a parameter of this name belongs to the group."""
        return any(fnmatchcase(name, pattern) for pattern in self.names)


def as_groups(value: Any) -> tuple[Group, ...]:
    """Return a list of groups as a tuple, or raise TypeError."""
    if not isinstance(value, list | tuple) or not all(isinstance(g, Group) for g in value):
        raise TypeError(f"groups: expected a list of Group, got {describe(value)}")
    return tuple(value)
