"""Concatenate along the last dimension and along the first."""

from typing import Any

import numpy as np
import pytest

import rnncore as rc


@pytest.mark.parametrize("axis", [-1, 0])
def test_concatenate(axis: int) -> None:
    rng = np.random.default_rng(0)
    first = rng.standard_normal((3, 2, 4))
    second = rng.standard_normal((3, 2, 1) if axis else (1, 2, 4))
    layer = rc.layers.Concatenate(axis)
    expected = np.concatenate([first, second], axis=axis)
    np.testing.assert_array_equal(layer(first, second), expected)
    y, cache = layer.forward(first, second)
    np.testing.assert_array_equal(y, expected)
    for gradient, given in zip(layer.backward(expected, cache), (first, second), strict=True):
        np.testing.assert_array_equal(gradient, given)
    assert layer.config() == {"axis": axis}


@pytest.mark.parametrize(
    ("axis", "arrays", "message"),
    [
        (-1, (np.zeros((2, 3)), np.zeros((3, 3))), "same shape but for the last dimension"),
        (0, (np.zeros((2, 3)), np.zeros((2, 4))), "same shape but for the first dimension"),
        (0, (np.zeros((2, 3)), np.zeros(3)), "same shape but for the first dimension"),
        (0, (np.zeros(()),), "same shape but for the first dimension"),
        (-1, (), "expected at least one, got none"),
    ],
)
def test_wrong_shapes(axis: int, arrays: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        rc.layers.Concatenate(axis)(*arrays)


def test_wrong_axis() -> None:
    with pytest.raises(ValueError, match="axis: expected at most 0, got 1"):
        rc.layers.Concatenate(1)
