"""Softmax with cross-entropy: one of V classes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, DTypeLike, NDArray

from rnncore._check import (
    Array,
    as_array,
    check_below,
    describe,
    float_dtype,
    ids_array,
    instance,
    real,
    size,
)
from rnncore.heads.head import IGNORED
from rnncore.heads.held import HeldSoftmax
from rnncore.heads.rows import RowHead
from rnncore.layers import Embedding
from rnncore.losses import log_softmax

__all__ = ["Softmax"]


class Softmax(RowHead):
    r"""Probability of each of V classes, with cross-entropy as its loss.

    .. math:: p = softmax(W y + b), \qquad \ell = -w_{target} \log p_{target}

    Targets of -100 do not count. With label smoothing e, training minimizes the cross-entropy
    against ``(1 - e) one_hot(target) + e / V`` instead (Szegedy et al. 2016, arXiv 1512.00567);
    `losses`, and so validations, remain as above.

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
    label_smoothing : float
        Share e of each target, in [0, 1), that training spreads over all classes; not together with
        `class_weights`.
    tied : Embedding or None
        Layer of the same model whose matrix [V,H] is W here too (Press and Wolf 2017, arXiv
        1608.05859). The gradients of both uses add up. Only b is a parameter of this layer, which
        is copied and saved with the embedding alone. None: W is the layer's own.
    dtype, compute, rng
        As in `Linear`.

    Raises
    ------
    TypeError, ValueError
        If an argument has the wrong type or value.
    """

    kind = "softmax"

    _unsaved = frozenset({"rng", "tied"})

    def __init__(
        self,
        input_size: int,
        output_size: int,
        *,
        bias: bool = True,
        class_weights: Sequence[float] | None = None,
        label_smoothing: float = 0.0,
        tied: Embedding | None = None,
        dtype: DTypeLike = np.float32,
        compute: str | None = None,
        rng: np.random.Generator | int | None = None,
    ) -> None:
        if tied is not None:
            _require_fitting(tied, (output_size, input_size), dtype)
        self.__dict__["_tied"] = tied  # assigned, it would become a part of this layer
        weights = _class_weights(class_weights, output_size, float_dtype(dtype))
        self.class_weights = None if weights is None else weights.tolist()
        self._label_smoothing = real("label_smoothing", label_smoothing, 0, 1, open_high=True)
        if weights is not None and self._label_smoothing > 0:
            raise ValueError(
                "label_smoothing: expected 0 with class_weights, got "
                f"{self._label_smoothing:g}; spread over classes, a target has no weight of its own"
            )
        super().__init__(input_size, output_size, bias=bias, dtype=dtype, compute=compute, rng=rng)
        self._class_weights = weights

    @property
    def label_smoothing(self) -> float:
        """Share of each target that training spreads over all classes."""
        return self._label_smoothing

    @property
    def tied(self) -> Embedding | None:
        """Layer that W belongs to; None is this one."""
        tied: Embedding | None = self.__dict__["_tied"]
        return tied

    @property
    def weight(self) -> Array:
        """W [V,H], a view."""
        return super().weight if self.tied is None else self.tied.params["weight"]

    @property
    def _weight_grad(self) -> Array:
        return super()._weight_grad if self.tied is None else self.tied.grads["weight"]

    @property
    def version(self) -> int:
        """Counts the changes of the parameters, those of a tied W among them."""
        return super().version + (0 if self.tied is None else self.tied.version)

    def _own_names(self) -> list[str]:
        return [name for name in super()._own_names() if self.tied is None or name != "weight"]

    def config(self) -> dict[str, Any]:
        """Return the configuration, see `Module.config`; one that is tied has none.

        Raises
        ------
        TypeError
            If W belongs to an embedding.
        """
        if self.tied is not None:
            raise TypeError("tied: save the model that has both this layer and the embedding")
        return super().config()

    def __repr__(self) -> str:
        if self.tied is None:
            return super().__repr__()
        return f"Softmax({self.input_size}, {self.output_size}, tied={self.tied!r})"

    def log_probabilities(self, y: ArrayLike) -> NDArray[Any]:
        """Return ln p [...,V] of every class, for y [...,H]."""
        return log_softmax(self(y))

    def hold(self, weight_format: str | None = None) -> HeldSoftmax:
        """Return a `HeldSoftmax`: this head with its weights packed once, for decoding."""
        return HeldSoftmax(self, weight_format)

    @property
    def weighs(self) -> bool:
        """Whether there are weights of classes."""
        return self._class_weights is not None

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


def _require_fitting(tied: Any, shape: tuple[int, int], dtype: DTypeLike) -> None:
    """Raise unless `tied` is an embedding whose matrix has a shape and dtype."""
    instance("tied", tied, Embedding)
    got = tied.vocab_size, tied.embedding_size
    if got != shape:
        raise ValueError(f"tied: expected an Embedding of {shape}, got {tied!r}")
    if tied.dtype != np.dtype(dtype):
        raise TypeError(f"tied: expected dtype {np.dtype(dtype)}, got {tied.dtype}")
    if tied.sparse:
        raise ValueError("tied: expected an Embedding without sparse, for softmax meets every row")


def _class_weights(
    given: Sequence[float] | None, num_classes: int, dtype: np.dtype[Any]
) -> Array | None:
    """Return the weights [V], checked."""
    if given is None:
        return None
    weights = as_array("class_weights", given)
    if weights.dtype.kind not in "fiu":
        raise TypeError(f"class_weights: expected numbers, got {describe(given)}")
    weights = weights.astype(dtype)
    count = size("output_size", num_classes)
    good = weights.shape == (count,) and bool(np.all(weights >= 0))
    if not (good and bool(np.all(np.isfinite(weights)))):
        raise ValueError(
            f"class_weights: expected {count} finite numbers of at least 0, got {describe(given)}"
        )
    return weights
