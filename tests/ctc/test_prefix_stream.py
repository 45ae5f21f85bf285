"""Prefix beam search in pieces, in batches, over long input, by several threads."""

import math
from pathlib import Path
from typing import Any

import hypothesis
import hypothesis.strategies as st
import numpy as np
import pytest

import rnncore as rc
from arpa_models import random_model
from ctc_readings import random_frames
from many_threads import threads
from rnncore.ctc import PrefixDecoder, Transcript

NAMES = "-ab c"


def decoders(folder: Path) -> dict[str, PrefixDecoder]:
    ngram = random_model(np.random.default_rng(0), ["ab", "a", "c"], 2).load(folder)
    return {
        "plain": PrefixDecoder(NAMES, beam_size=7),
        "words": PrefixDecoder(NAMES, beam_size=20, separator=" ", ngram=ngram, word_bonus=4.0),
        "lexicon": PrefixDecoder(
            NAMES, beam_size=15, lexicon=["ab", "a", "c", "cab"], hot_words={"c a": 1.0}
        ),
        "thresholds": PrefixDecoder(NAMES, beam_size=20, beam_threshold=3.0, max_symbols=2),
    }


@pytest.fixture(scope="module")
def every(tmp_path_factory: pytest.TempPathFactory) -> dict[str, PrefixDecoder]:
    return decoders(tmp_path_factory.mktemp("arpa"))


@hypothesis.given(
    st.sampled_from(["plain", "words", "lexicon", "thresholds"]),
    st.lists(st.integers(0, 50), max_size=8),
    st.integers(0, 2**32 - 1),
)
@hypothesis.settings(
    max_examples=60, suppress_health_check=[hypothesis.HealthCheck.function_scoped_fixture]
)
def test_pieces_are_the_whole(
    every: dict[str, PrefixDecoder], name: str, cuts: list[int], seed: int
) -> None:
    decoder = every[name]
    log_p = random_frames(np.random.default_rng(seed), 50, 5, 0.1).astype(np.float32)
    whole = decoder.decode(log_p, n_best=4)
    stream = decoder.stream()
    for piece in np.split(log_p, sorted(cuts)):
        stream.push(piece)
        stream.best()
    assert stream.finish(4) == whole
    assert stream.frames == 50


def test_frame_by_frame_and_what_is_heard_so_far(every: dict[str, PrefixDecoder]) -> None:
    log_p = random_frames(np.random.default_rng(3), 30, 5)
    decoder = every["plain"]
    stream = decoder.stream()
    assert stream.best() == Transcript((), 0.0)
    for t, frame in enumerate(log_p):
        stream.push(frame)
        # without words and models a prefix that ends is the same prefix
        assert [stream.best()] == decoder.decode(log_p[: t + 1])
    assert stream.finish() == decoder.decode(log_p)
    assert stream.finish(n_best=3) == decoder.decode(log_p, n_best=3)
    assert repr(stream) == "<PrefixStream after 30 frames>"
    with pytest.raises(RuntimeError, match=r"expected no frames after finish\(\)"):
        stream.push(frame)
    assert decoder.stream().finish() == [Transcript((), 0.0)]


def test_copies_go_on_by_themselves(every: dict[str, PrefixDecoder]) -> None:
    log_p = random_frames(np.random.default_rng(3), 50, 5)
    model = rc.LanguageModel(5, hidden_size=4, num_layers=1, rng=0)
    for decoder in (*every.values(), PrefixDecoder(NAMES, beam_size=5, language_model=model)):
        first = decoder.stream()
        first.push(log_p[:20])
        second = first.copy()
        first.push(log_p[20:30])
        second.push(log_p[40:])
        assert first.finish(3) == decoder.decode(log_p[:30], 3)
        assert second.finish(3) == decoder.decode(np.concatenate([log_p[:20], log_p[40:]]), 3)


def test_bad_pieces_are_not_read(every: dict[str, PrefixDecoder]) -> None:
    log_p = random_frames(np.random.default_rng(3), 30, 5)
    stream = every["plain"].stream()
    stream.push(log_p[:10])
    for bad, error in (
        (log_p[:, :3], ValueError),
        (np.where(np.arange(5) == 2, np.nan, log_p[10:]), ValueError),
        (log_p + 1, ValueError),
        (log_p.astype(np.float16), TypeError),
        (log_p[np.newaxis], ValueError),
    ):
        with pytest.raises(error, match="log_probabilities"):
            stream.push(bad)
    stream.push(log_p[10:])
    assert stream.finish() == every["plain"].decode(log_p)


