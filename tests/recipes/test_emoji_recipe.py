"""The recipe of emoji runs, on small made pictures."""

import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

RECIPE = Path(__file__).resolve().parents[2] / "recipes" / "emoji_captions.py"


@pytest.mark.parametrize("context", ["attention", "fixed"])
def test_recipe(context: str, tmp_path: Path) -> None:
    pytest.importorskip("sacrebleu")
    pytest.importorskip("matplotlib")
    colors = np.arange(60) % 3
    image = np.broadcast_to((colors * 100)[:, None, None, None], (60, 32, 32, 3)).astype(np.uint8)
    names = ["black square", "gray square on white", "light gray square on white"]
    file, picture = tmp_path / "emoji.npz", tmp_path / "captions.png"
    np.savez(file, image=image, caption=np.array([names[k] for k in colors]))
    command = [sys.executable, str(RECIPE), str(file), "--quick", "--context", context]
    done = subprocess.run([*command, "--plot", str(picture)], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    lines = [line for line in done.stdout.splitlines() if "BLEU" in line]
    assert len(lines) == 2
    for line in lines:
        found = re.search(r": BLEU (\d+\.\d+), (\d+\.\d)% exact, on 6 held-out pictures$", line)
        assert found is not None, line
    assert "nearest training picture: BLEU 100.00, 100.0% exact" in lines[0]
    assert done.stdout.count("drawn: ") == 8
    assert picture.read_bytes().startswith(b"\x89PNG")
