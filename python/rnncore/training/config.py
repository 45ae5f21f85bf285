"""How a model is trained, as plain values: shared by Python and the command line."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from rnncore._check import choice, flag, integer, named_config, real, size
from rnncore._keywords import strict_keywords
from rnncore.layers import Linear, Module
from rnncore.optim import (
    SGD,
    Adam,
    AdamW,
    Constant,
    Cosine,
    Exponential,
    Group,
    Optimizer,
    Plateau,
    RMSprop,
    Schedule,
    Step,
)

__all__ = ["OPTIMIZERS", "SCHEDULES", "OptimizerConfig", "ScheduleConfig", "TrainingConfig"]

#: Class of each optimizer and its options; None is the class's own default. The shorter memory of
#: Adam's second average suits runs of a few thousand updates.
OPTIMIZERS: dict[str, tuple[type[Optimizer], dict[str, Any]]] = {
    "sgd": (SGD, {"momentum": None, "nesterov": None, "weight_decay": None}),
    "rmsprop": (RMSprop, {"alpha": None, "weight_decay": None}),
    "adam": (Adam, {"betas": (0.9, 0.99), "weight_decay": None}),
    "adamw": (AdamW, {"betas": (0.9, 0.99), "weight_decay": None}),
}

#: Class of each schedule and the defaults of its options. Those of "exponential" are char-rnn's.
SCHEDULES: dict[str, tuple[type[Schedule], dict[str, float]]] = {
    "constant": (Constant, {}),
    "exponential": (Exponential, {"gamma": 0.97, "flat_epochs": 10}),
    "step": (Step, {"gamma": 0.1, "flat_epochs": 10}),
    "plateau": (Plateau, {"gamma": 0.5, "wait": 0}),
    "cosine": (Cosine, {"warmup": 100, "floor": 0.0}),
}


Config = TypeVar("Config")

# Where the number of epochs is not given: what a text of a million characters needs, and a bound
# for texts so short that they are learned by heart.
_UPDATES = 4000
_MOST_EPOCHS = 200


def _accepted(given: Mapping[str, Any], options: Mapping[str, Any], owner: str) -> dict[str, Any]:
    """Return what is given, which the owner must have as an option."""
    chosen = {name: value for name, value in given.items() if value is not None}
    for name in chosen:
        if name not in options:
            takes = ", ".join(sorted(options)) or "none"
            raise ValueError(f"{name}: no option of {owner}, which takes {takes}")
    return chosen


@strict_keywords()
@dataclass(frozen=True)
class OptimizerConfig:
    """Optimizer, learning rate and clipping; None is the optimizer's default, see `OPTIMIZERS`.

    Parameters
    ----------
    name : {"adam", "adamw", "rmsprop", "sgd"}
        Update rule; see `rnncore.optim`.
    learning_rate : float
        Base learning rate, which the schedule multiplies.
    momentum : float or None
        Momentum of "sgd".
    nesterov : bool
        Whether "sgd" uses Nesterov's momentum.
    alpha : float or None
        Decay of the average of squared gradients; of "rmsprop".
    betas : (float, float) or None
        Decays of the two averages; of "adam" and "adamw".
    weight_decay : float or None
        Factor of the weight decay, of every optimizer.
    decay_biases : bool
        Whether biases have the weight decay too.
    clip_norm : float or None
        Limit of the gradients' Euclidean norm; None: no limit.
    clip_value : float or None
        Limit of each gradient's magnitude; None: no limit.

    Raises
    ------
    TypeError, ValueError
        When an option is given that this optimizer does not have, or is outside its range.

    Examples
    --------
    >>> import rnncore as rc
    >>> config = rc.training.OptimizerConfig("sgd", learning_rate=0.5, momentum=0.9)
    >>> optimizer = config.build(rc.Linear(3, 2))
    >>> optimizer.momentum
    0.9
    """

    name: str = "adam"
    learning_rate: float = 6e-3
    momentum: float | None = None
    nesterov: bool = False
    alpha: float | None = None
    betas: tuple[float, float] | None = None
    weight_decay: float | None = None
    decay_biases: bool = True
    clip_norm: float | None = 1.0
    clip_value: float | None = None

    def __post_init__(self) -> None:
        choice("optimizer", self.name, OPTIMIZERS)
        flag("nesterov", self.nesterov)
        flag("decay_biases", self.decay_biases)
        self.build(Linear(1, 1))  # the optimizer itself knows the ranges

    def build(self, model: Module) -> Optimizer:
        """Return the optimizer of `model`."""
        kind, defaults = OPTIMIZERS[self.name]
        given: dict[str, Any] = {
            "momentum": self.momentum,
            "nesterov": self.nesterov or None,
            "alpha": self.alpha,
            "betas": self.betas,
            "weight_decay": self.weight_decay,
        }
        options = defaults | _accepted(given, defaults, f"optimizer {self.name!r}")
        biases = Group("*bias*", weight_decay=0.0)
        apart = not self.decay_biases and any(map(biases.has, model.params))
        return kind(
            model,
            self.learning_rate,
            groups=[biases] if apart else [],
            clip_norm=self.clip_norm,
            clip_value=self.clip_value,
            **{name: value for name, value in options.items() if value is not None},
        )


@strict_keywords()
@dataclass(frozen=True)
class ScheduleConfig:
    """How the learning rate changes; None is the default of the schedule, see `SCHEDULES`.

    Parameters
    ----------
    name : {"constant", "exponential", "step", "plateau", "cosine"}
        Kind of schedule; see `rnncore.optim.schedules`.
    gamma : float or None
        Factor of one reduction: of "exponential" (every epoch), "step" and "plateau".
    flat_epochs : int or None
        Epochs at the full learning rate, at least 1, of "exponential" and "step".
    wait : int or None
        Validations without a lower loss that are waited for: of "plateau".
    warmup : int or None
        Updates of the linear rise of "cosine"; at most half of the run.
    floor : float or None
        Last factor of "cosine".

    Raises
    ------
    TypeError, ValueError
        When an option is given that this schedule does not have, or is outside its range.

    Examples
    --------
    >>> import rnncore as rc
    >>> config = rc.training.ScheduleConfig("cosine", warmup=10)
    >>> config.build(updates=1000).factor(step=0, epoch=0)
    0.1
    """

    name: str = "cosine"
    gamma: float | None = None
    flat_epochs: int | None = None
    wait: int | None = None
    warmup: int | None = None
    floor: float | None = None

    def __post_init__(self) -> None:
        choice("schedule", self.name, SCHEDULES)
        self.build(1)  # the schedule itself knows the ranges

    def build(self, updates: int) -> Schedule:
        """Return the schedule of a run of `updates` updates."""
        kind, defaults = SCHEDULES[self.name]
        given = {
            "gamma": self.gamma,
            "flat_epochs": self.flat_epochs,
            "wait": self.wait,
            "warmup": self.warmup,
            "floor": self.floor,
        }
        options: dict[str, Any] = {
            **defaults,
            **_accepted(given, defaults, f"schedule {self.name!r}"),
        }
        if "warmup" in options:
            warmup = integer("warmup", options["warmup"], 0)
            options.update(total=max(1, updates), warmup=min(warmup, updates // 2))
        return kind(**options)


class ByName(Generic[Config]):
    """Field of a frozen dataclass that holds a configuration, and may be set to a name of one."""

    def __init__(self, kind: type[Config]) -> None:
        self._kind = kind

    def __set_name__(self, owner: type, name: str) -> None:
        self._name = name

    def __get__(self, instance: object, owner: type) -> Config:
        """Return the configuration; of the class the default, where dataclass looks for it."""
        if instance is None:
            return self._kind()
        config: Config = vars(instance)[self._name]
        return config

    def __set__(self, instance: object, value: Config | str) -> None:
        vars(instance)[self._name] = named_config(self._name, value, self._kind)


@strict_keywords(optimizer=OptimizerConfig, schedule=ScheduleConfig)
@dataclass(frozen=True)
class TrainingConfig:
    """One training run.

    Parameters
    ----------
    epochs : int or None
        Passes over the training part; None: enough for about 4,000 updates, from 1 to 200.
    batch_size : int
        Parallel streams, or sentences of one batch.
    bptt : int or None
        Steps that gradients reach back at most. A contiguous text is cut into updates of that many
        steps; None: 32. Sentences have one update for each batch. Their state is carried from piece
        to piece of that many steps, and the gradient is cut between pieces; None: it is not cut.
    sentences : bool
        Whether every line is a sequence of its own, from the zero state, instead of a stretch of
        one contiguous text.
    validation_fraction : float
        Share of the text, its end, that is held out, in [0, 1); 0: there is no validation.
    validation_streams : int
        Largest number of parallel streams in which the held-out text is read. One stream is exact.
        Every stream starts without context, and therefore has at least 1,000 tokens.
    validate_every : int or None
        Updates between validations; None: one after each epoch.
    patience : int or None
        Validations in a row without a lower loss after which training stops; None: it goes on.
    time_limit : float or None
        Seconds after which training stops. Schedules that end with the run end then.
    non_finite : {"stop", "skip"}
        What an update does whose loss or gradients are infinite or not a number: end the run with
        an error, or leave the parameters as they are.
    seed : int
        Seed of the order of sentences.
    optimizer : OptimizerConfig, or the name of one
        Update rule and clipping; a name leaves the other options at their defaults.
    schedule : ScheduleConfig, or the name of one
        How the learning rate changes; a name leaves the other options at their defaults.

    Raises
    ------
    TypeError, ValueError
        When a value has the wrong type or is outside its range.

    Examples
    --------
    >>> import rnncore as rc
    >>> optimizer = rc.training.OptimizerConfig("rmsprop", learning_rate=2e-3)
    >>> config = rc.training.TrainingConfig(epochs=3, optimizer=optimizer, schedule="constant")
    >>> config.schedule.name
    'constant'
    """

    epochs: int | None = None
    batch_size: int = 32
    bptt: int | None = None
    sentences: bool = False
    validation_fraction: float = 0.1
    validation_streams: int = 16
    validate_every: int | None = None
    patience: int | None = None
    time_limit: float | None = None
    non_finite: str = "stop"
    seed: int = 0
    optimizer: ByName[OptimizerConfig] = ByName(OptimizerConfig)
    schedule: ByName[ScheduleConfig] = ByName(ScheduleConfig)

    def __post_init__(self) -> None:
        for name in ("batch_size", "validation_streams"):
            size(name, getattr(self, name))
        if self.bptt is not None:
            size("bptt", self.bptt)
        if self.epochs is not None:
            integer("epochs", self.epochs, 1)
        flag("sentences", self.sentences)
        real("validation_fraction", self.validation_fraction, 0, 1, open_high=True)
        for name in ("validate_every", "patience"):
            if getattr(self, name) is not None:
                integer(name, getattr(self, name), 1)
        choice("non_finite", self.non_finite, ("stop", "skip"))
        if self.time_limit is not None:
            real("time_limit", self.time_limit, 0, math.inf, open_low=True)
        integer("seed", self.seed, 0)

    def epochs_of(self, updates_per_epoch: int) -> int:
        """Return the number of epochs to train, given the number of updates per epoch."""
        if self.epochs is not None:
            return self.epochs
        return min(max(1, round(_UPDATES / max(1, updates_per_epoch))), _MOST_EPOCHS)
