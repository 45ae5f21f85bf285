"""Pictures with matplotlib: gradients by lag, and gates over time."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike

from rnncore._check import Array, as_array, check_shape, describe, floats, integer
from rnncore._keywords import strict_keywords
from rnncore.diagnostics.lags import GradientByLag
from rnncore.diagnostics.tokens import shown, token_list

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["plot_gates", "plot_gradient_by_lag"]

# Told apart by people with any color vision, and in grey: Okabe and Ito, Color Universal Design.
_COLORS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#000000")
_MARKERS = "os^Dv<>"


@strict_keywords()
def plot_gradient_by_lag(
    lags: Mapping[str, GradientByLag | ArrayLike], *, relative: bool = True, title: str = ""
) -> Figure:
    """Draw the norm of the gradient by the state k steps back, one curve for each network.

    Parameters
    ----------
    lags : mapping of str to GradientByLag, or to norms [K+1]
        What the legend calls each curve, and the curve. Of a `GradientByLag` that is
        ``mean()``, of the last layer.
    relative : bool
        Whether each curve is divided by its value at lag 0.
    title : str
        Heading of the picture.

    Returns
    -------
    figure : matplotlib Figure
        ``figure.savefig("lags.png")`` writes it. The scale is logarithmic: norms of 0 are left out.

    Raises
    ------
    ImportError
        If matplotlib is not installed.
    TypeError, ValueError
        If a curve has another shape, or there is none.

    Examples
    --------
    >>> import rnncore as rc
    >>> figure = rc.diagnostics.plot_gradient_by_lag({"RNN": [1, 0.5, 0.25], "LSTM": [1, 1, 0.9]})
    """
    if not isinstance(lags, Mapping):
        raise TypeError(f"lags: expected a mapping of name to gradients, got {describe(lags)}")
    if not lags:
        raise ValueError("lags: expected at least one curve, got none")
    figure = new_figure(7.5, 4.5)
    axes = figure.subplots()
    for i, (name, given) in enumerate(lags.items()):
        curve = given.mean() if isinstance(given, GradientByLag) else given
        norms = as_array(f"lags[{name!r}]", curve).astype(np.float64)
        check_shape(f"lags[{name!r}]", norms, ("K+1",))
        if relative and len(norms) and norms[0] > 0:
            norms = norms / norms[0]
        axes.plot(
            np.where(norms > 0, norms, np.nan),
            label=name,
            color=_COLORS[i % len(_COLORS)],
            marker=_MARKERS[i % len(_MARKERS)],
            markersize=4,
            markevery=max(1, len(norms) // 12),
        )
    axes.set_yscale("log")
    axes.set_xlabel("lag k: steps between the state and the loss")
    of = "‖∂E(t)/∂s(t-k)‖"
    axes.set_ylabel(f"{of} / {of.replace('-k', '')}" if relative else of)
    axes.set_title(title)
    axes.grid(linewidth=0.3)
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(frameon=False)
    return figure


@strict_keywords()
def plot_gates(
    trace: Mapping[str, ArrayLike],
    text: str | Sequence[str] | None = None,
    *,
    names: Sequence[str] | None = None,
    row: int = 0,
    units: int = 32,
    title: str = "",
) -> Figure:
    """Draw gates and states over time as heat maps, one below the other.

    Parameters
    ----------
    trace : mapping of str to array [T,B,H] or [T,H]
        What ``layer.trace(x)`` returns.
    text : str of T characters, or T strings, optional
        Tokens that were read, to stand along the axis of time.
    names : sequence of str, optional
        Which arrays of the trace to draw, from the top; None: all.
    row : int
        Which sequence of the batch.
    units : int
        How many units to draw at most, from the first.
    title : str
        Heading of the picture.

    Returns
    -------
    figure : matplotlib Figure
        Gates are drawn from 0 to 1, other values from -m to m: m is at least 1, and 98 % of the
        values are not larger.

    Raises
    ------
    ImportError
        If matplotlib is not installed.
    TypeError, ValueError
        If an argument does not fit.

    Examples
    --------
    >>> import rnncore as rc
    >>> text = "first citizen"
    >>> tokenizer = rc.text.CharTokenizer.fit(text)
    >>> layer = rc.LSTM(tokenizer.vocab_size, 8, rng=0)
    >>> trace = layer.trace(tokenizer.encode(text))
    >>> figure = rc.diagnostics.plot_gates(trace, text, names=["forget_gate_l0", "cell_l0"])
    """
    if not isinstance(trace, Mapping) or not trace:
        raise TypeError(f"trace: expected what layer.trace returns, got {describe(trace)}")
    chosen = list(trace) if names is None else list(names)
    unknown = [name for name in chosen if name not in trace]
    if unknown or not chosen:
        raise ValueError(f"names: expected some of {list(trace)}, got {unknown or chosen}")
    most = integer("units", units, 1)
    maps = [_heat_map(name, trace[name], row)[:, :most] for name in chosen]
    num_steps = len(maps[0])
    tokens = None if text is None else token_list("text", text, num_steps)
    height = sum(0.7 + 0.06 * heat.shape[1] for heat in maps) + 0.5
    figure = new_figure(min(20.0, max(6.0, 2.5 + 0.16 * num_steps)), height)
    grid = figure.subplots(len(maps), 1, squeeze=False, sharex=True)[:, 0]
    for axes, name, heat in zip(grid, chosen, maps, strict=True):
        gate = "_gate_" in name
        largest = _strongest(heat)
        image = axes.imshow(
            heat.T,
            aspect="auto",
            interpolation="nearest",
            cmap="viridis" if gate else "RdBu_r",
            vmin=0 if gate else -largest,
            vmax=1 if gate else largest,
        )
        axes.set_title(name, fontsize=9, loc="left")
        axes.set_ylabel("unit", fontsize=8)
        axes.tick_params(labelsize=8)
        beyond = not gate and bool((np.abs(heat) > largest).any())
        figure.colorbar(image, ax=axes, pad=0.01, extend="both" if beyond else "neither")
    if tokens is None:
        grid[-1].set_xlabel("time")
    else:
        _label_steps(grid[-1], tokens)
    figure.suptitle(title, fontsize=10, parse_math=False)
    return figure


def _heat_map(name: str, given: ArrayLike, row: int) -> Array:
    """Return the values of one sequence, [T,H]."""
    array = as_array(f"trace[{name!r}]", given)
    if array.ndim == 3:
        index = integer("row", row, 0, array.shape[1] - 1)
        array = array[:, index]
    return floats(f"trace[{name!r}]", array.astype(np.float64), np.dtype(np.float64), ("T", "H"))


def _strongest(values: Array) -> float:
    """Return the value of the strongest color: few cell states are far larger than the others."""
    return max(1.0, float(np.quantile(np.abs(values), 0.98))) if values.size else 1.0


def _label_steps(axes: Any, tokens: Sequence[str]) -> None:
    """Write the tokens along the axis of time; of many, as many as there is room for."""
    characters = all(len(token) == 1 for token in tokens)
    every = max(1, -(-len(tokens) // 130))
    at = range(0, len(tokens), every)
    axes.set_xticks(at)
    axes.set_xticklabels(
        [shown(tokens[t]) for t in at],
        fontsize=8,
        family="DejaVu Sans Mono" if characters else None,
        rotation=0 if characters else 90,
        parse_math=False,
    )
    axes.tick_params(axis="x", length=0)


def new_figure(width: float, height: float) -> Figure:
    """Return an empty figure, which belongs to no window and no global state.

    Raises
    ------
    ImportError
        If matplotlib is not installed.
    """
    try:
        from matplotlib.figure import Figure
    except ImportError as error:
        raise ImportError(
            "matplotlib: expected it to be installed, it is not: pip install 'rnncore[plot]'"
        ) from error
    return Figure(figsize=(width, height), layout="constrained")
