"""``rnncore transcribe``: what is said in recordings."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import Any

from rnncore._check import Array, integer, real
from rnncore._files import replacing
from rnncore.audio.manifest import read_features
from rnncore.cli.files import load_recognizer
from rnncore.cli.terminal import shown
from rnncore.cli.transcripts import ctm_lines, textgrid
from rnncore.ctc import Transcript
from rnncore.models import CTCRecognizer
from rnncore.models.recognizer import Recognizer

__all__ = ["HELP", "add_options", "run"]

HELP = "print what is said in recordings"

#: Seconds of a frame, where the model does not say it.
_STEP = 0.01


def add_options(parser: argparse.ArgumentParser) -> None:
    """Describe the command and its options."""
    parser.description = (
        "Print, for each recording, its file, a tab, and the symbols that are said in it. FILE is "
        "a recording, or features of one (.npy, [T, I])."
    )
    parser.add_argument("model", metavar="MODEL", help="file of a trained recognizer")
    parser.add_argument("files", metavar="FILE", nargs="+", help="recordings or features")
    forms = parser.add_mutually_exclusive_group()
    forms.add_argument(
        "--json",
        action="store_true",
        help="print an object for each file, with the times of all segments in seconds",
    )
    forms.add_argument(
        "--ctm",
        action="store_true",
        help="print a line for each segment: recording, channel, start, duration, symbol, "
        "confidence",
    )
    forms.add_argument(
        "--textgrid", metavar="DIR", help="write NAME.TextGrid for each file NAME.* besides"
    )
    parser.add_argument(
        "--beam-size",
        type=int,
        metavar="N",
        help="search the most probable symbols among N beginnings (default: frame by frame)",
    )
    parser.add_argument(
        "--step",
        type=float,
        metavar="X",
        help=f"seconds of a frame of features in files (default: {_STEP})",
    )


def run(given: argparse.Namespace) -> int:
    """Run the command; return the exit status."""
    model = load_recognizer(given.model)
    options = _decoding(given, model)
    step = _step(given, model)
    _require_different_names(given)
    # what is normalized by speaker is read as a whole: one speaker says all files
    together = model.features is not None and model.features.normalization == "speaker"
    for files in [given.files] if together else [[file] for file in given.files]:
        inputs = _inputs(model, files)
        for file, x, found in zip(files, inputs, model.transcribe(inputs, **options), strict=True):
            for line in _lines(given, model, file, found, step):
                print(shown(line, sys.stdout))
            if given.textgrid is not None:
                with replacing(_textgrid_path(given.textgrid, file)) as out:
                    out.write(textgrid(found, len(x), step).encode("utf-8", "surrogatepass"))
        sys.stdout.flush()
    return 0


def _decoding(given: argparse.Namespace, model: Recognizer) -> dict[str, Any]:
    """Return the keywords of `transcribe`."""
    if given.beam_size is None:
        return {}
    if not isinstance(model, CTCRecognizer):
        raise ValueError(f"--beam-size: no option of a model of frame labels, {given.model}")
    return {"beam_size": integer("--beam-size", given.beam_size, 1)}


def _step(given: argparse.Namespace, model: Recognizer) -> float:
    """Return the seconds of a frame."""
    if given.step is not None:
        if model.features is not None:
            raise ValueError(f"--step: {given.model} says itself that it is {model.features.step}")
        return real("--step", given.step, 0, open_low=True)
    return _STEP if model.features is None else model.features.step


def _inputs(model: Recognizer, files: list[str]) -> list[Array]:
    """Return the features of files."""
    read = [read_features(file) if file.endswith(".npy") else file for file in files]
    return model.inputs(read, names=files)


def _lines(
    given: argparse.Namespace, model: Recognizer, file: str, found: Transcript, step: float
) -> list[str]:
    """Return what is printed of one file."""
    if given.ctm:
        return [_on_a_line(line) for line in ctm_lines(file, found, step)]
    text = model.separator.join(map(str, found.symbols))
    if not given.json:
        return [f"{_on_a_line(file)}\t{_on_a_line(text)}"]
    segments = [
        {
            "symbol": segment.symbol,
            "start": round(segment.start * step, 6),
            "end": round(segment.end * step, 6),
            "probability": segment.probability,
        }
        for segment in found.segments
    ]
    entry = {"audio_filepath": file, "text": text, "score": found.score, "segments": segments}
    return [json.dumps(entry, ensure_ascii=False)]


def _on_a_line(text: str) -> str:
    """Return a text that cannot look like a column or a line of its own."""
    return "".join(c if c.isprintable() else ascii(c)[1:-1] for c in text)


def _textgrid_path(folder: str, file: str) -> Path:
    return Path(folder) / f"{Path(file).stem}.TextGrid"


def _require_different_names(given: argparse.Namespace) -> None:
    """Raise where one TextGrid would replace another."""
    if given.textgrid is None:
        return
    names: dict[str, str] = {}
    for file in given.files:
        other = names.setdefault(Path(file).stem, file)
        if other != file:
            raise ValueError(
                f"--textgrid: expected files of different names, got {other} and {file}"
            )
