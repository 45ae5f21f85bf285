"""Checks of arguments; each error names the argument, what came and what was expected."""

from __future__ import annotations

import math
import operator
import reprlib
from collections.abc import Iterable, Sequence
from typing import Any, TypeVar

import numpy as np
from numpy.typing import DTypeLike, NDArray

from rnncore import _memory, _restoring

Array = NDArray[Any]
Ids = NDArray[np.integer[Any]]
Config = TypeVar("Config")


#: Characters of a foreign text that a message quotes at most.
_QUOTED = 100

# Looks at the beginning of a value only: those of files may be large, or nested without end.
_beginning = reprlib.Repr()
_beginning.maxlist = _beginning.maxtuple = _beginning.maxdict = _beginning.maxset = 20
_beginning.maxstring = _beginning.maxother = _QUOTED


def printable(text: str, limit: int = _QUOTED) -> str:
    """`text` on one line, cut to `limit` characters; those that a terminal would obey escaped."""
    line = " ".join(text[: limit + 1].split())
    line = "".join(c if c.isprintable() else ascii(c)[1:-1] for c in line)
    return line if max(len(text), len(line)) <= limit else f"{line[: limit - 3]}..."


def quoted(value: object, limit: int = _QUOTED) -> str:
    """The beginning of `repr(value)` as `printable`, also where Python refuses to write it out."""
    try:
        text = _beginning.repr(value)
    except ValueError:  # an integer of more digits than Python converts
        text = "..."
    return printable(text, limit)


def listed(names: Sequence[object]) -> str:
    """The first of `names`, and how many more there are."""
    more = f", and {len(names) - 4} more" if len(names) > 4 else ""
    return f"[{', '.join(quoted(name, 60) for name in names[:4])}{more}]"


def describe(value: object) -> str:
    """What came, in a few words: dtype and shape of an array, type and value of anything else."""
    if isinstance(value, np.ndarray):
        article = "an" if value.dtype.name.startswith(("i", "o")) else "a"
        return f"{article} {printable(str(value.dtype))} array of shape {value.shape}"
    return f"{type(value).__name__} {quoted(value, 60)}"


def integer(name: str, value: object, minimum: int, maximum: int | None = None) -> int:
    """Return `value` as int; it must be an integer from `minimum` to `maximum`."""
    if isinstance(value, bool | np.bool_) or not hasattr(value, "__index__"):
        raise TypeError(f"{name}: expected an integer, got {describe(value)}")
    try:
        number = operator.index(value)
    except TypeError:
        raise TypeError(f"{name}: expected an integer, got {describe(value)}") from None
    if number < minimum:
        raise ValueError(f"{name}: expected at least {minimum}, got {quoted(number)}")
    if maximum is not None and number > maximum:
        raise ValueError(f"{name}: expected at most {maximum}, got {quoted(number)}")
    return number


def size(name: str, value: object, minimum: int = 1) -> int:
    """Return `value` as int; it must be a number of elements, at least `minimum`."""
    number = integer(name, value, minimum)
    _restoring.require_elements(name, number)
    if number >= 2**63:
        raise MemoryError(f"{name}: {quoted(number)} elements fit in no memory")
    return number


def real(
    name: str,
    value: object,
    low: float = -math.inf,
    high: float = math.inf,
    *,
    open_low: bool = False,
    open_high: bool = False,
) -> float:
    """Return `value` as float; it must be a finite number from `low` to `high`."""
    if isinstance(value, bool | np.bool_) or not isinstance(
        value, int | float | np.integer | np.floating
    ):
        raise TypeError(f"{name}: expected a number, got {describe(value)}")
    try:
        number = float(value)
    except OverflowError:  # an int that no float reaches
        number = math.inf if value > 0 else -math.inf
    above = number > low if open_low else number >= low
    below = number < high if open_high else number <= high
    if not (math.isfinite(number) and above and below):
        left = "(" if open_low or low == -math.inf else "["
        right = ")" if open_high or high == math.inf else "]"
        interval = f"{left}{low:g}, {high:g}{right}"
        raise ValueError(f"{name}: expected a finite number in {interval}, got {number:g}")
    return number


