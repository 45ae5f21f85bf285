"""Seq2Seq: what it computes, its gradient, what it learns, translates and refuses, and files."""

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

import rnncore as rc
from finite_difference import finite_difference
from rnncore.data import Batch
from rnncore.text import CharTokenizer
from rnncore.training import OptimizerConfig, TrainingConfig
from translators import (
    END,
    SOURCES,
    START,
    TARGETS,
    all_pairs,
    attending,
    every_context,
    random,
    translator,
)

Array = NDArray[Any]
LETTERS = "abcde"


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


@every_context
def test_the_same_bits_for_any_number_of_threads(context: str) -> None:
    rng = np.random.default_rng(0)
    sources = [rng.integers(0, 6, length) for length in rng.integers(0, 30, 40)]
    targets = [rng.integers(0, 6, length) for length in rng.integers(0, 30, 40)]
    before = rc.get_num_threads()
    found = []
    for threads in (1, 2, 3):
        model = translator(context=context, hidden_size=70, embedding_size=33, dropout=0.2)
        rc.set_num_threads(threads)
        try:
            for batch in model.batches(sources, targets, 20).epoch(0):
                model.loss_and_grad(batch)
            found.append((model.flat_grads, model.score(sources, targets)))
        finally:
            rc.set_num_threads(before)
    for gradient, scores in found[1:]:
        np.testing.assert_array_equal(gradient, found[0][0])
        np.testing.assert_array_equal(scores, found[0][1])


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
