"""Usual mistakes are answered with what was meant."""

import copy
import io
import pickle
import warnings
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import rnncore as rc
from rnncore.data import ContiguousBatches
from rnncore.progress import PlainProgress
from rnncore.text import CharTokenizer
from rnncore.training import OptimizerConfig, ScheduleConfig, TrainingConfig, fit
from trainables import Recorder, Ticks

TEXT = "to be or not to be " * 20


def small_model(**options: Any) -> rc.LanguageModel:
    tokenizer = CharTokenizer.fit(TEXT)
    return rc.LanguageModel(
        tokenizer.vocab_size, hidden_size=4, num_layers=1, tokenizer=tokenizer, **options
    )


def message(call: Callable[[], Any], error: type[Exception] = TypeError) -> str:
    with pytest.raises(error) as raised:
        call()
    return str(raised.value)


# --- keywords ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("call", "expected"),
    [
        (lambda: rc.LSTM(4, 6, seed=0), "seed: no option of LSTM; did you mean rng?"),
        (lambda: rc.RNN(4, 6, activation="relu"), "of RNN; did you mean nonlinearity?"),
        (lambda: rc.GRU(input_dim=4, hidden_size=6), "of GRU; did you mean input_size?"),
        (lambda: rc.GRU(4, hidden=6), "hidden: no option of GRU; did you mean hidden_size?"),
        (lambda: rc.LSTM(4, units=6), "did you mean hidden_size?"),
        (lambda: rc.LSTM(4, 6, layers=2), "did you mean num_layers?"),
        (lambda: rc.LSTM(4, 6, bidirectionnal=True), "did you mean bidirectional?"),
        (lambda: rc.LSTM(4, 6, proj_size=3), "of LSTM, which takes input_size, hidden_size, num"),
        (lambda: rc.Linear(in_features=3, output_size=2), "did you mean input_size?"),
        (lambda: rc.Linear(3, out_features=2), "did you mean output_size?"),
        (lambda: rc.Embedding(num_embeddings=3, embedding_size=2), "did you mean vocab_size?"),
        (lambda: rc.Embedding(3, embedding_dim=2), "did you mean embedding_size?"),
        (lambda: rc.Dropout(rate=0.5), "did you mean p?"),
        (
            lambda: rc.LanguageModel(7, seed=0),
            "of LanguageModel; did you mean rng?",
        ),
        (lambda: rc.LanguageModel(7, hidden=8), "did you mean hidden_size?"),
        (lambda: rc.LanguageModel(7, "rnn", activation="relu"), "did you mean nonlinearity?"),
        (
            lambda: rc.LanguageModel(7, reset="after"),
            "option of cell 'lstm', which takes none",
        ),
        (lambda: rc.optim.Adam(rc.Linear(2, 2), epsilon=1e-6), "of Adam; did you mean eps?"),
        (lambda: rc.optim.SGD(rc.Linear(2, 2), 1, clipnorm=1), "did you mean clip_norm?"),
        (lambda: rc.optim.Cosine(5, warmup_steps=2), "of Cosine; did you mean warmup?"),
        (lambda: OptimizerConfig(lr=0.1), "of OptimizerConfig; did you mean learning_rate?"),
        (lambda: ScheduleConfig(decay=0.1), "of ScheduleConfig; did you mean gamma?"),
        (lambda: TrainingConfig(num_epochs=3), "did you mean epochs?"),
        (lambda: TrainingConfig(rng=3), "did you mean seed?"),
        (lambda: TrainingConfig(lr=0.1), "; pass optimizer=OptimizerConfig(learning_rate=...)"),
        (lambda: rc.models.Initialization(std=1), "of Initialization, which takes name, scale"),
        (lambda: small_model().fit(TEXT, epochs=3), "; pass config=TrainingConfig(epochs=...)"),
        (lambda: fit(small_model(), [], verbose=True), "of fit; did you mean progress?"),
        (
            lambda: small_model().fit(TEXT, lr=0.1),
            "; pass config=TrainingConfig(optimizer=OptimizerConfig(learning_rate=...))",
        ),
        (lambda: small_model().reset_parameters(seed=0), "did you mean rng?"),
        (lambda: small_model().sampler(seed=0), "of sampler, which takes weight_format"),
        (lambda: rc.LSTM(2, 2).frozen(seed=0), "of frozen, which takes none"),
        (lambda: rc.layers.Add(seed=0), "of Add; did you mean rng?"),
        (lambda: small_model().sample("t", 3, seed=0), "did you mean rng?"),
        (lambda: small_model().generate("t", max_length=3), "did you mean length?"),
        (lambda: rc.LSTM(2, 2).stream(quantize="int8"), "which takes batch_size, weight_format"),
        (lambda: rc.init.orthogonal(rc.RNN(2, 2), seed=0), "of orthogonal; did you mean rng?"),
        (lambda: rc.decode.Ranking(alpha=1), "of Ranking; did you mean length_penalty?"),
        (lambda: small_model().decoder(quantize=1), "of decoder, which takes weight_format"),
        (lambda: small_model().beam_search(["t"], num_beams=3), "did you mean beam_size?"),
        (lambda: ContiguousBatches([1, 2], 1, seq_len=3), "did you mean bptt?"),
        (lambda: PlainProgress(io.StringIO(), units="word"), "did you mean unit?"),
    ],
)
def test_unknown_keyword(call: Callable[[], Any], expected: str) -> None:
    assert expected in message(call)


