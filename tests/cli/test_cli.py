"""The command ``rnncore``: what it prints and what it writes."""

import io
import math
import os
import re
import shlex
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

import rnncore as rc
from commands import SMALL, TEXT, command, write_model, write_text
from rnncore import _openmp
from rnncore.cli import main
from rnncore.cli.tasks import language_model
from rnncore.text import CharTokenizer
from rnncore.training import TrainingResult


@pytest.fixture(autouse=True)
def _keeps_the_number_of_threads_and_the_handler() -> Iterator[None]:
    threads, handler = rc.get_num_threads(), signal.getsignal(signal.SIGINT)
    yield
    rc.set_num_threads(threads)
    signal.signal(signal.SIGINT, handler)


@pytest.fixture
def text(tmp_path: Path) -> Path:
    return write_text(tmp_path / "text")


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_model(tmp_path_factory.mktemp("model") / "model")


# --- train --------------------------------------------------------------------------------------


def test_train(text: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "model"
    assert main(["train", str(text), "--out", str(out), "--sample-length", "50", *SMALL]) == 0
    printed = capsys.readouterr()
    assert printed.err == ""
    header, *reports, saved, blank, sample = printed.out.split("\n", 5)
    assert header.startswith(f"{text}: {len(TEXT)} characters, 12 of them distinct. lstm 1 x 12: ")
    for epoch, report in enumerate(reports, start=1):
        assert re.fullmatch(
            rf"epoch {epoch}/2 +\d+%  training loss [\d.]+  validation loss [\d.]+ "
            r"\(perplexity [\d.]+, [\d.]+ bits/character\)  [\d,]+ characters/s  \d:\d\d left",
            report,
        )
    assert f"saved {out}: validation loss" in saved
    assert blank == ""
    assert 40 < len(sample) <= 51
    trained = rc.load(out)
    assert trained.tokenizer.vocabulary == tuple(sorted(set(TEXT)))
    assert trained.config()["hidden_size"] == 12
    loss, perplexity, bits = (
        float(re.search(pattern, saved)[1])
        for pattern in (r"loss ([\d.]+)", r"perplexity ([\d.]+)", r"([\d.]+) bits")
    )
    assert perplexity == pytest.approx(math.exp(loss), rel=1e-3)
    assert bits == pytest.approx(loss / math.log(2), rel=1e-3)
    # The model in the file is the one that was measured.
    held_out = TEXT[int(len(TEXT) * 0.9) :]
    assert -trained.score(held_out).mean() == pytest.approx(loss, abs=1e-4)


def test_train_options(text: Path, tmp_path: Path) -> None:
    """Every group of options reaches the model or the run."""
    out = tmp_path / "model"
    options = "--cell rnn --nonlinearity relu --embedding-size 5 --dropout 0.1 --no-bias"
    options += " --init identity --init-scale 0.5"
    options += " --learning-rate 0 --optimizer sgd --momentum 0.9 --nesterov"
    options += " --clip-norm none --clip-value 1 --schedule step --gamma 0.5 --flat-epochs 1"
    options += " --bptt 7 --validation-fraction 0.2 --seed 5 --threads 1 --sample-length 0"
    options += " --compute bfloat16"
    assert main(["train", str(text), "--out", str(out), *SMALL, *options.split()]) == 0
    model = rc.load(out)
    expected: dict[str, object] = {
        "cell": "rnn",
        "nonlinearity": "relu",
        "embedding_size": 5,
        "dropout": 0.1,
        "compute": "bfloat16",
    }
    assert model.config().items() >= {**expected, "bias": False, "num_layers": 1}.items()
    assert rc.get_num_threads() == 1
    # With a learning rate of 0 the initial parameters are still there.
    np.testing.assert_array_equal(model.params["rnn.weight_hh_l0"], np.eye(12) / 2)


def test_training_is_repeatable(text: Path, tmp_path: Path) -> None:
    arguments = ["train", str(text), *SMALL, "--dropout", "0.2"]
    outs = [tmp_path / name for name in ("a", "b", "c")]
    for out, seed in zip(outs, ("1", "1", "2"), strict=True):
        assert main([*arguments, "--out", str(out), "--seed", seed]) == 0
    first, second, other = (rc.load(out).flat_params for out in outs)
    np.testing.assert_array_equal(first, second)
    assert not np.array_equal(first, other)


def test_skipped_updates_are_told_at_the_end(
    text: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    result = TrainingResult(losses=[1.0] * 5, skipped=2)
    monkeypatch.setattr(language_model, "fit", lambda *_, **__: result)
    assert main(["train", str(text), "--out", str(tmp_path / "model"), *SMALL]) == 0
    assert "no validation; 2 updates skipped (gradients not finite)\n" in capsys.readouterr().out


def test_train_on_sentences(text: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "model"
    options = ["--sentences", "--learning-rate", "0.02", *SMALL]
    arguments = ["train", str(text), "--out", str(out), *options]
    assert main([*arguments, "--epochs", "60"]) == 0
    capsys.readouterr()
    assert main(["score", str(out), str(text)]) == 0
    totals = [float(row[1]) for row in rows(capsys.readouterr().out)[1:-1]]
    assert len(totals) == 81
    # Nine lines that are equally frequent: ln 9 nats each.
    assert np.mean(totals) == pytest.approx(-math.log(9), abs=0.5)


def test_sentences_of_a_single_line(tmp_path: Path) -> None:
    """A text without a line feed still has one at each end of its only sentence."""
    text, out = tmp_path / "text", tmp_path / "model"
    text.write_text("to be")
    options = ["--sentences", "--validation-fraction", "0", *SMALL]
    assert main(["train", str(text), "--out", str(out), *options]) == 0
    assert "\n" in rc.load(out).tokenizer.vocabulary


def test_without_file_it_is_shakespeare(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "model"
    options = ["--time-limit", "0.01", "--validation-fraction", "0", *SMALL]
    assert main(["train", "--out", str(out), *options]) == 0
    printed = capsys.readouterr().out
    assert printed.startswith("tinyshakespeare: 1,115,394 characters, 65 of them distinct.")
    assert rc.load(out).tokenizer.vocab_size == 65


def test_line_ends_and_byte_order_mark(tmp_path: Path) -> None:
    text, out = tmp_path / "text", tmp_path / "model"
    text.write_bytes(b"\xef\xbb\xbf" + TEXT.replace("\n", "\r\n").encode())
    assert main(["train", str(text), "--out", str(out), *SMALL]) == 0
    assert rc.load(out).tokenizer.vocabulary == tuple(sorted(set(TEXT)))


def test_ctrl_c_saves_and_leaves_cleanly(tmp_path: Path) -> None:
    out = tmp_path / "model"
    arguments = ["train", "--out", str(out), "--hidden-size", "16", "--validate-every", "20"]
    with subprocess.Popen(
        [sys.executable, "-m", "rnncore", *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None
        for line in process.stdout:
            if "validation" in line:
                break
        process.send_signal(signal.SIGINT)
        output, errors = process.communicate(timeout=60)
    assert process.returncode == 130
    assert errors == ""
    last = output.splitlines()[-1]
    assert re.fullmatch(rf"interrupted after \d:\d\d, saved {re.escape(str(out))}: .*", last)
    assert len(rc.load(out).sample("\n", 10)) == 11
    assert [p.name for p in tmp_path.iterdir()] == ["model"]


# --- sample -------------------------------------------------------------------------------------


def test_sample(model: Path, capsys: pytest.CaptureFixture[str]) -> None:
    options = {"length": 40, "temperature": 0.7, "top_k": 5, "top_p": 0.9}
    flags = [part for k, v in options.items() for part in (f"--{k.replace('_', '-')}", str(v))]
    assert main(["sample", str(model), "--prompt", "to be", "--seed", "3", *flags]) == 0
    expected = rc.load(model).sample("to be", **options, rng=3)
    assert capsys.readouterr().out == f"{expected}\n"


@pytest.mark.parametrize("terminal", [True, False])
def test_a_terminal_gets_control_characters_escaped(
    terminal: bool,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Those of a stranger's model could do anything to it."""
    dangerous = "\x1b\x07\0\r\x9b\x7f\u202e\u2066"
    vocabulary = sorted(set(f"{dangerous}\n\té"))
    model = rc.LanguageModel(
        len(vocabulary), hidden_size=8, rng=0, tokenizer=CharTokenizer(vocabulary)
    )
    rc.save(model, tmp_path / "model")
    monkeypatch.setattr(sys.stdout, "isatty", lambda: terminal)
    assert main(["sample", str(tmp_path / "model"), "--prompt", f"{dangerous}é"]) == 0
    printed = capsys.readouterr().out
    assert all((c in printed) != terminal for c in dangerous)
    assert "\t" in printed
    assert "\n" in printed
    assert "é" in printed
    if terminal:
        assert printed.startswith(r"\x1b\x07\x00\r\x9b\x7f\u202e\u2066é")


def test_sample_without_seed_is_another_each_time(
    model: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for _ in range(2):
        assert main(["sample", str(model), "--length", "80"]) == 0
    first, second = capsys.readouterr().out[:81], capsys.readouterr().out
    assert first != second


def test_sample_streams(model: Path) -> None:
    """Characters arrive before the last is drawn; when the reader leaves, so does the command."""
    arguments = ["sample", str(model), "--length", str(10**12)]
    with subprocess.Popen(
        [sys.executable, "-m", "rnncore", *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    ) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        assert len(process.stdout.read(100)) == 100
        process.stdout.close()
        assert process.wait(timeout=60) == 1
        assert process.stderr.read() == b""


def test_ctrl_c_ends_sampling(model: Path) -> None:
    program = (
        "import signal, sys; from rnncore.cli import main;"
        "signal.signal(signal.SIGINT, signal.default_int_handler);"
        f"sys.exit(main(['sample', {str(model)!r}, '--length', '{10**12}']))"
    )
    with subprocess.Popen(
        [sys.executable, "-c", program], stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as process:
        assert process.stdout is not None
        process.stdout.read(100)
        process.send_signal(signal.SIGINT)
        _, errors = process.communicate(timeout=60)
    assert process.returncode == 130
    assert errors == b""


# --- Ctrl-C at the start ------------------------------------------------------------------------


#: Ctrl-C inside a destructor: Python drops a KeyboardInterrupt there, as in the callbacks that end
#: each import.
DROPPED = """
import signal

class Dying:
    def __del__(self):
        signal.raise_signal(signal.SIGINT)
"""


def interrupted_import(
    tmp_path: Path, *run: str, numpy: str = "raise KeyboardInterrupt\n"
) -> subprocess.CompletedProcess[str]:
    """Run Python with a NumPy whose import is interrupted."""
    (tmp_path / "numpy.py").write_text(numpy)
    paths = [str(tmp_path), *filter(None, [os.environ.get("PYTHONPATH")])]
    return subprocess.run(
        [sys.executable, *run],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(paths)},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )


@pytest.mark.parametrize("start", ["module", "script"])
def test_ctrl_c_while_the_command_is_loaded(tmp_path: Path, start: str) -> None:
    script = tmp_path / "rnncore"
    script.write_text("import sys\nfrom rnncore.cli import main\nsys.exit(main())\n")
    run = ["-m", "rnncore"] if start == "module" else [str(script)]
    result = interrupted_import(tmp_path, *run, "info")
    assert (result.returncode, result.stdout, result.stderr) == (130, "", "")


def test_ctrl_c_that_python_drops_while_the_command_is_loaded(tmp_path: Path) -> None:
    numpy = f"{DROPPED}\nDying()\nprint('went on')\n"
    result = interrupted_import(tmp_path, "-m", "rnncore", "info", numpy=numpy)
    assert (result.returncode, result.stdout, result.stderr) == (130, "", "")


def test_ctrl_c_that_python_drops_while_the_command_runs(tmp_path: Path) -> None:
    """It is raised again, a moment later."""
    (tmp_path / "rnncore").write_text(
        f"{DROPPED}\nimport sys, time\nfrom rnncore import cli\n"
        "def run(_):\n    Dying()\n    time.sleep(60)\n"
        "cli.info.run = run\nsys.exit(cli.main())\n"
    )
    result = subprocess.run(
        [sys.executable, tmp_path / "rnncore", "info"],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
    assert (result.returncode, result.stdout, result.stderr) == (130, "", "")


def test_ctrl_c_in_an_import_by_another_program(tmp_path: Path) -> None:
    """It is that program's to handle."""
    result = interrupted_import(tmp_path, "-c", "import rnncore", "rnncore")
    assert result.returncode != 130
    assert result.stderr.endswith("KeyboardInterrupt\n")


def test_ctrl_c_while_the_kernel_is_loaded(monkeypatch: pytest.MonkeyPatch) -> None:
    def load(_: str) -> None:
        raise ImportError("initialization failed") from KeyboardInterrupt()

    monkeypatch.setattr("importlib.import_module", load)
    with pytest.raises(KeyboardInterrupt):
        _openmp._load()


# --- score --------------------------------------------------------------------------------------


def rows(printed: str) -> list[list[str]]:
    return [line.split("\t") for line in printed.splitlines()]


def test_score_of_each_line(model: Path, text: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["score", str(model), str(text)]) == 0
    header, *lines, total = rows(capsys.readouterr().out)
    assert header == ["line", "log_probability", "perplexity", "characters", "text"]
    assert [row[0] for row in lines] == [str(n) for n in range(1, 1 + len(lines))]
    assert [row[4] for row in lines] == TEXT.splitlines()
    scores = [rc.load(model).score(f"\n{line}\n") for line in TEXT.splitlines()]
    assert [float(row[1]) for row in lines] == pytest.approx([s.sum() for s in scores], abs=1e-4)
    assert [float(row[2]) for row in lines] == pytest.approx(
        [np.exp(-s.mean()) for s in scores], abs=1e-4
    )
    joined = np.concatenate(scores)
    assert total[0] == "total"
    assert float(total[1]) == pytest.approx(joined.sum(), abs=1e-3)
    assert float(total[2]) == pytest.approx(np.exp(-joined.mean()), abs=1e-4)
    assert total[3:] == [str(len(TEXT)), ""]


def test_score_of_a_contiguous_text(
    model: Path, text: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["score", str(model), str(text), "--contiguous"]) == 0
    _, *lines, total = rows(capsys.readouterr().out)
    scores = rc.load(model).score(TEXT)
    ends = np.cumsum([len(line) for line in TEXT.splitlines(keepends=True)])[:-1] - 1
    expected = [part.sum() for part in np.split(scores, ends)]
    assert [float(row[1]) for row in lines] == pytest.approx(expected, abs=1e-4)
    assert float(total[2]) == pytest.approx(rc.load(model).perplexity(TEXT), abs=1e-4)
    assert total[3] == str(len(TEXT) - 1)


def test_score_of_standard_input(
    model: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "stdin", io.StringIO("to be.\n\nor so"))
    assert main(["score", str(model)]) == 0
    _, *lines, total = rows(capsys.readouterr().out)
    assert len(lines) == 3
    assert total[3] == "14"  # 6 and 0 and 5, and three line feeds, that at the end too


def test_score_of_standard_input_as_of_a_file(model: Path, tmp_path: Path) -> None:
    """Line ends and byte order mark, whatever the locale."""
    (tmp_path / "text").write_bytes(b"\xef\xbb\xbfto be\r\nnot\r\n")
    of_file = command("score", str(model), str(tmp_path / "text"))
    with (tmp_path / "text").open("rb") as text:
        of_input = command(
            "score", str(model), stdin=text, env={**os.environ, "PYTHONIOENCODING": "latin-1"}
        )
    assert of_input.stderr == ""
    assert of_input.stdout == of_file.stdout


@pytest.mark.skipif(os.name != "posix", reason="closes streams as a POSIX shell does")
def test_closed_streams(model: Path, tmp_path: Path) -> None:
    """Python shows them as None; a training without anywhere to report to still saves."""
    out = tmp_path / "out"
    for arguments, status in (
        (["info"], 0),
        (["sample", str(model), "--length", "3"], 0),
        (["score", str(model)], 2),
        (["train", str(write_text(tmp_path / "t")), "--out", str(out), *SMALL], 0),
    ):
        run = shlex.join([sys.executable, "-m", "rnncore", *arguments])
        shell = ["sh", "-c", f"{run} <&- >&- 2>&-"]
        assert subprocess.run(shell, check=False, timeout=120).returncode == status
    assert isinstance(rc.load(out), rc.LanguageModel)


def test_score_without_line_feed_in_the_vocabulary(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Then nothing predicts the first character, and a line of one has no perplexity."""
    path = tmp_path / "model"
    model = rc.LanguageModel(3, hidden_size=4, tokenizer=CharTokenizer("abc"), rng=0)
    rc.save(model, path)
    monkeypatch.setattr(sys, "stdin", io.StringIO("abc\na\n"))
    assert main(["score", str(path)]) == 0
    _, first, second, total = rows(capsys.readouterr().out)
    assert float(first[1]) == pytest.approx(model.score("abc").sum(), abs=1e-4)
    assert second == ["2", "0.0000", "nan", "0", "a"]
    assert total[3] == "2"


# --- info ---------------------------------------------------------------------------------------


def table(printed: str) -> dict[str, str]:
    return dict(re.split(r" {2,}", line, maxsplit=1) for line in printed.splitlines())


def test_info(model: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["info"]) == 0
    printed = table(capsys.readouterr().out)
    assert printed["version"] == rc.__version__
    assert printed["isa"] == rc.isa()
    assert printed["available isas"] == ", ".join(rc.available_isas())
    assert printed["threads"] == str(rc.get_num_threads())
    assert {"compiler", "openmp"} <= set(printed)

    assert main(["info", str(model)]) == 0
    printed = table(capsys.readouterr().out)
    assert printed["class"] == "LanguageModel"
    assert printed["cell"] == "gru"
    assert printed["hidden_size"] == "16"
    assert printed["parameters"] == f"{rc.load(model).num_params:,}"
    assert printed["tokenizer"] == repr(rc.load(model).tokenizer)


def test_info_of_a_layer(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rc.save(rc.LSTM(3, 4), tmp_path / "layer")
    assert main(["info", str(tmp_path / "layer")]) == 0
    assert re.search(r"^class +LSTM$", capsys.readouterr().out, re.MULTILINE)
