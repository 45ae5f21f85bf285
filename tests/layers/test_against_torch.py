"""Recurrent layers against PyTorch: outputs, final states, every gradient. Skips without torch."""

from typing import Any

import numpy as np
import pytest

from problems import RELATIVE_ERROR, Answers, Problem, as_tuple, assert_close
from twin import Twin

torch = pytest.importorskip("torch")
torch.set_num_threads(1)  # sizes are small, and its threads would compete with those of rnncore

STEPS, BATCH, INPUT, HIDDEN = 6, 4, 3, 5
RAGGED = (4, 1, 6, 2)
PEER_CELLS = ("rnn_tanh", "rnn_relu", "gru_after", "lstm")  # torch has no other


def peer(problem: Problem, dtype: str) -> Any:
    """torch.nn's module with the problem's parameters."""
    twin = problem.twin
    kind, _, option = twin.cell_name.partition("_")
    constructor = {"rnn": torch.nn.RNN, "gru": torch.nn.GRU, "lstm": torch.nn.LSTM}[kind]
    module = constructor(
        twin.input_size,
        twin.hidden_size,
        twin.num_layers,
        bias=twin.bias,
        bidirectional=twin.bidirectional,
        dtype=getattr(torch, dtype),
        **({"nonlinearity": option} if kind == "rnn" else {}),
    )
    assert [name for name, _ in module.named_parameters()] == list(problem.params)
    module.load_state_dict(
        {name: torch.tensor(p.astype(dtype)) for name, p in problem.params.items()}
    )
    return module


def solve_with_torch(problem: Problem, dtype: str) -> Answers:
    """Answers of torch.nn under the names of `Problem.solve`."""
    module = peer(problem, dtype)

    def leaf(values: Any) -> Any:
        return torch.tensor(values.astype(dtype), requires_grad=True)

    x = leaf(problem.x)
    state = None if problem.state is None else tuple(leaf(s) for s in problem.state)
    packed = x
    if problem.lengths is not None:
        packed = torch.nn.utils.rnn.pack_padded_sequence(
            x, torch.tensor(problem.lengths), enforce_sorted=False
        )
    hx = state if state is None or len(state) == 2 else state[0]
    y, final = module(packed, hx)
    if problem.lengths is not None:
        y, _ = torch.nn.utils.rnn.pad_packed_sequence(y, total_length=len(problem.x))
    finals = as_tuple(final)
    loss = (y * torch.tensor(problem.dy.astype(dtype))).sum()
    for s, d in zip(finals, problem.dstate or (), strict=problem.dstate is not None):
        loss = loss + (s * torch.tensor(d.astype(dtype))).sum()
    loss.backward()

    answers = {"y": y.detach().numpy()}
    answers.update({f"final state {i}": s.detach().numpy() for i, s in enumerate(finals)})
    answers["dx"] = x.grad.numpy()
    if state is not None:
        answers.update(
            {f"gradient of initial state {i}": s.grad.numpy() for i, s in enumerate(state)}
        )
    answers.update({f"gradient of {name}": p.grad.numpy() for name, p in module.named_parameters()})
    return answers


def assert_equals_torch(problem: Problem) -> None:
    for dtype, limit in RELATIVE_ERROR.items():
        expected = solve_with_torch(problem, dtype)
        got = problem.solve(problem.layer(dtype))
        if problem.state is None:  # torch has no leaf whose gradient it would be
            got = {name: value for name, value in got.items() if name in expected}
        assert_close(got, expected, limit)


@pytest.mark.parametrize("cell", PEER_CELLS)
@pytest.mark.parametrize("bidirectional", [False, True], ids=["forward", "both"])
@pytest.mark.parametrize("num_layers", [1, 2, 3])
@pytest.mark.parametrize("bias", [False, True], ids=["plain", "bias"])
@pytest.mark.parametrize("state", [False, True], ids=["zero", "state"])
@pytest.mark.parametrize("lengths", [None, RAGGED], ids=["full", "ragged"])
def test_layer_equals_torch(
    cell: str,
    bidirectional: bool,
    num_layers: int,
    bias: bool,
    state: bool,
    lengths: tuple[int, ...] | None,
) -> None:
    twin = Twin(cell, INPUT, HIDDEN, num_layers, bias, bidirectional)
    assert_equals_torch(Problem.random(twin, STEPS, BATCH, state=state, lengths=lengths))


@pytest.mark.parametrize("cell", PEER_CELLS)
def test_size_of_practice_equals_torch(cell: str) -> None:
    """Long enough sums and chains that a systematic loss of accuracy would show."""
    rng = np.random.default_rng(4)
    lengths = rng.permutation(np.r_[35, rng.integers(1, 36, 19)])
    assert_equals_torch(
        Problem.random(Twin(cell, 100, 100, 2), 35, 20, state=True, lengths=lengths)
    )
