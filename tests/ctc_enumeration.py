"""Connectionist temporal classification by enumeration of all paths, in double precision."""

import itertools
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]


def log_softmax(z: Array) -> Array:
    z = z.astype(np.float64)
    with np.errstate(divide="ignore"):
        return (
            z
            - z.max(axis=-1, keepdims=True)
            - np.log(np.exp(z - z.max(axis=-1, keepdims=True)).sum(axis=-1, keepdims=True))
        )


def labels_of(path: Sequence[int], blank: int) -> tuple[int, ...]:
    """Merge repeats, then leave out blanks."""
    return tuple(symbol for symbol, _ in itertools.groupby(path) if symbol != blank)


def paths(frames: int, symbols: int, labels: Sequence[int], blank: int) -> list[tuple[int, ...]]:
    """All paths that become the labels."""
    wanted = tuple(labels)
    every = itertools.product(range(symbols), repeat=frames)
    return [path for path in every if labels_of(path, blank) == wanted]


def loss_and_grad(z: Array, labels: Sequence[int], blank: int) -> tuple[float, Array]:
    """Loss of one sequence z [T,C], and its gradient: softmax less the share of paths."""
    frames, symbols = z.shape
    log_p = log_softmax(z)
    total, occupancy = 0.0, np.zeros(z.shape)
    for path in paths(frames, symbols, labels, blank):
        p = float(np.exp(log_p[np.arange(frames), list(path)].sum()))
        total += p
        occupancy[np.arange(frames), list(path)] += p
    if total == 0:
        return np.inf, np.zeros(z.shape)
    return -np.log(total), np.exp(log_p) - occupancy / total


def best_alignment(
    log_p: Array, labels: Sequence[int], blank: int
) -> tuple[float, tuple[int, ...]]:
    """Log-probability of the most probable path through the labels, and the path."""
    frames, symbols = log_p.shape
    found = [
        (float(log_p[np.arange(frames), list(path)].sum()), path)
        for path in paths(frames, symbols, labels, blank)
    ]
    return max(found)
