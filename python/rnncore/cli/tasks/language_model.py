"""``rnncore train --task lm``: a character-level language model of a text."""

from __future__ import annotations

import argparse
import sys

from rnncore import _help, _interrupt, _memory, datasets
from rnncore._check import size
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
from rnncore.text import CharTokenizer
from rnncore.training import fit

__all__ = ["HELP", "add_options", "run"]

HELP = "train a language model of a text and print what it writes"

# Below 1, so that the sample shows what the model has learned rather than its rarest ideas.
_SAMPLE_TEMPERATURE = 0.8


def add_options(parser: argparse.ArgumentParser) -> None:
    """Describe the command and its options."""
    parser.description = (
        "Train a character-level language model of a text. The end of the text is held out; the "
        "model with the lowest loss on it is kept, and what it writes is printed. Ctrl-C ends the "
        "training and keeps the best model so far."
    )
    parser.add_argument(
        "file", metavar="FILE", nargs="?", help="text in UTF-8 (default: plays of Shakespeare)"
    )
    parser.add_argument(
        "--sample-length",
        type=int,
        metavar="N",
        default=600,
        help="characters to print at the end (default: 600)",
    )
    add_training_options(parser)


def run(given: argparse.Namespace) -> int:
    """Run the command; return the exit status."""
    listen_to_ctrl_c()
    config = training_config(given)
    keywords = model_keywords(given)
    sample_length = size("--sample-length", given.sample_length, minimum=0)
    _memory.require(8 * sample_length, f"--sample-length: {sample_length} characters")
    options = run_options(given)
    name, text = _text(given.file)

    # Sentences begin and end with a line feed, also those of a text that is one line.
    tokenizer = CharTokenizer.fit(f"{text}\n" if config.sentences else text)
    model = LanguageModel(tokenizer.vocab_size, tokenizer=tokenizer, rng=config.seed, **keywords)
    batches = model.batches(text, config)
    print(
        f"{name}: {len(text):,} characters, {tokenizer.vocab_size} of them distinct. "
        f"{model.cell} {model.rnn.num_layers} x {model.rnn.hidden_size}: "
        f"{model.num_params:,} parameters. {machine()}",
        flush=True,
    )
    progress = choose_progress(sys.stdout, "character")
    result = fit(model, *batches, config, progress=progress, **options)
    print(summary(model, result, given.out), flush=True)
    if result.interrupted:
        return _interrupt.STATUS
    prompt = "\n" if "\n" in tokenizer.vocabulary else text[0]
    written = model.sample(prompt, sample_length, _SAMPLE_TEMPERATURE, rng=config.seed)
    print(f"\n{shown(written.strip(), sys.stdout)}")
    return 0


def _text(file: str | None) -> tuple[str, str]:
    """Name and content of the text."""
    if file is None:
        return "tinyshakespeare", datasets.tinyshakespeare()
    return file, read_text(file)


_help.show_public_names()
