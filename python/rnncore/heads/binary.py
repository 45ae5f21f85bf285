"""Binary outputs: V independent probabilities, with binary cross-entropy as their loss."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from rnncore.heads.elements import ElementHead

__all__ = ["Binary"]


class Binary(ElementHead):
    r"""V independent yes-or-no outputs, with binary cross-entropy as their loss.

    .. math:: p = \sigma(W y + b), \qquad
              \ell = -\sum_v t_v \log p_v + (1 - t_v) \log(1 - p_v)

    Parameters are those of `Linear`. Targets [...,V] are probabilities in [0, 1] in the head's
    dtype; NaN does not count.
    """

    kind = "binary"

    def log_probabilities(self, y: ArrayLike) -> NDArray[Any]:
        """Return ln p [...,V] of "yes" for every output, for y [...,H]."""
        log_p: NDArray[Any] = -np.logaddexp(self.dtype.type(0), -self(y))
        return log_p
