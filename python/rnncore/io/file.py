"""Models and layers in one safetensors file: weights, configuration and tokenizers.

The metadata of the file have one entry ``rnncore``, a JSON object with ``version`` (of this
format), ``class`` (name of the layer or model), ``config`` (its constructor's arguments) and
``assets`` (those of them that are tokenizers, with their own contents). One entry, because the
order of several is random and equal models are to be equal files.

Where the configuration has a ``weight_format`` of "bfloat16", "int8" or "int8_dynamic" (and the
version is 2), the matrices are stored in that form, see `rnncore._narrow`.
"""

from __future__ import annotations

import contextlib
import json
import math
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import safetensors
import safetensors.numpy

from rnncore import _memory, _restoring
from rnncore._check import describe, printable, quoted
from rnncore._files import as_path, replacing, require_regular
from rnncore._narrow import narrowed, widened
from rnncore.io.kinds import kind_named, name_of
from rnncore.layers import Module
from rnncore.layers.asset import Asset

__all__ = ["load", "save"]

#: Versions of the format: 2 has narrow weights, which readers of 1 do not know.
_VERSION, _VERSION_NARROW = 1, 2
#: Names in the format safetensors of what parameters are stored as, narrow ones too.
_DTYPES = ("F32", "F64", "U16", "I8")
#: Characters of what a constructor said about the configuration in a file.
_LONGEST_REASON = 400
#: Bytes that one of a header becomes when it is parsed, at most (22 were measured).
_PARSED = 32
#: What safetensors takes besides the arrays. It ends the process where the system refuses memory.
_SLACK = 4 << 20


def save(model: Module, path: str | os.PathLike[str]) -> None:
    """Write a model or layer to one file.

    The file is written under a temporary name in the same directory, flushed to the disk and then
    renamed: whatever happens, `path` holds the old content or the new. The state of training
    (gradients, optimizers, random generators) is not in the file.

    Parameters
    ----------
    model : model or layer
        One of rnncore's classes, or of your own that is registered, see `register`.
    path : str or path
        Where to write; an existing file is replaced.

    Raises
    ------
    TypeError
        If `model` is no model or layer, its class is not registered, or an argument of its
        constructor is none that a file can hold.
    ValueError
        If its ``weight_format`` is a narrow one and a matrix is not finite.
    OSError
        If the file cannot be written; nothing is changed or left behind.
    MemoryError
        If twice the parameters do not fit in memory.
    """
    require_savable(model)
    config = model.config()
    weight_format = config.get("weight_format")
    description = {
        "version": _VERSION if weight_format is None else _VERSION_NARROW,
        "class": name_of(type(model)),
        "config": config,
        "assets": {
            name: {"class": name_of(type(asset)), "value": asset.asset()}
            for name, asset in model.assets().items()
        },
    }
    text = json.dumps(description)
    image = model.flat_params.nbytes + len(text)  # safetensors makes it twice
    _memory.require(2 * image + _SLACK, f"the file image of {model!r}")
    arrays = dict(model.params) if weight_format is None else narrowed(model.params, weight_format)
    content = safetensors.numpy.save(arrays, {"rnncore": text})
    with replacing(path) as file:
        file.write(content)


