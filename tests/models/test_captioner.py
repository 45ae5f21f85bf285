"""Captioner: what it computes, its gradient, what it learns, writes and refuses, and files."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

import rnncore as rc
from finite_difference import finite_difference
from rnncore import decode
from rnncore.data import Batch, Standardization
from rnncore.models.captioning import picture_decoder
from rnncore.models.decoders import DECODERS
from rnncore.text import ByteTokenizer, CharTokenizer, WordTokenizer
from rnncore.training import OptimizerConfig, TrainingConfig

Array = NDArray[Any]
CAPTIONS = ["a red circle", "circle", "two blue squares on a red circle", "a blue circle"]
WORDS = WordTokenizer.fit(CAPTIONS)
GRID = (2, 3)
ATTENDING = [name for name in DECODERS if name not in ("fixed", "state")]
every_context = pytest.mark.parametrize("context", DECODERS)
every_start = pytest.mark.parametrize("start", ["first_input", "initial_state"])


def captioner(**options: Any) -> rc.Captioner:
    sizes = {"embedding_size": 3, "hidden_size": 4, "memory_size": 2, "grid": GRID, "rng": 0}
    return rc.Captioner(2, WORDS, **(sizes | options))


def random(model: rc.Captioner, scale: float = 0.5) -> rc.Captioner:
    model.flat_params[:] = np.random.default_rng(1).standard_normal(model.num_params) * scale
    model.mark_changed()
    return model


def features(count: int = 4) -> Array:
    return np.random.default_rng(2).standard_normal((count, *GRID, 2))


def batch_of(model: rc.Captioner) -> Batch:
    (batch,) = model.batches(features(), CAPTIONS).epoch(0)
    return batch


def quick(**options: Any) -> TrainingConfig:
    return TrainingConfig(**{"epochs": 1, "batch_size": 4, "validation_fraction": 0.0} | options)


# --- what it computes ---------------------------------------------------------------------------


@every_context
@every_start
@pytest.mark.parametrize("cell", ["rnn", "gru", "lstm"])
def test_gradient(context: str, start: str, cell: str) -> None:
    model = random(captioner(context=context, start=start, cell=cell, dtype=np.float64))
    batch = batch_of(model)
    loss, _ = model.loss_and_grad(batch)
    assert loss == pytest.approx(model.loss(batch)[0], rel=1e-12)
    gradient = model.flat_grads.copy()
    numerical = finite_difference(lambda: model.loss(batch)[0], model.flat_params)
    # central differences in double: see finite_difference.LIMIT
    np.testing.assert_allclose(gradient, numerical, atol=1e-8 * max(1.0, np.abs(numerical).max()))


@every_start
@pytest.mark.parametrize(
    "options",
    [
        {"tie_weights": True},
        {"tie_weights": True, "embedding_size": 4, "context": "state"},
        {"num_layers": 2, "context": "attention"},
        {"num_layers": 2, "context": "state", "cell": "gru"},
        {"num_heads": 2, "score": "additive"},
        {"grid": None, "context": "fixed"},
        {"grid": None},
        {"grid": 6},
    ],
)
def test_gradient_of_options(start: str, options: dict[str, Any]) -> None:
    model = random(captioner(start=start, dtype=np.float64, **options))
    given = features().reshape(4, 6, 2)
    (batch,) = model.batches(given if model.grid else given[:, 0], CAPTIONS).epoch(0)
    model.loss_and_grad(batch)
    gradient = model.flat_grads.copy()
    numerical = finite_difference(lambda: model.loss(batch)[0], model.flat_params)
    np.testing.assert_allclose(gradient, numerical, atol=1e-8 * max(1.0, np.abs(numerical).max()))


@every_start
def test_equal_to_the_layers_by_hand(start: str) -> None:
    """Show and tell: the picture is the first input, or the initial state, of one caption."""
    model = random(captioner(grid=None, start=start, cell="gru", dtype=np.float64))
    vector, p = features()[0, 0, 0], model.params
    ids = WORDS.encode_sentence(CAPTIONS[0])
    memory = np.tanh(p["memory.weight"] @ vector + p["places.weight"][0])
    x = p["embedding.weight"][ids[:-1]]
    if start == "first_input":
        first = p["first.weight"] @ memory + p["first.bias"]
        y, _ = model.writer.rnn(np.concatenate([first[np.newaxis], x]))
        y = y[1:]
    else:
        name = "bridges.0.maps.0"
        h = np.tanh(p[f"{name}.weight"] @ memory + p[f"{name}.bias"])
        y, _ = model.writer.rnn(x, h[np.newaxis])
    log_p = model.output.log_probabilities(y)
    total = log_p[np.arange(len(y)), ids[1:]].sum()
    (score,) = model.score(vector[np.newaxis], CAPTIONS[:1])
    assert score == pytest.approx(total, rel=1e-12)


@every_context
@every_start
def test_padding_is_not_read(context: str, start: str) -> None:
    """Neither tokens past the end nor neighbors in the batch change losses or gradients."""
    model = random(captioner(context=context, start=start, dtype=np.float64))
    batch = batch_of(model)
    loss, _ = model.loss_and_grad(batch)
    gradient = model.flat_grads.copy()
    tokens, ends = batch.inputs[1], batch.lengths[1]
    tokens[np.arange(len(tokens))[:, np.newaxis] >= ends] = 10**6
    model.zero_grad()
    assert model.loss_and_grad(batch)[0] == loss
    np.testing.assert_array_equal(model.flat_grads, gradient)
    given = features()
    alone = [model.score(given[k : k + 1], CAPTIONS[k : k + 1])[0] for k in range(4)]
    np.testing.assert_allclose(model.score(given, CAPTIONS), alone, rtol=1e-12)
    count = sum(len(WORDS.encode(text)) + 1 for text in CAPTIONS)
    assert -sum(alone) / count == pytest.approx(loss, rel=1e-12)


@every_context
@every_start
def test_steps_are_those_of_the_whole_pass(context: str, start: str) -> None:
    """A search finds captions with the log-probabilities that `score` gives them."""
    model = random(captioner(context=context, start=start, dtype=np.float64))
    given = features()
    steps = picture_decoder(model, model.regions(given))
    rows = np.array([3, 0, 1, 0])  # in another order, and one of them twice
    state = steps.select(steps.start(4), rows)
    totals, tokens = np.zeros(4), np.full(4, WORDS.start)
    written = [WORDS.encode_sentence(CAPTIONS[row])[1:] for row in rows]
    for t in range(max(map(len, written))):
        scores, state = steps.advance(tokens, state)
        log_p = scores.log_probabilities()
        tokens = np.array([ids[min(t, len(ids) - 1)] for ids in written])
        counts = np.array([t < len(ids) for ids in written])
        totals += np.where(counts, log_p[np.arange(4), tokens], 0)
    np.testing.assert_allclose(totals, model.score(given, CAPTIONS)[rows], rtol=1e-12)
    greedy = decode.greedy(steps, 4, start=WORDS.start, end=WORDS.end, max_length=6)
    assert [WORDS.decode(h.tokens) for h in greedy] == model.caption(given, 1, max_length=6)


@pytest.mark.parametrize("context", ATTENDING)
@pytest.mark.parametrize("grid", [6, (2, 3)])
def test_weights_of_the_regions(context: str, grid: Any) -> None:
    model = random(captioner(context=context, grid=grid))
    model.output.params["bias"][WORDS.end] = -20  # no caption ends by itself
    model.mark_changed()
    found = model.captions(features().reshape(4, 6, 2), max_length=5)
    assert [len(best.tokens) for (best,) in found] == [5] * 4
    for (best,) in found:
        shape = (6,) if grid == 6 else grid
        assert best.weights is not None
        assert best.weights.shape == (len(best.tokens), *shape)
        totals = best.weights.sum(axis=tuple(range(1, best.weights.ndim)))
        np.testing.assert_allclose(totals, 1, rtol=1e-5)  # float32
    assert captioner(context="state").captions(features(1), max_length=2)[0][0].weights is None


def test_places_tell_equal_regions_apart() -> None:
    model = random(captioner(context="attention", dtype=np.float64))
    given = features(1)
    turned = given[:, ::-1]
    first, second = model.score(given, ["circle"]), model.score(turned, ["circle"])
    assert abs(first[0] - second[0]) > 1e-6


def test_dropout_acts_in_training_only() -> None:
    model = captioner(dropout=0.5, context="state")
    batch = batch_of(model)
    assert len({model.loss_and_grad(batch)[0] for _ in range(5)}) == 5
    assert len({model.loss(batch)[0] for _ in range(2)}) == 1


# --- learning -----------------------------------------------------------------------------------


@every_context
@every_start
@pytest.mark.parametrize("cell", ["gru", "lstm"])
def test_learns_five_pictures_by_heart(context: str, start: str, cell: str) -> None:
    pictures = np.random.default_rng(0).integers(0, 256, (5, 8, 12, 3), np.uint8)
    captions = [*CAPTIONS, "a blue square"]
    model = rc.Captioner(
        *(48, WordTokenizer.fit(captions)),
        grid=(2, 3),
        context=context,
        start=start,
        cell=cell,
        embedding_size=16,
        hidden_size=24,
        rng=0,
    )
    config = quick(epochs=200, batch_size=5, optimizer=OptimizerConfig(learning_rate=0.01))
    model.fit(pictures, captions, config)
    assert model.caption(pictures) == captions
    assert model.score(pictures, captions).min() > np.log(0.5)
    assert model.score(pictures, captions[::-1])[0] < np.log(0.1)


@pytest.mark.parametrize("tokenizer", [CharTokenizer(["<s>", "</s>", *"abc"]), ByteTokenizer()])
def test_writes_characters(tokenizer: Any) -> None:
    model = rc.Captioner(2, tokenizer, hidden_size=24, embedding_size=8, rng=0)
    config = quick(epochs=150, optimizer=OptimizerConfig(learning_rate=0.01))
    model.fit(np.eye(2), ["abc", "ca"], config)
    assert model.caption(np.eye(2)) == ["abc", "ca"]
    assert model.unit == tokenizer.unit


def test_several_captions_of_a_picture() -> None:
    model = captioner(context="state")
    captions = [["a circle", "a red circle"], "circle", ["a square"], ("blue", "red")]
    scores = model.score(features(), captions)
    assert scores.shape == (6,)
    np.testing.assert_allclose(
        scores[1:2], model.score(features()[:1], ["a red circle"]), rtol=1e-5
    )
    result = model.fit(features(), captions, quick(validation_fraction=0.5, epochs=2))
    assert len(result.validations) == 2


def test_n_best() -> None:
    model = random(captioner(context="state"))
    texts = model.caption(features(), 4, 3, max_length=4)
    assert [len(best) for best in texts] == [3, 3, 3, 3]
    assert model.caption(features(), 4, max_length=4) == [best[0] for best in texts]
    assert model.caption(np.zeros((0, *GRID, 2))) == []
    assert model.caption([]) == []


def test_the_same_seed_is_the_same_training() -> None:
    models = [captioner(dropout=0.3, context="state") for _ in range(2)]
    for model in models:
        model.fit(features(), CAPTIONS, quick(epochs=3))
    np.testing.assert_array_equal(models[0].flat_params, models[1].flat_params)


def test_features_are_standardized_as_those_of_training() -> None:
    model = captioner(context="state", dtype=np.float64)
    assert model.standardization is None
    model.fit(features() * 3 + 100, CAPTIONS, quick())
    assert model.standardization is not None
    assert abs(model.standardization.mean - 100).max() < 10
    regions = model.regions(features() * 3 + 100)
    np.testing.assert_allclose(regions.mean(axis=0), 0, atol=1e-12)
    assert np.square(regions).mean() == pytest.approx(1)
    kept = model.standardization
    model.fit(features(), CAPTIONS, quick())
    assert model.standardization is kept
    wide = Standardization.of(np.random.default_rng(0).standard_normal((50, 400)), largest_norm=10)
    assert wide.deviation == pytest.approx(2, rel=0.05)
    assert Standardization.of(np.ones((3, 2))).deviation == 1
    assert Standardization.of(np.zeros((0, 2))).mean.tolist() == [0, 0]


# --- what it takes and refuses ------------------------------------------------------------------


def test_forms_of_features() -> None:
    model = random(captioner(context="state"))
    given = features()
    expected = model.regions(given)
    assert expected.shape == (4, 1, 12)
    for form in (given.reshape(4, 6, 2), list(given), [g.reshape(6, 2) for g in given]):
        np.testing.assert_array_equal(model.regions(form), expected)
    vectors = captioner(grid=None)
    np.testing.assert_array_equal(vectors.regions(given[:, 0, 0])[:, 0], given[:, 0, 0].astype("f"))


def test_pictures_are_cut_into_patches() -> None:
    pictures = np.random.default_rng(0).integers(0, 256, (3, 4, 6, 3), np.uint8)
    model = rc.Captioner(12, WORDS, grid=(2, 3), context="attention", hidden_size=4, rng=0)
    cut = rc.data.patches(pictures, 2)
    assert cut.shape == (3, 2, 3, 12)
    np.testing.assert_allclose(
        (cut[1, 1, 2] + 1) * 127.5, pictures[1, 2:4, 4:6].reshape(-1), atol=1e-4
    )
    assert (cut.min(), cut.max()) >= (-1, -1)
    for form in (cut, list(pictures), list(cut)):
        np.testing.assert_array_equal(model.regions(form), model.regions(pictures))


def spoiled(value: float) -> Array:
    given = features()
    given[2, 1, 0, 1] = value
    return given


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (features()[:, :, :2], r"features: expected N pictures of shape \[2, 3, 2\] or \[6, 2\]"),
        (features()[0], "features: expected N pictures of shape"),
        ([*features(), np.zeros((6, 3))], r"features\[4\]: expected shape"),
        (
            spoiled(np.nan),
            r"features\[2\]: expected finite numbers of float32, got nan at region 3",
        ),
        (
            spoiled(np.inf),
            r"features\[2\]: expected finite numbers of float32, got inf at region 3",
        ),
        (spoiled(1e300), r"features\[2\]: expected finite numbers of float32, got inf"),
        ([np.zeros((6, 2)), "x"], r"features\[1\]: expected numbers"),
        (features().astype(complex), "features: expected numbers"),
        ("text", "features: expected an array or a list"),
        (3, "features: expected an array or a list"),
    ],
)
def test_wrong_features(given: Any, message: str) -> None:
    model = captioner(context="state")
    with pytest.raises((TypeError, ValueError), match=f"^{message}"):
        model.caption(given)
    with pytest.raises((TypeError, ValueError), match=f"^{message}"):
        model.fit(given, CAPTIONS, quick())


@pytest.mark.parametrize(
    ("shape", "message"),
    [
        ((3, 4, 8, 3), r"features: expected pictures \[4, 6, 3\], got \[4, 8, 3\]; bring them"),
        ((3, 6, 4, 3), r"features: expected pictures \[4, 6, 3\], got \[6, 4, 3\]"),
        ((3, 4, 6, 4), r"features: expected pictures \[4, 6, 3\], got \[4, 6, 4\]"),
    ],
)
def test_pictures_of_another_size(shape: tuple[int, ...], message: str) -> None:
    model = rc.Captioner(12, WORDS, grid=(2, 3), context="state", hidden_size=4, rng=0)
    with pytest.raises(ValueError, match=f"^{message}"):
        model.caption(np.zeros(shape, np.uint8))


@pytest.mark.parametrize(
    ("captions", "message"),
    [
        (CAPTIONS[:3], "captions: expected one for each of 4 pictures, got 3"),
        ([*CAPTIONS[:3], ""], r"captions\[3\]: expected at least one word, got str ''"),
        ([*CAPTIONS[:3], [" "]], r"captions\[3\]\[0\]: expected at least one word, got str ' '"),
        ([*CAPTIONS[:3], []], r"captions\[3\]: expected at least one caption, got none"),
        ([*CAPTIONS[:3], 7], r"captions\[3\]: expected a text or a list, got int 7"),
        ([*CAPTIONS[:3], [7]], r"captions\[3\]\[0\]: expected str, got int 7"),
        ("text", "captions: expected a list of them"),
    ],
)
def test_wrong_captions(captions: Any, message: str) -> None:
    model = captioner(context="state")
    with pytest.raises((TypeError, ValueError), match=f"^{message}"):
        model.fit(features(), captions, quick())
    with pytest.raises((TypeError, ValueError), match=f"^{message}"):
        model.score(features(), captions)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"grid": (1, 2, 3)}, "grid: expected None, R or"),
        ({"grid": 0}, "grid: expected at least 1"),
        ({"grid": None, "context": "attention"}, "grid: expected regions for context='attention'"),
        ({"context": "none"}, "context: expected one of"),
        ({"start": "middle"}, "start: expected one of"),
        ({"dropout": 1}, "dropout: expected"),
        ({"reset": "before"}, "reset: no option of cell 'lstm'"),
        ({"num_heads": 2, "context": "fixed"}, "num_heads: no option of context='fixed'"),
        ({"memory_size": 0}, "memory_size: expected"),
        ({"standardization": 3}, "standardization: expected a Standardization"),
        (
            {"standardization": Standardization([0.0], 1.0)},
            r"standardization\.mean: expected shape",
        ),
        ({"num_layers": 2, "context": "input_feeding"}, "num_layers: expected 1 for context="),
    ],
)
def test_wrong_options(options: dict[str, Any], message: str) -> None:
    with pytest.raises((TypeError, ValueError), match=f"^{message}"):
        captioner(**options)


def test_a_tokenizer_without_ends() -> None:
    with pytest.raises(ValueError, match="tokenizer: expected tokens that begin and end sentences"):
        rc.Captioner(2, CharTokenizer("abc"))


def test_nothing_to_learn_from() -> None:
    with pytest.raises(ValueError, match="targets: expected at least one, got none"):
        captioner(context="state").fit([], [], quick())


# --- files --------------------------------------------------------------------------------------


@every_context
@every_start
def test_saved_and_loaded(context: str, start: str, tmp_path: Path) -> None:
    model = captioner(context=context, start=start, dropout=0.1, tie_weights=True)
    model.fit(features(), CAPTIONS, quick(epochs=2), path=tmp_path / "model")
    again = rc.load(tmp_path / "model")
    assert isinstance(again, rc.Captioner)
    assert again.config() == model.config()
    assert again.grid == (2, 3)
    assert again.standardization is not None
    np.testing.assert_array_equal(
        again.score(features(), CAPTIONS), model.score(features(), CAPTIONS)
    )
    assert again.caption(features()) == model.caption(features())
    with pytest.raises(AttributeError, match="grid: read-only"):
        again.grid = (3, 2)
