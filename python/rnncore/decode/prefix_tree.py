"""Sequences as a tree of their beginnings: what several share is there once."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

__all__ = ["Level", "prefix_tree"]

Ids = NDArray[np.int64]


class Level(NamedTuple):
    """The nodes [M] of one depth, by their parents and then by their tokens."""

    parents: Ids  # nodes of the level above; of the first level: the groups
    tokens: Ids
    members: Ids  # [R] sequences that are so long
    nodes: Ids  # [R] the node of each of them


def prefix_tree(sequences: Sequence[Ids], groups: Ids, vocab_size: int) -> list[Level]:
    """Return the levels of the tree of sequences [T_k]; only those of one group share nodes."""
    lengths = np.array([len(sequence) for sequence in sequences], np.int64)
    padded = np.zeros((int(lengths.max(initial=0)), len(sequences)), np.int64)
    for k, sequence in enumerate(sequences):
        padded[: len(sequence), k] = sequence
    above, levels = groups.astype(np.int64), []
    for t, tokens in enumerate(padded):
        members = np.flatnonzero(lengths > t)
        keys = above[members] * vocab_size + tokens[members]
        unique, nodes = np.unique(keys, return_inverse=True)
        levels.append(Level(unique // vocab_size, unique % vocab_size, members, nodes))
        above = above.copy()
        above[members] = nodes
    return levels
