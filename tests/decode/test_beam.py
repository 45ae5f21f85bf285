"""Beam search against all sequences of a small vocabulary, and what no result depends on."""

import itertools
from typing import Any

import numpy as np
import pytest

import rnncore as rc
from decoders import Table, best_of_all, slow_beam
from rnncore.decode.candidates import repeats
from rnncore.decode.hypothesis import Hypothesis

END = 1


def tokens_of(hypothesis: Hypothesis, end: int | None = END) -> tuple[int, ...]:
    written = tuple(hypothesis.tokens.tolist())
    return (*written, end) if hypothesis.ended and end is not None else written


def same(a: Hypothesis, b: Hypothesis) -> bool:
    return (
        np.array_equal(a.tokens, b.tokens)
        and (a.score, a.log_probability, a.ended) == (b.score, b.log_probability, b.ended)
        and np.array_equal(a.log_probabilities, b.log_probabilities)
    )


OPTIONS: list[dict[str, Any]] = [
    {},
    {"alpha": 0.0},
    {"alpha": 0.7, "wu": True},
    {"beta": 0.4},
    {"ngram": 1},
    {"ngram": 2},
    {"barred": (2,)},
    {"prefix": (2, 3)},
    {"prefix": (2, 2), "ngram": 1, "barred": (2,)},
]


@pytest.mark.parametrize("options", OPTIONS, ids=str)
@pytest.mark.parametrize("longest", [1, 2, 4])
@pytest.mark.parametrize("end", [END, None])
def test_a_beam_of_all_sequences_is_exact(
    options: dict[str, Any], longest: int, end: int | None
) -> None:
    longest = max(longest, len(options.get("prefix", ())))
    decoder = Table(4, sentences=2, source=3)
    names = {"alpha": "length_penalty", "beta": "coverage_penalty", "ngram": "no_repeat_ngram_size"}
    given = {names[k]: v for k, v in options.items() if k in names}
    if options.get("wu"):
        given["length_normalization"] = "wu"
    if "prefix" in options:
        given["prefixes"] = [options["prefix"], ()]
    found = rc.decode.beam_search(
        decoder,
        2,
        start=0,
        end=end,
        beam_size=1000,
        n_best=1000,
        max_length=longest,
        barred=options.get("barred", ()),
        **given,
    )
    for sentence in range(2):
        own = {**options, "prefix": options.get("prefix", ()) if sentence == 0 else ()}
        if own["prefix"] == (2, 2):  # a prefix may repeat and hold what is barred
            assert tokens_of(found[0][0], end)[:2] == (2, 2)
            assert 2 not in tokens_of(found[0][0], end)[2:]
            continue
        expected = best_of_all(decoder, sentence, start=0, end=end, longest=longest, **own)
        if own.get("ngram") and longest > len(found[sentence][0].tokens) and end is None:
            continue  # nothing more was possible: see the test of starved sentences
        assert len(found[sentence]) >= len(expected)
        for hypothesis, (score, tokens) in zip(found[sentence], expected, strict=False):
            assert tokens_of(hypothesis, end) == tokens
            # the same sums in another order
            assert hypothesis.score == pytest.approx(score, rel=1e-12)
            steps = decoder.log_probabilities(sentence, [0, *tokens])
            assert hypothesis.log_probabilities.tolist() == steps
            assert hypothesis.log_probability == pytest.approx(sum(steps), rel=1e-12)


@pytest.mark.parametrize("width", [1, 2, 3, 5, 8])
@pytest.mark.parametrize(
    "options", [{}, {"barred": (2, 0)}, {"ngram": 1}, {"ngram": 2, "barred": (3,)}], ids=str
)
def test_a_narrow_beam_is_that_of_a_loop(width: int, options: dict[str, Any]) -> None:
    count, vocab_size, longest = 12, 6, 7
    decoder = Table(vocab_size, sentences=count, seed=width)
    found = rc.decode.beam_search(
        decoder,
        count,
        start=0,
        end=END,
        beam_size=width,
        n_best=width,
        max_length=longest,
        no_repeat_ngram_size=options.get("ngram", 0),
        barred=options.get("barred", ()),
    )
    for n in range(count):
        expected = slow_beam(decoder, n, start=0, end=END, width=width, longest=longest, **options)
        assert len(found[n]) == len(expected) <= width
        for hypothesis, (score, tokens) in zip(found[n], expected, strict=True):
            assert tokens_of(hypothesis) == tokens
            assert hypothesis.score == pytest.approx(score, rel=1e-12)  # the order of a sum


