"""Files made to harm: one ValueError of a few hundred harmless characters, and little work."""

import json
import os
import re
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import rnncore as rc
from language_models import text_model
from rnncore.cli import main

#: Control sequences of a terminal, a line feed, and more than a message may quote.
UGLY = "\x1b[31mkey\nx\x07\x9b\u202e\ud800"
LONG = "long " * 100_000
DEEP = '{"a":' * 900 + "1" + "}" * 900

LINEAR = {"class": "Linear", "config": {"input_size": 2, "output_size": 2}}
LSTM = {"class": "LSTM", "config": {"input_size": 2, "hidden_size": 2}}
MODEL = {"class": "LanguageModel", "config": {"vocab_size": 2, "hidden_size": 2, "num_layers": 1}}
SOFTMAX = {"class": "Softmax", "config": {"input_size": 2, "output_size": 2}}
CLASSIFIER = {
    "class": "SequenceClassifier",
    "config": {"num_classes": 2, "vocab_size": 2, "embedding_size": 2, "hidden_size": 2},
}
BASES = (LINEAR, LSTM, MODEL, SOFTMAX, CLASSIFIER)


def characters(value: Any) -> dict[str, Any]:
    """Assets of a model with these characters."""
    return {"tokenizer": {"class": "CharTokenizer", "value": value}}


def image(header: dict[str, Any] | bytes, data: bytes = b"") -> bytes:
    """A file in the format safetensors."""
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return len(text).to_bytes(8, "little") + text + data


def described(description: str | dict[str, Any], dtype: str = "F32", bits: int = 32) -> bytes:
    """A file with these metadata and one array of eight numbers."""
    text = description if isinstance(description, str) else json.dumps(description)
    size = 8 * bits // 8
    array = {"dtype": dtype, "shape": [8], "data_offsets": [0, size]}
    return image({"__metadata__": {"rnncore": text}, "weight": array}, bytes(size))


def with_config(base: dict[str, Any], **entries: Any) -> bytes:
    config = {**base["config"], **entries}
    return described({"version": 1, "assets": {}, **base, "config": config})