def flag(name: str, value: object) -> bool:
    """Return `value` as bool; numbers and strings are refused."""
    if not isinstance(value, bool | np.bool_):
        raise TypeError(f"{name}: expected True or False, got {describe(value)}")
    return bool(value)


def instance(name: str, value: object, kind: type) -> None:
    """Raise TypeError unless `value` is a `kind`."""
    if not isinstance(value, kind):
        raise TypeError(f"{name}: expected {_a(kind)}, got {describe(value)}")


def _a(kind: type) -> str:
    return f"{'an' if kind.__name__[0] in 'AEIO' else 'a'} {kind.__name__}"


def named_config(name: str, value: object, kind: type[Config]) -> Config:
    """Return `value`, a `kind`, or the one whose name it is."""
    if isinstance(value, str):
        return kind(value)  # type: ignore[call-arg]  # their first argument is the name
    if not isinstance(value, kind):
        raise TypeError(f"{name}: expected {_a(kind)} or the name of one, got {describe(value)}")
    return value


def choice(name: str, value: object, options: Iterable[str]) -> str:
    """Return `value`, which must be one of `options`."""
    names = sorted(options)
    if not isinstance(value, str):
        raise TypeError(f"{name}: expected one of {names}, got {describe(value)}")
    if value not in names:
        raise ValueError(f"{name}: expected one of {names}, got {quoted(value)}")
    return value


def float_dtype(value: DTypeLike) -> np.dtype[Any]:
    """Return `value` as a dtype, which must be float32 or float64 in native byte order."""
    try:
        dtype = np.dtype(value)
    except (TypeError, ValueError, SyntaxError):  # NumPy parses texts such as "(2,3)f4"
        raise TypeError(f"dtype: expected float32 or float64, got {describe(value)}") from None
    if value is None or dtype not in (np.dtype(np.float32), np.dtype(np.float64)):
        got = "None" if value is None else printable(str(dtype))
        raise TypeError(f"dtype: expected float32 or float64, got {got}")
    return dtype


def compute_type(value: object, dtype: np.dtype[Any]) -> str | None:
    """Return `value`: None, or the name of what the operands of products of `dtype` round to."""
    if value is None:
        return None
    if not isinstance(value, str):
        raise TypeError(f"compute: expected None or 'bfloat16', got {describe(value)}")
    if value != "bfloat16":
        raise ValueError(f"compute: expected None or 'bfloat16', got {quoted(value)}")
    if dtype != np.float32:
        raise ValueError(f"compute: 'bfloat16' needs dtype float32, got {dtype}")
    return value


def generator(rng: np.random.Generator | int | None) -> np.random.Generator:
    """Return `rng` itself, a Generator seeded by the integer `rng`, or a fresh one for None."""
    if rng is None or isinstance(rng, np.random.Generator):
        return np.random.default_rng(rng)
    if isinstance(rng, bool | np.bool_) or not isinstance(rng, int | np.integer):
        raise TypeError(f"rng: expected a numpy Generator, an integer or None, got {describe(rng)}")
    if rng < 0:
        raise ValueError(f"rng: expected a seed of at least 0, got {quoted(int(rng))}")
    return np.random.default_rng(int(rng))


def is_ids(array: Array) -> bool:
    """Whether `array` holds integers (class or token numbers); booleans do not count."""
    return array.dtype.kind in "iu"


def as_array(name: str, value: object) -> Array:
    """Return `value` as an array, without a copy where it is one."""
    if type(value) is np.ndarray:
        return value
    if isinstance(value, tuple) and value and _is_output(value[0]):
        raise TypeError(
            f"{name}: expected an array, got a tuple that begins with one: a recurrent layer "
            "returns (y, state), and forward a cache besides; pass y alone (np.stack joins arrays)"
        )
    try:
        return np.asarray(value)
    except ValueError as error:
        if "inhomogeneous" in str(error):
            raise ValueError(_ragged(name, value)) from None
        raise ValueError(f"{name}: expected an array, got {describe(value)} ({error})") from None
    except (RuntimeError, TypeError) as error:
        # a tensor of PyTorch that needs gradients, has bfloat16 or is on a GPU
        is_tensor = hasattr(value, "detach")
        mend = f"; {name}.detach().cpu().float().numpy() is one" if is_tensor else ""
        raise TypeError(
            f"{name}: expected an array, got {type(value).__name__}, which NumPy does not take "
            f"({printable(str(error))}){mend}"
        ) from None


