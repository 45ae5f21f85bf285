"""What the passes decide before they compute: threads, what these divide, chunks, packing."""

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

import rnncore as rc
from rnncore import _core


@pytest.fixture(autouse=True)
def two_threads() -> Iterator[None]:
    """Plans depend on the threads there are, and where pieces are concerned on the kernels."""
    before, isa = rc.get_num_threads(), _core.isa()
    rc.set_num_threads(2)
    _core.select_isa("baseline")
    yield
    rc.set_num_threads(before)
    _core.select_isa(isa)


def plan(
    cell: str, sizes: tuple[int, int], layers: int = 1, *, bidirectional: bool = False, **of: Any
) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return the plans forward and backward."""
    network = _core.Network(cell, *sizes, layers, bidirectional=bidirectional)
    plans = network.plan(**of)
    return plans["forward"], plans["backward"]


def rows(tasks: list[dict[str, Any]]) -> list[tuple[int, int, int]]:
    return [task["rows"] for task in tasks]


def test_a_large_batch_is_divided_by_rows() -> None:
    forward, backward = plan("lstm", (64, 256), steps=100, batch=64)
    assert forward["threads"] == backward["threads"] == 2
    assert forward["divides"] == backward["divides"] == "rows"
    assert rows(forward["tasks"]) == [(0, 0, 32), (0, 32, 64)]
    # chunks of 512 rows: of a task's forward, of all backward
    assert [(t["chunk_steps"], t["chunks"]) for t in forward["tasks"]] == [(16, 7)] * 2
    assert (backward["chunk_steps"], backward["chunks"]) == (8, 13)
    assert backward["tasks"] == [[(0, 0, 32), (0, 32, 64)]] * 13


def test_few_rows_of_a_wide_layer_are_divided_by_units() -> None:
    forward, backward = plan("lstm", (64, 512), steps=100, batch=2)
    assert forward["divides"] == backward["divides"] == "units"
    assert rows(forward["tasks"]) == [(0, 0, 2)]
    assert forward["threads"] == 2


def test_few_rows_of_a_deep_network_are_divided_by_layers() -> None:
    forward, backward = plan("gru_after", (128, 128), 4, steps=1000, batch=1)
    assert forward["divides"] == "layers"
    assert backward["divides"] != "layers"
    (task,) = forward["tasks"]
    assert (task["chunk_steps"], task["chunks"]) == (1000 // 32, 33)


def test_layers_need_many_chunks_and_like_widths() -> None:
    short, _ = plan("gru_after", (128, 128), 4, steps=50, batch=1)
    wide, _ = plan("gru_after", (1000, 128), 4, steps=1000, batch=1)
    ids, _ = plan("gru_after", (1000, 128), 4, steps=1000, batch=1, ids=True)
    assert short["divides"] != "layers"
    assert wide["divides"] != "layers"
    assert ids["divides"] == "layers"  # a look-up is no product


def test_little_work_is_done_by_one_thread() -> None:
    forward, backward = plan("rnn_tanh", (8, 8), steps=10, batch=16)
    assert forward["threads"] == backward["threads"] == 1
    assert rows(forward["tasks"]) == [(0, 0, 16)]


def test_a_thread_without_steps_of_its_own_is_not_woken() -> None:
    """The units of a narrow layer are too few to divide, and there are rows for one."""
    forward, _ = plan("rnn_tanh", (2000, 40), steps=2000, batch=4)
    assert forward["divides"] == "rows"
    assert forward["threads"] == 1


def test_few_weights_take_all_steps_in_one_call() -> None:
    narrow, _ = plan("lstm", (64, 64), steps=20, batch=1)
    wide, _ = plan("lstm", (64, 256), steps=20, batch=1)
    assert narrow["steps_in_one_call"]
    assert not wide["steps_in_one_call"]


def test_two_directions_are_tasks_of_their_own() -> None:
    forward, backward = plan("lstm", (64, 256), 2, bidirectional=True, steps=100, batch=64)
    assert rows(forward["tasks"]) == [(0, 0, 64), (1, 0, 64)]
    assert backward["tasks"][0] == [(0, 0, 64), (1, 0, 64)]
    assert not backward["layers_together"]
    assert not backward["repacks"]


def test_rows_of_a_ragged_batch_are_divided_by_their_steps() -> None:
    lengths = np.array([100] * 8 + [10] * 56)
    forward, backward = plan("lstm", (64, 256), steps=100, batch=64, lengths=lengths)
    assert rows(forward["tasks"]) == [(0, 0, 7), (0, 7, 64)]
    # Beyond step 10 only the eight long ones are left.
    assert backward["tasks"][0] == [(0, 0, 32), (0, 32, 64)]
    assert backward["tasks"][-1] == [(0, 0, 4), (0, 4, 64)]


def test_weights_are_packed_in_pieces_where_one_chunk_uses_them() -> None:
    rc.set_num_threads(1)
    sizes = (64, 256)
    one, _ = plan("lstm", sizes, 2, steps=10, batch=20)
    several, _ = plan("lstm", sizes, 2, steps=100, batch=20)
    ids, _ = plan("lstm", sizes, 2, steps=10, batch=20, ids=True)
    frozen, _ = plan("lstm", sizes, 2, steps=10, batch=20, frozen=True)
    assert all(0 < columns <= 4 * 256 for columns in one["piece_columns"])
    assert several["piece_columns"] == frozen["piece_columns"] == [0, 0]
    assert ids["piece_columns"][0] == 0
    assert ids["piece_columns"][1] > 0


def test_layers_take_turns_with_packed_weights_where_chunks_are_large() -> None:
    _, many = plan("lstm", (64, 256), 2, steps=100, batch=64)
    _, single = plan("lstm", (64, 256), 1, steps=100, batch=64)
    _, ragged = plan("lstm", (64, 256), 2, steps=100, batch=64, lengths=np.array([100] + [1] * 63))
    assert many["layers_together"]
    assert many["repacks"]
    assert not single["repacks"]
    assert not ragged["repacks"]


def test_an_empty_sequence_has_a_plan() -> None:
    forward, backward = plan("lstm", (3, 4), steps=0, batch=2)
    assert forward["tasks"][0]["chunks"] == 1  # writes the final states
    assert backward["chunks"] == 0
    assert rows(plan("lstm", (3, 4), steps=5, batch=0)[0]["tasks"]) == [(0, 0, 0)]


def test_inference_has_no_plan_backward() -> None:
    network = _core.Network("lstm", 3, 4)
    assert set(network.plan(5, 2, training=False)) == {"forward"}


def test_lengths_are_checked() -> None:
    with pytest.raises(ValueError, match="lengths: expected values in"):
        _core.Network("lstm", 3, 4).plan(5, 2, lengths=np.array([1, 6]))
