"""The recipes run, on small made data of the form that they read."""

import gzip
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

RECIPES = Path(__file__).resolve().parents[2] / "recipes"


def write_names(folder: Path) -> None:
    for language, names in {"Ayan": ["Ada", "Aba", "Éa"], "Oyan": ["Odo", "Obo", "O'no"]}.items():
        (folder / f"{language}.txt").write_text("\n".join(names * 10) + "\n", encoding="utf-8")


def write_digits(folder: Path) -> None:
    digits = np.arange(60, dtype=np.uint8) % 10
    pictures = np.zeros((60, 28, 28), np.uint8)
    pictures[np.arange(60), digits] = 255
    for name, header, array in (("images-idx3", 16, pictures), ("labels-idx1", 8, digits)):
        content = gzip.compress(bytes(header) + array.tobytes())
        (folder / f"t10k-{name}-ubyte.gz").write_bytes(content)


def write_intents(folder: Path) -> None:
    line = "BOS {} to boston EOS\tO O O B-toloc {}\n"
    lines = [line.format("flights", "atis_flight"), line.format("fares", "atis_fare#atis_flight")]
    for part, count in (("train", 20), ("test", 5)):
        (folder / f"atis.{part}.w-intent.iob").write_text("".join(lines * count))


def write_sentences(folder: Path) -> None:
    for sign, words in (("pos", "a fine film"), ("neg", "a dull film")):
        (folder / f"rt-polarity.{sign}").write_text(f"{words} .\n" * 30)


@pytest.mark.parametrize(
    ("name", "write", "held_out"),
    [
        ("names_to_language", write_names, 6),
        ("rows_of_digits", write_digits, 6),
        ("intents", write_intents, 10),
        ("sentiment", write_sentences, 6),
    ],
)
def test_recipe(name: str, write: Callable[[Path], None], held_out: int, tmp_path: Path) -> None:
    write(tmp_path)
    arguments = [sys.executable, str(RECIPES / f"{name}.py"), str(tmp_path), "--quick"]
    done = subprocess.run(arguments, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    last = done.stdout.splitlines()[-1]
    found = re.fullmatch(rf"accuracy ([01]\.\d+) on {held_out} held-out \w+", last)
    assert found is not None, done.stdout
    assert 0 <= float(found[1]) <= 1


def test_confusion_matrix_is_drawn(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    write_names(tmp_path)
    picture = tmp_path / "confusion.png"
    recipe = str(RECIPES / "names_to_language.py")
    arguments = [sys.executable, recipe, str(tmp_path), "--quick", "--plot", str(picture)]
    done = subprocess.run(arguments, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert picture.read_bytes().startswith(b"\x89PNG")


def test_every_recipe_is_short_and_run() -> None:
    recipes = sorted(path.stem for path in RECIPES.glob("*.py"))
    rows = test_recipe.pytestmark[0].args[1]
    elsewhere = {"ptb_words", "vanishing_gradient"} | {"addition", "multi30k", "emoji_captions"}
    assert set(recipes) == {row[0] for row in rows} | elsewhere
    for path in RECIPES.glob("*.py"):
        assert len(path.read_text(encoding="utf-8").splitlines()) <= 80, path


def test_a_folder_without_names(tmp_path: Path) -> None:
    command = [sys.executable, str(RECIPES / "names_to_language.py"), str(tmp_path / "nowhere")]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert "folder: expected files LANGUAGE.txt of names, got none in " in done.stderr
