"""Sampling from LSTM language models, one character at a time, on one thread.

Both sides draw from the softmax at temperature 1 and feed the character back. PyTorch is written in
the two usual ways, with `nn.LSTM` on sequences of one step and with one `nn.LSTMCell` for each
layer, which do less around each step; the faster one counts.
"""

from collections.abc import Iterator
from typing import Any

import pytest

from measure import Plan, beside, run_alone
from rnncore._bench.machine import threads
from rnncore._bench.sampling import WEIGHT_FORMATS, Sampling
from rnncore._bench.tables import Check, Column, Row, Table, verdict
from rnncore._bench.timing import interleaved

CASES = (Sampling(2, 128), Sampling(2, 256), Sampling(3, 512))
# Least characters per second.
TARGETS = {
    (2, 128, "float32"): 100_000,
    (3, 512, "float32"): 3_300,
    (3, 512, "bfloat16"): 6_500,
    (3, 512, "int8_dynamic"): 11_000,
}
OURS, THEIRS = 1000, 20  # characters of one call: packing the weights is a part of ours


def rows(plan: Plan) -> Iterator[Row]:
    with threads(1):
        for case in CASES:
            ours = {form: case.step(OURS, form) for form in WEIGHT_FORMATS}
            timings = interleaved(ours | case.peer_steps(THEIRS), plan.effort(budget=3))
            peers = {name: t for name, t in timings.items() if name not in WEIGHT_FORMATS}
            for form in WEIGHT_FORMATS:
                own = timings[form]
                rate = OURS / own.median
                ratios = (OURS / THEIRS * peer.over(own) for peer in peers.values())
                target = TARGETS.get((case.num_layers, case.hidden_size, form))
                check = [] if target is None else [Check("rate", rate, target, unit="")]
                yield {
                    "model": f"{case.name} {form}",
                    "characters/s": rate,
                    **{name: THEIRS / peer.median for name, peer in peers.items()},
                    "ratio": min(ratios, default=None),
                    **verdict(*check),
                }


def tables(plan: Plan) -> Iterator[Table]:
    yield Table(
        "sampling",
        "Sampling, characters per second, one thread",
        (
            Column("model"),
            Column("characters/s", ",.0f"),
            Column("PyTorch LSTM", ",.0f"),
            Column("PyTorch LSTMCell", ",.0f"),
            Column("ratio", ".1f"),
            Column("target"),
            Column("met"),
        ),
        rows(plan),
        "Targets are in characters per second. The ratio is to the faster form of PyTorch.",
    )


@pytest.mark.parametrize("weight_format", WEIGHT_FORMATS)
@pytest.mark.parametrize("case", CASES, ids=lambda c: c.name.replace(" ", ""))
def test_sampling(benchmark: Any, case: Sampling, weight_format: str) -> None:
    benchmark.group = f"sampling {case.name}"
    with threads(1):
        beside(benchmark, {"rnncore": case.step(100, weight_format), **case.peer_steps(100)})
    benchmark.extra_info["characters/s"] = round(100 / benchmark.stats.stats.median)


if __name__ == "__main__":
    run_alone("bench_sampling")
