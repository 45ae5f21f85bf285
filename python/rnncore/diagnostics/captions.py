"""Captions of pictures, and the regions that each word looks at, as a picture."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike

from rnncore._check import Array, as_array, check_shape, describe, instance
from rnncore._keywords import strict_keywords
from rnncore.diagnostics.plots import new_figure
from rnncore.diagnostics.tokens import shown
from rnncore.models import Caption

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["plot_captions"]

#: Words of a caption that are drawn at most.
_MOST_WORDS = 12
_INCHES = 1.3


@strict_keywords()
def plot_captions(captions: Sequence[Caption], pictures: ArrayLike | None = None) -> Figure:
    """Draw pictures with their captions and, for each word, the weights of the regions.

    Parameters
    ----------
    captions : list of N Caption
        A row of the drawing is one caption: the picture, and then a map for each word, brighter
        where its weight is larger. Regions without rows and columns stand in one row.
    pictures : uint8 array [N,H,W,C] or [N,H,W], optional
        C is 1, 3 or 4. None: the maps alone are drawn.

    Returns
    -------
    figure : matplotlib Figure
        ``figure.savefig("captions.png")`` writes it.

    Raises
    ------
    ImportError
        If matplotlib is not installed.
    TypeError, ValueError
        If there is no caption, or not one picture for each.

    Examples
    --------
    >>> import numpy as np, rnncore as rc
    >>> weights = np.full((2, 2, 2), 0.25)
    >>> caption = rc.models.Caption("red circle", ["red", "circle"], -0.1, -0.2, weights)
    >>> figure = rc.diagnostics.plot_captions([caption], np.zeros((1, 8, 8, 3), np.uint8))
    """
    rows = list(captions)
    for k, caption in enumerate(rows):
        instance(f"captions[{k}]", caption, Caption)
    if not rows:
        raise ValueError("captions: expected at least one, got none")
    images = None if pictures is None else _images(pictures, len(rows))
    words = [[] if c.weights is None else list(c.tokens)[:_MOST_WORDS] for c in rows]
    columns = max(map(len, words)) + (images is not None)
    width = max(4.0, _INCHES * max(1, columns))
    figure = new_figure(width, (_INCHES + 0.5) * len(rows))
    grid = figure.subplots(len(rows), max(1, columns), squeeze=False)
    for k, (caption, axes) in enumerate(zip(rows, grid, strict=True)):
        for each in axes:
            each.set_axis_off()
        if images is not None:
            axes[0].imshow(images[k], cmap="gray", vmin=0, vmax=255)
            axes, first = axes[1:], axes[0]
        else:
            first = axes[0]
        for t, (word, each) in enumerate(zip(words[k], axes, strict=False)):
            weights = np.atleast_2d(np.asarray(caption.weights)[t])
            image = None if images is None else images[k]
            _map(each, weights, image)
            each.set_title(shown(word), fontsize=8, y=-0.25, parse_math=False)
        text = " ".join(shown(part) for part in caption.text.split())
        first.text(
            *(0, 1.08, f"{text}  ({caption.score:.2f})"),
            transform=first.transAxes,
            fontsize=9,
            parse_math=False,
        )
    return figure


def _map(axes: Any, weights: Array, image: Array | None) -> None:
    """Draw weights [rows,columns] over a picture."""
    if image is None:
        axes.imshow(weights, cmap="viridis", vmin=0, interpolation="nearest")
        return
    height, width = image.shape[:2]
    extent = (-0.5, width - 0.5, height - 0.5, -0.5)
    axes.imshow(image, cmap="gray", vmin=0, vmax=255)
    axes.imshow(weights, cmap="viridis", vmin=0, alpha=0.7, extent=extent, interpolation="nearest")


def _images(pictures: ArrayLike, count: int) -> Array:
    array = as_array("pictures", pictures)
    if array.dtype != np.uint8 or array.ndim not in (3, 4):
        raise TypeError(f"pictures: expected uint8 [N, H, W, C], got {describe(pictures)}")
    check_shape("pictures", array, (count, *array.shape[1:]))
    if array.ndim == 4 and array.shape[-1] not in (1, 3, 4):
        raise ValueError(f"pictures: expected 1, 3 or 4 channels, got {array.shape[-1]}")
    return array[..., 0] if array.shape[-1:] == (1,) and array.ndim == 4 else array
