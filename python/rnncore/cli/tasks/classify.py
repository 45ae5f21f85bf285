"""``rnncore train --task classify``: a label for each line of text."""

from __future__ import annotations

import argparse
import sys
from typing import Any

from rnncore import _help, _interrupt
from rnncore.cli.files import read_labeled
from rnncore.cli.parser import OptionGroup, defaults_of, keywords
from rnncore.cli.tasks.running import (
    listen_to_ctrl_c,
    machine,
    run_options,
    summary,
)
from rnncore.cli.train_options import add_training_options, training_config
from rnncore.layers import CELLS
from rnncore.models import SequenceClassifier
from rnncore.progress import choose_progress
from rnncore.text import ByteTokenizer, CharTokenizer, Tokenizer, WordTokenizer

__all__ = ["HELP", "add_options", "run"]

HELP = "label each line of a text"

_MODEL, _VOCABULARY = "model", "words"

#: Few texts are learned by heart without dropout.
MODEL: dict[str, Any] = {"dropout": 0.5}
#: A word that occurs once has no vector worth learning.
VOCABULARY: dict[str, Any] = {"min_count": 2}

_INTEGER: dict[str, Any] = {"type": int, "metavar": "N"}


def add_options(parser: argparse.ArgumentParser) -> None:
    """Describe the task and its options."""
    parser.description = (
        "Train a classifier of texts. Each line of FILE is a label, a tab and a text. A share of "
        "the lines, drawn at random, is held out; the model with the lowest loss on it is kept. "
        "Ctrl-C ends the training and keeps the best model so far."
    )
    parser.add_argument("file", metavar="FILE", help="labeled lines in UTF-8")
    tokens = parser.add_mutually_exclusive_group()
    tokens.add_argument("--characters", action="store_true", help="read characters, not words")
    tokens.add_argument("--bytes", action="store_true", help="read bytes, not words")

    words = OptionGroup(parser, _VOCABULARY, defaults_of(WordTokenizer.fit) | VOCABULARY)
    words.add("--vocab-size", "vocab_size", "most frequent words that are kept", **_INTEGER)
    words.add("--min-count", "min_count", "least number of times a word occurs", **_INTEGER)
    words.add("--lowercase", "lowercase", "lower-case all texts", action="store_true")
    splits = ["punctuation", "whitespace"]
    words.add("--split", "split", "what parts words", choices=splits)

    model = OptionGroup(parser, _MODEL, defaults_of(SequenceClassifier) | MODEL)
    model.add("--cell", "cell", "recurrent layer", choices=list(CELLS))
    model.add("--hidden-size", "hidden_size", "units of each layer and direction", **_INTEGER)
    model.add("--num-layers", "num_layers", "recurrent layers", **_INTEGER)
    model.add("--embedding-size", "embedding_size", "width of the embedding", **_INTEGER)
    model.add("--one-direction", "bidirectional", "read forward only", action="store_false")
    model.add("--pooling", "pooling", "what is taken of all steps", choices=["max", "mean", "last"])
    model.add("--dropout", "dropout", "probability", type=float, metavar="X")
    add_training_options(parser)


def run(given: argparse.Namespace) -> int:
    """Run the task; return the exit status."""
    listen_to_ctrl_c()
    config = training_config(given)
    options = {**MODEL, **keywords(given, _MODEL)}
    run = run_options(given)
    labels, texts = read_labeled(given.file)
    names = sorted(set(labels))
    if len(names) < 2:
        raise ValueError(f"{given.file}: expected at least 2 different labels, got {names[0]!r}")
    tokenizer = _tokenizer(given, texts)
    model = SequenceClassifier(
        len(names), tokenizer=tokenizer, labels=names, rng=config.seed, **options
    )
    print(
        f"{given.file}: {len(texts):,} texts, {len(names)} labels, {tokenizer.vocab_size:,} "
        f"{tokenizer.unit}s. {model.cell} {model.rnn.num_layers} x {model.rnn.hidden_size}: "
        f"{model.num_params:,} parameters. {machine()}",
        flush=True,
    )
    progress = choose_progress(sys.stdout, model.unit)
    result = model.fit(texts, labels, config, progress=progress, **run)
    print(summary(model, result, given.out), flush=True)
    return _interrupt.STATUS if result.interrupted else 0


def _tokenizer(given: argparse.Namespace, texts: list[str]) -> Tokenizer:
    """Return the vocabulary of the texts that the options ask for."""
    options = keywords(given, _VOCABULARY)
    if not (given.characters or given.bytes):
        return WordTokenizer.fit(texts, **{**VOCABULARY, **options})
    for name in options:
        raise ValueError(f"--{name.replace('_', '-')}: no option of --characters and --bytes")
    return ByteTokenizer() if given.bytes else CharTokenizer.fit("\n".join(texts))


_help.show_public_names()
