"""Training a translator, and translating, beside PyTorch.

The translator has the size that suits Multi30k: a bidirectional GRU of 256 units reads, attention
over all steps at once, a GRU of 256 units writes, 8,000 words that are as frequent as those of a
text (Zipf), 64 pairs of 10 to 20 words. Both libraries have the same parameters and
compute the same numbers.

Memory is measured as in `bench_memory`. What must be held is weights, gradients, the averages of
Adam, and of each real step what back-propagation reads: of source and target the embedded words,
gates, candidate and output of the GRU; of the target the attention's weights and the context, the
output of the readout and its gradient.
"""

import json
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

import rnncore as rc
from bench_memory import KEPT, MEGABYTE, process_memory
from measure import Plan, beside, run_alone, threads_text
from rnncore._bench import pytorch
from rnncore._bench.machine import threads
from rnncore._bench.tables import Check, Column, Row, Table, verdict
from rnncore._bench.timing import Step
from rnncore.data import Batch, PairBatches
from rnncore.decode import beam_search
from translation_peer import Peer, PeerDecoder

VOCABULARY, WIDTH, PAIRS = 8_000, 256, 64
SHORTEST, LONGEST = 10, 20
LEARNING_RATE, CLIP_NORM = 2e-3, 5.0
BEAM_SIZE = 5
START, END = 0, 1
TRAINING_TARGET, MEMORY_TARGET = 1.8, 1.3
#: Sentences at a time -> least ratio of sentences per second.
TRANSLATION_TARGETS = {32: 1.4, 1: 4.0}
FORMATS = {"rnncore": None} | {f"rnncore {each}": each for each in ("bfloat16", "int8_dynamic")}


def translator(vocabulary: int = VOCABULARY, width: int = WIDTH) -> rc.Seq2Seq:
    return rc.Seq2Seq(
        vocabulary,
        vocabulary,
        cell="gru",
        embedding_size=width,
        hidden_size=width,
        start=START,
        end=END,
        rng=0,
    )


def sentences(count: int, vocabulary: int = VOCABULARY) -> list[NDArray[np.int64]]:
    """Sentences of 10 to 20 words that are as frequent as those of a text."""
    weights = 1 / (np.arange(vocabulary - 2) + 2.7)  # Zipf and Mandelbrot
    rng = np.random.default_rng(count)
    lengths = rng.integers(SHORTEST, LONGEST + 1, count)
    draw = rng.choice(vocabulary - 2, int(lengths.sum()), p=weights / weights.sum()) + 2
    return np.split(draw, np.cumsum(lengths)[:-1])


def pairs(vocabulary: int = VOCABULARY, count: int = PAIRS) -> Batch:
    """One batch; source and target of a pair have similar lengths, and batches are not sorted."""
    both = sentences(2 * count, vocabulary)
    targets = [np.concatenate([[START], ids, [END]]) for ids in both[count:]]
    (batch,) = PairBatches(both[:count], targets, count).epoch(0)
    return batch


# --- training -----------------------------------------------------------------------------------


def rnncore_training(model: rc.Model, batch: Batch) -> Step:
    optimizer = rc.optim.Adam(model, LEARNING_RATE, clip_norm=CLIP_NORM)

    def step() -> None:
        model.loss_and_grad(batch)
        optimizer.step(zero_grad=True)

    return step


def torch_training(parameters: Any, loss: Any) -> Step:
    torch = pytorch.torch()
    optimizer = torch.optim.Adam(parameters, LEARNING_RATE, fused=True)

    def step() -> None:
        optimizer.zero_grad()
        loss().backward()
        torch.nn.utils.clip_grad_norm_(parameters, CLIP_NORM)
        optimizer.step()

    return step


def translator_steps(num_threads: int) -> dict[str, Step]:
    batch = pairs()
    steps = {"rnncore": rnncore_training(translator(), batch)}
    if pytorch.torch() is not None:
        peer = Peer(translator())
        tensors = peer.tensors(batch)
        step = torch_training(peer.parameters, lambda: peer.loss(tensors))
        steps["PyTorch packed"] = pytorch.on_threads(num_threads, step)
    return steps


# --- translation --------------------------------------------------------------------------------


def translation_steps(num_threads: int, count: int) -> dict[str, Step]:
    """Beam search over `count` sentences at a time, cut at 20 words: none ends by itself."""
    model = translator()
    sources = sentences(32)[:count]
    options: dict[str, Any] = {"beam_size": BEAM_SIZE, "max_length": LONGEST, "end": None}

    def translation(weight_format: str | None) -> Step:
        translations = model.translator(weight_format)

        def step() -> None:
            beam_search(translations.decoder(sources), count, start=START, **options)

        return step

    steps = {name: translation(weight_format) for name, weight_format in FORMATS.items()}
    if pytorch.torch() is not None:
        peer = Peer(model)
        ids, lengths = rc.data.pad(sources)

        def peer_step() -> None:
            beam_search(PeerDecoder(peer, ids, lengths), count, start=START, **options)

        steps["PyTorch"] = pytorch.on_threads(num_threads, peer_step)
    return steps


# --- memory -------------------------------------------------------------------------------------


def must_be_held(batch: Batch, num_params: int) -> int:
    """Bytes of a training step; see the head of this file."""
    (_, lengths), (sources, _) = batch.lengths, batch.lengths
    read, written = int(np.sum(sources)), int(np.sum(lengths))
    weights = int(np.sum(np.asarray(sources) * np.asarray(lengths)))
    encoder = read * WIDTH * (1 + 2 * KEPT["gru"])
    decoder = written * WIDTH * (1 + KEPT["gru"] + 2 + 2)
    return 4 * (4 * num_params + encoder + decoder + weights)


