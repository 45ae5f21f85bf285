"""Options of ``rnncore train``, and the objects that they describe."""

from __future__ import annotations

import argparse
from typing import Any

from rnncore import _help
from rnncore._check import real
from rnncore.cli.parser import OptionGroup, dataclass_defaults, defaults_of, keywords
from rnncore.layers import CELLS
from rnncore.models import PRESETS, Initialization, LanguageModel
from rnncore.models.initialization import INITIALIZATIONS
from rnncore.training import OptimizerConfig, ScheduleConfig, TrainingConfig
from rnncore.training.config import OPTIMIZERS, SCHEDULES

__all__ = ["add_options", "add_training_options", "model_keywords", "training_config"]

_MODEL, _INITIALIZATION = "model", "initial parameters"
_TRAINING, _OPTIMIZER, _SCHEDULE = "training", "optimizer", "learning rate schedule"

_PRESET = "characters"

_INTEGER: dict[str, Any] = {"type": int, "metavar": "N"}
_NUMBER: dict[str, Any] = {"type": float, "metavar": "X"}
_FLAG: dict[str, Any] = {"action": "store_true"}


def _limit(text: str) -> float | None:
    """A number, or None for "none"."""
    try:
        return None if text == "none" else float(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"expected a number or none, got {text!r}") from None


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add all options that describe a model and its training."""
    parser.add_argument(
        "--preset",
        choices=list(PRESETS),
        default=_PRESET,
        help=f"sizes of the model that no other option gives (default: {_PRESET})",
    )
    model = OptionGroup(parser, _MODEL, defaults_of(LanguageModel) | PRESETS[_PRESET])
    model.add("--cell", "cell", "recurrent layer", choices=list(CELLS))
    model.add("--hidden-size", "hidden_size", "units of each layer", **_INTEGER)
    model.add("--num-layers", "num_layers", "recurrent layers", **_INTEGER)
    model.add(
        "--embedding-size",
        "embedding_size",
        "width of the embedding (default: one-hot input)",
        **_INTEGER,
    )
    model.add("--tie-weights", "tie_weights", "output layer: the embedding's matrix", **_FLAG)
    rows = "update the embedding's rows of a batch only"
    model.add("--sparse-embedding", "sparse_embedding", rows, **_FLAG)
    model.add("--dropout", "dropout", "probability of dropping a non-recurrent value", **_NUMBER)
    both = argparse.BooleanOptionalAction
    model.add("--bias", "bias", "biases of the recurrent and the output layers", action=both)
    functions = ["tanh", "relu", "sigmoid", "identity"]
    model.add(
        "--nonlinearity",
        "nonlinearity",
        "activation of the cell rnn (default: tanh)",
        choices=functions,
    )
    order = ["after", "before"]
    model.add(
        "--reset", "reset", "reset gate of the cell gru, after or before the product", choices=order
    )
    model.add(
        "--compute",
        "compute",
        "type that the operands of products are rounded to",
        choices=["bfloat16"],
    )

    initial = OptionGroup(parser, _INITIALIZATION, dataclass_defaults(Initialization))
    names = list(INITIALIZATIONS)
    initial.add(
        "--init",
        "name",
        "distribution of the parameters, or kind of recurrent matrix",
        choices=names,
    )
    initial.add("--init-scale", "scale", "bound, gain or diagonal value of --init", **_NUMBER)
    initial.add(
        "--one-hot-std",
        "one_hot_std",
        "standard deviation of the input weights, for one-hot input",
        **_NUMBER,
    )
    initial.add(
        "--forget-bias", "forget_gate_bias", "bias of the forget gates of an lstm", **_NUMBER
    )

    add_training_options(parser, text=True)


def add_training_options(
    parser: argparse.ArgumentParser, *, text: bool = False, learning_rate: float | None = None
) -> None:
    """Add the options that describe a training run; `text` adds those of one long text.

    `learning_rate` is the task's default, which `training_config` is given too.
    """
    training = OptionGroup(parser, _TRAINING, dataclass_defaults(TrainingConfig))
    training.add(
        "--epochs", "epochs", "passes over the text (default: about 4,000 updates)", **_INTEGER
    )
    training.add(
        "--batch-size", "batch_size", "parallel streams, or sentences of one batch", **_INTEGER
    )
    if text:
        steps = "steps that gradients reach back (default: 32, or whole lines)"
        training.add("--bptt", "bptt", steps, **_INTEGER)
        lines = "each line on its own, from the zero state"
        training.add("--sentences", "sentences", lines, **_FLAG)
    training.add(
        "--validation-fraction",
        "validation_fraction",
        "share of the text that is held out",
        **_NUMBER,
    )
    training.add(
        "--validate-every",
        "validate_every",
        "updates between validations (default: one each epoch)",
        **_INTEGER,
    )
    patience = "validations in a row without a lower loss that end the training"
    training.add("--patience", "patience", patience, **_INTEGER)
    training.add("--time-limit", "time_limit", "most seconds to train", **_NUMBER)
    bad = "what updates do whose loss or gradients are not finite"
    training.add("--non-finite", "non_finite", bad, choices=["stop", "skip"])
    training.add("--seed", "seed", "seed of all random numbers", **_INTEGER)

    own = {} if learning_rate is None else {"learning_rate": learning_rate}
    optimizer = OptionGroup(parser, _OPTIMIZER, dataclass_defaults(OptimizerConfig) | own)
    optimizer.add("--optimizer", "name", "update rule", choices=list(OPTIMIZERS))
    optimizer.add("--learning-rate", "learning_rate", "learning rate", **_NUMBER)
    optimizer.add("--momentum", "momentum", "momentum of sgd", **_NUMBER)
    optimizer.add("--nesterov", "nesterov", "use Nesterov's momentum, with sgd", **_FLAG)
    optimizer.add(
        "--alpha", "alpha", "decay of the average of squared gradients, of rmsprop", **_NUMBER
    )
    betas: dict[str, Any] = {"type": float, "nargs": 2, "metavar": ("X", "Y")}
    optimizer.add("--betas", "betas", "decays of the two averages, of adam and adamw", **betas)
    optimizer.add(
        "--weight-decay",
        "weight_decay",
        "factor of the weight decay, of every optimizer",
        **_NUMBER,
    )
    decay = "no weight decay of biases"
    optimizer.add("--no-bias-decay", "decay_biases", decay, action="store_false")
    limit: dict[str, Any] = {"type": _limit, "metavar": "X"}
    optimizer.add("--clip-norm", "clip_norm", "largest norm of the gradients, or none", **limit)
    optimizer.add("--clip-value", "clip_value", "largest magnitude of a gradient, or none", **limit)

    schedule = OptionGroup(parser, _SCHEDULE, dataclass_defaults(ScheduleConfig))
    schedule.add("--schedule", "name", "how the learning rate changes", choices=list(SCHEDULES))
    schedule.add(
        "--gamma", "gamma", "factor of a reduction (exponential, step, plateau)", **_NUMBER
    )
    schedule.add(
        "--flat-epochs",
        "flat_epochs",
        "epochs at full rate: exponential, step",
        **_INTEGER,
    )
    schedule.add("--plateau-wait", "wait", "validations to wait for: of plateau", **_INTEGER)
    schedule.add("--warmup", "warmup", "updates of the linear rise (cosine)", **_INTEGER)
    schedule.add("--floor", "floor", "last factor (cosine)", **_NUMBER)


def model_keywords(given: argparse.Namespace) -> dict[str, Any]:
    """Return the keywords of `LanguageModel` that were given, including the initialization."""
    initial = keywords(given, _INITIALIZATION)
    if "scale" in initial:
        rule = INITIALIZATIONS[initial.get("name", Initialization.name)]
        real("--init-scale", initial["scale"], rule.least_scale)
    given_sizes = {**PRESETS[given.preset], **keywords(given, _MODEL)}
    return {**given_sizes, "initialization": Initialization(**initial)}


def training_config(
    given: argparse.Namespace, learning_rate: float | None = None
) -> TrainingConfig:
    """Return the training run that was described; `learning_rate` is the task's default."""
    own = {} if learning_rate is None else {"learning_rate": learning_rate}
    return TrainingConfig(
        **keywords(given, _TRAINING),
        optimizer=OptimizerConfig(**{**own, **keywords(given, _OPTIMIZER)}),
        schedule=ScheduleConfig(**keywords(given, _SCHEDULE)),
    )


_help.show_public_names()
