"""Pictures as patches, and features with mean 0 and variance 1."""

from typing import Any

import numpy as np
import pytest

from rnncore.data import Standardization, patches


def test_patches() -> None:
    pictures = np.arange(2 * 4 * 6 * 3, dtype=np.uint8).reshape(2, 4, 6, 3)
    cut = patches(pictures, 2)
    assert (cut.shape, cut.dtype) == ((2, 2, 3, 12), np.float32)
    for k, row, column in np.ndindex(2, 2, 3):
        part = pictures[k, 2 * row : 2 * row + 2, 2 * column : 2 * column + 2].reshape(-1)
        np.testing.assert_allclose(cut[k, row, column], part / 127.5 - 1, rtol=1e-6, atol=1e-6)
    assert patches(pictures[:0], 2).shape == (0, 2, 3, 12)


@pytest.mark.parametrize(
    ("pictures", "size", "message"),
    [
        (np.zeros((1, 4, 6, 3)), 2, "pictures: expected uint8"),
        ([[1, 2]], 2, "pictures: expected uint8"),
        (np.zeros((4, 6, 3), np.uint8), 2, "pictures: expected uint8"),
        (np.zeros((1, 4, 5, 3), np.uint8), 2, "multiples of patch_size = 2"),
        (np.zeros((1, 0, 0, 3), np.uint8), 2, "multiples of patch_size = 2"),
        (np.zeros((1, 4, 4, 3), np.uint8), 0, "patch_size: expected at least 1"),
    ],
)
def test_wrong_pictures(pictures: Any, size: int, message: str) -> None:
    with pytest.raises((TypeError, ValueError), match=message):
        patches(pictures, size)


def test_standardization() -> None:
    features = np.random.default_rng(0).standard_normal((7, 3, 5)) * 4 + np.arange(5) * 100
    found = Standardization.of(features)
    standard = found(features).reshape(-1, 5)
    np.testing.assert_allclose(standard.mean(axis=0), 0, atol=1e-12)
    assert np.square(standard).mean() == pytest.approx(1)
    assert found(features.astype(np.float32)).dtype == np.float32
    again = Standardization.from_asset(found.asset())
    np.testing.assert_array_equal(again(features), found(features))
    limited = Standardization.of(features, largest_norm=1)(features).reshape(-1, 5)
    assert np.square(limited).sum(axis=1).mean() == pytest.approx(1)
    assert Standardization.of(features, 10).deviation == found.deviation


@pytest.mark.parametrize(
    ("mean", "deviation", "message"),
    [
        ([0, np.nan], 1.0, "mean: expected finite numbers"),
        (["a"], 1.0, "mean: expected numbers"),
        ([[0.0]], 1.0, "mean: expected shape"),
        ([0.0], 0.0, "deviation: expected"),
        ([0.0], np.inf, "deviation: expected"),
    ],
)
def test_wrong_standardization(mean: Any, deviation: float, message: str) -> None:
    with pytest.raises((TypeError, ValueError), match=message):
        Standardization(mean, deviation)
    with pytest.raises((TypeError, ValueError), match=r"standardization: expected|mean"):
        Standardization.from_asset(mean if mean == ["a"] else {"mean": "x", "deviation": 1})
