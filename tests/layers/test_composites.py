"""Modules made of modules, as models are: adoption, shared buffers, staleness, copies."""

import copy
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

import rnncore as rc
from arrays import inputs
from rnncore.layers import Module

Array = NDArray[Any]
STEPS, BATCH, INPUT, HIDDEN = 5, 3, 4, 6


class Tagger(Module):
    """A model as users write one."""

    def __init__(self, width: int = HIDDEN, dtype: Any = np.float32, rng: Any = None) -> None:
        super().__init__(dtype, rng)
        self.width = width
        self.embedding = rc.Embedding(9, INPUT, dtype=dtype, rng=self.rng)
        self.rnn = rc.GRU(INPUT, width, dtype=dtype, rng=self.rng)
        self.dropout = rc.Dropout(0.5, rng=self.rng)
        self.output = rc.Linear(width, 2, dtype=dtype, rng=self.rng)

    def config(self) -> dict[str, Any]:
        return {"width": self.width, "dtype": self.dtype.name}

    def scores(self, ids: Array) -> Array:
        return self.output(self.rnn(self.embedding(ids))[0])


class Pair(Module):
    """A composite of composites."""

    def __init__(self, dtype: Any = np.float32, rng: Any = None) -> None:
        super().__init__(dtype, rng)
        self.first = Tagger(dtype=dtype, rng=self.rng)
        self.second = Tagger(3, dtype=dtype, rng=self.rng)

    def config(self) -> dict[str, Any]:
        return {"dtype": self.dtype.name}


def test_adoption_keeps_parameters_and_gradients(dtype: type[np.floating]) -> None:
    layer = rc.Linear(2, 3, dtype=dtype, rng=0)
    layer.flat_grads[:] = np.arange(layer.num_params)
    params, grads = layer.flat_params.copy(), layer.flat_grads.copy()

    class Model(Module):
        def __init__(self) -> None:
            super().__init__(dtype)
            self.dropout = rc.Dropout(0.5)
            self.layer = layer

    model = Model()
    for module in (model, layer):
        np.testing.assert_array_equal(module.flat_params, params)
        np.testing.assert_array_equal(module.flat_grads, grads)
        assert module.flat_params.dtype == dtype


def test_adoption_keeps_values_and_shares_memory(dtype: type[np.floating]) -> None:
    alone = Tagger(dtype=dtype, rng=0)
    pair = Pair(dtype, rng=0)
    np.testing.assert_array_equal(pair.first.flat_params, alone.flat_params)
    ids = np.array([[1, 8], [0, 3]])
    np.testing.assert_array_equal(pair.first.scores(ids), alone.scores(ids))
    assert pair.num_params == pair.first.num_params + pair.second.num_params
    assert "first.rnn.weight_ih_l0" in pair.params
    assert "second.output.bias" in pair.grads
    for prefix, tagger in (("first", pair.first), ("second", pair.second)):
        for child_name in ("embedding", "rnn", "output"):
            child = getattr(tagger, child_name)
            for name, array in child.params.items():
                whole = pair.params[f"{prefix}.{child_name}.{name}"]
                assert whole.shape == array.shape
                assert whole.ctypes.data == array.ctypes.data
    pair.flat_params[:] = 0
    assert not np.any(pair.second.rnn.params["weight_hh_l0"])
    assert not np.any(pair.first.scores(ids))


def test_gradients_of_children_are_those_of_the_composite() -> None:
    pair = Pair(np.float64, rng=0)
    rnn = pair.second.rnn
    y, _, cache = rnn.forward(inputs(STEPS, BATCH, INPUT, dtype=np.float64))
    rnn.backward(np.ones_like(y), cache)
    np.testing.assert_array_equal(pair.grads["second.rnn.weight_hh_l0"], rnn.grads["weight_hh_l0"])
    assert np.any(rnn.flat_grads)
    assert np.count_nonzero(pair.flat_grads) == np.count_nonzero(rnn.flat_grads)
    pair.zero_grad()
    assert not np.any(rnn.flat_grads)


def test_change_of_a_composite_makes_the_caches_of_its_children_stale() -> None:
    pair = Pair(rng=0)
    y, _, cache = pair.first.rnn.forward(inputs(STEPS, BATCH, INPUT))
    pair.second.load_state_dict(pair.second.state_dict())
    pair.first.rnn.backward(y, cache)  # another part changed: still good
    pair.load_state_dict(pair.state_dict())
    with pytest.raises(ValueError, match=r"^cache: .*load_state_dict"):
        pair.first.rnn.backward(y, cache)


def test_copy_of_a_composite_and_of_one_of_its_parts() -> None:
    pair = Pair(rng=0)
    twin = copy.deepcopy(pair)
    ids = np.array([[1, 8], [0, 3]])
    np.testing.assert_array_equal(twin.second.scores(ids), pair.second.scores(ids))
    assert np.shares_memory(twin.second.rnn.flat_params, twin.flat_params)
    assert not np.shares_memory(twin.flat_params, pair.flat_params)
    part = copy.deepcopy(pair.first.rnn)
    assert part.flat_params.base is None
    np.testing.assert_array_equal(part.flat_params, pair.first.rnn.flat_params)
    # the generator that the parts share is shared in the copy too
    assert twin.first.dropout.rng is twin.rng
    assert twin.rng.random() == pair.rng.random()


def test_a_module_has_one_place() -> None:
    class Twice(Module):
        def __init__(self, children: dict[str, Module]) -> None:
            super().__init__()
            for name, child in children.items():
                setattr(self, name, child)

    linear = rc.Linear(2, 3, rng=0)
    with pytest.raises(ValueError, match="already part of a module"):
        Twice({"a": linear, "b": linear})
    whole = Twice({"a": linear})
    with pytest.raises(ValueError, match="already part of a module"):
        Twice({"b": linear})
    assert list(whole.params) == ["a.weight", "a.bias"]
    with pytest.raises(TypeError, match=r"b: expected dtype float32, .*got float64"):
        Twice({"b": rc.Linear(2, 3, dtype=np.float64)})


def test_reset_parameters_acts_on_all_parts() -> None:
    pair, other = Pair(rng=0), Pair(rng=1)
    pair.reset_parameters(5)
    other.reset_parameters(np.random.default_rng(5))
    np.testing.assert_array_equal(pair.flat_params, other.flat_params)
    assert np.all(pair.flat_params != 0)
