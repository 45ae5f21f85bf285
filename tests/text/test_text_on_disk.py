"""Texts that stay on disk: prepared once, and trained on as if they were in memory."""

import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import rnncore as rc
from rnncore.cli import main
from rnncore.text import ByteTokenizer, CharTokenizer, Tokenizer, WordTokenizer, blocks, prepare
from rnncore.training import TrainingConfig

WORDS = ["to", "be", "or", "not", "that", "is", "question,", "é"]


def made_text(lines: int) -> str:
    rng = np.random.default_rng(0)
    drawn = (rng.choice(WORDS, rng.integers(1, 14)) for _ in range(lines))
    return "".join(f"{' '.join(line)}\n" for line in drawn)


@pytest.fixture(scope="module")
def text() -> str:
    """Some megabytes: more than one block."""
    return made_text(80_000)


def tokenizers(text: str) -> list[Tokenizer]:
    return [CharTokenizer.fit(text), WordTokenizer.fit(text), ByteTokenizer()]


def write(path: Path, text: str) -> Path:
    path.write_bytes(text.encode())
    return path


def test_ids_are_those_of_the_text_in_memory(text: str, tmp_path: Path) -> None:
    file = write(tmp_path / "text", text)
    assert file.stat().st_size > 2 << 20
    for tokenizer in tokenizers(text):
        ids = prepare(file, tokenizer)
        assert isinstance(ids, np.memmap)
        assert not ids.flags.writeable
        assert ids.dtype == np.uint8
        assert np.array_equal(ids, tokenizer.encode(text))
    assert len(list(tmp_path.iterdir())) == 1 + 3


@pytest.mark.parametrize("sentences", [False, True])
def test_training_is_that_in_memory(text: str, tmp_path: Path, sentences: bool) -> None:
    """Bit for bit, for a time of some updates."""
    file = write(tmp_path / "text", text[:300_000])
    config = TrainingConfig(epochs=1, batch_size=64, bptt=16, sentences=sentences)
    for tokenizer in tokenizers(text):
        losses, params = [], []
        for given in (text[:300_000], file):
            model = rc.LanguageModel(
                tokenizer.vocab_size, "gru", 4, 6, 1, tokenizer=tokenizer, rng=0
            )
            losses.append(model.fit(given, config).losses)
            params.append(model.flat_params.copy())
        assert losses[0] == losses[1]
        assert np.array_equal(*params)


def test_prepared_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = write(tmp_path / "text", "to be\n")
    encoded = []

    class Counting(ByteTokenizer):
        def encode_text(self, text: str, name: str = "text") -> Any:
            encoded.append(text)
            return super().encode_text(text, name)

    for _ in range(2):
        assert bytes(prepare(file, Counting())) == b"to be\n"
    assert encoded == ["to be\n"]
    os.utime(file, ns=(0, 0))  # another time of change: another text
    prepare(file, Counting())
    write(file, "or not")
    assert bytes(prepare(file, Counting())) == b"or not"
    assert len(encoded) == 3
    assert len(list(tmp_path.iterdir())) == 2  # the ids of older texts are gone
    (ids,) = tmp_path.glob("*.npy")
    ids.write_bytes(ids.read_bytes()[:-1])  # damaged
    assert bytes(prepare(file, Counting())) == b"or not"
    assert len(encoded) == 4


def test_another_tokenizer_has_ids_of_its_own(tmp_path: Path) -> None:
    file = write(tmp_path / "text", "ab")
    assert prepare(file, CharTokenizer("ab")).tolist() == [0, 1]
    assert prepare(file, CharTokenizer("ba")).tolist() == [1, 0]
    assert prepare(file, CharTokenizer("ab")).tolist() == [0, 1]


def test_elsewhere(tmp_path: Path) -> None:
    file = write(tmp_path / "text", "ab")
    (tmp_path / "ids").mkdir()
    prepare(file, ByteTokenizer(), tmp_path / "ids")
    assert {path.name for path in tmp_path.iterdir()} == {"text", "ids"}
    assert len(list((tmp_path / "ids").iterdir())) == 1


