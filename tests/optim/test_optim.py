"""Optimizers against a NumPy twin and PyTorch, clipping, state; finite and other gradients."""

import copy
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

import rnncore as rc
from arrays import inputs
from rnncore import optim

Array = NDArray[Any]
STEPS = 20
# float32: each of 20 steps rounds the parameters and the buffers a few times.
LIMIT = {np.float32: 5e-6, np.float64: 1e-12}


# --- the twins: one step on float64 arrays, state in a dict --------------------------------------
def sgd_twin(
    p: Array,
    g: Array,
    s: dict[str, Any],
    *,
    learning_rate: float,
    momentum: float = 0,
    nesterov: bool = False,
) -> Array:
    s["v"] = momentum * s.get("v", 0) + g
    return p - learning_rate * (g + momentum * s["v"] if nesterov else s["v"])


def rmsprop_twin(
    p: Array,
    g: Array,
    s: dict[str, Any],
    *,
    learning_rate: float = 1e-2,
    alpha: float = 0.99,
    eps: float = 1e-8,
) -> Array:
    s["s"] = alpha * s.get("s", 0) + (1 - alpha) * g**2
    return p - learning_rate * g / (np.sqrt(s["s"]) + eps)


def adam_twin(
    p: Array,
    g: Array,
    s: dict[str, Any],
    *,
    learning_rate: float = 1e-3,
    betas: tuple[float, float] = (0.9, 0.999),
    eps: float = 1e-8,
) -> Array:
    s["t"] = s.get("t", 0) + 1
    s["m"] = betas[0] * s.get("m", 0) + (1 - betas[0]) * g
    s["s"] = betas[1] * s.get("s", 0) + (1 - betas[1]) * g**2
    m, v = s["m"] / (1 - betas[0] ** s["t"]), s["s"] / (1 - betas[1] ** s["t"])
    return p - learning_rate * m / (np.sqrt(v) + eps)


TWINS: dict[str, Callable[..., Array]] = {
    "SGD": sgd_twin,
    "RMSprop": rmsprop_twin,
    "Adam": adam_twin,
    "AdamW": adam_twin,
}

CASES: list[tuple[str, dict[str, Any]]] = [
    ("SGD", {"learning_rate": 0.1}),
    ("SGD", {"learning_rate": 0.1, "weight_decay": 0.1}),
    ("SGD", {"learning_rate": 0.05, "momentum": 0.9}),
    ("SGD", {"learning_rate": 0.05, "momentum": 0.9, "weight_decay": 0.1}),
    ("SGD", {"learning_rate": 0.05, "momentum": 0.8, "nesterov": True}),
    ("SGD", {"learning_rate": 0.05, "momentum": 0.8, "nesterov": True, "weight_decay": 0.1}),
    ("RMSprop", {}),
    ("RMSprop", {"learning_rate": 0.003, "alpha": 0.9, "eps": 1e-3, "weight_decay": 0.1}),
    ("Adam", {}),
    ("Adam", {"learning_rate": 0.01, "betas": (0.8, 0.95), "eps": 1e-3, "weight_decay": 0.1}),
    ("AdamW", {}),
    ("AdamW", {"learning_rate": 0.01, "betas": (0.8, 0.95), "eps": 1e-3, "weight_decay": 0.1}),
]
CLIPPINGS: list[dict[str, float]] = [
    {},
    {"clip_norm": 2.0},
    {"clip_value": 0.3},
    {"clip_norm": 2.0, "clip_value": 0.3},
]
every_case = pytest.mark.parametrize(
    ("name", "options"), CASES, ids=[f"{n}-{','.join(o) or 'default'}" for n, o in CASES]
)
every_clipping = pytest.mark.parametrize(
    "clipping", CLIPPINGS, ids=["unclipped", "norm", "value", "both"]
)


def module_and_gradients(dtype: Any) -> tuple[rc.Linear, Array]:
    """A layer of 221 parameters (no multiple of any lane count), and the gradients of each step."""
    layer = rc.Linear(16, 13, dtype=dtype, rng=0)
    layer.flat_params[:] = inputs(layer.num_params, dtype=dtype)
    gradients = inputs(STEPS, layer.num_params, dtype=dtype, seed=2)
    gradients *= np.linspace(0.02, 0.4, STEPS, dtype=dtype)[:, np.newaxis]  # norms 0.3 to 6
    return layer, gradients


