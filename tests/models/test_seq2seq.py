"""Seq2Seq: what it computes, its gradient, what it learns, translates and refuses, and files."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

import rnncore as rc
from finite_difference import finite_difference
from rnncore.data import Batch
from rnncore.models.decoders import DECODERS
from rnncore.text import CharTokenizer, WordTokenizer
from rnncore.training import OptimizerConfig, TrainingConfig

Array = NDArray[Any]
START, END = 0, 1
SOURCES = [[2, 3, 4, 2], [3], [], [5, 2, 2]]
TARGETS = [[4, 3], [], [2, 2, 5], [3]]
LETTERS = "abcde"
every_context = pytest.mark.parametrize("context", DECODERS)
attending = pytest.mark.parametrize(
    "context", [name for name in DECODERS if name not in ("fixed", "state")]
)


def translator(**options: Any) -> rc.Seq2Seq:
    sizes = {"embedding_size": 3, "hidden_size": 4, "start": START, "end": END, "rng": 0}
    return rc.Seq2Seq(6, 6, **(sizes | options))


def random(model: rc.Seq2Seq, scale: float = 0.5) -> rc.Seq2Seq:
    model.flat_params[:] = np.random.default_rng(1).standard_normal(model.num_params) * scale
    model.mark_changed()
    return model


def all_pairs(model: rc.Seq2Seq) -> Batch:
    (batch,) = model.batches(SOURCES, TARGETS).epoch(0)
    return batch


# --- what it computes ---------------------------------------------------------------------------


@every_context
@pytest.mark.parametrize("cell", ["rnn", "gru", "lstm"])
def test_gradient(context: str, cell: str) -> None:
    """Through output, decoder, attention, bridge and encoder; ragged, with an empty source."""
    model = random(translator(context=context, cell=cell, dtype=np.float64))
    batch = all_pairs(model)
    loss, _ = model.loss_and_grad(batch)
    assert loss == pytest.approx(model.loss(batch)[0], rel=1e-12)
    gradient = model.flat_grads.copy()
    numerical = finite_difference(lambda: model.loss(batch)[0], model.flat_params)
    # central differences in double: see finite_difference.LIMIT
    np.testing.assert_allclose(gradient, numerical, atol=1e-8 * max(1.0, np.abs(numerical).max()))


@pytest.mark.parametrize(
    "options",
    [
        {"bridge": "zero"},
        {"share_embeddings": True},
        {"tie_weights": False},
        {"reverse_source": True, "bidirectional": False},
        {"num_layers": 2},
        {"num_layers": 2, "decoder_layers": 1},
        {"num_layers": 1, "decoder_layers": 2},
        {"score": "additive", "attention_size": 2},
        {"embedding_size": 4, "context": "state"},
        {"num_layers": 2, "context": "fixed", "cell": "lstm"},
    ],
)
def test_gradient_of_options(options: dict[str, Any]) -> None:
    model = random(translator(dtype=np.float64, **options))
    batch = all_pairs(model)
    model.loss_and_grad(batch)
    gradient = model.flat_grads.copy()
    numerical = finite_difference(lambda: model.loss(batch)[0], model.flat_params)
    np.testing.assert_allclose(gradient, numerical, atol=1e-8 * max(1.0, np.abs(numerical).max()))


@every_context
def test_padding_is_not_read(context: str) -> None:
    """Neither ids past the ends nor neighbors in the batch change losses or gradients."""
    model = random(translator(context=context, dtype=np.float64))
    batch = all_pairs(model)
    loss, _ = model.loss_and_grad(batch)
    gradient = model.flat_grads.copy()
    (sources, inputs), lengths = batch.inputs, batch.lengths
    for ids, ends in zip((sources, inputs), lengths, strict=True):
        ids[np.arange(len(ids))[:, np.newaxis] >= ends] = 10**6
    model.zero_grad()
    assert model.loss_and_grad(batch)[0] == loss
    np.testing.assert_array_equal(model.flat_grads, gradient)
    alone = [model.score([s], [t])[0] for s, t in zip(SOURCES, TARGETS, strict=True)]
    np.testing.assert_allclose(model.score(SOURCES, TARGETS), alone, rtol=1e-12)
    count = sum(len(t) + 1 for t in TARGETS)
    assert -sum(alone) / count == pytest.approx(loss, rel=1e-12)


@every_context
@pytest.mark.parametrize("reverse", [False, True])
def test_steps_are_those_of_the_whole_pass(context: str, reverse: bool) -> None:
    """The decoder of a search gives the log-probabilities that `score` sums."""
    model = random(translator(context=context, reverse_source=reverse, dtype=np.float64))
    steps = model.decoder(SOURCES)
    state = steps.start(len(SOURCES))
    # the rows in another order, and one of them twice
    rows = np.array([3, 0, 1, 0])
    state = steps.select(state, rows)
    written = [[*TARGETS[row], END] for row in rows]
    totals = np.zeros(4)
    tokens = np.full(4, START)
    for t in range(max(map(len, written))):
        scores, state = steps.advance(tokens, state)
        log_p = scores.log_probabilities()
        for n, target in enumerate(written):
            if t < len(target):
                totals[n] += log_p[n, target[t]]
        tokens = np.array([target[min(t, len(target) - 1)] for target in written])
    np.testing.assert_allclose(totals, model.score(SOURCES, TARGETS)[rows], rtol=1e-12)


def test_reversal_is_that_of_the_sources() -> None:
    plain, reversing = (random(translator(reverse_source=r)) for r in (False, True))
    backward = [source[::-1] for source in SOURCES]
    np.testing.assert_array_equal(reversing.score(SOURCES, TARGETS), plain.score(backward, TARGETS))


def test_dropout_and_smoothing_act_in_training_only() -> None:
    model = translator(dropout=0.5)
    batch = all_pairs(model)
    assert len({model.loss_and_grad(batch)[0] for _ in range(5)}) == 5
    assert len({model.loss(batch)[0] for _ in range(2)}) == 1
    smooth = translator(label_smoothing=0.2)
    plain = translator()
    assert smooth.loss(batch) == plain.loss(batch)
    assert smooth.loss_and_grad(batch)[0] != plain.loss_and_grad(batch)[0]


def test_scheduled_sampling_reads_own_tokens() -> None:
    model = random(translator(dtype=np.float64), scale=2.0)
    batch = all_pairs(model)
    true = model.loss_and_grad(batch)[0]
    model.scheduled_sampling = 1.0
    ((head, y),), _ = model.outputs(batch)
    written = head(y).argmax(axis=-1)
    (sources, inputs), lengths = batch.inputs, batch.lengths
    own = inputs.copy()
    own[1:] = written[:-1]
    expected = model.loss(Batch((sources, own), batch.targets, lengths))[0]
    assert expected != pytest.approx(true)
    assert model.loss_and_grad(batch)[0] == pytest.approx(expected, rel=1e-12)
    assert model.loss(batch)[0] == pytest.approx(true, rel=1e-12)
    assert model.config()["scheduled_sampling"] == 1.0


# --- what it learns -----------------------------------------------------------------------------


def words_to_learn(seed: int = 3, count: int = 200) -> list[str]:
    rng = np.random.default_rng(seed)
    return ["".join(rng.choice(list(LETTERS), rng.integers(1, 6))) for _ in range(count)]


def learned(context: str, write: Any, **options: Any) -> rc.Seq2Seq:
    letters = CharTokenizer.fit(LETTERS, special_tokens=["<s>", "</s>"])
    sizes = {"embedding_size": 16, "hidden_size": 32, "rng": 0, "context": context}
    model = rc.Seq2Seq(source_tokenizer=letters, target_tokenizer=letters, **(sizes | options))
    words = words_to_learn()
    config = TrainingConfig(
        epochs=60,
        batch_size=16,
        validation_fraction=0,
        optimizer=OptimizerConfig(learning_rate=1e-2),
    )
    model.fit(words, [write(word) for word in words], config)
    return model


@every_context
@pytest.mark.parametrize("beam_size", [1, 3])
def test_learns_to_reverse(context: str, beam_size: int) -> None:
    model = learned(context, lambda word: word[::-1])
    words = words_to_learn()
    answers = model.translate(words, beam_size)
    assert np.mean([a == w[::-1] for a, w in zip(answers, words, strict=True)]) > 0.97


@attending
def test_alignments_of_a_copy_are_diagonal(context: str) -> None:
    model = learned(context, lambda word: word, reverse_source=True, bidirectional=True)
    hits = []
    for word, (best, *_) in zip(LETTERS, model.translations(["abc", "edcba", "bd"]), strict=False):
        assert best.alignment.shape == (len(best.tokens), len(best.source_tokens)), word
        np.testing.assert_allclose(best.alignment.sum(axis=1), 1, rtol=1e-5)
        hits += (best.alignment.argmax(axis=1) == np.arange(len(best.tokens))).tolist()
    assert np.mean(hits) > 0.6


def test_a_smoothed_model_learns_too() -> None:
    model = learned("attention", lambda word: word, label_smoothing=0.1)
    words = words_to_learn()
    assert np.mean([a == w for a, w in zip(model.translate(words, 1), words, strict=True)]) > 0.9


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
