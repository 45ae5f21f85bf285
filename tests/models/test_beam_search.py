"""The most probable continuations of a language model."""

from typing import Any

import numpy as np
import pytest

import rnncore as rc

TEXT = "the cat sat\nthe dog sat\na dog ran\n" * 20


@pytest.fixture(scope="module")
def words() -> rc.LanguageModel:
    tokenizer = rc.text.WordTokenizer.fit(TEXT)
    model = rc.LanguageModel(
        tokenizer.vocab_size,
        "gru",
        hidden_size=16,
        embedding_size=8,
        num_layers=1,
        tokenizer=tokenizer,
        rng=0,
    )
    config = rc.training.TrainingConfig(sentences=True, epochs=30, batch_size=6)
    model.fit(TEXT, config)
    return model


def test_sentences(words: rc.LanguageModel) -> None:
    found = words.beam_search(["", "a", "the dog"], beam_size=4, n_best=2, length_penalty=0)
    texts = [[text for text, _ in own] for own in found]
    assert set(texts[0]) <= {"the cat sat", "the dog sat", "a dog ran"}
    assert texts[1][0] == "a dog ran"
    assert texts[2][0] == "the dog sat"
    for own in found:
        for text, score in own:  # the prompt is a part of what is scored
            assert score == pytest.approx(words.score(words.encode_line(text)).sum(), rel=1e-4)


def test_one_hypothesis_is_what_is_sampled_at_temperature_0(words: rc.LanguageModel) -> None:
    for weight_format in (None, "bfloat16", "int8", "int8_dynamic"):
        for prompt in ("", "a", "the cat"):
            options: dict[str, Any] = {"weight_format": weight_format}
            ((found,),) = words.beam_search([prompt], 10, beam_size=1, **options)
            assert found[0] == words.sample(prompt, 10, temperature=0, **options)


def test_ids_and_lengths() -> None:
    model = rc.LanguageModel(9, hidden_size=8, num_layers=2, rng=0)
    found = model.beam_search([[1], [2, 3, 4]], 6, beam_size=3, n_best=3)
    for prompt, own in zip(([1], [2, 3, 4]), found, strict=True):
        assert len(own) == 3
        for ids, score in own:
            assert len(ids) == 6
            whole = model.score(np.concatenate([prompt, ids]))
            assert score == pytest.approx(whole.mean(), rel=1e-4)  # float32 sums in another order
    ((alone,),) = model.beam_search([[2, 3, 4]], 6, beam_size=3)
    assert np.array_equal(alone[0], found[1][0][0])
    assert alone[1] == found[1][0][1]
    assert model.beam_search([], 3) == []


def test_of_a_trained_model_wider_beams_find_what_is_more_probable(
    words: rc.LanguageModel,
) -> None:
    scores = [
        words.beam_search([""], beam_size=width, length_penalty=0)[0][0][1] for width in (1, 3, 8)
    ]
    assert scores[0] <= scores[1] + 1e-12
    assert scores[1] <= scores[2] + 1e-12


def test_bad_arguments(words: rc.LanguageModel) -> None:
    for prompts, options, message in (
        ("the", {}, "prompts: expected a list"),
        (["qed qed"], {"stop_at_end": 3}, "stop_at_end: expected"),
        ([[]], {}, r"prompts\[0\]: expected at least one token"),
        ([[999]], {}, r"prompts\[0\]: expected ids in"),
        (["a"], {"length": 0}, "length: expected"),
        (["a"], {"beam_size": 0}, "beam_size: expected"),
        (["a"], {"weight_format": "int3"}, "weight_format: expected"),
    ):
        with pytest.raises((TypeError, ValueError), match=message):
            words.beam_search(prompts, **options)  # type: ignore[arg-type]
