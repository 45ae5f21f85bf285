"""CTC of every instruction set against the reference, and for any number of threads."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from instruction_sets import pairs_of_sets, selected
from many_threads import THREADS, assert_bits_do_not_depend_on_threads
from rnncore import _core

Array = NDArray[Any]
Dtype = type[np.floating[Any]]

# Lanes are 2 to 16: labels, and symbols, of one less, equal, one more, and several vectors.
COUNTS = (0, 1, 2, 3, 4, 6, 7, 8, 9, 14, 15, 16, 17, 31, 32, 33, 64)


def problem(symbols: int, slack: int, seed: int = 0) -> tuple[Array, Array, Array, Array]:
    """Rows [N,C] that float32 holds exactly, frames, labels and counts."""
    rng = np.random.default_rng(seed)
    counts = np.array(COUNTS)
    labels = rng.integers(1, symbols, counts.sum())
    frames = 2 * counts + slack
    rows = 2 * rng.standard_normal((frames.sum(), symbols))
    return rows.astype(np.float32).astype(np.float64), frames, labels, counts


def both(rows: Array, *batch: Array) -> dict[str, Array]:
    gradient = rows.copy()
    losses = _core.ctc_gradient(gradient, *batch, 0, 0.5)
    np.testing.assert_array_equal(_core.ctc_losses(rows, *batch, 0), losses)
    return {"losses": losses, "gradient": gradient}


def test_against_the_reference(isa: str, dtype: Dtype) -> None:
    """Losses reach 500, gradients 0.5; some hundred steps of roundings of the dtype."""
    limit = {np.float32: 1e-4, np.float64: 1e-12}[dtype]
    for symbols, slack in ((2, 0), (3, 1), (9, 3), (17, 0), (40, 2)):
        rows, *batch = problem(symbols, slack)
        got = both(rows.astype(dtype), *batch)
        with selected("reference"):
            expected = both(rows, *batch)
        np.testing.assert_allclose(got["losses"], expected["losses"], rtol=limit, atol=limit)
        np.testing.assert_allclose(got["gradient"], expected["gradient"], rtol=0, atol=limit)


def test_sets_agree() -> None:
    rows, *batch = problem(13, 2)
    for one, other in pairs_of_sets():
        with selected(one):
            first = both(rows, *batch)
        with selected(other):
            second = both(rows, *batch)
        np.testing.assert_allclose(first["losses"], second["losses"], rtol=1e-12)
        np.testing.assert_allclose(first["gradient"], second["gradient"], atol=1e-12)


def test_the_reference_in_float32_rounds_at_the_end_only() -> None:
    rows, *batch = problem(9, 3)
    with selected("reference"):
        single, double = both(rows.astype(np.float32), *batch), both(rows, *batch)
    np.testing.assert_array_equal(single["losses"], double["losses"])
    np.testing.assert_array_equal(single["gradient"], double["gradient"].astype(np.float32))


def test_bits_do_not_depend_on_threads(isa: str, dtype: Dtype) -> None:
    """Work enough for all of them, in sequences of different lengths."""
    assert max(THREADS) > 2
    rows, *batch = problem(40, 150)
    rows = rows.astype(dtype)
    assert_bits_do_not_depend_on_threads(lambda: both(rows, *batch))
