"""Products with operands in bfloat16, of every instruction set: rounding, sums, sizes."""

import itertools
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from bfloat16 import rounded
from instruction_sets import pairs_of_sets, selected
from products import LARGE, product_limit
from rnncore import _core

Array = NDArray[Any]

# Elements hold one or two steps of the summed dimension: lengths that are odd, and around lanes.
SIZES = (1, 2, 3, 5, 8, 15, 16, 17, 31, 32, 33, 67)


def products(a: Array, b: Array) -> dict[str, Array]:
    """The product of a [M,K] and b [N,K] by each kernel that computes one."""
    return {
        "product": _core.kernel_product(a, b, "bfloat16"),
        "transposed": _core.kernel_product_transposed(a.T.copy(), b.T.copy(), "bfloat16"),
    }


def check_product(m: int, n: int, k: int, rng: np.random.Generator) -> None:
    """Products of rounded numbers are exact in float32; only their sum rounds, as in float32."""
    a, b = (rng.standard_normal(shape).astype(np.float32) for shape in ((m, k), (n, k)))
    wide_a, wide_b = rounded(a).astype(np.float64), rounded(b).astype(np.float64)
    expected = wide_a @ wide_b.T
    limit = product_limit(np.abs(wide_a) @ np.abs(wide_b).T, k, np.float32)
    for name, got in products(a, b).items():
        assert got.dtype == np.float32
        error = np.abs(got - expected)
        assert np.all(error <= limit), f"{name} M={m} N={n} K={k}: error {np.max(error)}"


def test_products_of_sizes_around_the_lanes(isa: str) -> None:
    rng = np.random.default_rng(0)
    for m, n, k in itertools.product(SIZES, repeat=3):
        check_product(m, n, k, rng)


# Sums that are split along k, and matrices b beyond 1 MB, over which more rows pass at a time.
SPLIT = ((40, 40, 9000), (48, 1300, 1500), (145, 1300, 1500), (150, 800, 3000))


@pytest.mark.parametrize(
    "shape", [*LARGE, (5, 33, 1027), *SPLIT], ids=lambda s: "x".join(map(str, s))
)
def test_products_larger_than_the_blocks(isa: str, shape: tuple[int, int, int]) -> None:
    check_product(*shape, np.random.default_rng(1))


def test_reference_products() -> None:
    """The oracle itself against NumPy in double precision."""
    rng = np.random.default_rng(2)
    with selected("reference"):
        for m, n, k in ((1, 1, 1), (5, 7, 33), (17, 3, 130)):
            check_product(m, n, k, rng)


def test_empty_products(isa: str) -> None:
    for m, n, k in ((0, 3, 2), (3, 0, 2), (3, 2, 0), (0, 0, 0)):
        for got in products(np.ones((m, k), np.float32), np.ones((n, k), np.float32)).values():
            np.testing.assert_array_equal(got, np.zeros((m, n)))


def hard_numbers() -> Array:
    """float32 numbers next to and on the borders at which rounding turns, over all exponents."""
    upper = np.arange(
        0x0080, 0x7F80, 7, dtype=np.uint32
    )  # from the least normal number to the greatest
    bits = (upper[:, np.newaxis] << 16) | np.array(
        [0, 1, 0x7FFF, 0x8000, 0x8001, 0xFFFF], np.uint32
    )
    positive = bits.ravel().view(np.float32)
    special = np.array([0, np.inf, np.finfo(np.float32).max], np.float32)
    return np.concatenate([positive, -positive, special, -special])


@pytest.mark.parametrize("isa_or_reference", [*_core.available_isas(), "reference"])
def test_operands_are_rounded_to_nearest_even(isa_or_reference: str) -> None:
    """A product with 1 gives back the operand as it was rounded, exactly, from either side."""
    values = hard_numbers()[:, np.newaxis]
    one = np.ones((1, 1), np.float32)
    with selected(isa_or_reference):
        for a, b in ((values, one), (one, values)):
            for name, got in products(a, b).items():
                np.testing.assert_array_equal(got.ravel(), rounded(values).ravel(), err_msg=name)


def test_a_row_does_not_depend_on_its_neighbours(isa: str) -> None:
    rng = np.random.default_rng(3)
    a, b = (rng.standard_normal(shape).astype(np.float32) for shape in ((150, 45), (39, 45)))
    whole = _core.kernel_product(a, b, "bfloat16")
    for first, count in itertools.product((0, 5, 66), (1, 2, 3, 7, 65)):
        rows = slice(first, first + count)
        np.testing.assert_array_equal(_core.kernel_product(a[rows], b, "bfloat16"), whole[rows])


def test_products_pass_on_nan_and_infinity(isa: str) -> None:
    """A NaN whose upper half alone would be an infinity stays NaN."""
    thin_nan = np.array([0x7F800001, 0x7FFFFFFF, 0xFFFFFFFF], np.uint32).view(np.float32)
    for value, position in itertools.product((np.inf, -np.inf, *thin_nan), (0, 15, 18)):
        a, b = np.zeros((19, 19), np.float32), np.eye(19, dtype=np.float32)
        a[position, position] = value
        with np.errstate(invalid="ignore"):
            expected = a.astype(np.float64) @ b.astype(np.float64).T
        for name, got in products(a, b).items():
            np.testing.assert_array_equal(np.isfinite(got), np.isfinite(expected), err_msg=name)
            np.testing.assert_array_equal(np.isnan(got), np.isnan(expected), err_msg=name)


@pytest.mark.parametrize("pair", list(pairs_of_sets()), ids="-".join)
def test_sets_agree_with_each_other(pair: tuple[str, str]) -> None:
    """All round the operands alike; only the order and the fusing of the sums differ."""
    rng = np.random.default_rng(4)
    a, b = (rng.standard_normal(shape).astype(np.float32) for shape in ((67, 131), (71, 131)))
    results = []
    for isa in pair:
        with selected(isa):
            results.append(products(a, b))
    magnitudes = np.abs(rounded(a)).astype(np.float64) @ np.abs(rounded(b)).astype(np.float64).T
    for name, first in results[0].items():
        limit = product_limit(magnitudes, 131, np.float32)
        assert np.all(np.abs(first - results[1][name]) <= limit), name


def test_other_types_and_names_are_refused() -> None:
    wide = np.ones((2, 2))
    with pytest.raises(ValueError, match="compute: 'bfloat16' needs dtype float32, got float64"):
        _core.kernel_product(wide, wide, "bfloat16")
    narrow = wide.astype(np.float32)
    with pytest.raises(ValueError, match="compute: expected None or 'bfloat16', got 'float16'"):
        _core.kernel_product(narrow, narrow, "float16")
