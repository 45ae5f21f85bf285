"""Pass: one run through a model, and the tape by which it goes back.

`Model.compute` calls layers through a pass. A `Pass` as such runs them and keeps nothing: it is
inference. `LossPass` also computes losses, and `TrainingPass` records every call of a layer, so
that `TrainingPass.backward` can call their backward passes in the reverse order. The tape holds
whole layer calls; it does no arithmetic but the addition of gradients where a value is used twice.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from rnncore._check import Array, instance, lengths_array, real, within
from rnncore.heads import Head
from rnncore.layers import Dropout, Module, OutputGradient, Recurrent

__all__ = ["LossPass", "Pass", "TrainingPass", "Value"]


class Pass:
    """Inference: runs layers, and takes note of what the heads are given.

    Attributes
    ----------
    outputs : list of (Head, array)
        Each head of the model with the array y that it was given, in the order of the calls.

    Examples
    --------
    >>> import numpy as np, rnncore as rc
    >>> rnn, head = rc.GRU(3, 8, rng=0), rc.heads.Softmax(8, 2, rng=0)
    >>> x, targets = np.ones((5, 1, 3), np.float32), np.ones((5, 1), int)
    >>> run = rc.Pass()
    >>> y, state = run(rnn, x)
    >>> run.loss(head, y, targets)
    >>> [z.shape for _, z in run.outputs]
    [(5, 1, 8)]
    """

    def __init__(self) -> None:
        self.outputs: list[tuple[Head, Any]] = []

    def __call__(self, layer: Module, *inputs: Any, **options: Any) -> Any:
        """Run a layer.

        Parameters
        ----------
        layer : layer
            An attribute of the model.
        *inputs : values, arrays or None
            What the layer takes: results of other calls, or data. No gradient reaches data.
        **options
            Further arguments of the layer, such as ``lengths``.

        Returns
        -------
        value, or tuple of values
            What the layer returns.
        """
        return layer(*inputs, **options)  # type: ignore[operator]

    def loss(
        self,
        head: Head,
        y: Any,
        targets: ArrayLike | None,
        *,
        lengths: ArrayLike | None = None,
        weight: float = 1.0,
    ) -> None:
        """Compare a value with targets: the model's loss is the sum of the means of these losses.

        Parameters
        ----------
        head : Head
            Output layer and loss.
        y : value [...,H]
            What the head is given.
        targets : array
            See `Head.losses`.
        lengths : integers [B], optional
            Steps that count, where y is [T,B,H]; None: all.
        weight : float
            Factor of this loss.
        """
        instance("head", head, Head)
        self.outputs.append((head, y))


class LossPass(Pass):
    """Inference with losses: no dropout, no gradient.

    Attributes
    ----------
    losses : list of float64 array
        Loss of every target, one array for each head.
    total : float
        Sum of the weighted means.

    Examples
    --------
    >>> import numpy as np, rnncore as rc
    >>> rnn, head = rc.GRU(3, 8, rng=0), rc.heads.Softmax(8, 2, rng=0)
    >>> x, targets = np.ones((5, 1, 3), np.float32), np.ones((5, 1), int)
    >>> run = rc.models.LossPass()
    >>> y, state = run(rnn, x)
    >>> run.loss(head, y, targets)
    >>> run.losses[0].shape, 0 < run.total < 2
    ((5, 1), True)
    """

    def __init__(self) -> None:
        super().__init__()
        self.losses: list[NDArray[np.float64]] = []
        self.total = 0.0

    def loss(
        self,
        head: Head,
        y: Any,
        targets: ArrayLike | None,
        *,
        lengths: ArrayLike | None = None,
        weight: float = 1.0,
    ) -> None:
        """Compute the losses; see `Pass.loss`."""
        super().loss(head, y, targets, lengths=lengths, weight=weight)
        wanted = _counting(head, targets, lengths)
        losses = head.losses(y, wanted)
        self.losses.append(losses)
        self.total += weight * float(losses.sum()) / max(1, head.count(wanted))


class Value:
    """An array of a training pass, and the gradient of the loss by it.

    Arithmetic on arrays is not recorded: combine values by layers, such as `Concatenate` and `Add`.
    """

    __array_ufunc__ = None  # NumPy refuses it with a TypeError, instead of an array of objects

    def __init__(self, call: _Call) -> None:
        self.call = call
        self.uses = 0
        self.grad: Array | None = None
        self._array: Array | None = None

    @property
    def array(self) -> Array:
        """The array; a layer that waited for it is run now."""
        self.call.run()
        if self._array is None:
            raise RuntimeError("value: its layer was run without this output")
        return self._array

    def set(self, array: Array | None) -> None:
        """Take the array that the call has computed."""
        self._array = array

    def add_grad(self, gradient: Array | None) -> None:
        """Add to the gradient of the loss by this array."""
        if gradient is not None:
            # A new array where there are two: the first may belong to somebody else.
            self.grad = gradient if self.grad is None else self.grad + gradient


class _Call:
    """A recorded call of a layer, which runs at once or, if it waits, when it is needed."""

    def __init__(
        self, layer: Any, inputs: tuple[Any, ...], options: dict[str, Any], memory_limit: int | None
    ) -> None:
        self.layer = layer
        self.inputs = inputs
        self.done = False
        self._options = options
        self._memory_limit = memory_limit
        self._cache: Any = None
        self.outputs: list[Any] = [Value(self)]
        if isinstance(layer, Recurrent):
            state = tuple(Value(self) for _ in layer.state_names)
            self.outputs.append(state if len(state) > 1 else state[0])
        for value in self._input_values():
            value.uses += 1

    def waits(self) -> bool:
        """Whether the call may be made part of a sweep: it is that of a recurrent layer.

        Or it is that of dropout of outputs that wait.
        """
        if isinstance(self.layer, Dropout):
            (y,) = self.inputs
            return isinstance(y, Value) and not y.call.done and y is y.call.outputs[0]
        return isinstance(self.layer, Recurrent)

    def run(self, *, needs_output: bool = True) -> None:
        """Run the layer forward, once."""
        if self.done:
            return
        options = self._options
        if isinstance(self.layer, Recurrent):
            options = options | {"memory_limit": self._memory_limit, "needs_output": needs_output}
        *results, self._cache = self.layer.forward(*map(_arrays, self.inputs), **options)
        self.done = True
        for given, result in zip(self.outputs, results, strict=True):
            for value, array in zip(_leaves(given), _leaves(result), strict=True):
                value.set(array)

    def backward(self, source: OutputGradient | None = None) -> None:
        """Run the layer backward, from the gradients of its outputs or from a source of the first.

        A call that no gradient reaches does nothing.
        """
        gradients = [_gradient(given) for given in self.outputs]
        if source is not None:
            gradients[0] = source
        if all(gradient is None for gradient in gradients):
            return
        results = self.layer.backward(gradients[0], self._cache, *gradients[1:])
        self._cache = None  # frees what the layer has kept
        results = results if isinstance(results, tuple) else (results,)
        for given, result in zip(self.inputs, results, strict=False):  # no gradient for None
            for value, gradient in zip(_leaves(given), _leaves(result), strict=False):
                if isinstance(value, Value):
                    value.add_grad(gradient)

    def _input_values(self) -> list[Value]:
        leaves = (leaf for given in self.inputs for leaf in _leaves(given))
        return [leaf for leaf in leaves if isinstance(leaf, Value)]


class TrainingPass(Pass):
    """A pass with dropout that is recorded for `backward`.

    Parameters
    ----------
    memory_limit : int, optional
        Bytes that each recurrent layer may keep, see `RNN.forward`.

    Attributes
    ----------
    total : float
        Sum of the weighted means of the losses, once `backward` has computed it.

    Examples
    --------
    >>> import numpy as np, rnncore as rc
    >>> rnn, head = rc.GRU(3, 8, rng=0), rc.heads.Softmax(8, 2, rng=0)
    >>> x, targets = np.ones((5, 1, 3), np.float32), np.ones((5, 1), int)
    >>> run = rc.models.TrainingPass()
    >>> y, state = run(rnn, x)
    >>> run.loss(head, y, targets)
    >>> loss = run.backward()  # adds to rnn.grads and head.grads
    >>> 0 < loss < 2
    True
    """

    def __init__(self, memory_limit: int | None = None) -> None:
        super().__init__()
        self.total = 0.0
        self._memory_limit = memory_limit
        self._calls: list[_Call] = []
        self._losses: list[tuple[Head, Any, Any, float]] = []

    def __call__(self, layer: Module, *inputs: Any, **options: Any) -> Any:
        """Run a layer and record the call; see `Pass.__call__`."""
        call = _Call(layer, inputs, options, self._memory_limit)
        self._calls.append(call)
        if not call.waits():
            call.run()
        return call.outputs[0] if len(call.outputs) == 1 else tuple(call.outputs)

    def loss(
        self,
        head: Head,
        y: Any,
        targets: ArrayLike | None,
        *,
        lengths: ArrayLike | None = None,
        weight: float = 1.0,
    ) -> None:
        """Take note of a loss, which `backward` computes; see `Pass.loss`."""
        super().loss(head, y, targets, lengths=lengths, weight=weight)
        wanted = _counting(head, targets, lengths)
        if isinstance(y, Value):
            y.uses += 1
        self._losses.append((head, y, wanted, real("weight", weight)))

    def backward(self, scale: float = 1.0) -> float:
        """Compute the losses and add the gradients of ``scale * total`` to those of the model.

        Returns
        -------
        total : float
            Sum of the weighted means of the losses.
        """
        sweeps: dict[_Call, tuple[OutputGradient, float]] = {}
        for head, y, targets, weight in self._losses:
            factor = weight / max(1, head.count(targets))
            call, dropout = _sweep(y)
            if call is not None:
                call.run(needs_output=False)
                source = head.output_gradient(targets, scale * factor, dropout)
                sweeps[call] = source, factor
                continue
            losses, dy = head.losses_and_grad(_arrays(y), targets, scale * factor)
            self.total += factor * float(losses.sum())
            if isinstance(y, Value):
                y.add_grad(dy)
        for call in reversed(self._calls):
            sweep = sweeps.get(call)
            if sweep is None:
                call.backward()
                continue
            source, factor = sweep
            call.backward(source)
            self.total += factor * source.loss
        self._calls.clear()
        self._losses.clear()
        return self.total


def _sweep(y: Any) -> tuple[_Call | None, Dropout | None]:
    """Return the recurrent call that can make the gradient of y itself, and the dropout before y.

    It can where nothing but one loss needs its outputs.
    """
    call, dropout = _waiting(y), None
    if call is not None and isinstance(call.layer, Dropout):
        dropout, call = call.layer, _waiting(call.inputs[0])
    return call, dropout


def _waiting(y: Any) -> _Call | None:
    """Return the call whose first output is y, if it has not been run and is used once."""
    if not isinstance(y, Value) or y.call.done or y.uses > 1 or y is not y.call.outputs[0]:
        return None
    return y.call


def _counting(head: Head, targets: ArrayLike | None, lengths: ArrayLike | None) -> Any:
    """Return the targets, without loss past the ends of their sequences."""
    if lengths is None:
        return targets
    array = np.asarray(targets)
    shape = array.shape[:2]
    return head.ignored(array, within(lengths_array(lengths, shape), shape))


def _leaves(tree: Any) -> tuple[Any, ...]:
    """Return the parts of a state (h, c), or of one array."""
    return tree if isinstance(tree, tuple) else (tree,)


def _arrays(tree: Any) -> Any:
    """Return the arrays of values; data stay as they are."""
    if isinstance(tree, tuple):
        return tuple(map(_arrays, tree))
    return tree.array if isinstance(tree, Value) else tree


def _gradient(tree: Any) -> Any:
    """Return the gradient of an output, or of a tuple (h, c) of which one has a gradient."""
    values = _leaves(tree)
    if all(value.grad is None for value in values):
        return None
    gradients = tuple(
        np.zeros_like(value.array) if value.grad is None else value.grad for value in values
    )
    for value in values:
        value.grad = None  # frees it after the call
    return gradients if isinstance(tree, tuple) else gradients[0]
