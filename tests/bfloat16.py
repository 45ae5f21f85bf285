"""bfloat16 in NumPy: what the kernels round operands to."""

from typing import Any

import numpy as np
from numpy.typing import NDArray


def rounded(values: NDArray[Any]) -> NDArray[Any]:
    """float32 numbers, each the nearest bfloat16 number; ties go to the even one.

    bfloat16 is the upper half of float32. Adding half a unit of it, less one where its last bit is
    0, carries into that half exactly where rounding goes up. NaN is not for this function.
    """
    bits = np.ascontiguousarray(values, np.float32).view(np.uint32)
    up = bits + np.uint32(0x7FFF) + ((bits >> np.uint32(16)) & np.uint32(1))
    return (up & np.uint32(0xFFFF0000)).view(np.float32)
