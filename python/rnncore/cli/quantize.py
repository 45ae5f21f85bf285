"""``rnncore quantize``: a model with weights of fewer bits, and what that costs."""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from rnncore import datasets, io
from rnncore._narrow import NARROW
from rnncore.cli.files import add_overwrite, load_language_model, read_text, require_out
from rnncore.models import LanguageModel

__all__ = ["HELP", "add_options", "run"]

HELP = "store the weights of a model in fewer bits"

_HELD_OUT = 0.1  # of the embedded text: what `train` does not train on unless told otherwise


def add_options(parser: argparse.ArgumentParser) -> None:
    """Describe the command and its options."""
    parser.description = (
        "Write a model whose weight matrices take 8 or 16 bits a number instead of 32, and print "
        "the loss on a text, in nats per token, before and after."
    )
    parser.add_argument("model", metavar="MODEL", help="file of a trained model")
    parser.add_argument(
        "file",
        metavar="FILE",
        nargs="?",
        help="text in UTF-8 to measure the loss on (default: the last tenth of the embedded text "
        "of Shakespeare, on which `rnncore train` does not train; nothing is measured where the "
        "model lacks its characters)",
    )
    parser.add_argument(
        "--weight-format",
        metavar="FORMAT",
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
    add_overwrite(parser)


def run(given: argparse.Namespace) -> int:
    """Run the command; return the exit status."""
    model = load_language_model(given.model)
    ids = _ids(model, given.file, must_measure=given.out is None)
    if given.out is not None:
        require_out(given, model=given.model, text=given.file)
    if isinstance(ids, str):
        print(f"loss not measured: {ids}; give a FILE to measure it on")
        model.weight_format = given.weight_format
    else:
        _measure(model, given.weight_format, ids)
    if given.out is not None:
        io.save(model, given.out)
        sizes = [Path(path).stat().st_size for path in (given.model, given.out)]
        print(f"{given.model}: {sizes[0]:,} bytes")
        print(f"{given.out}: {sizes[1]:,} bytes, {100 * sizes[1] / sizes[0]:.0f} %")
    return 0


def _ids(model: LanguageModel, file: str | None, *, must_measure: bool) -> NDArray[np.int64] | str:
    """Return the text to measure on, or why the embedded one cannot be."""
    if file is None:
        try:
            if model.unit != "character":
                raise ValueError(f"the embedded text suits models of characters, not {model.unit}s")
            return model.encode(_held_out(), "the embedded text of Shakespeare")
        except ValueError as error:
            if must_measure:
                raise ValueError(f"{error}; give a FILE to measure the loss on, or --out") from None
            return str(error)
    ids = model.encode(read_text(file), file)
    if len(ids) < 2:
        raise ValueError(f"{file}: expected at least 2 {model.unit}s, got {len(ids)}")
    return ids


def _measure(model: LanguageModel, weight_format: str, ids: NDArray[np.int64]) -> None:
    """Print the loss as the model is and with `weight_format`, which it has afterwards."""
    before = _loss(model, ids)
    as_stored = model.weight_format or model.dtype.name
    model.weight_format = weight_format
    after = _loss(model, ids)
    change = f"  {100 * (after / before - 1):+.2f} %" if before else ""
    print(f"loss on {len(ids):,} {model.unit}s")
    print(f"  {as_stored:12} {before:.4f}")
    print(f"  {weight_format:12} {after:.4f}{change}")


def _loss(model: LanguageModel, ids: NDArray[np.int64]) -> float:
    return abs(float(model.score(ids).mean()))  # no log-probability is above 0


def _held_out() -> str:
    text = datasets.tinyshakespeare()
    return text[int(len(text) * (1 - _HELD_OUT)) :]