def test_every_public_constructor_names_its_keywords() -> None:
    """None is forgotten: each says what it takes where the keyword is like nothing it has."""
    modules = (rc, rc.layers, rc.models, rc.optim, rc.training, rc.text, rc.data, rc.progress)
    modules += (rc.audio,)
    kinds = {v for m in modules for n in m.__all__ if isinstance(v := getattr(m, n), type)}
    made_by_the_package = {
        *(rc.layers.Cache, rc.layers.Frozen, rc.layers.Held, rc.layers.Stream),
        *(rc.layers.FrozenAttentionRNN, rc.layers.HeldDecoder, rc.layers.HeldMemory),
        rc.progress.Report,
        *(rc.training.Validation, rc.training.TrainingResult, rc.training.Run),
        *(rc.training.Evaluation, rc.training.Update, rc.training.Curves),
    }
    abstract = {
        *(rc.layers.Recurrent, rc.optim.Optimizer, rc.optim.Schedule, rc.training.Trainable),
        *(rc.data.Batches, rc.progress.Progress, rc.training.Callback),
        *(rc.Model, rc.text.Tokenizer),
    }
    without = {rc.optim.Constant, rc.text.ByteTokenizer}
    for kind in kinds - made_by_the_package - abstract - without:
        # of these the other keywords are the cell's
        needed = {
            rc.AttentionRNN: {"input_size": 2, "hidden_size": 2, "memory_size": 2},
            rc.LanguageModel: {"vocab_size": 7},
            rc.SequenceClassifier: {"num_classes": 2, "vocab_size": 7},
            rc.CTCRecognizer: {"symbols": "a", "input_size": 7},
            rc.FrameRecognizer: {"symbols": "a", "input_size": 7},
            rc.Captioner: {"input_size": 2, "tokenizer": rc.text.ByteTokenizer()},
        }.get(kind, {})
        told = message(lambda kind=kind, needed=needed: kind(**needed, zzqx=1))
        assert "zzqx: no option of " in told


def test_a_class_of_ones_own_is_told_its_keywords_too() -> None:
    class Scaled(rc.LSTM):
        def __init__(self, scale: float, rng: int | None = None) -> None:
            super().__init__(2, 3, rng=rng)
            self.scale = scale

    assert Scaled(scale=2.0, rng=0).scale == 2
    assert "of Scaled; did you mean rng?" in message(lambda: Scaled(2.0, seed=0))


# --- configurations by name ----------------------------------------------------------------------


def test_optimizer_and_schedule_by_name() -> None:
    config = TrainingConfig(optimizer="rmsprop", schedule="step")
    assert config == TrainingConfig(
        optimizer=OptimizerConfig("rmsprop"), schedule=ScheduleConfig("step")
    )
    assert TrainingConfig(optimizer="adam") == TrainingConfig()
    assert replace(config, epochs=2).optimizer == OptimizerConfig("rmsprop")
    assert pickle.loads(pickle.dumps(config)) == copy.deepcopy(config) == config
    assert len({config, copy.copy(config)}) == 1
    model = small_model(rng=0)
    assert model.fit(TEXT, TrainingConfig(epochs=1, batch_size=4, optimizer="adamw")).losses


def test_initialization_by_name() -> None:
    one, other = (
        small_model(rng=0, initialization=given)
        for given in ("orthogonal", rc.models.Initialization("orthogonal"))
    )
    np.testing.assert_array_equal(one.flat_params, other.flat_params)