@pytest.mark.parametrize("name", ["plain", "words", "lexicon", "thresholds"])
def test_batches_of_any_layout(every: dict[str, PrefixDecoder], name: str, seed: int) -> None:
    rng = np.random.default_rng(seed)
    decoder = every[name]
    lengths = [20, 0, 13, 1]
    frames = [random_frames(rng, n, 5) for n in lengths]
    expected = [decoder.decode(one, n_best=2) for one in frames]
    padded = np.full((20, 4, 5), np.nan)
    for b, one in enumerate(frames):
        padded[: len(one), b] = one
    assert decoder.decode(padded, 2, lengths=lengths) == expected
    assert decoder.decode(padded, 2, lengths=np.array(lengths, np.uint8)) == expected
    assert decoder.decode(frames, 2) == expected
    assert decoder.decode(np.asfortranarray(padded), 2, lengths=lengths) == expected
    assert decoder.decode(padded[::-1][::-1], 2, lengths=lengths) == expected
    assert decoder.decode(padded[:, 2], 2, lengths=13) == expected[2]


def test_same_results_for_any_number_of_threads(every: dict[str, PrefixDecoder]) -> None:
    rng = np.random.default_rng(0)
    frames = [random_frames(rng, int(n), 5) for n in rng.integers(0, 120, 24)]
    for decoder in every.values():
        found = []
        for count in (1, 2, 3):
            with threads(count):
                found.append(decoder.decode(frames, n_best=2))
        assert found[0] == found[1] == found[2]


def test_memory_of_a_long_stream(every: dict[str, PrefixDecoder]) -> None:
    """What no hypothesis of the beam begins with is freed: all prefixes held are theirs."""
    rng = np.random.default_rng(5)
    for name, decoder in every.items():
        stream = decoder.stream()
        for _ in range(20):
            stream.push(random_frames(rng, 100, 5))
            (beam,) = stream._search.best(decoder.beam_size)
            texts = [t.symbols for t in beam]
            held = stream._search._core.num_prefixes
            if name != "lexicon":  # where the same symbols may be other words
                assert held == len({text[:n] for text in texts for n in range(len(text) + 1)})
            assert held <= sum(map(len, texts)) + 1
            # two paths to each prefix, of which the last symbol is not held
            assert stream._search._core.num_spans <= 2 * sum(map(len, texts))


def test_memory_of_a_long_pause(every: dict[str, PrefixDecoder]) -> None:
    """In each frame the best paths of the beam might begin their symbols again."""
    pause = np.log(np.tile([1 - 4e-12, *[1e-12] * 4], (3000, 1)))
    for decoder in every.values():
        stream = decoder.stream()
        stream.push(random_frames(np.random.default_rng(1), 40, 5))
        stream.push(pause)
        (beam,) = stream._search.best(decoder.beam_size)
        assert stream._search._core.num_spans <= 2 * sum(len(t.symbols) for t in beam)


def test_a_long_output() -> None:
    """Nothing is recursive, which would need a stack as deep as the output is long."""
    frames = 200_000
    with np.errstate(divide="ignore"):
        log_p = np.log(np.tile([[0.0, 0.9, 0.1], [0.9, 0.0, 0.1]], (frames // 2, 1)))
    stream = PrefixDecoder("-ab", beam_size=2).stream()
    stream.push(log_p)
    assert len(stream.best().symbols) == frames // 2
    del stream


def test_interrupt(monkeypatch: pytest.MonkeyPatch) -> None:
    import signal
    import threading

    decoder = PrefixDecoder([str(i) for i in range(40)], beam_size=400)
    log_p = np.log(np.full((200_000, 40), 1 / 40))
    timer = threading.Timer(0.3, signal.raise_signal, [signal.SIGINT])
    timer.start()
    with pytest.raises(KeyboardInterrupt):
        decoder.decode(log_p)
    timer.join()


def test_a_loaded_model_is_decoded(every: dict[str, PrefixDecoder], dtype: Any) -> None:
    head = rc.heads.CTC(3, 5, rng=0, dtype=dtype)
    y = np.random.default_rng(0).standard_normal((12, 2, 3)).astype(dtype)
    log_p = head.log_probabilities(y)
    found = every["plain"].decode(log_p)
    assert [len(one) for one in found] == [1, 1]
    assert all(-math.inf < one[0].score <= 1e-4 for one in found)
