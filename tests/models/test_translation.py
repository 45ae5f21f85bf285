"""Seq2Seq: translating, files, and what is refused."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import safetensors.numpy

import rnncore as rc
from rnncore.text import CharTokenizer, WordTokenizer
from rnncore.training import TrainingConfig
from translators import END, SOURCES, START, every_context, random, translator

# --- translating --------------------------------------------------------------------------------


@every_context
def test_translations_do_not_depend_on_the_batch(context: str) -> None:
    """Sources of all lengths, more than a batch holds, alone or together, by text or by ids."""
    model = random(translator(context=context), scale=2.0)
    rng = np.random.default_rng(2)
    sources = [rng.integers(0, 6, rng.integers(0, 9)) for _ in range(40)]
    together = model.translations(sources, beam_size=3, n_best=2)
    for k in (0, 7, 39):
        for alone in (model.translations([sources[k]], 3, 2), model.translations([sources[k]], 3)):
            for one, other in zip(alone[0], together[k], strict=False):
                np.testing.assert_array_equal(one.tokens, other.tokens)
                assert one.score == pytest.approx(other.score, rel=1e-4)
    small = model.translations(sources, beam_size=3, n_best=2, batch_size=3)
    for one, other in zip(small, together, strict=True):
        assert [t.tokens.tolist() for t in one] == [t.tokens.tolist() for t in other]
    for source, best in zip(sources, together, strict=True):
        ended = [each for each in best if len(each.tokens) < 2 * len(source) + 10]  # not cut
        for each in ended if len(source) else ():
            expected = model.score([source], [each.tokens])[0]
            assert each.log_probability == pytest.approx(expected, rel=1e-4, abs=1e-4)
        assert [t.score for t in ended] == sorted((t.score for t in ended), reverse=True)


@every_context
def test_empty_sources_have_empty_targets(context: str) -> None:
    model = translator(context=context)
    ((found,),) = model.translations([[]], beam_size=2, n_best=2)
    assert (found.text, found.score, found.tokens.size) == (None, 0, 0)
    assert model.translate([]) == []
    (ids,) = model.translate([np.zeros(0, np.int64)])
    assert ids.shape == (0,)


def test_a_translator_does_not_see_later_changes() -> None:
    model = random(translator(), scale=2.0)
    held = model.translator()
    before = [t.tokens.tolist() for (t,) in held.translations(SOURCES)]
    random(model, scale=3.0)
    assert [t.tokens.tolist() for (t,) in held.translations(SOURCES)] == before
    assert [t.tokens.tolist() for (t,) in model.translations(SOURCES)] != before


def test_options_of_the_search() -> None:
    """The penalty of lengths chooses longer ones; n-grams do not come twice."""
    model = random(translator())
    model.output.params["bias"][END] += 1.5
    model.mark_changed()
    lengths = [
        sum(len(ids) for ids in model.translate(SOURCES, 4, length_penalty=penalty, max_length=9))
        for penalty in (0.0, 3.0)
    ]
    assert lengths[0] < lengths[1]
    for ids in model.translate(SOURCES, 4, no_repeat_ngram_size=1, coverage_penalty=0.2):
        assert len(set(ids.tolist())) == len(ids)


def test_an_ensemble_of_two() -> None:
    one, other = (random(translator(), scale) for scale in (1.0, 2.0))
    ensemble = rc.decode.Ensemble([one.decoder(SOURCES), other.decoder(SOURCES)])
    found = rc.decode.beam_search(ensemble, len(SOURCES), start=START, end=END, max_length=5)
    assert len(found) == len(SOURCES)


def test_a_decoder_has_its_sources() -> None:
    with pytest.raises(ValueError, match="count: expected that of the sources, 4, got 3"):
        translator().decoder(SOURCES).start(3)


def test_unknown_words_are_replaced_by_what_they_attend_to() -> None:
    words = WordTokenizer.fit(["a b c"], split="whitespace")
    model = rc.Seq2Seq(source_tokenizer=words, target_tokenizer=words, hidden_size=4, rng=0)
    model.output.params["bias"][words.unknown] = 100
    model.mark_changed()
    ((best,),) = model.translations(["zebra a yak"], 1, max_length=2)
    assert best.source_tokens == ["zebra", "a", "yak"]
    expected = [best.source_tokens[s] for s in best.alignment.argmax(axis=1)]
    assert len(expected) == 2
    assert best.text == " ".join(expected)
    ((kept,),) = model.translations(["zebra a yak"], 1, max_length=2, replace_unknown=False)
    assert kept.text == "<unk> <unk>"


# --- files and what is refused ------------------------------------------------------------------


@every_context
def test_files(context: str, tmp_path: Path) -> None:
    words = WordTokenizer.fit(["ein hund", "der hund"])
    letters = CharTokenizer.fit("a dog the", special_tokens=["<s>", "</s>"])
    model = rc.Seq2Seq(
        source_tokenizer=words,
        target_tokenizer=letters,
        context=context,
        hidden_size=4,
        embedding_size=3,
        label_smoothing=0.1,
        rng=0,
    )
    rc.save(model, tmp_path / "model")
    loaded = rc.load(tmp_path / "model")
    assert loaded.config() == model.config()
    assert loaded.source_tokenizer == words
    assert loaded.target_tokenizer.vocabulary == letters.vocabulary
    sentences = ["ein hund", "der", ""]
    assert loaded.translate(sentences, 2) == model.translate(sentences, 2)
    np.testing.assert_array_equal(
        loaded.score(sentences, ["a dog", "the", "a"]),
        model.score(sentences, ["a dog", "the", "a"]),
    )


def test_subwords_in_a_file(tmp_path: Path) -> None:
    pytest.importorskip("sentencepiece")
    lines = ["ein hund läuft", "a dog runs"] * 20
    pieces = rc.text.SentencePieceTokenizer.fit(lines, 34)
    model = rc.Seq2Seq(
        source_tokenizer=pieces,
        target_tokenizer=pieces,
        share_embeddings=True,
        hidden_size=4,
        rng=0,
    )
    rc.save(model, tmp_path / "model")
    loaded = rc.load(tmp_path / "model")
    assert loaded.translate(lines[:1], max_length=5) == model.translate(lines[:1], max_length=5)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"start": None}, "start: expected an id, or that of a tokenizer, got None"),
        ({"end": 6}, "end: expected"),
        ({"context": "all"}, "context: expected"),
        ({"context": "state", "score": "dot"}, "score: no option of context='state', got 'dot'"),
        ({"context": "conditional", "decoder_layers": 2}, "decoder_layers: expected 1 for context"),
        ({"num_layers": 0}, "num_layers: expected"),
        ({"bridge": "copy"}, "bridge: expected"),
        ({"reset": "before", "cell": "lstm"}, "reset"),
        ({"scheduled_sampling": 1.5}, "scheduled_sampling: expected"),
        ({"dropout": 1.0}, "dropout: expected"),
        ({"hidden": 5}, "hidden: no option of Seq2Seq; did you mean hidden_size?"),
    ],
)
def test_bad_options(options: dict[str, Any], message: str) -> None:
    with pytest.raises((TypeError, ValueError), match=message):
        translator(**options)


@pytest.mark.parametrize(
    ("arguments", "options", "message"),
    [
        ((None, 6), {}, "source_vocab_size: expected a number, or a source_tokenizer, got neither"),
        (
            (6, 7),
            {"share_embeddings": True},
            "share_embeddings: expected one vocabulary, got 6 and",
        ),
        (
            (6, 6),
            {"target_tokenizer": rc.text.ByteTokenizer()},
            "target_tokenizer: expected a vocabulary of target_vocab_size = 6 tokens, got 256",
        ),
    ],
)
def test_bad_vocabularies(arguments: Any, options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        rc.Seq2Seq(*arguments, start=0, end=1, **options)


@pytest.mark.parametrize(
    ("sources", "targets", "message"),
    [
        ([[2], [9]], [[2], [2]], r"sources\[1\]: expected ids in \[0, V=6\)"),
        ([[2]], [[-1]], r"targets\[0\]: expected ids"),
        (["a"], [[2]], r"sources\[0\]: expected ids, got text; the model has no tokenizer"),
        ([[2], [3]], [[2]], "targets: expected one for each of 2 sources, got 1"),
        ("abc", [[2]], "sources: expected a list of them, got"),
        ([], [], "targets: expected at least one, got none"),
    ],
)
def test_bad_pairs(sources: Any, targets: Any, message: str) -> None:
    model = translator()
    before = model.flat_params.copy()
    with pytest.raises((TypeError, ValueError), match=message):
        model.fit(sources, targets, TrainingConfig(epochs=1, validation_fraction=0))
    np.testing.assert_array_equal(model.flat_params, before)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"beam_size": 0}, "beam_size: expected"),
        ({"n_best": 9}, "n_best: expected"),
        ({"max_length": 0}, "max_length: expected"),
        ({"batch_size": 0}, "batch_size: expected"),
        ({"replace_unknown": 3}, "replace_unknown: expected"),
        ({"beams": 3}, "beams: no option of beam_search"),
        ({"length_penalty": -1}, "length_penalty: expected"),
    ],
)
def test_bad_searches(options: dict[str, Any], message: str) -> None:
    with pytest.raises((TypeError, ValueError), match=message):
        translator().translate(SOURCES, **options)


@pytest.mark.parametrize("context", ["attention", "conditional"])
@pytest.mark.parametrize(
    "option",
    [
        *("num_layers", "decoder_layers", "hidden_size", "embedding_size"),
        *("source_vocab_size", "target_vocab_size", "attention_size", "num_heads"),
    ],
)
def test_a_small_file_asks_for_little(option: str, context: str, tmp_path: Path) -> None:
    """Sizes in a file that its arrays do not have are refused before memory is taken."""
    rc.save(translator(context=context, score="additive"), tmp_path / "model")
    arrays = safetensors.numpy.load_file(tmp_path / "model")
    with safetensors.safe_open(tmp_path / "model", "np") as file:
        described = json.loads(file.metadata()["rnncore"])
    described["config"][option] = 10**9
    safetensors.numpy.save_file(
        arrays, tmp_path / "forged", metadata={"rnncore": json.dumps(described)}
    )
    with pytest.raises(ValueError, match="damaged rnncore file: "):
        rc.load(tmp_path / "forged")


def test_one_text_is_not_a_list_of_letters() -> None:
    """A text is iterable too, but its letters are no sources."""
    model = translator()
    for call in (model.translate, model.translations, model.translator().translations):
        with pytest.raises(TypeError, match="sources: expected a list of them, got"):
            call("abc")
    with pytest.raises(TypeError, match="expected a list of them, got"):
        model.score("abc", "abc")
