"""Arrays however they lie in memory: every call that takes them gives what a plain copy gives."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

import rnncore as rc
from arrays import inputs, map_state
from rnncore import _core

Array = NDArray[Any]
Layout = Callable[[Array], Array]
Results = tuple[Array, ...]


class Misleading(np.ndarray):
    """An array whose own `copy` is of another shape and type; it must not be asked."""

    def copy(self, order: Any = "C") -> Any:
        return np.zeros(1, np.int8)


def unaligned(values: Array) -> Array:
    memory = b"hdr" + values.tobytes()
    return np.frombuffer(memory, values.dtype, offset=3).reshape(values.shape)


def in_records(values: Array) -> Array:
    records = np.zeros(values.shape, np.dtype([("flag", "u1"), ("value", values.dtype)]))
    records["value"] = values
    return records["value"]


def flipped(values: Array, layout: Layout = np.array) -> Array:
    """Backwards in memory, which is of another layout."""
    flip = (slice(None, None, -1),) * values.ndim
    return layout(values[flip])[flip]


def spread(values: Array) -> Array:
    wide = np.full([2 * n for n in values.shape], 77, values.dtype)
    view = wide[(slice(None, None, 2),) * values.ndim]
    view[...] = values
    return view


def repeated(values: Array) -> Array:
    """The first element of the first axis for all of them; so what it returns is not `values`."""
    return np.broadcast_to(values[:1], values.shape) if values.ndim else values


def read_only(values: Array) -> Array:
    values = values.copy()
    values.flags.writeable = False
    return values


LAYOUTS: dict[str, Layout] = {
    "unaligned": unaligned,
    "unaligned, subclass": lambda values: unaligned(values).view(Misleading),
    "unaligned, reversed": lambda values: flipped(values, unaligned),
    "in records": in_records,
    "reversed": flipped,
    "repeated": repeated,
    "Fortran": np.asfortranarray,
    "spread": spread,
    "read-only": read_only,
    "subclass": lambda values: spread(values).view(Misleading),
}


STEPS, BATCH, INPUTS, HIDDEN, CLASSES = 40, 3, 9, 33, 12
IDS = np.random.default_rng(2).integers(0, CLASSES, (STEPS, BATCH))


def stream(batch_size: int = BATCH, weight_format: str | None = None, size: int = INPUTS) -> Any:
    return rc.LSTM(size, HIDDEN, num_layers=2, rng=0).stream(batch_size, weight_format)


def stream_run(layout: Layout) -> Results:
    return tuple(
        stream(weight_format=w).run(layout(inputs(STEPS, BATCH, INPUTS))) for w in (None, "int8")
    )


def stream_run_of_one(layout: Layout) -> Results:
    one = stream(1)
    return one.run(layout(inputs(2000, INPUTS))), *one.state


def stream_step(layout: Layout) -> Results:
    some, one = stream(), stream(1)
    return some.step(layout(inputs(BATCH, INPUTS))), one.step(layout(inputs(INPUTS))), *some.state


def stream_of_ids(layout: Layout) -> Results:
    some, one = stream(size=CLASSES), stream(1, size=CLASSES)
    return some.run(layout(IDS)), some.step(layout(IDS[0])), one.run(layout(IDS[:, 0]))


def stream_state(layout: Layout) -> Results:
    some = stream()
    some.state = tuple(layout(inputs(2, BATCH, HIDDEN, seed=i)) for i in range(2))
    return (*some.state, some.step(inputs(BATCH, INPUTS)))


def stream_of_parameters(layout: Layout) -> Results:
    network = _core.Network("gru_after", INPUTS, HIDDEN)
    params = layout(inputs(network.num_params))
    if not params.flags.c_contiguous:  # refused
        params = np.array(params)
    return (_core.Stream(network, params, BATCH).run(inputs(STEPS, BATCH, INPUTS)),)


def sampler(layout: Layout) -> Results:
    network = _core.Network("lstm", INPUTS, HIDDEN)
    params = np.ascontiguousarray(inputs(network.num_params) / 10)
    arrays = (inputs(CLASSES, INPUTS), inputs(CLASSES, HIDDEN), inputs(CLASSES))
    made = _core.Sampler(network, layout(params), *map(layout, arrays))
    made.feed(layout(IDS[:, 0]))
    return made.score(layout(IDS[:, 1])), made.draw(STEPS, 1.0, 0, 1.0, 1, 0)


def language_model(layout: Layout) -> Results:
    model = rc.LanguageModel(CLASSES, "gru", INPUTS, HIDDEN, 1, rng=0)
    loss, state = model.loss_and_grad(rc.data.Batch(layout(IDS), layout(IDS)))
    return np.array(loss), state, model.flat_grads, model.score(layout(IDS[:, 0]))


def recurrent(layout: Layout) -> Results:
    layer = rc.GRU(INPUTS, HIDDEN, bidirectional=True, rng=0)
    x, state, dy = (
        layout(inputs(STEPS, BATCH, INPUTS)),
        layout(inputs(2, BATCH, HIDDEN)),
        layout(inputs(STEPS, BATCH, 2 * HIDDEN)),
    )
    lengths = layout(np.array([STEPS, STEPS // 2, 0]))
    y, final = layer(x, state, lengths)
    kept, _, cache = layer.forward(x, state)
    dx, dstate = layer.backward(dy, cache, state)
    frozen, _ = layer.frozen()(x, state, lengths)
    return y, final, kept, dx, dstate, layer.flat_grads, frozen


def feedforward(layout: Layout) -> Results:
    linear, embedding = rc.Linear(INPUTS, CLASSES, rng=0), rc.Embedding(CLASSES, INPUTS, rng=0)
    y, cache = linear.forward(layout(inputs(STEPS, BATCH, INPUTS)))
    dx = linear.backward(layout(inputs(STEPS, BATCH, CLASSES)), cache)
    rows, cache = embedding.forward(layout(IDS))
    embedding.backward(layout(inputs(STEPS, BATCH, INPUTS)), cache)
    dropped, _ = rc.Dropout(0.5, rng=0).forward(layout(inputs(STEPS, INPUTS)))
    return y, dx, linear.flat_grads, rows, embedding.flat_grads, dropped


def losses(layout: Layout) -> Results:
    logits, target = (
        layout(inputs(STEPS, BATCH, CLASSES)),
        layout(inputs(STEPS, BATCH, CLASSES, seed=3)),
    )
    return (
        *map(np.asarray, rc.losses.cross_entropy(logits, layout(IDS))),
        *map(np.asarray, rc.losses.mse(logits, target)),
        *map(np.asarray, rc.losses.binary_cross_entropy(logits, layout(np.abs(target) % 1))),
    )


def kernels(layout: Layout) -> Results:
    a, b = layout(inputs(STEPS, INPUTS)), layout(inputs(CLASSES, INPUTS))
    values = layout(inputs(STEPS))
    maps = (_core.kernel_map(name, values) for name in ("exp", "tanh", "sigmoid"))
    stored = (_core.kernel_stored_product(a, b, form) for form in ("full", "bfloat16", "int8"))
    return *maps, *stored, _core.kernel_product(a, b), np.array(_core.squared_norm(values))


CALLS = [
    stream_run,
    stream_run_of_one,
    stream_step,
    stream_of_ids,
    stream_state,
    stream_of_parameters,
    sampler,
    language_model,
    recurrent,
    feedforward,
    losses,
    kernels,
]


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("call", CALLS, ids=lambda call: call.__name__)
def test_any_layout(call: Callable[[Layout], Results], layout: str) -> None:
    def plain(values: Array) -> Array:
        return np.ascontiguousarray(np.asarray(LAYOUTS[layout](values)).tolist(), values.dtype)

    for got, expected in zip(call(LAYOUTS[layout]), call(plain), strict=True):
        np.testing.assert_array_equal(got, expected)


@pytest.mark.parametrize("layout", ["unaligned", "in records", "reversed", "spread", "read-only"])
def test_out_is_in_place(layout: str) -> None:
    """What could be written only through a copy is refused, and not written."""
    some, view = stream(), LAYOUTS[layout](np.zeros((BATCH, HIDDEN), np.float32))
    with pytest.raises(ValueError, match="out: expected"):
        some.step(inputs(BATCH, INPUTS), out=view)
    np.testing.assert_array_equal(view, 0)
    np.testing.assert_array_equal(some.state, map_state(np.zeros_like, some.state))
