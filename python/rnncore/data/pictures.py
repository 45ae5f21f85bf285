"""Pictures as grids of patches: what a network without convolutions sees of them."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from rnncore._check import as_array, describe, size
from rnncore._keywords import strict_keywords

__all__ = ["patches"]


@strict_keywords()
def patches(pictures: ArrayLike, patch_size: int) -> NDArray[np.float32]:
    """Cut pictures into square patches, and flatten each.

    Parameters
    ----------
    pictures : uint8 array [N,H,W,C]
        Height H and width W are multiples of the patch size.
    patch_size : int
        Height and width P of a patch.

    Returns
    -------
    float32 array [N,H/P,W/P,P*P*C]
        Values from -1 (the byte 0) to 1 (the byte 255).

    Raises
    ------
    TypeError, ValueError
        If the pictures are no bytes [N,H,W,C], or patches do not fill them.

    Examples
    --------
    >>> import numpy as np, rnncore as rc
    >>> rc.data.patches(np.zeros((5, 32, 32, 3), np.uint8), patch_size=8).shape
    (5, 4, 4, 192)
    """
    array = as_array("pictures", pictures)
    side = size("patch_size", patch_size)
    if array.dtype != np.uint8:
        raise TypeError(f"pictures: expected uint8 [N, H, W, C], got {describe(pictures)}")
    if array.ndim != 4:
        raise ValueError(f"pictures: expected uint8 [N, H, W, C], got {describe(array)}")
    count, height, width, channels = array.shape
    if height % side or width % side or 0 in array.shape[1:]:
        raise ValueError(
            f"pictures: expected heights and widths that are multiples of patch_size = {side}, got "
            f"{describe(array)}"
        )
    cut = array.reshape(count, height // side, side, width // side, side, channels).swapaxes(2, 3)
    flat = cut.reshape(count, height // side, width // side, side * side * channels)
    return flat.astype(np.float32) / np.float32(127.5) - np.float32(1)