def _is_output(value: object) -> bool:
    """Whether a layer may have returned `value`: such arrays are not meant as rows of another."""
    return isinstance(value, np.ndarray) and value.ndim > 1 and value.dtype.kind == "f"


def _is_ragged(array: Array) -> bool:
    """Whether an array of objects holds rows."""
    return array.dtype == object and array.size > 0 and all(map(np.ndim, array.flat))


def _ragged(name: str, value: object) -> str:
    return (
        f"{name}: expected an array, got rows of different lengths, {describe(value)}; "
        "rnncore.data.pad makes an array of them, and lengths to pass with it"
    )


def ids_or_floats(name: str, value: object) -> Array:
    """Return `value` as an array; an empty list [T] or [T,B] counts as one of integers."""
    if type(value) is np.ndarray:  # what follows takes as long as a step of a small layer
        return value
    array = as_array(name, value)
    if array.size == 0 and array.ndim <= 2 and not isinstance(value, np.ndarray):
        return array.astype(np.int64)
    return array


def ids_array(name: str, value: object) -> Ids:
    """Return `value` as an array of integers; an empty list counts as one."""
    array = as_array(name, value)
    if array.size == 0 and not isinstance(value, np.ndarray):
        array = array.astype(np.int64)
    if not is_ids(array):
        if _exceeds_int64(value):
            raise ValueError(f"{name}: expected integers in [-2^63, 2^63), got {describe(value)}")
        if _is_ragged(array):
            raise ValueError(_ragged(name, value))
        raise TypeError(f"{name}: expected integers, got {describe(value)}")
    if array.dtype == np.uint64 and array.size and array.max() >= 2**63:
        raise ValueError(f"{name}: expected integers in [-2^63, 2^63), got {array.max()}")
    return array


def _exceeds_int64(value: object) -> bool:
    """Whether all that `value` holds are integers, which are too large for an array of them."""
    if isinstance(value, np.ndarray) and value.dtype != object:
        return False
    elements = np.asarray(value, object).ravel()
    return all(type(element) is int for element in elements) and any(
        not -(2**63) <= element < 2**63 for element in elements
    )


def check_below(name: str, ids: Ids, count: int, ignored: int | None = None) -> None:
    """Raise ValueError unless each of `ids` is in [0, count), or `ignored`."""
    outside = (ids < 0) | (ids >= count)
    if ignored is not None:
        outside &= ids != ignored
    if outside.any():
        at = [int(i) for i in np.argwhere(outside)[0]]
        but = "" if ignored is None else f" or {ignored} (ignored)"
        raise ValueError(
            f"{name}: expected ids in [0, V={count}){but}, got {ids[tuple(at)]} at {at}"
        )


def lengths_array(lengths: object, shape: tuple[int, ...], name: str = "lengths") -> Ids:
    """Return `lengths` as integers [B] in [0, T], for sequences [T,B]; for one [T], also a number.

    `shape` is that of the sequences.
    """
    array = ids_array(name, lengths)
    if len(shape) == 1:
        array = np.atleast_1d(array)
    if array.shape == shape[:1] != shape[1:] and len(shape) > 1:
        raise ValueError(
            f"{name}: expected shape [{shape[1]}] for sequences [T={shape[0]}, B={shape[1]}], got "
            f"{describe(array)}; are time and batch swapped? (batch_first)"
        )
    check_shape(name, array, shape[1:] or (1,))
    outside = np.flatnonzero((array < 0) | (array > shape[0]))
    if outside.size:
        at = int(outside[0])
        raise ValueError(f"{name}: expected values in [0, T={shape[0]}], got {array[at]} at [{at}]")
    return array