def load(path: str | os.PathLike[str]) -> Any:
    """Read a model or layer that `save` wrote.

    A class of your own must be registered before, see `register`.

    Parameters
    ----------
    path : str or path
        The file.

    Returns
    -------
    model : model or layer
        Of the class that was saved, with the same parameters, configuration and assets. Where
        its ``weight_format`` was narrow, the parameters are the rounded ones.

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
    with _opened(path) as content:
        description = _description(path, content.metadata() or {})
        shapes = _shapes(path, content)
        try:
            kind = kind_named(description["class"], Module)
            config, assets = description["config"], _assets(description["assets"])
            ours = kind.__module__.partition(".")[0] == "rnncore"
            with _restoring_all(shapes) if ours else contextlib.nullcontext():
                model = kind.from_config(config, assets)
            arrays = {name: content.get_tensor(name) for name in shapes}
            if description["version"] == _VERSION_NARROW:
                arrays = widened(arrays, description["config"]["weight_format"])
            wrong = [name for name, array in arrays.items() if array.dtype != model.dtype]
            if wrong:
                got = describe(arrays[wrong[0]])
                raise TypeError(f"{wrong[0]}: expected {model.dtype}, got {got}")
            model.load_state_dict(arrays)
        except KeyError as error:
            raise _damaged(path, f"no {error} in its metadata") from None
        except RecursionError:
            raise _damaged(path, "lists within lists without an end") from None
        except (TypeError, ValueError) as error:  # which may hold the file's text as it is
            raise _damaged(path, str(error)) from None
    return model


def require_savable(model: object) -> None:
    """Raise the TypeError of `save` now, before long work."""
    if not isinstance(model, Module):
        raise TypeError(f"model: expected a model or layer, got {describe(model)}")
    name_of(type(model))
    json.dumps(model.config())
    for asset in model.assets().values():
        name_of(type(asset))
        asset.asset()


def _assets(given: Any) -> dict[str, Any]:
    """Return the tokenizers and other assets of a description."""
    return {
        name: kind_named(asset["class"], Asset).from_asset(asset["value"])
        for name, asset in dict(given).items()
    }


@contextlib.contextmanager
def _opened(path: Path) -> Iterator[Any]:
    """Open a safetensors file, whose header has then been read and fits its size."""
    num_bytes = require_regular(path).st_size
    with path.open("rb") as file:  # the system's own words where it cannot be read
        start = file.read(9)
    # a safetensors file starts with the size of its header, eight bytes, and a JSON object
    header_size = int.from_bytes(start[:8], "little")
    if start[8:] != b"{":
        raise ValueError(
            f"{path}: expected an rnncore model, got a file that is no safetensors file"
        )
    # the arrays are mapped, and copied; a header is parsed into what takes more than its text
    needed = 2 * num_bytes + _PARSED * min(header_size, num_bytes) + _SLACK
    _memory.require(needed, f"{path}: the arrays of the file")
    try:
        with safetensors.safe_open(path, framework="np") as content:
            yield content
    except safetensors.SafetensorError as error:
        raise ValueError(
            f"{path}: expected an rnncore model, got a file that is truncated or damaged "
            f"({printable(str(error))})"
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
    except (ValueError, RecursionError) as error:
        raise _damaged(path, f"metadata are no JSON: {error}") from None
    if not isinstance(description, dict) or "version" not in description:
        raise _damaged(path, "no 'version' in its metadata")
    if description["version"] not in (_VERSION, _VERSION_NARROW):
        raise ValueError(
            f"{path}: expected version {_VERSION} or {_VERSION_NARROW} of the file format, got "
            f"version {quoted(description['version'])}; a newer rnncore may read it"
        )
    return description


def _shapes(path: Path, content: Any) -> dict[str, list[int]]:
    """Return the shape of each array, as the header says; refuse types that no model has."""
    slices = {name: content.get_slice(name) for name in content.keys()}  # noqa: SIM118
    foreign = [name for name, array in slices.items() if array.get_dtype() not in _DTYPES]
    if foreign:
        raise _damaged(
            path,
            f"{quoted(foreign[0])}: expected one of {', '.join(_DTYPES)}, got "
            f"{slices[foreign[0]].get_dtype()}",
        )
    return {name: array.get_shape() for name, array in slices.items()}


def _restoring_all(shapes: dict[str, list[int]]) -> contextlib.AbstractContextManager[None]:
    """Build a class of rnncore: all its parameters are in the file. Others may have more."""
    return _restoring.restoring(len(shapes), sum(map(math.prod, shapes.values())))


def _damaged(path: Path, reason: str) -> ValueError:
    """Return the error of a file that names rnncore as its writer."""
    return ValueError(f"{path}: damaged rnncore file: {printable(reason, _LONGEST_REASON)}")
