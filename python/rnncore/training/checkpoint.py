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

import numpy as np
import safetensors
import safetensors.numpy

from rnncore import _files, _memory
from rnncore._check import Array, describe, flag, floats, integer, printable, quoted
from rnncore.training.archive import pack, unpack
from rnncore.training.result import TrainingResult, Validation
from rnncore.training.run import Run

__all__ = ["Checkpoint"]

_ENTRY = "rnncore-checkpoint"
_VERSION = 1
#: What reading a damaged file raises.
_DAMAGES = (AttributeError, KeyError, IndexError, RecursionError, TypeError, ValueError)


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
        """Return whether a checkpoint is due after this number of updates of an epoch."""
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
            state = unpack(description["state"], arrays)
            _require_state(state, run)
            run.load_state_dict(state)
        except _DAMAGES as error:
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
        version = description["version"]
        _require_texts("identity", description["identity"])
    except _DAMAGES as error:
        raise _damaged(path, f"metadata: {error}") from None
    if version != _VERSION:
        raise ValueError(
            f"{path}: expected version {_VERSION} of a checkpoint, got {quoted(version)}"
        )
    return description, arrays


def _require_texts(name: str, value: Any) -> None:
    """Raise TypeError unless `value` is a mapping whose values are texts."""
    if not isinstance(value, dict) or not all(isinstance(text, str) for text in value.values()):
        raise TypeError(f"{name}: expected a mapping of texts, got {describe(value)}")


def _require_state(state: Any, run: Run) -> None:
    """Raise an error unless the position and the result in a state are such as `run` can have.

    The parameters, the optimizer, the schedule and the generators check theirs.
    """
    integer("epoch", state["epoch"], 0, run.epochs)
    integer("batch", state["batch"], 0, len(run.training))
    integer("skipped_in_a_row", state["skipped_in_a_row"], 0)
    flag("finished", state["finished"])
    _require_number("best.loss", state["best"]["loss"])
    if state["best"]["params"] is not None:
        params = run.model.flat_params
        _require_array("best.params", state["best"]["params"], params.dtype, params.shape)
    _require_result(state["result"])


def _require_result(result: Any) -> None:
    """Raise an error unless `result` is what `TrainingResult.state_dict` returns."""
    if not isinstance(result, dict) or set(result) != set(TrainingResult().state_dict()):
        raise ValueError(f"result: expected that of a training run, got {describe(result)}")
    _require_array("result.losses", result["losses"], np.dtype(np.float64), ("N",))
    for name in ("skipped", "num_targets"):
        integer(f"result.{name}", result[name], 0)
    for name in ("interrupted", "stopped_early"):
        flag(f"result.{name}", result[name])
    _require_number("result.seconds", result["seconds"])
    for entry in result["validations"]:
        validation = Validation(**entry)
        integer("validation.epoch", validation.epoch, 1)
        integer("validation.update", validation.update, 0)
        _require_number("validation.loss", validation.loss)
        for name, measure in validation.measures.items():
            _require_number(f"validation.measures[{name!r}]", measure)


def _require_number(name: str, value: Any) -> None:
    if isinstance(value, bool) or not isinstance(value, int | float | np.number):
        raise TypeError(f"{name}: expected a number, got {describe(value)}")


def _require_array(
    name: str, value: Any, dtype: np.dtype[Any], shape: tuple[int | str, ...]
) -> None:
    if not isinstance(value, np.ndarray):  # `floats` takes lists too
        raise TypeError(f"{name}: expected an array, got {describe(value)}")
    floats(name, value, dtype, shape)


def _damaged(path: Path, reason: str) -> ValueError:
    return ValueError(
        f"{path}: expected a checkpoint of a training run, got a file that is truncated or damaged "
        f"({printable(reason)})"
    )
