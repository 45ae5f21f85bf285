"""Tokenizers of other libraries, kept whole in the file of a model."""

from __future__ import annotations

import base64
from collections.abc import Iterable
from io import BytesIO
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from rnncore import _extras
from rnncore._check import check_below, check_shape, describe, ids_array, size
from rnncore._keywords import strict_keywords
from rnncore.text.tokenizer import Tokenizer

__all__ = ["HuggingFaceTokenizer", "SentencePieceTokenizer"]

_START_TOKENS = ("<s>", "[CLS]", "<bos>", "<|startoftext|>")
_END_TOKENS = ("</s>", "[SEP]", "<eos>", "<|endoftext|>")


@strict_keywords()
class HuggingFaceTokenizer(Tokenizer):
    """A ``tokenizers.Tokenizer`` of the library tokenizers, extra ``[text]``.

    `start` and `end` are the tokens ``<s>`` and ``</s>``, or what other libraries call them. A
    vocabulary with one of them only begins and ends sentences with it.

    Parameters
    ----------
    tokenizer : tokenizers.Tokenizer
        It adds no special tokens: models add `start` and `end` where they need them.

    Raises
    ------
    TypeError
        When it is something else.

    Examples
    --------
    >>> import rnncore as rc
    >>> import tokenizers
    >>> words = tokenizers.models.WordLevel({"</s>": 0, "to": 1, "be": 2}, unk_token="to")
    >>> of_library = tokenizers.Tokenizer(words)
    >>> of_library.pre_tokenizer = tokenizers.pre_tokenizers.Whitespace()
    >>> rc.text.HuggingFaceTokenizer(of_library).encode_sentence("to be")
    array([0, 1, 2, 0])
    """

    def __init__(self, tokenizer: Any) -> None:
        if not hasattr(tokenizer, "token_to_id") or not hasattr(tokenizer, "to_str"):
            raise TypeError(
                f"tokenizer: expected a tokenizers.Tokenizer, got {describe(tokenizer)}"
            )
        self.tokenizer = tokenizer
        start, end = (_first_known(tokenizer, names) for names in (_START_TOKENS, _END_TOKENS))
        self.start = end if start is None else start
        self.end = start if end is None else end

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

    def token(self, index: int) -> str:
        """Return a token as the library calls it."""
        return str(self.tokenizer.id_to_token(index))

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
        TypeError, ValueError
            When the value is no such JSON.
        """
        library = _extras.library("tokenizers", "text")
        try:
            tokenizer = library.Tokenizer.from_str(value)
        except TypeError:
            raise
        except Exception as error:  # the library has no class of its own for it
            raise ValueError(f"tokenizer: not as tokenizers saves it ({error})") from None
        return cls(tokenizer)

    def __repr__(self) -> str:
        return f"<HuggingFaceTokenizer of {self.vocab_size} tokens>"


@strict_keywords()
class SentencePieceTokenizer(Tokenizer):
    """A ``SentencePieceProcessor`` of the library sentencepiece, extra ``[text]``.

    Parameters
    ----------
    processor : sentencepiece.SentencePieceProcessor
        With a model loaded.

    Raises
    ------
    TypeError
        When it is something else.

    Examples
    --------
    >>> import rnncore as rc
    >>> tokenizer = rc.text.SentencePieceTokenizer.fit(["to be or not to be"], vocab_size=12)
    >>> tokenizer.decode(tokenizer.encode("not to be"))
    'not to be'
    """

    def __init__(self, processor: Any) -> None:
        if not hasattr(processor, "serialized_model_proto"):
            raise TypeError(
                f"processor: expected a SentencePieceProcessor, got {describe(processor)}"
            )
        self.processor = processor
        start, end = int(processor.bos_id()), int(processor.eos_id())
        known = [i for i in (start, end) if i >= 0]
        self.start = known[0] if known else None
        self.end = known[-1] if known else None

    @classmethod
    @strict_keywords()
    def fit(cls, text: str | Iterable[str], vocab_size: int) -> Self:
        """Subwords of a text; those of the lines of two languages are a joint vocabulary.

        They are byte pairs (Sennrich, Haddow and Birch 2016, arXiv 1508.07909). Every character of
        the text is a piece, or a part of one, and no text is changed.

        Parameters
        ----------
        text : str, or iterable of str
            A text, or its lines.
        vocab_size : int
            Number of pieces V; the unknown piece, start and end are the first three.

        Raises
        ------
        ImportError
            When sentencepiece is not installed.
        TypeError, ValueError
            When an argument has the wrong type, or the text has no vocabulary of this size.
        """
        lines = text.split("\n") if isinstance(text, str) else text
        if not isinstance(lines, Iterable):
            raise TypeError(f"text: expected str or lines of text, got {describe(text)}")
        model = BytesIO()
        try:
            _extras.library("sentencepiece", "text").SentencePieceTrainer.train(
                sentence_iterator=iter(lines),
                model_writer=model,
                model_type="bpe",
                vocab_size=size("vocab_size", vocab_size),
                character_coverage=1.0,
                normalization_rule_name="identity",
                num_threads=1,  # the pieces of several differ from run to run
                minloglevel=2,
            )
        except RuntimeError as error:
            raise ValueError(f"vocab_size: sentencepiece refuses {vocab_size} ({error})") from None
        return cls.from_asset(base64.b64encode(model.getvalue()).decode("ascii"))

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

    def token(self, index: int) -> str:
        """Return a piece as the library calls it."""
        return str(self.processor.id_to_piece(index))

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
        TypeError, ValueError
            When the value is no such model.
        """
        library = _extras.library("sentencepiece", "text")
        model = base64.b64decode(value, validate=True)
        processor = library.SentencePieceProcessor()
        try:
            loaded = processor.LoadFromSerializedProto(model)
        except RuntimeError as error:
            raise ValueError(f"tokenizer: not as sentencepiece saves it ({error})") from None
        if not loaded or processor.get_piece_size() < 1:
            raise ValueError("tokenizer: not as sentencepiece saves it")
        return cls(processor)

    def __repr__(self) -> str:
        return f"<SentencePieceTokenizer of {self.vocab_size} tokens>"


def _first_known(tokenizer: Any, tokens: tuple[str, ...]) -> int | None:
    ids = (tokenizer.token_to_id(token) for token in tokens)
    return next((i for i in ids if i is not None), None)


def _checked(ids: Any, vocab_size: int) -> list[int]:
    array = ids_array("ids", ids)
    check_shape("ids", array, ("T",))
    check_below("ids", array, vocab_size)
    return [int(i) for i in array]
