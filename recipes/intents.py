"""Intent of a request: what somebody wants who asks about flights.

Data: atis.train.w-intent.iob and atis.test.w-intent.iob of github.com/yvchen/JointSLU, lines
"BOS words EOS <tab> slot labels, intent". The test file is held out. Where a request has several
intents, the first is learned and any of them counts as right.

    python recipes/intents.py FOLDER
"""

import argparse
from pathlib import Path

import numpy as np

import rnncore as rc

parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
parser.add_argument("folder", type=Path, help="of the two files")
parser.add_argument("--quick", action="store_true", help="one epoch of a small model")
given = parser.parse_args()


def read(part: str) -> tuple[list[str], list[list[str]]]:
    """Return the requests of a file, and the intents of each."""
    lines = (given.folder / f"atis.{part}.w-intent.iob").read_text(encoding="utf-8").splitlines()
    pairs = [line.split("\t") for line in lines if line.strip()]
    texts = [" ".join(words.split()[1:-1]) for words, _ in pairs]
    return texts, [labels.split()[-1].split("#") for _, labels in pairs]


texts, intents = read("train")
test_texts, test_intents = read("test")
first = [several[0] for several in intents]
names = sorted(set(first))

model = rc.SequenceClassifier(
    len(names),
    tokenizer=rc.text.WordTokenizer.fit(texts, min_count=2, split="whitespace"),
    labels=names,
    hidden_size=16 if given.quick else 128,
    dropout=0.5,
    rng=0,
)
config = rc.training.TrainingConfig(
    epochs=1 if given.quick else 10,
    validation_fraction=0.1 if given.quick else 0.0,
)
result = model.fit(texts, first, config)
predicted = model.predict(test_texts)
right = [answer in several for answer, several in zip(predicted, test_intents, strict=True)]
print(f"{len(texts)} requests to learn from, {len(names)} intents, {result.seconds:.0f} s")
print(f"accuracy {np.mean(right):.4f} on {len(right)} held-out requests")