def train_here(library: str) -> None:
    """Print bytes taken by two training steps, and what must be held, for a fresh process."""

    def train(model: rc.Seq2Seq, batch: Batch) -> None:
        if library == "rnncore":
            step = rnncore_training(model, batch)
        else:
            pytorch.torch().set_num_threads(1)
            peer = Peer(model)
            tensors = peer.tensors(batch)
            step = torch_training(peer.parameters, lambda: peer.loss(tensors))
        for _ in range(2):
            step()

    rc.set_num_threads(1)
    train(translator(50, 8), pairs(50, 2))  # load code, start what is started once
    batch = pairs()
    # The model of PyTorch is made of one of rnncore, which is not counted.
    model = translator() if library != "rnncore" else None
    before, code = process_memory("VmRSS"), process_memory("RssFile")
    model = translator() if model is None else model
    train(model, batch)
    code = process_memory("RssFile") - code  # that has been read meanwhile
    held = must_be_held(batch, model.num_params)
    print(json.dumps({"peak": process_memory("VmHWM") - before - code, "held": held}))


def memory_rows() -> Iterator[Row]:
    libraries = ["rnncore", *(["PyTorch"] if pytorch.torch() is not None else [])]
    row: dict[str, Any] = {"model": f"translator, {PAIRS} pairs"}
    for library in libraries:
        command = [sys.executable, __file__, library]
        done = subprocess.run(command, capture_output=True, text=True, check=True)
        found = json.loads(done.stdout)
        row["held MB"] = found["held"] / MEGABYTE
        row[f"{library} MB"] = found["peak"] / MEGABYTE
        row[f"{library} of held"] = found["peak"] / found["held"]
    share = row["rnncore of held"]
    yield row | verdict(Check("of held", share, MEMORY_TARGET, at_most=True, unit=""))


# --- tables -------------------------------------------------------------------------------------


def training_rows(plan: Plan, count: int) -> Iterator[Row]:
    with threads(count):
        batch = pairs()
        words = int(np.sum(batch.lengths[1]))  # type: ignore[index]
        timings = plan.compare(count, translator_steps, count)
        ours, peer = timings["rnncore"], timings.get("PyTorch packed")
        ratio = None if peer is None else peer.over(ours)
        yield {
            "model": f"translator, {PAIRS} pairs",
            "rnncore ms": 1e3 * ours.median,
            "+-": 1e3 * ours.spread,
            "PyTorch ms": None if peer is None else 1e3 * peer.median,
            "words/s": words / ours.median,
            "ratio": ratio,
            **verdict(Check("ratio", ratio, TRAINING_TARGET)),
        }


def translation_rows(plan: Plan, count: int) -> Iterator[Row]:
    with threads(count):
        for at_once, target in TRANSLATION_TARGETS.items():
            timings = plan.compare(count, translation_steps, count, at_once)
            peer = timings.get("PyTorch")
            for name, weight_format in FORMATS.items():
                ours = timings[name]
                ratio = None if peer is None else peer.over(ours)
                own = timings["rnncore"].over(ours)
                narrow = [] if weight_format is None else [Check("float32", own, 1)]
                yield {
                    "sentences at a time": f"{at_once} {weight_format or 'float32'}",
                    "rnncore ms": 1e3 * ours.median,
                    "+-": 1e3 * ours.spread,
                    "PyTorch ms": None if peer is None else 1e3 * peer.median,
                    "sentences/s": at_once / ours.median,
                    "ratio": ratio,
                    "over float32": own,
                    **verdict(Check("ratio", ratio, target), *narrow),
                }


COLUMNS = (
    Column("rnncore ms", ".1f"),
    Column("+-", ".1f"),
    Column("PyTorch ms", ".1f"),
)
VERDICT = (Column("ratio", ".2f"), Column("target"), Column("met"))


def tables(plan: Plan) -> Iterator[Table]:
    for count in plan.threads:
        yield Table(
            f"translation-training-{count}",
            f"Training step of a translator, GRU {WIDTH} with attention, {threads_text(count)}",
            (Column("model"), *COLUMNS, Column("words/s", ",.0f"), *VERDICT),
            training_rows(plan, count),
            "PyTorch packs its sequences.",
        )
    for count in plan.threads:
        yield Table(
            f"translation-{count}",
            f"Translation of sentences with beam {BEAM_SIZE}, {threads_text(count)}",
            (
                Column("sentences at a time"),
                *COLUMNS,
                Column("sentences/s", ",.1f"),
                Column("over float32", ".2f"),
                *VERDICT,
            ),
            translation_rows(plan, count),
            "The search is that of rnncore over the modules of both.",
        )
    libraries = [
        column
        for library in ("rnncore", "PyTorch")
        for column in (Column(f"{library} MB", ".1f"), Column(f"{library} of held", ".2f"))
    ]
    yield Table(
        "translation-memory",
        "Peak memory of a training step of a translator with Adam",
        (Column("model"), Column("held MB", ".1f"), *libraries, *VERDICT[1:]),
        memory_rows(),
        "Held: weights, gradients, averages, and what back-propagation reads of each real step.",
    )


def test_training_step(benchmark: Any) -> None:
    benchmark.group = "translator"
    with threads(1):
        beside(benchmark, translator_steps(1))


@pytest.mark.parametrize("at_once", TRANSLATION_TARGETS)
def test_translation(benchmark: Any, at_once: int) -> None:
    benchmark.group = f"translation of {at_once}"
    with threads(1):
        beside(benchmark, translation_steps(1, at_once))


if __name__ == "__main__":
    if len(sys.argv) == 2 and sys.argv[1] in ("rnncore", "PyTorch"):
        train_here(sys.argv[1])
    else:
        run_alone("bench_translation")
