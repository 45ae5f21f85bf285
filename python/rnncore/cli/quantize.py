"""``rnncore quantize``: a model with weights of fewer bits, and what that costs."""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from rnncore import _files, datasets, io
from rnncore._narrow import NARROW
from rnncore.cli.files import load_language_model, read_text, require_another
from rnncore.models import LanguageModel

__all__ = ["HELP", "add_options", "run"]

HELP = "store the weights of a model in fewer bits"

_HELD_OUT = 0.1  # of the embedded text: what `train` does not train on unless told otherwise


def add_options(parser: argparse.ArgumentParser) -> None:
    """Describe the command and its options."""
    parser.description = (
        "Write a model whose weight matrices take 8 or 16 bits a number instead of 32, and print "
        "the loss on a text, in nats per character, before and after."
    )
    parser.add_argument("model", metavar="MODEL", help="file of a trained model")
    parser.add_argument(
        "file",
        metavar="FILE",
        nargs="?",
        help="text in UTF-8 to measure the loss on (default: the last tenth of the embedded text "
        "of Shakespeare, on which `rnncore train` does not train)",
    )
    parser.add_argument(
        "--weights",
        metavar="FORM",
        choices=NARROW,
        default="int8_dynamic",
        help="bfloat16; int8; or int8_dynamic, which rounds states too and is the fastest "
        "(default: int8_dynamic)",
    )
    parser.add_argument(
        "--out",
        metavar="PATH",
        help="where to write the model (default: nothing is written, the loss is only measured)",
    )


def run(given: argparse.Namespace) -> int:
    """Run the command; return the exit status."""
    model = load_language_model(given.model)
    if given.file is None:
        name, text = "the embedded text of Shakespeare", _held_out()
    else:
        name, text = given.file, read_text(given.file)
    ids = model.encode(text, name)
    if len(ids) < 2:
        raise ValueError(f"{name}: expected at least 2 characters, got {len(ids)}")
    if given.out is not None:
        _files.require_writable(given.out)
        require_another(given.out, given.model, "model")
        require_another(given.out, given.file, "text")
    before = _loss(model, ids)
    as_stored = model.weights or model.dtype.name
    model.weights = given.weights
    after = _loss(model, ids)
    change = f"  {100 * (after / before - 1):+.2f} %" if before else ""
    print(f"loss on {len(ids):,} characters")
    print(f"  {as_stored:12} {before:.4f}")
    print(f"  {given.weights:12} {after:.4f}{change}")
    if given.out is not None:
        io.save(model, given.out)
        sizes = [Path(path).stat().st_size for path in (given.model, given.out)]
        print(f"{given.model}: {sizes[0]:,} bytes")
        print(f"{given.out}: {sizes[1]:,} bytes, {100 * sizes[1] / sizes[0]:.0f} %")
    return 0


def _loss(model: LanguageModel, ids: NDArray[np.int64]) -> float:
    return abs(float(model.score(ids).mean()))  # no log-probability is above 0


def _held_out() -> str:
    text = datasets.tinyshakespeare()
    return text[int(len(text) * (1 - _HELD_OUT)) :]
