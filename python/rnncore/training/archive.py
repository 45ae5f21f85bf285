"""Nested values, with arrays among them, as JSON and a flat mapping of arrays."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from rnncore._check import Array, describe

__all__ = ["pack", "unpack"]

# A mapping with one of these keys alone stands for what JSON does not have.
_ARRAY, _TUPLE, _ENTRIES = "array", "tuple", "entries"


def pack(value: Any, arrays: dict[str, Array]) -> Any:
    """Return `value` as JSON; its arrays are put into `arrays`, under numbers as names.

    Raises
    ------
    TypeError
        If something in it is no number, text, array, or a list, tuple or mapping of these.
    """
    if value is None or isinstance(value, bool | int | float | str):
        return value
    if isinstance(value, np.ndarray | np.generic):
        name = str(len(arrays))
        arrays[name] = np.asarray(value, order="C")
        return {_ARRAY: name}
    if isinstance(value, Mapping):
        if all(isinstance(key, str) for key in value):
            return {"mapping": {str(key): pack(part, arrays) for key, part in value.items()}}
        return {_ENTRIES: [[_key(key), pack(part, arrays)] for key, part in value.items()]}
    if isinstance(value, tuple | list):
        parts = [pack(part, arrays) for part in value]
        return {_TUPLE: parts} if isinstance(value, tuple) else parts
    raise TypeError(
        "checkpoint: expected numbers, arrays, and lists, tuples and mappings of these as the "
        f"state of a model, got {describe(value)}"
    )


def unpack(packed: Any, arrays: Mapping[str, Array]) -> Any:
    """Return the value that `pack` was given."""
    if isinstance(packed, list):
        return [unpack(part, arrays) for part in packed]
    if not isinstance(packed, dict):
        return packed
    ((kind, content),) = packed.items()
    if kind == _ARRAY:
        return arrays[content]
    if kind == _TUPLE:
        return tuple(unpack(part, arrays) for part in content)
    if kind == _ENTRIES:
        return {key: unpack(part, arrays) for key, part in content}
    return {name: unpack(part, arrays) for name, part in content.items()}


def _key(key: Any) -> Any:
    """Return the key of a mapping, which JSON keeps as it is beside its value."""
    plain = key.item() if isinstance(key, np.generic) else key
    if plain is None or isinstance(plain, bool | int | float | str):
        return plain
    raise TypeError(
        "checkpoint: expected texts and numbers as keys of the mappings in the state of a model, "
        f"got {describe(key)}"
    )
