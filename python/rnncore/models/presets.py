"""Presets: named sizes of language models, for Python and the command line alike."""

from __future__ import annotations

from typing import Any

__all__ = ["PRESETS"]

#: Arguments of `LanguageModel` by the name of the preset. "characters" learns a text of about a
#: million characters well in a minute or two. "tutorial" is the network of the classic tutorial: U,
#: V and W without biases.
PRESETS: dict[str, dict[str, Any]] = {
    "characters": {"cell": "lstm", "hidden_size": 384, "num_layers": 1, "dropout": 0.3},
    "tutorial": {"cell": "rnn", "hidden_size": 100, "num_layers": 1, "bias": False},
}
