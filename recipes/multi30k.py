"""Translate image captions, say from German to English, and print BLEU on the test set of 2016.

    python recipes/multi30k.py FOLDER [--from de] [--to en] [--context attention] [--out MODEL]

FOLDER holds {train,val,test_2016_flickr}.lc.norm.tok.{de,en,fr} of data/task1/tok in
https://github.com/multi30k/dataset: lower-cased, tokenized captions, 29,000 to learn from. It needs
rnncore[text] and sacrebleu. "--context fixed" is the same model without attention.
"""

import argparse
import sys
import time
from pathlib import Path

import sacrebleu

import rnncore as rc
from rnncore.progress import choose_progress
from rnncore.text import SentencePieceTokenizer
from rnncore.training import OptimizerConfig, ScheduleConfig, TrainingConfig


def options(arguments: list[str] | None = None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path, help="of the parallel captions")
    parser.add_argument("--from", dest="source", default="de", help="language that is read")
    parser.add_argument("--to", dest="target", default="en", help="language that is written")
    parser.add_argument("--context", default="attention", help="see rnncore.Seq2Seq")
    parser.add_argument("--pieces", type=int, default=6000, help="of the joint vocabulary")
    parser.add_argument("--width", type=int, default=256, help="of embeddings and layers")
    parser.add_argument("--dropout", type=float, default=0.4)
    parser.add_argument("--learning-rate", type=float, default=2e-3)
    parser.add_argument("--epochs", type=int, default=16)
    parser.add_argument("--compute", choices=["bfloat16"], help="round operands of products")
    parser.add_argument("--out", type=Path, help="where to save the model")
    return parser.parse_args(arguments)


def main(arguments: list[str] | None = None) -> float:
    """Train, translate the test set, and return its BLEU."""
    given = options(arguments)

    def read(part: str) -> tuple[list[str], list[str]]:
        names = (f"{part}.lc.norm.tok.{code}" for code in (given.source, given.target))
        both = [(given.folder / name).read_text("utf-8").splitlines() for name in names]
        return both[0], both[1]

    training, validation, test = map(read, ("train", "val", "test_2016_flickr"))
    pieces = SentencePieceTokenizer.fit(training[0] + training[1], given.pieces)
    model = rc.Seq2Seq(
        source_tokenizer=pieces,
        target_tokenizer=pieces,
        embedding_size=given.width,
        hidden_size=given.width,
        context=given.context,
        share_embeddings=True,
        dropout=given.dropout,
        label_smoothing=0.1,
        compute=given.compute,
        rng=0,
    )
    config = TrainingConfig(
        epochs=given.epochs,
        batch_size=64,
        optimizer=OptimizerConfig(learning_rate=given.learning_rate),
        schedule=ScheduleConfig("cosine", warmup=500, floor=0.02),
    )
    shown = choose_progress(sys.stderr, model.unit)
    result = model.fit(*training, config, validation=validation, path=given.out, progress=shown)
    print(f"{len(training[0])} pairs to learn from, {result.seconds / 60:.1f} minutes,", end=" ")
    print(f"{time.process_time() / 60:.1f} minutes of processor time")
    answers = model.translate(test[0])
    bleu = sacrebleu.corpus_bleu(answers, [test[1]], tokenize="none", force=True)
    print(f"BLEU {bleu.score:.2f} on {len(test[0])} held-out pairs")
    return bleu.score


if __name__ == "__main__":
    main()
