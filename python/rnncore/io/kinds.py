"""Kinds: the classes that a file may name. A file never makes a module be imported."""

from __future__ import annotations

from typing import Any, TypeVar

from rnncore._check import describe, quoted

__all__ = ["kind_named", "name_of", "register"]

Kind = TypeVar("Kind", bound=type)

_kinds: dict[str, type] = {}


def register(kind: Kind) -> Kind:
    """Let files name a class: a decorator for models, layers and tokenizers of your own.

    Parameters
    ----------
    kind : type
        A subclass of `Module`, which is rebuilt from the arguments of its constructor, or a class
        with ``asset`` and ``from_asset``, such as `rnncore.text.Tokenizer`. Its name in a file is
        its module's name and its own. A later class of the same name replaces an earlier one.

    Raises
    ------
    TypeError
        If `kind` is no class.
    """
    if not isinstance(kind, type):
        raise TypeError(f"kind: expected a class, got {describe(kind)}")
    _kinds[_name(kind)] = kind
    return kind


def name_of(kind: type) -> str:
    """Return the name of a class in files.

    Raises
    ------
    TypeError
        If the class is not registered.
    """
    name = _name(kind)
    if _kinds.get(name) is not kind:
        raise TypeError(
            f"{name}: a class of your own is saved once it is registered; write @rnncore.register "
            "above it"
        )
    return name


def kind_named(name: Any, base: type) -> Any:
    """Return the class of a name in a file.

    Raises
    ------
    TypeError, ValueError
        If the name is no text, unknown, or that of something else than a `base`.
    """
    if not isinstance(name, str):
        raise TypeError(f"class: expected a name, got {describe(name)}")
    kind = _kinds.get(name)
    if kind is None or not issubclass(kind, base):
        raise ValueError(
            f"class {quoted(name)} is unknown; import the module that defines and registers it"
        )
    return kind


def _name(kind: type) -> str:
    """Return the public name of a class of rnncore, and the full name of any other."""
    if kind.__module__.partition(".")[0] == "rnncore":
        return kind.__name__
    return f"{kind.__module__}.{kind.__qualname__}"
