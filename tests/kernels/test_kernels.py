"""Products and functions of every instruction set: sizes around the lane count, special values."""

import itertools
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from instruction_sets import pairs_of_sets, selected
from products import LARGE, product_limit
from rnncore import _core

Array = NDArray[Any]
Dtype = type[np.floating[Any]]

# Lanes are 2 to 16 and tiles a few vectors wide: one less, equal, one more, several and a rest.
SIZES = (1, 2, 3, 4, 5, 7, 8, 9, 15, 16, 17, 31, 33, 67)
# From so many rows on a set may use other products, kTallRows in rnn/kernel_choice.cpp.
TALL = 64


def operands(rng: np.random.Generator, dtype: Dtype, *shapes: tuple[int, ...]) -> list[Array]:
    return [rng.standard_normal(shape).astype(dtype) for shape in shapes]


def check_product(m: int, n: int, k: int, dtype: Dtype, rng: np.random.Generator) -> None:
    a, b = operands(rng, dtype, (m, k), (n, k))
    wide_a, wide_b = a.astype(np.float64), b.astype(np.float64)
    limit = product_limit(np.abs(wide_a) @ np.abs(wide_b).T, k, dtype)
    # The oracle's own rounding counts in float64: it is double precision too.
    expected = wide_a @ wide_b.T
    for name, got in (
        ("product", _core.kernel_product(a, b)),
        (
            "transposed",
            _core.kernel_product_transposed(np.ascontiguousarray(a.T), np.ascontiguousarray(b.T)),
        ),
    ):
        assert got.shape == (m, n)
        assert got.dtype == a.dtype
        error = np.abs(got - expected)
        assert np.all(error <= limit), f"{name} M={m} N={n} K={k}: error {np.max(error)}"


def test_products_of_sizes_around_the_lanes(isa: str, dtype: Dtype) -> None:
    rng = np.random.default_rng(0)
    for m, n, k in itertools.product(SIZES, repeat=3):
        check_product(m, n, k, dtype, rng)


@pytest.mark.parametrize("shape", LARGE, ids=lambda s: "x".join(map(str, s)))
def test_products_larger_than_the_blocks(
    isa: str, dtype: Dtype, shape: tuple[int, int, int]
) -> None:
    check_product(*shape, dtype, np.random.default_rng(1))


def test_empty_products(isa: str, dtype: Dtype) -> None:
    for m, n, k in ((0, 3, 2), (3, 0, 2), (3, 2, 0), (0, 0, 0)):
        a, b = np.ones((m, k), dtype), np.ones((n, k), dtype)
        for got in (
            _core.kernel_product(a, b),
            _core.kernel_product_transposed(a.T.copy(), b.T.copy()),
        ):
            np.testing.assert_array_equal(got, np.zeros((m, n)))


def test_rows_of_a_product_do_not_depend_on_their_neighbours(isa: str, dtype: Dtype) -> None:
    """What one sequence of a batch yields is its own affair.

    A row has the same bits in every batch of less than TALL rows, and in every other.
    """
    rng = np.random.default_rng(2)
    a, b = operands(rng, dtype, (200, 45), (39, 45))
    for counts in ((1, 2, 3, 7, TALL - 1), (TALL, 65, 80, 100, 129, 200)):
        whole = np.concatenate(
            [_core.kernel_product(a[i : i + counts[-1]], b) for i in range(0, 200, counts[-1])]
        )
        for first, count in itertools.product((0, 5, 66), counts):
            rows = slice(first, first + count)
            if first + count > len(a):
                continue
            np.testing.assert_array_equal(_core.kernel_product(a[rows], b), whole[rows])


def test_rows_of_a_deep_product_do_not_depend_on_their_neighbours(isa: str, dtype: Dtype) -> None:
    """Neither where k is cut, nor where a value that may be multiplied by itself stands."""
    rng = np.random.default_rng(6)
    a, b = operands(rng, dtype, (128, 3000), (40, 3000))
    a[3, 5] = np.finfo(dtype).max
    b[:, 5] /= np.finfo(dtype).max
    whole = _core.kernel_product(a, b)
    for first, count in ((0, TALL), (3, 80)):
        rows = slice(first, first + count)
        np.testing.assert_array_equal(_core.kernel_product(a[rows], b), whole[rows])


