"""The recipes run, on small made data of the form that they read."""

import gzip
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

MEASURES = "accuracy|phone error|share within 25 ms"
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


def write_an4(folder: Path) -> None:
    (folder / "an4.dic").write_text("GO                   G OW\nNO                   N OW\n\n")
    rng = np.random.default_rng(0)
    parts: dict[str, np.ndarray] = {}
    for part, count in (("train", 24), ("test", 4)):
        parts[f"{part}_feat"] = rng.standard_normal((60 * count, 13)).astype(np.float16)
        parts[f"{part}_offset"] = np.arange(count + 1) * 60
        parts[f"{part}_text"] = np.array(["GO NO", "NO"] * (count // 2))
    np.savez(folder / "an4_mfcc.npz", **parts)


def recordings(count: int, seconds: float) -> dict[str, np.ndarray]:
    """Noise, as the recordings of an .npz lie in it."""
    length = round(8000 * seconds)
    audio = np.random.default_rng(0).integers(-9999, 9999, count * length).astype(np.int16)
    return {"audio": audio, "offset": np.arange(count + 1) * length}


def write_phrases(folder: Path) -> None:
    phones = np.array(["pau:0.2 n:0.3 ow:0.45 pau:0.5"] * 20)
    np.savez(folder / "flite_phones.npz", phones=phones, **recordings(20, 0.5))


def write_spoken(folder: Path) -> None:
    words = np.arange(12 * 8).reshape(12, 8) % 2
    np.savez(folder / "yesno.npz", words=words, **recordings(12, 2.0))
    digits, index = np.arange(60) % 10, np.arange(60) // 10
    np.savez(folder / "fsdd.npz", digit=digits, index=index, **recordings(60, 0.3))


@pytest.mark.parametrize(
    ("name", "write", "held_out"),
    [
        ("names_to_language", write_names, 6),
        ("rows_of_digits", write_digits, 6),
        ("intents", write_intents, 10),
        ("sentiment", write_sentences, 6),
        ("an4_phones", write_an4, 12),
        ("phone_segments", write_phrases, 6),
        ("spoken_digits", write_spoken, 50),
    ],
)
def test_recipe(name: str, write: Callable[[Path], None], held_out: int, tmp_path: Path) -> None:
    if name in ("phone_segments", "spoken_digits"):
        pytest.importorskip("kaldi_native_fbank")
    write(tmp_path)
    arguments = [sys.executable, str(RECIPES / f"{name}.py"), str(tmp_path), "--quick"]
    done = subprocess.run(arguments, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    last = done.stdout.splitlines()[-1]
    found = re.fullmatch(rf"({MEASURES}) (\d\.\d+) on {held_out} held-out \w+", last)
    assert found is not None, done.stdout
    assert float(found[2]) <= (2 if found[1] == "phone error" else 1)  # insertions are errors too


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
