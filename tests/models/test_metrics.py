"""Metrics: edit distances against a recursion, and boundaries."""

from functools import cache

import numpy as np
import pytest

from rnncore.metrics import boundary_errors, edit_alignment, edit_distance, error_rate


def by_recursion(a: str, b: str) -> int:
    @cache
    def distance(i: int, j: int) -> int:
        if not i or not j:
            return i + j
        kept = distance(i - 1, j - 1) + (a[i - 1] != b[j - 1])
        return min(kept, distance(i - 1, j) + 1, distance(i, j - 1) + 1)

    return distance(len(a), len(b))


def test_edit_distance(seed: int) -> None:
    rng = np.random.default_rng(seed)
    for _ in range(200):
        a, b = ("".join(rng.choice(list("abc"), rng.integers(0, 9))) for _ in range(2))
        assert edit_distance(a, b) == by_recursion(a, b)
        pairs = edit_alignment(a, b)
        assert pairs == sorted(pairs)
        assert len({i for i, _ in pairs}) == len({j for _, j in pairs}) == len(pairs)
        replaced = sum(a[i] != b[j] for i, j in pairs)
        assert replaced + len(a) + len(b) - 2 * len(pairs) == edit_distance(a, b)
    assert edit_distance([1, "x"], ["x"]) == 1
    assert edit_distance(np.array([1, 2]), (1, 2)) == 0


def test_error_rate() -> None:
    assert error_rate(["abc", "d"], ["ab", "dd"]) == 0.5
    assert error_rate([], []) == 0
    assert error_rate([""], ["aa"]) == 2
    with pytest.raises(ValueError, match="zip"):
        error_rate(["a"], [])


def test_boundary_errors() -> None:
    reference = [("a", 1.0), ("b", 2.0), ("c", 3.0)]
    np.testing.assert_allclose(
        boundary_errors(reference, [("a", 1.5), ("c", 2.0)]), [0.5, np.inf, 1]
    )
    assert boundary_errors(reference, []).tolist() == [np.inf] * 3
    assert boundary_errors([], reference).shape == (0,)
