"""CTCRecognizer and FrameRecognizer: what they compute, learn, take and refuse; streams; files."""

from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

import rnncore as rc
from finite_difference import assert_gradient
from rnncore.training import TrainingConfig, evaluate
from sounds import tone, write_wav

Array = NDArray[Any]
SYMBOLS = ["a", "b", "c"]
LENGTHS = (6, 0, 1, 4)
LABELS = [["a", "b", "b"], [], ["c"], ["b"]]
KINDS = [rc.CTCRecognizer, rc.FrameRecognizer]


def vectors(dtype: Any = np.float64, width: int = 2) -> list[Array]:
    rng = np.random.default_rng(5)
    return [rng.standard_normal((length, width)).astype(dtype) for length in LENGTHS]


def frame_labels() -> list[list[str]]:
    rng = np.random.default_rng(6)
    return [rng.choice(SYMBOLS, length).tolist() for length in LENGTHS]


def labels_of(kind: Any) -> list[list[str]]:
    return LABELS if kind is rc.CTCRecognizer else frame_labels()


def made(kind: Any, **options: Any) -> Any:
    sizes = {"input_size": 2, "hidden_size": 3, "num_layers": 2, "rng": 0}
    return kind(SYMBOLS, **(sizes | options))


def quick(**options: Any) -> TrainingConfig:
    return TrainingConfig(**{"epochs": 1, "batch_size": 4, "validation_fraction": 0.0} | options)


# --- what they compute --------------------------------------------------------------------------


@pytest.mark.parametrize("cell", ["lstm", "gru"])
@pytest.mark.parametrize("kind", KINDS)
def test_gradient(kind: Any, cell: str) -> None:
    model = made(kind, cell=cell, dtype=np.float64)
    model.flat_params[:] = np.random.default_rng(1).standard_normal(model.num_params) * 0.5
    (batch,) = model.batches(vectors(), labels_of(kind)).epoch(0)
    loss, _ = model.loss_and_grad(batch)
    assert loss == pytest.approx(model.loss(batch)[0], rel=1e-12)
    gradient = model.flat_grads.copy()
    assert_gradient(lambda: model.loss(batch)[0], model.flat_params, gradient, cell)


@pytest.mark.parametrize("kind", KINDS)
def test_sequences_are_independent_of_their_batch(kind: Any) -> None:
    model = made(kind)
    sequences = vectors() * 10  # more than are read at once
    together = model.posteriors(sequences)
    outputs = 4 if kind is rc.CTCRecognizer else 3
    assert [p.shape for p in together] == [(length, outputs) for length in LENGTHS] * 10
    for p, x in zip(together, sequences, strict=True):
        np.testing.assert_allclose(p.sum(axis=1), 1, rtol=1e-5)
        np.testing.assert_allclose(p, model.posteriors([x])[0], rtol=1e-4, atol=1e-6)
    assert model.posteriors([]) == model.transcribe([]) == []


def test_equal_to_torch() -> None:
    torch = pytest.importorskip("torch")
    model = made(rc.CTCRecognizer, dtype=np.float64)
    peer = torch.nn.LSTM(2, 3, 2, bidirectional=True, dtype=torch.float64)
    own = {name.removeprefix("rnn."): p for name, p in model.params.items() if "rnn." in name}
    peer.load_state_dict({name: torch.tensor(array) for name, array in own.items()})
    weight, bias = (torch.tensor(model.output.params[name]) for name in ("weight", "bias"))
    posteriors = model.posteriors(vectors())
    for k in (0, 2, 3):
        y, _ = peer(torch.tensor(vectors()[k]))
        log_p = torch.log_softmax(y @ weight.T + bias, -1)
        np.testing.assert_allclose(posteriors[k], log_p.exp().detach(), rtol=1e-10)
        ids = torch.tensor([[1 + SYMBOLS.index(s) for s in LABELS[k]]])
        sizes = torch.tensor([len(log_p)]), torch.tensor([ids.numel()])
        expected = torch.nn.functional.ctc_loss(log_p[:, None], ids, *sizes, reduction="sum")
        (batch,) = model.batches([vectors()[k]], [LABELS[k]]).epoch(0)
        (losses,), _ = model.losses(batch)
        assert losses.sum() == pytest.approx(expected.item(), rel=1e-10)


