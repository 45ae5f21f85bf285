"""Scores of prefix trees, and n-best lists in a new order."""

from typing import Any

import numpy as np
import pytest

import rnncore as rc
from language_models import MODELS, make_model
from rnncore.decode.prefix_tree import prefix_tree
from rnncore.models import scored

FORMATS = (None, "bfloat16", "int8", "int8_dynamic")


def n_best(count: int, rng: np.random.Generator, vocab_size: int = 7) -> list[Any]:
    """Sequences that share beginnings; empty ones, and some that come twice, among them."""
    first = rng.integers(0, vocab_size, 12)
    found = [first[:0], first[:1], first, first.copy()]
    while len(found) < count:
        shared = int(rng.integers(0, 12))
        found.append(
            np.concatenate([first[:shared], rng.integers(0, vocab_size, rng.integers(0, 9))])
        )
    return found


@pytest.mark.parametrize("name", MODELS)
def test_scores_of_a_tree_are_those_of_each_sequence(name: str, dtype: Any) -> None:
    model = make_model(name, dtype)
    sequences = n_best(40, np.random.default_rng(0))
    found = model.score_prefix_tree(sequences)
    for ours, sequence in zip(found, sequences, strict=True):
        expected = model.score(sequence)
        assert ours.shape == expected.shape
        # sums of a dozen products in another order, over 20 steps
        assert np.allclose(ours, expected, atol=1e-5 if dtype == np.float32 else 1e-12)


@pytest.mark.parametrize("weight_format", FORMATS)
def test_formats(weight_format: str | None, isa: str) -> None:
    model = make_model("lstm embedded")
    sequences = n_best(20, np.random.default_rng(1))
    found = model.score_prefix_tree(sequences, weight_format)
    for ours, sequence in zip(found, sequences, strict=True):
        # the same rounded weights and activations; a step that falls on the other side of a
        # rounding limit moves an activation by 2^-7 of the greatest
        expected = model.score(sequence, weight_format)
        assert np.allclose(ours, expected, atol=0.02 if weight_format == "int8_dynamic" else 1e-5)


def test_scores_do_not_depend_on_the_other_sequences() -> None:
    model = make_model("gru before embedded")
    sequences = n_best(30, np.random.default_rng(2))
    together = model.score_prefix_tree(sequences)
    for ours, sequence in zip(together, sequences, strict=True):
        assert np.array_equal(model.score_prefix_tree([sequence])[0], ours)


def test_many_sequences_take_several_trees(monkeypatch: pytest.MonkeyPatch) -> None:
    model = make_model("lstm")
    sequences = n_best(23, np.random.default_rng(3))
    whole = model.score_prefix_tree(sequences)
    monkeypatch.setattr(scored, "_AT_ONCE", 5)
    for ours, expected in zip(model.score_prefix_tree(sequences), whole, strict=True):
        assert np.array_equal(ours, expected)


def test_a_shared_beginning_is_one_node() -> None:
    sequences = [np.array(s) for s in ([0, 1, 2], [0, 1, 3], [0, 1], [4], [0, 1, 2])]
    levels = prefix_tree(sequences, np.zeros(5, np.int64), 5)
    assert [level.tokens.tolist() for level in levels] == [[0, 4], [1], [2, 3]]
    assert [level.parents.tolist() for level in levels] == [[0, 0], [0], [0, 0]]
    assert levels[2].members.tolist() == [0, 1, 4]
    assert levels[2].nodes.tolist() == [0, 1, 0]
    apart = prefix_tree(sequences, np.array([0, 0, 1, 0, 0]), 5)
    assert [level.tokens.tolist() for level in apart] == [[0, 4, 0], [1, 1], [2, 3]]


def test_no_sequences() -> None:
    model = make_model("lstm")
    assert model.score_prefix_tree([]) == []
    assert [own.size for own in model.score_prefix_tree([[], [3], []])] == [0, 0, 0]


def test_bad_sequences() -> None:
    model = make_model("lstm")
    with pytest.raises(ValueError, match=r"sequences\[1\]: expected ids in"):
        model.score_prefix_tree([[1], [7]])
    with pytest.raises(TypeError, match="sequences: expected a list"):
        model.score_prefix_tree("abc")
    with pytest.raises(ValueError, match=r"sequences\[0\]: expected ids, got text"):
        model.score_prefix_tree(["abc"])


# --- n-best lists ---------------------------------------------------------------------------------
def word_model() -> rc.LanguageModel:
    tokenizer = rc.text.WordTokenizer.fit("the cat sat\nthe dog sat\n" * 5)
    return rc.LanguageModel(
        tokenizer.vocab_size,
        hidden_size=8,
        num_layers=1,
        tokenizer=tokenizer,
        sentences=True,
        rng=0,
    )


LISTS = [
    [(-1.0, "the cat sat"), (-1.5, "the dog sat"), (-2.0, "the the the")],
    [],
    [(-3.0, "")],
]


@pytest.mark.parametrize("weight", [0.0, 0.3, 1.0])
def test_lists_are_ordered_by_both_scores(weight: float) -> None:
    model = word_model()
    found = rc.decode.rescore(model, LISTS, weight)
    assert [len(own) for own in found] == [3, 0, 1]
    for own, given in zip(found, LISTS, strict=True):
        combined = [entry.combined for entry in own]
        assert combined == sorted(combined, reverse=True)
        assert sorted(entry.index for entry in own) == list(range(len(given)))
        for entry in own:
            score, text = given[entry.index]
            log_probability = model.score(model.encode_line(text)).sum()
            assert entry.score == score
            assert entry.log_probability == pytest.approx(log_probability, rel=1e-5)  # float32
            assert entry.combined == pytest.approx(
                (1 - weight) * score + weight * log_probability, rel=1e-5
            )


def test_equal_entries_stay_in_their_order() -> None:
    model = word_model()
    (found,) = rc.decode.rescore(model, [[(-1.0, "the cat")] * 4])
    assert [entry.index for entry in found] == [0, 1, 2, 3]
    assert rc.decode.rescore(model, []) == []


def test_sentences_may_be_ids() -> None:
    model = word_model()
    texts = rc.decode.rescore(model, LISTS)
    ids = [[(score, model.encode_line(text)) for score, text in own] for own in LISTS]
    assert rc.decode.rescore(model, ids) == texts


@pytest.mark.parametrize(
    ("lists", "message"),
    [
        ([[(float("nan"), "the")]], r"lists\[0\]\[0\]: score: expected a finite number"),
        ([[(-1.0, "the"), ("x", "the")]], r"lists\[0\]\[1\]: score: expected a number"),
        ([[(-1.0,)]], r"lists\[0\]\[0\]: expected \(score, sentence\)"),
        ([[-1.0]], r"lists\[0\]\[0\]: expected \(score, sentence\)"),
    ],
)
def test_bad_lists(lists: Any, message: str) -> None:
    with pytest.raises((TypeError, ValueError), match=message):
        rc.decode.rescore(word_model(), lists)


def test_bad_weights() -> None:
    for weight in (-0.1, 1.1, float("nan")):
        with pytest.raises(ValueError, match="weight: expected"):
            rc.decode.rescore(word_model(), LISTS, weight)


def test_characters_that_are_not_known_are_told() -> None:
    tokenizer = rc.text.CharTokenizer("ab\n")
    model = rc.LanguageModel(3, hidden_size=4, tokenizer=tokenizer, rng=0)
    with pytest.raises(ValueError, match=r"lists\[0\]\[1\]"):
        rc.decode.rescore(model, [[(-1.0, "ab"), (-1.0, "abc")]])
