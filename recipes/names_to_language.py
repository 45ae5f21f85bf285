"""Surname to language: which of 18 languages a name comes from, letter by letter.

Data: one file LANGUAGE.txt for each language, a name a line, as data/names of
github.com/spro/practical-pytorch. A tenth of the lines, drawn at random, is held out. Some names
occur on several lines: the accuracy on names that are new is printed too.

    python recipes/names_to_language.py FOLDER [--plot confusion.png]
"""

import argparse
from pathlib import Path

import numpy as np

import rnncore as rc

parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
parser.add_argument("folder", type=Path, help="of the files LANGUAGE.txt")
parser.add_argument("--plot", metavar="PNG", help="file for the confusion matrix (matplotlib)")
parser.add_argument("--quick", action="store_true", help="one epoch of a small model")
given = parser.parse_args()

examples = [
    (name.strip(), file.stem)
    for file in sorted(given.folder.glob("*.txt"))
    if file.stem != "SOURCE"
    for name in file.read_text(encoding="utf-8").split("\n")
    if name.strip()
]
if not examples:
    parser.error(f"folder: expected files LANGUAGE.txt of names, got none in {given.folder}")
names, labels = map(list, zip(*examples, strict=True))
training, held_out = rc.data.split_shuffled((names, labels), 0.1, seed=0)
languages = sorted(set(labels))

# Rare letters of held-out names do not occur in training: a model of bytes reads any name.
model = rc.SequenceClassifier(
    len(languages),
    tokenizer=rc.text.ByteTokenizer(),
    labels=languages,
    hidden_size=16 if given.quick else 128,
    dropout=0.3,
    rng=0,
)
config = rc.training.TrainingConfig(
    epochs=1 if given.quick else 10,
    validation_fraction=0.1 if given.quick else 0.0,
)
result = model.fit(*training, config)
predicted = model.predict(held_out[0])

# Row: the true language; column: the answer.
confusion = np.zeros((len(languages), len(languages)), int)
for true, answer in zip(held_out[1], predicted, strict=True):
    confusion[languages.index(true), languages.index(answer)] += 1
print(f"{len(training[0])} names to learn from, {result.seconds:.0f} s")
for language, row in zip(languages, confusion, strict=True):
    right = row[languages.index(language)]
    print(f"{language:12} {right:4} of {row.sum():4}")
known = set(training[0])
new = [a == b for name, a, b in zip(*held_out, predicted, strict=True) if name not in known]
print(f"accuracy {np.mean(new):.4f} on the {len(new)} of them that are not in the training part")
print(f"accuracy {np.trace(confusion) / confusion.sum():.4f} on {confusion.sum()} held-out names")

if given.plot:
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    shares = confusion / np.maximum(confusion.sum(axis=1, keepdims=True), 1)
    figure, axes = pyplot.subplots(figsize=(7, 6), layout="constrained")
    image = axes.imshow(shares, cmap="viridis", vmin=0, vmax=1)
    axes.set_xticks(range(len(languages)), languages, rotation=90)
    axes.set_yticks(range(len(languages)), languages)
    axes.set(xlabel="answer", ylabel="language")
    figure.colorbar(image, label="share of the names of a language")
    figure.savefig(given.plot, dpi=120)
    print(f"confusion matrix: {given.plot}")
