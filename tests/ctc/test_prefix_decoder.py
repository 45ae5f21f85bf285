"""Prefix beam search against all paths: labels, scores, words, times; bad input."""

import itertools
import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import rnncore as rc
from arpa_models import random_model
from ctc_readings import Labels, Words, all_labels, random_frames, ranked, word_sequences
from rnncore.ctc import PrefixDecoder, Transcript

#: No beam of these small problems is full.
ALL = 100_000
# Sums of some thousand logarithms in double precision; weights of n-grams in single precision.
CLOSE, CLOSE_WITH_NGRAM = 1e-9, 1e-4


def assert_ranked(
    found: list[Transcript],
    expected: list[tuple[float, Labels, Words]],
    names: str,
    *,
    tolerance: float = CLOSE,
    with_words: bool = False,
) -> None:
    """The same results with the same scores, in the same order but for equal scores."""
    assert len(found) == len(expected)
    np.testing.assert_allclose(
        [t.score for t in found], [score for score, _, _ in expected], atol=tolerance
    )
    scores: dict[Any, float] = {}
    for score, labels, words in expected:
        scores[tuple(names[i] for i in labels), words if with_words else ()] = score
    for t in found:
        words = tuple(str(w.symbol) for w in t.words) if with_words else ()
        assert scores.pop((t.symbols, words)) == pytest.approx(t.score, abs=tolerance)
    assert not scores


def nothing_added(labels: Labels) -> Iterator[tuple[Words, float]]:
    yield (), 0.0


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("zeros", [0.0, 0.3])
@pytest.mark.parametrize(("steps", "symbols"), [(1, 2), (2, 3), (5, 3), (4, 4), (6, 2), (3, 1)])
def test_all_labels(steps: int, symbols: int, zeros: float, dtype: Any, seed: int) -> None:
    rng = np.random.default_rng(seed)
    names = "-abc"[:symbols]
    for _ in range(10):
        log_p = random_frames(rng, steps, symbols, zeros).astype(dtype)
        found = PrefixDecoder(names, beam_size=ALL).decode(log_p, n_best=ALL)
        assert_ranked(found, ranked(log_p.astype(float), nothing_added), names)


