"""The training loop: what is kept, saved, carried and scheduled, and what ends a run."""

import math
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

import rnncore as rc
from rnncore import datasets
from rnncore.data import Batch, ContiguousBatches
from rnncore.progress import Report
from rnncore.text import CharTokenizer
from rnncore.training import (
    OptimizerConfig,
    ScheduleConfig,
    Trainable,
    TrainingConfig,
    Validation,
    evaluate,
    fit,
    loop,
)

PLAIN = OptimizerConfig("sgd", learning_rate=1.0, clip_norm=None)


class Counter(Trainable):
    """One parameter w, from 0. Its gradient is -1, so that plain SGD adds the learning rate to it.

    `curve` is the validation loss as a function of w, `training_loss` that of training.
    """

    def __init__(self, curve: Callable[[float], float] = lambda w: -w) -> None:
        super().__init__(np.float64, rng=0)
        self._allocate([("w", 0, (1,))])
        self.curve = curve
        self.training_loss: Callable[[float], float] = lambda _: 1.0
        self.given_states: list[Any] = []
        self.values: list[float] = []  # w before each update

    @property
    def w(self) -> float:
        return float(self.flat_params[0])

    def config(self) -> dict[str, Any]:
        return {}

    def loss_and_grad(
        self, inputs: Any, targets: Any, state: Any = None, lengths: Any = None
    ) -> tuple[float, Any]:
        self.given_states.append(state)
        self.values.append(self.w)
        self.flat_grads[0] -= 1
        return self.training_loss(self.w), (state or 0) + 1

    def loss(
        self, inputs: Any, targets: Any, state: Any = None, lengths: Any = None
    ) -> tuple[float, Any]:
        return self.curve(self.w), (state or 0) + 1

    def rates(self) -> list[float]:
        """Learning rate of every update but the last."""
        return np.diff(self.values).round(12).tolist()


class Ticks:
    """A number of batches of one token."""

    def __init__(self, count: int, carries_state: bool = True) -> None:
        self.count = count
        self.carries_state = carries_state

    def __len__(self) -> int:
        return self.count

    def __iter__(self) -> Iterator[Batch]:
        token = np.zeros((1, 1), np.int64)
        return iter([Batch(token, token)] * self.count)


class Recorder:
    """A progress that keeps its reports, and may be made to raise."""

    def __init__(self, interval: float = math.inf, raise_at: int | None = None) -> None:
        self.interval = interval
        self.raise_at = raise_at
        self.reports: list[Report] = []

    def __enter__(self) -> "Recorder":
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def show(self, report: Report) -> None:
        self.reports.append(report)
        if len(self.reports) == self.raise_at:
            raise KeyboardInterrupt


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> SimpleNamespace:
    """A clock that stands still unless `clock.now` is changed."""
    fake = SimpleNamespace(now=0.0)
    monkeypatch.setattr(loop, "time", SimpleNamespace(perf_counter=lambda: fake.now))
    return fake


# --- a stored run -------------------------------------------------------------------------------

# Losses of 20 updates of `stored_run` in float64. PyTorch gives the same, see below.
STORED = [
    3.928024485087,
    3.895140380974,
    3.840727050524,
    3.797391198603,
    3.735901156657,
    3.705974914844,
    3.677928891371,
    3.647759098907,
    3.454919289928,
    3.593437422717,
    3.488106684694,
    3.449156600781,
    3.264548368079,
    3.334560117526,
    3.268680258351,
    3.448559887036,
    3.428193714984,
    3.257020216493,
    3.265397382897,
    3.185575308679,
]

# Rounding of float32 (6e-8), over sums of up to a hundred terms, changes a loss by about 1e-6;
# twenty updates of Adam, whose first steps depend on signs of gradients only, multiply that.
FLOAT32_ERROR = 2e-5


def stored_model(dtype: Any) -> tuple[rc.LanguageModel, str]:
    """Parameters come from a formula, not a generator: those of NumPy may change."""
    text = datasets.tinyshakespeare()[:2600]
    tokenizer = CharTokenizer.fit(text)
    model = rc.LanguageModel(
        tokenizer.vocab_size,
        embedding_size=12,
        hidden_size=24,
        tokenizer=tokenizer,
        dtype=dtype,
        rng=0,
    )
    model.flat_params[:] = 0.3 * np.sin(np.arange(model.num_params, dtype=np.float64) ** 2)
    return model, text


STORED_CONFIG = TrainingConfig(
    epochs=1,
    batch_size=8,
    bptt=16,
    validation_fraction=0,
    optimizer=OptimizerConfig("adam", learning_rate=5e-3, clip_norm=0.5),
)


