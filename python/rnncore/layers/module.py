"""Module: named parameters and gradients in two flat buffers; base of every layer and model."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, ClassVar, Self

import numpy as np
from numpy.typing import DTypeLike

from rnncore import _memory, _restoring
from rnncore._check import Array, converted, describe, float_dtype, generator, listed, quoted
from rnncore.layers.parameters import Layout, ParameterDict, assign, total_size


class Module:
    """Base of layers and models.

    A layer calls ``super().__init__(dtype, rng)`` and then `_allocate` with its parameters; a
    composite calls ``super().__init__(dtype, rng)`` and then `_adopt` with its named children.
    Both define `config`, from which `from_config` rebuilds an equal module with new parameters, and
    name in `_fixed` the attributes that cannot be changed after the constructor.

    Parameters
    ----------
    dtype : float32 or float64
        Type of parameters, inputs and outputs.
    rng : numpy Generator, int or None
        Source of the initial parameters and of dropout masks.
    """

    _fixed: ClassVar[frozenset[str]] = frozenset()

    def __init__(
        self, dtype: DTypeLike = np.float32, rng: np.random.Generator | int | None = None
    ) -> None:
        self._dtype = float_dtype(dtype)
        self._rng = generator(rng)
        self._version = 0
        self._children: dict[str, Module] = {}
        self._adopted = False
        self._bind(np.zeros(0, self._dtype), np.zeros(0, self._dtype), [])

    def __setattr__(self, name: str, value: Any) -> None:
        if name in self._fixed and name in self.__dict__:
            raise AttributeError(
                f"{name}: read-only, the constructor was given {self.__dict__[name]!r}; make "
                f"another {type(self).__name__} for {value!r}"
            )
        super().__setattr__(name, value)

    # --- parameters ------------------------------------------------------------------------------
    @property
    def dtype(self) -> np.dtype[Any]:
        """Type of the parameters: float32 or float64."""
        return self._dtype

    @property
    def rng(self) -> np.random.Generator:
        """Source of the initial parameters and of dropout masks."""
        return self._rng

    @property
    def params(self) -> dict[str, Array]:
        """Name -> parameter, a view of `flat_params`; assigning to a name writes into the view.

        An assignment counts as a change, see `mark_changed`; writing into an array does not.
        """
        return self._params

    @property
    def grads(self) -> dict[str, Array]:
        """Name -> gradient, a view of `flat_grads`; every backward pass adds to it."""
        return self._grads

    @property
    def flat_params(self) -> Array:
        """All parameters in one contiguous array [P]; assigning to it writes into the buffer."""
        return self._flat_params

    @flat_params.setter
    def flat_params(self, value: Array) -> None:  # also ``flat_params -= lr * flat_grads``
        assign("flat_params", self._flat_params, value)
        self.mark_changed()

    @property
    def flat_grads(self) -> Array:
        """All gradients in one contiguous array [P]; assigning to it writes into the buffer."""
        return self._flat_grads

    @flat_grads.setter
    def flat_grads(self, value: Array) -> None:
        assign("flat_grads", self._flat_grads, value)

    @property
    def num_params(self) -> int:
        """Number of parameters P."""
        return self._flat_params.size

    @property
    def version(self) -> int:
        """Counts the changes of the parameters; a `Cache` made before a change is refused."""
        return self._version

    def zero_grad(self) -> None:
        """Set every gradient to zero."""
        self._flat_grads.fill(0)

    def mark_changed(self) -> None:
        """Note that the parameters have changed, so that older caches are refused.

        Optimisers, `rnncore.init`, ``flat_params -= ...`` and ``params[name] = ...`` do this; call
        it after writing into an array of parameters by hand.
        """
        for module in self.modules():
            module._version += 1

    def reset_parameters(self, rng: np.random.Generator | int | None = None) -> None:
        """Draw new parameters from the default distribution of each layer.

        Parameters
        ----------
        rng : numpy Generator, int or None
            None takes the module's own `rng`.
        """
        source = self._rng if rng is None else generator(rng)
        for module in self.modules():
            module._initialise(source)
        self.mark_changed()

    def _draw(self) -> None:
        """Draw the initial parameters, unless they are about to come from a file."""
        if not _restoring.is_restoring():
            self._initialise(self._rng)

    def _initialise(self, rng: np.random.Generator) -> None:
        """Draw this layer's own parameters; a composite has none."""

    def modules(self) -> Iterator[Module]:
        """Yield this module and all modules inside it."""
        yield self
        for child in self._children.values():
            yield from child.modules()

    # --- saving and loading ----------------------------------------------------------------------
    def state_dict(self) -> dict[str, Array]:
        """Return a copy of every parameter by name."""
        return {name: value.copy() for name, value in self._params.items()}

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        """Copy parameters in; all of them or, after an error, none.

        Parameters
        ----------
        state_dict : mapping name -> array
            Exactly the names and shapes of `params`. The numbers are rounded to `dtype`: arrays of
            every floating type and byte order, nested lists, tensors of PyTorch.

        Raises
        ------
        ValueError
            If a name is missing or unknown, a shape differs, or a number is too large for `dtype`.
        TypeError
            If `state_dict` is no mapping, or a value holds other than floating numbers.
        """
        if not isinstance(state_dict, Mapping):
            raise TypeError(f"state_dict: expected a mapping, got {describe(state_dict)}")
        missing = [name for name in self._params if name not in state_dict]
        unexpected = [name for name in state_dict if name not in self._params]
        if missing or unexpected:
            raise ValueError(
                f"state_dict: expected the parameters of {self!r}; missing {listed(missing)}, "
                f"unexpected {listed(unexpected)}{_without_prefix(self._params, state_dict)}"
            )
        arrays = {
            name: converted(f"state_dict[{name!r}]", state_dict[name], self._dtype, view.shape)
            for name, view in self._params.items()
        }
        for name, array in arrays.items():
            self._params[name][...] = array
        self.mark_changed()

    def config(self) -> dict[str, Any]:
        """Return the constructor's arguments as JSON values, without `rng`."""
        raise TypeError(f"{type(self).__name__} defines no config and cannot be saved or copied")

    def vocabulary(self) -> Any:
        """Return what a model says about its tokens as a JSON value; None for layers."""
        return None

    @classmethod
    def from_config(cls, config: Mapping[str, Any], vocabulary: Any = None) -> Self:
        """Build a module from `config` and `vocabulary`, with freshly drawn parameters."""
        if vocabulary is not None:
            raise ValueError(f"vocabulary: expected none for {cls.__name__}")
        return cls(**config)

    def __reduce__(self) -> tuple[Any, ...]:
        """Copy and pickle: rebuild from the configuration, then restore values and generators.

        Plain pickling would turn the views of the flat buffers into separate arrays.
        """
        generators = [module._rng for module in self.modules()]
        state = (self._flat_params.copy(), self._flat_grads.copy(), generators)
        return type(self).from_config, (self.config(), self.vocabulary()), state

    def __setstate__(self, state: tuple[Array, Array, list[np.random.Generator]]) -> None:
        flat_params, flat_grads, generators = state
        self._flat_params[:] = flat_params
        self._flat_grads[:] = flat_grads
        for module, rng in zip(self.modules(), generators, strict=True):
            module._rng = rng

    def __repr__(self) -> str:
        try:
            config = self.config()
        except (TypeError, AttributeError):  # no config, or called before the constructor finished
            config = {}
        return f"{type(self).__name__}({', '.join(f'{k}={v!r}' for k, v in config.items())})"

    # --- memory ----------------------------------------------------------------------------------
    def _allocate(self, layout: Layout) -> None:
        """Make the flat buffers of a layer, zero-filled."""
        count = total_size(layout)
        _restoring.require_elements("parameters", count)
        _memory.require(
            2 * count * self._dtype.itemsize,
            f"the {count} parameters of {self!r} and their gradients",
        )
        self._bind(np.zeros(count, self._dtype), np.zeros(count, self._dtype), layout)

    def _adopt(self, children: Mapping[str, Module]) -> None:
        """Make `children` parts of this module: move their parameters into one pair of buffers.

        The children keep working; their `params` become views of this module's buffers, in which
        the parameter ``weight`` of the child ``output`` is called ``output.weight``.
        """
        layout: Layout = []
        start = 0
        for prefix, child in children.items():
            if child._adopted or sum(child is other for other in children.values()) > 1:
                raise ValueError(f"{prefix}: {child!r} is already part of a module")
            if child.num_params and child.dtype != self._dtype:
                raise TypeError(f"{prefix}: expected dtype {self._dtype}, got {child.dtype}")
            layout += [
                (f"{prefix}.{name}", start + offset, shape) for name, offset, shape in child._layout
            ]
            start += child.num_params
        before = [(child.flat_params, child.flat_grads) for child in children.values()]
        self._children = dict(children)
        self._allocate(layout)
        for child, (params, grads) in zip(children.values(), before, strict=True):
            child._flat_params[:] = params
            child._flat_grads[:] = grads
            child._adopted = True

    def _bind(self, flat_params: Array, flat_grads: Array, layout: Layout) -> None:
        """Make `params` and `grads` views of these buffers, in the children too."""
        self._flat_params = flat_params
        self._flat_grads = flat_grads
        self._layout = layout
        self._params = ParameterDict(flat_params, layout, self)
        self._grads = ParameterDict(flat_grads, layout)
        start = 0
        for child in self._children.values():
            stop = start + child.num_params
            child._bind(flat_params[start:stop], flat_grads[start:stop], child._layout)
            start = stop


def _without_prefix(names: Iterable[str], state_dict: Mapping[Any, Any]) -> str:
    """Say how to take `names` from the state dictionary of a larger model, if it holds them all."""
    first = next(iter(names), "")
    for found in state_dict:
        if not (first and isinstance(found, str) and found.endswith(f".{first}")):
            continue
        prefix = found.removesuffix(first)
        if all(prefix + name in state_dict for name in names):
            quote = quoted(prefix)
            return (
                f"; those with the prefix {quote} fit: load_state_dict({{name.removeprefix({quote})"
                f": value for name, value in state_dict.items() if name.startswith({quote})}})"
            )
    return ""
