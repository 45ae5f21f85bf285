"""Tokenizers of other libraries, kept whole in the file of a model."""

from __future__ import annotations

import base64
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from rnncore._check import check_below, check_shape, describe, ids_array
from rnncore.text.tokenizer import Tokenizer

__all__ = ["HuggingFaceTokenizer", "SentencePieceTokenizer"]

_START_TOKENS = ("<s>", "[CLS]", "<bos>", "<|startoftext|>")
_END_TOKENS = ("</s>", "[SEP]", "<eos>", "<|endoftext|>")


class HuggingFaceTokenizer(Tokenizer):
    """A ``tokenizers.Tokenizer`` of the library tokenizers, extra ``[text]``.

    Parameters
    ----------
    tokenizer : tokenizers.Tokenizer
        No special tokens are added by it: models add `start` and `end` where they need them.
    """

    def __init__(self, tokenizer: Any) -> None:
        self.tokenizer = tokenizer
        self.start = _first_known(tokenizer, _START_TOKENS)
        self.end = _first_known(tokenizer, _END_TOKENS)

    @property
    def vocab_size(self) -> int:
        """Number of tokens V."""
        return int(self.tokenizer.get_vocab_size())

    def encode(self, text: str, name: str = "text") -> NDArray[np.int64]:
        """Return the ids [T] of a text."""
        if not isinstance(text, str):
            raise TypeError(f"{name}: expected str, got {describe(text)}")
        return np.array(self.tokenizer.encode(text, add_special_tokens=False).ids, np.int64)

    def decode(self, ids: Any) -> str:
        """Return the text of ids [T], without special tokens."""
        return str(self.tokenizer.decode(_checked(ids, self.vocab_size)))

    def asset(self) -> str:
        """Return the library's own JSON."""
        return str(self.tokenizer.to_str())

    @classmethod
    def from_asset(cls, value: Any) -> Self:
        """Build the tokenizer of the library's own JSON.

        Raises
        ------
        ImportError
            When tokenizers is not installed.
        """
        import tokenizers

        return cls(tokenizers.Tokenizer.from_str(value))


class SentencePieceTokenizer(Tokenizer):
    """A ``SentencePieceProcessor`` of the library sentencepiece, extra ``[text]``.

    Parameters
    ----------
    processor : sentencepiece.SentencePieceProcessor
        With a model loaded.
    """

    def __init__(self, processor: Any) -> None:
        self.processor = processor
        start, end = int(processor.bos_id()), int(processor.eos_id())
        self.start = start if start >= 0 else None
        self.end = end if end >= 0 else None

    @property
    def vocab_size(self) -> int:
        """Number of pieces V."""
        return int(self.processor.get_piece_size())

    def encode(self, text: str, name: str = "text") -> NDArray[np.int64]:
        """Return the ids [T] of a text."""
        if not isinstance(text, str):
            raise TypeError(f"{name}: expected str, got {describe(text)}")
        return np.array(self.processor.encode(text, out_type=int), np.int64)

    def decode(self, ids: Any) -> str:
        """Return the text of ids [T]."""
        return str(self.processor.decode(_checked(ids, self.vocab_size)))

    def asset(self) -> str:
        """Return the library's own model, in base 64."""
        return base64.b64encode(self.processor.serialized_model_proto()).decode("ascii")

    @classmethod
    def from_asset(cls, value: Any) -> Self:
        """Build the tokenizer of the library's own model.

        Raises
        ------
        ImportError
            When sentencepiece is not installed.
        """
        import sentencepiece

        model = base64.b64decode(value, validate=True)
        return cls(sentencepiece.SentencePieceProcessor(model_proto=model))


def _first_known(tokenizer: Any, tokens: tuple[str, ...]) -> int | None:
    ids = (tokenizer.token_to_id(token) for token in tokens)
    return next((i for i in ids if i is not None), None)


def _checked(ids: Any, vocab_size: int) -> list[int]:
    array = ids_array("ids", ids)
    check_shape("ids", array, ("T",))
    check_below("ids", array, vocab_size)
    return [int(i) for i in array]
