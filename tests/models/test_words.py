"""Models of words and sentences, in Python and from the command line."""

import io
import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import rnncore as rc
from commands import command
from rnncore.cli import main
from rnncore.data import Batch, SentenceBatches
from rnncore.text import ByteTokenizer, CharTokenizer, WordTokenizer
from rnncore.training import TrainingConfig

LINES = [f"{a} {b}." for a in ("To be", "Not to be", "Be") for b in ("or", "and", "so")]
TEXT = "\n".join(LINES * 9) + "\n"
TUTORIAL = ["--cell", "rnn", "--no-bias", "--bptt", "4", "--sentences"]
SMALL = ["--hidden-size", "12", "--batch-size", "4"]


@pytest.fixture
def text(tmp_path: Path) -> Path:
    path = tmp_path / "text"
    path.write_text(TEXT, encoding="utf-8")
    return path


@pytest.fixture(scope="module")
def model() -> rc.LanguageModel:
    """It knows the nine sentences."""
    tokenizer = WordTokenizer.fit(TEXT, lowercase=True)
    model = rc.LanguageModel(tokenizer.vocab_size, "gru", 8, 24, 1, tokenizer=tokenizer, rng=0)
    optimizer = rc.training.OptimizerConfig(learning_rate=0.02)
    model.fit(TEXT, TrainingConfig(epochs=60, batch_size=9, sentences=True, optimizer=optimizer))
    return model


@pytest.fixture
def path(model: rc.LanguageModel, tmp_path: Path) -> str:
    rc.save(model, tmp_path / "model")
    return str(tmp_path / "model")


