"""``rnncore train``: one module for each task, loaded when it is asked for.

A task is a module with ``HELP``, ``add_options(parser)`` and ``run(given)``, and a row in `TASKS`.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from importlib import import_module
from typing import Any

from rnncore.cli.parser import Parser
from rnncore.cli.tasks.running import add_run_options

__all__ = ["HELP", "TASKS", "add_options", "run"]

HELP = "train a model of a text, of labeled lines, of parallel texts, recordings or pictures"

#: Module of each task; the first is the default.
TASKS = {
    "lm": "rnncore.cli.tasks.language_model",
    "classify": "rnncore.cli.tasks.classify",
    "translate": "rnncore.cli.tasks.translate",
    "speech": "rnncore.cli.tasks.speech",
    "caption": "rnncore.cli.tasks.caption",
}


def add_options(parser: Parser) -> None:
    """Describe the command; the options of its task are added once the task is known."""
    _add_task(parser)
    add_run_options(parser)

    def complete(arguments: Sequence[str]) -> None:
        finder = argparse.ArgumentParser(add_help=False, exit_on_error=False, allow_abbrev=False)
        _add_task(finder)
        try:
            given, _ = finder.parse_known_args(arguments)
        except argparse.ArgumentError:  # the parser itself says so
            return
        if given.task != finder.get_default("task"):
            parser.shown = f"{parser.prog} --task {given.task}"
        _module(given.task).add_options(parser)

    parser.complete = complete


def run(given: argparse.Namespace) -> int:
    """Run the task; return the exit status."""
    status: int = _module(given.task).run(given)
    return status


def _add_task(parser: argparse.ArgumentParser) -> None:
    meaning = (
        "lm is a language model, classify gives a label to each line, translate a line of another "
        "language; speech recognizes what is said in recordings, caption gives a sentence to each "
        "picture (default: lm)"
    )
    parser.add_argument("--task", choices=list(TASKS), default=next(iter(TASKS)), help=meaning)


def _module(task: str) -> Any:
    return import_module(TASKS[task])
