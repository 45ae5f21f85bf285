"""Checkpoints with a wrong value are refused with the name of the file."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import safetensors
import safetensors.numpy

from rnncore.training import fit
from rnncore.training.archive import pack, unpack
from trainables import Counter, Ticks, plain

ENTRY = "rnncore-checkpoint"


def rewrite(path: Path, change: Callable[[dict[str, Any]], None]) -> None:
    """Change the description of a checkpoint."""
    with safetensors.safe_open(path, framework="np") as content:
        description = json.loads(content.metadata()[ENTRY])
        arrays = {name: content.get_tensor(name) for name in content.keys()}  # noqa: SIM118
    change(description)
    path.write_bytes(safetensors.numpy.save(arrays, {ENTRY: json.dumps(description)}))


def put(value: Any, *names: str) -> Callable[[dict[str, Any]], None]:
    def change(description: dict[str, Any]) -> None:
        place = description
        for name in names[:-1]:
            place = place[name]
        place[names[-1]] = value

    return change


STATE = ("state", "mapping")
BEST = (*STATE, "best", "mapping")
RESULT = (*STATE, "result", "mapping")


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (put([], "identity"), "identity: expected a mapping of texts, got list"),
        (put({"a": 1}, "identity"), "identity: expected a mapping of texts, got dict"),
        (put({"mapping": 3}, "state"), "items"),
        (put(3, "state"), "subscriptable"),
        (put({"array": "99"}, *STATE, "params"), "99"),
        (put("1", *STATE, "epoch"), "epoch: expected an integer, got str '1'"),
        (put(-1, *STATE, "epoch"), "epoch: expected at least 0, got -1"),
        (put(9, *STATE, "epoch"), "epoch: expected at most 2, got 9"),
        (put(9, *STATE, "batch"), "batch: expected at most 4, got 9"),
        (put(0, *STATE, "finished"), "finished: expected True or False"),
        (put("x", *BEST, "loss"), "best.loss: expected a number, got str 'x'"),
        (put([1], *BEST, "params"), "best.params"),
        (put([1.0], *RESULT, "losses"), "result.losses"),
        (put("x", *RESULT, "seconds"), "result.seconds: expected a number"),
        (put(-1, *RESULT, "num_targets"), "result.num_targets: expected at least 0"),
        (put([3], *RESULT, "validations"), "mapping"),
        (put(3, *RESULT, "other"), "result: expected that of a training run"),
    ],
)
def test_a_wrong_value(
    change: Callable[[dict[str, Any]], None], reason: str, tmp_path: Path
) -> None:
    given: dict[str, Any] = {"config": plain(epochs=2), "checkpoint": tmp_path / "run"}
    fit(Counter(), Ticks(4), Ticks(1), **given)
    rewrite(tmp_path / "run", change)
    with pytest.raises(ValueError, match=rf"run: expected a checkpoint .*damaged \(.*{reason}"):
        fit(Counter(), Ticks(4), Ticks(1), resume=True, **given)


def test_keys_of_a_state_come_back() -> None:
    state = {0: np.arange(2), "0": 1, None: {"a": (2.5,)}, np.int64(3): True}
    arrays: dict[str, Any] = {}
    packed = json.loads(json.dumps(pack(state, arrays)))
    found = unpack(packed, arrays)
    assert list(found) == [0, "0", None, 3]
    np.testing.assert_array_equal(found[0], [0, 1])
    assert found[None] == {"a": (2.5,)}


def test_keys_that_cannot_come_back_are_refused() -> None:
    with pytest.raises(TypeError, match=r"expected texts and numbers as keys .*, got tuple"):
        pack({(1, 2): 3}, {})
