"""Prefix beam search with a recurrent language model, against all paths and the model's score."""

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

import rnncore as rc
from ctc_readings import Labels, Words, random_frames, ranked, word_sequences
from rnncore.ctc import PrefixDecoder, PrefixStream
from rnncore.text import CharTokenizer, WordTokenizer

ALL = 100_000
NAMES = "-ab "
LEXICON = {"ab": ["ab", "abb"], "a": ["a"], "bee": ["b", "ab"], "ba": ["ba"]}

#: Vocabularies of characters: with tokens for the edges, one for both, the end alone, and none.
VOCABULARIES = {
    "edges": ["<s>", "</s>", " ", "a", "b"],
    "line feed": ["\n", "b", "a", " "],
    "end": ["</s>", "b", "a", " "],
    "none": ["b", "a", " ", "c"],
}


def language_model(tokenizer: Any, vocab_size: int, **options: Any) -> rc.LanguageModel:
    """A model whose probabilities are far from equal."""
    model = rc.LanguageModel(
        vocab_size,
        **{"hidden_size": 5, "num_layers": 1, "dtype": np.float64, "rng": 3, **options},
        tokenizer=tokenizer,
    )
    rng = np.random.default_rng(7)
    model.flat_params[...] = rng.standard_normal(model.num_params)
    return model


def total(model: rc.LanguageModel, tokens: list[int], start: Any, end: Any) -> float:
    """Sum of ln p as the decoder defines it: without a start the first token is free."""
    before = [] if start is None else [start]
    after = [] if end is None else [end]
    return float(model.score(np.array([*before, *tokens, *after], np.int64)).sum())


def check(decoder: PrefixDecoder, log_p: Any, expected: Any, tolerance: float = 1e-8) -> None:
    """Float64 throughout: the model's rows and the sums over paths have some 1e-12."""
    found = decoder.decode(log_p, n_best=ALL)
    assert len(found) == len(expected)
    np.testing.assert_allclose([t.score for t in found], [r[0] for r in expected], atol=tolerance)
    by_result = {(labels, words): score for score, labels, words in expected}
    for t in found:
        labels = tuple(NAMES.index(str(s)) for s in t.symbols)
        words = tuple(str(w.symbol) for w in t.words)
        assert t.score == pytest.approx(by_result[labels, words], abs=tolerance)


@pytest.mark.parametrize("vocabulary", VOCABULARIES)
@pytest.mark.parametrize(
    "options",
    [
        {"cell": "lstm"},
        {"cell": "gru", "embedding_size": 3, "num_layers": 2},
        {"cell": "rnn", "embedding_size": 5, "tie_weights": True},
    ],
    ids=lambda options: options["cell"],
)
def test_model_of_characters(vocabulary: str, options: dict[str, Any], seed: int) -> None:
    rng = np.random.default_rng(seed)
    tokenizer = CharTokenizer(VOCABULARIES[vocabulary])
    model = language_model(tokenizer, tokenizer.vocab_size, **options)

    def readings(labels: Labels) -> Iterator[tuple[Words, float]]:
        tokens = tokenizer.encode("".join(NAMES[i] for i in labels)).tolist()
        yield (), 0.7 * total(model, tokens, tokenizer.start, tokenizer.end) + 0.2 * len(labels)

    log_p = random_frames(rng, 5, 4, 0.1)
    decoder = PrefixDecoder(
        NAMES,
        beam_size=ALL,
        language_model=model,
        language_model_weight=0.7,
        symbol_bonus=0.2,
    )
    check(decoder, log_p, ranked(log_p, readings))


def test_model_of_symbols_without_a_tokenizer(seed: int) -> None:
    model = language_model(None, 4)

    def readings(labels: Labels) -> Iterator[tuple[Words, float]]:
        yield (), 0.5 * total(model, list(labels), 0, 0)

    log_p = random_frames(np.random.default_rng(seed), 5, 4)
    decoder = PrefixDecoder(NAMES, beam_size=ALL, language_model=model)
    check(decoder, log_p, ranked(log_p, readings))


