"""One optimizer over several layers, and groups of parameters with settings of their own."""

import copy
from typing import Any

import numpy as np
import pytest

import rnncore as rc
from arrays import inputs
from rnncore.optim import Adam, AdamW, Group, Optimizer, RMSprop
from rnncore.training import OptimizerConfig

OPTIMIZERS: list[tuple[str, dict[str, Any]]] = [
    ("SGD", {"learning_rate": 0.1}),
    ("SGD", {"learning_rate": 0.1, "momentum": 0.9, "nesterov": True}),
    ("RMSprop", {}),
    ("Adam", {}),
    ("AdamW", {}),
]
every_optimizer = pytest.mark.parametrize(("name", "options"), OPTIMIZERS)


class Pair(rc.layers.Module):
    """A model of two layers; 6 * 5 + 6 and 3 * 6 + 3 parameters."""

    def __init__(self, dtype: Any = np.float32) -> None:
        super().__init__(dtype, 0)
        self.first = rc.Linear(5, 6, dtype=dtype, rng=self.rng)
        self.second = rc.Linear(6, 3, dtype=dtype, rng=self.rng)


def steps(optimizer: Optimizer, *, count: int = 5) -> list[float]:
    norms = []
    for k in range(count):
        for i, module in enumerate(optimizer.modules):
            module.flat_grads[:] = inputs(module.num_params, dtype=module.dtype, seed=10 * k + i)
        norms.append(optimizer.step(zero_grad=True))
        assert not any(module.flat_grads.any() for module in optimizer.modules)
    return norms


@every_optimizer
@pytest.mark.parametrize("clip_norm", [None, 2.0])
def test_a_list_of_layers_is_as_one_model(
    name: str, options: dict[str, Any], clip_norm: float | None
) -> None:
    model = Pair(np.float64)
    layers = [copy.deepcopy(model.first), copy.deepcopy(model.second)]
    make = getattr(rc.optim, name)
    together = make(layers, clip_norm=clip_norm, weight_decay=0.1, **options)
    whole = make(model, clip_norm=clip_norm, weight_decay=0.1, **options)
    for k in range(5):
        gradients = [inputs(layer.num_params, dtype=np.float64, seed=k) for layer in layers]
        model.flat_grads[:] = np.concatenate(gradients)
        for layer, gradient in zip(layers, gradients, strict=True):
            layer.flat_grads[:] = gradient
        versions = [layer.version for layer in layers]
        assert together.step() == pytest.approx(whole.step(), rel=1e-14)
        assert all(a.version > v for a, v in zip(layers, versions, strict=True))
    found = np.concatenate([layer.flat_params for layer in layers])
    np.testing.assert_allclose(found, model.flat_params, rtol=1e-12)


@every_optimizer
def test_a_group_without_settings_changes_no_bit(name: str, options: dict[str, Any]) -> None:
    plain, grouped = Pair(), Pair()
    make = getattr(rc.optim, name)
    steps(make(plain, weight_decay=0.1, **options))
    steps(make(grouped, weight_decay=0.1, groups=[Group("*bias*")], **options))
    np.testing.assert_array_equal(plain.flat_params, grouped.flat_params)


@every_optimizer
def test_groups_against_torch(name: str, options: dict[str, Any]) -> None:
    torch = pytest.importorskip("torch")
    model = Pair(np.float64)
    groups = [
        Group("*.bias", weight_decay=0.0),
        Group(["second.weight"], learning_rate_factor=0.5, weight_decay=0.3),
    ]
    optimizer = getattr(rc.optim, name)(
        model, weight_decay=0.2, clip_norm=1.5, groups=groups, **options
    )
    peers = {n: torch.nn.Parameter(torch.tensor(p.copy())) for n, p in model.params.items()}
    settings = dict(options)
    rate = settings.pop("learning_rate", optimizer.learning_rate)
    decays = {"first.weight": 0.2, "first.bias": 0, "second.weight": 0.3, "second.bias": 0}
    peer = getattr(torch.optim, name)(
        [
            {
                "params": [peers[n]],
                "weight_decay": decays[n],
                "lr": rate * (0.5 if n == "second.weight" else 1),
            }
            for n in peers
        ],
        lr=rate,
        **settings,
    )
    for k in range(5):
        gradient = inputs(model.num_params, dtype=np.float64, seed=k)
        model.flat_grads[:] = gradient
        for n, p in peers.items():
            p.grad = torch.tensor(model.grads[n].copy())
        torch.nn.utils.clip_grad_norm_(peers.values(), 1.5)
        peer.step()
        optimizer.step()
    for n, p in peers.items():
        # PyTorch adds 1e-6 to the norm
        np.testing.assert_allclose(model.params[n], p.detach().numpy(), rtol=1e-5, atol=1e-7)


