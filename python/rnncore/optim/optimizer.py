"""Optimizer: learning rate, clipping and state, common to all optimisers."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Any

import numpy as np

from rnncore import _core, _memory
from rnncore._check import Array, describe, floats, real, size
from rnncore.layers import Module


class Optimizer(ABC):
    """Base of the optimisers: one pass over the flat buffers of a module per step.

    Parameters
    ----------
    module : layer or model
        Its `flat_params` are changed according to its `flat_grads`.
    lr : float
        Learning rate, at least 0; may be set between steps.
    weight_decay : float
        Times the parameter, added to the clipped gradient (`AdamW` does it differently).
    clip_norm : float or None
        Gradients of a larger Euclidean norm, over all parameters, are scaled down to it.
    clip_value : float or None
        Each gradient is then cut to [-clip_value, clip_value].
    buffers : names of the arrays [P] that the optimiser keeps, zero at first

    Raises
    ------
    TypeError, ValueError
        If an argument has the wrong type or value.
    MemoryError
        If the buffers do not fit in memory.
    """

    def __init__(
        self,
        module: Module,
        lr: float,
        *,
        weight_decay: float,
        clip_norm: float | None,
        clip_value: float | None,
        buffers: tuple[str, ...],
    ) -> None:
        if not isinstance(module, Module):
            raise TypeError(f"module: expected a layer or model, got {describe(module)}")
        self.module = module
        self.lr = lr
        self.weight_decay = real("weight_decay", weight_decay, 0)
        self.clip_norm = _limit("clip_norm", clip_norm)
        self.clip_value = _limit("clip_value", clip_value)
        self.num_steps = 0
        _memory.require(
            len(buffers) * module.flat_params.nbytes, f"the buffers of {type(self).__name__}"
        )
        self._buffers = {name: np.zeros_like(module.flat_params) for name in buffers}

    @property
    def lr(self) -> float:
        """Learning rate of the next step."""
        return self._lr

    @lr.setter
    def lr(self, value: float) -> None:
        self._lr = real("lr", value, 0)

    def zero_grad(self) -> None:
        """Set every gradient to zero."""
        self.module.zero_grad()

    def step(self, zero_grad: bool = False) -> float:
        """Change the parameters once.

        Where the norm of the gradients is infinite or not a number, the parameters stay as they are
        and the step does not count.

        Parameters
        ----------
        zero_grad : bool
            Whether to set the gradients to zero in the same pass.

        Returns
        -------
        norm : float
            Euclidean norm of all gradients before clipping.
        """
        norm = math.sqrt(_core.squared_norm(self.module.flat_grads))
        if not math.isfinite(norm):
            if zero_grad:
                self.zero_grad()
            return norm
        scale = 1.0
        if self.clip_norm is not None and norm > self.clip_norm:
            scale = self.clip_norm / norm
        self.num_steps += 1
        self._update(scale, math.inf if self.clip_value is None else self.clip_value, zero_grad)
        self.module.mark_changed()
        return norm

    @abstractmethod
    def _update(self, scale: float, clip_value: float, zero_grad: bool) -> None:
        """Change the parameters by g = clip(grad * scale, -clip_value, clip_value)."""

    def state_dict(self) -> dict[str, Any]:
        """Return what training needs to continue exactly, with an optimiser made alike.

        Returns
        -------
        state_dict : dict
            "optimizer" (its name), "num_steps", "lr", and a copy of each buffer [P].
        """
        buffers = {name: buffer.copy() for name, buffer in self._buffers.items()}
        return {
            "optimizer": type(self).__name__,
            "num_steps": self.num_steps,
            "lr": self.lr,
            **buffers,
        }

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        """Restore what `state_dict` returned; all of it or, after an error, nothing.

        Raises
        ------
        TypeError
            If `state_dict` is no mapping, or something in it has the wrong type.
        ValueError
            If it is of another optimiser or module, or an entry is missing or unknown.
        """
        if not isinstance(state_dict, Mapping):
            raise TypeError(f"state_dict: expected a mapping, got {describe(state_dict)}")
        expected = {"optimizer", "num_steps", "lr", *self._buffers}
        if set(state_dict) != expected:
            raise ValueError(
                f"state_dict: expected the entries {sorted(expected)}, got {sorted(state_dict)}"
            )
        if state_dict["optimizer"] != type(self).__name__:
            raise ValueError(
                f"state_dict: expected one of {type(self).__name__}, "
                f"got one of {state_dict['optimizer']}"
            )
        num_steps = size("state_dict['num_steps']", state_dict["num_steps"], minimum=0)
        lr = real("state_dict['lr']", state_dict["lr"], 0)
        arrays: dict[str, Array] = {
            name: floats(f"state_dict[{name!r}]", state_dict[name], buffer.dtype, buffer.shape)
            for name, buffer in self._buffers.items()
        }
        self.num_steps, self.lr = num_steps, lr
        for name, array in arrays.items():
            self._buffers[name][:] = array


def _limit(name: str, value: float | None) -> float | None:
    return None if value is None else real(name, value, 0, open_low=True)