@pytest.mark.parametrize("blank", [0, 1, 2])
def test_segments_are_those_of_the_best_path(blank: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    names = "xyz"
    for _ in range(10):
        log_p = random_frames(rng, 6, 3, 0.1)
        expected = all_labels(log_p, blank)
        decoder = PrefixDecoder(names, blank=blank, beam_size=ALL)
        for t in decoder.decode(log_p, n_best=ALL):
            labels = tuple(names.index(str(s)) for s in t.symbols)
            runs = expected[labels].runs
            assert [(names.index(str(s.symbol)), s.start, s.end) for s in t.segments] == runs
            for s, (symbol, start, end) in zip(t.segments, runs, strict=True):
                p = np.exp(log_p[start:end, symbol]).mean()
                assert s.probability == pytest.approx(p, abs=1e-12)


def test_segments_equal_a_forced_alignment(seed: int) -> None:
    rng = np.random.default_rng(seed)
    log_p = random_frames(rng, 60, 5)
    (t,) = PrefixDecoder("-abcd", beam_size=200).decode(log_p)
    aligned = rc.ctc.align(log_p, ["-abcd".index(str(s)) for s in t.symbols])
    assert [(s.start, s.end) for s in t.segments] == [(s.start, s.end) for s in aligned.segments]


def test_one_prefix_is_no_worse_than_the_best_path(seed: int) -> None:
    """The best path's labels gather more paths; the search finds these, or better labels."""
    rng = np.random.default_rng(seed)
    decoder = PrefixDecoder("-abcd", beam_size=50)
    for _ in range(20):
        log_p = random_frames(rng, 30, 5)
        best = rc.ctc.best_path(log_p)
        labels = list(best.symbols)
        gathered = -float(rc.ctc.loss(log_p[:, np.newaxis], [labels])[0])
        assert best.score <= gathered + CLOSE
        assert decoder.decode(log_p)[0].score >= gathered - CLOSE


def test_scores_grow_with_the_beam(seed: int) -> None:
    """For the smallest beams a larger one may lose by chance; from a few prefixes on it gains."""
    rng = np.random.default_rng(seed)
    totals = []
    frames = [random_frames(rng, 40, 6) for _ in range(20)]
    for size in (1, 4, 16, 64, 256):
        decoder = PrefixDecoder("-abcde", beam_size=size)
        totals.append(sum(found[0].score for found in decoder.decode(frames)))
    assert totals == sorted(totals)
    assert totals[0] < totals[1]


# --- words ---------------------------------------------------------------------------------------

LEXICON = {"ab": ["ab", "abb"], "a": ["a"], "bee": ["b", "ab"], "ba": ["ba"]}


def in_ids(names: str) -> dict[str, list[Labels]]:
    return {w: [tuple(map(names.index, s)) for s in several] for w, several in LEXICON.items()}


@pytest.mark.parametrize("separator", [None, "|"])
def test_lexicon(separator: str | None, seed: int) -> None:
    rng = np.random.default_rng(seed)
    names = "-ab|"
    lexicon, hot = in_ids(names), {"bee": 1.5, "a bee": 0.7, "ab": -2.0}
    position = None if separator is None else names.index(separator)

    def readings(labels: Labels) -> Iterator[tuple[Words, float]]:
        for words in word_sequences(labels, lexicon, position):
            text = f" {'  '.join(words)} "
            bonus = sum(
                w * text.count(f" {'  '.join(phrase.split())} ") for phrase, w in hot.items()
            )
            yield words, bonus + 0.4 * len(words) - 0.1 * len(labels)

    for zeros in (0.0, 0.2):
        log_p = random_frames(rng, 6, 4, zeros)
        decoder = PrefixDecoder(
            names,
            beam_size=ALL,
            lexicon=LEXICON,
            separator=separator,
            hot_words=hot,
            word_bonus=0.4,
            symbol_bonus=-0.1,
        )
        found = decoder.decode(log_p, n_best=ALL)
        assert_ranked(found, ranked(log_p, readings), names, with_words=True)
        assert all(len(t.words) > 1 for t in found if len(t.symbols) > 5 and separator is None)


def test_places_of_words(seed: int) -> None:
    rng = np.random.default_rng(seed)
    decoder = PrefixDecoder(" ab-", blank=3, separator=" ", beam_size=30)
    log_p = random_frames(rng, 40, 4)
    (t,) = decoder.decode(log_p)
    words = "".join(map(str, t.symbols)).split()
    assert [w.symbol for w in t.words] == words
    assert len(words) > 2
    place = 0
    for segment in t.words:
        while t.symbols[place] == " ":
            place += 1
        letters = t.segments[place : place + len(str(segment.symbol))]
        place += len(letters)
        assert (segment.start, segment.end) == (letters[0].start, letters[-1].end)
        assert segment.probability == pytest.approx(np.mean([s.probability for s in letters]))


def test_a_lexicon_without_a_way() -> None:
    """Every frame says a, which no word has; or the only word needs more frames."""
    with np.errstate(divide="ignore"):
        certain = np.log([[0.0, 1.0, 0.0]] * 3)
        half = np.log([[0.5, 0.5, 0.0]] * 3)
    nothing = [Transcript((), -math.inf)]
    assert PrefixDecoder("-ab", lexicon=["b"]).decode(certain) == nothing
    assert PrefixDecoder("-ab", lexicon=["aaaa"]).decode(certain, n_best=3) == nothing
    (only,) = PrefixDecoder("-ab", lexicon=["b"]).decode(half, n_best=3)
    assert only.symbols == ()
    assert only.score == pytest.approx(3 * math.log(0.5))


def test_phones_and_lists_of_symbols() -> None:
    names = ["<b>", "k", "ae", "t", "ah"]
    log_p = np.full((6, 5), math.log(0.1))
    for t, symbol in enumerate([1, 1, 2, 0, 3, 3]):
        log_p[t, symbol] = math.log(0.6)
    for lexicon in ({"cat": "k ae t"}, {"cat": [["k", "ae", "t"], "k ah t"]}):
        (t,) = PrefixDecoder(names, lexicon=lexicon).decode(log_p)
        assert [(w.symbol, w.start, w.end) for w in t.words] == [("cat", 0, 6)]
        assert t.symbols == ("k", "ae", "t")


@pytest.mark.parametrize("separator", [None, "|"])
def test_hot_words_without_a_lexicon(separator: str | None, seed: int) -> None:
    """Anywhere in the labels; whole words between separators, which may be repeated."""
    rng = np.random.default_rng(seed)
    names = "-ab|"
    hot = {"ab": 1.0, "a b": 2.0, "b": 0.5, "ba": -0.8} if separator else {"ab": 1.0, "bab": 0.6}

    def readings(labels: Labels) -> Iterator[tuple[Words, float]]:
        text = "".join(names[i] for i in labels)
        if separator:
            text = f" {' '.join(text.replace('|', ' ').split())} "
        edge = " " if separator else ""
        bonus = 0.0
        for phrase, weight in hot.items():
            pattern = f"{edge}{phrase}{edge}"
            bonus += weight * sum(text.startswith(pattern, i) for i in range(len(text)))
        yield (), bonus

    log_p = random_frames(rng, 7, 4)
    decoder = PrefixDecoder(names, beam_size=ALL, separator=separator, hot_words=hot)
    assert_ranked(decoder.decode(log_p, n_best=ALL), ranked(log_p, readings), names)


def test_a_hot_word_is_kept_by_a_small_beam() -> None:
    """Its share is counted from the first symbol on, before other prefixes push it out."""
    log_p = np.log(np.tile([0.02, 0.3, 0.3, 0.08, 0.3], (12, 1)))
    decoder = PrefixDecoder("-abcd", beam_size=4, hot_words={"cccc": 40.0})
    assert "cccc" in "".join(map(str, decoder.decode(log_p)[0].symbols))


# --- n-gram models -------------------------------------------------------------------------------


@pytest.mark.parametrize("order", [1, 2, 3])
def test_ngram_of_symbols(order: int, tmp_path: Path, seed: int) -> None:
    rng = np.random.default_rng(seed)
    names = "-ab"
    model = random_model(rng, ["a", "b"], order)
    ngram = model.load(tmp_path)

    def readings(labels: Labels) -> Iterator[tuple[Words, float]]:
        log10 = sum(model.sentence([names[i] for i in labels]))
        yield (), 0.8 * log10 * math.log(10) + 0.3 * len(labels)

    log_p = random_frames(rng, 6, 3)
    decoder = PrefixDecoder(names, beam_size=ALL, ngram=ngram, ngram_weight=0.8, symbol_bonus=0.3)
    found = decoder.decode(log_p, n_best=ALL)
    assert_ranked(found, ranked(log_p, readings), names, tolerance=CLOSE_WITH_NGRAM)


@pytest.mark.parametrize("separator", [None, " "])
def test_ngram_of_words_of_a_lexicon(separator: str | None, tmp_path: Path, seed: int) -> None:
    rng = np.random.default_rng(seed)
    names = "-ab "
    lexicon = in_ids(names)
    model = random_model(rng, ["ab", "a", "bee"], 3)  # without "ba"
    model.log10[("<unk>",)] = -2.0
    ngram = model.load(tmp_path)

    def readings(labels: Labels) -> Iterator[tuple[Words, float]]:
        for words in word_sequences(labels, lexicon, None if separator is None else 3):
            log10 = sum(model.sentence(words))
            yield words, 0.5 * log10 * math.log(10) + len(words) - 0.7 * words.count("ba")

    log_p = random_frames(rng, 6, 4)
    decoder = PrefixDecoder(
        names,
        beam_size=ALL,
        separator=separator,
        lexicon=LEXICON,
        ngram=ngram,
        word_bonus=1.0,
        unknown_bonus=-0.7,
    )
    found = decoder.decode(log_p, n_best=ALL)
    assert_ranked(
        found, ranked(log_p, readings), names, tolerance=CLOSE_WITH_NGRAM, with_words=True
    )


@pytest.mark.parametrize("unit", ["words", "symbols"])
def test_ngram_without_a_lexicon(unit: str, tmp_path: Path, seed: int) -> None:
    """Other words come out too; symbols include the separator, which files call <space>."""
    rng = np.random.default_rng(seed)
    names = "-ab "
    vocabulary = ["ab", "a", "word"] if unit == "words" else ["a", "b", "<space>"]
    model = random_model(rng, vocabulary, 2)
    model.log10[("<unk>",)] = -1.0
    ngram = model.load(tmp_path)

    def readings(labels: Labels) -> Iterator[tuple[Words, float]]:
        text = "".join(names[i] for i in labels)
        words = text.split()
        if unit == "words":
            unknown = sum(word not in vocabulary for word in words)
            tokens = words
        else:
            unknown = 0
            tokens = ["<space>" if c == " " else c for c in text]
        yield tuple(words), 0.5 * sum(model.sentence(tokens)) * math.log(10) - 0.6 * unknown

    log_p = random_frames(rng, 6, 4)
    decoder = PrefixDecoder(
        names, beam_size=ALL, separator=" ", ngram=ngram, ngram_unit=unit, unknown_bonus=-0.6
    )
    found = decoder.decode(log_p, n_best=ALL)
    assert_ranked(
        found, ranked(log_p, readings), names, tolerance=CLOSE_WITH_NGRAM, with_words=True
    )


# --- pruning, ties, edges ------------------------------------------------------------------------


def test_thresholds(seed: int) -> None:
    rng = np.random.default_rng(seed)
    log_p = random_frames(rng, 50, 6)
    names = "-abcde"
    whole = PrefixDecoder(names, beam_size=100).decode(log_p)
    for loose in ({"beam_threshold": 60.0}, {"symbol_threshold": -40.0}, {"max_symbols": 5}):
        assert PrefixDecoder(names, beam_size=100, **loose).decode(log_p) == whole
    only_best = PrefixDecoder(names, beam_size=100, beam_threshold=0.0).decode(log_p, n_best=9)
    assert only_best == PrefixDecoder(names, beam_size=1).decode(log_p)
    (one,) = PrefixDecoder(names, beam_size=100, max_symbols=1).decode(log_p)
    top = {names[1:][i] for i in log_p[:, 1:].argmax(axis=1)}
    assert set(one.symbols) <= top
    (none,) = PrefixDecoder(names, beam_size=100, symbol_threshold=0.0).decode(log_p)
    assert none.symbols == ()
    assert none.score == pytest.approx(log_p[:, 0].sum())


def test_pruning_loses_nothing_that_a_beam_has(seed: int, tmp_path: Path) -> None:
    """Candidates that cannot be in the beam are not made; the rest is that of a slow search."""
    rng = np.random.default_rng(seed)
    log_p = random_frames(rng, 12, 4)
    model = random_model(rng, ["a", "b", "c"], 2)
    options = {"ngram": model.load(tmp_path), "symbol_bonus": 1.0, "hot_words": {"ab": 1.0}}
    for size in (1, 2, 5, 20):
        (found,) = PrefixDecoder("-abc", beam_size=size, **options).decode(log_p)
        expected = slow_search(log_p, model, size)
        assert found.score == pytest.approx(expected, abs=CLOSE_WITH_NGRAM)


def slow_search(log_p: Any, model: Any, size: int) -> float:
    """The same search without any of its short cuts; the score of its first result."""

    def bonus(labels: Labels, *, whole: bool) -> float:
        text = "".join("-abc"[i] for i in labels)
        log10 = sum(model.sentence(text, end=whole))
        share = 0.0 if whole or not text.endswith("a") else 0.5
        return 0.5 * log10 * math.log(10) + len(labels) + text.count("ab") + share

    beam: dict[Labels, tuple[float, float]] = {(): (0.0, -math.inf)}
    for frame in log_p:
        new: dict[Labels, tuple[float, float]] = {}
        for labels, (blank, symbol) in beam.items():
            total = np.logaddexp(blank, symbol)
            moves = [(labels, total + frame[0], -math.inf)]
            if labels:
                moves.append((labels, -math.inf, symbol + frame[labels[-1]]))
            for s in range(1, len(frame)):
                before = blank if labels and labels[-1] == s else total
                moves.append(((*labels, s), -math.inf, before + frame[s]))
            for to, b, p in moves:
                old = new.get(to, (-math.inf, -math.inf))
                new[to] = (float(np.logaddexp(old[0], b)), float(np.logaddexp(old[1], p)))
        order = sorted(new, key=lambda k: -(np.logaddexp(*new[k]) + bonus(k, whole=False)))
        beam = {labels: new[labels] for labels in order[:size]}
    return max(float(np.logaddexp(*p)) + bonus(k, whole=True) for k, p in beam.items())


def test_equal_scores_have_one_order() -> None:
    """Equal frames: labels that differ in their symbols alone are equally probable."""
    log_p = np.log(np.full((5, 4), 0.25))
    decoder = PrefixDecoder("-abc", beam_size=10)
    first = decoder.decode(log_p, n_best=10)
    for _ in range(3):
        assert decoder.decode(np.array(log_p), n_best=10) == first
    assert decoder.decode([log_p] * 3, n_best=10) == [first] * 3
    symbols = ["".join(map(str, t.symbols)) for t in first if len(t.symbols) == 1]
    assert symbols == sorted(symbols)


def test_no_frames_and_only_blanks(tmp_path: Path) -> None:
    decoder = PrefixDecoder("-ab")
    assert decoder.decode(np.zeros((0, 3))) == [Transcript((), 0.0)]
    assert decoder.decode(np.zeros((0, 2, 3))) == [[Transcript((), 0.0)]] * 2
    assert decoder.decode([]) == []
    assert decoder.decode(np.zeros((3, 0, 3))) == []
    with np.errstate(divide="ignore"):
        blanks = np.log(np.tile([1.0, 0.0, 0.0], (7, 1)))
    assert decoder.decode(blanks, n_best=5) == [Transcript((), 0.0)]
    model = random_model(np.random.default_rng(0), ["a", "b"], 2)
    with_end = PrefixDecoder("-ab", ngram=model.load(tmp_path), ngram_weight=1.0)
    (only,) = with_end.decode(np.zeros((0, 3)))
    assert only.score == pytest.approx(model.sentence([])[0] * math.log(10), abs=CLOSE_WITH_NGRAM)


# --- bad input -----------------------------------------------------------------------------------

GOOD = np.log(np.full((4, 3), 1 / 3))


@pytest.mark.parametrize(
    ("given", "error", "told"),
    [
        (GOOD[:, :2], ValueError, r"expected shape \[T, C=3\], one column for each symbol, got"),
        (GOOD[0], ValueError, r"log_probabilities: expected shape \[T, B, C\] or \[T, C\], got"),
        (GOOD.astype(int), TypeError, "log_probabilities: expected a float32 or float64 array"),
        (np.where(np.eye(4, 3) > 0, np.nan, GOOD), ValueError, "got nan in frame 0 of sequence 0"),
        (GOOD + 2, ValueError, "expected logarithms of probabilities, at most 0, got 0.901"),
        (np.full((4, 3), -np.inf), ValueError, "got -inf in frame 0 of sequence 0"),
        ([GOOD, GOOD + 2], ValueError, "in frame 0 of sequence 1"),
        ([GOOD, GOOD[:, :1]], ValueError, r"expected shape \[T, C=3\]"),
    ],
)
def test_bad_frames(given: Any, error: type[Exception], told: str) -> None:
    with pytest.raises(error, match=told):
        PrefixDecoder("-ab").decode(given)


@pytest.mark.parametrize(
    ("options", "error", "told"),
    [
        ({"symbols": 3}, TypeError, "symbols: expected their names, got int 3"),
        ({"symbols": ["-", 1]}, TypeError, r"symbols\[1\]: expected str, got int 1"),
        ({"symbols": "-aa"}, ValueError, "symbols: 'a' occurs more than once"),
        ({"symbols": ""}, ValueError, "symbols: expected the blank at least, got none"),
        ({"blank": 3}, ValueError, "blank: expected at most 2, got 3"),
        ({"beam_size": 0}, ValueError, "beam_size: expected at least 1, got 0"),
        ({"beam_size": 2.5}, TypeError, "beam_size: expected an integer, got float 2.5"),
        ({"separator": "|"}, ValueError, "separator: expected one of the symbols, not the blank"),
        ({"separator": "-"}, ValueError, "separator: expected one of the symbols, not the blank"),
        ({"lexicon": "ab"}, TypeError, "lexicon: expected words, or a dict of their spellings"),
        ({"lexicon": []}, ValueError, "lexicon: expected at least one word, got none"),
        ({"lexicon": ["ax"]}, ValueError, r"lexicon\['ax'\]: expected symbols, got 'x', not among"),
        ({"lexicon": ["a-"]}, ValueError, r"lexicon\['a-'\]: expected symbols, got '-', the blank"),
        ({"lexicon": {"w": ""}}, ValueError, r"lexicon\['w'\]: expected at least one symbol"),
        ({"lexicon": {"w": []}}, ValueError, r"lexicon\['w'\]: expected at least one spelling"),
        ({"lexicon": {"w": 3}}, TypeError, r"lexicon\['w'\]: expected spellings, got int 3"),
        (
            {"lexicon": ["ab"], "separator": "b"},
            ValueError,
            r"lexicon\['ab'\]: expected a word without the separator",
        ),
        ({"hot_words": ["a"]}, TypeError, "hot_words: expected a dict of weights, got list"),
        ({"hot_words": {"x": 1}}, ValueError, r"hot_words\['x'\]: expected symbols, got 'x'"),
        ({"hot_words": {"a": "1"}}, TypeError, r"hot_words\['a'\]: expected a number"),
        ({"hot_words": {"a": math.inf}}, ValueError, r"hot_words\['a'\]: expected a finite number"),
        (
            {"lexicon": ["ab"], "hot_words": {"a": 1}},
            ValueError,
            r"hot_words\['a'\]: expected words of the lexicon, got 'a'",
        ),
        ({"ngram": "m.arpa"}, TypeError, "ngram: expected an NGram, got str 'm.arpa'"),
        ({"ngram_unit": "words"}, ValueError, "ngram_unit: expected a model beside it, got none"),
        ({"ngram_unit": "phones"}, ValueError, r"expected one of \['symbols', 'words'\]"),
        ({"ngram_weight": -1}, ValueError, r"ngram_weight: expected a finite number in \[0, inf\)"),
        ({"language_model": 3}, TypeError, "language_model: expected a LanguageModel, got int 3"),
        ({"word_bonus": math.nan}, ValueError, "word_bonus: expected a finite number"),
        ({"beam_threshold": -1.0}, ValueError, "beam_threshold: expected a finite number in"),
        ({"max_symbols": 0}, ValueError, "max_symbols: expected at least 1, got 0"),
        ({"beam": 3}, TypeError, "beam: no option of PrefixDecoder; did you mean beam_size"),
    ],
)
def test_bad_options(options: dict[str, Any], error: type[Exception], told: str) -> None:
    with pytest.raises(error, match=told):
        PrefixDecoder(**{"symbols": "-ab", **options})


def test_units_that_do_not_fit(tmp_path: Path) -> None:
    ngram = random_model(np.random.default_rng(0), ["a", "b"], 2).load(tmp_path)
    with pytest.raises(ValueError, match="ngram_unit: expected a lexicon or a separator beside"):
        PrefixDecoder("-ab", ngram=ngram, ngram_unit="words")
    with pytest.raises(ValueError, match="ngram_unit: expected a lexicon beside 'words', as symb"):
        PrefixDecoder(["-", "ab", "a", "|"], separator="|", ngram=ngram)


def test_bad_calls() -> None:
    decoder = PrefixDecoder("-ab")
    with pytest.raises(ValueError, match="n_best: expected at least 1"):
        decoder.decode(GOOD, n_best=0)
    with pytest.raises(ValueError, match="lengths: expected None beside a list of arrays"):
        decoder.decode([GOOD], lengths=[3])
    with pytest.raises(ValueError, match=r"lengths: expected values in \[0, T=4\]"):
        decoder.decode(np.stack([GOOD] * 2, axis=1), lengths=[3, 5])
    with pytest.raises(TypeError, match="decoder: expected a PrefixDecoder, got int 3"):
        rc.ctc.PrefixStream(3)  # type: ignore[arg-type]
    assert repr(decoder) == "<PrefixDecoder of 3 symbols, beam_size=25>"


def test_hot_words_in_any_order() -> None:
    """One pattern is a part or an end of another."""
    weights = {"ab": 1.0, "abab": 3.0, "b": 0.25}
    log_p = random_frames(np.random.default_rng(1), 6, 3)

    def readings(labels: Labels) -> Iterator[tuple[Words, float]]:
        text = "".join("-ab"[i] for i in labels)
        yield (), sum(text.startswith(p, i) * w for p, w in weights.items() for i in range(6))

    expected = ranked(log_p, readings)
    for order in itertools.permutations(weights):
        hot = {phrase: weights[phrase] for phrase in order}
        decoder = PrefixDecoder("-ab", beam_size=ALL, hot_words=hot)
        assert_ranked(decoder.decode(log_p, n_best=ALL), expected, "-ab")
