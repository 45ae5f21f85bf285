"""Embeddings whose updates touch only the rows of the batch."""

import copy
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import rnncore as rc
from rnncore.data import Batch
from rnncore.optim import SGD, Adam, Group, RMSprop

V, E = 20, 5


def embeddings(dtype: Any = np.float64) -> tuple[rc.Embedding, rc.Embedding]:
    """The same one, with sparse gradients and without."""
    sparse, dense = (rc.Embedding(V, E, sparse=s, dtype=dtype, rng=0) for s in (True, False))
    return sparse, dense


def backward(layer: rc.Embedding, seed: int) -> Any:
    """Two batches of ids, some of them twice; returns all ids."""
    rng = np.random.default_rng(seed)
    every = rng.integers(0, V, (2, 4))
    for ids in every:
        y, cache = layer.forward(ids)
        layer.backward(rng.standard_normal(y.shape).astype(layer.dtype), cache)
    return every


def test_rows_are_noted_and_forgotten() -> None:
    layer, dense = embeddings()
    ids = backward(layer, 0)
    backward(dense, 0)
    np.testing.assert_array_equal(layer.touched, np.unique(ids))
    assert not dense.touched.size
    for twin in (copy.deepcopy(layer), pickle.loads(pickle.dumps(layer))):
        np.testing.assert_array_equal(twin.touched, layer.touched)
    layer.zero_grad()
    assert not layer.touched.size
    model = rc.LanguageModel(V, "rnn", E, 4, sparse_embedding=True, rng=0)
    model.loss_and_grad(Batch(np.array([3, 3, 7]), np.array([1, 2, 3])))
    assert list(model.embedding.touched) == [3, 7]
    model.zero_grad()
    assert not model.embedding.touched.size


@pytest.mark.parametrize("options", [{}, {"clip_norm": 1.0}, {"clip_value": 0.3}])
def test_plain_descent_is_that_of_all_rows(dtype: Any, options: dict[str, Any]) -> None:
    layers = embeddings(dtype)
    optimizers = [SGD(layer, 0.1, **options) for layer in layers]
    for k in range(5):
        for layer in layers:
            backward(layer, k)
        norms = [optimizer.step(zero_grad=True) for optimizer in optimizers]
        assert norms[0] == pytest.approx(norms[1], rel=1e-6)
        assert not layers[0].flat_grads.any()
    rtol = 0 if "clip_norm" not in options else 1e-6
    np.testing.assert_allclose(layers[0].flat_params, layers[1].flat_params, rtol=rtol, atol=0)


@pytest.mark.parametrize("make", [Adam, RMSprop, lambda m: SGD(m, 0.1, momentum=0.9)])
def test_where_every_row_is_met_it_is_that_of_all_rows(make: Any) -> None:
    layers = embeddings()
    optimizers = [make(layer) for layer in layers]
    for k in range(5):
        for layer, optimizer in zip(layers, optimizers, strict=True):
            y, cache = layer.forward(np.arange(V))
            layer.backward(np.random.default_rng(k).standard_normal(y.shape), cache)
            optimizer.step(zero_grad=True)
    np.testing.assert_array_equal(layers[0].flat_params, layers[1].flat_params)


def test_against_the_sparse_adam_of_torch() -> None:
    torch = pytest.importorskip("torch")
    layer, _ = embeddings()
    peer = torch.nn.Embedding(V, E, sparse=True).double()
    with torch.no_grad():
        peer.weight[:] = torch.tensor(layer.params["weight"].copy())
    # PyTorch adds eps before it corrects the average of squares.
    ours = Adam(layer, 0.05, eps=1e-14)
    theirs = torch.optim.SparseAdam(peer.parameters(), lr=0.05, eps=1e-14)
    for k in range(6):
        ids = np.random.default_rng(k).integers(0, V, 7)
        dy = np.random.default_rng(100 + k).standard_normal((7, E))
        _, cache = layer.forward(ids)
        layer.backward(dy, cache)
        ours.step(zero_grad=True)
        theirs.zero_grad()
        (peer(torch.tensor(ids)) * torch.tensor(dy)).sum().backward()
        theirs.step()
    np.testing.assert_allclose(layer.params["weight"], peer.weight.detach().numpy(), rtol=1e-9)


