"""``rnncore caption``: a sentence about each picture of a file."""

from __future__ import annotations

import argparse
import json
import sys
from typing import Any

import numpy as np

from rnncore import _files, _help
from rnncore.cli.parser import OptionGroup, defaults_of, keywords
from rnncore.cli.pictures import Pictures, load_captioner, read_pictures
from rnncore.cli.terminal import shown
from rnncore.decode import beam_search
from rnncore.models import Caption

__all__ = ["HELP", "add_options", "run"]

HELP = "describe each picture of a file"

_SEARCH = "search"
# Pictures that are captioned before their lines are printed.
_AT_ONCE = 256
# Captions that are drawn at most: a figure of more is too high to be read.
_DRAWN = 32


def add_options(parser: argparse.ArgumentParser) -> None:
    """Describe the command and its options."""
    parser.description = (
        "Print the caption of each picture of a file, a line each. The file is as rnncore train "
        "--task caption reads it; captions in it are not read."
    )
    parser.add_argument("model", metavar="MODEL", help="file of a trained captioner")
    parser.add_argument("pictures", metavar="PICTURES", help="features or pictures, .npz or .npy")
    parser.add_argument(
        "--n-best",
        type=int,
        metavar="N",
        default=1,
        help="captions of each picture, at most; above 1, each is printed as the number of its "
        "picture, a tab, its score, a tab, and the caption",
    )
    parser.add_argument(
        "--json",
        action="store_true",
        help="print an object for each picture, with the scores of its captions and, for each "
        "word, the weights of the regions",
    )
    parser.add_argument(
        "--plot",
        metavar="PICTURE",
        help=f"drawing of the first {_DRAWN} pictures with their captions and the regions that "
        "each word looks at; it needs rnncore[plot]",
    )
    search = OptionGroup(parser, _SEARCH, defaults_of(beam_search))
    number: dict[str, Any] = {"type": int, "metavar": "N"}
    factor: dict[str, Any] = {"type": float, "metavar": "X"}
    search.add("--beam-size", "beam_size", "hypotheses that are kept; 1 is greedy", **number)
    parser.add_argument(
        "--max-length",
        type=int,
        metavar="N",
        default=50,
        help="tokens of a caption at most (default: 50)",
    )
    exponent = "exponent of the length that log-probabilities are divided by"
    search.add("--length-penalty", "length_penalty", exponent, **factor)
    repeats = "no sequence of so many tokens comes twice; 0: any may"
    search.add("--no-repeat-ngram-size", "no_repeat_ngram_size", repeats, **number)


def run(given: argparse.Namespace) -> int:
    """Run the command; return the exit status."""
    if given.plot is not None:
        _files.require_writable(given.plot)
    model = load_captioner(given.model)
    found = read_pictures(given.pictures)
    model.regions(found.array)  # an error before the first line
    options = {**keywords(given, _SEARCH), "n_best": given.n_best, "max_length": given.max_length}
    drawn: list[Caption] = []
    for first in range(0, len(found.array), _AT_ONCE):
        part = model.captions(found.array[first : first + _AT_ONCE], **options)
        for number, best in enumerate(part, first):
            _print(best, number, given)
        sys.stdout.flush()
        drawn += [best[0] for best in part[: _DRAWN - len(drawn)]]
    if given.plot is not None:
        _draw(drawn, found, given.plot)
    return 0


def _print(best: list[Caption], number: int, given: argparse.Namespace) -> None:
    """Print the captions of picture `number`."""
    if given.json:
        found = {"picture": number, "captions": [_described(each) for each in best]}
        print(shown(json.dumps(found, ensure_ascii=False), sys.stdout))
        return
    for each in best:
        prefix = f"{number}\t{each.score:.4f}\t" if given.n_best > 1 else ""
        print(shown(f"{prefix}{' '.join(each.text.split())}", sys.stdout))


def _described(each: Caption) -> dict[str, Any]:
    """Return a caption as a JSON value."""
    weights = each.weights
    return {
        "text": each.text,
        "tokens": list(each.tokens),
        "score": each.score,
        "log_probability": each.log_probability,
        "weights": None if weights is None else np.round(weights.astype(float), 4).tolist(),
    }


def _draw(captions: list[Caption], found: Pictures, path: str) -> None:
    """Write the drawing."""
    from rnncore.diagnostics import plot_captions

    pictures = found.array[: len(captions)] if found.are_pictures else None
    if pictures is None and captions[0].weights is None:
        raise ValueError(
            "--plot: expected pictures, or a model with attention, got features and a model without"
        )
    plot_captions(captions, pictures).savefig(path, dpi=150)


_help.show_public_names()
