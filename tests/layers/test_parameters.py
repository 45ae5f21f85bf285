"""Parameters of every layer: flat buffers, initial values, loading, copies."""

import copy
import pickle
import weakref
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import rnncore as rc

STEPS, BATCH, INPUT, HIDDEN, NUM_LAYERS = 5, 3, 4, 6, 2

EVERY_MODULE: list[Callable[..., Any]] = [
    lambda **o: rc.RNN(
        INPUT, HIDDEN, NUM_LAYERS, nonlinearity="relu", bidirectional=True, dropout=0.25, **o
    ),
    lambda **o: rc.GRU(INPUT, HIDDEN, reset="before", batch_first=True, **o),
    lambda **o: rc.LSTM(INPUT, HIDDEN, NUM_LAYERS, bias=False, **o),
    lambda **o: rc.Linear(INPUT, HIDDEN, **o),
    lambda **o: rc.Embedding(INPUT, HIDDEN, **o),
]
MODEL: dict[str, Any] = {"vocab_size": 5, "hidden_size": 4, "num_layers": 2, "rng": 0}
every_module = pytest.mark.parametrize(
    "make", EVERY_MODULE, ids=["RNN", "GRU", "LSTM", "Linear", "Embedding"]
)


@every_module
def test_parameters_are_views_of_one_flat_buffer(
    make: Callable[..., Any], dtype: type[np.floating]
) -> None:
    module = make(dtype=dtype, rng=0)
    for flat, named in (
        (module.flat_params, module.params),
        (module.flat_grads, module.grads),
    ):
        assert flat.ndim == 1
        assert flat.dtype == dtype
        assert flat.flags.c_contiguous
        assert flat.size == module.num_params == sum(array.size for array in named.values())
        flat[:] = np.arange(flat.size)
        np.testing.assert_array_equal(
            np.concatenate([array.ravel() for array in named.values()]), np.arange(flat.size)
        )
        assert all(np.shares_memory(array, flat) for array in named.values())


@every_module
def test_assigning_a_parameter_writes_into_the_buffer(make: Callable[..., Any]) -> None:
    module = make(rng=0)
    name, view = next(iter(module.params.items()))
    module.params[name] = np.full_like(view, 3)
    assert module.params[name] is view
    assert np.count_nonzero(module.flat_params == 3) == view.size
    module.params[name] += 1
    assert np.count_nonzero(module.flat_params == 4) == view.size
    module.grads[name] += 2
    assert np.count_nonzero(module.flat_grads == 2) == view.size


@every_module
def test_assigning_a_parameter_refuses_older_caches(make: Callable[..., Any]) -> None:
    module = make(rng=0)
    name, view = next(iter(module.params.items()))
    for assign in (
        lambda: module.params.__setitem__(name, np.full_like(view, 3)),
        lambda: module.params.__setitem__(name, module.params[name].__iadd__(1)),
    ):
        version = module.version
        assign()
        assert module.version > version
    version = module.version
    with pytest.raises(ValueError, match="expected shape"):
        module.params[name] = view[:1, :1]
    module.grads[name] += 1
    assert module.version == version


def test_assigning_a_parameter_of_a_part_refuses_its_older_caches() -> None:
    model = rc.LanguageModel(5, hidden_size=4, num_layers=1, rng=0)
    y, _, cache = model.rnn.forward([0, 1])
    model.params["rnn.weight_hh_l0"] *= 2
    with pytest.raises(ValueError, match="made before they were changed"):
        model.rnn.backward(y, cache)


@every_module
def test_assigning_the_flat_buffers_writes_into_them(make: Callable[..., Any]) -> None:
    """Gradient descent in one line is ``layer.flat_params -= rate * layer.flat_grads``."""
    module = make(rng=0)
    version = module.version
    params, grads, before = module.flat_params, module.flat_grads, module.flat_params.copy()
    module.flat_grads += 2
    module.flat_params -= np.float32(0.25) * module.flat_grads
    assert module.flat_params is params
    assert module.version > version  # older caches are refused
    np.testing.assert_array_equal(params, before - np.float32(0.5))
    module.flat_params = before
    module.flat_grads = before
    assert module.flat_params is params
    assert module.flat_grads is grads
    np.testing.assert_array_equal(params, before)
    np.testing.assert_array_equal(grads, before)


@every_module
def test_assigned_parameters_are_checked(make: Callable[..., Any]) -> None:
    module = make(rng=0)
    before = module.flat_params.copy()
    name, view = next(iter(module.params.items()))
    with pytest.raises(TypeError, match=f"{name}: expected float32, got a float64 array"):
        module.params[name] = view.astype(np.float64)
    with pytest.raises(ValueError, match=f"{name}: expected shape"):
        module.params[name] = view[:1, :1]
    with pytest.raises(KeyError, match="unknown parameter 'typo'"):
        module.params["typo"] = view
    with pytest.raises(ValueError, match="flat_params: expected shape"):
        module.flat_params = before[1:]
    with pytest.raises(TypeError, match="flat_grads: expected float32"):
        module.flat_grads = np.zeros(before.size)
    for attempt in (
        module.params.clear,
        lambda: module.params.pop(name),
        lambda: module.params.update({name: view}),
    ):
        with pytest.raises(TypeError, match="cannot be added or removed"):
            attempt()
    np.testing.assert_array_equal(module.flat_params, before)


