"""``rnncore info``: this build on this machine, or what is in a model file."""

from __future__ import annotations

import argparse
import sys
from typing import Any

import rnncore
from rnncore import _core, io
from rnncore.cli.terminal import shown

__all__ = ["HELP", "add_options", "run"]

HELP = "version, processor and build, or the configuration of a model"


def add_options(parser: argparse.ArgumentParser) -> None:
    """Describe the command and its options."""
    parser.description = (
        "Print the version, the instruction set in use and those available, the number of threads "
        "and the build; with MODEL, also what the file holds."
    )
    parser.add_argument("model", metavar="MODEL", nargs="?", help="file of a model or layer")


def run(given: argparse.Namespace) -> int:
    """Run the command; return the exit status."""
    rows: dict[str, Any] = {
        "version": rnncore.__version__,
        "isa": rnncore.isa(),
        "available isas": ", ".join(rnncore.available_isas()),
        "threads": rnncore.get_num_threads(),
        **_core.build_info(),
    }
    if given.model is not None:
        rows |= _contents(given.model)
    width = max(map(len, rows))
    for name, value in rows.items():
        print(shown(f"{name:{width}}  {value}", sys.stdout))
    return 0


def _contents(path: str) -> dict[str, Any]:
    """Configuration, number of parameters and tokenizer of a file."""
    model = io.load(path)
    rows = {"model": path, "class": type(model).__name__, **model.config()}
    rows["parameters"] = f"{model.num_params:,}"
    rows.update((name, repr(asset)) for name, asset in model.assets().items())
    return rows
