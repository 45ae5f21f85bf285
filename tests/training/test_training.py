"""The training loop: what is kept, saved, carried and scheduled, and what ends a run."""

import math
import signal
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

import rnncore as rc
from rnncore import datasets
from rnncore.data import ContiguousBatches
from rnncore.progress import Report
from rnncore.text import CharTokenizer
from rnncore.training import (
    OptimizerConfig,
    ScheduleConfig,
    TrainingConfig,
    Validation,
    evaluate,
    fit,
)
from rnncore.training import clock as clock_module
from trainables import Counter, Recorder, Ticks, plain


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> SimpleNamespace:
    """A clock that stands still unless `clock.now` is changed."""
    fake = SimpleNamespace(now=0.0)
    monkeypatch.setattr(clock_module, "time", SimpleNamespace(perf_counter=lambda: fake.now))
    return fake


# --- the best model -----------------------------------------------------------------------------


def test_the_best_model_is_kept(tmp_path: Path) -> None:
    """Validation losses fall until w = 6 and rise again; the file follows."""
    model = Counter(lambda w: abs(w - 6))
    path = tmp_path / "model"
    result = fit(model, Ticks(2), Ticks(1), plain(epochs=5), path=path)
    assert result.validations == [
        Validation(epoch, 2 * epoch, loss) for epoch, loss in enumerate([4, 2, 0, 2, 4], start=1)
    ]
    assert result.best == Validation(3, 6, 0)
    assert model.w == 6
    assert rc.load(path).params["w"] == 6
    assert result.losses == [1.0] * 10
    assert result.num_targets == 10
    assert not result.interrupted


def test_each_better_model_is_saved_at_once(tmp_path: Path) -> None:
    """So that a kill during the run leaves the best so far."""
    path = tmp_path / "model"
    saved = []

    class Reader(Recorder):
        def show(self, report: Report) -> None:
            saved.append(float(rc.load(path).params["w"][0]))

    curve = {1.0: 5.0, 2.0: 3.0, 3.0: 4.0, 4.0: math.nan, 5.0: 1.0}
    fit(
        Counter(curve.__getitem__),
        Ticks(1),
        Ticks(1),
        plain(epochs=5),
        path=path,
        progress=Reader(),
    )
    assert saved == [1, 2, 2, 2, 5]


def test_without_validation_the_last_model_is_kept(tmp_path: Path) -> None:
    model = Counter()
    config = plain(epochs=2)
    result = fit(model, Ticks(3), config=config, path=tmp_path / "model")
    assert result.best is None
    assert model.w == 6
    assert rc.load(tmp_path / "model").params["w"] == 6


def test_validate_every() -> None:
    """Also in the middle of an epoch; at its end once, not twice."""
    config = plain(epochs=2, validate_every=2)
    result = fit(Counter(), Ticks(4), Ticks(1), config)
    assert [(v.epoch, v.update) for v in result.validations] == [(1, 2), (1, 4), (2, 6), (2, 8)]
    result = fit(Counter(), Ticks(3), Ticks(1), config)
    assert [(v.epoch, v.update) for v in result.validations] == [(1, 2), (1, 3), (2, 4), (2, 6)]


def test_validation_counts_every_target_once() -> None:
    """One stream is the whole text with its context: the score. More begin again and cost a bit."""
    text = datasets.tinyshakespeare()[:3001]
    tokenizer = CharTokenizer.fit(text)
    model = rc.LanguageModel(tokenizer.vocab_size, tokenizer=tokenizer, hidden_size=16, rng=0)
    ids = tokenizer.encode(text)
    exact = -model.score(ids).mean()
    one = evaluate(model, ContiguousBatches(ids, 1, 128, pad=True))
    assert one.loss == pytest.approx(exact, rel=1e-6)
    streams = evaluate(model, ContiguousBatches(ids, 7, 64, pad=True))
    starts = np.linspace(0, 3000, 8)  # 3000 targets in 7 streams of 429 or less
    parts = [ids[math.ceil(a / 429) * 429 :][:430] for a in starts[:-1]]
    expected = -np.concatenate([model.score(part) for part in parts]).mean()
    assert streams.loss == pytest.approx(expected, rel=1e-6)


# --- what ends a run ----------------------------------------------------------------------------


def test_interrupt_keeps_the_best_model(tmp_path: Path) -> None:
    model = Counter(lambda w: abs(w - 2))
    recorder = Recorder(raise_at=4)
    config = plain(epochs=9)
    path = tmp_path / "model"
    result = fit(model, Ticks(1), Ticks(1), config, path=path, progress=recorder)
    assert result.interrupted
    assert len(result.losses) == 4
    assert model.w == 2
    assert rc.load(path).params["w"] == 2


