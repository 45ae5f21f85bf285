"""``rnncore train --task caption``: a sentence about each picture."""

from __future__ import annotations

import argparse
import sys
from typing import Any

from rnncore import _help, _interrupt
from rnncore._check import size
from rnncore.cli.parser import OptionGroup, defaults_of, keywords
from rnncore.cli.pictures import Pictures, read_captions, read_pictures
from rnncore.cli.tasks.running import listen_to_ctrl_c, machine, run_options, summary
from rnncore.cli.train_options import add_training_options, training_config
from rnncore.layers import CELLS
from rnncore.models import Captioner
from rnncore.models.decoders import DECODERS
from rnncore.progress import choose_progress
from rnncore.text import ByteTokenizer, CharTokenizer, Tokenizer, WordTokenizer

__all__ = ["HELP", "add_options", "run"]

HELP = "describe each picture by a sentence"

_MODEL, _VOCABULARY = "model", "words"

#: Few captions are learned by heart without dropout.
MODEL: dict[str, Any] = {"dropout": 0.3}
#: A word that occurs once is read as unknown.
VOCABULARY: dict[str, Any] = {"min_count": 2}

_INTEGER: dict[str, Any] = {"type": int, "metavar": "N"}
_SHARE: dict[str, Any] = {"type": float, "metavar": "X"}
_FLAG: dict[str, Any] = {"action": "store_true"}


def add_options(parser: argparse.ArgumentParser) -> None:
    """Describe the task and its options."""
    parser.description = (
        "Train a captioner of pictures. PICTURES is a .npz with an array called features, [N,I], "
        "[N,R,I] or [N,rows,columns,I], or pictures, bytes [N,H,W,C], which are cut into patches; "
        "or a .npy of one of these. Each line of CAPTIONS is the caption of a picture, or several "
        "divided by tabs. A share of the pictures, drawn at random, is held out; the model with "
        "the lowest loss on it is kept. Ctrl-C ends the training and keeps the best model so far."
    )
    parser.add_argument("pictures", metavar="PICTURES", help="features or pictures, .npz or .npy")
    parser.add_argument(
        "captions",
        metavar="CAPTIONS",
        nargs="?",
        help="captions in UTF-8, a line for each picture (default: captions of the .npz)",
    )
    sides = "height and width of the patches of pictures (default: 8)"
    parser.add_argument("--patch-size", help=sides, **_INTEGER)
    tokens = parser.add_mutually_exclusive_group()
    tokens.add_argument("--characters", action="store_true", help="write characters, not words")
    tokens.add_argument("--bytes", action="store_true", help="write bytes, not words")

    words = OptionGroup(parser, _VOCABULARY, defaults_of(WordTokenizer.fit) | VOCABULARY)
    words.add("--vocab-size", "vocab_size", "most frequent words that are kept", **_INTEGER)
    words.add("--min-count", "min_count", "least number of times a word occurs", **_INTEGER)
    words.add("--lowercase", "lowercase", "lower-case all captions", **_FLAG)
    splits = ["punctuation", "whitespace"]
    words.add("--split", "split", "what parts words", choices=splits)

    model = OptionGroup(parser, _MODEL, defaults_of(Captioner) | MODEL)
    reads = "what the decoder reads of a picture (default: attention over a grid, else state)"
    model.add("--context", "context", reads, choices=list(DECODERS))
    starts = ["first_input", "initial_state"]
    model.add("--start", "start", "how a picture begins the decoder", choices=starts)
    scores = ["general", "dot", "additive"]
    model.add("--score", "score", "how attention compares", choices=scores)
    model.add("--num-heads", "num_heads", "heads of the attention", **_INTEGER)
    model.add("--attention-size", "attention_size", "width of the comparison", **_INTEGER)
    model.add("--memory-size", "memory_size", "width of the memory of a region", **_INTEGER)
    model.add("--cell", "cell", "recurrent layers", choices=list(CELLS))
    model.add("--embedding-size", "embedding_size", "width of the embedding", **_INTEGER)
    model.add("--hidden-size", "hidden_size", "units of each layer", **_INTEGER)
    model.add("--num-layers", "num_layers", "recurrent layers", **_INTEGER)
    tied = "output layer: the embedding's matrix"
    model.add("--tie-weights", "tie_weights", tied, **_FLAG)
    model.add("--dropout", "dropout", "probability", **_SHARE)
    smoothing = "share of each target that is spread over the vocabulary"
    model.add("--label-smoothing", "label_smoothing", smoothing, **_SHARE)
    rounded = "type that the operands of products are rounded to"
    model.add("--compute", "compute", rounded, choices=["bfloat16"])
    add_training_options(parser)


def run(given: argparse.Namespace) -> int:
    """Run the task; return the exit status."""
    listen_to_ctrl_c()
    config = training_config(given)
    options = {**MODEL, **keywords(given, _MODEL)}
    inputs = {"pictures": given.pictures}
    if given.captions is not None:
        inputs["captions"] = given.captions
    run = run_options(given, **inputs)
    found = read_pictures(given.pictures)
    captions: list[Any]
    if given.captions is not None:
        captions = read_captions(given.captions, len(found.array))
    elif found.captions is not None:
        captions = found.captions
    else:
        raise ValueError(f"{given.pictures}: expected captions in it, or a file CAPTIONS, got none")
    input_size, grid = _shape(found, given.pictures, given.patch_size)
    texts = [text for of_one in captions for text in _several(of_one)]
    tokenizer = _tokenizer(given, texts)
    model = Captioner(input_size, tokenizer, grid=grid, rng=config.seed, **options)
    model.regions(found.array)  # an error before the first line
    print(
        f"{given.pictures}: {len(found.array):,} pictures, {len(texts):,} captions, "
        f"{tokenizer.vocab_size:,} {tokenizer.unit}s. {model.cell} {model.num_layers} x "
        f"{model.hidden_size}, {model.context}: {model.num_params:,} parameters. {machine()}",
        flush=True,
    )
    progress = choose_progress(sys.stdout, model.unit)
    result = model.fit(found.array, captions, config, progress=progress, **run)
    print(summary(model, result, given.out), flush=True)
    return _interrupt.STATUS if result.interrupted else 0


def _several(captions: Any) -> list[str]:
    return [captions] if isinstance(captions, str) else list(captions)


def _shape(found: Pictures, path: str, patch_size: int | None) -> tuple[int, Any]:
    """Return the width of the features of a region, and the grid of regions."""
    shape = found.array.shape[1:]
    if not found.are_pictures:
        if patch_size is not None:
            raise ValueError(f"--patch-size: expected pictures in {path}, got features")
        grids = {1: None, 2: shape[0], 3: shape[:2]}
        return shape[-1], grids[len(shape)]
    side = 8 if patch_size is None else size("--patch-size", patch_size)
    height, width, channels = shape
    if height % side or width % side:
        raise ValueError(
            f"{path}: expected pictures whose height and width are multiples of --patch-size = "
            f"{side}, got {height} x {width}"
        )
    return side * side * channels, (height // side, width // side)


def _tokenizer(given: argparse.Namespace, texts: list[str]) -> Tokenizer:
    """Return the vocabulary of the captions that the options ask for."""
    options = keywords(given, _VOCABULARY)
    if not (given.characters or given.bytes):
        return WordTokenizer.fit(texts, **{**VOCABULARY, **options})
    for name in options:
        raise ValueError(f"--{name.replace('_', '-')}: an option of words alone")
    if given.bytes:
        return ByteTokenizer()
    return CharTokenizer.fit(texts, special_tokens=["<s>", "</s>"])


_help.show_public_names()
