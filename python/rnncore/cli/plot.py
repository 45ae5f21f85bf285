"""``rnncore plot``: a picture of the losses of a training run."""

from __future__ import annotations

import argparse
from pathlib import Path

from rnncore.cli.files import add_overwrite, require_out
from rnncore.training.curves import Curves

__all__ = ["HELP", "add_options", "run"]

HELP = "draw the losses of a training run"


def add_options(parser: argparse.ArgumentParser) -> None:
    """Describe the command and its options."""
    parser.description = (
        "Draw the training and validation losses of a run, also of one that is still going on, "
        "from the file that rnncore train --metrics writes."
    )
    parser.add_argument("metrics", metavar="METRICS", help="file of metrics, JSON lines or CSV")
    parser.add_argument(
        "--out",
        metavar="PICTURE",
        help="file for the picture, such as .png, .svg or .pdf (default: METRICS with .png)",
    )
    add_overwrite(parser)


def run(given: argparse.Namespace) -> int:
    """Run the command; return the exit status."""
    curves = Curves.of_file(given.metrics)
    if given.out is None:
        given.out = str(Path(given.metrics).with_suffix(".png"))
    require_out(given, metrics=given.metrics)
    curves.draw(given.out)
    print(f"drew {len(curves.updates):,} updates, saved {given.out}")
    return 0
