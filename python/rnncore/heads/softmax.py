"""Softmax with cross-entropy: one of V classes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, DTypeLike, NDArray

from rnncore._check import Array, as_array, check_below, describe, ids_array
from rnncore.heads.head import IGNORED, Head

__all__ = ["Softmax"]


class Softmax(Head):
    r"""Probability of each of V classes, with cross-entropy as its loss.

    .. math:: p = softmax(W y + b), \qquad \ell = -w_{target} \log p_{target}

    Targets of -100 do not count.

    Parameters
    ----------
    input_size : int
        Width H of the inputs.
    output_size : int
        Number of classes V.
    bias : bool
        Whether there is b.
    class_weights : V numbers, or None
        Factor w of each class's loss. The mean divides by the sum of the weights. None: all are 1.
    dtype, compute, rng
        As in `Linear`.

    Raises
    ------
    TypeError, ValueError
        If an argument has the wrong type or value.
    """

    kind = "softmax"

    def __init__(
        self,
        input_size: int,
        output_size: int,
        *,
        bias: bool = True,
        class_weights: Sequence[float] | None = None,
        dtype: DTypeLike = np.float32,
        compute: str | None = None,
        rng: np.random.Generator | int | None = None,
    ) -> None:
        super().__init__(input_size, output_size, bias=bias, dtype=dtype, compute=compute, rng=rng)
        self._class_weights: Array | None = None
        if class_weights is not None:
            weights = as_array("class_weights", class_weights)
            if weights.dtype.kind not in "fiu":
                raise TypeError(f"class_weights: expected numbers, got {describe(class_weights)}")
            weights = weights.astype(self.dtype)
            good = weights.shape == (self.output_size,) and bool(np.all(weights >= 0))
            if not (good and bool(np.all(np.isfinite(weights)))):
                raise ValueError(
                    f"class_weights: expected {self.output_size} finite numbers of at least 0, got "
                    f"{describe(class_weights)}"
                )
            self._class_weights = weights
        self.class_weights = None if class_weights is None else weights.tolist()

    def log_probabilities(self, y: ArrayLike) -> NDArray[Any]:
        """Return ln p [...,V] of every class, for y [...,H]."""
        z = self(y)
        z -= z.max(axis=-1, keepdims=True)
        z -= np.log(np.exp(z).sum(axis=-1, keepdims=True))
        return z

    def count(self, targets: ArrayLike) -> float:
        """Return the number of targets that count, or the sum of their weights."""
        classes = ids_array("targets", targets)
        if self._class_weights is None:
            return int(np.count_nonzero(classes != IGNORED))
        weights = self._weights_of(classes)
        return 0.0 if weights is None else float(weights.sum(dtype=np.float64))

    def ignored(self, targets: Array, steps: NDArray[np.bool_]) -> Array:
        """Return targets [...] with -100 outside of `steps` [...]."""
        return np.where(steps, np.asarray(targets, np.int64), IGNORED)

    def _weights_of(self, targets: ArrayLike) -> Array | None:
        if self._class_weights is None:
            return None
        classes = ids_array("targets", targets)
        check_below("targets", classes, self.output_size, IGNORED)
        counts = classes != IGNORED
        return np.where(counts, self._class_weights[np.where(counts, classes, 0)], 0)
