"""Language models with narrow weights: scores, samples, files, and the commands."""

import copy
import json
import pickle
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import safetensors.numpy

import rnncore as rc
from commands import write_model, write_text
from language_models import MODELS, make_model
from refusal import refuses
from rnncore import _narrow
from rnncore.cli import main

NARROW = ("bfloat16", "int8", "int8_dynamic")
IDS = np.random.default_rng(0).integers(0, 7, 300)


def rounded(model: rc.LanguageModel, weight_format: str) -> rc.LanguageModel:
    """The model with the parameters that the narrow form stands for."""
    other = copy.deepcopy(model)
    arrays = _narrow.narrowed(model.params, weight_format)
    other.load_state_dict(_narrow.widened(arrays, weight_format))
    return other


# --- scoring and sampling ------------------------------------------------------------------------
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("name", MODELS)
def test_the_sampler_scores_as_the_model_does(name: str, dtype: Any) -> None:
    model = make_model(name, dtype)
    scores = model.sampler().score(IDS)
    np.testing.assert_allclose(scores, model.score(IDS), rtol=0, atol=1e-5)
    # in pieces: what was fed before counts, and the first token of a piece has no score
    sampler = model.sampler()
    sampler.feed(IDS[:100])
    np.testing.assert_allclose(sampler.score(IDS[100:]), scores[100:], rtol=0, atol=1e-6)
    assert sampler.score(IDS[:0]).shape == sampler.score(IDS[:1]).shape == (0,)


@pytest.mark.parametrize("weight_format", NARROW)
@pytest.mark.parametrize("name", MODELS)
def test_narrow_scores(isa: str, name: str, weight_format: str) -> None:
    model = make_model(name)
    model.flat_params *= 2  # far from uniform
    scores = model.score(IDS, weight_format)
    # Everything else is float32, so that only roundings differ; but int8_dynamic rounds the states
    # too, by 1/254 of their greatest, and six of them make a logit.
    limit = 3e-2 if weight_format == "int8_dynamic" else 1e-5
    np.testing.assert_allclose(scores, rounded(model, weight_format).score(IDS), rtol=0, atol=limit)
    np.testing.assert_allclose(scores, model.score(IDS), rtol=0, atol=0.1)
    assert np.max(np.abs(scores - model.score(IDS))) > 1e-5  # it is not float32 that ran
    # the model's own choice
    model.weight_format = weight_format
    np.testing.assert_array_equal(model.score(IDS), scores)
    assert model.perplexity(IDS) == pytest.approx(np.exp(-scores.mean()))
    np.testing.assert_array_equal(model.score(IDS, "float32"), make_float(model).score(IDS))


def make_float(model: rc.LanguageModel) -> rc.LanguageModel:
    other = copy.deepcopy(model)
    other.weight_format = None
    return other


@pytest.mark.parametrize(("vocabulary", "width"), [(5, 30), (200, 2)], ids=["folded", "rows"])
@pytest.mark.parametrize("weight_format", ["float32", *NARROW])
def test_embeddings_folded_and_not(vocabulary: int, width: int, weight_format: str) -> None:
    """V*G*H against E*(V + G*H): 240 and 1590, 9600 and 496."""
    model = rc.LanguageModel(
        vocabulary, "gru", embedding_size=width, hidden_size=16, num_layers=1, rng=0
    )
    ids = np.random.default_rng(1).integers(0, vocabulary, 200)
    scores = model.sampler(weight_format).score(ids)
    limit = {"float32": 1e-5, "bfloat16": 1e-2}.get(weight_format, 5e-2)
    np.testing.assert_allclose(scores, model.score(ids), rtol=0, atol=limit)


@pytest.mark.parametrize("weight_format", NARROW)
def test_samples_come_from_the_narrow_distribution(weight_format: str) -> None:
    model = make_model("lstm")
    model.flat_params *= 4
    drawn = model.sample([1, 4, 2], 60, temperature=0, weight_format=weight_format)
    ids = np.array([1, 4, 2, *drawn])
    chosen = model.score(ids, weight_format)[2:]
    for place, token in enumerate(drawn):
        others = [t for t in range(7) if t != token]
        for other in others[:2]:
            changed = [*ids[: place + 3], other]
            assert model.score(changed, weight_format)[-1] <= chosen[place]
    options: dict[str, Any] = {"rng": 3, "weight_format": weight_format}
    pieces = list(model.generate([1], 40, **options))
    np.testing.assert_array_equal(model.sample([1], 40, **options), pieces)