def test_model_of_characters_between_which_there_are_words(seed: int) -> None:
    """A separator makes words, but a tokenizer of characters reads symbols."""
    tokenizer = CharTokenizer(VOCABULARIES["edges"])
    model = language_model(tokenizer, tokenizer.vocab_size)
    names = NAMES.replace(" ", "|")
    log_p = random_frames(np.random.default_rng(seed), 12, 4)
    with_words = PrefixDecoder(names, separator="|", language_model=model).decode(log_p)[0]
    without = PrefixDecoder(NAMES, language_model=model).decode(log_p)[0]
    assert "".join(map(str, with_words.symbols)).replace("|", " ") == "".join(
        map(str, without.symbols)
    )
    assert with_words.score == pytest.approx(without.score, abs=1e-9)
    assert with_words.words
    assert not without.words


@pytest.mark.parametrize("separator", [None, " "])
def test_model_of_words(separator: str | None, seed: int) -> None:
    """One of the lexicon's words is unknown to the model."""
    tokenizer = WordTokenizer(["<unk>", "<s>", "</s>", "bee", "a", "ab", "other"])
    model = language_model(tokenizer, tokenizer.vocab_size)
    lexicon = {w: [tuple(map(NAMES.index, s)) for s in several] for w, several in LEXICON.items()}

    def readings(labels: Labels) -> Iterator[tuple[Words, float]]:
        for words in word_sequences(labels, lexicon, None if separator is None else 3):
            tokens = tokenizer.encode(" ".join(words)).tolist()
            score = total(model, tokens, tokenizer.start, tokenizer.end)
            yield words, 0.5 * score + len(words) - 0.3 * words.count("ba")

    log_p = random_frames(np.random.default_rng(seed), 6, 4)
    decoder = PrefixDecoder(
        NAMES,
        beam_size=ALL,
        separator=separator,
        lexicon=LEXICON,
        language_model=model,
        word_bonus=1.0,
        unknown_bonus=-0.3,
    )
    check(decoder, log_p, ranked(log_p, readings))


def test_model_of_words_without_a_lexicon(seed: int) -> None:
    tokenizer = WordTokenizer(["<unk>", "<s>", "</s>", "b", "a", "ab", "other"])
    model = language_model(tokenizer, tokenizer.vocab_size)

    def readings(labels: Labels) -> Iterator[tuple[Words, float]]:
        words = "".join(NAMES[i] for i in labels).split()
        tokens = tokenizer.encode(" ".join(words)).tolist()
        score = total(model, tokens, tokenizer.start, tokenizer.end)
        yield tuple(words), 0.5 * score - 0.3 * tokens.count(0)

    log_p = random_frames(np.random.default_rng(seed), 6, 4)
    decoder = PrefixDecoder(
        NAMES, beam_size=ALL, separator=" ", language_model=model, unknown_bonus=-0.3
    )
    check(decoder, log_p, ranked(log_p, readings))


def test_small_beams_batches_and_pieces(seed: int) -> None:
    """States are freed and their places taken again; other sequences and pieces change nothing.

    Rows of a float64 model differ by some roundings from batch to batch.
    """
    rng = np.random.default_rng(seed)
    tokenizer = CharTokenizer(VOCABULARIES["edges"])
    model = language_model(tokenizer, tokenizer.vocab_size, cell="gru", num_layers=2)
    decoder = PrefixDecoder(NAMES, beam_size=6, language_model=model)
    frames = [random_frames(rng, steps, 4) for steps in (40, 0, 25, 60, 1)]
    together = decoder.decode(frames, n_best=3)
    for one, found in zip(frames, together, strict=True):
        alone = decoder.decode(one, n_best=3)
        assert [t.symbols for t in alone] == [t.symbols for t in found]
        np.testing.assert_allclose(
            [t.score for t in alone], [t.score for t in found], rtol=0, atol=1e-9
        )
        for t in alone:  # as if this were the only thing that the model has read
            labels = [NAMES.index(str(s)) for s in t.symbols]
            tokens = tokenizer.encode("".join(map(str, t.symbols))).tolist()
            least = t.score - 0.5 * total(model, tokens, tokenizer.start, tokenizer.end)
            if labels and len(one) > len(labels):
                # the beam may have lost paths to these labels, and adds none
                assert least <= -float(rc.ctc.loss(one[:, np.newaxis], [labels])[0]) + 1e-9
        stream = PrefixStream(decoder)
        for piece in np.array_split(one, 7):
            stream.push(piece)
        assert stream.finish(3) == alone


