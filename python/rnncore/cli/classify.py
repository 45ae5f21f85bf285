"""``rnncore classify``: the label of each line of a text."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterable
from io import StringIO
from itertools import islice

from rnncore.cli.files import load_classifier, read_text, standard_lines
from rnncore.cli.terminal import shown
from rnncore.models import SequenceClassifier

__all__ = ["HELP", "add_options", "run"]

HELP = "label each line of a text"

# Lines of a file that are read at a time: a few batches, of lines that are sorted by length.
_AT_ONCE = 1024


def add_options(parser: argparse.ArgumentParser) -> None:
    """Describe the command and its options."""
    parser.description = (
        "Print, for each line of a text, the most probable label, a tab, its probability, a tab, "
        "and the line. Lines of standard input are answered as they come."
    )
    parser.add_argument("model", metavar="MODEL", help="file of a trained classifier")
    parser.add_argument(
        "file", metavar="FILE", nargs="?", help="text in UTF-8 (default: standard input)"
    )
    parser.add_argument(
        "--json",
        action="store_true",
        help="print an object for each line, with the probabilities of all labels",
    )


def run(given: argparse.Namespace) -> int:
    """Run the command; return the exit status."""
    model = load_classifier(given.model)
    lines = iter(standard_lines() if given.file is None else StringIO(read_text(given.file)))
    number = 0
    while texts := list(islice(lines, 1 if given.file is None else _AT_ONCE)):
        _classify(model, [text.removesuffix("\n") for text in texts], number, given.json)
        number += len(texts)
    if number == 0:
        raise ValueError("standard input: expected a text, got nothing")
    return 0


def _classify(model: SequenceClassifier, texts: list[str], before: int, as_json: bool) -> None:
    """Print a line for each text; `before` lines came before them."""
    names = model.labels or [str(k) for k in range(model.num_classes)]
    rows = model.predict_proba(_encoded(model, texts, before))
    for text, row in zip(texts, rows.tolist(), strict=True):
        best = max(range(len(names)), key=row.__getitem__)
        if as_json:
            found = {
                "text": text,
                "label": names[best],
                "probability": row[best],
                "probabilities": dict(zip(names, row, strict=True)),
            }
            line = json.dumps(found, ensure_ascii=False)
        else:
            line = f"{_on_a_line(names[best])}\t{row[best]:.4f}\t{text}"
        print(shown(line, sys.stdout))
    sys.stdout.flush()


def _on_a_line(name: str) -> str:
    """Return a label that cannot look like a column or a line of its own."""
    return "".join(c if c.isprintable() else ascii(c)[1:-1] for c in name)


def _encoded(model: SequenceClassifier, texts: Iterable[str], before: int) -> list[object]:
    """Return the ids of each text; an error names its line."""
    tokenizer = model.tokenizer
    if tokenizer is None:
        raise ValueError("model: expected one with a tokenizer")
    return [
        tokenizer.encode(text, f"line {number}") for number, text in enumerate(texts, before + 1)
    ]
