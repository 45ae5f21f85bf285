"""``rnncore sample``: text that a model writes."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

import numpy as np

from rnncore._check import generator, integer
from rnncore.cli.files import load_language_model
from rnncore.cli.parser import add_weights
from rnncore.cli.terminal import shown

__all__ = ["HELP", "add_options", "run"]

HELP = "let a model continue a text"


def add_options(parser: argparse.ArgumentParser) -> None:
    """Describe the command and its options."""
    parser.description = (
        "Print a prompt and how the model continues it, as it goes. A terminal gets control "
        "characters escaped; files and pipes get the text as it is."
    )
    parser.add_argument("model", metavar="MODEL", help="file of a trained model")
    parser.add_argument(
        "--prompt",
        metavar="TEXT",
        help="what to continue (default: a line feed; where the model's text had none, a space, "
        "and without spaces a character drawn at random)",
    )
    parser.add_argument(
        "--length", type=int, metavar="N", default=500, help="characters to draw (default: 500)"
    )
    parser.add_argument(
        "--temperature",
        type=float,
        metavar="X",
        default=1.0,
        help="smaller is more conservative, 0 always takes the most probable (default: 1)",
    )
    parser.add_argument(
        "--top-k",
        type=int,
        metavar="N",
        default=0,
        help="draw among the N most probable only; 0: among all (default: 0)",
    )
    parser.add_argument(
        "--top-p",
        type=float,
        metavar="P",
        default=1.0,
        help="draw among the most probable that make up P of the probability (default: 1)",
    )
    parser.add_argument(
        "--seed", type=int, metavar="N", help="same text every time (default: another each time)"
    )
    add_weights(parser)


def run(given: argparse.Namespace) -> int:
    """Run the command; return the exit status."""
    if given.seed is not None:
        integer("--seed", given.seed, 0)
    model = load_language_model(given.model)
    rng = generator(given.seed)
    prompt = (
        _default_prompt(getattr(model.tokenizer, "vocabulary", ()), rng)
        if given.prompt is None
        else given.prompt
    )
    pieces = model.generate(
        prompt,
        given.length,
        given.temperature,
        given.top_k,
        given.top_p,
        rng,
        given.weights,
    )
    sys.stdout.write(shown(prompt, sys.stdout))
    for piece in pieces:
        sys.stdout.write(shown(piece, sys.stdout))
        sys.stdout.flush()
    sys.stdout.write("\n")
    return 0


def _default_prompt(vocabulary: Sequence[str], rng: np.random.Generator) -> str:
    """What comes before a line, else before a word, else any character of the vocabulary."""
    for character in "\n ":
        if character in vocabulary:
            return character
    return vocabulary[int(rng.integers(len(vocabulary)))]
