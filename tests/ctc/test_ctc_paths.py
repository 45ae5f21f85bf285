"""Best paths against a reader of one frame at a time, alignments against enumeration."""

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from arrays import inputs
from ctc_enumeration import best_alignment, labels_of, log_softmax
from many_threads import THREADS, threads
from rnncore import ctc

Array = NDArray[Any]


def log_p(*shape: int, dtype: Any = np.float64, seed: int = 1) -> Array:
    return log_softmax(2 * inputs(*shape, dtype=dtype, seed=seed)).astype(dtype)


def read(p: Array, blank: int) -> list[tuple[int, int, int, float]]:
    """Symbol, start, end and mean probability of what each frame says, one after the other."""
    found: list[tuple[int, int, int, list[float]]] = []
    before = blank
    for t, frame in enumerate(p):
        symbol = max(range(len(frame)), key=lambda k: frame[k])
        if symbol == before and symbol != blank:
            _, start, _, probabilities = found.pop()
            found.append((symbol, start, t + 1, [*probabilities, frame[symbol]]))
        elif symbol != blank:
            found.append((symbol, t, t + 1, [frame[symbol]]))
        before = symbol
    return [(symbol, start, end, float(np.mean(p))) for symbol, start, end, p in found]


def facts(transcript: ctc.Transcript) -> list[tuple[Any, int, int, float]]:
    return [(s.symbol, s.start, s.end, s.probability) for s in transcript.segments]


# --- best path -----------------------------------------------------------------------------------
@pytest.mark.parametrize("blank", [0, 2])
def test_best_paths_of_a_ragged_batch(blank: int, dtype: type[np.floating]) -> None:
    given, lengths = log_p(40, 5, 3, dtype=dtype), [40, 1, 0, 17, 39]
    transcripts = ctc.best_path(given, lengths, blank=blank)
    for b, (transcript, frames) in enumerate(zip(transcripts, lengths, strict=True)):
        p = np.exp(given[:frames, b].astype(np.float64))
        expected = read(p, blank)
        assert [f[:3] for f in facts(transcript)] == [f[:3] for f in expected]
        assert transcript.symbols == tuple(f[0] for f in expected)
        probabilities = [f[3] for f in facts(transcript)]
        np.testing.assert_allclose(probabilities, [f[3] for f in expected], rtol=1e-12)
        score = given[:frames, b].max(axis=1).sum(dtype=np.float64)
        assert transcript.score == pytest.approx(score, rel=1e-12, abs=1e-300)
        alone = ctc.best_path(given[:, b], frames, blank=blank)
        assert alone == transcript


def test_segments_hold_numbers_of_python() -> None:
    (segment, *_) = ctc.best_path(log_p(20, 4)).segments
    kinds = [type(value) for value in (segment.symbol, segment.start, segment.end)]
    assert kinds == [int, int, int]
    assert type(segment.probability) is float


def test_no_frames() -> None:
    assert ctc.best_path(np.zeros((0, 3), np.float32)) == ctc.Transcript((), 0.0)
    assert ctc.best_path(np.zeros((4, 0, 3), np.float32)) == []
    assert ctc.align(np.zeros((0, 3), np.float32), []) == ctc.Transcript((), 0.0)


# --- alignment -----------------------------------------------------------------------------------
@pytest.mark.parametrize("labels", [[], [1], [1, 2], [2, 2], [1, 2, 1], [1, 1, 2]])
@pytest.mark.parametrize("frames", [4, 6])
def test_alignments_are_the_best_of_all_paths(
    labels: list[int], frames: int, dtype: type[np.floating]
) -> None:
    for seed in range(5):
        given = log_p(frames, 3, dtype=dtype, seed=seed)
        transcript = ctc.align(given, labels)
        score, path = best_alignment(given.astype(np.float64), labels, 0)
        assert transcript.score == pytest.approx(score, rel=1e-12)
        assert transcript.symbols == tuple(labels)
        said = np.zeros(frames, int)
        for segment in transcript.segments:
            said[segment.start : segment.end] = segment.symbol
            p = np.exp(given[segment.start : segment.end, segment.symbol].astype(np.float64))
            assert segment.probability == pytest.approx(p.mean(), rel=1e-12)
        assert tuple(said) == path
        assert labels_of(said.tolist(), 0) == tuple(labels)


def test_alignments_of_a_ragged_batch_are_those_of_each_sequence() -> None:
    given, lengths = log_p(30, 4, 5), [30, 7, 0, 22]
    targets = [[1, 1, 3, 4], [3], [], [0, 1, 0, 1]]
    together = ctc.align(given, targets, lengths, blank=2)
    for b, frames in enumerate(lengths):
        assert ctc.align(given[:frames, b], targets[b], blank=2) == together[b]


def test_an_alignment_does_not_depend_on_threads() -> None:
    rng = np.random.default_rng(0)
    given, lengths = log_p(600, 12, 9, dtype=np.float32), rng.integers(200, 601, 12)
    targets = [rng.integers(1, 9, n // 4) for n in lengths]
    results = []
    for n in THREADS:
        with threads(n):
            results.append(ctc.align(given, targets, lengths))
    assert all(other == results[0] for other in results[1:])


def test_a_symbol_ruled_out_is_gone_around() -> None:
    given = log_p(5, 3)
    given[1:3, 1] = -np.inf
    score, _ = best_alignment(given, [1, 2], 0)
    transcript = ctc.align(given, [1, 2])
    assert transcript.score == pytest.approx(score)
    assert (transcript.segments[0].start, transcript.segments[0].end) == (0, 1)


# --- bad arguments -------------------------------------------------------------------------------
def test_impossible_alignments() -> None:
    given = log_p(4, 2, 3)
    with pytest.raises(ValueError, match="sequence 1 has 3 labels, which need 5 frames, and 4 fr"):
        ctc.align(given, [[1, 2], [1, 1, 1]])
    given[:, 0, 2] = -np.inf
    with pytest.raises(ValueError, match=r"targets: expected labels with a path.*sequence 0"):
        ctc.align(given, [[1, 2], [1]])


@pytest.mark.parametrize("bad", [np.nan, np.inf, 3.5])
def test_what_is_no_log_probability(bad: float) -> None:
    given = log_p(4, 2, 3)
    given[2, 1, 1] = bad
    for call in (lambda: ctc.best_path(given), lambda: ctc.align(given, [[1], [2]])):
        with pytest.raises(ValueError, match=r"log_probabilities: .* in frame 2 of sequence 1"):
            call()
    assert len(ctc.best_path(given, [4, 2])) == 2  # past the end


def test_bad_shapes() -> None:
    for call in (ctc.best_path, lambda p: ctc.align(p, [[1]])):
        with pytest.raises(ValueError, match="log_probabilities: expected shape"):
            call(np.zeros(3, np.float32))
        with pytest.raises(TypeError, match="log_probabilities: expected a float32 or float64"):
            call(np.zeros((3, 1, 2), int))
    with pytest.raises(ValueError, match="blank"):
        ctc.best_path(log_p(3, 2), blank=2)
    with pytest.raises(ValueError, match="lengths"):
        ctc.best_path(log_p(3, 2, 4), [3, 4])
