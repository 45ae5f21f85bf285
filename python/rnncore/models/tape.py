"""Tape: the values of a training pass, and the calls of layers that made them."""

from __future__ import annotations

import inspect
from typing import Any

import numpy as np

from rnncore._check import Array, describe
from rnncore.layers import Dropout, OutputGradient, Recurrent

__all__ = ["Call", "Value", "arrays_of", "keep", "leaves", "state_arrays"]


class Value:
    """An array of a training pass, and the gradient of the loss by it.

    Arithmetic on arrays is not recorded: combine values by layers, such as `Concatenate` and `Add`.
    """

    __array_ufunc__ = None  # NumPy refuses it with a TypeError, instead of an array of objects

    def __init__(self, call: Call) -> None:
        self.call = call
        self.uses = 0
        self.kept = False  # whether the array is needed after the way back
        self.grad: Array | None = None
        self._array: Array | None = None

    @property
    def array(self) -> Array:
        """The array; a layer that waited for it is run now."""
        self.call.run()
        if self._array is None:
            raise RuntimeError(
                "value: its layer was run without this output, or backward has been past it; "
                "run.keep(value) before run.backward() keeps it"
            )
        return self._array

    def set(self, array: Array | None) -> None:
        """Take the array that the call has computed."""
        self._array = array

    def add_grad(self, gradient: Array | None) -> None:
        """Add to the gradient of the loss by this array."""
        if gradient is not None:
            # A new array where there are two: the first may belong to somebody else.
            self.grad = gradient if self.grad is None else self.grad + gradient


class Call:
    """A recorded call of a layer, which runs at once or, if it waits, when it is needed."""

    def __init__(
        self, layer: Any, inputs: tuple[Any, ...], options: dict[str, Any], memory_limit: int | None
    ) -> None:
        _require_trainable(layer)
        self.layer = layer
        self.inputs, options = _bound(layer, inputs, options)
        self.done = False
        self._options = options
        self._memory_limit = memory_limit
        self._cache: Any = None
        self.outputs: list[Any] = [Value(self)]
        if names := state_names(layer):
            state = tuple(Value(self) for _ in names)
            self.outputs.append(state if len(state) > 1 else state[0])
        for value in self._input_values():
            value.uses += 1

    def waits(self) -> bool:
        """Whether a sweep can include the call: its layer is recurrent.

        Or it is that of dropout of outputs that wait.
        """
        if isinstance(self.layer, Dropout) and len(self.inputs) == 1:
            y = self.inputs[0]
            waits = isinstance(y, Value) and not y.call.done and y is y.call.outputs[0]
            return waits and isinstance(y.call.layer, Recurrent)
        return isinstance(self.layer, Recurrent)

    def run(self, *, needs_output: bool = True) -> None:
        """Run the layer forward, once."""
        if self.done:
            return
        options = self._options
        if isinstance(self.layer, Recurrent):
            options = options | {"memory_limit": self._memory_limit, "needs_output": needs_output}
        *results, self._cache = self.layer.forward(*map(arrays_of, self.inputs), **options)
        self.done = True
        for given, result in zip(self.outputs, results, strict=True):
            for value, array in zip(leaves(given), leaves(result), strict=True):
                value.set(array)

    def backward(self, source: OutputGradient | None = None) -> None:
        """Run the layer backward, from the gradients of its outputs or from a source of the first.

        A call that no gradient reaches does nothing.
        """
        gradients = [_gradient(given) for given in self.outputs]
        if source is not None:
            gradients[0] = source
        if all(gradient is None for gradient in gradients):
            self._release()
            return
        results = self.layer.backward(gradients[0], self._cache, *gradients[1:])
        self._cache = None  # frees what the layer has kept
        results = results if isinstance(results, tuple) else (results,)
        for given, result in zip(self.inputs, results, strict=False):  # no gradient for None
            for value, gradient in zip(leaves(given), leaves(result), strict=False):
                if isinstance(value, Value):
                    value.add_grad(gradient)
        self._release()

    def _release(self) -> None:
        """Free the arrays that nothing needs any more: calls after this one have gone back."""
        self._cache, self.inputs = None, ()
        for value in (leaf for given in self.outputs for leaf in leaves(given)):
            if not value.kept:
                value.set(None)

    def _input_values(self) -> list[Value]:
        found = (leaf for given in self.inputs for leaf in leaves(given))
        return [leaf for leaf in found if isinstance(leaf, Value)]


