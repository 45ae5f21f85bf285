"""Handwritten digits as sequences: the 28 rows of a picture, one after the other.

Data: t10k-images-idx3-ubyte.gz and t10k-labels-idx1-ubyte.gz of MNIST. The first 9,000 pictures are
for training, the last 1,000 are held out.

    python recipes/rows_of_digits.py FOLDER
"""

import argparse
import gzip
from pathlib import Path

import numpy as np

import rnncore as rc

parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
parser.add_argument("folder", type=Path, help="of the two files")
parser.add_argument("--quick", action="store_true", help="one epoch of a small model")
given = parser.parse_args()


def read(name: str, header: int) -> np.ndarray:
    """Return the bytes of a compressed file behind its header."""
    return np.frombuffer(gzip.decompress((given.folder / name).read_bytes())[header:], np.uint8)


pictures = read("t10k-images-idx3-ubyte.gz", 16).reshape(-1, 28, 28) / 255  # [N, T=28, I=28]
digits = read("t10k-labels-idx1-ubyte.gz", 8)
num_training = len(digits) * 9 // 10

model = rc.SequenceClassifier(
    10, input_size=28, hidden_size=16 if given.quick else 128, dropout=0.3, rng=0
)
config = rc.training.TrainingConfig(
    epochs=1 if given.quick else 5,
    validation_fraction=0.1 if given.quick else 0.0,
)
result = model.fit(pictures[:num_training], digits[:num_training], config)
right = np.array(model.predict(pictures[num_training:])) == digits[num_training:]
print(f"{num_training} pictures to learn from, {result.seconds:.0f} s")
print(f"accuracy {right.mean():.4f} on {len(right)} held-out pictures")
