"""Optimizer: learning rate, clipping and state, common to all optimisers."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Any

import numpy as np

from rnncore import _core, _memory
from rnncore._check import Array, describe, floats, integer, real
from rnncore._keywords import StrictKeywords
from rnncore.layers import Module
from rnncore.optim.checked import Checked

_MOST_STEPS = 2**31 - 1  # the kernels count them in an int


class Optimizer(StrictKeywords, ABC):
    """Base of the optimisers: one pass over the flat buffers of a module per step.

    The numbers may be set between steps, and are checked then as in the constructor.

    Parameters
    ----------
    module : layer or model
        Its `flat_params` are changed according to its `flat_grads`.
    lr : float
        Learning rate, at least 0.
    weight_decay : float
        Times the parameter, added to the clipped gradient (`AdamW` does it differently).
    clip_norm : float or None
        Gradients of a larger Euclidean norm, over all parameters, are scaled down to it.
    clip_value : float or None
        Each gradient is then cut to [-clip_value, clip_value].
    buffers : tuple of str
        Names of the arrays [P] that the optimiser keeps, zero at first.

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
        self.weight_decay = weight_decay
        self.clip_norm = clip_norm
        self.clip_value = clip_value
        self.num_steps = 0
        _memory.require(
            len(buffers) * module.flat_params.nbytes, f"the buffers of {type(self).__name__}"
        )
        self._buffers = {name: np.zeros_like(module.flat_params) for name in buffers}

    @Checked
    def lr(self, value: Any) -> float:
        """Learning rate of the next step."""
        return real("lr", value, 0)

    @Checked
    def weight_decay(self, value: Any) -> float:
        """Share of the parameters that is added to the gradients."""
        return real("weight_decay", value, 0)

    @Checked
    def clip_norm(self, value: Any) -> float | None:
        """Largest Euclidean norm of the gradients, or None."""
        return _limit("clip_norm", value)

    @Checked
    def clip_value(self, value: Any) -> float | None:
        """Largest size of one gradient, or None."""
        return _limit("clip_value", value)

    @Checked
    def num_steps(self, value: Any) -> int:
        """Steps so far."""
        return integer("num_steps", value, 0, _MOST_STEPS)

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
        num_steps = integer("state_dict['num_steps']", state_dict["num_steps"], 0, _MOST_STEPS)
        lr = real("state_dict['lr']", state_dict["lr"], 0)
        arrays: dict[str, Array] = {
            name: floats(f"state_dict[{name!r}]", state_dict[name], buffer.dtype, buffer.shape)
            for name, buffer in self._buffers.items()
        }
        self.num_steps, self.lr = num_steps, lr
        for name, array in arrays.items():
            self._buffers[name][:] = array


def _limit(name: str, value: Any) -> float | None:
    return None if value is None else real(name, value, 0, open_low=True)


def epsilon(value: Any, dtype: np.dtype[Any]) -> float:
    """Return `value`, which must be above 0 in `dtype`: kernels take subnormal numbers for 0."""
    smallest = float(np.finfo(dtype).tiny)
    number = real("eps", value, 0, open_low=True)
    if number < smallest:
        raise ValueError(f"eps: expected at least {smallest:g} for {dtype}, got {number:g}")
    return number