def state_names(layer: Any) -> tuple[str, ...]:
    """Return the names of the parts of the state that a layer puts out besides y; none without."""
    names: tuple[str, ...] = getattr(layer, "state_names", ())
    return names


def leaves(tree: Any) -> tuple[Any, ...]:
    """Return the parts of a state (h, c), or of one array."""
    if isinstance(tree, tuple):
        return tree
    return tuple(tree) if isinstance(tree, list) and _holds_values(tree) else (tree,)


def arrays_of(tree: Any) -> Any:
    """Return the arrays of values; data stay as they are."""
    if isinstance(tree, tuple) or (isinstance(tree, list) and _holds_values(tree)):
        return tuple(map(arrays_of, tree))
    return tree.array if isinstance(tree, Value) else tree


def state_arrays(state: Any) -> Any:
    """Return what `Model.compute` returned, with arrays for values."""
    if isinstance(state, tuple) and hasattr(state, "_fields"):
        return type(state)(*map(state_arrays, state))  # a named tuple takes its parts one by one
    if isinstance(state, tuple | list):
        return type(state)(state_arrays(part) for part in state)
    if isinstance(state, dict):
        return {name: state_arrays(part) for name, part in state.items()}
    return state.array if isinstance(state, Value) else state


def keep(state: Any) -> None:
    """Note that the values in what `Model.compute` returned are needed as arrays."""
    if isinstance(state, Value):
        state.uses += 1
        state.kept = True
    elif isinstance(state, tuple | list | dict):
        for part in state.values() if isinstance(state, dict) else state:
            keep(part)


def _require_trainable(layer: Any) -> None:
    """Raise TypeError unless `layer` has a way back."""
    if not (hasattr(layer, "forward") and hasattr(layer, "backward")):
        raise TypeError(
            f"layer: expected a layer that can be trained, got {describe(layer)}, which has no "
            "forward and backward; a frozen layer is for inference: give the layer itself"
        )


def _bound(
    layer: Any, inputs: tuple[Any, ...], options: dict[str, Any]
) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """Return inputs and options, with values given by keyword at their positions."""
    if not any(map(_holds_values, options.values())):
        return inputs, options
    names = [
        name
        for name, parameter in inspect.signature(layer.forward).parameters.items()
        if parameter.kind is parameter.POSITIONAL_OR_KEYWORD
    ]
    rest = dict(options)
    for name in names[len(inputs) :]:
        if name not in rest:
            break
        inputs = *inputs, rest.pop(name)
    for name, given in rest.items():
        if _holds_values(given):
            raise TypeError(
                f"{name}: expected data, got a value of this pass; give it by position, as in "
                "run(layer, x, state)"
            )
    return inputs, rest


def _holds_values(tree: Any) -> bool:
    if isinstance(tree, tuple | list):
        return any(isinstance(part, Value) for part in tree)
    return isinstance(tree, Value)


def _gradient(tree: Any) -> Any:
    """Return the gradient of an output, or of a tuple (h, c) of which one has a gradient."""
    values = leaves(tree)
    if all(value.grad is None for value in values):
        return None
    gradients = tuple(
        np.zeros_like(value.array) if value.grad is None else value.grad for value in values
    )
    for value in values:
        value.grad = None  # frees it after the call
    return gradients if isinstance(tree, tuple) else gradients[0]
