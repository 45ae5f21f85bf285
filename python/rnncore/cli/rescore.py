"""``rnncore rescore``: n-best lists in a new order, by their scores and a language model."""

from __future__ import annotations

import argparse
import json
import math
import sys
from collections.abc import Iterable
from dataclasses import dataclass
from io import StringIO

import numpy as np

from rnncore._check import Array, Ids, quoted, real
from rnncore.cli.files import load_language_model, read_text, standard_lines
from rnncore.cli.parser import add_weight_format
from rnncore.cli.terminal import shown
from rnncore.decode import Rescored, rescore
from rnncore.models import LanguageModel

__all__ = ["HELP", "add_options", "run"]

HELP = "order n-best lists anew by a language model"

_BAR = "|||"


def add_options(parser: argparse.ArgumentParser) -> None:
    """Describe the command and its options."""
    parser.description = (
        "Print the lines of n-best lists, those of one id together and the best first, ordered by "
        "(1 - weight) * score + weight * log-probability, which takes the place of the score. A "
        "line is an id, a score and a sentence with tabs between them, or has the form of Moses, "
        "'id ||| sentence ||| score' or 'id ||| sentence ||| features ||| score'."
    )
    parser.add_argument("model", metavar="MODEL", help="file of a trained language model")
    parser.add_argument(
        "file", metavar="NBEST", nargs="?", help="n-best lists in UTF-8 (default: standard input)"
    )
    parser.add_argument(
        "--weight",
        type=float,
        metavar="W",
        default=0.5,
        help="share of the model, from 0 to 1 (default: 0.5)",
    )
    parser.add_argument("--best", action="store_true", help="print only the best line of each id")
    parser.add_argument(
        "--contexts",
        metavar="FILE",
        help="for a model with context_size: an array of NumPy (.npy) with a row for each id, in "
        "the order in which the ids come",
    )
    parser.add_argument(
        "--json",
        action="store_true",
        help="print an object for each line instead, with id, text, score, log_probability and "
        "combined",
    )
    add_weight_format(parser)


@dataclass
class _Entry:
    """One line of the lists."""

    number: int
    id: str
    text: str
    score: float
    features: str | None  # of a line in the form of Moses

    def line(self, found: Rescored) -> str:
        """Return the line with its new score."""
        if self.features is None:
            return f"{self.id}\t{found.combined:.4f}\t{self.text}"
        features = f"{self.features} lm= {found.log_probability:.4f}".lstrip()
        return f" {_BAR} ".join([self.id, self.text, features, f"{found.combined:.4f}"])

    def object(self, found: Rescored) -> str:
        """Return the entry as JSON."""
        finite = math.isfinite(found.combined)
        value = {
            "id": self.id,
            "text": self.text,
            "score": self.score,
            "log_probability": found.log_probability if finite else None,
            "combined": found.combined if finite else None,
        }
        return json.dumps(value, ensure_ascii=False)


def run(given: argparse.Namespace) -> int:
    """Run the command; return the exit status."""
    weight = real("--weight", given.weight, 0, 1)
    contexts = None if given.contexts is None else _array(given.contexts)
    model = load_language_model(given.model)
    if given.weight_format is not None:
        model.weight_format = given.weight_format
    name = "standard input" if given.file is None else given.file
    text = standard_lines() if given.file is None else StringIO(read_text(given.file))
    lists = _lists(text, name)
    encoded = [[(entry.score, _ids(model, entry, name)) for entry in own] for own in lists]
    for entries, found in zip(
        lists, rescore(model, encoded, weight, contexts=contexts), strict=True
    ):
        for one in found[:1] if given.best else found:
            entry = entries[one.index]
            print(shown(entry.object(one) if given.json else entry.line(one), sys.stdout))
    return 0


def _ids(model: LanguageModel, entry: _Entry, name: str) -> Ids:
    return model.encode_line(entry.text, f"{name}: line {entry.number}")


def _lists(lines: Iterable[str], name: str) -> list[list[_Entry]]:
    """Return the entries of each id, in the order in which the ids come."""
    found: dict[str, list[_Entry]] = {}
    for number, line in enumerate(lines, start=1):
        entry = _entry(line.removesuffix("\n"), number, f"{name}: line {number}")
        found.setdefault(entry.id, []).append(entry)
    if not found:
        raise ValueError(f"{name}: expected n-best lists, got nothing")
    return list(found.values())


def _entry(line: str, number: int, name: str) -> _Entry:
    if f" {_BAR}" in line:
        fields = [field.strip() for field in line.split(_BAR)]
        if len(fields) not in (3, 4):
            raise ValueError(
                f"{name}: expected 'id ||| sentence ||| score' or 'id ||| sentence ||| features "
                f"||| score', got {len(fields)} fields"
            )
        features = fields[2] if len(fields) == 3 else f"{fields[2]} total= {fields[3]}"
        return _Entry(number, fields[0], fields[1], _score(fields[-1], name), features)
    key, first, rest = line.partition("\t")
    score, second, text = rest.partition("\t")
    if not (first and second):
        raise ValueError(
            f"{name}: expected an id, a score and a sentence with tabs between them, or 'id ||| "
            f"sentence ||| score', got {quoted(line, 60)}"
        )
    return _Entry(number, key, text, _score(score, name), None)


def _score(field: str, name: str) -> float:
    try:
        score = float(field)
    except ValueError:
        score = math.nan
    if not math.isfinite(score):
        raise ValueError(f"{name}: expected one finite number as score, got {quoted(field, 60)}")
    return score


def _array(path: str) -> Array:
    """Return the array of a file of NumPy; such a file never runs code."""
    try:
        array: Array = np.load(path, allow_pickle=False)
    except ValueError as error:
        raise ValueError(f"{path}: expected an array of NumPy, as numpy.save writes") from error
    if not isinstance(array, np.ndarray):
        raise ValueError(f"{path}: expected one array of NumPy, got several (.npz)")
    return array
