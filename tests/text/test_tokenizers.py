"""Words, bytes, tokenizers of other libraries, and those of a user's own."""

import io
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import rnncore as rc
from rnncore.text import (
    ByteTokenizer,
    CharTokenizer,
    HuggingFaceTokenizer,
    SentencePieceTokenizer,
    Tokenizer,
    WordTokenizer,
    as_tokenizer,
    load_tokenizer,
)
from rnncore.text.streaming import Detokenizer, until

TEXT = "to be, or not to be: that is the question\nwhether 'tis nobler in the mind to suffer\n" * 4


def words() -> Tokenizer:
    return WordTokenizer.fit(TEXT)


def hugging_face() -> Tokenizer:
    """Byte pairs, as GPT-2 has them."""
    library = pytest.importorskip("tokenizers")
    tokenizer = library.Tokenizer(library.models.BPE())
    tokenizer.pre_tokenizer = library.pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = library.decoders.ByteLevel()
    trainer = library.trainers.BpeTrainer(
        vocab_size=300,
        special_tokens=["<s>", "</s>"],
        initial_alphabet=library.pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(TEXT.splitlines(), trainer)
    return HuggingFaceTokenizer(tokenizer)


def sentence_piece() -> Tokenizer:
    library = pytest.importorskip("sentencepiece")
    model = io.BytesIO()
    library.SentencePieceTrainer.train(
        sentence_iterator=iter(TEXT.splitlines()),
        model_writer=model,
        vocab_size=60,
        hard_vocab_limit=False,
        minloglevel=2,
    )
    return SentencePieceTokenizer(library.SentencePieceProcessor(model_proto=model.getvalue()))


@rc.register
class Consonants(Tokenizer):
    """A tokenizer of a user's own."""

    unit = "letter"

    def __init__(self, letters: str) -> None:
        self.letters = letters

    @property
    def vocab_size(self) -> int:
        return len(self.letters)

    def encode(self, text: str, name: str = "text") -> Any:
        found = [self.letters.index(c) for c in text if c in self.letters]
        return np.array(found, np.int64)

    def decode(self, ids: Any) -> str:
        return "".join(self.letters[i] for i in ids)

    def asset(self) -> str:
        return self.letters

    @classmethod
    def from_asset(cls, value: Any) -> "Consonants":
        return cls(value)


MAKERS: dict[str, Callable[[], Tokenizer]] = {
    "characters": lambda: CharTokenizer.fit(TEXT),
    "bytes": ByteTokenizer,
    "words": words,
    "hugging face": hugging_face,
    "sentencepiece": sentence_piece,
    "own": lambda: Consonants("bcdfghjklmnpqrstvwxz"),
}
UNITS = {"characters": "character", "bytes": "byte", "words": "word", "own": "letter"}
every = pytest.mark.parametrize("name", list(MAKERS))


def model_of(tokenizer: Any, **options: Any) -> rc.LanguageModel:
    options = {"hidden_size": 8, "num_layers": 1, "rng": 0} | options
    return rc.LanguageModel(as_tokenizer(tokenizer).vocab_size, tokenizer=tokenizer, **options)


# --- every tokenizer ------------------------------------------------------------------------------


@every
def test_round_trip(name: str) -> None:
    tokenizer = MAKERS[name]()
    line = TEXT.splitlines()[0]
    text = "".join(c for c in line if c in tokenizer.letters) if name == "own" else line
    ids = tokenizer.encode(text)
    assert ids.dtype == np.int64
    assert tokenizer.decode(ids) == text
    assert 0 <= ids.min() <= ids.max() < tokenizer.vocab_size


@every
def test_a_text_is_its_lines(name: str) -> None:
    """Cut after a line feed, it has the ids of its parts: so it can be encoded in blocks."""
    tokenizer = MAKERS[name]()
    lines = TEXT.splitlines(keepends=True)
    parts = [tokenizer.encode_text(line) for line in [*lines, "to be"]]
    whole = tokenizer.encode_text(TEXT + "to be")
    assert whole.tolist() == np.concatenate(parts).tolist()
    if tokenizer.line_end is not None:
        assert np.count_nonzero(whole == tokenizer.line_end) == len(lines)


@every
def test_a_sentence_has_a_start_and_an_end(name: str) -> None:
    tokenizer = MAKERS[name]()
    ids = tokenizer.encode_sentence("to be")
    ends = [] if tokenizer.start is None else [tokenizer.start, tokenizer.end]
    assert ids.tolist() == [*ends[:1], *tokenizer.encode("to be"), *ends[1:]]
    assert (tokenizer.start is None) == (name == "own")


@every
def test_saved_in_the_file_of_a_model(name: str, tmp_path: Path) -> None:
    tokenizer = MAKERS[name]()
    model = model_of(tokenizer)
    rc.save(model, tmp_path / "model")
    loaded = rc.load(tmp_path / "model")
    assert type(loaded.tokenizer) is type(tokenizer)
    assert loaded.tokenizer.encode(TEXT).tolist() == tokenizer.encode(TEXT).tolist()
    assert loaded.tokenizer.asset() == tokenizer.asset()
    assert loaded.unit == UNITS.get(name, "token")
    assert loaded.sample("to be", 9, rng=1) == model.sample("to be", 9, rng=1)
    assert np.array_equal(loaded.score("to be, or not"), model.score("to be, or not"))


@every
def test_token_by_token_it_is_the_same_text(name: str) -> None:
    """Blanks between words, and characters of several bytes, are those of the whole text."""
    model = model_of(MAKERS[name]())
    whole = model.sample("to be", 60, rng=3)
    assert "to be" + "".join(model.generate("to be", 60, rng=3)) == whole
    prompt = model.encode("to be")
    drawn = model.sample(prompt, 60, rng=3)
    if name != "own":  # it leaves out vowels
        assert model.tokenizer.decode(np.concatenate([prompt, drawn])) == whole


@every
@pytest.mark.parametrize("sentences", [False, True])
def test_training(name: str, sentences: bool) -> None:
    model = model_of(MAKERS[name]())
    if sentences and name == "own":
        with pytest.raises(ValueError, match="tokens that begin and end sentences"):
            model.fit(TEXT, rc.training.TrainingConfig(sentences=True))
        return
    config = rc.training.TrainingConfig(
        epochs=40, batch_size=2, bptt=8, sentences=sentences, schedule="constant"
    )
    result = model.fit(TEXT, config)
    assert np.mean(result.losses[-3:]) < 0.8 * result.losses[0]
    assert model.sentences == sentences


DAMAGED: dict[str, list[Any]] = {
    "characters": [3, [], ["a", "a"], [1], None],
    "bytes": [3, [], "x"],
    "words": [
        3,
        {},
        {"vocabulary": ["a"]},
        {"vocabulary": ["<unk>", "<s>", "</s>"], "split": "x"},
        {"vocabulary": ["<unk>", "<s>", "</s>", 7]},
        {"vocabulary": "abc"},
        {"vocabulary": ["<unk>", "<s>", "</s>"], "special_tokens": 4},
        {"vocabulary": ["<unk>", "<s>", "</s>"], "surprise": 4},
    ],
    "hugging face": ["", "{}", "no JSON", 3, None, '{"model": {"type": "BPE"}}'],
    "sentencepiece": ["", "!", "AAAA", 3, None, "dG8gYmU="],
}


@pytest.mark.parametrize(("name", "value"), [(k, v) for k, vs in DAMAGED.items() for v in vs])
def test_a_damaged_asset_is_a_value_error(name: str, value: Any, tmp_path: Path) -> None:
    path = tmp_path / "model"
    rc.save(model_of(MAKERS[name]()), path)
    content = path.read_bytes()
    size = int.from_bytes(content[:8], "little")
    header = json.loads(content[8 : 8 + size])
    described = json.loads(header["__metadata__"]["rnncore"])
    described["assets"]["tokenizer"]["value"] = value
    header["__metadata__"]["rnncore"] = json.dumps(described)
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    path.write_bytes(len(text).to_bytes(8, "little") + text + content[8 + size :])
    with pytest.raises(ValueError, match="damaged rnncore file"):
        rc.load(path)


# --- words ----------------------------------------------------------------------------------------


def test_the_most_frequent_words() -> None:
    text = "a b b c c c d d d d"
    assert WordTokenizer.fit(text, 5).vocabulary == ("<unk>", "<s>", "</s>", "d", "c")
    assert WordTokenizer.fit(text, min_count=3).vocabulary[3:] == ("d", "c")
    assert WordTokenizer.fit(text, 4, min_count=4).vocabulary[3:] == ("d",)
    assert WordTokenizer.fit(iter(["b b\n", "a b"])).vocabulary[3:] == ("b", "a")
    assert WordTokenizer.fit("B b", lowercase=True).vocabulary[3:] == ("b",)
    with pytest.raises(ValueError, match="vocab_size: expected at least 3"):
        WordTokenizer.fit(text, 2)


def test_how_a_text_is_split() -> None:
    text = "Well, don't (stop)."
    by_marks = WordTokenizer.fit(text)
    assert set(by_marks.vocabulary[3:]) == {"Well", ",", "don't", "(", "stop", ")", "."}
    assert by_marks.decode(by_marks.encode(text)) == text
    assert set(WordTokenizer.fit(text, split="whitespace").vocabulary[3:]) == set(text.split())


def test_lines_end_with_the_end_token_and_unknown_words_are_one() -> None:
    tokenizer = WordTokenizer(["<unk>", "<s>", "</s>", "to", "be"])
    assert tokenizer.encode("to be\nor to").tolist() == [3, 4, 2, 0, 3]
    assert tokenizer.decode([1, 3, 4, 2, 0]) == "to be\n<unk>"
    assert tokenizer.encode("<s> to </s>").tolist() == [1, 3, 2]
    assert tokenizer.encode("").tolist() == []


@given(st.text(st.characters(codec="utf-8")))
def test_words_are_read_as_they_are_written(text: str) -> None:
    """What `decode` returns is encoded as it was."""
    tokenizer = WordTokenizer.fit(text)
    ids = tokenizer.encode(text)
    assert tokenizer.encode(tokenizer.decode(ids)).tolist() == ids.tolist()


def test_the_words_of_penn_treebank(shared: Path) -> None:
    """Its 10,000 words: 9,999 types, <unk> among them, and the end of a sentence."""
    text = (shared / "data/ptb/ptb.train.txt").read_text(encoding="utf-8")
    tokenizer = WordTokenizer.fit(text, split="whitespace")
    assert set(tokenizer.vocabulary) - {"<s>"} == {*text.split(), "</s>"}
    assert tokenizer.vocab_size - 1 == 10_000
    ids = tokenizer.encode(text)
    assert len(ids) == 929_589
    assert np.count_nonzero(ids == tokenizer.unknown) == text.split().count("<unk>")


# --- bytes ----------------------------------------------------------------------------------------


@given(st.text(st.characters(codec="utf-8")))
def test_bytes_hold_every_text(text: str) -> None:
    tokenizer = ByteTokenizer()
    assert tokenizer.decode(tokenizer.encode(text)) == text
    streamed = Detokenizer(tokenizer)
    pieces = [streamed.push([i]) for i in tokenizer.encode(text)]
    assert "".join([*pieces, streamed.push([], last=True)]) == text


def test_half_a_character_at_the_end_is_shown_as_such() -> None:
    streamed = Detokenizer(ByteTokenizer())
    assert "".join(streamed.stream([np.array([97]), np.array([195])])) == "a\ufffd"


# --- tokenizers of others -------------------------------------------------------------------------


def test_an_object_with_encode_and_decode() -> None:
    class Digits:
        vocab_size = 10

        def encode(self, text: str) -> list[int]:
            return [int(c) for c in text]

        def decode(self, ids: list[int]) -> str:
            return "".join(map(str, ids))

    model = model_of(Digits())
    assert len(model.sample("12", 3)) == 5
    with pytest.raises(TypeError, match="one that a file can hold, got Digits"):
        model.tokenizer.asset()  # type: ignore[union-attr]
    for wrong in (3, "abc", None, object()):
        with pytest.raises(TypeError, match="tokenizer: expected an object with encode"):
            as_tokenizer(wrong)


def test_files_of_other_libraries(tmp_path: Path) -> None:
    pieces, pairs = sentence_piece(), hugging_face()
    assert isinstance(pieces, SentencePieceTokenizer)
    assert isinstance(pairs, HuggingFaceTokenizer)
    (tmp_path / "m.model").write_bytes(pieces.processor.serialized_model_proto())
    (tmp_path / "t.json").write_text(pairs.asset(), encoding="utf-8")
    for name, tokenizer in (("m.model", pieces), ("t.json", pairs)):
        loaded = load_tokenizer(tmp_path / name)
        assert loaded.encode("to be").tolist() == tokenizer.encode("to be").tolist()
        (tmp_path / name).write_text("neither", encoding="utf-8")
        with pytest.raises(ValueError, match=f"{name}: tokenizer: not as"):
            load_tokenizer(tmp_path / name)


def test_of_another_size_than_the_model() -> None:
    with pytest.raises(ValueError, match="vocabulary of vocab_size = 7 tokens, got 256"):
        rc.LanguageModel(7, tokenizer=ByteTokenizer())


# --- stopping -------------------------------------------------------------------------------------


@given(
    st.text("ab", max_size=12), st.lists(st.integers(0, 12)), st.text("ab", min_size=1, max_size=3)
)
def test_until(text: str, cuts: list[int], stop: str) -> None:
    """The parts end behind the first stop, wherever the text is cut."""
    at = sorted(min(cut, len(text)) for cut in cuts)
    parts = [text[a:b] for a, b in zip([0, *at], [*at, len(text)], strict=True)]
    found = text.find(stop)
    expected = text if found < 0 else text[: found + len(stop)]
    assert "".join(until(parts, stop)) == expected
    assert "".join(until(list(text), stop)) == expected


def test_joint_subwords_of_two_texts(tmp_path: Path) -> None:
    pytest.importorskip("sentencepiece")
    lines = ["ein hund läuft", "a dog runs", "zwei  hunde", "two dogs"] * 20
    tokenizer = SentencePieceTokenizer.fit(lines, 48)
    assert tokenizer.vocab_size == 48
    assert (tokenizer.start, tokenizer.end) == (1, 2)
    for line in ("ein hund läuft", "a dog runs", "hunds"):
        assert tokenizer.decode(tokenizer.encode(line)) == line
    assert len(tokenizer.encode("hund")) < 4  # of letters alone it would be five
    same = SentencePieceTokenizer.fit("\n".join(lines), 48)
    assert same.asset() == tokenizer.asset()


@pytest.mark.parametrize(
    ("text", "options", "error", "message"),
    [
        (["a b"], {"vocab_size": 1000}, ValueError, "vocab_size: sentencepiece refuses 1000"),
        (["a b"], {"vocab_size": 0}, ValueError, "vocab_size: expected"),
        (3, {"vocab_size": 9}, TypeError, "text: expected str or lines of text"),
    ],
)
def test_bad_subwords(text: Any, options: Any, error: type[Exception], message: str) -> None:
    pytest.importorskip("sentencepiece")
    with pytest.raises(error, match=message):
        SentencePieceTokenizer.fit(text, **options)


def test_words_that_are_not_in_the_vocabulary() -> None:
    tokenizer = WordTokenizer.fit("to be, or not", lowercase=True)
    assert tokenizer.words("To Zebra, or") == ["to", "zebra", ",", "or"]
    assert tokenizer.join(["to", "zebra", ",", "or"]) == "to zebra, or"
    with pytest.raises(TypeError, match="text: expected str"):
        tokenizer.words(3)
