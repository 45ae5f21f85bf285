"""Tied weights: an output layer whose matrix is the embedding's."""

import copy
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import rnncore as rc
from commands import SMALL, write_text
from rnncore.cli import main
from rnncore.data import Batch

V, E = 11, 8


def make(dtype: Any = np.float64, **options: Any) -> rc.LanguageModel:
    return rc.LanguageModel(V, "gru", E, E, 1, tie_weights=True, dtype=dtype, rng=0, **options)


def batch(steps: int = 6, size: int = 3) -> Batch:
    ids = np.random.default_rng(1).integers(0, V, (steps + 1, size))
    return Batch(ids[:-1], ids[1:])


def test_the_model_has_one_matrix() -> None:
    model = make()
    assert "output.weight" not in model.params
    assert "output.bias" in model.params
    assert model.output.weight.base is model.embedding.params["weight"].base
    assert model.num_params == V * E + model.rnn.num_params + V
    assert set(model.state_dict()) == set(model.params)


def test_against_torch() -> None:
    torch = pytest.importorskip("torch")
    model = make()
    embedding, rnn = torch.nn.Embedding(V, E).double(), torch.nn.GRU(E, E).double()
    output = torch.nn.Linear(E, V).double()
    output.weight = embedding.weight
    tensors = {name: torch.tensor(value.copy()) for name, value in model.params.items()}
    with torch.no_grad():
        embedding.weight[:] = tensors["embedding.weight"]
        output.bias[:] = tensors["output.bias"]
        for name, parameter in rnn.named_parameters():
            parameter[:] = tensors[f"rnn.{name}"]
    data = batch()
    inputs, targets = torch.tensor(data.inputs), torch.tensor(data.targets)
    wanted = torch.nn.functional.cross_entropy(
        output(rnn(embedding(inputs))[0]).flatten(0, 1), targets.flatten()
    )
    wanted.backward()
    loss, _ = model.loss_and_grad(data)
    assert loss == pytest.approx(wanted.item(), rel=1e-12)
    found = model.grads["embedding.weight"]
    np.testing.assert_allclose(found, embedding.weight.grad.numpy(), rtol=1e-9, atol=1e-12)
    np.testing.assert_allclose(model.grads["output.bias"], output.bias.grad.numpy(), rtol=1e-9)
    for name, parameter in rnn.named_parameters():
        np.testing.assert_allclose(
            model.grads[f"rnn.{name}"], parameter.grad.numpy(), rtol=1e-8, atol=1e-12
        )


@pytest.mark.parametrize("dropout", [0.0, 0.5])
def test_it_is_a_model_of_two_matrices_that_are_equal(dropout: float) -> None:
    """By the sweep, with dropout; the sum of the gradients of both is that of the one."""
    tied = make(dropout=dropout)
    apart = rc.LanguageModel(V, "gru", E, E, 1, dropout=dropout, dtype=np.float64, rng=0)
    weight = tied.params["embedding.weight"]
    apart.load_state_dict({**tied.state_dict(), "output.weight": weight})
    for model in (tied, apart):
        model.drop.rng.bit_generator.state = np.random.default_rng(3).bit_generator.state
    data = batch()
    losses = [model.loss_and_grad(data)[0] for model in (tied, apart)]
    assert losses[0] == losses[1]
    total = apart.grads["embedding.weight"] + apart.grads["output.weight"]
    np.testing.assert_allclose(tied.grads["embedding.weight"], total, rtol=1e-12, atol=1e-15)
    np.testing.assert_array_equal(tied([1, 2, 3])[0], apart([1, 2, 3])[0])
    np.testing.assert_array_equal(tied.score([1, 2, 3]), apart.score([1, 2, 3]))
    np.testing.assert_array_equal(tied.sample([1], 20, rng=0), apart.sample([1], 20, rng=0))


def test_a_head_by_itself() -> None:
    """forward and backward as of `Linear`, and losses over rows that are given."""
    embedding = rc.Embedding(V, E, dtype=np.float64, rng=0)
    tied = rc.heads.Softmax(E, V, tied=embedding, bias=False, dtype=np.float64)
    own = rc.heads.Softmax(E, V, bias=False, dtype=np.float64)
    own.flat_params = embedding.flat_params
    assert not tied.params
    y = np.random.default_rng(0).standard_normal((4, E))
    for head in (tied, own):
        z, cache = head.forward(y)
        head.backward(np.ones_like(z), cache)
        head.losses_and_grad(y, [0, 1, 2, 3])
    np.testing.assert_array_equal(embedding.grads["weight"], own.grads["weight"])
    _, cache = tied.forward(y)
    embedding.mark_changed()
    with pytest.raises(ValueError, match="present parameters"):
        tied.backward(z, cache)
    with pytest.raises(TypeError, match="tied: save the model"):
        tied.config()
    assert "tied=Embedding" in repr(tied)
    assert own.weight is own.params["weight"]


