"""The loss of connectionist temporal classification and its gradient."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from rnncore import _core, _memory
from rnncore._check import Array, real
from rnncore.ctc.frames import frames_array, packed, unpacked
from rnncore.ctc.labels import Labels, as_labels, checked_blank

__all__ = ["loss", "loss_and_grad"]


def loss(
    logits: ArrayLike, targets: Any, lengths: ArrayLike | None = None, *, blank: int = 0
) -> Any:
    r"""Loss of each sequence: the negative logarithm of the probability of its labels.

    .. math:: \ell = -\log \sum_{\pi : B(\pi) = l} \prod_t p_t(\pi_t), \qquad p_t = softmax(z_t)

    A path takes one symbol per frame; B merges repeats and leaves out blanks (Graves, Fernandez,
    Gomez and Schmidhuber 2006, ICML). The sum over paths is computed in logarithms, in the dtype of
    the logits; the loss does not lose digits with the number of frames.

    Parameters
    ----------
    logits : array [T,B,C], or [T,C] of one sequence; float32 or float64
        Unnormalized log-probabilities z. Log-probabilities will do: their softmax is what they are
        the logarithms of. Minus infinity is a probability of 0.
    targets : list of B sequences of ids, or integers [B,U]; ids [L] of one sequence
        Labels, in [0, C) and not the blank. In an array, -100 follows the labels of a sequence. A
        sequence may have none.
    lengths : integers [B], or a number, optional
        Frames of each sequence; None is T for all. What lies past the end is not read.
    blank : int
        Id of the blank.

    Returns
    -------
    float64 array [B], or float of one sequence
        In nats. Infinity where no path leads to the labels: there are fewer frames than
        `frames_needed`, or a probability is 0. NaN where a frame holds NaN or infinity, or minus
        infinity alone.

    Raises
    ------
    TypeError, ValueError
        If an array has another type or shape, or a label lies outside its range.

    Examples
    --------
    >>> import numpy as np, rnncore as rc
    >>> z = np.log([[0.6, 0.4], [0.6, 0.4]])  # two frames: a blank and one label
    >>> p = float(np.exp(-rc.ctc.loss(z, [1])))
    >>> round(p, 3)  # 1 - 0.6 * 0.6: all paths but that of two blanks
    0.64
    """
    z, labels, single = _batch(logits, targets, lengths, blank)
    losses = _core.ctc_losses(packed(z, labels), *_arrays(labels), blank)
    return float(losses[0]) if single else losses


def loss_and_grad(
    logits: ArrayLike,
    targets: Any,
    lengths: ArrayLike | None = None,
    *,
    blank: int = 0,
    scale: float = 1.0,
) -> tuple[Any, Array]:
    r"""Loss of each sequence and the gradient of ``scale * sum`` by the logits.

    .. math:: \partial\ell / \partial z_t(k) = softmax(z_t)(k) - P(\pi_t = k | l)

    Parameters and errors are those of `loss`, and:

    Parameters
    ----------
    scale : float
        Factor of the gradient: 1/B for the mean.

    Returns
    -------
    losses : float64 array [B], or float of one sequence
        As of `loss`.
    dlogits : array [T,B,C] or [T,C]
        In the dtype of the logits; 0 past the end of a sequence. A sequence whose loss is infinite
        has the gradient 0: it is left out of the sum. One whose loss is NaN has the gradient NaN.

    Examples
    --------
    >>> import numpy as np, rnncore as rc
    >>> z = np.zeros((5, 2, 4), np.float32)
    >>> losses, dz = rc.ctc.loss_and_grad(z, [[1, 2], [3, 3, 3]], lengths=[5, 4])
    >>> losses.round(2).tolist(), bool(np.abs(dz[:, 1]).max() > 0)
    ([3.38, inf], False)
    """
    z, labels, single = _batch(logits, targets, lengths, blank)
    rows = packed(z, labels)
    if np.may_share_memory(rows, z):
        _memory.require(z.nbytes, f"dlogits {list(z.shape)}")
        rows = rows.copy()
    losses = _core.ctc_gradient(rows, *_arrays(labels), blank, real("scale", scale))
    gradient = unpacked(rows, labels)
    return (float(losses[0]), gradient[:, 0]) if single else (losses, gradient)


def _batch(
    logits: ArrayLike, targets: Any, lengths: ArrayLike | None, blank: int
) -> tuple[Array, Labels, bool]:
    """Return logits [T,B,C] and labels, checked, and whether there is one sequence [T,C]."""
    z, single = frames_array("logits", logits)
    if single:
        targets = [targets]
        lengths = None if lengths is None else np.atleast_1d(lengths)
    symbols = z.shape[2]
    labels = as_labels(targets, z.shape[:2], lengths, symbols, checked_blank(blank, symbols))
    return z, labels, single


def _arrays(labels: Labels) -> tuple[Array, Array, Array]:
    """Return labels as the kernel takes them."""
    return labels.frames, labels.ids, labels.counts
