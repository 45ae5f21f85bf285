"""``rnncore train --task lm``: a language model of characters, words or other tokens."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Any

import numpy as np

from rnncore import _help, _interrupt, _memory, datasets
from rnncore._check import size
from rnncore.cli import vocabulary
from rnncore.cli.files import read_text
from rnncore.cli.tasks.running import (
    listen_to_ctrl_c,
    machine,
    run_options,
    summary,
)
from rnncore.cli.terminal import shown
from rnncore.cli.train_options import add_options as add_training_options
from rnncore.cli.train_options import model_keywords, training_config
from rnncore.models import LanguageModel
from rnncore.progress import choose_progress
from rnncore.text import blocks, prepare
from rnncore.training import fit

__all__ = ["HELP", "add_options", "run"]

HELP = "train a language model of a text and print what it writes"

# Below 1, so that the sample shows what the model has learned rather than its rarest ideas.
_SAMPLE_TEMPERATURE = 0.8
_SAMPLED_SENTENCES = 5

# Bytes of a text whose ids are kept on disk: in memory they would take eight times as many.
_LARGE = 64 << 20


def add_options(parser: argparse.ArgumentParser) -> None:
    """Describe the command and its options."""
    parser.description = (
        "Train a language model of the characters of a text, or of its words. The end of the text "
        "is held out; the model with the lowest loss on it is kept, and what it writes is printed. "
        "Ctrl-C ends the training and keeps the best model so far."
    )
    parser.add_argument(
        "file", metavar="FILE", nargs="?", help="text in UTF-8 (default: plays of Shakespeare)"
    )
    parser.add_argument(
        "--sample-length",
        type=int,
        metavar="N",
        default=600,
        help="tokens to print at the end, at most (default: 600)",
    )
    parser.add_argument(
        "--from-disk",
        action="store_true",
        help="keep the text's ids in a file beside it, and read them from there while training; "
        "texts of 64 MB and more are always read so",
    )
    parser.add_argument(
        "--ids-directory", metavar="DIR", help="where that file is kept (default: beside the text)"
    )
    vocabulary.add_options(parser)
    add_training_options(parser)


def run(given: argparse.Namespace) -> int:
    """Run the command; return the exit status."""
    listen_to_ctrl_c()
    config = training_config(given)
    keywords = model_keywords(given)
    sample_length = size("--sample-length", given.sample_length, minimum=0)
    _memory.require(8 * sample_length, f"--sample-length: {sample_length} tokens")
    options = run_options(given)
    name, text = _text(given)

    parts = [text] if isinstance(text, str) else blocks(text)
    tokenizer = vocabulary.make(given, parts, sentences=config.sentences)
    model = LanguageModel(
        tokenizer.vocab_size,
        tokenizer=tokenizer,
        sentences=config.sentences,
        rng=config.seed,
        **keywords,
    )
    ids = (
        model.encode(text)
        if isinstance(text, str)
        else prepare(text, tokenizer, given.ids_directory)
    )
    batches = model.batches(ids, config)
    count = f"{tokenizer.vocab_size:,}"
    kinds = f"{count} of them distinct" if model.unit == "character" else f"a vocabulary of {count}"
    print(
        f"{name}: {len(ids):,} {model.unit}s, {kinds}. "
        f"{model.cell} {model.rnn.num_layers} x {model.rnn.hidden_size}: "
        f"{model.num_params:,} parameters. {machine()}",
        flush=True,
    )
    progress = choose_progress(sys.stdout, model.unit)
    result = fit(model, *batches, config, progress=progress, **options)
    print(summary(model, result, given.out), flush=True)
    if result.interrupted:
        return _interrupt.STATUS
    print(f"\n{shown(_written(model, int(ids[0]), sample_length, config.seed), sys.stdout)}")
    return 0


def _written(model: LanguageModel, first: int, length: int, seed: int) -> str:
    """Return what a model writes: several lines, or a text that begins like a line."""
    options: dict[str, Any] = {"temperature": _SAMPLE_TEMPERATURE, "rng": seed}
    if model.sentences:
        return "\n".join(model.sample("", length, num_samples=_SAMPLED_SENTENCES, **options))
    assert model.tokenizer is not None
    opening = first if model.opening is None else model.opening
    ids = model.sample([opening], length, **options)
    return model.tokenizer.decode(np.concatenate([[opening], ids])).strip()


def _text(given: argparse.Namespace) -> tuple[str, str | Path]:
    """Name of the text, and its content or the file that is to stay on disk."""
    if given.file is None:
        if given.from_disk or given.ids_directory is not None:
            raise ValueError("--from-disk: expected a FILE beside it")
        return "tinyshakespeare", datasets.tinyshakespeare()
    path = Path(given.file)
    wanted = given.from_disk or given.ids_directory is not None
    if wanted or (path.is_file() and path.stat().st_size >= _LARGE):
        return given.file, path
    return given.file, read_text(given.file)


_help.show_public_names()
