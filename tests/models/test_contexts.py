"""Language models that read a vector with each sequence."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import rnncore as rc
from rnncore.data import Batch, ContiguousBatches, SentenceBatches

KINDS = [
    {"cell": "gru"},
    {"cell": "lstm", "embedding_size": 5, "num_layers": 2},
    {"cell": "rnn", "bias": False},
    {"cell": "gru", "embedding_size": 4, "bias": False, "reset": "before"},
]
FORMATS = (None, "bfloat16", "int8", "int8_dynamic")


def make(options: dict[str, Any], dtype: Any = np.float32) -> rc.LanguageModel:
    given: dict[str, Any] = {"num_layers": 1, "hidden_size": 6, **options}
    return rc.LanguageModel(7, context_size=3, dtype=dtype, rng=1, **given)


@pytest.mark.parametrize("options", KINDS, ids=str)
def test_the_layers_read_tokens_beside_contexts(options: dict[str, Any], dtype: Any) -> None:
    model = make(options, dtype)
    rng = np.random.default_rng(0)
    ids, contexts = rng.integers(0, 7, (5, 4)), rng.standard_normal((4, 3))
    lengths = np.array([5, 0, 1, 3])
    logits, state = model(ids, lengths=lengths, contexts=contexts)
    x = np.eye(7)[ids] if model.embedding is None else model.embedding(ids)
    wide = np.concatenate([x, np.broadcast_to(contexts, (5, 4, 3))], -1).astype(dtype)
    y, final = model.rnn(wide, lengths=lengths)
    assert np.array_equal(logits, model.output(y))
    for ours, theirs in zip(*map(as_tuple, (state, final)), strict=True):
        assert np.array_equal(ours, theirs)


def as_tuple(state: Any) -> tuple[Any, ...]:
    return state if isinstance(state, tuple) else (state,)


@pytest.mark.parametrize("options", KINDS, ids=str)
def test_gradients(options: dict[str, Any]) -> None:
    model = make(options, np.float64)
    rng = np.random.default_rng(0)
    ids, contexts = rng.integers(0, 7, (6, 3)), rng.standard_normal((3, 3))
    batch = Batch(ids[:-1], ids[1:], [5, 2, 4], contexts=contexts)
    model.zero_grad()
    model.loss_and_grad(batch)
    gradient = model.flat_grads.copy()
    for i in rng.integers(0, model.num_params, 40):
        value = model.flat_params[i]
        losses = []
        for step in (1e-6, -1e-6):
            model.flat_params[i] = value + step
            model.mark_changed()
            losses.append(model.loss(batch)[0])
        model.flat_params[i] = value
        # the third derivative times 1e-12, and the rounding of a loss of about 2 over 2e-6
        assert gradient[i] == pytest.approx((losses[0] - losses[1]) / 2e-6, abs=1e-8)


def test_pieces_of_a_batch_keep_the_contexts() -> None:
    model = make(KINDS[1], np.float64)
    rng = np.random.default_rng(0)
    ids, contexts = rng.integers(0, 7, (7, 2)), rng.standard_normal((2, 3))
    whole = model.loss_and_grad(Batch(ids[:-1], ids[1:], contexts=contexts))[0]
    pieces = model.loss_and_grad(Batch(ids[:-1], ids[1:], contexts=contexts, bptt=2))[0]
    assert pieces == pytest.approx(whole, rel=1e-12)


@pytest.mark.parametrize("weight_format", FORMATS)
@pytest.mark.parametrize("options", KINDS, ids=str)
def test_scores_and_samples(options: dict[str, Any], weight_format: str | None) -> None:
    """In the kernel's sampler the context is a part of the bias."""
    model = make(options)
    rng = np.random.default_rng(0)
    ids, contexts = rng.integers(0, 7, (4, 9)), rng.standard_normal((4, 3))
    trees = model.score_prefix_tree(list(ids), weight_format, contexts=contexts)
    greedy = rc.decode.greedy(
        model.decoder(weight_format, contexts), 4, start=ids[:, 0], end=None, max_length=5
    )
    for n in range(4):
        scores = model.score(ids[n], weight_format, context=contexts[n])
        logits, _ = model(ids[n], contexts=contexts[n])
        p = logits - np.log(np.exp(logits).sum(-1, keepdims=True))
        exact = p[np.arange(8), ids[n, 1:]]
        # weights off by 2^-8 of the greatest of a row; activations too in int8_dynamic
        tolerance = 1e-5 if weight_format is None else 0.1
        assert np.allclose(scores, exact, atol=tolerance)
        assert np.allclose(trees[n], exact, atol=tolerance)
        if weight_format != "int8_dynamic":  # which rounds the context with the other inputs there
            drawn = model.sample(
                ids[n, :1], 5, temperature=0, weight_format=weight_format, context=contexts[n]
            )
            assert greedy[n].tokens.tolist() == drawn.tolist()
        assert not np.allclose(model.score(ids[n], context=-contexts[n]), exact, atol=1e-3)


