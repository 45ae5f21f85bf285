"""Phones of real speech: cepstra of spelled words and commands, without times.

Data: an4_mfcc.npz (13 Sphinx mel cepstra of the AN4 database, 100 frames a second, with the words)
and an4.dic, the pronunciations. The 130 recordings of the test set chose nothing: all models are
trained for the same epochs, and the last one counts.

    python recipes/an4_phones.py FOLDER [--seeds 3]
"""

import argparse
import time
from pathlib import Path

import numpy as np

import rnncore as rc

parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
parser.add_argument("folder", type=Path, help="of the two files")
parser.add_argument("--seeds", type=int, default=3, help="models that differ by random numbers")
parser.add_argument("--quick", action="store_true", help="one epoch of a small model")
given = parser.parse_args()

lines = (given.folder / "an4.dic").read_text(encoding="utf-8").splitlines()
pronunciations = {line.split()[0]: line.split()[1:] for line in lines if line.strip()}
data = np.load(given.folder / "an4_mfcc.npz")


def read(part: str) -> tuple[list[np.ndarray], list[list[str]]]:
    """Return the features [T,78] of the recordings of a part, and their phones."""
    cepstra = np.split(data[f"{part}_feat"].astype(np.float32), data[f"{part}_offset"][1:-1])
    frames = [rc.audio.normalize(rc.audio.deltas(x)) for x in cepstra]
    texts = [text.split() for text in data[f"{part}_text"].tolist()]
    phones = [[phone for word in text for phone in pronunciations[word]] for text in texts]
    return [rc.audio.stack(x, 3) for x in frames], phones


training, test = read("train"), read("test")
symbols = sorted({phone for phones in training[1] for phone in phones})
config = {"epochs": 1 if given.quick else 20, "batch_size": 16}


def phone_error(model: rc.CTCRecognizer) -> float:
    """Return the phone error rate on the test set."""
    return rc.metrics.error_rate(test[1], [t.symbols for t in model.transcribe(test[0])])


class EveryFourEpochs(rc.training.Callback):
    """Prints the phone error of the test set on the way; it changes nothing."""

    def on_start(self, run: rc.training.Run) -> None:
        """Begin."""
        self.run = run

    def on_update(self, update: rc.training.Update) -> None:
        """Print, where it is time."""
        epochs, rest = divmod(self.run.updates, 4 * len(self.run.training))
        if rest == 0:
            seconds = self.run.clock.seconds()
            error = phone_error(self.run.model)
            print(f"  after {4 * epochs:2} epochs, {seconds:4.0f} s: {error:.4f}", flush=True)


errors = []
for seed in range(1 if given.quick else given.seeds):
    hidden_size = 16 if given.quick else 128
    model = rc.CTCRecognizer(
        symbols, input_size=training[0][0].shape[1], hidden_size=hidden_size, dropout=0.3, rng=seed
    )
    print(f"seed {seed}: {model.num_params:,} parameters", flush=True)
    optimizer = rc.training.OptimizerConfig("adam", learning_rate=3e-3)
    run = rc.training.TrainingConfig(
        seed=seed, optimizer=optimizer, validation_fraction=0.1 if given.quick else 0.0, **config
    )
    start = time.process_time()
    result = model.fit(*training, run, callbacks=[EveryFourEpochs()])
    errors.append(phone_error(model))
    busy = time.process_time() - start
    print(f"  {result.seconds:.0f} s, of the processor {busy:.0f} s: {errors[-1]:.4f}", flush=True)
print(f"phone error {np.mean(errors):.4f} on {sum(map(len, test[1]))} held-out phones")
