"""What `load_state_dict` takes, and what it says of the rest; what layers take as numbers."""

import json
from typing import Any

import numpy as np
import pytest

import rnncore as rc
from refusal import refuses


@pytest.fixture(scope="module")
def torch() -> Any:
    return pytest.importorskip("torch")


@pytest.fixture
def layer() -> rc.Linear:
    return rc.Linear(3, 2, rng=0)


@pytest.fixture
def numbers() -> dict[str, Any]:
    """Numbers that float16 and bfloat16 hold."""
    return {
        "weight": np.array([[0.5, 0, -2], [1, 0.125, 3]], np.float32),
        "bias": np.array([0, -1], np.float32),
    }


def read_only(array: Any) -> Any:
    array = array.copy()
    array.flags.writeable = False
    return array


FORMS = {
    "float16": lambda a: a.astype(np.float16),
    "float64": lambda a: a.astype(np.float64),
    "longdouble": lambda a: a.astype(np.longdouble),
    "big-endian": lambda a: a.astype(">f4"),
    "big-endian float64": lambda a: a.astype(">f8"),
    "read-only": read_only,
    "Fortran": np.asfortranarray,
    "list": lambda a: a.tolist(),
    "tuple": lambda a: tuple(a.tolist()),
    "JSON": lambda a: json.loads(json.dumps(a.tolist()).replace(".0", "")),
}


@pytest.mark.parametrize("form", FORMS)
def test_forms_of_numbers(
    form: str, layer: rc.Linear, numbers: dict[str, Any], dtype: type[np.floating]
) -> None:
    layer = rc.Linear(3, 2, dtype=dtype, rng=0)
    layer.load_state_dict({name: FORMS[form](value) for name, value in numbers.items()})
    for name, value in numbers.items():
        np.testing.assert_array_equal(layer.params[name], value)
        assert layer.params[name].dtype == dtype


TENSORS = {
    "tensor": lambda torch, a: torch.tensor(a),
    "parameter": lambda torch, a: torch.nn.Parameter(torch.tensor(a)),
    "float64 parameter": lambda torch, a: torch.nn.Parameter(torch.tensor(a).double()),
    "bfloat16": lambda torch, a: torch.tensor(a).bfloat16(),
    "bfloat16 parameter": lambda torch, a: torch.nn.Parameter(torch.tensor(a).bfloat16()),
}


@pytest.mark.parametrize("form", TENSORS)
def test_tensors(torch: Any, form: str, layer: rc.Linear, numbers: dict[str, Any]) -> None:
    layer.load_state_dict({name: TENSORS[form](torch, a) for name, a in numbers.items()})
    for name, value in numbers.items():
        np.testing.assert_array_equal(layer.params[name], value)


def test_tensors_that_do_not_fit(torch: Any, layer: rc.Linear, numbers: dict[str, Any]) -> None:
    for bias, error, words in (
        (torch.tensor([1, 2]), TypeError, "floating numbers, got an int64 array"),
        (torch.zeros(3, requires_grad=True), ValueError, "expected shape [2]"),
        (torch.ones(2, dtype=torch.float64) * 1e39, ValueError, "within float32, got 1e+39"),
    ):
        load = {**numbers, "bias": bias}
        refuses(layer, lambda load=load: layer.load_state_dict(load), error, words)


def test_numbers_are_rounded_to_nearest(layer: rc.Linear, numbers: dict[str, Any]) -> None:
    exact = np.random.default_rng(0).standard_normal((2, 3))
    layer.load_state_dict({**numbers, "weight": exact})
    np.testing.assert_array_equal(layer.params["weight"], exact.astype(np.float32))


def test_infinity_and_nan_stay(layer: rc.Linear, numbers: dict[str, Any]) -> None:
    layer.load_state_dict({**numbers, "bias": np.array([np.inf, np.nan])})
    np.testing.assert_array_equal(layer.params["bias"], [np.inf, np.nan])


@pytest.mark.parametrize(
    ("bias", "error", "words"),
    [
        (np.array([1, 1e39]), ValueError, "expected numbers within float32, got 1e+39 at [1]"),
        ([1.0, -1e39], ValueError, "expected numbers within float32, got -1e+39 at [1]"),
        (np.array([1, 2], np.int8), TypeError, "floating numbers, got an int8 array"),
        (np.array([1, 2], np.uint16), TypeError, "floating numbers, got a uint16 array"),
        (np.array([True, False]), TypeError, "floating numbers, got a bool array"),
        (np.array([1j, 2]), TypeError, "floating numbers, got a complex128 array"),
        ([True, False], TypeError, "floating numbers, got a bool array"),
        ("12", TypeError, "floating numbers, got str '12'"),
        (["1", "2"], TypeError, "floating numbers, got list ['1', '2']"),
        ([None, 1.0], TypeError, "floating numbers, got list [None, 1.0]"),
        (None, TypeError, "floating numbers, got NoneType None"),
        ([[1.0], [2.0, 3.0]], ValueError, "rows of different lengths, list [[1.0], [2.0, 3.0]]"),
        ([1.0], ValueError, "expected shape [2], got a float64 array of shape (1,)"),
    ],
    ids=lambda value: repr(value)[:40],
)
def test_what_has_another_meaning(
    bias: Any, error: type[Exception], words: str, layer: rc.Linear, numbers: dict[str, Any]
) -> None:
    """Integers are quantized numbers whose scale is missing; nothing becomes infinite."""
    load = {**numbers, "bias": bias}
    refuses(layer, lambda: layer.load_state_dict(load), error, "state_dict['bias']", words)