@pytest.mark.parametrize(
    ("call", "error", "text"),
    [
        (lambda: TrainingConfig(optimizer="adma"), ValueError, "optimizer: expected one of ['adam"),
        (lambda: TrainingConfig(schedule="cos"), ValueError, "schedule: expected one of ['const"),
        (
            lambda: TrainingConfig(optimizer=rc.optim.Adam),
            TypeError,
            "optimizer: expected an OptimizerConfig or the name of one, got ABCMeta",
        ),
        (lambda: small_model(initialization="he"), ValueError, "initialization: expected one of"),
        (
            lambda: small_model(initialization=0.1),
            TypeError,
            "initialization: expected an Initialization or the name of one, got float 0.1",
        ),
    ],
)
def test_wrong_names(call: Callable[[], Any], error: type[Exception], text: str) -> None:
    assert text in message(call, error)


# --- arrays --------------------------------------------------------------------------------------

X = np.zeros((5, 2, 3), np.float32)
LSTM, GRU = rc.LSTM(3, 4, rng=0), rc.GRU(3, 4, rng=0)
OUTPUT = rc.Linear(4, 2, rng=0)


@pytest.mark.parametrize(
    "call",
    [
        lambda: OUTPUT(LSTM(X)),
        lambda: OUTPUT(GRU(X)),
        lambda: OUTPUT(GRU(X[:1])),  # y and h of one shape would make an array
        lambda: OUTPUT.forward(LSTM.forward(X)),
        lambda: rc.Dropout(0.5).forward(LSTM(X)),
        lambda: rc.LSTM(4, 4)(LSTM(X)),
        lambda: rc.GRU(4, 4).stream().run(GRU(X)),
        lambda: LSTM.frozen()(LSTM(X)),
        lambda: rc.losses.cross_entropy(GRU(X), np.zeros((5, 2), int)),
        lambda: rc.losses.mse(OUTPUT.forward(GRU(X)[0]), np.zeros((5, 2, 2), np.float32)),
        lambda: rc.losses.mse(OUTPUT(GRU(X)[0]), OUTPUT.forward(GRU(X)[0])),
        lambda: rc.Embedding(3, 4)(GRU(X)),
    ],
)
def test_result_of_a_layer_as_an_array(call: Callable[[], Any]) -> None:
    text = message(call)
    assert ": expected an array, got a tuple that begins with one" in text
    assert "returns (y, state)" in text


RAGGED = [[[1, 2], [0]], ([1, 2], [0]), [np.arange(2), np.arange(1)]]


@pytest.mark.parametrize("ragged", [*RAGGED, np.array([[1, 2], [0]], object)])
@pytest.mark.parametrize(
    "call",
    [
        lambda x: LSTM(x),
        lambda x: LSTM.forward(x),
        lambda x: LSTM.stream().run(list(x)),
        lambda x: rc.Embedding(3, 4)(x),
        lambda x: small_model()(x),
        lambda x: small_model().loss(rc.data.Batch(x, x)),
        lambda x: small_model().score(x),
        lambda x: rc.losses.cross_entropy(np.zeros((2, 2, 3)), x),
    ],
)
def test_ragged_lists(call: Callable[[Any], Any], ragged: Any) -> None:
    with pytest.raises((TypeError, ValueError)) as raised:
        call(ragged)
    assert "rows of different lengths" in str(raised.value)
    assert "rnncore.data.pad" in str(raised.value)
    assert "lengths" in str(raised.value)


@pytest.mark.parametrize(
    ("given", "text"),
    [
        (["t", "o"], "expected text or integers [N], got list ['t', 'o']; ''.join makes it text"),
        (b"to", "expected text or integers [N], got bytes b'to'; decode makes it text"),
        (Path("text"), "expected text or integers [N], got"),
        ([0.5], "expected text or integers [N], got list [0.5]"),
    ],
)
def test_tokens_may_be_text(given: Any, text: str) -> None:
    model = small_model()
    training = () if isinstance(given, Path) else (model.fit, model.batches)  # they read files
    for call in (model.score, model.perplexity, *training):
        assert f"tokens: {text}" in message(lambda call=call: call(given))
    assert f"prompt: {text}" in message(lambda: model.sample(given, 3))
    without = rc.LanguageModel(7, hidden_size=4)
    assert "tokens: expected integers, got" in message(lambda: without.score(given))


