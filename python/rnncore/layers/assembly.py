"""Modules made of modules: parts are registered by assignment, and share one pair of buffers."""

from __future__ import annotations

import copy
import os
import threading
import weakref
from collections.abc import Iterator, Mapping
from typing import Any, TypeVar

import numpy as np

from rnncore import _memory, _restoring
from rnncore._check import Array, describe
from rnncore.layers.parameters import Layout, ParameterDict, total_size

Kind = TypeVar("Kind", bound="Assembly")

_merging = threading.RLock()
if hasattr(os, "register_at_fork"):  # a child would find it held by a thread that it does not have
    os.register_at_fork(
        before=_merging.acquire,
        after_in_parent=_merging.release,
        after_in_child=_merging.release,
    )


class _WhenAsked:
    """An attribute that stands on the buffers of the whole model.

    A change of the model takes it away from every module in it; asking for it merges the buffers.
    It has no ``__set__``: once made, it is found in the instance, at no cost.
    """

    def __set_name__(self, owner: type, name: str) -> None:
        self._name = name

    def __get__(self, module: Assembly | None, kind: type) -> Any:
        if module is None:
            return self
        if "_children" not in module.__dict__:
            raise AttributeError(
                f"{kind.__name__}: its constructor did not call super().__init__()"
            )
        *_, root = module._ancestors()
        root._merge()
        return module.__dict__[self._name]


def _when_asked() -> Any:
    return _WhenAsked()


class Assembly:
    """What makes a `Module` of modules: named parts, and the parameters of all in one buffer.

    Every module keeps its own parameters, without those of its parts, in ``_own_params``, which is
    always valid: a part of the model's buffer, or of one from before the model has changed.
    """

    _flat_params: Array = _when_asked()
    _flat_grads: Array = _when_asked()
    _layout: Layout = _when_asked()
    _params: ParameterDict = _when_asked()
    _grads: ParameterDict = _when_asked()

    def __init__(self, dtype: np.dtype[Any]) -> None:
        self._dtype = dtype
        self._version = 0
        self._structure = 0
        self._children: dict[str, dict[str, Assembly]] = {}  # attribute -> name -> part
        self._parent: weakref.ref[Assembly] | None = None  # weak: freed with the last reference
        self._own_layout: Layout = []
        self._own_params = np.zeros(0, dtype)
        self._own_grads = np.zeros(0, dtype)

    # --- assignment ------------------------------------------------------------------------------
    def __setattr__(self, name: str, value: Any) -> None:
        self._require_free(name)
        # A property assigns again where it keeps the value.
        parts = {} if isinstance(getattr(type(self), name, None), property) else _parts(name, value)
        if parts:
            self._require_joinable(name, parts)
            value = tuple(value) if isinstance(value, list) else value
        super().__setattr__(name, value)
        if parts or name in self.__dict__.get("_children", ()):
            self._set_parts(name, parts)

    def __delattr__(self, name: str) -> None:
        self._require_free(name)
        super().__delattr__(name)
        if name in self._children:
            self._set_parts(name, {})

    def _require_free(self, name: str) -> None:
        """Raise unless the attribute `name` may be assigned."""

    def _require_joinable(self, name: str, parts: Mapping[str, Assembly]) -> None:
        """Raise unless `parts` may become those of the attribute `name`."""
        if "_children" not in self.__dict__:
            raise AttributeError(
                f"{name}: call super().__init__() before assigning layers, in {type(self).__name__}"
            )
        above = list(self._ancestors())
        taken = {id(module) for module in above}
        present = {id(part) for part in self._children.get(name, {}).values()}
        for part_name, part in parts.items():
            elsewhere = part._above() is not None and id(part) not in present
            if elsewhere or id(part) in taken:
                raise ValueError(f"{part_name}: {part!r} is already part of a module")
            taken.add(id(part))
            for module in part._tree():
                wrong = [other._dtype for other in above if other._dtype != module._dtype]
                if module._own_layout and wrong:
                    raise TypeError(
                        f"{part_name}: expected dtype {wrong[0]}, that of the module it becomes "
                        f"part of, got {module._dtype}; super().__init__(dtype) sets it"
                    )

    def _set_parts(self, name: str, parts: dict[str, Assembly]) -> None:
        """Make `parts` those of the attribute `name`, and the present ones modules of their own."""
        for part in self._children.get(name, {}).values():
            part._parent = None
            part._forget_buffers()
        self._children[name] = parts
        for part in parts.values():
            part._parent = weakref.ref(self)
        self._restructured()

    # --- changes ---------------------------------------------------------------------------------
    @property
    def version(self) -> int:
        """Counts the changes of the parameters; a `Cache` made before a change is refused."""
        return self._version

    @property
    def structure(self) -> int:
        """Counts the changes of what is part of this module; an older optimizer is refused."""
        return self._structure

    def mark_changed(self) -> None:
        """Note that the parameters have changed, so that older caches are refused.

        Optimizers, `rnncore.init`, ``flat_params -= ...`` and ``params[name] = ...`` do this; call
        it after writing into an array of parameters by hand.
        """
        for module in self._tree():
            module.__dict__["_version"] += 1  # quickly: every step of an optimizer does this

    # --- tree ------------------------------------------------------------------------------------
    def _parts(self) -> Iterator[tuple[str, Assembly]]:
        """Yield the direct parts and their names, in the order of assignment."""
        for parts in self._children.values():
            yield from parts.items()

    def _tree(self) -> Iterator[Any]:
        """Yield this module and all modules inside it."""
        yield self
        for parts in self._children.values():
            for part in parts.values():
                yield from part._tree()

    def _above(self) -> Assembly | None:
        """Return the module that this one is a direct part of."""
        return None if self._parent is None else self._parent()

    def _ancestors(self) -> Iterator[Assembly]:
        """Yield this module and all that it is inside of, the whole model last."""
        module: Assembly | None = self
        while module is not None:
            yield module
            module = module._above()

    # --- memory ----------------------------------------------------------------------------------
    def _allocate(self, layout: Layout) -> None:
        """Make this layer's own parameters and their gradients, zero-filled."""
        count = total_size(layout)
        _restoring.require_elements("parameters", count)
        self._require_memory(count, repr(self))
        self._own_layout = layout
        self._own_params = np.zeros(count, self._dtype)
        self._own_grads = np.zeros(count, self._dtype)
        self._restructured()

    def _require_memory(self, count: int, whose: str) -> None:
        num_bytes = 2 * count * self._dtype.itemsize
        _memory.require(num_bytes, f"the {count} parameters of {whose} and their gradients")

    def _restructured(self) -> None:
        """Note that parts or parameters have come or gone."""
        for module in self._ancestors():
            module._structure += 1
        module._forget_buffers()

    def _forget_buffers(self) -> None:
        for module in self._tree():
            for name in _BUFFERS:
                module.__dict__.pop(name, None)

    def _size(self) -> int:
        return sum(module._own_params.size for module in self._tree())

    def _merge(self) -> None:
        """Move the parameters of this whole model into one pair of buffers."""
        with _merging:
            if _BUFFERS[-1] in self.__dict__:  # another thread was faster
                return
            params, grads = self._own_params, self._own_grads
            if self._children or not (params.flags.owndata and grads.flags.owndata):
                count = self._size()
                self._require_memory(count, type(self).__name__)  # repr may ask for parameters
                params, grads = np.empty(count, self._dtype), np.empty(count, self._dtype)
            self._bind(params, grads)

    def _bind(self, params: Array, grads: Array) -> None:
        """Move into these buffers: first what is its own, then part by part."""
        start = self._own_params.size
        if params is not self._own_params:
            params[:start], grads[:start] = self._own_params, self._own_grads
            self._own_params, self._own_grads = params[:start], grads[:start]
        layout = list(self._own_layout)
        for name, part in self._parts():
            stop = start + part._size()
            part._bind(params[start:stop], grads[start:stop])
            layout += [(f"{name}.{n}", start + offset, shape) for n, offset, shape in part._layout]
            start = stop
        views = ParameterDict(params, layout, self), ParameterDict(grads, layout)
        self.__dict__.update(zip(_BUFFERS, (params, grads, layout, *views), strict=True))