def stored_run(dtype: Any) -> list[float]:
    model, text = stored_model(dtype)
    return model.fit(text, STORED_CONFIG).losses[:20]


def test_stored_losses(dtype: type[np.floating]) -> None:
    limit = {np.float32: FLOAT32_ERROR, np.float64: 1e-10}[dtype]
    np.testing.assert_allclose(stored_run(dtype), STORED, rtol=limit)


def test_stored_losses_are_those_of_torch() -> None:
    torch = pytest.importorskip("torch")
    torch.set_num_threads(1)  # its own would compete for the processors
    model, text = stored_model(np.float64)
    weights = {name: torch.tensor(value) for name, value in model.params.items()}
    embedding = torch.nn.Embedding(model.vocab_size, 12)
    lstm = torch.nn.LSTM(12, 24, 2)
    output = torch.nn.Linear(24, model.vocab_size)
    network = torch.nn.ModuleDict({"embedding": embedding, "rnn": lstm, "output": output}).double()
    network.load_state_dict(weights)
    optimizer = torch.optim.Adam(network.parameters(), lr=5e-3)
    state, losses = None, []
    for batch in ContiguousBatches(model.tokenizer.encode(text), 8, 16):
        y, state = lstm(embedding(torch.tensor(batch.inputs)), state)
        state = tuple(part.detach() for part in state)
        targets = torch.tensor(np.ascontiguousarray(batch.targets))
        loss = torch.nn.functional.cross_entropy(output(y).flatten(0, 1), targets.flatten())
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(network.parameters(), 0.5)
        optimizer.step()
        losses.append(loss.item())
    # PyTorch adds 1e-6 to the norm that it divides by.
    np.testing.assert_allclose(losses[:20], STORED, rtol=1e-5)


def test_losses_have_the_same_bits_for_any_number_of_threads() -> None:
    before = rc.get_num_threads()
    try:
        runs = []
        for threads in (1, 2, 3):
            rc.set_num_threads(threads)
            runs.append(stored_run(np.float32))
    finally:
        rc.set_num_threads(before)
    assert runs[0] == runs[1] == runs[2]


# --- the best model -----------------------------------------------------------------------------


def test_the_best_model_is_kept(tmp_path: Path) -> None:
    """Validation losses fall until w = 6 and rise again; the file follows."""
    model = Counter(lambda w: abs(w - 6))
    path = tmp_path / "model"
    result = fit(model, Ticks(2), Ticks(1), TrainingConfig(epochs=5, optimizer=PLAIN), path=path)
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
        TrainingConfig(epochs=5, optimizer=PLAIN),
        path=path,
        progress=Reader(),
    )
    assert saved == [1, 2, 2, 2, 5]


def test_without_validation_the_last_model_is_kept(tmp_path: Path) -> None:
    model = Counter()
    config = TrainingConfig(epochs=2, optimizer=PLAIN)
    result = fit(model, Ticks(3), config=config, path=tmp_path / "model")
    assert result.best is None
    assert model.w == 6
    assert rc.load(tmp_path / "model").params["w"] == 6


def test_validate_every() -> None:
    """Also in the middle of an epoch; at its end once, not twice."""
    config = TrainingConfig(epochs=2, validate_every=2, optimizer=PLAIN)
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
    assert one == pytest.approx(exact, rel=1e-6)
    streams = evaluate(model, ContiguousBatches(ids, 7, 64, pad=True))
    starts = np.linspace(0, 3000, 8)  # 3000 targets in 7 streams of 429 or less
    parts = [ids[math.ceil(a / 429) * 429 :][:430] for a in starts[:-1]]
    expected = -np.concatenate([model.score(part) for part in parts]).mean()
    assert streams == pytest.approx(expected, rel=1e-6)


# --- what ends a run ----------------------------------------------------------------------------


def test_interrupt_keeps_the_best_model(tmp_path: Path) -> None:
    model = Counter(lambda w: abs(w - 2))
    recorder = Recorder(raise_at=4)
    config = TrainingConfig(epochs=9, optimizer=PLAIN)
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
    result = fit(model, Ticks(9), Ticks(1), path=path)
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
    assert process.returncode == 0
    assert errors == ""
    assert "interrupted" in output
    model = rc.load(path)
    assert model.perplexity(datasets.tinyshakespeare()[:500]) < 100
    if wait_for == "validation":
        held_out = datasets.tinyshakespeare()[18000:20000]
        streams = ContiguousBatches(model.tokenizer.encode(held_out), 3, 128, pad=True)
        best = float(output.split()[-1])
        assert evaluate(model, streams) == pytest.approx(best, rel=1e-6)


