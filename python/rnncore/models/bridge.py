"""Bridge: the final state of an encoder as the initial state of a decoder."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, DTypeLike

from rnncore._check import Array, floats, size
from rnncore._layout import float_array
from rnncore.layers import Cache, Linear, Module
from rnncore.layers.cache import open_cache

__all__ = ["Bridge"]


class Saved(NamedTuple):
    """What the backward pass needs."""

    caches: list[Cache[Any]]
    initial: Array
    shape: tuple[int, ...]


class Bridge(Module):
    r"""Map the final states of an encoder's layers, by a linear layer and tanh for each.

    .. math:: s_l = \tanh(W_l [\overrightarrow{h}_{k(l)}, \overleftarrow{h}_{k(l)}] + b_l)

    Layer l of the decoder reads layer k(l) of the encoder: the last of the one belongs to the last
    of the other; layers for which there are none left read the first (Bahdanau et al. 2015, arXiv
    1409.0473, appendix A.2.2, with one layer and the backward direction alone).

    Parameters
    ----------
    num_layers : (int, int)
        Layers of encoder and decoder.
    sizes : (int, int)
        Units of all directions of an encoder layer, and of a decoder layer.
    num_directions : int
        Directions D of the encoder.
    dtype, compute, rng
        As in `Linear`.
    """

    def __init__(
        self,
        num_layers: tuple[int, int],
        sizes: tuple[int, int],
        num_directions: int,
        *,
        dtype: DTypeLike = np.float32,
        compute: str | None = None,
        rng: np.random.Generator | int | None = None,
    ) -> None:
        super().__init__(dtype, rng)
        self._num_directions = size("num_directions", num_directions)
        read, written = num_layers
        self._read = [max(0, layer + read - written) for layer in range(written)]
        self.maps = [Linear(*sizes, dtype=dtype, compute=compute, rng=self.rng) for _ in self._read]

    def __call__(self, state: ArrayLike) -> Array:
        """Return the initial state [L,B,H] of the decoder, for final states [L*D,B,H]."""
        return self.forward(state)[0]

    def forward(self, state: ArrayLike) -> tuple[Array, Cache[Saved]]:
        """Return the initial state, and a cache."""
        final = float_array("state", state)
        rows, batch, width = final.shape
        # [L,D,B,H] -> [L,B,D*H]: the directions of a layer side by side
        directions = self._num_directions
        joined = final.reshape(rows // directions, directions, batch, width).swapaxes(1, 2)
        sides = joined.reshape(rows // directions, batch, directions * width)
        results = [m.forward(sides[k]) for m, k in zip(self.maps, self._read, strict=True)]
        initial = np.tanh(np.stack([sums for sums, _ in results]))
        saved = Saved([cache for _, cache in results], initial, final.shape)
        return initial, Cache(self, self.version, saved)

    def backward(self, dinitial: ArrayLike, cache: Cache[Saved]) -> Array:
        """Return the gradient [L*D,B,H] by the final states, for that [L,B,H] by the initial."""
        saved = open_cache(cache, self)
        initial, (rows, batch, width) = saved.initial, saved.shape
        dsums = floats("dinitial", dinitial, initial.dtype, initial.shape) * (1 - initial**2)
        directions = self._num_directions
        dsides = np.zeros((rows // directions, batch, directions * width), initial.dtype)
        for each, k, gradient, kept in zip(self.maps, self._read, dsums, saved.caches, strict=True):
            dsides[k] += each.backward(gradient, kept)
        # [L,B,D*H] -> [L*D,B,H]
        parts = dsides.reshape(-1, batch, directions, width).swapaxes(1, 2)
        return np.ascontiguousarray(parts).reshape(rows, batch, width)
