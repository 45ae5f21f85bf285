"""Features: what they are, normalized, streamed, saved; what is refused."""

import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import rnncore as rc
from rnncore import audio
from sounds import tone, write_wav

library = pytest.importorskip("kaldi_native_fbank")

KINDS: list[dict[str, Any]] = [
    {"kind": "logmel", "num_mels": 20},
    {"kind": "mfcc", "deltas": 2, "stack": 3},
    {"kind": "mfcc", "deltas": 1, "normalization": "running"},
    {"kind": "logmel", "stack": 2, "normalization": None},
]


def features(**options: Any) -> audio.Features:
    return audio.Features(**({"rate": 8000} | options))


# --- frames -------------------------------------------------------------------------------------


def test_log_mel_energies_are_those_of_the_library() -> None:
    options = library.FbankOptions()
    options.frame_opts.samp_freq = 8000
    options.frame_opts.dither = 0
    options.frame_opts.snip_edges = False
    options.mel_opts.num_bins = 40
    options.mel_opts.low_freq = 100
    extractor = library.OnlineFbank(options)
    samples = tone().astype(np.float32)
    extractor.accept_waveform(8000, samples.tolist())
    extractor.input_finished()
    expected = np.array([extractor.get_frame(k) for k in range(extractor.num_frames_ready)])
    np.testing.assert_array_equal(features(low=100.0, normalization=None)(samples), expected)
    assert len(expected) == 30


def test_a_tone_is_loudest_in_its_band() -> None:
    """The bands divide the mel scale, 1127 ln(1 + f / 700), into equal parts."""
    low, high = (1127 * np.log(1 + f / 700) for f in (20, 4000))
    for pitch in (300.0, 1000.0, 3000.0):
        x = features(normalization=None)(tone(pitch=pitch))
        center = 1127 * np.log(1 + pitch / 700)
        band = (center - low) / (high - low) * 41 - 1
        assert abs(x.mean(axis=0).argmax() - band) <= 1


