"""Layers become parts of a model by being assigned to its attributes."""

import threading
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

import rnncore as rc
from arrays import inputs
from rnncore.layers import Module

Array = NDArray[Any]


class Tower(Module):
    """Layers in a list."""

    def __init__(self, depth: int = 3, width: int = 4) -> None:
        super().__init__(rng=0)
        self.blocks = [rc.Linear(width, width, rng=i) for i in range(depth)]
        self.dropout = rc.Dropout(0.5, rng=self.rng)


class Pair(Module):
    def __init__(self) -> None:
        super().__init__()
        self.tower = Tower()
        self.output = rc.Linear(4, 2, rng=9)


class Gated(Module):
    """A layer with parameters of its own and a part."""

    def __init__(self) -> None:
        super().__init__()
        self._allocate([("gate", 0, (4,))])
        self.inner = rc.Linear(4, 4, rng=0)


def test_names_and_values_are_those_of_the_parts() -> None:
    pair = Pair()
    assert list(pair.params) == [
        *(f"tower.blocks.{i}.{name}" for i in range(3) for name in ("weight", "bias")),
        "output.weight",
        "output.bias",
    ]
    for i, block in enumerate(pair.tower.blocks):
        np.testing.assert_array_equal(block.flat_params, rc.Linear(4, 4, rng=i).flat_params)
        assert np.shares_memory(block.params["weight"], pair.params[f"tower.blocks.{i}.weight"])
    assert isinstance(pair.tower.blocks, tuple)  # a layer cannot be appended unnoticed
    assert [type(module).__name__ for module in pair.modules()] == [
        "Pair",
        "Tower",
        "Linear",
        "Linear",
        "Linear",
        "Dropout",
        "Linear",
    ]


def test_own_parameters_come_before_those_of_parts() -> None:
    gated = Gated()
    gated.params["gate"] = np.arange(4, dtype=np.float32)
    assert list(gated.params) == ["gate", "inner.weight", "inner.bias"]
    np.testing.assert_array_equal(gated.flat_params[:4], np.arange(4))
    np.testing.assert_array_equal(gated.flat_params[4:], gated.inner.flat_params)

    class Late(Module):
        def __init__(self) -> None:
            super().__init__()
            self.inner = rc.Linear(4, 4, rng=0)
            self._allocate([("gate", 0, (4,))])

    assert list(Late().params) == list(gated.params)


def test_gradients_and_views_taken_of_a_part_are_the_models() -> None:
    """Also those taken before anybody has asked the model for its parameters."""
    pair = Pair()
    weight, grads = pair.output.params["weight"], pair.tower.blocks[1].flat_grads
    weight[...] = 7
    grads[...] = 3
    assert np.all(pair.params["output.weight"] == 7)
    assert np.all(pair.grads["tower.blocks.1.bias"] == 3)
    assert np.count_nonzero(pair.flat_grads) == grads.size


def test_a_part_that_is_added_late_keeps_all_values() -> None:
    pair = Pair()
    before = pair.state_dict()
    pair.flat_grads[:] = np.arange(pair.num_params)
    grads = {name: value.copy() for name, value in pair.grads.items()}
    pair.tower.extra = rc.Embedding(3, 4, rng=0)
    assert set(pair.params) == {*before, "tower.extra.weight"}
    for name, value in before.items():
        np.testing.assert_array_equal(pair.params[name], value)
        np.testing.assert_array_equal(pair.grads[name], grads[name])


def test_replacing_a_part_frees_the_old_one() -> None:
    pair = Pair()
    old = pair.output
    old.flat_grads[:] = 5
    values = old.flat_params.copy()
    names = list(pair.params)
    pair.output = rc.Linear(4, 3, rng=1)
    assert list(pair.params) == names  # in its place
    assert pair.params["output.weight"].shape == (3, 4)
    np.testing.assert_array_equal(old.flat_params, values)
    assert np.all(old.flat_grads == 5)
    assert not np.shares_memory(old.flat_params, pair.flat_params)
    old.flat_params[:] = 0
    assert np.any(pair.output.flat_params)
    pair.other = old  # free for another place
    del pair.output
    pair.tower = None
    assert list(pair.params) == ["other.weight", "other.bias"]


def test_assigning_the_same_again_and_a_longer_list() -> None:
    tower = Tower()
    before = tower.flat_params.copy()
    tower.blocks = tower.blocks
    np.testing.assert_array_equal(tower.flat_params, before)
    tower.blocks = [*tower.blocks, rc.Linear(4, 4, rng=0)]
    assert len(tower.params) == 8
    np.testing.assert_array_equal(tower.flat_params[: before.size], before)
    last = tower.blocks[-1]
    tower.blocks = list(tower.blocks[:1])
    assert list(tower.params) == ["blocks.0.weight", "blocks.0.bias"]
    assert np.any(last.flat_params)


def test_a_module_has_one_place() -> None:
    pair = Pair()
    before = list(pair.params)
    for name, value in (
        ("again", pair.output),
        ("again", pair.tower.blocks[0]),
        ("twice", [layer := rc.Linear(2, 2), layer]),
        ("order", [pair.output]),
        ("myself", pair),
    ):
        with pytest.raises(ValueError, match=rf"^{name}.*: .* is already part of a module"):
            setattr(pair, name, value)
        assert not hasattr(pair, name)
    with pytest.raises(ValueError, match="is already part of a module"):
        pair.tower.blocks = [*pair.tower.blocks, pair]
    assert list(pair.params) == before
    Tower().left = layer  # the failed assignment has not taken it


