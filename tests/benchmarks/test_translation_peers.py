"""The peers of translation and recognition compute what rnncore computes."""

import importlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import rnncore as rc
from rnncore.decode import beam_search

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def modules(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Import a module of the folder of benchmarks."""
    pytest.importorskip("torch")
    monkeypatch.syspath_prepend(str(ROOT / "benchmarks"))
    return importlib.import_module


def test_translators_are_equal(modules: Any) -> None:
    bench, peers = map(modules, ("bench_translation", "translation_peer"))
    model, batch = bench.translator(50, 8), bench.pairs(50, 6)
    peer = peers.Peer(model)
    loss = peer.loss(peer.tensors(batch))
    assert loss.item() == pytest.approx(model.loss_and_grad(batch)[0], rel=1e-5)  # float32
    loss.backward()
    for ours, theirs in (
        ("encoder.weight_ih_l0_reverse", peer.encoder.weight_ih_l0_reverse),
        ("embedding.weight", peer.target.weight),
        ("writer.attention.key_projection.weight", peer.keys.weight),
    ):
        gradient = model.grads[ours]
        np.testing.assert_allclose(theirs.grad, gradient, atol=1e-5 * np.abs(gradient).max())
    sources = bench.sentences(4, 50)
    ids, lengths = rc.data.pad(sources)
    options = {"start": bench.START, "end": None, "beam_size": 3, "max_length": 6}
    found = beam_search(model.decoder(sources), 4, **options)
    theirs = beam_search(peers.PeerDecoder(peer, ids, lengths), 4, **options)
    for (ours,), (other,) in zip(found, theirs, strict=True):
        assert ours.tokens.tolist() == other.tokens.tolist()
        assert ours.score == pytest.approx(other.score, rel=1e-5)


def test_recognizers_are_equal(modules: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    bench = modules("bench_recognition")
    losses: list[Any] = []
    monkeypatch.setattr(bench, "torch_training", lambda _, loss: losses.append(loss))
    model, batch = bench.Recognizer(rng=0), bench.utterances()
    bench.torch_steps(model, batch, 1)
    packed, padded = (loss().item() for loss in losses)
    ours = model.loss(batch)[0]
    assert packed == pytest.approx(ours, rel=1e-5)  # sums of float32 over 120 frames
    assert padded != pytest.approx(ours, rel=1e-5)  # its reverse direction reads the padding
