"""Tokenizers: text to integer ids and back."""

from rnncore.text.byte import ByteTokenizer
from rnncore.text.characters import CharTokenizer
from rnncore.text.files import blocks, load_tokenizer
from rnncore.text.library import HuggingFaceTokenizer, SentencePieceTokenizer
from rnncore.text.prepared import prepare
from rnncore.text.tokenizer import Tokenizer
from rnncore.text.words import WordTokenizer
from rnncore.text.wrap import as_tokenizer

__all__ = [
    "ByteTokenizer",
    "CharTokenizer",
    "HuggingFaceTokenizer",
    "SentencePieceTokenizer",
    "Tokenizer",
    "WordTokenizer",
    "as_tokenizer",
    "blocks",
    "load_tokenizer",
    "prepare",
]
