"""What dir() shows of modules and help() of classes."""

from __future__ import annotations

import inspect
import re
import sys
from functools import partial
from types import ModuleType
from typing import TypeVar

Class = TypeVar("Class", bound=type)

_REFERENCE = re.compile(r"^([\w*, \\\n]+)\n    As in `(\w+)`\.$", re.MULTILINE)


def show_public_names() -> None:
    """Let dir(), and so the completion of names, show public names of the modules loaded so far."""
    for name, module in list(sys.modules.items()):
        package, *inner = name.split(".")
        if package == "rnncore" and not any(part.startswith("_") for part in inner):
            vars(module)["__dir__"] = partial(_public_names, module)


def _public_names(module: ModuleType) -> list[str]:
    """Return what `__all__` lists, or else what the module itself defines."""
    if hasattr(module, "__all__"):
        return sorted(module.__all__)
    return sorted(
        name
        for name, value in vars(module).items()
        if not name.startswith("_") and getattr(value, "__module__", None) == module.__name__
    )


def complete_docstring(kind: Class) -> Class:
    """Decorate a class that has options of another one: help() shows them in full.

    In its docstring, entries that say nothing but "As in `Other`." are replaced by those of the
    class Other, which its module knows. ``**options`` stands for all keyword-only ones of Other.
    """
    if kind.__doc__ is not None:  # python -OO
        known = vars(sys.modules[kind.__module__])
        kind.__doc__ = _REFERENCE.sub(
            lambda found: _entries(known[found[2]], _names(known[found[2]], found[1])),
            inspect.cleandoc(kind.__doc__),
        )
    return kind


def _names(kind: type, listed: str) -> list[str]:
    """Return the names that an entry lists."""
    if not listed.startswith("**"):
        return re.findall(r"\w+", listed)
    parameters = inspect.signature(kind.__init__).parameters.values()  # type: ignore[misc]
    return [p.name for p in parameters if p.kind is inspect.Parameter.KEYWORD_ONLY]


def _entries(kind: type, names: list[str]) -> str:
    """Return the entries of the names in the docstring of `kind`, each once."""
    text = inspect.cleandoc(kind.__doc__ or "")
    entries = (
        re.search(rf"^(?:\w+, )*{name}\b[^.\n]*\n(?: {{4}}.*\n?)+", text, re.MULTILINE)
        for name in names
    )
    return "\n".join(dict.fromkeys(found[0].rstrip() for found in entries if found))
