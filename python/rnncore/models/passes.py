"""Pass: one run through a model, and the tape by which it goes back.

`Model.compute` calls layers through a pass. A `Pass` as such runs them and keeps nothing: it is
inference. `LossPass` also computes losses, and `TrainingPass` records every call of a layer, so
that `TrainingPass.backward` can call their backward passes in the reverse order. The tape holds
whole layer calls; it does no arithmetic but the addition of gradients where a value is used twice.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from rnncore._check import instance, real
from rnncore._keywords import strict_keywords
from rnncore.heads import Head, RowHead
from rnncore.layers import Dropout, Module, OutputGradient, Recurrent
from rnncore.models.tape import Call, Value, arrays_of, keep

__all__ = ["CountingPass", "LossPass", "Pass", "TrainingPass", "Value"]


@strict_keywords()
class Pass:
    """Inference: runs layers, and takes note of what the heads are given.

    Attributes
    ----------
    outputs : list of (Head, array)
        Each head of the model with the array y that it was given, in the order of the calls.
    layers : list
        What was run, in the order of the calls.

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
        self.layers: list[Any] = []

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
        self.layers.append(layer)
        return layer(*inputs, **options)  # type: ignore[operator]

    def loss(
        self,
        head: Head,
        y: Any,
        targets: Any,
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
        targets : array, or what else the head takes
            See `losses` of the head.
        lengths : integers [B], optional
            Steps that count, where y is [T,B,H]; None: all.
        weight : float
            Factor of this loss.
        """
        instance("head", head, Head)
        self.outputs.append((head, y))


@strict_keywords()
class LossPass(Pass):
    """Inference with losses: no dropout, no gradient.

    Attributes
    ----------
    losses : list of float64 array
        Loss of every target, or of every sequence for `CTC`; one array for each head.
    counts : list of float
        What the mean of each head divides by.
    means : list of float
        Weighted mean of each head's losses.
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
        self.counts: list[float] = []
        self.means: list[float] = []
        self.total = 0.0

    def loss(
        self,
        head: Head,
        y: Any,
        targets: Any,
        *,
        lengths: ArrayLike | None = None,
        weight: float = 1.0,
    ) -> None:
        """Compute the losses; see `Pass.loss`."""
        super().loss(head, y, targets, lengths=lengths, weight=weight)
        wanted = _counting(head, y, targets, lengths)
        losses = head.losses(y, wanted)
        self.losses.append(losses)
        self.counts.append(head.count(wanted))
        self.means.append(weight * float(losses.sum()) / (self.counts[-1] or 1))
        self.total += self.means[-1]


class CountingPass(Pass):
    """Inference that counts the targets; no loss is computed."""

    def __init__(self) -> None:
        super().__init__()
        self.counts: list[float] = []

    def loss(
        self,
        head: Head,
        y: Any,
        targets: Any,
        *,
        lengths: ArrayLike | None = None,
        weight: float = 1.0,
    ) -> None:
        """Count the targets; see `Pass.loss`."""
        super().loss(head, y, targets, lengths=lengths, weight=weight)
        self.counts.append(head.count(_counting(head, y, targets, lengths)))


@strict_keywords()
class TrainingPass(Pass):
    """A pass with dropout that is recorded for `backward`.

    Parameters
    ----------
    memory_limit : int, optional
        Bytes that each recurrent layer may keep, see `RNN.forward`.

    Attributes
    ----------
    counts : list of float
        What the mean of each head divides by.
    counts_all : bool
        Whether every target counts alike: there are no lengths and no weights of classes.
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
        self.counts: list[float] = []
        self.counts_all = True
        self.total = 0.0
        self._memory_limit = memory_limit
        self._calls: list[Call] = []
        self._losses: list[tuple[Head, Any, Any, float]] = []

    def __call__(self, layer: Module, *inputs: Any, **options: Any) -> Any:
        """Run a layer and record the call; see `Pass.__call__`."""
        call = Call(layer, inputs, options, self._memory_limit)
        self.layers.append(layer)
        self._calls.append(call)
        if not call.waits():
            call.run()
        return call.outputs[0] if len(call.outputs) == 1 else tuple(call.outputs)

    def loss(
        self,
        head: Head,
        y: Any,
        targets: Any,
        *,
        lengths: ArrayLike | None = None,
        weight: float = 1.0,
    ) -> None:
        """Take note of a loss, which `backward` computes; see `Pass.loss`."""
        super().loss(head, y, targets, lengths=lengths, weight=weight)
        wanted = _counting(head, y, targets, lengths)
        if isinstance(y, Value):
            y.uses += 1
        self.counts.append(head.count(wanted))
        self.counts_all = self.counts_all and lengths is None and not head.weighs
        self._losses.append((head, y, wanted, real("weight", weight)))

    def keep(self, state: Any) -> None:
        """Note that the arrays of a state are needed after `backward`."""
        keep(state)

    def backward(self, scale: float = 1.0, shares: Sequence[float] | None = None) -> float:
        """Compute the losses and add the gradients of ``scale * total`` to those of the model.

        Parameters
        ----------
        scale : float
            Factor of the gradients.
        shares : sequence of float, optional
            Factor of each head's mean, such as the share of a piece in a sequence; None: all are 1.

        Returns
        -------
        total : float
            Sum of the weighted means of the losses.
        """
        sweeps: dict[Call, tuple[OutputGradient, float, float]] = {}
        given = [1.0] * len(self.counts) if shares is None else shares
        for loss, count, share in zip(self._losses, self.counts, given, strict=True):
            head, y, targets, weight = loss
            factor = weight / (count or 1)
            call, dropout = _sweep(y)
            if call is not None and isinstance(head, RowHead):
                call.run(needs_output=False)
                source = head.output_gradient(targets, scale * share * factor, dropout)
                sweeps[call] = source, factor, share
                continue
            losses, dy = head.losses_and_grad(arrays_of(y), targets, scale * share * factor)
            self.total += share * (factor * float(losses.sum()))
            if isinstance(y, Value):
                y.add_grad(dy)
        for call in reversed(self._calls):
            sweep = sweeps.get(call)
            if sweep is None:
                call.backward()
                continue
            source, factor, share = sweep
            call.backward(source)
            self.total += share * (factor * source.loss)
        self._calls.clear()
        self._losses.clear()
        return self.total


def _sweep(y: Any) -> tuple[Call | None, Dropout | None]:
    """Return the recurrent call that can make the gradient of y itself, and the dropout before y.

    It can where nothing but one loss needs its outputs.
    """
    call, dropout = _waiting(y), None
    if call is not None and isinstance(call.layer, Dropout):
        dropout, call = call.layer, _waiting(call.inputs[0])
    if call is None or not isinstance(call.layer, Recurrent):
        return None, None
    return call, dropout


def _waiting(y: Any) -> Call | None:
    """Return the call whose first output is y, if it has not been run and is used once."""
    if not isinstance(y, Value) or y.call.done or y.uses > 1 or y is not y.call.outputs[0]:
        return None
    return y.call


def _counting(head: Head, y: Any, targets: Any, lengths: ArrayLike | None) -> Any:
    """Return the targets, without loss past the ends of their sequences."""
    if targets is None:
        raise TypeError(
            "targets: expected an array, got None; give the batch targets, or let compute call "
            "run.loss with what it compares with, such as batch.inputs"
        )
    return head.counting(targets, lengths, lambda: arrays_of(y).shape)
