"""Files of models and layers: round trip, damage, foreign content."""

import json
import os
import stat
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import safetensors.numpy

import rnncore as rc
from rnncore.layers import Module
from rnncore.layers.asset import Asset

MODULES: dict[str, Callable[..., Any]] = {
    "RNN": lambda **o: rc.RNN(3, 4, 2, nonlinearity="relu", bidirectional=True, dropout=0.25, **o),
    "GRU": lambda **o: rc.GRU(3, 4, reset="before", batch_first=True, **o),
    "LSTM": lambda **o: rc.LSTM(3, 4, 2, bias=False, **o),
    "Linear": lambda **o: rc.Linear(3, 4, **o),
    "Embedding": lambda **o: rc.Embedding(3, 4, **o),
}
every_module = pytest.mark.parametrize("make", MODULES.values(), ids=MODULES.keys())


@rc.register
class Words(Asset):
    """A user's own asset."""

    def __init__(self, words: list[str]) -> None:
        self.words = words

    def asset(self) -> Any:
        return self.words

    @classmethod
    def from_asset(cls, value: Any) -> "Words":
        return cls(value)


@rc.register
class Doubling(Module):
    """A user's own model, with an asset."""

    def __init__(self, width: int = 2, words: Words | None = None) -> None:
        super().__init__(rng=0)
        self.linear = rc.Linear(width, width, rng=self.rng)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "model.safetensors"


def names(directory: Path) -> list[str]:
    return sorted(os.listdir(directory))


# --- round trip ----------------------------------------------------------------------------------
@every_module
def test_round_trip(make: Callable[..., Any], path: Path, dtype: type[np.floating]) -> None:
    module = make(dtype=dtype, rng=0)
    rc.save(module, path)
    loaded = rc.load(path)
    assert type(loaded) is type(module)
    assert loaded.config() == module.config()
    assert loaded.dtype == dtype
    np.testing.assert_array_equal(loaded.flat_params, module.flat_params)
    assert names(path.parent) == [path.name]
    if hasattr(module, "input_size"):
        x = np.ones((2, 5, 3), dtype)
        one, other = module(x), loaded(x)
        for a, b in zip(*(r if isinstance(r, tuple) else (r,) for r in (one, other)), strict=True):
            np.testing.assert_array_equal(a[0], b[0])


def test_layer_without_parameters(path: Path) -> None:
    rc.save(rc.Dropout(0.25), path)
    assert rc.load(path).p == 0.25


def test_path_may_be_text(path: Path) -> None:
    rc.save(rc.Linear(2, 3, rng=0), str(path))
    assert isinstance(rc.load(str(path)), rc.Linear)


def test_users_own_class_with_an_asset(path: Path) -> None:
    words = ["a", "é", "\n", "\U0001f600", '"', "\\", "\0", "\ud800"]
    module = Doubling(5, Words(words))
    rc.save(module, path)
    loaded = rc.load(path)
    assert type(loaded) is Doubling
    assert loaded.width == 5
    assert loaded.words.words == words
    np.testing.assert_array_equal(loaded.flat_params, module.flat_params)


@rc.register
class EchoState(Module):
    """A readout that is trained, of a reservoir that is not and is drawn again: not in the file."""

    def __init__(self, units: int = 50) -> None:
        super().__init__(rng=0)
        self.reservoir = rc.RNN(1, units, rng=7).state_dict()
        self.readout = rc.Linear(units, 1, rng=self.rng)


def test_users_own_class_with_more_than_its_parameters(path: Path) -> None:
    module = EchoState()
    rc.save(module, path)
    loaded = rc.load(path)
    np.testing.assert_array_equal(loaded.flat_params, module.flat_params)
    for name, array in module.reservoir.items():
        np.testing.assert_array_equal(loaded.reservoir[name], array)


def test_users_own_class_must_be_registered_before(path: Path) -> None:
    rc.save(Doubling(), path)
    code = f"import rnncore as rc; rc.load({str(path)!r})"
    result = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=False
    )
    assert "ValueError" in result.stderr
    assert "Doubling" in result.stderr
    assert "import" in result.stderr.splitlines()[-1]


def test_values_that_are_not_numbers_survive(path: Path) -> None:
    layer = rc.Linear(2, 3, rng=0)
    layer.flat_params[:4] = [np.nan, np.inf, -np.inf, -0.0]
    rc.save(layer, path)
    assert rc.load(path).flat_params.tobytes() == layer.flat_params.tobytes()


def test_other_programs_can_read_the_file(path: Path) -> None:
    """Weights under PyTorch's names; configuration as JSON in the metadata."""
    layer = rc.LSTM(3, 4, rng=0)
    rc.save(layer, path)
    arrays = safetensors.numpy.load_file(path)
    assert set(arrays) == set(layer.params)
    for name, array in arrays.items():
        np.testing.assert_array_equal(array, layer.params[name])
    with safetensors.safe_open(path, framework="np") as file:
        metadata = file.metadata()
    description = json.loads(metadata["rnncore"])
    assert description == {
        "version": 1,
        "class": "LSTM",
        "config": layer.config(),
        "assets": {},
    }


def test_file_has_usual_permissions(path: Path) -> None:
    before = os.umask(0o027)
    try:
        rc.save(rc.Linear(2, 3), path)
    finally:
        os.umask(before)
    assert stat.S_IMODE(path.stat().st_mode) == 0o640
    path.chmod(0o600)
    rc.save(rc.Linear(2, 3), path)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_symbolic_link_stays_and_its_target_is_replaced(tmp_path: Path) -> None:
    (tmp_path / "there").mkdir()
    target, link = tmp_path / "there" / "model", tmp_path / "link"
    rc.save(rc.Linear(2, 3), target)
    link.symlink_to(target)
    rc.save(rc.Linear(4, 5), link)
    assert link.is_symlink()
    assert rc.load(target).input_size == 4
    assert names(tmp_path / "there") == ["model"]


