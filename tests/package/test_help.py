"""What dir(), help() and repr() show."""

import doctest
import importlib
import inspect
import pkgutil
import re
import subprocess
import sys
from typing import Any

import numpy as np
import pytest

import rnncore as rc
from rnncore.data import Batch

MODULES = [
    "rnncore",
    *(
        m.name
        for m in pkgutil.walk_packages(rc.__path__, "rnncore.")
        if not any(part.startswith("_") for part in m.name.split("."))
    ),
]
FACES = (
    *(rc, rc.layers, rc.models, rc.optim, rc.training, rc.text, rc.data, rc.progress),
    *(rc.diagnostics, rc.decode, rc.ctc, rc.audio, rc.metrics),
)
CLASSES = sorted(
    {v for m in FACES for n in m.__all__ if isinstance(v := getattr(m, n), type)},
    key=lambda kind: kind.__qualname__,
)
# Bases that are not made themselves, and what needs an extra.
WITHOUT_EXAMPLE = {
    *(rc.layers.Module, rc.layers.Recurrent, rc.optim.Optimizer, rc.optim.Schedule),
    *(rc.text.Tokenizer, rc.text.HuggingFaceTokenizer, rc.text.SentencePieceTokenizer),
    *(rc.training.Trainable, rc.data.Batches, rc.progress.Progress, rc.progress.RichProgress),
    *(rc.training.TensorBoard, rc.decode.Scores, rc.decode.Sampled, rc.decode.Searched),
}


@pytest.mark.parametrize("name", MODULES)
def test_dir_shows_public_names_only(name: str) -> None:
    module = importlib.import_module(name)
    shown = dir(module)
    assert shown
    for shown_name in shown:
        assert not shown_name.startswith("_") or shown_name == "__version__"
        value = getattr(module, shown_name)
        if isinstance(value, type(sys)):
            assert value.__name__.startswith("rnncore.")
        elif not isinstance(value, str | int | tuple | dict | frozenset):
            assert value.__module__.startswith("rnncore"), shown_name
    if hasattr(module, "__all__"):
        assert sorted(module.__all__) == shown
    else:  # what the module itself defines
        assert all(getattr(module, n).__module__ == name for n in shown)


def test_dir_after_nothing_but_the_import() -> None:
    code = "import rnncore as rc; print(dir(rc.text), dir(rc.datasets), dir(rc.losses))"
    shown = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    ).stdout
    tokenizers = sorted(rc.text.__all__)
    losses = ["binary_cross_entropy", "cross_entropy", "log_softmax", "mse"]
    assert shown == f"{tokenizers} {['tinyshakespeare']} {losses}\n"


def test_tab_completion() -> None:
    import rlcompleter

    completer = rlcompleter.Completer({"rc": rc})
    seen = [completer.complete("rc.text.", i) for i in range(3)]
    assert seen[0].startswith("rc.text.ByteTokenizer")
    assert not any(match and ("np" in match or "Any" in match) for match in seen)
    assert "layers" in dir(rc)
    assert "progress" in dir(rc)


@pytest.mark.parametrize("kind", CLASSES, ids=lambda kind: kind.__qualname__)
def test_help_of_a_class_is_its_own(kind: type) -> None:
    text = inspect.getdoc(kind) or ""
    assert "As in `" not in text
    if "__init__" not in vars(kind) or getattr(kind, "_is_protocol", False):
        return
    described = set()
    for line in re.findall(r"^(\*{0,2}\w.*?)(?: : .*)?$\n    ", text, re.MULTILINE):
        described |= set(re.findall(r"\w+", line))
    missing = set(inspect.signature(kind).parameters) - described - {"args", "kwargs"}
    assert not missing


@pytest.mark.parametrize(
    "kind", [k for k in CLASSES if k not in WITHOUT_EXAMPLE], ids=lambda kind: kind.__qualname__
)
def test_help_of_a_class_has_an_example_that_runs_alone(kind: type) -> None:
    example = doctest.DocTestParser().get_doctest(kind.__doc__ or "", {}, kind.__name__, None, None)
    assert example.examples
    assert doctest.DocTestRunner().run(example).failed == 0


def test_help_of_lstm() -> None:
    helped = subprocess.run(
        [sys.executable, "-c", "import rnncore as rc; help(rc.LSTM)"],
        capture_output=True,
        text=True,
        check=True,
        stdin=subprocess.DEVNULL,
    ).stdout
    assert "bidirectional : bool" in helped
    assert "reads the sequence backwards" in helped
    assert ">>> y, (h, c) = lstm(x)" in helped
    assert "LSTM(input_size: 'int', hidden_size: 'int', num_layers: 'int' = 1, *" in helped


def test_without_docstrings_it_works() -> None:
    subprocess.run([sys.executable, "-OO", "-c", "import rnncore"], check=True)


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (
            rc.training.TrainingResult(
                losses=[1.5] * 4000,
                validations=[rc.training.Validation(k, 10 * k, 2.0 / k) for k in range(1, 400)],
                num_targets=10**6,
                seconds=61.26,
            ),
            "TrainingResult(4000 updates, 1000000 targets, 61.3 seconds, "
            "best=Validation(epoch=399, update=3990, loss=0.005012531328320802, "
            "measures={}))",
        ),
        (
            rc.training.TrainingResult(),
            "TrainingResult(0 updates, 0 targets, 0.0 seconds, best=None)",
        ),
        (
            rc.training.TrainingResult(losses=[1.0], skipped=3, interrupted=True),
            "TrainingResult(1 updates, 0 targets, 0.0 seconds, best=None, 3 skipped, interrupted)",
        ),
        (
            Batch(np.zeros((90, 80), int), np.zeros((90, 80), int), np.ones(80, int)),
            "Batch(inputs [90, 80], targets [90, 80], lengths [80], weight=1)",
        ),
        (
            Batch(np.zeros((9, 8), int), np.zeros((9, 8), int), weight=0.5),
            "Batch(inputs [9, 8], targets [9, 8], weight=0.5)",
        ),
    ],
)
def test_short_repr(value: Any, expected: str) -> None:
    assert repr(value) == expected
