"""Models and layers in one safetensors file: weights, configuration and vocabulary.

The metadata of the file have one entry ``rnncore``, a JSON object with ``version`` (of this
format), ``class`` (name of the layer or model), ``config`` (its constructor's arguments) and
``vocabulary``. One entry, because the order of several is random and equal models are to be equal
files.

Where the configuration has ``weights`` of "bfloat16", "int8" or "int8_dynamic" (and the version is
2), the matrices are stored in that form, see `rnncore._narrow`.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import safetensors
import safetensors.numpy

import rnncore
from rnncore import _memory
from rnncore._check import Array, describe
from rnncore._files import as_path, replacing, require_regular
from rnncore._narrow import narrowed, widened
from rnncore.layers import Module

__all__ = ["load", "save"]

#: Versions of the format: 2 has narrow weights, which readers of 1 do not know.
_VERSION, _VERSION_NARROW = 1, 2
#: What safetensors takes besides the arrays. It ends the process where the system refuses memory.
_SLACK = 4 << 20


def save(model: Module, path: str | os.PathLike[str]) -> None:
    """Write a model or layer to one file.

    The file is written under a temporary name in the same directory, flushed to the disk and then
    renamed: whatever happens, `path` holds the old content or the new. The state of training
    (gradients, optimisers, random generators) is not in the file.

    Parameters
    ----------
    model : model or layer
        One of rnncore's classes, or of your own that defines ``config``; that of rnncore does not
        fit another constructor.
    path : str or path
        Where to write; an existing file is replaced.

    Raises
    ------
    TypeError
        If `model` is no model or layer, or has a constructor of its own but not a ``config``.
    ValueError
        If its ``weights`` are to be narrow and a matrix is not finite.
    OSError
        If the file cannot be written; nothing is changed or left behind.
    MemoryError
        If twice the parameters do not fit in memory.
    """
    require_savable(model)
    config = model.config()
    weights = config.get("weights")
    description = {
        "version": _VERSION if weights is None else _VERSION_NARROW,
        "class": _class_name(type(model)),
        "config": config,
        "vocabulary": model.vocabulary(),
    }
    text = json.dumps(description)
    image = model.flat_params.nbytes + len(text)  # safetensors makes it twice
    _memory.require(2 * image + _SLACK, f"the file image of {model!r}")
    arrays = dict(model.params) if weights is None else narrowed(model.params, weights)
    content = safetensors.numpy.save(arrays, {"rnncore": text})
    with replacing(path) as file:
        file.write(content)


def load(path: str | os.PathLike[str]) -> Any:
    """Read a model or layer that `save` wrote.

    A class of your own, outside rnncore, must be imported before.

    Parameters
    ----------
    path : str or path
        The file.

    Returns
    -------
    model : model or layer
        Of the class that was saved, with the same parameters, configuration and vocabulary. Where
        its ``weights`` were narrow, the parameters are the rounded ones.

    Raises
    ------
    OSError
        If the file cannot be read.
    ValueError
        If the file is truncated, damaged or no rnncore model.
    MemoryError
        If the model does not fit in memory.
    """
    path = as_path(path)
    description, arrays = _read(path)
    try:
        kind = _find_class(description["class"])
        model = kind.from_config(description["config"], description["vocabulary"])
        if description["version"] == _VERSION_NARROW:
            arrays = widened(arrays, description["config"]["weights"])
        model.load_state_dict(arrays)
    except KeyError as error:
        raise ValueError(f"{path}: damaged rnncore file: no {error} in its metadata") from None
    except (TypeError, ValueError) as error:
        raise ValueError(f"{path}: damaged rnncore file: {error}") from error
    return model


def require_savable(model: object) -> None:
    """Raise the TypeError of `save` now, before long work."""
    if not isinstance(model, Module):
        raise TypeError(f"model: expected a model or layer, got {describe(model)}")
    kind = type(model)
    constructor, config, builder = (
        next(base for base in kind.__mro__ if name in vars(base))
        for name in ("__init__", "config", "from_config")
    )
    if config == Module:
        model.config()  # says that there is none
    # loading would call it with the arguments of another
    if not _is_ours(constructor) and _is_ours(config) and _is_ours(builder):
        raise TypeError(
            f"model: expected one of rnncore's own classes, such as {config.__name__}, or one that "
            f"defines config with its constructor, got {_full_name(kind)}, whose config is that of "
            f"{config.__name__}"
        )


def _is_ours(kind: type) -> bool:
    return kind.__module__.startswith("rnncore.")


def _read(path: Path) -> tuple[dict[str, Any], dict[str, Array]]:
    """Return description and arrays of a file that is a model as far as the format goes."""
    num_bytes = require_regular(path).st_size
    with path.open("rb") as file:  # the system's own words where it cannot be read
        start = file.read(9)
    # a safetensors file starts with the size of its header, eight bytes, and a JSON object
    has_header = start[8:] == b"{"
    if not has_header:
        raise ValueError(
            f"{path}: expected an rnncore model, got a file that is no safetensors file"
        )
    # mapped, and copied
    _memory.require(2 * num_bytes + _SLACK, f"{path}: the arrays of the file")
    try:
        with safetensors.safe_open(path, framework="np") as content:
            description = _description(path, content.metadata() or {})
            names = content.keys()
            return description, {name: content.get_tensor(name) for name in names}
    except safetensors.SafetensorError as error:
        raise ValueError(
            f"{path}: expected an rnncore model, got a file that is truncated or damaged ({error})"
        ) from None


def _description(path: Path, metadata: dict[str, str]) -> dict[str, Any]:
    """Return what the metadata say, of a version that is known."""
    if "rnncore" not in metadata:
        raise ValueError(
            f"{path}: expected an rnncore model, got a safetensors file of another program "
            "(its metadata have no entry 'rnncore')"
        )
    try:
        description = json.loads(metadata["rnncore"])
    except ValueError as error:
        raise ValueError(f"{path}: damaged rnncore file: metadata are no JSON: {error}") from None
    if not isinstance(description, dict) or "version" not in description:
        raise ValueError(f"{path}: damaged rnncore file: no 'version' in its metadata")
    if description["version"] not in (_VERSION, _VERSION_NARROW):
        raise ValueError(
            f"{path}: expected version {_VERSION} or {_VERSION_NARROW} of the file format, got "
            f"version {description['version']!r}; a newer rnncore may read it"
        )
    return description


def _full_name(kind: type[Module]) -> str:
    return f"{kind.__module__}.{kind.__qualname__}"


def _class_name(kind: type[Module]) -> str:
    """Return the public name in rnncore, or the full name of a class outside."""
    name: str = kind.__name__
    return name if getattr(rnncore, name, None) is kind else _full_name(kind)


def _find_class(name: Any) -> type[Module]:
    """Return the class of that name; a file cannot make this import a module."""
    if not isinstance(name, str):
        raise TypeError(f"class: expected a name, got {describe(name)}")
    public = getattr(rnncore, name, None)
    if isinstance(public, type) and issubclass(public, Module):
        return public
    for kind in _subclasses(Module):
        if _full_name(kind) == name:
            return kind
    raise ValueError(f"class {name!r} is unknown; import the module that defines it first")


def _subclasses(kind: type[Module]) -> Iterator[type[Module]]:
    for subclass in kind.__subclasses__():
        yield subclass
        yield from _subclasses(subclass)