@pytest.mark.parametrize("weight_format", FORMATS)
@pytest.mark.parametrize("options", KINDS, ids=str)
def test_files(options: dict[str, Any], weight_format: str | None, tmp_path: Path) -> None:
    model = make(options)
    model.weight_format = weight_format
    rc.save(model, tmp_path / "model")
    loaded = rc.load(tmp_path / "model")
    ids, context = np.arange(7), np.array([1.0, -2.0, 0.5])
    assert loaded.context_size == 3
    assert np.array_equal(loaded.score(ids, context=context), model.score(ids, context=context))
    assert np.array_equal(
        loaded.sample([0], 20, rng=0, context=context),
        model.sample([0], 20, rng=0, context=context),
    )


def tagged_lines() -> tuple[rc.text.CharTokenizer, str, Any]:
    """Lines that nothing but their context tells apart."""
    words, count = ("aa", "bc", "cb"), 20
    contexts = np.tile(np.eye(3), (count, 1))
    return rc.text.CharTokenizer("abc\n"), "".join(f"{w}\n" for w in words * count), contexts


def test_a_model_learns_to_read_contexts() -> None:
    tokenizer, text, contexts = tagged_lines()
    model = rc.LanguageModel(
        4, "gru", hidden_size=16, num_layers=1, context_size=3, tokenizer=tokenizer, rng=0
    )
    config = rc.training.TrainingConfig(sentences=True, epochs=40, batch_size=6)
    result = model.fit(text, config, contexts=contexts)
    assert result.best.loss < 0.05
    for context, word in zip(np.eye(3), ("aa", "bc", "cb"), strict=True):
        assert model.sample("", 5, temperature=0, context=context) == word
        assert "".join(model.generate("", 5, temperature=0, context=context)) == word
    found = model.beam_search(["", "b", ""], 5, contexts=np.eye(3), beam_size=2)
    assert [own[0][0] for own in found] == ["aa", "bc", "cb"]
    rescored = rc.decode.rescore(model, [[(-1.0, "bc"), (-1.0, "cb")]] * 2, contexts=np.eye(3)[1:])
    assert [own[0].index for own in rescored] == [0, 1]


def test_held_out_lines_keep_their_contexts() -> None:
    tokenizer, text, contexts = tagged_lines()
    model = rc.LanguageModel(4, hidden_size=4, context_size=3, tokenizer=tokenizer, rng=0)
    config = rc.training.TrainingConfig(sentences=True, validation_fraction=0.33, batch_size=7)
    seen = 0
    for batches in model.batches(text, config, contexts=contexts):
        assert batches is not None
        for batch in batches.epoch(0):
            firsts = [tokenizer.encode(w)[0] for w in ("aa", "bc", "cb")]
            assert batch.targets[0].tolist() == [firsts[i] for i in batch.contexts.argmax(1)]
            seen += batch.inputs.shape[1]
    assert seen == len(contexts)
    with pytest.raises(ValueError, match="contexts: expected shape"):
        model.batches(text, config, contexts=contexts[1:])


def test_initial_weights_of_contexts_are_those_of_a_vector() -> None:
    """One-hot vectors have larger ones, because one element of many counts."""
    model = rc.LanguageModel(50, hidden_size=64, num_layers=1, context_size=30, rng=0)
    weight = model.rnn.params["weight_ih_l0"]
    assert np.std(weight[:, :50]) == pytest.approx(2, rel=0.1)
    assert abs(weight[:, 50:]).max() <= 1 / 8


