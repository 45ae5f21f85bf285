"""CTC: labels of a sequence of frames, whose times are not known."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, DTypeLike, NDArray

from rnncore import _core
from rnncore._advice import advise
from rnncore._check import Array, check_shape, choice, describe, real, size
from rnncore.ctc.frames import packed, unpacked
from rnncore.ctc.labels import Labels, as_labels, checked_blank
from rnncore.heads.head import Head
from rnncore.losses import log_softmax

__all__ = ["CTC"]


class CTC(Head):
    r"""Probability of C symbols at every frame, with the loss of a sequence of labels.

    .. math:: p_t = softmax(W y_t + b), \qquad
              \ell = -\log \sum_{\pi : B(\pi) = l} \prod_t p_t(\pi_t)

    One of the symbols is the blank. A path takes one symbol per frame; B merges repeats and leaves
    out blanks (Graves, Fernandez, Gomez and Schmidhuber 2006, ICML). `rnncore.ctc` decodes
    `log_probabilities` and aligns labels with them.

    The mean of the losses is per label; a sequence without labels counts as one.

    Parameters
    ----------
    input_size : int
        Width H of the inputs.
    num_symbols : int
        Number of symbols C, the blank among them.
    blank : int
        Id of the blank.
    impossible : {"skip", "error"}
        What to do with a sequence that has fewer frames than its labels need, see
        `ctc.frames_needed`. "skip" gives it the loss 0, no gradient and no part in the mean; the
        first such batch is warned of, and `skipped` counts these sequences. "error" raises a
        ValueError that names them.
    bias, dtype, compute, rng
        As in `Linear`.

    Attributes
    ----------
    skipped : int
        How many impossible sequences this head has been given.

    Raises
    ------
    TypeError, ValueError
        If an argument has the wrong type or value.

    Examples
    --------
    >>> import numpy as np, rnncore as rc
    >>> head = rc.heads.CTC(input_size=8, num_symbols=4, rng=0)
    >>> y = np.ones((6, 2, 8), np.float32)  # [T,B,H]
    >>> losses, dy = head.losses_and_grad(y, [[1, 2], [3]], lengths=[6, 4])
    >>> losses.shape, dy.shape
    ((2,), (6, 2, 8))
    """

    _unsaved = frozenset({"rng"})

    def __init__(
        self,
        input_size: int,
        num_symbols: int,
        blank: int = 0,
        *,
        impossible: str = "skip",
        bias: bool = True,
        dtype: DTypeLike = np.float32,
        compute: str | None = None,
        rng: np.random.Generator | int | None = None,
    ) -> None:
        self.num_symbols = size("num_symbols", num_symbols)
        self.blank = checked_blank(blank, self.num_symbols)
        self.impossible = choice("impossible", impossible, ("skip", "error"))
        self.skipped = 0
        super().__init__(input_size, num_symbols, bias=bias, dtype=dtype, compute=compute, rng=rng)

    def counting(
        self, targets: Any, lengths: ArrayLike | None, shape: Callable[[], tuple[int, ...]]
    ) -> Labels:
        """Return the labels of each sequence, checked; see `Head.counting`."""
        return self._labels(targets, lengths, shape())

    def count(self, targets: Labels) -> float:
        """Return the number of labels of the sequences that have a path, at least 1 for each."""
        return int(np.maximum(targets.counts, 1)[targets.possible].sum())

    def losses(
        self, y: ArrayLike, targets: Any, lengths: ArrayLike | None = None
    ) -> NDArray[np.float64]:
        """Return the loss of each sequence.

        Parameters
        ----------
        y : array [T,B,H]
            Inputs of the output layer.
        targets : list of B sequences of ids, or integers [B,U]
            Labels, in [0, C) and not the blank. In an array, -100 follows the labels of a sequence.
        lengths : integers [B], optional
            Frames of each sequence; None is T for all.

        Returns
        -------
        float64 array [B]
            In nats; 0 where the labels are impossible. NaN where an output is NaN or infinite.

        Raises
        ------
        TypeError, ValueError
            If an array has another type or shape, a label is outside its range, or `impossible` is
            "error" and there is such a sequence.
        """
        array, labels = self._given(y, targets, lengths)
        z = self._product(packed(array, labels))
        losses = _core.ctc_losses(z, labels.frames, labels.ids, labels.counts, self.blank)
        return np.where(labels.possible, losses, 0.0)

    def losses_and_grad(
        self, y: ArrayLike, targets: Any, scale: float = 1.0, lengths: ArrayLike | None = None
    ) -> tuple[NDArray[np.float64], Array]:
        """Return the loss of each sequence [B] and the gradient of ``scale * sum`` by y [T,B,H].

        The gradients of W and b are added to `grads`. Parameters and errors are those of `losses`.
        """
        factor = real("scale", scale)
        array, labels = self._given(y, targets, lengths)
        rows = packed(array, labels)
        z = self._product(rows)
        losses = _core.ctc_gradient(z, labels.frames, labels.ids, labels.counts, self.blank, factor)
        # dW += dz^T y, db += sum dz, dy = dz W
        dy = _core.linear_backward(
            z, rows, self.weight, self._weight_grad, self.grads.get("bias"), self.compute
        )
        return np.where(labels.possible, losses, 0.0), unpacked(dy, labels)

    def log_probabilities(self, y: ArrayLike) -> NDArray[Any]:
        """Return ln p [...,C] of every symbol, for y [...,H]."""
        return log_softmax(self(y))

    def _given(self, y: ArrayLike, targets: Any, lengths: ArrayLike | None) -> tuple[Array, Labels]:
        array = self._checked(y, "y")
        return array, self._labels(targets, lengths, array.shape)

    def _labels(self, targets: Any, lengths: ArrayLike | None, shape: tuple[int, ...]) -> Labels:
        if isinstance(targets, Labels):
            check_shape("y", np.broadcast_to(0, shape), (*targets.shape, self.input_size))
            return targets
        if len(shape) != 3:
            raise ValueError(
                f"y: expected shape [T, B, {self.input_size}], got "
                f"{describe(np.broadcast_to(self.dtype.type(0), shape))}"
            )
        labels = as_labels(targets, shape[:2], lengths, self.num_symbols, self.blank)
        impossible = labels.impossible()
        if impossible and self.impossible == "error":
            raise ValueError(f"targets: expected no more labels than fit, but {impossible}")
        if impossible:
            if not self.skipped:
                advise(
                    f"targets: {impossible}; such sequences do not count. This is the only "
                    f"warning: `skipped` of the head counts them"
                )
            self.skipped += int(np.count_nonzero(~labels.possible))
        return labels