def test_alignment_and_beams_are_those_of_the_posteriors() -> None:
    model = made(rc.CTCRecognizer)
    logs = [np.log(p) for p in model.posteriors(vectors())]
    for k, aligned in enumerate(model.align(vectors(), LABELS)):
        expected = rc.ctc.align(logs[k], [1 + SYMBOLS.index(s) for s in LABELS[k]])
        assert list(aligned.symbols) == LABELS[k]
        assert [s.start for s in aligned.segments] == [s.start for s in expected.segments]
        assert aligned.score == pytest.approx(expected.score, rel=1e-5)
    decoder = rc.ctc.PrefixDecoder(["", *SYMBOLS], beam_size=8)
    beams = model.transcribe(vectors(), beam_size=8)
    assert [b.symbols for b in beams] == [decoder.decode(log_p)[0].symbols for log_p in logs]
    own = model.transcribe(vectors(), decoder=decoder)
    assert [b.symbols for b in own] == [b.symbols for b in beams]
    with pytest.raises(ValueError, match="beam_size, decoder: expected one of the two, got both"):
        model.transcribe(vectors(), beam_size=2, decoder=decoder)


def test_frames_become_segments() -> None:
    model = made(rc.FrameRecognizer)
    for p, found in zip(model.posteriors(vectors()), model.transcribe(vectors()), strict=True):
        path = [SYMBOLS[k] for k in p.argmax(axis=1)]
        said = [s.symbol for s in found.segments for _ in range(s.start, s.end)]
        assert said == path
        assert all(a.symbol != b.symbol for a, b in pairwise(found.segments))
        assert [s.end for s in found.segments[:-1]] == [s.start for s in found.segments[1:]]
        assert found.score == pytest.approx(np.log(p.max(axis=1)).sum(), rel=1e-4)
        for s in found.segments:
            mean = p[s.start : s.end, SYMBOLS.index(s.symbol)].mean()
            assert s.probability == pytest.approx(mean, rel=1e-4)


# --- training -----------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", KINDS)
def test_measures_of_validations(kind: Any) -> None:
    model = made(kind)
    result = model.fit(vectors(), labels_of(kind), quick(), validation=(vectors(), labels_of(kind)))
    found = model.transcribe(vectors())
    (name, value), *rest = result.best.measures.items()
    assert rest == []
    if kind is rc.CTCRecognizer:
        assert name == "error_rate"
        assert value == pytest.approx(rc.metrics.error_rate(LABELS, [t.symbols for t in found]))
    else:
        assert name == "accuracy"
        paths = [[SYMBOLS[k] for k in p.argmax(axis=1)] for p in model.posteriors(vectors())]
        right = np.concatenate(paths) == np.concatenate(labels_of(kind))
        assert value == pytest.approx(np.mean(right))
    for batch_size in (1, 3):
        batches = model.batches(vectors(), labels_of(kind), batch_size)
        assert evaluate(model, batches).measures[name] == pytest.approx(value)


def spoken(seed: int, count: int) -> tuple[list[Array], list[str]]:
    """Sequences in which each symbol sounds for 2 to 5 frames, with noise."""
    rng = np.random.default_rng(seed)
    sounds = np.array([[2.0, 0.0], [0.0, 2.0], [-2.0, -2.0]])
    features, texts = [], []
    for _ in range(count):
        said = rng.integers(0, 3, rng.integers(1, 6))
        parts = [np.append(sounds[[k] * rng.integers(2, 6)], [[0, 0]], axis=0) for k in said]
        frames = np.concatenate([np.zeros((1, 2)), *parts])
        features.append(frames + 0.1 * rng.standard_normal(frames.shape))
        texts.append(" ".join(SYMBOLS[k] for k in said))
    return features, texts


def test_learns_to_read_and_streams_the_same() -> None:
    features, texts = spoken(0, 120)
    model = rc.CTCRecognizer(
        SYMBOLS, input_size=2, hidden_size=16, num_layers=1, bidirectional=False, rng=0
    )
    config = quick(epochs=30, batch_size=8, validation_fraction=0.2)
    result = model.fit(features, texts, config)
    assert result.best.measures["error_rate"] < 0.05
    whole = model.transcribe(features)
    rng = np.random.default_rng(1)
    for x, expected in zip(features[:20], whole, strict=False):
        cuts = np.sort(rng.integers(0, len(x) + 1, 4))
        found = list(model.stream(np.split(x, cuts)))
        assert [(s.symbol, s.start, s.end) for s in found] == [
            (s.symbol, s.start, s.end) for s in expected.segments
        ]
        for s, other in zip(found, expected.segments, strict=True):
            assert s.probability == pytest.approx(other.probability, rel=1e-4)


