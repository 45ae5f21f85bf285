"""Norms, saturation, spectral radii and clipping; what `rnncore.diagnostics` may be used by."""

import ast
import math
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import rnncore as rc
from rnncore import diagnostics

PACKAGE = Path(rc.__file__).parent


def test_nothing_below_imports_it() -> None:
    for path in PACKAGE.rglob("*.py"):
        inside = path.is_relative_to(PACKAGE / "diagnostics")
        if inside or path == PACKAGE / "__init__.py" or path.is_relative_to(PACKAGE / "cli"):
            continue
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            names = [a.name for a in node.names] if isinstance(node, ast.Import) else []
            if isinstance(node, ast.ImportFrom):
                names = [f"{node.module}.{a.name}" for a in node.names]
            assert not any(name.startswith("rnncore.diagnostics") for name in names), path


def test_importing_it_imports_no_matplotlib() -> None:
    code = "import sys, rnncore.diagnostics; sys.exit('matplotlib' in sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)


def test_norms_by_layer() -> None:
    model = rc.LanguageModel(6, "gru", 4, hidden_size=5, num_layers=2, dtype=np.float64, rng=0)
    model.loss_and_grad(rc.data.Batch([[0], [1]], [[1], [2]]))
    norms = diagnostics.norms(model)
    assert list(norms) == ["embedding", "rnn.l0", "rnn.l1", "output"]
    of = [a for name, a in model.params.items() if name.endswith("_l1")]
    assert norms["rnn.l1"].parameters == pytest.approx(math.sqrt(sum((a**2).sum() for a in of)))
    whole = math.hypot(*(norm.gradients for norm in norms.values()))
    assert whole == pytest.approx(np.linalg.norm(model.flat_grads))
    assert min(norm.gradients for norm in norms.values()) > 0


def test_norms_of_single_layers() -> None:
    assert list(diagnostics.norms(rc.LSTM(2, 3, bidirectional=True))) == ["l0", "l0_reverse"]
    assert list(diagnostics.norms(rc.Linear(2, 3))) == ["Linear"]
    with pytest.raises(ValueError, match="module: expected a layer or model with parameters"):
        diagnostics.norms(rc.Dropout(0.5))


@pytest.mark.parametrize(
    ("layer", "gates"),
    [
        (rc.RNN(3, 4, 2, rng=0), ["hidden"]),
        (rc.GRU(3, 4, rng=0), ["reset_gate", "update_gate", "candidate"]),
        (rc.LSTM(3, 4, rng=0), ["input_gate", "forget_gate", "cell_input", "output_gate"]),
    ],
    ids=["rnn", "gru", "lstm"],
)
def test_spectral_radius(layer: Any, gates: list[str]) -> None:
    """By power iteration of a matrix that is made symmetric, for that converges."""
    last = f"l{layer.num_layers - 1}"
    for i, gate in enumerate(gates):
        matrix = layer.params[f"weight_hh_{last}"][4 * i : 4 * i + 4]
        matrix[:] = matrix @ matrix.T
        v = np.ones(4)
        for _ in range(2000):
            v = matrix @ v / np.linalg.norm(v)
        got = diagnostics.spectral_radius(layer)[f"{gate}_{last}"]
        assert got == pytest.approx(np.linalg.norm(v), rel=1e-4)
    assert len(diagnostics.spectral_radius(layer)) == len(gates) * layer.num_layers


def test_saturation_of_an_lstm_whose_gates_are_known() -> None:
    """Each gate of unit 0 far below, of unit 1 far above, of unit 2 in the middle."""
    layer = rc.LSTM(1, 3, rng=0)
    layer.flat_params = np.zeros_like(layer.flat_params)
    layer.params["bias_ih_l0"] = np.tile(np.array([-9, 9, 0], np.float32), 4)
    shares = diagnostics.saturation(layer, np.zeros((5, 2, 1), np.float32), lengths=[5, 1])
    third = pytest.approx(1 / 3)
    for name in ("input_gate", "forget_gate", "cell_input", "output_gate"):
        assert shares[f"{name}_l0"] == (third, third)
    # the cell of unit 1 counts steps: tanh(2) = .96; the state of row 1 has seen one step
    assert shares["cell_l0"] == (0, pytest.approx(4 / 18))
    assert "hidden_l0" not in shares


@pytest.mark.parametrize(
    ("nonlinearity", "low"), [("tanh", 1), ("sigmoid", 1), ("relu", None), ("identity", None)]
)
def test_saturation_of_an_rnn(nonlinearity: str, low: int | None) -> None:
    layer = rc.RNN(1, 4, nonlinearity=nonlinearity, batch_first=True, rng=0)
    layer.params["bias_ih_l0"] = np.full(4, -50, np.float32)
    shares = diagnostics.saturation(layer, np.zeros((2, 5, 1), np.float32), lengths=[5, 2])
    assert shares == ({} if low is None else {"hidden_l0": (low, 0)})


def test_saturation_needs_steps() -> None:
    with pytest.raises(ValueError, match="x: expected at least one step"):
        diagnostics.saturation(rc.GRU(2, 3), np.zeros((4, 1, 2), np.float32), lengths=[0])


def test_clipping_recorder_follows_the_limit() -> None:
    linear = rc.Linear(3, 2, rng=0)
    recorder = diagnostics.ClippingRecorder(rc.optim.SGD(linear, 0.1))
    for size, limit in ((9.0, None), (9.0, 1.0), (0.1, 1.0), (math.inf, 1.0), (0.1, 0.01)):
        recorder.optimizer.clip_norm = limit
        linear.flat_grads = np.full_like(linear.flat_grads, size)
        recorder.step(zero_grad=True)
        assert not linear.flat_grads.any()
    assert recorder.events == [1, 4]
    assert recorder.share == 0.4
    assert recorder.norms[0] == pytest.approx(9 * math.sqrt(8))
    assert recorder.optimizer.num_steps == 4


def test_clipping_errors() -> None:
    with pytest.raises(ValueError, match="clip_norm: expected"):
        diagnostics.clipping_events([1.0], 0)
    with pytest.raises(TypeError, match="optimizer: expected"):
        diagnostics.ClippingRecorder(rc.Linear(3, 2))  # type: ignore[arg-type]