def clipped(gradient: Array, clip_norm: float = np.inf, clip_value: float = np.inf) -> Array:
    return np.clip(gradient * min(1, clip_norm / np.linalg.norm(gradient)), -clip_value, clip_value)


@every_case
@every_clipping
def test_against_numpy(
    name: str,
    options: dict[str, Any],
    clipping: dict[str, float],
    dtype: type[np.floating],
) -> None:
    layer, gradients = module_and_gradients(dtype)
    optimizer = getattr(optim, name)(layer, **options, **clipping)
    twin_options = dict(options)
    decay = twin_options.pop("weight_decay", 0.01 if name == "AdamW" else 0)
    p, state = layer.flat_params.astype(np.float64), {}
    for gradient in gradients:
        layer.flat_grads[:] = gradient
        norm = optimizer.step()
        assert isinstance(norm, float)
        assert norm == pytest.approx(np.linalg.norm(gradient.astype(np.float64)), rel=1e-6)
        np.testing.assert_array_equal(layer.flat_grads, gradient)  # step leaves them
        g = clipped(gradient.astype(np.float64), **clipping)
        if name == "AdamW":
            p = p - optimizer.learning_rate * decay * p
        else:
            g = g + decay * p
        p = TWINS[name](p, g, state, **twin_options)
        np.testing.assert_allclose(layer.flat_params, p, rtol=LIMIT[dtype], atol=LIMIT[dtype])
    assert optimizer.num_steps == STEPS


@every_case
@every_clipping
def test_against_torch(
    name: str,
    options: dict[str, Any],
    clipping: dict[str, float],
    dtype: type[np.floating],
) -> None:
    torch = pytest.importorskip("torch")
    layer, gradients = module_and_gradients(dtype)
    optimizer = getattr(optim, name)(layer, **options, **clipping)
    parameter = torch.nn.Parameter(torch.from_numpy(layer.flat_params.copy()))
    theirs = {"lr" if key == "learning_rate" else key: value for key, value in options.items()}
    reference = getattr(torch.optim, name)([parameter], **theirs)
    for gradient in gradients:
        layer.flat_grads[:] = gradient
        optimizer.step()
        parameter.grad = torch.from_numpy(gradient.copy())
        if "clip_norm" in clipping:
            torch.nn.utils.clip_grad_norm_([parameter], clipping["clip_norm"])
        if "clip_value" in clipping:
            torch.nn.utils.clip_grad_value_([parameter], clipping["clip_value"])
        reference.step()
    # PyTorch divides by norm + 1e-6 when it clips
    limit = max(LIMIT[dtype], 2e-5 if "clip_norm" in clipping else 0)
    np.testing.assert_allclose(
        layer.flat_params, parameter.detach().numpy(), rtol=limit, atol=limit
    )


@every_case
def test_zero_grad_in_the_same_pass(name: str, options: dict[str, Any]) -> None:
    layer, gradients = module_and_gradients(np.float32)
    other, _ = module_and_gradients(np.float32)
    one, two = (getattr(optim, name)(module, **options) for module in (layer, other))
    for gradient in gradients[:3]:
        layer.flat_grads += gradient
        one.step(zero_grad=True)
        assert not np.any(layer.flat_grads)
        other.flat_grads += gradient
        two.step()
        two.zero_grad()
        assert not np.any(other.flat_grads)
    np.testing.assert_array_equal(layer.flat_params, other.flat_params)


@every_case
@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("clipping", [{}, {"clip_norm": 1.0}], ids=["unclipped", "norm"])
def test_a_gradient_that_is_not_finite_changes_nothing(
    name: str, options: dict[str, Any], bad: float, clipping: dict[str, float]
) -> None:
    layer, gradients = module_and_gradients(np.float32)
    optimizer = getattr(optim, name)(layer, **options, **clipping)
    layer.flat_grads[:] = gradients[0]
    optimizer.step()
    params, state = layer.flat_params.copy(), optimizer.state_dict()
    layer.flat_grads[7] = bad
    assert not np.isfinite(optimizer.step())
    np.testing.assert_array_equal(layer.flat_params, params)
    np.testing.assert_equal(optimizer.state_dict(), state)
    assert not np.isfinite(optimizer.step(zero_grad=True))
    assert not np.any(layer.flat_grads)  # or the next step would fail too
    layer.flat_grads[:] = gradients[1]
    assert np.isfinite(optimizer.step())
    assert np.any(layer.flat_params != params)


