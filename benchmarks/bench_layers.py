"""Training steps of LSTM, GRU and RNN beside PyTorch: forward and backward pass on one thread.

A step computes outputs, then the gradients of every parameter and of the input from a given
gradient of the outputs. Loss and optimiser are left out: they are the same for all cells.
"""

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import pytest

import rnncore as rc
from measure import (
    Step,
    beside,
    interleaved_medians,
    milliseconds,
    peak_gflops,
    print_table,
    ratio,
    torch_on_one_thread,
)

GATES = {"LSTM": 4, "GRU": 3, "RNN": 1}
# (T, B, I, H): the small language model of Zaremba et al. 2014, then longer, larger and wider ones.
SHAPES = ((35, 20, 200, 200), (50, 50, 128, 128), (64, 64, 256, 256), (128, 32, 512, 512))

Shape = tuple[int, int, int, int]


def gflop(cell: str, shape: Shape) -> float:
    """Billions of operations of a step: 2 T B G H (I + H) forward, twice that backward."""
    num_steps, batch, inputs, hidden = shape
    return 3 * 2 * num_steps * batch * GATES[cell] * hidden * (inputs + hidden) / 1e9


def arrays(shape: Shape) -> tuple[Any, Any]:
    """x [T,B,I] and dy [T,B,H], the same for both sides."""
    num_steps, batch, inputs, hidden = shape
    rng = np.random.default_rng(0)
    x = rng.standard_normal((num_steps, batch, inputs), dtype=np.float32)
    dy = rng.standard_normal((num_steps, batch, hidden), dtype=np.float32)
    return x, dy


def rnncore_step(cell: str, shape: Shape) -> Step:
    layer = getattr(rc, cell)(shape[2], shape[3], rng=0)
    x, dy = arrays(shape)

    def step() -> None:
        layer.zero_grad()
        _, _, cache = layer.forward(x)
        layer.backward(dy, cache)

    return step


def torch_steps(cell: str, shape: Shape) -> dict[str, Step]:
    """The same step of torch.nn; nothing where torch is not installed."""
    torch = torch_on_one_thread()
    if torch is None:
        return {}
    module = getattr(torch.nn, cell)(shape[2], shape[3])
    x, dy = (torch.from_numpy(a) for a in arrays(shape))
    x.requires_grad_()

    def step() -> None:
        module.zero_grad()
        x.grad = None
        y, _ = module(x)
        y.backward(dy)

    return {"torch": step}


@pytest.fixture(scope="module", autouse=True)
def _one_thread() -> Iterator[None]:
    before = rc.get_num_threads()
    rc.set_num_threads(1)
    yield
    rc.set_num_threads(before)


@pytest.fixture(scope="module")
def peak() -> float:
    return peak_gflops()


@pytest.mark.parametrize("shape", SHAPES, ids=lambda s: "x".join(map(str, s)))
@pytest.mark.parametrize("cell", GATES)
def test_training_step(benchmark: Any, peak: float, cell: str, shape: Shape) -> None:
    benchmark.group = f"training step {shape}"
    beside(benchmark, rnncore_step(cell, shape), torch_steps(cell, shape), rounds=15)
    speed = gflop(cell, shape) / benchmark.stats.stats.median
    benchmark.extra_info["GFLOP/s"] = round(speed, 1)
    benchmark.extra_info["percent of peak"] = round(100 * speed / peak, 1)


HEADINGS = ("(T,B,I,H)", "rnncore ms", "torch ms", "speed-up", "GFLOP/s", "% of peak")


def rows(rounds: int) -> Iterator[Sequence[str]]:
    peak = peak_gflops()
    for cell in GATES:
        for shape in SHAPES:
            steps = {"rnncore": rnncore_step(cell, shape), **torch_steps(cell, shape)}
            medians = interleaved_medians(steps, rounds)
            ours, peer = medians["rnncore"], medians.get("torch")
            speed = gflop(cell, shape) / ours
            yield (
                f"{cell} {','.join(map(str, shape))}",
                milliseconds(ours),
                milliseconds(peer),
                ratio(peer, ours),
                f"{speed:.1f}",
                f"{100 * speed / peak:.0f}",
            )


def report(rounds: int = 15) -> None:
    """Print the table."""
    rc.set_num_threads(1)
    print_table("Training step, forward and backward, one thread", HEADINGS, rows(rounds))


if __name__ == "__main__":
    report()