def test_layers_that_would_not_become_parts_are_refused() -> None:
    tower, layer = Tower(), rc.Linear(2, 2)
    for value in ({"a": layer}, [layer, None], (layer, 3), [[layer], [layer]], [{"a": layer}]):
        with pytest.raises(TypeError, match=r"^others: expected a layer or a list of nothing but"):
            tower.others = value
    tower.numbers, tower.options = [1, [2]], {"a": [1]}  # without layers: as they are
    assert tower.numbers == [1, [2]]


def test_other_errors_of_assignment() -> None:
    class Forgetful(Module):
        def __init__(self, *, assigns: bool) -> None:
            if assigns:
                self.layer = rc.Linear(2, 2)

    with pytest.raises(AttributeError, match=r"^layer: call super\(\).__init__\(\) before"):
        Forgetful(assigns=True)
    with pytest.raises(AttributeError, match=r"did not call super\(\).__init__\(\)"):
        _ = Forgetful(assigns=False).params
    with pytest.raises(TypeError, match=r"^part: expected dtype float32, .*float64.*super\(\)"):
        Tower().part = rc.Linear(2, 2, dtype=np.float64)
    Tower().part = rc.Dropout(0.5)
    pair = Pair()
    with pytest.raises(TypeError, match=r"^part: expected dtype float32"):
        pair.tower.part = Tower64()


class Tower64(Module):
    def __init__(self) -> None:
        super().__init__(np.float64)
        self.layer = rc.Linear(2, 2, dtype=np.float64)


def test_read_only_parts_stay() -> None:
    model = rc.LanguageModel(5, hidden_size=4, rng=0)
    with pytest.raises(AttributeError, match=r"^output: read-only"):
        model.output = rc.Linear(4, 5)
    with pytest.raises(AttributeError, match=r"^rnn: read-only"):
        del model.rnn
    assert "output.weight" in model.params


def test_a_part_of_a_model_that_is_gone_is_free() -> None:
    layer = Pair().output
    values = layer.flat_params.copy()
    tower = Tower()
    tower.output = layer
    np.testing.assert_array_equal(tower.params["output.weight"].ravel(), values[:8])


def test_many_threads_ask_first() -> None:
    """Merging must happen once: all must get views of one buffer."""
    for _ in range(20):
        pair = Pair()
        parts = list(pair.modules())
        start = threading.Barrier(len(parts))

        def ask(part: Module, start: threading.Barrier = start) -> None:
            start.wait()
            _ = part.flat_params

        threads = [threading.Thread(target=ask, args=(part,)) for part in parts]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        for part in parts:
            assert not part.num_params or np.shares_memory(part.flat_params, pair.flat_params)


@pytest.mark.parametrize("name", ["SGD", "RMSprop", "Adam", "AdamW"])
def test_an_optimizer_trains_what_was_assigned(name: str) -> None:
    pair = Pair()
    optimizer = getattr(rc.optim, name)(pair, learning_rate=0.05)
    x = inputs(6, 4)
    losses = []
    for _ in range(100):
        h, caches = x, []
        for block in (*pair.tower.blocks, pair.output):
            h, cache = block.forward(h)
            caches.append((block, cache))
        loss, dy = rc.losses.mse(h, np.ones_like(h))
        for block, cache in reversed(caches):
            dy = block.backward(dy, cache)
        optimizer.step(zero_grad=True)
        losses.append(loss)
    assert losses[-1] < 0.1 * losses[0]


@pytest.mark.parametrize("name", ["SGD", "RMSprop", "Adam", "AdamW"])
def test_an_optimizer_of_nothing_is_an_error(name: str) -> None:
    class Hidden(Module):
        def __init__(self) -> None:
            super().__init__()
            self.get = lambda: None

    for module in (Hidden(), rc.Dropout(0.5)):
        with pytest.raises(ValueError, match=r"^module: expected .* parameters.*assign.*self\."):
            getattr(rc.optim, name)(module, learning_rate=0.1)
        for clip in (rc.optim.clip_grad_norm, rc.optim.clip_grad_value):
            with pytest.raises(ValueError, match=r"^module: expected .* parameters"):
                clip(module, 1.0)
        with pytest.raises(ValueError, match=r"^module: expected .* parameters"):
            rc.init.uniform(module, 0.1)


@pytest.mark.parametrize("name", ["SGD", "RMSprop", "Adam", "AdamW"])
def test_an_optimizer_from_before_a_change_of_the_model_is_refused(name: str) -> None:
    """A layer of the same size must not be moved by the averages of another."""
    pair = Pair()
    optimizer = getattr(rc.optim, name)(pair, learning_rate=0.1)
    pair.flat_grads[:] = 1
    optimizer.step()
    pair.tower.blocks = [rc.Linear(4, 4, rng=i) for i in range(3)]
    before = pair.flat_params.copy()
    for use in (optimizer.step, lambda: optimizer.load_state_dict(optimizer.state_dict())):
        with pytest.raises(ValueError, match=r"^module: .*make another"):
            use()
    np.testing.assert_array_equal(pair.flat_params, before)
    getattr(rc.optim, name)(pair, learning_rate=0.1).step()


def test_a_model_of_assigned_layers_round_trips_through_a_state_dict() -> None:
    one, two = Pair(), Pair()
    one.flat_params[:] = np.arange(one.num_params)
    two.load_state_dict(one.state_dict())
    np.testing.assert_array_equal(two.tower.blocks[2].flat_params, one.tower.blocks[2].flat_params)
