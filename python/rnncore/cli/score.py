"""``rnncore score``: how probable a model finds a text, line by line."""

from __future__ import annotations

import argparse
import json
import math
import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from io import StringIO
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rnncore.cli.files import load_language_model, read_text, standard_lines
from rnncore.cli.parser import add_weight_format
from rnncore.cli.terminal import shown
from rnncore.models import LanguageModel
from rnncore.progress import perplexity

__all__ = ["HELP", "add_options", "run"]

HELP = "log-probability and perplexity of each line of a text"


def add_options(parser: argparse.ArgumentParser) -> None:
    """Describe the command and its options."""
    parser.description = (
        "Print a table with a row for each line of a text: its number, its log-probability "
        "(natural logarithm, the end of the line included), its perplexity per token, the number "
        "of tokens, and the line. The last row holds the totals."
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
    parser.add_argument(
        "--json",
        action="store_true",
        help="print an object for each line instead, with text, log_probability and perplexity",
    )
    parser.add_argument(
        "--per-token",
        action="store_true",
        help="print a row for each token; with --json, lists of tokens and log_probabilities",
    )
    add_weight_format(parser)


@dataclass
class _Line:
    """A line, and the log-probabilities [T] of the ids [T] in it that have one."""

    number: int
    text: str
    ids: NDArray[np.int64]
    scores: NDArray[np.float64]

    @property
    def log_probability(self) -> float:
        return float(self.scores.sum())

    @property
    def perplexity(self) -> float:
        return _perplexity(self.log_probability, self.scores.size)


def run(given: argparse.Namespace) -> int:
    """Run the command; return the exit status."""
    model = load_language_model(given.model)
    if given.weight_format is not None:
        model.weight_format = given.weight_format
    texts = standard_lines() if given.file is None else StringIO(read_text(given.file))
    lines = (_contiguous if given.contiguous else _separate)(model, texts)
    printed: Iterator[str]
    if given.json:
        printed = (_object(model, line, per_token=given.per_token) for line in lines)
    elif given.per_token:
        printed = _tokens(model, lines)
    else:
        printed = _table(model, lines)
    count = 0
    for count, row in enumerate(printed, start=1):  # noqa: B007
        print(shown(row, sys.stdout), flush=True)
    if count == 0:
        raise ValueError("standard input: expected a text, got nothing")
    return 0


def _object(model: LanguageModel, line: _Line, *, per_token: bool) -> str:
    value: dict[str, Any] = {
        "text": line.text,
        "log_probability": line.log_probability,
        "perplexity": line.perplexity if math.isfinite(line.perplexity) else None,
    }
    if per_token:
        value["tokens"] = _names(model, line.ids)
        value["log_probabilities"] = line.scores.tolist()
    return json.dumps(value, ensure_ascii=False)


def _tokens(model: LanguageModel, lines: Iterable[_Line]) -> Iterator[str]:
    for line in lines:
        if line.number == 1:
            yield "line\tlog_probability\ttoken"
        for name, score in zip(_names(model, line.ids), line.scores, strict=True):
            yield f"{line.number}\t{score:.4f}\t{_visible(name)}"


def _table(model: LanguageModel, lines: Iterable[_Line]) -> Iterator[str]:
    total, count = 0.0, 0
    for line in lines:
        if line.number == 1:
            yield f"line\tlog_probability\tperplexity\t{model.unit}s\ttext"
        yield _row(line.number, line.log_probability, line.scores.size, line.text)
        total, count = total + line.log_probability, count + line.scores.size
    if count:
        yield _row("total", total, count, "")


def _row(name: int | str, log_probability: float, count: int, text: str) -> str:
    mean = _perplexity(log_probability, count)
    return f"{name}\t{log_probability:.4f}\t{mean:.4f}\t{count}\t{text}"


def _perplexity(log_probability: float, count: int) -> float:
    return perplexity(-log_probability / count) if count else math.nan


def _names(model: LanguageModel, ids: NDArray[np.int64]) -> list[str]:
    assert model.tokenizer is not None
    return [model.tokenizer.token(int(i)) for i in ids]


def _visible(token: str) -> str:
    """Return a token in one line, with line feeds and tabs as their escapes."""
    return token.replace("\\", "\\\\").replace("\n", "\\n").replace("\t", "\\t")


def _separate(model: LanguageModel, lines: Iterable[str]) -> Iterator[_Line]:
    """Yield each line with its scores from the zero state, as `LanguageModel.encode_line` has it.

    A vocabulary without the line feed leaves nothing to predict the first token from: it then goes
    without a score.
    """
    for number, line in enumerate(lines, start=1):
        text = line.removesuffix("\n")
        ids = model.encode_line(text, f"line {number}")
        yield _Line(number, text, ids[1:], model.score(ids))


def _contiguous(model: LanguageModel, lines: Iterable[str]) -> Iterator[_Line]:
    """Yield each line with its scores given all lines before it; the first token has none."""
    texts = list(lines)
    encoded = [model.encode(line, f"line {number}") for number, line in enumerate(texts, start=1)]
    scores = model.score(np.concatenate(encoded)) if encoded else np.zeros(0)
    end = -1  # scores[t] is that of token t + 1
    for number, (line, ids) in enumerate(zip(texts, encoded, strict=True), start=1):
        start, end = end, end + len(ids)
        scored = ids[max(0, -start) :]
        yield _Line(number, line.removesuffix("\n"), scored, scores[max(0, start) : max(0, end)])
