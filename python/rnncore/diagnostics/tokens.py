"""Tokens beside the values that belong to them."""

from __future__ import annotations

from collections.abc import Sequence

from rnncore._check import describe

__all__ = ["shown", "token_list"]

_SIGNS = {"\n": "↵", "\t": "⇥", "\r": "␍", " ": "·"}


def token_list(name: str, text: str | Sequence[str], count: int) -> list[str]:
    """Return a text's characters, or a list of tokens, of which there must be `count`.

    Raises
    ------
    TypeError, ValueError
        If they are no strings, or another number of them.
    """
    if not isinstance(text, str | Sequence) or not all(isinstance(token, str) for token in text):
        raise TypeError(f"{name}: expected a text or a list of strings, got {describe(text)}")
    tokens = list(text)
    if len(tokens) != count:
        raise ValueError(f"{name}: expected {count} tokens, one for each step, got {len(tokens)}")
    return tokens


def shown(token: str) -> str:
    """Return a token with signs for spaces and line feeds."""
    return "".join(_SIGNS.get(c, c if c.isprintable() else "�") for c in token)
