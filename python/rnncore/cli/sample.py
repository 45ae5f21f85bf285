"""``rnncore sample``: text that a model writes."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np

from rnncore._check import generator, integer, size
from rnncore.cli.files import load_language_model, standard_lines
from rnncore.cli.parser import add_weight_format
from rnncore.cli.terminal import shown
from rnncore.models import LanguageModel

__all__ = ["HELP", "add_options", "run"]

HELP = "let a model continue a text"


def add_options(parser: argparse.ArgumentParser) -> None:
    """Describe the command and its options."""
    parser.description = (
        "Print a prompt and how the model continues it, as it goes. A model of sentences stops at "
        "the end of the sentence. A terminal gets control characters escaped; files and pipes get "
        "the text as it is."
    )
    parser.add_argument("model", metavar="MODEL", help="file of a trained model")
    parser.add_argument(
        "--prompt",
        metavar="TEXT",
        help="what to continue (default: the start of a sentence, for a model of sentences; else "
        "a line feed; where the model's text had none, a space, and without spaces a token drawn "
        "at random)",
    )
    parser.add_argument(
        "--stdin",
        action="store_true",
        help="continue each line of standard input instead of --prompt; an empty one is continued "
        "as without a prompt",
    )
    parser.add_argument(
        "--num-samples",
        type=int,
        metavar="N",
        default=1,
        help="continuations of each prompt (default: 1)",
    )
    parser.add_argument("--stop", metavar="TEXT", help="stop behind this text")
    parser.add_argument(
        "--stop-at-end",
        action=argparse.BooleanOptionalAction,
        default=None,
        help="stop at the token that ends sentences, or do not (default: for models of sentences)",
    )
    parser.add_argument(
        "--json",
        action="store_true",
        help="print an object for each sample, with prompt and text, the continuation",
    )
    parser.add_argument(
        "--length", type=int, metavar="N", default=500, help="tokens to draw at most (default: 500)"
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
    add_weight_format(parser)


def run(given: argparse.Namespace) -> int:
    """Run the command; return the exit status."""
    if given.seed is not None:
        integer("--seed", given.seed, 0)
    num_samples = size("--num-samples", given.num_samples)
    if given.stdin and given.prompt is not None:
        raise ValueError("--stdin: expected no --prompt beside it")
    model = load_language_model(given.model)
    rng = generator(given.seed)
    options: dict[str, Any] = {
        "temperature": given.temperature,
        "top_k": given.top_k,
        "top_p": given.top_p,
        "rng": rng,
        "weight_format": given.weight_format,
        "stop": given.stop,
        "stop_at_end": given.stop_at_end,
    }
    is_first = True
    for prompt in _prompts(given, model, rng):
        if given.json or num_samples > 1 or given.stdin:
            for text in model.sample(prompt, given.length, num_samples=num_samples, **options):
                if given.json:
                    value = {"prompt": prompt, "text": text[len(prompt) :]}
                    print(json.dumps(value, ensure_ascii=False), flush=True)
                    continue
                # texts of several lines are parted by an empty one
                parted = "" if is_first or model.sentences else "\n"
                print(f"{parted}{shown(text, sys.stdout)}", flush=True)
                is_first = False
        else:
            _write(prompt, model.generate(prompt, given.length, **options))
    return 0


def _write(prompt: str, pieces: Iterable[str]) -> None:
    """Print a text piece by piece, as it is drawn."""
    sys.stdout.write(shown(prompt, sys.stdout))
    for piece in pieces:
        sys.stdout.write(shown(piece, sys.stdout))
        sys.stdout.flush()
    sys.stdout.write("\n")


def _prompts(
    given: argparse.Namespace, model: LanguageModel, rng: np.random.Generator
) -> Iterator[str]:
    if given.stdin:
        for line in standard_lines():
            yield line.removesuffix("\n") or _default_prompt(model, rng)
    else:
        yield _default_prompt(model, rng) if given.prompt is None else given.prompt


def _default_prompt(model: LanguageModel, rng: np.random.Generator) -> str:
    """What comes before a line, else before a word, else any token of the vocabulary."""
    tokenizer = model.tokenizer
    assert tokenizer is not None
    if model.opening is not None:
        return "" if model.sentences else "\n"
    if " " in getattr(tokenizer, "vocabulary", ()):
        return " "
    return tokenizer.token(int(rng.integers(tokenizer.vocab_size)))