def test_threads_change_no_bit() -> None:
    model, before = make_model("gru before embedded"), rc.get_num_threads()
    try:
        results = []
        for threads in (1, 2, 3, 5):
            rc.set_num_threads(threads)
            results.append([model.score(IDS, form).tobytes() for form in NARROW])
        assert all(result == results[0] for result in results)
    finally:
        rc.set_num_threads(before)


# --- files ---------------------------------------------------------------------------------------
@pytest.mark.parametrize("weight_format", NARROW)
@pytest.mark.parametrize("name", MODELS)
def test_files(tmp_path: Path, name: str, weight_format: str) -> None:
    model = make_model(name, hidden_size=40)
    full, path, again = tmp_path / "full", tmp_path / "narrow", tmp_path / "again"
    rc.save(model, full)
    model.weight_format = weight_format
    rc.save(model, path)
    read = rc.load(path)
    assert read.weight_format == weight_format
    for parameter, value in rounded(model, weight_format).params.items():
        np.testing.assert_array_equal(read.params[parameter], value)
    # Rounding what is rounded changes no bit: equal files, and an equal model.
    rc.save(read, again)
    assert again.read_bytes() == path.read_bytes()
    assert_same_model(read, model)
    share = path.stat().st_size / full.stat().st_size
    most = 0.7 if weight_format == "bfloat16" else 0.55  # biases, scales and a header remain
    assert share < most


def assert_same_model(one: rc.LanguageModel, other: rc.LanguageModel) -> None:
    """No bit between what they score and draw."""
    np.testing.assert_array_equal(one.score(IDS), other.score(IDS))
    assert one.perplexity(IDS) == other.perplexity(IDS)
    for temperature in (0.0, 1.0):
        drawn = [model.sample([1], 50, temperature, rng=5) for model in (one, other)]
        np.testing.assert_array_equal(*drawn)
        assert list(one.generate([1], 50, temperature, rng=5)) == list(drawn[1])


# V, E: folded into the first layer's sums, and looked up as rows in more than one block.
@pytest.mark.parametrize(("vocabulary", "width"), [(7, 64), (200, 2)], ids=["folded", "rows"])
@pytest.mark.parametrize("weight_format", NARROW)
def test_a_model_is_what_its_file_holds(
    isa: str, tmp_path: Path, vocabulary: int, width: int, weight_format: str
) -> None:
    """Embeddings are rounded too: in memory as on the way through a file."""
    model = rc.LanguageModel(vocabulary, "lstm", width, 64, 2, rng=0, weight_format=weight_format)
    model.flat_params *= 3
    rc.save(model, tmp_path / "model")
    assert_same_model(rc.load(tmp_path / "model"), model)
    unrounded = make_float(model).score(IDS)
    rounded_only = make_float(rounded(model, weight_format)).score(IDS)
    assert np.max(np.abs(unrounded - rounded_only)) > 1e-4


def test_forms_in_files(tmp_path: Path) -> None:
    model = make_model("lstm embedded")
    for form, dtype in zip(NARROW, (np.uint16, np.int8, np.int8), strict=True):
        model.weight_format = form
        rc.save(model, tmp_path / "model")
        arrays = safetensors.numpy.load_file(tmp_path / "model")
        for name, value in model.params.items():
            assert arrays[name].dtype == (dtype if value.ndim == 2 else np.float32)
            assert (name + ".scale" in arrays) == (dtype == np.int8 and value.ndim == 2)


def test_the_choice_is_copied_and_pickled() -> None:
    model = make_model("lstm", weight_format="int8")
    for other in (copy.deepcopy(model), pickle.loads(pickle.dumps(model))):
        assert other.weight_format == "int8"
        np.testing.assert_array_equal(other.flat_params, model.flat_params)
    model.weight_format = "float32"
    assert model.weight_format is None
    assert model.config()["weight_format"] is None