def test_huge_gradients_have_a_norm() -> None:
    """Their squares overflow float32."""
    layer = rc.Linear(2, 2, bias=False, rng=0)
    before = layer.flat_params.copy()
    layer.flat_grads[:] = 1e30
    assert optim.SGD(layer, 1.0, clip_norm=1.0).step() == pytest.approx(2e30)
    np.testing.assert_allclose(layer.flat_params, before - 0.5, rtol=1e-6)


@every_case
def test_state_dict_continues_exactly(name: str, options: dict[str, Any]) -> None:
    layer, gradients = module_and_gradients(np.float32)
    optimizer = getattr(optim, name)(layer, **options)
    for gradient in gradients[:10]:
        layer.flat_grads[:] = gradient
        optimizer.step()
    optimizer.learning_rate *= 0.5
    resumed, _ = module_and_gradients(np.float32)
    resumed.load_state_dict(layer.state_dict())
    continued = getattr(optim, name)(resumed, **options)
    saved = optimizer.state_dict()
    continued.load_state_dict(saved)
    for value in saved.values():
        if isinstance(value, np.ndarray):
            value[:] = np.nan  # a copy on both sides
    for gradient in gradients[10:]:
        for module, owner in ((layer, optimizer), (resumed, continued)):
            module.flat_grads[:] = gradient
            owner.step()
    np.testing.assert_array_equal(resumed.flat_params, layer.flat_params)
    assert continued.num_steps == STEPS


def test_state_dict_of_another_optimiser_or_module_is_refused() -> None:
    layer, gradients = module_and_gradients(np.float32)
    optimizer = optim.Adam(layer)
    layer.flat_grads[:] = gradients[0]
    optimizer.step()
    before = optimizer.state_dict()
    good = optim.Adam(layer).state_dict()
    for bad, error, text in (
        (optim.RMSprop(layer).state_dict(), ValueError, "average"),
        (optim.AdamW(layer).state_dict(), ValueError, "expected one of Adam, got one of AdamW"),
        (optim.Adam(rc.Linear(2, 2)).state_dict(), ValueError, r"\(6,\)"),
        (optim.Adam(rc.Linear(16, 13, dtype=np.float64)).state_dict(), TypeError, "float64"),
        ({**good, "num_steps": -1}, ValueError, "num_steps"),
        ({**good, "num_steps": 2**31}, ValueError, r"state_dict\['num_steps'\]: .*2147483647"),
        ({**good, "learning_rate": np.nan}, ValueError, "learning_rate"),
        ({**good, "more": 1}, ValueError, "more"),
        ([1], TypeError, "mapping"),
    ):
        with pytest.raises(error, match=text):
            optimizer.load_state_dict(bad)
        np.testing.assert_equal(optimizer.state_dict(), before)


def test_step_makes_older_caches_stale() -> None:
    layer = rc.Linear(3, 2, rng=0)
    y, cache = layer.forward(inputs(4, 3))
    optim.SGD(layer, 0.1).step()
    with pytest.raises(ValueError, match="optimizer's step"):
        layer.backward(y, cache)


def test_optimiser_of_a_layer_follows_it_into_a_model() -> None:
    """Adoption moves the parameters to other memory."""

    class Model(rc.layers.Module):
        def __init__(self, part: Any) -> None:
            super().__init__()
            self.part = part

    layer = rc.Linear(3, 2, rng=0)
    optimizer = optim.SGD(layer, 1.0)
    model = Model(layer)
    before = model.flat_params.copy()
    layer.flat_grads[:] = 1
    optimizer.step()
    np.testing.assert_allclose(model.flat_params, before - 1, rtol=1e-6)


@pytest.mark.parametrize("name", ["SGD", "RMSprop", "Adam", "AdamW"])
def test_optimisers_learn(name: str) -> None:
    """A linear map is found from examples."""
    rng = np.random.default_rng(0)
    layer, true = rc.Linear(3, 2, dtype=np.float64, rng=0), rng.standard_normal((2, 3))
    optimizer = getattr(optim, name)(layer, learning_rate=0.05)
    for _ in range(600):
        x = rng.standard_normal((16, 3))
        y, cache = layer.forward(x)
        _, dy = rc.losses.mse(y, x @ true.T)
        layer.backward(dy, cache)
        optimizer.step(zero_grad=True)
    np.testing.assert_allclose(layer.params["weight"], true, atol=0.05)


