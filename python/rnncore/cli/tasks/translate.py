"""``rnncore train --task translate``: a line of another text for each line of a text."""

from __future__ import annotations

import argparse
import sys
from typing import Any

from rnncore import _help, _interrupt
from rnncore.cli.files import read_parallel
from rnncore.cli.parser import OptionGroup, defaults_of, keywords
from rnncore.cli.tasks.running import (
    listen_to_ctrl_c,
    machine,
    run_options,
    summary,
)
from rnncore.cli.train_options import add_training_options, training_config
from rnncore.layers import CELLS
from rnncore.models import Seq2Seq
from rnncore.models.decoders import DECODERS
from rnncore.progress import choose_progress
from rnncore.text import (
    ByteTokenizer,
    CharTokenizer,
    SentencePieceTokenizer,
    Tokenizer,
    WordTokenizer,
)

__all__ = ["HELP", "add_options", "run"]

HELP = "translate each line of a text"

_MODEL, _VOCABULARY = "model", "words"

#: What a few ten thousand sentences need.
MODEL: dict[str, Any] = {"dropout": 0.3, "label_smoothing": 0.1}
#: Of Adam; a language model takes larger steps.
LEARNING_RATE = 2e-3
#: A word that occurs once is read as unknown, so that there is a vector for unknown words.
VOCABULARY: dict[str, Any] = {"min_count": 2}

_INTEGER: dict[str, Any] = {"type": int, "metavar": "N"}
_SHARE: dict[str, Any] = {"type": float, "metavar": "X"}
_FLAG: dict[str, Any] = {"action": "store_true"}


def add_options(parser: argparse.ArgumentParser) -> None:
    """Describe the task and its options."""
    parser.description = (
        "Train a translator. Each line of SOURCE is a sentence, and the same line of TARGET its "
        "translation. A share of the pairs, drawn at random, is held out, unless --validation "
        "names files; the model with the lowest loss on it is kept. Ctrl-C ends the training and "
        "keeps the best model so far."
    )
    parser.add_argument("source", metavar="SOURCE", help="sentences in UTF-8, one on each line")
    parser.add_argument("target", metavar="TARGET", help="their translations")
    parser.add_argument(
        "--validation", nargs=2, metavar=("SOURCE", "TARGET"), help="held-out sentences"
    )
    parser.add_argument(
        "--max-tokens", help="tokens of one batch at most, of both sides together", **_INTEGER
    )
    tokens = parser.add_mutually_exclusive_group()
    tokens.add_argument("--characters", action="store_true", help="read characters, not words")
    tokens.add_argument("--bytes", action="store_true", help="read bytes, not words")
    pieces = "read N joint subwords of both texts, not words; it needs rnncore[text]"
    tokens.add_argument("--subwords", help=pieces, **_INTEGER)

    words = OptionGroup(parser, _VOCABULARY, defaults_of(WordTokenizer.fit) | VOCABULARY)
    words.add("--vocab-size", "vocab_size", "most frequent words kept of each text", **_INTEGER)
    words.add("--min-count", "min_count", "least number of times a word occurs", **_INTEGER)
    words.add("--lowercase", "lowercase", "lower-case all texts", **_FLAG)
    splits = ["punctuation", "whitespace"]
    words.add("--split", "split", "what parts words", choices=splits)

    model = OptionGroup(parser, _MODEL, defaults_of(Seq2Seq) | MODEL)
    model.add("--cell", "cell", "recurrent layers", choices=list(CELLS))
    model.add("--context", "context", "what the decoder reads of a source", choices=list(DECODERS))
    scores = ["general", "dot", "additive"]
    model.add("--score", "score", "how attention compares", choices=scores)
    model.add("--num-heads", "num_heads", "heads of the attention", **_INTEGER)
    model.add("--attention-size", "attention_size", "width of the comparison", **_INTEGER)
    model.add("--embedding-size", "embedding_size", "width of the embeddings", **_INTEGER)
    model.add("--hidden-size", "hidden_size", "units of each layer and direction", **_INTEGER)
    model.add("--num-layers", "num_layers", "recurrent layers of the encoder", **_INTEGER)
    layers = "recurrent layers of the decoder (default: as the encoder, where it can)"
    model.add("--decoder-layers", "decoder_layers", layers, **_INTEGER)
    forward = "read sources forward only"
    model.add("--one-direction", "bidirectional", forward, action="store_false")
    model.add("--bridge", "bridge", "initial state of the decoder", choices=["tanh", "zero"])
    model.add("--reverse-source", "reverse_source", "read sources from their ends", **_FLAG)
    both = "one vocabulary and one embedding for both texts"
    model.add("--share-embeddings", "share_embeddings", both, **_FLAG)
    apart = "output layer with a matrix of its own, not the embedding's"
    model.add("--untied", "tie_weights", apart, action="store_false")
    model.add("--dropout", "dropout", "probability", **_SHARE)
    smoothing = "share of each target that is spread over the vocabulary"
    model.add("--label-smoothing", "label_smoothing", smoothing, **_SHARE)
    own = "probability of reading the model's own word in training"
    model.add("--scheduled-sampling", "scheduled_sampling", own, **_SHARE)
    rounded = "type that the operands of products are rounded to"
    model.add("--compute", "compute", rounded, choices=["bfloat16"])
    add_training_options(parser, learning_rate=LEARNING_RATE)