def test_the_parameters_of_a_larger_model(layer: rc.Linear, numbers: dict[str, Any]) -> None:
    """The error's call takes them."""
    whole = {f"net.out.{name}": value for name, value in numbers.items()}
    whole["net.other"] = np.zeros(3)
    with pytest.raises(ValueError, match=r"with the prefix 'net\.out\.' fit: ") as raised:
        layer.load_state_dict(whole)
    call = str(raised.value).split(" fit: ")[1]
    eval(f"layer.{call}", {"layer": layer, "state_dict": whole})
    np.testing.assert_array_equal(layer.params["weight"], numbers["weight"])


@pytest.mark.parametrize("names", [["a.weight"], ["aweight", "abias"], [3, "a.bias"], []])
def test_no_prefix(names: list[Any], layer: rc.Linear) -> None:
    with pytest.raises(ValueError, match=r"missing .*unexpected") as raised:
        layer.load_state_dict(dict.fromkeys(names, 1.0))
    assert "prefix" not in str(raised.value)


def test_many_names_are_not_all_told(layer: rc.Linear) -> None:
    with pytest.raises(ValueError, match=r"'5', .*and 9996 more\]") as raised:
        layer.load_state_dict({str(5 + i): 1.0 for i in range(10_000)})
    assert len(str(raised.value)) < 400


# --- inputs of layers ----------------------------------------------------------------------------
X = [[0.5, 1, -2], [3, 0.25, 1]]


CALLS = {
    "Linear": lambda x: rc.Linear(3, 2, rng=0)(x),
    "RNN": lambda x: rc.RNN(3, 2, rng=0)(x)[0],
    "LSTM": lambda x: rc.LSTM(3, 2, rng=0)(x)[0],
    "forward": lambda x: rc.GRU(3, 2, rng=0).forward(x)[0],
    "frozen": lambda x: rc.GRU(3, 2, rng=0).frozen()(x)[0],
    "run": lambda x: rc.GRU(3, 2, rng=0).stream().run(x),
    "step": lambda x: rc.GRU(3, 2, rng=0).stream(2).step(x),
}


@pytest.mark.parametrize("name", CALLS)
def test_a_list_of_floats_has_the_dtype_of_the_layer(name: str) -> None:
    call = CALLS[name]
    expected = call(np.array(X, np.float32))
    for x in (X, tuple(X), [tuple(row) for row in X], np.array(X, np.float32).tolist()):
        y = call(x)
        assert y.dtype == np.float32
        np.testing.assert_array_equal(y, expected)


@pytest.mark.parametrize("name", CALLS)
def test_another_dtype_is_told_with_its_conversion(name: str) -> None:
    call = CALLS[name]
    for x, words in (
        (np.array(X), r"x: expected (a )?float32.*float64.*; x.astype\(np.float32\) converts it"),
        (np.array(X, np.float16), r"float16.*; x.astype\(np.float32\) converts it"),
        (np.array(X, ">f4"), r"x: .*; x.astype\(np.float32\) converts it"),
    ):
        with pytest.raises(TypeError, match=words):
            call(x)


@pytest.mark.parametrize("name", CALLS)
def test_tensors_of_another_type_are_told_with_their_conversion(torch: Any, name: str) -> None:
    for x, words in (
        (torch.tensor(X).double(), r"x: .*; np.asarray\(x, np.float32\) converts it"),
        (torch.tensor(X, requires_grad=True), r"x: .*got Tensor.*x.detach\(\).*numpy\(\)"),
        (torch.tensor(X).bfloat16(), r"x: .*got Tensor.*float\(\).numpy\(\)"),
    ):
        with pytest.raises(TypeError, match=words):
            CALLS[name](x)


def test_list_of_floats_that_are_too_large() -> None:
    with pytest.raises(
        ValueError, match=r"x: expected numbers within float32, got 1e\+39 at \[2\]"
    ):
        rc.Linear(3, 2)([0.0, 1.0, 1e39])