@pytest.mark.parametrize("zero_grad", [False, True])
def test_the_other_rows_and_their_averages_stay(zero_grad: bool) -> None:
    model = rc.LanguageModel(V, "gru", E, 6, 1, sparse_embedding=True, rng=0)
    before = model.params["embedding.weight"].copy()
    optimizer = Adam(model, 0.1, weight_decay=0.1)
    model.loss_and_grad(Batch(np.array([3, 3, 7]), np.array([1, 2, 3])))
    norm = optimizer.step(zero_grad)
    assert norm > 0
    assert model.flat_grads.any() != zero_grad
    assert list(model.embedding.touched) == ([] if zero_grad else [3, 7])
    changed = np.any(model.params["embedding.weight"] != before, axis=1)
    assert list(np.flatnonzero(changed)) == [3, 7]
    average = optimizer.state_dict()["average"]
    kept = average[: V * E].reshape(V, E).any(axis=1)
    assert list(np.flatnonzero(kept)) == [3, 7]
    assert np.all(model.params["rnn.weight_ih_l0"] != 0)
    optimizer.zero_grad()
    assert not model.flat_grads.any()


def test_the_norm_and_groups_are_those_of_dense_ones() -> None:
    models = [rc.LanguageModel(V, "gru", E, 6, 1, sparse_embedding=s, rng=0) for s in (True, False)]
    groups = [Group("embedding.*", learning_rate_factor=0.5)]
    data = Batch(np.array([3, 3, 7]), np.array([1, 2, 3]))
    norms = []
    for model in models:
        optimizer = Adam(model, 0.1, clip_norm=0.2, groups=groups)
        model.loss_and_grad(data)
        norms.append(optimizer.step(zero_grad=True))
    assert norms[0] == pytest.approx(norms[1], rel=1e-6)
    # The first step: averages of all other rows were zero.
    np.testing.assert_allclose(models[0].flat_params, models[1].flat_params, rtol=1e-5, atol=1e-7)
    frozen = Adam(models[0], 0.1, groups=[Group("embedding.*", frozen=True)])
    before = models[0].params["embedding.weight"].copy()
    models[0].loss_and_grad(data)
    frozen.step(zero_grad=True)
    np.testing.assert_array_equal(models[0].params["embedding.weight"], before)
    assert not models[0].flat_grads.any()


def test_huge_gradients_change_nothing() -> None:
    layer, _ = embeddings(np.float32)
    before = layer.flat_params.copy()
    optimizer = RMSprop(layer, 0.1)
    y, cache = layer.forward([3])
    layer.backward(np.full_like(y, 1e25), cache)
    assert optimizer.step(zero_grad=True) == np.inf
    np.testing.assert_array_equal(layer.flat_params, before)
    assert not layer.flat_grads.any()
    _, cache = layer.forward([3])
    layer.backward(np.full_like(y, 1e15), cache)
    optimizer.step()
    assert list(np.flatnonzero(layer.flat_params != before)) == list(range(3 * E, 4 * E))


def test_no_rows_at_all() -> None:
    layer, _ = embeddings()
    assert Adam(layer).step() == 0


def test_training_and_files(tmp_path: Path) -> None:
    model = rc.LanguageModel(V, "gru", E, 16, 1, sparse_embedding=True, rng=0)
    ids = np.tile(np.arange(V), 40)
    config = rc.training.TrainingConfig(epochs=30, batch_size=4, bptt=10)
    result = model.fit(ids, config, path=tmp_path / "model")
    assert result.best is not None
    assert result.best.loss < 0.5
    assert rc.load(tmp_path / "model").sparse_embedding


def test_bad_arguments() -> None:
    with pytest.raises(ValueError, match="sparse_embedding: expected an embedding"):
        rc.LanguageModel(V, sparse_embedding=True)
    with pytest.raises(TypeError, match="sparse"):
        rc.Embedding(V, E, sparse=1)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="std"):
        rc.Embedding(V, E, std=-1)
