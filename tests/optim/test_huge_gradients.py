"""Finite gradients near the limits of their type: no step makes a number that is not finite."""

import copy
import math
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

import rnncore as rc
from rnncore import optim
from rnncore.optim.optimizer import Update
from trainables import Counter, Ticks, plain

Array = NDArray[Any]
NAMES = ["SGD", "momentum", "RMSprop", "Adam", "AdamW"]
every_optimizer = pytest.mark.parametrize("name", NAMES)


def make(name: str, module: rc.Linear, **options: Any) -> optim.Optimizer:
    if name == "momentum":
        return optim.SGD(module, momentum=0.9, **options)
    optimizer: optim.Optimizer = getattr(optim, name)(module, **options)
    return optimizer


def numbers(optimizer: optim.Optimizer) -> list[Array]:
    """Copies of the parameters and of all that the optimizer keeps."""
    state = [value for value in optimizer.state_dict().values() if isinstance(value, np.ndarray)]
    return [optimizer.module.flat_params.copy(), *state]


def layer_with(*grads: float, dtype: Any = np.float32) -> rc.Linear:
    layer = rc.Linear(len(grads), 1, bias=False, dtype=dtype, rng=0)
    layer.flat_grads[:] = grads
    return layer


@pytest.mark.parametrize(
    ("name", "gradient", "options"),
    [
        ("SGD", 3e38, {"learning_rate": 2.0}),
        ("momentum", 3e38, {"learning_rate": 2.0}),
        ("Adam", 3e38, {"learning_rate": 0.1}),
        ("AdamW", 3e38, {"learning_rate": 0.1}),
        ("Adam", 1e25, {"learning_rate": 0.1}),
        ("RMSprop", 1e25, {"learning_rate": 0.1}),
        ("SGD", 1.0, {"learning_rate": 1e39}),
        ("Adam", 1.0, {"learning_rate": 100.0, "betas": (0.9, 0.0), "eps": 1.2e-38}),
    ],
)
def test_a_step_that_would_not_stay_finite_is_skipped(
    name: str, gradient: float, options: dict[str, Any]
) -> None:
    layer = layer_with(gradient, -1.0)
    optimizer = make(name, layer, **options)
    before, steps = numbers(optimizer), 0
    if options.get("eps"):  # the second step divides by eps alone
        optimizer.step()
        layer.flat_grads[:] = 0
        before, steps = numbers(optimizer), 1
    assert optimizer.step() == math.inf
    np.testing.assert_equal(numbers(optimizer), before)
    assert optimizer.num_steps == steps
    version = layer.version
    assert optimizer.step(zero_grad=True) == math.inf
    assert layer.version == version
    assert not np.any(layer.flat_grads)
    layer.flat_grads[:] = 1e-3
    if "learning_rate" not in options or (options["learning_rate"] < 3 and steps == 0):
        assert optimizer.step() == pytest.approx(1e-3 * math.sqrt(2))
        assert np.all(layer.flat_params != before[0])  # and goes on


@every_optimizer
def test_steps_with_huge_but_harmless_gradients_are_taken(name: str) -> None:
    """They take another way, which must lead to the same numbers."""
    for scale in (1e12, 1e17):
        layer = layer_with(scale, -scale / 3)
        twin = layer_with(scale, -scale / 3, dtype=np.float64)
        twin.flat_params[:] = layer.flat_params
        optimizers = [make(name, module, learning_rate=1e-3) for module in (layer, twin)]
        for step in range(4):
            for optimizer, module in zip(optimizers, (layer, twin), strict=True):
                module.flat_grads[:] = [scale / (1 + step), -scale / 3]
                assert optimizer.step(zero_grad=True) > 0.9 * scale / (1 + step)
                assert not np.any(module.flat_grads)
                assert optimizer.num_steps == step + 1
        np.testing.assert_allclose(layer.flat_params, twin.flat_params, rtol=1e-5)