@pytest.mark.parametrize(
    ("count", "dtype"), [(256, np.uint8), (257, np.uint16), (2**16, np.uint16), (2**16 + 1, "u4")]
)
def test_ids_take_few_bytes(count: int, dtype: Any, tmp_path: Path) -> None:
    tokenizer = CharTokenizer(chr(i) for i in range(0x10FFFF - count, 0x10FFFF))
    last = tokenizer.vocabulary[-1]
    ids = prepare(write(tmp_path / "text", last), tokenizer)
    assert ids.dtype == dtype
    assert ids.tolist() == [count - 1]


def test_nothing_is_left_of_a_failure(tmp_path: Path) -> None:
    file = tmp_path / "text"
    for content, message in ((b"", "empty"), (b"ab\xff", "0xff"), (b"abc", "'c'.* position 2")):
        file.write_bytes(content)
        with pytest.raises(ValueError, match=message):
            prepare(file, CharTokenizer("ab"))
        assert list(tmp_path.iterdir()) == [file]
    with pytest.raises(FileNotFoundError):
        prepare(tmp_path / "none", CharTokenizer("ab"))
    model = rc.LanguageModel(3, hidden_size=4)
    with pytest.raises(ValueError, match="got a file; the model has no vocabulary"):
        model.fit(file)


@pytest.mark.parametrize("size", [1, 2, 7, 100])
def test_blocks(size: int, tmp_path: Path) -> None:
    """They are the text, and end with lines or else with words where these are short enough."""
    content = "\ufeffto be\r\nor\rnot é\n\n" + "long" * 5
    file = write(tmp_path / "text", content)
    parts = list(blocks(file, size))
    assert "".join(parts) == "to be\nor\nnot é\n\n" + "long" * 5
    if size >= 7:
        assert all(part.endswith("\n") for part in parts[:1])


def test_words_of_a_line_without_an_end(tmp_path: Path) -> None:
    words = "to be or not " * 100
    parts = list(blocks(write(tmp_path / "text", words), 50))
    assert len(parts) > 10
    tokenizer = WordTokenizer.fit(words)
    whole = tokenizer.encode(words)
    assert np.concatenate([tokenizer.encode(part) for part in parts]).tolist() == whole.tolist()


def test_the_command(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The same model, with a file of ids beside the text or in the folder that was named."""
    file = write(tmp_path / "text", made_text(300))
    (tmp_path / "ids").mkdir()
    models = []
    for number, where in enumerate(
        ([], ["--from-disk"], ["--ids-directory", str(tmp_path / "ids")])
    ):
        out = tmp_path / f"out{number}"
        options = ["--words", "--hidden-size", "6", "--epochs", "1", "--sentences"]
        assert main(["train", str(file), "--out", str(out), *options, *where]) == 0
        models.append(out.read_bytes())
    assert models[0] == models[1] == models[2]
    assert len(list(tmp_path.glob("*.npy"))) == len(list(tmp_path.glob("ids/*.npy"))) == 1
    capsys.readouterr()
    assert main(["train", "--from-disk", "--out", str(tmp_path / "other")]) == 2
    assert "--from-disk: expected a FILE beside it" in capsys.readouterr().err


def test_ids_of_a_file_that_are_none_of_the_vocabulary(tmp_path: Path) -> None:
    """Whoever has written them: they are checked before the kernel reads with them."""
    file = write(tmp_path / "text", "ab" * 500)
    model = rc.LanguageModel(2, hidden_size=4, tokenizer=CharTokenizer("ab"), rng=0)
    model.fit(file, TrainingConfig(epochs=1, batch_size=2))
    (ids,) = tmp_path.glob("*.npy")
    changed = np.load(ids)
    changed[7] = 200
    np.save(ids, changed)
    with pytest.raises(ValueError, match=r"expected ids in \[0, V=2\), got 200"):
        model.fit(file, TrainingConfig(epochs=1, batch_size=2))
