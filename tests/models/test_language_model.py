"""The language model: probabilities, losses, gradients, learning and files."""

import copy
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

import rnncore as rc
from finite_difference import assert_gradient
from language_models import (
    MODELS,
    TEXT,
    log_probabilities,
    loss_and_grad,
    loss_of,
    make_model,
    text_model,
)
from rnncore.data import IGNORED, ContiguousBatches
from rnncore.models import Initialization, scored
from rnncore.text import CharTokenizer
from rnncore.training import OptimizerConfig, TrainingConfig

Array = NDArray[Any]
# --- probabilities ------------------------------------------------------------------------------


@pytest.mark.parametrize("name", MODELS)
def test_score_is_the_computation_step_by_step(
    name: str, dtype: type[np.floating], tolerance: float, seed: int
) -> None:
    model = make_model(name, dtype)
    ids = np.random.default_rng(seed).integers(0, 7, 20)
    expected = log_probabilities(model, ids[:-1])[np.arange(19), ids[1:]]
    scores = model.score(ids)
    assert scores.dtype == np.float64
    np.testing.assert_allclose(scores, expected, rtol=tolerance)


@pytest.mark.parametrize("name", MODELS)
def test_logits_are_those_of_the_score(name: str, seed: int) -> None:
    model = make_model(name, np.float64)
    ids = np.random.default_rng(seed).integers(0, 7, 12)
    logits, _ = model(ids)
    assert logits.shape == (12, 7)
    shifted = logits - np.log(np.exp(logits).sum(axis=1, keepdims=True))
    np.testing.assert_allclose(shifted, log_probabilities(model, ids), rtol=1e-12)


@pytest.mark.parametrize("length", [0, 1, 2, 7, 8, 15, 30])
def test_a_long_text_is_scored_in_pieces(monkeypatch: pytest.MonkeyPatch, length: int) -> None:
    """The state is carried from piece to piece, whatever the length is a multiple of."""
    model = make_model("lstm", np.float64)
    ids = np.random.default_rng(1).integers(0, 7, length)
    whole = model.score(ids)
    assert whole.shape == (max(0, length - 1),)
    monkeypatch.setattr(scored, "_SCORED_AT_ONCE", 7)
    np.testing.assert_allclose(model.score(ids), whole, rtol=1e-12)


def test_a_text_longer_than_one_piece() -> None:
    model = make_model("gru", np.float64)
    ids = np.random.default_rng(2).integers(0, 7, 2500)
    expected = log_probabilities(model, ids[:-1])[np.arange(2499), ids[1:]]
    np.testing.assert_allclose(model.score(ids), expected, rtol=1e-12)


def test_perplexity_is_exp_of_the_mean() -> None:
    model = make_model("lstm", np.float64)
    ids = np.random.default_rng(3).integers(0, 7, 30)
    assert model.perplexity(ids) == pytest.approx(np.exp(-model.score(ids).mean()), rel=1e-12)
    with pytest.raises(ValueError, match="expected at least 2"):
        model.perplexity([1])


def test_an_uncertain_model_has_the_perplexity_of_its_vocabulary() -> None:
    model = make_model("lstm")
    model.flat_params[:] = 0
    assert model.perplexity(np.arange(7)) == pytest.approx(7, rel=1e-6)


def test_text_is_scored_as_its_ids() -> None:
    model = text_model(hidden_size=8)
    ids = model.tokenizer.encode(TEXT)
    np.testing.assert_array_equal(model.score(TEXT), model.score(ids))
    assert model.perplexity(TEXT) == model.perplexity(ids)


# --- loss and gradient --------------------------------------------------------------------------


def draw_batch(seed: int) -> tuple[Array, Array]:
    ids = np.random.default_rng(seed).integers(0, 7, (6, 3))
    return ids[:-1].copy(), ids[1:].copy()  # [5,3]


@pytest.mark.parametrize("name", MODELS)
def test_loss_is_the_mean_of_the_scores(name: str, seed: int) -> None:
    model = make_model(name, np.float64)
    inputs, targets = draw_batch(seed)
    rows = np.concatenate([inputs[:1], targets])
    expected = -np.mean([model.score(rows[:, b]) for b in range(3)])
    assert loss_of(model, inputs, targets)[0] == pytest.approx(expected, rel=1e-12)
    assert loss_and_grad(model, inputs, targets)[0] == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize("name", MODELS)