# --- clipping ------------------------------------------------------------------------------------
@pytest.mark.parametrize("max_norm", [1e-3, 1.0, 1e6])
def test_clip_grad_norm(max_norm: float, dtype: type[np.floating]) -> None:
    layer, gradients = module_and_gradients(dtype)
    layer.flat_grads[:] = gradient = gradients[-1]
    expected = np.linalg.norm(gradient.astype(np.float64))
    assert optim.clip_grad_norm(layer, max_norm) == pytest.approx(expected, rel=1e-6)
    np.testing.assert_allclose(layer.flat_grads, clipped(gradient, max_norm), rtol=1e-6)
    if max_norm > expected:
        np.testing.assert_array_equal(layer.flat_grads, gradient)


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_clip_grad_norm_of_gradients_that_are_not_finite(bad: float) -> None:
    layer, gradients = module_and_gradients(np.float32)
    layer.flat_grads[:] = gradients[0]
    layer.flat_grads[3] = bad
    before = layer.flat_grads.copy()
    assert not np.isfinite(optim.clip_grad_norm(layer, 1.0))
    np.testing.assert_array_equal(layer.flat_grads, before)


def test_clipping_what_is_no_module() -> None:
    for clip in (optim.clip_grad_norm, optim.clip_grad_value):
        with pytest.raises(TypeError, match="module: expected a layer or model, got list"):
            clip([], 1.0)


def test_clip_grad_norm_of_zero_gradients() -> None:
    layer, _ = module_and_gradients(np.float32)
    assert optim.clip_grad_norm(layer, 1.0) == 0
    assert not np.any(layer.flat_grads)


def test_clip_grad_value(dtype: type[np.floating]) -> None:
    layer, gradients = module_and_gradients(dtype)
    layer.flat_grads[:] = gradients[-1]
    optim.clip_grad_value(layer, 0.25)
    np.testing.assert_array_equal(layer.flat_grads, np.clip(gradients[-1], -0.25, 0.25))


def test_clipping_against_torch() -> None:
    torch = pytest.importorskip("torch")
    layer, gradients = module_and_gradients(np.float64)
    parameter = torch.nn.Parameter(torch.zeros(layer.num_params, dtype=torch.float64))
    parameter.grad = torch.from_numpy(gradients[-1].copy())
    layer.flat_grads[:] = gradients[-1]
    norm = torch.nn.utils.clip_grad_norm_([parameter], 2.0)
    assert optim.clip_grad_norm(layer, 2.0) == pytest.approx(norm.item())
    # PyTorch divides by norm + 1e-6
    np.testing.assert_allclose(layer.flat_grads, parameter.grad.numpy(), rtol=1e-6)
    torch.nn.utils.clip_grad_value_([parameter], 0.1)
    optim.clip_grad_value(layer, 0.1)
    np.testing.assert_allclose(layer.flat_grads, parameter.grad.numpy(), rtol=1e-6)


# --- arguments -----------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("name", "options", "error", "text"),
    [
        ("SGD", {"learning_rate": -0.1}, ValueError, r"learning_rate: expected .*\[0, inf\).*-0.1"),
        ("SGD", {"learning_rate": np.nan}, ValueError, "learning_rate: .*nan"),
        ("SGD", {"learning_rate": "fast"}, TypeError, "learning_rate: .*'fast'"),
        ("SGD", {"learning_rate": 1, "momentum": 1.0}, ValueError, "momentum"),
        ("SGD", {"learning_rate": 1, "nesterov": True}, ValueError, "nesterov: .*momentum"),
        ("SGD", {"learning_rate": 1, "momentum": 0.5, "nesterov": 1}, TypeError, "nesterov"),
        ("SGD", {"learning_rate": 1, "weight_decay": -1}, ValueError, "weight_decay"),
        ("SGD", {"learning_rate": 1, "clip_norm": 0}, ValueError, "clip_norm"),
        ("SGD", {"learning_rate": 1, "clip_value": -1}, ValueError, "clip_value"),
        ("SGD", {"learning_rate": 1, "damping": 1}, TypeError, "damping"),
        ("RMSprop", {"alpha": 1.5}, ValueError, "alpha"),
        ("RMSprop", {"eps": 0}, ValueError, "eps"),
        ("Adam", {"betas": 0.9}, TypeError, "betas: expected two numbers, got float 0.9"),
        ("Adam", {"betas": (0.9, 1.0)}, ValueError, r"betas\[1\]"),
        ("Adam", {"eps": -1e-8}, ValueError, "eps"),
        ("Adam", {"eps": 1e-39}, ValueError, "eps: expected at least 1.17.*e-38 for float32, got"),
        ("AdamW", {"eps": 1e-46}, ValueError, "eps: .* for float32, got 1e-46"),
        ("RMSprop", {"eps": 1e-60}, ValueError, "eps: .* for float32, got 1e-60"),
        ("AdamW", {"weight_decay": np.inf}, ValueError, "weight_decay"),
    ],
)
def test_bad_options(name: str, options: dict[str, Any], error: type[Exception], text: str) -> None:
    with pytest.raises(error, match=text):
        getattr(optim, name)(rc.Linear(2, 2), **options)