def printed(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    capsys.readouterr()
    assert main(list(arguments)) == 0
    return capsys.readouterr().out


# --- truncated back-propagation in sentences ------------------------------------------------------


def test_gradients_stop_where_a_piece_begins() -> None:
    """They are those of the pieces one after the other, with the state handed on."""
    rng = np.random.default_rng(0)
    ids = rng.integers(0, 9, (12, 3))
    lengths = [11, 3, 6]
    model = rc.LanguageModel(9, "rnn", None, 5, 1, dtype="float64", rng=0)
    sentences = [ids[: n + 1, b] for b, n in enumerate(lengths)]
    (cut,) = SentenceBatches(sentences, 3, bptt=4).epoch(0)
    (whole,) = SentenceBatches(sentences, 3).epoch(0)
    loss, final = model.loss_and_grad(cut)
    truncated = model.flat_grads.copy()
    model.zero_grad()
    full_loss, full_final = model.loss_and_grad(whole)
    assert loss == pytest.approx(full_loss, rel=1e-12)
    np.testing.assert_allclose(final, full_final, rtol=1e-12)
    assert not np.allclose(truncated, model.flat_grads)

    model.zero_grad()
    state = None
    for start in (0, 4, 8):
        left = np.clip(np.asarray(cut.lengths) - start, 0, 4)
        piece = Batch(cut.inputs[start : start + 4], cut.targets[start : start + 4], left)
        scale = piece.num_targets / cut.num_targets
        _, state = model.loss_and_grad(piece, state, scale=scale)
    np.testing.assert_allclose(truncated, model.flat_grads, rtol=1e-9, atol=1e-15)

    model.zero_grad()
    (long,) = SentenceBatches(sentences, 3, bptt=11).epoch(0)
    model.loss_and_grad(long)
    truncated = model.flat_grads.copy()
    model.zero_grad()
    model.loss_and_grad(whole)
    np.testing.assert_allclose(truncated, model.flat_grads, rtol=1e-12)


# --- training -------------------------------------------------------------------------------------


def test_the_tutorial(text: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A vanilla network of U, V and W, words, and gradients over four steps of each sentence."""
    out = tmp_path / "out"
    words = ["--words", "--vocab-size", "8000", "--lowercase", "--learning-rate", "0.02"]
    told = printed(
        capsys, "train", str(text), "--out", str(out), *words, *TUTORIAL, *SMALL, "--epochs", "40"
    )
    tokenizer = WordTokenizer.fit(TEXT, 8000, lowercase=True)
    assert "words/s" in told
    assert "bits/word) after epoch" in told
    assert f"words, a vocabulary of {tokenizer.vocab_size}." in told
    loaded = rc.load(out)
    assert loaded.tokenizer == tokenizer
    assert loaded.sentences
    shapes = sorted(array.shape for array in loaded.params.values())
    assert shapes == sorted([(12, tokenizer.vocab_size), (12, 12), (tokenizer.vocab_size, 12)])
    rows = printed(capsys, "score", str(out), str(text)).splitlines()[1:-1]
    # nine sentences that are equally frequent: ln 9 nats each
    assert np.mean([float(row.split("\t")[1]) for row in rows]) == pytest.approx(-2.2, abs=0.5)
    written = told[told.rindex("\n\n") :].split("\n")[2:]
    known = {line.lower() for line in LINES}
    assert sum(line in known for line in written) >= 3


def test_options_reach_the_vocabulary(text: Path, tmp_path: Path) -> None:
    out, small = tmp_path / "out", [*SMALL, "--epochs", "1", "--num-layers", "1", "--overwrite"]
    for options, expected in (
        (["--words"], WordTokenizer.fit(TEXT)),
        (["--words", "--min-count", "40"], WordTokenizer.fit(TEXT, min_count=40)),
        (["--words", "--vocab-size", "5"], WordTokenizer.fit(TEXT, 5)),
        (["--words", "--split", "whitespace"], WordTokenizer.fit(TEXT, split="whitespace")),
        (["--bytes"], ByteTokenizer()),
        ([], CharTokenizer.fit(TEXT)),
    ):
        assert main(["train", str(text), "--out", str(out), *options, *small]) == 0
        assert rc.load(out).tokenizer == expected


def test_a_tokenizer_of_a_file(
    text: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    library = pytest.importorskip("tokenizers")
    trained = library.Tokenizer(library.models.WordLevel(unk_token="<unk>"))
    trained.pre_tokenizer = library.pre_tokenizers.Whitespace()
    trained.train_from_iterator(
        LINES, library.trainers.WordLevelTrainer(special_tokens=["<unk>", "<s>", "</s>"])
    )
    trained.save(str(tmp_path / "t.json"))
    out = tmp_path / "out"
    arguments = ["train", str(text), "--out", str(out), "--tokenizer", str(tmp_path / "t.json")]
    assert "tokens/s" in printed(capsys, *arguments, "--sentences", *SMALL, "--epochs", "1")
    assert rc.load(out).tokenizer.encode("To be").tolist() == trained.encode("To be").ids


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--vocab-size", "9"], "--vocab-size: it needs --words"),
        (["--bytes", "--lowercase"], "--lowercase: it needs --words"),
        (["--bytes", "--words"], "--words and --bytes: expected one of the two, got both"),
        (["--words", "--vocab-size", "2"], "vocab_size: expected at least 3, got 2"),
        (["--words", "--min-count", "0"], "min_count: expected at least 1, got 0"),
        (["--tokenizer", "none.json"], "none.json: No such file"),
    ],
)
def test_bad_options(
    options: list[str],
    message: str,
    text: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert main(["train", str(text), "--out", str(tmp_path / "out"), *options]) == 2
    assert message in capsys.readouterr().err


# --- score ----------------------------------------------------------------------------------------


def test_score(
    model: rc.LanguageModel, path: str, text: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    header, *rows, total = printed(capsys, "score", path, str(text)).splitlines()
    assert header == "line\tlog_probability\tperplexity\twords\ttext"
    assert [row.split("\t")[4] for row in rows] == TEXT.splitlines()
    scores = [model.score(model.tokenizer.encode_sentence(line)) for line in TEXT.splitlines()]
    for row, expected in zip(rows, scores, strict=True):
        fields = row.split("\t")
        assert float(fields[1]) == pytest.approx(expected.sum(), abs=1e-4)
        assert int(fields[3]) == len(expected)
    assert total.split("\t")[3] == str(sum(map(len, scores)))


def test_score_as_json(
    model: rc.LanguageModel,
    path: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    given = 'to be "so".\t!\n\n'
    for options in ([], ["--per-token"]):
        monkeypatch.setattr(sys, "stdin", io.StringIO(given))
        first, second = map(
            json.loads, printed(capsys, "score", path, "--json", *options).splitlines()
        )
        assert (first["text"], second["text"]) == ('to be "so".\t!', "")
        scores = model.score(model.encode_line(first["text"]))
        assert first["log_probability"] == pytest.approx(scores.sum())
        assert first["perplexity"] == pytest.approx(np.exp(-scores.mean()))
        names = {"text", "log_probability", "perplexity"}
        more = {"tokens", "log_probabilities"} if options else set()
        assert set(first) == names | more
    assert first["tokens"] == ["to", "be", "<unk>", "so", "<unk>", ".", "<unk>", "</s>"]
    assert first["log_probabilities"] == pytest.approx(scores.tolist())


@pytest.mark.parametrize("contiguous", [False, True])
def test_score_per_token(
    contiguous: bool,
    model: rc.LanguageModel,
    path: str,
    text: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    options = ["--contiguous"] if contiguous else []
    output = printed(capsys, "score", path, str(text), "--per-token", *options)
    header, *rows = [row.split("\t") for row in output.splitlines()]
    assert header == ["line", "log_probability", "token"]
    lines = [
        row.split("\t") for row in printed(capsys, "score", path, str(text), *options).split("\n")
    ]
    for number, log_probability, _, count, _ in lines[1:4]:
        mine = [float(row[1]) for row in rows if row[0] == number]
        assert len(mine) == int(count)
        assert sum(mine) == pytest.approx(float(log_probability), abs=1e-3)
    # the first word of a text that goes on has nothing that predicts it
    assert [row[2] for row in rows][: 2 if contiguous else 3] == (
        ["be", "or"] if contiguous else ["to", "be", "or"]
    )


# --- sample ---------------------------------------------------------------------------------------


def test_sentences_end(model: rc.LanguageModel) -> None:
    samples = model.sample("", 50, num_samples=20, rng=0)
    known = {line.lower() for line in LINES}
    assert sum(sample in known for sample in samples) > 15
    assert len(set(samples)) > 3
    assert samples[0] == model.sample("", 50, rng=0) == "".join(model.generate("", 50, rng=0))
    assert model.sample("not to", 50, rng=0).startswith("not to be")
    on = model.sample("", 50, rng=0, stop_at_end=False)
    assert on.startswith(samples[0])
    assert len(on) > len(samples[0])


def test_ids_end_with_the_end_token(model: rc.LanguageModel) -> None:
    tokenizer = model.tokenizer
    (ids,) = model.sample([tokenizer.start], 50, num_samples=1, rng=0)
    assert tokenizer.decode(ids) == model.sample("", 50, rng=0) + "\n"
    assert list(model.generate([tokenizer.start], 50, rng=0)) == ids.tolist()
    assert np.count_nonzero(ids == tokenizer.end) == 1
    assert ids[-1] == tokenizer.end


def test_a_string_that_stops(model: rc.LanguageModel) -> None:
    options: dict[str, Any] = {"stop": "to b", "stop_at_end": False, "rng": 1}
    whole = model.sample("be so", 400, stop_at_end=False, rng=1)
    text = model.sample("be so", 400, **options)
    assert whole.startswith(text)
    assert text.endswith("to b")
    assert text.count("to b") == 1
    assert "be so" + "".join(model.generate("be so", 400, **options)) == text


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"prompt": [1], "stop": "a"}, ValueError, "stop: expected None or a string"),
        ({"prompt": "be", "stop": ""}, ValueError, "stop: expected None or a string"),
        ({"prompt": "be", "stop": 3}, TypeError, "stop: expected None or a string"),
        ({"prompt": "be", "num_samples": 0}, ValueError, "num_samples: expected at least 1"),
        ({"prompt": "be", "stop_at_end": 1}, TypeError, "stop_at_end"),
    ],
)
def test_bad_stops(
    arguments: Any, error: type[Exception], message: str, model: rc.LanguageModel
) -> None:
    with pytest.raises(error, match=message):
        model.sample(length=3, **arguments)
    without = rc.LanguageModel(7, hidden_size=4)
    with pytest.raises(ValueError, match="stop_at_end: expected a model whose vocabulary has"):
        without.sample([1], 3, stop_at_end=True)


def test_sample_command(
    model: rc.LanguageModel,
    path: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert printed(capsys, "sample", path, "--seed", "3") == model.sample("", 500, rng=3) + "\n"
    several = model.sample("not", 500, rng=3, num_samples=4)
    arguments = ["sample", path, "--prompt", "not", "--seed", "3", "--num-samples", "4"]
    assert printed(capsys, *arguments).splitlines() == several
    rows = [json.loads(row) for row in printed(capsys, *arguments, "--json").splitlines()]
    assert [row["prompt"] + row["text"] for row in rows] == several
    assert {row["prompt"] for row in rows} == {"not"}
    monkeypatch.setattr(sys, "stdin", io.StringIO("not\n\nbe"))
    seeded = ["sample", path, "--stdin", "--num-samples", "2", "--seed", "3"]
    lines = printed(capsys, *seeded).splitlines()
    assert len(lines) == 6
    # a mark follows its word without a blank
    begun = [line.rstrip(".,").split()[0] for line in (*lines[:2], *lines[4:])]
    assert begun == ["not", "not", "be", "be"]
    stopped = printed(capsys, "sample", path, "--prompt", "not", "--stop", "be", "--no-stop-at-end")
    assert stopped.count("be") == 1
    assert stopped.endswith("be\n")
    assert main(["sample", path, "--stdin", "--prompt", "a"]) == 2
    assert "--stdin: expected no --prompt beside it" in capsys.readouterr().err


def test_several_texts_are_parted_by_an_empty_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    tokenizer = CharTokenizer("ab")
    rc.save(rc.LanguageModel(2, hidden_size=4, tokenizer=tokenizer, rng=0), tmp_path / "model")
    arguments = ["--prompt", "a", "--length", "5", "--num-samples", "3", "--seed", "0"]
    parts = printed(capsys, "sample", str(tmp_path / "model"), *arguments).split("\n")
    assert [len(part) for part in parts] == [6, 0, 6, 0, 6, 0]


def test_prompts_as_they_come(path: str) -> None:
    """In a process of its own, in UTF-8 whatever the locale."""
    result = command("sample", path, "--stdin", input="é\nnot\n")
    assert result.returncode == 0
    assert [line.split()[0] for line in result.stdout.splitlines()] == ["é", "not"]
