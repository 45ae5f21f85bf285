"""Pictures and their captions as users have them, as arrays of a model."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rnncore._check import Array, as_array, describe, size
from rnncore.data import patches
from rnncore.text import Tokenizer

__all__ = ["as_grid", "caption_ids", "picture_regions"]


def as_grid(grid: Any) -> tuple[int, ...]:
    """Return the shape of the regions of a picture: () of one vector, (R,) or (rows, columns).

    Raises
    ------
    TypeError, ValueError
        If `grid` is not None, a number or two numbers.
    """
    if grid is None:
        return ()
    sizes = list(grid) if isinstance(grid, tuple | list) else [grid]
    if len(sizes) > 2:
        raise ValueError(f"grid: expected None, R or (rows, columns), got {describe(grid)}")
    return tuple(size("grid", part) for part in sizes)


def picture_regions(
    features: Any, grid: Sequence[int], input_size: int, dtype: np.dtype[Any]
) -> Array:
    """Return the features of N pictures as their regions [N,R,I].

    Parameters
    ----------
    features : array, or list of N arrays
        Each picture's is [I] or, with a grid, [R,I] or [rows,columns,I]; or, with a grid of rows
        and columns, the picture itself, bytes [H,W,C], which is cut into the patches of the grid.
    grid : () or (R,) or (rows, columns)
        Regions of a picture; of () it is one.
    input_size : int
        Width I.
    dtype : float32 or float64
        Of the result.

    Raises
    ------
    TypeError, ValueError
        If the features of a picture, which the error numbers, have another shape, or hold anything
        but finite numbers.
    """
    if isinstance(features, str | bytes | dict) or not isinstance(features, Iterable):
        raise TypeError(
            f"features: expected an array or a list of arrays, got {describe(features)}"
        )
    one = isinstance(features, np.ndarray)
    listed: list[Any] = [features] if one else list(features)
    given = listed if one else [as_array(f"features[{k}]", f) for k, f in enumerate(listed)]
    num_regions = int(np.prod(grid))
    shapes = {(*grid, input_size), (num_regions, input_size)} if grid else {(input_size,)}
    wanted = " or ".join(_text(shape) for shape in sorted(shapes, key=len, reverse=True))
    parts = []
    for k, array in enumerate(given):
        name = "features" if one else f"features[{k}]"
        pictures = array if one else array[np.newaxis]
        if array.dtype.kind not in "fiu":
            raise TypeError(f"{name}: expected numbers, got {describe(array)}")
        if pictures.shape[1:] not in shapes and _is_picture(pictures) and len(grid) == 2:
            pictures = _cut(name, pictures, grid, input_size)
        if pictures.shape[1:] not in shapes:
            each = "N pictures of " if one else ""
            raise ValueError(f"{name}: expected {each}shape {wanted}, got {describe(array)}")
        with np.errstate(over="ignore"):
            regions = pictures.reshape(len(pictures), num_regions, input_size).astype(dtype)
        _require_finite(regions, name if not one else None)
        parts.append(regions)
    if not parts:
        return np.zeros((0, num_regions, input_size), dtype)
    return parts[0] if one else np.concatenate(parts)


def caption_ids(
    captions: Any, num_pictures: int, tokenizer: Tokenizer
) -> list[list[NDArray[np.int64]]]:
    """Return the ids of the captions of each picture, each between `start` and `end`.

    Parameters
    ----------
    captions : list of N str, or of lists of str
        One caption of each picture, or several.
    num_pictures : int
        Number of pictures N.
    tokenizer : Tokenizer
        With `start` and `end`.

    Raises
    ------
    TypeError, ValueError
        If there is another number of captions, a picture has none, or one is empty.
    """
    if isinstance(captions, str) or not isinstance(captions, Iterable):
        raise TypeError(f"captions: expected a list of them, got {describe(captions)}")
    given = list(captions)
    if len(given) != num_pictures:
        raise ValueError(
            f"captions: expected one for each of {num_pictures} pictures, got {len(given)}"
        )
    ids = []
    for k, of_picture in enumerate(given):
        name = f"captions[{k}]"
        if isinstance(of_picture, str):
            ids.append([_sentence(name, of_picture, tokenizer)])
            continue
        if not isinstance(of_picture, list | tuple | np.ndarray):
            raise TypeError(f"{name}: expected a text or a list, got {describe(of_picture)}")
        if not len(of_picture):
            raise ValueError(f"{name}: expected at least one caption, got none")
        ids.append([_sentence(f"{name}[{j}]", t, tokenizer) for j, t in enumerate(of_picture)])
    return ids


def _sentence(name: str, text: Any, tokenizer: Tokenizer) -> NDArray[np.int64]:
    """Return the ids of a caption."""
    ids = tokenizer.encode_sentence(text, name)
    if len(ids) < 3:  # the start, a token, the end
        raise ValueError(f"{name}: expected at least one {tokenizer.unit}, got {describe(text)}")
    return ids


def _is_picture(array: Array) -> bool:
    return array.dtype == np.uint8 and array.ndim == 4


def _cut(name: str, pictures: Array, grid: Sequence[int], input_size: int) -> Array:
    """Return the patches [N,rows,columns,I] of pictures whose size is that of the model."""
    _, height, width, channels = pictures.shape
    rows, columns = grid
    side = round((input_size / channels) ** 0.5) if channels else 0
    if side * side * channels != input_size or (height, width) != (rows * side, columns * side):
        sides = {c: round((input_size / c) ** 0.5) for c in (1, 3, 4)}
        fitting = [[rows * s, columns * s, c] for c, s in sides.items() if s * s * c == input_size]
        wanted = " or ".join(map(str, fitting)) or f"as features {[rows, columns, input_size]}"
        raise ValueError(
            f"{name}: expected pictures {wanted}, got {[height, width, channels]}; bring them to "
            "this size"
        )
    return patches(pictures, side)


def _require_finite(regions: Array, name: str | None) -> None:
    """Raise ValueError at a number that is not finite."""
    outside = ~np.isfinite(regions)
    if outside.any():
        k, region, element = np.argwhere(outside)[0].tolist()
        raise ValueError(
            f"{name or f'features[{k}]'}: expected finite numbers of {regions.dtype}, got "
            f"{regions[k, region, element]} at region {region}, element {element}"
        )


def _text(shape: tuple[int, ...]) -> str:
    return f"[{', '.join(map(str, shape))}]"