def test_rows_of_rows() -> None:
    model = make(KINDS[1])
    contexts = np.random.default_rng(0).standard_normal((4, 3))
    decoder = model.decoder(contexts=contexts)
    _, state = decoder.advance(np.arange(4), decoder.start(4))
    first, second = np.array([3, 1, 1, 0, 2]), np.array([4, 0, 0, 2])
    twice = decoder.advance(np.arange(4), decoder.select(decoder.select(state, first), second))
    once = decoder.advance(np.arange(4), decoder.select(state, first[second]))
    assert np.array_equal(twice[0].log_probabilities(), once[0].log_probabilities())


def test_one_context_of_a_whole_text() -> None:
    model = make(KINDS[0])
    config = rc.training.TrainingConfig(epochs=1, batch_size=2)
    training, validation = model.batches(np.arange(90) % 7, config, contexts=[1.0, 2.0, 3.0])
    assert validation is not None
    for batches in (training, validation):
        for batch in batches.epoch(0):
            assert np.array_equal(batch.contexts, [[1, 2, 3]] * batch.inputs.shape[1])
    model.fit(np.arange(90) % 7, config, contexts=[1.0, 2.0, 3.0])


def test_batches_deal_each_sentence_with_its_context() -> None:
    sentences = [[n, *([6] * (1 + n % 4))] for n in range(6)]
    batches = SentenceBatches(sentences, 4, seed=0, contexts=np.arange(6)[:, np.newaxis])
    seen = []
    for batch in batches.epoch(1):
        assert np.array_equal(batch.contexts[:, 0], batch.inputs[0])
        seen += batch.contexts[:, 0].tolist()
    assert sorted(seen) == list(range(6))
    others = SentenceBatches(sentences, 4, seed=0, contexts=np.ones((6, 1)))
    assert others.checksum() != batches.checksum()
    texts = [ContiguousBatches(range(9), 2, 3, context=c) for c in (None, [1.0], [2.0])]
    assert len({batches.checksum() for batches in texts}) == 3
    with pytest.raises(ValueError, match="contexts: expected shape"):
        SentenceBatches(sentences, 4, contexts=np.ones((5, 1)))
    with pytest.raises(ValueError, match="context: expected shape"):
        ContiguousBatches(range(9), 2, 3, context=[[1.0]])


def test_contexts_that_do_not_fit() -> None:
    model, plain = make(KINDS[0]), rc.LanguageModel(7, hidden_size=4, rng=0)
    ids = np.zeros((3, 2), np.int64)
    for contexts, message in (
        (None, "contexts: expected an array of shape"),
        (np.zeros((3, 3)), "contexts: expected shape"),
        (np.zeros((2, 4)), "contexts: expected shape"),
        (np.full((2, 3), np.nan), "contexts: expected finite numbers"),
        (np.full((2, 3), 1e300), "contexts: expected finite numbers of float32"),
        (np.full((2, 3), "a"), "contexts: expected numbers"),
    ):
        with pytest.raises((TypeError, ValueError), match=message):
            model(ids, contexts=contexts)
        with pytest.raises((TypeError, ValueError), match="contexts: expected"):
            rc.decode.greedy(model.decoder(contexts=contexts), 2, start=0, end=None, max_length=2)
    with pytest.raises(ValueError, match="context: expected an array of shape"):
        model.score([1, 2])
    with pytest.raises(ValueError, match="context: expected shape"):
        model.sample([1], 3, context=np.zeros(4))
    for call in (
        lambda: plain(ids, contexts=np.zeros((2, 3))),
        lambda: plain.score([1, 2], context=np.zeros(3)),
        lambda: plain.decoder(contexts=np.zeros((2, 3))),
        lambda: plain.batches(np.arange(90) % 7, contexts=np.zeros(3)),
    ):
        with pytest.raises(ValueError, match=r"contexts?: expected None for a model without"):
            call()
    with pytest.raises(ValueError, match="contexts: expected an array of shape"):
        model.batches(np.arange(90) % 7)
    with pytest.raises(ValueError, match="context_size: expected at least 1"):
        rc.LanguageModel(7, context_size=0)
