"""Linear, Embedding, Dropout, Tanh and Repeat: values, gradients, shapes, strides."""

import numpy as np
import pytest

import rnncore as rc
from arrays import inputs
from finite_difference import assert_gradient

STEPS, BATCH, INPUT, HIDDEN = 5, 3, 4, 6


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize(
    "shape", [(INPUT,), (BATCH, INPUT), (STEPS, BATCH, INPUT), (0, INPUT), (2, 0, INPUT)]
)
def test_linear(
    bias: bool, shape: tuple[int, ...], dtype: type[np.floating], tolerance: float
) -> None:
    layer = rc.Linear(INPUT, HIDDEN, bias=bias, dtype=dtype, rng=0)
    x, dy = inputs(*shape, dtype=dtype), inputs(*shape[:-1], HIDDEN, dtype=dtype)
    weight = layer.params["weight"]
    y, cache = layer.forward(x)
    expected = x @ weight.T + (layer.params["bias"] if bias else 0)
    assert y.shape == (*shape[:-1], HIDDEN)
    assert y.dtype == dtype
    np.testing.assert_allclose(y, expected, rtol=0, atol=10 * tolerance)
    np.testing.assert_array_equal(layer(x), y)
    for repetition in (1, 2):
        dx = layer.backward(dy, cache)
        np.testing.assert_allclose(dx, dy @ weight, rtol=0, atol=10 * tolerance)
        dweight = dy.reshape(-1, HIDDEN).T @ x.reshape(-1, INPUT)
        np.testing.assert_allclose(
            layer.grads["weight"], repetition * dweight, rtol=0, atol=50 * tolerance
        )
        if bias:
            dbias = dy.reshape(-1, HIDDEN).sum(axis=0)
            np.testing.assert_allclose(
                layer.grads["bias"], repetition * dbias, rtol=0, atol=50 * tolerance
            )
    assert set(layer.params) == ({"weight", "bias"} if bias else {"weight"})


def test_linear_takes_any_strides() -> None:
    layer = rc.Linear(INPUT, HIDDEN, dtype=np.float64, rng=0)
    whole = inputs(2 * STEPS, BATCH, 2 * INPUT, dtype=np.float64)
    for x in (whole[::2, :, ::2], whole[::-1, :, :INPUT].swapaxes(0, 1), whole[:1, :1, :INPUT]):
        y, cache = layer.forward(x)
        np.testing.assert_allclose(
            y, np.ascontiguousarray(x) @ layer.params["weight"].T + layer.params["bias"]
        )
        dy = np.broadcast_to(y[..., :1], y.shape)
        np.testing.assert_allclose(layer.backward(dy, cache), dy @ layer.params["weight"])


def test_linear_gradients_by_finite_differences() -> None:
    layer = rc.Linear(3, 2, dtype=np.float64, rng=0)
    x, dy = inputs(4, 3, dtype=np.float64), inputs(4, 2, dtype=np.float64)
    dx = layer.backward(dy, layer.forward(x)[1])
    for name, values, gradient in (
        ("x", x, dx),
        *((n, layer.params[n], layer.grads[n]) for n in layer.params),
    ):
        assert_gradient(lambda: float((layer(x) * dy).sum()), values, gradient, name)


@pytest.mark.parametrize("shape", [(), (5,), (STEPS, BATCH), (0,), (2, 0)])
def test_embedding(shape: tuple[int, ...], dtype: type[np.floating]) -> None:
    layer = rc.Embedding(7, HIDDEN, dtype=dtype, rng=0)
    ids = np.random.default_rng(0).integers(0, 7, shape)
    y, cache = layer.forward(ids)
    np.testing.assert_array_equal(y, layer.params["weight"][ids])
    np.testing.assert_array_equal(layer(ids), y)
    assert y.dtype == dtype
    dy = inputs(*y.shape, dtype=dtype)
    expected = np.zeros((7, HIDDEN), dtype)
    np.add.at(expected, ids, dy)
    for repetition in (1, 2):
        assert layer.backward(dy, cache) is None
        np.testing.assert_allclose(layer.grads["weight"], repetition * expected, atol=1e-5)


