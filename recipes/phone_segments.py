"""Segments of speech with their times: which phone was said from when to when.

Data: flite_phones.npz, 360 phrases spoken by a synthesizer, with the exact end of every phone.
Every tenth phrase is held out. One model learns the phone of every frame, the other the phones
alone, without times (CTC). The error of a boundary is how far from its true end a phone ends.
Phones that were missed have no boundary, and count as wrong.

    python recipes/phone_segments.py FOLDER
"""

import argparse
import time
from pathlib import Path

import numpy as np

import rnncore as rc

parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
parser.add_argument("folder", type=Path, help="of flite_phones.npz")
parser.add_argument("--epochs", type=int, default=30)
parser.add_argument("--quick", action="store_true", help="one epoch of small models")
given = parser.parse_args()

data = np.load(given.folder / "flite_phones.npz")
recordings = [
    rc.audio.Recording(samples, rate=8000)
    for samples in np.split(data["audio"], data["offset"][1:-1])
]
segments = [
    [(part.split(":")[0], float(part.split(":")[1])) for part in line.split()]
    for line in data["phones"].tolist()
]
features = rc.audio.Features("logmel", rate=8000, num_mels=40, deltas=1, shift=0.01)
frames = features.extract(recordings)


def frame_labels(x: np.ndarray, phones: list[tuple[str, float]]) -> list[str]:
    """Return the phone of each frame: that which is said at the center of the frame."""
    ends = [end for _, end in phones[:-1]]
    return [phones[k][0] for k in np.searchsorted(ends, features.times(len(x)), side="right")]


transcripts = [[phone for phone, _ in phones] for phones in segments]
labels = [frame_labels(x, phones) for x, phones in zip(frames, segments, strict=True)]
symbols = sorted({phone for phones in transcripts for phone in phones})
learned = [k for k in range(len(frames)) if k % 10 != 9]
held_out = range(9, len(frames), 10)
sizes = {"features": features, "hidden_size": 16 if given.quick else 128, "dropout": 0.3, "rng": 0}
config = rc.training.TrainingConfig(
    epochs=1 if given.quick else given.epochs,
    batch_size=8,
    validation_fraction=0.1 if given.quick else 0.0,
    optimizer=rc.training.OptimizerConfig("adam", learning_rate=3e-3),
)
for kind, targets in ((rc.CTCRecognizer, transcripts), (rc.FrameRecognizer, labels)):
    start = time.process_time()
    model = kind(symbols, **sizes)
    result = model.fit([frames[k] for k in learned], [targets[k] for k in learned], config)
    busy = time.process_time() - start
    found = model.transcribe([frames[k] for k in held_out])
    errors = []
    for k, transcript in zip(held_out, found, strict=True):
        ends = [(s.symbol, s.end * features.step) for s in transcript.segments]
        errors.append(rc.metrics.boundary_errors(segments[k][:-1], ends))  # the last is the end
    errors = np.concatenate(errors)
    right = [transcripts[k] for k in held_out]
    rate = rc.metrics.error_rate(right, [transcript.symbols for transcript in found])
    print(f"{kind.__name__}: {result.seconds:.0f} s, of the processor {busy:.0f} s")
    print(f"  phone error {rate:.4f} on {sum(map(len, right))} held-out phones")
    share = np.mean(errors <= 0.025)
    print(f"  boundary error: median {1000 * np.median(errors):.1f} ms, {share:.4f} within 25 ms")
print(f"share within 25 ms {share:.4f} on {len(errors)} held-out boundaries")
