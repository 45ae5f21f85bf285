"""What a decoder attends to, as a picture."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike

from rnncore._check import as_array, floats
from rnncore._keywords import strict_keywords
from rnncore.diagnostics.plots import new_figure
from rnncore.diagnostics.tokens import shown, token_list

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["plot_attention"]


@strict_keywords()
def plot_attention(
    weights: ArrayLike, source: Sequence[str], target: Sequence[str], *, title: str = ""
) -> Figure:
    """Draw the attention of each target token to the source tokens as a heat map.

    The picture is that of Bahdanau, Cho and Bengio 2015 (arXiv 1409.0473, figure 3): a row for each
    target token, a column for each source token.

    Parameters
    ----------
    weights : array [T,S]
        Attention, from 0 to 1, as `Translation` has it.
    source, target : S and T strings
        The tokens.
    title : str
        Heading of the picture.

    Returns
    -------
    figure : matplotlib Figure
        ``figure.savefig("attention.png")`` writes it.

    Raises
    ------
    ImportError
        If matplotlib is not installed.
    TypeError, ValueError
        If there is not one weight for each pair of tokens.

    Examples
    --------
    >>> import rnncore as rc
    >>> weights = [[0.9, 0.1], [0.2, 0.8]]
    >>> figure = rc.diagnostics.plot_attention(weights, ["ein", "hund"], ["a", "dog"])
    """
    array = as_array("weights", weights)
    heat = floats("weights", array.astype(np.float64), np.dtype(np.float64), ("T", "S"))
    rows = token_list("target", target, heat.shape[0])
    columns = token_list("source", source, heat.shape[1])
    width, height = (2.0 + 0.3 * max(4, count) for count in (len(columns), len(rows)))
    figure = new_figure(min(20.0, width), min(20.0, height))
    axes = figure.subplots()
    image = axes.imshow(
        heat, aspect="auto", interpolation="nearest", cmap="viridis", vmin=0, vmax=1
    )
    labels = [(axes.set_xticks, columns, 90), (axes.set_yticks, rows, 0)]
    for put, tokens, rotation in labels:
        put(range(len(tokens)), list(map(shown, tokens)), rotation=rotation, parse_math=False)
    axes.xaxis.tick_top()
    axes.tick_params(length=0, labelsize=9)
    axes.set_title(title, parse_math=False)
    figure.colorbar(image, ax=axes, label="attention", pad=0.02)
    return figure