def test_initial_parameters_have_pytorchs_distribution() -> None:
    """Bound of the uniform distributions, moments of the normal one; 5 standard errors."""
    for layer, bound in ((rc.LSTM(100, 25, rng=0), 0.2), (rc.Linear(16, 900, rng=0), 0.25)):
        values = layer.flat_params.astype(np.float64)
        assert np.abs(values).max() <= bound
        assert np.abs(values).max() > 0.99 * bound
        assert abs(values.mean()) < 5 * bound / np.sqrt(3 * values.size)
    values = rc.Embedding(100, 100, rng=0).flat_params.astype(np.float64)
    assert abs(values.mean()) < 5 / 100
    assert abs(values.std() - 1) < 5 / np.sqrt(2 * values.size)


@every_module
def test_seed_fixes_the_parameters(make: Callable[..., Any]) -> None:
    np.testing.assert_array_equal(make(rng=3).flat_params, make(rng=3).flat_params)
    np.testing.assert_array_equal(
        make(rng=np.random.default_rng(3)).flat_params, make(rng=3).flat_params
    )
    assert np.any(make(rng=3).flat_params != make(rng=4).flat_params)
    assert np.any(make().flat_params != make().flat_params)


@every_module
def test_state_dict_round_trip(make: Callable[..., Any], dtype: type[np.floating]) -> None:
    module, other = make(dtype=dtype, rng=0), make(dtype=dtype, rng=1)
    saved = module.state_dict()
    other.load_state_dict(saved)
    np.testing.assert_array_equal(other.flat_params, module.flat_params)
    for array in saved.values():
        array[...] = 0  # copies
    assert np.any(module.flat_params)
    assert np.any(other.flat_params)


@every_module
@pytest.mark.parametrize("duplicate", [copy.deepcopy, lambda m: pickle.loads(pickle.dumps(m))])
def test_copies_are_whole_and_independent(
    make: Callable[..., Any], duplicate: Callable[[Any], Any]
) -> None:
    module = make(rng=0)
    module.flat_grads[:] = 5
    twin = duplicate(module)
    assert twin.config() == module.config()
    np.testing.assert_array_equal(twin.flat_params, module.flat_params)
    np.testing.assert_array_equal(twin.flat_grads, module.flat_grads)
    assert all(np.shares_memory(array, twin.flat_params) for array in twin.params.values())
    assert twin.rng.random() == module.rng.random()
    twin.flat_params[:] = 0
    assert np.any(module.flat_params)


@every_module
@pytest.mark.parametrize(
    "duplicate", [copy.copy, copy.deepcopy, lambda d: pickle.loads(pickle.dumps(d))]
)
def test_copies_of_the_parameters_are_whole_and_independent(
    make: Callable[..., Any], duplicate: Callable[[Any], Any]
) -> None:
    module = make(rng=0)
    module.flat_grads[:] = 5
    for original in (module.params, module.grads):
        twin = duplicate(original)
        assert type(twin) is type(original)
        assert list(twin) == list(original)
        for name, array in twin.items():
            np.testing.assert_array_equal(array, original[name])
            assert not np.shares_memory(array, original[name])
        first, last = next(iter(twin.values())), next(reversed(twin.values()))
        assert first.base is last.base  # one flat buffer
    kept = duplicate(module.params)
    version = module.version
    for name, array in kept.items():
        kept[name] = np.ones_like(array)
    assert module.version == version
    assert np.any(module.flat_params != 1)
    module.load_state_dict(kept)
    assert np.all(module.flat_params == 1)


@pytest.mark.parametrize(
    ("make", "names"),
    [
        (rc.RNN, ["num_layers", "batch_first", "dropout", "bidirectional", "nonlinearity"]),
        (rc.GRU, ["input_size", "hidden_size", "bias", "reset", "compute"]),
        (rc.LSTM, ["input_size", "hidden_size", "num_layers", "bias", "batch_first", "dropout"]),
        (rc.Linear, ["input_size", "output_size", "bias", "compute"]),
        (rc.Embedding, ["vocab_size", "embedding_size"]),
        (lambda *_: rc.Dropout(0.5), ["p"]),
        (
            lambda *_: rc.LanguageModel(**MODEL),
            ["vocab_size", "tokenizer", "cell", "embedding", "rnn", "dropout", "output"],
        ),
    ],
    ids=["RNN", "GRU", "LSTM", "Linear", "Embedding", "Dropout", "LanguageModel"],
)
def test_what_parameters_and_kernels_were_made_for_is_read_only(
    make: Callable[..., Any], names: list[str]
) -> None:
    """Set later, it would be what the module says and not what it does."""
    module = make(INPUT, HIDDEN)
    for twin in (module, copy.deepcopy(module), pickle.loads(pickle.dumps(module))):
        for name in names:
            before = getattr(twin, name)
            with pytest.raises(AttributeError, match=f"^{name}: read-only"):
                setattr(twin, name, 3)
            assert getattr(twin, name) is before


def test_a_module_is_freed_with_its_last_reference() -> None:
    """Its buffers may be large: they are not to wait for the collector of cycles."""
    module = rc.Linear(INPUT, HIDDEN)
    params, gone = module.params, weakref.ref(module)
    del module
    assert gone() is None
    params["bias"] = np.ones(HIDDEN, np.float32)
    assert np.all(params["bias"] == 1)


@every_module
def test_configuration_rebuilds_the_module(make: Callable[..., Any]) -> None:
    module = make(dtype=np.float64, rng=0)
    again = type(module).from_config(module.config())
    assert again.config() == module.config()
    assert {n: a.shape for n, a in again.params.items()} == {
        n: a.shape for n, a in module.params.items()
    }
    assert repr(again) == repr(module)
    for name, value in module.config().items():
        assert f"{name}={value!r}" in repr(module)