def test_segments_come_as_soon_as_they_are_over() -> None:
    model = made(rc.FrameRecognizer, bidirectional=False, num_layers=1)
    model.flat_params *= 5
    x = np.random.default_rng(2).standard_normal((50, 2)) * 3
    (whole,) = model.transcribe([x])
    stream, found = model.stream(), []
    for t, frame in enumerate(x):
        for segment in stream.push(frame[np.newaxis]):
            assert segment.end == t  # this frame is the first of another symbol
            found.append(segment)
    found += stream.finish()
    assert [(s.symbol, s.start, s.end) for s in found] == [
        (s.symbol, s.start, s.end) for s in whole.segments
    ]
    assert len(found) > 3


def test_the_same_seed_is_the_same_training() -> None:
    models = [made(rc.CTCRecognizer, dropout=0.3) for _ in range(2)]
    for model in models:
        model.fit(vectors(), LABELS, quick(epochs=3))
    np.testing.assert_array_equal(models[0].flat_params, models[1].flat_params)


@pytest.mark.parametrize("kind", KINDS)
def test_files(kind: Any, tmp_path: Path) -> None:
    model = made(kind, separator="", cell="gru", dropout=0.5, reset="before")
    rc.save(model, tmp_path / "model")
    again = rc.load(tmp_path / "model")
    assert type(again) is kind
    assert again.config() == model.config()
    for p, other in zip(model.posteriors(vectors()), again.posteriors(vectors()), strict=True):
        np.testing.assert_array_equal(p, other)


# --- what they take -----------------------------------------------------------------------------


def test_labels_of_all_forms() -> None:
    forms: list[Any] = ["a b", ["a", "b"], [1, 2], np.array([1, 2], np.int32)]
    model = made(rc.CTCRecognizer)
    for form in forms:
        (batch,) = model.batches([vectors()[0]], [form]).epoch(0)
        assert batch.targets.tolist() == [[1, 2]]
    (batch,) = made(rc.FrameRecognizer).batches([vectors()[0][:2]], ["a b"]).epoch(0)
    assert batch.targets.T.tolist() == [[0, 1]]
    letters = rc.CTCRecognizer([" ", "a"], input_size=2, separator="", rng=0)
    (batch,) = letters.batches([vectors()[0]], ["a a"]).epoch(0)
    assert batch.targets.tolist() == [[2, 1, 2]]


def test_recordings_arrays_and_files(tmp_path: Path) -> None:
    pytest.importorskip("kaldi_native_fbank")
    features = rc.audio.Features("mfcc", rate=8000, stack=3, normalization="running")
    model = rc.CTCRecognizer(
        ["low", "high"], features=features, hidden_size=5, bidirectional=False, rng=0
    )
    path = write_wav(tmp_path / "a.wav", tone())
    samples = rc.audio.read(path).samples
    x = features(samples)
    np.save(tmp_path / "x.npy", x)
    given = [path, str(path), samples, rc.audio.read(path), x, x.astype(float), tmp_path / "x.npy"]
    posteriors = model.posteriors(given)
    for p in posteriors:
        np.testing.assert_allclose(p, posteriors[0], rtol=1e-5)
    model.fit(given, ["low"] * 7, quick())
    (whole,) = model.transcribe([path])
    stream = model.stream(np.array_split(samples, 7))
    assert [(s.symbol, s.start, s.end) for s in stream] == [
        (s.symbol, s.start, s.end) for s in whole.segments
    ]
    assert model.transcribe([np.zeros(0)])[0].symbols == ()