def hostile() -> Iterator[tuple[str, bytes]]:
    """Name and content of each file."""
    for dtype, bits in (("BF16", 16), ("F16", 16), ("F8_E4M3", 8), ("F8_E5M2", 8), ("F8_E8M0", 8)):
        yield dtype, described({"version": 1, "assets": {}, **LINEAR}, dtype, bits)
    for dtype, bits in (("F4", 4), ("C64", 64), ("BOOL", 8), ("I64", 64)):
        yield dtype, described({"version": 1, "assets": {}, **LINEAR}, dtype, bits)
    yield "an unknown dtype", described({"version": 1, **LINEAR}, UGLY)
    # --- JSON
    yield "brackets", described("[" * 100_000)
    yield "braces", described('{"a":' * 100_000)
    yield "a header of brackets", image(b"{" + b'"a":[' * 100_000)
    yield "digits", described('{"version": ' + "9" * 5000 + "}")
    yield "a deep version", described('{"version": ' + DEEP + "}")
    for part in ("class", "config", "assets"):
        entries = {"version": "1", "assets": "{}", "class": '"Linear"', "config": "{}"}
        text = ", ".join(f'"{k}": {v}' for k, v in {**entries, part: DEEP}.items())
        yield f"a deep {part}", described("{" + text + "}")
    yield (
        "a deep size",
        described(
            '{"version": 1, "assets": {}, "class": "Linear", "config": {"output_size": 1, '
            f'"input_size": {DEEP}}}}}'
        ),
    )
    nest: Any = 1
    for _ in range(900):
        nest = [nest]
    for base in BASES:
        for option in (*base["config"], "class_weights", "labels", "dropout", "cell", "dtype"):
            yield f"{base['class']} deep {option}", with_config(base, **{option: nest})
    # --- texts
    for name, text in (("ugly", UGLY), ("long", LONG)):
        yield f"{name} key", with_config(LINEAR, **{text: 1})
        yield f"{name} option of the cell", with_config(MODEL, **{text: 1})
        yield f"{name} cell", with_config(MODEL, cell=text)
        yield f"{name} class", described({"version": 1, "assets": {}, **LINEAR, "class": text})
        yield f"{name} version", described({"version": text})
        yield f"{name} dtype", with_config(LINEAR, dtype=text)
        yield f"{name} compute", with_config(LSTM, compute=text)
        yield f"{name} weight_format", with_config(MODEL, weight_format=text)
        yield (
            f"{name} character",
            described({"version": 1, **MODEL, "assets": characters(["a", text])}),
        )
        yield (
            f"{name} array",
            image(
                {
                    "__metadata__": {"rnncore": json.dumps({"version": 1, "assets": {}, **LSTM})},
                    text: {"dtype": "F32", "shape": [64], "data_offsets": [0, 256]},
                },
                bytes(256),
            ),
        )
    for dtype in ("(1,2", "(2,)f4", "f4,f4", {"names": ["a"], "formats": ["f4"]}, [["a", "f4"]]):
        yield f"the dtype {dtype}", with_config(LINEAR, dtype=dtype)
    twice = [chr(0x20 + i) for i in range(0xD000)]
    yield (
        "a character twice",
        described({"version": 1, **MODEL, "assets": characters([*twice, "z"])}),
    )
    # --- sizes that the file does not have
    for size in (9, 3000, 10**8, 300_000, 2**31, 2**62, 2**63, 2**64, 10**400):
        for base in BASES:
            for option in base["config"]:
                if option != "num_layers" or size > 9:
                    yield (
                        f"{base['class']} {option} {size:.3g}"[:60]
                        if size < 2**70
                        else (f"{base['class']} {option} huge"),
                        with_config(base, **{option: size}),
                    )
        yield f"layers {min(size, 2**65)}", with_config(LSTM, num_layers=size)
        yield f"embedding {min(size, 2**65)}", with_config(MODEL, embedding_size=size)
    yield (
        "empty arrays",
        image(
            {
                "__metadata__": {"rnncore": json.dumps({"version": 1, "assets": {}, **LINEAR})},
                "weight": {"dtype": "F32", "shape": [0, 2**62], "data_offsets": [0, 0]},
                "bias": {"dtype": "F32", "shape": [2**62, 0], "data_offsets": [0, 0]},
            }
        ),
    )
    yield (
        "many arrays",
        image(
            {
                "__metadata__": {"rnncore": json.dumps({"version": 1, "assets": {}, **LINEAR})},
                **{
                    f"{i}": {"dtype": "F32", "shape": [0], "data_offsets": [0, 0]}
                    for i in range(9999)
                },
            }
        ),
    )
    # --- values of other types
    for value in (None, True, -1, 0, 0.5, 1e308, float("nan"), "2", [], [[1]], {}, {"a": {}}):
        for base in BASES:
            for option in (*base["config"], "rng", "bias", "dtype", "compute", "dropout"):
                harmless = option == "rng" or (option == "bias" and value is True)
                if not harmless and not (option == "compute" and value is None):
                    yield f"{base['class']} {option} {value}", with_config(base, **{option: value})
        yield f"config {value}", described({"version": 1, "assets": {}, **LINEAR, "config": value})
        yield f"class {value}", described({"version": 1, "assets": {}, **LINEAR, "class": value})
        yield f"assets {value}", described({"version": 1, **MODEL, "assets": value})
        yield f"asset {value}", described({"version": 1, **MODEL, "assets": {"tokenizer": value}})
        yield f"characters {value}", described({"version": 1, **MODEL, "assets": characters(value)})
        yield f"version {value}", described({"version": value, **LINEAR, "assets": {}})
        yield f"narrow {value}", described({"version": 2, "assets": {}, **LSTM})


FILES = dict(hostile())


def harmless(message: str, path: Path) -> bool:
    """Whether a message is one line of a few hundred characters, which a terminal shows."""
    return message.isprintable() and len(message) < len(str(path)) + 500