def within(lengths: Ids, shape: tuple[int, ...]) -> NDArray[np.bool_]:
    """Which steps of sequences [T,B] or [T] come before their ends, those of `lengths_array`."""
    if 0 in shape:  # the number of steps may be any then
        return np.zeros(shape, np.bool_)
    _memory.require(10 * math.prod(shape), f"lengths: {math.prod(shape)} steps")  # with 8 of an id
    return (np.arange(shape[0])[:, np.newaxis] < lengths).reshape(shape)


def floats(
    name: str, value: object, dtype: np.dtype[Any], shape: tuple[int | str, ...] | None = None
) -> Array:
    """Return `value` as an array of exactly `dtype` and `shape`.

    A string in `shape` names a dimension of any size; shape None leaves rank and sizes open. Lists
    of Python's floats, which have no dtype of their own, take this one.
    """
    array = as_array(name, value)
    if array.dtype != dtype:
        if _is_ragged(array):
            raise ValueError(_ragged(name, value))
        if not _are_python_floats(value, array):
            came = array if array.dtype.kind in "biufc" else value  # None: an array of objects
            mend = _conversion(name, value, dtype) if array.dtype.kind in "biuf" else ""
            raise TypeError(f"{name}: expected {dtype}, got {describe(came)}{mend}")
        array = _rounded(name, array, dtype)
    if shape is not None:
        check_shape(name, array, shape)
    return array


def converted(name: str, value: Any, dtype: np.dtype[Any], shape: tuple[int, ...]) -> Array:
    """Return numbers that mean the same in `dtype`, of `shape`.

    From arrays of every floating type and byte order, tensors of PyTorch, and lists, in which 0 may
    stand for 0.0. Arrays of integers are refused: they are quantized, and their scale is elsewhere.
    """
    if hasattr(value, "detach"):  # a tensor of PyTorch, maybe one that needs gradients
        value = value.detach().cpu()
        if str(value.dtype) == "torch.bfloat16":  # which NumPy does not have
            value = value.float()
    array = as_array(name, value)
    is_list = isinstance(value, list | tuple)
    # bfloat16 is that of ml_dtypes, which JAX has
    if (
        array.dtype.kind != "f"
        and array.dtype.name != "bfloat16"
        and not (is_list and is_ids(array))
    ):
        came = array if array.dtype.kind in "biufc" else value
        raise TypeError(f"{name}: expected floating numbers, got {describe(came)}")
    check_shape(name, array, shape)
    return _rounded(name, array, dtype)


def _are_python_floats(value: object, array: Array) -> bool:
    """Whether `array` comes from a list, nested or not, that begins with a number of Python."""
    while isinstance(value, list | tuple) and value:
        value = value[0]
    return type(value) in (float, int) and array.ndim > 0 and array.dtype == np.float64


def _conversion(name: str, value: object, dtype: np.dtype[Any]) -> str:
    """What to write where the numbers of another type are meant."""
    if not name.isidentifier():
        return ""
    is_array = isinstance(value, np.ndarray)
    call = f"{name}.astype(np.{dtype})" if is_array else f"np.asarray({name}, np.{dtype})"
    return f"; {call} converts it"


def _rounded(name: str, array: Array, dtype: np.dtype[Any]) -> Array:
    """Return `array` in `dtype`; ValueError if that makes a finite number infinite."""
    if array.dtype == dtype:
        return array
    with np.errstate(over="ignore"):
        result = array.astype(dtype)
    lost = np.argwhere(np.isinf(result) & np.isfinite(array))
    if lost.size:
        at = tuple(map(int, lost[0]))
        raise ValueError(
            f"{name}: expected numbers within {dtype}, got {array[at]:g} at {list(at)}"
        )
    return result


def check_shape(name: str, array: Array, shape: tuple[int | str, ...]) -> None:
    """Raise ValueError unless `array` has `shape`; a string stands for any size."""
    sizes = array.shape
    if len(shape) == len(sizes):
        for expected, came in zip(shape, sizes, strict=True):
            if expected != came and isinstance(expected, int):
                break
        else:
            return
    text = "[" + ", ".join(str(part) for part in shape) + "]"
    raise ValueError(f"{name}: expected shape {text}, got {describe(array)}")