def test_loss_does_not_count_what_is_ignored_or_past_the_end(name: str, seed: int) -> None:
    model = make_model(name, np.float64)
    inputs, targets = draw_batch(seed)
    lengths = np.array([4, 0, 5])
    rows = np.concatenate([inputs[:1], targets])
    scores = np.concatenate([model.score(rows[: n + 1, b]) for b, n in enumerate(lengths)])
    for loss in (loss_of, loss_and_grad):
        assert loss(model, inputs, targets, lengths=lengths)[0] == pytest.approx(
            -scores.mean(), rel=1e-12
        )
    targets[2, 0] = IGNORED
    scores = np.delete(scores, 2)
    for loss in (loss_of, loss_and_grad):
        assert loss(model, inputs, targets, lengths=lengths)[0] == pytest.approx(
            -scores.mean(), rel=1e-12
        )


@pytest.mark.parametrize("padding", [-1, IGNORED, 7, 2**40])
@pytest.mark.parametrize("name", ["gru", "lstm embedded"])
def test_padding_may_be_anything(name: str, padding: int, seed: int) -> None:
    inputs, targets = draw_batch(seed)
    lengths = [4, 0, 5]
    past = np.arange(5)[:, np.newaxis] >= lengths
    answers = []
    for ids, wanted in (
        (inputs, targets),
        (np.where(past, padding, inputs), np.where(past, padding, targets)),
    ):
        model = make_model(name, dropout=0.25)
        answer = [model(ids, None, lengths)[0], loss_of(model, ids, wanted, None, lengths)[0]]
        answer += [loss_and_grad(model, ids, wanted, None, lengths)[0], model.flat_grads]
        answers.append(answer)
    for one, other in zip(*answers, strict=True):
        np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize("kind", [np.uint8, np.int8, np.uint64])
def test_lengths_of_narrow_and_unsigned_ids(kind: type[np.integer]) -> None:
    model = make_model("lstm")
    ids = np.array([[1, 2], [3, 4]])
    loss, _ = loss_of(model, ids, ids, None, [2, 1])
    assert loss_of(model, ids.astype(kind), ids.astype(kind), None, [2, 1])[0] == loss


def test_the_length_of_one_sequence_may_be_a_number() -> None:
    for name in ("lstm", "lstm embedded"):
        model = make_model(name)
        ids, targets = [1, 2, 3], [2, 3, 4]
        expected = loss_of(model, ids[:2], targets[:2])[0]
        for length in (2, np.int32(2), [2], np.array([2])):
            assert model(ids, None, length)[0].shape == (3, 7)
            assert loss_of(model, ids, targets, None, length)[0] == pytest.approx(
                expected, rel=1e-6
            )
            loss, _ = loss_and_grad(model, ids, targets, None, length)
            assert loss == pytest.approx(expected, rel=1e-6)
        for call in (loss_of, loss_and_grad):
            with pytest.raises(ValueError, match=r"lengths: expected shape \[1\]"):
                call(model, [[1], [2]], [[2], [3]], None, 1)
            with pytest.raises(ValueError, match=r"lengths: expected values in \[0, T=3\], got 4"):
                call(model, ids, targets, None, 4)


@pytest.mark.parametrize("name", MODELS)
def test_nothing_to_predict_costs_nothing(name: str) -> None:
    model = make_model(name, dropout=0.5)
    for shape in [(0, 3), (3, 0), (0, 0), (0,)]:
        empty = np.zeros(shape, int)
        states = []
        for call in (loss_of, loss_and_grad):
            loss, state = call(model, empty, empty)
            assert loss == 0
            states.append(np.asarray(state))
        batch = shape[1:]
        assert states[0].shape[-1 - len(batch) :] == (*batch, 6)
        assert not np.any(states)
        assert not model.flat_grads.any()
        lengths = np.zeros(batch, int)
        assert loss_and_grad(model, empty, empty, None, lengths)[0] == 0
    assert loss_and_grad(model, [], [])[0] == 0
    ids = np.ones((4, 2), int)
    assert loss_and_grad(model, ids, np.full((4, 2), IGNORED))[0] == 0
    assert not model.flat_grads.any()


@pytest.mark.parametrize("lengths", [None, (2, 0, 5)], ids=["full", "ragged"])
@pytest.mark.parametrize("name", MODELS)
def test_gradient(name: str, lengths: tuple[int, ...] | None, seed: int) -> None:
    """From a state that is not zero, as in the middle of a text."""
    model = make_model(name, np.float64)
    inputs, targets = draw_batch(seed)
    _, state = loss_of(model, inputs, targets)
    loss_and_grad(model, inputs, targets, state, lengths)

    def loss() -> float:
        return loss_of(model, inputs, targets, state, lengths)[0]

    assert_gradient(loss, model.flat_params, model.flat_grads, name)


@pytest.mark.parametrize("name", ["lstm", "gru before embedded"])
def test_gradient_with_dropout(name: str, seed: int) -> None:
    """The masks are the same whenever the generator is: the loss is then a function to derive."""
    model = make_model(name, np.float64, dropout=0.4)
    inputs, targets = draw_batch(seed)
    generator = copy.deepcopy(model.rng.bit_generator.state)
    loss_and_grad(model, inputs, targets)
    gradient = model.flat_grads.copy()

    def loss() -> float:
        model.rng.bit_generator.state = generator
        return loss_and_grad(model, inputs, targets)[0]

    assert_gradient(loss, model.flat_params, gradient, name)


