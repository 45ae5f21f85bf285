"""The training step of a speech recognizer beside PyTorch's, packed and padded.

It has the size that suits an4: 16 utterances of 60 to 120 frames with 78 coefficients, two
bidirectional LSTM layers of 128 units, 36 symbols, CTC with 20 to 35 labels. Packed, PyTorch
computes the same numbers. Padded, its reverse direction begins in the padding, so that it computes
other ones; this is what programs do that do not pack.
"""

from collections.abc import Iterator
from typing import Any

import numpy as np

import rnncore as rc
from bench_translation import COLUMNS, VERDICT, rnncore_training, torch_training
from measure import Plan, beside, run_alone, threads_text
from rnncore._bench import pytorch
from rnncore._bench.machine import threads
from rnncore._bench.tables import Check, Column, Row, Table, verdict
from rnncore._bench.timing import Step
from rnncore.data import Batch

FRAMES, COEFFICIENTS, SYMBOLS, UTTERANCES = (60, 120), 78, 36, 16
LABELS = (20, 35)
UNITS, LAYERS = 128, 2
#: Way of PyTorch -> least ratio.
TARGETS = {"packed": 2.0, "padded": 1.2}


class Recognizer(rc.Model):
    """Bidirectional LSTM layers, and CTC over their outputs."""

    def __init__(self, *, rng: int) -> None:
        super().__init__(rng=rng)
        self.rnn = rc.LSTM(COEFFICIENTS, UNITS, LAYERS, bidirectional=True, rng=self.rng)
        self.head = rc.heads.CTC(2 * UNITS, SYMBOLS, rng=self.rng)

    def compute(self, run: rc.Pass, batch: Batch, state: Any = None) -> None:
        """Recurrent layers and the head."""
        y, _ = run(self.rnn, batch.inputs, lengths=batch.lengths)
        run.loss(self.head, y, batch.targets, lengths=batch.lengths)


def utterances() -> Batch:
    """One batch of frames and labels of random numbers."""
    rng = np.random.default_rng(0)
    lengths = rng.integers(FRAMES[0], FRAMES[1] + 1, UTTERANCES)
    frames = [rng.standard_normal((n, COEFFICIENTS)).astype(np.float32) for n in lengths]
    counts = rng.integers(LABELS[0], LABELS[1] + 1, UTTERANCES)
    labels = [rng.integers(1, SYMBOLS, n) for n in counts]
    x, ends = rc.data.pad(frames)
    return Batch(x, labels, ends)


def torch_steps(model: Recognizer, batch: Batch, num_threads: int) -> dict[str, Step]:
    """The same in PyTorch, with the same parameters; nothing where it is not installed."""
    torch = pytorch.torch()
    if torch is None:
        return {}
    nn, packing = torch.nn, torch.nn.utils.rnn
    rnn = nn.LSTM(COEFFICIENTS, UNITS, LAYERS, bidirectional=True)
    output = nn.Linear(2 * UNITS, SYMBOLS)
    for module, ours in ((rnn, model.rnn), (output, model.head)):
        module.load_state_dict({n: torch.from_numpy(p.copy()) for n, p in ours.params.items()})
    x, lengths = torch.from_numpy(batch.inputs), torch.from_numpy(batch.lengths)
    counts = torch.tensor([len(labels) for labels in batch.targets])
    labels = torch.from_numpy(np.concatenate(batch.targets))

    def loss(packs: bool) -> Any:
        if packs:
            y, _ = rnn(packing.pack_padded_sequence(x, lengths, enforce_sorted=False))
            y, _ = packing.pad_packed_sequence(y, total_length=len(x))
        else:
            y, _ = rnn(x)
        log_p = torch.log_softmax(output(y), dim=-1)
        total = nn.functional.ctc_loss(log_p, labels, lengths, counts, reduction="sum")
        return total / counts.sum()

    parameters = [*rnn.parameters(), *output.parameters()]
    return {
        f"PyTorch {way}": pytorch.on_threads(
            num_threads, torch_training(parameters, lambda packs=way == "packed": loss(packs))
        )
        for way in TARGETS
    }


def steps(num_threads: int) -> dict[str, Step]:
    model, batch = Recognizer(rng=0), utterances()
    peers = torch_steps(model, batch, num_threads)
    return {"rnncore": rnncore_training(model, batch), **peers}


def rows(plan: Plan, count: int) -> Iterator[Row]:
    with threads(count):
        timings = plan.compare(count, steps, count)
        ours = timings["rnncore"]
        for way, target in TARGETS.items():
            peer = timings.get(f"PyTorch {way}")
            ratio = None if peer is None else peer.over(ours)
            yield {
                "PyTorch": way,
                "rnncore ms": 1e3 * ours.median,
                "+-": 1e3 * ours.spread,
                "PyTorch ms": None if peer is None else 1e3 * peer.median,
                "utterances/s": UTTERANCES / ours.median,
                "ratio": ratio,
                **verdict(Check("ratio", ratio, target)),
            }


def tables(plan: Plan) -> Iterator[Table]:
    for count in plan.threads:
        yield Table(
            f"recognition-{count}",
            f"Training step of a recognizer, BLSTM {LAYERS}x{UNITS} with CTC, "
            f"{threads_text(count)}",
            (Column("PyTorch"), *COLUMNS, Column("utterances/s", ",.0f"), *VERDICT),
            rows(plan, count),
        )


def test_training_step(benchmark: Any) -> None:
    benchmark.group = "recognizer"
    with threads(1):
        beside(benchmark, steps(1))


if __name__ == "__main__":
    run_alone("bench_recognition")