def test_bad_choices(tmp_path: Path) -> None:
    for form, error in (("int4", ValueError), (8, TypeError), ("float64", ValueError)):
        with pytest.raises(error, match=r"^weight_format: "):
            make_model("lstm", weight_format=form)
        model = make_model("lstm")
        for call in (
            lambda m=model, f=form: m.score(IDS, f),
            lambda m=model, f=form: m.sample([1], 1, weight_format=f),
            lambda m=model, f=form: setattr(m, "weight_format", f),
        ):
            refuses(model, call, error, "weight_format", repr(form))
    with pytest.raises(ValueError, match=r"weight_format: .int8. needs .* float32, got float64"):
        make_model("lstm", np.float64, weight_format="int8")
    path = tmp_path / "model"
    for bad in (np.nan, np.inf):
        model = make_model("lstm", weight_format="int8")
        rc.save(model, path)
        before = path.read_bytes()
        model.params["output.weight"][2, 1] = bad
        with pytest.raises(ValueError, match=r"output\.weight: expected finite numbers"):
            rc.save(model, path)
        assert path.read_bytes() == before


def test_damaged_files(tmp_path: Path) -> None:
    path = tmp_path / "model"
    rc.save(make_model("lstm", weight_format="int8"), path)
    arrays = safetensors.numpy.load_file(path)
    with safetensors.safe_open(path, framework="np") as content:
        metadata = content.metadata()
    description = json.loads(metadata["rnncore"])

    def damaged(message: str, arrays: dict[str, Any], **changes: Any) -> None:
        changed = {"rnncore": json.dumps({**description, **changes})}
        safetensors.numpy.save_file(arrays, path, changed)
        with pytest.raises(ValueError, match=f"damaged.*{message}"):
            rc.load(path)

    without = {name: a for name, a in arrays.items() if name != "output.weight.scale"}
    name = "output.weight.scale"
    damaged(r"output\.weight\.scale: expected float32, got NoneType None", without)
    for scale in (np.ones(3, np.float32), np.ones((), np.float32), np.ones((7, 2), np.float32)):
        damaged(r"output\.weight\.scale: expected shape \[7\]", {**arrays, name: scale})
    damaged(r"output\.weight\.scale: .*float64", {**arrays, name: np.ones(7)})
    damaged("unexpected .*other.scale", {**arrays, "other.scale": np.ones(7, np.float32)})
    damaged("int8", arrays, version=1)
    config = description["config"]
    damaged("weight_format: expected", arrays, config={**config, "weight_format": "int4"})
    damaged("bfloat16|float32", arrays, config={**config, "weight_format": "bfloat16"})
    del config["weight_format"]
    damaged("weight_format", arrays, config=config)


# --- commands ------------------------------------------------------------------------------------
@pytest.mark.parametrize("weight_format", NARROW)
def test_quantize(tmp_path: Path, weight_format: str, capsys: pytest.CaptureFixture[str]) -> None:
    model, text = write_model(tmp_path / "model"), write_text(tmp_path / "text")
    out = tmp_path / "narrow"
    arguments = ["quantize", str(model), str(text), "--weight-format", weight_format]
    assert main([*arguments, "--out", str(out)]) == 0
    printed = capsys.readouterr().out
    content = text.read_text()
    before, after = (-rc.load(m).score(content).mean() for m in (model, out))
    found = re.fullmatch(
        rf"loss on {len(content):,} characters\n"
        rf"  float32      ([\d.]+)\n"
        rf"  {weight_format:12} ([\d.]+)  ([+-][\d.]+) %\n"
        rf"{model}: {model.stat().st_size:,} bytes\n"
        rf"{out}: {out.stat().st_size:,} bytes, (\d+) %\n",
        printed,
    )
    assert found, printed
    assert float(found[1]) == pytest.approx(before, abs=6e-5)
    assert float(found[2]) == pytest.approx(after, abs=6e-5)
    assert float(found[3]) == pytest.approx(100 * (after / before - 1), abs=0.01)
    # other commands take it as it is, and any model in any form
    for given in ([str(out)], [str(model), "--weight-format", weight_format]):
        assert main(["sample", *given, "--prompt", "to", "--length", "30", "--seed", "1"]) == 0
    samples = capsys.readouterr().out
    assert samples.startswith("to")
    assert len(samples) == 2 * len("to" + 30 * "x" + "\n")
    assert main(["score", str(out), str(text)]) == 0
    assert main(["score", str(model), str(text), "--weight-format", weight_format]) == 0
    assert main(["info", str(out)]) == 0
    assert re.search(rf"^weight_format +{weight_format}$", capsys.readouterr().out, re.MULTILINE)
    # without --out it only measures
    out.unlink()
    assert main(arguments) == 0
    assert capsys.readouterr().out.count("\n") == 3
    assert not out.exists()