def test_the_best_hypothesis_may_only_be_better_with_a_wider_beam_on_average() -> None:
    decoder = Table(6, sentences=40, seed=1)
    totals = []
    for width in (1, 2, 5, 20):
        found = rc.decode.beam_search(
            decoder, 40, start=0, end=END, beam_size=width, max_length=8, length_penalty=0
        )
        totals.append(sum(own[0].score for own in found))
    assert totals == sorted(totals)


@pytest.mark.parametrize("width", [1, 3, 5])
@pytest.mark.parametrize("beta", [0.0, 0.5])
def test_a_sentence_does_not_depend_on_the_others(width: int, beta: float) -> None:
    count = 9
    decoder = Table(7, sentences=count, source=4, seed=2)
    options: dict[str, Any] = {
        "end": END,
        "beam_size": width,
        "n_best": width,
        "coverage_penalty": beta,
        "no_repeat_ngram_size": 2,
    }
    starts = np.arange(count) % 7
    longest = np.arange(count) + 1
    together = rc.decode.beam_search(decoder, count, start=starts, max_length=longest, **options)
    for n in range(count):
        (alone,) = rc.decode.beam_search(
            decoder.alone(n), 1, start=starts[n], max_length=int(longest[n]), **options
        )
        assert len(alone) == len(together[n])
        assert all(map(same, alone, together[n]))


def test_the_best_ones_do_not_depend_on_how_many_are_asked_for() -> None:
    decoder = Table(6, sentences=5, seed=3)
    options: dict[str, Any] = {"start": 0, "end": END, "beam_size": 5, "max_length": 7}
    all_five = rc.decode.beam_search(decoder, 5, n_best=5, **options)
    for n_best in range(1, 5):
        for some, every in zip(
            rc.decode.beam_search(decoder, 5, n_best=n_best, **options), all_five, strict=True
        ):
            assert len(some) == min(n_best, len(every))
            assert all(map(same, some, every[:n_best]))
    assert all(
        a.score >= b.score or (a.ended and not b.ended)
        for own in all_five
        for a, b in itertools.pairwise(own)
    )


def test_work_follows_what_is_left() -> None:
    decoder = Table(6, sentences=8, seed=4)
    longest = np.arange(1, 9)
    rc.decode.beam_search(decoder, 8, start=0, end=END, beam_size=3, max_length=longest)
    assert decoder.calls[0] == 8
    assert all(rows <= 3 * np.sum(longest > t) for t, rows in enumerate(decoder.calls) if t)
    assert decoder.calls[-1] <= 3
    assert sum(decoder.calls) < 8 + 3 * sum(range(8))  # beams get narrower as hypotheses end


def test_greedy_takes_the_greatest() -> None:
    decoder = Table(5, sentences=3, seed=5)
    found = rc.decode.greedy(decoder, 3, start=2, end=END, max_length=6)
    for n, hypothesis in enumerate(found):
        read = [0, 2]
        for token in tokens_of(hypothesis):
            assert token == int(decoder.table[n, read[-2], read[-1]].argmax())
            read.append(token)
        assert hypothesis.ended or len(hypothesis.tokens) == 6


def test_equal_continuations_are_taken_in_the_order_of_their_tokens() -> None:
    class Equal(Table):
        def __init__(self) -> None:
            super().__init__(5)
            self.table[:] = np.log(0.2)

    (found,) = rc.decode.beam_search(
        Equal(), 1, start=0, end=4, beam_size=3, n_best=3, max_length=2, length_penalty=0
    )
    assert [h.tokens.tolist() for h in found] == [[0, 0], [0, 1], [0, 2]]


def test_attention_is_that_of_the_steps() -> None:
    decoder = Table(5, sentences=2, source=3, seed=6)
    for own in rc.decode.beam_search(
        decoder, 2, start=0, end=END, beam_size=4, n_best=4, max_length=5
    ):
        for hypothesis in own:
            assert hypothesis.attention is not None
            assert len(hypothesis.attention) == len(hypothesis.log_probabilities)
    assert decoder.weights is not None
    ((*_, longest),) = rc.decode.beam_search(
        decoder.alone(0), 1, start=0, end=None, beam_size=4, n_best=4, max_length=5
    )
    read = [0, *longest.tokens.tolist()][:5]
    assert len(set(read)) > 1
    assert longest.attention is not None
    assert np.array_equal(longest.attention, decoder.weights[0, read])
    assert rc.decode.greedy(Table(5), 1, start=0, end=END)[0].attention is None


