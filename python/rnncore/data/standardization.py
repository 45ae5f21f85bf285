"""Standardization: features with mean 0 and variance 1, as those of the training set."""

from __future__ import annotations

from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike

from rnncore._check import Array, as_array, check_shape, describe, real
from rnncore._keywords import strict_keywords
from rnncore.layers.asset import Asset

__all__ = ["Standardization"]


@strict_keywords()
class Standardization(Asset):
    """Subtract the mean of each element, and divide by one standard deviation.

    Wide inputs that share a large mean, such as pictures on white, all push the sums of a layer
    in one direction in each update, and saturate it. One deviation for all elements does not blow
    up those that hardly vary.

    Parameters
    ----------
    mean : array [I]
        Mean of each element.
    deviation : float
        Above 0.

    Raises
    ------
    TypeError, ValueError
        If a number is none, or not finite.

    Examples
    --------
    >>> import numpy as np, rnncore as rc
    >>> standardization = rc.data.Standardization.of(np.array([[1.0, 5.0], [3.0, 7.0]]))
    >>> standardization(np.array([[1.0, 7.0]]))
    array([[-1.,  1.]])
    """

    def __init__(self, mean: ArrayLike, deviation: float) -> None:
        array = as_array("mean", mean)
        if array.dtype.kind not in "fiu":
            raise TypeError(f"mean: expected numbers, got {describe(mean)}")
        check_shape("mean", array, ("I",))
        self.mean = array.astype(np.float64)
        if not np.isfinite(self.mean).all():
            raise ValueError(f"mean: expected finite numbers, got {describe(mean)}")
        self.deviation = real("deviation", deviation, 0, open_low=True)

    @classmethod
    @strict_keywords()
    def of(cls, features: ArrayLike, largest_norm: float | None = None) -> Self:
        """Return that of features [...,I].

        Parameters
        ----------
        features : array [...,I]
            Those of the training set. The deviation of features that are all alike is 1.
        largest_norm : float or None
            Root mean square of the norms of standardized features, at most: the deviation is larger
            where they are wide. None: sqrt(I).
        """
        array = as_array("features", features)
        rows = array.reshape(-1, array.shape[-1])
        if not len(rows):
            return cls(np.zeros(array.shape[-1]), 1.0)
        mean = rows.mean(axis=0, dtype=np.float64)
        variance = float(np.square(rows - mean.astype(rows.dtype)).mean(dtype=np.float64))
        deviation = variance**0.5 if variance > 0 else 1.0
        if largest_norm is not None:
            norm = real("largest_norm", largest_norm, 0, open_low=True)
            deviation *= max(1.0, len(mean) ** 0.5 / norm)
        return cls(mean, deviation)

    def __call__(self, features: Array) -> Array:
        """Return features [...,I], standardized, in their dtype."""
        dtype = features.dtype
        standardized: Array = (features - self.mean.astype(dtype)) / dtype.type(self.deviation)
        return standardized

    def asset(self) -> dict[str, Any]:
        """Return the constructor's arguments."""
        return {"mean": self.mean.tolist(), "deviation": self.deviation}

    @classmethod
    def from_asset(cls, value: Any) -> Self:
        """Build what `asset` described.

        Raises
        ------
        TypeError, ValueError
            If it is no such description.
        """
        if not isinstance(value, dict):
            raise TypeError(f"standardization: expected its arguments, got {describe(value)}")
        return cls(**value)

    def __repr__(self) -> str:
        return f"<Standardization of {len(self.mean)} elements>"
