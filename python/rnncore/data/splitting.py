"""Training and validation parts."""

from __future__ import annotations

import math
from fractions import Fraction
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from rnncore._check import real
from rnncore.data.sentences import Sentences

__all__ = ["split", "split_shuffled"]

Sliceable = TypeVar("Sliceable", NDArray[Any], list[Any], Sentences)
Examples = tuple[list[Any], list[Any]]


def split(tokens: Sliceable, validation_fraction: float) -> tuple[Sliceable, Sliceable]:
    """Training and validation part of a text: the validation part is the last of it.

    Parameters
    ----------
    tokens : integers [N], or list of N sentences
        What to divide.
    validation_fraction : float
        Share of the N that is held out, in [0, 1), up to the next whole number; but one is kept
        for training, where there are two. 0 gives an empty validation part.

    Raises
    ------
    ValueError
        When the share lies outside [0, 1).
    """
    held_out = real("validation_fraction", validation_fraction, 0, 1, open_high=True)
    # The decimal that was written: binary, 0.2 of 100 would be a little more or less than 20.
    share = math.ceil(len(tokens) * Fraction(str(held_out)))
    num_training = max(len(tokens) - share, min(1, len(tokens) - 1))
    return tokens[:num_training], tokens[num_training:]


def split_shuffled(
    examples: Examples, validation_fraction: float, seed: int
) -> tuple[Examples, Examples]:
    """Training and validation part of examples, drawn at random.

    Parameters
    ----------
    examples : (list [N], list [N])
        Sequences and their labels.
    validation_fraction : float
        Share that is held out, as in `split`.
    seed : int
        Of the draw.

    Raises
    ------
    ValueError
        When there is not one label for each sequence, or the share lies outside [0, 1).
    """
    sequences, labels = examples
    if len(labels) != len(sequences):
        raise ValueError(
            f"labels: expected one for each of {len(sequences)} sequences, got {len(labels)}"
        )
    order = np.random.default_rng(seed).permutation(len(sequences)).tolist()
    learned, held_out = split(order, validation_fraction)
    return (
        ([sequences[k] for k in learned], [labels[k] for k in learned]),
        ([sequences[k] for k in held_out], [labels[k] for k in held_out]),
    )
