"""What all tasks of ``rnncore train`` share: Ctrl-C, threads, and the line at the end."""

from __future__ import annotations

import argparse
import signal
import threading
from typing import Any

import rnncore
from rnncore._check import integer
from rnncore.cli.files import add_overwrite, require_out
from rnncore.cli.run_options import add_options as add_checkpoint_options
from rnncore.cli.run_options import goes_on, run_keywords
from rnncore.progress import clock, measures_line, skipped_updates
from rnncore.training import Trainable, TrainingResult

__all__ = ["add_run_options", "listen_to_ctrl_c", "machine", "run_options", "summary"]


def add_run_options(parser: argparse.ArgumentParser) -> None:
    """Add the options that say where the model goes and how many threads there are."""
    parser.add_argument("--out", metavar="MODEL", required=True, help="file for the model")
    add_overwrite(parser)
    parser.add_argument("--threads", type=int, metavar="N", help="threads (default: all)")
    add_checkpoint_options(parser)


def run_options(given: argparse.Namespace, **inputs: str) -> dict[str, Any]:
    """Take the threads, and return the keywords of `fit` that say where the run is written.

    `inputs` are the files that are read, by what they are; None: ``given.file``, the text.

    Raises
    ------
    OSError, ValueError
        When a file cannot be written or has two meanings, or a number is out of range.
    """
    threads = None if given.threads is None else integer("--threads", given.threads, 1, 2**31 - 1)
    read = inputs or {"text": given.file}
    given.overwrite |= goes_on(given, *read.values())
    require_out(given, **read)
    if threads is not None:
        rnncore.set_num_threads(threads)
    return {"path": given.out, "overwrite": True, **run_keywords(given)}


def listen_to_ctrl_c() -> None:
    """Let SIGINT be KeyboardInterrupt also where a script started the training with ``&``.

    Shells let such commands ignore it; but it is the only way to end a training and keep it.
    """
    if threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGINT, signal.default_int_handler)


def machine() -> str:
    """Return instruction set and threads, for the first line."""
    return f"{rnncore.isa()}, {rnncore.get_num_threads()} threads."


def summary(model: Trainable, result: TrainingResult, out: str) -> str:
    """Return one line that says what was saved where."""
    if not result.losses:
        return "interrupted before the first update; nothing was saved"
    ended = "trained for"
    if result.interrupted:
        ended = "interrupted after"
    elif result.stopped_early:
        ended = "stopped early after"
    best = result.best
    quality = "no validation"
    if best is not None:
        measures = measures_line({**model.metrics(best.loss), **best.measures})
        quality = f"validation loss {best.loss:.4f}{measures} after epoch {best.epoch}"
    skipped = f"; {skipped_updates(result.skipped)}" if result.skipped else ""
    return f"{ended} {clock(result.seconds)}, saved {out}: {quality}{skipped}"