def test_dropout_acts_in_training_only(seed: int) -> None:
    plain, dropping = make_model("lstm"), make_model("lstm", dropout=0.5)
    inputs, targets = draw_batch(seed)
    assert loss_of(dropping, inputs, targets)[0] == loss_of(plain, inputs, targets)[0]
    losses = {loss_and_grad(dropping, inputs, targets)[0] for _ in range(4)}
    assert len(losses) == 4


def test_dropout_is_on_the_output_and_on_the_embedding() -> None:
    """A dropped unit leaves a column of zeros in the gradient of the layer that it feeds."""
    model = rc.LanguageModel(
        7, embedding_size=400, hidden_size=400, num_layers=1, dropout=0.3, rng=0
    )
    loss_and_grad(model, [[1]], [[2]])
    for name in ("output.weight", "rnn.weight_ih_l0"):
        share = np.mean(~model.grads[name].any(axis=0))
        assert 0.2 < share < 0.4, name  # .3 of 400 draws: the standard deviation is .023
    one_hot = rc.LanguageModel(400, hidden_size=8, num_layers=1, dropout=0.3, rng=0)
    ids = np.arange(400)[np.newaxis]  # each row reads one token, and no token is dropped
    loss_and_grad(one_hot, ids, ids)
    assert one_hot.grads["rnn.weight_ih_l0"].any(axis=0).all()


def test_gradients_add_up(seed: int) -> None:
    model = make_model("gru")
    inputs, targets = draw_batch(seed)
    loss_and_grad(model, inputs, targets)
    once = model.flat_grads.copy()
    loss_and_grad(model, inputs, targets)
    np.testing.assert_allclose(model.flat_grads, 2 * once, rtol=1e-5)


@pytest.mark.parametrize("cell", ["rnn", "gru", "lstm"])
def test_the_tutorials_network_knows_nothing_at_first(cell: str) -> None:
    model = rc.LanguageModel(100, cell, hidden_size=10, num_layers=1, bias=False)
    rc.init.default(model, rng=0)  # U(-1/sqrt(H), 1/sqrt(H)), as in the tutorial
    loss, _ = loss_and_grad(model, [0, 1, 2, 3], [1, 2, 3, 4])
    assert loss == pytest.approx(np.log(100), abs=0.2)


# --- truncated back-propagation through time ----------------------------------------------------


def test_carried_state_continues_the_text() -> None:
    """Losses of the pieces, weighted, are the loss of the whole: the forward pass is exact."""
    model = make_model("lstm", np.float64)
    ids = np.random.default_rng(4).integers(0, 7, 31)
    total, state = 0.0, None
    for batch in ContiguousBatches(ids, 2, 4).epoch(0):
        loss, state = loss_and_grad(model, batch.inputs, batch.targets, state)
        total += loss * batch.num_targets
    (whole,) = ContiguousBatches(ids, 2, 15).epoch(0)
    assert total / 30 == pytest.approx(loss_of(model, whole.inputs, whole.targets)[0], rel=1e-12)


def test_a_piece_that_covers_the_text_is_full_bptt() -> None:
    """And one step less is not: the gradient through the cut is missing."""
    ids = np.random.default_rng(5).integers(0, 7, 13)

    def gradient(bptt: int) -> Array:
        model = make_model("lstm", np.float64)
        state = None
        for batch in ContiguousBatches(ids, 1, bptt).epoch(0):
            # Means over a piece, weighted so that the pieces add up to the mean over the text.
            before = model.flat_grads.copy()
            _, state = loss_and_grad(model, batch.inputs, batch.targets, state)
            model.flat_grads[:] = before + (model.flat_grads - before) * len(batch.inputs) / 12
        return model.flat_grads

    model = make_model("lstm", np.float64)
    loss_and_grad(model, ids[:-1, np.newaxis], ids[1:, np.newaxis])
    np.testing.assert_allclose(gradient(12), model.flat_grads, rtol=1e-12, atol=1e-15)
    np.testing.assert_allclose(gradient(20), model.flat_grads, rtol=1e-12, atol=1e-15)
    assert np.abs(gradient(11) - model.flat_grads).max() > 1e-4


