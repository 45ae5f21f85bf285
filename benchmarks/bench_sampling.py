"""Sampling from a 2 x 256 LSTM language model, one character at a time, on one thread.

Both sides draw from the softmax at temperature 1 and feed the character back. PyTorch is written in
the two usual ways, with `nn.LSTM` on sequences of one step and with two `nn.LSTMCell`; the faster
one counts.
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
    print_table,
    ratio,
    torch_on_one_thread,
)

VOCABULARY, HIDDEN, LAYERS = 65, 256, 2
LENGTH = 200  # characters per round
EMBEDDINGS = {"one-hot": None, "embedding": 256}


def rnncore_step(embedding_size: int | None) -> Step:
    model = rc.LanguageModel(
        VOCABULARY, embedding_size=embedding_size, hidden_size=HIDDEN, num_layers=LAYERS, rng=0
    )
    prompt, rng = np.array([1]), np.random.default_rng(0)
    return lambda: model.sample(prompt, LENGTH, rng=rng)


def torch_steps(embedding_size: int | None) -> dict[str, Step]:
    """The same model in torch, in two ways; nothing where torch is not installed."""
    torch = torch_on_one_thread()
    if torch is None:
        return {}
    nn = torch.nn
    width = VOCABULARY if embedding_size is None else embedding_size
    # A one-hot row is a row of the unit matrix: looking it up costs less than building it.
    embedding = nn.Embedding(VOCABULARY, width)
    if embedding_size is None:
        embedding = nn.Embedding.from_pretrained(torch.eye(VOCABULARY))
    lstm = nn.LSTM(width, HIDDEN, LAYERS)
    cells = [nn.LSTMCell(width if i == 0 else HIDDEN, HIDDEN) for i in range(LAYERS)]
    output = nn.Linear(HIDDEN, VOCABULARY)

    def draw(y: Any) -> Any:
        return torch.multinomial(torch.softmax(output(y), -1), 1)

    @torch.inference_mode()
    def with_module() -> None:
        token, state = torch.ones((1, 1), dtype=torch.int64), None
        for _ in range(LENGTH):
            y, state = lstm(embedding(token), state)
            token = draw(y[0])

    @torch.inference_mode()
    def with_cells() -> None:
        token = torch.ones((1, 1), dtype=torch.int64)
        states: list[Any] = [None] * LAYERS
        for _ in range(LENGTH):
            y = embedding(token[0])
            for i, cell in enumerate(cells):
                states[i] = cell(y, states[i])
                y = states[i][0]
            token = draw(y)

    return {"torch LSTM": with_module, "torch LSTMCell": with_cells}


@pytest.mark.parametrize("inputs", EMBEDDINGS)
def test_sampling(benchmark: Any, inputs: str) -> None:
    benchmark.group = f"sampling {LENGTH} characters"
    before = rc.get_num_threads()
    rc.set_num_threads(1)
    size = EMBEDDINGS[inputs]
    beside(benchmark, rnncore_step(size), torch_steps(size), rounds=15)
    rc.set_num_threads(before)
    benchmark.extra_info["characters/s"] = round(LENGTH / benchmark.stats.stats.median)


HEADINGS = ("input", "rnncore us", "LSTM us", "LSTMCell us", "speed-up", "characters/s")


def rows(rounds: int) -> Iterator[Sequence[str]]:
    for inputs, size in EMBEDDINGS.items():
        steps = {"rnncore": rnncore_step(size), **torch_steps(size)}
        medians = interleaved_medians(steps, rounds)
        ours = medians.pop("rnncore")
        peer = min(medians.values(), default=None)
        of_peers = [f"{1e6 * value / LENGTH:.1f}" for value in medians.values()] or ["", ""]
        per_character = f"{1e6 * ours / LENGTH:.1f}"
        yield (inputs, per_character, *of_peers, ratio(peer, ours), f"{LENGTH / ours:.0f}")


def report(rounds: int = 15) -> None:
    """Print the table."""
    rc.set_num_threads(1)
    title = f"Sampling, {LAYERS} x {HIDDEN} LSTM, time per character, one thread"
    print_table(title, HEADINGS, rows(rounds))


if __name__ == "__main__":
    report()