def test_embedding_is_the_product_with_one_hot_vectors() -> None:
    """The tutorial's U x_t, without the product."""
    layer = rc.Embedding(5, 3, dtype=np.float64, rng=0)
    np.testing.assert_array_equal(layer([4, 0]), np.eye(5)[[4, 0]] @ layer.params["weight"])


def test_dropout_of_inference_is_the_identity() -> None:
    x = inputs(STEPS, BATCH)
    assert rc.Dropout(0.5)(x) is x
    y, cache = (layer := rc.Dropout(0.0)).forward(x)
    assert y is x
    assert layer.backward(y, cache) is y


def test_dropout_drops_p_and_keeps_the_mean(dtype: type[np.floating]) -> None:
    layer = rc.Dropout(0.3, rng=0)
    x = np.ones((200, 500), dtype)
    y, cache = layer.forward(x)
    kept = y != 0
    # 100,000 draws: the share has the standard deviation 0.0014
    assert abs(kept.mean() - 0.7) < 0.01
    np.testing.assert_allclose(y[kept], 1 / 0.7, rtol=1e-6)
    np.testing.assert_array_equal(layer.backward(x, cache), y)
    np.testing.assert_array_equal(layer.backward(x, cache), y)
    assert np.any(layer.forward(x)[0] != y)
    np.testing.assert_array_equal(rc.Dropout(0.3, rng=0).forward(x)[0], y)


def test_dropout_mask_goes_by_position_whatever_the_strides() -> None:
    layer = rc.Dropout(0.5, rng=0)
    x = np.ones((6, 10), np.float32)
    y, cache = layer.forward(np.asfortranarray(x))
    for dy in (
        x,
        np.asfortranarray(x),
        np.ones((12, 20), np.float32)[::2, ::2],
        np.broadcast_to(np.float32(1), (6, 10)),
    ):
        np.testing.assert_array_equal(layer.backward(dy, cache), y)


def test_tanh(dtype: type[np.floating], tolerance: float) -> None:
    layer = rc.layers.Tanh()
    x, dy = inputs(STEPS, BATCH, INPUT, dtype=dtype), inputs(STEPS, BATCH, INPUT, dtype=dtype)
    y, cache = layer.forward(x)
    assert y.dtype == dtype
    np.testing.assert_array_equal(layer(x), y)
    np.testing.assert_allclose(y, np.tanh(x.astype(np.float64)), rtol=0, atol=tolerance)
    expected = dy * (1 - np.tanh(x.astype(np.float64)) ** 2)
    for _ in range(2):  # the cache may be used again
        np.testing.assert_allclose(layer.backward(dy, cache), expected, rtol=0, atol=10 * tolerance)


def test_repeat(dtype: type[np.floating], tolerance: float) -> None:
    layer = rc.layers.Repeat()
    x, dy = inputs(BATCH, INPUT, dtype=dtype), inputs(STEPS, BATCH, INPUT, dtype=dtype)
    y, cache = layer.forward(x, num_steps=STEPS)
    np.testing.assert_array_equal(y, np.stack([x] * STEPS))
    np.testing.assert_array_equal(layer(x, STEPS), y)
    np.testing.assert_allclose(
        layer.backward(dy, cache), dy.sum(axis=0), rtol=0, atol=10 * tolerance
    )
    assert layer(x, 0).shape == (0, BATCH, INPUT)
    assert not layer.backward(np.zeros((0, BATCH, INPUT), dtype), layer.forward(x, 0)[1]).any()


@pytest.mark.parametrize("layer", [rc.layers.Tanh(), rc.layers.Repeat()])
def test_tanh_and_repeat_refuse(layer: rc.layers.Module) -> None:
    steps = (2,) if isinstance(layer, rc.layers.Repeat) else ()
    with pytest.raises(TypeError, match="x: expected"):
        layer(np.zeros((2, 3), int), *steps)
    _, cache = layer.forward(np.zeros((2, 3)), *steps)
    with pytest.raises(ValueError, match="dy: expected shape"):
        layer.backward(np.zeros((1, 1)), cache)
    if steps:
        with pytest.raises(ValueError, match="x: expected shape"):
            layer(np.zeros(3), *steps)
        with pytest.raises(ValueError, match="num_steps"):
            layer(np.zeros((2, 3)), -1)