@pytest.mark.parametrize("embedding_size", [None, 3])
@pytest.mark.parametrize("cell", ["rnn", "gru", "lstm"])
def test_a_vocabulary_of_one_token(cell: str, embedding_size: int | None) -> None:
    """What comes next is certain: no loss, no gradient, nothing to learn, one thing to draw."""
    model = rc.LanguageModel(1, cell, embedding_size, hidden_size=5, dropout=0.3, rng=0)
    ids = np.zeros((6, 2), int)
    assert loss_of(model, ids, ids)[0] == 0
    assert loss_and_grad(model, ids, ids)[0] == 0
    assert not model.flat_grads.any()
    assert model.perplexity(ids[:, 0]) == 1
    before = model.flat_params.copy()
    result = model.fit(np.zeros(200, int), TrainingConfig(epochs=2, batch_size=2, bptt=5))
    assert set(result.losses) == {0}
    np.testing.assert_array_equal(model.flat_params, before)
    for options in ({}, {"temperature": 0}, {"top_k": 1}, {"top_p": 0.5}):
        assert model.sample([0], 4, rng=0, **options).tolist() == [0, 0, 0, 0]
    assert list(model.generate([0], 3, rng=0)) == [0, 0, 0]


# --- learning -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "options",
    [{"cell": "lstm"}, {"cell": "gru", "embedding_size": 16}, {"cell": "rnn"}],
    ids=["lstm", "gru", "rnn"],
)
def test_overfitting_a_short_text_and_reproducing_it(options: dict[str, Any]) -> None:
    text = TEXT + "the rest is silence.\n"
    model = text_model(text, hidden_size=64, num_layers=1, **options)
    config = TrainingConfig(
        epochs=250,
        batch_size=1,
        bptt=len(text),
        validation_fraction=0,
        optimizer=OptimizerConfig(learning_rate=1e-2),
    )
    result = model.fit(text, config)
    assert result.losses[0] == pytest.approx(np.log(model.vocab_size), abs=0.2)
    assert result.losses[-1] < 0.05
    assert model.perplexity(text) < 1.05
    assert model.sample(text[:1], len(text) - 1, temperature=0) == text


# --- configuration, files, copies ---------------------------------------------------------------


@pytest.mark.parametrize("name", MODELS)
def test_saved_and_loaded(name: str, tmp_path: Path) -> None:
    tokenizer = CharTokenizer("\nabcé\U0001f600")
    model = make_model(name, tokenizer=CharTokenizer("\nabcé \U0001f600"), dropout=0.25)
    rc.save(model, tmp_path / "model")
    loaded = rc.load(tmp_path / "model")
    assert loaded.config() == model.config()
    assert loaded.tokenizer == model.tokenizer != tokenizer
    np.testing.assert_array_equal(loaded.flat_params, model.flat_params)
    text = "abc é"
    np.testing.assert_array_equal(loaded.score(text), model.score(text))
    assert loaded.sample("a", 20, rng=1) == model.sample("a", 20, rng=1)


def test_a_model_of_ids_is_saved_without_vocabulary(tmp_path: Path) -> None:
    rc.save(make_model("lstm"), tmp_path / "model")
    assert rc.load(tmp_path / "model").tokenizer is None


def test_a_copy_is_independent() -> None:
    model = make_model("lstm embedded")
    other = copy.deepcopy(model)
    ids = np.arange(7)
    before = model.score(ids)
    np.testing.assert_array_equal(other.score(ids), before)
    other.flat_params[:] = 0
    np.testing.assert_array_equal(model.score(ids), before)


def test_the_seed_decides_the_parameters() -> None:
    assert np.array_equal(make_model("gru").flat_params, make_model("gru").flat_params)
    assert not np.array_equal(make_model("gru", rng=4).flat_params, make_model("gru").flat_params)


def test_bias_is_that_of_every_layer() -> None:
    names = set(make_model("gru").params)
    assert names == {"rnn.weight_ih_l0", "rnn.weight_hh_l0", "output.weight"}
    assert {"rnn.bias_ih_l0", "rnn.bias_hh_l0", "output.bias"} <= set(make_model("lstm").params)


def test_initialization() -> None:
    uniform = make_model("lstm embedded", initialization=Initialization("uniform", 0.02))
    assert 0.015 < np.abs(uniform.flat_params).max() <= 0.02
    forgetful = make_model("lstm", initialization=Initialization(forget_gate_bias=2.0))
    biases = forgetful.params["rnn.bias_ih_l1"] + forgetful.params["rnn.bias_hh_l1"]
    np.testing.assert_array_equal(biases[6:12], 2)
    orthogonal = make_model("gru", initialization=Initialization("orthogonal", 3.0))
    gate = orthogonal.params["rnn.weight_hh_l0"][6:12]
    np.testing.assert_allclose(gate @ gate.T, 9 * np.eye(6), atol=1e-5)
    identity = make_model("rnn sigmoid", initialization=Initialization("identity"))
    np.testing.assert_array_equal(identity.params["rnn.weight_hh_l0"], np.eye(6))