def test_every_digit_of_a_value_counts(isa: str, dtype: Dtype) -> None:
    """Of sums of one term, wherever it stands, the largest finite number among them."""
    rng = np.random.default_rng(7)
    info = np.finfo(dtype)
    for k in (0, 20, 700, 1099):
        a, b = np.zeros((TALL, 1100), dtype), np.zeros((35, 1100), dtype)
        a[:, k], b[:, k] = rng.standard_normal(TALL), rng.standard_normal(35)
        if k:
            a[5, k] = info.max
            b[:, k] *= 2.0**-10
        expected = np.outer(a[:, k].astype(np.longdouble), b[:, k].astype(np.longdouble))
        got = _core.kernel_product(a, b)
        np.testing.assert_allclose(got, expected, rtol=float(info.eps), atol=0)


def test_every_digit_of_a_value_counts_in_transposed_products(isa: str, dtype: Dtype) -> None:
    rng = np.random.default_rng(8)
    info = np.finfo(dtype)
    for k in (0, 20, 69):
        a, b = np.zeros((70, 50), dtype), np.zeros((70, 100), dtype)
        a[k], b[k] = rng.standard_normal(50), rng.standard_normal(100)
        expected = np.outer(a[k].astype(np.longdouble), b[k].astype(np.longdouble))
        got = _core.kernel_product_transposed(a, b)
        np.testing.assert_allclose(got, expected, rtol=float(info.eps), atol=0)


def test_products_pass_on_nan_and_infinity(isa: str, dtype: Dtype) -> None:
    """A broken input shows in exactly the elements that it enters, also beside zeros."""
    largest = np.finfo(dtype).max
    values = (np.nan, np.inf, -np.inf, largest, -largest)
    for size, value, position in itertools.product((9, 19, 70), values, (0, 8, 18, 69)):
        if position >= size:
            continue
        a, b = np.zeros((size, size), dtype), np.eye(size, dtype=dtype)
        a[position, position] = value
        b[0, -1] = 0.5
        got = _core.kernel_product(a, b)
        with np.errstate(invalid="ignore"):
            expected = a.astype(np.float64) @ b.astype(np.float64).T
        np.testing.assert_array_equal(got, expected)


# --- exp, tanh, sigmoid --------------------------------------------------------------------------
def exact_sigmoid(x: Array) -> Array:
    e = np.exp(-np.abs(x))
    return np.where(x >= 0, 1 / (1 + e), e / (1 + e))


EXACT: dict[str, Callable[[Array], Array]] = {
    "exp": np.exp,
    "tanh": np.tanh,
    "sigmoid": exact_sigmoid,
}
# In units in the last place of the result. The polynomial is cut below half a unit; the rest are
# the roundings of range reduction, sum and division.
ULP = {"exp": 2.0, "tanh": 4.0, "sigmoid": 3.0}


def all_over_the_range(dtype: Dtype) -> Array:
    """Finite numbers of every exponent and sign, and more of them where the functions bend."""
    bits, count = (np.uint32, 2**32) if dtype is np.float32 else (np.uint64, 2**64)
    pattern = (np.arange(300_000, dtype=np.float64) * (count / 300_000)).astype(bits).view(dtype)
    scale = 90.0 if dtype is np.float32 else 710.0
    bends = [np.linspace(-s, s, 100_001) for s in (0.75, 10.0, 20.0, scale)]
    values = np.concatenate([pattern, *(b.astype(dtype) for b in bends)])
    return values[np.isfinite(values)]


@pytest.mark.parametrize("name", EXACT)
def test_accuracy_over_the_whole_range(isa: str, dtype: Dtype, name: str) -> None:
    x = all_over_the_range(dtype)
    info = np.finfo(dtype)
    with np.errstate(over="ignore", under="ignore"):
        exact = EXACT[name](x.astype(np.longdouble))
        unit = np.spacing(np.abs(exact).astype(dtype)).astype(np.longdouble)
    got = _core.kernel_map(name, x)
    assert not np.any(np.isnan(got))
    if name == "exp":
        # Powers of two stop at the greatest exponent: the last half power of two is infinite.
        near_overflow = exact > info.max / np.sqrt(2.0)
        assert np.all((got == np.inf) | ~(exact > info.max))
        keep = ~near_overflow
    else:
        keep = np.ones(len(x), bool)
    # Results below the least normal number may be flushed to zero or stop there.
    error = np.abs(got[keep].astype(np.longdouble) - exact[keep])
    allowed = np.maximum(ULP[name] * unit[keep], float(info.tiny))
    worst = int(np.argmax(error / allowed))
    assert error[worst] <= allowed[worst], (
        f"{name}({x[keep][worst]!r}) = {got[keep][worst]!r}, exact {exact[keep][worst]!r}, "
        f"{error[worst] / unit[keep][worst]} units"
    )


