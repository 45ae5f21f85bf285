"""Products of matrices: sizes beyond the blocks of the kernels, and how far sums may be off."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]
Dtype = type[np.floating[Any]]

# Larger than the blocks into which a product is cut in each dimension, and just beyond them.
# The last one has a b beyond 2 MB, whose panels are fetched in advance, and a sum that is split.
LARGE = (
    (1, 257, 1025),
    (130, 97, 300),
    (65, 1030, 33),
    (1030, 65, 17),
    (257, 257, 513),
    (110, 1310, 1100),
)


def product_limit(magnitudes: Array, terms: int, dtype: Dtype) -> Array:
    """Bound of the rounding error of sums of products, |a| |b| summed: Higham 2002, section 3.1.

    In any order of summation the error is at most terms * eps / 2 times the sum of magnitudes; eps
    leaves a factor of two, and the least number is there for sums that underflow.
    """
    info = np.finfo(dtype)
    return np.asarray(terms * info.eps * magnitudes + info.tiny, np.float64)
