"""What heads share if their loss is a sum over the elements of a row."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from rnncore._check import Array, floats
from rnncore.heads.rows import RowHead

__all__ = ["ElementHead"]


class ElementHead(RowHead):
    """A head with a target for every output [...,V]; NaN as a target does not count.

    The loss of a row is the sum over its elements. The mean is taken over elements.
    """

    def count(self, targets: ArrayLike) -> float:
        """Return the number of elements that are numbers."""
        values = floats("targets", targets, self.dtype)
        return int(np.count_nonzero(~np.isnan(values)))

    def ignored(self, targets: Array, steps: NDArray[np.bool_]) -> Array:
        """Return targets [...,V] with NaN outside of `steps` [...]."""
        return np.where(steps[..., np.newaxis], targets, self.dtype.type(np.nan))