def test_special_values(isa: str, dtype: Dtype) -> None:
    info = np.finfo(dtype)
    least = info.smallest_subnormal
    x = np.array(
        [0.0, -0.0, np.inf, -np.inf, np.nan, least, -least, info.tiny, info.max, -info.max], dtype
    )
    expected = {
        "exp": [1, 1, np.inf, 0, np.nan, 1, 1, 1, np.inf, 0],
        "tanh": [0, 0, 1, -1, np.nan, 0, 0, 0, 1, -1],
        "sigmoid": [0.5, 0.5, 1, 0, np.nan, 0.5, 0.5, 0.5, 1, 0],
    }
    for name, values in expected.items():
        # Beside 1.0 to the right and to the left: a special value must not touch its neighbors.
        for padding in (0, 1, 3, 8):
            padded = np.concatenate([np.ones(padding, dtype), x, np.ones(7, dtype)])
            got = _core.kernel_map(name, padded)
            # Subnormal results may be flushed or stop at the least normal number.
            np.testing.assert_allclose(
                got[padding : padding + len(x)], values, rtol=0, atol=info.tiny, err_msg=name
            )
            neighbors = np.delete(got, np.s_[padding : padding + len(x)])
            assert np.all(neighbors == neighbors[0]), name


@pytest.mark.parametrize("name", EXACT)
def test_value_does_not_depend_on_its_place(isa: str, dtype: Dtype, name: str) -> None:
    """The rest of a row, which does not fill a vector, gets the same bits as the lanes."""
    x = np.random.default_rng(3).standard_normal(80).astype(dtype)
    whole = _core.kernel_map(name, x)
    for n in range(40):
        np.testing.assert_array_equal(_core.kernel_map(name, x[n : 2 * n]), whole[n : 2 * n])


@pytest.mark.parametrize("name", ["tanh", "sigmoid"])
def test_monotone(isa: str, dtype: Dtype, name: str) -> None:
    """Never falls by more than a unit in the last place, which rounding may cost."""
    x = np.linspace(-12, 12, 200_001).astype(dtype)
    y = _core.kernel_map(name, x)
    step = np.diff(y)
    assert np.all(step >= -2 * np.spacing(np.abs(y[1:])))
    assert np.all(np.abs(y) <= 1)


# --- sets against each other ---------------------------------------------------------------------
@pytest.mark.parametrize("pair", list(pairs_of_sets()), ids="-".join)
def test_sets_agree_with_each_other(pair: tuple[str, str], dtype: Dtype) -> None:
    rng = np.random.default_rng(4)
    a, b = operands(rng, dtype, (67, 130), (71, 130))
    results = []
    for isa in pair:
        with selected(isa):
            results.append((_core.kernel_product(a, b), _core.kernel_map("tanh", a.ravel())))
    magnitudes = np.abs(a).astype(np.float64) @ np.abs(b).astype(np.float64).T
    assert np.all(np.abs(results[0][0] - results[1][0]) <= product_limit(magnitudes, 130, dtype))
    unit = np.spacing(np.abs(results[0][1]))
    assert np.all(np.abs(results[0][1] - results[1][1]) <= 2 * ULP["tanh"] * unit)


# --- ceilings -----------------------------------------------------------------------------------


def test_multiply_adds_are_done(isa: str, dtype: Dtype) -> None:
    """A loop that the compiler has removed or shortened would pass for a fast processor.

    The mean of the chains, 5.5 at first, halves its distance from 1 each time. Twelve chains of two
    to sixteen lanes share the work: 192 are 1 to 8 for each.
    """
    name = np.dtype(dtype).name
    assert _core.kernel_multiply_adds(name, 0) == 5.5
    assert _core.kernel_multiply_adds(name, 1) == 3.25
    after = [1 + 4.5 / 2**turns for turns in (1, 2, 4, 8)]
    assert _core.kernel_multiply_adds(name, 192) in after
    assert _core.kernel_multiply_adds(name, 100_000) == 1


@pytest.mark.parametrize("size", [0, 1, 255, 256, 257, 1000])
def test_everything_is_read_as_often_as_asked(isa: str, dtype: Dtype, size: int) -> None:
    x = np.arange(size, dtype=dtype) - size // 2  # whole numbers: the sums are exact
    for rounds in (0, 1, 3):
        assert _core.kernel_repeated_sum(x, rounds) == rounds * x.sum()


def test_an_unknown_type_of_multiply_adds() -> None:
    with pytest.raises(ValueError, match=r"dtype: expected 'float32' or 'float64', got 'int4'"):
        _core.kernel_multiply_adds("int4", 1)
