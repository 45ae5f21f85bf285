"""compute="bfloat16": layers and language model whose products read rounded operands."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

import rnncore as rc
from bfloat16 import rounded
from instruction_sets import selected
from language_models import loss_and_grad, loss_of
from many_threads import RAGGED, assert_bits_do_not_depend_on_threads, layer_problem
from problems import CELL_NAMES, Answers, Problem, assert_close, relative_error
from rnncore import _core
from twin import Twin

Array = NDArray[Any]

# Two computations of the same network round numbers that differ in their last bits to bfloat16.
# One in some ten thousand then falls to the other side of a border, a relative step of 2**-7 in
# one term of one sum: with sums of 20 terms and more, less than this of the largest value.
ACROSS_A_BORDER = 5e-3
# Everything that no such number has touched agrees as in float32.
UNTOUCHED = 2e-6


def operand(values: Array) -> Array:
    """What a product reads of a float64 array of the twin."""
    return rounded(values.astype(np.float32)).astype(np.float64)


def assert_equal_but_for_borders(got: Answers, expected: Answers) -> None:
    """Half of each array untouched: a product with other operands would touch all of them."""
    assert_close(got, expected, ACROSS_A_BORDER)
    for name, wanted in expected.items():
        middle = np.median(np.abs(got[name].astype(np.float64) - wanted))
        assert middle <= UNTOUCHED * np.max(np.abs(wanted)), f"{name}: half differ by {middle:.1e}"


@pytest.mark.parametrize("bidirectional", [False, True], ids=["forward", "both"])
@pytest.mark.parametrize("cell", CELL_NAMES)
def test_layer_equals_twin_with_rounded_operands(isa: str, cell: str, bidirectional: bool) -> None:
    """Ragged rows, states and their gradients; the operands of every product, and nothing else."""
    twin = Twin(cell, 13, 21, 2, bidirectional=bidirectional, operand=operand)
    asked = Problem.random(twin, 5, 4, state=True, lengths=[5, 2, 4, 0])
    layer = asked.layer("float32", compute="bfloat16")
    assert_equal_but_for_borders(asked.solve(layer), asked.expected())


def test_the_twin_tells_rounded_from_whole_operands() -> None:
    """Were the test above passed by a layer in float32, it would test nothing."""
    whole, narrow = (Twin("lstm", 13, 21, 2, operand=f) for f in (lambda a: a, operand))
    expected = Problem.random(narrow, 5, 4).expected()
    with pytest.raises(AssertionError):
        assert_equal_but_for_borders(Problem.random(whole, 5, 4).expected(), expected)


@pytest.mark.parametrize("cell", CELL_NAMES)
def test_sets_agree(cell: str) -> None:
    """Inputs and products wider than the tiles; 12 steps carry a number across a border onwards."""
    asked = Problem.random(Twin(cell, 45, 83, 2), 12, 7, state=True)
    answers = []
    for isa in ("reference", *_core.available_isas()):
        with selected(isa):
            answers.append(asked.solve(asked.layer("float32", compute="bfloat16")))
    for other in answers[1:]:
        assert_close(other, answers[0], ACROSS_A_BORDER)


@pytest.mark.parametrize("ids", [False, True], ids=["vectors", "ids"])
@pytest.mark.parametrize("lengths", [None, RAGGED], ids=["full", "ragged"])
@pytest.mark.parametrize("bidirectional", [False, True], ids=["forward", "both"])
@pytest.mark.parametrize("cell", ["rnn_tanh", "gru_after", "gru_before", "lstm"])
def test_bits_do_not_depend_on_threads(
    isa: str, cell: str, bidirectional: bool, lengths: tuple[int, ...] | None, ids: bool
) -> None:
    problem = layer_problem(cell, bidirectional=bidirectional, lengths=lengths, ids=ids)
    layer = problem.layer("float32", compute="bfloat16")

    def run() -> Answers:
        x, state, _, _ = problem.inputs("float32")
        y, _ = layer(x, state, lengths=problem.lengths)
        return {"inference": y, **problem.solve(layer)}

    assert_bits_do_not_depend_on_threads(run)


@pytest.mark.parametrize("inputs", [13, 1100])
@pytest.mark.parametrize("cell", ["rnn_tanh", "lstm", "gru_after"])
def test_inference_gives_what_training_gives(isa: str, cell: str, inputs: int) -> None:
    """Rows of a ragged batch stand apart in one of them and follow each other in the other."""
    twin = Twin(cell, inputs, 140, 1, bidirectional=True)
    problem = Problem.random(twin, 9, 23, state=True, lengths=[(5 * b) % 10 for b in range(23)])
    layer = problem.layer("float32", compute="bfloat16")
    x, state, _, _ = problem.inputs("float32")
    y, _ = layer(x, state, lengths=problem.lengths)
    trained, _, _ = layer.forward(x, state, lengths=problem.lengths)
    np.testing.assert_array_equal(y, trained)


def test_gradient_over_many_rows(isa: str) -> None:
    """More rows in a step than a weight gradient takes at a time."""
    twin = Twin("rnn_tanh", 5, 7, 1, operand=operand)
    asked = Problem.random(twin, 2, 530)
    layer = asked.layer("float32", compute="bfloat16")
    assert_equal_but_for_borders(asked.solve(layer), asked.expected())


# --- Linear and the output layer -----------------------------------------------------------------
@pytest.mark.parametrize(("rows", "inputs", "outputs"), [(33, 35, 19), (141, 2500, 800)])
def test_linear(isa: str, rows: int, inputs: int, outputs: int) -> None:
    """Small; and with weights beyond the L2 cache, in whose sums the bias comes first."""
    rng = np.random.default_rng(0)
    layer = rc.Linear(inputs, outputs, compute="bfloat16", rng=rng)
    x = rng.standard_normal((3, rows // 3, inputs), dtype=np.float32)
    dy = rng.standard_normal((3, rows // 3, outputs), dtype=np.float32)
    y, cache = layer.forward(x)
    dx = layer.backward(dy, cache)
    w, b = operand(layer.params["weight"]), layer.params["bias"]
    wide_x, wide_dy = operand(x), operand(dy)
    expected = {
        "y": wide_x @ w.T + b,
        "inference": wide_x @ w.T + b,
        "dx": wide_dy @ w,
        "dweight": np.einsum("abo,abi->oi", wide_dy, wide_x),
        "dbias": dy.astype(np.float64).sum((0, 1)),  # a sum, no product: not rounded
    }
    got = {"y": y, "inference": layer(x), "dx": dx, "dweight": layer.grads["weight"]}
    assert_close({**got, "dbias": layer.grads["bias"]}, expected, UNTOUCHED)


@pytest.mark.parametrize("vocab_size", [31, 700])
def test_language_model_is_its_layers(isa: str, vocab_size: int) -> None:
    """The loss in one sweep against recurrent layer, output layer and loss one by one."""
    rng = np.random.default_rng(1)
    model = rc.LanguageModel(vocab_size, "gru", 12, 23, 1, compute="bfloat16", rng=rng)
    inputs, targets = rng.integers(0, vocab_size, (2, 9, 5))
    loss, _ = loss_and_grad(model, inputs, targets)
    fused = {name: g.copy() for name, g in model.grads.items()}

    model.zero_grad()
    assert model.embedding is not None
    x, embedding_cache = model.embedding.forward(inputs)
    y, _, cache = model.rnn.forward(x)
    logits, output_cache = model.output.forward(y)
    expected, dlogits = rc.losses.cross_entropy(logits, targets)
    dx, _ = model.rnn.backward(model.output.backward(dlogits, output_cache), cache)
    assert dx is not None
    model.embedding.backward(dx, embedding_cache)
    assert loss == pytest.approx(expected, rel=1e-6)
    assert loss_of(model, inputs, targets)[0] == pytest.approx(expected, rel=1e-6)
    assert_equal_but_for_borders(fused, dict(model.grads))


def test_language_model_learns_as_in_float32() -> None:
    text = np.random.default_rng(2).integers(0, 11, (30, 4))  # to be learned by heart
    losses = []
    for compute in (None, "bfloat16"):
        model = rc.LanguageModel(11, hidden_size=24, num_layers=2, compute=compute, rng=2)
        inputs, targets = text[:-1], text[1:]
        optimizer = rc.optim.Adam(model, 0.02)
        for _ in range(60):
            model.zero_grad()
            loss, _ = loss_and_grad(model, inputs, targets)
            optimizer.step()
        losses.append(loss)
    assert losses[0] < 0.5
    assert losses[1] == pytest.approx(losses[0], rel=0.1)


# --- the option ----------------------------------------------------------------------------------
LAYERS = {
    "RNN": lambda **options: rc.RNN(3, 4, **options),
    "GRU": lambda **options: rc.GRU(3, 4, **options),
    "LSTM": lambda **options: rc.LSTM(3, 4, **options),
    "Linear": lambda **options: rc.Linear(3, 4, **options),
    "LanguageModel": lambda **options: rc.LanguageModel(5, hidden_size=4, **options),
}


@pytest.mark.parametrize("name", LAYERS)
def test_option_is_kept_in_a_file(name: str, tmp_path: Path) -> None:
    layer = LAYERS[name](compute="bfloat16")
    assert layer.config()["compute"] == "bfloat16"
    rc.save(layer, tmp_path / "model")
    again = rc.load(tmp_path / "model")
    assert again.config() == layer.config()
    parts = [again.rnn, again.output] if name == "LanguageModel" else [again]
    assert [part.compute for part in parts] == ["bfloat16"] * len(parts)


@pytest.mark.parametrize("name", LAYERS)
def test_the_option_is_part_of_the_configuration(name: str) -> None:
    assert LAYERS[name]().config()["compute"] is None
    assert LAYERS[name](compute="bfloat16").config()["compute"] == "bfloat16"


@pytest.mark.parametrize("name", LAYERS)
def test_bad_options_are_refused(name: str) -> None:
    with pytest.raises(ValueError, match=r"compute: expected None or 'bfloat16', got 'float16'"):
        LAYERS[name](compute="float16")
    with pytest.raises(TypeError, match=r"compute: expected None or 'bfloat16', got int 16"):
        LAYERS[name](compute=16)
    with pytest.raises(ValueError, match=r"compute: 'bfloat16' needs dtype float32, got float64"):
        LAYERS[name](compute="bfloat16", dtype=np.float64)


def test_ids_take_their_column_unrounded() -> None:
    """Of a look-up nothing is multiplied: the columns of W_ih enter as they are."""
    layers = [rc.RNN(6, 4, compute=compute, rng=3) for compute in (None, "bfloat16")]
    exact, narrow = (layer([5])[0] for layer in layers)
    np.testing.assert_array_equal(exact, narrow)


def test_a_stream_reads_the_weights_as_they_are() -> None:
    layers = [rc.LSTM(6, 4, compute=compute, rng=4) for compute in (None, "bfloat16")]
    x = np.random.default_rng(5).standard_normal((3, 1, 6), dtype=np.float32)
    outputs = [
        [stream.step(row).copy() for row in x] for stream in (layer.stream() for layer in layers)
    ]
    np.testing.assert_array_equal(outputs[0], outputs[1])


def test_relative_error_of_bfloat16_is_what_is_documented() -> None:
    values = np.random.default_rng(6).standard_normal(10_000, dtype=np.float32)
    assert 0.003 < np.max(np.abs(rounded(values) / values - 1)) <= 2**-8
    assert relative_error(rounded(values), values.astype(np.float64)) <= 2**-8
