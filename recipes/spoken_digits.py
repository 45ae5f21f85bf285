"""Spoken words from the waveform: digits of six speakers, and yes and no of one.

Data: fsdd.npz, the 3,000 recordings of the Free Spoken Digit Dataset with digit and index of each;
recordings 0 to 4 of every digit and speaker are held out, as its authors say. yesno.npz, 60
recordings of eight words each; the odd ones are held out of a first model and the even ones of a
second, so that every word is recognized by a model that has not heard the recording.

    python recipes/spoken_digits.py FOLDER [FOLDER ...]
"""

import argparse
import time
from pathlib import Path

import numpy as np

import rnncore as rc

parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
parser.add_argument("folders", type=Path, nargs="+", help="of fsdd.npz and yesno.npz")
parser.add_argument("--quick", action="store_true", help="one epoch of small models")
given = parser.parse_args()
files = {
    name: folder / f"{name}.npz"
    for name in ("fsdd", "yesno")
    for folder in given.folders
    if (folder / f"{name}.npz").is_file()
}
if len(files) < 2:
    parser.error(f"folders: expected fsdd.npz and yesno.npz, got {', '.join(files) or 'neither'}")


def recordings(data: dict[str, np.ndarray]) -> list[rc.audio.Recording]:
    """Return the recordings, which lie one after the other."""
    parts = np.split(data["audio"], data["offset"][1:-1])
    return [rc.audio.Recording(samples, rate=8000) for samples in parts]


def heard(model: rc.CTCRecognizer, sounds: list, words: list, held_out: np.ndarray, **run) -> list:
    """Train on what is not held out; return what the model hears in what is."""
    learned, rest = np.flatnonzero(~held_out), np.flatnonzero(held_out)
    config = rc.training.TrainingConfig(
        epochs=1 if given.quick else run["epochs"],
        batch_size=run["batch_size"],
        validation_fraction=0.1 if given.quick else 0.0,
        optimizer=rc.training.OptimizerConfig("adam", learning_rate=run["learning_rate"]),
    )
    start = time.process_time()
    result = model.fit([sounds[k] for k in learned], [words[k] for k in learned], config)
    busy = time.process_time() - start
    print(f"  {len(learned)} recordings: {result.seconds:.0f} s, of the processor {busy:.0f} s")
    return [list(found.symbols) for found in model.transcribe([sounds[k] for k in rest])]


size = 16 if given.quick else 100
model_options = {"hidden_size": size, "num_layers": 1, "dropout": 0.5, "rng": 0}

data = np.load(files["yesno"])
words = [["yes" if word else "no" for word in row] for row in data["words"]]
features = rc.audio.Features("mfcc", rate=8000, deltas=1, stack=6)
run = {"epochs": 30, "batch_size": 4, "learning_rate": 1e-2}
wrong = 0
for part in (0, 1):
    model = rc.CTCRecognizer(["no", "yes"], features=features, **model_options)
    held_out = np.arange(len(words)) % 2 == part
    found = heard(model, recordings(data), words, held_out, **run)
    right = [words[k] for k in np.flatnonzero(held_out)]
    wrong += sum(map(rc.metrics.edit_distance, right, found))
print(f"yes and no: {wrong} errors in {sum(map(len, words))} words", flush=True)

data = np.load(files["fsdd"])
digits = [[str(digit)] for digit in data["digit"]]
features = rc.audio.Features("mfcc", rate=8000, deltas=2, stack=2)
model = rc.CTCRecognizer([str(k) for k in range(10)], features=features, **model_options)
held_out = data["index"] < 5
run = {"epochs": 25, "batch_size": 32, "learning_rate": 5e-3}
found = heard(model, recordings(data), digits, held_out, **run)
right = [digits[k] == answer for k, answer in zip(np.flatnonzero(held_out), found, strict=True)]
print(f"accuracy {np.mean(right):.4f} on {held_out.sum()} held-out digits")
