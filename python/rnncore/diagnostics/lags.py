"""How much the loss at time t depends on the state k steps before."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from rnncore._check import Array, floats, instance, integer, within
from rnncore._keywords import strict_keywords
from rnncore.data.batch import IdsLike
from rnncore.diagnostics.steps import SingleSteps
from rnncore.heads import Head
from rnncore.layers import Recurrent
from rnncore.layers.call import Call
from rnncore.layers.trace import suffixes
from rnncore.models import LanguageModel

__all__ = ["GradientByLag", "gradient_by_lag", "text_gradient_by_lag"]


@strict_keywords()
class GradientByLag:
    """Norms of the gradient of the loss at t by the state at t - k, for every lag k.

    `gradient_by_lag` makes it.

    Parameters
    ----------
    norms : dict of str to float64 array [K+1,T,B]
        ``norms["h_l0"][k, t, b]`` is the norm for row b of the batch, by the state h of the first
        layer. An LSTM has "c_l0" too; the reverse direction has names in "_reverse". Not a number
        where the sequence has no step t or no step t - k.

    Examples
    --------
    >>> import numpy as np, rnncore as rc
    >>> layer = rc.RNN(3, 8, rng=0)
    >>> x = np.random.default_rng(0).standard_normal((20, 4, 3), np.float32)
    >>> lags = rc.diagnostics.gradient_by_lag(layer, x, np.ones((20, 4, 8), np.float32), max_lag=10)
    >>> lags.norms["h_l0"].shape
    (11, 20, 4)
    >>> lags.mean().shape
    (11,)
    """

    def __init__(self, norms: dict[str, NDArray[np.float64]]) -> None:
        self.norms = norms

    @property
    def max_lag(self) -> int:
        """The largest lag K."""
        return len(next(iter(self.norms.values()))) - 1

    def mean(self, layer: int = -1, *, reverse: bool = False) -> NDArray[np.float64]:
        """Return the mean over time and batch of the norm by the whole state of a layer, [K+1].

        Parameters
        ----------
        layer : int
            Number of the layer; -1 is the last.
        reverse : bool
            Whether to take the reverse direction. Its state at t - k is k steps later in the text.

        Raises
        ------
        TypeError, ValueError
            If there is no such layer or direction.
        """
        names = [name for name in self.norms if name.startswith("h_")]
        names = [name for name in names if name.endswith("_reverse") == reverse]
        if not names:
            raise ValueError("reverse: expected False, got True; the layer has one direction")
        number = integer("layer", layer, -len(names), len(names) - 1)
        suffix = names[number].removeprefix("h_")
        parts = [self.norms[s] for s in (f"h_{suffix}", f"c_{suffix}") if s in self.norms]
        whole: NDArray[np.float64] = np.linalg.norm(np.stack(parts), axis=0)
        known = ~np.isnan(whole)
        count = known.sum(axis=(1, 2))
        total = np.where(known, whole, 0).sum(axis=(1, 2))
        means: NDArray[np.float64] = np.full(len(total), np.nan)
        np.divide(total, count, out=means, where=count > 0)
        return means

    def __repr__(self) -> str:
        return f"GradientByLag({', '.join(self.norms)}, max_lag={self.max_lag})"


def gradient_by_lag(
    layer: Recurrent[Any],
    x: ArrayLike,
    dy: ArrayLike | None = None,
    *,
    head: Head | None = None,
    targets: ArrayLike | None = None,
    max_lag: int | None = None,
    state: Any = None,
    lengths: ArrayLike | None = None,
) -> GradientByLag:
    r"""Return the norms :math:`\|\partial E_t / \partial s_{t-k}\|` of a recurrent layer by lag k.

    E_t is the loss at time t alone, and s the state that a step hands to the next: h, for LSTM
    (h, c), of every layer of the stack. That is the gradient which truncated back-propagation cuts
    off after k steps. The norm by the state of a lower layer is 0 at lag 0, because that state
    reaches the loss at t through no later step.

    The gradients are exact. All steps of all sequences are taken as one batch of single steps, each
    from the state before it; one backward pass of this batch moves the gradients of all losses one
    step further back. The work is that of `max_lag` backward passes over `x`. There is no dropout,
    and `grads` stay as they are.

    Parameters
    ----------
    layer : RNN, GRU or LSTM
        Of one direction, or bidirectional with a single layer.
    x : array or ids
        Inputs, as in a call of the layer.
    dy : array shaped as y, optional
        Gradient of the loss at t by the output at t.
    head : Head, optional
        Output layer and loss that give dy, in place of it.
    targets : array, optional
        What the head compares the outputs with, see `rnncore.heads.Head.losses`.
    max_lag : int, optional
        Largest lag K, below the number of steps T; None is T - 1.
    state, lengths
        As in a call of the layer.

    Returns
    -------
    lags : GradientByLag
        Norms [K+1,T,B], time first whatever the layer's ``batch_first``; B is 1 for x without one.

    Raises
    ------
    TypeError, ValueError
        If an argument does not fit, both dy and a head are given or neither, or the layer is a
        bidirectional stack: its states have no order in time.
    MemoryError
        If the steps do not fit in memory.

    Examples
    --------
    >>> import numpy as np, rnncore as rc
    >>> layer = rc.LSTM(5, 8, rng=0)
    >>> head = rc.heads.Softmax(8, 5, rng=0)
    >>> ids = np.array([0, 1, 2, 3, 4] * 5)
    >>> lags = rc.diagnostics.gradient_by_lag(layer, ids[:-1], head=head, targets=ids[1:])
    >>> lags
    GradientByLag(h_l0, c_l0, max_lag=23)
    """
    instance("layer", layer, Recurrent)
    if layer.bidirectional and layer.num_layers > 1:
        raise ValueError(
            f"layer: expected a unidirectional layer or a single bidirectional one, got {layer!r}; "
            "each output of a bidirectional layer has seen the whole sequence"
        )
    call, steps, ends = Call.of(layer, x, lengths)
    if not steps.size:
        raise ValueError(f"x: expected at least one step and one sequence, got shape {np.shape(x)}")
    num_steps, batch = steps.shape[:2]
    last = num_steps - 1
    reach = last if max_lag is None else integer("max_lag", max_lag, 0, last)
    real = within(np.full(batch, num_steps) if ends is None else ends, (num_steps, batch))
    single = SingleSteps(layer, steps, call.states("state", state), ends)

    def gradient(y: Array) -> Array:
        return _output_gradient(call, call.as_given(y), dy, head, targets)

    return GradientByLag(_norms(single, gradient, real, reach))


def text_gradient_by_lag(
    model: LanguageModel, text: str | IdsLike, max_lag: int = 50
) -> GradientByLag:
    """Return `gradient_by_lag` of a language model that reads a text.

    The loss at t is ``-ln p(x[t+1] | x[0..t])``; it is not divided by the number of tokens.

    Parameters
    ----------
    model : LanguageModel
        Its recurrent layers and its output layer.
    text : str, or integers [N]
        At least two tokens. The memory grows with the length: some thousand tokens are enough.
    max_lag : int
        Largest lag; a shorter text ends it before.

    Returns
    -------
    lags : GradientByLag
        Norms [K+1,N-1,1].

    Raises
    ------
    TypeError, ValueError
        If an argument does not fit.

    Examples
    --------
    >>> import rnncore as rc
    >>> model = rc.LanguageModel(vocab_size=10, cell="gru", hidden_size=8, num_layers=2, rng=0)
    >>> rc.diagnostics.text_gradient_by_lag(model, [1, 2, 3, 4, 5, 6], max_lag=3)
    GradientByLag(h_l0, h_l1, max_lag=3)
    """
    instance("model", model, LanguageModel)
    reach = integer("max_lag", max_lag, 0)
    ids = model.encode(text)
    if len(ids) < 2:
        raise ValueError(f"text: expected at least 2 tokens, got {len(ids)}")
    inputs = ids[:-1]
    x = inputs if model.embedding is None else model.embedding(inputs)
    return gradient_by_lag(
        model.rnn, x, head=model.output, targets=ids[1:], max_lag=min(reach, len(inputs) - 1)
    )


def _output_gradient(
    call: Call, y: Array, dy: ArrayLike | None, head: Head | None, targets: ArrayLike | None
) -> Array:
    """Return the gradient [T,B,D*H] of each step's own loss by the output at that step."""
    if (dy is None) == (head is None):
        got = "neither" if dy is None else "both"
        raise ValueError(f"dy: expected either dy or head and targets, got {got}")
    if head is None:
        return call.steps(floats("dy", dy, call.layer.dtype, y.shape))
    instance("head", head, Head)
    if targets is None:
        raise ValueError("targets: expected what the head compares the outputs with, got None")
    before = head.flat_grads.copy()
    try:
        return call.steps(head.losses_and_grad(y, targets)[1])
    finally:
        head.flat_grads[:] = before


