"""Prefix beam search over the frames of a network with the CTC loss, with and without a bigram."""

import math
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from measure import Plan, beside, run_alone, threads_text
from rnncore import ctc
from rnncore._bench.machine import threads
from rnncore._bench.tables import Column, Row, Table
from rnncore._bench.timing import Step

FRAMES, BATCH, SYMBOLS = 200, 16, 40
NAMES = ["-", *(chr(ord("A") + i) for i in range(SYMBOLS - 1))]


@dataclass(frozen=True)
class Case:
    """Size of the beam, and whether a bigram of symbols takes part."""

    beam_size: int
    bigram: bool = False


CASES = tuple(Case(beam, bigram) for beam in (25, 100) for bigram in (False, True))


def frames() -> NDArray[Any]:
    """Log-probabilities [T,B,C]: blanks, and every fifth frame a symbol that may be another."""
    rng = np.random.default_rng(0)
    z = 1.5 * rng.standard_normal((FRAMES, BATCH, SYMBOLS), dtype=np.float32)
    z[:, :, 0] += 3
    t = np.arange(2, FRAMES, 5)[:, np.newaxis]
    z[t, np.arange(BATCH), rng.integers(1, SYMBOLS, (len(t), BATCH))] += 6
    z[t, np.arange(BATCH), 0] -= 2
    z -= z.max(axis=2, keepdims=True)
    return z - np.log(np.exp(z).sum(axis=2, keepdims=True))


def bigram() -> ctc.NGram:
    """A model with half of all bigrams, of equal probabilities."""
    words = NAMES[1:]
    pairs = [(a, b) for i, a in enumerate(words) for j, b in enumerate(words) if (i + j) % 2]
    unigrams = [f"{-math.log10(len(words) + 1)} {w} -0.3" for w in ("</s>", *words)]
    bigrams = [f"{-math.log10(len(words))} {a} {b}" for a, b in pairs]
    lines = ["\\data\\", f"ngram 1={len(unigrams)}", f"ngram 2={len(pairs)}", "\\1-grams:"]
    lines += [*unigrams, "\\2-grams:", *bigrams, "\\end\\"]
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "bigram.arpa"
        path.write_text("\n".join(lines))
        return ctc.NGram.from_arpa(path)


def steps(case: Case, _: int) -> dict[str, Step]:
    ngram = bigram() if case.bigram else None
    decoder = ctc.PrefixDecoder(NAMES, beam_size=case.beam_size, ngram=ngram)
    log_p = frames()
    return {"rnncore": lambda: decoder.decode(log_p)}


def rows(plan: Plan, count: int) -> Iterator[Row]:
    with threads(count):
        for case in CASES:
            ours = plan.compare(count, steps, case, count)["rnncore"]
            yield {
                "beam": case.beam_size,
                "model": "bigram" if case.bigram else "none",
                "ms": 1e3 * ours.median,
                "utterances/s": BATCH / ours.median,
            }


def tables(plan: Plan) -> Iterator[Table]:
    for count in plan.threads:
        yield Table(
            f"ctc-decoding-{count}",
            f"CTC prefix beam search, {BATCH} utterances, T={FRAMES}, C={SYMBOLS}, "
            f"{threads_text(count)}",
            (
                Column("beam"),
                Column("model"),
                Column("ms", ".2f"),
                Column("utterances/s", ".1f"),
            ),
            rows(plan, count),
        )


@pytest.mark.parametrize("case", CASES, ids=str)
def test_ctc_decoding(benchmark: Any, case: Case) -> None:
    benchmark.group = f"ctc decoding {case}"
    with threads(1):
        beside(benchmark, steps(case, 1))


if __name__ == "__main__":
    run_alone("bench_ctc_decoding")
