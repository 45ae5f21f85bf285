"""Sentiment of a sentence: whether a film review is positive or negative.

Data: rt-polarity.pos and rt-polarity.neg of the sentence polarity data set v1.0 (Pang and Lee 2005,
www.cs.cornell.edu/people/pabo/movie-review-data), a sentence a line. The last tenth of each file is
held out. Three models that differ by their random numbers are averaged.

    python recipes/sentiment.py FOLDER
"""

import argparse
from pathlib import Path

import numpy as np

import rnncore as rc

parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
parser.add_argument("folder", type=Path, help="of the two files")
parser.add_argument("--quick", action="store_true", help="one epoch of one small model")
given = parser.parse_args()

signs = ["neg", "pos"]
training, held_out = [], []
for sign in signs:
    text = (given.folder / f"rt-polarity.{sign}").read_text(encoding="utf-8", errors="replace")
    examples = [(line, sign) for line in text.removesuffix("\n").split("\n")]
    num_training = len(examples) - len(examples) // 10
    training += examples[:num_training]
    held_out += examples[num_training:]
sentences, labels = zip(*training, strict=True)
tokenizer = rc.text.WordTokenizer.fit(sentences, split="whitespace")

seconds = 0.0
probabilities = np.zeros((len(held_out), 2))
for seed in range(1 if given.quick else 3):
    model = rc.SequenceClassifier(
        2,
        tokenizer=tokenizer,
        labels=signs,
        embedding_size=128,
        hidden_size=8 if given.quick else 64,
        pooling="mean",
        dropout=0.7,
        rng=seed,
    )
    config = rc.training.TrainingConfig(
        epochs=1 if given.quick else 4,
        # The loss is lowest after two epochs, the accuracy highest at the end: the last
        # parameters are kept, not those of the lowest validation loss.
        validation_fraction=0.0,
        optimizer=rc.training.OptimizerConfig(learning_rate=2e-3),
        seed=seed,
    )
    seconds += model.fit(sentences, labels, config).seconds
    found = model.predict_proba([text for text, _ in held_out])
    probabilities += found
    right = [signs[k] == sign for k, (_, sign) in zip(found.argmax(axis=1), held_out, strict=True)]
    print(f"model {seed}: accuracy {np.mean(right):.4f}")

answers = [signs[k] for k in probabilities.argmax(axis=1)]
right = [answer == sign for answer, (_, sign) in zip(answers, held_out, strict=True)]
print(f"{len(sentences)} sentences to learn from, {tokenizer.vocab_size} words, {seconds:.0f} s")
print(f"accuracy {np.mean(right):.4f} on {len(right)} held-out sentences")