# --- damaged and foreign files -------------------------------------------------------------------
def test_truncated_at_every_length(path: Path) -> None:
    rc.save(rc.Linear(2, 3, rng=0), path)
    content = path.read_bytes()
    for length in range(len(content)):
        path.write_bytes(content[:length])
        with pytest.raises(ValueError, match=r"truncated or damaged|no safetensors file") as error:
            rc.load(path)
        assert str(path) in str(error.value)
        if length > 8:
            assert "truncated" in str(error.value)


def test_damaged_header(path: Path) -> None:
    """Any byte of the header changed: an error that names the file, or a model all the same."""
    rc.save(rc.Linear(2, 3, rng=0), path)
    content = path.read_bytes()
    header = 8 + int.from_bytes(content[:8], "little")
    messages = []
    for position in range(header):
        damaged = bytearray(content)
        damaged[position] ^= 0x15
        path.write_bytes(damaged)
        try:
            rc.load(path)
        except ValueError as error:
            messages.append(str(error))
    assert len(messages) > header / 2
    assert all(str(path) in message for message in messages)


@pytest.mark.parametrize(
    "content",
    [b"", b"{}", b"\0" * 64, b"PK\x03\x04" * 20, b"To be, or not to be\n" * 9, b"\xff" * 4096],
    ids=["empty", "json", "zeros", "zip", "text", "ones"],
)
def test_foreign_file(path: Path, content: bytes) -> None:
    path.write_bytes(content)
    with pytest.raises(ValueError, match="no safetensors file") as error:
        rc.load(path)
    assert str(path) in str(error.value)
    assert path.read_bytes() == content


def described(**entries: Any) -> dict[str, str]:
    """Metadata of a file with these entries in its description, and version 1."""
    return {"rnncore": json.dumps({"version": 1, "assets": {}, **entries})}


def linear(**options: Any) -> dict[str, str]:
    return described(
        **{"class": "Linear", "config": {"input_size": 2, "output_size": 2, **options}}
    )


def linear_with(**entries: Any) -> dict[str, str]:
    options = {"input_size": 2, "output_size": 2}
    return described(**{"class": "Linear", "config": options}, **entries)


@pytest.mark.parametrize(
    ("metadata", "text"),
    [
        (None, "of another program"),
        ({"format": "pt"}, "of another program"),
        ({"rnncore": "{"}, "metadata are no JSON"),
        ({"rnncore": "1"}, "no 'version'"),
        ({"rnncore": "{}"}, "no 'version'"),
        (described(version=3), "expected version 1 or 2 .*got version 3"),
        (described(version="one"), "version 'one'"),
        (described(), "no 'class'"),
        (described(**{"class": "Linear"}), "no 'config'"),
        (described(**{"class": "Linear", "config": [1]}), "damaged"),
        (described(**{"class": "Linear", "config": {"size": 1}}), "damaged.*size"),
        (described(**{"class": "save", "config": {}}), "class 'save' is unknown"),
        (described(**{"class": "os.system", "config": {}}), "class 'os.system' is unknown"),
        (described(**{"class": "__name__", "config": {}}), "class '__name__' is unknown"),
        (described(**{"class": 3, "config": {}}), "damaged"),
        (described(**{"class": "CharTokenizer", "config": {}}), "class 'CharTokenizer' is unknown"),
        (linear_with(assets=[1]), "damaged"),
        (linear_with(assets={"words": 1}), "damaged"),
        (linear_with(assets={"words": {"class": "Linear", "value": 1}}), "'Linear' is unknown"),
        (linear_with(assets={"words": {"class": "CharTokenizer"}}), "no 'value'"),
        (linear_with(assets={"words": {"class": "CharTokenizer", "value": 1}}), "vocabulary"),
        (linear(input_size=3), "at most the 6 numbers of the file, got 8"),
        (linear(output_size=1), "weight.*expected shape"),
        (
            described(**{"class": "Embedding", "config": {"vocab_size": 2, "embedding_size": 2}}),
            "unexpected .*bias",
        ),
        (linear(dtype="float64"), "expected float64, got a float32"),
        (
            described(
                **{"class": "Linear", "config": {"input_size": 2, "output_size": 2}},
                assets={"words": {"class": "CharTokenizer", "value": ["a"]}},
            ),
            "words",
        ),
    ],
)
def test_safetensors_files_that_are_no_models(
    path: Path, metadata: dict[str, str] | None, text: str
) -> None:
    arrays = {"weight": np.ones((2, 2), np.float32), "bias": np.ones(2, np.float32)}
    safetensors.numpy.save_file(arrays, path, metadata)
    with pytest.raises(ValueError, match=text) as error:
        rc.load(path)
    assert str(path) in str(error.value)


def test_equal_models_are_equal_files(path: Path, tmp_path: Path) -> None:
    rc.save(rc.LSTM(2, 3, rng=0), path)
    for _ in range(5):
        rc.save(rc.LSTM(2, 3, rng=0), tmp_path / "again")
        assert path.read_bytes() == (tmp_path / "again").read_bytes()


def test_missing_file_and_directory(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="nowhere"):
        rc.load(tmp_path / "nowhere")
    with pytest.raises(IsADirectoryError, match=tmp_path.name):
        rc.load(tmp_path)
    with pytest.raises(OSError, match="regular file"):
        rc.load("/dev/null")
    for wrong in (None, 3, b"bytes"):
        with pytest.raises(TypeError, match="path: expected a file name, got"):
            rc.load(wrong)
