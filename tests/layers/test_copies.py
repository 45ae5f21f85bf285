"""copy.copy, copy.deepcopy and pickle return whole modules, whatever their classes are."""

import copy
import pickle
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import rnncore as rc
from arrays import inputs
from rnncore import _core
from rnncore.layers import Module


def through_pickle(protocol: int) -> Callable[[Any], Any]:
    return lambda module: pickle.loads(pickle.dumps(module, protocol))


every_way = pytest.mark.parametrize(
    "duplicate",
    [copy.copy, copy.deepcopy, through_pickle(2), through_pickle(5)],
    ids=["copy", "deepcopy", "pickle2", "pickle5"],
)


class Scaled(rc.LSTM):
    """A subclass with required arguments, attributes and a slot, but no config of its own."""

    __slots__ = ("slot",)

    def __init__(self, scale: float, *, rng: int) -> None:
        super().__init__(3, 4, rng=rng)
        self.scale = scale
        self.slot = [scale]
        self.words = {"a": [1, 2]}


class Bare(Module):
    """A model that defines no config."""

    def __init__(self, width: int) -> None:
        super().__init__(rng=3)
        self.layers = [rc.GRU(3, width, rng=self.rng), rc.Linear(width, 2, rng=self.rng)]
        self.dropout = rc.Dropout(0.5, rng=self.rng)
        self.note = np.arange(3)


@every_way
def test_attributes_of_a_subclass_and_of_a_user(duplicate: Callable[[Any], Any]) -> None:
    layer = Scaled(10.0, rng=0)
    layer.remark = "kept"
    layer.flat_grads[:] = 2
    twin = duplicate(layer)
    assert type(twin) is Scaled
    assert (twin.scale, twin.slot, twin.remark) == (10.0, [10.0], "kept")
    assert twin.words == layer.words
    assert twin.words is not layer.words
    x = inputs(5, 3)
    np.testing.assert_array_equal(twin(x)[0], layer(x)[0])
    np.testing.assert_array_equal(twin.flat_grads, layer.flat_grads)
    assert not np.shares_memory(twin.flat_params, layer.flat_params)
    with pytest.raises(AttributeError, match="read-only"):
        twin.hidden_size = 3
    twin.params["bias_ih_l0"] = np.ones(16, np.float32)
    assert np.any(twin.flat_params != layer.flat_params)


@every_way
def test_a_model_without_config(duplicate: Callable[[Any], Any]) -> None:
    model = Bare(4)
    twin = duplicate(model)
    assert list(twin.params) == list(model.params)
    np.testing.assert_array_equal(twin.flat_params, model.flat_params)
    assert all(np.shares_memory(part.flat_params, twin.flat_params) for part in twin.layers)
    np.testing.assert_array_equal(twin.note, model.note)
    assert twin.dropout.rng is twin.rng  # shared, as in the model
    assert twin.rng.random() == model.rng.random()
    twin.extra = rc.Linear(2, 2)  # parts know whose they are
    assert "extra.weight" in twin.params
    with pytest.raises(ValueError, match="already part"):
        Bare(4).other = twin.layers[0]


@every_way
def test_a_part_is_copied_alone(duplicate: Callable[[Any], Any]) -> None:
    model = Bare(4)
    part = duplicate(model.layers[0])
    np.testing.assert_array_equal(part.flat_params, model.layers[0].flat_params)
    assert part.flat_params.size == part.num_params < model.num_params
    Bare(4).other = part  # free


@every_way
def test_version_and_optimizer_go_along(duplicate: Callable[[Any], Any]) -> None:
    model = Bare(4)
    optimizer = rc.optim.Adam(model)
    model.flat_grads[:] = 1
    optimizer.step()
    if duplicate is copy.copy:
        return  # of an optimizer: the same module
    twin = duplicate(optimizer)
    for one in (optimizer, twin):
        one.step()
    np.testing.assert_array_equal(twin.module.flat_params, model.flat_params)
    assert twin.module is not model


def test_frozen_of_a_subclass_and_of_a_part() -> None:
    x = inputs(5, 3)
    for layer in (Scaled(10.0, rng=0), Bare(4).layers[0]):
        frozen = layer.frozen()
        expected = layer(x)[0]
        np.testing.assert_array_equal(frozen(x)[0], expected)
        layer.flat_params[:] = 0
        layer.mark_changed()
        for twin in (frozen, copy.deepcopy(frozen), pickle.loads(pickle.dumps(frozen))):
            np.testing.assert_array_equal(twin(x)[0], expected)


@pytest.mark.parametrize("compute", [None, "bfloat16"])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_compiled_networks_are_copied(dtype: str, compute: str | None) -> None:
    if dtype == "float64" and compute:
        return
    network = _core.Network("gru_before", 3, 4, 2, False, True, 0.25, dtype, compute)
    for twin in (copy.deepcopy(network), pickle.loads(pickle.dumps(network))):
        assert twin.layout == network.layout
        assert twin.__reduce__()[1] == network.__reduce__()[1]
