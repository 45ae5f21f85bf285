"""``rnncore score``: how probable a model finds a text, line by line."""

from __future__ import annotations

import argparse
import math
from collections.abc import Iterable, Iterator
from io import StringIO

import numpy as np
from numpy.typing import NDArray

from rnncore.cli.files import load_language_model, read_text, standard_lines
from rnncore.cli.parser import add_weights
from rnncore.models import LanguageModel
from rnncore.progress import perplexity

__all__ = ["HELP", "add_options", "run"]

HELP = "log-probability and perplexity of each line of a text"


def add_options(parser: argparse.ArgumentParser) -> None:
    """Describe the command and its options."""
    parser.description = (
        "Print, for each line of a text, its log-probability (natural logarithm, the line feed at "
        "its end included) and its perplexity per character, and at the end those of all lines "
        "and the number of characters."
    )
    parser.add_argument("model", metavar="MODEL", help="file of a trained model")
    parser.add_argument(
        "file", metavar="FILE", nargs="?", help="text in UTF-8 (default: standard input)"
    )
    parser.add_argument(
        "--contiguous",
        action="store_true",
        help="the model remembers the lines before; without it each line stands alone",
    )
    add_weights(parser)


def run(given: argparse.Namespace) -> int:
    """Run the command; return the exit status."""
    model = load_language_model(given.model)
    if given.weights is not None:
        model.weights = given.weights
    lines = standard_lines() if given.file is None else StringIO(read_text(given.file))
    total, count, num_lines = 0.0, 0, 0
    for scores in (_contiguous if given.contiguous else _separate)(model, lines):
        line_total = float(scores.sum())
        print(_row(line_total, scores.size), flush=True)
        total, count, num_lines = total + line_total, count + scores.size, num_lines + 1
    if num_lines == 0:
        raise ValueError("standard input: expected a text, got nothing")
    print(f"total\t{_row(total, count)}\t{count} characters")
    return 0


def _separate(model: LanguageModel, lines: Iterable[str]) -> Iterator[NDArray[np.float64]]:
    """Yield the scores of each line, from the zero state, as a sentence between line feeds.

    A vocabulary without the line feed leaves nothing to predict the first character from: it then
    goes without a score.
    """
    knows_line_feed = model.tokenizer is not None and "\n" in model.tokenizer.vocabulary
    boundary = model.encode("\n" if knows_line_feed else "")
    for ids in _encoded(model, (line.removesuffix("\n") for line in lines)):
        yield model.score(np.concatenate([boundary, ids, boundary]))


def _contiguous(model: LanguageModel, lines: Iterable[str]) -> Iterator[NDArray[np.float64]]:
    """Yield the scores of each line given all lines before it; the first character has none."""
    encoded = list(_encoded(model, lines))
    scores = model.score(np.concatenate(encoded)) if encoded else np.zeros(0)
    end = -1  # scores[t] is that of character t + 1
    for ids in encoded:
        start, end = end, end + len(ids)
        yield scores[max(0, start) : end]


def _encoded(model: LanguageModel, lines: Iterable[str]) -> Iterator[NDArray[np.int64]]:
    """Yield the ids of each line; an error names the line."""
    for number, line in enumerate(lines, start=1):
        yield model.encode(line, f"line {number}")


def _row(log_probability: float, count: int) -> str:
    mean = perplexity(-log_probability / count) if count else math.nan
    return f"{log_probability:.4f}\t{mean:.4f}"