def test_frozen_parameters_stay_and_do_not_enter_the_norm() -> None:
    model = Pair()
    before = model.state_dict()
    optimizer = Adam(model, 0.1, clip_norm=0.5, groups=[Group("first.*", frozen=True)])
    model.flat_grads[:] = 1
    model.first.flat_grads[:] = np.inf
    assert optimizer.step() == pytest.approx(21**0.5)
    assert model.first.flat_grads.all()
    optimizer.step(zero_grad=True)
    assert not model.flat_grads.any()
    for name, value in before.items():
        assert np.array_equal(value, model.params[name]) == name.startswith("first")
    assert optimizer.state_dict()["average"].shape == (21,)


def test_the_first_group_that_has_a_name_counts() -> None:
    model = Pair()
    before = model.state_dict()
    groups = [Group("second.bias", learning_rate_factor=1.0), Group("*", frozen=True)]
    steps(Adam(model, 0.1, groups=groups))
    changed = [n for n in before if not np.array_equal(before[n], model.params[n])]
    assert changed == ["second.bias"]


def test_the_state_of_groups_is_restored() -> None:
    groups = [Group("*bias*", weight_decay=0.0), Group("first.weight", frozen=True)]
    model = Pair()
    optimizer = AdamW(model, 0.01, groups=groups)
    steps(optimizer)
    twin = copy.deepcopy(model)
    resumed = AdamW(twin, 0.01, groups=groups)
    resumed.load_state_dict(optimizer.state_dict())
    copied = copy.deepcopy(optimizer)
    for each in (optimizer, resumed, copied):
        steps(each)
    np.testing.assert_array_equal(model.flat_params, twin.flat_params)
    np.testing.assert_array_equal(model.flat_params, copied.module.flat_params)


def test_huge_gradients_of_groups_are_tried_on_copies() -> None:
    model = Pair()
    before = model.flat_params.copy()
    optimizer = RMSprop(model, 0.1, groups=[Group("*bias*", learning_rate_factor=0.1)])
    model.flat_grads[:] = 1
    model.second.grads["bias"][0] = 1e25  # its square overflows
    assert optimizer.step() == np.inf
    np.testing.assert_array_equal(model.flat_params, before)
    assert not optimizer.state_dict()["square_average"].any()
    model.second.grads["bias"][0] = 1e15  # its square does not
    assert np.isfinite(optimizer.step())
    assert np.all(model.flat_params != before)


def test_a_changed_member_of_a_list_is_refused() -> None:
    model, other = Pair(), rc.Linear(2, 2)
    optimizer = Adam([other, model])
    model.third = rc.Linear(2, 2)
    with pytest.raises(ValueError, match="module: layers have been added to Pair"):
        optimizer.step()


@pytest.mark.parametrize(
    ("module", "error", "message"),
    [
        ([], ValueError, "at least one"),
        ([rc.Linear(2, 2), 3], TypeError, r"module\[1\]: expected a layer or model, got int"),
        ([rc.Linear(2, 2), rc.Dropout(0.5)], ValueError, r"module\[1\].*which has none"),
        ([rc.Linear(2, 2), rc.Linear(2, 2, dtype=np.float64)], TypeError, r"module\[1\].*float32"),
        ([rc.Linear(2, 2)] * 2, ValueError, "one twice"),
        ([(pair := Pair()), pair.first], ValueError, "a part of another"),
    ],
)
def test_bad_lists(module: Any, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        Adam(module)


def test_bad_groups() -> None:
    model = Pair()
    with pytest.raises(ValueError, match=r"groups\[0\]: no parameter has a name like thrid"):
        Adam(model, groups=[Group("thrid.*")])
    with pytest.raises(ValueError, match="not frozen"):
        Adam(model, groups=[Group("*", frozen=True)])
    with pytest.raises(TypeError, match="groups: expected a list of Group, got str"):
        Adam(model, groups="*bias*")  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="names"):
        Group(3)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="learning_rate_factor"):
        Group("*", learning_rate_factor=-1)
    with pytest.raises(ValueError, match="weight_decay"):
        Group("*", weight_decay=-1)
    with pytest.raises(TypeError, match="frozen"):
        Group("*", frozen=1)  # type: ignore[arg-type]


def test_no_decay_of_biases_in_a_configuration() -> None:
    config = OptimizerConfig("sgd", learning_rate=0.1, weight_decay=0.5, decay_biases=False)
    model = Pair()
    before = model.state_dict()
    config.build(model).step()  # without gradients: decay alone
    for name, value in before.items():
        factor = 1 if name.endswith("bias") else 0.95
        np.testing.assert_allclose(model.params[name], factor * value, rtol=1e-6)
    config.build(rc.Linear(2, 2, bias=False))
    with pytest.raises(TypeError, match="decay_biases"):
        OptimizerConfig(decay_biases=0)  # type: ignore[arg-type]
