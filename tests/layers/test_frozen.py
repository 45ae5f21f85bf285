"""Frozen layers: the bits of calling the layer, for parameters that do not change."""

import copy
import pickle
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

import rnncore as rc
from instruction_sets import INSTRUCTION_SETS, selected
from many_threads import run_at_once, threads
from problems import CELL_NAMES, Answers, as_tuple, assert_same_bits, make_layer
from rnncore import _core
from twin import Twin

Array = NDArray[Any]


def answers(result: tuple[Array, Any]) -> Answers:
    y, state = result
    return {"y": y, **{f"state {i}": part for i, part in enumerate(as_tuple(state))}}


def assert_same(got: tuple[Array, Any], expected: tuple[Array, Any]) -> None:
    assert_same_bits(answers(got), answers(expected))


def inputs(layer: Any, steps: int, batch: int) -> Array:
    rng = np.random.default_rng(steps)
    return rng.standard_normal((steps, batch, layer.input_size)).astype(layer.dtype)


# T, B, I, H, layers: one step, one sequence, rows for several threads, threads that divide the
# units of a step (many weights, few rows) and the layers (few weights), long enough for RNN too.
SHAPES = ((1, 1, 3, 5, 1), (9, 1, 20, 33, 2), (12, 37, 45, 83, 2), (100, 2, 40, 300, 1))
SHAPES += ((400, 1, 16, 64, 2),)


@pytest.mark.parametrize("shape", SHAPES, ids=lambda s: "T{}-B{}-I{}-H{}-L{}".format(*s))
@pytest.mark.parametrize("cell", CELL_NAMES)
def test_same_bits(isa: str, cell: str, shape: tuple[int, ...]) -> None:
    steps, batch, width, hidden, layers = shape
    layer = make_layer(Twin(cell, width, hidden, layers), "float32")
    frozen, x = layer.frozen(), inputs(layer, steps, batch)
    for count in (1, 2, 3):
        with threads(count):
            expected = layer(x)
            assert_same(frozen(x), expected)
            packed = frozen.nbytes
            assert packed >= sum(p.nbytes for name, p in layer.params.items() if "weight" in name)
            assert_same(frozen(x), expected)
            assert frozen.nbytes == packed  # found, not packed again


@pytest.mark.parametrize("cell", CELL_NAMES)
@pytest.mark.parametrize(
    ("dtype", "options"),
    [("float64", {}), ("float32", {"compute": "bfloat16"}), ("float32", {"batch_first": True})],
)
def test_every_kind_of_layer(isa: str, cell: str, dtype: str, options: dict[str, Any]) -> None:
    layer = make_layer(Twin(cell, 7, 20, 2, bidirectional=True), dtype, **options)
    frozen, x = layer.frozen(), inputs(layer, 15, 15)
    _, state = layer(x)
    lengths, ids = np.arange(15), np.arange(15 * 15).reshape(15, 15) % 7
    assert_same(frozen(x, state), layer(x, state))
    assert_same(frozen(x, lengths=lengths), layer(x, lengths=lengths))
    assert_same(frozen(ids, state, lengths), layer(ids, state, lengths))
    assert_same(frozen(x[:, 0]), layer(x[:, 0]))  # without a batch
    assert_same(frozen(x[:0]), layer(x[:0]))  # no steps, or no sequences


def test_later_changes_are_not_seen() -> None:
    layer = rc.GRU(4, 6, rng=0)
    frozen, x = layer.frozen(), inputs(layer, 5, 3)
    before = layer(x)
    layer.flat_params *= 2  # before anything was packed
    assert_same(frozen(x), before)
    assert not np.array_equal(layer(x)[0], before[0])


def test_what_is_packed_later_is_of_the_same_parameters() -> None:
    """Ids have no use for the first layer's packed W_ih, which is then packed for vectors."""
    layer = rc.GRU(4, 6, rng=0)
    frozen, x, ids = layer.frozen(), inputs(layer, 5, 3), np.full((5, 3), 2)
    expected = [layer(given) for given in (ids, x)]
    assert_same(frozen(ids), expected[0])
    layer.flat_params[:] = 0
    assert_same(frozen(x), expected[1])
    assert_same(frozen(ids), expected[0])


def test_rows_of_any_number_share_what_is_packed() -> None:
    """But for few rows of a small layer: see test_few_rows."""
    layer = rc.LSTM(8, 24, 2, rng=0)
    frozen = layer.frozen()
    assert frozen.nbytes == 0
    with selected("avx2" if "avx2" in _core.available_isas() else "baseline"), threads(1):
        frozen(inputs(layer, 3, 2))
        packed = frozen.nbytes
        for batch in (4, 12, 70):  # a few rows, whole tiles, tall products
            frozen(inputs(layer, 3, batch))
        frozen(np.zeros((3, 2), int))
    assert frozen.nbytes == packed


def test_eight_threads_at_once() -> None:
    """Whoever packs first, all get it, and one copy is kept."""
    layer = rc.LSTM(8, 24, 2, rng=0)
    calls = [inputs(layer, 6, batch) for batch in (1, 2, 20, 70)]
    expected = [answers(layer(x)) for x in calls]
    alone = layer.frozen()
    for x in calls:
        alone(x)
    for _ in range(10):
        frozen = layer.frozen()

        def call(i: int, frozen: Any = frozen) -> Answers:
            return answers(frozen(calls[i % 4]))

        for i, got in enumerate(run_at_once(call)):
            assert_same_bits(got, expected[i % 4])
        assert frozen.nbytes == alone.nbytes


def test_copies_and_pickles() -> None:
    layer = rc.GRU(4, 6, bidirectional=True, rng=0)
    frozen, x = layer.frozen(), inputs(layer, 5, 3)
    expected = layer(x)
    layer.flat_params[:] = 0
    for other in (copy.copy(frozen), copy.deepcopy(frozen), pickle.loads(pickle.dumps(frozen))):
        assert_same(other(x), expected)


def test_of_a_layer_in_a_model() -> None:
    model = rc.LanguageModel(7, "lstm", hidden_size=6, rng=0)
    ids = np.arange(10).reshape(5, 2) % 7
    assert_same(model.rnn.frozen()(ids), model.rnn(ids))


def test_each_instruction_set_has_weights_of_its_own() -> None:
    layer = rc.LSTM(8, 40, rng=0)
    frozen, x = layer.frozen(), inputs(layer, 6, 4)
    for isa in (*_core.available_isas(), *reversed(_core.available_isas())):
        assert isa in INSTRUCTION_SETS
        with selected(isa):
            assert_same(frozen(x), layer(x))


def test_wrong_inputs_are_refused_as_by_the_layer() -> None:
    layer = rc.RNN(4, 6, rng=0)
    frozen = layer.frozen()
    for bad in (np.zeros((2, 3, 5), np.float32), np.zeros((2, 3, 4)), np.full((2, 3), 4)):
        with pytest.raises((TypeError, ValueError)) as by_layer:
            layer(bad)
        with pytest.raises(type(by_layer.value)) as by_frozen:
            frozen(bad)
        assert str(by_frozen.value) == str(by_layer.value)
    assert repr(frozen) == f"{layer!r}.frozen()"
