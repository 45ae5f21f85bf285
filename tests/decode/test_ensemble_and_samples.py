"""Ensembles, and hypotheses drawn at random."""

import numpy as np
import pytest

import rnncore as rc
from decoders import Table

END = 1


def test_an_ensemble_averages_probabilities() -> None:
    models = [Table(5, sentences=3, seed=seed) for seed in range(3)]
    shares = np.array([1.0, 2.0, 5.0])
    average = Table(5, sentences=3)
    tables = np.exp([model.table for model in models])
    average.table = np.log(np.tensordot(shares / 8, tables, 1))
    options = {"start": 0, "end": END, "beam_size": 4, "n_best": 4, "max_length": 6}
    ours = rc.decode.beam_search(rc.decode.Ensemble(models, shares), 3, **options)
    for own, expected in zip(ours, rc.decode.beam_search(average, 3, **options), strict=True):
        for a, b in zip(own, expected, strict=True):
            assert a.tokens.tolist() == b.tokens.tolist()
            assert a.score == pytest.approx(b.score, rel=1e-12)  # logs are added in another order


def test_a_sentence_of_an_ensemble_does_not_depend_on_the_others() -> None:
    models = [
        rc.LanguageModel(70, cell, hidden_size=9, num_layers=2, rng=seed)
        for seed, cell in enumerate(("gru", "lstm"))
    ]
    both = rc.decode.Ensemble([model.decoder() for model in models])
    options = {"end": END, "beam_size": 4, "n_best": 4, "max_length": 7}
    starts = np.arange(13) + 2
    together = rc.decode.beam_search(both, 13, start=starts, **options)
    for start, own in zip(starts, together, strict=True):
        (alone,) = rc.decode.beam_search(both, 1, start=start, **options)
        assert [(h.tokens.tolist(), h.score) for h in alone] == [
            (h.tokens.tolist(), h.score) for h in own
        ]


def test_an_ensemble_of_one_and_of_twins_is_the_model() -> None:
    model = Table(5, sentences=2, source=3)
    options = {"start": 0, "end": END, "max_length": 6}
    expected = rc.decode.greedy(model, 2, **options)
    for decoders in ([model], [model, model, model]):
        found = rc.decode.greedy(rc.decode.Ensemble(decoders), 2, **options)
        for a, b in zip(found, expected, strict=True):
            assert a.tokens.tolist() == b.tokens.tolist()
            assert np.allclose(a.attention, b.attention, rtol=1e-12)


def test_a_weight_of_0_leaves_a_model_out() -> None:
    model, other = Table(5, seed=1), Table(5, seed=2)
    (a,) = rc.decode.greedy(rc.decode.Ensemble([other, model], [0, 1]), 1, start=0, end=END)
    (b,) = rc.decode.greedy(model, 1, start=0, end=END)
    assert a.tokens.tolist() == b.tokens.tolist()


def test_bad_ensembles() -> None:
    with pytest.raises(ValueError, match="decoders: expected at least one"):
        rc.decode.Ensemble([])
    with pytest.raises(ValueError, match="decoders: expected one vocab_size"):
        rc.decode.Ensemble([Table(4), Table(5)])
    for weights in ([1.0], [-1.0, 2.0], [0.0, 0.0], [np.nan, 1.0], ["a", "b"]):
        with pytest.raises((TypeError, ValueError), match="weights: expected"):
            rc.decode.Ensemble([Table(4), Table(4)], weights)


def test_samples_have_the_probabilities_of_the_model() -> None:
    decoder = Table(4, seed=3)
    count = 20_000
    (drawn,) = rc.decode.sample(
        decoder, 1, start=0, end=END, num_samples=count, max_length=1, rng=0
    )
    first = [int(h.tokens[0]) if h.tokens.size else END for h in drawn]
    shares = np.bincount(first, minlength=4) / count
    p = np.exp(decoder.table[0, 0, 0])
    # five standard deviations of a share
    assert np.all(abs(shares - p) < 5 * np.sqrt(p * (1 - p) / count))


def test_options_of_samples() -> None:
    decoder = Table(6, sentences=2, seed=4)
    options = {"start": 0, "end": END, "max_length": 6}
    greedy = rc.decode.greedy(decoder, 2, **options)
    for cold in ({"temperature": 0}, {"top_k": 1}, {"top_p": 1e-6}):
        for own, best in zip(
            rc.decode.sample(decoder, 2, num_samples=3, rng=0, **options, **cold),
            greedy,
            strict=True,
        ):
            assert all(h.tokens.tolist() == best.tokens.tolist() for h in own)
            assert own[0].log_probability == pytest.approx(best.log_probability, rel=1e-12)


def test_a_sample_does_not_depend_on_the_others() -> None:
    decoder = Table(6, sentences=4, seed=5)
    options = {"start": 0, "end": END, "max_length": 9, "rng": 7}
    (alone,) = rc.decode.sample(decoder.alone(0), 1, **options)
    together = rc.decode.sample(decoder, 4, **options)
    assert together[0][0].tokens.tolist() == alone[0].tokens.tolist()
    given = {**options, "max_length": [1, 9, 2, 9]}  # others leave the batch earlier
    shorter = rc.decode.sample(decoder, 4, **given)
    assert shorter[3][0].tokens.tolist() == together[3][0].tokens.tolist()
    assert len(together[3][0].log_probabilities) > 2
    again = rc.decode.sample(decoder, 4, **options)
    assert [own[0].tokens.tolist() for own in again] == [o[0].tokens.tolist() for o in together]


def test_prefixes_of_samples() -> None:
    decoder = Table(6, sentences=2, seed=6)
    for own in rc.decode.sample(
        decoder, 2, start=0, end=END, num_samples=5, prefixes=[[3, 2], []], max_length=5, rng=0
    )[:1]:
        assert all(h.tokens[:2].tolist() == [3, 2] for h in own)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"temperature": -1}, "temperature: expected"),
        ({"top_p": 0}, "top_p: expected"),
        ({"top_k": -1}, "top_k: expected"),
        ({"num_samples": 0}, "num_samples: expected"),
        ({"rng": "x"}, "rng"),
    ],
)
def test_bad_samples(options: dict[str, object], message: str) -> None:
    with pytest.raises((TypeError, ValueError), match=message):
        rc.decode.sample(Table(4), 1, start=0, end=END, **options)  # type: ignore[arg-type]
