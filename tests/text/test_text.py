"""Characters to ids and back."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import rnncore as rc
from rnncore import datasets
from rnncore.text import CharTokenizer

# Every code point, also those that no UTF-8 file can hold: lone surrogates.
TEXTS = st.text(st.characters(codec=None), min_size=1)


@given(TEXTS)
def test_decode_is_the_inverse_of_encode(text: str) -> None:
    tokenizer = CharTokenizer.fit(text)
    ids = tokenizer.encode(text)
    assert ids.dtype == np.int64
    assert ids.shape == (len(text),)
    assert tokenizer.decode(ids) == text
    assert set(ids) == set(range(tokenizer.vocab_size))


@given(TEXTS)
def test_id_i_is_character_i(text: str) -> None:
    tokenizer = CharTokenizer.fit(text)
    assert list(tokenizer.vocabulary) == sorted(set(text))
    assert tokenizer.encode("".join(tokenizer.vocabulary)).tolist() == list(
        range(tokenizer.vocab_size)
    )


def test_vocabulary_keeps_its_order() -> None:
    tokenizer = CharTokenizer("cab")
    assert tokenizer.encode("abc").tolist() == [1, 2, 0]
    assert tokenizer == CharTokenizer(["c", "a", "b"])
    assert tokenizer != CharTokenizer("abc")
    assert hash(tokenizer) == hash(CharTokenizer("cab"))
    assert repr(tokenizer) == "CharTokenizer('cab')"


def test_empty_text_has_no_ids() -> None:
    tokenizer = CharTokenizer("ab")
    assert tokenizer.encode("").shape == (0,)
    assert tokenizer.decode([]) == ""


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("ab c", r"' ' \(U\+0020\) at position 2"),
        ("é", r"'é' \(U\+00E9\) at position 0"),
        ("aa\U0001f600", r"\(U\+1F600\) at position 2"),
        ("a\x00", r"'\\x00' \(U\+0000\) at position 1"),
    ],
)
def test_unknown_character_is_named_with_its_position(text: str, named: str) -> None:
    with pytest.raises(ValueError, match=named):
        CharTokenizer("abc").encode(text)


@pytest.mark.parametrize("unknown", ["é", "\U0010ffff", "\ud800"])
def test_unknown_beyond_the_largest_known_code_point(unknown: str) -> None:
    """The look-up table ends at the largest known character; the one before it is another edge."""
    with pytest.raises(ValueError, match="at position 1"):
        CharTokenizer("a").encode(f"a{unknown}")
    with pytest.raises(ValueError, match="at position 0"):
        CharTokenizer("b").encode("a")


@pytest.mark.parametrize("ids", [[0, 3], [-1], np.array([2**40])])
def test_decode_names_an_id_outside_the_vocabulary(ids: object) -> None:
    with pytest.raises(ValueError, match=r"expected values in \[0, 3\)"):
        CharTokenizer("abc").decode(ids)


def test_wrong_types_and_shapes() -> None:
    tokenizer = CharTokenizer("abc")
    with pytest.raises(TypeError, match="text: expected str, got bytes"):
        tokenizer.encode(b"abc")
    with pytest.raises(TypeError, match="ids: expected integers"):
        tokenizer.decode([0.5])
    with pytest.raises(ValueError, match=r"ids: expected shape \[T\]"):
        tokenizer.decode([[0, 1]])
    with pytest.raises(TypeError, match="text: expected str"):
        CharTokenizer.fit([1])


def test_bad_vocabularies() -> None:
    with pytest.raises(ValueError, match="empty text"):
        CharTokenizer.fit("")
    with pytest.raises(ValueError, match="at least one token"):
        CharTokenizer([])
    with pytest.raises(ValueError, match=r"vocabulary\[1\]: expected 1 to 256 characters, got 0"):
        CharTokenizer(["a", ""])
    with pytest.raises(TypeError, match=r"vocabulary\[0\]: expected str"):
        CharTokenizer([1])
    with pytest.raises(ValueError, match=r"'a' \(U\+0061\) occurs more than once"):
        CharTokenizer("aba")
    with pytest.raises(ValueError, match="vocabulary: '<s>' occurs more than once"):
        CharTokenizer(["<s>", "a", "<s>"])


# --- tokens of several characters ----------------------------------------------------------------

PIECES = ["a", "<", ">", "s", "/", "<s>", "</s>", "<s><s>", "ab", "abc"]


def longest_match(text: str, vocabulary: list[str]) -> list[int]:
    """The rule, one token after the other."""
    ids, start = [], 0
    while start < len(text):
        token = max((t for t in vocabulary if text.startswith(t, start)), key=len)
        ids.append(vocabulary.index(token))
        start += len(token)
    return ids


@given(st.permutations(PIECES), st.lists(st.sampled_from(PIECES)))
def test_tokens_of_several_characters(vocabulary: list[str], pieces: list[str]) -> None:
    tokenizer, text = CharTokenizer([*vocabulary, "b", "c"]), "".join(pieces)
    ids = tokenizer.encode(text)
    assert ids.dtype == np.int64
    assert ids.tolist() == longest_match(text, [*vocabulary, "b", "c"])
    assert tokenizer.decode(ids) == text
    assert [tokenizer.decode([i]) for i in ids] == [tokenizer.vocabulary[i] for i in ids]


def test_special_tokens_come_first_and_their_characters_do_not_count() -> None:
    tokenizer = CharTokenizer.fit("<s>to be</s><s>or</s>", special_tokens=["<s>", "</s>", "<pad>"])
    assert tokenizer.vocabulary == ("<s>", "</s>", "<pad>", *" beort")
    assert tokenizer.encode("<s>be</s>").tolist() == [0, 4, 5, 1]
    assert repr(CharTokenizer(["<s>", "a"])) == "CharTokenizer(['<s>', 'a'])"
    with pytest.raises(
        ValueError, match=r"special_tokens\[1\]: expected several characters, got '\|'"
    ):
        CharTokenizer.fit("a", special_tokens=["<s>", "|"])
    with pytest.raises(TypeError, match=r"special_tokens: expected a list of str, got str '<s>'"):
        CharTokenizer.fit("a", special_tokens="<s>")
    assert CharTokenizer.fit("<s>", special_tokens=["<s>"]).vocabulary == ("<s>",)


def test_unknown_character_between_special_tokens() -> None:
    with pytest.raises(ValueError, match=r"text: character '<' \(U\+003C\) at position 4 is not"):
        CharTokenizer(["<s>", "a"]).encode("<s>a<a")


def test_model_with_special_tokens(tmp_path: Path) -> None:
    tokenizer = CharTokenizer.fit("<s>ab</s>", special_tokens=["<s>", "</s>"])
    model = rc.LanguageModel(tokenizer.vocab_size, hidden_size=4, tokenizer=tokenizer, rng=0)
    rc.save(model, tmp_path / "model")
    loaded = rc.load(tmp_path / "model")
    assert loaded.tokenizer == tokenizer
    assert loaded.score("<s>ab</s>").shape == (3,)
    text = loaded.sample("<s>", 30, rng=0)
    assert tokenizer.encode(text)[1:].tolist() == loaded.sample([0], 30, rng=0).tolist()
    assert text == "<s>" + "".join(loaded.generate("<s>", 30, rng=0))


def test_repr_of_a_large_vocabulary_is_short() -> None:
    assert repr(CharTokenizer(map(chr, range(256, 5000)))).endswith("of 4744 tokens>")
    assert len(repr(CharTokenizer(map(chr, range(256, 5000))))) < 120


def test_tinyshakespeare() -> None:
    text = datasets.tinyshakespeare()
    assert len(text) == 1_115_394
    assert len(set(text)) == 65
    assert text.startswith("First Citizen:\nBefore we proceed any further, hear me speak.\n")


def test_embedded_text_is_the_original(shared: Path) -> None:
    original = shared / "data" / "tinyshakespeare" / "input.txt"
    assert datasets.tinyshakespeare().encode() == original.read_bytes()


def test_vocabulary_that_is_none() -> None:
    with pytest.raises(TypeError, match="vocabulary: expected characters, got int 3"):
        CharTokenizer(3)
