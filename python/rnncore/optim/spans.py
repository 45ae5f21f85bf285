"""Which stretches of flat buffers an optimizer changes, and with which settings."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rnncore._check import Array, listed
from rnncore.layers import Embedding
from rnncore.layers.module import Module, require_parameters
from rnncore.optim.clipping import norm_of
from rnncore.optim.groups import Group

__all__ = ["Span", "modules_of", "spans_of"]

Buffers = Mapping[str, Array]
Work = Callable[[Array, Array, dict[str, Array]], None]


@dataclass(frozen=True)
class Span:
    """One stretch of the flat buffers of a module, all of one group.

    Attributes
    ----------
    module : Module
        Whose buffers.
    start, stop : int
        The stretch in them.
    offset : int
        Where the stretch begins in the optimizer's own buffers.
    group : Group or None
        None: the settings of the optimizer.
    """

    module: Module
    start: int
    stop: int
    offset: int
    group: Group | None

    @property
    def frozen(self) -> bool:
        """Whether it is left as it is."""
        return self.group is not None and self.group.frozen

    @property
    def size(self) -> int:
        """Number of parameters."""
        return self.stop - self.start

    @property
    def params(self) -> Array:
        """The parameters [size], a view."""
        return self.module.flat_params[self.start : self.stop]

    @property
    def grads(self) -> Array:
        """Their gradients [size], a view."""
        return self.module.flat_grads[self.start : self.stop]

    def buffers(self, buffers: Buffers) -> dict[str, Array]:
        """Return the part [size] of each of the optimizer's buffers, views."""
        stop = self.offset + self.size
        return {name: buffer[self.offset : stop] for name, buffer in buffers.items()}

    def norm(self) -> float:
        """Return the Euclidean norm of the gradients."""
        return norm_of(self.grads)

    def norm_of_params(self) -> float:
        """Return the Euclidean norm of the parameters."""
        return norm_of(self.params)

    def work(self, buffers: Buffers, work: Work) -> None:
        """Call ``work(params, grads, state)`` with arrays that it changes."""
        work(self.params, self.grads, self.buffers(buffers))

    def zero_grad(self) -> None:
        """Set the gradients to zero."""
        self.grads.fill(0)

    def zeroed(self) -> None:
        """Take note that `work` has set them to zero."""


@dataclass(frozen=True)
class SparseSpan(Span):
    """The matrix of an `Embedding` with sparse gradients: work is done on the rows it has noted."""

    embedding: Embedding

    def norm(self) -> float:
        """Return the norm of the rows."""
        return norm_of(self._rows(self.grads))

    def norm_of_params(self) -> float:
        """Return the norm of the rows."""
        return norm_of(self._rows(self.params))

    def work(self, buffers: Buffers, work: Work) -> None:
        """Work on copies of the rows, which are written back."""
        rows = self.embedding.touched
        arrays = (self.params, self.grads, *self.buffers(buffers).values())
        params, grads, *state = map(self._rows, arrays)
        work(params, grads, dict(zip(buffers, state, strict=True)))
        for array, copy in zip(arrays, (params, grads, *state), strict=True):
            self._matrix(array)[rows] = copy.reshape(-1, self.embedding.embedding_size)

    def zero_grad(self) -> None:
        """Set the gradients of the rows to zero."""
        self._matrix(self.grads)[self.embedding.touched] = 0
        self.zeroed()

    def zeroed(self) -> None:
        """Forget the rows."""
        self.embedding.forget_touched()

    def _rows(self, flat: Array) -> Array:
        """Return a copy of the rows, one after the other."""
        return self._matrix(flat)[self.embedding.touched].ravel()

    def _matrix(self, flat: Array) -> NDArray[Any]:
        return flat.reshape(-1, self.embedding.embedding_size)


def modules_of(value: Any) -> tuple[Module, ...]:
    """Return the module, or the modules of a list, that an optimizer is to train.

    Raises
    ------
    TypeError
        If it is something else, or the dtypes differ.
    ValueError
        If there are no parameters, or a module occurs twice or is a part of another one.
    """
    if not isinstance(value, list | tuple):
        require_parameters("module", value)
        return (value,)
    for i, module in enumerate(value):
        require_parameters(f"module[{i}]", module)
        if module.dtype != value[0].dtype:
            raise TypeError(
                f"module[{i}]: expected dtype {value[0].dtype}, that of the others, got "
                f"{module.dtype}"
            )
    if not value:
        raise ValueError("module: expected at least one layer or model, got an empty list")
    parts = [id(part) for module in value for part in module.modules()]
    if len(set(parts)) < len(parts):
        raise ValueError("module: expected different layers, got one twice or a part of another")
    return tuple(value)


def spans_of(
    modules: Sequence[Module], groups: Sequence[Group], *, numbered: bool
) -> tuple[Span, ...]:
    """Divide the parameters of modules by groups; the first group that has a name counts.

    Parameters
    ----------
    modules : sequence of Module
        In the order of the optimizer's buffers.
    groups : sequence of Group
        Parameters of no group have the settings of the optimizer.
    numbered : bool
        Whether the names of the parameters of module i begin with "i.".

    Raises
    ------
    ValueError
        If a group has no parameters, or all parameters are frozen.
    """
    spans: list[Span] = []
    names: list[str] = []
    for i, module in enumerate(modules):
        sparse = _sparse_parts(module)
        first = len(spans)
        for name, start, shape in sorted(module._layout, key=lambda entry: entry[1]):
            names.append(f"{i}.{name}" if numbered else name)
            group = next((g for g in groups if g.has(names[-1])), None)
            last = spans[-1] if len(spans) > first else None
            stop = start + int(np.prod(shape))
            if start in sparse:
                spans.append(SparseSpan(module, start, stop, 0, group, sparse[start]))
            elif type(last) is Span and last.group is group:
                spans[-1] = replace(last, stop=stop)
            else:
                spans.append(Span(module, start, stop, 0, group))
    for i, group in enumerate(groups):
        if not any(group.has(name) for name in names):
            raise ValueError(
                f"groups[{i}]: no parameter has a name like {' or '.join(group.names)}; there are "
                f"{listed(names)}"
            )
    if all(span.frozen for span in spans):
        raise ValueError("groups: expected parameters that are not frozen, got none")
    return tuple(_with_offsets(spans))


def _with_offsets(spans: Sequence[Span]) -> Iterator[Span]:
    offset = 0
    for span in spans:
        yield replace(span, offset=offset)
        offset += 0 if span.frozen else span.size


def _sparse_parts(module: Module) -> dict[int, Embedding]:
    """Return the embeddings with sparse gradients by where they begin in the module's buffer."""
    begin, size = _address(module.flat_params), module.dtype.itemsize
    embeddings = (part for part in module.modules() if isinstance(part, Embedding) and part.sparse)
    return {(_address(part.flat_params) - begin) // size: part for part in embeddings}


def _address(array: Array) -> int:
    address: int = array.__array_interface__["data"][0]
    return address
