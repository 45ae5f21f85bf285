"""``rnncore train --task caption`` and ``rnncore caption``."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import rnncore as rc
from commands import fails, write_model
from rnncore.cli import main

COLORS = {"black": 0, "gray": 128, "white": 255}
TEXTS = [f"a {color} square" for color in COLORS] * 4
SMALL = ["--hidden-size", "16", "--embedding-size", "8", "--batch-size", "4", "--epochs", "1"]
LEARNS = [*SMALL, "--epochs", "60", "--dropout", "0", "--validation-fraction", "0"]


def pictures() -> Any:
    values = np.array([COLORS[text.split()[1]] for text in TEXTS], np.uint8)
    return np.broadcast_to(values[:, None, None, None], (len(TEXTS), 8, 16, 3)).copy()


def write(folder: Path, **arrays: Any) -> list[str]:
    np.savez(folder / "pictures.npz", **(arrays or {"pictures": pictures()}))
    (folder / "captions").write_text("\n".join(TEXTS) + "\n", encoding="utf-8")
    return [str(folder / "pictures.npz"), str(folder / "captions")]


def train(folder: Path, *options: str, **arrays: Any) -> list[str]:
    out = ["--out", str(folder / "model")]
    return ["train", "--task", "caption", *write(folder, **arrays), *out, *SMALL, *options]


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("captioner")
    assert main(train(folder, *LEARNS)) == 0
    return folder / "model"


# --- training -----------------------------------------------------------------------------------


def test_train(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(train(tmp_path, "--patch-size", "4", "--cell", "gru")) == 0
    printed = capsys.readouterr()
    assert printed.err == ""
    header, *_, saved = printed.out.splitlines()
    assert header.startswith(
        f"{tmp_path / 'pictures.npz'}: 12 pictures, 12 captions, 8 words. gru 1 x 16, attention: "
    )
    assert f"saved {tmp_path / 'model'}: validation loss" in saved
    again = rc.load(tmp_path / "model")
    assert isinstance(again, rc.Captioner)
    assert (again.grid, again.input_size, again.config()["dropout"]) == ((2, 4), 48, 0.3)


@pytest.mark.parametrize(
    ("shape", "grid", "context"),
    [((5,), (), "state"), ((6, 5), (6,), "attention"), ((2, 3, 5), (2, 3), "attention")],
)
def test_features_of_every_form(
    shape: tuple[int, ...], grid: tuple[int, ...], context: str, tmp_path: Path
) -> None:
    features = np.random.default_rng(0).standard_normal((12, *shape))
    assert main(train(tmp_path, features=features)) == 0
    again = rc.load(tmp_path / "model")
    assert (again.grid, again.context, again.input_size) == (grid, context, 5)
    np.save(tmp_path / "features.npy", features)
    for file in ("pictures.npz", "features.npy"):
        assert main(["caption", str(tmp_path / "model"), str(tmp_path / file)]) == 0


@pytest.mark.parametrize(
    ("options", "vocab_size"),
    [
        (["--characters"], 2 + len(set("".join(TEXTS)))),
        (["--bytes"], 256),
        (["--vocab-size", "5"], 5),
    ],
)
def test_vocabularies(options: list[str], vocab_size: int, tmp_path: Path) -> None:
    assert main(train(tmp_path, *options, "--context", "state")) == 0
    assert rc.load(tmp_path / "model").vocab_size == vocab_size


def test_captions_in_the_file_and_several_of_a_picture(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = train(tmp_path, pictures=pictures(), captions=np.array(TEXTS))
    captions = arguments.pop(4)
    assert main(arguments) == 0
    Path(captions).write_text("\n".join(f"{text}\tsquare" for text in TEXTS))
    assert main([*arguments[:4], captions, *arguments[4:], "--overwrite"]) == 0
    assert "12 pictures, 24 captions" in capsys.readouterr().out


# --- caption ------------------------------------------------------------------------------------


def test_caption(model: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = str(model.parent / "pictures.npz")
    assert main(["caption", str(model), file]) == 0
    printed = capsys.readouterr()
    assert printed.err == ""
    assert printed.out.splitlines() == TEXTS


def test_n_best_and_json(model: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = str(model.parent / "pictures.npz")
    assert main(["caption", str(model), file, "--n-best", "2"]) == 0
    rows = [line.split("\t") for line in capsys.readouterr().out.splitlines()]
    assert [row[0] for row in rows] == [str(k) for k in range(12) for _ in range(2)]
    assert [row[2] for row in rows[::2]] == TEXTS
    assert all(float(a[1]) >= float(b[1]) for a, b in zip(rows[::2], rows[1::2], strict=True))
    assert main(["caption", str(model), file, "--json", "--beam-size", "2"]) == 0
    found = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [each["picture"] for each in found] == list(range(12))
    for each, text in zip(found, TEXTS, strict=True):
        (best,) = each["captions"]
        assert best["text"] == " ".join(best["tokens"]) == text
        weights = np.array(best["weights"])
        assert weights.shape == (3, 1, 2)
        np.testing.assert_allclose(weights.sum(axis=(1, 2)), 1, atol=1e-3)  # four digits each


def test_plot(model: Path, tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    drawing = tmp_path / "captions.png"
    file = str(model.parent / "pictures.npz")
    assert main(["caption", str(model), file, "--plot", str(drawing)]) == 0
    assert drawing.read_bytes().startswith(b"\x89PNG")


# --- errors -------------------------------------------------------------------------------------


def test_bad_captions(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    arguments = train(tmp_path)
    captions = Path(arguments[4])
    for lines, message in (
        (TEXTS[:-1], "expected a line for each of 12 pictures, got 11 lines"),
        ([*TEXTS[:5], "", *TEXTS[6:]], "line 6: expected a caption, or several, got ''"),
        ([*TEXTS[:5], "a\t", *TEXTS[6:]], r"line 6: expected a caption, or several, got 'a\\t'"),
    ):
        captions.write_text("\n".join(lines) + "\n")
        fails(arguments, f"{captions}: {message}", capsys)
    captions.write_text("")
    fails(arguments, "expected a text, got an empty file", capsys)
    arguments.pop(4)
    fails(arguments, "expected captions in it, or a file CAPTIONS, got none", capsys)
    assert not (tmp_path / "model").exists()


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({"image": pictures()}, r"expected an array called features or pictures, got \['image'\]"),
        ({"features": np.zeros((12, 2)), "pictures": pictures()}, "expected an array called"),
        ({"features": np.zeros(12)}, r"expected features \[N, I\]"),
        ({"features": np.array(["a"] * 12)}, r"expected features \[N, I\]"),
        ({"features": np.array([None] * 12)}, "expected a .npy or .npz file of numbers"),
        ({"features": np.full((12, 2), np.nan)}, r"features\[0\]: expected finite numbers"),
        ({"features": np.zeros((0, 2))}, r"expected features \[N, I\]"),
        ({"pictures": pictures()[:, :7]}, "multiples of --patch-size = 8, got 7 x 16"),
        ({"pictures": pictures(), "captions": np.zeros(12)}, None),
    ],
)
def test_bad_pictures(
    arrays: Any, message: str | None, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = train(tmp_path, **arrays)
    fails(arguments, message or r"captions: expected texts \[N\]", capsys)
    assert not (tmp_path / "model").exists()


def test_files_that_are_none(
    model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "file.npz"
    good = (model.parent / "pictures.npz").read_bytes()
    for content in (b"text", good[:100], good[: len(good) // 2], b""):
        file.write_bytes(content)
        fails(["caption", str(model), str(file)], rf"{file}: expected a \.npy or \.npz", capsys)
    fails(["caption", str(model), str(tmp_path / "no.npz")], "No such file", capsys)


def test_pictures_of_another_size(
    model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for array, message in (
        (np.zeros((2, 16, 16, 3), np.uint8), r"expected pictures \[8, 16, 3\], got \[16, 16, 3\]"),
        (np.zeros((2, 3)), r"expected N pictures of shape \[1, 2, 192\] or \[2, 192\]"),
        (np.full((2, 2, 192), np.inf), r"features\[0\]: expected finite numbers"),
    ):
        np.save(tmp_path / "other.npy", array)
        fails(["caption", str(model), str(tmp_path / "other.npy")], message, capsys)


def test_a_model_of_another_task(
    model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    other = write_model(tmp_path / "lm")
    file = str(model.parent / "pictures.npz")
    fails(["caption", str(other), file], "expected a model of task caption, got", capsys)
    fails(["translate", str(model), file], "expected a model of task translate, got", capsys)
    fails(["score", str(model)], "expected a language model with a vocabulary", capsys)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--context", "all"], "--context: invalid choice: 'all'"),
        (["--patch-size", "0"], "--patch-size: expected at least 1"),
        (["--bytes", "--lowercase"], "--lowercase: an option of words alone"),
        (["--dropout", "1"], "dropout: expected"),
        (["--bptt", "3"], "unrecognized arguments: --bptt"),
    ],
)
def test_bad_options(
    options: list[str], message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    fails(train(tmp_path, *options), message, capsys)


def test_features_have_no_patches(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    arguments = train(tmp_path, "--patch-size", "2", features=np.zeros((12, 4, 3)))
    fails(arguments, "--patch-size: expected pictures in .*, got features", capsys)


def test_files_are_not_replaced(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    arguments = train(tmp_path)
    for position, what in ((3, "pictures"), (4, "captions")):
        out = ["--out", arguments[position], "--overwrite"]
        fails([*arguments, *out], f"--out: expected another file than the {what}", capsys)