def test_interrupt_before_any_validation_keeps_the_last_model(tmp_path: Path) -> None:
    model = Counter()
    recorder = Recorder(interval=0, raise_at=3)
    path = tmp_path / "model"
    result = fit(model, Ticks(9), Ticks(1), path=path, progress=recorder)
    assert result.interrupted
    assert len(result.losses) == 3
    assert rc.load(path).params["w"] == model.w > 0


def test_interrupt_before_the_first_update_saves_nothing(tmp_path: Path) -> None:
    def interrupt(_: float) -> float:
        raise KeyboardInterrupt

    model = Counter()
    model.training_loss = interrupt
    path = tmp_path / "model"
    path.write_text("precious")
    result = fit(model, Ticks(9), Ticks(1), path=path, overwrite=True)
    assert result.interrupted
    assert result.losses == []
    assert path.read_text() == "precious"


PROGRAM = """
import signal, sys
import rnncore as rc
from rnncore import datasets
from rnncore.progress import PlainProgress
from rnncore.text import CharTokenizer
from rnncore.training import TrainingConfig

# Python's own handler, also where a shell started the tests with SIGINT ignored.
signal.signal(signal.SIGINT, signal.default_int_handler)
text = datasets.tinyshakespeare()[:20000]
tokenizer = CharTokenizer.fit(text)
model = rc.LanguageModel(tokenizer.vocab_size, hidden_size=32, tokenizer=tokenizer, rng=0)
config = TrainingConfig(epochs=10**6, bptt=16)
result = model.fit(text, config, path=sys.argv[1], progress=PlainProgress(sys.stdout, interval=0))
print("interrupted" if result.interrupted else "ended")
print(result.best.loss if result.best else "no validation")
"""


