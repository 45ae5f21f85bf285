"""Optimizer: learning rate, clipping and state, common to all optimizers."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, NamedTuple

import numpy as np

from rnncore import _memory
from rnncore._check import Array, describe, floats, integer, real
from rnncore._keywords import StrictKeywords
from rnncore.layers.module import Module
from rnncore.layers.parameters import apart
from rnncore.optim.checked import Checked
from rnncore.optim.clipping import norm_of, scale_down
from rnncore.optim.groups import Group, as_groups
from rnncore.optim.spans import Span, modules_of, spans_of

_MOST_STEPS = 2**31 - 1  # the kernels count them in an int

#: Gradients and their averages up to this size overflow nothing, see `Optimizer.largest_change`.
MODEST = 2.0**30


class Update(NamedTuple):
    """The numbers of one step: g = clip(grad * scale, -clip_value, clip_value)."""

    learning_rate: float
    weight_decay: float
    scale: float = 1.0
    clip_value: float = math.inf
    zero_grad: bool = False


class Optimizer(StrictKeywords, ABC):
    """Base of the optimizers: one pass over the flat buffers of a module per step.

    The numbers may be set between steps; they are checked as in the constructor.

    Parameters
    ----------
    module : layer, model, or list of them
        Their `flat_params` are changed according to their `flat_grads`.
    learning_rate : float
        Learning rate, at least 0.
    weight_decay : float
        Factor of the parameter that is added to the clipped gradient; `AdamW` subtracts it instead.
    clip_norm : float or None
        Gradients of a larger Euclidean norm, over all parameters, are scaled down to it.
    clip_value : float or None
        Each gradient is then cut to [-clip_value, clip_value].
    groups : list of Group
        Parameters with settings of their own; the first group that has a name counts. In a list of
        modules, the names of module i begin with "i.".
    buffers : tuple of str
        Names of the arrays [P] that the optimizer keeps, zero at first. P is the number of
        parameters that are not frozen.

    Raises
    ------
    TypeError, ValueError
        If an argument has the wrong type or value, or `module` has no parameters.
    MemoryError
        If the buffers do not fit in memory.
    """

    #: Whether the weight decay does not enter the gradients.
    decoupled: ClassVar[bool] = False

    def __init__(
        self,
        module: Module | Sequence[Module],
        learning_rate: float,
        *,
        weight_decay: float,
        clip_norm: float | None,
        clip_value: float | None,
        groups: Sequence[Group] = (),
        buffers: tuple[str, ...],
    ) -> None:
        self.modules = modules_of(module)
        self.module: Any = module
        self.dtype = self.modules[0].dtype
        self.groups = as_groups(groups)
        self._structures = [part.structure for part in self.modules]
        numbered = not isinstance(module, Module)
        spans = spans_of(self.modules, self.groups, numbered=numbered)
        self._trained = tuple(span for span in spans if not span.frozen)
        self._frozen = tuple(span for span in spans if span.frozen)
        self.learning_rate = learning_rate
        self.weight_decay = weight_decay
        self.clip_norm = clip_norm
        self.clip_value = clip_value
        self.num_steps = 0
        count = sum(span.size for span in self._trained)
        _memory.require(
            len(buffers) * count * self.dtype.itemsize, f"the buffers of {type(self).__name__}"
        )
        self._buffers = {name: np.zeros(count, self.dtype) for name in buffers}
        self._modest = True  # whether those are
        info = np.finfo(self.dtype)
        self._least_scale = float(info.tiny)  # kernels take less for 0
        # A quarter of what is lost in rounding the largest number: adding it overflows nothing.
        self._safe_change = float(info.max) * float(info.eps) / 8

    @Checked
    def learning_rate(self, value: Any) -> float:
        """Learning rate of the next step."""
        return real("learning_rate", value, 0)

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
        for span in (*self._trained, *self._frozen):
            span.zero_grad()

    def step(self, zero_grad: bool = False) -> float:
        """Change the parameters once.

        Where the norm of the gradients is infinite or not a number, or the step would make a
        parameter or an average so, the parameters stay as they are and the step does not count.

        Parameters
        ----------
        zero_grad : bool
            Whether to set the gradients to zero in the same pass.

        Returns
        -------
        norm : float
            Euclidean norm of all gradients but frozen ones before clipping; infinite or not a
            number where the parameters have not been changed.

        Raises
        ------
        ValueError
            If layers have become part of the module, or left it, since the optimizer was made.
        """
        self._require_same_structure()
        norm = math.hypot(*(span.norm() for span in self._trained))
        if math.isfinite(norm) and self._take(norm, zero_grad):
            for module in self.modules:
                module.mark_changed()
            return norm
        if zero_grad:
            self.zero_grad()
        return math.inf if math.isfinite(norm) else norm

    def _take(self, norm: float, zero_grad: bool) -> bool:
        """Take the step and return whether all numbers stay finite; if not, nothing changes."""
        clip_norm = self.clip_norm or math.inf
        scale = clip_norm / norm if norm > clip_norm else 1.0
        updates = [self._update_of(span, scale, zero_grad) for span in self._trained]
        if not self._is_safe(min(norm, clip_norm), updates):
            if not self._take_if_finite(norm, clip_norm):
                return False
            if zero_grad:
                self.zero_grad()
            return True
        self.num_steps += 1
        for span, update in zip(self._trained, updates, strict=True):
            self._change(span, update)
        if zero_grad:
            for span in self._trained:
                span.zeroed()
            for span in self._frozen:
                span.zero_grad()
        return True

    def _update_of(self, span: Span, scale: float, zero_grad: bool) -> Update:
        """Return the numbers of a step for one stretch of parameters."""
        rate, decay = self.learning_rate, self.weight_decay
        if span.group is not None:
            rate *= span.group.learning_rate_factor
            decay = decay if span.group.weight_decay is None else span.group.weight_decay
        return Update(rate, decay, scale, self.clip_value or math.inf, zero_grad)

    def _change(self, span: Span, update: Update) -> None:
        def work(params: Array, grads: Array, state: dict[str, Array]) -> None:
            self._update(params, grads, state, update)

        span.work(self._buffers, work)

    def _is_safe(self, norm: float, updates: Sequence[Update]) -> bool:
        """Whether no number can become infinite; norm is that of the clipped gradients."""
        if not self._modest or updates[0].scale < self._least_scale:
            return False
        for span, update in zip(self._trained, updates, strict=True):
            largest = min(norm, update.clip_value)
            if not self.decoupled and update.weight_decay:
                largest += update.weight_decay * span.norm_of_params()
            if largest > MODEST or self.largest_change(update) > self._safe_change:
                return False
        return True

    def _take_if_finite(self, norm: float, clip_norm: float) -> bool:
        """Try the step on copies."""
        size = sum(span.size for span in self._trained) * self.dtype.itemsize
        needed = (2 + len(self._buffers)) * size
        _memory.require(needed, "copies that a step of huge numbers is tried on")
        trials: list[tuple[Array, ...]] = []
        self.num_steps += 1
        for span in self._trained:
            update = self._update_of(span, 1.0, zero_grad=False)

            def attempt(
                params: Array, grads: Array, state: dict[str, Array], update: Update = update
            ) -> None:
                params, grads = params.copy(), grads.copy()
                state = {name: array.copy() for name, array in state.items()}
                if norm > clip_norm:
                    scale_down(grads, norm, clip_norm)
                self._update(params, grads, state, update)
                trials.append((params, *state.values()))

            span.work(self._buffers, attempt)
        if not all(np.isfinite(array).all() for arrays in trials for array in arrays):
            self.num_steps -= 1
            return False
        for span, arrays in zip(self._trained, trials, strict=True):

            def accept(
                params: Array,
                grads: Array,
                state: dict[str, Array],
                arrays: tuple[Array, ...] = arrays,
            ) -> None:
                for array, value in zip((params, *state.values()), arrays, strict=True):
                    array[:] = value

            span.work(self._buffers, accept)
        self._set_state({})
        return True

    def _set_state(self, state: Mapping[str, Array]) -> None:
        for name, array in state.items():
            self._buffers[name][:] = array
        self._modest = all(
            norm_of(array) <= (MODEST**2 if name == "square_average" else MODEST)
            for name, array in self._buffers.items()
        )

    def _require_same_structure(self) -> None:
        for module, structure in zip(self.modules, self._structures, strict=True):
            if module.structure != structure:
                raise ValueError(
                    f"module: layers have been added to {module!r}, or taken from it, since this "
                    f"{type(self).__name__} was made; make another"
                )

    @abstractmethod
    def largest_change(self, update: Update) -> float:
        """Return a bound of what a step changes a parameter by, where all numbers are modest.

        Gradients and first averages are at most `MODEST`, averages of squares at most its square,
        and a step has left momentum at most ``2**31 * MODEST``.
        """

    @abstractmethod
    def _update(
        self,
        params: Array,
        grads: Array,
        state: dict[str, Array],
        update: Update,
    ) -> None:
        """Change a stretch of parameters [P] by the numbers of a step."""

    def state_dict(self) -> dict[str, Any]:
        """Return what training needs to continue exactly, with an optimizer made alike.

        Returns
        -------
        state_dict : dict
            "optimizer" (its name), "num_steps", "learning_rate", and a copy of each buffer [P].
        """
        buffers = {name: buffer.copy() for name, buffer in self._buffers.items()}
        return {
            "optimizer": type(self).__name__,
            "num_steps": self.num_steps,
            "learning_rate": self.learning_rate,
            **buffers,
        }

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        """Restore what `state_dict` returned; all of it or, after an error, nothing.

        Raises
        ------
        TypeError
            If `state_dict` is no mapping, or something in it has the wrong type.
        ValueError
            If it is of another optimizer or module, or an entry is missing or unknown.
        """
        self._require_same_structure()
        if not isinstance(state_dict, Mapping):
            raise TypeError(f"state_dict: expected a mapping, got {describe(state_dict)}")
        expected = {"optimizer", "num_steps", "learning_rate", *self._buffers}
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
        learning_rate = real("state_dict['learning_rate']", state_dict["learning_rate"], 0)
        arrays: dict[str, Array] = {
            name: floats(f"state_dict[{name!r}]", state_dict[name], buffer.dtype, buffer.shape)
            for name, buffer in self._buffers.items()
        }
        for buffer in self._buffers.values():
            arrays = {name: apart(array, buffer) for name, array in arrays.items()}
        self.num_steps, self.learning_rate = num_steps, learning_rate
        self._set_state(arrays)


def _limit(name: str, value: Any) -> float | None:
    return None if value is None else real(name, value, 0, open_low=True)


def epsilon(value: Any, dtype: np.dtype[Any]) -> float:
    """Return `value`, which must be above 0 in `dtype`: kernels take subnormal numbers for 0."""
    smallest = float(np.finfo(dtype).tiny)
    number = real("eps", value, 0, open_low=True)
    if number < smallest:
        raise ValueError(f"eps: expected at least {smallest:g} for {dtype}, got {number:g}")
    return number