def test_divergence_is_an_error_and_keeps_the_best_model(tmp_path: Path) -> None:
    model = Counter()
    model.training_loss = lambda w: 1.0 if w < 3 else math.inf
    with pytest.raises(FloatingPointError, match="the loss of update 4 is inf; a lower learning"):
        fit(model, Ticks(1), Ticks(1), TrainingConfig(optimizer=PLAIN), path=tmp_path / "model")
    assert model.w == 3
    assert rc.load(tmp_path / "model").params["w"] == 3


def test_unwritable_path_is_refused_before_the_work(tmp_path: Path) -> None:
    model = Counter()
    with pytest.raises(FileNotFoundError, match="nowhere"):
        fit(model, Ticks(1), path=tmp_path / "nowhere" / "model")
    with pytest.raises(IsADirectoryError):
        fit(model, Ticks(1), path=tmp_path)
    assert model.values == []
    assert list(tmp_path.iterdir()) == []


def test_time_limit(clock: SimpleNamespace) -> None:
    """Training ends after it, with a validation; a cosine reaches its floor by then."""
    model = Counter()

    def tick(_: float) -> float:
        clock.now += 1.0
        return 1.0

    model.training_loss = tick
    config = TrainingConfig(
        epochs=100,
        time_limit=10.0,
        optimizer=PLAIN,
        schedule=ScheduleConfig("cosine", floor=0.0),
    )
    result = fit(model, Ticks(20), Ticks(1), config)
    assert len(result.losses) == 10
    assert [v.update for v in result.validations] == [10]
    expected = [(1 + math.cos(math.pi * t / 10)) / 2 for t in range(9)]
    assert model.rates() == pytest.approx(expected)


# --- state, schedule, optimiser -----------------------------------------------------------------


def test_the_state_is_carried_within_an_epoch() -> None:
    model = Counter()
    fit(model, Ticks(3), config=TrainingConfig(epochs=2))
    assert model.given_states == [None, 1, 2, None, 1, 2]


def test_sentences_start_from_the_zero_state() -> None:
    model = Counter()
    fit(model, Ticks(3, carries_state=False), config=TrainingConfig(epochs=1))
    assert model.given_states == [None, None, None]


@pytest.mark.parametrize(
    ("schedule", "rates"),
    [
        (ScheduleConfig(), [1] * 8),
        (
            ScheduleConfig("exponential", gamma=0.5, after_epoch=2),
            [1, 1, 1, 1, 0.5, 0.5, 0.25, 0.25],
        ),
        (ScheduleConfig("step", gamma=0.1, after_epoch=1), [1, 1, 0.1, 0.1, 0.1, 0.1, 0.1, 0.1]),
        (ScheduleConfig("cosine", warmup=2, floor=0.2), None),
    ],
    ids=["constant", "exponential", "step", "cosine"],
)
def test_schedules(schedule: ScheduleConfig, rates: list[float] | None) -> None:
    """Two updates an epoch, four epochs; the rate of the last update shows in nothing."""
    if rates is None:
        cosine = [0.2 + 0.8 * (1 + math.cos(math.pi * t / 6)) / 2 for t in range(6)]
        rates = [0.5, 1.0, *cosine]
    model = Counter()
    config = TrainingConfig(epochs=4, optimizer=PLAIN, schedule=schedule)
    fit(model, Ticks(2), config=config)
    assert model.rates() == pytest.approx(rates[:-1])


def test_plateau_follows_the_validation_loss() -> None:
    """It falls in epochs 1 and 2, then stays: each further epoch but one of patience halves."""
    model = Counter(lambda w: max(10 - w, 8.0))
    schedule = ScheduleConfig("plateau", gamma=0.5, patience=1)
    config = TrainingConfig(epochs=8, optimizer=PLAIN, schedule=schedule)
    fit(model, Ticks(1), Ticks(1), config)
    assert model.rates() == [1, 1, 1, 1, 0.5, 0.5, 0.25]


def test_plateau_without_validation_follows_the_training_loss() -> None:
    model = Counter()
    schedule = ScheduleConfig("plateau", gamma=0.5)
    config = TrainingConfig(epochs=4, optimizer=PLAIN, schedule=schedule)
    fit(model, Ticks(2), config=config)
    assert model.rates() == [1, 1, 1, 1, 0.5, 0.5, 0.25]


