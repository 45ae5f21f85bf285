"""Linear: an affine map of the last dimension."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, DTypeLike

from rnncore import _core
from rnncore._check import Array, compute_type, describe, flag, floats, size
from rnncore._layout import as_rows
from rnncore.layers.cache import Cache, open_cache
from rnncore.layers.module import Module
from rnncore.layers.parameters import apart, consecutive, fill_uniform


class Linear(Module):
    """y = x W^T + b on the last dimension of x.

    Parameters are ``weight`` [O,I] and ``bias`` [O], drawn from U(-1/sqrt(I), 1/sqrt(I)).

    Parameters
    ----------
    input_size : int
        Width I of the inputs.
    output_size : int
        Width O of the outputs.
    bias : bool
        Whether there is b.
    dtype : float32 or float64
        Type of parameters, inputs and outputs.
    compute : "bfloat16" or None
        What the operands of products are rounded to, see `RNN`.
    rng : numpy Generator, int or None
        Source of the initial parameters.

    Raises
    ------
    TypeError, ValueError
        If an argument has the wrong type or value.
    MemoryError
        If the parameters and their gradients do not fit in memory.

    Examples
    --------
    >>> import numpy as np, rnncore as rc
    >>> linear = rc.Linear(input_size=8, output_size=2, rng=0)
    >>> linear(np.zeros((5, 3, 8), np.float32)).shape
    (5, 3, 2)
    """

    def __init__(
        self,
        input_size: int,
        output_size: int,
        *,
        bias: bool = True,
        dtype: DTypeLike = np.float32,
        compute: str | None = None,
        rng: np.random.Generator | int | None = None,
    ) -> None:
        super().__init__(dtype, rng)
        self.compute = compute_type(compute, self.dtype)
        self.input_size = size("input_size", input_size)
        self.output_size = size("output_size", output_size)
        self.bias = flag("bias", bias)
        shapes = {"weight": (self.output_size, self.input_size), "bias": (self.output_size,)}
        self._allocate(consecutive((name, shapes[name]) for name in self._own_names()))
        self._draw()

    def _own_names(self) -> list[str]:
        """Return the names of the parameters of this layer itself."""
        return ["weight", "bias"] if self.bias else ["weight"]

    @property
    def weight(self) -> Array:
        """W [O,I], a view."""
        return self.params["weight"]

    @property
    def _weight_grad(self) -> Array:
        """Gradient of W [O,I], a view."""
        return self.grads["weight"]

    def _initialise(self, rng: np.random.Generator) -> None:
        fill_uniform(self._flat_params, self.input_size**-0.5, rng)

    def __call__(self, x: ArrayLike) -> Array:
        """Map x [...,I] to y [...,O], keeping nothing.

        Raises
        ------
        TypeError
            If x has another dtype than the layer.
        ValueError
            If its last dimension is not I.
        """
        return self._product(self._checked(x))

    def forward(self, x: ArrayLike) -> tuple[Array, Cache[Array]]:
        """Map x [...,I] to y [...,O]; the cache refers to x. Errors as in calling the layer."""
        array = self._checked(x)
        return self._product(array), Cache(self, self.version, array)

    def backward(self, dy: ArrayLike, cache: Cache[Array]) -> Array:
        """Back-propagate dy [...,O] to dx [...,I]; add to the gradients of the parameters.

        Raises
        ------
        TypeError
            If dy has another dtype than the layer, or `cache` is no cache.
        ValueError
            If the shape does not fit, another layer made the cache, or the parameters have changed.
        """
        x = apart(open_cache(cache, self), self._flat_grads)
        gradient = floats("dy", dy, self.dtype, (*x.shape[:-1], self.output_size))
        gradient = apart(gradient, self._flat_grads)
        x, gradient = (apart(array, self._weight_grad) for array in (x, gradient))
        # dW += dy^T x, db += sum dy, dx = dy W
        dx = _core.linear_backward(
            as_rows("dy", gradient),
            as_rows("x", x),
            self.weight,
            self._weight_grad,
            self.grads.get("bias"),
            self.compute,
        )
        return dx.reshape(x.shape)

    def loss_head(
        self,
        loss: str,
        targets: Array,
        *,
        scale: float = 1.0,
        weights: Array | None = None,
        ignore_index: int = -100,
        dropout: float = 0.0,
        seed: int = 0,
        label_smoothing: float = 0.0,
    ) -> _core.LossHead:
        """Return this layer with a loss, as the kernel takes it; see `rnncore.heads`."""
        return _core.LossHead(
            loss,
            self.weight,
            self.params.get("bias"),
            self._weight_grad,
            self.grads.get("bias"),
            targets,
            weights,
            ignore_index,
            scale,
            dropout,
            seed,
            self.compute,
            label_smoothing,
        )

    def _checked(self, x: ArrayLike, name: str = "x") -> Array:
        array = floats(name, x, self.dtype)
        if array.ndim == 0 or array.shape[-1] != self.input_size:
            raise ValueError(
                f"{name}: expected shape [..., {self.input_size}], got {describe(array)}"
            )
        return array

    def _product(self, x: Array) -> Array:
        y = _core.linear_forward(
            as_rows("x", x), self.weight, self.params.get("bias"), self.compute
        )
        return y.reshape(*x.shape[:-1], self.output_size)
