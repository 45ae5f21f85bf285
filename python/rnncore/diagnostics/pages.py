"""One unit of a network over a text, as an HTML page."""

from __future__ import annotations

import html
from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike

from rnncore._check import as_array, check_shape, describe, instance, integer, quoted, real
from rnncore._keywords import strict_keywords
from rnncore.diagnostics.tokens import shown, token_list
from rnncore.models import LanguageModel

__all__ = ["text_page", "unit_page"]

_LOW, _HIGH = (33, 102, 172), (178, 24, 43)  # blue, red
_MIDDLE = (255, 255, 255)

_PAGE = """<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<title>{title}</title>
<style>
body {{ font-family: sans-serif; max-width: 60em; margin: 2em auto; padding: 0 1em;
  color: #000; background: #fff; }}
pre {{ font-family: monospace; font-size: 1rem; line-height: 1.6; white-space: pre-wrap;
  overflow-wrap: anywhere; }}
.legend {{ display: flex; align-items: center; gap: 0.6em; }}
.scale {{ width: 16em; height: 1em; border: 1px solid #888;
  background: linear-gradient(to right, {low_color}, {middle_color}, {high_color}); }}
</style>
</head>
<body>
<h1>{title}</h1>
<p class="legend"><span>{low:g}</span><span class="scale"></span><span>{high:g}</span>
<span>value after the token was read; it stands in the token's tooltip</span></p>
<pre>{tokens}</pre>
</body>
</html>
"""


@strict_keywords()
def text_page(
    text: str | Sequence[str],
    values: ArrayLike,
    *,
    title: str = "",
    low: float = -1.0,
    high: float = 1.0,
) -> str:
    """Return an HTML page that colors every token by a value: blue is low, red is high.

    The page needs no other file and no network; what the text holds is escaped.

    Parameters
    ----------
    text : str of T characters, or T strings
        The tokens.
    values : array [T]
        One finite number for each.
    title : str
        Heading of the page.
    low, high : float
        Values of the strongest colors; those beyond have the same.

    Returns
    -------
    page : str
        To be written with ``pathlib.Path("unit.html").write_text(page, encoding="utf-8")``.

    Raises
    ------
    TypeError, ValueError
        If text and values do not fit together, a value is not finite, or `high` is not above `low`.

    Examples
    --------
    >>> import rnncore as rc
    >>> page = rc.diagnostics.text_page("a<b", [-1, 0, 0.5], title="unit 3")
    >>> "&lt;" in page
    True
    """
    numbers = as_array("values", values)
    if numbers.dtype.kind not in "fiub":
        raise TypeError(f"values: expected numbers, got {describe(values)}")
    check_shape("values", numbers, ("T",))
    if not np.isfinite(numbers).all():
        raise ValueError(f"values: expected finite numbers, got {describe(values)}")
    bottom = real("low", low)
    top = real("high", high, bottom, open_low=True)
    tokens = token_list("text", text, len(numbers))
    spans = (
        _span(token, float(value), (float(value) - bottom) / (top - bottom))
        for token, value in zip(tokens, numbers, strict=True)
    )
    return _PAGE.format(
        title=html.escape(title or "One unit over a text"),
        low=bottom,
        high=top,
        low_color=_css(_LOW),
        middle_color=_css(_MIDDLE),
        high_color=_css(_HIGH),
        tokens="".join(spans),
    )


@strict_keywords()
def unit_page(model: LanguageModel, text: str, unit: int, name: str | None = None) -> str:
    """Return the HTML page of one unit of a language model that reads a text.

    Karpathy, Johnson and Fei-Fei (Visualizing and understanding recurrent networks, 2015, arXiv
    1506.02078) found units that count the length of a line or tell what stands within quotes.

    Parameters
    ----------
    model : LanguageModel
        With a tokenizer.
    text : str
        What it reads, from the zero state.
    unit : int
        Number of the unit, in [0, H).
    name : str, optional
        Which array of ``model.rnn.trace`` to show, such as "cell_l0"; a cell state is shown as its
        tanh. None: "hidden" of the last layer.

    Returns
    -------
    page : str
        As `text_page`. Gates run from 0 to 1, everything else from -1 to 1.

    Raises
    ------
    TypeError, ValueError
        If an argument is not as above.

    Examples
    --------
    >>> import rnncore as rc
    >>> tokenizer = rc.text.CharTokenizer.fit("to be or not to be")
    >>> model = rc.LanguageModel(tokenizer.vocab_size, hidden_size=8, tokenizer=tokenizer, rng=0)
    >>> page = rc.diagnostics.unit_page(model, "to be", unit=3)
    """
    instance("model", model, LanguageModel)
    if model.tokenizer is None:
        raise ValueError(f"model: expected one with a tokenizer, got {model!r}")
    if not isinstance(text, str):
        raise TypeError(f"text: expected str, got {describe(text)}")
    ids = model.encode(text)
    trace = model.rnn.trace(ids if model.embedding is None else model.embedding(ids))
    chosen = f"hidden_l{model.rnn.num_layers - 1}" if name is None else name
    if chosen not in trace:
        raise ValueError(f"name: expected one of {list(trace)}, got {quoted(chosen)}")
    number = integer("unit", unit, 0, model.rnn.hidden_size - 1)
    values = trace[chosen][:, number]
    if chosen.startswith("cell_l"):
        values = np.tanh(values)
    return text_page(
        [model.tokenizer.decode([i]) for i in ids],
        values,
        title=f"{chosen}, unit {number}",
        low=0.0 if "_gate_" in chosen else -1.0,
    )


def _span(token: str, value: float, position: float) -> str:
    """Return a token on its color; `position` is 0 at the low end and 1 at the high one."""
    distance = min(1.0, abs(2 * position - 1))
    end = _HIGH if position > 0.5 else _LOW
    red, green, blue = (round(m + (e - m) * distance) for m, e in zip(_MIDDLE, end, strict=True))
    light = 0.299 * red + 0.587 * green + 0.114 * blue > 128
    style = f"background:{_css((red, green, blue))}" + ("" if light else ";color:#fff")
    text = html.escape(token.replace("\n", "↵\n"))
    label = html.escape(f"{shown(token)} {value:.3g}", quote=True)
    return f'<span style="{style}" title="{label}">{text}</span>'


def _css(color: tuple[int, int, int]) -> str:
    return f"#{color[0]:02x}{color[1]:02x}{color[2]:02x}"