def test_a_warmup_longer_than_the_run_is_cut() -> None:
    model = Counter()
    schedule = ScheduleConfig("cosine", warmup=1000)
    fit(model, Ticks(4), config=TrainingConfig(epochs=1, optimizer=PLAIN, schedule=schedule))
    assert model.rates() == pytest.approx([0.5, 1.0, 1.0])


@pytest.mark.parametrize(
    ("optimizer", "rates"),
    [
        (OptimizerConfig("sgd", 1.0, clip_norm=0.25), [0.25, 0.25, 0.25]),
        (OptimizerConfig("sgd", 1.0, clip_norm=None, clip_value=0.125), [0.125, 0.125, 0.125]),
        (OptimizerConfig("sgd", 1.0, momentum=0.5, clip_norm=None), [1, 1.5, 1.75]),
        (
            OptimizerConfig("sgd", 1.0, momentum=0.5, nesterov=True, clip_norm=None),
            [1.5, 1.75, 1.875],
        ),
        (OptimizerConfig("sgd", 1.0, weight_decay=0.5, clip_norm=None), [1, 0.5, 0.25]),
        (OptimizerConfig("adam", 0.5), [0.5, 0.5, 0.5]),
        (OptimizerConfig("adamw", 0.5, weight_decay=0.0), [0.5, 0.5, 0.5]),
        (OptimizerConfig("rmsprop", 0.5, alpha=0.0), [0.5, 0.5, 0.5]),
    ],
    ids=lambda value: value.name if isinstance(value, OptimizerConfig) else "",
)
def test_optimizers_and_clipping(optimizer: OptimizerConfig, rates: list[float]) -> None:
    model = Counter()
    fit(model, Ticks(4), config=TrainingConfig(epochs=1, optimizer=optimizer))
    assert model.rates() == pytest.approx(rates, rel=1e-6)


def test_old_gradients_do_not_count() -> None:
    model = Counter()
    model.flat_grads[0] = 100
    fit(model, Ticks(2), config=TrainingConfig(epochs=1, optimizer=PLAIN))
    assert model.rates() == [1]


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
        schedule=ScheduleConfig("cosine"),  # one batch of a length pulls, the next pulls back
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
        return [next(iter(batches)).inputs.tolist() for _ in range(2)]

    first, second = first_batches(1)
    assert first != second
    assert first_batches(1) == [first, second]
    assert first_batches(2)[0] != first


def test_sentences_need_a_line_feed() -> None:
    tokenizer = CharTokenizer("abc")
    model = rc.LanguageModel(3, hidden_size=4, tokenizer=tokenizer, rng=0)
    with pytest.raises(ValueError, match=r"'\\n' \(U\+000A\)"):
        model.fit("abc", TrainingConfig(sentences=True))
    with pytest.raises(ValueError, match="no vocabulary"):
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
    config = TrainingConfig(epochs=2, optimizer=PLAIN)
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


# --- bad configurations -------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (lambda: TrainingConfig(epochs=0), ValueError, "epochs: expected at least 1, got 0"),
        (lambda: TrainingConfig(batch_size=-1), ValueError, "batch_size: expected at least 1"),
        (lambda: TrainingConfig(bptt=2.5), TypeError, "bptt: expected an integer"),
        (
            lambda: TrainingConfig(validation_fraction=1),
            ValueError,
            r"validation_fraction.*\[0, 1\)",
        ),
        (lambda: TrainingConfig(time_limit=0), ValueError, "time_limit"),
        (lambda: TrainingConfig(seed=-1), ValueError, "seed: expected at least 0"),
        (lambda: OptimizerConfig("lion"), ValueError, "optimizer: expected one of .*'adam'"),
        (lambda: ScheduleConfig("linear"), ValueError, "schedule: expected one of .*'cosine'"),
        (lambda: ScheduleConfig("step", after_epoch=0), ValueError, "after_epoch"),
        (
            lambda: OptimizerConfig("adam", momentum=0.9),
            ValueError,
            "momentum: no option of optimizer 'adam', which takes",
        ),
        (
            lambda: ScheduleConfig("cosine", gamma=0.5),
            ValueError,
            "gamma: no option of schedule 'cosine', which takes",
        ),
        (
            lambda: OptimizerConfig(learning_rate=-1.0),
            ValueError,
            "lr: expected",
        ),
    ],
)
def test_bad_configurations(make: Callable[[], Any], error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        make()


def test_a_text_that_is_too_short() -> None:
    model = rc.LanguageModel(3, hidden_size=4)
    with pytest.raises(ValueError, match="expected at least 33 tokens for 32 streams, got 9"):
        model.fit([0, 1] * 5)
    with pytest.raises(ValueError, match="got 0"):
        model.fit([])
