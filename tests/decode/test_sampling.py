"""Sampling: the distribution that is drawn from, repeatability, and the generator form."""

from itertools import islice
from typing import Any

import numpy as np
import pytest

import rnncore as rc
from language_models import MODELS, log_probabilities, make_model
from rnncore.text import CharTokenizer

PROMPT = [1, 4, 2]


def sharp_model(name: str = "lstm", **options: Any) -> rc.LanguageModel:
    """A model that is far from uniform, so that a wrong distribution shows."""
    model = make_model(name, **options)
    model.flat_params *= 4
    return model


def next_log_probabilities(model: rc.LanguageModel, drawn: Any) -> np.ndarray:
    """ln p of every token at each place of `drawn`: [len(drawn),V]."""
    ids = [*PROMPT, *drawn]
    return log_probabilities(model, ids[:-1])[len(PROMPT) - 1 :]


@pytest.mark.parametrize("name", MODELS)
def test_temperature_zero_is_greedy(name: str) -> None:
    model = sharp_model(name)
    drawn = model.sample(PROMPT, 40, temperature=0)
    assert drawn.dtype == np.int64
    np.testing.assert_array_equal(drawn, next_log_probabilities(model, drawn).argmax(axis=1))


@pytest.mark.parametrize(
    ("options", "restrict"),
    [
        ({}, lambda p: p),
        ({"temperature": 0.5}, lambda p: p**2),
        ({"temperature": 2.0}, lambda p: p**0.5),
        ({"top_k": 3}, lambda p: np.where(p >= np.sort(p)[-3], p, 0)),
        ({"top_k": 100}, lambda p: p),
        # The fewest that reach .8: those before which less than .8 was collected.
        (
            {"top_p": 0.8},
            lambda p: np.where([p[p > q].sum() < 0.8 for q in p], p, 0),
        ),
        (
            {"temperature": 2.0, "top_k": 2},
            lambda p: np.where(p >= np.sort(p)[-2], p**0.5, 0),
        ),
    ],
    ids=["plain", "cold", "hot", "top_k", "top_k of all", "top_p", "hot top_k"],
)
def test_distribution_of_the_next_token(options: dict[str, Any], restrict: Any) -> None:
    model = sharp_model()
    expected = restrict(np.exp(next_log_probabilities(model, [0])[0]))
    expected = expected / expected.sum()
    assert np.max(expected) < 0.95  # otherwise there is nothing to see
    count = 4000
    rng = np.random.default_rng(0)
    drawn = np.array([model.sample(PROMPT, 1, rng=rng, **options)[0] for _ in range(count)])
    share = np.bincount(drawn, minlength=7) / count
    assert not np.any(share[expected == 0])
    # Five standard deviations of a share; the seed is fixed, so this fails always or never.
    assert np.all(np.abs(share - expected) <= 5 * np.sqrt(expected * (1 - expected) / count))


@pytest.mark.parametrize("options", [{"top_k": 2}, {"top_p": 0.5}], ids=["top_k", "top_p"])
def test_restrictions_hold_at_every_place(options: dict[str, Any]) -> None:
    model = sharp_model()
    drawn = model.sample(PROMPT, 200, rng=0, **options)
    for token, row in zip(drawn, next_log_probabilities(model, drawn), strict=True):
        before = np.exp(row[row > row[token]])  # what is more probable than the drawn token
        assert before.size < options.get("top_k", 8)
        assert before.sum() < options.get("top_p", 1.0) + 1e-6


def test_top_k_of_one_is_greedy() -> None:
    model = sharp_model()
    greedy = model.sample(PROMPT, 50, temperature=0)
    np.testing.assert_array_equal(model.sample(PROMPT, 50, top_k=1, rng=3), greedy)
    np.testing.assert_array_equal(model.sample(PROMPT, 50, top_p=1e-9, rng=4), greedy)


