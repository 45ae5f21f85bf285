"""The same steps in PyTorch; nothing where it is not installed."""

from __future__ import annotations

from typing import Any

from numpy.typing import NDArray

from rnncore._bench import peers
from rnncore._bench.timing import Step

__all__ = ["inference_step", "module", "sampling_steps", "torch", "training_step"]

NAME = "PyTorch"


def torch() -> Any:
    """Return the module torch, or None where it is not installed."""
    return peers.module("torch")


def module(cell: str, layer: Any) -> Any:
    """Return the layer of torch.nn with the parameters of ours, whose names are the same."""
    peer = getattr(torch().nn, cell)(layer.input_size, layer.hidden_size, layer.num_layers)
    peer.load_state_dict({n: torch().from_numpy(p.copy()) for n, p in layer.params.items()})
    return peer


def on_threads(num_threads: int, step: Step) -> Step:
    """Return a step that runs on so many threads of PyTorch, whose number is the process's."""
    library = torch()

    def run() -> object:
        if library.get_num_threads() != num_threads:
            library.set_num_threads(num_threads)
        return step()

    return run


def step_on_threads(num_threads: int, step: Step, *, bfloat16: bool) -> dict[str, Step]:
    """Return the step of PyTorch by its name; nothing where it has none for this processor.

    Its LSTM under autocast needs AVX-512.
    """
    run = on_threads(num_threads, step)
    if bfloat16:
        try:
            run()
        except RuntimeError:
            return {}
    return {NAME: run}


def training_step(
    cell: str,
    layer: Any,
    x: NDArray[Any],
    dy: NDArray[Any],
    num_threads: int,
    *,
    bfloat16: bool = False,
) -> dict[str, Step]:
    """Return forward and backward pass; with bfloat16, the forward pass under autocast."""
    if torch() is None:
        return {}
    peer = module(cell, layer)
    inputs, gradient = torch().from_numpy(x).requires_grad_(), torch().from_numpy(dy)
    if bfloat16:
        gradient = gradient.bfloat16()
    autocast = torch().autocast("cpu", dtype=torch().bfloat16, enabled=bfloat16)

    def step() -> None:
        peer.zero_grad()
        inputs.grad = None
        with autocast:
            y, _ = peer(inputs)
        y.backward(gradient.to(y.dtype))

    return step_on_threads(num_threads, step, bfloat16=bfloat16)


def inference_step(
    cell: str, layer: Any, x: NDArray[Any], num_threads: int, *, bfloat16: bool = False
) -> dict[str, Step]:
    """Return the forward pass in inference mode; with bfloat16, under autocast."""
    if torch() is None:
        return {}
    peer, inputs = module(cell, layer).eval(), torch().from_numpy(x)
    autocast = torch().autocast("cpu", dtype=torch().bfloat16, enabled=bfloat16)

    def step() -> Any:
        with torch().inference_mode(), autocast:
            return peer(inputs)[0]

    return step_on_threads(num_threads, step, bfloat16=bfloat16)


def sampling_steps(
    hidden_size: int, num_layers: int, vocab_size: int, length: int
) -> dict[str, Step]:
    """Return drawing `length` characters one at a time, in the two usual ways, on one thread.

    One-hot input is a row of the unit matrix: looking it up costs less than building it.
    """
    library = torch()
    if library is None:
        return {}
    nn, functional = library.nn, library.nn.functional
    one_hot = library.eye(vocab_size)
    lstm = nn.LSTM(vocab_size, hidden_size, num_layers)
    widths = [vocab_size] + [hidden_size] * (num_layers - 1)
    cells = [nn.LSTMCell(width, hidden_size) for width in widths]
    output = nn.Linear(hidden_size, vocab_size)

    def draw(y: Any) -> Any:
        return library.multinomial(functional.softmax(output(y), -1), 1)

    def with_module() -> None:
        token, state = library.ones((1, 1), dtype=library.int64), None
        with library.inference_mode():
            for _ in range(length):
                y, state = lstm(one_hot[token], state)
                token = draw(y[0])

    def with_cells() -> None:
        token = library.ones((1, 1), dtype=library.int64)
        states: list[Any] = [None] * num_layers
        with library.inference_mode():
            for _ in range(length):
                y = one_hot[token[0]]
                for i, cell in enumerate(cells):
                    states[i] = cell(y, states[i])
                    y = states[i][0]
                token = draw(y)

    return {
        "PyTorch LSTM": on_threads(1, with_module),
        "PyTorch LSTMCell": on_threads(1, with_cells),
    }