@pytest.mark.parametrize(
    ("name", "attribute", "good", "bad", "error", "text"),
    [
        ("SGD", "learning_rate", 0.2, np.nan, ValueError, "learning_rate: .*nan"),
        ("SGD", "weight_decay", 0.1, -1, ValueError, r"weight_decay: .*\[0, inf\), got -1"),
        ("SGD", "clip_norm", None, 0, ValueError, "clip_norm: "),
        ("SGD", "clip_value", 2, "all", TypeError, "clip_value: expected a number, got str 'all'"),
        ("SGD", "momentum", 0.5, 1, ValueError, r"momentum: .*\[0, 1\), got 1"),
        ("SGD", "nesterov", True, 1, TypeError, "nesterov: expected True or False, got int 1"),
        ("RMSprop", "alpha", 0.5, -0.1, ValueError, "alpha: "),
        ("RMSprop", "eps", 1e-6, 1e-60, ValueError, "eps: .* for float32"),
        ("Adam", "betas", (0.5, 0.6), (2.0, 2.0), ValueError, r"betas\[0\]: .*got 2"),
        ("AdamW", "eps", 1e-6, None, TypeError, "eps: expected a number, got NoneType None"),
        ("Adam", "num_steps", 7, 2**31, ValueError, "num_steps: expected at most 2147483647"),
    ],
)
def test_attributes_are_checked_when_they_are_set(
    name: str, attribute: str, good: Any, bad: Any, error: type[Exception], text: str
) -> None:
    options = {"momentum": 0.9} if name == "SGD" else {}
    optimizer = getattr(optim, name)(rc.Linear(2, 2), learning_rate=0.1, **options)
    setattr(optimizer, attribute, good)
    with pytest.raises(error, match=text):
        setattr(optimizer, attribute, bad)
    assert getattr(optimizer, attribute) == good
    assert getattr(copy.deepcopy(optimizer), attribute) == good
    optimizer.step()


def test_momentum_stays_with_or_without_its_buffer() -> None:
    plain = optim.SGD(rc.Linear(2, 2), 0.1)
    with pytest.raises(ValueError, match=r"momentum: expected 0, .*without it, got 0\.9"):
        plain.momentum = 0.9
    with pytest.raises(ValueError, match="nesterov: expected a momentum above 0"):
        plain.nesterov = True
    nesterov = optim.SGD(rc.Linear(2, 2), 0.1, momentum=0.9, nesterov=True)
    with pytest.raises(ValueError, match="momentum: expected a number above 0 with nesterov"):
        nesterov.momentum = 0
    nesterov.nesterov = False
    nesterov.momentum = 0


@pytest.mark.parametrize("name", ["RMSprop", "Adam", "AdamW"])
def test_the_smallest_eps_keeps_parameters_without_gradient(
    name: str, dtype: type[np.floating]
) -> None:
    layer = rc.Linear(16, 13, dtype=dtype, rng=0)
    optimizer = getattr(optim, name)(layer, eps=float(np.finfo(dtype).tiny), weight_decay=0)
    before = layer.flat_params.copy()
    optimizer.step()
    np.testing.assert_array_equal(layer.flat_params, before)


def test_other_bad_arguments() -> None:
    layer = rc.Linear(2, 2)
    with pytest.raises(TypeError, match="module: expected a layer or model, got int"):
        optim.SGD(3, 0.1)  # type: ignore[arg-type]
    optimizer = optim.SGD(layer, 0.1)
    with pytest.raises(ValueError, match="learning_rate"):
        optimizer.learning_rate = -1
    assert optimizer.learning_rate == 0.1
    for limit in (0, -1, np.nan):
        with pytest.raises(ValueError, match="max_norm"):
            optim.clip_grad_norm(layer, limit)
        with pytest.raises(ValueError, match="max_value"):
            optim.clip_grad_value(layer, limit)
