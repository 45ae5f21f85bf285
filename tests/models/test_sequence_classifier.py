"""SequenceClassifier: what it computes, its gradient, what it takes and refuses, and files."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

import rnncore as rc
from finite_difference import assert_gradient
from rnncore.data import LabeledBatches
from rnncore.text import ByteTokenizer, CharTokenizer, WordTokenizer
from rnncore.training import TrainingConfig, evaluate

Array = NDArray[Any]

POOLINGS = ("last", "mean", "max")
CELLS: dict[str, dict[str, Any]] = {
    "rnn": {"nonlinearity": "relu"},
    "gru": {"reset": "before"},
    "lstm": {},
}
LENGTHS = (4, 1, 0, 3)
IDS = [[1, 2, 0, 3], [4], [], [2, 2, 1]]
CLASSES = [2, 0, 1, 2]


def classifier(**options: Any) -> rc.SequenceClassifier:
    sizes: dict[str, Any] = {"hidden_size": 3, "embedding_size": 2, "rng": 0}
    if "input_size" not in options and "tokenizer" not in options:
        sizes["vocab_size"] = 5
    return rc.SequenceClassifier(**({"num_classes": 3} | sizes | options))


def vectors(width: int, dtype: Any = np.float64) -> list[Array]:
    rng = np.random.default_rng(5)
    return [rng.standard_normal((length, width)).astype(dtype) for length in LENGTHS]


def quick(**options: Any) -> TrainingConfig:
    return TrainingConfig(**{"epochs": 1, "batch_size": 4, "validation_fraction": 0.0} | options)


# --- what it computes ---------------------------------------------------------------------------


@pytest.mark.parametrize("pooling", POOLINGS)
@pytest.mark.parametrize("cell", CELLS)
def test_gradient(cell: str, pooling: str) -> None:
    model = classifier(
        cell=cell,
        pooling=pooling,
        num_layers=2,
        class_weights=[1.0, 0.5, 2.0],
        dtype=np.float64,
        **CELLS[cell],
    )
    model.flat_params[:] = np.random.default_rng(1).standard_normal(model.num_params) * 0.5
    (batch,) = model.batches(IDS, CLASSES).epoch(0)
    loss, _ = model.loss_and_grad(batch)
    assert loss == pytest.approx(model.loss(batch)[0], rel=1e-12)
    gradient = model.flat_grads.copy()
    assert_gradient(lambda: model.loss(batch)[0], model.flat_params, gradient, cell)


@pytest.mark.parametrize("pooling", POOLINGS)
@pytest.mark.parametrize("bidirectional", [False, True])
def test_sequences_are_independent_of_their_batch(pooling: str, bidirectional: bool) -> None:
    """Order, neighbors and padding change nothing, and more sequences than one batch holds."""
    model = classifier(input_size=2, pooling=pooling, bidirectional=bidirectional, num_layers=2)
    sequences = [x for k in range(40) for x in vectors(2)][:150]
    together = model.predict_proba(sequences)
    assert together.shape == (150, 3)
    np.testing.assert_allclose(together.sum(axis=1), 1, rtol=1e-5)
    for k in (0, 1, 2, 3, 149):
        alone = model.predict_proba([sequences[k]])[0]
        np.testing.assert_allclose(together[k], alone, rtol=1e-5)
    assert model.predict(sequences) == together.argmax(axis=1).tolist()


@pytest.mark.parametrize("embedding_size", [None, 2])
def test_ids_enter_one_hot_or_embedded(embedding_size: int | None) -> None:
    model = classifier(embedding_size=embedding_size, bidirectional=False, cell="gru")
    table = np.eye(5, dtype=np.float32)
    if model.embedding is not None:
        table = model.embedding.params["weight"]
        assert np.abs(table).max() < 1
    twin = classifier(input_size=table.shape[1], bidirectional=False, cell="gru")
    for name, array in twin.params.items():
        array[:] = model.params[name]
    twin.mark_changed()
    given = [table[np.array(ids, np.int64)] for ids in IDS]
    np.testing.assert_allclose(model.predict_proba(IDS), twin.predict_proba(given), rtol=1e-5)


@pytest.mark.parametrize("pooling", POOLINGS)
@pytest.mark.parametrize("cell", ["gru", "lstm"])
def test_equal_to_torch(cell: str, pooling: str) -> None:
    torch = pytest.importorskip("torch")
    model = classifier(input_size=2, cell=cell, pooling=pooling, num_layers=2, dtype=np.float64)
    peer = getattr(torch.nn, cell.upper())(2, 3, 2, bidirectional=True, dtype=torch.float64)
    own = {name.removeprefix("rnn."): p for name, p in model.params.items() if "rnn." in name}
    peer.load_state_dict({name: torch.tensor(array) for name, array in own.items()})
    weight, bias = (torch.tensor(model.output.params[name]) for name in ("weight", "bias"))
    for x, probabilities in zip(vectors(2), model.predict_proba(vectors(2)), strict=True):
        pooled = torch.zeros(6, dtype=torch.float64)
        if len(x):
            y, final = peer(torch.tensor(x))
            h = final[0] if cell == "lstm" else final
            pooled = {"mean": y.mean(0), "max": y.max(0).values, "last": h[-2:].reshape(-1)}[
                pooling
            ]
        expected = torch.softmax(weight @ pooled + bias, 0).detach().numpy()
        np.testing.assert_allclose(probabilities, expected, rtol=1e-12)


def test_class_weights_weigh_losses() -> None:
    model = classifier(class_weights=[0, 1, 3])
    (batch,) = model.batches(IDS, CLASSES).epoch(0)
    (losses,), _ = model.losses(batch)
    nats = -np.log(model.predict_proba(IDS)[np.arange(4), CLASSES])
    order = [batch.targets.tolist(), losses.tolist()]
    assert order[0] == [1, 0, 2, 2]  # sorted by length
    np.testing.assert_allclose(losses, np.array([1, 0, 3, 3]) * nats[[2, 1, 3, 0]], rtol=1e-5)
    assert model.loss(batch)[0] == pytest.approx(losses.sum() / 7)


def test_dropout_acts_in_training_only() -> None:
    model = classifier(dropout=0.5, num_layers=2)
    (batch,) = model.batches(IDS, CLASSES).epoch(0)
    training = {model.loss_and_grad(batch)[0] for _ in range(5)}
    assert len(training) == 5
    assert len({model.loss(batch)[0] for _ in range(2)}) == 1
    assert model.rnn.dropout == 0.5


# --- training -----------------------------------------------------------------------------------


@pytest.mark.parametrize("pooling", POOLINGS)
def test_learns_where_the_token_is(pooling: str) -> None:
    """Whether a 1 comes before or after the 2: order counts, not the tokens."""
    rng = np.random.default_rng(3)
    sequences, labels = [], []
    for _ in range(300):
        ids = np.zeros(rng.integers(4, 12), np.int64)
        first, second = np.sort(rng.choice(len(ids), 2, replace=False))
        label = str(rng.choice(["one first", "two first"]))
        ids[first], ids[second] = (1, 2) if label == "one first" else (2, 1)
        sequences.append(ids)
        labels.append(label)
    model = rc.SequenceClassifier(
        2,
        vocab_size=3,
        cell="gru",
        embedding_size=8,
        hidden_size=16,
        pooling=pooling,
        labels=["one first", "two first"],
        rng=0,
    )
    config = TrainingConfig(epochs=25, batch_size=16, validation_fraction=0.2)
    result = model.fit(sequences[:250], labels[:250], config)
    assert result.best.measures["accuracy"] > 0.95
    predicted = model.predict(sequences[250:])
    assert np.mean([a == b for a, b in zip(predicted, labels[250:], strict=True)]) > 0.95


def test_accuracy_is_measured_by_validations() -> None:
    model = classifier()
    result = model.fit(IDS, CLASSES, quick(epochs=3), validation=(IDS, CLASSES))
    assert len(result.validations) == 3
    predicted = model.predict(IDS)
    expected = np.mean([a == b for a, b in zip(predicted, CLASSES, strict=True)])
    assert result.best.measures == {"accuracy": expected}
    batches = model.batches(IDS, CLASSES, batch_size=3)  # of 3 and 1: each sequence counts once
    found = evaluate(model, batches)
    assert found.measures == {"accuracy": pytest.approx(expected)}
    assert found.loss == pytest.approx(result.best.loss, rel=1e-5)


def test_accuracy_stands_in_the_progress() -> None:
    class Kept(list[Any]):
        interval = 1e9

        def __enter__(self) -> "Kept":
            return self

        def __exit__(self, *_: object) -> None:
            pass

        def show(self, report: Any) -> None:
            self.append(report)

    reports = Kept()
    result = classifier().fit(IDS, CLASSES, quick(), validation=(IDS, CLASSES), progress=reports)
    assert dict(reports[-1].measures) == result.validations[-1].measures


def test_validation_part_is_drawn_by_the_seed() -> None:
    """The share is held out at random: an ordered list would lose a class."""
    labels = [0] * 50 + [1] * 50
    parts = []
    for seed in (0, 0, 1):
        training, held_out = rc.data.split_shuffled((list(range(100)), labels), 0.2, seed)
        assert sorted(training[0] + held_out[0]) == list(range(100))
        assert all(labels[k] == y for k, y in zip(*held_out, strict=True))
        assert len(held_out[0]) == 20
        assert len(set(held_out[1])) == 2
        parts.append(held_out[0])
    assert parts[0] == parts[1] != parts[2]


def test_the_same_seed_is_the_same_training() -> None:
    models = [classifier(dropout=0.3) for _ in range(2)]
    for model in models:
        model.fit(IDS * 5, CLASSES * 5, quick(epochs=3))
    np.testing.assert_array_equal(models[0].flat_params, models[1].flat_params)


def test_a_single_class() -> None:
    model = classifier(num_classes=1, labels=["only"])
    result = model.fit(IDS, ["only"] * 4, quick())
    assert result.losses == [0.0]
    assert model.predict(IDS) == ["only"] * 4
    np.testing.assert_array_equal(model.predict_proba(IDS), 1)


def test_sequences_without_steps() -> None:
    for pooling in POOLINGS:
        for model, empty in (
            (classifier(pooling=pooling), [[], []]),
            (classifier(pooling=pooling, input_size=2), [[], np.zeros((0, 2))]),
        ):
            result = model.fit(empty, [0, 1], quick())
            assert np.isfinite(result.losses).all()
            rows = model.predict_proba(empty)
            np.testing.assert_array_equal(rows[0], rows[1])
            assert model.predict([]) == []
            assert model.predict_proba([]).shape == (0, 3)


# --- what it takes and refuses ------------------------------------------------------------------


@pytest.mark.parametrize(
    "tokenizer",
    [
        CharTokenizer.fit("good bad"),
        ByteTokenizer(),
        WordTokenizer.fit("good bad"),
    ],
    ids=lambda tokenizer: type(tokenizer).__name__,
)
def test_texts(tokenizer: Any) -> None:
    model = classifier(num_classes=2, tokenizer=tokenizer, labels=["no", "yes"])
    assert model.vocab_size == tokenizer.vocab_size
    texts = ["good", "bad", "bad bad", ""]
    model.fit(texts, ["yes", "no", "no", "yes"], quick(epochs=150))
    assert model.predict(texts)[:3] == ["yes", "no", "no"]
    ids = [tokenizer.encode(text) for text in texts]
    np.testing.assert_array_equal(model.predict_proba(texts), model.predict_proba(ids))


def test_numbers_are_converted() -> None:
    model = classifier(input_size=2)
    exact = vectors(2, np.float32)
    np.testing.assert_array_equal(
        model.predict_proba(exact), model.predict_proba([x.astype(np.float64) for x in exact])
    )
    np.testing.assert_array_equal(
        model.predict_proba([[[1, 2], [3, 4]]]), model.predict_proba([[[1.0, 2.0], [3.0, 4.0]]])
    )
    scalars = classifier(input_size=1)
    np.testing.assert_array_equal(
        scalars.predict_proba([[1.0, 2.0]]), scalars.predict_proba([[[1.0], [2.0]]])
    )


def test_generators_are_taken() -> None:
    model = classifier()
    model.fit(iter(IDS), iter(CLASSES), quick())
    assert len(model.predict(iter(IDS))) == 4


@pytest.mark.parametrize(
    ("sequences", "message"),
    [
        ("text", "sequences: expected a list of them, got str"),
        (7, "sequences: expected a list of them, got int 7"),
        ([[0], [1, 5]], r"sequences\[1\]: expected ids in \[0, V=5\), got 5 at \[1\]"),
        ([[-1]], r"sequences\[0\]: expected"),
        ([[0.5]], r"sequences\[0\]: expected a text or integers, got list"),
        ([[[0]]], r"sequences\[0\]: expected shape"),
        (["words"], r"sequences\[0\]: expected ids, got text; the model has no tokenizer"),
    ],
)
def test_wrong_ids(sequences: Any, message: str) -> None:
    with pytest.raises((TypeError, ValueError), match=message):
        classifier().predict(sequences)


def bad_frame(value: float) -> Array:
    x = np.zeros((4, 2))
    x[2, 1] = value
    return x


@pytest.mark.parametrize(
    ("sequence", "message"),
    [
        (bad_frame(np.nan), "expected finite numbers of float32, got nan at step 2"),
        (bad_frame(np.inf), "expected finite numbers of float32, got inf at step 2"),
        (bad_frame(1e300), r"expected finite numbers of float32, got 1e\+300 at step 2"),
        (np.zeros((4, 3)), "expected shape"),
        (np.zeros(4), "expected shape"),
        (np.zeros((4, 2), complex), "expected numbers"),
        ("text", "expected numbers"),
    ],
)
def test_wrong_vectors(sequence: Any, message: str) -> None:
    with pytest.raises((TypeError, ValueError), match=rf"^sequences\[1\]: {message}"):
        classifier(input_size=2).predict([np.zeros((1, 2)), sequence])


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        (["a", "d"], r"labels\[1\]: expected one of 'a', 'b', 'c', got 'd'"),
        (["a", 1], r"labels\[1\]: expected one of 'a', 'b', 'c', got 1"),
        ([0, 3], "labels: expected"),
        ([0, -1], "labels: expected"),
        ([0.0, 1.0], "labels: expected integers or names of classes"),
        ([0], "labels: expected"),
        ("ab", "labels: expected a list"),
    ],
)
def test_wrong_labels(labels: Any, message: str) -> None:
    model = classifier(labels=["a", "b", "c"])
    for fraction in (0.0, 0.5):
        with pytest.raises((TypeError, ValueError), match=message):
            model.fit([[0], [1]], labels, quick(validation_fraction=fraction))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"vocab_size": None}, "vocab_size, input_size: expected one of the two, got None"),
        ({"vocab_size": 5, "input_size": 2}, "expected one of the two, got 5 and 2"),
        ({"vocab_size": 0}, "vocab_size: expected"),
        ({"input_size": 0}, "input_size: expected"),
        ({"num_classes": 0}, "num_classes: expected"),
        ({"pooling": "sum"}, "pooling: expected"),
        ({"cell": "elman"}, "cell: expected"),
        ({"reset": "before"}, "reset: no option of cell 'lstm'"),
        ({"dropout": 1.0}, "dropout: expected"),
        ({"labels": ["a"]}, "labels: expected num_classes = 3 names, got 1"),
        ({"labels": ["a", "b", "a"]}, r"labels\[2\]: expected a new name"),
        ({"labels": ["a", "b", 3]}, r"labels\[2\]: expected the name of a class, got int 3"),
        ({"class_weights": [1.0]}, "class_weights: expected 3"),
        ({"class_weights": [1, 1, -1]}, "class_weights: expected 3"),
        ({"tokenizer": CharTokenizer("ab"), "vocab_size": 5}, "tokenizer: expected a vocab"),
        ({"tokenizer": 3}, "tokenizer: expected"),
    ],
)
def test_wrong_options(options: dict[str, Any], message: str) -> None:
    with pytest.raises((TypeError, ValueError), match=message):
        classifier(**options)


def test_nothing_to_learn_from() -> None:
    with pytest.raises(ValueError, match="sequences: expected at least one, got none"):
        classifier().fit([], [], quick())
    with pytest.raises(ValueError, match="labels: expected"):
        LabeledBatches([[0]], [0, 1])


# --- files --------------------------------------------------------------------------------------


def test_saved_and_loaded(tmp_path: Path) -> None:
    tokenizer = WordTokenizer.fit("good bad film", lowercase=True)
    model = rc.SequenceClassifier(
        2,
        tokenizer=tokenizer,
        cell="gru",
        num_layers=2,
        pooling="mean",
        dropout=0.2,
        reset="before",
        labels=("bad", "good"),
        class_weights=[1, 2],
        rng=0,
    )
    path = tmp_path / "model"
    texts = ["good film", "bad film", "unseen words"]
    model.fit(texts, ["good", "bad", "bad"], quick(epochs=5), path=path)
    again = rc.load(path)
    assert isinstance(again, rc.SequenceClassifier)
    assert again.config() == model.config()
    assert again.labels == ["bad", "good"]
    assert isinstance(again.tokenizer, WordTokenizer)
    np.testing.assert_array_equal(again.predict_proba(texts), model.predict_proba(texts))
    assert again.predict(texts) == model.predict(texts)
    with pytest.raises(AttributeError, match="labels: read-only"):
        again.labels = ["x", "y"]
    rc.save(classifier(input_size=2), path)
    assert rc.load(path).config()["input_size"] == 2
