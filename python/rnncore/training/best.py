"""The best parameters of a run, in memory and in a file."""

from __future__ import annotations

import math
import os
from collections.abc import Mapping
from typing import Any

from rnncore import io
from rnncore._check import Array
from rnncore.layers import Module

__all__ = ["BestModel"]


class BestModel:
    """Keeps the parameters with the lowest validation loss; without any validation, the last.

    Parameters
    ----------
    model : Module
        The model that is being trained.
    path : path or None
        Where each better model is saved at once; None: in memory only.
    """

    def __init__(self, model: Module, path: str | os.PathLike[str] | None) -> None:
        self.loss = math.inf
        self._model = model
        self._path = path
        self._params: Array | None = None
        self._saved = False

    def offer(self, validation_loss: float) -> None:
        """Keep the present parameters if their validation loss is the lowest so far."""
        if validation_loss < self.loss:
            self._params = self._model.flat_params.copy()
            self.loss = validation_loss
            self._saved = False
            self._save()

    def restore(self) -> None:
        """Put the best parameters into the model; the last stay where there was no validation."""
        if self._params is not None:
            self._model.flat_params[:] = self._params
            self._model.mark_changed()

    def finish(self) -> None:
        """Put the best parameters into the model and make sure that they are in the file."""
        self.restore()
        self._save()

    def state_dict(self) -> dict[str, Any]:
        """Return the lowest loss and its parameters."""
        return {"loss": self.loss, "params": self._params}

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        """Take over what `state_dict` returned; the file may hold something else by now."""
        self.loss, self._params = state_dict["loss"], state_dict["params"]
        self._saved = False

    def _save(self) -> None:
        if self._path is not None and not self._saved:
            io.save(self._model, self._path)
            self._saved = True