@pytest.mark.parametrize("wait_for", ["loss", "validation"])
def test_ctrl_c(tmp_path: Path, wait_for: str) -> None:
    """In a real process, before and after the first validation."""
    path = tmp_path / "model"
    with subprocess.Popen(
        [sys.executable, "-c", PROGRAM, str(path)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None
        for line in process.stdout:
            if wait_for in line:
                break
        process.send_signal(signal.SIGINT)
        output, errors = process.communicate(timeout=60)
    assert errors == ""
    assert process.returncode == 0
    assert "interrupted" in output
    model = rc.load(path)
    assert model.perplexity(datasets.tinyshakespeare()[:500]) < 100
    if wait_for == "validation":
        held_out = datasets.tinyshakespeare()[18000:20000]
        streams = ContiguousBatches(model.tokenizer.encode(held_out), 3, 128, pad=True)
        best = float(output.split()[-1])
        assert evaluate(model, streams).loss == pytest.approx(best, rel=1e-6)


def test_divergence_is_an_error_and_keeps_the_best_model(tmp_path: Path) -> None:
    model = Counter()
    model.training_loss = lambda w: 1.0 if w < 3 else math.inf
    with pytest.raises(FloatingPointError, match=r"the loss of update 4 is not finite \(loss"):
        fit(model, Ticks(1), Ticks(1), plain(), path=tmp_path / "model")
    assert model.w == 3
    assert rc.load(tmp_path / "model").params["w"] == 3


def test_skipped_updates_are_counted() -> None:
    """The optimizer leaves the parameters as they are where the gradients are not finite."""
    model = Counter()
    model.broken = {2, 3, 7}
    recorder = Recorder()
    result = fit(model, Ticks(4), Ticks(1), plain(epochs=2, non_finite="skip"), progress=recorder)
    assert result.skipped == 3
    assert len(result.losses) == 8
    assert model.w == 5
    assert [report.skipped for report in recorder.reports] == [2, 3]


def test_an_epoch_without_a_finite_gradient_is_divergence(tmp_path: Path) -> None:
    model = Counter()
    model.broken = range(5, 100)
    config = plain(epochs=9, non_finite="skip")
    with pytest.raises(FloatingPointError, match="gradients of the last 4 of 8 updates are not"):
        fit(model, Ticks(4), Ticks(1), config, path=tmp_path / "model")
    assert model.w == 4
    assert rc.load(tmp_path / "model").params["w"] == 4


def test_many_gradients_in_a_row_that_are_not_finite_are_divergence() -> None:
    model = Counter()
    model.broken = range(51, 1000)
    with pytest.raises(FloatingPointError, match="gradients of the last 100 of 150 updates"):
        fit(model, Ticks(1000), config=plain(epochs=1, non_finite="skip"))
    assert model.w == 50


def test_a_time_limit_without_any_update_is_divergence(clock: SimpleNamespace) -> None:
    model = Counter()

    def tick(_: float) -> float:
        clock.now += 1.0
        return 1.0

    model.training_loss, model.broken = tick, range(100)
    with pytest.raises(FloatingPointError, match="the last 3 of 3 updates"):
        fit(model, Ticks(50), Ticks(1), plain(epochs=1, time_limit=3.0, non_finite="skip"))


def test_a_skipped_update_at_the_time_limit_is_no_divergence(
    clock: SimpleNamespace, tmp_path: Path
) -> None:
    model = Counter()

    def tick(_: float) -> float:
        clock.now += 1.0
        return 1.0

    model.training_loss, model.broken = tick, {6}
    config = plain(epochs=9, time_limit=6.0, non_finite="skip")
    result = fit(model, Ticks(5), config=config, path=tmp_path / "model")
    assert (len(result.losses), result.skipped, model.w) == (6, 1, 5)
    assert rc.load(tmp_path / "model").params["w"] == 5


def test_a_finite_loss_with_infinite_gradients_is_no_success() -> None:
    """A state of zero hides recurrent weights that are far too large; gradients show them."""
    text = "to be or not to be\n" * 20
    tokenizer = CharTokenizer.fit(text)
    model = rc.LanguageModel(
        tokenizer.vocab_size,
        "rnn",
        hidden_size=8,
        num_layers=1,
        tokenizer=tokenizer,
        nonlinearity="identity",
        rng=0,
    )
    for name in ("weight_ih_l0", "bias_ih_l0", "bias_hh_l0"):
        model.rnn.params[name].fill(0)
    model.rnn.params["weight_hh_l0"][...] = np.eye(8) * 1e20
    before = model.flat_params.copy()
    with pytest.raises(FloatingPointError, match="gradients"):
        model.fit(text, TrainingConfig(epochs=3, batch_size=4, bptt=8))
    np.testing.assert_array_equal(model.flat_params, before)


def test_unwritable_path_is_refused_before_the_work(tmp_path: Path) -> None:
    model = Counter()
    with pytest.raises(FileNotFoundError, match="nowhere"):
        fit(model, Ticks(1), path=tmp_path / "nowhere" / "model")
    with pytest.raises(IsADirectoryError):
        fit(model, Ticks(1), path=tmp_path)
    assert model.values == []
    assert list(tmp_path.iterdir()) == []


def test_an_existing_file_is_replaced_only_when_told(tmp_path: Path) -> None:
    """The model of an earlier run may be better."""
    model, path = Counter(), tmp_path / "model"
    path.write_text("precious")
    link = tmp_path / "link"
    link.symlink_to(path)
    for existing in (path, link):
        with pytest.raises(FileExistsError, match=r"overwrite=True replaces it.*(model|link)'$"):
            fit(model, Ticks(1), path=existing)
    with pytest.raises(TypeError, match="overwrite: expected True or False, got str"):
        fit(model, Ticks(1), path=tmp_path / "new", overwrite="no")
    assert model.values == []
    assert path.read_text() == "precious"
    fit(model, Ticks(1), config=plain(epochs=1), path=path, overwrite=True)
    assert rc.load(path).params["w"] == 1
    text = "to be or not to be"
    tokenizer = CharTokenizer.fit(text)
    words = rc.LanguageModel(tokenizer.vocab_size, tokenizer=tokenizer, hidden_size=4)
    config = TrainingConfig(epochs=1, batch_size=1, bptt=4, validation_fraction=0)
    with pytest.raises(FileExistsError, match="overwrite=True"):
        words.fit(text, config, path=path)
    words.fit(text, config, path=path, overwrite=True)
    assert isinstance(rc.load(path), rc.LanguageModel)


def test_time_limit(clock: SimpleNamespace) -> None:
    """Training ends after it, with a validation; a cosine reaches its floor by then."""
    model = Counter()

    def tick(_: float) -> float:
        clock.now += 1.0
        return 1.0

    model.training_loss = tick
    config = plain(
        epochs=100, time_limit=10.0, schedule=ScheduleConfig("cosine", warmup=0, floor=0.0)
    )
    result = fit(model, Ticks(20), Ticks(1), config)
    assert len(result.losses) == 10
    assert [v.update for v in result.validations] == [10]
    expected = [(1 + math.cos(math.pi * t / 10)) / 2 for t in range(9)]
    assert model.rates() == pytest.approx(expected)


# --- whole lines --------------------------------------------------------------------------------


def test_training_on_sentences() -> None:
    """Full BPTT over lines: the model learns how they start and where they end."""
    text = "one two three\nfour five\nsix\n" * 10
    tokenizer = CharTokenizer.fit(text)
    model = rc.LanguageModel(
        tokenizer.vocab_size, hidden_size=48, num_layers=1, tokenizer=tokenizer, rng=0
    )
    config = TrainingConfig(
        epochs=150,
        batch_size=9,
        sentences=True,
        validation_fraction=0.1,
        optimizer=OptimizerConfig(learning_rate=1e-2),
        schedule=ScheduleConfig(
            "cosine", warmup=0
        ),  # one batch of a length pulls, the next pulls back
    )
    result = model.fit(text, config)
    assert result.num_targets == 150 * len("".join(text.splitlines(keepends=True)[:27]))
    # Which of three lines comes is all that there is to guess: ln 3 nats a line.
    lines = {line: float(model.score(f"\n{line}\n").sum()) for line in text.split("\n")[:3]}
    assert lines == pytest.approx(dict.fromkeys(lines, -math.log(3)), abs=0.2)
    assert model.score("\nsix two\n").sum() < -5


def test_the_seed_deals_the_sentences() -> None:
    """And every epoch deals them anew."""
    text = "".join(f"{i:03}\n" for i in range(40))
    model = rc.LanguageModel(11, tokenizer=CharTokenizer.fit(text), hidden_size=4, rng=0)

    def first_batches(seed: int) -> list[list[int]]:
        batches, _ = model.batches(text, TrainingConfig(sentences=True, seed=seed))
        return [next(batches.epoch(k)).inputs.tolist() for k in range(2)]

    first, second = first_batches(1)
    assert first != second
    assert first_batches(1) == [first, second]
    assert first_batches(2)[0] != first


def test_sentences_need_a_line_feed() -> None:
    tokenizer = CharTokenizer("abc")
    model = rc.LanguageModel(3, hidden_size=4, tokenizer=tokenizer, rng=0)
    with pytest.raises(ValueError, match=r"'\\n' \(U\+000A\)"):
        model.fit("abc", TrainingConfig(sentences=True))
    with pytest.raises(ValueError, match="with a tokenizer, got one without"):
        rc.LanguageModel(3, hidden_size=4).fit([0, 1], TrainingConfig(sentences=True))


# --- reports ------------------------------------------------------------------------------------


def test_reports(clock: SimpleNamespace) -> None:
    """Each update takes 2 s, each validation 10 s; a report is due every 3 s."""
    model = Counter(lambda w: w)

    def training_loss(w: float) -> float:
        clock.now += 2.0
        return 10 + w

    def curve(w: float) -> float:
        clock.now += 10.0
        return w

    model.training_loss, model.curve = training_loss, curve
    recorder = Recorder(interval=3.0)
    config = plain(epochs=2)
    fit(model, Ticks(3), Ticks(1), config, progress=recorder)
    seen = [(r.epoch, r.loss, r.validation_loss, r.validated) for r in recorder.reports]
    assert seen == [
        (1, 10.5, None, False),
        (1, 12, 3, True),
        (2, 13.5, 3, False),
        (2, 15, 6, True),
    ]
    assert [r.fraction for r in recorder.reports] == pytest.approx([2 / 6, 3 / 6, 5 / 6, 1])
    assert [r.tokens_per_second for r in recorder.reports] == pytest.approx([0.5] * 4)
    assert [r.seconds_left for r in recorder.reports] == pytest.approx([8, 16, 4, 0])


def test_a_validation_right_after_a_report_has_its_figures(clock: SimpleNamespace) -> None:
    model = Counter(lambda _: 0.5)

    def training_loss(_: float) -> float:
        clock.now += 1.0
        return 2.0

    model.training_loss = training_loss
    recorder = Recorder(interval=0)
    fit(model, Ticks(1), Ticks(1), TrainingConfig(epochs=1), progress=recorder)
    assert [(r.loss, r.tokens_per_second) for r in recorder.reports] == [(2, 1), (2, 1)]


def test_reports_say_whether_time_or_updates_end_the_run(clock: SimpleNamespace) -> None:
    """Each update takes a second: of 2 x 5 the limit of 4 seconds lets 4 happen, one of 40 all."""
    model = Counter()

    def training_loss(_: float) -> float:
        clock.now += 1.0
        return 2.0

    model.training_loss = training_loss
    for limit, fractions, by_time in ((4, [1.0], True), (40, [0.5, 1.0], False)):
        recorder = Recorder()
        fit(model, Ticks(5), Ticks(1), plain(epochs=2, time_limit=limit), progress=recorder)
        assert [r.fraction for r in recorder.reports] == fractions
        assert {r.by_time for r in recorder.reports} == {by_time}
