"""Checkpoints: a whole training run in one safetensors file.

The metadata of the file have one entry ``rnncore-checkpoint``, a JSON object with ``version``,
``identity`` (see `Run.identity`) and ``state`` (see `Run.state_dict`, with numbers for its arrays).

The identity has a checksum of all data where the batches have a method ``checksum()`` that returns
one, as those of `rnncore.data` do. Of other batches it has that of the first batch only: data that
differ later are not found out.
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import safetensors
import safetensors.numpy

from rnncore import _files, _memory
from rnncore._check import Array, printable, quoted
from rnncore.training.archive import pack, unpack
from rnncore.training.run import Run

__all__ = ["Checkpoint"]

_ENTRY = "rnncore-checkpoint"
_VERSION = 1


class Checkpoint:
    """The file of one run, which is replaced as a whole or not at all.

    Parameters
    ----------
    path : path
        Where it is.
    every : int or None
        Updates between two; None: one after each epoch.
    """

    def __init__(self, path: str | os.PathLike[str], every: int | None) -> None:
        self.path = _files.as_path(path)
        self.every = every
        #: Updates before the last one that was written or read; None before.
        self.update: int | None = None
        self._identity: dict[str, str] = {}  # the same during a run, and its data are to be read

    def exists(self) -> bool:
        """Return whether there is a file to go on from."""
        return self.path.exists()

    def is_due(self, updates: int) -> bool:
        """Return whether one is to be written after so many updates, within an epoch."""
        return self.every is not None and updates % self.every == 0

    def save(self, run: Run) -> None:
        """Write everything that the run is; a kill at any moment leaves the old file or the new.

        Raises
        ------
        OSError
            If the file cannot be written; the one before stays.
        TypeError
            If the state that the model carries is no array, nor made of arrays.
        """
        arrays: dict[str, Array] = {}
        description = {
            "version": _VERSION,
            "identity": self._identity_of(run),
            "state": pack(run.state_dict(), arrays),
        }
        num_bytes = sum(array.nbytes for array in arrays.values())
        _memory.require(2 * num_bytes, f"{self.path}: the image of the checkpoint")
        content = safetensors.numpy.save(arrays, {_ENTRY: json.dumps(description)})
        with _files.replacing(self.path) as file:
            file.write(content)
        self.update = run.updates

    def load(self, run: Run) -> None:
        """Let `run` be the one that was saved.

        Raises
        ------
        OSError
            If the file cannot be read.
        ValueError
            If it is no checkpoint, or that of another model, configuration or text.
        """
        description, arrays = _read(self.path)
        expected, identity = description["identity"], self._identity_of(run)
        for name in (*expected, *identity):
            was, now = expected.get(name, "nothing"), identity.get(name, "nothing")
            if was != now:
                raise ValueError(
                    f"{name}: expected {printable(was)} as in the checkpoint {self.path}, got "
                    f"{printable(now)}; a run goes on with the same model, configuration and data, "
                    "and overwrite without resume begins another"
                )
        try:
            run.load_state_dict(unpack(description["state"], arrays))
        except (KeyError, TypeError, ValueError) as error:
            raise _damaged(self.path, str(error)) from None
        self.update = run.updates

    def _identity_of(self, run: Run) -> dict[str, str]:
        self._identity = self._identity or run.identity()
        return self._identity


def _read(path: Path) -> tuple[dict[str, Any], dict[str, Array]]:
    """Return description and arrays of a checkpoint."""
    _memory.require(2 * _files.require_regular(path).st_size, f"{path}: the checkpoint")
    with path.open("rb"):  # the system's own words where it cannot be read
        pass
    try:
        with safetensors.safe_open(path, framework="np") as content:
            text = (content.metadata() or {}).get(_ENTRY)
            arrays = {name: content.get_tensor(name) for name in content.keys()}  # noqa: SIM118
    except safetensors.SafetensorError as error:
        raise _damaged(path, str(error)) from None
    if text is None:
        raise ValueError(
            f"{path}: expected a checkpoint of a training run, got another safetensors file"
        )
    try:
        description = json.loads(text)
        version, _ = description["version"], dict(description["identity"])
    except (KeyError, RecursionError, TypeError, ValueError) as error:
        raise _damaged(path, f"metadata: {error}") from None
    if version != _VERSION:
        raise ValueError(
            f"{path}: expected version {_VERSION} of a checkpoint, got {quoted(version)}"
        )
    return description, arrays


def _damaged(path: Path, reason: str) -> ValueError:
    return ValueError(
        f"{path}: expected a checkpoint of a training run, got a file that is truncated or damaged "
        f"({printable(reason)})"
    )