_BUFFERS = tuple(name for name, value in vars(Assembly).items() if isinstance(value, _WhenAsked))


def without_buffers(attributes: Mapping[str, Any]) -> dict[str, Any]:
    """Return the attributes that a copy of a module needs, to be given to `restore`."""
    return {k: v for k, v in attributes.items() if k not in (*_BUFFERS, "_parent")}


def restore(module: Assembly, attributes: Mapping[str, Any]) -> None:
    """Give a new module the attributes of another, copied."""
    module.__dict__.update(attributes, _parent=None)
    for _, part in module._parts():
        part.__dict__["_parent"] = weakref.ref(module)


def copy_for_inference(module: Kind) -> Kind:
    """Return a deep copy of a module for inference: its gradients are zeros.

    Zeros that are never written take no memory on systems that give pages on demand.
    """
    zeros = {id(m._own_grads): np.zeros_like(m._own_grads) for m in module._tree()}
    return copy.deepcopy(module, zeros)


def _parts(name: str, value: Any) -> dict[str, Assembly]:
    """Return the modules of a value that is assigned to the attribute `name`, by their names."""
    if isinstance(value, Assembly):
        return {name: value}
    if not _is_container(value) or not any(_holds_module(element) for element in _elements(value)):
        return {}
    if isinstance(value, dict) or not all(isinstance(element, Assembly) for element in value):
        raise TypeError(
            f"{name}: expected a layer or a list of nothing but layers, got {describe(value)}; "
            "layers inside it would not become parts of the model"
        )
    return {f"{name}.{i}": element for i, element in enumerate(value)}


def _is_container(value: Any) -> bool:
    return isinstance(value, list | tuple | dict)


def _elements(container: Any) -> Any:
    return container.values() if isinstance(container, dict) else container


def _holds_module(element: Any) -> bool:
    """Whether it is a module, or a container that has one among its elements."""
    inside = _elements(element) if _is_container(element) else (element,)
    return any(isinstance(value, Assembly) for value in inside)