def bad_frame(value: float) -> Array:
    x = np.zeros((4, 2))
    x[2, 1] = value
    return x


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    ("sequence", "message"),
    [
        (bad_frame(np.nan), "expected finite numbers of float32, got nan at step 2"),
        (bad_frame(np.inf), "expected finite numbers of float32, got inf at step 2"),
        (bad_frame(1e300), r"expected finite numbers of float32, got 1e\+300 at step 2"),
        (np.zeros((4, 3)), "expected shape"),
        (np.zeros(4), "expected shape"),
        (np.zeros((4, 2), complex), "expected numbers"),
    ],
)
def test_wrong_features(kind: Any, sequence: Any, message: str, tmp_path: Path) -> None:
    with pytest.raises((TypeError, ValueError), match=rf"^features\[1\]: {message}"):
        made(kind).transcribe([np.zeros((1, 2)), sequence])
    if sequence.ndim == 2 and sequence.dtype.kind == "f":
        np.save(tmp_path / "x.npy", sequence)
        with pytest.raises((TypeError, ValueError), match=rf"x\.npy: {message}"):
            made(kind).transcribe([tmp_path / "x.npy"])


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        (["a", "a d"], r"labels\[1\]: expected symbols that the model knows, got 'd' at 1"),
        (["a", ["a", 1]], r"labels\[1\]: expected symbols that the model knows, got 1 at 1"),
        (["a", [0]], r"labels\[1\]: expected ids in \[1, 4\), got 0 at 0"),
        (["a", [1, 4]], r"labels\[1\]: expected ids in \[1, 4\), got 4 at 1"),
        (["a", [0.5]], r"labels\[1\]: expected a text, names or ids"),
        (["a", "a b b"], r"labels\[1\]: expected at least 4 steps for its 3 labels, got 3"),
        (["a"], "labels: expected one list for each of 2 sequences, got 1"),
        ("ab", "labels: expected a list"),
    ],
)
def test_wrong_labels(labels: Any, message: str) -> None:
    for fraction in (0.0, 0.5):
        config = quick(validation_fraction=fraction)
        with pytest.raises((TypeError, ValueError), match=message):
            made(rc.CTCRecognizer).fit([np.zeros((2, 2)), np.zeros((3, 2))], labels, config)


def test_frame_labels_are_one_for_each_step() -> None:
    with pytest.raises(ValueError, match=r"labels\[0\]: expected 3 labels, one for each step, got"):
        made(rc.FrameRecognizer).fit([np.zeros((3, 2))], ["a b"], quick())


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"input_size": None}, "input_size, features: expected one of the two, got neither"),
        ({"features": 3}, "features: expected"),
        ({"features": rc.audio.Features()}, "input_size: expected 40, the width of the features"),
        ({"input_size": 0}, "input_size: expected"),
        ({"separator": ","}, "separator: expected"),
        ({"symbols": []}, "symbols: expected at least one"),
        ({"symbols": "abc"}, "symbols: expected a list of names"),
        ({"symbols": ["a", 3]}, r"symbols\[1\]: expected the name of a symbol, got int 3"),
        ({"symbols": ["a", "b", "a"]}, r"symbols\[2\]: expected a new name, got 'a' again"),
        ({"symbols": ["a", "b c"]}, r"symbols\[1\]: expected a text without blanks, got 'b c'"),
        ({"symbols": [""]}, r"symbols\[0\]: expected a text without blanks, got ''"),
        ({"symbols": ["ab"], "separator": ""}, r"symbols\[0\]: expected one character, got 'ab'"),
        ({"reset": "before"}, "reset: no option of cell 'lstm'"),
        ({"dropout": 1.0}, "dropout: expected"),
        ({"hiden_size": 3}, "hiden_size: no option of CTCRecognizer; did you mean hidden_size"),
    ],
)
def test_wrong_options(options: dict[str, Any], message: str) -> None:
    given = {"symbols": SYMBOLS, "input_size": 2} | options
    with pytest.raises((TypeError, ValueError), match=message):
        rc.CTCRecognizer(**given)


def test_what_streams_and_models_without_features_refuse(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="stream: expected a unidirectional layer"):
        made(rc.CTCRecognizer).stream()
    model = made(rc.CTCRecognizer, bidirectional=False)
    with pytest.raises(ValueError, match="piece: expected finite numbers of float32, got nan"):
        model.stream().push(bad_frame(np.nan))
    with pytest.raises(TypeError, match="stream: expected a source to iterate over, got none"):
        list(model.stream())
    for recording in ("a.wav", rc.audio.Recording([0.0], 8000)):
        with pytest.raises(ValueError, match="expected features, got a recording; a model made"):
            model.transcribe([recording])