def test_the_seed_decides() -> None:
    model = make_model("gru")
    first = model.sample(PROMPT, 60, rng=1)
    np.testing.assert_array_equal(model.sample(PROMPT, 60, rng=1), first)
    np.testing.assert_array_equal(model.sample(PROMPT, 60, rng=np.random.default_rng(1)), first)
    assert not np.array_equal(model.sample(PROMPT, 60, rng=2), first)
    assert not np.array_equal(model.sample(PROMPT, 60), model.sample(PROMPT, 60))


@pytest.mark.parametrize("name", MODELS)
def test_token_by_token_is_the_same_draw(name: str) -> None:
    model = make_model(name)
    options = {"temperature": 0.9, "top_k": 5, "top_p": 0.95, "rng": 7}
    whole = model.sample(PROMPT, 50, **options)
    assert list(model.generate(PROMPT, 50, **options)) == whole.tolist()
    # A longer draw begins with the shorter one.
    np.testing.assert_array_equal(model.sample(PROMPT, 80, **options)[:50], whole)


def test_generation_goes_on_as_it_is_asked() -> None:
    """It does not compute ahead, and later changes of the parameters do not reach it."""
    model = make_model("lstm")
    expected = model.sample(PROMPT, 20, rng=0).tolist()
    tokens = model.generate(PROMPT, 10**15, rng=0)
    assert list(islice(tokens, 8)) == expected[:8]
    model.flat_params[:] = 0
    assert list(islice(tokens, 12)) == expected[8:]


def test_text_in_text_out() -> None:
    tokenizer = CharTokenizer("\nabc é\U0001f600"[:7])
    model = make_model("lstm", tokenizer=tokenizer)
    text = model.sample("ab", 30, rng=0)
    assert text.startswith("ab")
    assert len(text) == 32
    assert "".join(model.generate("ab", 30, rng=0)) == text[2:]
    ids = model.sample(tokenizer.encode("ab"), 30, rng=0)
    assert tokenizer.decode(ids) == text[2:]
    assert model.sample("ab", 0) == "ab"


def test_length_zero() -> None:
    model = make_model("lstm")
    assert model.sample(PROMPT, 0).shape == (0,)
    assert list(model.generate(PROMPT, 0)) == []


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        (([], 5), ValueError, "prompt: expected at least one token, got none"),
        (([[1]], 5), ValueError, r"prompt: expected shape \[N\]"),
        (([1.5], 5), TypeError, "prompt: expected integers"),
        (([7], 5), ValueError, "7"),
        (([-1], 5), ValueError, "-1"),
        (("ab", 5), ValueError, "prompt: expected ids, got text; the model has no vocabulary"),
        (([1], -1), ValueError, "length: expected at least 0, got -1"),
        (([1], 2.0), TypeError, "length: expected an integer"),
        (([1], 5, -0.1), ValueError, "temperature: expected"),
        (([1], 5, float("nan")), ValueError, "temperature: expected"),
        (([1], 5, 1.0, -1), ValueError, "top_k: expected at least 0, got -1"),
        (([1], 5, 1.0, 0, 0.0), ValueError, r"top_p: expected .*\(0, 1\], got 0"),
        (([1], 5, 1.0, 0, 1.1), ValueError, "top_p: expected"),
        (([1], 5, 1.0, 0, 1.0, "seed"), TypeError, "rng: expected"),
    ],
)
def test_bad_arguments(arguments: Any, error: type[Exception], message: str) -> None:
    """At once, also from the generator form: not when the first token is asked for."""
    model = make_model("lstm")
    with pytest.raises(error, match=message):
        model.sample(*arguments)
    with pytest.raises(error, match=message):
        model.generate(*arguments)


def test_bad_text_prompts() -> None:
    model = make_model("lstm", tokenizer=CharTokenizer("abcdefg"))
    with pytest.raises(ValueError, match="prompt: expected at least one token"):
        model.sample("", 5)
    with pytest.raises(ValueError, match=r"'Z' \(U\+005A\) at position 2"):
        model.sample("abZ", 5)