def _norms(
    single: SingleSteps,
    gradient: Callable[[Array], Array],
    real: NDArray[np.bool_],
    max_lag: int,
) -> dict[str, NDArray[np.float64]]:
    """Return norms [K+1,T,B] by name of the state; not a number where there is none."""
    layer = single.layer
    dy = np.where(real[..., np.newaxis], gradient(single.y), 0)
    directions = layer.num_directions
    shape = (layer.num_layers * directions, *real.shape, layer.hidden_size)
    grads = tuple(np.zeros(shape, layer.dtype) for _ in layer.state_names)
    grads[0][-directions:] = np.stack(np.split(dy, directions, axis=-1))
    names = [f"{name}_{suffix}" for name in layer.state_names for suffix in suffixes(layer)]
    norms = {name: np.full((max_lag + 1, *real.shape), np.nan) for name in names}
    for lag in range(max_lag + 1):
        if lag:
            grads = single.back(grads)
        rows = (row for state in grads for row in state)
        for name, row in zip(names, rows, strict=True):
            # of this lag, the gradient by the state at s is that of the loss at s + lag
            size = np.sqrt(np.square(row, dtype=np.float64).sum(axis=-1))
            at, of = slice(None, len(size) - lag), slice(lag, None)
            if name.endswith("_reverse"):
                at, of = of, at
            both = real[at] & real[of]
            norms[name][lag][of] = np.where(both, size[at], np.nan)
    return norms
