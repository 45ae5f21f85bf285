"""Files of commands."""

from __future__ import annotations

import os
from pathlib import Path

from rnncore import io
from rnncore.models import LanguageModel

__all__ = ["load_language_model", "read_text", "require_another"]


def read_text(path: str) -> str:
    """Return a text file in UTF-8 with its line ends as line feeds and without byte order mark.

    Raises
    ------
    OSError
        When it cannot be read.
    ValueError
        When it is empty or not UTF-8.
    """
    try:
        text = Path(path).read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise ValueError(
            f"{path}: expected text in UTF-8, got the byte {error.object[error.start]:#04x} at "
            f"position {error.start}"
        ) from None
    if not text:
        raise ValueError(f"{path}: expected a text, got an empty file")
    return text


def load_language_model(path: str) -> LanguageModel:
    """Return the language model of a file.

    Raises
    ------
    OSError, ValueError
        As `rnncore.load`, and when the model is of another kind or has no vocabulary.
    """
    model = io.load(path)
    if not isinstance(model, LanguageModel) or model.tokenizer is None:
        raise ValueError(f"{path}: expected a language model with a vocabulary, got {model!r}")
    return model


def require_another(out: str, file: str | None, what: str) -> None:
    """Raise ValueError if `out` is an input of the command, whose content it would replace."""
    if file is not None and os.path.exists(out) and os.path.samefile(file, out):
        raise ValueError(f"--out: expected another file than the {what}, got {out}")
