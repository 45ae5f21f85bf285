"""Module: named parameters and gradients in two flat buffers; base of every layer and model."""

from __future__ import annotations

import copy
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Self

import numpy as np
from numpy.typing import DTypeLike

from rnncore import _restoring
from rnncore._check import Array, converted, describe, float_dtype, generator, listed, quoted
from rnncore._keywords import StrictKeywords, strict_keywords
from rnncore.layers.arguments import Configured
from rnncore.layers.assembly import Assembly, restore, without_buffers
from rnncore.layers.parameters import apart, assign

__all__ = ["Module", "require_parameters"]


class Module(StrictKeywords, Configured, Assembly):
    """Base of layers and models.

    A model calls ``super().__init__(dtype, rng)`` and assigns its layers to attributes. Each of
    them becomes a part of it, as does each layer of a list, which is kept as a tuple. The model has
    the parameters of all its parts in one buffer: ``weight`` of the layer ``output`` is called
    ``output.weight`` there, that of ``blocks[0]`` is ``blocks.0.weight``. The layers keep working;
    their parameters move, so that arrays taken from `params` before an assignment are no views any
    more. Assigning something else to the attribute makes the old layer a module of its own again.

    A layer calls `_allocate` with parameters of its own. The arguments of the constructor are
    read-only attributes and make up `config`, from which `from_config` rebuilds an equal module
    with new parameters.

    Copies and pickles have every attribute, and parameters of their own; ``copy.copy`` is
    ``copy.deepcopy``.

    Parameters
    ----------
    dtype : float32 or float64
        Type of parameters, inputs and outputs.
    rng : numpy Generator, int or None
        Source of the initial parameters and of dropout masks.

    Examples
    --------
    >>> import rnncore as rc
    >>> class Classifier(rc.layers.Module):
    ...     def __init__(self):
    ...         super().__init__()
    ...         self.rnn = rc.GRU(8, 16, rng=0)
    ...         self.output = rc.Linear(16, 3, rng=1)
    >>> list(Classifier().params)[-2:]
    ['output.weight', 'output.bias']
    """

    def __init__(
        self, dtype: DTypeLike = np.float32, rng: np.random.Generator | int | None = None
    ) -> None:
        super().__init__(float_dtype(dtype))
        self._rng = generator(rng)

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
    def flat_params(self, value: Array) -> None:  # also ``flat_params -= rate * flat_grads``
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

    def zero_grad(self) -> None:
        """Set every gradient to zero."""
        self._flat_grads.fill(0)
        for module in self.modules():
            module.forget_touched()

    def forget_touched(self) -> None:
        """Note that this layer's gradients are zero; see `Embedding`."""

    @strict_keywords()
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
        """Iterate over this module and all modules inside it."""
        return self._tree()

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
                f"state_dict: expected the parameters of this {type(self).__name__}; missing "
                f"{listed(missing)}, "
                f"unexpected {listed(unexpected)}{_without_prefix(self._params, state_dict)}"
            )
        arrays = {
            name: apart(
                converted(f"state_dict[{name!r}]", state_dict[name], self._dtype, view.shape),
                self._flat_params,
            )
            for name, view in self._params.items()
        }
        for name, array in arrays.items():
            self._params[name][...] = array
        self.mark_changed()

    def __getstate__(self) -> Any:
        """Return every attribute, with this module's own share of the buffers."""
        state = super().__getstate__()  # where a subclass has __slots__: (attributes, slots)
        self._require_memory(self._size(), "a copy")
        attributes, slots = state if isinstance(state, tuple) else (state, {})
        return without_buffers(attributes), slots

    def __setstate__(self, state: tuple[dict[str, Any], dict[str, Any]]) -> None:
        attributes, slots = state
        restore(self, attributes)
        for name, value in slots.items():
            object.__setattr__(self, name, value)

    def __copy__(self) -> Self:
        """Copy whole: two modules never share parameters."""
        return copy.deepcopy(self)


def require_parameters(name: str, module: object) -> None:
    """Raise unless `module` is a layer or model that has parameters."""
    if not isinstance(module, Module):
        raise TypeError(f"{name}: expected a layer or model, got {describe(module)}")
    if not module.num_params:
        raise ValueError(
            f"{name}: expected a layer or model with parameters, got {module!r}, which has none; "
            "a model has those of the layers that it assigns to attributes, as in "
            "self.output = Linear(3, 2), after super().__init__()"
        )


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