@every_optimizer
def test_numbers_stay_finite_whatever_the_gradients(name: str, dtype: type[np.floating]) -> None:
    """A step is skipped where, and only where, it would have made a number that is not finite."""
    rng = np.random.default_rng(0)
    top = math.log10(float(np.finfo(dtype).max))
    skipped = taken = 0
    for trial in range(60):
        layer = rc.Linear(5, 1, dtype=dtype, rng=trial)
        if trial % 3 == 0:
            layer.flat_params[:] = 10 ** rng.uniform(-3, top, 6)
        options = {
            "learning_rate": 10 ** rng.uniform(-4, 3),
            "weight_decay": float(rng.choice([0, 0.1, 3])),
            "clip_norm": None if rng.random() < 0.7 else float(10 ** rng.uniform(-3, top)),
            "clip_value": None if rng.random() < 0.8 else float(10 ** rng.uniform(-3, top)),
        }
        optimizer = make(name, layer, **options)
        for _ in range(6):
            exponents = rng.uniform(-3, rng.choice([1, top / 2, top]), 6)
            layer.flat_grads[:] = 10**exponents * rng.choice([-1, 1], 6)
            before = numbers(optimizer)
            carefree = copy.deepcopy(optimizer)
            norm = optimizer.step()
            if math.isfinite(norm):
                taken += 1
                assert all(np.isfinite(array).all() for array in numbers(optimizer))
                continue
            skipped += 1
            np.testing.assert_equal(numbers(optimizer), before)
            if carefree.clip_norm is None:
                with np.errstate(all="ignore"):
                    assert spoils(carefree)
    assert skipped > 2
    assert taken > 50


def spoils(optimizer: optim.Optimizer) -> bool:
    """Whether a step that nobody watches makes a number that is not finite."""
    module, kept = optimizer.module, optimizer._buffers
    limit = math.inf if optimizer.clip_value is None else optimizer.clip_value
    optimizer.num_steps += 1
    update = Update(optimizer.learning_rate, optimizer.weight_decay, clip_value=limit)
    optimizer._update(module.flat_params, module.flat_grads, kept, update)
    return not all(np.isfinite(array).all() for array in (module.flat_params, *kept.values()))


@pytest.mark.parametrize("largest", [1e38, 3e38])
def test_a_huge_gradient_is_clipped_and_not_lost(largest: float) -> None:
    layer = layer_with(largest, 0.0)
    assert optim.clip_grad_norm(layer, 1.0) == pytest.approx(largest)
    np.testing.assert_allclose(layer.flat_grads, [1, 0], rtol=1e-6)
    layer = layer_with(largest, largest)
    before = layer.flat_params.copy()
    norm = optim.SGD(layer, 0.5, clip_norm=1e-3).step()
    assert norm == pytest.approx(largest * math.sqrt(2))
    change = -0.5e-3 / math.sqrt(2)
    np.testing.assert_allclose(layer.flat_params - before, change, rtol=1e-3)
    np.testing.assert_array_equal(layer.flat_grads, np.float32(largest))  # step leaves them


@pytest.mark.parametrize("largest", [1e200, 1e-200, 4e307, 3e-308])
def test_norms_whose_squares_fit_in_no_double(largest: float) -> None:
    gradient = largest * np.array([3.0, -2.0, 0.0])
    norm = largest * math.sqrt(13)
    for limit in (1e-3 * norm, 1.0, 1e-100, 1.7e308):
        layer = layer_with(*gradient, dtype=np.float64)
        assert optim.SGD(layer, 0.0).step() == pytest.approx(norm)
        assert optim.clip_grad_norm(layer, limit) == pytest.approx(norm)
        expected = gradient / norm * limit if limit < norm else gradient
        np.testing.assert_allclose(layer.flat_grads, expected, rtol=1e-9, atol=1e-307)


def test_a_gradient_that_is_not_finite_beside_huge_ones() -> None:
    for bad in (math.nan, math.inf, -math.inf):
        layer = layer_with(1e200, bad, dtype=np.float64)
        assert not math.isfinite(optim.clip_grad_norm(layer, 1.0))
        np.testing.assert_array_equal(layer.flat_grads, [1e200, bad])


def test_a_state_of_huge_numbers_is_watched() -> None:
    """Numbers that a state dictionary brings are as good as those of gradients."""
    layer = layer_with(1.0, 1.0)
    optimizer = optim.SGD(layer, 1.0, momentum=0.9)
    state = optimizer.state_dict()
    state["momentum_buffer"][:] = 3e38
    optimizer.load_state_dict(state)
    layer.flat_params[:] = -3e38
    before = numbers(optimizer)
    assert optimizer.step() == math.inf
    np.testing.assert_equal(numbers(optimizer), before)
    state["momentum_buffer"][:] = 3
    optimizer.load_state_dict(state)
    assert math.isfinite(optimizer.step())


def test_training_counts_such_updates() -> None:
    class Jumping(Counter):
        def loss_and_grad(self, *arguments: Any, **options: Any) -> tuple[float, Any]:
            answer = super().loss_and_grad(*arguments, **options)
            if len(self.values) in (2, 3):
                self.flat_grads[0] *= 1.7e308
            return answer

    model = Jumping()
    result = rc.training.fit(model, Ticks(5), config=plain(epochs=1, non_finite="skip"))
    assert result.skipped == 1  # the second of them: 1.7e308 fits in a double once, not twice
    assert model.w == 1.7e308