def test_memory_of_a_long_stream(seed: int) -> None:
    """Only prefixes of the beam, and for a moment those of the one before, have states."""
    tokenizer = CharTokenizer(VOCABULARIES["edges"])
    words = WordTokenizer(["<unk>", "<s>", "</s>", "b", "a", "ab", "other"])
    for options in (
        {"language_model": language_model(tokenizer, tokenizer.vocab_size)},
        {"language_model": language_model(words, words.vocab_size), "separator": " "},
    ):
        stream = PrefixDecoder(NAMES, beam_size=6, **options).stream()
        stream.push(random_frames(np.random.default_rng(seed), 300, 4))
        states = stream._search._states
        assert states is not None
        places = states._states[0].shape[1]
        assert places <= 2 * (2 * 6)  # room grows by doubling


def test_float32_model_and_later_changes(seed: int) -> None:
    """A search reads the parameters as they are when it begins."""
    log_p = random_frames(np.random.default_rng(seed), 20, 4).astype(np.float32)
    tokenizer = CharTokenizer(VOCABULARIES["edges"])
    model = language_model(tokenizer, tokenizer.vocab_size, dtype=np.float32)
    double = language_model(tokenizer, tokenizer.vocab_size)
    double.flat_params[...] = model.flat_params
    decoder = PrefixDecoder(NAMES, beam_size=8, language_model=model)
    (found,) = decoder.decode(log_p)
    (expected,) = PrefixDecoder(NAMES, beam_size=8, language_model=double).decode(log_p)
    assert found.symbols == expected.symbols
    assert found.score == pytest.approx(expected.score, rel=1e-5)  # 20 rows of single precision
    model.flat_params[...] = 0
    assert decoder.decode(log_p)[0].score != found.score


def test_many_sequences_are_searched_in_groups(monkeypatch: pytest.MonkeyPatch, seed: int) -> None:
    frames = [random_frames(np.random.default_rng(seed + i), 15, 4) for i in range(5)]
    model = language_model(None, 4)
    decoder = PrefixDecoder(NAMES, beam_size=5, language_model=model)
    expected = decoder.decode(frames)
    monkeypatch.setattr("rnncore.ctc.prefix._MOST_BYTES", 900)
    found = decoder.decode(frames)
    assert [t.symbols for (t,) in found] == [t.symbols for (t,) in expected]


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"language_model": language_model(None, 5)}, "expected one of V=4 tokens, the symbols"),
        (
            {"language_model": language_model(CharTokenizer("abc"), 3)},
            r"language_model: character ' ' \(U\+0020\) at position 0 is not in the vocabulary",
        ),
        (
            {
                "language_model": language_model(CharTokenizer("ab "), 3),
                "lexicon": ["ab"],
                "language_model_unit": "words",
            },
            "expected a WordTokenizer, or another one with the attribute unknown, for a model",
        ),
        (
            {"language_model": language_model(None, 4), "language_model_unit": "words"},
            "language_model_unit: expected a lexicon or a separator beside 'words', got neither",
        ),
    ],
)
def test_models_that_do_not_fit(options: dict[str, Any], told: str) -> None:
    with pytest.raises(ValueError, match=told):
        PrefixDecoder(NAMES, **options)
