"""Options of ``rnncore train`` for its checkpoints and its files of metrics."""

from __future__ import annotations

import argparse
import os
from typing import Any

from rnncore import _files
from rnncore._check import integer
from rnncore.training import Callback, Run, TensorBoard
from rnncore.training.metric_files import metric_file

__all__ = ["add_options", "goes_on", "run_keywords"]


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add all of them."""
    group = parser.add_argument_group("checkpoints and metrics")
    group.add_argument(
        "--checkpoint-every",
        type=int,
        metavar="N",
        help="updates between checkpoints, which are written to MODEL.checkpoint",
    )
    group.add_argument(
        "--resume",
        action="store_true",
        help="go on from MODEL.checkpoint where there is one, with the same bits as a run that was "
        "never killed; without --checkpoint-every a checkpoint is written after each epoch",
    )
    group.add_argument(
        "--metrics",
        metavar="FILE",
        help="write a line for each update and validation, see rnncore plot: CSV for a name that "
        "ends in .csv, otherwise JSON lines",
    )
    group.add_argument("--tensorboard", metavar="DIR", help="write the same for TensorBoard")


def goes_on(given: argparse.Namespace, *files: str | None) -> bool:
    """Return whether the run goes on from a checkpoint; raise the errors of its files now.

    `files` are what it reads.

    Raises
    ------
    OSError
        When a file cannot be written, or exists and nothing says what to do with it.
    ValueError
        When a number is out of range, or a file has two meanings.
    """
    if given.checkpoint_every is not None:
        integer("--checkpoint-every", given.checkpoint_every, 1)
    checkpoint = f"{given.out}.checkpoint"
    for file in files:
        if (given.resume or given.checkpoint_every) and _is_same(file, checkpoint):
            raise ValueError(
                f"--out: expected another name, got {given.out}, whose checkpoint would replace "
                f"the text {file}"
            )
    resumes = given.resume and os.path.exists(checkpoint)
    if (given.resume or given.checkpoint_every) and not (resumes or given.overwrite):
        _files.require_new(checkpoint, "--resume goes on from it, --overwrite replaces it")
    if given.metrics is not None:
        _files.require_writable(given.metrics)
        for other in (*files, given.out, checkpoint):
            if _is_same(other, given.metrics):
                raise ValueError(f"--metrics: expected a file of its own, got {given.metrics}")
        if not (resumes or given.overwrite):
            _files.require_new(given.metrics, "--overwrite replaces it")
    return resumes


def _is_same(one: str | None, other: str) -> bool:
    """Return whether two names are those of one file, which need not exist."""
    if one is None:
        return False
    if os.path.exists(one) and os.path.exists(other):
        return os.path.samefile(one, other)
    return os.path.realpath(one) == os.path.realpath(other)


def run_keywords(given: argparse.Namespace) -> dict[str, Any]:
    """Return the keywords of `rnncore.training.fit` that were described."""
    callbacks: list[Callback] = [_Announcement()]
    if given.metrics is not None:
        callbacks.append(metric_file(given.metrics, overwrite=True))
    if given.tensorboard is not None:
        callbacks.append(TensorBoard(given.tensorboard))
    return {
        "checkpoint_every": given.checkpoint_every,
        "resume": given.resume,
        "callbacks": callbacks,
    }


class _Announcement(Callback):
    """Says from where a run goes on."""

    def on_start(self, run: Run) -> None:
        if run.resumed:
            print(f"goes on from the checkpoint after update {run.updates:,}", flush=True)