def test_copies_and_pickles_are_tied_to_their_own_embedding() -> None:
    model = make()
    for twin in (copy.deepcopy(model), pickle.loads(pickle.dumps(model))):
        assert twin.output.tied is twin.embedding
        twin.params["embedding.weight"] = np.zeros((V, E))
        assert not twin.output.weight.any()
        assert model.output.weight.any()
        twin.loss_and_grad(batch())
        assert not model.flat_grads.any()


def test_training_saving_loading(tmp_path: Path) -> None:
    model = make(np.float32)
    ids = np.tile(np.arange(V), 40)
    config = rc.training.TrainingConfig(epochs=30, batch_size=4, bptt=10)
    result = model.fit(ids, config, path=tmp_path / "model")
    assert result.best is not None
    assert result.best.loss < 1.0
    loaded = rc.load(tmp_path / "model")
    assert loaded.tie_weights
    np.testing.assert_array_equal(loaded.flat_params, model.flat_params)
    np.testing.assert_array_equal(loaded.score(ids), model.score(ids))


@pytest.mark.parametrize("weight_format", ["bfloat16", "int8"])
def test_narrow_files_and_sampling(tmp_path: Path, weight_format: str) -> None:
    model = make(np.float32, weight_format=weight_format)
    rc.save(model, tmp_path / "model")
    loaded = rc.load(tmp_path / "model")
    assert loaded.output.tied is loaded.embedding
    assert 0 < abs(loaded.output.weight - model.output.weight).max() < 0.01
    ids = np.arange(V)
    # In memory the embedding enters the product of the first layer before that is rounded.
    np.testing.assert_allclose(loaded.score(ids), model.score(ids), atol=0.02)
    rc.save(loaded, tmp_path / "again")
    again = rc.load(tmp_path / "again")
    np.testing.assert_array_equal(again.score(ids), loaded.score(ids))
    np.testing.assert_array_equal(again.sample([1], 20, rng=0), loaded.sample([1], 20, rng=0))


def test_the_embedding_begins_small_and_is_drawn_so_again() -> None:
    model = rc.LanguageModel(500, "rnn", 64, 64, 1, tie_weights=True, rng=0)
    assert model.params["embedding.weight"].std() == pytest.approx(1 / 8, rel=0.02)
    model.reset_parameters(1)
    assert model.params["embedding.weight"].std() == pytest.approx(1 / 8, rel=0.02)
    assert abs(model.params["output.bias"]).max() <= 1 / 8


def test_from_the_command_line(tmp_path: Path) -> None:
    text, model = write_text(tmp_path / "text"), str(tmp_path / "model")
    options = ["--tie-weights", "--embedding-size", "12", "--no-bias-decay"]
    assert main(["train", str(text), "--out", model, *SMALL, *options]) == 0
    assert rc.load(model).tie_weights


def test_what_does_not_fit() -> None:
    embedding = rc.Embedding(V, E)
    with pytest.raises(ValueError, match=r"tie_weights: expected embedding_size = hidden_size = 9"):
        rc.LanguageModel(V, "gru", 8, 9, tie_weights=True)
    with pytest.raises(ValueError, match=r"tie_weights.*got None"):
        rc.LanguageModel(V, tie_weights=True)
    with pytest.raises(ValueError, match=r"tied: expected an Embedding of \(12, 8\)"):
        rc.heads.Softmax(E, V + 1, tied=embedding)
    with pytest.raises(TypeError, match="tied: expected dtype float64"):
        rc.heads.Softmax(E, V, tied=embedding, dtype=np.float64)
    with pytest.raises(TypeError, match="tied"):
        rc.heads.Softmax(E, V, tied=rc.Linear(E, V))  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="without sparse"):
        rc.heads.Softmax(E, V, tied=rc.Embedding(V, E, sparse=True))
    with pytest.raises(ValueError, match="sparse_embedding"):
        rc.LanguageModel(V, "gru", E, E, tie_weights=True, sparse_embedding=True)