@pytest.mark.parametrize("name", [name.encode("ascii", "replace").decode() for name in FILES])
def test_one_harmless_line(name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "model"
    path.write_bytes(FILES[name])
    with pytest.raises(ValueError, match=re.escape(str(path))) as raised:
        rc.load(path)
    assert harmless(str(raised.value), path), str(raised.value)
    # the entry that is meant is looked at
    assert "asset" in name or "in its metadata" not in str(raised.value)
    # an error before it would be shown as it is
    assert raised.value.__suppress_context__ or raised.value.__context__ is None
    assert main(["info", str(path)]) == 2
    printed = capsys.readouterr()
    assert printed.out == ""
    assert printed.err.endswith("\n")
    assert harmless(printed.err[:-1], path)


# --- work no larger than the file ----------------------------------------------------------------
LOADER = """
    import resource, sys
    from pathlib import Path
    import rnncore as rc

    rc.load(sys.argv[2])  # what the first call makes
    with open("/proc/self/statm") as file:
        taken = int(file.read().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (taken + int(sys.argv[1]), resource.RLIM_INFINITY))
    models = 0
    for path in sorted(Path(sys.argv[3]).iterdir()):
        try:
            rc.load(path)
            models += 1
        except (ValueError, OSError):
            pass
        except BaseException:
            print(path, file=sys.stderr)
            raise
    print(models)
"""


def load_all(directory: Path, model: Path, room: int) -> int:
    """Load every file of a directory with so much room in a process; return how many are models."""
    run = [sys.executable, "-c", textwrap.dedent(LOADER), str(room), str(model), str(directory)]
    environment = {**os.environ, "RNNCORE_NUM_THREADS": "1"}
    done = subprocess.run(run, capture_output=True, text=True, check=False, env=environment)
    assert (done.returncode, done.stderr) == (0, "")
    return int(done.stdout)


@pytest.fixture
def model(tmp_path: Path) -> Path:
    path = tmp_path / "model"
    rc.save(text_model(hidden_size=4, num_layers=1), path)
    return path


@pytest.mark.skipif(sys.platform != "linux", reason="other systems ignore RLIMIT_AS")
def test_little_memory_is_enough(tmp_path: Path, model: Path) -> None:
    """Forty megabytes for files of at most three: none fails for want of memory."""
    files = tmp_path / "files"
    files.mkdir()
    for number, content in enumerate(FILES.values()):
        (files / f"{number}").write_bytes(content)
    assert load_all(files, model, 40 << 20) == 0


def damage(text: bytearray, rng: np.random.Generator) -> None:
    """Replace, insert, lose or double bytes, or write another number."""
    at, length, byte = rng.integers(len(text) - 20), rng.integers(1, 20), rng.integers(256)
    kind = rng.integers(5)
    if kind == 0:
        text[at] = byte
    elif kind == 1:
        text.insert(at, byte)
    elif kind == 2:
        del text[at : at + length]
    elif kind == 3:
        text.extend(text[at : at + length])
    else:
        digits = [i for i, byte in enumerate(text) if byte in b"0123456789"]
        text[rng.choice(digits)] = rng.integers(48, 58)


@pytest.mark.skipif(sys.platform != "linux", reason="other systems ignore RLIMIT_AS")
@pytest.mark.parametrize("weight_format", [None, "bfloat16", "int8"])
def test_damaged_files(weight_format: str | None, tmp_path: Path, model: Path, seed: int) -> None:
    """Bytes replaced, lost, doubled, and other numbers written: an error of those documented."""
    rng = np.random.default_rng(seed)
    files = tmp_path / "files"
    files.mkdir()
    rc.save(text_model(hidden_size=4, num_layers=1, weight_format=weight_format), model)
    content = model.read_bytes()
    end = 8 + int.from_bytes(content[:8], "little")
    for number in range(300):
        header = bytearray(content[8:end])
        for _ in range(rng.integers(1, 4)):
            damage(header, rng)
        damaged = image(bytes(header), content[end:])
        cut = rng.integers(len(damaged)) if rng.random() < 0.1 else None
        (files / f"{number}").write_bytes(damaged[:cut])
    assert load_all(files, model, 40 << 20) < 300


def test_nothing_is_drawn(model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The parameters come from the file."""
    expected = rc.load(model).flat_params.copy()

    def draw(*_: Any) -> None:
        raise AssertionError

    for kind in (rc.LSTM, rc.Linear, rc.Embedding):
        monkeypatch.setattr(kind, "_initialise", draw)
    monkeypatch.setattr("rnncore.init.one_hot_input", draw)
    np.testing.assert_array_equal(rc.load(model).flat_params, expected)