def run(given: argparse.Namespace) -> int:
    """Run the task; return the exit status."""
    listen_to_ctrl_c()
    config = training_config(given, LEARNING_RATE)
    options = {**MODEL, **keywords(given, _MODEL)}
    held_out = dict(
        zip(("validation source", "validation target"), given.validation or (), strict=False)
    )
    run = run_options(given, source=given.source, target=given.target, **held_out)
    pairs = read_parallel(given.source, given.target)
    validation = None if given.validation is None else read_parallel(*given.validation)
    read, written = _tokenizers(given, *pairs, joint=options.get("share_embeddings", False))
    model = Seq2Seq(source_tokenizer=read, target_tokenizer=written, rng=config.seed, **options)
    print(
        f"{given.source}, {given.target}: {len(pairs[0]):,} pairs, {read.vocab_size:,} and "
        f"{written.vocab_size:,} {written.unit}s. {model.cell} {model.num_layers} x "
        f"{model.hidden_size}, {model.context}: {model.num_params:,} parameters. {machine()}",
        flush=True,
    )
    progress = choose_progress(sys.stdout, model.unit)
    result = model.fit(
        *pairs,
        config,
        validation=validation,
        max_tokens=given.max_tokens,
        progress=progress,
        **run,
    )
    print(summary(model, result, given.out), flush=True)
    return _interrupt.STATUS if result.interrupted else 0


def _tokenizers(
    given: argparse.Namespace, sources: list[str], targets: list[str], *, joint: bool
) -> tuple[Tokenizer, Tokenizer]:
    """Return the vocabularies of both texts that the options ask for."""
    options = keywords(given, _VOCABULARY)
    shared: Tokenizer
    if given.characters or given.bytes or given.subwords is not None:
        for name in options:
            raise ValueError(f"--{name.replace('_', '-')}: an option of words alone")
        if given.bytes:
            shared = ByteTokenizer()
        elif given.characters:
            shared = CharTokenizer.fit([*sources, *targets], special_tokens=["<s>", "</s>"])
        else:
            shared = SentencePieceTokenizer.fit([*sources, *targets], given.subwords)
        return shared, shared
    options = {**VOCABULARY, **options}
    if joint:
        shared = WordTokenizer.fit([*sources, *targets], **options)
        return shared, shared
    return WordTokenizer.fit(sources, **options), WordTokenizer.fit(targets, **options)


_help.show_public_names()
