"""Memory of a training step: its peak beside what must be held.

What must be held is weights, gradients, the two averages of Adam, and what back-propagation through
time needs of every step: the gates' activations, the cell state and the output. Each measurement
has a process of its own, so that no earlier one leaves memory behind: it runs a step of a tiny
model, reads its resident memory, builds the model, takes two steps and reads its peak, without the
pages of code that came into memory meanwhile.
"""

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from measure import Plan, run_alone
from rnncore._bench import pytorch
from rnncore._bench.tables import Column, Row, Table

VOCABULARY, HIDDEN, LAYERS = 65, 512, 2
NUM_STEPS, BATCH = 100, 64
MEGABYTE = 1e6

# Values per unit and step: LSTM i, f, g, o, c, h; GRU r, z, n, W_hn h + b_hn, h; RNN h.
KEPT = {"lstm": 6, "gru": 5, "rnn": 1}


def must_be_held(cell: str, num_params: int) -> int:
    """Bytes of a training step that no implementation in float32 can do without."""
    kept = NUM_STEPS * BATCH * LAYERS * HIDDEN * KEPT[cell]
    return 4 * (4 * num_params + kept)


def process_memory(field: str) -> int:
    """Bytes of a field of /proc/self/status.

    VmRSS is in memory now, RssFile the part of it that comes from files, VmHWM was at most.
    `resource.getrusage` will not do: a process inherits its parent's peak.
    """
    for line in Path("/proc/self/status").read_text().splitlines():
        name, value = line.split(":", 1)
        if name == field:
            return int(value.split()[0]) * 1024
    raise RuntimeError(f"no {field} in /proc/self/status")


def tokens(batch: int) -> tuple[Any, Any]:
    rng = np.random.default_rng(0)
    inputs, targets = rng.integers(0, VOCABULARY, (2, NUM_STEPS, batch))
    return inputs, targets


def train_rnncore(cell: str, hidden: int, batch: int) -> int:
    """Two steps of a language model with Adam; the number of its parameters."""
    import rnncore as rc

    rc.set_num_threads(1)
    model = rc.LanguageModel(VOCABULARY, cell=cell, hidden_size=hidden, num_layers=LAYERS, rng=0)
    optimiser = rc.optim.Adam(model)
    inputs, targets = tokens(batch)
    for _ in range(2):
        model.loss_and_grad(rc.data.Batch(inputs, targets))
        optimiser.step(zero_grad=True)
    return model.num_params


def train_torch(cell: str, hidden: int, batch: int) -> int:
    """The same in torch."""
    torch = pytorch.torch()
    torch.set_num_threads(1)
    rnn = getattr(torch.nn, cell.upper())(VOCABULARY, hidden, LAYERS)
    output = torch.nn.Linear(hidden, VOCABULARY)
    params = [*rnn.parameters(), *output.parameters()]
    optimiser = torch.optim.Adam(params)
    inputs, targets = (torch.from_numpy(a) for a in tokens(batch))
    for _ in range(2):
        optimiser.zero_grad()
        x = torch.nn.functional.one_hot(inputs, VOCABULARY).float()
        y, _ = rnn(x)
        loss = torch.nn.functional.cross_entropy(output(y).flatten(0, 1), targets.flatten())
        loss.backward()
        optimiser.step()
    return sum(p.numel() for p in params)


TRAIN = {"rnncore": train_rnncore, "torch": train_torch}


def measure_here(library: str, cell: str) -> None:
    """Print bytes taken by training and the number of parameters, as JSON; for a fresh process."""
    train = TRAIN[library]
    train(cell, 8, 1)  # load code, start what is started once
    before, code = process_memory("VmRSS"), process_memory("RssFile")
    num_params = train(cell, HIDDEN, BATCH)
    code = process_memory("RssFile") - code  # that has been read meanwhile
    print(json.dumps({"peak": process_memory("VmHWM") - before - code, "num_params": num_params}))


def measure(library: str, cell: str) -> dict[str, int]:
    """`measure_here` in a process of its own."""
    done = subprocess.run(
        [sys.executable, __file__, library, cell], capture_output=True, text=True, check=True
    )
    result: dict[str, int] = json.loads(done.stdout)
    return result


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
@pytest.mark.parametrize("cell", KEPT)
def test_memory_of_a_training_step(benchmark: Any, cell: str) -> None:
    benchmark.group = "memory of a training step"
    result = benchmark.pedantic(measure, args=("rnncore", cell), rounds=1)
    held = must_be_held(cell, result["num_params"])
    benchmark.extra_info["peak [MB]"] = round(result["peak"] / MEGABYTE, 1)
    benchmark.extra_info["must be held [MB]"] = round(held / MEGABYTE, 1)
    benchmark.extra_info["ratio"] = round(result["peak"] / held, 3)


def rows() -> Iterator[Row]:
    for cell in KEPT:
        ours = measure("rnncore", cell)
        held = must_be_held(cell, ours["num_params"])
        row: dict[str, str | float] = {
            "cell": f"{cell} T={NUM_STEPS} B={BATCH} H={LAYERS}x{HIDDEN}",
            "held MB": held / MEGABYTE,
        }
        peaks = {"rnncore": ours["peak"]}
        if pytorch.torch() is not None:
            peaks["PyTorch"] = measure("torch", cell)["peak"]
        for library, peak in peaks.items():
            row |= {
                f"{library} MB": peak / MEGABYTE,
                f"{library} of held": peak / held,
            }
        yield row


def tables(plan: Plan) -> Iterator[Table]:
    del plan  # a step is all there is to measure
    sides = [
        column
        for library in ("rnncore", "PyTorch")
        for column in (
            Column(f"{library} MB", ".1f"),
            Column(f"{library} of held", ".2f"),
        )
    ]
    yield Table(
        "memory",
        "Peak memory of a training step with Adam",
        (Column("cell"), Column("held MB", ".1f"), *sides),
        rows(),
        "Held: weights, gradients, averages, and what back-propagation reads of each step.",
    )


if __name__ == "__main__":
    if len(sys.argv) == 3:
        measure_here(*sys.argv[1:])
    else:
        run_alone("bench_memory")