def test_padding_behind_a_source_changes_no_score() -> None:
    ranking = rc.decode.Ranking(1.0, "wu", 0.3)
    coverage = np.random.default_rng(0).random(9)
    plain = ranking.score(-3.0, 4, coverage)
    assert ranking.score(-3.0, 4, np.append(coverage, np.zeros(5))) == plain
    assert plain < rc.decode.Ranking(1.0, "wu").score(-3.0, 4, coverage)


def test_a_sentence_that_nothing_can_follow_is_cut() -> None:
    decoder = Table(3, sentences=2)
    found = rc.decode.beam_search(
        decoder, 2, start=0, end=None, beam_size=10, no_repeat_ngram_size=1, max_length=9
    )
    for (hypothesis,) in found:
        assert sorted(hypothesis.tokens.tolist()) == [0, 1, 2]
        assert not hypothesis.ended
    decoder.table[1, 0, 0] = -np.inf  # sentence 1 can write nothing at all
    (first,), (second,) = rc.decode.beam_search(decoder, 2, start=0, end=END, max_length=4)
    assert len(first.log_probabilities)
    assert second.tokens.size == 0
    assert (second.ended, second.score) == (False, 0.0)


@pytest.mark.parametrize("size", [1, 2, 3])
def test_repeats_are_those_of_a_loop(size: int) -> None:
    rng = np.random.default_rng(size)
    for length in range(9):
        history = rng.integers(0, 3, (6, length))
        found = repeats(history, size)
        for n, own in enumerate(history.tolist()):
            expected = {
                own[i + size - 1]
                for i in range(length - size + 1)
                if own[i : i + size - 1] == own[length - size + 1 :]
            }
            assert (set() if found is None else set(found[n].tolist()) - {-1}) == expected


def test_nothing_to_do() -> None:
    decoder = Table(4)
    assert rc.decode.beam_search(decoder, 0, start=0, end=END) == []
    assert rc.decode.greedy(decoder, 0, start=[], end=END) == []
    assert rc.decode.sample(decoder, 0, start=0, end=END) == []


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"beam_size": 0}, "beam_size: expected at least 1"),
        ({"n_best": 6}, "n_best: expected at most 5"),
        ({"max_length": 0}, "max_length: expected at least 1"),
        ({"max_length": [3]}, "max_length: expected shape"),
        ({"start": 4}, "start: expected ids in"),
        ({"end": 4}, "end: expected at most 3"),
        ({"length_penalty": -1.0}, "length_penalty: expected"),
        ({"length_normalization": "none"}, "length_normalization: expected"),
        ({"coverage_penalty": np.nan}, "coverage_penalty: expected"),
        ({"no_repeat_ngram_size": -1}, "no_repeat_ngram_size: expected"),
        ({"prefixes": [[2]]}, "prefixes: expected one for each of 2"),
        ({"prefixes": [[2], [1]]}, r"prefixes\[1\]: expected no end token"),
        ({"prefixes": [[2], [9]]}, r"prefixes\[1\]: expected ids in"),
        ({"prefixes": [[2], [2] * 4], "max_length": 3}, r"prefixes\[1\]: expected at most"),
        ({"barred": [4]}, "barred: expected ids in"),
        ({"beam": 3}, "beam: no option of beam_search"),
    ],
    ids=str,
)
def test_bad_arguments(options: dict[str, Any], message: str) -> None:
    given: dict[str, Any] = {"start": 0, "end": END, **options}
    with pytest.raises((TypeError, ValueError), match=message):
        rc.decode.beam_search(Table(4, 2), 2, **given)


def test_scores_that_are_not_numbers() -> None:
    decoder = Table(4, sentences=2)
    decoder.table[1, 0, 0] = np.nan
    with pytest.raises(ValueError, match="expected numbers, got nan in row 1"):
        rc.decode.beam_search(decoder, 2, start=0, end=END)
    with pytest.raises(ValueError, match="expected numbers, got nan in row 1"):
        rc.decode.sample(decoder, 2, start=0, end=END)


def test_a_prefix_of_probability_0() -> None:
    decoder = Table(4)
    decoder.table[0, 0, 0, 2] = -np.inf
    with pytest.raises(ValueError, match="got token 2 of probability 0"):
        rc.decode.beam_search(decoder, 1, start=0, end=END, prefixes=[[2]])
