"""``rnncore train``: a language model of the characters, words or other tokens of a text."""

from __future__ import annotations

import argparse
import signal
import sys
import threading
from pathlib import Path
from typing import Any

import numpy as np

import rnncore
from rnncore import _interrupt, _memory, datasets
from rnncore._check import integer, size
from rnncore.cli import vocabulary
from rnncore.cli.files import add_overwrite, read_text, require_out
from rnncore.cli.terminal import shown
from rnncore.cli.train_options import add_options as add_training_options
from rnncore.cli.train_options import model_keywords, training_config
from rnncore.models import LanguageModel
from rnncore.progress import bits, choose_progress, clock, perplexity, skipped_updates
from rnncore.text import blocks, prepare
from rnncore.training import TrainingResult, fit

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
    parser.add_argument("--out", metavar="MODEL", required=True, help="file for the model")
    add_overwrite(parser)
    parser.add_argument("--threads", type=int, metavar="N", help="threads (default: all)")
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
    _listen_to_ctrl_c()
    config = training_config(given)
    keywords = model_keywords(given)
    sample_length = size("--sample-length", given.sample_length, minimum=0)
    _memory.require(8 * sample_length, f"--sample-length: {sample_length} tokens")
    if given.threads is not None:
        integer("--threads", given.threads, 1, 2**31 - 1)
    require_out(given, text=given.file)
    name, text = _text(given)
    if given.threads is not None:
        rnncore.set_num_threads(given.threads)

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
        f"{model.num_params:,} parameters. "
        f"{rnncore.isa()}, {rnncore.get_num_threads()} threads.",
        flush=True,
    )
    progress = choose_progress(sys.stdout, model.unit)
    result = fit(model, *batches, config, path=given.out, overwrite=True, progress=progress)
    print(_summary(result, given.out, model.unit), flush=True)
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


def _listen_to_ctrl_c() -> None:
    """Let SIGINT be KeyboardInterrupt also where a script started the training with ``&``.

    Shells let such commands ignore it; but it is the only way to end a training and keep it.
    """
    if threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGINT, signal.default_int_handler)


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


def _summary(result: TrainingResult, out: str, unit: str) -> str:
    """One line: what was saved where."""
    if not result.losses:
        return "interrupted before the first update; nothing was saved"
    ended = "interrupted after" if result.interrupted else "trained for"
    best = result.best
    quality = (
        "no validation"
        if best is None
        else f"validation loss {best.loss:.4f} (perplexity {perplexity(best.loss):.3f}, "
        f"{bits(best.loss):.3f} bits/{unit}) after epoch {best.epoch}"
    )
    skipped = f"; {skipped_updates(result.skipped)}" if result.skipped else ""
    return f"{ended} {clock(result.seconds)}, saved {out}: {quality}{skipped}"
