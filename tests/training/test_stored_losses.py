"""A whole training run against a stored table of losses, PyTorch, and other numbers of threads."""

from typing import Any

import numpy as np
import pytest

import rnncore as rc
from rnncore import datasets
from rnncore.data import ContiguousBatches
from rnncore.text import CharTokenizer
from rnncore.training import OptimizerConfig, ScheduleConfig, TrainingConfig

# Losses of 20 updates of `stored_run` in float64. PyTorch gives the same, see below.
STORED = [
    3.928024485087,
    3.895140380974,
    3.840727050524,
    3.797391198603,
    3.735901156657,
    3.705974914844,
    3.677928891371,
    3.647759098907,
    3.454919289928,
    3.593437422717,
    3.488106684694,
    3.449156600781,
    3.264548368079,
    3.334560117526,
    3.268680258351,
    3.448559887036,
    3.428193714984,
    3.257020216493,
    3.265397382897,
    3.185575308679,
]

# Rounding of float32 (6e-8), over sums of up to a hundred terms, changes a loss by about 1e-6;
# twenty updates of Adam, whose first steps depend on signs of gradients only, multiply that.
FLOAT32_ERROR = 2e-5


def stored_model(dtype: Any) -> tuple[rc.LanguageModel, str]:
    """Parameters come from a formula, not a generator: those of NumPy may change."""
    text = datasets.tinyshakespeare()[:2600]
    tokenizer = CharTokenizer.fit(text)
    model = rc.LanguageModel(
        tokenizer.vocab_size,
        embedding_size=12,
        hidden_size=24,
        tokenizer=tokenizer,
        dtype=dtype,
        rng=0,
    )
    model.flat_params[:] = 0.3 * np.sin(np.arange(model.num_params, dtype=np.float64) ** 2)
    return model, text


STORED_CONFIG = TrainingConfig(
    epochs=1,
    batch_size=8,
    bptt=16,
    validation_fraction=0,
    optimizer=OptimizerConfig("adam", learning_rate=5e-3, betas=(0.9, 0.999), clip_norm=0.5),
    schedule=ScheduleConfig("constant"),
)


def stored_run(dtype: Any) -> list[float]:
    model, text = stored_model(dtype)
    return model.fit(text, STORED_CONFIG).losses[:20]


def test_stored_losses(dtype: type[np.floating]) -> None:
    limit = {np.float32: FLOAT32_ERROR, np.float64: 1e-10}[dtype]
    np.testing.assert_allclose(stored_run(dtype), STORED, rtol=limit)


def test_stored_losses_are_those_of_torch() -> None:
    torch = pytest.importorskip("torch")
    torch.set_num_threads(1)  # its own would compete for the processors
    model, text = stored_model(np.float64)
    weights = {name: torch.tensor(value) for name, value in model.params.items()}
    embedding = torch.nn.Embedding(model.vocab_size, 12)
    lstm = torch.nn.LSTM(12, 24, 2)
    output = torch.nn.Linear(24, model.vocab_size)
    network = torch.nn.ModuleDict({"embedding": embedding, "rnn": lstm, "output": output}).double()
    network.load_state_dict(weights)
    optimizer = torch.optim.Adam(network.parameters(), lr=5e-3)
    state, losses = None, []
    for batch in ContiguousBatches(model.tokenizer.encode(text), 8, 16).epoch(0):
        y, state = lstm(embedding(torch.tensor(batch.inputs)), state)
        state = tuple(part.detach() for part in state)
        targets = torch.tensor(np.ascontiguousarray(batch.targets))
        loss = torch.nn.functional.cross_entropy(output(y).flatten(0, 1), targets.flatten())
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(network.parameters(), 0.5)
        optimizer.step()
        losses.append(loss.item())
    # PyTorch adds 1e-6 to the norm that it divides by.
    np.testing.assert_allclose(losses[:20], STORED, rtol=1e-5)


def test_losses_have_the_same_bits_for_any_number_of_threads() -> None:
    before = rc.get_num_threads()
    try:
        runs = []
        for threads in (1, 2, 3, 5):
            rc.set_num_threads(threads)
            runs.append(stored_run(np.float32))
    finally:
        rc.set_num_threads(before)
    assert runs[1:] == runs[:1] * 3
