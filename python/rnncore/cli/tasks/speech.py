"""``rnncore train --task speech``: a recognizer of recordings with transcripts."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from rnncore import _help, _interrupt
from rnncore._check import Array
from rnncore.audio import Features, Utterance, read, read_manifest
from rnncore.audio.manifest import read_features
from rnncore.cli.parser import OptionGroup, defaults_of, keywords
from rnncore.cli.tasks.running import listen_to_ctrl_c, machine, run_options, summary
from rnncore.cli.train_options import add_training_options, training_config
from rnncore.layers import CELLS
from rnncore.models import CTCRecognizer, FrameRecognizer
from rnncore.models.recognizer import Recognizer
from rnncore.models.symbols import split_text
from rnncore.progress import choose_progress

__all__ = ["HELP", "add_options", "run"]

HELP = "recognize speech in recordings"

_MODEL, _FEATURES = "model", "features of recordings"

#: Few recordings are learned by heart without dropout.
MODEL: dict[str, Any] = {"dropout": 0.3}

_INTEGER: dict[str, Any] = {"type": int, "metavar": "N"}


def add_options(parser: argparse.ArgumentParser) -> None:
    """Describe the task and its options."""
    parser.description = (
        "Train a recognizer of recordings. Each line of MANIFEST is a JSON object with the file of "
        'a recording, or of features (.npy, [T, I]), as "audio_filepath", and what is said in it '
        'as "text". A share of the lines, drawn at random, is held out; the model with the lowest '
        "loss on it is kept. Ctrl-C ends the training and keeps the best model so far."
    )
    parser.add_argument("file", metavar="MANIFEST", help="lines of JSON objects in UTF-8")
    parser.add_argument(
        "--validation", metavar="MANIFEST", help="what is held out, instead of a share of the lines"
    )
    parser.add_argument(
        "--characters",
        action="store_true",
        help="the symbols of a text are its characters, not what stands between blanks",
    )
    parser.add_argument(
        "--frame-labels",
        action="store_true",
        help="a text has one symbol for every step of the features: segments with exact times",
    )
    model = OptionGroup(parser, _MODEL, defaults_of(CTCRecognizer) | MODEL)
    model.add("--cell", "cell", "recurrent layer", choices=list(CELLS))
    model.add("--hidden-size", "hidden_size", "units of each layer and direction", **_INTEGER)
    model.add("--num-layers", "num_layers", "recurrent layers", **_INTEGER)
    one = "read forward only, as live audio needs it"
    model.add("--one-direction", "bidirectional", one, action="store_false")
    model.add("--dropout", "dropout", "probability", type=float, metavar="X")

    features = OptionGroup(parser, _FEATURES, defaults_of(Features) | {"rate": None})
    features.add("--features", "kind", "what is computed", choices=["logmel", "mfcc"])
    rate = "samples a second (default: those of the recordings, the fewest if they differ)"
    features.add("--rate", "rate", rate, **_INTEGER)
    features.add("--num-mels", "num_mels", "bands on the mel scale", **_INTEGER)
    features.add("--num-cepstra", "num_cepstra", "coefficients of mfcc", **_INTEGER)
    features.add("--deltas", "deltas", "slopes (1), and slopes of slopes (2)", **_INTEGER)
    features.add("--stack", "stack", "frames that make up one step", **_INTEGER)
    kinds = ["utterance", "speaker", "running", "none"]
    mean = "what a mean of 0 is over (default: utterance, with --one-direction: running)"
    features.add("--normalization", "normalization", mean, choices=kinds)
    features.add("--channel", "channel", "channel of files of several, from 0", **_INTEGER)
    add_training_options(parser)


def run(given: argparse.Namespace) -> int:
    """Run the task; return the exit status."""
    listen_to_ctrl_c()
    config = training_config(given)
    options = {**MODEL, **keywords(given, _MODEL)}
    run = run_options(given)
    utterances = read_manifest(given.file)
    separator = "" if given.characters else " "
    symbols = sorted({s for u in utterances for s in split_text(u.text, separator)})
    if not symbols:
        raise ValueError(f"{given.file}: expected texts, got empty ones only")
    features, inputs = _inputs(given, utterances)
    kind: type[Recognizer] = FrameRecognizer if given.frame_labels else CTCRecognizer
    model = kind(
        symbols,
        features=features,
        input_size=inputs[0].shape[1],
        separator=separator,
        rng=config.seed,
        **options,
    )
    training = _examples(given.file, model, utterances, inputs)
    held_out = None
    if given.validation is not None:
        others = read_manifest(given.validation)
        read_inputs = _extracted(given.validation, features, others)
        held_out = _examples(given.validation, model, others, read_inputs)
    print(
        f"{given.file}: {len(inputs):,} recordings, {sum(map(len, inputs)):,} steps, "
        f"{len(symbols)} symbols. {model.cell} {model.rnn.num_layers} x {model.rnn.hidden_size}: "
        f"{model.num_params:,} parameters. {machine()}",
        flush=True,
    )
    progress = choose_progress(sys.stdout, model.unit)
    result = model.fit(*training, config, validation=held_out, progress=progress, **run)
    print(summary(model, result, given.out), flush=True)
    return _interrupt.STATUS if result.interrupted else 0


def _inputs(
    given: argparse.Namespace, utterances: Sequence[Utterance]
) -> tuple[Features | None, list[Array]]:
    """Return what computes the features, unless files hold them, and the features [T_k,I]."""
    options = keywords(given, _FEATURES)
    if utterances[0].has_features:
        for name in options:
            flag = {"kind": "features"}.get(name, name.replace("_", "-"))
            raise ValueError(f"--{flag}: no option of manifests whose files hold features")
        return None, _extracted(given.file, None, utterances)
    live = not keywords(given, _MODEL).get("bidirectional", True)
    options.setdefault("normalization", "running" if live else "utterance")
    if options["normalization"] == "none":
        options["normalization"] = None
    if "rate" not in options:
        rates = []
        for utterance in utterances:
            with _line(given.file, utterance):
                _require_alike(utterance, with_features=False)
                rates.append(read(utterance.path, channel=options.get("channel")).rate)
        options["rate"] = min(rates)
    features = Features(**options)
    return features, _extracted(given.file, features, utterances)


def _extracted(
    manifest: str, features: Features | None, utterances: Sequence[Utterance]
) -> list[Array]:
    """Return the features of each utterance; an error names its line."""
    found, width = [], None
    for utterance in utterances:
        with _line(manifest, utterance):
            _require_alike(utterance, with_features=features is None)
            if features is None:
                x = read_features(utterance.path)
                width = x.shape[1] if width is None else width
                if x.shape[1] != width:
                    raise ValueError(
                        f"{utterance.path}: expected {width} features a frame, as in the first "
                        f"line, got {x.shape[1]}"
                    )
            elif features.normalization == "speaker" and utterance.speaker is None:
                raise ValueError('expected a "speaker", whose recordings are normalized together')
            else:
                x = features.frames(utterance.path)
        found.append(x)
    if features is None:
        return found
    return features.steps(found, [utterance.speaker or "" for utterance in utterances])


def _require_alike(utterance: Utterance, *, with_features: bool) -> None:
    """Raise unless the file is of the kind that the manifest began with."""
    if utterance.has_features != with_features:
        kinds = ("features (.npy)", "a recording")
        expected, got = kinds if with_features else kinds[::-1]
        raise ValueError(f"{utterance.path}: expected {expected}, as in the first line, got {got}")


def _examples(
    manifest: str, model: Recognizer, utterances: Sequence[Utterance], inputs: Sequence[Array]
) -> tuple[list[Array], list[str]]:
    """Return features and texts that fit the model; an error names its line."""
    texts = [utterance.text for utterance in utterances]
    for utterance, x, text in zip(utterances, inputs, texts, strict=True):
        with _line(manifest, utterance):
            model.check(str(utterance.path), x, text)
    return list(inputs), texts


@contextmanager
def _line(manifest: str, utterance: Utterance) -> Iterator[None]:
    """Let errors name the line of the manifest."""
    try:
        yield
    except (OSError, TypeError, ValueError) as error:
        reason = getattr(error, "strerror", None)
        told = f"{utterance.path}: {reason}" if reason else str(error)
        raise ValueError(f"{manifest}: line {utterance.line}: {told}") from None


_help.show_public_names()