def test_batch_and_time_swapped() -> None:
    """Two sequences of five steps, laid out as the layer does not take them."""
    for layer, x in ((LSTM, X.swapaxes(0, 1)), (rc.LSTM(3, 4, batch_first=True), X)):
        text = message(lambda layer=layer, x=x: layer(x, lengths=[5, 2]), ValueError)
        assert "are time and batch swapped? (batch_first)" in text
    assert "swapped" not in message(lambda: LSTM(X, lengths=[1, 2, 3]), ValueError)


# --- what a Progress must have -------------------------------------------------------------------


class NoShow:
    interval = 1.0

    def __enter__(self) -> Any:
        return self

    def __exit__(self, *_: object) -> None: ...

    def update(self, report: Any) -> None: ...


class ShowsNothing(Recorder):
    def show(self) -> None:  # type: ignore[override]
        ...


class Unleavable(Recorder):
    def __exit__(self) -> None:  # type: ignore[override]
        ...


@pytest.mark.parametrize(
    ("progress", "text"),
    [
        (NoShow(), ", such as PlainProgress, got NoShow <"),
        (NoShow(), ", which has no show"),
        ("yes", "True, False or a Progress, such as PlainProgress, got str 'yes', which has no in"),
        (PlainProgress, "such as PlainProgress, got the class PlainProgress itself"),
        (ShowsNothing(), "progress.show: expected a method of 1 argument, got show()"),
        (Unleavable(), "progress.__exit__: expected a method of 3 arguments, got __exit__()"),
        (Recorder("often"), "progress.interval: expected a number, got str 'often'"),
    ],
)
def test_wrong_progress_is_named_before_training(progress: Any, text: str) -> None:
    model = small_model(rng=0)
    before = model.flat_params.copy()
    assert text in message(lambda: fit(model, Ticks(2), progress=progress))
    np.testing.assert_array_equal(model.flat_params, before)


def test_wrong_batches_are_named() -> None:
    text = message(lambda: fit(small_model(), [1, 2]))
    assert "training: expected batches, such as" in text
    assert "got list [1, 2], which has no carries_state" in text


def test_stream_of_a_progress_is_one() -> None:
    for wrong in ("log.txt", io.BytesIO()):
        assert "stream: expected a text stream" in message(lambda w=wrong: PlainProgress(w))


# --- warnings ------------------------------------------------------------------------------------


def warned(call: Callable[[], Any]) -> list[str]:
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        call()
    assert all(w.filename == __file__ for w in caught)
    return [str(w.message) for w in caught]


@pytest.mark.parametrize("kind", [rc.RNN, rc.GRU, rc.LSTM])
def test_dropout_of_a_single_layer_has_no_effect(kind: Any, tmp_path: Path) -> None:
    (text,) = warned(lambda: kind(3, 4, dropout=0.5))
    assert "dropout: 0.5 has no effect on a single layer" in text
    assert not warned(lambda: kind(3, 4, 2, dropout=0.5))
    # said once, not whenever the layer is made again
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        layer = kind(3, 4, dropout=0.5)
    rc.save(layer, tmp_path / "layer")
    assert not warned(lambda: rc.load(tmp_path / "layer"))
    assert not warned(lambda: copy.deepcopy(layer))
    assert not warned(layer.frozen)


def test_dropout_of_a_model_with_one_layer_has_an_effect() -> None:
    assert not warned(lambda: small_model(dropout=0.5))
    assert not warned(lambda: copy.deepcopy(small_model(dropout=0.5)))


def test_probabilities_passed_as_logits() -> None:
    rng = np.random.default_rng(0)
    logits = rng.standard_normal((4, 3, 7)).astype(np.float32)
    probabilities = np.exp(logits) / np.exp(logits).sum(-1, keepdims=True)
    targets = np.zeros((4, 3), int)
    (text,) = warned(lambda: rc.losses.cross_entropy(probabilities, targets))
    assert "logits: expected unnormalized log-probabilities, got rows that sum to 1" in text
    for fine in (logits, np.abs(logits), probabilities * 2, np.log(probabilities), logits[:0]):
        assert not warned(lambda x=fine: rc.losses.cross_entropy(x, targets[: len(x)]))
    # a single class, and rows without information
    assert not warned(lambda: rc.losses.cross_entropy(np.ones((2, 1)), [0, 0]))
    assert not warned(lambda: rc.losses.cross_entropy(np.eye(3), [0, 1, 2]))