@pytest.mark.parametrize("options", KINDS)
def test_shape_times_and_numbers(options: dict[str, Any]) -> None:
    made = features(**options)
    x = made(tone(1.0))
    assert x.shape == (-(-100 // made.stack), made.num_features)
    assert x.dtype == np.float32
    assert np.isfinite(x).all()
    assert made.step == pytest.approx(0.01 * made.stack)
    np.testing.assert_allclose(made.times(3), made.step * np.array([0.5, 1.5, 2.5]))


@pytest.mark.parametrize("options", KINDS)
@pytest.mark.parametrize("count", [0, 1, 39, 40, 79, 80, 201, 240])
def test_short_and_silent_recordings(options: dict[str, Any], count: int) -> None:
    """Half a shift, 40 samples, is the first frame."""
    made = features(**options)
    x = made(np.zeros(count))
    num_frames = (count + 40) // 80
    assert x.shape == (-(-num_frames // made.stack), made.num_features)
    assert np.isfinite(x).all()
    if made.normalization is not None:
        np.testing.assert_array_equal(x, 0)


def test_a_higher_rate_is_resampled_and_a_lower_one_refused(tmp_path: Path) -> None:
    pytest.importorskip("soxr")
    made = features(normalization=None)
    fast = audio.Recording(tone(rate=16000), 16000)
    same = audio.Recording(tone(rate=8000), 8000)
    # other noise; and the highest bands are what the filter of soxr leaves
    np.testing.assert_allclose(made(fast)[2:-2, :10].mean(0), made(same)[2:-2, :10].mean(0), atol=1)
    path = write_wav(tmp_path / "low.wav", tone(rate=4000), 4000)
    with pytest.raises(ValueError, match=rf"{path}: expected at least 8000 samples a second, got"):
        made(path)
    with pytest.raises(ValueError, match=r"recordings\[1\]: expected at least 8000 samples"):
        made.extract([same, audio.Recording(tone(), 4000)])


def test_files_and_arrays_are_one(tmp_path: Path) -> None:
    path = write_wav(tmp_path / "a.wav", np.stack([tone(), 0 * tone()], 1), channels=2)
    samples = audio.read(path, channel=0).samples
    with pytest.raises(ValueError, match="expected a recording of one channel"):
        features()(path)
    np.testing.assert_array_equal(features(channel=0)(path), features()(samples))
    np.testing.assert_array_equal(features(channel=0)(str(path)), features()(samples.tolist()))


# --- deltas, stacks, normalization --------------------------------------------------------------


def test_deltas_by_their_equation() -> None:
    x = np.random.default_rng(0).standard_normal((7, 3))

    def at(t: int) -> Any:
        return x[min(max(t, 0), 6)]

    expected = [sum(n * (at(t + n) - at(t - n)) for n in (1, 2)) / 10 for t in range(7)]
    np.testing.assert_allclose(audio.deltas(x)[:, 3:], expected, rtol=1e-12)
    np.testing.assert_array_equal(
        audio.deltas(x, 2)[:, 6:], audio.deltas(x[:, :3] * 0 + expected)[:, 3:]
    )
    assert audio.deltas(x[:0], 2).shape == (0, 9)
    np.testing.assert_array_equal(audio.deltas(x[:1], 2)[:, 3:], 0)


def test_stack() -> None:
    x = np.arange(14.0).reshape(7, 2)
    stacked = audio.stack(x, 3)
    assert stacked.tolist() == [[0, 1, 2, 3, 4, 5], [6, 7, 8, 9, 10, 11], [12, 13, 12, 13, 12, 13]]
    np.testing.assert_array_equal(audio.stack(x, 1), x)
    assert audio.stack(x[:0], 3).shape == (0, 6)


def test_normalization_over_utterance_and_speaker() -> None:
    sounds = [tone(), 0.1 * tone(0.5, pitch=900.0), tone(0.2, pitch=200.0)]
    plain = features(normalization=None).extract(sounds)
    for x, raw in zip(features().extract(sounds), plain, strict=True):
        np.testing.assert_allclose(x, (raw - raw.mean(0)) / raw.std(0), atol=1e-4)
    found = features(normalization="speaker").extract(sounds, ["a", "b", "a"])
    own = np.concatenate([plain[0], plain[2]])
    np.testing.assert_allclose(found[2], (plain[2] - own.mean(0)) / own.std(0), atol=1e-4)
    np.testing.assert_allclose(found[1], features()(sounds[1]), atol=1e-5)
    together = np.concatenate(features(normalization="speaker").extract(sounds))
    np.testing.assert_allclose(together.mean(0), 0, atol=1e-4)
    with pytest.raises(ValueError, match="speakers: expected one for each of 3 recordings, got 1"):
        features(normalization="speaker").extract(sounds, ["a"])


def test_running_normalization_by_its_equation() -> None:
    """Mean and variance of all frames so far; after 300 frames exponential averages."""
    x = np.random.default_rng(0).standard_normal((400, 2)) + 5
    found = audio.normalize_running(x)
    for t in (1, 10, 299):
        past = x[: t + 1]
        np.testing.assert_allclose(found[t], (x[t] - past.mean(0)) / past.std(0), rtol=1e-9)
    mean, variance = x[:300].mean(0), x[:300].var(0)
    for t in range(300, 400):
        distance = x[t] - mean
        mean = mean + distance / 300
        variance = variance * 299 / 300 + distance * (x[t] - mean) / 300
    np.testing.assert_allclose(found[399], (x[399] - mean) / np.sqrt(variance), rtol=1e-9)


@pytest.mark.parametrize("function", [audio.deltas, audio.normalize, audio.normalize_running])
def test_wrong_frames(function: Any) -> None:
    for frames in (np.zeros(3), np.zeros((2, 3), int), "text"):
        with pytest.raises((TypeError, ValueError), match="frames: expected"):
            function(frames)


# --- streams ------------------------------------------------------------------------------------


@pytest.mark.parametrize("largest", [1, 100, 3000])
@pytest.mark.parametrize(
    "options", [{"deltas": order, "stack": s} for order in (0, 1, 2) for s in (1, 3)]
)
@pytest.mark.parametrize("normalization", ["running", None])
def test_pieces_are_the_whole(
    options: dict[str, Any], normalization: str | None, largest: int, seed: int
) -> None:
    made = features(kind="mfcc", normalization=normalization, **options)
    rng = np.random.default_rng(seed)
    for count in (0, 30, 100, 900) if largest == 1 else (0, 100, 5000):
        samples = tone(1.0)[:count].astype(np.float32)
        stream, parts, start = made.stream(), [], 0
        while start < count:
            stop = start + int(rng.integers(0, largest + 1))
            parts.append(stream.push(samples[start:stop]))
            start = stop
        parts.append(stream.finish())
        np.testing.assert_array_equal(np.concatenate(parts), made(samples))


def test_what_a_stream_refuses() -> None:
    for normalization in ("utterance", "speaker"):
        with pytest.raises(ValueError, match="stream: expected features with normalization"):
            features(normalization=normalization).stream()
    with pytest.raises(ValueError, match="samples: expected finite numbers, got nan at sample 1"):
        features(normalization=None).stream().push([0.0, np.nan])


# --- as a part of models ------------------------------------------------------------------------


@pytest.mark.parametrize("options", KINDS)
def test_an_asset_comes_back(options: dict[str, Any], tmp_path: Path) -> None:
    made = features(**options)
    again = audio.Features.from_asset(made.asset())
    assert again == made
    assert hash(again) == hash(made)
    assert repr(made).startswith(f"Features(kind={made.kind!r}, rate=8000, ")
    model = rc.CTCRecognizer(["a"], features=made, hidden_size=3, num_layers=1, rng=0)
    rc.save(model, tmp_path / "model")
    assert rc.load(tmp_path / "model").features == made


@pytest.mark.parametrize("value", [None, [], {"kind": "wavelet"}, {"colour": 3}, {"rate": "x"}])
def test_damaged_assets(value: Any) -> None:
    with pytest.raises((TypeError, ValueError)):
        audio.Features.from_asset(value)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"kind": "wavelet"}, "kind: expected"),
        ({"rate": 0}, "rate: expected"),
        ({"num_mels": 0}, "num_mels: expected"),
        ({"kind": "mfcc", "num_cepstra": 41}, "num_cepstra: expected at most num_mels = 40"),
        ({"low": 4000.0}, "low: expected"),
        ({"high": 4001.0}, "high: expected"),
        ({"low": 300.0, "high": 200.0}, "high: expected"),
        ({"window": 0.0}, "window: expected"),
        ({"shift": 0.03}, "shift: expected"),
        ({"deltas": 3}, "deltas: expected at most 2"),
        ({"stack": 0}, "stack: expected"),
        ({"normalization": "none"}, "normalization: expected"),
        ({"channel": -1}, "channel: expected"),
        ({"n_mels": 3}, "n_mels: no option of Features; did you mean num_mels"),
    ],
)
def test_wrong_options(options: dict[str, Any], message: str) -> None:
    with pytest.raises((TypeError, ValueError), match=message):
        features(**options)


def test_more_bands_than_the_window_resolves(capfd: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(ValueError, match="num_mels: expected fewer than 300 for the window"):
        features(num_mels=300)(tone())


def test_without_the_library(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "kaldi_native_fbank", None)
    made = features()  # a model that has them can still read arrays
    with pytest.raises(ImportError, match=r'not installed; pip install "rnncore\[audio\]"'):
        made(tone())