def test_quantize_reports_the_loss_of_the_model_it_writes(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Of a model with an embedding, which the file rounds too."""
    model, text, out = tmp_path / "model", write_text(tmp_path / "text"), tmp_path / "out"
    tokenizer = rc.text.CharTokenizer.fit(text.read_text())
    given = rc.LanguageModel(tokenizer.vocab_size, "gru", 12, 16, tokenizer=tokenizer, rng=0)
    given.flat_params *= 4
    rc.save(given, model)
    for form in NARROW:
        arguments = [
            "quantize",
            str(model),
            str(text),
            "--weight-format",
            form,
            "--out",
            str(out),
            "--overwrite",
        ]
        assert main(arguments) == 0
        printed = float(capsys.readouterr().out.splitlines()[2].split()[1])
        loss = -rc.load(out).score(text.read_text()).mean()
        assert printed == pytest.approx(loss, abs=5.1e-5)


def test_quantize_on_the_embedded_text(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    text = rc.datasets.tinyshakespeare()
    monkeypatch.setattr(rc.datasets, "tinyshakespeare", lambda: text[:20_000])
    tokenizer = rc.text.CharTokenizer.fit(text)
    path = tmp_path / "model"
    rc.save(rc.LanguageModel(65, hidden_size=8, tokenizer=tokenizer, rng=0), path)
    assert main(["quantize", str(path)]) == 0
    assert "loss on 2,000 characters" in capsys.readouterr().out


def test_bad_arguments_of_quantize(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    model, text = str(write_model(tmp_path / "model")), tmp_path / "text"
    out = tmp_path / "out"
    text.write_text("t")
    for arguments, message in (
        (["quantize"], "required: MODEL"),
        (["quantize", model, "--weight-format", "int4"], "--weight-format: invalid choice: 'int4'"),
        (["quantize", model, str(tmp_path / "none")], "No such file"),
        (["quantize", str(text)], "expected an rnncore model"),
        (["quantize", model, str(text), "--out", str(out)], "at least 2 characters, got 1"),
        (["sample", model, "--prompt", "to", "--weight-format", "int4"], "weight_format: expected"),
        (["score", model, "--weight-format", "int4"], "weight_format: expected"),
    ):
        assert main(arguments) == 2
        error = capsys.readouterr().err
        assert error.count("\n") == 1
        assert message in error
        assert not out.exists()


def test_quantize_replaces_none_of_its_inputs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The exact weights would be lost. Nor is a long text scored before an output is refused."""
    model, text = write_model(tmp_path / "model"), write_text(tmp_path / "text")
    link = tmp_path / "link"
    link.symlink_to(model)
    before = model.read_bytes(), text.read_bytes()
    monkeypatch.setattr(rc.LanguageModel, "score", None)
    for out, message in (
        (model, "--out: expected another file than the model"),
        (link, "--out: expected another file than the model"),
        (text, "--out: expected another file than the text"),
        (tmp_path, "Is a directory"),
        (tmp_path / "none" / "out", "No such file"),
    ):
        assert main(["quantize", str(model), str(text), "--out", str(out)]) == 2
        printed = capsys.readouterr()
        assert printed.out == ""
        assert message in printed.err
    assert (model.read_bytes(), text.read_bytes()) == before
    assert sorted(tmp_path.iterdir()) == sorted([model, text, link])


def test_quantize_where_nothing_is_left_to_learn(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A single character has no loss, of which there are no percents."""
    tokenizer = rc.text.CharTokenizer("a")
    model, text = tmp_path / "model", tmp_path / "text"
    rc.save(rc.LanguageModel(1, hidden_size=4, tokenizer=tokenizer, rng=0), model)
    text.write_text("aaaa")
    assert main(["quantize", str(model), str(text)]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split() for line in lines[1:]] == [
        ["float32", "0.0000"],
        ["int8_dynamic", "0.0000"],
    ]
